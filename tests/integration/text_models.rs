//! Folders of transformers' own models against torch, on both engines: hidden states, logits, the loss, every gradient, and
//! twenty steps of AdamW. BERT, RoBERTa, DistilBERT and GPT-2; poolings, pairs, token types, padding, heads, numbers beside
//! the text.

use crate::golden::{Case, cases, own_folder};
use crate::support::engines;
use crate::transformer_bed::LOSS;
use gradus::engine::layout::Metrics;
use gradus::engine::{Buffer, Engine, Prepared, Program, Submission};
use gradus::nn::models::{Head, Pooling, Pretrained, PretrainedKind};
use gradus::nn::{Batch, Model, Network, Objective, Workspace};
use gradus::optim::{Optimizer, Parameters, Settings};
use gradus::params::{Group, Row};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::PathBuf;

const OUTPUTS: usize = 3;

fn folder(case: &Case) -> PathBuf {
    own_folder("text_models").join(case.text("family"))
}

/// The model of a case: the folder's, with the case's head and without dropout.
pub(crate) fn model(case: &Case) -> Model {
    let config = std::fs::read_to_string(folder(case).join("config.json")).expect("a config.json");
    let pretrained = Pretrained::parse(&config).expect("a model");
    let of = &case.json["head"];
    let pooling = of["pooling"].as_str().map(|word| {
        Pooling::ALL.iter().find(|(known, _)| *known == word).map(|(_, pooling)| *pooling).expect("a pooling")
    });
    let hidden = of["hidden"]
        .as_array()
        .map_or_else(Vec::new, |sizes| sizes.iter().map(|size| size.as_u64().expect("a size") as usize).collect());
    let objective = match case.text("objective") {
        "labels" => Objective::Labels,
        "numbers" => Objective::Numbers,
        _ => Objective::Classes,
    };
    let features = if of["features"].as_bool() == Some(true) { 3 } else { 0 };
    let head = Head::new(OUTPUTS).hidden(hidden).features(features).objective(objective).dropout(Some(0.0));
    let pooling = pooling.unwrap_or(pretrained.own_pooling());
    let (context, still) =
        (case.array("ids").shape[1], |sizes: gradus::nn::models::TransformerSizes| sizes.clone().dropout(0.0));
    match pretrained.kind {
        PretrainedKind::Encoder(style) => {
            let model = pretrained.encoder(style, context, pooling, head).expect("an encoder");
            let sizes = still(model.sizes.clone());
            model.sizes(sizes).into()
        }
        _ => {
            let mut model = pretrained.decoder(context, Some((pooling, head))).expect("a decoder");
            model.sizes = still(model.sizes);
            model.into()
        }
    }
}

/// The values of a file, by the names of tensors, by the model's own names.
fn values(model: &Model, bytes: &[u8], new: &[&str]) -> Vec<u8> {
    model.from_hugging_face(bytes, new).expect("a checkpoint")
}

struct Run {
    engine: Engine,
    optimizer: Optimizer,
    space: Workspace,
    pass: Prepared,
}

