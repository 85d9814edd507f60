//! What a run begins from: which files are, and what of them holds for other data.

use crate::run_data::{Bed, table};
use gradus::run::Material;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::BTreeMap;

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// The parameters that a material begins with, and their values.
fn begun_with(material: &Material) -> Tensors {
    let values = material.task.initial(1).into_iter();
    values.zip(material.task.params()).map(|((name, values), param)| (name, (param.shape, values))).collect()
}

fn bytes(tensors: &Tensors) -> Vec<u8> {
    let data: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| (name.clone(), shape.clone(), bytemuck::cast_slice(values).to_vec()))
        .collect();
    let views = data.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor"))
    });
    safetensors::serialize(views, None).expect("a file")
}

/// Leaves a run in a folder, whose parameters are all `value`.
fn leave(bed: &Bed, folder: &str, material: &Material, value: f32) -> Tensors {
    let tensors: Tensors = begun_with(material)
        .into_iter()
        .map(|(name, (shape, values))| (name, (shape, vec![value; values.len()])))
        .collect();
    std::fs::create_dir_all(bed.folder.join(folder)).expect("a folder");
    bed.write(&format!("{folder}/model.safetensors"), &bytes(&tensors));
    bed.write(&format!("{folder}/inputs.json"), material.inputs.to_json().as_bytes());
    tensors
}

/// Names of the parameters that do not begin as `value`.
fn new(material: &Material, value: f32) -> Vec<String> {
    begun_with(material)
        .into_iter()
        .filter(|(_, (_, values))| values.iter().any(|it| *it != value))
        .map(|(name, _)| name)
        .collect()
}

const ENCODER: &str = "model: {type: encoder, context: 8}\ndata: {train: a.csv, text: text, label: label}\nepochs: 3\n";

fn from(text: &str, from: &str) -> String {
    text.replacen('}', &format!(", from: {from}}}"), 1)
}

#[test]
fn what_a_file_is_that_cannot_be_begun_from_is_told_in_a_sentence() {
    let bed = Bed::new("from-kinds", &[("a.csv", &table(40))]);
    let tensors = leave(&bed, "run", &bed.material(ENCODER).expect("a material"), 0.5);
    let told = |name: &str| bed.told(&from(ENCODER, &format!("run/{name}")));
    let renamed = |rename: &dyn Fn(&str) -> String| -> Vec<u8> {
        bytes(&tensors.iter().map(|(name, tensor)| (rename(name), tensor.clone())).collect())
    };
    for prefix in ["bert.", "module.", "_orig_mod.", "base_model.model.", "anything."] {
        bed.write("run/p.safetensors", &renamed(&|name| format!("{prefix}{name}")));
        let material = bed.material(&from(ENCODER, "run/p.safetensors")).expect("prefixes tell nothing");
        assert_eq!(new(&material, 0.5), Vec::<String>::new(), "{prefix}");
    }
    bed.write("run/old.safetensors", &renamed(&|name| name.replace("LayerNorm.weight", "LayerNorm.gamma")));
    let material = bed.material(&from(ENCODER, "run/old.safetensors")).expect("old names are known");
    assert_eq!(new(&material, 0.5), Vec::<String>::new());
    let half: Tensors = tensors.clone().into_iter().take(10).collect();
    bed.write("run/model-00001-of-00002.safetensors", &bytes(&half));
    assert!(told("model-00001-of-00002.safetensors").contains("it is shard 1 of 2 of a model"));
    let rest: Tensors = tensors.clone().into_iter().skip(10).collect();
    bed.write("run/model-00002-of-00002.safetensors", &bytes(&rest));
    let map = |name: &String| if half.contains_key(name) { 1 } else { 2 };
    let map: Vec<String> =
        tensors.keys().map(|name| format!("{name:?}: \"model-0000{}-of-00002.safetensors\"", map(name))).collect();
    bed.write("run/model.safetensors.index.json", format!("{{\"weight_map\": {{{}}}}}", map.join(", ")).as_bytes());
    let material = bed.material(&from(ENCODER, "run/model.safetensors.index.json")).expect("shards are read");
    assert_eq!(new(&material, 0.5), Vec::<String>::new());
    std::fs::remove_file(bed.folder.join("run/model-00002-of-00002.safetensors")).expect("a file");
    assert!(
        told("model.safetensors.index.json").contains("there is no \"model-00002-of-00002.safetensors\" beside it")
    );
    bed.write("run/half.safetensors", &bytes(&half));
    let words = told("half.safetensors");
    assert!(words.contains("it is another model: its tensors are ") && words.len() < 500, "{words}");
    let most: Tensors = tensors
        .clone()
        .into_iter()
        .filter(|(name, _)| !name.contains("layer.1.") && !name.contains("LayerNorm.bias"))
        .collect();
    bed.write("run/most.safetensors", &bytes(&most));
    let words = told("most.safetensors");
    assert!(
        words.contains("it does not fit this model: ") && words.contains("encoder.layer.1 (16 parameters) is missing"),
        "{words}"
    );
    let whole = bytes(&tensors);
    bed.write("run/cut.safetensors", &whole[..whole.len() / 2]);
    let words = format!("it is cut short: it has {} bytes of {}", whole.len() / 2, whole.len());
    assert!(told("cut.safetensors").ends_with(&words), "{}", told("cut.safetensors"));
    for (name, bytes, words) in [
        ("lfs.safetensors", &b"version https://git-lfs.github.com/spec/v1\n"[..], "it is a Git LFS pointer"),
        ("pytorch_model.bin", b"PK\x03\x04", "it is a PyTorch file of pickles"),
        ("model.safetensors.index.json", b"{\"weight_map\": {}}", "it names no file"),
        ("m.gguf", b"GGUF", "it is a GGUF file"),
        ("empty.safetensors", b"", "the file is empty"),
        ("short.safetensors", b"\x01\x02", "not a safetensors file"),
    ] {
        bed.write(&format!("run/{name}"), bytes);
        assert!(told(name).starts_with(&format!("run/{name}: {words}")), "{}", told(name));
    }
    for number in [f32::NAN, f32::INFINITY] {
        let mut broken = tensors.clone();
        broken.get_mut("encoder.layer.1.output.dense.weight").expect("a tensor").1[7] = number;
        bed.write("run/nan.safetensors", &bytes(&broken));
        assert!(told("nan.safetensors").contains(&format!("encoder.layer.1.output.dense.weight holds {number}")));
    }
}

