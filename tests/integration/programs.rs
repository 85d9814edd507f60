//! Programs of models as they are printed: every kernel, grid, constant, range and size of a step and a test, for each
//! model, trainable set, dropout, number of micro-batches, sizes of workgroups, and from behind a frozen trunk.
//!
//! `tests/golden/programs/sums.txt` holds a checksum for each case, and a file beside it the text of a few. What prints
//! another program changes what a run computes, or in which order: `GRADUS_WRITE_PROGRAMS=1` writes them again, and
//! `GRADUS_PRINT_PROGRAMS=DIR` writes the texts of all cases into a folder, to be compared.

use gradus::data::{DataSet, Sequence, SequenceSizes, Sequences, TokenStream};
use gradus::engine::layout::pcg;
use gradus::engine::{Access, Binding, Buffer, Dispatch, Engine, Program, Range, Sizes};
use gradus::nn::Activation;
use gradus::nn::models::{Bert, Gpt2, Mlp, Pooling, TransformerSizes};
use gradus::nn::ops::write_squares;
use gradus::optim::{Optimizer, Parameters, Settings};
use gradus::params::{Group, Param, Row, Storage};
use gradus::train::{Classify, ClassifySequences, Config, Language, Task};
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn sizes(dropout: f32) -> TransformerSizes {
    TransformerSizes::new([2, 3, 12], 11, 6)
        .intermediate(20)
        .activation(Activation::GeluNew)
        .norm_eps(1e-5)
        .dropout(dropout)
}

fn numbers(seed: u32, count: u32, below: u32) -> Vec<u32> {
    (0..count).map(|place| pcg(seed ^ pcg(place)) % below).collect()
}

fn mlp() -> Box<dyn Task> {
    let set = |seed: u32, rows: u32| {
        let values = numbers(seed, rows * 10, 7).into_iter().map(|value| value as f32).collect();
        DataSet::new(10, 3, values, numbers(seed, rows, 3)).expect("a set")
    };
    let model = Mlp::new(&[10, 7, 8, 3], Activation::Gelu).expect("a model");
    Box::new(Classify::new(&model, (&set(1, 41), &set(2, 7))).expect("a task"))
}

fn decoder(tied: bool, dropout: f32) -> Box<dyn Task> {
    let text = TokenStream::new(numbers(3, 400, 11), 11).expect("a text");
    let (train, test) = text.split(20).expect("two");
    let model = Gpt2::new(sizes(dropout)).tied(tied);
    Box::new(Language::new(&model, (&train, &test)).expect("a task").with_fixed_windows())
}

fn encoder(types: usize, pooling: Pooling, dropout: f32) -> Box<dyn Task> {
    encoder_of(sizes(dropout), types, pooling)
}

fn encoder_of(sizes: TransformerSizes, types: usize, pooling: Pooling) -> Box<dyn Task> {
    let one = |number: u32| {
        let length = 1 + pcg(number) % 5;
        Sequence::new(numbers(number, length, 11), number % 3)
    };
    let shape = SequenceSizes::new(5, 11, 3).types(types.max(1));
    let set = Sequences::new(shape, &(0..37).map(one).collect::<Vec<_>>()).expect("a set");
    let (train, test) = set.split(30, 3).expect("two");
    let model = Bert::new(sizes, 3).types(types).pooling(pooling);
    Box::new(ClassifySequences::new(&model, (&train, &test)).expect("a task"))
}

