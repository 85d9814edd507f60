//! Embeddings. A model's tables of tokens, positions and types are trained by the same two kernels, each with its own
//! index.

use super::squares::{Target, constant, invocations};
use super::{Draft, Operate, Uses, lanes, quads, read_as, switch};
use crate::engine::kernels::{EMBEDDING, EMBEDDING_BACKWARD, EMBEDDING_INDEX, Flag};
use crate::engine::layout::NONE;
use crate::engine::{Dispatch, Engine, Range, counted, layout};
use crate::nn::graph::{Backward, Form, Graph, Home, Nodes, Placing, Sample, Value};
use crate::nn::{Error, Parameter};

/// A table of a model: its parameter, and how many entries it has.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Table {
    /// The parameter's name.
    pub parameter: String,
    /// Its rows.
    pub entries: usize,
    /// Of a table of positions: the entry of the first one.
    pub first_entry: usize,
}

impl Table {
    /// The table of this parameter, with so many entries.
    pub fn new(parameter: &str, entries: usize) -> Table {
        Table { parameter: parameter.to_owned(), entries, first_entry: 0 }
    }

    /// A table of positions whose first one is this entry: RoBERTa's begin at 2.
    #[must_use]
    pub fn from(self, first_entry: usize) -> Table {
        Table { first_entry, ..self }
    }
}

/// The sum of a token's embedding, its position's and its type's.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Embedding {
    tokens: Value,
    types: Option<Value>,
    /// Of tokens, positions and, if there are any, types.
    tables: Vec<Table>,
    y: Value,
}

/// Which rows of the batch name which entry of a table.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct EmbeddingIndex {
    sizes: TableSizes,
    names: Value,
    previous: Value,
    last: Value,
}

/// The gradient of a table, along the chains of rows that name one entry; of a table of few entries without an index.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct EmbeddingBackward {
    sizes: TableSizes,
    parameter: Option<String>,
    names: Value,
    /// Previous and last.
    index: Option<[Value; 2]>,
    dy: Value,
    adds: bool,
}

/// Entries of a table, its width, and the token types and first position of its model.
#[derive(Clone, Copy, Debug, PartialEq)]
struct TableSizes {
    entries: usize,
    width: usize,
    types: usize,
    first_position: usize,
}

impl Graph {
    /// The sum of a token's embedding and its position's, and of its type's if there are `types`, which come with their
    /// table.
    pub fn embedding(
        &mut self,
        tokens: Value,
        [token_table, position_table]: [Table; 2],
        types: Option<(Value, Table)>,
        width: usize,
    ) -> Value {
        let form = Form::Rows { per_example: self.context, width };
        let y = self.nodes.shared("embedded", form);
        let (types, type_table) = types.unzip();
        let tables = [token_table, position_table].into_iter().chain(type_table).collect();
        self.push(Embedding { tokens, types, tables, y });
        y
    }
}

impl Embedding {
    fn types(&self) -> usize {
        self.tables.get(2).map_or(0, |table| table.entries)
    }

    fn sizes(&self, table: &Table, width: usize) -> TableSizes {
        let (types, first_position) = (self.types(), self.tables[1].first_entry);
        TableSizes { entries: table.entries, width, types, first_position }
    }
}

impl TableSizes {
    fn shape<E: From<Error>>(self, at: &Placing<'_, E>) -> layout::Embedding {
        shape(self, [at.examples(), at.context()])
    }
}

fn shape(sizes: TableSizes, [examples, context]: [usize; 2]) -> layout::Embedding {
    let TableSizes { entries, width, types, first_position } = sizes;
    layout::Embedding {
        rows: counted(examples * context),
        width: counted(width),
        quads: counted(quads(width)),
        context: counted(context),
        entries: counted(entries),
        types: counted(types),
        first_position: counted(first_position),
        ..layout::Embedding::default()
    }
}

