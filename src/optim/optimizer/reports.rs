//! What comes back from the device: the stats of a step, and every tensor's record.

use super::Optimizer;
use crate::engine::layout::{CONTROL_HEADER_BYTES, Record, StatsBlock};
use crate::engine::{Buffer, Range};
use crate::optim::stages::stats_of;
use crate::optim::{Error, LossScaleState, Stats};
use std::collections::HashMap;

impl Optimizer {
    /// The latest report that has arrived; some steps old, `None` before the first. Never waits. Reports come in order:
    /// an encoder that is not submitted holds back later ones.
    ///
    /// # Errors
    /// [`Error::NonfiniteNorm`] once for each new norm that was not finite, if the clip makes that an error.
    pub fn stats(&mut self) -> Result<Option<Stats>, Error> {
        self.inbox.collect(&self.engine, &self.ring)?;
        self.inbox.latest()
    }

    /// Reads a stats block that came back in a report of the caller's own.
    ///
    /// # Errors
    /// As [`Optimizer::stats`]; [`Error::BadReport`] if the bytes are too few.
    pub fn absorb(&mut self, bytes: &[u8], device_seconds: Option<f64>) -> Result<Stats, Error> {
        let stats = self.inbox.take(bytes, device_seconds)?;
        self.inbox.latest()?;
        Ok(stats)
    }

    /// The stats block of the latest step on the device, for a report of the caller's own.
    pub fn stats_range(&self) -> Range {
        stats_of(&self.control)
    }

    /// The loss scale on the device, an f32, for the kernels of losses; `None` without one. The step itself changes it.
    pub fn loss_scale(&self) -> Option<Range> {
        let range = Range { buffer: self.control.clone(), offset: 0, bytes: size_of::<f32>() as u64 };
        self.settings.loss_scale.map(|_| range)
    }

    /// Where the loss scale stands; `None` without one. Waits for the device.
    ///
    /// # Errors
    /// From the device.
    pub fn read_loss_scale(&self) -> Result<Option<LossScaleState>, Error> {
        if self.settings.loss_scale.is_none() {
            return Ok(None);
        }
        let stats: Vec<StatsBlock> = self.engine.read(&self.stats_range())?;
        Ok(stats.first().map(|stats| LossScaleState::new(stats.loss_scale, stats.growth_tracker)))
    }

    /// Goes on from where another optimizer's loss scale stood. Nothing happens without one.
    ///
    /// # Errors
    /// [`Error::BadSetting`] for a scale that is not finite or not above 0; from the device.
    pub fn set_loss_scale(&mut self, state: LossScaleState) -> Result<(), Error> {
        let Some(settings) = self.settings.loss_scale else { return Ok(()) };
        settings.init_scale(state.scale).check()?;
        let words = [state.scale.to_bits(), state.growth_tracker];
        Ok(self.engine.write(&self.control, 0, &words)?)
    }

    /// The table that the steps read; other kernels of a step may read the step's number from it.
    pub fn table(&self) -> &Buffer {
        &self.table
    }

    /// Steps applied to each parameter so far. Waits for the device.
    ///
    /// # Errors
    /// From the device.
    pub fn read_applied_counts(&self) -> Result<HashMap<String, u64>, Error> {
        let names = self.params.iter().map(|param| param.name.clone());
        Ok(names.zip(self.records()?.iter().map(|record| u64::from(record.count))).collect())
    }

    /// Every tensor's record. Waits for the device.
    pub(crate) fn records(&self) -> Result<Vec<Record>, Error> {
        let range = self.control.range(CONTROL_HEADER_BYTES, (self.params.len() * size_of::<Record>()) as u64)?;
        Ok(self.engine.read(&range)?)
    }

    /// A tensor's record in the control block.
    pub(crate) fn record_of(&self, tensor: usize) -> Range {
        Range { buffer: self.control.clone(), offset: self.record_offset(tensor), bytes: size_of::<Record>() as u64 }
    }

    /// Puts a record in place, of which a step keeps the counts.
    pub(crate) fn put_record(&self, tensor: usize, record: Record) -> Result<(), Error> {
        Ok(self.engine.write(&self.control, self.record_offset(tensor), &[record])?)
    }

    fn record_offset(&self, tensor: usize) -> u64 {
        CONTROL_HEADER_BYTES + (tensor * size_of::<Record>()) as u64
    }
}
