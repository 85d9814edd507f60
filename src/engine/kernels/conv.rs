//! The kernels of convolutions.

use super::call::Call;
use super::family::Access::{Read, ReadWrite, Uniform};
use super::family::{BF16_VALUES, F16_VALUES, Family, Word};
use super::flags::Flag::{Ragged, Squares, Tiled};
use crate::twin;

/// Forward: x, weight, bias, z, shape.
pub static CONV: Family =
    Family::new("conv", include_str!("../../../shaders/nn/conv.wgsl"), &[Read, Read, Read, ReadWrite, Uniform], conv)
        .with(&[Word::of(Tiled), Word::of(Ragged), BF16_VALUES, F16_VALUES]);

/// To the input: dz, weight, dx, shape.
pub static CONV_BACKWARD_INPUT: Family = Family::new(
    "conv_backward_input",
    include_str!("../../../shaders/nn/conv_backward_input.wgsl"),
    &[Read, Read, ReadWrite, Uniform],
    conv_backward_input,
)
.with(&[Word::of(Tiled), Word::of(Ragged), BF16_VALUES, F16_VALUES]);

/// To the weight: dz, x, dweight, dbias, shape; then squares.
pub static CONV_BACKWARD_WEIGHT: Family = Family::new(
    "conv_backward_weight",
    include_str!("../../../shaders/nn/conv_backward_weight.wgsl"),
    &[Read, Read, ReadWrite, ReadWrite, Uniform],
    conv_backward_weight,
)
.with(&[Word::of(Tiled), Word::of(Ragged), BF16_VALUES, F16_VALUES, Word::of(Squares).adds(&[ReadWrite])])
.adding_rows();

fn conv(call: Call<'_>) {
    let (forms, biased) = (call.forms, call.switch("BIAS", true));
    let [x, weight, bias, z, shape] = call.take();
    let bias = biased.then(|| bias.get());
    (forms.conv)(x.get(), weight.get(), bias, z.get_mut(), shape.one());
}

fn conv_backward_input(call: Call<'_>) {
    let (forms, accumulate) = (call.forms, call.switch("ACCUMULATE", false));
    let [dz, weight, dx, shape] = call.take();
    (forms.conv_backward_input)(dz.get(), weight.get(), dx.get_mut(), shape.one(), accumulate);
}

fn conv_backward_weight(mut call: Call<'_>) {
    let (forms, accumulate) = (call.forms, call.switch("ACCUMULATE", false));
    // A tile of the variants without them is one invocation's.
    let tile = [call.constant("SIDE", 1), call.constant("QUADS", 2)].map(|size| size as usize);
    let (weight, bias) = (call.switch("WEIGHT", true), call.switch("BIAS", true));
    let squares = call.take_array(Squares);
    let [dz, x, dweight, dbias, shape] = call.take();
    let (mut dweight, mut dbias) = (weight.then(|| dweight.get_mut()), bias.then(|| dbias.get_mut()));
    let shape = shape.one();
    let (weight, bias) = (dweight.as_deref_mut(), dbias.as_deref_mut());
    (forms.conv_backward_weight)(dz.get(), x.get(), weight, bias, shape, accumulate);
    if let Some(squares) = squares {
        let (weight, bias) = (dweight.as_deref(), dbias.as_deref());
        twin::nn::conv_backward_weight_squares(weight, bias, shape, tile, squares);
    }
}
