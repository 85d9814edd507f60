//! The MLP's kernels against their twins, its gradient against differences of its loss, and what a backward pass
//! leaves out.
//!
//! A kernel runs on both engines over the same memory, and everything that it may write is compared: results, padding,
//! and a tail after each array that no kernel may touch. Kernel, constants and grid are those that [`Mlp`] gives.

use crate::support::{assert_close, engines, gpu, gpus, noise, sized_engines};
use crate::transformer_bed::LOSS;
use crate::trial::{JUNK, TAIL, Trial, activations, agree, dense, floats, junk, padded, regrid, run, words};
use gradus::engine::kernels::GATHER;
use gradus::engine::layout::{Gather, IGNORED, Linear, Loss, Metrics, Position, TableHeader, TableRow, pcg, shuffled};
use gradus::engine::{Binding, Buffer, Choices, Dispatch, Engine, Tiling};
use gradus::nn::models::Mlp;
use gradus::nn::ops;
use gradus::nn::{Activation, Batch, Error, Network, Parameter, Workspace};
use gradus::params::Storage;
use std::collections::{HashMap, HashSet};

/// Rows and widths: below, at and above a quad and a workgroup.
const SIZES: [usize; 9] = [1, 3, 4, 5, 63, 64, 65, 255, 257];

/// Rows, inputs and outputs that fill no tile evenly though their rows of weights start at a vec4.
const UNEVEN: [[usize; 3]; 6] = [[2, 8, 2], [7, 12, 22], [6, 100, 30], [130, 128, 10], [33, 36, 33], [129, 784, 11]];

// ---- an MLP over memory of the test's own ----

/// An MLP, a batch and buffers for its parameters and gradients, all of them 0.
struct Model {
    engine: Engine,
    mlp: Mlp,
    batch: Batch,
    metrics: Buffer,
    values: HashMap<String, Buffer>,
    gradients: HashMap<String, Buffer>,
}

impl Model {
    fn new(engine: &Engine, sizes: &[usize], rows: usize, activation: Activation) -> Model {
        let mlp = Mlp::new(sizes, activation).expect("sizes");
        let batch = Batch::new(engine, rows, 1)
            .and_then(|batch| batch.with_rows(engine, mlp.inputs())?.with_words(engine, "labels", 1))
            .expect("a batch");
        let metrics = engine.buffer("metrics", size_of::<Metrics>() as u64).expect("a buffer");
        let make = || {
            let one = |(name, elements): (String, usize)| {
                let buffer = engine.buffer(&name, elements as u64 * 4).expect("a buffer");
                (name, buffer)
            };
            mlp.params()
                .into_iter()
                .map(|param| (param.elements(), param.name))
                .map(|(n, name)| one((name, n)))
                .collect()
        };
        let (values, gradients) = (make(), make());
        Model { engine: engine.clone(), mlp, batch, metrics, values, gradients }
    }

    /// Forward, the loss, and the backward pass to the parameters that `trained` names, with the memory they work in.
    fn pass(&self, trained: impl Fn(&str) -> bool, accumulate: bool) -> (Vec<Dispatch>, Workspace) {
        let pass = self.mlp.training(self.batch.examples, 1, trained).expect("a pass");
        let mut space = pass.allocate(&self.engine).expect("memory");
        space.metrics = vec![self.metrics.clone()];
        let place = |name: &str| Ok::<Parameter, Error>((self.values[name].all(), Storage::F32));
        let gradient = |name: &str| Ok(Some(self.gradients[name].all()));
        let dispatches = space.dispatches(&self.batch, LOSS, place, gradient, accumulate).expect("dispatches");
        (dispatches, space)
    }

    /// What of it comes after the loss.
    fn backward(&self, trained: impl Fn(&str) -> bool) -> Vec<Dispatch> {
        let mut dispatches = self.pass(trained, false).0;
        let tally = dispatches.iter().position(|dispatch| dispatch.kernel.name == "tally").expect("a loss");
        dispatches.split_off(tally + 1)
    }

    fn fill(&self, seed: u32) {
        for (name, values) in self.mlp.initial(seed) {
            self.engine.write(&self.values[&name], 0, &values).expect("a write");
        }
        self.put_batch(&noise(seed + 1, self.batch.examples * self.mlp.inputs()), &self.labels(seed + 2));
    }

    fn labels(&self, seed: u32) -> Vec<u32> {
        labels(seed, self.batch.examples, self.mlp.classes())
    }

