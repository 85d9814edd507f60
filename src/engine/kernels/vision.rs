//! The kernels of vision transformers.

use super::call::Call;
use super::family::Access::{Read, ReadWrite, Uniform};
use super::family::{BF16_VALUES, F16_VALUES, Family, Word};
use super::flags::Flag::Residual;
use crate::twin;

/// Tokens in front of the patches, and positions: x, first, second, positions, y, shape.
pub static PREFIX_TOKENS: Family = Family::new(
    "prefix_tokens",
    include_str!("../../../shaders/nn/prefix_tokens.wgsl"),
    &[Read, Read, Read, Read, ReadWrite, Uniform],
    prefix_tokens,
)
.with(&[BF16_VALUES, F16_VALUES]);

/// The same, backward to the patches: dy, dx, shape.
pub static PREFIX_TOKENS_BACKWARD_INPUT: Family = Family::new(
    "prefix_tokens_backward_input",
    include_str!("../../../shaders/nn/prefix_tokens_backward_input.wgsl"),
    &[Read, ReadWrite, Uniform],
    prefix_tokens_backward_input,
)
.with(&[BF16_VALUES, F16_VALUES]);

/// The same, backward to tokens and positions: dy, dfirst, dsecond, dpositions, shape.
pub static PREFIX_TOKENS_BACKWARD_TABLES: Family = Family::new(
    "prefix_tokens_backward_tables",
    include_str!("../../../shaders/nn/prefix_tokens_backward_tables.wgsl"),
    &[Read, ReadWrite, ReadWrite, ReadWrite, Uniform],
    prefix_tokens_backward_tables,
)
.with(&[BF16_VALUES, F16_VALUES])
.adding_rows();

/// Columns by a number each: x, scale, y, shape; then a residual.
pub static LAYER_SCALE: Family = Family::new(
    "layer_scale",
    include_str!("../../../shaders/nn/layer_scale.wgsl"),
    &[Read, Read, ReadWrite, Uniform],
    layer_scale,
)
.with(&[BF16_VALUES, F16_VALUES, Word::of(Residual).adds(&[Read])]);

/// The same, backward to these numbers: dy, x, dscale, shape.
pub static LAYER_SCALE_BACKWARD: Family = Family::new(
    "layer_scale_backward",
    include_str!("../../../shaders/nn/layer_scale_backward.wgsl"),
    &[Read, Read, ReadWrite, Uniform],
    layer_scale_backward,
)
.with(&[BF16_VALUES, F16_VALUES])
.adding_rows();

fn prefix_tokens(call: Call<'_>) {
    let [x, first, second, positions, y, shape] = call.take();
    twin::nn::prefix_tokens(x.get(), first.get(), second.get(), positions.get(), y.get_mut(), shape.one());
}

fn prefix_tokens_backward_input(call: Call<'_>) {
    let [dy, dx, shape] = call.take();
    twin::nn::prefix_tokens_backward_input(dy.get(), dx.get_mut(), shape.one());
}

fn prefix_tokens_backward_tables(call: Call<'_>) {
    let [of_first, of_second, of_positions] = ["FIRST", "SECOND", "POSITIONS"].map(|name| call.switch(name, true));
    let accumulate = call.switch("ACCUMULATE", false);
    let [dy, first, second, positions, shape] = call.take();
    let tokens = [of_first.then(|| first.get_mut()), of_second.then(|| second.get_mut())];
    let positions = of_positions.then(|| positions.get_mut());
    twin::nn::prefix_tokens_backward_tables(dy.get(), tokens, positions, shape.one(), accumulate);
}

fn layer_scale(mut call: Call<'_>) {
    let residual = call.take_added(Residual).map(|[residual]| residual.get());
    let [x, scale, y, shape] = call.take();
    twin::nn::layer_scale(x.get(), scale.get(), y.get_mut(), shape.one(), residual);
}

fn layer_scale_backward(call: Call<'_>) {
    let accumulate = call.switch("ACCUMULATE", false);
    let [dy, x, dscale, shape] = call.take();
    twin::nn::layer_scale_backward(dy.get(), x.get(), dscale.get_mut(), shape.one(), accumulate);
}