impl Operate for Embedding {
    fn uses(&self) -> Uses {
        Uses::new([Some(self.tokens), self.types], [self.y])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.tokens, &mut self.y].into_iter().chain(&mut self.types).for_each(see);
    }

    fn params(&self) -> Vec<&str> {
        self.tables.iter().map(|table| table.parameter.as_str()).collect()
    }

    fn shapes(&self, nodes: &Nodes) -> Vec<Vec<usize>> {
        let width = nodes[self.y].form.width();
        self.tables.iter().map(|table| vec![table.entries, width]).collect()
    }

    /// Each table by an index of who names what. Positions are the same in every batch, and so is their index.
    fn backward(&self, back: &mut Backward<'_>) {
        let Some(dy) = back.of(self.y) else { return };
        let (width, batch) = (back.form(self.y).width(), back.batch());
        let names = [Some(self.tokens), None, self.types];
        for (table, names) in self.tables.iter().zip(names) {
            for ([parameter], adds) in back.trained([Some(&table.parameter)]) {
                let sizes = self.sizes(table, width);
                let (names, index) = match names {
                    Some(names) if table.entries <= FEW => (names, None),
                    Some(names) => {
                        let form = Form::words(batch[1]);
                        let previous = back.nodes.add("embedding previous", form, Home::Own);
                        let entries = Form::Fixed { bytes: table.entries as u64 * 4 };
                        let last = back.nodes.add("embedding last", entries, Home::Own);
                        back.push(EmbeddingIndex { sizes, names, previous, last });
                        (names, Some([previous, last]))
                    }
                    None => {
                        let [positions, previous, last] = position_index(&shape(sizes, batch));
                        let [positions, previous, last] =
                            [("positions", positions), ("position previous", previous), ("position last", last)]
                                .map(|(label, words)| back.nodes.constant(label, words));
                        (positions, Some([previous, last]))
                    }
                };
                back.push(EmbeddingBackward { sizes, parameter, names, index, dy, adds });
            }
        }
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let sizes = self.sizes(&self.tables[0], at.width(self.y));
        let types = match (self.types, self.tables.get(2)) {
            (Some(types), Some(table)) => Some((at.range(types)?, at.parameter(&table.parameter)?)),
            _ => None,
        };
        let tables = [at.parameter(&self.tables[0].parameter)?, at.parameter(&self.tables[1].parameter)?];
        Ok(Some(embedding(at.engine(), &sizes.shape(at), at.ranges([self.tokens, self.y])?, tables, types)?))
    }
}

impl Operate for EmbeddingIndex {
    fn uses(&self) -> Uses {
        Uses::new([self.names], [self.previous, self.last])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.names, &mut self.previous, &mut self.last].into_iter().for_each(see);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let memory = at.ranges([self.names, self.previous, self.last])?;
        Ok(Some(embedding_index(at.engine(), &self.sizes.shape(at), memory)?))
    }
}

impl Operate for EmbeddingBackward {
    fn uses(&self) -> Uses {
        Uses::reading([self.names, self.dy].into_iter().chain(self.index.into_iter().flatten()).collect::<Vec<_>>())
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.names, &mut self.dy].into_iter().chain(self.index.iter_mut().flatten()).for_each(see);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let [Some(gradient)] = at.gradients(std::array::from_ref(&self.parameter))? else { return Ok(None) };
        let ([names, dy], shape) = (at.ranges([self.names, self.dy])?, self.sizes.shape(at));
        let index = self.index.map(|index| at.ranges(index)).transpose()?;
        Ok(Some(embedding_backward(at.engine(), &shape, [names, dy, gradient], index, at.accumulates(self.adds))?))
    }
}

/// Tables of a few entries, which many rows name, and of 30,522; rows of vec4s and others; a table that a layer multiplies by.
pub(super) fn samples() -> Vec<Sample> {
    let tables = |[examples, context]: [usize; 2], [entries, width]: [usize; 2], types: usize| {
        let network = |graph: &mut Graph| {
            let tokens = graph.words("tokens", context);
            let of_types = (types > 0).then(|| (graph.words("types", context), Table::new("types", types)));
            // Rows of vec4s have positions that begin later.
            let first = if width.is_multiple_of(4) { 2 } else { 0 };
            let tables = [Table::new("tokens", entries), Table::new("positions", context + 2).from(first)];
            let x = graph.embedding(tokens, tables, of_types, width);
            let again = graph.product("again", "tokens", x, entries.min(300));
            graph.classified(if entries <= 300 { again } else { x }, 5)
        };
        let name = format!("embeddings, {examples} of {context} tokens, {entries} entries of {width}, {types} types");
        let sample = Sample::of(name, [examples, context], network);
        sample.words("tokens", entries).words("types", types)
    };
    vec![
        tables([5, 13], [11, 8], 2),
        tables([3, 7], [300, 5], 0),
        tables([2, 9], [30_522, 12], 2),
        tables([2, 5], [30_001, 5], 3),
        tables([3, 9], [70, 20], 0),
        tables([4, 130], [2, 16], 2).in_bf16(),
        tables([2, 6], [17, 4], 0).in_bf16(),
        tables([3, 5], [9, 8], 2).in_bf16(),
    ]
}

/// The embeddings of tokens and their positions, and of their types where given. Memory: tokens, y. Tables: of tokens, of
/// positions; types: token_types, and their table.
///
/// # Errors
/// [`Error::TablesDiffer`], [`Error::Unreadable`]; out of device memory.
pub fn embedding(
    engine: &Engine,
    shape: &layout::Embedding,
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
    Draft::of_elements(engine, kernel, memory, invocations, 48 * invocations).dispatch(engine, 4, shape)
}