    fn put_batch(&self, x: &[f32], labels: &[u32]) {
        let mut x = padded(x, self.mlp.inputs(), 0.0);
        x.truncate(x.len() - TAIL);
        self.engine.write(&self.batch.get("rows").expect("rows").buffer, 0, &x).expect("a write");
        self.engine.write(&self.batch.get("labels").expect("labels").buffer, 0, labels).expect("a write");
    }

    fn gradient(&self, name: &str) -> Vec<f32> {
        let mut values = self.engine.read(&self.gradients[name].all()).expect("a gradient");
        values.truncate(self.elements(name));
        values
    }

    fn elements(&self, name: &str) -> usize {
        self.mlp.params().iter().find(|param| param.name == name).expect("a parameter").elements()
    }
}

fn labels(seed: u32, rows: usize, classes: usize) -> Vec<u32> {
    (0..rows as u32).map(|row| pcg(row ^ pcg(seed)) % classes as u32).collect()
}

// ---- linear layers ----

/// The three passes of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pass {
    Forward,
    Activated,
    BackwardInput,
    BackwardWeight,
}

/// The pass as [`Mlp`] dispatches it, over noise.
fn trial(engine: &Engine, pass: Pass, [rows, inputs, outputs]: [usize; 3], seed: u32) -> Trial {
    let sizes: &[usize] = match pass {
        Pass::Forward | Pass::BackwardWeight => &[inputs, outputs],
        Pass::Activated => &[inputs, outputs, 1],
        Pass::BackwardInput => &[1, inputs, outputs],
    };
    let model = Model::new(engine, sizes, rows, Activation::Relu);
    let dispatch = match pass {
        Pass::Forward | Pass::Activated => model.pass(|_| true, false).0.remove(0),
        Pass::BackwardInput => model.backward(|_| true).remove(1),
        Pass::BackwardWeight => model.backward(|_| true).remove(0),
    };
    let Binding::Memory(shape) = &dispatch.bindings[4] else { panic!("{pass:?}: binding 4 is the shape") };
    let shape: Vec<u32> = engine.read(shape).expect("a shape");
    let sizes: &Linear = bytemuck::from_bytes(bytemuck::cast_slice(&shape));
    assert_eq!([sizes.rows, sizes.inputs, sizes.outputs].map(|size| size as usize), [rows, inputs, outputs]);
    let (x, z) = (rows * inputs.next_multiple_of(4), rows * outputs.next_multiple_of(4));
    let memory = match pass {
        Pass::Forward | Pass::Activated => {
            let (x, weight) = (activations(seed, rows, inputs), dense(seed + 1, inputs * outputs));
            let mut memory = vec![x, weight, dense(seed + 2, outputs), junk(z), shape];
            memory.extend((pass == Pass::Activated).then(|| junk(z)));
            memory
        }
        Pass::BackwardInput => {
            let (dz, weight) = (activations(seed, rows, outputs), dense(seed + 1, inputs * outputs));
            vec![dz, weight, activations(seed + 2, rows, inputs), junk(x), shape]
        }
        Pass::BackwardWeight => {
            let (dz, x) = (activations(seed, rows, outputs), activations(seed + 1, rows, inputs));
            vec![dz, x, junk(inputs * outputs), junk(outputs), shape]
        }
    };
    Trial::of(&dispatch, memory)
}

/// Rows, inputs and outputs: every pair of [`SIZES`] meets in every two places; then [`UNEVEN`].
fn shapes() -> Vec<[usize; 3]> {
    let squares = (0..9).flat_map(|i| (0..9).map(move |j| [SIZES[i], SIZES[j], SIZES[(i + 2 * j) % 9]]));
    squares.chain(UNEVEN).collect()
}

