//! Twin of `shaders/shared/moments.wgsl`, and of what `streams.wgsl` and `streams16.wgsl` read and write.

use super::{bf16, bf16_by};
use std::borrow::Cow;

/// Numbers as a type stores them: f32, or u16 for bf16.
pub trait Stored: Copy + Send + Sync {
    /// Whether stochastic rounding does anything.
    const IS_ROUNDED_BY_CHANCE: bool;
    /// What is stored, widened.
    fn load(self) -> f32;
    /// What is stored of a number.
    fn store(x: f32) -> Self;
    /// What is stored of it by stochastic rounding, with this word's lower half.
    fn store_by(x: f32, word: impl Fn() -> u32) -> Self;
    /// All of these, widened to f32.
    fn widened(these: &[Self]) -> Cow<'_, [f32]>;
}

impl Stored for f32 {
    const IS_ROUNDED_BY_CHANCE: bool = false;

    fn load(self) -> f32 {
        self
    }

    fn store(x: f32) -> f32 {
        x
    }

    fn store_by(x: f32, _: impl Fn() -> u32) -> f32 {
        x
    }

    fn widened(these: &[f32]) -> Cow<'_, [f32]> {
        Cow::Borrowed(these)
    }
}

/// bf16.
impl Stored for u16 {
    const IS_ROUNDED_BY_CHANCE: bool = true;

    fn load(self) -> f32 {
        f32::from_bits(u32::from(self) << 16)
    }

    fn store(x: f32) -> u16 {
        bf16(x)
    }

    fn store_by(x: f32, word: impl Fn() -> u32) -> u16 {
        bf16_by(x, word() & 0xffff)
    }

    fn widened(these: &[u16]) -> Cow<'_, [f32]> {
        these.iter().map(|number| number.load()).collect()
    }
}
