//! A model on the device: a step and a test, from examples of any kind. Both work in the same memory.

use super::ahead::Ahead;
use super::cache::Key;
use super::examples::Examples;
use super::task::{Placed, gradient_of};
use super::trunk::Trunk;
use super::{CacheNote, Config, Error, Scoring, Test};
use crate::engine::layout::{IGNORED, LEAST_TABLE_BYTES, Metrics};
use crate::engine::{Buffer, Engine, Program, Range, Upload, counted};
use crate::nn::{Batch, LossOptions, Model, Network, Pass};
use crate::optim::{Optimizer, Parameters};

/// A model and its two sets.
#[derive(Debug)]
pub(super) struct OnDevice {
    engine: Engine,
    config: Config,
    model: Model,
    train: Set,
    test: Tested,
    /// Further test sets.
    also: Vec<Tested>,
    /// The activations of a step and of a test, which share them.
    activations: Vec<Buffer>,
    /// Whether batch norms that are frozen follow the batches of a step.
    frozen_norms_track: bool,
}

/// Examples, the room for a batch of them, the counts of their losses, and what a frozen trunk made of them.
#[derive(Debug)]
struct Set {
    examples: Examples,
    batch: Batch,
    metrics: Buffer,
    trunk: Option<Trunk>,
    /// Whether running statistics in a frozen trunk change from test to test, as steps go through it.
    norms_move: bool,
}

/// A set to be tested on, what its test tells, and what it counts for that.
#[derive(Debug)]
struct Tested {
    set: Set,
    scoring: Scoring,
    counts: Option<Buffer>,
}

/// Examples that are tested on, and what their test tells.
type ToTest = (Examples, Scoring);

impl OnDevice {
    pub(super) fn new(
        engine: &Engine,
        config: &Config,
        model: &Model,
        (train, test, also): (Examples, ToTest, Vec<ToTest>),
    ) -> Result<OnDevice, Error> {
        Ok(OnDevice {
            train: Set::new(engine, train)?,
            test: Tested::new(engine, test)?,
            also: also.into_iter().map(|also| Tested::new(engine, also)).collect::<Result<_, Error>>()?,
            activations: Vec::new(),
            engine: engine.clone(),
            config: config.clone(),
            model: model.clone(),
            frozen_norms_track: true,
        })
    }
}

impl Tested {
    fn new(engine: &Engine, (examples, scoring): ToTest) -> Result<Tested, Error> {
        let counted = scoring.bytes(examples.order().steps_per_epoch);
        let counts = if counted > 0 { Some(engine.buffer("counts", counted)?) } else { None };
        Ok(Tested { set: Set::new(engine, examples)?, scoring, counts })
    }

    /// Forward, loss and what counts them, over a batch.
    fn test(
        &mut self,
        (engine, config, activations): (&Engine, &Config, &mut Vec<Buffer>),
        model: &Model,
        parameters: &Parameters,
        optimizer: &Optimizer,
    ) -> Result<Test, Error> {
        let Tested { set, scoring, counts } = self;
        let table = engine.buffer("test table", LEAST_TABLE_BYTES)?;
        let pass = ("test", model.evaluation(set.batch.examples, set.batch.context)?, &table);
        let at = (engine, config, activations);
        let (mut program, logits) = set.made(at, pass, parameters, trainable(optimizer), |_| Ok(None))?;
        if let Some(counts) = counts {
            program.dispatches.extend(scoring.dispatch(engine, (&set.batch, logits), counts)?);
        }
        let ahead = set.ahead().map(|ahead| (ahead.clone(), set.examples.order()));
        Ok(Test { program, batches: set.examples.order().steps_per_epoch, table, ahead })
    }

    fn counts(&self) -> Option<Range> {
        self.counts.as_ref().map(Buffer::all)
    }
}