/// A pass over every shape; each kernel named must have come up.
fn check_pass(pass: Pass, names: &[&str]) {
    let Some(gpu) = gpu() else { return };
    let gpu = gpu.choosing(Choices::all(Tiling::Registers));
    let mut seen = HashSet::new();
    for (case, shape) in shapes().into_iter().enumerate() {
        let [rows, inputs, outputs] = shape;
        let mut trial = trial(&gpu, pass, shape, case as u32);
        seen.insert(trial.kernel.name);
        // Every activation meets every grid.
        let (activation, way) = ((case + case / 9) % 5, (case + case / 27) % 3);
        if matches!(pass, Pass::Activated | Pass::BackwardInput) {
            trial.set("ACTIVATION", activation as f64);
        }
        regrid(&mut trial, way);
        let terms = match pass {
            Pass::Forward | Pass::Activated => inputs,
            Pass::BackwardInput => outputs,
            Pass::BackwardWeight => rows,
        };
        let what = format!("{shape:?} activation {activation} grid {way}");
        let first = agree(&gpu, &trial, terms, &what);
        if pass == Pass::BackwardWeight {
            let mut second = self::trial(&gpu, pass, shape, case as u32 + 1000);
            second.memory[2].clone_from(&first[2]);
            second.memory[3].clone_from(&first[3]);
            second.set("ACCUMULATE", 1.0);
            let after = agree(&gpu, &second, 2 * terms, &format!("{what}, added"));
            second.set("ACCUMULATE", 0.0);
            let alone = agree(&gpu, &second, terms, &format!("{what}, overwritten"));
            for binding in [2, 3] {
                let count = first[binding].len() - TAIL;
                let parts = floats(&first[binding])[..count].iter().zip(floats(&alone[binding]));
                let sum: Vec<f32> = parts.map(|(first, second)| first + second).collect();
                assert_close("sum of two", &floats(&after[binding])[..count], &sum, 1e-6, 1e-6);
            }
        }
    }
    assert_eq!(seen, names.iter().copied().collect());
}

#[test]
fn nn_linear_agrees_with_its_twin() {
    check_pass(Pass::Forward, &["linear", "linear.ragged"]);
}

#[test]
fn nn_linear_activated_agrees_with_its_twin() {
    check_pass(Pass::Activated, &["linear.activated", "linear.ragged_activated"]);
}

#[test]
fn nn_linear_backward_input_agrees_with_its_twin() {
    check_pass(Pass::BackwardInput, &["linear_backward_input", "linear_backward_input.ragged"]);
}

#[test]
fn nn_linear_backward_weight_agrees_with_its_twin() {
    check_pass(Pass::BackwardWeight, &["linear_backward_weight", "linear_backward_weight.ragged"]);
}

// ---- loss ----

#[test]
fn nn_softmax_cross_entropy_agrees_with_its_twin() {
    for gpu in gpus() {
        for (case, rows) in [1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 255, 256, 257, 300].into_iter().enumerate() {
            for classes in [1, 2, 3, 10, 257] {
                for (kind, logits) in [("small", 3.0), ("large", 80.0), ("tied", 1.5)] {
                    let what = format!("{rows} rows, {classes} classes, {kind}");
                    let mut z = noise(case as u32, rows * classes);
                    z.iter_mut().for_each(|z| *z *= logits);
                    if kind == "tied" {
                        z.iter_mut().for_each(|z| *z = z.round());
                    }
                    let first = check_loss(&gpu, &what, z.clone(), classes, 0, None, case);
                    check_loss(&gpu, &format!("{what}, again"), z, classes, 1, Some(first), case + 1);
                }
            }
        }
    }
}

/// Compares a loss over these logits, counted on from `before`; gives the counts.
fn check_loss(
    gpu: &Engine,
    what: &str,
    z: Vec<f32>,
    classes: usize,
    batch: u32,
    before: Option<Metrics>,
    case: usize,
) -> Metrics {
    let rows = z.len() / classes;
    let quads = classes.div_ceil(4);
    let mut shape = Loss::new(rows, classes);
    let mut labels = labels(case as u32 + 50, rows, classes);
    // A micro-batch of four, a batch that is the step, an evaluation.
    let (counting, trains) = [(4 * rows as u32, true), (0, true), (0, false)][case % 3];
    if counting == 0 {
        // Every second row is left out, the last one never: that all are is another test.
        shape.ignore = 77_777;
        labels.iter_mut().rev().skip(1).step_by(2).for_each(|label| *label = 77_777);
        shape.smoothing = 0.1;
    }
    let weight = 1.0 / f64::from(counting.max(rows.div_ceil(2) as u32));
    let any = gpu.buffer("any", 16).expect("a buffer").all();
    let five = [(); 5].map(|()| any.clone());
    let dispatch = ops::softmax_cross_entropy(gpu, &shape, five, trains).expect("a dispatch");
    let memory = vec![
        // The padding of the logits is not the loss's to read.
        padded(&z, classes, 1e9),
        labels.clone(),
        junk(rows * quads * 4),
        junk(rows * 2),
        bytemuck::cast_slice(&[Position { counting, ..Position::default() }]).to_vec(),
        bytemuck::cast_slice(&[shape]).to_vec(),
    ];
    let trial = Trial::of(&dispatch, memory);
    let (got, expected) = (trial.run(gpu, 0), trial.run(&Engine::twins(), 0));
    assert_close(&format!("dz of {what}"), floats(&got[2]), floats(&expected[2]), 1e-5, 1e-6 * weight);
    let marks = |memory: &[Vec<u32>]| -> Vec<u32> { memory[3].iter().skip(1).step_by(2).copied().collect() };
    assert_eq!(marks(&got), marks(&expected), "verdicts of {what}");
    let losses = |memory: &[Vec<u32>]| -> Vec<f32> { floats(&memory[3]).iter().step_by(2).copied().collect() };
    // A logit of 80 is exact to 4e-6.
    assert_close(&format!("losses of {what}"), &losses(&got), &losses(&expected), 2e-6, 4e-6);
    check_tally(gpu, what, expected[3].clone(), (shape, labels), batch, before)
}

