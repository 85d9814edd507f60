//! The logs of a run, read line by line for its report. A damaged line is skipped and counted as a gap, like lines that
//! could not be written.

use anyhow::Context;
use gradus::params::shown_path;
use gradus::train::files;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

/// Bytes of a line; a longer one is not ours.
const MOST_BYTES: u64 = 64 << 20;

/// Holes that are shown; there may be more.
const MOST_SPANS: usize = 1000;

/// A line of `metrics.jsonl`.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Metric {
    Phase(Phase),
    Evaluation(Evaluated),
}

/// A phase that began.
#[derive(Deserialize)]
pub(super) struct Phase {
    pub(super) began: u64,
    pub(super) steps: u64,
    pub(super) reason: Option<String>,
    pub(super) restored: Option<u64>,
    pub(super) thawed: Vec<String>,
    /// Each group's name, elements and rate.
    pub(super) groups: Vec<(String, u64, Option<f64>)>,
}

/// An evaluation. JSON has no number that is not finite: the value is missing then.
#[derive(Deserialize)]
pub(super) struct Evaluated {
    pub(super) epoch: u64,
    pub(super) steps: u64,
    pub(super) phase: u64,
    pub(super) train_loss: Option<f64>,
    pub(super) val_loss: Option<f64>,
    pub(super) skipped_steps: u64,
    /// Its scores, and the rest of the line.
    #[serde(flatten)]
    others: HashMap<String, Value>,
}

impl Evaluated {
    /// The rest of its line, by name.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.others.keys().map(String::as_str)
    }

    /// A score of the test, by its name among the metrics.
    pub(super) fn score(&self, name: &str) -> Option<f64> {
        self.others.get(name)?.as_f64()
    }
}

/// A line of `steps.jsonl`.
#[derive(Deserialize)]
pub(super) struct Step {
    pub(super) step: u64,
    pub(super) phase: u64,
    pub(super) loss: Option<f64>,
    pub(super) lrs: Vec<Option<f64>>,
    pub(super) grad_norm: Option<f64>,
    pub(super) loss_scale: Option<f64>,
}

/// A line, or one that counts lines that could not be written.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line<T> {
    Missing { lost_lines: u64 },
    Said(T),
}

/// What a log does not say.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Holes {
    /// Lines that are damaged or missing.
    pub(super) lines: u64,
    /// Their place: from the step before them to the one after them.
    pub(super) spans: Vec<(u64, u64)>,
}

impl Holes {
    fn add(&mut self, from: u64, to: u64) {
        if self.spans.len() < MOST_SPANS {
            self.spans.push((from, to));
        }
    }
}

/// Passes each line to `take`, which returns its step. A missing log has no lines.
pub(super) fn read<T: DeserializeOwned>(path: &Path, mut take: impl FnMut(T) -> u64) -> anyhow::Result<Holes> {
    let reading = || format!("reading {}", shown_path(path));
    let mut file = match files::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Holes::default()),
        opened => BufReader::new(opened.with_context(reading)?),
    };
    let (mut holes, mut before, mut is_open, mut line) = (Holes::default(), 0, false, Vec::new());
    loop {
        line.clear();
        if file.by_ref().take(MOST_BYTES).read_until(b'\n', &mut line).with_context(reading)? == 0 {
            break;
        }
        match serde_json::from_slice(&line) {
            Ok(Line::Missing { lost_lines }) => {
                holes.lines = holes.lines.saturating_add(lost_lines);
                is_open = true;
            }
            Ok(Line::Said(said)) => {
                let at = take(said);
                if is_open {
                    holes.add(before, at.max(before));
                }
                (before, is_open) = (at, false);
            }
            Err(_) => {
                holes.lines = holes.lines.saturating_add(1);
                is_open = true;
            }
        }
    }
    if is_open {
        holes.add(before, before);
    }
    Ok(holes)
}
