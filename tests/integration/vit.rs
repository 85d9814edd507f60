//! Vision transformers against transformers' own: from their files and to them, logits, gradients, 20 steps of AdamW, positions for
//! other pictures, configurations; and runs of one.

use crate::golden::{Case, cases, own_folder};
use crate::picture_bed::{Bed, in_our_order};
use crate::support::{assert_close, engines, noise};
use crate::transformer_bed::assert_near;
use gradus::data::Pictures;
use gradus::engine::Engine;
use gradus::engine::layout::pcg;
use gradus::nn::graph::Graph;
use gradus::nn::models::{FolderWords, Marks, Vit, VitStyle, interpolated};
use gradus::nn::{Activation, Model, Network};
use gradus::optim::{Optimizer, Settings};
use gradus::params::{Group, Param, Row};
use gradus::schedule::{Plan, Spec};
use gradus::train::{ClassifyPictures, Config, Trainer};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const CLASSES: usize = 5;
/// The seed of the goldens' pictures.
const OF_PICTURES: u32 = 1000;

/// A case, its model, its file, and its pictures with their labels.
struct Golden {
    case: Case,
    model: Model,
    file: Vec<u8>,
    x: Vec<f32>,
    labels: Vec<u32>,
}

fn whole(value: &Value) -> usize {
    value.as_u64().expect("a whole number") as usize
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn all() -> Vec<Golden> {
    let of = |name: &str| {
        let case = cases(&own_folder("vision"), &[name]).pop().expect("a case");
        let (model, _) = Vit::of_config(&case.json["config"].to_string(), None, CLASSES).expect("a model");
        let labels: Vec<u32> = list(&case.json["labels"]).iter().map(|label| whole(label) as u32).collect();
        let x = noise(OF_PICTURES, labels.len() * 3 * model.context());
        Golden { file: file(&case), model: model.into(), case, x, labels }
    };
    ["vit", "deit", "dinov2"].into_iter().map(of).collect()
}

/// The file of a case, of noise.
fn file(case: &Case) -> Vec<u8> {
    let tensor = |(seed, told): (u32, &Value)| {
        let shape: Vec<usize> = list(&told["shape"]).iter().map(whole).collect();
        let [around, spread] = [0, 1].map(|place: usize| told["drawn"][place].as_f64().expect("a number") as f32);
        let values = noise(seed, shape.iter().product()).into_iter().map(|number| around + spread * number);
        let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        (told["name"].as_str().expect("a name").to_owned(), shape, bytes)
    };
    let tensors: Vec<_> = (0..).zip(list(&case.json["tensors"])).map(tensor).collect();
    written(&tensors)
}

fn written(tensors: &[(String, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a view");
        (name, view)
    });
    safetensors::serialize(views, None).expect("a file")
}

fn bed(engine: &Engine, golden: &Golden) -> Bed {
    Bed::new(engine, &golden.model, &golden.file, (&golden.x, &golden.labels))
}

fn names(model: &Model) -> Vec<String> {
    model.params().into_iter().map(|param| param.name).collect()
}

/// AdamW or SGD as the goldens have it.
fn optimizer(bed: &Bed, golden: &Golden, how: &str) -> Optimizer {
    let number = |key: &str| golden.case.json[how][key].as_f64().expect("a number");
    let row = match how {
        "adamw" => Row::adamw(number("lr")).weight_decay(number("weight_decay")),
        _ => Row::sgd(number("lr")).momentum(number("momentum")),
    };
    let group = Group::new("all", row, names(&golden.model));
    Optimizer::new(&bed.engine, &bed.parameters, &[group], Settings::default()).expect("an optimizer")
}

#[test]
fn golden_vits_train_as_transformers() {
    for (golden, how) in all().iter().flat_map(|golden| ["adamw", "sgd"].map(|how| (golden, how))) {
        for engine in engines() {
            let (bed, case) = (bed(&engine, golden), &golden.case);
            let what = |what: &str| format!("{what} of {} by {how} on {}", case.name, engine.name());
            assert_close(&what("a test"), &bed.tested(&golden.model), &case.f32s("logits"), 1e-4, 1e-5);
            let mut optimizer = optimizer(&bed, golden, how);
            let (pass, space) = bed.training(&golden.model, &optimizer);
            for (step, expected) in list(&case.json[how]["losses"]).iter().enumerate() {
                bed.run(&pass);
                let (got, expected) = (bed.loss(&space), expected.as_f64().expect("a loss"));
                assert!((got - expected).abs() <= 1e-4, "{} at step {step}: {got}, not {expected}", what("the loss"));
                if step == 0 {
                    assert_close(&what("logits"), &bed.logits(&space), &case.f32s("logits"), 1e-4, 1e-5);
                    for name in names(&golden.model) {
                        let there = format!("grad.{}", golden.model.name_in_class(&name));
                        let expected = in_our_order(case.f32s(&there), &case.array(&there).shape);
                        // Softmax does not see the biases of keys.
                        assert_near(&what(&name), &bed.gradient(&optimizer, &name), &expected, 1e-4);
                    }
                }
                optimizer.step().expect("a step");
            }
            let after = case.f32s(&format!("logits_after.{how}"));
            assert_close(&what("a test"), &bed.tested(&golden.model), &after, 1e-4, 1e-4);
        }
    }
}

#[test]
fn vits_make_their_layers_again_with_the_same_bits() {
    for golden in all() {
        let run = |again: bool| {
            let bed = bed(&Engine::cpu(), &golden);
            let optimizer = optimizer(&bed, &golden, "adamw");
            let pass = golden.model.training(golden.labels.len(), golden.model.context(), |_| true).expect("a pass");
            assert_eq!(pass.layers(), 2);
            let pass = if again { pass.recomputing(2) } else { pass };
            let (program, _) = bed.program(pass.allocate(&bed.engine).expect("memory"), Some(&optimizer));
            bed.run(&program);
            names(&golden.model).iter().map(|name| bed.gradient(&optimizer, name)).collect::<Vec<_>>()
        };
        assert!(run(false) == run(true), "{}", golden.case.name);
    }
}

fn params_of(tensors: &SafeTensors<'_>) -> BTreeMap<String, Vec<usize>> {
    tensors.tensors().into_iter().map(|(name, tensor)| (name, tensor.shape().to_vec())).collect()
}

#[test]
fn vits_go_to_transformers_files_and_back() {
    for golden in all() {
        let (model, bed) = (&golden.model, bed(&Engine::cpu(), &golden));
        let ours = bed.parameters.read_file().expect("a file");
        let theirs = model.to_hugging_face(&ours).expect("transformers' file");
        let [written, original] = [&theirs, &golden.file].map(|file| SafeTensors::deserialize(file).expect("a file"));
        assert_eq!(params_of(&written), params_of(&original));
        for (name, tensor) in original.tensors() {
            assert!(written.tensor(&name).expect("a tensor").data() == tensor.data(), "{name}");
        }
        for file in [&ours, &theirs] {
            bed.parameters.load(&model.from_hugging_face(file, &[]).expect("a file")).expect("a load");
            assert_eq!(bed.parameters.read_file().expect("a file"), ours);
        }
        let tensors = model.folder_tensors(&ours).expect("files");
        assert!(matches!(&tensors[..], [("model.safetensors", file)] if *file == theirs));
    }
}

/// A trunk as it is published: without a prefix, without our classifier, and with what pretraining leaves.
#[test]
fn vits_begin_with_the_trunk_of_a_pretrained_file() {
    let left = [
        ("vit", vec!["pooler.dense.weight", "pooler.dense.bias"]),
        ("deit", vec!["cls_classifier.weight", "distillation_classifier.bias"]),
        ("dinov2", vec!["embeddings.mask_token"]),
    ];
    for (golden, (base, left)) in all().into_iter().zip(left) {
        let file = SafeTensors::deserialize(&golden.file).expect("a file");
        let bare = |name: &str| name.strip_prefix(&format!("{base}.")).map(str::to_owned);
        let trunk = file
            .tensors()
            .into_iter()
            .filter_map(|(name, tensor)| Some((bare(&name)?, tensor.shape().to_vec(), tensor.data().to_vec())));
        let more = left.into_iter().map(|name| (name.to_owned(), vec![1], vec![0; 4]));
        let tensors: Vec<_> = trunk.chain(more).collect();
        let ours = golden.model.from_hugging_face(&written(&tensors), &["classifier."]).expect("a trunk");
        let ours = SafeTensors::deserialize(&ours).expect("a file");
        assert_eq!(ours.len(), golden.model.params().len() - 2, "{base}");
        let strange = [tensors, vec![("else".to_owned(), vec![1], vec![0; 4])]].concat();
        let refused = golden.model.from_hugging_face(&written(&strange), &["classifier."]);
        assert!(refused.expect_err("an error").to_string().contains("else"), "{base}");
    }
}

/// Every key that we write has the value that transformers writes for the same model.
#[test]
fn vits_write_configurations_as_transformers_does() {
    for golden in all() {
        let (theirs, Model::Vit(model)) = (&golden.case.json["config"], &golden.model) else { panic!("no ViT") };
        let labels: Vec<String> = (0..CLASSES).map(|class| format!("class {class}")).collect();
        let (read, named) = Vit::of_config(&theirs.to_string(), None, CLASSES).expect("a model");
        assert_eq!((&read, &named), (model, &labels));
        let ours = Value::Object(model.config(&labels));
        let ours_only = ["label2id", "problem_type", "drop_path_rate", "use_swiglu_ffn"];
        for (key, value) in ours.as_object().expect("an object") {
            let near = |a: &Value, b: &Value| match (a.as_f64(), b.as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * b.abs(),
                _ => a == b,
            };
            let there = &theirs[key];
            let is_same = near(value, there) || there.is_null() && ours_only.contains(&key.as_str());
            assert!(is_same, "{}: {key} is {value}, not {there}", golden.case.name);
        }
        let (again, _) = Vit::of_config(&ours.to_string(), None, CLASSES).expect("our own");
        assert_eq!(again, *model);
        let words = FolderWords::new(&labels, Marks::default());
        let files = golden.model.folder_files(&words);
        let [("config.json", text)] = &files[..] else { panic!("{files:?}") };
        assert_eq!(serde_json::from_slice::<Value>(text).expect("JSON"), ours);
    }
    let unnamed = Vit::new([1, 1, 4], [2, 2], 1, 2).config(&[]);
    assert_eq!(unnamed["id2label"], json!({"0": "LABEL_0", "1": "LABEL_1"}));
}

#[test]
fn vits_of_configurations_are_for_the_pictures_that_are_wanted() {
    let config = json!({"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2});
    let (model, labels) = Vit::of_config(&config.to_string(), Some([33, 50]), 3).expect("a model");
    assert_eq!((model.picture, model.patches(), model.tokens()), ([33, 50], [2, 3], 1));
    assert_eq!((model.intermediate, model.norm_eps, labels.len()), (3072, 1e-12, 0));
    let (model, _) = Vit::of_config(&config.to_string(), None, 3).expect("a model");
    assert_eq!(model.patches(), [14, 14]);
    assert_eq!(model.params()[1], Param::new(Vit::POSITIONS, [1, 197, 8]));
}

#[test]
fn vits_that_are_not_computed_are_refused_by_their_key() {
    let good = json!({"model_type": "dinov2", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2});
    for (key, value, picture) in [
        ("model_type", json!("dinov3"), None),
        ("hidden_size", json!(null), None),
        ("hidden_size", json!(-1), None),
        ("use_swiglu_ffn", json!(true), None),
        ("drop_path_rate", json!(1.0), None),
        ("hidden_dropout_prob", json!(0.5), None),
        ("attention_probs_dropout_prob", json!("much"), None),
        ("qkv_bias", json!(1), None),
        ("patch_size", json!([14, 16]), None),
        ("patch_size", json!([14]), None),
        ("patch", json!(0), Some([3, 30])),
        ("image_size", json!([224, 224, 3]), None),
        ("image_size", json!("large"), None),
        ("hidden_act", json!("swish"), None),
        ("mlp_ratio", json!(1e30), None),
        ("intermediate", json!(0), Some([28, 28])),
        ("head_dim", json!(8), None),
        ("heads", json!(0), Some([28, 28])),
    ] {
        let mut config = good.clone();
        match key {
            "patch" => {}
            "intermediate" => config["mlp_ratio"] = json!(1.3),
            "heads" => config["num_attention_heads"] = json!(3),
            _ => config[key] = value.clone(),
        }
        let refused = Vit::of_config(&config.to_string(), picture, 3).expect_err(key).to_string();
        assert!(refused.contains(key), "{key} = {value}: {refused}");
    }
    for text in ["", "[]", "{}", "nonsense"] {
        assert!(Vit::of_config(text, None, 3).is_err(), "{text}");
    }
    let new = |picture: [usize; 2], patch: usize| Vit::new([1, 2, 8], picture, patch, 3);
    assert!(new([8, 8], 4).check().is_ok());
    for model in [
        new([8, 8], 0),
        new([8, 8], 9),
        new([0, 8], 1),
        new([usize::MAX, 2], 1),
        new([1 << 24, 2], 1),
        new([8, 8], 4).layer_scale(f32::NAN),
        new([8, 8], 4).norm_eps(-1.0),
        new([8, 8], 4).intermediate(0),
        new([8, 8], 4).intermediate(12).style(VitStyle::Dinov2),
        Vit::new([1, 0, 8], [8, 8], 4, 3),
        Vit::new([1, 3, 8], [8, 8], 4, 3),
        Vit::new([1, 1, 8], [8, 8], 4, 0),
    ] {
        assert!(model.check().is_err() && model.evaluation(1, 64).is_err(), "{model:?}");
    }
}

#[test]
fn golden_positions_are_interpolated_as_transformers_does() {
    let case = cases(&own_folder("vision"), &["positions"]).pop().expect("a case");
    let width = whole(&case.json["width"]);
    let all = list(&case.json["cases"]);
    assert!(all.len() >= 8);
    for (seed, one) in all.iter().enumerate() {
        let [from, to] = ["from", "to"].map(|key| [0, 1].map(|side: usize| whole(&one[key][side])));
        let tokens = whole(&one["tokens"]);
        let table = noise(seed as u32, (tokens + from[0] * from[1]) * width);
        let got = interpolated(&table, from, to, tokens, width).expect("a table");
        assert_close(&one.to_string(), &got, &case.f32s(&seed.to_string()), 1e-6, 1e-6);
    }
}

/// Names and shapes that a family tells are those that its network reads.
#[test]
fn vits_read_the_parameters_that_they_have() {
    for style in VitStyle::ALL {
        for biased in [true, false] {
            let model = Vit::new([2, 2, 8], [9, 14], 4, 3).style(style).channels(2).qkv_bias(biased);
            let mut graph = Graph::new(1, model.context(), false);
            model.forward(&mut graph);
            let sorted = |params: Vec<Param>| {
                let mut params: Vec<_> = params.into_iter().map(|param| (param.name, param.shape)).collect();
                params.sort();
                params
            };
            assert_eq!(sorted(graph.params()), sorted(model.params()));
        }
    }
}

#[test]
fn vits_have_transformers_numbers_of_parameters() {
    let base = |picture: usize, patch: usize| Vit::new([12, 12, 768], [picture; 2], patch, 1000);
    for (model, expected) in [
        (base(224, 16), 86_567_656),
        (base(224, 16).style(VitStyle::Deit), 86_569_192),
        (base(518, 14).style(VitStyle::Dinov2), 88_116_712),
    ] {
        let count: usize = model.params().iter().map(Param::elements).sum();
        assert_eq!(count, expected, "{:?}", model.style);
    }
}

#[test]
fn vits_begin_as_transformers() {
    for style in VitStyle::ALL {
        let model = Vit::new([1, 2, 32], [16, 16], 4, 3).style(style).layer_scale(0.25);
        for (name, values) in model.initial(1) {
            let size = (values.iter().map(|value| value * value).sum::<f32>() / values.len() as f32).sqrt();
            let expected = match () {
                () if name.ends_with("lambda1") => 0.25,
                () if name.contains("norm") && name.ends_with("weight") => 1.0,
                () if name.ends_with("bias") => 0.0,
                () if style == VitStyle::Deit && (name.ends_with("token") || name.ends_with("embeddings")) => 0.0,
                () => 0.02,
            };
            assert!((size - expected).abs() <= 0.3 * expected, "{style:?}: {name}: {size}");
        }
    }
}

// ---- runs ----

const SIZE: [usize; 2] = [8, 12];

const PLAIN: &str = "optimizer: {type: adamw, lr: 3.0e-3}\nlr_scheduler: {type: constant}";

/// Only the last layer trains.
const HEAD: &str = "optimizer: {type: adamw, lr: 1.0e-2}\nphases:\n  0: {params: ['classifier.*']}\n";

/// Pictures whose class is their brightest channel.
fn pictures() -> Pictures {
    let labels: Vec<u32> = (0..90).map(|picture| pcg(picture) % 3).collect();
    let byte = |picture: usize, place: usize| {
        let noise = pcg(pcg(picture as u32) ^ place as u32) % 160;
        (noise + if place % 3 == labels[picture] as usize { 60 } else { 0 }) as u8
    };
    let places = SIZE[0] * SIZE[1] * 3;
    let bytes = (0..labels.len() * places).map(|at| byte(at / places, at % places)).collect::<Vec<u8>>();
    Pictures::new(SIZE, 3, &bytes, labels.clone()).expect("pictures").normalized([0.4; 3], [0.2; 3])
}

fn trainer(engine: &Engine, style: VitStyle, schedule: &str, config: Config) -> Trainer {
    let (train, test) = pictures().split(20, 3).expect("a split");
    let model = Vit::new([2, 2, 16], SIZE, 4, 3).style(style).intermediate(32).activation(Activation::GeluNew);
    let task = ClassifyPictures::new(model, (&train, &test)).expect("a task");
    let spec = Spec::parse("run.yaml", schedule).expect("a spec");
    let config = config.batch_size(8).epochs(4).seed(5);
    Trainer::new(engine, &task, config, |params, epochs| Plan::new(&spec, params, epochs)).expect("a trainer")
}

/// The accuracy of the last evaluation, and the file of all parameters.
fn finished(mut trainer: Trainer) -> (f64, Vec<u8>) {
    let mut accuracy = None;
    let done = trainer.run(|event| {
        if let gradus::train::Event::Evaluation(done) = event {
            accuracy = done.metric("val_accuracy");
        }
    });
    done.expect("a run");
    (accuracy.expect("an evaluation"), trainer.parameters().read_file().expect("a file"))
}

#[test]
fn vits_learn_pictures() {
    for engine in engines() {
        for style in VitStyle::ALL {
            let (accuracy, _) = finished(trainer(&engine, style, PLAIN, Config::default()));
            assert!(accuracy > 0.8, "{style:?}: {accuracy} on {}", engine.name());
        }
    }
}

#[test]
fn a_vits_still_trunk_has_the_same_bits_whether_it_is_kept_or_not() {
    for engine in engines() {
        let none = Config::default().trunk_device_limit_bytes(0).trunk_host_limit_bytes(0);
        let mut kept = trainer(&engine, VitStyle::Dinov2, HEAD, Config::default());
        kept.advance(|_| ()).expect("a step");
        assert!(kept.trunk_bytes() > 0, "the trunk is kept on {}", engine.name());
        let [kept, gone] =
            [Config::default(), none].map(|config| finished(trainer(&engine, VitStyle::Dinov2, HEAD, config)));
        assert!(kept == gone, "{} and {} on {}", kept.0, gone.0, engine.name());
    }
}
