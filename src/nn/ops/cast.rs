//! A value from f32 to 16 bits, or back, where operations of both meet.

use super::{Draft, Operate, Uses};
use crate::engine::kernels::{CAST, Flag, Flags, ValueStorage};
use crate::engine::layout::Elements;
use crate::engine::{Dispatch, Engine, Range, counted};
use crate::nn::Error;
use crate::nn::graph::{Nodes, Placing, Value};

/// y = x, one of them in f32.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Cast {
    pub(in crate::nn) x: Value,
    pub(in crate::nn) y: Value,
}

impl Operate for Cast {
    fn uses(&self) -> Uses {
        Uses::new([self.x], [self.y])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.x, &mut self.y].into_iter().for_each(see);
    }

    /// Its kernel is told of both.
    fn storage(&self, _nodes: &Nodes) -> ValueStorage {
        ValueStorage::F32
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let (stored, memory) = ([self.x, self.y].map(|value| at.storage(value)), at.ranges([self.x, self.y])?);
        // Planes with what lies between them.
        let quads = memory[0].bytes / stored[0].quad_bytes();
        Ok(Some(cast(at.engine(), &Elements::new(counted(quads as usize)), stored, memory)?))
    }
}

/// y = x, vec4 by vec4, each stored so. Memory: x, y.
///
/// # Errors
/// [`Error::NoSuchKernel`](crate::engine::Error::NoSuchKernel) from one 16-bit storage to the other; out of device memory.
pub fn cast(
    engine: &Engine,
    shape: &Elements,
    [from, to]: [ValueStorage; 2],
    memory: [Range; 2],
) -> Result<Dispatch, Error> {
    let (memory, quads) = (memory.into_iter().map(Into::into).collect(), u64::from(shape.quads));
    let (flags, narrow) = match (from, to) {
        (narrow, ValueStorage::F32) => (Flags::from(Flag::Widened), narrow),
        (_, narrow) => (Flags::NONE, narrow),
    };
    let kernel = CAST.variant(flags)?.with_values(narrow)?;
    let bytes = quads * (from.quad_bytes() + to.quad_bytes());
    Draft::of_elements(engine, kernel, memory, quads, bytes).dispatch(engine, 2, shape)
}
