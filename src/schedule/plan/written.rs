//! A plan as a schedule file: what ran, with nothing left to patterns and defaults.

use super::{Phase, Plan};
use crate::params::Field;
use crate::schedule::file::direction::mode;
use crate::schedule::file::evaluate::Evaluate;
use crate::schedule::file::law_spec::LawSpec;
use crate::schedule::file::raw::Raw;
use crate::schedule::file::row_keys::raw_of;

impl Plan {
    /// The schedule that is followed, as a file that reads back to an equal plan: every section with its defaults, and
    /// the phases with their parameters by name, their rates and limits. New schedulers and optimizers of `finetuning`
    /// are in every phase. Groups and laws that the program added are not in it, nor is the run's length.
    pub fn to_yaml(&self) -> String {
        self.to_raw().to_text()
    }

    /// The same as a value of a file.
    pub(crate) fn to_raw(&self) -> Raw {
        let mut file = Raw::default().with("optimizer", self.optimizer_raw());
        let (of_lr, others): (Vec<&LawSpec>, Vec<&LawSpec>) =
            self.laws.iter().partition(|law| law.field() == Field::Lr);
        if let Some(law) = of_lr.first() {
            file = file.with("lr_scheduler", law.raw.clone());
        } else if !self.is_phased {
            // A file without phases must name a law.
            file = file.with("lr_scheduler", Raw::default().with("type", "constant"));
        }
        if !others.is_empty() {
            file = file.with(
                "laws",
                others.iter().map(|law| law.raw.clone().with("field", law.field().name())).collect::<Vec<_>>(),
            );
        }
        file = file.with_maybe("early_stopping", self.early_stopping.as_ref().map(Raw::from));
        let checkpoint = Raw::default().with("monitor", self.checkpoint.monitor.as_str());
        let checkpoint = checkpoint.with("mode", mode(self.checkpoint.better));
        file = file.with("checkpoint", checkpoint.with("keep_last", self.checkpoint.keep_last));
        file = match self.evaluate {
            Evaluate::Epochs(every) => file.with("evaluate_every_epochs", every),
            Evaluate::Steps(every) => file.with("evaluate_every_steps", every),
        };
        if self.decides_at_a_lag() {
            file = file.with("decide", "lag");
        }
        if self.is_phased {
            file = file.with("finetuning", Raw::from(&self.finetuning)).with("phases", self.phases_raw());
        }
        file
    }

    /// The section `optimizer` with all defaults.
    fn optimizer_raw(&self) -> Raw {
        let mut section = raw_of(&self.row);
        for (field, value) in [(Field::ClipNorm, self.row.clip_norm), (Field::EmaDecay, self.row.ema_decay)] {
            section = value.into_iter().fold(section, |section, value| section.with(field.name(), value));
        }
        if !self.no_decay.is_empty() {
            section = section.with("no_decay", self.no_decay.clone());
        }
        if let Some(decay) = self.layer_decay {
            section = section.with("layer_decay", decay);
        }
        match self.entries.is_empty() {
            true => section,
            false => section.with("groups", self.entries.iter().map(Raw::from).collect::<Vec<_>>()),
        }
    }

    fn phases_raw(&self) -> Raw {
        self.phases.iter().enumerate().fold(Raw::default(), |phases, (number, phase)| {
            let raw = self.phase_raw(phase);
            phases.with(number, if number > 0 { raw.with("lr", phase.lr) } else { raw })
        })
    }

    fn phase_raw(&self, phase: &Phase) -> Raw {
        let names: Vec<&str> = phase.params.iter().map(|param| self.params[*param].name.as_str()).collect();
        let mut raw = Raw::default().with("params", names);
        raw = match phase.max_transition_epoch {
            None => raw.with("max_transition_epoch", -1),
            Some(epoch) if epoch.fract() == 0.0 => raw.with("max_transition_epoch", epoch as u64),
            Some(epoch) => raw.with("max_transition_epoch", epoch),
        };
        if let Some(new) = &phase.new_lr_scheduler {
            raw = raw.with("new_lr_scheduler", new.raw.clone());
        }
        match &phase.new_optimizer {
            Some(new) => raw.with("new_optimizer", new.raw.clone()),
            None => raw,
        }
    }
}
