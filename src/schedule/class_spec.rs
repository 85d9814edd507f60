//! A scheduler that a file asks for by class name, unrolled ahead of time.

use super::class::{self, Arguments, Group};
use super::law::Listed;
use super::yaml::{Place, Section};
use super::{Error, FieldLaw, Run};
use crate::params::{Field, Row};

/// `class_path`, `init_args` and `interval`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClassSpec {
    path: String,
    arguments: Arguments,
    /// `step()` is called after every epoch, not after every step.
    per_epoch: bool,
}

impl ClassSpec {
    pub(super) fn read(section: &mut Section) -> Result<ClassSpec, Error> {
        section.only(&["class_path", "init_args", "interval"])?;
        let path = section.text("class_path")?;
        let arguments = section.arguments("init_args")?;
        let per_epoch = section.word_or_first("interval", &["step", "epoch"])? == "epoch";
        class::build(&path, &arguments).map_err(|error| section.place().class(error))?;
        Ok(ClassSpec { path, arguments, per_epoch })
    }

    /// Whether some of its moves wait for a metric: timm's warms up without one.
    pub(super) fn needs_metrics(&self) -> bool {
        self.waits() || self.path.ends_with("PlateauLRScheduler")
    }

    /// A run without any metric stays where the class starts.
    fn waits(&self) -> bool {
        class::waits(&self.path, &self.arguments)
    }

    pub(super) fn steps_every_step(&self) -> bool {
        !self.per_epoch
    }

    pub(super) fn counts_epochs(&self) -> bool {
        class::counts_epochs(&self.path, &self.arguments)
    }

    /// What the class makes of the groups: step k runs on the values after k calls of `step()`. Beyond the run the last
    /// values hold.
    pub(super) fn laws(&self, place: &Place, groups: &[Row], run: Run) -> Result<Vec<FieldLaw>, Error> {
        let told = |error: class::Error| place.class(error);
        let every = match (self.per_epoch, run.steps_per_epoch) {
            (false, _) => 1,
            (true, Some(steps)) if steps > 0 => steps,
            (true, _) => {
                let allowed = "an interval whose length is known here: give the steps of an epoch (--steps-per-epoch)";
                return Err(place.bad("interval", "epoch", allowed));
            }
        };
        let scheduler = class::build(&self.path, &self.arguments).map_err(told)?;
        let mut moving: Vec<Group> = groups.iter().map(Group::of_row).collect();
        let mut state = scheduler.start(&mut moving).map_err(told)?;
        let mut curves: Vec<[Vec<f64>; Field::ALL.len()]> = vec![Default::default(); groups.len()];
        for step in 0..run.steps {
            if step > 0 && step % every == 0 && !self.waits() {
                scheduler.step(&mut state, &mut moving, None).map_err(told)?;
            }
            for ((row, group), curves) in groups.iter().zip(&moving).zip(&mut curves) {
                let now = group.to_row(row);
                for (field, curve) in Field::ALL.into_iter().zip(curves) {
                    // A field that never moves costs no memory.
                    if curve.is_empty() && now.get(field) != row.get(field) {
                        curve.resize(step as usize, row.get(field));
                        curve.push(now.get(field));
                    } else if !curve.is_empty() {
                        curve.push(now.get(field));
                    }
                }
            }
        }
        let of_group = |(group, curves): (usize, [Vec<f64>; Field::ALL.len()])| {
            let moved = Field::ALL.into_iter().zip(curves).filter(|(_, curve)| !curve.is_empty());
            moved.map(move |(field, curve)| FieldLaw::of_group(group, field, Listed(curve)))
        };
        Ok(curves.into_iter().enumerate().flat_map(of_group).collect())
    }
}