/// A name, and the parameters that train: those with one of these in their names.
type Trainable = (&'static str, &'static [&'static str]);

const OF_MLP: [Trainable; 6] = [
    ("all", &[""]),
    ("last", &["layers.2"]),
    ("middle", &["layers.1"]),
    ("biases", &["bias"]),
    ("first weight", &["layers.0.weight"]),
    ("none", &[]),
];
const OF_DECODER: [Trainable; 8] = [
    ("all", &[""]),
    ("last norm", &["ln_f"]),
    ("last block", &["h.1.", "ln_f"]),
    ("first block", &["h.0."]),
    ("norms", &["ln_"]),
    ("positions", &["wpe"]),
    ("tokens", &["wte", "lm_head"]),
    ("feed-forward biases", &["mlp.c_fc.bias", "mlp.c_proj.bias"]),
];
const OF_ENCODER: [Trainable; 9] = [
    ("all", &[""]),
    ("classifier", &["classifier"]),
    ("last block", &["layer.1.", "classifier", "pooler"]),
    ("query", &["layer.1.attention.self.query"]),
    ("first key and value", &["layer.0.attention.self.key.weight", "layer.0.attention.self.value.bias"]),
    ("norms", &["LayerNorm"]),
    ("positions", &["position"]),
    ("tables", &["embeddings.word", "embeddings.token_type"]),
    ("none", &[]),
];

/// The programs of one case.
fn programs(engine: &Engine, task: &dyn Task, parts: &[&str], config: &Config) -> [Program; 3] {
    let params = task.params();
    let stored = |param: &Param| config.precision(param);
    let parameters = Parameters::stored(engine, &params, stored, None).expect("parameters");
    for (name, values) in task.initial(1) {
        parameters.upload(&name, &values).expect("an upload");
    }
    let trains = |name: &str| parts.iter().any(|part| name.contains(part));
    let names: Vec<String> = params.iter().map(|param| param.name.clone()).filter(|name| trains(name)).collect();
    let group = Group::new("all", Row::default(), names.clone());
    let groups = if names.is_empty() { vec![] } else { vec![group] };
    let settings = Settings::default().guard(true).seed(config.seed);
    let mut optimizer = Optimizer::new(engine, &parameters, &groups, settings).expect("an optimizer");
    let mut placed = task.place(engine, config).expect("a place");
    let mut step = placed.step(&parameters, &optimizer).expect("a step");
    let gradients: Vec<(String, Range)> =
        names.iter().map(|name| (name.clone(), optimizer.gradient(name).expect("a gradient"))).collect();
    let squares = write_squares(engine, &mut step.dispatches, &gradients).expect("squares");
    optimizer.take_squares(&squares).expect("squares are taken");
    let test = placed.test(&parameters, &optimizer).expect("a test").program;
    [step, test, optimizer.program().expect("a program").clone()]
}

/// A program with its buffers by the order in which they come, and what is in small ones that are read alone.
fn print(engine: &Engine, program: &Program, known: &mut Vec<Buffer>) -> String {
    let (dispatches, barriers, bytes) = (program.dispatches.len(), program.barriers(), program.bytes());
    let mut text = format!("{dispatches} dispatches, {barriers} barriers, {bytes} bytes\n");
    for Dispatch { kernel, bindings, constants, grid, bytes, .. } in &program.dispatches {
        write!(text, "{} {grid:?} {bytes}", kernel.name).expect("a string takes all");
        constants.iter().for_each(|(name, value)| write!(text, " {name}={value}").expect("a string takes all"));
        for (access, binding) in kernel.bindings.iter().zip(bindings) {
            let Binding::Memory(Range { buffer, offset, bytes }) = binding else {
                text.push_str(" clock");
                continue;
            };
            let number = known.iter().position(|other| other.same(buffer)).unwrap_or_else(|| {
                known.push(buffer.clone());
                known.len() - 1
            });
            if *access == Access::Uniform {
                let words: Vec<u32> = engine.read(&buffer.all()).expect("words");
                write!(text, " {words:x?}").expect("a string takes all");
            } else {
                let label = buffer.label().split('.').next().unwrap_or_default();
                write!(text, " {label}#{number}[{offset}+{bytes}]").expect("a string takes all");
            }
        }
        text.push('\n');
    }
    text
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/programs")
}

/// Those whose whole text is kept.
const WHOLE: [&str; 5] = [
    "mlp, all, 2 micro-batches, sizes of a processor",
    "decoder tied, all, 1 micro-batches, sizes of a processor",
    "decoder tied, last block, 1 micro-batches, sizes of a processor",
    "encoder 2 Mean, all, 1 micro-batches, sizes of a processor",
    "encoder 0 Pooler dropout, all, 2 micro-batches, sizes of a gpu",
];

/// Whether what a frozen trunk makes is kept.
fn limits(keeps: bool) -> Config {
    let bytes = if keeps { 1 << 24 } else { 0 };
    Config::default().trunk_device_limit_bytes(bytes).trunk_host_limit_bytes(0)
}

/// A task for each model, and what may train in it.
fn models() -> Vec<(String, Box<dyn Task>, &'static [Trainable])> {
    let mut models: Vec<(String, Box<dyn Task>, &'static [Trainable])> = vec![("mlp".to_owned(), mlp(), &OF_MLP)];
    for (rate, drops) in [(0.0, ""), (0.1, " dropout")] {
        for (tied, word) in [(true, "tied"), (false, "untied")] {
            models.push((format!("decoder {word}{drops}"), decoder(tied, rate), &OF_DECODER));
        }
        for (types, pooling) in [(2, Pooling::Mean), (0, Pooling::Pooler)] {
            models.push((format!("encoder {types} {pooling:?}{drops}"), encoder(types, pooling, rate), &OF_ENCODER));
        }
    }
    models
}

#[test]
fn programs_print_as_they_did() {
    let print_to = std::env::var_os("GRADUS_PRINT_PROGRAMS").map(PathBuf::from);
    let (mut sums, mut whole) = (String::new(), Vec::new());
    for (name, task, trainables) in models() {
        let (processor, gpu) = (Sizes::PROCESSOR, Sizes::GPU);
        let of =
            [("processor", processor, Storage::F32), ("gpu", gpu, Storage::F32), ("gpu in bf16", gpu, Storage::Bf16)];
        for (of, sizes, parameters) in of {
            let engine = Engine::cpu().sized(sizes);
            for (trained, parts) in trainables {
                for (micro_batches, keeps) in [(1, true), (2, true), (1, false), (2, false)] {
                    let config =
                        limits(keeps).parameters(parameters).batch_size(4).micro_batches(micro_batches).seed(5);
                    let trunk = if keeps { "" } else { ", no trunk kept" };
                    let case = format!("{name}, {trained}, {micro_batches} micro-batches, sizes of a {of}{trunk}");
                    let mut known = Vec::new();
                    let mut text = String::new();
                    let [step, test, optimizer] = programs(&engine, &*task, parts, &config);
                    for (label, program) in [("step", step), ("test", test), ("optimizer", optimizer)] {
                        write!(text, "{label}: {}", print(&engine, &program, &mut known)).expect("a string takes all");
                    }
                    writeln!(sums, "{case}: {:08x}", crc32fast::hash(text.as_bytes())).expect("a string takes all");
                    if let Some(folder) = &print_to {
                        std::fs::write(folder.join(case.replace(", ", "-").replace(' ', "_")), &text).expect("a file");
                    }
                    if WHOLE.contains(&&*case) {
                        whole.push((folder().join(case.replace(", ", "-").replace(' ', "_") + ".txt"), text));
                    }
                }
            }
        }
    }
    assert_eq!(whole.len(), WHOLE.len());
    whole.push((folder().join("sums.txt"), sums));
    for (file, text) in whole {
        if std::env::var_os("GRADUS_WRITE_PROGRAMS").is_some() {
            std::fs::write(&file, &text).expect("a file");
        }
        let kept = std::fs::read_to_string(&file).expect("a file of programs");
        let differs = kept.lines().zip(text.lines()).find(|(kept, now)| kept != now);
        assert!(kept == text, "{} differs from {differs:?} on", file.display());
    }
}

/// A GPU waits between any two of them.
#[test]
fn programs_of_a_step_of_twelve_layers_are_at_most_250_dispatches() {
    let task = encoder_of(TransformerSizes::new([12, 2, 64], 11, 6), 2, Pooling::Mean);
    for sizes in [Sizes::PROCESSOR, Sizes::GPU] {
        let config = limits(false).batch_size(4).seed(5);
        let [step, _, optimizer] = programs(&Engine::cpu().sized(sizes), &*task, &[""], &config);
        let dispatches = step.dispatches.len() + optimizer.dispatches.len();
        assert!(dispatches <= 250, "{dispatches}");
    }
}
