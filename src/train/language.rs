//! A decoder on text.

use super::task::{Placed, Task, gradient_of};
use super::{Config, Error};
use crate::data::{BatchSize, TokenStream};
use crate::engine::layout::{GatherTokens, IGNORED, Metrics, Position};
use crate::engine::{Binding, Buffer, Dispatch, Engine, Program, Range, kernel, row_of};
use crate::nn::transformer::{LossOptions, Sequences, Transformer};
use crate::optim::{Optimizer, Parameters};
use crate::params::Param;

/// Sequences of one evaluation batch; less where the device cannot bind so many.
const TEST_SEQUENCES: usize = 32;

/// Learns which token comes next: a decoder, the text it is trained on, and the text it is tested on.
#[derive(Clone, Debug)]
pub struct Language {
    model: Transformer,
    train: TokenStream,
    test: TokenStream,
    /// Values to begin with; without any, the model's own.
    start: Option<Vec<(String, Vec<f32>)>>,
}

impl Language {
    /// A task. Sequences are as long as the model's context.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] for a text of another vocabulary than the model's.
    pub fn new(model: &Transformer, (train, test): (&TokenStream, &TokenStream)) -> Result<Language, Error> {
        for text in [train, test] {
            if text.vocabulary() != model.config().vocab {
                return Err(Error::Vocabulary { text: text.vocabulary(), model: model.config().vocab });
            }
        }
        Ok(Language { model: model.clone(), train: train.clone(), test: test.clone(), start: None })
    }

    /// Begins with these values instead of random ones.
    #[must_use]
    pub fn starting_from(self, values: Vec<(String, Vec<f32>)>) -> Language {
        Language { start: Some(values), ..self }
    }

    fn batches(&self, config: &Config) -> Result<GatherTokens, Error> {
        let size = BatchSize { rows: config.batch_size, micro_batches: config.micro_batches };
        Ok(self.train.batches(self.model.config().context, size, config.seed)?)
    }
}

impl Task for Language {
    fn params(&self) -> Vec<Param> {
        self.model.params()
    }

    fn tied(&self) -> Vec<(String, String)> {
        self.model.config().tied()
    }

    fn initial(&self, seed: u32) -> Vec<(String, Vec<f32>)> {
        self.start.clone().unwrap_or_else(|| self.model.config().initial(seed))
    }

    fn steps_per_epoch(&self, config: &Config) -> Result<u64, Error> {
        Ok(u64::from(self.batches(config)?.steps_per_epoch))
    }

    fn check(&self, engine: &Engine, config: &Config) -> Result<(), Error> {
        let pass = self.model.training(config.batch_size, self.model.config().context, |_| true)?;
        Ok(pass.check(engine)?)
    }

    fn activation_bytes(&self, config: &Config, trainable: &dyn Fn(&str) -> bool) -> Result<Option<u64>, Error> {
        let pass = self.model.training(config.batch_size, self.model.config().context, trainable)?;
        Ok(Some(pass.bytes()))
    }

    fn place(&self, engine: &Engine, config: &Config) -> Result<Box<dyn Placed>, Error> {
        let context = self.model.config().context;
        let test_sequences = TEST_SEQUENCES.min(self.model.largest_batch(engine, context)).max(1);
        Ok(Box::new(OnDevice {
            tokens: engine.buffer_with("train tokens", self.train.tokens())?,
            test_tokens: engine.buffer_with("test tokens", self.test.tokens())?,
            batch: sequences(engine, config.batch_size, context)?,
            test_batch: sequences(engine, test_sequences, context)?,
            trained: engine.buffer("metrics", size_of::<Metrics>() as u64)?,
            tested: engine.buffer("test metrics", size_of::<Metrics>() as u64)?,
            // The test's batches are at any step the same; its table is empty.
            table: engine.buffer("test table", 64)?,
            engine: engine.clone(),
            config: config.clone(),
            task: self.clone(),
        }))
    }
}

/// The texts on the device, and the room for a batch of each.
struct OnDevice {
    engine: Engine,
    config: Config,
    task: Language,
    tokens: Buffer,
    test_tokens: Buffer,
    batch: Sequences,
    test_batch: Sequences,
    trained: Buffer,
    tested: Buffer,
    table: Buffer,
}

