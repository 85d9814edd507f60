//! Follows a run before its first step, so that errors that depend only on its length are found then, not in the
//! middle.
//!
//! There are no metrics here, so phases end at their latest. A phase that only a metric can begin comes after the end
//! of the run: this checks that it can begin, not how long it lasts.

use super::cursor::{Cursor, Source};
use super::transition::Reason;
use super::{Plan, slot};
use crate::params::{Field, Row};
use crate::schedule::Error;
use crate::schedule::file::law_spec::LawSpec;
use crate::schedule::file::place::Place;
use crate::schedule::law::table::{allowed, fits};
use std::ops::Range;

/// Steps that are rehearsed. What a longer run does after them shows when it gets there.
const MOST_STEPS: u64 = 10_000_000;

impl Plan {
    /// Follows the run to its end, then begins the phases that are left.
    ///
    /// # Errors
    /// A law or scheduler that gives what its field does not allow, a scheduler that ends before the run, or that does not
    /// fit the groups it will find.
    pub(super) fn rehearse(&self, mut cursor: Cursor) -> Result<(), Error> {
        if self.laws.is_empty() && self.schedulers.is_empty() {
            return self.check_rows(&cursor, &self.bases(&cursor.rates));
        }
        let steps = self.steps().min(MOST_STEPS);
        let mut stage = cursor.clone();
        let mut began = (source(&cursor), 0);
        while cursor.step < steps {
            if self.epoch_start(&mut cursor)?.is_some() {
                self.check_stage(&stage, stage.step..cursor.step)?;
                stage = cursor.clone();
            }
            if source(&cursor) != began.0 {
                began = (source(&cursor), cursor.step);
            }
            self.rehearse_step(&mut cursor, began.1..self.steps())?;
        }
        self.check_stage(&stage, stage.step..steps)?;
        while cursor.depth < self.last {
            let next = &self.phases[cursor.depth + 1];
            if next.new_optimizer.is_some() || next.new_lr_scheduler.is_some() {
                self.check_stage(&cursor, 0..steps)?;
                self.begin(&mut cursor, Reason::EarlyStopping)?;
            } else {
                // In place: there may be thousands of phases.
                cursor.depth += 1;
                self.join(&mut cursor.rates, cursor.depth)?;
            }
        }
        self.check_stage(&cursor, 0..steps)
    }

    /// One step of a run whose scheduler is asked for values in these steps.
    fn rehearse_step(&self, cursor: &mut Cursor, asked: Range<u64>) -> Result<(), Error> {
        let Some(source) = source(cursor) else {
            cursor.step += 1;
            return Ok(());
        };
        let (spec, per_epoch) = (&self.schedulers[&slot(source)].spec, self.steps_per_epoch());
        let is_due = !spec.needs_metrics() && spec.is_due(cursor.step, per_epoch);
        let end = asked.end;
        self.step(cursor)
            .map_err(|error| error.of_a_run(asked.filter(|step| spec.is_due(*step, per_epoch)).count()))?;
        if is_due && cursor.step < end { self.check_rows(cursor, &self.bases(&cursor.rates)) } else { Ok(()) }
    }

    /// Checks what the groups start a stage with, and the laws over its steps.
    fn check_stage(&self, stage: &Cursor, steps: Range<u64>) -> Result<(), Error> {
        let bases = self.bases(&stage.rates);
        self.check_rows(stage, &bases)?;
        for law in self.field_laws(stage)? {
            let mut known: Vec<f64> = Vec::new();
            for (group, row) in bases.iter().enumerate().filter(|(_, row)| row.has(law.field)) {
                let base = row.get(law.field);
                if law.group.is_some_and(|of| of != group) || known.contains(&base) {
                    continue;
                }
                known.push(base);
                let value = |step: u64| law.law.value(base, step);
                if let Some(step) = steps.clone().find(|step| !fits(law.field, value(*step))) {
                    return Err(self.gives(stage, step, group, law.field, value(step)));
                }
            }
        }
        Ok(())
    }

