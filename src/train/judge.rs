//! Which evaluation is the best, found on the device.

use super::Error;
use super::task::Placed;
use crate::engine::kernels::JUDGE;
use crate::engine::layout::Standing;
use crate::engine::{Buffer, Dispatch, Engine, Prepared, Program};
use crate::schedule::{BestAt, Plan};

/// Compares each evaluation with the best one so far, on the device, by the plan's metric.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) program: Prepared,
    /// The best so far, and whether the latest is it.
    pub(super) standing: Buffer,
}

impl Judge {
    /// A judge who has seen no evaluation; none if nothing is kept by a judge's word.
    pub(super) fn of(engine: &Engine, plan: &Plan, task: &dyn Placed) -> Result<Option<Judge>, Error> {
        if !plan.decides_at_a_lag() || !plan.restores_best() {
            return Ok(None);
        }
        let standing = engine.buffer("standing", size_of::<Standing>() as u64)?;
        let (monitor, flag) = (plan.best_by(), |is_set| f64::from(u8::from(is_set)));
        let metrics = if monitor == "train_loss" { task.trained() } else { task.tested() };
        let mut program = Program::new("judge");
        program.dispatches.push(Dispatch {
            kernel: JUDGE.plain(),
            bindings: vec![metrics.into(), (&standing).into()],
            constants: vec![("ACCURACY", flag(monitor == "val_accuracy")), ("HIGHER", flag(plan.best_is_higher()))],
            grid: [1, 1, 1],
            bytes: 64,
            flops: 0,
        });
        Ok(Some(Judge { program: engine.prepare(program)?, standing }))
    }

    /// Goes on from what was the best so far.
    pub(super) fn take_over(&self, engine: &Engine, best: Option<BestAt>) -> Result<(), Error> {
        let known = |best: BestAt| Standing { score: best.score as f32, known: 1, ..Standing::default() };
        Ok(engine.write(&self.standing, 0, &[best.map_or_else(Standing::default, known)])?)
    }
}