#[test]
fn a_folder_without_a_model_says_what_is_there() {
    let bed = Bed::new("from-killed", &[("a.csv", &table(40))]);
    leave(&bed, "run", &bed.material(ENCODER).expect("a material"), 0.5);
    let file = bed.folder.join("run/model.safetensors");
    let told = |path: &str| bed.told(&from(ENCODER, path));
    assert_eq!(told("ran"), "ran: there is no such file or folder (did you mean \"run\"?)");
    std::fs::create_dir_all(bed.folder.join("run/checkpoints/step-000000010")).expect("a folder");
    std::fs::rename(&file, bed.folder.join("run/checkpoints/step-000000010/model.safetensors")).expect("a file");
    let ended = "run: the run there has not ended, so there is no model.safetensors; begin from ";
    assert_eq!(told("run"), format!("{ended}run/checkpoints/step-000000010/model.safetensors"));
    bed.write("run/best.safetensors", b"");
    assert_eq!(
        told("run"),
        format!("{ended}run/best.safetensors, or from run/checkpoints/step-000000010/model.safetensors")
    );
    let last =
        "run/checkpoints: these are checkpoints; begin from one of them, the last is run/checkpoints/step-000000010";
    assert_eq!(told("run/checkpoints"), last);
    for path in ["run/checkpoints/step-000000010", "run/checkpoints/step-000000010/model.safetensors"] {
        let material = bed.material(&from(ENCODER, path)).expect("a checkpoint knows its run");
        assert_eq!(new(&material, 0.5), Vec::<String>::new());
        assert_eq!(material.warnings, Vec::<String>::new());
    }
    std::fs::create_dir_all(bed.folder.join("other")).expect("a folder");
    assert_eq!(told("other"), "other: there is no model.safetensors in it");
    bed.write("other/pytorch_model.bin", b"PK\x03\x04");
    assert!(told("other").contains("there is no model.safetensors in it; of pytorch_model.bin: it is a PyTorch file"));
}

