//! The decays of warmup-stable-decay: training can continue from before one, and the model is usable after one.

use super::Plan;
use super::cursor::Cursor;
use crate::schedule::class::WsdLrScheduler;
use crate::schedule::file::run_words;
use serde::Serialize;

/// A decay, by the steps that are done when it begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DecayAt {
    /// Before its first step.
    pub start: u64,
    /// Behind its last one.
    pub end: u64,
}

/// The position of a run in such a law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WsdAt {
    /// The current or next decay, from 1; the last one after all.
    pub decay: usize,
    /// `stable` (or warming up), `decay` or `done`.
    pub phase: &'static str,
    /// The steps of that decay.
    #[serde(flatten)]
    pub at: DecayAt,
}

impl Plan {
    /// The decays of the lr's law, first to last: of `wsd`, or of pytorch-accelerated's `WSDLrScheduler`. Of any other law
    /// there are none.
    pub fn decays(&self) -> Vec<DecayAt> {
        let Some(law) = self.laws.iter().find(|law| law.field() == crate::params::Field::Lr) else { return Vec::new() };
        if let Some(class) = law.class().filter(|class| class.path.ends_with("WSDLrScheduler")) {
            let given = run_words::resolved(&class.place, &class.path, &class.arguments, self.law_run(), self.steps());
            let made = given.ok().and_then(|arguments| WsdLrScheduler::new(&arguments).ok());
            let periods = made.map_or_else(Vec::new, |made| made.decay_info());
            let whole = |step: i64| u64::try_from(step).unwrap_or(0);
            return periods
                .iter()
                .map(|info| DecayAt { start: whole(info.pre_decay_step), end: whole(info.period_end) })
                .collect();
        }
        let decays = law.decays(self.law_run()).unwrap_or_default();
        decays.into_iter().map(|(start, end)| DecayAt { start, end }).collect()
    }

    /// The position of the run in the lr's decays, if its law has any.
    pub fn wsd(&self, cursor: &Cursor) -> Option<WsdAt> {
        let decays = self.decays();
        let place = decays.iter().position(|decay| cursor.step() < decay.end).or(decays.len().checked_sub(1))?;
        let at = decays[place];
        let phase = match cursor.step() {
            step if step >= at.end => "done",
            step if step >= at.start => "decay",
            _ => "stable",
        };
        Some(WsdAt { decay: place + 1, phase, at })
    }

    /// What a checkpoint after so many steps is called, which stays for as long as the run's folder: those before and after
    /// each decay are.
    pub fn checkpoint_name(&self, steps: u64) -> Option<String> {
        let decays = self.decays();
        let of = |(place, decay): (usize, &DecayAt)| {
            let number = place + 1;
            // One that ends where another begins is both; what can be used comes first.
            (steps == decay.end)
                .then(|| format!("after decay {number}"))
                .or((steps == decay.start).then(|| format!("before decay {number}")))
        };
        decays.iter().enumerate().find_map(of)
    }

    /// Phases that are still to come.
    pub fn depth_remaining(&self, cursor: &Cursor) -> usize {
        self.last.saturating_sub(cursor.depth())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Param;
    use crate::schedule::{Epochs, Spec};

    const EPOCHS: Epochs = Epochs { epochs: 10, steps_per_epoch: 10 };

    fn spec(law: &str) -> Spec {
        Spec::parse("run.yaml", &format!("optimizer: {{type: adamw}}\nlr_scheduler: {law}")).unwrap()
    }

    fn plan(spec: &Spec) -> Plan {
        Plan::new(spec, &[Param::new("w", [2])][..], EPOCHS).unwrap()
    }

    #[test]
    fn decays_are_known_by_both_names() {
        let decays =
            |law: &str| plan(&spec(law)).decays().iter().map(|decay| (decay.start, decay.end)).collect::<Vec<_>>();
        assert_eq!(decays("{type: wsd, decay_fraction: 0.2, checkpoints: 2, warmup_steps: 5}"), [(40, 50), (90, 100)]);
        assert_eq!(decays("{class_path: pytorch_accelerated.schedulers.WSDLrScheduler}"), [(90, 100)]);
        assert_eq!(decays("{type: cosine}"), []);
    }

    #[test]
    fn a_run_knows_where_it_stands_and_what_is_worth_keeping() {
        let plan = plan(&spec("{type: wsd, decay_fraction: 0.2, checkpoints: 2}"));
        let mut cursor = plan.start().unwrap();
        let mut told = Vec::new();
        while cursor.step() < plan.steps() {
            plan.step(&mut cursor).unwrap();
            told.extend(plan.checkpoint_name(cursor.step()).map(|name| (cursor.step(), name)));
            if [39, 40, 50, 100].contains(&cursor.step()) {
                let wsd = plan.wsd(&cursor).unwrap();
                let expected = match cursor.step() {
                    39 => (1, "stable"),
                    40 => (1, "decay"),
                    50 => (2, "stable"),
                    _ => (2, "done"),
                };
                assert_eq!((wsd.decay, wsd.phase), expected);
            }
        }
        let expected = [(40, "before decay 1"), (50, "after decay 1"), (90, "before decay 2"), (100, "after decay 2")];
        assert_eq!(told, expected.map(|(step, name)| (step, name.to_owned())));
        assert_eq!(plan.depth_remaining(&cursor), 0);
    }

    #[test]
    fn what_goes_on_is_stable_at_once() {
        for law in [
            "{type: wsd, decay_fraction: 0.2, warmup_steps: 5}",
            "{class_path: pytorch_accelerated.schedulers.WSDLrScheduler, init_args: {num_warmup_steps: 5, warmup_starting_lr: 0.0}}",
        ] {
            let first = |spec: &Spec| plan(spec).rows(&plan(spec).start().unwrap(), 3).unwrap()[2].lr;
            let begun = spec(law);
            assert!(first(&begun) < 1e-3, "{law}");
            let continued = begun.continued().unwrap();
            assert_eq!(first(&continued), 1e-3, "{law}");
            let written = Spec::parse("again.yaml", &plan(&continued).to_yaml()).unwrap();
            assert_eq!(first(&written), 1e-3, "{law}");
        }
        assert!(spec("{type: cosine}").continued().is_none());
    }

    /// Here the original divides by zero after its last checkpoint.
    #[test]
    fn a_degenerate_length_is_refused() {
        let law = "{class_path: pytorch_accelerated.schedulers.WSDLrScheduler, init_args: {total_steps: 5}}";
        let told = Plan::new(&spec(law), &[Param::new("w", [2])][..], EPOCHS).unwrap_err().to_string();
        assert!(told.contains("division by zero; this run needs 100"), "{told}");
    }
}