/// Compares the counts of a batch with these verdicts; gives them.
fn check_tally(
    gpu: &Engine,
    what: &str,
    verdicts: Vec<u32>,
    (shape, labels): (Loss, Vec<u32>),
    batch: u32,
    before: Option<Metrics>,
) -> Metrics {
    let position = Position { step: 9, epoch: 3, batch, counting: 0 };
    let junk_metrics = Metrics { loss_sum: JUNK, correct: 77, rows: 77, loss: JUNK, epoch: 77, ..Metrics::default() };
    let memory = vec![
        verdicts,
        bytemuck::cast_slice(&[before.unwrap_or(junk_metrics)]).to_vec(),
        bytemuck::cast_slice(&[position]).to_vec(),
        bytemuck::cast_slice(&[shape]).to_vec(),
    ];
    let any = gpu.buffer("any", 16).expect("a buffer").all();
    let dispatch = ops::tally(gpu, &shape, [any.clone(), any.clone(), any]).expect("a dispatch");
    let trial = Trial::of(&dispatch, memory);
    let (got, expected) = (trial.run(gpu, 0), trial.run(&Engine::twins(), 0));
    let [got, expected] =
        [got, expected].map(|memory| *bytemuck::from_bytes::<Metrics>(bytemuck::cast_slice(&memory[1])));
    let losses = |metrics: Metrics| [metrics.loss_sum, metrics.loss, metrics.mean_loss() as f32];
    assert_close(&format!("loss of {what}"), &losses(got), &losses(expected), 2e-6, 1e-6);
    let counts = |metrics: Metrics| (metrics.correct, metrics.rows, metrics.epoch, metrics.pad0);
    assert_eq!(counts(got), counts(expected), "counts of {what}");
    let so_far = before.map_or(0, |before| before.rows);
    let counting = labels.iter().filter(|label| **label != shape.ignore).count();
    assert_eq!((got.rows, got.epoch), (so_far + counting as u32, 3), "{what}");
    expected
}

// ---- gather ----

/// A gather of batches whose rows are `4 * quads` numbers, all different.
fn gather_trial(shape: Gather, first_step: u32) -> Trial {
    let (samples, rows, width) = (shape.samples as usize, shape.rows as usize, shape.quads as usize * 4);
    let mut labels: Vec<u32> = (0..shape.samples).map(|sample| sample + 10).collect();
    labels.resize(samples + TAIL, 0);
    let mut data: Vec<f32> = (0..samples * width).map(|at| at as f32).collect();
    data.resize(samples * width + TAIL, JUNK);
    let header = TableHeader { first_step, steps: 1, ..TableHeader::default() };
    // A whole row of hyper-parameters follows the header.
    let mut table: Vec<u32> = bytemuck::cast_slice(&[header]).to_vec();
    table.extend([u32::MAX; size_of::<TableRow>() / 4]);
    let memory = vec![
        words(data),
        labels,
        junk(rows * width),
        junk(rows),
        vec![u32::MAX; 4 + TAIL],
        table,
        bytemuck::cast_slice(&[shape]).to_vec(),
        Vec::new(),
    ];
    let kernel = GATHER.plain();
    let grid = [(shape.rows * shape.quads).div_ceil(64), 1, 1];
    Trial { kernel, constants: vec![("WORKGROUP", 64.0)], grid, memory }
}

/// Samples, rows of a micro-batch, micro-batches of a step and steps of an epoch, and vec4s in a row.
const GATHERS: [(u32, u32, u32, u32, u32); 9] = [
    (1, 1, 1, 1, 1),
    (2, 1, 1, 2, 3),
    (3, 1, 3, 1, 1),
    (63, 7, 3, 3, 2),
    (64, 8, 2, 4, 16),
    (65, 13, 1, 5, 1),
    (65, 5, 13, 1, 5),
    (1797, 599, 1, 3, 16),
    (1797, 3, 599, 1, 1),
];

