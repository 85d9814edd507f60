//! Multi-head attention: one dispatch forward, two backward, from the sizes and the memory they work on.
//!
//! Memory is given in the order in which the shader's head lists it. Queries, keys and values lie in one buffer, side by
//! side ([`Attention::fused`]) or one after the other ([`Attention::planes`]); their gradients lie likewise in another.

use super::Error;
use crate::engine::kernels::{ATTENTION, ATTENTION_BACKWARD_KEY_VALUE, ATTENTION_BACKWARD_QUERY, Family, Flag};
use crate::engine::layout::Attention;
use crate::engine::{Dispatch, Engine, Range, Tiling, count, row_of};

/// Which keys a query sees of those that the mask lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// All.
    Both,
    /// None later than itself.
    Causal,
}

/// out = softmax(scale q kᵀ) v, and the log-sum-exp of each query's scores. Memory: qkv, mask, out, lse. With a
/// `position`, weights are dropped at the rate in `shape`.
///
/// # Errors
/// Out of device memory.
pub fn attention(
    engine: &Engine,
    shape: &Attention,
    sight: Sight,
    memory: [Range; 4],
    position: Option<Range>,
) -> Result<Dispatch, Error> {
    dispatch(engine, &ATTENTION, shape, sight, memory.into(), position)
}

/// The queries' part of dqkv, and delta = dout · out for each query. Memory: qkv, mask, out, dout, lse, delta, dqkv.
///
/// # Errors
/// Out of device memory.
pub fn attention_backward_query(
    engine: &Engine,
    shape: &Attention,
    sight: Sight,
    memory: [Range; 7],
    position: Option<Range>,
) -> Result<Dispatch, Error> {
    dispatch(engine, &ATTENTION_BACKWARD_QUERY, shape, sight, memory.into(), position)
}

/// The keys' and the values' parts of dqkv, behind [`attention_backward_query`], which makes delta. Memory: qkv, mask, dout, lse, delta, dqkv.
///
/// # Errors
/// Out of device memory.
pub fn attention_backward_key_value(
    engine: &Engine,
    shape: &Attention,
    sight: Sight,
    memory: [Range; 6],
    position: Option<Range>,
) -> Result<Dispatch, Error> {
    dispatch(engine, &ATTENTION_BACKWARD_KEY_VALUE, shape, sight, memory.into(), position)
}

/// Numbers of lse and of delta.
pub fn numbers(shape: &Attention) -> u64 {
    u64::from(shape.batch) * u64::from(shape.heads) * u64::from(shape.context)
}

/// The kernel over its memory, the shape, and the position where weights are dropped. Bytes count each row once.
fn dispatch(
    engine: &Engine,
    family: &'static Family,
    shape: &Attention,
    sight: Sight,
    memory: Vec<Range>,
    position: Option<Range>,
) -> Result<Dispatch, Error> {
    let row = 16 * u64::from(shape.head_quads);
    let rows = if *family == ATTENTION { 4 } else { 6 };
    // Any tiling but registers is the one that there is.
    let tiled = engine.tiling(family.name, shape.context, 4 * shape.head_quads) != Tiling::Registers;
    let (workgroup, groups) = if tiled {
        (BLOCK_INVOCATIONS, runs(shape, BLOCK))
    } else {
        (engine.sizes().products, runs(shape, RUN).div_ceil(u64::from(engine.sizes().products)))
    };
    let flags = Flag::Tiled.when(tiled) | Flag::Dropout.when(position.is_some());
    let sizes = engine.buffer_with("attention shape", &[*shape])?.all();
    let causal = f64::from(u8::from(sight == Sight::Causal));
    Ok(Dispatch {
        kernel: family.variant(flags)?,
        bindings: memory.into_iter().chain([sizes]).chain(position).map(Into::into).collect(),
        constants: vec![("WORKGROUP", f64::from(workgroup)), ("CAUSAL", causal)],
        grid: row_of(count("workgroups", groups)?),
        bytes: rows * row * numbers(shape),
    })
}

/// Tokens of a run, which one invocation takes: 8 queries, or 8 keys, of one head.
///
/// Loads are what costs on a software adapter, so an invocation makes 8 by 8 scores and keeps no row of a head: forward
/// over 16 examples of 64 tokens, 4 heads of 32, no mask, is 2.8 ms (llvmpipe, 2 cores; all of these in turn). Rows of 4
/// queries and their sums in registers, the loops over a head unrolled: 3.3 ms, but 2.2 s to compile (16 s for arrays of
/// 32 vec4s) where this takes 0.5.
///
/// With 4 heads of 32 on 16 · 64 tokens, causal: 2.0 ms forward, 7.3 backward. With 12 heads on 4 · 64, every key
/// seen: 2.0 and 7.4. These are the least of 21 runs beside other work.
const RUN: u32 = 8;

/// Tokens of a block, which a workgroup of so many invocations takes: a GPU has few runs for its width (not measured there).
const BLOCK: u32 = 32;
const BLOCK_INVOCATIONS: u32 = 64;

fn runs(shape: &Attention, tokens: u32) -> u64 {
    u64::from(shape.batch) * u64::from(shape.heads) * u64::from(shape.context.div_ceil(tokens))
}
