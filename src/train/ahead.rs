//! Examples that lie in host memory, where they are too many for the device: those of a step go up ahead of it.

use super::Error;
use super::order::Order;
use crate::engine::{Buffer, Engine, Upload};
use std::sync::Arc;

/// Examples in host memory, and room for those of one step on the device.
#[derive(Clone, Debug)]
pub(super) struct Ahead {
    words: Arc<[u32]>,
    /// Of an example.
    each: usize,
    window: Buffer,
}

impl Ahead {
    /// Examples of so many words each, of which a step takes so many. `window` is the name of their room.
    pub(super) fn new(
        engine: &Engine,
        window: &str,
        (words, each): (Arc<[u32]>, usize),
        step_examples: u32,
    ) -> Result<Ahead, Error> {
        let window = engine.buffer(window, step_examples as u64 * each as u64 * 4)?;
        Ok(Ahead { words, each, window })
    }

    /// The room of a step's examples.
    pub(super) fn window(&self) -> &Buffer {
        &self.window
    }

    /// All of them.
    pub(super) fn words(&self) -> &[u32] {
        &self.words
    }

    /// Bytes of a step's [`upload`](Ahead::upload).
    pub(super) fn bytes(&self) -> u64 {
        self.window.bytes()
    }

    /// The examples of a step, in the order in which it takes them.
    pub(super) fn upload(&self, order: &Order, step: u32) -> Upload {
        let words =
            order.examples_of(step).flat_map(|example| &self.words[example as usize * self.each..][..self.each]);
        let data = words.flat_map(|word| word.to_le_bytes()).collect();
        Upload { buffer: self.window.clone(), offset: 0, data }
    }
}