/// The same, with more places than there are samples.
const GATHERS_BEYOND: [(u32, u32, u32, u32, u32); 5] =
    [(1, 7, 1, 1, 1), (2, 1, 3, 1, 2), (5, 3, 2, 1, 3), (65, 9, 1, 8, 5), (65, 3, 9, 3, 16)];

#[test]
fn nn_gather_equals_its_twin() {
    let Some(gpu) = gpu() else { return };
    for (samples, rows, micro_batches, steps_per_epoch, quads) in GATHERS.into_iter().chain(GATHERS_BEYOND) {
        for (case, seed) in [0, 1, 42, u32::MAX].into_iter().enumerate() {
            let (case, micro) = (case as u32, case as u32 % micro_batches);
            let shape = Gather { samples, rows, quads, steps_per_epoch, micro_batches, micro, seed, pad0: 0 };
            let mut trial = gather_trial(shape, 5 * case);
            let what = format!("{shape:?}");
            for shuffle in [1.0, 0.0] {
                trial.set("SHUFFLE", shuffle);
                regrid(&mut trial, case as usize % 3);
                for slot in [0, 1, 1023] {
                    let got = trial.run(&gpu, slot);
                    assert_eq!(got, trial.run(&Engine::twins(), slot), "{what}, slot {slot}, shuffle {shuffle}");
                    let position: &Position = bytemuck::from_bytes(bytemuck::cast_slice(&got[4][..4]));
                    assert_eq!(position.step, 5 * case + slot, "{what}");
                    assert_eq!(position.epoch, position.step / steps_per_epoch, "{what}");
                }
            }
        }
    }
}

/// The samples that an epoch visits, in order; each row is checked to be its sample's.
fn epoch(engine: &Engine, shape: Gather, number: u32) -> Vec<u32> {
    let width = shape.quads as usize * 4;
    let mut visited = Vec::new();
    for step in 0..shape.steps_per_epoch {
        for micro in 0..shape.micro_batches {
            let trial = gather_trial(Gather { micro, ..shape }, number * shape.steps_per_epoch);
            let memory = trial.run(engine, step);
            for r in 0..shape.rows as usize {
                let sample = memory[3][r] - 10;
                let expected: Vec<f32> = (0..width).map(|at| (sample as usize * width + at) as f32).collect();
                assert_eq!(floats(&memory[2])[r * width..][..width], expected, "{shape:?}: row {r} of step {step}");
                visited.push(sample);
            }
        }
    }
    visited
}

#[test]
fn nn_gather_visits_every_sample_once_an_epoch() {
    for engine in engines() {
        // The last case is a thousand runs.
        for (samples, rows, micro_batches, steps_per_epoch, quads) in GATHERS.into_iter().take(8) {
            let shape = Gather { samples, rows, quads, steps_per_epoch, micro_batches, micro: 0, seed: 7, pad0: 0 };
            let orders = [0, 1].map(|number| epoch(&engine, shape, number));
            for order in &orders {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, Vec::from_iter(0..samples), "{shape:?} on {}", engine.name());
            }
            if samples >= 63 {
                assert_ne!(orders[0], orders[1], "{shape:?}: two epochs in one order");
                assert_ne!(
                    orders[0],
                    epoch(&engine, Gather { seed: 8, ..shape }, 0),
                    "{shape:?}: two seeds in one order"
                );
            }
        }
    }
}

/// What stands after the last sample is junk, and would be seen.
#[test]
fn nn_gather_reads_nothing_behind_the_last_sample() {
    for engine in engines() {
        for (samples, rows, micro_batches, steps_per_epoch, quads) in GATHERS_BEYOND {
            for (shuffle, step) in
                [0.0, 1.0].into_iter().flat_map(|way| (0..steps_per_epoch).map(move |step| (way, step)))
            {
                let (mut drawn, mut told) = (0, Vec::new());
                for micro in 0..micro_batches {
                    let shape =
                        Gather { samples, rows, quads, steps_per_epoch, micro_batches, micro, seed: 7, pad0: 0 };
                    let mut trial = gather_trial(shape, 0);
                    trial.set("SHUFFLE", shuffle);
                    let memory = trial.run(&engine, step);
                    let first = (step * micro_batches + micro) * rows;
                    for (r, place) in (0..rows as usize).zip(first..) {
                        let row = &floats(&memory[2])[r * quads as usize * 4..][..quads as usize * 4];
                        let what = format!("row {r} of step {step}, {shape:?} on {}", engine.name());
                        let is_nothing = memory[3][r] == IGNORED && row.iter().all(|value| *value == 0.0);
                        assert!(if place < samples { memory[3][r] < 10 + samples } else { is_nothing }, "{what}");
                        drawn += u32::from(place < samples);
                    }
                    told.push(bytemuck::from_bytes::<Position>(bytemuck::cast_slice(&memory[4][..4])).counting);
                }
                assert!(
                    told.iter().all(|counting| *counting == drawn),
                    "{told:?}, not {drawn}: {samples}, step {step}"
                );
            }
        }
    }
}

