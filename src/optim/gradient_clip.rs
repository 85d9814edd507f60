//! Clipping alone, for trainers that have an optimizer of their own.

use super::external::{Array, check_arena, check_overlaps};
use super::stages::{PerSegment, Stages, control_block, is_in_place, stats_of};
use super::stats::Inbox;
use super::tensors::Tensors;
use super::work::{Tensor, WorkList};
use super::{Clip, Error, Mode, Stats};
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
    /// Prepares clipping of these gradients (name and range; f32).
    ///
    /// # Errors
    /// A clip setting out of range; an empty list; ranges that the mode cannot use.
    pub fn new(engine: &Engine, gradients: &[(&str, Range)], mode: Mode, clip: Clip) -> Result<GradientClip, Error> {
        clip.check()?;
        if gradients.is_empty() {
            return Err(crate::params::Error::EmptyModel.into());
        }
        for (name, range) in gradients {
            range.buffer.range(range.offset, range.bytes)?;
            if mode == Mode::Arena {
                check_arena(name, "gradient", range)?;
            }
        }
        check_overlaps(gradients.iter().map(|(name, range)| (format!("gradient of {name:?}"), range)).collect())?;
        let arrays = gradients.iter().map(|(name, range)| {
            let (storage, elements) = (Storage::F32, range.bytes / 4);
            Array { name, range, storage, elements }
        });
        let grads = Tensors::of(engine, arrays, mode)?;
        let tensor = |(place, (_, range)): (usize, &(&str, Range))| Tensor {
            number: 0,
            group: place,
            elements: range.bytes / 4,
            param: &[],
            grad: &grads.pieces[place],
            state: &[],
            arena: 0,
            squares: None,
        };
        let tensors: Vec<Tensor<'_>> = gradients.iter().enumerate().map(tensor).collect();
        let work = WorkList::new(&tensors)?;

        let control = control_block(engine, 1)?;
        let table = engine.buffer("table", layout::LEAST_TABLE_BYTES)?;
        let in_place = is_in_place(Some(mode));
        let chunks = OnceCell::new();
        let stages = Stages {
            engine,
            work: &work,
            clip,
            guard: false,
            seed: 0,
            in_place,
            control: &control,
            table: &table,
            chunks,
        };
        let mut program = Program::new("clip_gradients");
        program.dispatches.extend(stages.norm(&grads)?);
        program.dispatches.push(stages.control(true)?);
        let kernel = CLIP.variant(Flag::InPlace.when(in_place))?;
        let clipped = stages.per_segment(|segment| {
            let streams = vec![grads.pages[segment.pages.grad].clone().into()];
            Ok(PerSegment { kernel, bytes: 8 * segment.elements, streams, extra: Vec::new() })
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
