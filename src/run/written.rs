//! A run file written down, with all that it does not say.

use super::file::TASKS;
use super::paths::absolute;
use super::settings::MAY_CHANGE;
use super::{BatchRows, RunFile, mixed_precision};
use crate::schedule::file::raw::Raw;
use crate::schedule::file::spec::SECTIONS;
use crate::schedule::file::yaml::Value;
use crate::schedule::{LrScaling, Plan};
use crate::train::StepsPerSubmission;

impl RunFile {
    /// The file as it would must be to say all of it, defaults included: files by their whole paths, the batch size that
    /// was found, and the schedule as `plan` has it, which is that of the file for the run's model and length.
    pub fn resolved(&self, batch_size: usize, plan: &Plan) -> String {
        self.raw(batch_size).without(&SECTIONS).with_all(plan.to_raw()).to_text()
    }

    /// What makes the run, by dotted keys.
    pub(super) fn said_of_run(&self) -> Vec<(String, String)> {
        let flat = self.raw(self.batch_rows_text()).flat();
        flat.into_iter().filter(|(key, _)| !MAY_CHANGE.contains(&key.as_str())).collect()
    }

    pub(super) fn batch_rows_text(&self) -> String {
        match self.batch_rows {
            BatchRows::Rows(rows) => rows.to_string(),
            BatchRows::Auto => "auto".to_owned(),
        }
    }

    fn steps_per_submission_text(&self) -> Value {
        match self.steps_per_submission {
            StepsPerSubmission::Auto => "auto".into(),
            StepsPerSubmission::AtMost(steps) => steps.into(),
        }
    }

    pub(super) fn raw(&self, batch_size: impl Into<Value>) -> Raw {
        let scaling = match self.lr_scaling {
            LrScaling::None => "none",
            LrScaling::Linear => "linear",
            LrScaling::Sqrt => "sqrt",
        };
        let task = TASKS.iter().find(|(_, task)| *task == self.objective).map_or("", |(word, _)| word);
        let mut raw = Raw::default()
            .with("name", self.name.as_str())
            .with("output", absolute(&self.output))
            .with("seed", self.seed)
            .with("task", task)
            .with("epochs", self.epochs)
            .with("batch_size", batch_size)
            .with("gradient_accumulation_steps", self.micro_batches)
            .with("steps_per_submission", self.steps_per_submission_text())
            .with("base_batch_size", self.base_batch_size)
            .with("learning_rate_scaling", scaling)
            .with_maybe("memory_limit_megabytes", self.memory_limit_bytes.map(|bytes| bytes / 1_000_000))
            .with("check", self.check.word())
            .with("label_smoothing", self.label_smoothing)
            .with("use_mixed_precision", mixed_precision::written(self.mixed_precision.as_ref()))
            .with("cache_encoder_embeddings", self.keeps_trunk);
        if self.shards {
            raw = raw.with("shard_optimizer", true);
        }
        if let Some(steps) = self.checkpoint_every_steps {
            raw = raw.with("checkpoint_every_steps", steps);
        }
        raw.with_all(self.sections.clone())
    }
}