#[test]
fn nn_shuffled_is_a_bijection_that_moves_nearly_everything() {
    for count in (1..300).chain([1023, 1024, 1025, 1797, 60_000]) {
        for key in [0, 1, 0x9e37_79b9, u32::MAX].map(pcg) {
            let order: Vec<u32> = (0..count).map(|place| shuffled(place, count, key)).collect();
            let distinct: HashSet<u32> = order.iter().copied().collect();
            assert!(distinct.len() == count as usize && order.iter().all(|at| *at < count), "{count}, key {key}");
            // A random order keeps one place on average; more than 12 happens once in 1e10.
            let kept = order.iter().zip(0..).filter(|(at, place)| **at == *place).count();
            assert!(kept <= 12, "{count}, key {key}: {kept} places are kept");
        }
    }
}

// ---- the gradient ----

/// Sizes and rows of a few models, odd on purpose.
const MODELS: [(&[usize], usize, Activation); 6] = [
    (&[6, 4], 3, Activation::Relu),
    (&[13, 7, 5, 3], 9, Activation::Relu),
    (&[13, 9, 3], 5, Activation::Gelu),
    (&[64, 33, 10], 17, Activation::Gelu),
    (&[20, 31, 17, 11], 21, Activation::Relu),
    (&[5, 6, 7, 8, 2], 6, Activation::Gelu),
];

/// Mean loss of the logits that lie on the engine, in f64.
fn loss_of_logits(model: &Model, space: &Workspace, labels: &[u32]) -> f64 {
    let classes = model.mlp.classes();
    let logits: Vec<f32> = model.engine.read(&space.logits()).expect("logits");
    let losses = logits.chunks(classes.next_multiple_of(4)).zip(labels).map(|(row, label)| {
        let sum: f64 = row[..classes].iter().map(|z| f64::from(*z).exp()).sum();
        sum.ln() - f64::from(row[*label as usize])
    });
    losses.sum::<f64>() / labels.len() as f64
}

/// Central differences of the mean loss along random directions, for each parameter and for all at once, on the twins.
///
/// A direction has random sizes and the signs of the gradient that is tested: then its derivative is a sum without
/// cancellation, while a wrong sign or a missing element still shows. The loss is formed in f64 from logits that are
/// f32: their rounding, about 1e-8 in a mean, over a step of 2h = 4e-3 in norm is 3e-6 in a slope. Parameters of three
/// times the usual size keep slopes above 1e-2, and few relus bend inside a step. The worst case is off by 3e-4.
#[test]
fn nn_gradient_is_the_slope_of_the_loss() {
    const STEP: f64 = 2e-3;
    let engine = Engine::twins();
    for (seed, (sizes, rows, activation)) in MODELS.into_iter().enumerate() {
        let seed = seed as u32 * 100;
        let model = Model::new(&engine, sizes, rows, activation);
        model.fill(seed);
        let labels = model.labels(seed + 2);
        let mut start = model.mlp.initial(seed);
        for (name, values) in &mut start {
            values.iter_mut().for_each(|value| *value *= 3.0);
            engine.write(&model.values[name], 0, values).expect("a write");
        }
        let (pass, space) = model.pass(|_| true, false);
        run(&engine, pass.clone(), 0);
        let gradients: Vec<Vec<f32>> = start.iter().map(|(name, _)| model.gradient(name)).collect();
        let loss_at = |values: &[Vec<f32>]| {
            for ((name, _), values) in start.iter().zip(values) {
                engine.write(&model.values[name], 0, values).expect("a write");
            }
            run(&engine, pass.clone(), 0);
            loss_of_logits(&model, &space, &labels)
        };
        for tensor in 0..=start.len() {
            let directions: Vec<Vec<f64>> = gradients
                .iter()
                .enumerate()
                .map(|(place, gradient)| {
                    let wanted = tensor == start.len() || tensor == place;
                    let sizes = noise(seed + place as u32 + 7, gradient.len());
                    let along = |(size, g): (f32, &f32)| if wanted { f64::from(size.abs().copysign(*g)) } else { 0.0 };
                    sizes.into_iter().zip(gradient).map(along).collect()
                })
                .collect();
            let step = STEP / directions.iter().flatten().map(|d| d * d).sum::<f64>().sqrt();
            let moved = |step: f64| -> Vec<Vec<f32>> {
                let one = |((_, values), direction): (&(String, Vec<f32>), &Vec<f64>)| {
                    values.iter().zip(direction).map(|(v, d)| (f64::from(*v) + step * d) as f32).collect()
                };
                start.iter().zip(&directions).map(one).collect()
            };
            // The difference of the values as they were rounded, so that this rounding is no error.
            let (above, below) = (moved(step), moved(-step));
            let span = above.iter().flatten().zip(below.iter().flatten()).map(|(a, b)| f64::from(*a) - f64::from(*b));
            let expected: f64 = span.zip(gradients.iter().flatten()).map(|(span, g)| span * f64::from(*g)).sum();
            let got = loss_at(&above) - loss_at(&below);
            let (slope, error) = (expected / (2.0 * STEP), (got - expected).abs() / expected);
            let what = start.get(tensor).map_or("all", |(name, _)| name);
            println!("{sizes:?} {what}: slope {slope:e}, off by {error:e}");
            assert!(slope > 1e-2, "{sizes:?} {what}: a slope of {slope:e} drowns in rounding");
            assert!(error <= 2e-3, "{sizes:?} {what}: slope {slope:e} is off by {error:e}");
        }
    }
}

