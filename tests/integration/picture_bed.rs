//! A model of pictures with the parameters of another program's file, and a batch of its pictures.

use gradus::engine::layout::Metrics;
use gradus::engine::{Engine, Prepared, Program, Submission};
use gradus::nn::{Batch, LossOptions, Model, Network, Workspace};
use gradus::optim::{Optimizer, Parameters};

pub(crate) struct Bed {
    pub(crate) engine: Engine,
    pub(crate) parameters: Parameters,
    batch: Batch,
    pictures: usize,
    classes: usize,
}

impl Bed {
    /// The model with the parameters of this file, and a batch: x is `[pictures, 3, height, width]`.
    pub(crate) fn new(engine: &Engine, model: &Model, file: &[u8], (x, labels): (&[f32], &[u32])) -> Bed {
        let parameters = Parameters::new(engine, &model.params(), None)
            .and_then(|parameters| parameters.with_buffers(&model.buffers()))
            .expect("parameters");
        parameters.load(&model.from_hugging_face(file, &[]).expect("its parameters")).expect("its parameters");
        let (pictures, pixels) = (labels.len(), model.context());
        let batch = Batch::new(engine, pictures, pixels)
            .and_then(|batch| batch.with_rows(engine, 3)?.with_words(engine, "labels", 1))
            .expect("a batch");
        let number = |place: usize| {
            let (picture, pixel, channel) = (place / 4 / pixels, place / 4 % pixels, place % 4);
            if channel < 3 { x[(picture * 3 + channel) * pixels + pixel] } else { 0.0 }
        };
        let rows: Vec<f32> = (0..pictures * pixels * 4).map(number).collect();
        engine.write(&batch.get("rows").expect("rows").buffer, 0, &rows).expect("a write");
        engine.write(&batch.get("labels").expect("labels").buffer, 0, labels).expect("a write");
        Bed { engine: engine.clone(), parameters, batch, pictures, classes: model.outputs() }
    }

    /// A pass's program, and its memory.
    pub(crate) fn program(&self, space: Workspace, optimizer: Option<&Optimizer>) -> (Prepared, Workspace) {
        let mut program = Program::new("pass");
        let gradient = |name: &str| Ok(optimizer.map(|optimizer| optimizer.gradient(name).expect("a place")));
        let dispatches = space.dispatches::<gradus::nn::Error>(
            &self.batch,
            LossOptions::new(1),
            |name| Ok(self.parameters.place(name).expect("a place")),
            gradient,
            false,
        );
        program.dispatches = dispatches.expect("dispatches");
        (self.engine.prepare(program).expect("a program"), space)
    }

    /// The program of a training pass over all parameters, and its memory.
    pub(crate) fn training(&self, model: &Model, optimizer: &Optimizer) -> (Prepared, Workspace) {
        let pass = model.training(self.pictures, model.context(), |_| true).expect("a pass");
        self.program(pass.allocate(&self.engine).expect("memory"), Some(optimizer))
    }

    /// The logits of a test.
    pub(crate) fn tested(&self, model: &Model) -> Vec<f32> {
        let pass = model.evaluation(self.pictures, model.context()).expect("a pass");
        let (pass, space) = self.program(pass.allocate(&self.engine).expect("memory"), None);
        self.run(&pass);
        self.logits(&space)
    }

    pub(crate) fn run(&self, pass: &Prepared) {
        self.engine.submit(&Submission::of(&[pass])).expect("a pass");
    }

    /// The loss of the last run.
    pub(crate) fn loss(&self, space: &Workspace) -> f64 {
        let metrics: Metrics = self.engine.read(&space.metrics[0].all()).expect("metrics")[0];
        f64::from(metrics.loss)
    }

    pub(crate) fn logits(&self, space: &Workspace) -> Vec<f32> {
        let logits: Vec<f32> = self.engine.read(&space.logits()).expect("logits");
        logits.chunks(self.classes.next_multiple_of(4)).flat_map(|row| &row[..self.classes]).copied().collect()
    }

    pub(crate) fn gradient(&self, optimizer: &Optimizer, name: &str) -> Vec<f32> {
        self.engine.read(&optimizer.gradient(name).expect("a gradient")).expect("a gradient")
    }
}

/// A parameter's numbers, with channels last where they are those of a convolution.
pub(crate) fn in_our_order(numbers: Vec<f32>, shape: &[usize]) -> Vec<f32> {
    let [_, inputs, height, width] = *shape else { return numbers };
    let window = height * width;
    let at = |place: usize| {
        let (output, tap, input) = (place / (window * inputs), place / inputs % window, place % inputs);
        numbers[(output * inputs + input) * window + tap]
    };
    (0..numbers.len()).map(at).collect()
}
