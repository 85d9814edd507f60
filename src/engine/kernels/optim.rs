//! The kernels of the optimizer.

use super::call::Call;
use super::family::Access::{Clock, Read, ReadShared, ReadWrite, Uniform};
use super::family::{Family, Word};
use super::flags::Flag::{Amsgrad, Average, Grads16, Halves, Params16, SingleGrads, SingleParams};
use super::rules::ADAMW_TEXT;
use crate::engine::forms::fast;
use crate::twin;
use crate::twin::shared::Stored;
use bytemuck::{AnyBitPattern, NoUninit};

/// Partial norms: work list, control, gradients, segment, tensors, bounds.
pub static NORM: Family = Family::new(
    "norm",
    include_str!("../../../shaders/optim/norm.wgsl"),
    &[Read, ReadWrite, Read, Uniform, Read, Read],
    norm,
)
.with(&[Word::of(Grads16), Word::of(SingleGrads).never_with(&[Grads16])]);

/// The same of squares: work list, control, squares, segment, bounds.
pub static NORM_FOLD: Family = Family::new(
    "norm_fold",
    include_str!("../../../shaders/optim/norm_fold.wgsl"),
    &[Read, ReadWrite, Read, Uniform, Read],
    norm_fold,
);

/// What a step decides: control, table, tensors, settings, clock, sets.
pub static CONTROL: Family = Family::new(
    "control",
    include_str!("../../../shaders/optim/control.wgsl"),
    &[ReadWrite, Read, Read, Uniform, Clock, Read],
    control,
);

/// The sums of each tensor, from those of its chunks: folds, places, sums, control, segment.
pub static SUMS_FOLD: Family = Family::new(
    "sums_fold",
    include_str!("../../../shaders/optim/sums_fold.wgsl"),
    &[Read, Read, Read, ReadWrite, Uniform],
    sums_fold,
);

/// Products of matrices of one shape: places, left, right, added, out, product.
pub static PRODUCT: Family = Family::new(
    "product",
    include_str!("../../../shaders/optim/product.wgsl"),
    &[Read, Read, Read, Read, ReadWrite, Uniform],
    product,
);

/// AdamW with moments in a byte each.
pub static ADAMW_INT8: Family = Family::new(
    "adamw_int8",
    include_str!("../../../shaders/optim/adamw_int8.wgsl"),
    &[Read, Read, ReadWrite, ReadWrite, ReadWrite, Read, Uniform],
    adamw_int8,
)
.by(ADAMW_TEXT)
.with(&[
    Word::of(SingleGrads).shares(5),
    Word::of(SingleParams).only_with(SingleGrads),
    Word::of(Amsgrad).adds(&[ReadWrite]),
    Word::of(Average).adds(&[ReadWrite]),
    Word::of(Params16).never_with(&[SingleGrads, Average]),
    Word::of(Grads16).only_with(Params16),
]);

/// Parameters and averages change places: work list, control, parameters, average, segment.
pub static SWAP: Family = Family::new(
    "swap",
    include_str!("../../../shaders/optim/swap.wgsl"),
    &[Read, Read, ReadWrite, ReadWrite, Uniform],
    swap,
)
.with(&[Word::of(SingleParams)]);

/// Only clipping: work list, control, gradients, segment.
pub static CLIP: Family =
    Family::new("clip", include_str!("../../../shaders/optim/clip.wgsl"), &[Read, Read, ReadWrite, Uniform], clip)
        .with(&[Word::of(SingleGrads)]);

/// Copies if an evaluation was the best: standing, spans, source, copies.
pub static KEEP: Family =
    Family::new("keep", include_str!("../../../shaders/optim/keep.wgsl"), &[Read, Read, Read, ReadWrite], keep);

/// Rows of a tensor that is resized: the list, control, old, new, which pieces.
pub static RESIZE: Family = Family::new(
    "resize",
    include_str!("../../../shaders/optim/resize.wgsl"),
    &[Read, ReadWrite, ReadShared, ReadWrite, Uniform],
    resize,
)
.with(&[Word::of(Halves)]);