// ---- what a pass leaves out, and adds up ----

#[test]
fn nn_backward_touches_nothing_below_the_lowest_trained_layer() {
    for engine in engines() {
        let model = Model::new(&engine, &[8, 7, 6, 5, 3], 4, Activation::Gelu);
        model.fill(3);
        run(&engine, model.pass(|_| true, false).0, 0);
        let full: HashMap<String, Vec<f32>> =
            model.mlp.params().into_iter().map(|param| (param.name.clone(), model.gradient(&param.name))).collect();

        let layer_of = |name: &str| name["layers.".len()..][..1].parse::<usize>().expect("a layer");
        for lowest in 0..=4 {
            let backward = model.backward(|name| layer_of(name) >= lowest);
            let kernels: Vec<&str> =
                backward.iter().map(|one| one.kernel.name.split('.').next().unwrap_or_default()).collect();
            let mut expected = ["linear_backward_weight", "linear_backward_input"].repeat(4 - lowest);
            expected.pop();
            assert_eq!(kernels, expected, "layers from {lowest} on");
            for param in model.mlp.params() {
                engine.write(&model.gradients[&param.name], 0, &vec![JUNK; param.elements()]).expect("a write");
            }
            run(&engine, model.pass(|name| layer_of(name) >= lowest, false).0, 0);
            for param in model.mlp.params() {
                let untouched = vec![JUNK; param.elements()];
                let expected = if layer_of(&param.name) >= lowest { &full[&param.name] } else { &untouched };
                assert_eq!(&model.gradient(&param.name), expected, "{} from layer {lowest} on", param.name);
            }
        }
    }
}

#[test]
fn nn_backward_passes_through_a_frozen_layer_and_spares_a_frozen_weight() {
    for engine in engines() {
        let model = Model::new(&engine, &[8, 7, 6, 3], 4, Activation::Relu);
        model.fill(4);
        run(&engine, model.pass(|_| true, false).0, 0);
        let trained = ["layers.0.bias", "layers.2.weight", "layers.2.bias"];
        let full = trained.map(|name| model.gradient(name));
        for param in model.mlp.params() {
            engine.write(&model.gradients[&param.name], 0, &vec![JUNK; param.elements()]).expect("a write");
        }
        let backward = model.backward(|name| trained.contains(&name));
        assert_eq!(backward.len(), 4, "two weights and two inputs");
        run(&engine, model.pass(|name| trained.contains(&name), false).0, 0);
        for param in model.mlp.params() {
            let got = model.gradient(&param.name);
            match trained.iter().position(|name| *name == param.name) {
                Some(place) => assert_eq!(got, full[place], "{}", param.name),
                None => assert!(got.iter().all(|g| *g == JUNK), "{} is frozen", param.name),
            }
        }
    }
}

