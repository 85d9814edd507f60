//! Learning rates that follow the size of the batch.

use super::finetuning::Finetuning;
use super::group_spec::GroupSpec;
use super::phase_spec::PhaseSpec;
use super::spec::{Phases, Spec};
use crate::params::{Field, Row};
use crate::schedule::Error;

const NAME: &str = "lr scaling";

/// How learning rates follow the rows of a step, those of all its micro-batches together; B / base in timm's words
/// (`lr_base`, `lr_base_size` and `lr_base_scale` of its `train.py`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LrScaling {
    /// They do not.
    #[default]
    None,
    /// lr · B / base, for SGD (Goyal et al. 2017).
    Linear,
    /// lr · √(B / base), for Adam and its like (Krizhevsky 2014; Malladi et al. 2022).
    Sqrt,
}

impl LrScaling {
    /// The factor of rates for steps of `rows` rows, if they are meant for steps of `base_rows`.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for steps or a base of no rows.
    pub fn factor(self, rows: usize, base_rows: usize) -> Result<f64, Error> {
        for (argument, value) in [("rows", rows), ("base_rows", base_rows)] {
            if value == 0 {
                return Err(Error::bad_argument(NAME, argument, "0".to_owned(), "1 or more"));
            }
        }
        let ratio = rows as f64 / base_rows as f64;
        Ok(match self {
            LrScaling::None => 1.0,
            LrScaling::Linear => ratio,
            LrScaling::Sqrt => ratio.sqrt(),
        })
    }
}

