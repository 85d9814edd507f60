//! Examples on the device, and the gathers that draw batches of them.

use super::Error;
use super::ahead::Ahead;
use super::cache::Key;
use super::order::Order;
use crate::data::Columns;
use crate::engine::kernels::{Family, GATHER, GATHER_CACHED, GATHER_PICTURES, GATHER_SEQUENCES, GATHER_TOKENS};
use crate::engine::layout::{Gather, GatherCached, GatherPictures, GatherSequences, GatherTokens};
use crate::engine::{Binding, Buffer, Dispatch, Engine, Range, Upload, count, counted, row_of};
use crate::nn::Batch;
use crate::nn::ops::{activation_bytes, quads};

/// Examples on the device, and how they are drawn.
#[derive(Debug)]
pub(super) struct Examples {
    resident: Vec<Buffer>,
    /// What the first of these is a window of, if it does not hold all.
    ahead: Option<Ahead>,
    sizes: Sizes,
    order: Order,
    columns: Vec<Column>,
}

/// Numbers of the examples, a row for each in order.
#[derive(Clone, Debug)]
struct Column {
    /// What a model calls them.
    name: &'static str,
    width: usize,
    rows: Buffer,
}

/// The uses of numbers beside examples.
pub(super) const COLUMNS: [&str; 2] = ["targets", "features"];

/// Labelled rows, windows of a text, labelled sequences, or labelled pictures.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sizes {
    Rows(Gather),
    Tokens(GatherTokens),
    Sequences(GatherSequences),
    Pictures(GatherPictures),
}

impl Sizes {
    /// Draws of them: those for training in a new order every epoch, those for a test in their own.
    fn order(self, shuffled: bool) -> Order {
        macro_rules! order {
            ($sizes:ident) => {
                Order {
                    samples: $sizes.samples,
                    rows: $sizes.rows,
                    steps_per_epoch: $sizes.steps_per_epoch,
                    micro_batches: $sizes.micro_batches,
                    seed: shuffled.then_some($sizes.seed),
                }
            };
        }
        match self {
            Sizes::Rows(sizes) => order!(sizes),
            Sizes::Tokens(sizes) => order!(sizes),
            Sizes::Sequences(sizes) => order!(sizes),
            Sizes::Pictures(sizes) => order!(sizes),
        }
    }
}

impl Examples {
    /// Examples to train on.
    pub(super) fn shuffled(resident: Vec<Buffer>, sizes: Sizes) -> Examples {
        Examples { resident, ahead: None, sizes, order: sizes.order(true), columns: Vec::new() }
    }

    /// Examples to test on.
    pub(super) fn in_turn(resident: Vec<Buffer>, sizes: Sizes) -> Examples {
        Examples { resident, ahead: None, sizes, order: sizes.order(false), columns: Vec::new() }
    }

    /// Of which the first buffer is a window: a step's go up ahead of it.
    pub(super) fn sent_ahead(self, ahead: Option<Ahead>) -> Examples {
        Examples { ahead, ..self }
    }

    /// The examples, if a step's go up ahead of it.
    pub(super) fn ahead(&self) -> Option<&Ahead> {
        self.ahead.as_ref()
    }

    /// What a step, or a batch of a test, needs from the host.
    pub(super) fn uploads(&self, step: u32) -> Vec<Upload> {
        self.ahead.iter().map(|ahead| ahead.upload(&self.order, step)).collect()
    }

    /// Bytes of those uploads, of each step.
    pub(super) fn upload_bytes(&self) -> u64 {
        self.ahead.as_ref().map_or(0, Ahead::bytes)
    }

    /// With these numbers; those that the model does not read stay on the host.
    pub(super) fn with_columns(mut self, engine: &Engine, columns: &[Columns]) -> Result<Examples, Error> {
        for (name, width, values) in columns {
            let Some(name) = COLUMNS.into_iter().find(|known| known == name) else { continue };
            let mut padded = Vec::with_capacity(values.len() / width * quads(*width) * 4);
            for row in values.chunks(*width) {
                padded.extend(row);
                padded.resize(padded.len().next_multiple_of(4), 0.0);
            }
            self.columns.push(Column { name, width: *width, rows: engine.buffer_with(name, &padded)? });
        }
        Ok(self)
    }

