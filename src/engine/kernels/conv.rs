//! The kernels of windows over pictures: convolutions and pools.

use super::call::Call;
use super::family::Access::{Read, ReadWrite, Uniform};
use super::family::{BF16_VALUES, F16_VALUES, Family, Word};
use super::flags::Flag::{Ragged, Squares, Tiled};
use crate::engine::forms::Forms;
use crate::twin;
use crate::twin::shared::Conv;

/// Forward: x, weight, bias, z, shape.
pub static CONV: Family = Family::new(
    "conv",
    include_str!("../../../shaders/nn/conv.wgsl"),
    &[Read, Read, Read, ReadWrite, Uniform],
    |call| forward(call, |forms| forms.conv),
)
.with(&[Word::of(Tiled), Word::of(Ragged), BF16_VALUES, F16_VALUES]);

/// To the input: dz, weight, dx, shape.
pub static CONV_BACKWARD_INPUT: Family = Family::new(
    "conv_backward_input",
    include_str!("../../../shaders/nn/conv_backward_input.wgsl"),
    &[Read, Read, ReadWrite, Uniform],
    |call| backward_input(call, |forms| forms.conv_backward_input),
)
.with(&[Word::of(Tiled), Word::of(Ragged), BF16_VALUES, F16_VALUES]);

/// To the weight: dz, x, dweight, dbias, shape; then squares.
pub static CONV_BACKWARD_WEIGHT: Family = Family::new(
    "conv_backward_weight",
    include_str!("../../../shaders/nn/conv_backward_weight.wgsl"),
    &[Read, Read, ReadWrite, ReadWrite, Uniform],
    |call| {
        // A tile of the variants without them is one invocation's.
        let tile = [call.constant("SIDE", 1), call.constant("QUADS", 2)].map(|size| size as usize);
        let form = call.forms.conv_backward_weight_squares;
        let squares: Squared = &|weight, bias, shape, squares| form(weight, bias, shape, tile, squares);
        backward_weight(call, |forms| forms.conv_backward_weight, squares);
    },
)
.with(&[Word::of(Tiled), Word::of(Ragged), BF16_VALUES, F16_VALUES, Word::of(Squares).adds(&[ReadWrite])])
.adding_rows();

/// Forward, a group for each channel: x, weight, bias, z, shape.
pub static DEPTHWISE: Family = Family::new(
    "depthwise",
    include_str!("../../../shaders/nn/depthwise.wgsl"),
    &[Read, Read, Read, ReadWrite, Uniform],
    |call| forward(call, |forms| forms.depthwise),
)
.with(&[BF16_VALUES, F16_VALUES]);

/// To the input: dz, weight, dx, shape.
pub static DEPTHWISE_BACKWARD_INPUT: Family = Family::new(
    "depthwise_backward_input",
    include_str!("../../../shaders/nn/depthwise_backward_input.wgsl"),
    &[Read, Read, ReadWrite, Uniform],
    |call| backward_input(call, |forms| forms.depthwise_backward_input),
)
.with(&[BF16_VALUES, F16_VALUES]);

/// To the weight: dz, x, dweight, dbias, shape; then squares.
pub static DEPTHWISE_BACKWARD_WEIGHT: Family = Family::new(
    "depthwise_backward_weight",
    include_str!("../../../shaders/nn/depthwise_backward_weight.wgsl"),
    &[Read, Read, ReadWrite, ReadWrite, Uniform],
    |call| {
        let squares: Squared = &twin::nn::depthwise_backward_weight_squares;
        backward_weight(call, |forms| forms.depthwise_backward_weight, squares);
    },
)
.with(&[BF16_VALUES, F16_VALUES, Word::of(Squares).adds(&[ReadWrite])])
.adding_rows();

/// The largest number below a window, or the mean: x, y, which, shape.
pub static WINDOW_POOL: Family = Family::new(
    "window_pool",
    include_str!("../../../shaders/nn/window_pool.wgsl"),
    &[Read, ReadWrite, ReadWrite, Uniform],
    window_pool,
)
.with(&[BF16_VALUES, F16_VALUES]);

/// The same, backward: dy, which, dx, shape.
pub static WINDOW_POOL_BACKWARD: Family = Family::new(
    "window_pool_backward",
    include_str!("../../../shaders/nn/window_pool_backward.wgsl"),
    &[Read, Read, ReadWrite, Uniform],
    window_pool_backward,
)
.with(&[BF16_VALUES, F16_VALUES]);

type Forward = fn(&[f32], &[f32], Option<&[f32]>, &mut [f32], &Conv);
type BackwardInput = fn(&[f32], &[f32], &mut [f32], &Conv, bool);
type BackwardWeight = fn(&[f32], &[f32], Option<&mut [f32]>, Option<&mut [f32]>, &Conv, bool);
/// Writes the squares of dweight and dbias.
type Squared<'a> = &'a dyn Fn(Option<&[f32]>, Option<&[f32]>, &Conv, &mut [twin::shared::Squares]);

fn forward(call: Call<'_>, form: fn(&Forms) -> Forward) {
    let (form, biased) = (form(call.forms), call.switch("BIAS", true));
    let [x, weight, bias, z, shape] = call.take();
    let bias = biased.then(|| bias.get());
    form(x.get(), weight.get(), bias, z.get_mut(), shape.one());
}

fn backward_input(call: Call<'_>, form: fn(&Forms) -> BackwardInput) {
    let (form, accumulate) = (form(call.forms), call.switch("ACCUMULATE", false));
    let [dz, weight, dx, shape] = call.take();
    form(dz.get(), weight.get(), dx.get_mut(), shape.one(), accumulate);
}

fn backward_weight(mut call: Call<'_>, form: fn(&Forms) -> BackwardWeight, write_squares: Squared<'_>) {
    let (form, accumulate) = (form(call.forms), call.switch("ACCUMULATE", false));
    let (weight, bias) = (call.switch("WEIGHT", true), call.switch("BIAS", true));
    let squares = call.take_array(Squares);
    let [dz, x, dweight, dbias, shape] = call.take();
    let (mut dweight, mut dbias) = (weight.then(|| dweight.get_mut()), bias.then(|| dbias.get_mut()));
    let shape = shape.one();
    form(dz.get(), x.get(), dweight.as_deref_mut(), dbias.as_deref_mut(), shape, accumulate);
    if let Some(squares) = squares {
        write_squares(dweight.as_deref(), dbias.as_deref(), shape, squares);
    }
}

fn window_pool(call: Call<'_>) {
    let (mean, form) = (call.switch("MEAN", false), call.forms.window_pool);
    let [x, y, which, shape] = call.take();
    form(x.get(), y.get_mut(), (!mean).then(|| which.get_mut()), shape.one());
}

fn window_pool_backward(call: Call<'_>) {
    let (mean, accumulate) = (call.switch("MEAN", false), call.switch("ACCUMULATE", false));
    let form = call.forms.window_pool_backward;
    let [dy, which, dx, shape] = call.take();
    let which = (!mean).then(|| which.get());
    form(dy.get(), which, dx.get_mut(), shape.one(), accumulate);
}