impl Set {
    fn new(engine: &Engine, examples: Examples) -> Result<Set, Error> {
        let batch = examples.room(engine)?;
        Ok(Set {
            batch,
            examples,
            metrics: engine.buffer("metrics", size_of::<Metrics>() as u64)?,
            trunk: None,
            norms_move: false,
        })
    }

    /// The examples, if a batch's go up ahead of it; those of a cached trunk need not.
    fn ahead(&self) -> Option<&Ahead> {
        self.examples.ahead().filter(|_| self.trunk.is_none())
    }

    /// The pass over every micro-batch of a step, and the place of its logits. It starts at the cached outputs of the
    /// frozen trunk, which are computed now, or at the inputs if nothing can be cached or there is no room.
    fn made(
        &mut self,
        (engine, config, activations): (&Engine, &Config, &mut Vec<Buffer>),
        (label, pass, table): (&str, Pass, &Buffer),
        parameters: &Parameters,
        trainable: impl Fn(&str) -> bool,
        gradient: impl Fn(&str) -> Result<Option<Range>, Error>,
    ) -> Result<(Program, Range), Error> {
        let top = self.split((engine, config), pass.clone(), parameters, trainable)?;
        match self.program((engine, config, activations), (label, top, table), parameters, &gradient) {
            Err(error) if self.trunk.is_some() && error.is_about_room() => {
                self.trunk = None;
                self.program((engine, config, activations), (label, pass, table), parameters, &gradient)
            }
            made => made,
        }
    }

    fn program(
        &self,
        (engine, config, activations): (&Engine, &Config, &mut Vec<Buffer>),
        (label, pass, table): (&str, Pass, &Buffer),
        parameters: &Parameters,
        gradient: &impl Fn(&str) -> Result<Option<Range>, Error>,
    ) -> Result<(Program, Range), Error> {
        let mut space = pass
            .recomputing(config.recomputed_layers)
            .stored_in(config.values.clone())
            .allocate_within(engine, activations)?;
        space.metrics = vec![self.metrics.clone()];
        let loss = LossOptions { ignore: IGNORED, smoothing: config.label_smoothing, seed: config.seed };
        let parameter = |name: &str| parameters.place(name).map_err(Error::from);
        let mut program = Program::new(label);
        let (first, count) = match self.examples.order().micro_batches {
            // A test's: every rank goes through the whole set.
            1 => (0, 1),
            _ => (counted(config.rank.number * config.micro_batches), counted(config.micro_batches)),
        };
        for micro in first..first + count {
            program.dispatches.extend(self.examples.gathers(engine, &self.batch, table, micro)?);
            if let Some(trunk) = &self.trunk {
                program.dispatches.extend(trunk.gathers(engine, &space, self.batch.get("position")?)?);
            }
            program.dispatches.extend(space.dispatches(&self.batch, loss, parameter, gradient, micro > first)?);
        }
        Ok((program, space.logits()))
    }

    /// The pass without its frozen trunk, whose outputs are computed now; the whole pass if nothing can be cached.
    fn split(
        &mut self,
        (engine, config): (&Engine, &Config),
        pass: Pass,
        parameters: &Parameters,
        trainable: impl Fn(&str) -> bool,
    ) -> Result<Pass, Error> {
        if !self.examples.have_trunks() {
            return Ok(pass);
        }
        let (Some(below), Some(top)) = (pass.trunk(&trainable), pass.top(&trainable)) else { return Ok(pass) };
        if self.norms_move && below.has_buffers() {
            return Ok(pass);
        }
        let parameter = |name: &str| parameters.place(name).map_err(Error::from);
        self.trunk = Trunk::of(engine, config, &self.examples, &self.batch, below, parameter)?;
        Ok(if self.trunk.is_some() { top } else { pass })
    }
}

