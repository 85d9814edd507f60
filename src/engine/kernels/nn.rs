//! The kernels of a model's other operations.

use super::call::Call;
use super::family::Access::{Read, ReadWrite, Uniform};
use super::family::{BF16_VALUES, F16_VALUES, Family, Word};
use super::flags::Flag::{Ragged, Residual, Scaled, Squares, Tables16, Typed, Widened};
use crate::twin;
use crate::twin::shared::{Embedding, Loss, Stored};
use bytemuck::AnyBitPattern;

/// An activation for itself: z, h, shape.
pub static ACTIVATE: Family =
    Family::new("activate", include_str!("../../../shaders/nn/activate.wgsl"), &[Read, ReadWrite, Uniform], activate)
        .with(&[BF16_VALUES, F16_VALUES]);

/// Its gradient: z, dh, dz, shape.
pub static ACTIVATE_BACKWARD: Family = Family::new(
    "activate_backward",
    include_str!("../../../shaders/nn/activate_backward.wgsl"),
    &[Read, Read, ReadWrite, Uniform],
    activate_backward,
)
.with(&[BF16_VALUES, F16_VALUES]);

/// A sum of two values: x, residual, y, shape.
pub static ADD: Family =
    Family::new("add", include_str!("../../../shaders/nn/add.wgsl"), &[Read, Read, ReadWrite, Uniform], add)
        .with(&[BF16_VALUES, F16_VALUES]);

/// A value from f32 to 16 bits, or back: x, y, shape.
pub static CAST: Family =
    Family::new("cast", include_str!("../../../shaders/nn/cast.wgsl"), &[Read, ReadWrite, Uniform], cast).with(&[
        BF16_VALUES,
        F16_VALUES,
        Word::of(Widened),
    ]);

/// Drops and scales: x, y, position, shape; then a residual.
pub static DROPOUT: Family = Family::new(
    "dropout",
    include_str!("../../../shaders/nn/dropout.wgsl"),
    &[Read, ReadWrite, Read, Uniform],
    dropout,
)
.with(&[BF16_VALUES, F16_VALUES, Word::of(Residual).adds(&[Read])]);

/// Embeddings: tokens, their table, that of positions, y, shape; then types and their table.
pub static EMBEDDING: Family = Family::new(
    "embedding",
    include_str!("../../../shaders/nn/embedding.wgsl"),
    &[Read, Read, Read, ReadWrite, Uniform],
    embedding,
)
.with(&[
    Word::of(Ragged),
    Word::of(Tables16).never_with(&[Ragged]),
    BF16_VALUES,
    F16_VALUES,
    Word::of(Typed).adds(&[Read, Read]),
]);

/// Which rows name which entry: tokens, previous, last, shape.
pub static EMBEDDING_INDEX: Family = Family::new(
    "embedding_index",
    include_str!("../../../shaders/nn/embedding_index.wgsl"),
    &[Read, ReadWrite, ReadWrite, Uniform],
    embedding_index,
);

/// The gradient of a table: tokens, previous, last, dy, dtable, shape; then squares.
pub static EMBEDDING_BACKWARD: Family = Family::new(
    "embedding_backward",
    include_str!("../../../shaders/nn/embedding_backward.wgsl"),
    &[Read, Read, Read, Read, ReadWrite, Uniform],
    embedding_backward,
)
.with(&[Word::of(Ragged), BF16_VALUES, F16_VALUES, Word::of(Squares).adds(&[ReadWrite])]);

/// Two values side by side: a, b, y, shape.
pub static JOIN: Family =
    Family::new("join", include_str!("../../../shaders/nn/join.wgsl"), &[Read, Read, ReadWrite, Uniform], join)
        .with(&[BF16_VALUES, F16_VALUES]);

/// The same, backward to one of them: dy, dx, shape.
pub static JOIN_BACKWARD: Family = Family::new(
    "join_backward",
    include_str!("../../../shaders/nn/join_backward.wgsl"),
    &[Read, ReadWrite, Uniform],
    join_backward,
)
.with(&[BF16_VALUES, F16_VALUES]);

/// The mean over the tokens of a mask, or the last: x, mask, y, shape.
pub static MEAN_POOL: Family = Family::new(
    "mean_pool",
    include_str!("../../../shaders/nn/mean_pool.wgsl"),
    &[Read, Read, ReadWrite, Uniform],
    mean_pool,
)
.with(&[BF16_VALUES, F16_VALUES]);

