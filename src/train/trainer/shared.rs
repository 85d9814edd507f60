//! Moments that ranks share out (ZeRO-1): after each step, the values that each rank has updated go to all.

use super::Trainer;
use crate::engine::{Range, Report, Ring, Submission, Upload};
use crate::optim::whole_state;
use crate::train::Error;

/// The values that go from rank to rank, for as long as they stay whose they are.
#[derive(Debug)]
pub(super) struct Shared {
    /// [`Optimizer::layout`](crate::optim::Optimizer::layout).
    layout: u64,
    /// By rank, one after the other: what it updates.
    ranges: Vec<Vec<Range>>,
    /// Where each rank's values begin in `values`, and where the last one's end.
    bounds: Vec<usize>,
    /// As words.
    values: Vec<f32>,
    /// Of this rank's; none where it updates nothing.
    ring: Option<Ring>,
}

impl Trainer {
    /// Brings every rank the values that the others have updated, if the moments are shared out.
    pub(super) fn share_values(&mut self, step: u64) -> Result<(), Error> {
        if self.config.settings.shard.is_none() {
            return Ok(());
        }
        self.make_shared()?;
        let Trainer { engine, among: Some(among), .. } = self else { return Ok(()) };
        let own = among.collective.rank().number;
        let Some(Shared { ranges, bounds, values, ring, .. }) = &mut among.shared else { return Ok(()) };
        if let Some(ring) = ring {
            let report = Some(Report::new(ring, step));
            engine.submit(&Submission { report, ..Submission::default() })?;
            engine.wait()?;
            let mut has_come = false;
            engine.collect(ring, |report| {
                let own: &mut [u8] = bytemuck::cast_slice_mut(&mut values[bounds[own]..bounds[own + 1]]);
                own.copy_from_slice(report.bytes);
                has_come = true;
                Ok::<(), Error>(())
            })?;
            if !has_come {
                return Err(Error::NoReport { steps: step });
            }
        }
        among.collective.gather(values, bounds)?;
        let mut uploads = Vec::new();
        for (_, (ranges, first)) in ranges.iter().zip(&*bounds).enumerate().filter(|(rank, _)| *rank != own) {
            let mut rest = &values[*first..];
            for range in ranges {
                let (of_range, behind) = rest.split_at((range.bytes / 4) as usize);
                rest = behind;
                let data = bytemuck::cast_slice(of_range).to_vec();
                uploads.push(Upload { buffer: range.buffer.clone(), offset: range.offset, data });
            }
        }
        Ok(engine.submit(&Submission { uploads, ..Submission::default() })?)
    }

    /// Finds out whose values are whose, where that has changed.
    fn make_shared(&mut self) -> Result<(), Error> {
        let Trainer { engine, optimizer, parameters, among: Some(among), .. } = self else { return Ok(()) };
        if among.shared.as_ref().is_some_and(|shared| shared.layout == optimizer.layout()) {
            return Ok(());
        }
        among.shared = None;
        let rank = among.collective.rank();
        let mut ranges: Vec<Vec<Range>> = vec![Vec::new(); rank.of];
        for (name, owner) in optimizer.owners() {
            if optimizer.is_trainable(name)? {
                ranges[owner].push(parameters.place(name)?.0);
            }
        }
        let mut bounds = vec![0];
        for ranges in &ranges {
            let words = ranges.iter().map(|range| range.bytes / 4).sum::<u64>() as usize;
            bounds.push(bounds.last().copied().unwrap_or_default() + words);
        }
        let values = vec![0.0; bounds.last().copied().unwrap_or_default()];
        let own = &ranges[rank.number];
        let ring = if own.is_empty() { None } else { Some(engine.staging(own.clone())?) };
        among.shared = Some(Shared { layout: optimizer.layout(), ranges, bounds, values, ring });
        Ok(())
    }

    /// The whole state of the optimizer, for a file. Where ranks share it, each brings its part, and the first one has all.
    pub(crate) fn read_whole_state(&mut self) -> Result<Vec<u8>, Error> {
        let own = self.optimizer.read_state()?;
        match &mut self.among {
            Some(among) if self.config.settings.shard.is_some() => {
                let all = among.collective.to_first(&own)?;
                Ok(if among.collective.rank().is_first() { whole_state(&all)? } else { Vec::new() })
            }
            _ => Ok(own),
        }
    }
}
