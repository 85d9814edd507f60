//! A transformer whose parameters and gradients have a buffer each, named like them, so that a test can see what a
//! dispatch touches.

use crate::support::noise;
use gradus::engine::layout::{IGNORED, Metrics, Position};
use gradus::engine::{Binding, Buffer, Dispatch, Engine, Prepared, Program, Range, Submission};
use gradus::nn::models::{Bert, Gpt2, Pooling, TransformerSizes};
use gradus::nn::{Activation, Batch, Error, LossOptions, Model, Network, Pass, Workspace};
use gradus::params::Storage;
use std::cell::RefCell;
use std::collections::HashMap;

pub(crate) const LOSS: LossOptions = LossOptions::new(1);

/// Nothing is a multiple of anything.
pub(crate) fn sizes() -> TransformerSizes {
    TransformerSizes::new([2, 3, 12], 7, 5).intermediate(18).activation(Activation::GeluNew).norm_eps(1e-5)
}

pub(crate) fn decoder(tied: bool) -> Model {
    Gpt2::new(sizes()).tied(tied).into()
}

pub(crate) fn encoder(types: usize, pooling: Pooling) -> Model {
    Bert::new(sizes(), 3).types(types).pooling(pooling).into()
}

/// The model with other sizes.
pub(crate) fn with(model: &Model, change: impl FnOnce(&mut TransformerSizes)) -> Model {
    let mut model = model.clone();
    match &mut model {
        Model::Gpt2(model) => change(&mut model.sizes),
        Model::Bert(model) => change(&mut model.sizes),
        other => panic!("{other:?} is no transformer"),
    }
    model
}

pub(crate) fn sizes_of(model: &Model) -> &TransformerSizes {
    match model {
        Model::Gpt2(model) => &model.sizes,
        Model::Bert(model) => &model.sizes,
        other => panic!("{other:?} is no transformer"),
    }
}

/// Token types and classes of an encoder; a decoder has neither.
pub(crate) fn heads_of(model: &Model) -> [usize; 2] {
    match model {
        Model::Bert(model) => [model.types, model.head.outputs],
        _ => [0, 0],
    }
}

/// All kinds that there are.
pub(crate) fn kinds() -> Vec<Model> {
    let encoders = [(2, Pooling::Pooler), (0, Pooling::Pooler), (2, Pooling::Mean), (0, Pooling::Mean)];
    [true, false].map(decoder).into_iter().chain(encoders.map(|(types, pooling)| encoder(types, pooling))).collect()
}

/// Values that leave nothing at 0 or 1.
pub(crate) fn values(model: &Model) -> Vec<(String, Vec<f32>)> {
    let values = |(seed, param): (usize, gradus::params::Param)| {
        let is_scale = param.name.ends_with(".weight") && param.shape.len() == 1;
        let around = if is_scale { 1.0 } else { 0.0 };
        let values = noise(seed as u32, param.elements()).into_iter().map(|value| around + 0.3 * value);
        (param.name, values.collect())
    };
    model.params().into_iter().enumerate().map(values).collect()
}

/// A batch on the host.
#[derive(Clone)]
pub(crate) struct Data {
    pub(crate) batch: usize,
    pub(crate) context: usize,
    pub(crate) tokens: Vec<u32>,
    pub(crate) mask: Vec<u32>,
    pub(crate) types: Vec<u32>,
    pub(crate) labels: Vec<u32>,
    /// Rows of the whole step that count; 0: the batch is the step.
    pub(crate) counting: u32,
}

impl Data {
    /// Any tokens. Every second sequence of an encoder ends in padding.
    pub(crate) fn new(model: &Model, batch: usize, context: usize) -> Data {
        let below = |seed: u32, count: usize, end: usize| -> Vec<u32> {
            noise(seed, count).iter().map(|x| ((x + 1.0) / 2.0 * end as f32) as u32).collect()
        };
        let ([types, classes], vocab) = (heads_of(model), sizes_of(model).vocab);
        let (rows, pads) = (batch * context, classes > 0);
        let padding = |row: usize| pads && (row / context) % 2 == 1 && row % context >= context.div_ceil(2);
        let labels = if pads { below(4, batch, classes) } else { below(3, rows, vocab) };
        Data {
            batch,
            context,
            tokens: below(1, rows, vocab),
            mask: (0..rows).map(|row| u32::from(!padding(row))).collect(),
            types: below(2, rows, types.max(1)),
            labels,
            counting: 0,
        }
    }

    /// One of two halves of a step.
    pub(crate) fn half(&self, number: usize) -> Data {
        let part = |values: &[u32]| values.chunks(values.len() / 2).nth(number).expect("a half").to_vec();
        let counting = self.labels.iter().filter(|label| **label != IGNORED).count() as u32;
        Data {
            counting,
            batch: self.batch / 2,
            context: self.context,
            tokens: part(&self.tokens),
            mask: part(&self.mask),
            types: part(&self.types),
            labels: part(&self.labels),
        }
    }

