//! Multi-head attention: one dispatch forward, three backward, from the sizes and the memory they work on.
//!
//! Memory is given in the order in which the shader's head lists it. Queries, keys and values lie in one buffer, side by
//! side ([`Attention::fused`]) or one after the other ([`Attention::planes`]); their gradients lie likewise in another.

use super::Error;
use crate::engine::layout::Attention;
use crate::engine::{Dispatch, Engine, Range, kernel, row_of};

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
    dispatch(engine, "attention", shape, Some(sight), memory.into(), position)
}

/// delta = dout · out for each query. Memory: dout, out, delta.
///
/// # Errors
/// Out of device memory.
pub fn attention_backward_delta(engine: &Engine, shape: &Attention, memory: [Range; 3]) -> Result<Dispatch, Error> {
    dispatch(engine, "attention_backward_delta", shape, None, memory.into(), None)
}

/// The queries' part of dqkv. Memory: qkv, mask, dout, lse, delta, dqkv.
///
/// # Errors
/// Out of device memory.
pub fn attention_backward_query(
    engine: &Engine,
    shape: &Attention,
    sight: Sight,
    memory: [Range; 6],
    position: Option<Range>,
) -> Result<Dispatch, Error> {
    dispatch(engine, "attention_backward_query", shape, Some(sight), memory.into(), position)
}

/// The keys' and the values' parts of dqkv. Memory: qkv, mask, dout, lse, delta, dqkv.
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
    dispatch(engine, "attention_backward_key_value", shape, Some(sight), memory.into(), position)
}

/// Numbers of lse and of delta.
pub fn numbers(shape: &Attention) -> u64 {
    u64::from(shape.batch) * u64::from(shape.heads) * u64::from(shape.context)
}

/// The kernel over its memory, the shape, and the position where weights are dropped. Bytes count each row once.
fn dispatch(
    engine: &Engine,
    name: &str,
    shape: &Attention,
    sight: Option<Sight>,
    memory: Vec<Range>,
    position: Option<Range>,
) -> Result<Dispatch, Error> {
    let row = 16 * u64::from(shape.head_quads);
    let (invocations, rows) = match name {
        "attention_backward_delta" => (numbers(shape), 2),
        "attention" => (runs(shape), 4),
        "attention_backward_query" => (runs(shape), 5),
        _ => (runs(shape), 6),
    };
    let name = if position.is_some() { format!("{name}.dropout") } else { name.to_owned() };
    let sizes = engine.buffer_with("attention shape", &[*shape])?.all();
    let mut constants = vec![("WORKGROUP", f64::from(workgroup(engine)))];
    constants.extend(sight.map(|sight| ("CAUSAL", f64::from(u8::from(sight == Sight::Causal)))));
    Ok(Dispatch {
        kernel: kernel(&name)?,
        bindings: memory.into_iter().chain([sizes]).chain(position).map(Into::into).collect(),
        constants,
        grid: row_of(invocations.div_ceil(u64::from(workgroup(engine))) as u32),
        bytes: rows * row * numbers(shape),
    })
}

/// Invocations of a workgroup. A software adapter runs an invocation as one lane of a vector register.
fn workgroup(engine: &Engine) -> u32 {
    if engine.is_software() { 8 } else { 64 }
}

/// Runs of 8 tokens: one invocation takes 8 queries, or 8 keys, of one head.
///
/// Loads are what costs on a software adapter, so an invocation makes 8 by 8 scores and keeps no row of a head: forward
/// over 16 examples of 64 tokens, 4 heads of 32, no mask, is 2.8 ms (llvmpipe, 2 cores; all of these in turn). Rows of 4
/// queries and their sums in registers, the loops over a head unrolled: 3.3 ms, but 2.2 s to compile (16 s for arrays of
/// 32 vec4s) where this takes 0.5. A workgroup that shares its weights, each lane with 8 queries by 8 numbers of out in
/// registers, 16 queries by 16, 32 or 64 keys: 6.3, 5.0, 4.6 ms; 32 by 32: 4.9 ms.
///
/// With 4 heads of 32 on 16 · 64 tokens, causal: 2.0 ms forward, 7.3 backward (delta 0.3, query 2.7, keys 4.3). With 12
/// heads on 4 · 64, every key seen: 2.0 and 7.4. These are the least of 21 runs beside other work.
///
/// A GPU likely wants that workgroup: here it has few invocations for its width, and its sums go through its caches (not
/// measured there).
fn runs(shape: &Attention) -> u64 {
    u64::from(shape.batch) * u64::from(shape.heads) * u64::from(shape.context.div_ceil(8))
}
