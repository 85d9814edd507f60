//! An engine's queue: submissions one after the other, and what comes back of them.

use super::counters::Tally;
use super::ring::{RING_SLOTS, Slots};
use super::{CLOCK_SLOTS, Delivery, Engine, Error, Inner, Prepared, Range, Report, Ring, Submission, cpu};
use std::sync::Mutex;
use std::time::Duration;

/// How long the host sleeps when it is far ahead of the device.
const THROTTLE: Duration = Duration::from_micros(200);

impl Engine {
    /// Runs a submission: one call to the queue, and nothing waited for.
    ///
    /// # Errors
    /// [`Error::BadRange`] for an upload that does not fit, [`Error::DeviceLost`], [`Error::Validation`].
    pub fn submit(&self, submission: &Submission<'_>) -> Result<(), Error> {
        let submitted = check_submission(submission).and_then(|()| match &*self.inner {
            Inner::Gpu(gpu) => gpu.submit(submission),
            Inner::Cpu(cpu) => {
                let _turn = cpu.turn.lock();
                count_on_cpu(&cpu.tally, submission);
                cpu::submit(cpu.forms, submission)
            }
        });
        submitted.inspect_err(|_| submission.raise_lost())
    }

    /// Writes a submission into the caller's encoder instead of running it; uploads travel inside it too.
    ///
    /// # Errors
    /// As [`Engine::submit`]; [`Error::NoEncoder`] on the CPU engine.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder, submission: &Submission<'_>) -> Result<(), Error> {
        let encoded = check_submission(submission).and_then(|()| match &*self.inner {
            Inner::Gpu(gpu) => gpu.encode_for_caller(encoder, submission),
            Inner::Cpu(_) => Err(Error::NoEncoder),
        });
        encoded.inspect_err(|_| submission.raise_lost())
    }

    /// Writes a program into a compute pass of the caller's, with its slot of the clock.
    ///
    /// # Errors
    /// [`Error::NoSuchSlot`]; [`Error::NoEncoder`] on the CPU engine; [`Error::DeviceLost`].
    pub fn encode_in(&self, pass: &mut wgpu::ComputePass<'_>, program: &Prepared, slot: u32) -> Result<(), Error> {
        if slot >= CLOCK_SLOTS {
            return Err(Error::NoSuchSlot { slot });
        }
        match &*self.inner {
            Inner::Gpu(gpu) => gpu.encode_in(pass, program, slot),
            Inner::Cpu(_) => Err(Error::NoEncoder),
        }
    }

    /// Stands still until the device has done everything it was given, and the reports of what was submitted here have
    /// arrived, whichever thread they came through.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Validation`].
    pub fn wait(&self) -> Result<(), Error> {
        match &*self.inner {
            Inner::Gpu(gpu) => gpu.wait(),
            Inner::Cpu(_) => Ok(()),
        }
    }

    /// A readback ring for these regions, copied one after the other.
    ///
    /// # Errors
    /// [`Error::Validation`] or [`Error::OutOfMemory`] from the driver.
    pub fn ring(&self, regions: Vec<Range>) -> Result<Ring, Error> {
        self.ring_with_room(regions, 1)
    }

    /// The same with room for so many reports of one submission.
    ///
    /// # Errors
    /// As [`Engine::ring`].
    pub fn ring_with_room(&self, regions: Vec<Range>, room: usize) -> Result<Ring, Error> {
        regions.iter().try_for_each(Range::check)?;
        let room = room.max(1);
        let slots = match &*self.inner {
            Inner::Gpu(gpu) => gpu.ring(&regions, (RING_SLOTS, room), self.has_timestamps())?,
            Inner::Cpu(_) => Slots::Cpu(Mutex::default()),
        };
        Ok(Ring { regions, room, slots })
    }

    /// The same with one slot, for regions so large that the host waits for each report of them.
    ///
    /// # Errors
    /// As [`Engine::ring`].
    pub fn staging(&self, regions: Vec<Range>) -> Result<Ring, Error> {
        regions.iter().try_for_each(Range::check)?;
        let slots = match &*self.inner {
            Inner::Gpu(gpu) => gpu.ring(&regions, (1, 1), false)?,
            Inner::Cpu(_) => Slots::Cpu(Mutex::default()),
        };
        Ok(Ring { regions, room: 1, slots })
    }

    /// Gives `take` the reports that have arrived, oldest first; one under way holds back those with higher tags. Never
    /// waits. If `take` fails, later reports remain for the next call.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Validation`]; errors of `take`.
    pub fn collect<E: From<Error>>(
        &self,
        ring: &Ring,
        take: impl FnMut(Delivery<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match (&*self.inner, &ring.slots) {
            (Inner::Gpu(gpu), Slots::Gpu(slots)) => gpu.collect(ring, slots, take),
            (_, Slots::Cpu(reports)) => cpu::collect(reports, take),
            (Inner::Cpu(_), Slots::Gpu(_)) => Err(Error::ForeignBuffer { label: "report".to_owned() }.into()),
        }
    }

    /// Sleeps while the device has more than so many of this engine's submissions to finish; those in a caller's encoder are
    /// not among them. The CPU engine has none.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub fn keep_pace(&self, most_unfinished: u64) -> Result<(), Error> {
        if let Inner::Gpu(gpu) = &*self.inner {
            while gpu.is_behind(most_unfinished)? {
                self.throttle();
            }
        }
        Ok(())
    }

    /// Sleeps a moment because the host is far ahead; the device has work meanwhile. Counted.
    pub fn throttle(&self) {
        self.tally().throttle();
        std::thread::sleep(THROTTLE);
    }

    /// As if the device had so many more submissions to finish, until what comes back is dropped.
    #[cfg(test)]
    pub(crate) fn pretend_unfinished(&self, submissions: u64) -> impl Send + use<> {
        match &*self.inner {
            Inner::Gpu(gpu) => gpu.pretend_unfinished(submissions),
            Inner::Cpu(_) => Vec::new(),
        }
    }
}

fn count_on_cpu(tally: &Tally, submission: &Submission<'_>) {
    tally.submission();
    for upload in &submission.uploads {
        tally.upload(upload.data.len() as u64);
    }
    for prepared in submission.programs {
        tally.program(prepared.program.dispatches.len(), prepared.bytes);
    }
    if let Some(report) = &submission.report {
        tally.download(report.ring.report_bytes() * report.parts as u64);
    }
}

fn check_submission(submission: &Submission<'_>) -> Result<(), Error> {
    let slots = submission.slots.iter().chain([&submission.slot]);
    if let Some(slot) = slots.copied().find(|slot| *slot >= CLOCK_SLOTS) {
        return Err(Error::NoSuchSlot { slot });
    }
    let (slots, programs) = (submission.slots.len(), submission.programs.len());
    if slots != 0 && slots != programs {
        return Err(Error::SlotsDiffer { slots, programs });
    }
    if let Some(Report { ring, parts, .. }) = submission.report
        && (parts == 0 || parts > ring.room || !programs.is_multiple_of(parts))
    {
        return Err(Error::PartsDiffer { parts, programs, room: ring.room });
    }
    for upload in &submission.uploads {
        upload.buffer.range(upload.offset, upload.data.len() as u64)?;
    }
    let copied = submission.copies.iter().flat_map(|(from, to)| [from, to]);
    submission.clears.iter().chain(copied).try_for_each(Range::check)
}
