//! The stages of a step as dispatches: norm, control, and what comes after (update or clip).

use super::matrices::Matrices;
use super::tensors::Tensors;
use super::work::{Reduction, Segment, WorkList};
use super::{Clip, Error, LossScale};
use crate::engine::kernels::{CONTROL, Flag, NORM, NORM_FOLD, SUMS_FOLD};
use crate::engine::layout::{self, CONTROL_HEADER_BYTES, ClipSet, ControlSettings, NO_GROUP, Record, StatsBlock};
use crate::engine::{Binding, Buffer, Dispatch, Engine, Kernel, Range, count, row_of};
use crate::params::Storage;
use std::cell::OnceCell;

/// Bytes between two segments: the strictest alignment of a bound offset.
const SEGMENT_STRIDE: u64 = 256;

/// Invocations of a workgroup of the optimizer's kernels. A software adapter runs an invocation as one lane of a vector
/// register and loses on wide groups: against 8, a step over 101 tensors takes 1.05 times as long with 16, 1.32 with 32
/// and 1.43 with 64 (medians of 15 pairs on software Vulkan). A GPU wants many; its 256 is not measured yet.
pub(crate) fn workgroup(engine: &Engine) -> u32 {
    engine.sizes().chunk
}

/// What the stages of one work list share on the device.
pub(crate) struct Stages<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) work: &'a WorkList,
    pub(crate) clip: Clip,
    pub(crate) guard: bool,
    pub(crate) loss_scale: Option<LossScale>,
    /// Of stochastic rounding.
    pub(crate) seed: u32,
    pub(crate) control: &'a Buffer,
    pub(crate) table: &'a Buffer,
    /// The set of each group, where groups are clipped in sets.
    pub(crate) sets: &'a [usize],
    /// The chunks in the update's order, once they are on the device.
    pub(crate) chunks: OnceCell<Buffer>,
    /// The list of tensors, once it is on the device.
    pub(crate) list: OnceCell<Buffer>,
}

/// What the sums over rows of a rule need on the device.
pub(crate) struct RowStage {
    /// The kernel of their fold.
    pub(crate) fold: &'static Kernel,
    tensors: u32,
    has_rows: bool,
    pub(crate) matrices: Buffer,
    pub(crate) sums: Buffer,
    pub(crate) shares: Buffer,
}

/// The last stage over one segment.
pub(crate) struct PerSegment {
    pub(crate) kernel: &'static Kernel,
    /// Bytes that it moves.
    pub(crate) bytes: u64,
    /// Bindings between control and segment.
    pub(crate) streams: Vec<Binding>,
    /// Bindings behind the segment.
    pub(crate) extra: Vec<Binding>,
}

/// A control block for this many tensors, that knows of no bad group.
pub(crate) fn control_block(engine: &Engine, tensors: usize, loss_scale: Option<LossScale>) -> Result<Buffer, Error> {
    let bytes = CONTROL_HEADER_BYTES as usize + tensors * size_of::<Record>();
    let mut block = vec![0u8; bytes];
    let loss_scale = loss_scale.map_or(0.0, |scale| scale.init_scale);
    let stats = StatsBlock { bad_group: NO_GROUP, loss_scale, ..StatsBlock::default() };
    block[..size_of::<StatsBlock>()].copy_from_slice(bytemuck::bytes_of(&stats));
    Ok(engine.buffer_with("control", &block)?)
}

/// The stats at the head of a control block.
pub(crate) fn stats_of(control: &Buffer) -> Range {
    Range { buffer: control.clone(), offset: 0, bytes: size_of::<StatsBlock>() as u64 }
}

