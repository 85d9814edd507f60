//! What the frozen part of a model makes of each example, made once and kept: a step then starts after it.
//!
//! It is kept for the examples in their own order, on the device in pages, or in host memory if it is too much for
//! that; then a step uploads its rows. The bits are those of a step that goes through the whole model.

use super::cache::{CacheNote, Key, Values};
use super::examples::{Examples, gather_cached};
use super::order::Order;
use super::saved::MadeOn;
use super::{Config, Error};
use crate::engine::layout::{GatherCached, LEAST_TABLE_BYTES, TableHeader};
use crate::engine::{self, Buffer, CLOCK_SLOTS, Dispatch, Engine, Prepared, Program, Range, count};
use crate::engine::{Submission, Upload};
use crate::nn::{Batch, LossOptions, Parameter, Pass, Workspace};

/// Batches that may be queued while the trunk's outputs are computed.
const QUEUED: u32 = 64;

/// What is kept of every example.
#[derive(Debug)]
pub(super) struct Trunk {
    values: Vec<Kept>,
    order: Order,
    /// What was done with the folder that keeps trunks, if there is one.
    note: Option<CacheNote>,
}

/// One value, of every example.
#[derive(Debug)]
struct Kept {
    label: String,
    example_bytes: u64,
    memory: Memory,
}

#[derive(Debug)]
enum Memory {
    /// Pages of so many examples.
    Device { pages: Vec<Buffer>, examples: u32 },
    /// All of them, and the rows of one step on the device.
    Host { bytes: Vec<u8>, window: Buffer },
}

impl Trunk {
    /// Goes through the trunk with every example. `None` if it is more than the limits allow.
    pub(super) fn of(
        engine: &Engine,
        config: &Config,
        examples: &Examples,
        batch: &Batch,
        pass: Pass,
        parameter: impl Fn(&str) -> Result<Parameter, Error>,
    ) -> Result<Option<Trunk>, Error> {
        let pass = pass.stored_in(config.values.clone());
        let (described, reads) = (pass.described(), pass.reads());
        let space = pass.allocate(engine)?;
        let made: Vec<(&str, Range)> = space.kept().collect();
        let order = examples.order();
        let Some(values) = memory_for(engine, config, order, &made)? else { return Ok(None) };
        let mut trunk = Trunk { values, order, note: None };
        let Some(cache) = &config.trunk_cache else {
            trunk.make(engine, (examples, batch), (&space, &made), parameter)?;
            return Ok(Some(trunk));
        };
        let mut key = Key::new("frozen trunk");
        key.add("made on", format!("{:?}", MadeOn::of(engine)).as_bytes());
        key.add("operations", described.as_bytes());
        for name in &reads {
            let (range, storage) = parameter(name)?;
            key.add(name, format!("{storage:?}").as_bytes());
            key.add("values", &engine.read::<u8>(&range)?);
        }
        examples.add_to(&mut key, engine)?;
        let wanted = trunk.values.iter().map(|kept| (kept.label.clone(), kept.bytes(order.samples)));
        let wanted: Vec<(String, u64)> = wanted.collect();
        let of = format!("the trunk of {} examples, {:.1} MB", order.samples, trunk.bytes() as f64 / 1e6);
        let (values, note) = cache.or_made(key, &wanted, &of, || {
            trunk.make(engine, (examples, batch), (&space, &made), parameter)?;
            trunk.read(engine)
        })?;
        if let CacheNote::Read(_) = note {
            trunk.put(engine, values)?;
        }
        trunk.note = Some(note);
        Ok(Some(trunk))
    }

    /// Goes through the trunk with every example.
    fn make(
        &mut self,
        engine: &Engine,
        (examples, batch): (&Examples, &Batch),
        (space, made): (&Workspace, &[(&str, Range)]),
        parameter: impl Fn(&str) -> Result<Parameter, Error>,
    ) -> Result<(), Error> {
        let table = engine.buffer("trunk table", LEAST_TABLE_BYTES)?;
        let mut program = Program::new("frozen trunk");
        let in_turn = examples.one_by_one(batch.examples);
        program.dispatches.extend(in_turn.gathers(engine, batch, &table, 0)?);
        let none = LossOptions { ignore: 0, smoothing: 0.0, seed: 0 };
        program.dispatches.extend(space.dispatches(batch, none, parameter, |_| Ok(None), false)?);
        self.fill(engine, (&engine.prepare(program)?, &in_turn), &table, made)
    }