impl Run {
    fn new(case: &Case, engine: &Engine) -> Run {
        let model = model(case);
        let parameters = Parameters::new(engine, &model.params(), None).expect("parameters");
        let file = std::fs::read(folder(case).join("model.safetensors")).expect("a file");
        let on_top: Vec<String> =
            case.arrays.keys().filter_map(|name| name.strip_prefix("init.").map(str::to_owned)).collect();
        // The folder's own head is not this case's.
        let trunk: BTreeMap<String, _> = SafeTensors::deserialize(&file)
            .expect("a file")
            .tensors()
            .into_iter()
            .filter(|(name, _)| {
                on_top.is_empty()
                    || !["classifier.", "pre_classifier.", "score.", "bert.pooler."]
                        .iter()
                        .any(|start| name.starts_with(start))
            })
            .collect();
        let trunk = safetensors::serialize(trunk, None).expect("a file");
        let new: Vec<&str> = on_top.iter().map(String::as_str).collect();
        let trunk = values(&model, &trunk, &new);
        for (name, view) in SafeTensors::deserialize(&trunk).expect("a file").tensors() {
            parameters.upload(&name, &bytemuck::pod_collect_to_vec::<u8, f32>(view.data())).expect("an upload");
        }
        for name in &on_top {
            let values: Vec<f32> =
                case.array(&format!("init.{name}")).values.iter().map(|value| *value as f32).collect();
            parameters.upload(name, &values).expect("an upload");
        }
        let row = Row::adamw(1e-3).weight_decay(0.01);
        let all = Group::new("all", row, model.params().into_iter().map(|param| param.name));
        let optimizer = Optimizer::new(engine, &parameters, &[all], Settings::default()).expect("an optimizer");
        let batch = batch(case, engine);
        let pass = model.training(batch.examples, batch.context, |_| true).expect("a pass");
        let pass = pass.keeping(|label| label.ends_with(".y") || label.ends_with("c_proj.z") || label == "embedded");
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

    fn pass(&self) -> f64 {
        self.engine.submit(&Submission::of(&[&self.pass])).expect("a pass");
        let metrics: Vec<Metrics> = self.engine.read(&self.space.metrics[0].all()).expect("metrics");
        metrics[0].mean_loss()
    }

    /// Rows of so many numbers, without what fills their vec4s.
    fn rows(&self, range: &gradus::engine::Range, width: usize) -> Vec<f32> {
        let values: Vec<f32> = self.engine.read(range).expect("values");
        values.chunks(width.next_multiple_of(4)).flat_map(|row| row[..width].to_vec()).collect()
    }
}

fn batch(case: &Case, engine: &Engine) -> Batch {
    let [examples, context] = case.array("ids").shape[..] else { panic!("{}: ids", case.name) };
    let words = |name: &str| -> Buffer {
        let values: Vec<u32> = case.array(name).values.iter().map(|value| *value as u32).collect();
        engine.buffer_with(name, &values).expect("a buffer")
    };
    let labels: Vec<u32> = case.json["labels"]
        .as_array()
        .expect("labels")
        .iter()
        .map(|label| label.as_u64().expect("a class") as u32)
        .collect();
    let mut batch = Batch::new(engine, examples, context)
        .expect("a batch")
        .with("tokens", words("ids").all())
        .with("mask", words("mask").all())
        .with("labels", engine.buffer_with("labels", &labels).expect("a buffer").all());
    if case.text("family") == "bert" {
        batch = batch.with("types", words("types").all());
    } else if case.text("family") == "roberta" {
        batch =
            batch.with("types", engine.buffer_with("types", &vec![0u32; examples * context]).expect("a buffer").all());
    }
    for name in ["features", "targets"] {
        if let Some(array) = case.arrays.get(name) {
            let width = array.shape[1];
            let rows = array.values.chunks(width).flat_map(|row| {
                let zeros = width.next_multiple_of(4) - width;
                row.iter().map(|value| *value as f32).chain(std::iter::repeat_n(0.0, zeros)).collect::<Vec<f32>>()
            });
            let rows: Vec<f32> = rows.collect();
            batch = batch.with(name, engine.buffer_with(name, &rows).expect("a buffer").all());
        }
    }
    batch
}

/// Size of the difference, and of what is expected.
fn norms(got: &[f32], expected: &[f64]) -> (f64, f64) {
    assert_eq!(got.len(), expected.len());
    let difference = got.iter().zip(expected).map(|(got, expected)| (f64::from(*got) - expected).powi(2)).sum::<f64>();
    (difference.sqrt(), expected.iter().map(|value| value * value).sum::<f64>().sqrt())
}

fn check_logits(case: &Case, run: &Run, array: &str) {
    let expected = case.array(array);
    let (difference, size) = norms(&run.rows(&run.space.logits(), OUTPUTS), &expected.values);
    assert!(difference <= 1e-5 * size, "{}: {array} {difference:e} of {size} on {}", case.name, run.engine.name());
}

/// What stands behind the embeddings and behind each block, for the tokens that are no padding.
fn check_hidden(case: &Case, run: &Run) {
    let Some(hidden) = case.arrays.get("hidden") else { return };
    let [layers, examples, context, width] = hidden.shape[..] else { panic!("{}: hidden", case.name) };
    let mask = case.array("mask");
    let labels: Vec<String> = (0..layers)
        .map(|layer| match (case.text("family"), layer) {
            ("gpt2", 0) => "embedded".to_owned(),
            ("gpt2", layer) if layer + 1 == layers => "transformer.ln_f.y".to_owned(),
            ("gpt2", layer) => format!("transformer.h.{}.mlp.c_proj.z", layer - 1),
            (_, 0) => "embeddings.LayerNorm.y".to_owned(),
            ("distilbert", layer) => format!("transformer.layer.{}.output_layer_norm.y", layer - 1),
            (_, layer) => format!("encoder.layer.{}.output.LayerNorm.y", layer - 1),
        })
        .collect();
    for (layer, label) in labels.iter().enumerate() {
        let got = run.rows(&run.space.value(label).expect("a value"), width);
        let rows = examples * context;
        let expected = &hidden.values[layer * rows * width..][..rows * width];
        let is_token = |at: &usize| mask.values[at / width] != 0.0;
        let kept: Vec<usize> = (0..rows * width).filter(is_token).collect();
        let got: Vec<f32> = kept.iter().map(|at| got[*at]).collect();
        let expected: Vec<f64> = kept.iter().map(|at| expected[*at]).collect();
        let (difference, size) = norms(&got, &expected);
        assert!(difference <= 1e-5 * size, "{}: {label}: {difference:e} of {size}", case.name);
    }
}

fn check_gradients(case: &Case, run: &Run) -> f64 {
    let model = model(case);
    let told: BTreeMap<&String, f64> = case.json["grad_norm"]
        .as_object()
        .expect("norms")
        .iter()
        .map(|(name, norm)| (name, norm.as_f64().expect("a norm")))
        .collect();
    let tensors: Vec<gradus::params::Param> = told
        .keys()
        .map(|name| {
            let shape = case.arrays.get(&format!("grad.{name}")).map_or_else(Vec::new, |array| array.shape.clone());
            gradus::params::Param::new(name.as_str(), shape)
        })
        .collect();
    let places = model.places(&tensors);
    assert!(places.unused.is_empty() && places.twice.is_empty(), "{}: {places:?}", case.name);
    let mut worst = 0.0f64;
    for (param, place) in model.params().iter().zip(places.tensors) {
        // What has no gradient there has a wrong name here.
        let place = place.unwrap_or_else(|| panic!("{}: {} has no gradient", case.name, param.name));
        let got: Vec<f32> = run.engine.read(&run.optimizer.gradient(&param.name).expect("a range")).expect("values");
        let is_key = param.name.ends_with("key.bias") || param.name.ends_with("k_lin.bias");
        let (difference, size) = match case.arrays.get(&format!("grad.{}", place.name)) {
            Some(array) => {
                let mut expected = array.values.clone();
                if place.is_turned {
                    let [rows, columns] = array.shape[..] else { panic!("{}", place.name) };
                    expected = (0..columns * rows).map(|at| array.values[at % rows * columns + at / rows]).collect();
                }
                norms(&got, &expected)
            }
            // Of the others their norms.
            None => {
                let norm = got.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
                ((norm - told[&place.name]).abs(), told[&place.name])
            }
        };
        // Softmax does not see the biases of keys: their gradients are rounding.
        if is_key {
            assert!(difference < 1e-6, "{}: {}: {difference}", case.name, param.name);
            continue;
        }
        worst = worst.max(difference / size);
        assert!(difference <= 1e-4 * size, "{}: {}: {difference:e} of {size}", case.name, param.name);
    }
    worst
}

fn check_losses(case: &Case, run: &mut Run) -> f64 {
    let mut worst = 0.0f64;
    for (step, expected) in case.json["losses"].as_array().expect("losses").iter().enumerate() {
        let (loss, expected) = (run.pass(), expected.as_f64().expect("a loss"));
        worst = worst.max((loss - expected).abs() / expected);
        assert!((loss - expected).abs() <= 1e-4 * expected, "{}, step {step}: {loss}, not {expected}", case.name);
        run.optimizer.step().expect("a step");
    }
    worst
}

#[test]
fn golden_text_models_compute_and_learn_as_in_torch() {
    let cases = cases(&own_folder("text_models"), &[""]);
    assert!(cases.len() >= 13, "{}", cases.len());
    for case in &cases {
        for engine in engines() {
            let mut run = Run::new(case, &engine);
            let (loss, expected) = (run.pass(), case.json["losses"][0].as_f64().expect("a loss"));
            assert!((loss - expected).abs() <= 1e-5 * expected, "{}: {loss}, not {expected}", case.name);
            check_logits(case, &run, "logits");
            check_hidden(case, &run);
            let gradients = check_gradients(case, &run);
            let losses = check_losses(case, &mut run);
            println!("{} on {}: gradients {gradients:.1e}, losses {losses:.1e}", case.name, engine.name());
        }
    }
    println!("{} cases", cases.len());
}
