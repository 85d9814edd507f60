//! TransformerSizes of a batch: the one that trains fastest within a limit of memory, and those that a device cannot bind.

use crate::support::{engines, fresh_engines, fresh_gpu};
use crate::transformer_bed::sizes;
use gradus::data::{TokenStream, Vocabulary, digits, kjv};
use gradus::engine::{self, Binding, Buffer, Engine};
use gradus::nn::models::{Gpt2, Mlp};
use gradus::nn::{Activation, Network};
use gradus::optim::{Optimizer, Parameters};
use gradus::params::{Group, Param, Row};
use gradus::schedule::{Plan, Spec};
use gradus::train::{Classify, Config, Error, Language, Placed, Task, Trainer, TriedBatchSize, auto_batch_size};

fn language() -> Language {
    let vocabulary = Vocabulary::ascii();
    let model = Gpt2::new(sizes().vocab(vocabulary.len())).tied(false);
    let tokens = vocabulary.encode(&kjv()).expect("tokens");
    // 99 windows of 5 tokens.
    let streams = TokenStream::new(tokens[..625].to_vec(), vocabulary.len()).expect("a stream").split(20).expect("two");
    Language::new(&model, (&streams.0, &streams.1)).expect("a task")
}

fn digit_task() -> Classify {
    let (train, test) = digits().expect("digits").split(20, 3).expect("a split");
    let model = Mlp::new(&[64, 24, 10], Activation::Relu).expect("a model");
    Classify::new(&model, (&train, &test)).expect("a task")
}

/// Those parameters whose names begin so.
fn groups(task: &dyn Task, begin: &str) -> Vec<Group> {
    let names = task.params().into_iter().map(|param| param.name).filter(|name| name.starts_with(begin));
    vec![Group::new("all", Row::default(), names)]
}

fn config(batch_size: usize) -> Config {
    Config::default().batch_size(batch_size)
}

fn tried_sizes(tried: &[TriedBatchSize]) -> Vec<usize> {
    tried.iter().map(|tried| tried.batch_size).collect()
}

/// Bytes of parameters, gradients, moments and activations of the step and of the test that are compiled for this batch
/// size; nothing is kept of a frozen trunk.
fn compiled_bytes(task: &dyn Task, groups: &[Group], batch_size: usize) -> u64 {
    let engine = Engine::cpu();
    let config = config(batch_size).trunk_device_limit_bytes(0).trunk_host_limit_bytes(0);
    let parameters = Parameters::new(&engine, &task.params(), None).expect("parameters");
    let optimizer = Optimizer::new(&engine, &parameters, groups, config.settings).expect("an optimizer");
    let mut placed = task.place(&engine, &config).expect("a place");
    let step = placed.step(&parameters, &optimizer).expect("a step");
    let test = placed.test(&parameters, &optimizer).expect("a test").program;
    let mut buffers: Vec<&Buffer> = Vec::new();
    for binding in step.dispatches.iter().chain(&test.dispatches).flat_map(|dispatch| &dispatch.bindings) {
        if let Binding::Memory(range) = binding {
            let is_activation = |begin: &&str| range.buffer.label().starts_with(*begin);
            if ["activations.", "layers.", "verdicts"].iter().any(is_activation)
                && !buffers.iter().any(|known| known.same(&range.buffer))
            {
                buffers.push(&range.buffer);
            }
        }
    }
    let activations: u64 = buffers.iter().map(|buffer| buffer.bytes()).sum();
    parameters.bytes() + optimizer.gradient_bytes() + optimizer.state_bytes() + activations
}