impl Placed for OnDevice {
    fn step(&mut self, parameters: &Parameters, optimizer: &Optimizer) -> Result<Program, Error> {
        let OnDevice { engine, config, model, train, activations, frozen_norms_track, .. } = self;
        if let Some(loss_scale) = optimizer.loss_scale() {
            train.batch = train.batch.clone().with("loss_scale", loss_scale);
        }
        let mut pass = training(model, config, &train.batch, trainable(optimizer))?;
        if !*frozen_norms_track {
            pass = pass.holding_frozen(trainable(optimizer));
        }
        let gradient = |name: &str| gradient_of(optimizer, name);
        let step = ("step", pass, optimizer.table());
        Ok(train.made((engine, config, activations), step, parameters, trainable(optimizer), gradient)?.0)
    }

    fn test(&mut self, parameters: &Parameters, optimizer: &Optimizer) -> Result<Test, Error> {
        let OnDevice { engine, config, model, test, activations, frozen_norms_track, .. } = self;
        test.set.norms_move = *frozen_norms_track && !config.still_trunk;
        test.test((engine, config, activations), model, parameters, optimizer)
    }

    fn also(&mut self, parameters: &Parameters, optimizer: &Optimizer) -> Result<Vec<Test>, Error> {
        let OnDevice { engine, config, model, also, activations, frozen_norms_track, .. } = self;
        let tested = |also: &mut Tested| {
            also.set.norms_move = *frozen_norms_track && !config.still_trunk;
            also.test((engine, config, activations), model, parameters, optimizer)
        };
        also.iter_mut().map(tested).collect()
    }

    fn frozen_norms_track(&mut self, track: bool) {
        self.frozen_norms_track = track;
    }

    fn forget(&mut self) {
        self.train.trunk = None;
        [&mut self.test].into_iter().chain(&mut self.also).for_each(|tested| tested.set.trunk = None);
        self.activations.clear();
    }

    fn sum(&self) -> Result<String, Error> {
        let mut key = Key::new("data");
        let tested = [&self.test].into_iter().chain(&self.also).map(|tested| &tested.set);
        for set in [&self.train].into_iter().chain(tested) {
            set.examples.add_to(&mut key, &self.engine)?;
        }
        Ok(key.name())
    }

    fn uploads(&self, step: u64) -> Vec<Upload> {
        // As the device counts steps.
        let step = counted(step);
        match &self.train.trunk {
            Some(trunk) => trunk.uploads(step),
            None => self.train.examples.uploads(step),
        }
    }

    fn upload_bytes(&self) -> u64 {
        self.train.trunk.as_ref().map_or_else(|| self.train.examples.upload_bytes(), Trunk::upload_bytes)
    }

    fn trunk_notes(&self) -> Vec<CacheNote> {
        let tested = [&self.test].into_iter().chain(&self.also).map(|tested| &tested.set);
        [&self.train]
            .into_iter()
            .chain(tested)
            .flat_map(|set| &set.trunk)
            .filter_map(|trunk| trunk.note().cloned())
            .collect()
    }

    fn trunk_bytes(&self) -> u64 {
        let tested = [&self.test].into_iter().chain(&self.also).map(|tested| &tested.set);
        [&self.train].into_iter().chain(tested).flat_map(|set| &set.trunk).map(Trunk::bytes).sum()
    }

    fn trained(&self) -> Range {
        self.train.metrics.all()
    }

    fn tested(&self) -> Range {
        self.test.set.metrics.all()
    }

    fn counts(&self) -> Option<Range> {
        self.test.counts()
    }

    fn also_counted(&self) -> Vec<(Range, Option<Range>)> {
        self.also.iter().map(|also| (also.set.metrics.all(), also.counts())).collect()
    }
}

/// The pass of a step.
fn training(model: &Model, config: &Config, batch: &Batch, trainable: impl Fn(&str) -> bool) -> Result<Pass, Error> {
    Ok(match config.still_trunk {
        true => model.training_on_still_trunk(batch.examples, batch.context, trainable)?,
        false => model.training(batch.examples, batch.context, trainable)?,
    })
}

fn trainable(optimizer: &Optimizer) -> impl Fn(&str) -> bool {
    |name| optimizer.is_trainable(name).unwrap_or(false)
}