#[test]
fn a_file_of_which_nobody_knows_the_data_keeps_neither_head_nor_vocabulary() {
    let bed = Bed::new("from-nobody", &[("a.csv", &table(40)), ("b.csv", &table(40).replace("good", "alpha"))]);
    bed.write("a.txt", "abc def\n".repeat(50).as_bytes());
    bed.write("b.txt", "uvwxyz \n".repeat(50).as_bytes());
    let decoder = "model: {type: decoder, context: 8, tied: false}\ndata: {train: a.txt}\nepochs: 3\n";
    let mlp =
        "model: {type: mlp, hidden: [4]}\ndata: {train: a.csv, label: label, features: [id, square]}\nepochs: 3\n";
    for (kind, text, own) in [
        ("encoder", ENCODER, vec!["classifier.bias", "classifier.weight", "embeddings.word_embeddings.weight"]),
        ("decoder", decoder, vec!["lm_head.weight", "transformer.wte.weight"]),
        ("mlp", mlp, vec!["layers.1.bias", "layers.1.weight"]),
    ] {
        let first = bed.material(text).expect("a material");
        leave(&bed, kind, &first, 0.5);
        let copied = format!("{kind}-copy");
        leave(&bed, &copied, &first, 0.5);
        std::fs::remove_file(bed.folder.join(&copied).join("inputs.json")).expect("a file");
        let same = bed.material(&from(text, kind)).expect("a material");
        assert_eq!((new(&same, 0.5), same.warnings), (Vec::new(), Vec::new()), "{kind}");
        for path in [copied.clone(), format!("{copied}/model.safetensors")] {
            let material = bed.material(&from(text, &path)).expect("a material");
            assert_eq!(new(&material, 0.5), own, "{path}");
            let warned = bed.tame(&material.warnings[0]);
            assert!(
                warned
                    .starts_with(&format!("{copied}/model.safetensors: there is no inputs.json of its run beside it"))
            );
            assert!(own.iter().all(|name| warned.contains(name)), "{warned}");
        }
        let other = text.replace("a.csv", "b.csv").replace("a.txt", "b.txt");
        assert_eq!(new(&bed.material(&from(&other, &copied)).expect("a material"), 0.5), own, "{kind}");
    }
    // A run's own vocabulary and classes are known; a head for other classes is new.
    let material = bed.material(&from(&ENCODER.replace("a.csv", "b.csv"), "encoder"));
    assert_eq!(new(&material.expect("a material"), 0.5), ["classifier.bias", "classifier.weight"]);
    // A tied decoder has no output layer of its own to give.
    let tied = bed.material(&decoder.replace("tied: false", "tied: true")).expect("a material");
    leave(&bed, "tied", &tied, 0.5);
    assert_eq!(new(&bed.material(&from(decoder, "tied")).expect("a material"), 0.5), ["lm_head.weight"]);
    // A vocabulary that gets a place for unknown characters keeps what it knew.
    let grown = from(&decoder.replace("a.txt", "b.txt, unknown: token"), "decoder");
    let values = begun_with(&bed.material(&grown).expect("a material"));
    let (shape, table) = &values["transformer.wte.weight"];
    let known = (shape[0] - 1) * shape[1];
    assert!(table[..known].iter().all(|it| *it == 0.5) && table[known..].iter().any(|it| *it != 0.5));
    let told = bed.told(&from(&decoder.replace("a.txt", "b.txt"), "decoder"));
    assert!(told.starts_with("b.txt: not in the vocabulary: 'u' (50 times, first on line 1)"), "{told}");
}

#[test]
fn what_is_said_of_columns_beside_what_is_begun_from_is_obeyed_and_told() {
    let text =
        "model: {type: mlp, hidden: [4]}\ndata: {train: a.csv, label: label, features: [id, square]}\nepochs: 3\n";
    let bed = Bed::new("from-columns", &[("a.csv", &table(40)), ("b.csv", &table(80))]);
    let first = bed.material(text).expect("a material");
    leave(&bed, "run", &first, 0.5);
    let then = text.replace("a.csv", "b.csv");
    let said = |more: &str| {
        let text = from(&then.replace("[id, square]", &format!("[id, square]{more}")), "run");
        bed.material(&text).expect("a material")
    };
    let mean = |material: &Material| material.inputs.columns[0].mean;
    for more in ["", ", standardize: true"] {
        assert_eq!((mean(&said(more)), said(more).warnings), (mean(&first), Vec::new()), "as the model learnt them");
    }
    let plain = said(", standardize: false");
    assert_eq!(mean(&plain), 0.0);
    let words = "data.standardize: false, but the run of model.from did standardize (run/inputs.json)";
    assert!(bed.tame(&plain.warnings[0]).starts_with(words), "{:?}", plain.warnings);
    // The run that continues has the numbers that it began with.
    bed.write("inputs.json", plain.inputs.to_json().as_bytes());
    let run = from(&then.replace("[id, square]", "[id, square], standardize: false"), "run");
    assert_eq!(bed.gone_on(&run).expect("a material").inputs, plain.inputs);
}