#[test]
fn powers_of_two_are_tried_as_far_as_rows_and_memory_go() {
    for engine in engines() {
        let task = language();
        let all = groups(&task, "");
        let found = auto_batch_size(&engine, &task, &config(7), &all, u64::MAX).expect("a size");
        assert_eq!(tried_sizes(&found.tried), [1, 2, 4, 8, 16], "five steps of 99 sequences, on {}", engine.name());
        for tried in &found.tried {
            assert_eq!(tried.bytes, compiled_bytes(&task, &all, tried.batch_size), "{tried:?}");
            assert!(tried.samples_per_second.is_some_and(|speed| speed > 0.0), "{tried:?}");
        }
        let speed = |tried: &&TriedBatchSize| tried.samples_per_second.expect("a speed");
        let best = found.tried.iter().find(|tried| tried.batch_size == found.batch_size).expect("it was tried");
        assert!(found.tried.iter().all(|tried| speed(&tried) <= speed(&best)), "{found:?}");

        // To the byte; and accumulation takes rows.
        let limit = found.tried[2].bytes;
        let tried = |limit, config| auto_batch_size(&engine, &task, &config, &all, limit).expect("a size").tried;
        assert_eq!(tried_sizes(&tried(limit, config(7))), [1, 2, 4]);
        assert_eq!(tried_sizes(&tried(limit - 1, config(7))), [1, 2]);
        assert_eq!(tried_sizes(&tried(u64::MAX, config(7).micro_batches(5))), [1, 2]);
        let told = auto_batch_size(&engine, &task, &config(7), &all, 1000).expect_err("an error").to_string();
        let bytes = found.tried[0].bytes;
        assert_eq!(
            told,
            format!(
                "a batch of 1 takes {bytes} bytes with parameters, gradients, moments and activations; the limit is 1000"
            )
        );
    }
}

#[test]
fn what_is_frozen_needs_less() {
    let engine = Engine::cpu();
    let tried = |task: &dyn Task, begin: &str| {
        auto_batch_size(&engine, task, &config(1), &groups(task, begin), 900_000).expect("a size").tried
    };
    let check = |task: &dyn Task, begin: &str| {
        // The verdict of one row is less than the least buffer.
        for tried in tried(task, begin).into_iter().skip(1) {
            assert_eq!(tried.bytes, compiled_bytes(task, &groups(task, begin), tried.batch_size), "{tried:?}");
        }
    };
    let (task, digits) = (language(), digit_task());
    check(&task, "lm_head");
    check(&digits, "");
    let (head, all) = (tried(&task, "lm_head"), tried(&task, ""));
    assert!(head.len() == 5 && all.len() == 5);
    assert!(head.iter().zip(&all).all(|(head, all)| head.bytes < all.bytes));
    assert!(tried(&digits, "layers.1")[0].bytes < tried(&digits, "")[0].bytes);
    assert!(tried(&digits, "").len() > 8);
}

/// A device that has no room for more than a few.
struct Cramped(Language, usize);

impl Task for Cramped {
    fn params(&self) -> Vec<Param> {
        self.0.params()
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.0.settings()
    }

    fn initial(&self, seed: u32) -> Vec<(String, Vec<f32>)> {
        self.0.initial(seed)
    }

    fn steps_per_epoch(&self, config: &Config) -> Result<u64, Error> {
        self.0.steps_per_epoch(config)
    }

    fn place(&self, engine: &Engine, config: &Config) -> Result<Box<dyn Placed>, Error> {
        if config.batch_size > self.1 {
            return Err(engine::Error::OutOfMemory { label: "tokens".to_owned(), bytes: 99 }.into());
        }
        self.0.place(engine, config)
    }
}

#[test]
fn a_device_without_room_ends_the_search() {
    for engine in engines() {
        let find = |most| {
            let task = Cramped(language(), most);
            auto_batch_size(&engine, &task, &config(1), &groups(&task, ""), u64::MAX)
        };
        let found = find(4).expect("a size");
        assert_eq!(tried_sizes(&found.tried), [1, 2, 4, 8]);
        assert!(found.tried[2].samples_per_second.is_some() && found.tried[3].samples_per_second.is_none());
        assert!(found.batch_size <= 4);
        // Nothing is known of its activations beforehand.
        assert_eq!(found.tried[0].bytes, found.tried[2].bytes);
        let told = find(0).expect_err("an error").to_string();
        assert_eq!(told, "out of device memory while making buffer \"tokens\" of 99 bytes");
    }
}

