//! What a checkpoint says about its run.

use super::checkpoint::Seal;
use super::{Error, Trainer};
use crate::params::Storage;
use crate::schedule::Cursor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// `run.json`. All that moves outside parameters and moments is the cursor: the order of the data follows from seed and
/// step.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    /// The number of this format.
    format: u32,
    pub(super) run: RunOf,
    pub(super) cursor: Cursor,
    pub(super) skipped_steps: u64,
    /// The counts of the running epoch's losses, bit for bit.
    pub(super) metrics: Vec<u32>,
    pub(super) files: BTreeMap<String, Seal>,
}

/// What has to be the same for a run to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunOf {
    seed: u32,
    batch_size: usize,
    micro_batches: usize,
    /// How parameters are stored.
    #[serde(default = "f32")]
    parameters: String,
    steps_per_epoch: u64,
    clip: String,
    guard: bool,
    params: Vec<(String, Vec<usize>)>,
    schedule: String,
}

const FORMAT: u32 = 1;

/// How parameters are stored where a checkpoint does not say it.
fn f32() -> String {
    Storage::F32.name().to_owned()
}

impl Saved {
    pub(super) fn new(run: RunOf, cursor: Cursor, skipped_steps: u64, metrics: Vec<u32>) -> Saved {
        Saved { format: FORMAT, run, cursor, skipped_steps, metrics, files: BTreeMap::new() }
    }

    /// Whether it is the same point of the same run.
    pub(super) fn says_the_same(&self, other: &Saved) -> bool {
        (&self.run, &self.cursor, &self.files) == (&other.run, &other.cursor, &other.files)
    }
}

impl RunOf {
    pub(super) fn of(trainer: &Trainer) -> RunOf {
        let params = trainer.parameters.params().iter();
        RunOf {
            seed: trainer.config.seed,
            batch_size: trainer.config.batch_size,
            micro_batches: trainer.config.micro_batches,
            parameters: trainer.config.parameters.name().to_owned(),
            steps_per_epoch: trainer.plan.steps_per_epoch(),
            clip: format!("{:?}", trainer.config.settings.clip),
            guard: trainer.config.settings.guard,
            params: params.map(|param| (param.name.clone(), param.shape.clone())).collect(),
            schedule: trainer.plan.to_yaml(),
        }
    }

    /// Complains about the first thing in which a checkpoint's run is another one than this.
    pub(super) fn check(&self, saved: &RunOf, path: &Path) -> Result<(), Error> {
        let pairs = [
            ("seed", saved.seed.to_string(), self.seed.to_string()),
            ("batch_size", saved.batch_size.to_string(), self.batch_size.to_string()),
            (
                "micro_batches (gradient_accumulation_steps)",
                saved.micro_batches.to_string(),
                self.micro_batches.to_string(),
            ),
            ("parameters (model.parameters)", saved.parameters.clone(), self.parameters.clone()),
            ("steps_per_epoch", saved.steps_per_epoch.to_string(), self.steps_per_epoch.to_string()),
            ("clip", saved.clip.clone(), self.clip.clone()),
            ("guard", saved.guard.to_string(), self.guard.to_string()),
        ];
        let other = |what: &str, there: &str, here: &str| Error::OtherRun {
            path: path.to_owned(),
            what: what.to_owned(),
            there: there.to_owned(),
            here: here.to_owned(),
        };
        if let Some((what, there, here)) = pairs.iter().find(|(_, there, here)| there != here) {
            return Err(other(what, there, here));
        }
        let shown = |param: Option<&(String, Vec<usize>)>| {
            param.map_or_else(|| "nothing".to_owned(), |(name, shape)| format!("{name} {shape:?}"))
        };
        for place in 0..saved.params.len().max(self.params.len()) {
            let (there, here) = (saved.params.get(place), self.params.get(place));
            if there != here {
                return Err(other(&format!("parameter {place}"), &shown(there), &shown(here)));
            }
        }
        let differs = saved.schedule.lines().zip(self.schedule.lines()).find(|(there, here)| there != here);
        match differs {
            Some((there, here)) => Err(other("the schedule", there, here)),
            None if saved.schedule != self.schedule => Err(other("the schedule", "another length", "")),
            None => Ok(()),
        }
    }
}
