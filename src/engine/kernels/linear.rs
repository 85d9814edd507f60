//! The kernels of linear layers.

use super::call::Call;
use super::family::Access::{Read, ReadWrite, Uniform};
use super::family::{BF16_VALUES, F16_VALUES, Family, Word};
use super::flags::Flag::{Activated, Cooperative, Ragged, Residual, Squares, Tiled, Weight16};
use crate::twin::nn::Epilogue;

/// Forward: x, weight, bias, z, shape; then what is folded in.
pub static LINEAR: Family = Family::new(
    "linear",
    include_str!("../../../shaders/nn/linear.wgsl"),
    &[Read, Read, Read, ReadWrite, Uniform],
    linear,
)
.with(&[
    Word::of(Tiled),
    Word::of(Cooperative).never_with(&[Tiled]),
    Word::of(Ragged),
    Word::of(Weight16).never_with(&[Ragged]),
    BF16_VALUES,
    F16_VALUES,
    Word::of(Activated).adds(&[ReadWrite]),
    Word::of(Residual).adds(&[Read]).never_with(&[Activated]),
]);

/// To the input: dz, weight, z below, dz below, shape.
pub static LINEAR_BACKWARD_INPUT: Family = Family::new(
    "linear_backward_input",
    include_str!("../../../shaders/nn/linear_backward_input.wgsl"),
    &[Read, Read, Read, ReadWrite, Uniform],
    linear_backward_input,
)
.with(&[Word::of(Tiled), Word::of(Ragged), Word::of(Weight16).never_with(&[Ragged]), BF16_VALUES, F16_VALUES]);

/// To the weight: dz, x, dweight, dbias, shape; then squares.
pub static LINEAR_BACKWARD_WEIGHT: Family = Family::new(
    "linear_backward_weight",
    include_str!("../../../shaders/nn/linear_backward_weight.wgsl"),
    &[Read, Read, ReadWrite, ReadWrite, Uniform],
    linear_backward_weight,
)
.with(&[Word::of(Tiled), Word::of(Ragged), BF16_VALUES, F16_VALUES, Word::of(Squares).adds(&[ReadWrite])])
.adding_rows();

fn linear(mut call: Call<'_>) {
    let (forms, biased, is_16) = (call.forms, call.switch("BIAS", true), call.has(Weight16));
    let activation = call.constant("ACTIVATION", 0);
    let activated = call.take_array(Activated).map(|h| Epilogue::Activated(activation, h));
    let residual = call.take_added(Residual).map(|[residual]| Epilogue::Residual(residual.get()));
    let epilogue = activated.or(residual).unwrap_or(Epilogue::Plain);
    let [x, weight, bias, z, shape] = call.take();
    let bias = biased.then(|| bias.get());
    (forms.linear)(x.get(), &weight.widened(is_16), bias, z.get_mut(), shape.one(), epilogue);
}

fn linear_backward_input(call: Call<'_>) {
    let (forms, is_16) = (call.forms, call.has(Weight16));
    let (activation, accumulate) = (call.constant("ACTIVATION", 0), call.switch("ACCUMULATE", false));
    let [dz, weight, z_below, dz_below, shape] = call.take();
    let (dz, weight, z_below) = (dz.get(), weight.widened(is_16), z_below.get());
    (forms.linear_backward_input)(dz, &weight, z_below, dz_below.get_mut(), shape.one(), activation, accumulate);
}

fn linear_backward_weight(mut call: Call<'_>) {
    let forms = call.forms;
    // A tile of the variants without them is one invocation's.
    let tile = [call.constant("SIDE", 1), call.constant("QUADS", 2)].map(|size| size as usize);
    let accumulate = call.switch("ACCUMULATE", false);
    let (weight, bias) = (call.switch("WEIGHT", true), call.switch("BIAS", true));
    let squares = call.take_array(Squares);
    let [dz, x, dweight, dbias, shape] = call.take();
    let (mut dweight, mut dbias) = (weight.then(|| dweight.get_mut()), bias.then(|| dbias.get_mut()));
    let shape = shape.one();
    let (weight, bias) = (dweight.as_deref_mut(), dbias.as_deref_mut());
    (forms.linear_backward_weight)(dz.get(), x.get(), weight, bias, shape, accumulate);
    if let Some(squares) = squares {
        let (weight, bias) = (dweight.as_deref(), dbias.as_deref());
        (forms.linear_backward_weight_squares)(weight, bias, shape, tile, squares);
    }
}
