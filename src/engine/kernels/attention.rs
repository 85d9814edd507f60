//! The kernels of attention.

use super::call::Call;
use super::family::Access::{Read, ReadWrite, Uniform};
use super::family::{BF16_VALUES, F16_VALUES, Family, Word};
use super::flags::Flag::{Dropout, Tiled};
use crate::twin::nn::AttentionPast;
use crate::twin::shared::Position;

/// Forward: qkv, mask, out, lse, shape; then the batch's place.
pub static ATTENTION: Family = Family::new(
    "attention",
    include_str!("../../../shaders/nn/attention.wgsl"),
    &[Read, Read, ReadWrite, ReadWrite, Uniform],
    attention,
)
.with(&WORDS);

/// To the queries: qkv, mask, out, dout, lse, delta, dqkv, shape; then the batch's place.
pub static ATTENTION_BACKWARD_QUERY: Family = Family::new(
    "attention_backward_query",
    include_str!("../../../shaders/nn/attention_backward_query.wgsl"),
    &[Read, Read, Read, Read, Read, ReadWrite, ReadWrite, Uniform],
    attention_backward_query,
)
.with(&WORDS)
.taking_differences();

/// To keys and values: the same without out.
pub static ATTENTION_BACKWARD_KEY_VALUE: Family = Family::new(
    "attention_backward_key_value",
    include_str!("../../../shaders/nn/attention_backward_key_value.wgsl"),
    &[Read, Read, Read, Read, Read, ReadWrite, Uniform],
    attention_backward_key_value,
)
.with(&WORDS)
.taking_differences();

static WORDS: [Word; 4] = [Word::of(Tiled), BF16_VALUES, F16_VALUES, Word::of(Dropout).adds(&[Read])];

fn attention(mut call: Call<'_>) {
    let (causal, forms, position) = (is_causal(&call), call.forms, take_position(&mut call));
    let [qkv, mask, out, lse, shape] = call.take();
    (forms.attention)(qkv.get(), mask.get(), out.get_mut(), lse.get_mut(), shape.one(), position, causal);
}

fn attention_backward_query(mut call: Call<'_>) {
    let (causal, forms, position) = (is_causal(&call), call.forms, take_position(&mut call));
    let [qkv, mask, out, dout, lse, delta, dqkv, shape] = call.take();
    let (qkv, mask, dout, lse) = (qkv.get(), mask.get(), dout.get(), lse.get());
    let (delta, shape) = (delta.get_mut(), shape.one());
    (forms.attention_backward_delta)(dout, out.get(), delta, shape);
    let past = AttentionPast { qkv, mask, dout, lse, delta, shape, position, causal };
    (forms.attention_backward_query)(&past, dqkv.get_mut());
}

fn attention_backward_key_value(mut call: Call<'_>) {
    let (causal, forms, position) = (is_causal(&call), call.forms, take_position(&mut call));
    let [qkv, mask, dout, lse, delta, dqkv, shape] = call.take();
    let (qkv, mask, dout, lse) = (qkv.get(), mask.get(), dout.get(), lse.get());
    let (delta, shape) = (delta.get(), shape.one());
    let past = AttentionPast { qkv, mask, dout, lse, delta, shape, position, causal };
    (forms.attention_backward_key_value)(&past, dqkv.get_mut());
}

fn is_causal(call: &Call<'_>) -> bool {
    call.switch("CAUSAL", false)
}

/// The batch's place, if weights are dropped.
fn take_position<'a>(call: &mut Call<'a>) -> Option<&'a Position> {
    call.take_added(Dropout).map(|[position]| position.one())
}
