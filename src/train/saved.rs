//! The record of a run in a checkpoint.

use super::Error;
use crate::engine::kernels::ValueStorage;
use crate::engine::{Choices, Engine};
use crate::optim::LossScaleState;
use crate::schedule::{Cursor, Plan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// `run.json`. All that moves outside parameters and moments is the cursor: the order of the data follows from seed and
/// step.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    /// The number of this format.
    pub(super) format: u32,
    pub(super) run: RunOf,
    pub(super) made_on: MadeOn,
    /// What of its kernels and gradients was held against the host, in a line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) checked: Option<String>,
    pub(super) cursor: Cursor,
    /// What a checkpoint is called that stays for as long as the run's folder.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) name: Option<String>,
    /// The step of the best evaluation whose checkpoint could not be written, if the cursor names another for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) lost_best: Option<u64>,
    /// Learning rates of the last step, a group each.
    pub(super) lrs: Vec<f64>,
    pub(super) skipped_steps: u64,
    /// Where the loss scale stands, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) loss_scale: Option<LossScaleState>,
    /// The counts of the running epoch's losses, bit for bit.
    pub(super) metrics: Vec<u32>,
    pub(super) files: BTreeMap<String, Seal>,
}

/// Length and checksum of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal {
    pub(super) bytes: u64,
    crc32: u32,
}

impl Seal {
    pub(super) fn of(bytes: &[u8]) -> Seal {
        Seal { bytes: bytes.len() as u64, crc32: crc32fast::hash(bytes) }
    }
}

/// What must be the same for a run to continue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunOf {
    pub(super) seed: u32,
    pub(super) batch_size: usize,
    pub(super) micro_batches: usize,
    /// How parameters are stored.
    pub(super) parameters: String,
    /// How values are stored.
    #[serde(default = "f32_values")]
    pub(super) values: String,
    /// Modules that work in f32.
    #[serde(default)]
    pub(super) wide: Vec<String>,
    #[serde(default)]
    pub(super) label_smoothing: f32,
    pub(super) steps_per_epoch: u64,
    pub(super) clip: String,
    pub(super) guard: bool,
    /// What a model computes, apart from the shapes of its parameters, by name.
    pub(super) model: Vec<(String, String)>,
    pub(super) params: Vec<(String, Vec<usize>)>,
    pub(super) schedule: String,
    /// The one thing that may differ: a run may continue for longer than it was meant to.
    pub(super) epochs: u64,
}

/// What a checkpoint that does not say so has.
fn f32_values() -> String {
    ValueStorage::F32.name().to_owned()
}

/// What a checkpoint was made on. A run that continues there, with these kernels, has the bits of one that never stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MadeOn {
    /// The adapter's name, backend and driver; `None`: the CPU engine.
    pub adapter: Option<[String; 3]>,
    /// How kernels that multiply matrices shared out their work.
    pub kernels: Choices,
    /// The version of gradus.
    pub gradus: String,
}

