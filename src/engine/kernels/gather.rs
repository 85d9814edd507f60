//! The kernels that gather a batch.

use super::call::Call;
use super::family::Access::{Clock, Read, ReadWrite, Uniform};
use super::family::Family;
use crate::twin;

/// Rows of numbers: data, labels, x, y, position, table, shape, clock.
pub static GATHER: Family = Family::new(
    "gather",
    include_str!("../../../shaders/nn/gather.wgsl"),
    &[Read, Read, ReadWrite, ReadWrite, ReadWrite, Read, Uniform, Clock],
    gather,
);

/// Rows that a frozen trunk has made: cached, out, position, shape.
pub static GATHER_CACHED: Family = Family::new(
    "gather_cached",
    include_str!("../../../shaders/nn/gather_cached.wgsl"),
    &[Read, ReadWrite, Read, Uniform],
    gather_cached,
);

/// Pictures with labels: data, labels, x, y, position, table, shape, clock.
pub static GATHER_PICTURES: Family = Family::new(
    "gather_pictures",
    include_str!("../../../shaders/nn/gather_pictures.wgsl"),
    &[Read, Read, ReadWrite, ReadWrite, ReadWrite, Read, Uniform, Clock],
    gather_pictures,
);

/// Sequences with labels: sequences, tokens, mask, types, labels, position, table, shape, clock.
pub static GATHER_SEQUENCES: Family = Family::new(
    "gather_sequences",
    include_str!("../../../shaders/nn/gather_sequences.wgsl"),
    &[Read, ReadWrite, ReadWrite, ReadWrite, ReadWrite, ReadWrite, Read, Uniform, Clock],
    gather_sequences,
);

/// Windows of a text: tokens, inputs, targets, mask, position, table, shape, clock.
pub static GATHER_TOKENS: Family = Family::new(
    "gather_tokens",
    include_str!("../../../shaders/nn/gather_tokens.wgsl"),
    &[Read, ReadWrite, ReadWrite, ReadWrite, ReadWrite, Read, Uniform, Clock],
    gather_tokens,
);

fn gather(call: Call<'_>) {
    let shuffle = call.switch("SHUFFLE", true);
    let [data, labels, x, y, position, table, shape, clock] = call.take();
    let (data, labels, x, y) = (data.get(), labels.get(), x.get_mut(), y.get_mut());
    let (position, header, shape) = (position.one_mut(), table.one(), shape.one());
    twin::nn::gather(data, labels, x, y, position, header, shape, clock.clock(), shuffle);
}

fn gather_cached(call: Call<'_>) {
    let shuffle = call.switch("SHUFFLE", true);
    let [cached, out, position, shape] = call.take();
    twin::nn::gather_cached(cached.get(), out.get_mut(), position.one(), shape.one(), shuffle);
}

fn gather_pictures(call: Call<'_>) {
    let switches = [call.switch("SHUFFLE", true), call.switch("AUGMENT", false), call.switch("AHEAD", false)];
    let [data, labels, x, y, position, table, shape, clock] = call.take();
    let (data, labels, x, y) = (data.get(), labels.get(), x.get_mut(), y.get_mut());
    let (position, header, shape) = (position.one_mut(), table.one(), shape.one());
    twin::nn::gather_pictures(data, labels, x, y, position, header, shape, clock.clock(), switches);
}

fn gather_sequences(call: Call<'_>) {
    let shuffle = call.switch("SHUFFLE", true);
    let [sequences, tokens, mask, types, labels, position, table, shape, clock] = call.take();
    let (tokens, mask, types, labels) = (tokens.get_mut(), mask.get_mut(), types.get_mut(), labels.get_mut());
    let (position, header, shape, slot) = (position.one_mut(), table.one(), shape.one(), clock.clock());
    let sequences = sequences.get();
    twin::nn::gather_sequences(sequences, tokens, mask, types, labels, position, header, shape, slot, shuffle);
}

fn gather_tokens(call: Call<'_>) {
    let shuffle = call.switch("SHUFFLE", true);
    let [tokens, inputs, targets, mask, position, table, shape, clock] = call.take();
    let (inputs, targets, mask) = (inputs.get_mut(), targets.get_mut(), mask.get_mut());
    let (position, header, shape, slot) = (position.one_mut(), table.one(), shape.one(), clock.clock());
    twin::nn::gather_tokens(tokens.get(), inputs, targets, mask, position, header, shape, slot, shuffle);
}
