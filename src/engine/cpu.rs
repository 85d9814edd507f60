//! The engine of last resort and the oracle of the tests: it runs a form of every kernel on plain host memory.

use super::Error;
use super::buffer::{Buffer, Memory, Range};
use super::forms::{Forms, fast::on_cores};
use super::kernels::{Access, Call, Slot};
use super::program::{Binding, Dispatch, Program};
use super::ring::{Delivery, RING_SLOTS, Ring, Slots};
use super::submission::Submission;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Runs a submission, to its end.
pub(crate) fn submit(forms: &'static Forms, submission: &Submission<'_>) -> Result<(), Error> {
    for upload in &submission.uploads {
        let range = upload.buffer.range(upload.offset, upload.data.len() as u64)?;
        write(&range, &upload.data)?;
    }
    for range in &submission.clears {
        write(range, &vec![0; range.bytes as usize])?;
    }
    for (from, to) in &submission.copies {
        let bytes = read(from)?;
        write(to, &bytes)?;
    }
    let each = submission.programs.len() / submission.parts();
    let mut runs = submission.runs();
    for part in 0..submission.parts() {
        let programs: Vec<_> = runs.by_ref().take(each).collect();
        on_cores(|| programs.iter().try_for_each(|(prepared, slot)| run_all(forms, &prepared.program, *slot)))?;
        if let Some(report) = &submission.report {
            deliver(report.ring, report.tag + part as u64)?;
        }
    }
    Ok(())
}

fn deliver(ring: &Ring, tag: u64) -> Result<(), Error> {
    let mut bytes = Vec::with_capacity(ring.report_bytes() as usize);
    for region in &ring.regions {
        bytes.extend(read(region)?);
    }
    if let Slots::Cpu(reports) = &ring.slots {
        let mut reports = reports.lock().unwrap_or_else(PoisonError::into_inner);
        if reports.len() == RING_SLOTS * ring.room {
            reports.pop_front();
        }
        reports.push_back((tag, bytes));
    }
    Ok(())
}

pub(crate) fn collect<E>(
    reports: &Mutex<VecDeque<(u64, Vec<u8>)>>,
    mut take: impl FnMut(Delivery<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let next = || reports.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    while let Some((tag, bytes)) = next() {
        take(Delivery { tag, bytes: &bytes, device_seconds: None })?;
    }
    Ok(())
}

pub(crate) fn read(range: &Range) -> Result<Vec<u8>, Error> {
    let words = words(&range.buffer)?;
    let bytes: &[u8] = bytemuck::cast_slice(&words);
    Ok(bytes[range.offset as usize..(range.offset + range.bytes) as usize].to_vec())
}

pub(crate) fn write(range: &Range, data: &[u8]) -> Result<(), Error> {
    let mut words = words(&range.buffer)?;
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    bytes[range.offset as usize..][..data.len()].copy_from_slice(data);
    Ok(())
}

fn words(buffer: &Buffer) -> Result<MutexGuard<'_, Vec<u32>>, Error> {
    match buffer.memory() {
        Memory::Cpu(words) => Ok(words.lock().unwrap_or_else(PoisonError::into_inner)),
        Memory::Gpu(..) => Err(Error::ForeignBuffer { label: buffer.label().to_owned() }),
    }
}

fn run_all(forms: &'static Forms, program: &Program, clock: u32) -> Result<(), Error> {
    program.dispatches.iter().try_for_each(|dispatch| run(forms, &program.label, dispatch, clock))
}

/// The bindings that look into one buffer.
struct Shared<'a> {
    buffer: &'a Buffer,
    /// `(first word, one past the last, binding, writes)`, by first word.
    ranges: Vec<(usize, usize, usize, bool)>,
}

/// Calls the twin with a slice for each binding. The same rules as on a device hold: a buffer may have several bindings
/// if all only read, or if their ranges do not overlap; a read-only binding of a written buffer is a copy.
fn run(forms: &'static Forms, program: &str, dispatch: &Dispatch, clock: u32) -> Result<(), Error> {
    let copies = copies(dispatch)?;
    let shared = shared(dispatch, &copies);
    let mut guards = Vec::with_capacity(shared.len());
    for one in &shared {
        guards.push(words(one.buffer)?);
    }
    let mut slots: Vec<Slot<'_>> =
        copies.iter().map(|copy| copy.as_ref().map_or(Slot::Clock(clock), |words| Slot::Read(words))).collect();
    for (one, guard) in shared.iter().zip(&mut guards) {
        let words: &mut [u32] = guard;
        if one.ranges.iter().all(|range| !range.3) {
            let words: &[u32] = words;
            for (start, end, binding, _) in &one.ranges {
                slots[*binding] = Slot::Read(&words[*start..*end]);
            }
            continue;
        }
        let mut rest = words;
        let mut passed = 0;
        for (start, end, binding, writes) in &one.ranges {
            if *start < passed {
                let kernel = dispatch.kernel.name;
                let reason = format!("two bindings overlap in buffer {:?}", one.buffer.label());
                return Err(Error::BadProgram { program: program.to_owned(), kernel, reason });
            }
            let (these, after) = rest.split_at_mut(start - passed).1.split_at_mut(end - start);
            slots[*binding] = if *writes { Slot::Write(these) } else { Slot::Read(these) };
            (rest, passed) = (after, *end);
        }
    }
    dispatch.kernel.run(Call { slots, flags: dispatch.kernel.flags, constants: &dispatch.constants, forms });
    Ok(())
}

/// The words of each read-only binding whose buffer another binding may write.
fn copies(dispatch: &Dispatch) -> Result<Vec<Option<Vec<u32>>>, Error> {
    let bound = || dispatch.kernel.bindings.iter().zip(&dispatch.bindings);
    let written = |range: &Range| {
        bound().any(|(access, binding)| match binding {
            Binding::Memory(other) => *access == Access::ReadWrite && other.buffer.same(&range.buffer),
            Binding::Clock => false,
        })
    };
    let copy = |(access, binding): (&Access, &Binding)| match binding {
        Binding::Memory(range) if *access == Access::ReadShared && written(range) => {
            let words = words(&range.buffer)?;
            Ok(Some(words[(range.offset / 4) as usize..][..(range.bytes / 4) as usize].to_vec()))
        }
        _ => Ok(None),
    };
    bound().map(copy).collect()
}

fn shared<'a>(dispatch: &'a Dispatch, copies: &[Option<Vec<u32>>]) -> Vec<Shared<'a>> {
    let mut shared: Vec<Shared<'_>> = Vec::new();
    for (place, binding) in dispatch.bindings.iter().enumerate().filter(|(place, _)| copies[*place].is_none()) {
        let Binding::Memory(range) = binding else { continue };
        let writes = dispatch.kernel.bindings[place] == Access::ReadWrite;
        let words = ((range.offset / 4) as usize, ((range.offset + range.bytes) / 4) as usize, place, writes);
        match shared.iter_mut().find(|one| one.buffer.same(&range.buffer)) {
            Some(one) => one.ranges.push(words),
            None => shared.push(Shared { buffer: &range.buffer, ranges: vec![words] }),
        }
    }
    for one in &mut shared {
        one.ranges.sort_unstable();
    }
    shared
}
