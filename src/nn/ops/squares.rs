//! Squares of gradients, made by the kernels that write them.

use super::Error;
use crate::engine::kernels::{
    BATCH_NORM_BACKWARD_WEIGHT, CONV_BACKWARD_WEIGHT, DEPTHWISE_BACKWARD_WEIGHT, EMBEDDING_BACKWARD, Family, Flag,
    LAYER_NORM_BACKWARD, LINEAR_BACKWARD_WEIGHT,
};
use crate::engine::layout::Squares;
use crate::engine::{Access, Binding, Dispatch, Engine, Range};
use std::collections::BTreeMap;

/// Bytes between the squares of two dispatches: the strictest alignment of a bound offset.
const STRIDE: u64 = 256;
const SQUARES_BYTES: u64 = size_of::<Squares>() as u64;

/// Has the dispatches that finish these gradients (parameter, and its place in full) write partial sums of their squares too, so that
/// a norm need not read the gradients again. Returns where the partial sums of each lie: [`Squares`], in one buffer.
///
/// The dispatch that finishes a gradient is the last one that writes it, in the last micro-batch. It leaves out
/// gradients that it does not write whole (of a table to which the rows of a batch are added), and all of them if their
/// squares are more than a device can bind.
///
/// Processor time on software Vulkan, lower quartiles of 101 in turn, against the norm's that reads what was written (in its
/// cache, but for the table): a weight of 256 by 784 on 128 rows + 0.05 ms (norm 0.37), 512 by 128 on 1,024 rows + 0.2
/// (0.24), 1,536 by 384 on 256 rows + 0.5 (1.2), a table of 30,522 by 384 + 1.0 (20.8). A partial sum a workgroup, by a
/// tree in its memory, is fewer of them: + 0.8, + 1.8, + 7.5 and + 137 ms; each barrier there stops 8 lanes at a time.
/// Of a whole step of W3 (22.6 M) the optimizer takes 101 ms instead of 142, the model 2,041 instead of 2,031.
///
/// # Errors
/// Out of device memory.
pub fn write_squares(
    engine: &Engine,
    dispatches: &mut [Dispatch],
    gradients: &[(String, Range)],
) -> Result<Vec<(String, Range)>, Error> {
    let finished = |(name, gradient): &(String, Range)| {
        let place = dispatches.iter().rposition(|dispatch| writes(dispatch, gradient))?;
        let target = targets(&dispatches[place]).into_iter().find(|target| is_same(&target.gradient, gradient))?;
        Some((name.clone(), place, target))
    };
    let finished: Vec<(String, usize, Target)> = gradients.iter().filter_map(finished).collect();
    if finished.is_empty() {
        return Ok(Vec::new());
    }
    // In the order of the dispatches, so that a program made again is the same.
    let mut windows: BTreeMap<usize, (u64, u64)> = finished.iter().map(|(_, place, _)| (*place, (0, 0))).collect();
    let mut bytes = 0;
    for (place, window) in &mut windows {
        let end = targets(&dispatches[*place]).iter().map(|target| target.first + target.count).max();
        *window = (bytes, end.unwrap_or(0) * SQUARES_BYTES);
        bytes += window.1.next_multiple_of(STRIDE);
    }
    // A norm binds them together.
    if bytes > engine.page_bytes() {
        return Ok(Vec::new());
    }
    let buffer = engine.buffer("squares", bytes)?;
    for (place, (offset, bytes)) in &windows {
        let dispatch = &mut dispatches[*place];
        dispatch.kernel = dispatch.kernel.with(Flag::Squares)?;
        dispatch.bindings.push(buffer.range(*offset, *bytes)?.into());
    }
    let range = |(name, place, target): (String, usize, Target)| {
        let offset = windows[&place].0 + target.first * SQUARES_BYTES;
        Ok((name, buffer.range(offset, target.count * SQUARES_BYTES)?))
    };
    finished.into_iter().map(range).collect()
}

/// A gradient that a dispatch writes whole, and which of the dispatch's partial sums are of it. Those that no invocation
/// writes stay 0.
///
/// Which they are follows from the parameter and how the kernel is tiled, never from the rows of a batch: programs for
/// other batches write the squares of a parameter at the same places.
pub(super) struct Target {
    pub(super) gradient: Range,
    pub(super) first: u64,
    pub(super) count: u64,
}

impl Target {
    /// A gradient whose squares a dispatch sums in so many parts, from `first` on; `None` if the dispatch leaves it
    /// out.
    pub(super) fn of(dispatch: &Dispatch, binding: usize, [first, count]: [u64; 2]) -> Option<Target> {
        memory(&dispatch.bindings[binding]).map(|gradient| Target { gradient: gradient.clone(), first, count })
    }
}

/// What a dispatch can write the squares of, as its operation lays them out.
fn targets(dispatch: &Dispatch) -> Vec<Target> {
    let family = dispatch.kernel.family;
    let layout = LAYOUTS.iter().find(|(known, _)| family == *known).filter(|_| !dispatch.kernel.has(Flag::Squares));
    layout.map_or_else(Vec::new, |(_, layout)| layout(dispatch))
}

/// The layout of the squares of an operation's dispatch.
type Layout = fn(&Dispatch) -> Vec<Target>;

/// The families that write gradients whole, each with its layout.
static LAYOUTS: [(&Family, Layout); 6] = [
    (&LINEAR_BACKWARD_WEIGHT, super::linear_squares::squares),
    (&CONV_BACKWARD_WEIGHT, super::linear_squares::squares),
    (&DEPTHWISE_BACKWARD_WEIGHT, super::conv::depthwise_squares),
    (&BATCH_NORM_BACKWARD_WEIGHT, super::batch_norm::squares),
    (&LAYER_NORM_BACKWARD, super::layer_norm::squares),
    (&EMBEDDING_BACKWARD, super::embedding::squares),
];

/// A constant of a dispatch.
pub(super) fn constant(dispatch: &Dispatch, name: &str, default: u64) -> u64 {
    let mut constants = dispatch.constants.iter();
    constants.find(|(known, _)| *known == name).map_or(default, |(_, value)| *value as u64)
}

/// Invocations of a dispatch.
pub(super) fn invocations(dispatch: &Dispatch) -> u64 {
    let [x, y, _] = dispatch.grid.map(u64::from);
    x * y * constant(dispatch, "WORKGROUP", 1)
}

/// Numbers of the range that a dispatch binds.
pub(super) fn elements(dispatch: &Dispatch, binding: usize) -> u64 {
    memory(&dispatch.bindings[binding]).map_or(0, |range| range.bytes / 4)
}

fn writes(dispatch: &Dispatch, gradient: &Range) -> bool {
    let mut bindings = dispatch.kernel.bindings.iter().zip(&dispatch.bindings);
    bindings.any(|(access, binding)| {
        *access == Access::ReadWrite && memory(binding).is_some_and(|range| range.overlaps(gradient))
    })
}

pub(super) fn memory(binding: &Binding) -> Option<&Range> {
    match binding {
        Binding::Memory(range) => Some(range),
        Binding::Clock => None,
    }
}

fn is_same(a: &Range, b: &Range) -> bool {
    a.buffer.same(&b.buffer) && (a.offset, a.bytes) == (b.offset, b.bytes)
}
