//! A transformer's examples on the device, and the gathers that draw batches of them.

use super::Error;
use crate::engine::kernels::{GATHER_SEQUENCES, GATHER_TOKENS};
use crate::engine::layout::{GatherSequences, GatherTokens, Position};
use crate::engine::{Binding, Buffer, Dispatch, Engine, count, counted, row_of};
use crate::nn::transformer::Sequences;

/// Examples that lie on the device, and the way in which they come.
#[derive(Debug)]
pub(super) struct Examples {
    resident: Buffer,
    sizes: Sizes,
    /// In a new order every epoch; else in their own.
    shuffled: bool,
}

/// Windows of a text, or labelled sequences.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sizes {
    Tokens(GatherTokens),
    Sequences(GatherSequences),
}

impl Examples {
    /// Examples to train on.
    pub(super) fn shuffled(engine: &Engine, resident: &[u32], sizes: Sizes) -> Result<Examples, Error> {
        Ok(Examples { resident: engine.buffer_with("train examples", resident)?, sizes, shuffled: true })
    }

    /// Examples to test on.
    pub(super) fn in_turn(engine: &Engine, resident: &[u32], sizes: Sizes) -> Result<Examples, Error> {
        Ok(Examples { resident: engine.buffer_with("test examples", resident)?, sizes, shuffled: false })
    }

    /// The same examples, in their own order, a batch of `rows` a step from step 0 on.
    pub(super) fn one_by_one(&self, rows: usize) -> Examples {
        let (rows, micro_batches, micro) = (counted(rows), 1, 0);
        let steps_per_epoch = self.samples().div_ceil(rows);
        let sizes = match self.sizes {
            Sizes::Tokens(sizes) => {
                Sizes::Tokens(GatherTokens { rows, steps_per_epoch, micro_batches, micro, ..sizes })
            }
            Sizes::Sequences(sizes) => {
                Sizes::Sequences(GatherSequences { rows, steps_per_epoch, micro_batches, micro, ..sizes })
            }
        };
        Examples { resident: self.resident.clone(), sizes, shuffled: false }
    }

    pub(super) fn is_shuffled(&self) -> bool {
        self.shuffled
    }

    /// Whether an example is the same in every epoch: windows that move are not.
    pub(super) fn are_fixed(&self) -> bool {
        match self.sizes {
            Sizes::Tokens(sizes) => sizes.offsets == 1,
            Sizes::Sequences(_) => true,
        }
    }

    /// How many there are.
    pub(super) fn samples(&self) -> u32 {
        match self.sizes {
            Sizes::Tokens(sizes) => sizes.samples,
            Sizes::Sequences(sizes) => sizes.samples,
        }
    }

    /// Steps of an epoch, and micro-batches of a step.
    pub(super) fn steps(&self) -> (u32, u32) {
        match self.sizes {
            Sizes::Tokens(sizes) => (sizes.steps_per_epoch, sizes.micro_batches),
            Sizes::Sequences(sizes) => (sizes.steps_per_epoch, sizes.micro_batches),
        }
    }

    pub(super) fn seed(&self) -> u32 {
        match self.sizes {
            Sizes::Tokens(sizes) => sizes.seed,
            Sizes::Sequences(sizes) => sizes.seed,
        }
    }

    /// How many make a micro-batch.
    fn rows(&self) -> usize {
        match self.sizes {
            Sizes::Tokens(sizes) => sizes.rows as usize,
            Sizes::Sequences(sizes) => sizes.rows as usize,
        }
    }

    /// Tokens of each.
    fn context(&self) -> usize {
        match self.sizes {
            Sizes::Tokens(sizes) => sizes.context as usize,
            Sizes::Sequences(sizes) => sizes.context as usize,
        }
    }

    /// Room for a micro-batch of them.
    pub(super) fn room(&self, engine: &Engine) -> Result<Sequences, Error> {
        let (batch, context) = (self.rows(), self.context());
        let numbers = |label: &str, count: usize| engine.buffer(label, count as u64 * 4).map(|buffer| buffer.all());
        let places = batch * context;
        let (types, labels) = match self.sizes {
            Sizes::Tokens(_) => (None, places),
            Sizes::Sequences(_) => (Some(numbers("types", places)?), batch),
        };
        Ok(Sequences {
            batch,
            context,
            tokens: numbers("tokens", places)?,
            mask: numbers("mask", places)?,
            types,
            labels: numbers("labels", labels)?,
            position: engine.buffer("position", size_of::<Position>() as u64)?.all(),
        })
    }

    /// Draws a step's micro-batch. Of the table only the first step is read.
    pub(super) fn gather(
        &self,
        engine: &Engine,
        batch: &Sequences,
        table: &Buffer,
        micro: u32,
    ) -> Result<Dispatch, Error> {
        let workgroup = engine.sizes().gather;
        let (tokens, mask) = (batch.tokens.clone(), batch.mask.clone());
        let (labels, position) = (batch.labels.clone(), batch.position.clone());
        let (family, results, sizes) = match self.sizes {
            Sizes::Tokens(sizes) => {
                let sizes = engine.buffer_with("gather shape", &[GatherTokens { micro, ..sizes }])?;
                (&GATHER_TOKENS, vec![tokens, labels, mask, position], sizes)
            }
            Sizes::Sequences(sizes) => {
                let sizes = engine.buffer_with("gather shape", &[GatherSequences { micro, ..sizes }])?;
                let types = batch.types.clone().unwrap_or_else(|| batch.mask.clone());
                (&GATHER_SEQUENCES, vec![tokens, mask, types, labels, position], sizes)
            }
        };
        let places = count("places of a batch", batch.batch * batch.context)?;
        let mut bindings: Vec<Binding> = vec![(&self.resident).into()];
        bindings.extend(results.into_iter().map(Binding::from));
        bindings.extend([table.into(), (&sizes).into(), Binding::Clock]);
        Ok(Dispatch {
            kernel: family.plain(),
            bindings,
            constants: vec![("WORKGROUP", f64::from(workgroup)), ("SHUFFLE", f64::from(u8::from(self.shuffled)))],
            grid: row_of(places.div_ceil(workgroup)),
            bytes: u64::from(places) * 16,
        })
    }
}
