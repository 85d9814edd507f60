//! A Hugging Face folder in, a Hugging Face folder out: what is read of it, what is refused, and what a run leaves.

use crate::golden::own_folder;
use crate::run_data::{Bed, table};
use crate::train_command::Desk;
use gradus::nn::Network;
use gradus::run::{Material, ModelKind};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;

const FAMILIES: [&str; 4] = ["bert", "roberta", "distilbert", "gpt2"];

/// Copies a folder of the goldens.
fn bring(family: &str, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(own_folder("text_models").join(family)).expect("a folder") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
    }
}

fn bed(name: &str) -> Bed {
    let bed = Bed::new(name, &[("a.csv", &table(40))]);
    FAMILIES.iter().for_each(|family| bring(family, &bed.folder.join(family)));
    bed
}

fn from(family: &str) -> String {
    format!("model: {{from: {family}, context: 12}}\ndata: {{train: a.csv, text: text, label: label}}\nepochs: 3\n")
}

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn tensors(path: &Path) -> Tensors {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = SafeTensors::deserialize(&bytes).expect("a file");
    let floats = |view: &TensorView<'_>| view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    file.tensors().into_iter().map(|(name, view)| (name, (view.shape().to_vec(), floats(&view)))).collect()
}

/// What a material begins with.
fn begun(material: &Material) -> Tensors {
    let values = material.task.initial(1).into_iter();
    values
        .zip([material.task.params(), material.task.buffers()].concat())
        .map(|((name, values), param)| (name, (param.shape, values)))
        .collect()
}

#[test]
fn each_family_is_read_and_its_head_is_new_for_other_classes() {
    let bed = bed("families");
    for (family, prefix, new) in [
        ("bert", "bert.", vec!["classifier.bias", "classifier.weight"]),
        ("roberta", "roberta.", vec!["classifier.out_proj.bias", "classifier.out_proj.weight"]),
        ("distilbert", "distilbert.", vec!["classifier.bias", "classifier.weight"]),
        ("gpt2", "", vec!["score.weight"]),
    ] {
        let material = bed.material(&from(family)).unwrap_or_else(|error| panic!("{family}: {error}"));
        let (file, values) = (tensors(&bed.folder.join(family).join("model.safetensors")), begun(&material));
        let mut kept = 0;
        for (name, (shape, values)) in &values {
            if new.contains(&name.as_str()) {
                continue;
            }
            let there = file
                .get(&format!("{prefix}{name}"))
                .or_else(|| file.get(name))
                .unwrap_or_else(|| panic!("{family}: {name}"));
            match family == "gpt2" && shape.len() == 2 && name.contains(".h.") {
                true => {
                    let [rows, columns] = shape[..] else { panic!("{name}") };
                    assert_eq!(there.0, [columns, rows], "{family}: {name}");
                    let turned = |at: usize| there.1[at % columns * rows + at / columns];
                    assert!(values.iter().enumerate().all(|(at, value)| *value == turned(at)), "{family}: {name}");
                }
                false => assert!(there.0 == *shape && there.1 == *values, "{family}: {name}"),
            }
            kept += 1;
        }
        assert_eq!(kept + new.len(), values.len(), "{family}");
        let told = format!("not in model.from, or for other classes; these start with new values: {}", new.join(", "));
        let mut said = material.warnings.clone();
        said.iter_mut().for_each(|line| *line = bed.tame(line));
        let mut names: Vec<&str> = said[0].rsplit(": ").next().expect("names").split(", ").collect();
        names.sort_unstable();
        assert_eq!(names, new, "{family}: {said:?}");
        assert!(told.starts_with("not in model.from") && said[0].starts_with("not in model.from"));
        assert_eq!(material.inputs.classes, ["bad", "good"]);
        // Its own dropout, and its own tokens.
        let settings: HashMap<&str, String> = material.task.settings().into_iter().collect();
        assert_eq!((settings["dropout"].as_str(), settings["context"].as_str()), ("0.1", "12"), "{family}");
        assert!(material.tokenizer.as_ref().expect("a tokenizer").vocabulary().is_none());
    }
}

