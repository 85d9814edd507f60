//! The host's side of the table: which row each group has at which step.

use super::Error;
use crate::engine::{CLOCK_SLOTS, count, layout};
use crate::params::{Field, Row, Rule};

/// Rows for the steps to come, `[steps, groups]`, or one row a group that holds for every step.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    rows: Vec<Row>,
    /// Step of slot 0 of the clock.
    first: u64,
    /// Slots that may be used.
    steps: u32,
    held: bool,
    /// Whether the device's copy is out of date.
    stale: bool,
}

impl Rows {
    /// The same row a group for every step.
    pub(crate) fn held(rows: Vec<Row>, step: u64) -> Rows {
        Rows { rows, first: step, steps: CLOCK_SLOTS, held: true, stale: true }
    }

    /// `[steps, groups]` rows from `first` on.
    pub(crate) fn loaded(first: u64, steps: u32, rows: Vec<Row>) -> Rows {
        Rows { rows, first, steps, held: false, stale: true }
    }

    /// Held rows never run out: where the clock has no slot for one of so many steps, they start it anew.
    pub(crate) fn wind(&mut self, step: u64, steps: u32) {
        if self.held && self.slots(step, steps).is_err() {
            self.first = step;
            self.stale = true;
        }
    }

    /// The device's copy was lost on its way.
    pub(crate) fn lost(&mut self) {
        self.stale = true;
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
        self.stale = true;
    }

    /// The table's bytes, if the device does not have them yet. `max_norm` is for rows that say none.
    pub(crate) fn take_bytes(&mut self, groups: usize, max_norm: f64) -> Result<Option<Vec<u8>>, Error> {
        if !std::mem::take(&mut self.stale) {
            return Ok(None);
        }
        let header = layout::TableHeader {
            first_step: count("steps", self.first)?,
            groups: if self.held { 0 } else { count("groups", groups)? },
            ..Default::default()
        };
        let rows: Vec<layout::TableRow> = self.rows.iter().map(|row| on_device(row, max_norm)).collect();
        Ok(Some([bytemuck::bytes_of(&header), bytemuck::cast_slice(&rows)].concat()))
    }
}

/// A row as the device reads it. What cancels in f32 (1 − β, 1 − lr · decay, ln β) is formed in f64 first.
fn on_device(row: &Row, max_norm: f64) -> layout::TableRow {
    // e^-200 is 0 in f32, and so is beta^count for beta = 0.
    let log = |beta: f64| beta.ln().max(-200.0) as f32;
    let flag = |on: bool, bit: u32| if on { bit } else { 0 };
    let (sgd, decoupled) = (row.rule == Rule::Sgd, row.rule == Rule::AdamW);
    // SGD has no betas: with 0 there is no bias to correct, and the step is lr itself.
    let (beta1, beta2) = if sgd { (0.0, 0.0) } else { (row.beta1, row.beta2) };
    layout::TableRow {
        lr: row.lr as f32,
        decay: if decoupled { 1.0 - row.lr * row.weight_decay } else { row.weight_decay } as f32,
        one_minus_beta1: (1.0 - beta1) as f32,
        log_beta1: log(beta1),
        beta2: beta2 as f32,
        one_minus_beta2: (1.0 - beta2) as f32,
        log_beta2: log(beta2),
        eps: row.eps as f32,
        momentum: if sgd { row.momentum as f32 } else { 0.0 },
        one_minus_dampening: (1.0 - row.dampening) as f32,
        flags: flag(row.amsgrad, layout::AMSGRAD)
            | flag(row.maximize, layout::MAXIMIZE)
            | flag(!decoupled, layout::COUPLED)
            | flag(row.nesterov, layout::NESTEROV)
            | flag(row.ema_decay.is_some(), layout::AVERAGED),
        max_norm: row.clip_norm.unwrap_or(max_norm) as f32,
        average_rate: (1.0 - row.ema_decay.unwrap_or(1.0)) as f32,
    }
}
