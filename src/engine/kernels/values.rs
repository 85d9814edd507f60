//! How kernels store values: activations and their gradients.

use super::call::{Call, Slot};
use super::flags::{Flag, Flags};
use half::{bf16, f16};

/// What a value's numbers are stored in. Sums are f32 in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueStorage {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with the range of f32.
    Bf16,
    /// 16 bits with 3 digits, up to 65,504.
    F16,
}

impl ValueStorage {
    /// Bytes of a vec4.
    pub const fn quad_bytes(self) -> u64 {
        match self {
            ValueStorage::F32 => 16,
            ValueStorage::Bf16 | ValueStorage::F16 => 8,
        }
    }

    /// From a number to the next one, relative to it, at most.
    pub(crate) const fn last_bit(self) -> f64 {
        match self {
            ValueStorage::F32 => 1.2e-7,
            ValueStorage::Bf16 => 1.0 / 128.0,
            ValueStorage::F16 => 1.0 / 1024.0,
        }
    }

    /// The least number that has all its bits.
    pub(crate) const fn least(self) -> f64 {
        match self {
            ValueStorage::F32 | ValueStorage::Bf16 => 1.2e-38,
            ValueStorage::F16 => 6.2e-5,
        }
    }

    /// Its name in files and messages.
    pub const fn name(self) -> &'static str {
        match self {
            ValueStorage::F32 => "f32",
            ValueStorage::Bf16 => "bf16",
            ValueStorage::F16 => "f16",
        }
    }

    pub(super) fn flags(self) -> Flags {
        match self {
            ValueStorage::F32 => Flags::NONE,
            ValueStorage::Bf16 => Flag::Values16.into(),
            ValueStorage::F16 => Flag::ValuesF16.into(),
        }
    }

    fn wide(self, half: u16) -> f32 {
        match self {
            ValueStorage::F16 => f16::from_bits(half).to_f32(),
            _ => bf16::from_bits(half).to_f32(),
        }
    }

    fn narrow(self, number: f32) -> u16 {
        match self {
            ValueStorage::F16 if number.is_nan() => 0x7e00 | (number.to_bits() >> 16) as u16 & 0x8000,
            ValueStorage::F16 => f16::from_f32(number).to_bits(),
            _ => crate::twin::shared::bf16(number),
        }
    }

    /// f32 of words of two numbers.
    pub(crate) fn widen(self, words: &[u32]) -> Vec<u32> {
        let halves: &[u16] = bytemuck::cast_slice(words);
        halves.iter().map(|half| self.wide(*half).to_bits()).collect()
    }

    /// Words of two numbers, of f32.
    fn narrow_into(self, numbers: &[u32], words: &mut [u32]) {
        let halves: &mut [u16] = bytemuck::cast_slice_mut(words);
        halves.iter_mut().zip(numbers).for_each(|(half, number)| *half = self.narrow(f32::from_bits(*number)));
    }
}

impl<'a> Call<'a> {
    /// Calls a twin with values in f32, as it knows them, and stores what it writes: a shader's sums are f32 too.
    pub(super) fn over_wide_values(self, storage: ValueStorage, bindings: &[usize], twin: fn(Call<'_>)) {
        let Call { mut slots, flags, constants, forms } = self;
        let mut wide: Vec<Vec<u32>> = bindings.iter().map(|binding| storage.widen(slots[*binding].words())).collect();
        let mut written: Vec<Option<&'a mut [u32]>> = Vec::with_capacity(bindings.len());
        for binding in bindings {
            written.push(match std::mem::replace(&mut slots[*binding], Slot::Clock(0)) {
                Slot::Write(words) => Some(words),
                Slot::Read(_) | Slot::Clock(_) => None,
            });
        }
        let mut call = Call { slots, flags, constants, forms };
        for ((binding, wide), written) in bindings.iter().zip(&mut wide).zip(&written) {
            call.slots[*binding] = if written.is_some() { Slot::Write(wide) } else { Slot::Read(wide) };
        }
        twin(call);
        for (words, numbers) in written.into_iter().zip(&wide) {
            words.into_iter().for_each(|words| storage.narrow_into(numbers, words));
        }
    }
}