/// Which rows name which entry; before [`embedding_backward`], once for each new batch of tokens. Memory: tokens,
/// previous (4 bytes a row), last (4 bytes an entry of the table).
///
/// # Errors
/// Out of device memory.
pub fn embedding_index(engine: &Engine, shape: &layout::Embedding, memory: [Range; 3]) -> Result<Dispatch, Error> {
    let memory = memory.into_iter().map(Into::into).collect();
    let rows = u64::from(shape.rows);
    Draft::of_elements(engine, EMBEDDING_INDEX.plain(), memory, rows, 12 * rows).dispatch(engine, 3, shape)
}

/// The gradient of a table, added to the existing values with `accumulate`. Memory: tokens, dy, dtable; the index: previous,
/// last. Without an index every entry looks at every row, which is for tables of few entries.
///
/// With its index, overwriting: 1.1 ms for W2 (96 entries, 1,024 rows, hidden 128), 16 ms for W3 (30,522, 256, 384), of
/// which nearly all is the zeros of 47 MB; added: 1.3 ms and 0.6 ms (llvmpipe, 2 shared cores). Without an index it would be
/// 750 million tokens in W3.
///
/// # Errors
/// Out of device memory.
pub fn embedding_backward(
    engine: &Engine,
    shape: &layout::Embedding,
    [tokens, dy, dtable]: [Range; 3],
    index: Option<[Range; 2]>,
    accumulate: bool,
) -> Result<Dispatch, Error> {
    let kernel = EMBEDDING_BACKWARD.variant(Flag::Ragged.when(!shape.width.is_multiple_of(4)))?;
    let is_chained = index.is_some();
    let [previous, last] = index.unwrap_or_else(|| [tokens.clone(), tokens.clone()]);
    let memory = [tokens, previous, last, dy, dtable].into_iter().map(Into::into).collect();
    let (rows, entries, quads) = (u64::from(shape.rows), u64::from(shape.entries), u64::from(shape.quads));
    if !is_chained {
        let [workgroup, shared] = engine.sizes().rows;
        let invocations = entries * quads * u64::from(shared);
        let mut operation = Draft::of_elements(engine, kernel, memory, invocations, 16 * entries * rows * quads);
        operation.workgroup = workgroup;
        operation.constants.extend([switch("ACCUMULATE", accumulate), switch("CHAINED", false), lanes(shared)]);
        return operation.dispatch(engine, 5, shape);
    }
    let (places, bytes) = if accumulate { (rows, 48 * rows * quads) } else { (entries, 16 * (rows + entries) * quads) };
    let each = quads_each(places * quads);
    let mut operation = Draft::of_elements(engine, kernel, memory, (places * quads).div_ceil(each), bytes);
    operation.constants.extend([switch("ACCUMULATE", accumulate), ("QUADS", each as f64)]);
    operation.dispatch(engine, 5, shape)
}

/// Entries of a table that needs no index.
const FEW: usize = 8;

/// Vec4s that an invocation makes of so many: one, until there are invocations for any device. W3's table takes 38 ms of
/// processor time with 1, 27 with 4, 23 with 16 and 28 with 64; with its squares 46, 29, 25 and 32 (llvmpipe).
fn quads_each(quads: u64) -> u64 {
    (quads / (1 << 16)).clamp(1, 16)
}

/// What [`embedding_index`] would make of positions, which are the same in every batch: the position of each row, and
/// `previous` and `last` for a table of `shape.entries` positions. Uploaded once.
pub fn position_index(shape: &layout::Embedding) -> [Vec<u32>; 3] {
    let (rows, context, first) = (shape.rows, shape.context, shape.first_position);
    let positions = (0..rows).map(|r| first + r % context).collect();
    let previous = (0..rows).map(|r| r.checked_sub(context).unwrap_or(NONE)).collect();
    // The last sequence ends the chains; an entry before its first position or past the context is named by no row.
    let row = |entry: u32| entry.checked_sub(first).filter(|place| *place < context);
    let last = (0..shape.entries).map(|entry| row(entry).map_or(NONE, |place| rows - context + place)).collect();
    [positions, previous, last]
}

/// Partial sums of squares: one for each invocation, or for the lanes that share a vec4, unless the rows of the batch are added to existing ones.
pub(super) fn squares(dispatch: &Dispatch) -> Vec<Target> {
    let target = Target::of(dispatch, 4, [0, invocations(dispatch) / constant(dispatch, "LANES", 1)]);
    target.filter(|_| constant(dispatch, "ACCUMULATE", 0) == 0).into_iter().collect()
}
