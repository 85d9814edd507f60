//! Two-layer transformers for 20 steps against PyTorch, on both engines: activations, gradients, losses.

use crate::golden::{Case, cases};
use crate::support::engines;
use crate::transformer_bed::LOSS;
use gradus::engine::layout::Metrics;
use gradus::engine::{Buffer, Engine, Prepared, Program, Submission};
use gradus::nn::models::{Bert, Gpt2, Pooling, TransformerSizes};
use gradus::nn::{Activation, Batch, Model, Network, Workspace};
use gradus::optim::{Optimizer, Parameters, Settings};
use gradus::params::{Group, Row};
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::path::Path;

fn case(name: &str) -> Case {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/transformer");
    cases(&folder, &[name]).pop().expect("a case")
}

fn model(case: &Case) -> Model {
    let size = |key: &str| case.json["config"][key].as_u64().expect(key) as usize;
    let sizes =
        TransformerSizes::new([size("layers"), size("heads"), size("hidden")], size("vocabulary"), size("context"))
            .intermediate(size("intermediate"))
            .activation(Activation::parse(case.json["config"]["activation"].as_str().expect("a name")).expect("one"))
            .norm_eps(case.json["config"]["layer_norm_eps"].as_f64().expect("a number") as f32);
    match case.text("kind") {
        "decoder" => Gpt2::new(sizes).into(),
        _ => Bert::new(sizes, size("classes")).types(size("types")).pooling(Pooling::Pooler).into(),
    }
}

/// The case's arrays under a prefix, as a file of Hugging Face's.
fn file(case: &Case, prefix: &str) -> Vec<u8> {
    let arrays: Vec<(String, Vec<usize>, Vec<u8>)> = case
        .arrays
        .iter()
        .filter_map(|(name, array)| {
            let bytes = array.values.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect();
            Some((name.strip_prefix(prefix)?.to_owned(), array.shape.clone(), bytes))
        })
        .collect();
    assert!(!arrays.is_empty(), "{}: nothing under {prefix}", case.name);
    let views = arrays.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a view"))
    });
    serialize(views, None).expect("a file")
}

struct Run {
    engine: Engine,
    optimizer: Optimizer,
    space: Workspace,
    pass: Prepared,
}

fn ints(engine: &Engine, case: &Case, name: &str) -> Buffer {
    let values: Vec<u32> = case.array(name).values.iter().map(|value| *value as u32).collect();
    engine.buffer_with(name, &values).expect("a buffer")
}

impl Run {
    fn new(case: &Case, engine: &Engine) -> Run {
        let model = model(case);
        let parameters = Parameters::new(engine, &model.params(), None).expect("parameters");
        parameters.load(&model.from_hugging_face(&file(case, "init."), &[]).expect("a checkpoint")).expect("values");
        let row = Row::adamw(1e-3).weight_decay(0.01);
        let all = Group::new("all", row, model.params().into_iter().map(|param| param.name));
        let optimizer = Optimizer::new(engine, &parameters, &[all], Settings::default()).expect("an optimizer");
        let batch = sequences(case, engine);
        let kept = |label: &str| label == "embedded" || label.ends_with("c_proj.z") || label.ends_with(".y");
        let pass = model.training(batch.examples, batch.context, |_| true).expect("a pass").keeping(kept);
        let space = pass.allocate(engine).expect("memory");
        let dispatches = space.dispatches::<Box<dyn std::error::Error>>(
            &batch,
            LOSS,
            |name| Ok(parameters.place(name)?),
            |name| Ok(Some(optimizer.gradient(name)?)),
            false,
        );
        let mut program = Program::new("pass");
        program.dispatches = dispatches.expect("dispatches");
        let pass = engine.prepare(program).expect("a program");
        Run { engine: engine.clone(), optimizer, space, pass }
    }

    /// The mean loss of the batch, with gradients after it.
    fn pass(&self) -> f64 {
        self.engine.submit(&Submission::of(&[&self.pass])).expect("a pass");
        let metrics: Vec<Metrics> = self.engine.read(&self.space.metrics[0].all()).expect("metrics");
        metrics[0].mean_loss()
    }
}

