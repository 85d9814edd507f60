//! The host's side of the table: which row each group has at which step.

use super::Error;
use crate::engine::layout::{self, TABLE_HEADER_BYTES};
use crate::engine::{CLOCK_SLOTS, count};
use crate::params::{Field, Row, log};
use std::collections::BTreeMap;

/// Rows for the steps to come, `[steps, groups]`, or one row a group that holds for every step.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    rows: Vec<Row>,
    /// Step of slot 0 of the clock.
    first: u64,
    /// Slots that may be used.
    steps: u32,
    held: bool,
    stale: Stale,
}

/// What of the device's copy is out of date.
#[derive(Clone, Debug)]
enum Stale {
    All,
    /// Of these groups, the rows from a slot on.
    Groups(BTreeMap<usize, usize>),
}

impl Rows {
    /// The same row a group for every step.
    pub(crate) fn held(rows: Vec<Row>, step: u64) -> Rows {
        Rows { rows, first: step, steps: CLOCK_SLOTS, held: true, stale: Stale::All }
    }

    /// `[steps, groups]` rows from `first` on.
    pub(crate) fn loaded(first: u64, steps: u32, rows: Vec<Row>) -> Rows {
        Rows { rows, first, steps, held: false, stale: Stale::All }
    }

    /// Held rows never run out: where the clock has no slot for one of so many steps, they start it anew.
    pub(crate) fn wind(&mut self, step: u64, steps: u32) {
        if self.held && self.slots(step, steps).is_err() {
            self.first = step;
            self.stale = Stale::All;
        }
    }

    /// The device's copy was lost on its way.
    pub(crate) fn lost(&mut self) {
        self.stale = Stale::All;
    }

    /// The slot of the clock that a step reads.
    pub(crate) fn slot(&self, step: u64) -> Result<u32, Error> {
        let (first, end) = (self.first, self.first + u64::from(self.steps));
        if (first..end).contains(&step) {
            return Ok(count("slots", step - first)?);
        }
        Err(Error::NoRow { step, first, end })
    }

    /// The first of the slots that so many steps read, one after the other.
    pub(crate) fn slots(&self, step: u64, steps: u32) -> Result<u32, Error> {
        self.slot(step + u64::from(steps.saturating_sub(1)))?;
        self.slot(step)
    }

    /// A group's row at a step.
    pub(crate) fn row(&self, step: u64, group: usize, groups: usize) -> Result<Row, Error> {
        let slot = if self.held { 0 } else { self.slot(step)? as usize };
        Ok(self.rows[slot * groups + group])
    }

    /// Changes a field of a group in every row from `step` on.
    pub(crate) fn set(&mut self, step: u64, group: usize, groups: usize, field: Field, value: f64) {
        let passed = if self.held { 0 } else { step.saturating_sub(self.first) as usize };
        for row in self.rows.iter_mut().skip(passed * groups + group).step_by(groups) {
            *row = row.with(field, value);
        }
        if let Stale::Groups(stale) = &mut self.stale {
            let from = stale.entry(group).or_insert(passed);
            *from = passed.min(*from);
        }
    }

    /// What the device's table lacks: offsets and bytes. Of groups that have changed since it was loaded, their rows alone.
    /// `max_norm` is for rows that say none.
    pub(crate) fn take_bytes(&mut self, groups: usize, max_norm: f64) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let slots = if self.held { 1 } else { self.steps as usize };
        let of = |group: usize, from: usize| {
            let slots = (from..slots).map(move |slot| slot * groups + group);
            slots.filter_map(|place| self.rows.get(place)).map(|row| on_device(row, max_norm)).collect::<Vec<_>>()
        };
        let uploads = match &self.stale {
            // With half of the groups, one upload is less than many.
            Stale::Groups(stale) if 2 * stale.len() <= groups.max(2) => {
                let row_bytes = size_of::<layout::TableRow>() as u64;
                let upload = |(group, from): (&usize, &usize)| {
                    let at = TABLE_HEADER_BYTES + (group * slots + from) as u64 * row_bytes;
                    (at, bytemuck::cast_slice(&of(*group, *from)).to_vec())
                };
                stale.iter().map(upload).collect()
            }
            Stale::All | Stale::Groups(_) => {
                let header = layout::TableHeader {
                    first_step: count("steps", self.first)?,
                    steps: if self.held { 0 } else { self.steps },
                    ..Default::default()
                };
                let rows: Vec<layout::TableRow> = (0..groups).flat_map(|group| of(group, 0)).collect();
                vec![(0, [bytemuck::bytes_of(&header), bytemuck::cast_slice(&rows)].concat())]
            }
        };
        self.stale = Stale::Groups(BTreeMap::new());
        Ok(uploads)
    }
}

/// A row as the device reads it. What cancels in f32 (1 − β, 1 − lr · decay, ln β) is formed in f64 first.
fn on_device(row: &Row, max_norm: f64) -> layout::TableRow {
    let numbers = (row.rule.declaration().numbers)(row);
    let flag = |on: bool, bit: u32| if on { bit } else { 0 };
    layout::TableRow {
        lr: row.lr as f32,
        decay: numbers.decay as f32,
        one_minus_beta1: (1.0 - numbers.beta1) as f32,
        log_beta1: log(numbers.beta1) as f32,
        beta2: numbers.beta2 as f32,
        one_minus_beta2: (1.0 - numbers.beta2) as f32,
        log_beta2: log(numbers.beta2) as f32,
        eps: numbers.eps as f32,
        momentum: numbers.momentum as f32,
        one_minus_dampening: (1.0 - numbers.dampening) as f32,
        flags: flag(row.amsgrad, layout::AMSGRAD)
            | flag(row.maximize, layout::MAXIMIZE)
            | flag(numbers.is_coupled, layout::COUPLED)
            | flag(row.nesterov, layout::NESTEROV)
            | flag(row.evaluates_an_average(), layout::AVERAGED)
            | flag(numbers.is_rising, layout::RISING)
            | flag(row.centered, layout::CENTERED)
            | flag(numbers.is_adapted, layout::ADAPTED)
            | flag(numbers.is_trust_clipped, layout::TRUST_CLIPPED)
            | flag(numbers.is_weighted, layout::WEIGHTED),
        max_norm: row.clip_norm.unwrap_or(max_norm) as f32,
        average_rate: (1.0 - row.ema_decay.unwrap_or(1.0)) as f32,
        own0: numbers.own[0] as f32,
        own1: numbers.own[1] as f32,
    }
}
