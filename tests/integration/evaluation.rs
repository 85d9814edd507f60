//! Evaluation: one program for every batch of the test set, at most 64 of them in a submission.

use crate::support::{assert_close, fresh_engines};
use gradus::data::{DataSet, TokenStream, Vocabulary, digits, kjv};
use gradus::engine::layout::Metrics;
use gradus::engine::{Binding, Buffer, Counters, Engine, Program};
use gradus::nn::models::{Gpt2, Mlp};
use gradus::nn::{Activation, Network};
use gradus::optim::{Optimizer, Parameters};
use gradus::schedule::{Epochs, ModelParams, Plan, Spec};
use gradus::train::{Classify, Config, Evaluation, Language, Task, Trainer};

/// Batches of one submission.
const BATCHES: u64 = 64;

const PLAIN: &str = "optimizer: {type: adamw, lr: 3.0e-3}\nlr_scheduler: {type: constant}";
const AVERAGED: &str = "optimizer: {type: adamw, lr: 3.0e-3, ema_decay: 0.5}\nlr_scheduler: {type: constant}";

fn trainer(engine: &Engine, task: &dyn Task, schedule: &str, batch_size: usize) -> Trainer {
    let spec = Spec::parse("run.yaml", schedule).expect("a spec");
    let plan = |model: ModelParams<'_>, epochs: Epochs| Plan::new(&spec, model, epochs);
    let config = Config::default().batch_size(batch_size).seed(5);
    Trainer::new(engine, task, config, plan).expect("a trainer")
}

/// A test set of so many rows.
fn rows(rows: usize) -> Classify {
    let set = digits().expect("digits");
    let part = |first: usize, rows: usize| {
        let values = set.values()[first * 64..(first + rows) * 64].to_vec();
        DataSet::new(64, 10, values, set.labels()[first..first + rows].to_vec()).expect("a set")
    };
    let model = Mlp::new(&[64, 16, 10], Activation::Relu).expect("a model");
    Classify::new(&model, (&part(1200, 500), &part(0, rows))).expect("a task")
}

/// A text of so many windows of 8 to be tested on, the last of which is short.
fn text(windows: usize) -> Language {
    let vocabulary = Vocabulary::ascii();
    let tokens = vocabulary.encode(&kjv()).expect("tokens");
    let stream = |tokens: &[u32]| TokenStream::new(tokens.to_vec(), vocabulary.len()).expect("a stream");
    let decoder = decoder(vocabulary.len());
    let model = decoder.clone().sizes(decoder.sizes.layers(1).heads(2).hidden(16).intermediate(32));
    Language::new(&model, (&stream(&tokens[8 * windows..][..2000]), &stream(&tokens[..8 * windows - 2])))
        .expect("a task")
}

fn decoder(vocabulary: usize) -> Gpt2 {
    Gpt2::preset("tiny", vocabulary, 8).expect("a preset")
}

fn evaluated(engine: &Engine, trainer: &mut Trainer) -> (Evaluation, Counters) {
    // Programs and lists are made by the first one.
    let first = trainer.evaluate_now().expect("an evaluation");
    let before = engine.counters();
    let again = trainer.evaluate_now().expect("an evaluation");
    let cost = engine.counters() - before;
    assert_eq!((first.val_loss, first.metric("val_accuracy")), (again.val_loss, again.metric("val_accuracy")));
    (again, cost)
}

/// Dispatches of a test's program.
fn dispatches(engine: &Engine, task: &dyn Task, batch_size: usize) -> (u64, u64) {
    let config = Config::default().batch_size(batch_size);
    let (parameters, optimizer) = model(engine, task, &config);
    let test = task.place(engine, &config).expect("a place").test(&parameters, &optimizer).expect("a test");
    (test.program.dispatches.len() as u64, test.batches.into())
}

fn model(engine: &Engine, task: &dyn Task, config: &Config) -> (Parameters, Optimizer) {
    let params = task.params();
    let parameters = Parameters::new(engine, &params, None).expect("parameters");
    let names = params.iter().map(|param| param.name.as_str());
    let groups = [gradus::params::Group::new("all", gradus::params::Row::default(), names)];
    let optimizer = Optimizer::new(engine, &parameters, &groups, config.settings).expect("an optimizer");
    (parameters, optimizer)
}

#[test]
fn an_evaluation_replays_one_program_at_most_64_batches_a_submission() {
    for engine in fresh_engines() {
        let tasks: [(Box<dyn Task>, usize, u64, u64); 4] = [
            (Box::new(rows(100)), 25, 4, 6),
            (Box::new(rows(129)), 1, 129, 6),
            (Box::new(rows(130)), 2, 65, 6),
            (Box::new(text(131)), 2, 66, 0),
        ];
        for (task, batch_size, batches, most) in tasks {
            let (program, counted) = dispatches(&engine, &*task, batch_size);
            assert_eq!(counted, batches);
            // Gather, two layers, the loss and its sums.
            assert!(most == 0 || program <= most, "{program} dispatches");
            let (_, cost) = evaluated(&engine, &mut trainer(&engine, &*task, PLAIN, batch_size));
            assert_eq!(cost.submissions, batches.div_ceil(BATCHES), "{batches} batches on {}: {cost:?}", engine.name());
            assert_eq!((cost.dispatches, cost.uploads), (batches * program, 0), "{cost:?}");
        }
    }
}

