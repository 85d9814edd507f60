//! A plan as a schedule file: what ran, with nothing left to patterns and defaults.

use super::plan::{Phase, Plan};
use super::spec::SECTIONS;
use super::yaml::Raw;
use crate::params::{Field, Rule};

impl Plan {
    /// The schedule that is followed, as a file that reads back to an equal plan, whatever other names a model has: the
    /// sections as they stand in the file read, the optimizer's rates as they are in force, and the phases with their
    /// parameters by name, their rates and limits. What `finetuning` begins anew at every transition stands in every
    /// phase. Groups and laws that the program gave by itself are not in it.
    pub fn to_yaml(&self) -> String {
        let mut file = Raw::default();
        for key in SECTIONS {
            file = match key {
                "optimizer" => file.with(key, self.optimizer_raw()),
                "finetuning" if self.raw.has(key) => {
                    let section = self.raw.section(key);
                    file.with(key, section.without("reinit_lr_cfg").without("reinit_optim_cfg"))
                }
                // A file without phases has to name a law.
                "lr_scheduler" if !self.is_phased && !self.raw.has(key) => {
                    file.with(key, Raw::default().with("type", "constant"))
                }
                "phases" if self.is_phased => file.with(key, self.phases_raw()),
                _ => file.with_own(key, &self.raw),
            };
        }
        file.to_text()
    }

    /// The section `optimizer` with everything said.
    fn optimizer_raw(&self) -> Raw {
        let row = &self.row;
        let mut section = Raw::default().with("type", row.rule.name());
        for field in row.fields().filter(|field| !matches!(field, Field::Beta1 | Field::Beta2 | Field::ClipNorm)) {
            section = section.with(field.name(), row.get(field));
        }
        if row.has(Field::Beta1) {
            section = section.with("betas", vec![row.beta1, row.beta2]);
        }
        if row.rule == Rule::Sgd {
            section = section.with("dampening", row.dampening).with("nesterov", row.nesterov);
        }
        if let Some(norm) = row.clip_norm {
            section = section.with("clip_norm", norm);
        }
        if self.no_decay.is_empty() { section } else { section.with("no_decay", self.no_decay.clone()) }
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
