//! A step as a program: norm, control and update over the tensors that take part.

use super::Optimizer;
use super::programs::{Compiled, Place};
use crate::engine::{Binding, Buffer, Prepared, Program};
use crate::optim::Error;
use crate::optim::Precision;
use crate::optim::factor_stage::FactorStage;
use crate::optim::matrices::Matrices;
use crate::optim::newton_schulz;
use crate::optim::stages::{PerSegment, RowStage, Stages};
use crate::optim::tensors::Tensors;
use crate::optim::update::{Update, has_rows};
use crate::optim::work::{Part, Segment, Tensor, WorkList};
use crate::params::{Param, Row};
use std::cell::OnceCell;
use std::collections::HashSet;

/// The parameters that have a gradient this step, prepared by [`Optimizer::select`].
#[derive(Debug)]
pub struct Selection {
    pub(super) layout: u64,
    prepared: Prepared,
}

impl Optimizer {
    /// The step over these parameters alone: the others have no gradient and keep their moments and counts, as in
    /// PyTorch. Frozen ones among them stay frozen. Prepare it once for each set that occurs.
    ///
    /// # Errors
    /// An unknown name; out of device memory.
    pub fn select(&self, names: &[&str]) -> Result<Selection, Error> {
        let tensors: Vec<usize> = names.iter().map(|name| self.place_of(name)).collect::<Result<_, _>>()?;
        let places = self.gradient_places(|tensor| tensors.contains(&tensor));
        let Compiled { prepared, .. } = self.compile(" over a selection", places)?;
        Ok(Selection { layout: self.layout, prepared })
    }

    /// The step's program over everything thawed, to be looked at: dispatches, bytes, barriers.
    ///
    /// # Errors
    /// From the device, where it has to be made first.
    pub fn program(&mut self) -> Result<&Program, Error> {
        self.make_program()?;
        Ok(self.prepared(None)?.program())
    }

    /// The step's program over the tensors with a place for their gradient.
    fn compile(&self, over: &str, places: Vec<Option<Place>>) -> Result<Compiled, Error> {
        let grads = self.gradients();
        let parts = self.memory.parts(&self.updates());
        let tensors = self.taking_part(&grads, &parts, &places);
        let work = WorkList::new(&tensors)?;
        let stages = self.stages(&work);
        let rows = self.row_stages(&stages, &tensors)?;
        let mut program = Program::new(&format!("{} step{over}", self.families().join(" and ")));
        let has_singles = |page: usize| {
            let on_page =
                |(tensor, _): &(usize, &Option<Place>)| grads.pieces[*tensor].iter().any(|it| it.page == page);
            places.iter().enumerate().filter(on_page).any(|(_, place)| place.as_ref().is_some_and(|it| !it.is_in_quads))
        };
        program.dispatches.extend(stages.norm(&grads, has_singles)?);
        program.dispatches.extend(stages.norm_fold(self.squared.pages())?);
        program.dispatches.push(stages.control(false)?);
        let factors = self.factor_stage(&stages, &tensors)?;
        if let Some(factors) = &factors {
            program.dispatches.extend(self.factors(&stages, &grads, factors)?);
        }
        if let Some(sums) = stages.sums()? {
            program
                .dispatches
                .extend(stages.per_segment(|it| self.sums_of(it, &stages, &grads, (&sums, factors.as_ref())))?);
            program.dispatches.push(stages.fold(&sums)?);
        }
        for rows in &rows {
            program.dispatches.extend(stages.per_segment(|segment| self.row_sums_of(segment, &stages, &grads, rows))?);
            program.dispatches.extend(stages.fold_rows(rows)?);
        }
        program.dispatches.extend(stages.per_segment(|segment| self.directions_of(segment, &stages, &grads))?);
        let directions = |arena: usize, page: usize| self.state.kept(arena).direction_pages(page);
        program.dispatches.extend(newton_schulz::dispatches(&self.engine, directions, self.directed(&tensors))?);
        let update = |segment: &Segment| match self.state.kept(segment.pages.arena).update.is_elsewhere {
            true => Ok(None),
            false => self.update_of(segment, &stages, &grads, (&rows, factors.as_ref())).map(Some),
        };
        program.dispatches.extend(stages.per_segment(update)?);
        let list = stages.list()?.clone();
        let prepared = self.engine.prepare(program)?;
        Ok(Compiled { places, prepared, list, entries: work.tensors, is_stale: false })
    }