#[test]
fn poolings_heads_and_what_is_not_used_of_a_folder() {
    let bed = bed("poolings");
    let model = |more: &str| bed.material(&from("bert").replacen("context: 12", &format!("context: 12, {more}"), 1));
    let names = |material: &Material| material.task.params().into_iter().map(|param| param.name).collect::<Vec<_>>();
    let mean = model("pooling: mean").expect("a material");
    assert!(names(&mean).iter().all(|name| !name.starts_with("pooler.")));
    let told: Vec<String> = mean.warnings.iter().map(|line| bed.tame(line)).collect();
    assert!(told.contains(&"bert/model.safetensors: not used: bert.pooler.dense".to_owned()), "{told:?}");
    let deep = model("pooling: first, head: {hidden: [8, 4], dropout: 0.3}").expect("a material");
    let on_top: Vec<String> =
        names(&deep).into_iter().filter(|name| !name.contains("layer") && !name.contains("embeddings")).collect();
    assert_eq!(
        on_top,
        ["head.0.weight", "head.0.bias", "head.1.weight", "head.1.bias", "classifier.weight", "classifier.bias"]
    );
    let settings: HashMap<&str, String> = deep.task.settings().into_iter().collect();
    assert_eq!(settings["head_dropout"], "0.3");
    // sentence-transformers' word for it.
    std::fs::create_dir_all(bed.folder.join("bert/1_Pooling")).expect("a folder");
    let pooling = |json: &str| {
        bed.write("bert/1_Pooling/config.json", json.as_bytes());
        bed.material(&from("bert")).map(|material| {
            material.task.settings().into_iter().find(|(name, _)| *name == "pooling").expect("a pooling").1
        })
    };
    let mean = "{\"pooling_mode_cls_token\": false, \"pooling_mode_mean_tokens\": true}";
    assert_eq!(pooling(mean).as_deref(), Ok("Mean"));
    assert_eq!(pooling("{\"pooling_mode\": \"cls\"}").as_deref(), Ok("First"));
    let most = pooling("{\"pooling_mode_max_tokens\": true}").expect_err("it is not read");
    assert!(
        most.starts_with("bert/1_Pooling/config.json: it pools by pooling_mode_max_tokens; gradus reads one of"),
        "{most}"
    );
}