impl Stages<'_> {
    /// The chunks in the update's order, on the device.
    pub(super) fn update_chunks(&self) -> Result<&Buffer, Error> {
        if let Some(chunks) = self.chunks.get() {
            return Ok(chunks);
        }
        let chunks = self.engine.buffer_with("chunks", &self.work.update_chunks)?;
        Ok(self.chunks.get_or_init(|| chunks))
    }

    /// The list of tensors on the device.
    pub(crate) fn list(&self) -> Result<&Buffer, Error> {
        if let Some(list) = self.list.get() {
            return Ok(list);
        }
        let list = self.engine.buffer_with("tensors", &self.work.tensors)?;
        Ok(self.list.get_or_init(|| list))
    }

    /// The chunks in a norm's order, which is the update's too unless paging brings pages together.
    fn norm_chunks(&self, reduction: &Reduction) -> Result<Buffer, Error> {
        if reduction.chunks == self.work.update_chunks {
            return Ok(self.update_chunks()?.clone());
        }
        Ok(self.engine.buffer_with("norm chunks", &reduction.chunks)?)
    }

    /// The order of the norm, where kernels have to be told.
    fn order(&self) -> Option<(&'static str, f64)> {
        (self.clip.norm_kind() == 4).then(|| ("ORDER", self.clip.norm_order()))
    }

    fn has_norm(&self) -> bool {
        self.guard || self.clip.norm_kind() != 0
    }

    /// The record of each segment, where it is bound; `describe` adds what a stage needs to know of it.
    pub(super) fn records(
        &self,
        segments: &[Segment],
        describe: impl Fn(&Segment) -> layout::Segment,
    ) -> Result<Vec<Range>, Error> {
        let mut bytes = vec![0u8; segments.len() * SEGMENT_STRIDE as usize];
        for (segment, slot) in segments.iter().zip(bytes.chunks_mut(SEGMENT_STRIDE as usize)) {
            let (first, count) = (segment.chunks.start, segment.chunks.end - segment.chunks.start);
            let record = layout::Segment { first, count, ..describe(segment) };
            slot[..size_of::<layout::Segment>()].copy_from_slice(bytemuck::bytes_of(&record));
        }
        let buffer = self.engine.buffer_with("segments", &bytes)?;
        let at = |place: usize| buffer.range(place as u64 * SEGMENT_STRIDE, size_of::<layout::Segment>() as u64);
        Ok((0..segments.len()).map(at).collect::<Result<_, _>>()?)
    }

    /// The norm over gradients, each of which is read: as single floats in the pages that `has_singles` says.
    pub(crate) fn norm(&self, grads: &Tensors, has_singles: impl Fn(usize) -> bool) -> Result<Vec<Dispatch>, Error> {
        let of = |segment: &Segment| {
            let page = segment.pages.grad;
            let storage = grads.storages[page];
            let flags = Flag::Grads16.when(storage == Storage::Bf16) | Flag::SingleGrads.when(has_singles(page));
            Ok((NORM.variant(flags)?, storage.bytes(segment.elements)))
        };
        let list = self.list()?;
        let mut dispatches = self.partials(of, &self.work.norm, 0, &grads.pages)?;
        // In front of the bounds.
        dispatches.iter_mut().for_each(|dispatch| dispatch.bindings.insert(4, list.into()));
        Ok(dispatches)
    }

    /// The norm over squares in these pages, which kernels have written: no stream is read.
    pub(crate) fn norm_fold(&self, pages: &[Range]) -> Result<Vec<Dispatch>, Error> {
        let of = |_: &Segment| Ok((NORM_FOLD.plain(), 0));
        self.partials(of, &self.work.fold, self.work.norm.partials(), pages)
    }

    /// A reduction to partial sums, that begin at `place` in the control block; `of` tells a segment's kernel and bytes.
    fn partials(
        &self,
        of: impl Fn(&Segment) -> Result<(&'static Kernel, u64), Error>,
        reduction: &Reduction,
        place: u32,
        pages: &[Range],
    ) -> Result<Vec<Dispatch>, Error> {
        if !self.has_norm() || reduction.chunks.is_empty() {
            return Ok(Vec::new());
        }
        let chunks = self.norm_chunks(reduction)?;
        let records = self.records(&reduction.segments, |segment| layout::Segment {
            first_partial: reduction.partials_of(segment).start,
            partials: reduction.partials(),
            place,
            ..layout::Segment::default()
        })?;
        let bounds = self.engine.buffer_with("bounds", &reduction.bounds)?;
        let mut constants =
            vec![("WORKGROUP", f64::from(workgroup(self.engine))), ("NORM", f64::from(self.clip.norm_kind()))];
        constants.extend(self.order());
        let dispatch = |(segment, record): (&Segment, Range)| {
            let partials = reduction.partials_of(segment);
            let (kernel, bytes) = of(segment)?;
            Ok(Dispatch {
                kernel,
                bindings: vec![
                    (&chunks).into(),
                    self.control.into(),
                    pages[segment.pages.grad].clone().into(),
                    record.into(),
                    (&bounds).into(),
                ],
                constants: constants.clone(),
                grid: [partials.end - partials.start, 1, 1],
                bytes,
                flops: 0,
            })
        };
        reduction.segments.iter().zip(records).map(dispatch).collect()
    }

    /// Control: always one workgroup. `alone` is for clipping alone: no table, no records, and steps counted there.
    pub(crate) fn control(&self, alone: bool) -> Result<Dispatch, Error> {
        let (value_bound, error_if_nonfinite) = match self.clip {
            Clip::None => (0.0, false),
            Clip::Norm { error_if_nonfinite, .. } => (0.0, error_if_nonfinite),
            Clip::Value(bound) => (bound as f32, false),
        };
        let settings = ControlSettings {
            partials: if self.has_norm() { self.work.partials() } else { 0 },
            tensors: if alone { 0 } else { count("tensors", self.work.tensors.len())? },
            norm: self.clip.norm_kind(),
            guard: u32::from(self.guard),
            max_norm: self.clip.max_norm() as f32,
            value_bound,
            error_if_nonfinite: u32::from(error_if_nonfinite),
            alone: u32::from(alone),
            growth_factor: self.loss_scale.map_or(0.0, |scale| scale.growth_factor),
            backoff_factor: self.loss_scale.map_or(0.0, |scale| scale.backoff_factor),
            growth_interval: self.loss_scale.map_or(0, |scale| scale.growth_interval),
            by_set: u32::from(!self.sets.is_empty()),
            ..ControlSettings::default()
        };
        let sets = self.engine.buffer_with("clip sets", &self.clip_sets())?;
        let settings = self.engine.buffer_with("settings", &[settings])?;
        let list = self.list()?;
        let bindings = vec![
            self.control.into(),
            self.table.into(),
            list.into(),
            (&settings).into(),
            Binding::Clock,
            (&sets).into(),
        ];
        let mut constants = vec![("WORKGROUP", f64::from(workgroup(self.engine)))];
        constants.extend(self.order());
        Ok(Dispatch { kernel: CONTROL.plain(), bindings, constants, grid: [1, 1, 1], bytes: 0, flops: 0 })
    }

    /// The partial sums that each group's clip follows from; one that says nothing where there is one norm for all.
    fn clip_sets(&self) -> Vec<ClipSet> {
        let of = |reduction: &Reduction, set: usize, before: u32| {
            let own = reduction.of_sets.iter().find(|(known, _)| *known == set);
            own.map_or([0; 2], |(_, partials)| [before + partials.start, partials.end - partials.start])
        };
        let one = |set: &usize| {
            let [first, count] = of(&self.work.norm, *set, 0);
            let [squares_first, squares_count] = of(&self.work.fold, *set, self.work.norm.partials());
            ClipSet { first, count, squares_first, squares_count }
        };
        if self.sets.is_empty() { vec![ClipSet::default()] } else { self.sets.iter().map(one).collect() }
    }

    /// A place for the sums of every chunk, where some rule needs any: two numbers each.
    pub(crate) fn sums(&self) -> Result<Option<Buffer>, Error> {
        let bytes = (self.work.update_chunks.len() * size_of::<[f32; 2]>()) as u64;
        let made = || self.engine.buffer("sums", bytes);
        Ok((!self.work.folds.is_empty()).then(made).transpose()?)
    }

    /// Adds up each tensor's sums, in one dispatch.
    pub(crate) fn fold(&self, sums: &Buffer) -> Result<Dispatch, Error> {
        let folds = self.engine.buffer_with("folds", &self.work.folds)?;
        let places = self.engine.buffer_with("places", &self.work.summed)?;
        let tensors = count("tensors", self.work.folds.len())?;
        let segment = layout::Segment { count: tensors, ..layout::Segment::default() };
        let segment = self.engine.buffer_with("segment", &[segment])?;
        Ok(Dispatch {
            kernel: SUMS_FOLD.plain(),
            bindings: vec![(&folds).into(), (&places).into(), sums.into(), self.control.into(), (&segment).into()],
            constants: vec![("WORKGROUP", f64::from(workgroup(self.engine)))],
            grid: row_of(tensors),
            bytes: 0,
            flops: 0,
        })
    }

    /// Room for the sums over the rows of these matrices, and for their shares.
    pub(crate) fn rows(&self, fold: &'static Kernel, matrices: &Matrices) -> Result<RowStage, Error> {
        Ok(RowStage {
            fold,
            tensors: count("tensors", matrices.list.len())?,
            has_rows: matrices.rows > 0,
            matrices: self.engine.buffer_with("matrices", &matrices.list)?,
            sums: self.engine.buffer("row sums", (u64::from(matrices.sums) * size_of::<[f32; 4]>() as u64).max(16))?,
            shares: self.engine.buffer("shares", (u64::from(matrices.rows) * size_of::<f32>() as u64).max(16))?,
        })
    }

    /// Adds up the sums of each row, in one dispatch, if there are rows.
    pub(crate) fn fold_rows(&self, rows: &RowStage) -> Result<Option<Dispatch>, Error> {
        if !rows.has_rows {
            return Ok(None);
        }
        let segment = layout::Segment { count: rows.tensors, ..layout::Segment::default() };
        let segment = self.engine.buffer_with("segment", &[segment])?;
        let bindings = [&rows.matrices, &rows.sums, &rows.shares, self.control, &segment];
        Ok(Some(Dispatch {
            kernel: rows.fold,
            bindings: bindings.into_iter().map(Into::into).collect(),
            constants: vec![("WORKGROUP", f64::from(workgroup(self.engine)))],
            grid: row_of(rows.tensors),
            bytes: 0,
            flops: 0,
        }))
    }

    /// One dispatch for each segment of the update's order that takes part in a stage.
    pub(crate) fn per_segment(
        &self,
        of: impl Fn(&Segment) -> Result<Option<PerSegment>, Error>,
    ) -> Result<Vec<Dispatch>, Error> {
        let chunks = self.update_chunks()?;
        let record = layout::Segment { seed: self.seed, ..layout::Segment::default() };
        let parts: Vec<Option<PerSegment>> = self.work.update_segments.iter().map(of).collect::<Result<_, _>>()?;
        // Nothing goes up for a stage that no segment takes part in.
        if parts.iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
        let records = self.records(&self.work.update_segments, |_| record)?;
        let constants = vec![("WORKGROUP", f64::from(workgroup(self.engine)))];
        let dispatch = |((segment, part), record): ((&Segment, Option<PerSegment>), Range)| {
            let PerSegment { kernel, bytes, streams, extra } = part?;
            let mut bindings: Vec<Binding> = vec![chunks.into(), self.control.into()];
            bindings.extend(streams);
            bindings.push(record.into());
            bindings.extend(extra);
            let grid = row_of(segment.chunks.end - segment.chunks.start);
            Some(Dispatch { kernel, bindings, constants: constants.clone(), grid, bytes, flops: 0 })
        };
        Ok(self.work.update_segments.iter().zip(parts).zip(records).filter_map(dispatch).collect())
    }
}
