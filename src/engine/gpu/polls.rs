//! Waiting for the device, and asking how far it is.

use super::{Gpu, buffer_descriptor};
use crate::engine::Error;
use crate::engine::buffer::Range;
use crate::engine::faults::{Scopes, locked};
use crate::engine::ring::UNDER_WAY;
#[cfg(test)]
use crate::engine::ring::Unfinished;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Another thread hands a report over at once; no more naps than 5 s.
const HANDING_OVER: Duration = Duration::from_micros(50);

const HANDING_OVER_NAPS: u32 = 100_000;

impl Gpu {
    /// Brings bytes back and waits for them: for checkpoints and tests, not for steps.
    pub(crate) fn read(&self, ranges: &[Range]) -> Result<Vec<Vec<u8>>, Error> {
        let mut stagings = Vec::with_capacity(ranges.len());
        let scopes = Scopes::open(&self.device);
        let mut encoder =
            self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("gradus read") });
        for range in ranges {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            let label = format!("read of {}", range.buffer.label());
            let staging = self.create(&buffer_descriptor(&label, range.bytes, usage))?;
            encoder.copy_buffer_to_buffer(
                self.own_buffer(&range.buffer)?,
                range.offset,
                &staging,
                0,
                Some(range.bytes),
            );
            encoder.map_buffer_on_submit(&staging, wgpu::MapMode::Read, .., |_| ());
            stagings.push(staging);
        }
        let commands = encoder.finish();
        scopes.close("a read", &self.report.name)?;
        let index = self.hand_in(commands).map_err(|reason| self.refused("a read", reason))?;
        self.tally.submission();
        self.wait_for(index)?;
        let mut read = Vec::with_capacity(ranges.len());
        for (staging, range) in stagings.iter().zip(ranges) {
            let what = || format!("a read of {range:?}");
            let mapped = staging.get_mapped_range(..).map_err(|error| self.refused(&what(), error.to_string()))?;
            read.push(mapped.to_vec());
            self.tally.download(range.bytes);
        }
        Ok(read)
    }

    /// Stands still until the device has finished everything, and what was to be reported has arrived: where several
    /// threads share a device, one of them may be handing over what another waits for.
    pub(crate) fn wait(&self) -> Result<(), Error> {
        let under_way = locked(&self.under_way).clone();
        self.wait_for(None)?;
        for state in under_way {
            for _ in 0..HANDING_OVER_NAPS {
                if state.load(Ordering::Acquire) != UNDER_WAY {
                    break;
                }
                std::thread::sleep(HANDING_OVER);
            }
        }
        Ok(())
    }

    /// Stands still until the device has finished a submission.
    fn wait_for(&self, submission_index: impl Into<Option<wgpu::SubmissionIndex>>) -> Result<(), Error> {
        self.tally.blocking_wait();
        self.poll(wgpu::PollType::Wait { submission_index: submission_index.into(), timeout: None })
    }

    /// Whether the device has more than so many submissions of ours to finish.
    pub(crate) fn is_behind(&self, most: u64) -> Result<bool, Error> {
        let is_more = || self.unfinished.load(Ordering::Acquire) > most;
        if is_more() {
            self.poll(wgpu::PollType::Poll)?;
        }
        Ok(is_more())
    }

    /// As if the device had so many more to finish.
    #[cfg(test)]
    pub(crate) fn pretend_unfinished(&self, submissions: u64) -> Vec<Unfinished> {
        (0..submissions).map(|_| Unfinished::new(&self.unfinished)).collect()
    }

    /// Polls, and tells of a device that is lost. The callbacks of others run inside; their panics continue to their owners. wgpu
    /// 30 panics where it finds the device lost; on a device of ours that panic ends here.
    pub(super) fn poll(&self, poll: wgpu::PollType) -> Result<(), Error> {
        let polled = if self.own { self.poll_own(poll)? } else { self.device.poll(poll) };
        if let Some(lost) = self.lost() {
            return Err(lost);
        }
        polled.map(|_| ()).map_err(|error| self.refused("a poll", error.to_string()))
    }

    fn poll_own(&self, poll: wgpu::PollType) -> Result<Result<wgpu::PollStatus, wgpu::PollError>, Error> {
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.device.poll(poll)));
        polled.or_else(|panic| {
            let by_wgpu = panic.downcast_ref::<String>().is_some_and(|text| text.starts_with("Error in Device::poll"));
            match self.lost() {
                Some(lost) if by_wgpu => Err(lost),
                _ => std::panic::resume_unwind(panic),
            }
        })
    }
}
