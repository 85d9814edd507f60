//! Where a linear layer's kernel puts the squares of the gradients that it writes.

use super::squares::{Target, constant, elements, invocations, memory};
use crate::engine::{Dispatch, Range};

/// Partial sums of squares: one of the weight for each invocation, then those of the bias. An invocation down the first
/// tiles has as many biases as its tile is wide, its workgroup those of all.
pub(super) fn squares(dispatch: &Dispatch) -> Vec<Target> {
    if constant(dispatch, "PLANES", 1) > 1 {
        return planes(dispatch);
    }
    let [side, edge] = tile(dispatch);
    let invocations = invocations(dispatch);
    let weight = || Target::of(dispatch, 2, [0, invocations]);
    let bias = || Target::of(dispatch, 3, [invocations, elements(dispatch, 3).div_ceil(edge) * side]);
    let live = |switch, target: &dyn Fn() -> Option<Target>| target().filter(|_| constant(dispatch, switch, 1) != 0);
    [live("WEIGHT", &weight), live("BIAS", &bias)].into_iter().flatten().collect()
}

/// The same of several layers, one after the other: each has tiles of its own.
fn planes(dispatch: &Dispatch) -> Vec<Target> {
    const QUAD: u64 = 16;
    let Some(all) = memory(&dispatch.bindings[2]) else { return Vec::new() };
    let named = |name| constant(dispatch, name, 0);
    let (layers, bias_at, [side, edge]) = (named("PLANES"), QUAD * named("BIAS_AT"), tile(dispatch));
    // The last bias ends where it would before the next step, but for the gap.
    let step = (all.bytes + QUAD * named("BIAS_GAP") - bias_at) / layers;
    let [weight, bias] = [step - QUAD * named("GAP"), step - QUAD * named("BIAS_GAP")];
    let (outputs, inputs) = (bias / 4, weight / bias);
    let biases = outputs.div_ceil(edge) * side;
    let weights = biases * side * inputs.div_ceil(edge);
    let target = |at: u64, bytes: u64, first: u64, count: u64| {
        let gradient = Range { offset: all.offset + at, bytes, ..all.clone() };
        Target { gradient, first, count }
    };
    let layer = |layer: u64| {
        let (at, first) = (layer * step, invocations(dispatch) + layer * biases);
        [target(at, weight, layer * weights, weights), target(at + bias_at, bias, first, biases)]
    };
    (0..layers).flat_map(layer).collect()
}

/// Invocations and results along a side of a tile.
fn tile(dispatch: &Dispatch) -> [u64; 2] {
    let side = constant(dispatch, "SIDE", 1);
    [side, side * 4 * constant(dispatch, "QUADS", 2)]
}
