//! A run that is about to begin: its file, the model and the data that it names, and trainers of it.

use super::batch;
use super::cache;
use super::precision;
use super::reading::Reading;
use super::say::{caution, say};
use super::says::Says;
use gradus::engine::Engine;
use gradus::run::{BatchRows, CacheFolder, Material, ReadOptions, RunFile};
use gradus::schedule::{Epochs, ModelParams, Plan, Spec};
use gradus::train::{Cache, CacheNote, Error, Trainer};
use std::cell::RefCell;
use std::path::Path;

/// What a run needs before it begins.
pub(super) struct Ready {
    pub(super) run: RunFile,
    pub(super) material: Material,
    /// Rows of a pass.
    pub(super) batch_rows: usize,
    /// Layers that make their activations again.
    recomputed_layers: usize,
    /// What `use_mixed_precision: auto` has found, in names and values for the report.
    pub(super) precision: Vec<(String, String)>,
    says: Says,
}

impl Ready {
    /// Reads the model and data of the file, and finds the batch size if asked; for a resumed run, those in its folder.
    /// Warnings go to stderr.
    pub(super) fn read(engine: &Engine, run: RunFile, goes_on_in: Option<&Path>, says: Says) -> anyhow::Result<Ready> {
        let bar = if run.model.kind.reads_pictures() { Reading::pictures(says) } else { Reading::texts(says) };
        let (kept, notes) = (kept(&run), RefCell::new(Vec::new()));
        let (told, noted) = (|done, all| bar.show(done, all), |note| notes.borrow_mut().push(note));
        let options = ReadOptions::telling(&told);
        let options = kept.as_ref().map_or(options, |kept| options.keeping(kept, &noted));
        let material = Material::read_as(&run, goes_on_in, options)?;
        drop(bar);
        for note in notes.into_inner() {
            match note {
                CacheNote::Damaged(_) | CacheNote::NotKept(_) => caution!("pictures: {}", cache::noted(&note)),
                CacheNote::Read(_) if says >= Says::Usual => say!("pictures: {}", cache::noted(&note)),
                _ => {}
            }
        }
        // What a run that continues was started from has been told then.
        let of_file = if goes_on_in.is_none() { &run.warnings[..] } else { &[] };
        for warning in of_file.iter().chain(&material.warnings) {
            caution!("{warning}");
        }
        if says >= Says::Usual {
            say!("{}", material.summary);
            if let Some(auto_rate) = &run.auto_rate {
                say!("{auto_rate}");
            }
        }
        let batch_rows = match run.batch_rows {
            BatchRows::Rows(rows) => rows,
            BatchRows::Auto => {
                // From one row on: a small set has no more.
                let (config, limit_bytes) = (run.config(1), run.auto_limit_bytes());
                batch::find(engine, &*material.task, &config, &run.schedule, limit_bytes, says >= Says::Usual)?
            }
        };
        let again = batch::recomputed(&*material.task, &run.config(batch_rows), &run)?;
        if let Some(again) = again.as_ref().filter(|again| again.layers > 0 && says >= Says::Usual) {
            say!("{}", batch::told(again));
        }
        let recomputed_layers = again.map_or(0, |again| again.layers);
        Ok(Ready { run, material, batch_rows, recomputed_layers, precision: Vec::new(), says })
    }

    /// Rows of a step, which are those of all its passes.
    pub(super) fn rows_per_step(&self) -> usize {
        self.run.config(self.batch_rows).rows_per_step()
    }

    /// The run's file with all that was found out.
    pub(super) fn resolved(&self, trainer: &Trainer) -> anyhow::Result<String> {
        // As the file has it: rates that follow the rows of a step do so again when it is read.
        let (params, tied, in_class) =
            (self.material.task.params(), self.material.task.tied(), self.material.task.names_in_class());
        let steps_per_epoch = trainer.plan().steps_per_epoch();
        let epochs = Epochs { epochs: self.run.epochs as u64, steps_per_epoch };
        let plan =
            Plan::new(&self.run.schedule, ModelParams { params: &params, tied: &tied, in_class: &in_class }, epochs)?;
        Ok(self.run.resolved(self.batch_rows, &plan))
    }

    /// The trainer. A batch size that was found by trying is halved where memory runs out for it after all.
    pub(super) fn trainer(&mut self, engine: &Engine) -> anyhow::Result<Trainer> {
        self.find_precision(engine)?;
        let trainer = loop {
            match self.made(engine, &self.run, &self.run.scaled(self.batch_rows)?) {
                Err(error) if self.batch_rows > 1 && self.is_found() && error.is_about_room() => {
                    self.batch_rows /= 2;
                    caution!("{error}: the batch size is halved to {}", self.batch_rows);
                }
                made => break made?,
            }
        };
        for warning in trainer.plan().warnings().iter().filter(|warning| !self.run.warnings.contains(warning)) {
            caution!("{warning}");
        }
        Ok(trainer)
    }

    /// Tries storages of values, if the run leaves the choice to us.
    fn find_precision(&mut self, engine: &Engine) -> anyhow::Result<()> {
        if self.run.mixed_precision.is_some() {
            return Ok(());
        }
        let spec = self.run.scaled(self.batch_rows)?;
        let with = |precision| {
            let mut run = self.run.clone();
            run.mixed_precision = Some(precision);
            self.made(engine, &run, &spec)
        };
        let (chosen, rows) = precision::find(engine, with, self.says)?;
        (self.run.mixed_precision, self.precision) = (Some(chosen), rows);
        Ok(())
    }

    fn is_found(&self) -> bool {
        self.run.batch_rows == BatchRows::Auto
    }

    /// Another trainer of the same run, on another engine.
    pub(super) fn trainer_for(&self, engine: &Engine) -> anyhow::Result<Trainer> {
        Ok(self.made(engine, &self.run, &self.run.scaled(self.batch_rows)?)?)
    }

    fn made(&self, engine: &Engine, run: &RunFile, spec: &Spec) -> Result<Trainer, Error> {
        let plan = |params: ModelParams<'_>, epochs| Plan::new(spec, params, epochs);
        let config = run.config(self.batch_rows).recomputed_layers(self.recomputed_layers).trunk_cache(kept(run));
        let mut trainer = Trainer::new(engine, &*self.material.task, config, plan)?;
        if self.is_found() {
            // With the program of its first step, which is where memory runs out if it does.
            trainer.programs()?;
        }
        Ok(trainer)
    }
}

/// Where what takes long to make is kept for runs to come: where the file says, else in the user's folder if the model is a
/// pretrained one.
fn kept(run: &RunFile) -> Option<Cache> {
    let folder = match &run.data.cache {
        CacheFolder::Off => None,
        CacheFolder::At(folder) => Some(folder.clone()),
        CacheFolder::Usual => cache::usual_folder().filter(|_| run.model.from.is_some()),
    };
    // One rank writes.
    folder.filter(|_| run.rank.is_first()).map(|folder| Cache::new(folder, cache::LIMIT_BYTES))
}