/// The same, backward: dy, mask, dx, shape.
pub static MEAN_POOL_BACKWARD: Family = Family::new(
    "mean_pool_backward",
    include_str!("../../../shaders/nn/mean_pool_backward.wgsl"),
    &[Read, Read, ReadWrite, Uniform],
    mean_pool_backward,
)
.with(&[BF16_VALUES, F16_VALUES]);

/// Layer norm: x, gamma, beta, y, moments, shape; then a residual and the sum.
pub static LAYER_NORM: Family = Family::new(
    "layer_norm",
    include_str!("../../../shaders/nn/layer_norm.wgsl"),
    &[Read, Read, Read, ReadWrite, ReadWrite, Uniform],
    layer_norm,
)
.with(&[BF16_VALUES, F16_VALUES, Word::of(Residual).adds(&[Read, ReadWrite])])
.taking_differences();

/// To input, gamma and beta: dy, x, gamma, moments, dx, dgamma, dbeta, shape; then squares.
pub static LAYER_NORM_BACKWARD: Family = Family::new(
    "layer_norm_backward",
    include_str!("../../../shaders/nn/layer_norm_backward.wgsl"),
    &[Read, Read, Read, Read, ReadWrite, ReadWrite, ReadWrite, Uniform],
    layer_norm_backward,
)
.with(&[BF16_VALUES, F16_VALUES, Word::of(Squares).adds(&[ReadWrite])])
.taking_differences()
.adding_rows();

/// The loss of each row: z, labels, dz, verdicts, position, shape; then a loss scale.
pub static SOFTMAX_CROSS_ENTROPY: Family = Family::new(
    "softmax_cross_entropy",
    include_str!("../../../shaders/nn/softmax_cross_entropy.wgsl"),
    &[Read, Read, ReadWrite, ReadWrite, Read, Uniform],
    softmax_cross_entropy,
)
.with(&[Word::of(Scaled).adds(&[Read])]);

/// The loss of labels, each there or not: z, targets, labels, dz, verdicts, position, shape; then a loss scale.
pub static BINARY_CROSS_ENTROPY: Family = Family::new(
    "binary_cross_entropy",
    include_str!("../../../shaders/nn/binary_cross_entropy.wgsl"),
    &[Read, Read, Read, ReadWrite, ReadWrite, Read, Uniform],
    binary_cross_entropy,
)
.with(&[Word::of(Scaled).adds(&[Read])]);

/// The loss of numbers: z, targets, labels, dz, verdicts, position, shape; then a loss scale.
pub static SQUARED_ERROR: Family = Family::new(
    "squared_error",
    include_str!("../../../shaders/nn/squared_error.wgsl"),
    &[Read, Read, Read, ReadWrite, ReadWrite, Read, Uniform],
    squared_error,
)
.with(&[Word::of(Scaled).adds(&[Read])]);

/// How often rows of each class are answered with each: z, labels, cells, position, shape.
pub static CONFUSION: Family = Family::new(
    "confusion",
    include_str!("../../../shaders/nn/confusion.wgsl"),
    &[Read, Read, ReadWrite, Read, Uniform],
    confusion,
);

/// How often each label is there and is answered to be there: z, targets, labels, cells, position, shape.
pub static LABEL_CONFUSION: Family = Family::new(
    "label_confusion",
    include_str!("../../../shaders/nn/label_confusion.wgsl"),
    &[Read, Read, Read, ReadWrite, Read, Uniform],
    label_confusion,
);

/// Sums of squared errors of each output: z, targets, labels, sums, position, shape.
pub static SQUARED_ERROR_SUMS: Family = Family::new(
    "squared_error_sums",
    include_str!("../../../shaders/nn/squared_error_sums.wgsl"),
    &[Read, Read, Read, ReadWrite, Read, Uniform],
    squared_error_sums,
);

/// Compares an evaluation with the best so far: metrics, standing.
pub static JUDGE: Family =
    Family::new("judge", include_str!("../../../shaders/nn/judge.wgsl"), &[Read, ReadWrite], judge);

/// The sums of a batch: verdicts, metrics, position, shape.
pub static TALLY: Family =
    Family::new("tally", include_str!("../../../shaders/nn/tally.wgsl"), &[Read, ReadWrite, Read, Uniform], tally);

fn activate(call: Call<'_>) {
    let activation = call.constant("ACTIVATION", 0);
    let [z, h, shape] = call.take();
    twin::nn::activate(z.get(), h.get_mut(), shape.one(), activation);
}