#[test]
fn nn_two_half_batches_add_up_to_the_whole() {
    for engine in engines() {
        for (seed, (sizes, _, activation)) in MODELS.into_iter().enumerate() {
            let (seed, half) = (seed as u32, 9);
            let whole = Model::new(&engine, sizes, 2 * half, activation);
            whole.fill(seed);
            let inputs = sizes[0];
            let (x, mut y) = (noise(seed + 1, 2 * half * inputs), whole.labels(seed + 2));
            // One half has fewer rows that count than the other.
            y[1..half].iter_mut().step_by(2).for_each(|label| *label = IGNORED);
            let counting = y.iter().filter(|label| **label != IGNORED).count() as u32;
            whole.put_batch(&x, &y);
            let pass = |model: &Model, accumulate: bool| {
                run(&engine, model.pass(|_| true, accumulate).0, 0);
            };
            pass(&whole, false);
            let parts = Model::new(&engine, sizes, half, activation);
            parts.fill(seed);
            for batch in 0..2 {
                let position = Position { batch: batch as u32, counting, ..Position::default() };
                engine
                    .write(&parts.batch.get("position").expect("a position").buffer, 0, &[position])
                    .expect("a write");
                parts.put_batch(&x[batch * half * inputs..][..half * inputs], &y[batch * half..][..half]);
                pass(&parts, batch == 1);
            }
            for (name, _) in whole.mlp.initial(seed) {
                let (expected, got) = (whole.gradient(&name), parts.gradient(&name));
                let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
                let error = norm(&mut expected.iter().zip(&got).map(|(e, g)| f64::from(*e) - f64::from(*g)));
                let of = norm(&mut expected.iter().map(|e| f64::from(*e)));
                assert!(error <= 1e-6 * of, "{sizes:?} {name} on {}: off by {:e}", engine.name(), error / of);
            }
            let metrics =
                [&whole, &parts].map(|model| engine.read::<Metrics>(&model.metrics.all()).expect("metrics")[0]);
            assert_eq!(metrics[0].correct, metrics[1].correct);
            assert_eq!(metrics[0].rows, metrics[1].rows);
            assert_close("loss", &[metrics[1].loss_sum], &[metrics[0].loss_sum], 1e-6, 0.0);
        }
    }
}

#[test]
fn nn_a_nan_reaches_the_loss_and_the_gradient() {
    for engine in sized_engines() {
        for activation in [Activation::Relu, Activation::Gelu, Activation::GeluNew, Activation::Tanh] {
            let model = Model::new(&engine, &[6, 5, 3], 4, activation);
            model.fill(5);
            let mut x = noise(1, 24);
            x[8] = f32::NAN;
            model.put_batch(&x, &model.labels(7));
            run(&engine, model.pass(|_| true, false).0, 0);
            let metrics: Vec<Metrics> = engine.read(&model.metrics.all()).expect("metrics");
            assert!(metrics[0].loss.is_nan(), "{activation:?} on {}: loss {}", engine.name(), metrics[0].loss);
            for param in model.mlp.params() {
                let gradient = model.gradient(&param.name);
                assert!(gradient.iter().all(|g| g.is_nan()), "{activation:?} on {}: {}", engine.name(), param.name);
            }
        }
    }
}

// ---- the model ----

#[test]
fn nn_mlp_refuses_sizes_that_make_no_model() {
    for sizes in [&[][..], &[5], &[5, 0, 3], &[0, 3], &[5, (1 << 24) + 1]] {
        let error = Mlp::new(sizes, Activation::Relu).expect_err("no model");
        assert!(error.to_string().contains(&format!("{sizes:?}")), "{error}");
    }
    assert!(Mlp::new(&[5, 1 << 24], Activation::Relu).is_ok());
    assert_eq!(Activation::parse("gelu").expect("gelu"), Activation::Gelu);
    let error = Activation::parse("swish").expect_err("not known");
    assert!(error.to_string().contains("swish"), "{error}");
}

#[test]
fn nn_initial_values_are_uniform_and_the_seeds_own() {
    let mlp = Mlp::new(&[100, 50, 10], Activation::Relu).expect("sizes");
    let params = mlp.params();
    let initial = mlp.initial(1);
    assert_eq!(initial, mlp.initial(1));
    for ((param, (name, values)), (_, others)) in params.iter().zip(&initial).zip(mlp.initial(2)) {
        assert_eq!((&param.name, param.elements()), (name, values.len()));
        let bound = if name.starts_with("layers.0") { 0.1 } else { 1.0 / 50f32.sqrt() };
        assert!(values.iter().all(|value| value.abs() <= bound), "{name}: past {bound}");
        let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        assert!(largest > 0.7 * bound, "{name}: no value near {bound}");
        assert_ne!(values, &others, "{name}: two seeds, one start");
    }
    // Layers of one shape start apart.
    let square = Mlp::new(&[9, 9, 9], Activation::Relu).expect("sizes").initial(1);
    assert_ne!(square[0].1, square[2].1);
}