#[test]
fn what_a_folder_lacks_or_says_wrongly_is_told_in_a_sentence() {
    let bed = bed("bad-folders");
    let config = std::fs::read_to_string(bed.folder.join("bert/config.json")).expect("a file");
    let told = |config: &str| {
        bed.write("bert/config.json", config.as_bytes());
        bed.told(&from("bert"))
    };
    for (there, here, words) in [
        (
            "\"bert\"",
            "\"llama\"",
            "bert/config.json: model_type = \"llama\" is not one of the known families: bert, roberta, distilbert, gpt2, vit, deit, dinov2, resnet",
        ),
        (
            "\"bert\"",
            "\"robert\"",
            "bert/config.json: model_type = \"robert\" is not one of the known families: bert, roberta, distilbert, gpt2, vit, deit, dinov2, resnet (did you mean roberta?)",
        ),
        ("\"hidden_size\"", "\"hidden\"", "bert/config.json: there is no hidden_size: a whole number"),
        (
            "\"hidden_act\": \"gelu\"",
            "\"hidden_act\": \"swish\"",
            "bert/config.json: hidden_act = swish is not one of gelu, relu, gelu_new, gelu_pytorch_tanh, tanh",
        ),
        (
            "\"is_decoder\": false",
            "\"is_decoder\": true",
            "bert/config.json: is_decoder = true is not false, the only kind that gradus computes",
        ),
        (
            "\"hidden_dropout_prob\": 0.1",
            "\"hidden_dropout_prob\": 1.5",
            "bert/config.json: hidden_dropout_prob = 1.5 is not a share, from 0 to less than 1",
        ),
        (
            "\"num_attention_heads\": 4",
            "\"num_attention_heads\": 5",
            "bert/config.json: heads = 5 is not a number that divides hidden into multiples of 4",
        ),
        ("{", "", "bert/config.json: config.json = "),
    ] {
        assert!(config.contains(there), "{there}");
        let said = told(&config.replacen(there, here, 1));
        assert!(said.starts_with(words), "{said}");
    }
    let other = told(&config.replace("\"vocab_size\": 160", "\"vocab_size\": 161"));
    assert!(
        other.contains("word_embeddings.weight is of shape") && other.contains("the file's vocabulary is"),
        "{other}"
    );
    bed.write("bert/config.json", config.as_bytes());
    let long = bed.told(&from("bert").replace("context: 12", "context: 41"));
    assert_eq!(long, "run.yaml: model.context = 41 is not from 1 to 40, the positions of model.from");
    let kind = bed.told(&from("bert").replace("from: bert", "type: decoder, from: bert"));
    assert_eq!(
        kind,
        "run.yaml: model.type = decoder does not match model.from: its config.json says bert; leave it out"
    );
    let pooler = bed.told(&from("gpt2").replace("context: 12", "context: 12, pooling: pooler"));
    assert_eq!(pooler, "pooling = pooler is not mean, first or last: a decoder has no pooler");
    // Tokens of another model, or of none.
    std::fs::copy(bed.folder.join("gpt2/tokenizer.json"), bed.folder.join("bert/tokenizer.json")).expect("a copy");
    assert_eq!(
        bed.told(&from("bert")),
        "bert/tokenizer.json: it has 300 tokens, but the model's table has 160 rows: it belongs to another model"
    );
    std::fs::remove_file(bed.folder.join("bert/tokenizer.json")).expect("a file");
    bed.write("bert/vocab.txt", b"[PAD]");
    let none = bed.told(&from("bert"));
    assert!(none.starts_with("bert: it has no tokenizer.json") && none.contains("vocab.txt"), "{none}");
    // Without a word on what it is, a folder is not a model.
    std::fs::remove_file(bed.folder.join("bert/config.json")).expect("a file");
    assert_eq!(bed.told(&from("bert")), "bert: it has no config.json, so model.type must say what it is");
    assert_eq!(bed.told(&from("berd")), "berd: there is no such file or folder (did you mean \"bert\"?)");
}

#[test]
fn a_model_of_the_hub_is_found_in_the_cache_or_its_name_is_told() {
    let desk = Desk::new("hub", &[("a.csv", &table(40))]);
    let snapshot = desk.folder.join("cache/models--some--bert/snapshots/abc");
    bring("bert", &snapshot);
    let refs = desk.folder.join("cache/models--some--bert/refs");
    std::fs::create_dir_all(&refs).expect("a folder");
    std::fs::write(refs.join("main"), "abc\n").expect("a file");
    std::fs::write(desk.folder.join("run.yaml"), from("some/bert").replace("epochs: 3", "epochs: 1")).expect("a file");
    let plan = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        let text = from(name).replace("epochs: 3", "epochs: 1");
        std::fs::write(desk.folder.join("run.yaml"), text).expect("a file");
        command.current_dir(&desk.folder).args(["plan", "run.yaml"]).env("HF_HUB_CACHE", desk.folder.join("cache"));
        command.output().expect("the binary runs")
    };
    let found = plan("some/bert");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let missing = String::from_utf8_lossy(&plan("other/bert").stderr).into_owned();
    assert!(
        missing.contains("holds no model \"other/bert\" of the hub: hf download other/bert fetches it")
            || missing.contains("holds no model other/bert of the hub"),
        "{missing}"
    );
}

