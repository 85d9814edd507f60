//! What an engine has done so far, counted. Tests assert on these numbers and benches print them.

use std::ops::Sub;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A reading of an engine's counters. Subtract an earlier reading to get what happened in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Queue submissions.
    pub submissions: u64,
    /// Compute dispatches.
    pub dispatches: u64,
    /// Uploads from host memory, of any size.
    pub uploads: u64,
    /// Bytes those uploads carried.
    pub uploaded_bytes: u64,
    /// Bytes read back to the host.
    pub downloaded_bytes: u64,
    /// Times the host stood still until the device had finished everything given to it.
    pub blocking_waits: u64,
    /// Times the host, far ahead of the device, slept while the device still had work queued.
    pub throttles: u64,
    /// Bytes the programs that ran had to move, by their own count.
    pub program_bytes: u64,
}

impl Sub for Counters {
    type Output = Counters;

    fn sub(self, earlier: Counters) -> Counters {
        Counters {
            submissions: self.submissions - earlier.submissions,
            dispatches: self.dispatches - earlier.dispatches,
            uploads: self.uploads - earlier.uploads,
            uploaded_bytes: self.uploaded_bytes - earlier.uploaded_bytes,
            downloaded_bytes: self.downloaded_bytes - earlier.downloaded_bytes,
            blocking_waits: self.blocking_waits - earlier.blocking_waits,
            throttles: self.throttles - earlier.throttles,
            program_bytes: self.program_bytes - earlier.program_bytes,
        }
    }
}

/// The live counters of one engine.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    submissions: AtomicU64,
    dispatches: AtomicU64,
    uploads: AtomicU64,
    uploaded_bytes: AtomicU64,
    downloaded_bytes: AtomicU64,
    blocking_waits: AtomicU64,
    throttles: AtomicU64,
    program_bytes: AtomicU64,
}

impl Tally {
    pub(crate) fn submission(&self) {
        self.submissions.fetch_add(1, Relaxed);
    }

    pub(crate) fn program(&self, dispatches: usize, bytes: u64) {
        self.dispatches.fetch_add(dispatches as u64, Relaxed);
        self.program_bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn upload(&self, bytes: u64) {
        self.uploads.fetch_add(1, Relaxed);
        self.uploaded_bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn download(&self, bytes: u64) {
        self.downloaded_bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn blocking_wait(&self) {
        self.blocking_waits.fetch_add(1, Relaxed);
    }

    pub(crate) fn throttle(&self) {
        self.throttles.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> Counters {
        Counters {
            submissions: self.submissions.load(Relaxed),
            dispatches: self.dispatches.load(Relaxed),
            uploads: self.uploads.load(Relaxed),
            uploaded_bytes: self.uploaded_bytes.load(Relaxed),
            downloaded_bytes: self.downloaded_bytes.load(Relaxed),
            blocking_waits: self.blocking_waits.load(Relaxed),
            throttles: self.throttles.load(Relaxed),
            program_bytes: self.program_bytes.load(Relaxed),
        }
    }
}