fn sequences(engine: &Engine, batch: usize, context: usize) -> Result<Sequences, Error> {
    let numbers = |label: &str| engine.buffer(label, (batch * context * 4) as u64).map(|buffer| buffer.all());
    Ok(Sequences {
        batch,
        context,
        tokens: numbers("tokens")?,
        mask: numbers("mask")?,
        types: None,
        labels: numbers("targets")?,
        position: engine.buffer("position", size_of::<Position>() as u64)?.all(),
    })
}

impl Placed for OnDevice {
    fn step(&self, parameters: &Parameters, optimizer: &Optimizer) -> Result<Program, Error> {
        let OnDevice { engine, config, task, batch, .. } = self;
        let gradient = |name: &str| gradient_of(optimizer, name);
        let trainable = |name: &str| gradient(name).is_ok_and(|range| range.is_some());
        let pass = task.model.training(batch.batch, batch.context, trainable)?;
        let mut space = pass.allocate(engine)?;
        space.metrics = self.trained.clone();
        let shape = task.batches(config)?;
        let scale = 1.0 / config.micro_batches as f32;
        let mut program = Program::new("language step");
        for micro in 0..config.micro_batches {
            let shape = GatherTokens { micro: micro as u32, ..shape };
            program.dispatches.push(gather(engine, &self.tokens, batch, optimizer.table(), shape, true)?);
            let parameter = |name: &str| parameters.range(name).map_err(Error::from);
            program.dispatches.extend(space.dispatches(batch, self.loss(scale), parameter, gradient, micro > 0)?);
        }
        Ok(program)
    }

    /// Every token of the test but the first is a target once.
    fn test(&self, parameters: &Parameters) -> Result<Program, Error> {
        let OnDevice { engine, task, test_batch: batch, .. } = self;
        let pass = task.model.evaluation(batch.batch, batch.context)?;
        let mut space = pass.allocate(engine)?;
        space.metrics = self.tested.clone();
        let shape = task.test.evaluation(batch.context, batch.batch)?;
        let mut program = Program::new("language test");
        for micro in 0..shape.micro_batches {
            let shape = GatherTokens { micro, ..shape };
            program.dispatches.push(gather(engine, &self.test_tokens, batch, &self.table, shape, false)?);
            let parameter = |name: &str| parameters.range(name).map_err(Error::from);
            program.dispatches.extend(space.dispatches(batch, self.loss(1.0), parameter, |_| Ok(None), false)?);
        }
        Ok(program)
    }

    fn trained(&self) -> Range {
        self.trained.all()
    }

    fn tested(&self) -> Range {
        self.tested.all()
    }
}

impl OnDevice {
    fn loss(&self, scale: f32) -> LossOptions {
        LossOptions { ignore: IGNORED, smoothing: 0.0, scale, seed: self.config.seed }
    }
}

/// Draws a batch from the tokens: shuffled to train, in their own order to test.
fn gather(
    engine: &Engine,
    tokens: &Buffer,
    batch: &Sequences,
    table: &Buffer,
    shape: GatherTokens,
    shuffle: bool,
) -> Result<Dispatch, Error> {
    let workgroup = if engine.is_software() { 8 } else { 64 };
    let sizes = engine.buffer_with("gather shape", &[shape])?;
    let places = (batch.batch * batch.context) as u32;
    let memory = [batch.tokens.clone(), batch.labels.clone(), batch.mask.clone(), batch.position.clone()];
    let mut bindings: Vec<Binding> = vec![tokens.into()];
    bindings.extend(memory.map(Binding::from));
    bindings.extend([table.into(), (&sizes).into(), Binding::Clock]);
    Ok(Dispatch {
        kernel: kernel("gather_tokens")?,
        bindings,
        constants: vec![("WORKGROUP", f64::from(workgroup)), ("SHUFFLE", f64::from(u8::from(shuffle)))],
        grid: row_of(places.div_ceil(workgroup)),
        bytes: u64::from(places) * 16,
    })
}