/// A run's root is a Hugging Face folder, and what is begun from it has every value of it.
#[test]
fn a_run_leaves_a_folder_that_a_run_and_other_programs_begin_from() {
    for (family, more, class) in [
        ("bert", "", "BertForSequenceClassification"),
        ("roberta", "", "RobertaForSequenceClassification"),
        ("distilbert", "", "DistilBertForSequenceClassification"),
        ("gpt2", "", "GPT2ForSequenceClassification"),
        ("bert", ", pooling: mean", "BertModel"),
        ("bert", ", pooling: mean, head: {hidden: [6]}", "BertModel"),
        ("gpt2", ", pooling: mean", "GPT2Model"),
        ("bert", ", pooling: mean, head: {hidden: [6, 5], norm: batch}", "BertModel"),
        ("roberta", ", head: {hidden: [6], norm: ghost, virtual_batch_size: 5}", "RobertaModel"),
        ("gpt2", ", head: {hidden: [6], norm: layer, dropout: 0.1}", "GPT2Model"),
    ] {
        let desk = Desk::new("leaves", &[("a.csv", &table(40))]);
        bring(family, &desk.folder.join(family));
        let text =
            from(family).replacen("context: 12", &format!("context: 12{more}"), 1).replace("epochs: 3", "epochs: 1");
        std::fs::write(desk.folder.join("run.yaml"), format!("{text}learning_rate: 0.001\n")).expect("a file");
        desk.done(&["run.yaml", "-q"]);
        let run = desk.folder.join("runs/run");
        let config: serde_json::Value = serde_json::from_slice(&desk.read("runs/run/config.json")).expect("JSON");
        assert_eq!(config["architectures"][0], class);
        assert_eq!(config["id2label"], serde_json::json!({"0": "bad", "1": "good"}));
        let there: serde_json::Value =
            serde_json::from_slice(&desk.read(&format!("{family}/config.json"))).expect("JSON");
        for mark in ["pad_token_id", "bos_token_id", "eos_token_id"] {
            assert_eq!(config[mark], there[mark], "{family}: {mark}");
        }
        assert!(desk.read("runs/run/tokenizer.json") == desk.read(&format!("{family}/tokenizer.json")));
        // Root files have the class's own names; checkpoints ours. Both are the same model.
        let checkpoint =
            desk.lines("runs/run/metrics.jsonl", "val_loss").last().expect("a line")["steps"].as_u64().expect("steps");
        let ours = run.join(format!("checkpoints/step-{checkpoint:09}/model.safetensors"));
        let bed = Bed::new(&format!("begin-{family}-{}", more.len()), &[("a.csv", &table(40))]);
        let again = |from: &Path| {
            let text = format!(
                "model: {{from: {}}}\ndata: {{train: a.csv, text: text, label: label}}\nepochs: 3\n",
                from.display()
            );
            let material = bed.material(&text).unwrap_or_else(|error| panic!("{family}{more}: {error}"));
            assert_eq!(material.warnings, Vec::<String>::new(), "{family}{more}");
            begun(&material)
        };
        assert!(again(&run) == tensors(&ours), "{family}{more}");
        assert!(again(&ours) == tensors(&ours), "{family}{more}: a checkpoint");
        let is_sentences = run.join("modules.json").exists();
        assert_eq!(is_sentences, class.ends_with("Model"), "{family}{more}");
        assert_eq!(run.join("head.safetensors").exists(), is_sentences, "{family}{more}");
    }
}