fn sequences(case: &Case, engine: &Engine) -> Batch {
    let is_decoder = case.text("kind") == "decoder";
    let [batch, context] = case.array("inputs").shape[..] else { panic!("{}: inputs", case.name) };
    let mask = if is_decoder {
        engine.buffer_with("mask", &vec![1u32; batch * context]).expect("a buffer")
    } else {
        ints(engine, case, "mask")
    };
    let labels = ints(engine, case, if is_decoder { "targets" } else { "labels" });
    let there = Batch::new(engine, batch, context)
        .expect("a batch")
        .with("tokens", ints(engine, case, "inputs").all())
        .with("mask", mask.all())
        .with("labels", labels.all());
    if is_decoder { there } else { there.with("types", ints(engine, case, "types").all()) }
}

/// Size of the difference, and of what is expected.
fn norms(got: &[f32], expected: &[f64]) -> (f64, f64) {
    assert_eq!(got.len(), expected.len());
    let difference = got.iter().zip(expected).map(|(got, expected)| (f64::from(*got) - expected).powi(2)).sum::<f64>();
    (difference.sqrt(), expected.iter().map(|value| value * value).sum::<f64>().sqrt())
}

fn check(name: &str, activations: &[(&str, &str)]) {
    let case = case(name);
    for engine in engines() {
        let mut run = Run::new(&case, &engine);
        let loss = run.pass();
        let expected = case.json["loss"].as_f64().expect("a loss");
        assert!((loss - expected).abs() <= 1e-5 * expected, "{name} on {}: {loss} is not {expected}", engine.name());
        for (label, array) in activations {
            let range = if *label == "logits" { run.space.logits() } else { run.space.value(label).expect(label) };
            let values: Vec<f32> = run.engine.read(&range).expect("values");
            let array = case.array(&format!("activation.{array}"));
            let width = *array.shape.last().expect("a width");
            let values: Vec<f32> =
                values.chunks(width.next_multiple_of(4)).flat_map(|row| row[..width].to_vec()).collect();
            let rows = array.values.len() / width;
            let (difference, size) = norms(&values[..rows * width], &array.values);
            assert!(difference <= 1e-5 * size, "{name}: {label}: {difference} of {size} on {}", engine.name());
        }
        check_gradients(&case, &run);
        check_losses(&case, &mut run);
    }
}

fn check_gradients(case: &Case, run: &Run) {
    let model = model(case);
    let expected = model.from_hugging_face(&file(case, "grad."), &[]).expect("gradients");
    let expected = safetensors::SafeTensors::deserialize(&expected).expect("a file");
    let mut worst = 0.0f64;
    for param in model.params() {
        let got: Vec<f32> = run.engine.read(&run.optimizer.gradient(&param.name).expect("a range")).expect("values");
        let view = expected.tensor(&param.name).expect("a gradient");
        let values: Vec<f64> =
            view.data().as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
        let (difference, size) = norms(&got, &values);
        // Softmax does not see the biases of keys: their gradients are rounding.
        if param.name.ends_with("key.bias") {
            assert!(difference < 1e-6, "{}: {difference}", param.name);
            continue;
        }
        worst = worst.max(difference / size);
        assert!(difference <= 1e-4 * size, "{}: {difference} of {size} on {}", param.name, run.engine.name());
    }
    println!("{} on {}: gradients within {worst:.1e} of their norm", case.name, run.engine.name());
}

fn check_losses(case: &Case, run: &mut Run) {
    let expected = case.json["loss_f64"].as_array().expect("losses");
    let mut worst = 0.0f64;
    for (step, expected) in expected.iter().enumerate() {
        let (loss, expected) = (run.pass(), expected.as_f64().expect("a loss"));
        worst = worst.max((loss - expected).abs() / expected);
        assert!((loss - expected).abs() <= 1e-4 * expected, "{}, step {step}: {loss}, not {expected}", case.name);
        run.optimizer.step().expect("a step");
    }
    println!("{} on {}: losses of 20 steps within {worst:.1e}", case.name, run.engine.name());
}

#[test]
fn a_decoder_trains_as_gpt2_does_in_pytorch() {
    let activations = [
        ("embedded", "embedding"),
        ("transformer.h.0.mlp.c_proj.z", "block.0"),
        ("transformer.h.1.mlp.c_proj.z", "block.1"),
        ("transformer.ln_f.y", "final_norm"),
        ("logits", "logits"),
    ];
    check("decoder", &activations);
}

#[test]
fn an_encoder_trains_as_bert_does_in_pytorch() {
    let activations = [
        ("embeddings.LayerNorm.y", "embedding"),
        ("encoder.layer.0.output.LayerNorm.y", "block.0"),
        ("encoder.layer.1.output.LayerNorm.y", "block.1"),
        ("logits", "logits"),
    ];
    check("encoder", &activations);
}
