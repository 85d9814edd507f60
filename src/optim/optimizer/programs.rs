//! Programs of a step over everything that trains: one where gradients stay, and one for each set of pages that they have
//! lain in of late.

use crate::engine::layout::TensorEntry;
use crate::engine::{Buffer, Prepared, Range, Upload};

/// Kept programs, for gradients that return to earlier places.
const MOST_PROGRAMS: usize = 16;

/// The page of a gradient, and how kernels take it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) page: Range,
    pub(super) has_single_grads: bool,
    pub(super) is_in_quads: bool,
}

/// A step's program, and the list of tensors that it reads on the device.
#[derive(Debug)]
pub(super) struct Compiled {
    /// The place of each parameter's gradient, if it has one.
    pub(super) places: Vec<Option<Place>>,
    pub(super) prepared: Prepared,
    pub(super) list: Buffer,
    /// What the list says, or is to say.
    pub(super) entries: Vec<TensorEntry>,
    /// Whether the device's list is out of date.
    pub(super) is_stale: bool,
}

/// The programs, the one in use last.
#[derive(Debug, Default)]
pub(super) struct Programs {
    known: Vec<Compiled>,
    is_chosen: bool,
}

impl PartialEq for Place {
    fn eq(&self, other: &Place) -> bool {
        (self.page.offset, self.page.bytes) == (other.page.offset, other.page.bytes)
            && (self.has_single_grads, self.is_in_quads) == (other.has_single_grads, other.is_in_quads)
            && self.page.buffer.same(&other.page.buffer)
    }
}

impl Programs {
    /// The one in use, if one has been chosen.
    pub(super) fn chosen(&self) -> Option<&Compiled> {
        self.known.last().filter(|_| self.is_chosen)
    }

    /// Gradients have moved: another program is needed.
    pub(super) fn let_go(&mut self) {
        self.is_chosen = false;
    }

    /// Uses a known program, if gradients have been in these pages before: from then on its list has `grads`, the start
    /// of each tensor's gradient in its page.
    pub(super) fn choose(&mut self, places: &[Option<Place>], grads: impl Fn(usize) -> u32) -> bool {
        let Some(found) = self.known.iter().rposition(|compiled| compiled.places == places) else { return false };
        self.known[found..].rotate_left(1);
        if let Some(chosen) = self.known.last_mut() {
            for entry in &mut chosen.entries {
                let grad = grads(entry.record as usize);
                chosen.is_stale |= entry.grad != grad;
                entry.grad = grad;
            }
        }
        self.is_chosen = true;
        true
    }

    /// Takes a new one into use; the one that has not been for longest gives way.
    pub(super) fn add(&mut self, compiled: Compiled) {
        if self.known.len() == MOST_PROGRAMS {
            self.known.remove(0);
        }
        self.known.push(compiled);
        self.is_chosen = true;
    }

    /// The list of the one in use, if the device does not have it yet.
    pub(super) fn take_upload(&mut self) -> Option<Upload> {
        let chosen = self.known.last_mut().filter(|chosen| chosen.is_stale)?;
        chosen.is_stale = false;
        let data = bytemuck::cast_slice(&chosen.entries).to_vec();
        Some(Upload { buffer: chosen.list.clone(), offset: 0, data })
    }

    /// An upload was lost on its way.
    pub(super) fn lost(&mut self) {
        self.known.iter_mut().for_each(|compiled| compiled.is_stale = true);
    }
}
