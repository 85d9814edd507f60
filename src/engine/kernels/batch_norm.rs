//! The kernels of batch norms.

use super::call::Call;
use super::family::Access::{Read, ReadShared, ReadWrite, Uniform};
use super::family::{BF16_VALUES, F16_VALUES, Family, Word};
use super::flags::Flag::Squares;
use crate::twin;
use crate::twin::shared::{BatchNorm, ChannelSlopes, Running};

/// Moments of each channel: x, running mean and variance, count, moments, shape.
pub static BATCH_MOMENTS: Family = Family::new(
    "batch_moments",
    include_str!("../../../shaders/nn/batch_moments.wgsl"),
    &[Read, ReadWrite, ReadWrite, ReadShared, ReadWrite, Uniform],
    batch_moments,
)
.with(&[BF16_VALUES, F16_VALUES])
.taking_differences()
.adding_rows();

/// Forward: x, gamma, beta, moments, y, count, shape.
pub static BATCH_NORM: Family = Family::new(
    "batch_norm",
    include_str!("../../../shaders/nn/batch_norm.wgsl"),
    &[Read, Read, Read, Read, ReadWrite, ReadWrite, Uniform],
    batch_norm,
)
.with(&[BF16_VALUES, F16_VALUES])
.taking_differences();

/// To gamma and beta: dy, x, moments, slopes, dgamma, dbeta, shape; then squares.
pub static BATCH_NORM_BACKWARD_WEIGHT: Family = Family::new(
    "batch_norm_backward_weight",
    include_str!("../../../shaders/nn/batch_norm_backward_weight.wgsl"),
    &[Read, Read, Read, ReadWrite, ReadWrite, ReadWrite, Uniform],
    batch_norm_backward_weight,
)
.with(&[BF16_VALUES, F16_VALUES, Word::of(Squares).adds(&[ReadWrite])])
.taking_differences()
.adding_rows();

/// To the input: dy, x, gamma, moments, slopes, dx, shape.
pub static BATCH_NORM_BACKWARD_INPUT: Family = Family::new(
    "batch_norm_backward_input",
    include_str!("../../../shaders/nn/batch_norm_backward_input.wgsl"),
    &[Read, Read, Read, Read, Read, ReadWrite, Uniform],
    batch_norm_backward_input,
)
.with(&[BF16_VALUES, F16_VALUES])
.taking_differences();

fn batch_moments(call: Call<'_>) {
    let (forms, tracks, running) = (call.forms, call.switch("TRACK", false), call.switch("RUNNING", false));
    let [x, mean, variance, count, moments, shape] = call.take();
    let (mean, variance, moments, shape) = (mean.get_mut(), variance.get_mut(), moments.get_mut(), shape.one());
    if running {
        return twin::nn::running_moments(mean, variance, moments, shape);
    }
    let (x, count) = (x.get(), if tracks { *count.one() } else { 0.0f32 });
    for (ghost, (shape, first, channel)) in shape.each_ghost().enumerate() {
        let count = count + ghost as f32;
        let running = tracks.then_some(Running { mean: &mut *mean, variance: &mut *variance, count });
        (forms.batch_moments)(&x[first..], running, &mut moments[channel..], &shape);
    }
}

fn batch_norm(call: Call<'_>) {
    let (forms, tracks) = (call.forms, call.switch("TRACK", false));
    let [x, gamma, beta, moments, y, count, shape] = call.take();
    let (x, gamma, beta, moments) = (x.get(), gamma.get(), beta.get(), moments.get());
    let (y, shape) = (y.get_mut(), shape.one::<BatchNorm>());
    for (ghost, first, channel) in shape.each_ghost() {
        (forms.batch_norm)(&x[first..], gamma, beta, &moments[channel..], &mut y[first..], &ghost);
    }
    if tracks {
        *count.one_mut::<f32>() += shape.ghosts() as f32;
    }
}

fn batch_norm_backward_weight(mut call: Call<'_>) {
    let (forms, accumulate) = (call.forms, call.switch("ACCUMULATE", false));
    let (weight, bias) = (call.switch("WEIGHT", true), call.switch("BIAS", true));
    let squares = call.take_array(Squares);
    let [dy, x, moments, slopes, dgamma, dbeta, shape] = call.take();
    let (mut dgamma, mut dbeta) = (weight.then(|| dgamma.get_mut()), bias.then(|| dbeta.get_mut()));
    let (dy, x, moments, slopes, shape) = (dy.get(), x.get(), moments.get(), slopes.get_mut(), shape.one());
    for (ghost, first, channel) in BatchNorm::each_ghost(shape) {
        let (gamma, beta) = (dgamma.as_deref_mut(), dbeta.as_deref_mut());
        let (dy, x, moments, slopes) = (&dy[first..], &x[first..], &moments[channel..], &mut slopes[channel..]);
        let accumulate = accumulate || first > 0;
        (forms.batch_norm_backward_weight)(dy, x, moments, slopes, gamma, beta, &ghost, accumulate);
    }
    if let Some(squares) = squares {
        let (gamma, beta) = (dgamma.as_deref(), dbeta.as_deref());
        twin::nn::batch_norm_backward_weight_squares(gamma, beta, shape, squares);
    }
}

fn batch_norm_backward_input(call: Call<'_>) {
    let (forms, accumulate) = (call.forms, call.switch("ACCUMULATE", false));
    let running = call.switch("RUNNING", false);
    let [dy, x, gamma, moments, slopes, dx, shape] = call.take();
    let of_batch = (!running).then(|| (x.get(), slopes.get()));
    let (gamma, moments) = (gamma.get(), moments.get());
    let (dy, dx) = (dy.get(), dx.get_mut());
    for (ghost, first, channel) in shape.one::<BatchNorm>().each_ghost() {
        let of_batch = of_batch.map(|(x, slopes): (&[f32], &[ChannelSlopes])| (&x[first..], &slopes[channel..]));
        let (dy, dx, moments) = (&dy[first..], &mut dx[first..], &moments[channel..]);
        (forms.batch_norm_backward_input)(dy, of_batch, gamma, moments, dx, &ghost, accumulate);
    }
}