    /// Checks the groups' values at the cursor.
    fn check_rows(&self, cursor: &Cursor, rows: &[Row]) -> Result<(), Error> {
        for (group, row) in rows.iter().enumerate() {
            if let Some(field) = row.fields().find(|field| !fits(*field, row.get(*field))) {
                return Err(self.gives(cursor, cursor.step, group, field, row.get(field)));
            }
        }
        Ok(())
    }

    /// The error for what a law, a scheduler or the optimizer gives a group.
    fn gives(&self, cursor: &Cursor, step: u64, group: usize, field: Field, value: f64) -> Error {
        let names: Vec<String> = cursor.rates.groups.iter().map(|members| self.group_name(members)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let place = self.mover(cursor, field);
        place.gives(step, group, field, value, allowed(field, value)).naming(&names)
    }

    /// The place of the key that moves a field.
    fn mover(&self, cursor: &Cursor, field: Field) -> &Place {
        let scheduler = source(cursor).map(|source| &self.schedulers[&slot(source)].spec.place);
        let law = self.laws.iter().find(|law| law.class().is_none() && law.moves(field)).map(LawSpec::place);
        let of_lr = if field == Field::Lr { scheduler.or(law) } else { law.or(scheduler) };
        of_lr.unwrap_or(&self.place)
    }
}

fn source(cursor: &Cursor) -> Option<Source> {
    cursor.rates.scheduler.as_ref().map(|moving| moving.source)
}

#[cfg(test)]
mod tests {
    use crate::params::Param;
    use crate::schedule::{Epochs, Plan, Spec};

    const EPOCHS: Epochs = Epochs { epochs: 10, steps_per_epoch: 10 };

    fn plan(text: &str) -> Result<Plan, String> {
        let params = ["body", "head"].map(|name| Param::new(name, [2]));
        let spec = Spec::parse("run.yaml", text).map_err(|error| error.to_string())?;
        Plan::new(&spec, &params[..], EPOCHS).map_err(|error| error.to_string())
    }

    fn told(text: &str) -> String {
        plan(text).map(|_| "accepted".to_owned()).unwrap_or_else(|error| error)
    }

    const PHASES: &str = "finetuning: {allow_untested: true}\nphases: {0: {params: [head], max_transition_epoch: 3}, 1: {params: [body]}}";

    #[test]
    fn a_scheduler_that_ends_before_the_run_is_told_with_what_the_run_needs() {
        let one_cycle = |steps: u64, rest: &str| {
            let law = format!("{{class_path: OneCycleLR, init_args: {{max_lr: 0.1, total_steps: {steps}}}{rest}}}");
            format!("optimizer: {{type: adamw}}\nlr_scheduler: {law}")
        };
        let short =
            "run.yaml: lr_scheduler: OneCycleLR has no value at step 99: the cycle has 98 steps; this run needs 100";
        assert_eq!(told(&one_cycle(98, "")), short);
        assert_eq!(told(&one_cycle(100, "")), "accepted");
        assert_eq!(told(&one_cycle(10, ", interval: epoch")), "accepted");
        assert!(told(&one_cycle(8, ", interval: epoch")).ends_with("the cycle has 8 steps; this run needs 10"));
        assert!(told(&format!("{}\n{PHASES}", one_cycle(50, ""))).ends_with("this run needs 100"));
        // One that another takes over from need not last.
        let text = "
optimizer: {type: adamw}
lr_scheduler: {class_path: OneCycleLR, init_args: {max_lr: 0.1, total_steps: 30}}
finetuning: {allow_untested: true}
phases:
  0: {params: [head], max_transition_epoch: 3}
  1: {params: [body], new_lr_scheduler: {lr_scheduler_init: {class_path: torch.optim.lr_scheduler.StepLR, init_args: {step_size: 1}}}}
";
        assert_eq!(told(text), "accepted");
        assert!(told(&text.replace("epoch: 3", "epoch: 5")).ends_with("this run needs 100"));
    }

