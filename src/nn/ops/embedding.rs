//! Embeddings. A model's tables of tokens, positions and types are trained by the same two kernels, each with an index
//! of its own.

use super::{Operation, read_as, switch};
use crate::engine::kernels::{EMBEDDING, EMBEDDING_BACKWARD, EMBEDDING_INDEX, Flag};
use crate::engine::layout::{Embedding, NONE};
use crate::engine::{Dispatch, Engine, Range};
use crate::nn::{Error, Parameter};

/// The embeddings of tokens and their positions, and of their types where given. Memory: tokens, y. Tables: of tokens, of
/// positions; types: token_types, and their table.
///
/// # Errors
/// [`Error::TablesDiffer`], [`Error::Unreadable`]; out of device memory.
pub fn embedding(
    engine: &Engine,
    shape: &Embedding,
    [tokens, y]: [Range; 2],
    tables: [Parameter; 2],
    types: Option<(Range, Parameter)>,
) -> Result<Dispatch, Error> {
    let (types, type_table) = types.unzip();
    let stored = tables[0].1;
    if let Some((_, other)) = tables.iter().chain(&type_table).find(|(_, other)| *other != stored) {
        return Err(Error::TablesDiffer { stored: [stored, *other] });
    }
    let flags = read_as(stored, shape.width, Flag::Tables16)? | Flag::Typed.when(types.is_some());
    let kernel = EMBEDDING.variant(flags)?;
    let [token_table, position_table] = tables.map(|(range, _)| range);
    let of_types = types.into_iter().chain(type_table.map(|(range, _)| range));
    let memory = [tokens, token_table, position_table, y].into_iter().chain(of_types).map(Into::into).collect();
    let invocations = u64::from(shape.rows) * u64::from(shape.quads);
    Operation::of_elements(engine, kernel, memory, invocations, 48 * invocations).dispatch(engine, 4, shape)
}

/// Which rows name which entry; before [`embedding_backward`], once for each new batch of tokens. Memory: tokens,
/// previous (4 bytes a row), last (4 bytes an entry of the table).
///
/// # Errors
/// Out of device memory.
pub fn embedding_index(engine: &Engine, shape: &Embedding, memory: [Range; 3]) -> Result<Dispatch, Error> {
    let memory = memory.into_iter().map(Into::into).collect();
    let rows = u64::from(shape.rows);
    Operation::of_elements(engine, EMBEDDING_INDEX.plain(), memory, rows, 12 * rows).dispatch(engine, 3, shape)
}

/// The gradient of a table, added to what is there with `accumulate`. Memory: tokens, previous, last, dy, dtable.
///
/// With its index, overwriting: 1.1 ms for W2 (96 entries, 1,024 rows, hidden 128), 16 ms for W3 (30,522, 256, 384), of
/// which nearly all is the zeros of 47 MB; added: 1.3 ms and 0.6 ms (llvmpipe, 2 shared cores). Without an index every
/// entry would look at every row: 750 million tokens in W3.
///
/// # Errors
/// Out of device memory.
pub fn embedding_backward(
    engine: &Engine,
    shape: &Embedding,
    memory: [Range; 5],
    accumulate: bool,
) -> Result<Dispatch, Error> {
    let memory = memory.into_iter().map(Into::into).collect();
    let kernel = EMBEDDING_BACKWARD.variant(Flag::Ragged.when(!shape.width.is_multiple_of(4)))?;
    let (rows, entries, quads) = (u64::from(shape.rows), u64::from(shape.entries), u64::from(shape.quads));
    let (places, bytes) = if accumulate { (rows, 48 * rows * quads) } else { (entries, 16 * (rows + entries) * quads) };
    let each = quads_each(places * quads);
    let mut operation = Operation::of_elements(engine, kernel, memory, (places * quads).div_ceil(each), bytes);
    operation.constants.extend([switch("ACCUMULATE", accumulate), ("QUADS", each as f64)]);
    operation.dispatch(engine, 5, shape)
}

/// Vec4s that an invocation makes of so many: one, until there are invocations for any device. W3's table takes 38 ms of
/// processor time with 1, 27 with 4, 23 with 16 and 28 with 64; with its squares 46, 29, 25 and 32 (llvmpipe).
fn quads_each(quads: u64) -> u64 {
    (quads / (1 << 16)).clamp(1, 16)
}

/// What [`embedding_index`] would make of positions, which are the same in every batch: the position of each row, and
/// `previous` and `last` for a table of `shape.entries` positions. Uploaded once.
pub fn position_index(shape: &Embedding) -> [Vec<u32>; 3] {
    let (rows, context) = (shape.rows, shape.context);
    let positions = (0..rows).map(|r| r % context).collect();
    let previous = (0..rows).map(|r| r.checked_sub(context).unwrap_or(NONE)).collect();
    // The last sequence ends the chains; a position past the context is named by no row.
    let last = (0..shape.entries).map(|p| if p < context { rows - context + p } else { NONE }).collect();
    [positions, previous, last]
}