    /// All that is kept, by label. Waits for the device.
    fn read(&self, engine: &Engine) -> Result<Values, Error> {
        let samples = self.order.samples;
        let values = self.values.iter().map(|kept| {
            let bytes = match &kept.memory {
                Memory::Host { bytes, .. } => bytes.clone(),
                Memory::Device { pages, .. } => {
                    let mut bytes = Vec::with_capacity(kept.bytes(samples) as usize);
                    for (page, range) in pages.iter().zip(kept.ranges(samples)) {
                        bytes.extend(engine.read::<u8>(&page.range(0, range.end - range.start)?)?);
                    }
                    bytes
                }
            };
            Ok((kept.label.clone(), bytes))
        });
        values.collect()
    }

    /// Puts back what was read.
    fn put(&mut self, engine: &Engine, values: Values) -> Result<(), Error> {
        let samples = self.order.samples;
        for (kept, (_, values)) in self.values.iter_mut().zip(values) {
            let ranges = kept.ranges(samples);
            match &mut kept.memory {
                Memory::Host { bytes, .. } => *bytes = values,
                Memory::Device { pages, .. } => {
                    for (page, range) in pages.iter().zip(ranges) {
                        engine.write(page, 0, &values[range.start as usize..range.end as usize])?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What was done with the folder that keeps trunks.
    pub(super) fn note(&self) -> Option<&CacheNote> {
        self.note.as_ref()
    }

    /// Batch by batch: the copies of one go with the next.
    fn fill(
        &mut self,
        engine: &Engine,
        (program, examples): (&Prepared, &Examples),
        table: &Buffer,
        made: &[(&str, Range)],
    ) -> Result<(), Error> {
        let batches = self.order.samples.div_ceil(self.order.rows);
        let mut copies = Vec::new();
        for batch in 0..batches {
            let slot = batch % CLOCK_SLOTS;
            let header = TableHeader { first_step: batch - slot, ..TableHeader::default() };
            let data = bytemuck::bytes_of(&header).to_vec();
            let uploads = (slot == 0).then(|| Upload { buffer: table.clone(), offset: 0, data });
            let uploads = uploads.into_iter().chain(examples.uploads(batch)).collect();
            let programs = &[program];
            engine.submit(&Submission { uploads, copies, programs, slot, ..Submission::default() })?;
            copies = self.take(engine, batch * self.order.rows, made)?;
            // Uploads of many batches would fill the host's memory.
            let queued = if examples.upload_bytes() > 0 { QUEUED / 16 } else { QUEUED };
            if batch % queued == queued - 1 {
                engine.wait()?;
            }
        }
        Ok(engine.submit(&Submission { copies, ..Submission::default() })?)
    }

    /// Takes a batch from example `first` on: host memory at once, the device's by these copies.
    fn take(&mut self, engine: &Engine, first: u32, made: &[(&str, Range)]) -> Result<Vec<(Range, Range)>, Error> {
        let count = self.order.rows.min(self.order.samples - first);
        let mut copies = Vec::new();
        for (kept, (_, range)) in self.values.iter_mut().zip(made) {
            let each = kept.example_bytes;
            let row = |row: u32, rows: u32| Range {
                offset: range.offset + u64::from(row) * each,
                bytes: u64::from(rows) * each,
                ..range.clone()
            };
            match &mut kept.memory {
                Memory::Device { pages, examples } => {
                    let mut at = first;
                    while at < first + count {
                        let (page, place) = (at / *examples, at % *examples);
                        let rows = (*examples - place).min(first + count - at);
                        let to = pages[page as usize].range(u64::from(place) * each, u64::from(rows) * each)?;
                        copies.push((row(at - first, rows), to));
                        at += rows;
                    }
                }
                Memory::Host { bytes, .. } => bytes.extend(engine.read::<u8>(&row(0, count))?),
            }
        }
        Ok(copies)
    }

    /// Puts a micro-batch's values where the pass after the trunk reads them.
    pub(super) fn gathers(&self, engine: &Engine, top: &Workspace, position: &Range) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = Vec::new();
        let Order { samples, rows, steps_per_epoch, micro_batches, seed } = self.order;
        for (label, input) in top.inputs() {
            let Some(kept) = self.values.iter().find(|kept| kept.label == label) else { continue };
            let shape = GatherCached {
                samples,
                rows,
                quads: count("vec4s of an example", kept.example_bytes / 16)?,
                seed: seed.unwrap_or(0),
                count: samples,
                batches: steps_per_epoch * micro_batches,
                ..GatherCached::default()
            };
            match &kept.memory {
                Memory::Device { pages, examples } => {
                    for (page, first) in pages.iter().zip((0..).step_by(*examples as usize)) {
                        let shape = GatherCached { first, count: *examples, ..shape };
                        dispatches.push(gather_cached(engine, page, [&input, position], shape, seed.is_some())?);
                    }
                }
                Memory::Host { window, .. } => {
                    let samples = rows * micro_batches;
                    let shape = GatherCached { samples, count: samples, batches: micro_batches, ..shape };
                    dispatches.push(gather_cached(engine, window, [&input, position], shape, false)?);
                }
            }
        }
        Ok(dispatches)
    }

    /// Bytes of a step's [`uploads`](Trunk::uploads).
    pub(super) fn upload_bytes(&self) -> u64 {
        let windows = self.values.iter().filter_map(|kept| match &kept.memory {
            Memory::Device { .. } => None,
            Memory::Host { window, .. } => Some(window.bytes()),
        });
        windows.sum()
    }

    /// The rows of a step, if they are in host memory.
    pub(super) fn uploads(&self, step: u32) -> Vec<Upload> {
        if self.upload_bytes() == 0 {
            return Vec::new();
        }
        let samples: Vec<u32> = self.order.examples_of(step).collect();
        let upload = |kept: &Kept| match &kept.memory {
            Memory::Device { .. } => None,
            Memory::Host { bytes, window } => {
                let each = kept.example_bytes as usize;
                let data = samples.iter().flat_map(|sample| &bytes[*sample as usize * each..][..each]).copied();
                Some(Upload { buffer: window.clone(), offset: 0, data: data.collect() })
            }
        };
        self.values.iter().filter_map(upload).collect()
    }

    /// Bytes that it holds, on the device or in host memory.
    pub(super) fn bytes(&self) -> u64 {
        self.values.iter().map(|kept| kept.bytes(self.order.samples)).sum()
    }
}

impl Kept {
    /// Bytes of so many examples.
    fn bytes(&self, samples: u32) -> u64 {
        self.example_bytes * u64::from(samples)
    }

    /// Which of these bytes each page holds.
    fn ranges(&self, samples: u32) -> Vec<std::ops::Range<u64>> {
        let Memory::Device { examples, .. } = &self.memory else { return Vec::new() };
        let range = |first: u32| self.bytes(first)..self.bytes((first + examples).min(samples));
        (0..samples).step_by(*examples as usize).map(range).collect()
    }
}

/// Memory for these values of every example, if the limits allow it.
fn memory_for(
    engine: &Engine,
    config: &Config,
    order: Order,
    made: &[(&str, Range)],
) -> Result<Option<Vec<Kept>>, Error> {
    let Order { samples, rows, .. } = order;
    let page_bytes = config.settings.page_bytes.unwrap_or(u64::MAX).min(engine.page_bytes());
    let each = |range: &Range| range.bytes / u64::from(rows);
    let bytes: u64 = made.iter().map(|(_, range)| each(range) * u64::from(samples)).sum();
    let fits_page = made.iter().all(|(_, range)| each(range) <= page_bytes);
    let kept = |(label, range): &(&str, Range), memory: Memory| Kept {
        label: (*label).to_owned(),
        example_bytes: each(range),
        memory,
    };
    if bytes <= config.trunk_device_limit_bytes && fits_page {
        let device = |value: &(&str, Range)| Ok(kept(value, pages(engine, samples, each(&value.1), page_bytes)?));
        match made.iter().map(device).collect::<Result<Vec<Kept>, engine::Error>>() {
            Err(engine::Error::OutOfMemory { .. }) => {}
            values => return Ok(Some(values?)),
        }
    }
    // The rows of a step lie side by side.
    let step_rows = rows * order.micro_batches;
    let fits_window = made.iter().all(|(_, range)| each(range) * u64::from(step_rows) <= engine.page_bytes());
    if bytes > config.trunk_host_limit_bytes || !fits_window || order.seed.is_none() {
        return Ok(None);
    }
    let host = |value: &(&str, Range)| {
        let window = engine.buffer("trunk rows", each(&value.1) * u64::from(step_rows))?;
        let bytes = Vec::with_capacity((each(&value.1) * u64::from(samples)) as usize);
        Ok(kept(value, Memory::Host { bytes, window }))
    };
    match made.iter().map(host).collect::<Result<Vec<Kept>, engine::Error>>() {
        Err(engine::Error::OutOfMemory { .. }) => Ok(None),
        values => Ok(Some(values?)),
    }
}

/// Pages for so many examples.
fn pages(engine: &Engine, samples: u32, example_bytes: u64, page_bytes: u64) -> Result<Memory, engine::Error> {
    let examples = count("examples", (page_bytes / example_bytes).min(u64::from(samples)))?;
    let page = |first: u32| {
        let bytes = u64::from(examples.min(samples - first)) * example_bytes;
        engine.buffer("frozen trunk", bytes)
    };
    let pages = (0..samples).step_by(examples as usize).map(page).collect::<Result<_, _>>()?;
    Ok(Memory::Device { pages, examples })
}
