//! The only way back in a normal step: a ring of staging buffers that the host never waits for.
//!
//! A submission copies a few words (loss, norm, skips) into a free slot and asks for it to be mapped when the device is
//! done. The host looks at the ring at any time and takes what has arrived. If all slots are under way, a step has no
//! report. A slot may have room for the reports of several steps, for a submission that holds them.
//!
//! Reports come in the order of their tags: one that is still in a caller's encoder holds back later ones.

use super::buffer::Range;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Slots of a ring: a report may be this many submissions late before one is dropped.
pub const RING_SLOTS: usize = 4;

/// Bytes of the two timestamps that follow a report's own bytes.
pub(crate) const TIMESTAMP_BYTES: u64 = 16;

/// A report that has arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Delivery<'a> {
    /// The tag given with [`Report`](super::Report).
    pub tag: u64,
    /// The bytes of the ring's regions, one after the other.
    pub bytes: &'a [u8],
    /// Seconds that the device spent on the submission's copies and programs, if it can tell.
    pub device_seconds: Option<f64>,
}

/// Staging slots for one fixed list of regions. See the module's text.
#[derive(Debug)]
pub struct Ring {
    pub(crate) regions: Vec<Range>,
    /// Reports that a slot has room for.
    pub(crate) room: usize,
    pub(crate) slots: Slots,
}

#[derive(Debug)]
pub(crate) enum Slots {
    Gpu(Vec<GpuSlot>),
    /// The CPU engine has tags and bytes at once; the oldest is dropped when nobody takes them.
    Cpu(Mutex<VecDeque<(u64, Vec<u8>)>>),
}

#[derive(Debug)]
pub(crate) struct GpuSlot {
    /// The reports, one after the other, then their timestamps.
    pub(crate) staging: wgpu::Buffer,
    pub(crate) tags: Mutex<Tags>,
    pub(crate) state: Arc<AtomicU8>,
    /// The queue refused the submission that carries the report: it arrives all the same, empty.
    pub(crate) refused: AtomicBool,
    pub(crate) timer: Option<Timer>,
}

/// The tags of a slot's reports.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tags {
    pub(crate) first: u64,
    /// Of those that have not been taken.
    pub(crate) next: u64,
    /// Behind the last.
    pub(crate) end: u64,
}

impl Tags {
    /// Whether all have been taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.end
    }
}

/// Two timestamps around each pass, and the buffer for their results.
#[derive(Debug)]
pub(crate) struct Timer {
    pub(crate) queries: wgpu::QuerySet,
    pub(crate) resolved: wgpu::Buffer,
}

impl Timer {
    /// The timestamps that a pass takes at its beginning and at its end.
    pub(crate) fn writes(&self, first: Option<u32>, last: Option<u32>) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: first,
            end_of_pass_write_index: last,
        }
    }
}

pub(crate) const FREE: u8 = 0;
pub(crate) const UNDER_WAY: u8 = 1;
pub(crate) const ARRIVED: u8 = 2;
pub(crate) const FAILED: u8 = 3;

/// Which of these slots, by state and tag, to take. One that has arrived waits for an older one that is under way: if
/// threads share a device, each hands over what it has found mapped, and a later one may be quicker.
pub(crate) fn next_in_order(slots: impl Iterator<Item = (u8, u64)>) -> Option<usize> {
    let busy = slots.enumerate().filter(|(_, (state, _))| matches!(*state, ARRIVED | UNDER_WAY));
    // Of equal tags, one that has arrived.
    let (place, (state, _)) = busy.min_by_key(|(_, (state, tag))| (*tag, *state != ARRIVED))?;
    (state == ARRIVED).then_some(place)
}

impl Ring {
    /// Reports of one submission that it has room for.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Bytes of one report, timestamps not counted.
    pub fn report_bytes(&self) -> u64 {
        self.regions.iter().map(|range| range.bytes).sum()
    }

    /// Whether a report asked for now would be carried.
    pub fn has_free_slot(&self) -> bool {
        match &self.slots {
            Slots::Gpu(slots) => slots.iter().any(|slot| slot.state.load(Ordering::Acquire) == FREE),
            Slots::Cpu(_) => true,
        }
    }
}

/// A report under way. Dropped without a word, as with a command buffer that is never submitted, it frees its slot.
pub(crate) struct Pending {
    state: Arc<AtomicU8>,
    outcome: u8,
    _unfinished: Option<Unfinished>,
}

impl Pending {
    pub(crate) fn new(slot: &GpuSlot, unfinished: Option<Unfinished>) -> Pending {
        Pending { state: Arc::clone(&slot.state), outcome: FREE, _unfinished: unfinished }
    }

    pub(crate) fn mapped(mut self, result: Result<(), wgpu::BufferAsyncError>) {
        self.outcome = if result.is_ok() { ARRIVED } else { FAILED };
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.state.store(self.outcome, Ordering::Release);
    }
}

/// A submission that the device has not finished.
pub(crate) struct Unfinished(Arc<AtomicU64>);

impl Unfinished {
    pub(crate) fn new(all: &Arc<AtomicU64>) -> Unfinished {
        all.fetch_add(1, Ordering::AcqRel);
        Unfinished(Arc::clone(all))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_waits_for_the_one_before_it() {
        let next = |slots: &[(u8, u64)]| next_in_order(slots.iter().copied());
        assert_eq!(next(&[]), None);
        assert_eq!(next(&[(FREE, 1), (FAILED, 2)]), None);
        assert_eq!(next(&[(ARRIVED, 7), (ARRIVED, 6), (UNDER_WAY, 8)]), Some(1));
        assert_eq!(next(&[(ARRIVED, 7), (UNDER_WAY, 6), (FREE, 5)]), None, "6 is still on its way");
        assert_eq!(next(&[(UNDER_WAY, 6), (ARRIVED, 6)]), Some(1));
    }
}
