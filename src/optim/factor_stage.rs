//! The stages of rules that keep rows and columns, as dispatches: sums of rows, sums of columns, and their fold into the state.

use super::Error;
use super::factors::Layout;
use super::stages::{PerSegment, Stages, workgroup};
use super::work::Segment;
use crate::engine::{Binding, Buffer, Dispatch, Kernel, Range, count, layout, row_of};

/// What rows and columns need on the device.
pub(super) struct FactorStage {
    layout: Layout,
    pub(super) factors: Buffer,
    bands: Buffer,
    row_sums: Buffer,
    column_sums: Buffer,
    pub(super) means: Buffer,
}

/// A segment whose rows and columns are kept.
pub(super) struct Factored {
    /// The kernels of the sums of rows, and of those of columns.
    pub(super) kernels: [&'static Kernel; 2],
    /// Bytes that each of them moves.
    pub(super) bytes: u64,
    /// Bindings between control and segment.
    pub(super) streams: Vec<Binding>,
}

impl FactorStage {
    pub(super) fn new(stages: &Stages<'_>, layout: Layout) -> Result<FactorStage, Error> {
        let engine = stages.engine;
        let floats = |label: &str, places: u32| engine.buffer(label, (u64::from(places) * 4).max(16));
        let [row_sums, column_sums, means] = layout.places;
        Ok(FactorStage {
            factors: engine.buffer_with("factors", &layout.list)?,
            bands: engine.buffer_with("bands", &layout.bands)?,
            row_sums: floats("row sums", row_sums)?,
            column_sums: floats("column sums", column_sums)?,
            means: floats("means", means)?,
            layout,
        })
    }

    /// Their dispatches, if there are matrices. `of` tells of a segment, and `fold` of an arena the kernel of its fold and where
    /// its rows and columns lie.
    pub(super) fn dispatches(
        &self,
        stages: &Stages<'_>,
        of: impl Fn(&Segment) -> Result<Option<Factored>, Error>,
        fold: impl Fn(usize) -> Option<(&'static Kernel, Range)>,
    ) -> Result<Vec<Dispatch>, Error> {
        if self.layout.bands.is_empty() {
            return Ok(Vec::new());
        }
        let mut dispatches = stages.per_segment(|segment| {
            let extra = vec![(&self.factors).into(), (&self.row_sums).into()];
            let rows = |it: Factored| PerSegment { kernel: it.kernels[0], bytes: it.bytes, streams: it.streams, extra };
            Ok(of(segment)?.map(rows))
        })?;
        dispatches.extend(self.columns(stages, of)?);
        for of_arena in &self.layout.folded {
            let Some((kernel, state)) = fold(of_arena.arena) else { continue };
            let folded = stages.engine.buffer_with("folded", &of_arena.list)?;
            let workgroups = count("matrices", of_arena.list.len())?;
            let segment = layout::Segment { count: workgroups, ..layout::Segment::default() };
            let segment = stages.engine.buffer_with("segment", &[segment])?;
            let mut bindings: Vec<Binding> =
                [&folded, &self.factors, &self.row_sums, &self.column_sums].map(Binding::from).into();
            bindings.push(state.into());
            bindings.extend([&self.means, stages.control, &segment].map(Binding::from));
            let constants = vec![("WORKGROUP", f64::from(workgroup(stages.engine)))];
            let (grid, bytes) = (row_of(workgroups), of_arena.bytes);
            dispatches.push(Dispatch { kernel, bindings, constants, grid, bytes, flops: 0 });
        }
        Ok(dispatches)
    }

    /// The sums of columns: one dispatch for each segment with bands.
    fn columns(
        &self,
        stages: &Stages<'_>,
        of: impl Fn(&Segment) -> Result<Option<Factored>, Error>,
    ) -> Result<Vec<Dispatch>, Error> {
        let segments = stages.work.update_segments.iter().zip(&self.layout.of_segment);
        let bands: Vec<Segment> =
            segments.map(|(segment, bands)| Segment { chunks: bands.clone(), ..segment.clone() }).collect();
        let records = stages.records(&bands, |_| layout::Segment::default())?;
        let mut dispatches = Vec::new();
        for (segment, record) in bands.iter().zip(records).filter(|(segment, _)| !segment.chunks.is_empty()) {
            let Some(Factored { kernels, bytes, streams }) = of(segment)? else { continue };
            let mut bindings: Vec<Binding> = vec![stages.update_chunks()?.into(), stages.control.into()];
            bindings.extend(streams);
            bindings.push(record.into());
            bindings.extend([&self.factors, &self.bands, &self.column_sums].map(Binding::from));
            let constants = vec![("WORKGROUP", f64::from(workgroup(stages.engine)))];
            let grid = row_of(segment.chunks.end - segment.chunks.start);
            dispatches.push(Dispatch { kernel: kernels[1], bindings, constants, grid, bytes, flops: 0 });
        }
        Ok(dispatches)
    }
}
