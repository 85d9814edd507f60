//! Squares of gradients, made by the kernels that write them.

use super::Error;
use crate::engine::kernels::{self, Flag};
use crate::engine::layout::Squares;
use crate::engine::{Access, Binding, Dispatch, Engine, Range};
use std::collections::BTreeMap;

/// Bytes between the squares of two dispatches: the strictest alignment of a bound offset.
const STRIDE: u64 = 256;
const SQUARES_BYTES: u64 = size_of::<Squares>() as u64;

/// Has the dispatches that finish these gradients (parameter, and its place in full) write partial sums of their squares too, so that
/// a norm need not read the gradients again. Returns where the partial sums of each lie: [`Squares`], in one buffer.
///
/// What finishes a gradient is the last dispatch of a step that writes it, that of the last micro-batch. Left out are
/// gradients that it does not write whole, of a table to which the rows of a batch are added; and all of them where their
/// squares are more than a device binds.
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
struct Target {
    gradient: Range,
    first: u64,
    count: u64,
}

/// What a dispatch can write the squares of, as its shader lays them out.
fn targets(dispatch: &Dispatch) -> Vec<Target> {
    let constant = |name: &str| dispatch.constants.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let [x, y, _] = dispatch.grid.map(u64::from);
    let invocations = x * y * constant("WORKGROUP").unwrap_or(1.0) as u64;
    let live = |binding: usize, switch: &str| {
        memory(&dispatch.bindings[binding]).filter(|_| constant(switch) != Some(0.0)).cloned()
    };
    let parts = |gradient: &Range, elements: u64| (gradient.bytes / 4).div_ceil(elements);
    let kernel = dispatch.kernel;
    // What writes them already is left as it is.
    if kernel.has(Flag::Squares) {
        return Vec::new();
    }
    if *kernel.family == kernels::LINEAR_BACKWARD_WEIGHT {
        let weight = live(2, "WEIGHT").map(|gradient| Target { gradient, first: 0, count: invocations });
        // An invocation down the first tiles has so many biases, its tile those of all.
        let side = constant("SIDE").unwrap_or(1.0) as u64;
        let edge = side * 4 * constant("QUADS").unwrap_or(2.0) as u64;
        let bias = live(3, "BIAS").map(|gradient| {
            let count = parts(&gradient, edge) * side;
            Target { gradient, first: invocations, count }
        });
        return [weight, bias].into_iter().flatten().collect();
    }
    if *kernel.family == kernels::LAYER_NORM_BACKWARD_WEIGHT {
        let gamma = live(3, "WEIGHT").map(|gradient| Target { first: 0, count: parts(&gradient, 4), gradient });
        let beta = live(4, "BIAS").map(|gradient| {
            let quads = parts(&gradient, 4);
            Target { gradient, first: quads, count: quads }
        });
        return [gamma, beta].into_iter().flatten().collect();
    }
    if *kernel.family == kernels::EMBEDDING_BACKWARD && constant("ACCUMULATE") == Some(0.0) {
        return live(4, "").map(|gradient| Target { gradient, first: 0, count: invocations }).into_iter().collect();
    }
    Vec::new()
}

fn writes(dispatch: &Dispatch, gradient: &Range) -> bool {
    let mut bindings = dispatch.kernel.bindings.iter().zip(&dispatch.bindings);
    bindings.any(|(access, binding)| {
        *access == Access::ReadWrite && memory(binding).is_some_and(|range| range.overlaps(gradient))
    })
}

fn memory(binding: &Binding) -> Option<&Range> {
    match binding {
        Binding::Memory(range) => Some(range),
        Binding::Clock => None,
    }
}

fn is_same(a: &Range, b: &Range) -> bool {
    a.buffer.same(&b.buffer) && (a.offset, a.bytes) == (b.offset, b.bytes)
}
