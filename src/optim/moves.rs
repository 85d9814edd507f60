//! What goes between an optimizer and a best copy: by the queue's own copies, or where the device finds that it should.

use super::{Error, Optimizer};
use crate::engine::kernels::KEEP;
use crate::engine::layout::Span;
use crate::engine::{Buffer, Dispatch, Engine, Prepared, Program, Range, Submission, Upload, count, row_of};

/// Bytes of a vec4, and the vec4s of a span: a workgroup's work.
const QUAD_BYTES: u64 = 16;
const SPAN_QUADS: u64 = 1024;

/// What goes between an optimizer and the blocks of a copy.
#[derive(Default)]
pub(super) struct Moves {
    /// On the optimizer's engine.
    pub(super) here: Vec<(Range, Range)>,
    pub(super) clears: Vec<Range>,
    /// Between it and another engine, which is host memory.
    pub(super) away: Vec<(Engine, Range, Range)>,
}

/// By what the device decides whether to copy.
#[derive(Clone, Copy)]
pub(super) enum Where {
    /// The latest evaluation is the best.
    Best,
    /// There is a best one.
    Known,
}

impl Moves {
    /// Adds copies between an optimizer and a block at `home`.
    pub(super) fn between(&mut self, optimizer: &Optimizer, home: &Engine, copies: Vec<(Range, Range)>) {
        if home.same(optimizer.engine()) {
            self.here.extend(copies);
        } else {
            self.away.extend(copies.into_iter().map(|(from, to)| (home.clone(), from, to)));
        }
    }

    /// Runs them towards the blocks.
    pub(super) fn download(self, engine: &Engine) -> Result<(), Error> {
        if !self.here.is_empty() {
            engine.submit(&Submission { copies: self.here, ..Submission::default() })?;
        }
        if self.away.is_empty() {
            return Ok(());
        }
        let ranges: Vec<Range> = self.away.iter().map(|(_, from, _)| from.clone()).collect();
        for (data, (home, _, to)) in engine.read_all(&ranges)?.into_iter().zip(self.away) {
            let uploads = vec![Upload { buffer: to.buffer, offset: to.offset, data }];
            home.submit(&Submission { uploads, ..Submission::default() })?;
        }
        Ok(())
    }

    /// Runs them towards the optimizer, in one submission.
    pub(super) fn upload(self, engine: &Engine) -> Result<(), Error> {
        let mut uploads = Vec::with_capacity(self.away.len());
        for (home, from, to) in self.away {
            for data in home.read_all(std::slice::from_ref(&from))? {
                uploads.push(Upload { buffer: to.buffer.clone(), offset: to.offset, data });
            }
        }
        let submission = Submission { uploads, clears: self.clears, copies: self.here, ..Submission::default() };
        Ok(engine.submit(&submission)?)
    }

    /// The copies as a program, which does nothing where the standing says so. Both sides lie in arenas: at multiples of a
    /// vec4, and with room behind them up to the next. What is to be cleared is zero already: records of tensors that never
    /// trained.
    pub(super) fn by_standing(&self, engine: &Engine, standing: &Buffer, copy: Where) -> Result<Prepared, Error> {
        if let Some((_, range, _)) = self.away.first() {
            return Err(Error::NotOnDevice { what: range.buffer.label().to_owned() });
        }
        let mut program = Program::new("keep");
        for (from, to, spans) in by_page(&self.here)? {
            let bytes = spans.iter().map(|span| u64::from(span.quads) * 2 * QUAD_BYTES).sum();
            let known = f64::from(u8::from(matches!(copy, Where::Known)));
            program.dispatches.push(Dispatch {
                kernel: KEEP.plain(),
                bindings: vec![
                    standing.into(),
                    (&engine.buffer_with("spans", &spans)?).into(),
                    (&from).into(),
                    (&to).into(),
                ],
                constants: vec![("WORKGROUP", f64::from(engine.sizes().chunk)), ("KNOWN", known)],
                grid: row_of(count("spans", spans.len() as u64)?),
                bytes,
                flops: 0,
            });
        }
        Ok(engine.prepare(program)?)
    }
}

/// Copies by the pages that they go from and to, cut into spans.
fn by_page(copies: &[(Range, Range)]) -> Result<Vec<(Buffer, Buffer, Vec<Span>)>, Error> {
    let mut pages: Vec<(Buffer, Buffer, Vec<Span>)> = Vec::new();
    for (from, to) in copies {
        let known = pages.iter().position(|(source, copy, _)| source.same(&from.buffer) && copy.same(&to.buffer));
        let page = known.unwrap_or_else(|| {
            pages.push((from.buffer.clone(), to.buffer.clone(), Vec::new()));
            pages.len() - 1
        });
        let quads = from.bytes.div_ceil(QUAD_BYTES);
        for first in (0..quads).step_by(SPAN_QUADS as usize) {
            pages[page].2.push(Span {
                source: count("vec4s", from.offset / QUAD_BYTES + first)?,
                copy: count("vec4s", to.offset / QUAD_BYTES + first)?,
                quads: count("vec4s", SPAN_QUADS.min(quads - first))?,
                pad0: 0,
            });
        }
    }
    Ok(pages)
}
