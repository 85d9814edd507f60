//! A step inside a compute pass of the caller's.

use super::Optimizer;
use crate::engine::{Report, Submission};
use crate::optim::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Optimizer {
    /// Writes the uploads of the coming step into the caller's encoder, for [`encode_in`](Optimizer::encode_in): new
    /// rows of the table, and the places of gradients that have moved. In most steps there are none.
    ///
    /// ```no_run
    /// # use gradus::{optim::{Error, Optimizer}, wgpu};
    /// # fn step(optimizer: &mut Optimizer, encoder: &mut wgpu::CommandEncoder) -> Result<(), Error> {
    /// optimizer.encode_ahead(encoder)?;
    /// let mut pass = encoder.begin_compute_pass(&Default::default());
    /// // Your own dispatches, which make the gradients.
    /// optimizer.encode_in(&mut pass)?;
    /// drop(pass);
    /// optimizer.encode_report(encoder)?; // only where `stats` is to tell of this step
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Optimizer::step`]; no step is taken.
    pub fn encode_ahead(&mut self, encoder: &mut wgpu::CommandEncoder) -> Result<(), Error> {
        let (uploads, _) = self.ahead(None, 1)?;
        if uploads.is_empty() {
            return Ok(());
        }
        let lost = Some(Arc::clone(&self.lost));
        Ok(self.engine.encode(encoder, &Submission { uploads, lost, ..Submission::default() })?)
    }

    /// Appends one step to a caller's compute pass: wgpu's order of dispatches and its barriers apply. The schedule
    /// advances. The rules of [`encode`](Optimizer::encode) apply here too.
    ///
    /// # Errors
    /// [`Error::NotAhead`] if the step needs an upload, which a pass cannot contain: no step is taken; as
    /// [`Optimizer::step`].
    pub fn encode_in(&mut self, pass: &mut wgpu::ComputePass<'_>) -> Result<(), Error> {
        let (uploads, slot) = self.ahead(None, 1)?;
        if !uploads.is_empty() {
            // They are still to come.
            self.lost.store(true, Ordering::Release);
            return Err(Error::NotAhead);
        }
        self.engine.encode_in(pass, self.prepared(None)?, slot)?;
        self.step += 1;
        Ok(())
    }

    /// Requests the latest step's report, after its pass: without it [`stats`](Optimizer::stats) does not include the
    /// step.
    ///
    /// # Errors
    /// From the device.
    pub fn encode_report(&mut self, encoder: &mut wgpu::CommandEncoder) -> Result<(), Error> {
        let report = Some(Report::new(&self.ring, self.step.saturating_sub(1)));
        Ok(self.engine.encode(encoder, &Submission { report, ..Submission::default() })?)
    }
}