#[test]
fn a_search_leaves_a_run_as_it_was() {
    let trainer = |engine: &Engine| {
        let spec = Spec::new(Row::default());
        let plan = |model: gradus::schedule::ModelParams<'_>, epochs| Plan::new(&spec, model, epochs);
        Trainer::new(engine, &language(), config(4).epochs(2), plan).expect("a trainer")
    };
    let values = |trainer: &Trainer| -> Vec<u32> {
        let parameters = trainer.parameters();
        let value = |param: &Param| parameters.read(&param.name).expect("values");
        parameters.params().iter().flat_map(value).map(f32::to_bits).collect()
    };
    for engine in engines() {
        let (mut run, mut searched) = (trainer(&engine), trainer(&engine));
        for step in 0..6 {
            run.take_step().expect("a step");
            searched.take_step().expect("a step");
            if step == 2 {
                let task = language();
                auto_batch_size(&engine, &task, &config(1), &groups(&task, ""), u64::MAX).expect("a size");
            }
        }
        assert!(values(&run) == values(&searched), "on {}", engine.name());
        assert_eq!(
            run.optimizer().read_applied_counts().expect("counts"),
            searched.optimizer().read_applied_counts().expect("them")
        );
    }
}

#[test]
fn a_batch_that_cannot_be_bound_is_refused_with_one_that_can() {
    let Some(engine) = fresh_gpu() else { return };
    let limit = engine.binding_bytes();
    let model = Gpt2::new(sizes()).tied(false);
    // qkv is the widest: 36 numbers a token, 5 tokens a sequence.
    let most = (limit / (36 * 4 * 5)) as usize;
    assert_eq!(model.largest_batch(&engine, 5), most);
    let pass = |batch| model.training(batch, 5, |_| true).expect("a pass");
    assert!(pass(most).check(&engine).is_ok());
    let before = engine.counters();
    let told = pass(2 * most).allocate(&engine).expect_err("an error").to_string();
    assert!(told.starts_with(&format!("a batch of {}: activation \"transformer.h.", 2 * most)), "{told}");
    assert!(told.contains(&format!("{limit} at once; the largest batch that fits is {most}")), "{told}");
    assert_eq!(engine.counters(), before, "nothing was allocated");
    let told = Mlp::new(&[4, 8, 2], Activation::Relu).expect("a model");
    let told = told
        .training(limit as usize / 16, 1, |_| true)
        .expect("a pass")
        .check(&engine)
        .expect_err("an error")
        .to_string();
    assert!(told.contains("layers.0.z") && told.ends_with(&format!("fits is {}", limit / 32)), "{told}");
}

#[test]
fn a_parameter_that_cannot_be_bound_is_refused_before_there_is_any() {
    for engine in fresh_engines() {
        // So many that the CPU engine cannot bind them either, and no more entries than a model may have.
        let hidden = 512;
        let vocab = engine.page_bytes() as usize / 4 / hidden + 1;
        let model = Gpt2::new(sizes().vocab(vocab).hidden(hidden).heads(4)).tied(false);
        let stream = TokenStream::new(vec![1; 200], vocab).expect("a stream");
        let task = Language::new(&model, (&stream, &stream)).expect("a task");
        let spec = Spec::new(Row::default());
        let before = engine.counters();
        let trainer = Trainer::new(&engine, &task, config(1), |model, epochs| Plan::new(&spec, model, epochs));
        let told = trainer.err().expect("an error").to_string();
        let (bytes, limit) = (vocab * hidden * 4, engine.page_bytes());
        assert_eq!(
            told,
            format!(
                "parameter \"transformer.wte.weight\" takes {bytes} bytes; this device binds at most {limit} at once"
            )
        );
        assert_eq!(engine.counters(), before);
    }
}

#[test]
fn steps_of_a_trial_are_those_of_a_run() {
    let engine = Engine::cpu();
    let task = language();
    let spec = Spec::new(Row::default());
    let plan = |model: gradus::schedule::ModelParams<'_>, epochs| Plan::new(&spec, model, epochs);
    let mut trainer = Trainer::new(&engine, &task, config(2), plan).expect("a trainer");
    let dispatches: usize = trainer.programs().expect("programs").iter().map(|program| program.dispatches.len()).sum();
    let before = engine.counters();
    let found = auto_batch_size(&engine, &task, &config(2), &groups(&task, ""), u64::MAX).expect("a size");
    let counted = engine.counters() - before;
    // One step to begin with and five that count, for each size.
    assert_eq!(counted.dispatches, 6 * (found.tried.len() * dispatches) as u64);
}