#[test]
fn a_run_goes_on_without_the_folder_that_it_began_from() {
    let desk = Desk::new("gone", &[("a.csv", &table(40))]);
    bring("bert", &desk.folder.join("bert"));
    std::fs::write(desk.folder.join("run.yaml"), format!("{}learning_rate: 0.001\n", from("bert"))).expect("a file");
    desk.done(&["run.yaml", "-q", "--set", "epochs=1"]);
    let whole = Desk::new("gone-whole", &[("a.csv", &table(40))]);
    bring("bert", &whole.folder.join("bert"));
    std::fs::write(whole.folder.join("run.yaml"), format!("{}learning_rate: 0.001\n", from("bert"))).expect("a file");
    whole.done(&["run.yaml", "-q", "--set", "epochs=2"]);
    std::fs::remove_dir_all(desk.folder.join("bert")).expect("a folder");
    desk.done(&["--resume", "runs/run", "-q", "--set", "epochs=2"]);
    assert!(desk.read("runs/run/model.safetensors") == whole.read("runs/run/model.safetensors"), "not the same bits");
}

#[test]
fn a_pretrained_decoder_learns_a_text_by_its_own_tokens() {
    let desk =
        Desk::new("decoder-of-a-folder", &[("a.txt", &"the act of moving something quickly; a plant.\n".repeat(80))]);
    bring("gpt2", &desk.folder.join("gpt2"));
    let text = "model: {from: gpt2, context: 16}\ndata: {train: a.txt}\nepochs: 1\nlearning_rate: 0.001\n";
    std::fs::write(desk.folder.join("run.yaml"), text).expect("a file");
    let bed = Bed::new("decoder-kind", &[("a.txt", "x")]);
    bring("gpt2", &bed.folder.join("gpt2"));
    assert_eq!(bed.run(text).expect("a run").model.kind, ModelKind::Decoder);
    desk.done(&["run.yaml", "-q"]);
    let config: serde_json::Value = serde_json::from_slice(&desk.read("runs/run/config.json")).expect("JSON");
    assert_eq!(config["architectures"][0], "GPT2LMHeadModel");
    let file = tensors(&desk.folder.join("runs/run/model.safetensors"));
    assert_eq!(file["transformer.h.0.attn.c_attn.weight"].0, [32, 96]);
}

/// A folder in 16 bits gives what its numbers round to.
#[test]
fn sixteen_bits_are_read() {
    let bed = bed("sixteen");
    let path = bed.folder.join("bert/model.safetensors");
    let whole = tensors(&path);
    for (dtype, bits) in
        [(Dtype::BF16, half_bits as fn(f32) -> u16), (Dtype::F16, |value| half::f16::from_f32(value).to_bits())]
    {
        let data: Vec<(String, Vec<usize>, Vec<u8>)> = whole
            .iter()
            .map(|(name, (shape, values))| {
                (name.clone(), shape.clone(), values.iter().flat_map(|value| bits(*value).to_le_bytes()).collect())
            })
            .collect();
        let views = data
            .iter()
            .map(|(name, shape, bytes)| (name.as_str(), TensorView::new(dtype, shape.clone(), bytes).expect("a view")));
        std::fs::write(&path, safetensors::serialize(views, None).expect("a file")).expect("a file");
        let values = begun(&bed.material(&from("bert")).expect("a material"));
        for (name, (_, values)) in values.iter().filter(|(name, _)| name.starts_with("encoder.")) {
            let near = whole[&format!("bert.{name}")]
                .1
                .iter()
                .zip(values)
                .all(|(was, is)| (was - is).abs() <= was.abs() / 200.0 + 1e-4);
            assert!(near, "{name}");
        }
    }
}

fn half_bits(value: f32) -> u16 {
    half::bf16::from_f32(value).to_bits()
}

