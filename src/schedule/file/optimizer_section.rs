//! The section `optimizer`.

use super::group_spec::GroupSpec;
use super::row_keys::{check, keys_of, read_row, refuse_class, rule_of};
use super::section::Section;
use crate::params::{Row, Rule};
use crate::schedule::Error;

/// What the section `optimizer` says.
pub(super) struct OptimizerSection {
    pub(super) row: Row,
    pub(super) no_decay: Vec<String>,
    pub(super) layer_decay: Option<f64>,
    pub(super) groups: Vec<GroupSpec>,
}

impl OptimizerSection {
    pub(super) fn read(mut section: Section) -> Result<OptimizerSection, Error> {
        refuse_class(&section)?;
        // Without a valid type, AdamW's keys may be meant.
        let asked = section.peek("type").and_then(Rule::named).unwrap_or_default();
        let of_all = ["clip_norm", "ema_decay", "no_decay", "layer_decay", "groups"];
        section.only(&[&["type"], &keys_of(asked)[..], &of_all].concat())?;
        let row = Row::of(rule_of(&mut section)?);
        let row = read_row(&mut section, row)?;
        let row = Row { clip_norm: section.optional("clip_norm")?, ema_decay: section.optional("ema_decay")?, ..row };
        check(&section, &row)?;
        let no_decay = section.texts("no_decay")?;
        let layer_decay = section.optional("layer_decay")?;
        if let Some(decay) = layer_decay.filter(|decay| !(*decay > 0.0 && *decay <= 1.0)) {
            return Err(section.bad("layer_decay", decay.to_string(), "above 0 and at most 1", None));
        }
        let groups = section.sections("groups")?.into_iter();
        let groups = groups.map(|group| GroupSpec::read(group, &row)).collect::<Result<_, _>>()?;
        Ok(OptimizerSection { row, no_decay, layer_decay, groups })
    }
}
