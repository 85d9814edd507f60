//! What goes to the device at once: uploads, copies, programs, and a report to come back.

use super::buffer::{Buffer, Range};
use super::prepared::Prepared;
use super::ring::Ring;
use crate::setters::setters;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// New bytes for a buffer, written before the programs of the submission that carries them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Upload {
    /// Where to.
    pub buffer: Buffer,
    /// First byte.
    pub offset: u64,
    /// What; a multiple of 4 bytes.
    pub data: Vec<u8>,
}

/// Device memory to be brought back without waiting, through a ring.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report<'a> {
    /// The ring that carries it.
    pub ring: &'a Ring,
    /// Comes back with the bytes: usually the step.
    pub tag: u64,
    /// The programs form so many parts of equal length, with a report of each: the first has the tag, the others the
    /// following ones. 1 means one report after all of them.
    pub parts: usize,
}

impl Upload {
    /// These bytes, from this byte of the buffer on.
    pub fn new(buffer: Buffer, offset: u64, data: Vec<u8>) -> Upload {
        Upload { buffer, offset, data }
    }
}

impl<'a> Report<'a> {
    /// One report, after all programs.
    pub fn new(ring: &'a Ring, tag: u64) -> Report<'a> {
        Report { ring, tag, parts: 1 }
    }

    setters! {
        parts: usize,
    }
}

/// What one queue submission does: uploads, then clears, then copies, then programs in order, then a report. With
/// several reports, each comes after its part of the programs.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Submission<'a> {
    /// New bytes first.
    pub uploads: Vec<Upload>,
    /// Ranges to fill with zeros.
    pub clears: Vec<Range>,
    /// Device-to-device copies next, `(from, to)`.
    pub copies: Vec<(Range, Range)>,
    /// The programs, in order, in one pass, or in one for each report.
    pub programs: &'a [&'a Prepared],
    /// The slot that every [`Binding::Clock`](super::Binding::Clock) reads.
    pub slot: u32,
    /// A slot for each of the programs, if they differ: so one program runs for several steps or batches. Empty: all
    /// read [`slot`](Submission::slot).
    pub slots: &'a [u32],
    /// What to bring back, if anything.
    pub report: Option<Report<'a>>,
    /// Raised when the uploads do not arrive: the submission failed, or the encoder that carries them was dropped.
    pub lost: Option<Arc<AtomicBool>>,
}

impl<'a> Submission<'a> {
    /// These programs, at slot 0, without anything else.
    pub fn of(programs: &'a [&'a Prepared]) -> Submission<'a> {
        Submission { programs, ..Submission::default() }
    }

    setters! {
        uploads: Vec<Upload>,
        clears: Vec<Range>,
        copies: Vec<(Range, Range)>,
        programs: &'a [&'a Prepared],
        slot: u32,
        slots: &'a [u32],
        report: impl Into<Option<Report<'a>>>,
        lost: impl Into<Option<Arc<AtomicBool>>>,
    }

    /// The programs, each with its slot.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (&'a Prepared, u32)> {
        let slot = self.slot;
        let slots = self.slots.iter().copied().chain(std::iter::repeat(slot));
        self.programs.iter().copied().zip(slots)
    }

    /// Reports that are asked for; without any the programs are one part.
    pub(crate) fn parts(&self) -> usize {
        self.report.as_ref().map_or(1, |report| report.parts)
    }

    pub(crate) fn raise_lost(&self) {
        if let Some(lost) = &self.lost {
            lost.store(true, Ordering::Release);
        }
    }
}