fn activate_backward(call: Call<'_>) {
    let (activation, accumulate) = (call.constant("ACTIVATION", 0), call.switch("ACCUMULATE", false));
    let [z, dh, dz, shape] = call.take();
    twin::nn::activate_backward(z.get(), dh.get(), dz.get_mut(), shape.one(), activation, accumulate);
}

fn add(call: Call<'_>) {
    let [x, residual, y, shape] = call.take();
    twin::nn::add(x.get(), residual.get(), y.get_mut(), shape.one());
}

fn cast(call: Call<'_>) {
    let [x, y, _] = call.take();
    twin::nn::cast(x.get(), y.get_mut());
}

fn dropout(mut call: Call<'_>) {
    let residual = call.take_added(Residual).map(|[residual]| residual.get());
    let [x, y, position, shape] = call.take();
    twin::nn::dropout(x.get(), y.get_mut(), position.one(), shape.one(), residual);
}

fn embedding(call: Call<'_>) {
    if call.has(Tables16) { embedding_of::<u16>(call) } else { embedding_of::<f32>(call) }
}

/// With tables of this type.
fn embedding_of<S: Stored + AnyBitPattern>(mut call: Call<'_>) {
    let types = call.take_added(Typed).map(|[types, table]| (types.get(), table.get()));
    let [tokens, token_table, position_table, y, shape] = call.take();
    let (tokens, y) = (tokens.get(), y.get_mut());
    twin::nn::embedding::<S>(tokens, token_table.get(), position_table.get(), y, shape.one(), types);
}

fn embedding_index(call: Call<'_>) {
    let [tokens, previous, last, shape] = call.take();
    twin::nn::embedding_index(tokens.get(), previous.get_mut(), last.get_mut(), shape.one());
}

fn embedding_backward(mut call: Call<'_>) {
    let (forms, accumulate) = (call.forms, call.switch("ACCUMULATE", false));
    let [workgroup, lanes, quads] = ["WORKGROUP", "LANES", "QUADS"].map(|name| call.constant(name, 1) as usize);
    let (sizes, is_chained) = ([workgroup / lanes, quads], call.switch("CHAINED", true));
    let squares = call.take_array(Squares);
    let [tokens, previous, last, dy, dtable, shape] = call.take();
    let (tokens, shape): (&[u32], &Embedding) = (tokens.get(), shape.one());
    let (dy, dtable) = (dy.get(), dtable.get_mut());
    if is_chained {
        (forms.embedding_backward)(tokens, previous.get(), last.get(), dy, dtable, shape, accumulate);
    } else {
        let [previous, last] = twin::nn::chains(tokens, shape);
        (forms.embedding_backward)(tokens, &previous, &last, dy, dtable, shape, accumulate);
    }
    if let Some(squares) = squares {
        (forms.embedding_backward_squares)(dtable, shape, sizes, squares);
    }
}

fn join(call: Call<'_>) {
    let [a, b, y, shape] = call.take();
    twin::nn::join(a.get(), b.get(), y.get_mut(), shape.one());
}

fn join_backward(call: Call<'_>) {
    let right = call.switch("RIGHT", false);
    let [dy, dx, shape] = call.take();
    twin::nn::join_backward(dy.get(), dx.get_mut(), shape.one(), right);
}

fn mean_pool(call: Call<'_>) {
    let last = call.switch("LAST", false);
    let [x, mask, y, shape] = call.take();
    twin::nn::mean_pool(x.get(), mask.get(), y.get_mut(), shape.one(), last);
}

fn mean_pool_backward(call: Call<'_>) {
    let last = call.switch("LAST", false);
    let [dy, mask, dx, shape] = call.take();
    twin::nn::mean_pool_backward(dy.get(), mask.get(), dx.get_mut(), shape.one(), last);
}

fn layer_norm(mut call: Call<'_>) {
    let forms = call.forms;
    let residual = call.take_added(Residual).map(|[residual, sum]| (residual.get(), sum.get_mut()));
    let [x, gamma, beta, y, moments, shape] = call.take();
    let (y, moments) = (y.get_mut(), moments.get_mut());
    (forms.layer_norm)(x.get(), gamma.get(), beta.get(), y, moments, shape.one(), residual);
}