impl MadeOn {
    /// What this engine makes checkpoints on.
    pub fn of(engine: &Engine) -> MadeOn {
        let adapter = engine.adapter();
        MadeOn {
            adapter: adapter.map(|adapter| [&adapter.name, &adapter.backend, &adapter.driver].map(String::clone)),
            kernels: engine.choices().clone(),
            gradus: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The first difference from where a run began, in words: what, there and here.
    pub fn differs(&self, there: &MadeOn) -> Option<[String; 3]> {
        let shown = |adapter: &Option<[String; 3]>| {
            adapter.as_ref().map_or_else(
                || "the CPU engine".to_owned(),
                |[name, backend, driver]| format!("{name} ({backend}; {driver})"),
            )
        };
        let adapters = (shown(&there.adapter), shown(&self.adapter));
        if adapters.0 != adapters.1 {
            return Some(["the adapter".to_owned(), adapters.0, adapters.1]);
        }
        if there.kernels != self.kernels {
            let named = |choices: &Choices| match choices.chosen.len() {
                0 => choices.otherwise.name().to_owned(),
                count => format!("{} and others for {count} classes of sizes", choices.otherwise.name()),
            };
            let what = "the choice of kernels".to_owned();
            return Some([what, named(&there.kernels), named(&self.kernels)]);
        }
        let versions = (&there.gradus, &self.gradus);
        (versions.0 != versions.1).then(|| ["gradus".to_owned(), versions.0.clone(), versions.1.clone()])
    }
}

/// Format 2 records what a model computes, what the checkpoint was made on, and the last step's rates.
pub(super) const FORMAT: u32 = 2;

impl Saved {
    /// Reads a file of this format.
    pub(super) fn from_json(text: &str) -> Result<Saved, String> {
        #[derive(Deserialize)]
        struct Numbered {
            format: u32,
        }
        let Numbered { format } = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if format != FORMAT {
            return Err(format!(
                "it has format {format}, and this version of gradus resumes from format {FORMAT} only"
            ));
        }
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Whether it is the same point of the same run.
    pub(super) fn says_the_same(&self, other: &Saved) -> bool {
        (&self.run, &self.cursor, &self.files) == (&other.run, &other.cursor, &other.files)
    }
}

impl RunOf {
    /// The same with a saved schedule that ends before the run, if the plan's continues it.
    pub(super) fn going_on(self, saved: &Saved, plan: &Plan) -> RunOf {
        match plan.mends(&saved.run.schedule, &saved.cursor) {
            true => RunOf { schedule: saved.run.schedule.clone(), ..self },
            false => self,
        }
    }

    /// Complains about the first thing in which a checkpoint's run is another one than this.
    pub(super) fn check(&self, saved: &RunOf, path: &Path) -> Result<(), Error> {
        match self.differs(saved) {
            Some([what, there, here]) => Err(Error::OtherRun { path: path.to_owned(), what, there, here }),
            None => Ok(()),
        }
    }

    /// The first thing in which another run differs: what, there, and here.
    pub(super) fn differs(&self, saved: &RunOf) -> Option<[String; 3]> {
        let pairs = [
            ("seed", saved.seed.to_string(), self.seed.to_string()),
            ("batch_size", saved.batch_size.to_string(), self.batch_size.to_string()),
            ("gradient_accumulation_steps", saved.micro_batches.to_string(), self.micro_batches.to_string()),
            ("model.parameters", saved.parameters.clone(), self.parameters.clone()),
            ("use_mixed_precision", saved.values.clone(), self.values.clone()),
            ("use_mixed_precision.f32", saved.wide.join(", "), self.wide.join(", ")),
            ("label_smoothing", saved.label_smoothing.to_string(), self.label_smoothing.to_string()),
            ("steps_per_epoch", saved.steps_per_epoch.to_string(), self.steps_per_epoch.to_string()),
            ("clip", saved.clip.clone(), self.clip.clone()),
            ("guard", saved.guard.to_string(), self.guard.to_string()),
        ];
        let other = |what: &str, there: &str, here: &str| Some([what, there, here].map(str::to_owned));
        if let Some((what, there, here)) = pairs.iter().find(|(_, there, here)| there != here) {
            return other(what, there, here);
        }
        for (what, here) in &self.model {
            let there = saved.model.iter().find(|(known, _)| known == what).map_or("not said", |(_, there)| there);
            if there != here {
                return other(what, there, here);
            }
        }
        let shown = |param: Option<&(String, Vec<usize>)>| {
            param.map_or_else(|| "nothing".to_owned(), |(name, shape)| format!("{name} {shape:?}"))
        };
        for place in 0..saved.params.len().max(self.params.len()) {
            let (there, here) = (saved.params.get(place), self.params.get(place));
            if there != here {
                return other(&format!("parameter {place}"), &shown(there), &shown(here));
            }
        }
        let differs = saved.schedule.lines().zip(self.schedule.lines()).find(|(there, here)| there != here);
        match differs {
            Some((there, here)) => other("the schedule", there, here),
            None if saved.schedule != self.schedule => other("the schedule", "another length", ""),
            None => None,
        }
    }
}