    /// The same examples, in their own order, a batch of `rows` a step from step 0 on.
    pub(super) fn one_by_one(&self, rows: usize) -> Examples {
        let rows = counted(rows);
        let steps_per_epoch = self.order.samples.div_ceil(rows);
        let order = Order { rows, steps_per_epoch, micro_batches: 1, seed: None, ..self.order };
        let (resident, ahead, columns) = (self.resident.clone(), self.ahead.clone(), self.columns.clone());
        Examples { resident, ahead, sizes: self.sizes, order, columns }
    }

    pub(super) fn order(&self) -> Order {
        self.order
    }

    /// Adds all that the examples are, but for their order. Waits for the device.
    pub(super) fn add_to(&self, key: &mut Key, engine: &Engine) -> Result<(), Error> {
        let sizes = match self.sizes {
            Sizes::Rows(sizes) => format!("rows {}", sizes.quads),
            Sizes::Tokens(sizes) => format!("tokens {} {}", sizes.context, sizes.offsets),
            Sizes::Sequences(sizes) => format!("sequences {}", sizes.context),
            Sizes::Pictures(GatherPictures { height, width, scale, shift, .. }) => {
                format!("pictures {height} {width} {scale:?} {shift:?}")
            }
        };
        key.add("sizes", sizes.as_bytes());
        key.add("samples", &self.order.samples.to_le_bytes());
        if let Some(ahead) = &self.ahead {
            key.add("examples", bytemuck::cast_slice(ahead.words()));
        }
        let resident = self.resident.iter().skip(usize::from(self.ahead.is_some()));
        for buffer in resident.chain(self.columns.iter().map(|column| &column.rows)) {
            key.add("examples", &engine.read::<u8>(&buffer.all())?);
        }
        Ok(())
    }

    /// Whether what a frozen trunk makes of an example is worth keeping. It is not where windows move or pictures are augmented, as
    /// it is another in every epoch; nor of rows of numbers, whose networks are small.
    pub(super) fn have_trunks(&self) -> bool {
        match self.sizes {
            Sizes::Rows(_) => false,
            Sizes::Tokens(sizes) => sizes.offsets == 1,
            Sizes::Pictures(sizes) => !augments(&sizes),
            Sizes::Sequences(_) => true,
        }
    }

    /// Room for a micro-batch of them.
    pub(super) fn room(&self, engine: &Engine) -> Result<Batch, Error> {
        let rows = self.order.rows as usize;
        let sequences = |context: u32| {
            let context = context as usize;
            let batch = Batch::new(engine, rows, context)?.with_words(engine, "tokens", context)?;
            batch.with_words(engine, "mask", context)
        };
        let batch = match self.sizes {
            Sizes::Rows(sizes) => {
                let batch = Batch::new(engine, rows, 1)?.with_rows(engine, 4 * sizes.quads as usize)?;
                batch.with_words(engine, "labels", 1)?
            }
            Sizes::Tokens(sizes) => sequences(sizes.context)?.with_words(engine, "labels", sizes.context as usize)?,
            Sizes::Pictures(sizes) => {
                let batch = Batch::new(engine, rows, sizes.pixels() as usize)?.with_rows(engine, 3)?;
                batch.with_words(engine, "labels", 1)?
            }
            Sizes::Sequences(sizes) => {
                let batch = sequences(sizes.context)?.with_words(engine, "types", sizes.context as usize)?;
                batch.with_words(engine, "labels", 1)?
            }
        };
        self.columns.iter().try_fold(batch, |batch, Column { name, width, .. }| {
            Ok(batch.with(name, engine.buffer(name, activation_bytes(rows, *width))?.all()))
        })
    }

    /// Draws a step's micro-batch with its columns. Only the table's first step is read.
    pub(super) fn gathers(
        &self,
        engine: &Engine,
        batch: &Batch,
        table: &Buffer,
        micro: u32,
    ) -> Result<Vec<Dispatch>, Error> {
        let Order { samples, rows, steps_per_epoch, micro_batches, seed } = self.order;
        let mut dispatches = vec![self.gather(engine, batch, table, micro)?];
        for Column { name, width, rows: column } in &self.columns {
            let shape = GatherCached {
                samples,
                rows,
                quads: counted(quads(*width)),
                seed: seed.unwrap_or(0),
                count: samples,
                batches: steps_per_epoch * micro_batches,
                ..GatherCached::default()
            };
            let (out, position) = (batch.get(name)?, batch.get("position")?);
            dispatches.push(gather_cached(engine, column, [out, position], shape, seed.is_some())?);
        }
        Ok(dispatches)
    }