fn layer_norm_backward(mut call: Call<'_>) {
    let (forms, adds) = (call.forms, ["ACCUMULATE", "ACCUMULATE_WEIGHT"].map(|name| call.switch(name, false)));
    let [input, weight, bias] = ["INPUT", "WEIGHT", "BIAS"].map(|name| call.switch(name, true));
    let squares = call.take_array(Squares);
    let [dy, x, gamma, moments, dx, dgamma, dbeta, shape] = call.take();
    let (dy, x, moments, shape) = (dy.get(), x.get(), moments.get(), shape.one());
    if input {
        (forms.layer_norm_backward_input)(dy, x, gamma.get(), moments, dx.get_mut(), shape, adds[0]);
    }
    let (mut dgamma, mut dbeta) = (weight.then(|| dgamma.get_mut()), bias.then(|| dbeta.get_mut()));
    let (gamma, beta) = (dgamma.as_deref_mut(), dbeta.as_deref_mut());
    (forms.layer_norm_backward_weight)(dy, x, moments, gamma, beta, shape, adds[1]);
    if let Some(squares) = squares {
        let (gamma, beta) = (dgamma.as_deref(), dbeta.as_deref());
        twin::nn::layer_norm_backward_weight_squares(gamma, beta, shape, squares);
    }
}

fn softmax_cross_entropy(mut call: Call<'_>) {
    let (forms, gradient, loss_scale) = (call.forms, call.switch("GRADIENT", true), take_loss_scale(&mut call));
    let [z, labels, dz, verdicts, position, shape] = call.take();
    let (dz, verdicts) = (gradient.then(|| dz.get_mut()), verdicts.get_mut());
    let (labels, shape): (&[u32], &Loss) = (labels.get(), shape.one());
    let weight = shape.weight(labels, position.one(), loss_scale);
    (forms.softmax_cross_entropy)(z.get(), labels, dz, verdicts, weight, shape);
}

fn take_loss_scale(call: &mut Call<'_>) -> Option<f32> {
    call.take_added(Scaled).map(|[loss_scale]| *loss_scale.one())
}

fn binary_cross_entropy(mut call: Call<'_>) {
    let (gradient, loss_scale) = (call.switch("GRADIENT", true), take_loss_scale(&mut call));
    let [z, targets, labels, dz, verdicts, position, shape] = call.take();
    let (z, targets, dz) = (z.get(), targets.get(), gradient.then(|| dz.get_mut()));
    let (labels, shape): (&[u32], &Loss) = (labels.get(), shape.one());
    let weight = shape.weight(labels, position.one(), loss_scale);
    twin::nn::binary_cross_entropy(z, targets, labels, dz, verdicts.get_mut(), weight, shape);
}

fn squared_error(mut call: Call<'_>) {
    let (gradient, loss_scale) = (call.switch("GRADIENT", true), take_loss_scale(&mut call));
    let [z, targets, labels, dz, verdicts, position, shape] = call.take();
    let (z, targets, dz) = (z.get(), targets.get(), gradient.then(|| dz.get_mut()));
    let (labels, shape): (&[u32], &Loss) = (labels.get(), shape.one());
    let weight = shape.weight(labels, position.one(), loss_scale);
    twin::nn::squared_error(z, targets, labels, dz, verdicts.get_mut(), weight, shape);
}

fn confusion(call: Call<'_>) {
    let [z, labels, cells, position, shape] = call.take();
    twin::nn::confusion(z.get(), labels.get(), cells.get_mut(), position.one(), shape.one());
}

fn label_confusion(call: Call<'_>) {
    let [z, targets, labels, cells, position, shape] = call.take();
    let (z, targets, labels) = (z.get(), targets.get(), labels.get());
    twin::nn::label_confusion(z, targets, labels, cells.get_mut(), position.one(), shape.one());
}

fn squared_error_sums(call: Call<'_>) {
    let [z, targets, labels, sums, position, shape] = call.take();
    let (z, targets, labels) = (z.get(), targets.get(), labels.get());
    twin::nn::squared_error_sums(z, targets, labels, sums.get_mut(), position.one(), shape.one());
}

fn judge(call: Call<'_>) {
    let (is_accuracy, is_higher) = (call.switch("ACCURACY", false), call.switch("HIGHER", false));
    let [metrics, standing] = call.take();
    twin::nn::judge(metrics.one(), standing.one_mut(), is_accuracy, is_higher);
}

fn tally(call: Call<'_>) {
    let [verdicts, metrics, position, shape] = call.take();
    twin::nn::tally(verdicts.get(), metrics.one_mut(), position.one(), shape.one());
}