    /// Where the gradients lie of the thawed tensors that `has_gradient` keeps.
    fn gradient_places(&self, has_gradient: impl Fn(usize) -> bool) -> Vec<Option<Place>> {
        let (grads, parts) = (self.gradients(), self.memory.parts(&self.updates()));
        let place = |tensor: usize| {
            self.group_of[tensor].filter(|group| !self.groups[*group].frozen)?;
            self.state.place(tensor)?;
            let piece = grads.pieces[tensor].first().filter(|_| has_gradient(tensor))?;
            Some(Place {
                page: grads.pages[piece.page].clone(),
                has_single_grads: self.has_single_grads(&grads, &parts[tensor], tensor),
                is_in_quads: grads.is_in_quads(tensor),
            })
        };
        (0..self.params.len()).map(place).collect()
    }

    /// Whether a caller's gradient cannot be bound as vec4s beside its parameter: it begins elsewhere in a vec4, ends where
    /// none can be read, or shares the parameter's buffer.
    fn has_single_grads(&self, grads: &Tensors, parts: &[Part], tensor: usize) -> bool {
        if self.memory.callers.is_none() || self.memory.precisions[tensor] != Precision::F32 {
            return false;
        }
        let [head, tail] = [parts.first(), parts.last()].map(|part| match part {
            Some(part) if parts.len() > 1 && part.has_single_params => part.elements,
            _ => 0,
        });
        let begins_in_quads = grads.pieces[tensor].iter().all(|piece| (piece.offset + head).is_multiple_of(4));
        let ends_in_quads = tail > 0 || grads.ends_in_quads(tensor);
        let buffer = |tensors: &Tensors| tensors.pieces[tensor].first().map(|it| tensors.pages[it.page].buffer.clone());
        let is_shared = match (buffer(&self.memory.params), buffer(grads)) {
            (Some(values), Some(gradient)) => values.same(&gradient),
            _ => false,
        };
        !begins_in_quads || !ends_in_quads || is_shared
    }