/// One schedule for the names of the class, in a wrapper and without.
#[test]
fn schedules_may_call_parameters_as_lightning_and_transformers_do() {
    let bed = bed("aliases");
    let params = |patterns: [&str; 2]| {
        let text = format!(
            "{}phases:\n  0: {{params: ['{}']}}\n  1: {{params: ['{}']}}\n",
            from("bert"),
            patterns[0],
            patterns[1]
        );
        let run = bed.run(&text).expect("a run");
        let material = Material::read(&run).expect("a material");
        let (params, tied, in_class) = (material.task.params(), material.task.tied(), material.task.names_in_class());
        let model = gradus::schedule::ModelParams { params: &params, tied: &tied, in_class: &in_class };
        let plan = gradus::schedule::Plan::new(
            &run.schedule,
            model,
            gradus::schedule::Epochs { epochs: 3, steps_per_epoch: 5 },
        );
        let plan = plan.unwrap_or_else(|error| panic!("{patterns:?}: {error}"));
        plan.phases().iter().map(|phase| phase.params.clone()).collect::<Vec<_>>()
    };
    let plain = params(["classifier.*", "encoder.layer.1.*"]);
    assert_eq!((plain[0].len(), plain[1].len()), (2, 16));
    for prefix in ["bert.", "model.bert.", "module.bert.", "_orig_mod.bert.", "model."] {
        let head = prefix.trim_end_matches("bert.");
        assert_eq!(params([&format!("{head}classifier.*"), &format!("{prefix}encoder.layer.1.*")]), plain, "{prefix}");
    }
    // All but the trunk, by the trunk's name in the class.
    assert_eq!(params([r"model\.(?!bert)", r"model\.bert\.encoder\.layer\.1\..*"]), plain);
    let of = bed.material(&from("bert")).expect("a material").model;
    assert_eq!(of.name_in_class("pooler.dense.bias"), "bert.pooler.dense.bias");
}

/// The schedules for real models, on the parameters of those models.
#[test]
fn schedules_for_real_models_find_their_parameters() {
    use gradus::nn::models::{Head, Pooling, Pretrained, PretrainedKind};
    let bert = |layers: usize, heads: usize, hidden: usize, kind: &str, positions: usize, types: usize| {
        let inner = 4 * hidden;
        format!(
            "{{\"model_type\": \"{kind}\", \"num_hidden_layers\": {layers}, \"num_attention_heads\": {heads}, \"hidden_size\": {hidden}, \
             \"intermediate_size\": {inner}, \"vocab_size\": 30522, \"max_position_embeddings\": {positions}, \"type_vocab_size\": {types}}}"
        )
    };
    let distilbert = "{\"model_type\": \"distilbert\", \"n_layers\": 6, \"n_heads\": 12, \"dim\": 768, \"hidden_dim\": 3072, \
                      \"vocab_size\": 30522, \"max_position_embeddings\": 512}";
    for (file, config, pooling, phases) in [
        ("minilm_gradual", bert(6, 12, 384, "bert", 512, 2), Pooling::Mean, [2, 32, 64, 5]),
        ("bert_gradual", bert(12, 12, 768, "bert", 512, 2), Pooling::Pooler, [4, 64, 128, 5]),
        ("bert_gradual", bert(12, 12, 768, "roberta", 514, 1), Pooling::First, [4, 64, 128, 5]),
        ("distilbert_gradual", distilbert.to_owned(), Pooling::First, [4, 48, 48, 4]),
    ] {
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schedules/{file}.yaml")));
        let spec = gradus::schedule::Spec::parse(file, &text.expect("a schedule")).expect("a schedule");
        assert!(spec.warnings.is_empty(), "{:?}", spec.warnings);
        let pretrained = Pretrained::parse(&config).expect("a config");
        let PretrainedKind::Encoder(style) = pretrained.kind else { panic!("{config}") };
        let model = pretrained.encoder(style, 128, pooling, Head::new(3)).expect("a model");
        let params = model.params();
        let run = gradus::schedule::Epochs { epochs: 5, steps_per_epoch: 10 };
        let plan =
            gradus::schedule::Plan::new(&spec, &params[..], run).unwrap_or_else(|error| panic!("{file}: {error}"));
        let counts: Vec<usize> = plan.phases().iter().map(|phase| phase.params.len()).collect();
        assert_eq!((counts.iter().sum::<usize>(), &counts[..]), (params.len(), &phases[..]), "{file}: {config}");
    }
}