    pub(crate) fn on(&self, engine: &Engine) -> Batch {
        let position = Position { counting: self.counting, ..Position::default() };
        let batch = Batch::new(engine, self.batch, self.context)
            .expect("a batch")
            .with("position", engine.buffer_with("position", &[position]).expect("a buffer").all());
        let inputs = [("tokens", &self.tokens), ("mask", &self.mask), ("types", &self.types), ("labels", &self.labels)];
        inputs.into_iter().fold(batch, |batch, (name, values)| {
            batch.with(name, engine.buffer_with(name, values).expect("a buffer").all())
        })
    }
}

pub(crate) struct Bed {
    pub(crate) engine: Engine,
    pub(crate) model: Model,
    pub(crate) values: HashMap<String, Buffer>,
    pub(crate) gradients: HashMap<String, Buffer>,
    /// Whose gradients a pass has asked for.
    pub(crate) asked: RefCell<Vec<String>>,
}

impl Bed {
    pub(crate) fn new(engine: &Engine, model: &Model) -> Bed {
        let (mut params, mut gradients) = (HashMap::new(), HashMap::new());
        for (name, values) in values(model) {
            gradients.insert(name.clone(), engine.buffer(&format!("d.{name}"), 4 * values.len() as u64).expect("one"));
            params.insert(name.clone(), engine.buffer_with(&name, &values).expect("a buffer"));
        }
        let (engine, model, asked) = (engine.clone(), model.clone(), RefCell::default());
        Bed { engine, model, values: params, gradients, asked }
    }

    pub(crate) fn pass(&self, data: &Data, trainable: impl Fn(&str) -> bool) -> Pass {
        self.model.training(data.batch, data.context, trainable).expect("a pass")
    }

    pub(crate) fn dispatches(
        &self,
        space: &Workspace,
        batch: &Batch,
        loss: LossOptions,
        accumulate: bool,
    ) -> Vec<Dispatch> {
        self.asked.borrow_mut().clear();
        let gradient = |name: &str| {
            self.asked.borrow_mut().push(name.to_owned());
            Ok(Some(self.gradients[name].all()))
        };
        space
            .dispatches::<Error>(batch, loss, |name| Ok((self.values[name].all(), Storage::F32)), gradient, accumulate)
            .expect("them")
    }

    /// A pass that is ready to run.
    pub(crate) fn ready(&self, pass: Pass, data: &Data, loss: LossOptions, accumulate: bool) -> Ready {
        let space = pass.allocate(&self.engine).expect("memory");
        let batch = data.on(&self.engine);
        let mut program = Program::new("pass");
        program.dispatches = self.dispatches(&space, &batch, loss, accumulate);
        let pass = self.engine.prepare(program).expect("a program");
        Ready { engine: self.engine.clone(), space, pass }
    }

    /// Runs a pass over all parameters.
    pub(crate) fn run(&self, data: &Data, loss: LossOptions) -> Ready {
        let ready = self.ready(self.pass(data, |_| true), data, loss, false);
        ready.run();
        ready
    }

    pub(crate) fn gradient(&self, name: &str) -> Vec<f32> {
        self.engine.read(&self.gradients[name].all()).expect("a gradient")
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.model.params().into_iter().map(|param| param.name).collect()
    }
}

pub(crate) struct Ready {
    engine: Engine,
    pub(crate) space: Workspace,
    pass: Prepared,
}

impl Ready {
    /// The mean loss.
    pub(crate) fn run(&self) -> f64 {
        self.engine.submit(&Submission::of(&[&self.pass])).expect("a pass");
        let metrics: Vec<Metrics> = self.engine.read(&self.space.metrics[0].all()).expect("metrics");
        metrics[0].mean_loss()
    }

    pub(crate) fn read(&self, range: &Range) -> Vec<f32> {
        self.engine.read(range).expect("values")
    }
}

/// The names of the buffers that a dispatch is bound to.
pub(crate) fn touched(dispatch: &Dispatch) -> Vec<String> {
    let label = |binding: &Binding| match binding {
        Binding::Memory(range) => Some(range.buffer.label().to_owned()),
        Binding::Clock => None,
    };
    dispatch.bindings.iter().filter_map(label).collect()
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Checks that the difference is a small part of what is expected. Softmax does not see the biases of keys, so that
/// their gradients are rounding: hence the absolute part.
pub(crate) fn assert_near(what: &str, got: &[f32], expected: &[f32], relative: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let size = norm(&mut expected.iter().map(|value| f64::from(*value)));
    let difference = norm(&mut got.iter().zip(expected).map(|(got, expected)| f64::from(*got) - f64::from(*expected)));
    assert!(difference <= relative * size + 1e-6, "{what}: {difference:e} of {size:e}");
}
