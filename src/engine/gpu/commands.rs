//! Submissions as commands, in an encoder of ours or of the caller's.

use super::reports::{encode_report, take_free_slot};
use super::{Gpu, buffer_descriptor};
use crate::engine::Error;
use crate::engine::faults::{Refusal, Scopes, locked};
use crate::engine::prepared::Prepared;
use crate::engine::ring::{GpuSlot, Pending, UNDER_WAY, Unfinished};
use crate::engine::submission::{Submission, Upload};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

impl Gpu {
    /// Runs a submission: one call to the queue, without a wait. After an error other than a lost device, the device
    /// has not taken it.
    pub(crate) fn submit(&self, submission: &Submission<'_>) -> Result<(), Error> {
        self.check_before()?;
        let scopes = (!self.own).then(|| Scopes::open(&self.device));
        let mut encoder =
            self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("gradus step") });
        let slot = self.encode(&mut encoder, submission, Some(&self.unfinished))?;
        if let Some(slot) = slot {
            let mut under_way = locked(&self.under_way);
            under_way.retain(|state| state.load(Ordering::Acquire) == UNDER_WAY);
            under_way.push(Arc::clone(&slot.state));
        }
        if slot.is_none() {
            let unfinished = Unfinished::new(&self.unfinished);
            encoder.on_submitted_work_done(move || drop(unfinished));
        }
        let commands = encoder.finish();
        match scopes {
            Some(scopes) => scopes.close("a submission", &self.report.name)?,
            None => self.check("a submission")?,
        }
        if let Err(reason) = self.hand_in(commands) {
            slot.into_iter().for_each(|slot| slot.refused.store(true, Ordering::Release));
            return Err(self.refused("a submission", reason));
        }
        self.tally.submission();
        // Finds a lost device, and hands over what is mapped; this never waits.
        self.poll(wgpu::PollType::Poll)
    }

    /// Gives commands to the queue; why it refuses them, if it does. Callbacks of others run inside if it does not: what
    /// they are refused for is not a fault of the commands.
    pub(super) fn hand_in(&self, commands: wgpu::CommandBuffer) -> Result<wgpu::SubmissionIndex, String> {
        let scopes = (!self.own).then(|| Scopes::open(&self.device));
        let index = self.queue.submit([commands]);
        let is_of_submit = |refusal: &Refusal| refusal.is_of_submit;
        let refused = match scopes {
            Some(scopes) => scopes.pop().filter(is_of_submit).map(|refusal| refusal.reason),
            None => self.faults.refused_here(is_of_submit),
        };
        refused.map_or(Ok(index), Err)
    }

    /// Writes a submission into an encoder, which may be the caller's; the slot of its report, which is counted among those
    /// that are unfinished, if they are given.
    fn encode<'a>(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        submission: &Submission<'a>,
        unfinished: Option<&Arc<AtomicU64>>,
    ) -> Result<Option<&'a GpuSlot>, Error> {
        for upload in &submission.uploads {
            self.encode_upload(encoder, upload)?;
        }
        for range in &submission.clears {
            encoder.clear_buffer(self.own_buffer(&range.buffer)?, range.offset, Some(range.bytes));
        }
        let slot = submission.report.as_ref().and_then(take_free_slot);
        // The slot is reported whether or not the commands succeed.
        let pending = slot.map(|slot| Pending::new(slot, unfinished.map(Unfinished::new)));
        let timer = slot.and_then(|slot| slot.timer.as_ref());
        if let (Some(timer), false) = (timer, submission.copies.is_empty()) {
            // Copies are outside of passes: an empty pass before them takes the first timestamp.
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("before the copies"),
                timestamp_writes: Some(timer.writes(Some(0), None)),
            });
        }
        for (from, to) in &submission.copies {
            let (from_buffer, to_buffer) = (self.own_buffer(&from.buffer)?, self.own_buffer(&to.buffer)?);
            encoder.copy_buffer_to_buffer(from_buffer, from.offset, to_buffer, to.offset, Some(from.bytes));
        }
        if submission.programs.is_empty() && slot.is_none() {
            return Ok(None);
        }
        let parts = if slot.is_some() { submission.parts() } else { 1 };
        let each = submission.programs.len() / parts;
        let mut runs = submission.runs();
        for part in 0..parts {
            let query = 2 * part as u32;
            let first = (part > 0 || submission.copies.is_empty()).then_some(query);
            let writes = timer.map(|timer| timer.writes(first, Some(query + 1)));
            self.encode_pass(encoder, runs.by_ref().take(each), writes);
            if let (Some(slot), Some(report)) = (slot, &submission.report) {
                self.encode_part(encoder, report.ring, slot, part)?;
            }
        }
        if let (Some(slot), Some(pending), Some(report)) = (slot, pending, &submission.report) {
            encode_report(encoder, report, slot, pending);
        }
        Ok(slot)
    }

    /// A pass of these programs, timed if a report carries times.
    fn encode_pass<'a>(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        runs: impl Iterator<Item = (&'a Prepared, u32)>,
        timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) {
        let mut runs = runs.peekable();
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: runs.peek().map(|(prepared, _)| prepared.program.label.as_str()),
            timestamp_writes,
        });
        for (prepared, slot) in runs {
            self.encode_program(&mut pass, prepared, slot);
        }
    }

    fn encode_program(&self, pass: &mut wgpu::ComputePass<'_>, prepared: &Prepared, slot: u32) {
        self.tally.program(prepared.program.dispatches.len(), prepared.bytes);
        for dispatch in &prepared.gpu {
            dispatch.encode(pass, self.clock_stride * slot, dispatch.grid);
        }
    }

    /// Writes a program into a pass of the caller's.
    pub(crate) fn encode_in(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        prepared: &Prepared,
        slot: u32,
    ) -> Result<(), Error> {
        self.check_before()?;
        let scopes = (!self.own).then(|| Scopes::open(&self.device));
        self.encode_program(pass, prepared, slot);
        match scopes {
            Some(scopes) => scopes.close("a step in the caller's pass", &self.report.name),
            None => self.check("a step in the caller's pass"),
        }
    }

    /// Writes a submission into a caller's encoder, and learns when it is done or dropped.
    pub(crate) fn encode_for_caller(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        submission: &Submission<'_>,
    ) -> Result<(), Error> {
        self.check_before()?;
        let scopes = (!self.own).then(|| Scopes::open(&self.device));
        self.encode(encoder, submission, None)?;
        if let (Some(lost), false) = (&submission.lost, submission.uploads.is_empty()) {
            let carried = Carried { lost: Arc::clone(lost), submitted: false };
            encoder.on_submitted_work_done(move || carried.submitted());
        }
        if let Some(scopes) = scopes {
            scopes.close("a step in the caller's encoder", &self.report.name)?;
        }
        self.check("a step in the caller's encoder")
    }

    /// The bytes travel inside the command buffer, so that they arrive in order even when a caller submits late.
    fn encode_upload(&self, encoder: &mut wgpu::CommandEncoder, upload: &Upload) -> Result<(), Error> {
        let target = self.own_buffer(&upload.buffer)?;
        let bytes = upload.data.len() as u64;
        let label = format!("upload to {}", upload.buffer.label());
        let mut descriptor = buffer_descriptor(&label, bytes, wgpu::BufferUsages::COPY_SRC);
        descriptor.mapped_at_creation = true;
        let staging = self.create(&descriptor)?;
        {
            let what = || format!("an upload of {bytes} bytes to buffer {:?}", upload.buffer.label());
            let mut mapped =
                staging.get_mapped_range_mut(..).map_err(|error| self.refused(&what(), error.to_string()))?;
            mapped.copy_from_slice(&upload.data);
        }
        staging.unmap();
        encoder.copy_buffer_to_buffer(&staging, 0, target, upload.offset, Some(bytes));
        self.tally.upload(bytes);
        Ok(())
    }
}

/// Uploads on their way in a caller's encoder.
struct Carried {
    lost: Arc<AtomicBool>,
    submitted: bool,
}

impl Carried {
    fn submitted(mut self) {
        self.submitted = true;
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        if !self.submitted {
            self.lost.store(true, Ordering::Release);
        }
    }
}