impl Spec {
    /// This schedule, meant for steps of `base_rows` rows, for steps of `rows` rows.
    ///
    /// It scales the initial rates: `optimizer.lr` and those of its `groups`, each phase's `lr`, and
    /// `finetuning.base_max_lr`, also the default.
    /// Relative levels follow: `min_ratio`, `warmup_start_ratio`, a law that multiplies. Absolute levels stay: a law's
    /// `min` or `warmup_start`, rates among the `init_args` of a class (`max_lr`, `eta_min`), `init_pg_lrs`, and a
    /// `new_optimizer`'s `lr`, with which no group starts. A rate that falls below an absolute level of its law is
    /// refused when the plan is made.
    ///
    /// ```
    /// use gradus::schedule::{LrScaling, Spec};
    ///
    /// let text = "{optimizer: {type: adamw, lr: 1.0e-3}, lr_scheduler: {type: cosine, min_ratio: 0.1}}";
    /// let spec = Spec::parse("run.yaml", text)?.scaled(LrScaling::Sqrt, 1024, 256)?;
    /// assert_eq!(spec.row.lr, 2e-3);
    /// # Ok::<(), gradus::schedule::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`LrScaling::factor`]; [`Error::BadArgument`] for a scaled rate that f32 cannot hold.
    pub fn scaled(&self, scaling: LrScaling, rows: usize, base_rows: usize) -> Result<Spec, Error> {
        let factor = scaling.factor(rows, base_rows)?;
        let scale = |lr: f64| match lr * factor {
            scaled if Field::Lr.allows(scaled) => Ok(scaled),
            scaled => Err(Error::bad_argument(NAME, "lr", scaled.to_string(), Field::Lr.allowed())),
        };
        let maybe = |lr: Option<f64>| lr.map(scale).transpose();
        let group =
            |group: &GroupSpec| Ok(GroupSpec { row: Row { lr: scale(group.row.lr)?, ..group.row }, ..group.clone() });
        let phase = |phase: &PhaseSpec| Ok(PhaseSpec { lr: maybe(phase.lr)?, ..phase.clone() });
        Ok(Spec {
            row: Row { lr: scale(self.row.lr)?, ..self.row },
            groups: self.groups.iter().map(group).collect::<Result<_, Error>>()?,
            phases: match &self.phases {
                Phases::Explicit(phases) => Phases::Explicit(phases.iter().map(phase).collect::<Result<_, Error>>()?),
                other => other.clone(),
            },
            finetuning: Finetuning { base_max_lr: maybe(self.finetuning.base_max_lr)?, ..self.finetuning.clone() },
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Param;
    use crate::schedule::{Epochs, Plan};

    const TEXT: &str = "
optimizer: {type: sgd, lr: 0.1, momentum: 0.9, weight_decay: 1.0e-4}
lr_scheduler: {class_path: torch.optim.lr_scheduler.CosineAnnealingLR, init_args: {T_max: 10, eta_min: 1.0e-4}}
finetuning: {base_max_lr: 0.02}
phases:
  0: {params: [head]}
  1: {params: [body.1], lr: 0.05, new_lr_scheduler: {lr_scheduler_init: {class_path: torch.optim.lr_scheduler.StepLR,
      init_args: {step_size: 1}}, init_pg_lrs: [0.3, 0.2]}}
  2: {params: [body.0]}
";

    #[test]
    fn factors_are_timms() {
        for (scaling, factors) in [
            (LrScaling::None, [1.0, 1.0, 1.0, 1.0]),
            (LrScaling::Linear, [4.0, 0.25, 1.0, 1.5]),
            (LrScaling::Sqrt, [2.0, 0.5, 1.0, 1.224_744_871_391_589]),
        ] {
            let made = [(1024, 256), (64, 256), (256, 256), (384, 256)].map(|(rows, base)| scaling.factor(rows, base));
            assert_eq!(made.map(Result::unwrap), factors, "{scaling:?}");
        }
    }

    #[test]
    fn what_groups_start_with_moves_and_nothing_else_does() {
        let spec = Spec::parse("run.yaml", TEXT).unwrap();
        let scaled = spec.scaled(LrScaling::Linear, 512, 256).unwrap();
        assert_eq!((scaled.row.lr, scaled.finetuning.base_max_lr), (0.2, Some(0.04)));
        let params = ["body.0", "body.1", "head"].map(|name| Param::new(name, [2]));
        let plan = Plan::new(&scaled, &params[..], Epochs { epochs: 9, steps_per_epoch: 1 }).unwrap();
        assert_eq!(plan.phases().iter().map(|phase| phase.lr).collect::<Vec<_>>(), [0.2, 0.1, 0.04]);
        // Put back, nothing else is different.
        let back = scaled.scaled(LrScaling::Linear, 256, 512).unwrap();
        assert_eq!(back, spec);
        assert_eq!(spec.scaled(LrScaling::None, 512, 256).unwrap(), spec);
        // A tenth of the optimizer's follows it.
        let spec = Spec::parse("run.yaml", &TEXT.replace("0.02", "null")).unwrap();
        let scaled = spec.scaled(LrScaling::Sqrt, 4 * 256, 256).unwrap();
        let plan = Plan::new(&scaled, &params[..], Epochs { epochs: 9, steps_per_epoch: 1 }).unwrap();
        assert_eq!(plan.phases()[2].lr, 0.2 / 10.0);
    }

    #[test]
    fn what_cannot_be_scaled_is_refused() {
        let spec = Spec::parse("run.yaml", TEXT).unwrap();
        let told = |rows, base| spec.scaled(LrScaling::Linear, rows, base).unwrap_err().to_string();
        assert_eq!(told(1, 0), "lr scaling: base_rows = 0 is not 1 or more");
        assert_eq!(told(0, 1), "lr scaling: rows = 0 is not 1 or more");
        let steep = Spec::new(Row { lr: 1e38, ..Row::default() });
        let told = steep.scaled(LrScaling::Linear, 1000, 1).unwrap_err().to_string();
        assert!(told.starts_with("lr scaling: lr = 1") && told.ends_with("is not a finite number that is 0 or more"));
        // Also without scaling: a base of 0 is a mistake.
        assert!(spec.scaled(LrScaling::None, 1, 0).is_err());
    }
}
