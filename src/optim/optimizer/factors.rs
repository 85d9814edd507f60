//! What a step does for rules that keep rows and columns, before their sums over tensors.

use super::Optimizer;
use crate::engine::Dispatch;
use crate::optim::Error;
use crate::optim::factor_stage::{FactorStage, Factored};
use crate::optim::factors::{Kept, Layout};
use crate::optim::stages::Stages;
use crate::optim::tensors::Tensors;
use crate::optim::update::has_rows;
use crate::optim::work::{Segment, Tensor};

impl Optimizer {
    /// Room for rows and columns, if some tensor has any.
    pub(super) fn factor_stage(
        &self,
        stages: &Stages<'_>,
        tensors: &[Tensor<'_>],
    ) -> Result<Option<FactorStage>, Error> {
        let own = |tensor: &Tensor<'_>| {
            let kept = self.state.kept(tensor.arena);
            let (param, at) = (&self.params[tensor.number], kept.factors_at(tensor.number)?);
            Some(Kept { param, at, fold_bytes: kept.update.fold_bytes(param) })
        };
        if tensors.iter().all(|tensor| own(tensor).is_none()) {
            return Ok(None);
        }
        Ok(Some(FactorStage::new(stages, Layout::of(tensors, stages.work, own)?)?))
    }

    /// The dispatches after which rows and columns have taken this step.
    pub(super) fn factors(
        &self,
        stages: &Stages<'_>,
        grads: &Tensors,
        stage: &FactorStage,
    ) -> Result<Vec<Dispatch>, Error> {
        let of = |segment: &Segment| self.factored(segment, stages, grads);
        let fold = |arena: usize| {
            let kept = self.state.kept(arena);
            let [_, _, fold] = kept.update.factors?;
            Some((fold.plain(), kept.moment_pages(0).pop()?))
        };
        stage.dispatches(stages, of, fold)
    }

    /// A segment, if its rule keeps rows and columns and it has some.
    fn factored(&self, segment: &Segment, stages: &Stages<'_>, grads: &Tensors) -> Result<Option<Factored>, Error> {
        let at = segment.pages;
        let update = self.state.kept(at.arena).update;
        let kernels = update.factor_kernels(at.floats)?;
        let whole = stages.work.update_segments.iter().find(|other| other.pages == at);
        let is_matrix = |tensor: u32| has_rows(&self.params[tensor as usize]);
        let elements = whole.map_or(0, |whole| stages.work.elements(whole, |chunk| is_matrix(chunk.tensor)));
        let Some(kernels) = kernels.filter(|_| elements > 0) else { return Ok(None) };
        let bytes = update.factor_bytes(elements);
        Ok(Some(Factored { kernels, bytes, streams: self.streams_of(segment, grads) }))
    }
}