    #[test]
    fn what_f32_does_not_hold_is_told_beforehand() {
        let law = |law: &str| told(&format!("optimizer: {{type: adamw}}\nlr_scheduler: {law}"));
        let beyond = "is not a number that f32 holds: it goes to 3.4e38";
        let pure = law("{type: exponential, gamma: 10}");
        assert!(pure.starts_with("run.yaml: lr_scheduler: lr = 1.000e39 at step 42 of the group decay"), "{pure}");
        assert!(pure.ends_with(beyond), "{pure}");
        let class = law("{class_path: ExponentialLR, init_args: {gamma: 10.0}}");
        assert!(class.starts_with("run.yaml: lr_scheduler: lr = 1.000e39 at step 42 of the group decay"), "{class}");
        assert!(class.ends_with(beyond), "{class}");
        assert_eq!(law("{class_path: ExponentialLR, init_args: {gamma: 10.0}, interval: epoch}"), "accepted");
        assert_eq!(law("{type: exponential, gamma: 10, every_epochs: 1}"), "accepted");
    }

    #[test]
    fn laws_are_held_against_every_transition() {
        let text = |section: &str, law: &str| {
            format!(
                "
optimizer: {{type: adamw, {section}}}
laws: [{law}]
phases:
  0: {{params: [head], max_transition_epoch: 3}}
  1: {{params: [body], new_optimizer: {{optimizer_init: {{class_path: torch.optim.SGD, init_args: {{lr: 0.1}}}}}}}}
"
            )
        };
        let clipped = text("clip_norm: 2.0", "{field: clip_norm, type: linear, end: 1.0}");
        let plan = plan(&clipped).unwrap();
        let mut cursor = plan.start().unwrap();
        for _ in 0..30 {
            plan.epoch_start(&mut cursor).unwrap();
            plan.step(&mut cursor).unwrap();
        }
        assert!(plan.epoch_start(&mut cursor).unwrap().unwrap().forgets_moments);
        let norms: Vec<Option<f64>> = plan.rows(&cursor, 2).unwrap().iter().map(|row| row.clip_norm).collect();
        assert_eq!(norms, [Some(1.7), Some(1.7), Some(1.69), Some(1.69)], "clipping is the run's, not the optimizer's");
        assert_eq!(
            told(&text("ema_decay: 0.9", "{field: ema_decay, type: constant}")),
            "run.yaml: laws[0].field = ema_decay does not go with the new_optimizer of phase 1, which keeps no average"
        );
        assert_eq!(told(&text("ema_decay: 0.9", "{field: weight_decay, type: constant}")), "accepted");
        // A law that no metric may bring about for certain is held against its phase all the same.
        let late = "optimizer: {type: adamw}\nlr_scheduler: {type: multiplicative, factors: [1.0e+30]}\n\
                    phases: {0: {params: [head]}, 1: {params: [body], lr: 1.0e+20}}";
        assert!(told(late).contains("of the group phase 1"), "{}", told(late));
    }

    #[test]
    fn rows_are_given_as_far_as_they_are_good() {
        // The second phase begins when a metric says so: how long its cycle must be is not known.
        let plan = plan(
            "
optimizer: {type: adamw}
finetuning: {allow_untested: true, restore_best: false}
early_stopping: {patience: 1}
phases:
  0: {params: [head]}
  1: {params: [body], new_lr_scheduler: {lr_scheduler_init: {class_path: torch.optim.lr_scheduler.OneCycleLR,
      init_args: {max_lr: 0.1, total_steps: 20}}, pl_lrs_cfg: {interval: step}}}
",
        )
        .unwrap();
        let mut cursor = plan.start().unwrap();
        for loss in [1.0, 1.0] {
            for _ in 0..10 {
                plan.epoch_start(&mut cursor).unwrap();
                plan.step(&mut cursor).unwrap();
            }
            plan.validation(&mut cursor, &[("val_loss", loss)]).unwrap();
        }
        plan.epoch_start(&mut cursor).unwrap().unwrap();
        assert_eq!(plan.rows(&cursor, 80).unwrap().len(), 2 * 20);
        for _ in 0..20 {
            plan.step(&mut cursor).unwrap();
        }
        assert!(plan.rows(&cursor, 1).is_err());
        assert_eq!(plan.groups(&cursor).unwrap().len(), 2, "what the groups are now is known");
    }
}
