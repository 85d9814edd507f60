//! Clipping alone, for trainers that have an optimizer of their own.

use super::external::{check_overlaps, parts_of};
use super::stages::{PerSegment, Stages, control_block, stats_of};
use super::stats::Inbox;
use super::tensors::{Array, Tensors};
use super::work::{Floats, Tensor, WorkList};
use super::{Clip, Error, Precision, Stats};
use crate::engine::kernels::{CLIP, Flag};
use crate::engine::{Engine, Prepared, Program, Range, Report, Ring, Submission, layout};
use crate::params::Storage;
use std::cell::OnceCell;

/// Clips gradients where they lie, by their norm over all tensors or by value: two or three stages, one submission.
///
/// With `error_if_nonfinite`, gradients whose norm is not finite stay as they are, and [`GradientClip::stats`] returns
/// the error when the report arrives.
#[derive(Debug)]
pub struct GradientClip {
    engine: Engine,
    inbox: Inbox,
    prepared: Prepared,
    ring: Ring,
    runs: u64,
}

impl GradientClip {
    /// Prepares clipping of these gradients (name and range; f32), each at any multiple of 4 bytes.
    ///
    /// # Errors
    /// A clip setting out of range; an empty list; ranges outside their buffers, or that overlap.
    pub fn new(engine: &Engine, gradients: &[(&str, Range)], clip: Clip) -> Result<GradientClip, Error> {
        clip.check()?;
        clip.check_tensors(gradients.len())?;
        if gradients.is_empty() {
            return Err(crate::params::Error::EmptyModel.into());
        }
        gradients.iter().try_for_each(|(_, range)| range.check())?;
        check_overlaps(gradients.iter().map(|(name, range)| ("gradient", *name, range)).collect())?;
        let arrays = gradients.iter().map(|(name, range)| {
            let (storage, elements) = (Storage::F32, range.bytes / 4);
            Some(Array { name, range, storage, elements, in_quads: false })
        });
        let grads = Tensors::of(engine, arrays)?;
        // A vec4 that is not one gradient's alone takes single floats.
        let ranges: Vec<(&Range, Precision)> = gradients.iter().map(|(_, range)| (range, Precision::F32)).collect();
        let parts = parts_of(engine, &grads, &ranges);
        let tensor = |(place, (_, range)): (usize, &(&str, Range))| Tensor {
            number: 0,
            group: place,
            elements: range.bytes / 4,
            parts: &parts[place],
            param: &[],
            grad: &grads.pieces[place],
            grad_base: 0,
            has_single_grads: false,
            state: &[],
            arena: 0,
            has_sums: false,
            matrix: None,
            squares: None,
            set: 0,
            is_counted: clip.counts_tensors(),
        };
        let tensors: Vec<Tensor<'_>> = gradients.iter().enumerate().map(tensor).collect();
        let work = WorkList::new(&tensors)?;

        let control = control_block(engine, 1, None)?;
        let table = engine.buffer("table", layout::LEAST_TABLE_BYTES)?;
        let (chunks, list) = (OnceCell::new(), OnceCell::new());
        let stages = Stages {
            engine,
            work: &work,
            clip,
            guard: false,
            loss_scale: None,
            seed: 0,
            control: &control,
            table: &table,
            sets: &[],
            chunks,
            list,
        };
        let mut program = Program::new("clip_gradients");
        let loose = |page: usize| {
            let on_page = |place: &usize| grads.pieces[*place].iter().any(|piece| piece.page == page);
            (0..gradients.len()).filter(on_page).any(|place| !grads.is_in_quads(place))
        };
        program.dispatches.extend(stages.norm(&grads, loose)?);
        program.dispatches.push(stages.control(true)?);
        let clipped = stages.per_segment(|segment| {
            let kernel = CLIP.variant(Flag::SingleGrads.when(segment.pages.floats == Floats::Singles))?;
            let streams = vec![grads.pages[segment.pages.grad].clone().into()];
            Ok(Some(PerSegment { kernel, bytes: 8 * segment.elements, streams, extra: Vec::new() }))
        })?;
        program.dispatches.extend(clipped);
        Ok(GradientClip {
            engine: engine.clone(),
            inbox: Inbox::new(clip),
            prepared: engine.prepare(program)?,
            ring: engine.ring(vec![stats_of(&control)])?,
            runs: 0,
        })
    }

    /// Its program, to be looked at.
    pub fn program(&self) -> &Program {
        self.prepared.program()
    }

    /// Clips, in a submission of its own.
    ///
    /// # Errors
    /// From the device.
    pub fn run(&mut self) -> Result<(), Error> {
        let report = Some(Report::new(&self.ring, self.runs));
        self.runs += 1;
        let programs = &[&self.prepared];
        Ok(self.engine.submit(&Submission { programs, report, ..Submission::default() })?)
    }

    /// Clips inside the caller's encoder.
    ///
    /// # Errors
    /// From the device.
    pub fn encode(&mut self, encoder: &mut wgpu::CommandEncoder) -> Result<(), Error> {
        let report = Some(Report::new(&self.ring, self.runs));
        self.runs += 1;
        let programs = &[&self.prepared];
        Ok(self.engine.encode(encoder, &Submission { programs, report, ..Submission::default() })?)
    }

    /// The latest report that has arrived. Never waits. An encoder that is kept without being submitted holds back those
    /// after it.
    ///
    /// # Errors
    /// [`Error::NonfiniteNorm`] once for each new norm that was not finite while that is an error.
    pub fn stats(&mut self) -> Result<Option<Stats>, Error> {
        self.inbox.collect(&self.engine, &self.ring)?;
        self.inbox.latest()
    }
}
