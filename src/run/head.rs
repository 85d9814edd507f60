//! The section `model.head`: layers between the vector of a text or a picture and the outputs.

use super::Error;
use crate::nn::models::{Head, HeadNorm};
use crate::schedule::file::section::Section;
use serde_json::Value;

/// A head as a run file says it, without its outputs, which follow from the data.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct HeadSpec {
    /// `hidden`: sizes of the hidden layers.
    pub hidden: Vec<usize>,
    /// `norm`, and `virtual_batch_size` of a ghost batch norm: what normalizes each of them.
    pub norm: HeadNorm,
    /// `dropout`: before each layer of the head; the model's own if it is `None`.
    pub dropout: Option<f32>,
}

/// Rows of a ghost batch for which nothing is said, as in Ludwig.
const GHOST_ROWS: u64 = 128;

impl HeadSpec {
    /// Reads `head` of the section; `own` is that of the folder that the model begins from.
    pub(super) fn read(section: &mut Section, own: Option<&HeadSpec>) -> Result<HeadSpec, Error> {
        let own = own.cloned().unwrap_or_default();
        let Some(mut of_head) = section.maybe_section("head")? else { return Ok(own) };
        of_head.only(&["hidden", "norm", "virtual_batch_size", "dropout"])?;
        let hidden = of_head.counts("hidden")?.unwrap_or(own.hidden);
        if hidden.contains(&0) {
            return Err(of_head.bad("hidden", format!("{hidden:?}"), "sizes of layers, from 1 on", None).into());
        }
        let norm = norm(&mut of_head, own.norm)?;
        if hidden.is_empty() && norm != HeadNorm::None {
            let why = "needs head.hidden: it normalizes hidden layers";
            return Err(of_head.unfit("norm", norm.word(), why).into());
        }
        Ok(HeadSpec { hidden, norm, dropout: share(&mut of_head, "dropout", None)? })
    }

    /// What a run has written of its head into a `config.json`.
    pub(super) fn of_config(config: &Value) -> HeadSpec {
        let own = &config["gradus"];
        let sizes = own["head"].as_array().into_iter().flatten().filter_map(Value::as_u64);
        let rows = own["virtual_batch_size"].as_u64().unwrap_or(GHOST_ROWS);
        let norm = own["head_norm"].as_str().and_then(|word| HeadNorm::called(word, rows as usize));
        HeadSpec { hidden: sizes.map(|size| size as usize).collect(), norm: norm.unwrap_or_default(), dropout: None }
    }

    /// A head with these layers.
    pub(super) fn onto(&self, head: Head) -> Head {
        head.hidden(self.hidden.clone()).norm(self.norm)
    }
}

fn norm(section: &mut Section, usual: HeadNorm) -> Result<HeadNorm, Error> {
    let mut words = HeadNorm::WORDS;
    // The first is the default.
    words.sort_by_key(|word| *word != usual.word());
    let word = section.word_or_first("norm", &words)?.to_owned();
    if word != "ghost" {
        if section.has("virtual_batch_size") {
            let given = section.shown_at("virtual_batch_size");
            return Err(section.unfit("virtual_batch_size", given, "is for norm: ghost alone").into());
        }
        return Ok(HeadNorm::called(&word, 0).unwrap_or_default());
    }
    let usual = if let HeadNorm::Ghost { rows } = usual { rows as u64 } else { GHOST_ROWS };
    let rows = section.count_or("virtual_batch_size", usual)?;
    match rows {
        2..=0x100_0000 => Ok(HeadNorm::Ghost { rows: rows as usize }),
        _ => Err(section.bad("virtual_batch_size", rows.to_string(), "rows, from 2 on", None).into()),
    }
}

/// A share from 0 to less than 1.
pub(super) fn share(section: &mut Section, key: &'static str, usual: Option<f64>) -> Result<Option<f32>, Error> {
    if !section.has(key) && usual.is_none() {
        return Ok(None);
    }
    let share = section.number(key, usual.unwrap_or(0.0))?;
    match (0.0..1.0).contains(&share) {
        true => Ok(Some(share as f32)),
        false => Err(section.bad(key, share.to_string(), "a share: from 0 to less than 1", None).into()),
    }
}
