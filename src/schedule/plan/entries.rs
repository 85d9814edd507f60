//! The entries of `optimizer.groups`: which parameters each has, and with which rate they join a phase.

use super::cursor::{Members, Origin, Source};
use super::{ModelParams, Plan, naming};
use crate::params::{Pattern, Row};
use crate::schedule::Error;
use crate::schedule::file::phase_spec::PhaseSpec;
use crate::schedule::file::spec::Spec;

/// The entry that has each parameter: the first that names it.
pub(super) fn entry_of(
    spec: &Spec,
    model: ModelParams,
    warnings: &mut Vec<String>,
) -> Result<Vec<Option<usize>>, Error> {
    let names: Vec<&str> = model.params.iter().map(|param| param.name.as_str()).collect();
    // One form of the names for all entries, as for all phases.
    let patterns = spec.groups.iter().map(|group| group.pattern.clone()).collect();
    let written = naming::written(&[PhaseSpec::of(patterns, &spec.place)], &names, model.in_class);
    let written: Vec<&str> = written.iter().map(String::as_str).collect();
    let mut entry_of = vec![None; names.len()];
    for (entry, group) in spec.groups.iter().enumerate() {
        let (text, pattern) = (&group.pattern, Pattern::new(&group.pattern));
        let bad = |reason: String| group.place.bad("match", text, format!("a valid pattern: {reason}"));
        let chosen = pattern.select(&written).map_err(bad)?;
        let doubt = naming::doubt(&pattern);
        if chosen.is_empty() {
            return Err(group.place.bad_near(
                "match",
                text,
                naming::told_names(doubt),
                naming::nearest_start(text, &names),
            ));
        }
        warnings.extend(doubt.map(|doubt| format!("{}.match = {text}: {doubt}", group.place.at())));
        let free: Vec<usize> = chosen.into_iter().filter(|param| entry_of[*param].is_none()).collect();
        if free.is_empty() {
            return Err(group.place.unfit("match", text, "names nothing that the entries before it do not name"));
        }
        free.into_iter().for_each(|param| entry_of[param] = Some(entry));
    }
    Ok(entry_of)
}

/// Parameters of one entry, or of none, with or without decay, and of one layer where these have rates of their own.
pub(super) struct Part {
    pub(super) entry: Option<usize>,
    pub(super) no_decay: bool,
    pub(super) layer: Option<usize>,
    pub(super) params: Vec<usize>,
}

impl Plan {
    /// Parameters as the optimizer that is in force divides them into groups: those of no entry first, then each entry's,
    /// with and without decay, from the lowest layer.
    pub(super) fn divided(&self, optimizer: Source, params: &[usize]) -> Vec<Part> {
        // A new optimizer has groups of its own.
        if optimizer != Source::Start {
            let parts = self.by_decay(params).into_iter();
            return parts.map(|(no_decay, params)| Part { entry: None, no_decay, layer: None, params }).collect();
        }
        let entries = [None].into_iter().chain((0..self.entries.len()).map(Some));
        let of_entry = |entry: Option<usize>| {
            let own: Vec<usize> = params.iter().copied().filter(|param| self.entry_of[*param] == entry).collect();
            let by_decay = self.by_decay(&own).into_iter();
            by_decay.flat_map(move |(no_decay, params)| {
                let of_layer = move |(layer, params)| Part { entry, no_decay, layer, params };
                self.by_layer(params).into_iter().map(of_layer)
            })
        };
        let parts: Vec<Part> = entries.flat_map(of_entry).collect();
        // A phase without entries and layers has its two groups, even if one is empty.
        let has_more = !self.entries.is_empty() || self.layer_decay.is_some();
        parts.into_iter().filter(|part| !has_more || !part.params.is_empty()).collect()
    }

    /// The rate that a group joins a phase with: of an entry as much of the phase's as it has of the optimizer's.
    pub(super) fn joining_lr(&self, optimizer: Source, members: &Members, row: &Row) -> f64 {
        let Origin::Phase { phase, entry, layer, .. } = members.origin else { return row.lr };
        let lr = self.phases[phase].lr;
        match entry.filter(|_| optimizer == Source::Start) {
            Some(_) if self.row.lr > 0.0 => lr * (row.lr / self.row.lr),
            Some(_) => row.lr,
            None => lr * self.layer_scale(layer),
        }
    }
}