#[test]
fn every_row_counts_once_whatever_the_batch() {
    for engine in fresh_engines() {
        // More batches than the clock has slots, one row a batch, whole batches, a last one that is not full, one batch.
        let task = rows(1100);
        let results = [1, 2, 11, 64, 499].map(|batch_size| {
            let mut trainer = trainer(&engine, &task, PLAIN, batch_size);
            let (evaluation, cost) = evaluated(&engine, &mut trainer);
            let batches = 1100usize.div_ceil(batch_size) as u64;
            assert_eq!(cost.submissions, batches.div_ceil(BATCHES));
            // The clock starts again every 1,024 batches.
            assert_eq!(cost.uploads, if batches > 1024 { 2 } else { 0 }, "{batches} batches");
            evaluation
        });
        for result in &results {
            let accuracy = result.metric("val_accuracy").expect("an accuracy") * 1100.0;
            assert!((accuracy - accuracy.round()).abs() < 1e-9, "of 1100 rows: {result:?}");
            assert_eq!(result.metric("val_accuracy"), results[0].metric("val_accuracy"));
            // Sums of a batch are f32.
            assert_close("losses", &[result.val_loss as f32], &[results[0].val_loss as f32], 1e-6, 0.0);
        }
    }
}

#[test]
fn an_average_is_tested_and_put_back_in_many_submissions() {
    for engine in fresh_engines() {
        let task = rows(200);
        let mut averaged = trainer(&engine, &task, AVERAGED, 2);
        for _ in 0..3 {
            averaged.take_step().expect("a step");
        }
        let values = |trainer: &Trainer| trainer.parameters().read_file().expect("a file");
        let before = values(&averaged);
        let (tested, cost) = evaluated(&engine, &mut averaged);
        assert_eq!(cost.submissions, 2, "{cost:?}");
        assert!(values(&averaged) == before, "parameters are back on {}", engine.name());
        // The average as a model's parameters, in one submission.
        let file = averaged.save_tested().expect("a file");
        let mut alone = trainer(&engine, &task, PLAIN, 100);
        alone.parameters().load(&file).expect("a file");
        let alone = alone.evaluate_now().expect("an evaluation");
        assert_eq!(alone.metric("val_accuracy"), tested.metric("val_accuracy"));
        assert_close("losses", &[alone.val_loss as f32], &[tested.val_loss as f32], 1e-6, 0.0);
    }
}

/// Buffers that a program's activations lie in.
fn activations(program: &Program) -> Vec<Buffer> {
    let mut found: Vec<Buffer> = Vec::new();
    for binding in program.dispatches.iter().flat_map(|dispatch| &dispatch.bindings) {
        if let Binding::Memory(range) = binding
            && (range.buffer.label().starts_with("activations") || range.buffer.label().starts_with("layers."))
            && !found.iter().any(|known| known.same(&range.buffer))
        {
            found.push(range.buffer.clone());
        }
    }
    found
}

#[test]
fn a_test_works_in_the_memory_of_a_step() {
    let engine = Engine::cpu();
    for task in [Box::new(rows(100)) as Box<dyn Task>, Box::new(text(40))] {
        let config = Config::default().batch_size(4);
        let (parameters, optimizer) = model(&engine, &*task, &config);
        let mut placed = task.place(&engine, &config).expect("a place");
        let step = placed.step(&parameters, &optimizer).expect("a step");
        let test = placed.test(&parameters, &optimizer).expect("a test");
        let (step, test) = (activations(&step), activations(&test.program));
        assert!(!test.is_empty() && test.len() <= step.len());
        assert!(test.iter().all(|buffer| step.iter().any(|other| other.same(buffer))), "{test:?} beside {step:?}");
        // And so a plan counts no more than the step.
        let bytes = task.activation_bytes(&config, &|_| true).expect("bytes").expect("they are known");
        assert!(bytes >= step.iter().map(Buffer::bytes).sum());
    }
}

#[test]
fn what_a_test_needs_beside_a_step_is_planned() {
    let model = decoder(96);
    let evaluation = model.evaluation(4, 8).expect("a pass");
    let whole = model.training(4, 8, |_| true).expect("a pass");
    assert_eq!(evaluation.bytes_beside(&whole), 0, "a step that trains all has room for a test");
    let task = text(40);
    let config = Config::default().batch_size(4);
    for trainable in [&(|_: &str| true) as &dyn Fn(&str) -> bool, &|_| false, &|name| name.contains("ln_f")] {
        let engine = Engine::cpu();
        let planned = task.activation_bytes(&config, trainable).expect("bytes").expect("they are known");
        let params = task.params();
        let names: Vec<&str> = params.iter().map(|param| param.name.as_str()).filter(|name| trainable(name)).collect();
        let groups = [gradus::params::Group::new("some", gradus::params::Row::default(), names)];
        let parameters = Parameters::new(&engine, &params, None).expect("parameters");
        let optimizer = Optimizer::new(&engine, &parameters, &groups, config.settings).expect("an optimizer");
        // Nothing is kept of a frozen trunk: all of both is traversed.
        let config = config.clone().trunk_device_limit_bytes(0).trunk_host_limit_bytes(0);
        let mut placed = task.place(&engine, &config).expect("a place");
        let step = placed.step(&parameters, &optimizer).expect("a step");
        let test = placed.test(&parameters, &optimizer).expect("a test");
        let mut both = activations(&step);
        for buffer in activations(&test.program) {
            if !both.iter().any(|known| known.same(&buffer)) {
                both.push(buffer);
            }
        }
        let made: u64 = both.iter().map(Buffer::bytes).sum();
        assert_eq!(made, planned, "{} parameters train", groups[0].params.len());
    }
    assert_eq!(size_of::<Metrics>(), 32);
}