    /// The tensors with a place for their gradient.
    fn taking_part<'a>(
        &'a self,
        grads: &'a Tensors,
        parts: &'a [Vec<Part>],
        places: &[Option<Place>],
    ) -> Vec<Tensor<'a>> {
        // In the model's order, whatever thawed first: the norm's sums have the same order, and so the same bits, in a run
        // that goes on from a checkpoint, whose tensors thaw together.
        let lies = |(tensor, place): (usize, &Option<Place>)| {
            let (arena, state) = self.state.place(tensor)?;
            Some(Tensor {
                number: tensor,
                group: self.group_of[tensor]?,
                elements: self.elements[tensor],
                parts: &parts[tensor],
                param: &self.memory.params.pieces[tensor],
                grad: &grads.pieces[tensor],
                grad_base: u64::from(self.grad_base(tensor)),
                has_single_grads: place.as_ref()?.has_single_grads,
                state,
                arena,
                matrix: self.matrix(tensor).filter(|_| self.state.kept(arena).update.rows.is_some()),
                has_sums: self.state.kept(arena).update.sums.is_some(),
                squares: self.squared.piece(tensor).filter(|_| self.uses_squares()),
                set: self.clip_sets.get(self.group_of[tensor]?).copied().unwrap_or(0),
                is_counted: self.clip.counts_tensors(),
            })
        };
        let mut tensors: Vec<Tensor<'a>> = places.iter().enumerate().filter_map(lies).collect();
        // What shares its pages with a gradient of single floats takes part in its dispatch.
        let pages =
            |tensor: &Tensor<'_>| (tensor.param.first().map(|it| it.page), tensor.grad.first().map(|it| it.page));
        let single: HashSet<_> = tensors.iter().filter(|tensor| tensor.has_single_grads).map(pages).collect();
        tensors.iter_mut().for_each(|tensor| tensor.has_single_grads = single.contains(&pages(tensor)));
        tensors
    }

    /// Where a gradient begins in its page, in elements, if it may move.
    fn grad_base(&self, tensor: usize) -> u32 {
        let piece = self.memory.callers.as_ref().and_then(|callers| callers.grads.pieces[tensor].first());
        piece.map_or(0, |piece| u32::try_from(piece.offset).unwrap_or(u32::MAX))
    }

    /// The update of a segment: its kernel, and the pages of parameters, gradients and state.
    fn update_of(
        &self,
        segment: &Segment,
        stages: &Stages<'_>,
        grads: &Tensors,
        (rows, factors): (&[RowStage], Option<&FactorStage>),
    ) -> Result<PerSegment, Error> {
        let at = segment.pages;
        let kept = self.state.kept(at.arena);
        let update = kept.update;
        // A direction stands in the moments' place.
        let state = kept.direction_pages(at.state).pop().map_or_else(|| kept.moment_pages(at.state), |last| vec![last]);
        let mut streams: Vec<Binding> = state.into_iter().map(Into::into).collect();
        // The slots behind the second and the average are bound last, so that the other bindings stay where they are.
        let mut extra = streams.split_off(streams.len().min(2));
        extra.extend(of_factors(factors, &update));
        extra.extend(kept.average_page(at.state).map(Into::into));
        extra.extend(own(rows, &update).into_iter().flat_map(|rows| [(&rows.matrices).into(), (&rows.shares).into()]));
        streams.extend([self.memory.params.pages[at.param].clone().into(), grads.pages[at.grad].clone().into()]);
        let bytes = self.sum(segment, stages, |elements, is_matrix| update.update_bytes(elements, is_matrix));
        Ok(PerSegment { kernel: update.kernel(at.floats)?, bytes, streams, extra })
    }

    /// The sums that the rule of a segment needs before its update, if it does: it binds what the update binds.
    fn sums_of(
        &self,
        segment: &Segment,
        stages: &Stages<'_>,
        grads: &Tensors,
        (sums, factors): (&Buffer, Option<&FactorStage>),
    ) -> Result<Option<PerSegment>, Error> {
        let at = segment.pages;
        let update = self.state.kept(at.arena).update;
        let Some(kernel) = update.sums_kernel(at.floats)?.filter(|_| update.sums.is_some()) else { return Ok(None) };
        let bytes = self.sum(segment, stages, |elements, is_matrix| update.sums_bytes(elements, is_matrix));
        let streams = self.streams_of(segment, grads);
        let extra = of_factors(factors, &update).chain([sums.into()]).collect();
        Ok(Some(PerSegment { kernel, bytes, streams, extra }))
    }

    /// The sums over rows that the rule of a segment needs before its update, if it does and there are rows.
    fn row_sums_of(
        &self,
        segment: &Segment,
        stages: &Stages<'_>,
        grads: &Tensors,
        rows: &RowStage,
    ) -> Result<Option<PerSegment>, Error> {
        let update = self.state.kept(segment.pages.arena).update;
        let elements = stages.work.elements(segment, |chunk| has_rows(&self.params[chunk.tensor as usize]));
        let Some(kernel) = update.sums_kernel(segment.pages.floats)?.filter(|_| own([rows], &update).is_some()) else {
            return Ok(None);
        };
        if elements == 0 {
            return Ok(None);
        }
        let streams = self.streams_of(segment, grads);
        let extra = vec![(&rows.matrices).into(), (&rows.sums).into()];
        Ok(Some(PerSegment { kernel, bytes: update.sums_bytes(elements, true), streams, extra }))
    }

    /// The directions before the update of a segment, if its rule steps along such.
    fn directions_of(
        &self,
        segment: &Segment,
        stages: &Stages<'_>,
        grads: &Tensors,
    ) -> Result<Option<PerSegment>, Error> {
        let kept = self.state.kept(segment.pages.arena);
        let Some(kernel) = kept.update.direct_kernel(segment.pages.floats)? else { return Ok(None) };
        let bytes = self.sum(segment, stages, |elements, _| kept.update.direct_bytes(elements));
        let extra = kept.direction_pages(segment.pages.state).into_iter().take(1).map(Into::into).collect();
        Ok(Some(PerSegment { kernel, bytes, streams: self.streams_of(segment, grads), extra }))
    }

    /// The tensors whose directions are made orthogonal, each with its parameter and its row.
    fn directed<'a>(&'a self, tensors: &'a [Tensor<'a>]) -> impl Iterator<Item = (&'a Tensor<'a>, &'a Param, Row)> {
        let is_directed = |tensor: &&Tensor<'_>| self.state.kept(tensor.arena).update.direct.is_some();
        let with_row = |tensor: &'a Tensor<'a>| (tensor, &self.params[tensor.number], self.row_of_own(tensor.number));
        tensors.iter().filter(is_directed).map(with_row)
    }

    /// What a stage before the update binds of a segment: the first two moments, parameters and gradients.
    pub(super) fn streams_of(&self, segment: &Segment, grads: &Tensors) -> Vec<Binding> {
        let at = segment.pages;
        let moments = self.state.kept(at.arena).moment_pages(at.state).into_iter().take(2);
        let values = [self.memory.params.pages[at.param].clone(), grads.pages[at.grad].clone()];
        moments.chain(values).map(Into::into).collect()
    }

    /// The sum of what `of` says of the elements of each chunk of a segment, which may be a matrix's.
    fn sum(&self, segment: &Segment, stages: &Stages<'_>, of: impl Fn(u64, bool) -> u64) -> u64 {
        stages.work.sum(segment, |chunk| of(u64::from(chunk.length), has_rows(&self.params[chunk.tensor as usize])))
    }

    /// Room for the sums over rows of each rule in use that needs some.
    fn row_stages(&self, stages: &Stages<'_>, tensors: &[Tensor<'_>]) -> Result<Vec<RowStage>, Error> {
        let mut made: Vec<RowStage> = Vec::new();
        let update = |tensor: &Tensor<'_>| self.state.kept(tensor.arena).update;
        for tensor in tensors {
            let update_of_own = update(tensor);
            if let (Some([_, fold]), None) = (update_of_own.rows, own(&made, &update_of_own)) {
                let is_own = |tensor: &Tensor<'_>| update(tensor).rows == update_of_own.rows;
                made.push(stages.rows(fold.plain(), &Matrices::of(tensors, is_own)?)?);
            }
        }
        Ok(made)
    }

    /// Rows and columns of a parameter, if it has any.
    fn matrix(&self, tensor: usize) -> Option<[u64; 2]> {
        let param = &self.params[tensor];
        let rows = *param.shape.first().filter(|_| has_rows(param))? as u64;
        Some([rows, self.elements[tensor] / rows])
    }

    pub(super) fn stages<'a>(&'a self, work: &'a WorkList) -> Stages<'a> {
        Stages {
            engine: &self.engine,
            work,
            clip: self.clip,
            guard: self.settings.guard,
            loss_scale: self.settings.loss_scale,
            seed: self.settings.seed,
            control: &self.control,
            table: &self.table,
            sets: &self.clip_sets,
            chunks: OnceCell::new(),
            list: OnceCell::new(),
        }
    }

    /// Chooses the program over all that has a gradient, or makes it.
    pub(super) fn make_program(&mut self) -> Result<(), Error> {
        if self.programs.chosen().is_some() {
            return Ok(());
        }
        let places = self.gradient_places(|_| true);
        let mut programs = std::mem::take(&mut self.programs);
        let is_known = programs.choose(&places, |tensor| self.grad_base(tensor));
        self.programs = programs;
        if is_known {
            return Ok(());
        }
        let compiled = self.compile("", places)?;
        self.programs.add(compiled);
        Ok(())
    }

    pub(super) fn prepared<'a>(&'a self, selection: Option<&'a Selection>) -> Result<&'a Prepared, Error> {
        let chosen = || self.programs.chosen().map(|compiled| &compiled.prepared);
        selection.map(|selection| &selection.prepared).or_else(chosen).ok_or(Error::StaleSelection)
    }
}

/// What a stage binds of rows and columns behind the segment, if an update's rule keeps such.
fn of_factors(factors: Option<&FactorStage>, update: &Update) -> impl Iterator<Item = Binding> + use<> {
    let own = factors.filter(|_| update.factors.is_some());
    own.map(|own| [(&own.factors).into(), (&own.means).into()]).into_iter().flatten()
}

/// What the sums over rows of an update's rule need, if it needs some.
fn own<'a>(rows: impl IntoIterator<Item = &'a RowStage>, update: &Update) -> Option<&'a RowStage> {
    let [_, fold] = update.rows?;
    rows.into_iter().find(|rows| rows.fold.family == fold)
}