    fn gather(&self, engine: &Engine, batch: &Batch, table: &Buffer, micro: u32) -> Result<Dispatch, Error> {
        let Order { rows, steps_per_epoch, micro_batches, .. } = self.order;
        let (family, results, shape, width): (&'static Family, &[&'static str], _, _) = match self.sizes {
            Sizes::Rows(sizes) => {
                let sizes = Gather { rows, steps_per_epoch, micro_batches, micro, ..sizes };
                let shape = engine.buffer_with("gather shape", &[sizes])?;
                (&GATHER, &["rows", "labels", "position"], shape, sizes.quads)
            }
            Sizes::Tokens(sizes) => {
                let sizes = GatherTokens { rows, steps_per_epoch, micro_batches, micro, ..sizes };
                let shape = engine.buffer_with("gather shape", &[sizes])?;
                (&GATHER_TOKENS, &["tokens", "labels", "mask", "position"], shape, sizes.context)
            }
            Sizes::Pictures(sizes) => {
                let sizes = GatherPictures { rows, steps_per_epoch, micro_batches, micro, ..sizes };
                let shape = engine.buffer_with("gather shape", &[sizes])?;
                (&GATHER_PICTURES, &["rows", "labels", "position"], shape, sizes.pixels())
            }
            Sizes::Sequences(sizes) => {
                let sizes = GatherSequences { rows, steps_per_epoch, micro_batches, micro, ..sizes };
                let shape = engine.buffer_with("gather shape", &[sizes])?;
                (&GATHER_SEQUENCES, &["tokens", "mask", "types", "labels", "position"], shape, sizes.context)
            }
        };
        let mut bindings: Vec<Binding> = self.resident.iter().map(Binding::from).collect();
        for result in results {
            bindings.push(Range::clone(batch.get(result)?).into());
        }
        bindings.extend([table.into(), (&shape).into(), Binding::Clock]);
        let places = count("places of a batch", u64::from(rows) * u64::from(width))?;
        let workgroup = engine.sizes().gather;
        let switch = |is_on: bool| f64::from(u8::from(is_on));
        let mut constants = vec![("WORKGROUP", f64::from(workgroup)), ("SHUFFLE", switch(self.order.seed.is_some()))];
        if let Sizes::Pictures(sizes) = self.sizes {
            constants.push(("AUGMENT", switch(augments(&sizes))));
            constants.push(("AHEAD", switch(self.ahead.is_some())));
        }
        let bytes_each = match self.sizes {
            Sizes::Rows(_) => 32,
            Sizes::Pictures(_) => 20,
            Sizes::Tokens(_) | Sizes::Sequences(_) => 16,
        };
        Ok(Dispatch {
            kernel: family.plain(),
            bindings,
            constants,
            grid: row_of(places.div_ceil(workgroup)),
            bytes: u64::from(places) * bytes_each,
            flops: 0,
        })
    }
}

/// Whether pictures are augmented when they are drawn.
fn augments(sizes: &GatherPictures) -> bool {
    sizes.flip != 0 || sizes.padding > 0 || sizes.least_area > 0.0
}

/// Draws the rows of a micro-batch from those of all examples, after the gather that gives the batch's place. Memory:
/// out, position.
pub(super) fn gather_cached(
    engine: &Engine,
    cached: &Buffer,
    [out, position]: [&Range; 2],
    shape: GatherCached,
    shuffle: bool,
) -> Result<Dispatch, Error> {
    let quads = u64::from(shape.rows) * u64::from(shape.quads);
    let workgroup = engine.sizes().elements;
    let groups = count("workgroups", quads.div_ceil(u64::from(workgroup)))?;
    let sizes = engine.buffer_with("gather shape", &[shape])?;
    Ok(Dispatch {
        kernel: GATHER_CACHED.plain(),
        bindings: vec![cached.into(), out.clone().into(), position.clone().into(), (&sizes).into()],
        constants: vec![("WORKGROUP", f64::from(workgroup)), ("SHUFFLE", f64::from(u8::from(shuffle)))],
        grid: row_of(groups),
        bytes: quads * 32,
        flops: 0,
    })
}
