//! What a twin is called with.

use super::flags::{Flag, Flags};
use crate::engine::forms::Forms;
use crate::twin::shared::Stored;
use bytemuck::{AnyBitPattern, NoUninit};
use std::borrow::Cow;

/// A dispatch, as the twin of its kernel sees it.
pub(crate) struct Call<'a> {
    pub(crate) slots: Vec<Slot<'a>>,
    pub(crate) flags: Flags,
    pub(crate) constants: &'a [(&'static str, f64)],
    /// Called instead of the twin if a kernel has two forms.
    pub(crate) forms: &'static Forms,
}

/// One binding.
pub(crate) enum Slot<'a> {
    Read(&'a [u32]),
    Write(&'a mut [u32]),
    Clock(u32),
}

impl<'a> Call<'a> {
    /// The bindings; their number was checked when the program was prepared.
    pub(super) fn take<const N: usize>(self) -> [Slot<'a>; N] {
        self.slots.try_into().unwrap_or_else(|_| unreachable!("bindings are checked when a program is prepared"))
    }

    /// The bindings that a flag adds, if the kernel has it: the last ones, after taking those of later flags.
    pub(super) fn take_added<const N: usize>(&mut self, flag: Flag) -> Option<[Slot<'a>; N]> {
        if !self.has(flag) {
            return None;
        }
        let added = self.slots.split_off(self.slots.len() - N);
        added.try_into().ok()
    }

    /// The one array that a flag adds to be written.
    pub(super) fn take_array<T: AnyBitPattern + NoUninit>(&mut self, flag: Flag) -> Option<&'a mut [T]> {
        self.take_added(flag).map(|[slot]| slot.get_mut())
    }

    pub(super) fn has(&self, flag: Flag) -> bool {
        self.flags.has(flag)
    }

    /// An `override` constant that is 0 or not.
    pub(super) fn switch(&self, name: &str, default: bool) -> bool {
        self.constant(name, u32::from(default)) != 0
    }

    /// An `override` constant that is no whole number, or its default.
    pub(super) fn number(&self, name: &str, default: f32) -> f32 {
        self.constants.iter().find(|(known, _)| *known == name).map_or(default, |(_, value)| *value as f32)
    }

    /// An `override` constant, or its default.
    pub(super) fn constant(&self, name: &str, default: u32) -> u32 {
        self.constants.iter().find(|(known, _)| *known == name).map_or(default, |(_, value)| *value as u32)
    }
}

impl<'a> Slot<'a> {
    /// What it holds as it lies there.
    pub(super) fn words(&self) -> &[u32] {
        match self {
            Slot::Read(words) => words,
            Slot::Write(words) => words,
            Slot::Clock(_) => &[],
        }
    }

    /// The whole elements that the binding holds.
    pub(super) fn get<T: AnyBitPattern>(self) -> &'a [T] {
        let words = match self {
            Slot::Read(words) => words,
            Slot::Write(words) => words,
            Slot::Clock(_) => &[],
        };
        // Two halves share a word.
        let element_words = (size_of::<T>() / 4).max(1);
        bytemuck::cast_slice(&words[..words.len() / element_words * element_words])
    }

    pub(super) fn get_mut<T: AnyBitPattern + NoUninit>(self) -> &'a mut [T] {
        match self {
            Slot::Write(words) => bytemuck::cast_slice_mut(words),
            Slot::Read(_) | Slot::Clock(_) => unreachable!("declared read-write"),
        }
    }

    /// What it holds as f32; stored as bf16 where `is_16`.
    pub(super) fn widened(self, is_16: bool) -> Cow<'a, [f32]> {
        if is_16 { u16::widened(self.get()) } else { f32::widened(self.get()) }
    }

    /// The record that a uniform or small storage binding holds.
    pub(super) fn one<T: AnyBitPattern>(self) -> &'a T {
        let words: &[u32] = self.get();
        &bytemuck::cast_slice(&words[..size_of::<T>() / 4])[0]
    }

    pub(super) fn one_mut<T: AnyBitPattern + NoUninit>(self) -> &'a mut T {
        let words: &mut [u32] = self.get_mut();
        &mut bytemuck::cast_slice_mut(&mut words[..size_of::<T>() / 4])[0]
    }

    pub(super) fn clock(self) -> u32 {
        match self {
            Slot::Clock(slot) => slot,
            Slot::Read(_) | Slot::Write(_) => unreachable!("declared as the clock"),
        }
    }
}