fn norm(call: Call<'_>) {
    let (kind, order, is_16) = (call.constant("NORM", 2), call.number("ORDER", 2.0), call.has(Grads16));
    let [chunks, control, grads, segment, tensors, bounds] = call.take();
    let (chunks, control, segment, tensors) = (chunks.get(), control.get_mut(), segment.one(), tensors.get());
    if is_16 {
        twin::optim::norm::<u16>(chunks, control, grads.get(), segment, tensors, bounds.get(), (kind, order));
    } else {
        twin::optim::norm::<f32>(chunks, control, grads.get(), segment, tensors, bounds.get(), (kind, order));
    }
}

fn norm_fold(call: Call<'_>) {
    let kind = call.constant("NORM", 2);
    let [chunks, control, squares, segment, bounds] = call.take();
    twin::optim::norm_fold(chunks.get(), control.get_mut(), squares.get(), segment.one(), bounds.get(), kind);
}

fn control(call: Call<'_>) {
    let order = call.number("ORDER", 2.0);
    let [control, table, tensors, settings, clock, sets] = call.take();
    let (table, tensors, settings) = (table.get(), tensors.get(), settings.one());
    twin::optim::control(control.get_mut(), table, tensors, settings, clock.clock(), sets.get(), order);
}

fn sums_fold(call: Call<'_>) {
    let [folds, places, sums, control, segment] = call.take();
    twin::optim::sums_fold(folds.get(), places.get(), sums.get(), control.get_mut(), segment.one());
}

fn product(call: Call<'_>) {
    let form = if call.forms.are_fast { fast::product } else { twin::optim::product };
    let [places, left, right, added, out, product] = call.take();
    form(places.get(), left.get(), right.get(), added.get(), out.get_mut(), product.one());
}

fn adamw_int8(call: Call<'_>) {
    match [Params16, Grads16].map(|flag| call.has(flag)) {
        [false, _] => adamw_int8_of::<f32, f32>(call),
        [true, false] => adamw_int8_of::<u16, f32>(call),
        [true, true] => adamw_int8_of::<u16, u16>(call),
    }
}

fn adamw_int8_of<P, G>(mut call: Call<'_>)
where
    P: Stored + AnyBitPattern + NoUninit,
    G: Stored + AnyBitPattern,
{
    let average = call.take_array(Average);
    let v_max = call.take_array(Amsgrad);
    let [chunks, control, m, v, params, grads, segment] = call.take();
    let (m, v, params) = (m.get_mut(), v.get_mut(), params.get_mut::<P>());
    let grads = grads.get::<G>();
    twin::optim::adamw_int8(chunks.get(), control.get(), m, v, params, grads, segment.one(), v_max, average);
}

fn swap(call: Call<'_>) {
    let [chunks, control, params, average, segment] = call.take();
    twin::optim::swap(chunks.get(), control.get(), params.get_mut(), average.get_mut(), segment.one());
}

fn clip(call: Call<'_>) {
    let [chunks, control, grads, segment] = call.take();
    twin::optim::clip(chunks.get(), control.get(), grads.get_mut(), segment.one());
}

fn keep(call: Call<'_>) {
    let where_known = call.switch("KNOWN", false);
    let [standing, spans, source, copies] = call.take();
    twin::optim::keep(standing.one(), spans.get(), source.get(), copies.get_mut(), where_known);
}

fn resize(call: Call<'_>) {
    let is_halves = call.has(Halves);
    let [rows, control, old, new, resize] = call.take();
    let (rows, control, resize) = (rows.get(), control.get_mut(), resize.one());
    if is_halves {
        twin::optim::resize::<u16>(rows, control, old.get(), new.get_mut(), resize);
    } else {
        twin::optim::resize::<u32>(rows, control, old.get(), new.get_mut(), resize);
    }
}
