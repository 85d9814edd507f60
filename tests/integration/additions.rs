//! What an addition touches: an operation, or a family of models, is files of its own and a line in each of a few lists.
//!
//! ARCHITECTURE.md tells the steps. These tests fail where another file must know of an addition. `needs.rs` holds the
//! same for a law.

use crate::needs::{code, imports};
use crate::tidy::files;
use gradus::engine::kernels::{FAMILIES, RULES};
use gradus::params::Rule;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Other files that name an operation or its kernel, and why.
const NAME_AN_OPERATION: [(&str, &[&str], &str); 11] = [
    ("nn/graph/fuse", &["Activate", "Add", "Dropout", "LayerNorm", "LayerScale", "Linear"], "folds one into another"),
    ("nn/graph/backward", &["Add"], "adds up two gradients of one value"),
    ("nn/graph/backward", &["Dropout", "Linear"], "finds the activation that made a value"),
    ("nn/graph/split", &["Conv", "Linear"], "a trunk without one saves nothing"),
    ("nn/ops/linear", &["ActivateBackward"], "undoes the activation that is folded in"),
    ("nn/graph/store", &["Cast"], "puts it where values of 16 bits meet others"),
    (
        "nn/ops/squares",
        &[
            "BATCH_NORM_BACKWARD_WEIGHT",
            "CONV_BACKWARD_WEIGHT",
            "EMBEDDING_BACKWARD",
            "LAYER_NORM_BACKWARD",
            "LINEAR_BACKWARD_WEIGHT",
        ],
        "these write the squares of gradients too",
    ),
    ("check/compared", &["TALLY"], "its sum is a fixed-point number of two words"),
    ("engine/mod", &["\"linear\""], "cooperative matrices are for this kernel alone"),
    (
        "measure/subject",
        &[
            "\"attention\"",
            "\"attention_backward_key_value\"",
            "\"attention_backward_query\"",
            "\"linear\"",
            "\"linear_backward_input\"",
            "\"linear_backward_weight\"",
        ],
        "these have tilings to choose from",
    ),
    ("measure/workload", &["\"attention\""], "a part of the names of parameters"),
];

/// Other files that name a family of models, and why.
const NAME_A_FAMILY: [(&str, &[&str], &str); 12] = [
    (
        "nn/models/folder",
        &["Bert", "EfficientNetLite", "Gpt2", "Mlp", "ResNet", "Vit"],
        "what each is called in other programs' folders",
    ),
    ("nn/models/pretrained", &["Bert", "Gpt2"], "makes the model of a `config.json`"),
    ("nn/models/pretrained_pictures", &["EfficientNetLite", "ResNet", "Vit"], "makes the model of a `config.json`"),
    ("nn/models/style", &["Bert"], "one of the encoders in its shape has its name"),
    ("nn/models/vit_config", &["Vit"], "reads and writes its `config.json`"),
    ("nn/models/vit_style", &["Vit"], "one of the vision transformers has its name"),
    ("train/classify", &["Mlp"], "a task holds its data against the model's sizes"),
    ("run/model", &["Bert", "Gpt2", "Mlp"], "makes the model of a run file's `type`"),
    ("run/picture_model", &["EfficientNetLite", "ResNet"], "the keys of a model of pictures"),
    ("cli/demo", &["Mlp"], "the model of a demo"),
    ("cli/demo_transformer", &["Gpt2"], "the model of a demo"),
    ("cli/plan", &["Gpt2"], "the demo's model, for `--model transformer`"),
];

/// Other files that name an update rule, and why.
const NAME_A_RULE: [(&str, &[&str], &str); 3] = [
    ("params/row", &["AdamW", "Adam", "Sgd"], "the rows that most programs begin with have functions of their own"),
    ("optim/sample", &["AdamW", "Adam", "Sgd"], "AdamW is tried in every way in which a step may lie in memory"),
    (
        "params/rule/refused",
        &["Adafactor", "Adagrad", "Adam", "AdamP", "AdamW", "Adan", "Lion", "NAdamW", "RmsProp", "Sgd"],
        "which comes nearest to a class that is not built",
    ),
];

/// Files that tell the models of run files apart, and why.
const NAME_A_KIND: [(&str, &str); 7] = [
    ("run/data_section", "which data it reads"),
    ("run/data_section/pictures", "which embedded sets it reads"),
    ("run/file", "whether its trunk is kept where nothing is said"),
    ("run/keys", "its rate where nothing is said"),
    ("run/mod", "the list of what the room gives on"),
    ("run/model", "its keys"),
    ("run/model_kind", "the list of kinds, and their words"),
];

/// What has words in common with operations: flags of kernels, and records of shaders.
const OTHER_WORDS: [&str; 2] = ["Flag", "layout"];

/// Rooms in which a kernel's name between quotes is that kernel.
const KERNELS_BY_NAME: [&str; 4] = ["engine/", "measure/", "optim/", "train/"];

/// Files of these rooms in which such a string is a part that shaders share, or a flag.
const OTHER_STRINGS: [&str; 2] = ["engine/kernels/flags", "engine/kernels/source"];

/// The code of each file of src, by its path without the ending.
type Sources = BTreeMap<String, String>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Sources {
    let source = root().join("src");
    let read = |path: &Path| {
        let below = path.strip_prefix(&source).expect("a file below src").with_extension("");
        let names: Vec<_> = below.components().map(|name| name.as_os_str().to_string_lossy()).collect();
        (names.join("/"), code(&std::fs::read_to_string(path).expect("a source file")))
    };
    files(&source).iter().map(|path| read(path)).collect()
}

/// The names between a list's head and the brace that ends it.
fn listed(code: &str, head: &str) -> Vec<String> {
    let (_, list) = code.split_once(&format!("\n{head} {{")).expect("a list");
    let (list, _) = list.split_once('}').expect("the end of the list");
    list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// A name as shaders, twins and kernels have it: `LayerNorm` is `layer_norm`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// Every path in a file's code, and every string with its quotes.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut paths = imports(code);
    let mut imports_go_on = false;
    for line in code.lines().map(str::trim) {
        let begins = line.starts_with("use ") || (line.starts_with("pub") && line.contains(" use "));
        imports_go_on |= begins;
        if imports_go_on {
            imports_go_on = !line.ends_with(';');
            continue;
        }
        for (place, part) in line.replace("\\\"", "").replace("'\"'", "").split('"').enumerate() {
            if place % 2 == 1 {
                paths.push(vec![format!("\"{part}\"")]);
                continue;
            }
            let words = part.split(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'));
            paths.extend(words.map(|word| word.split("::").map(|name| name.trim_matches(':').to_owned()).collect()));
        }
    }
    paths
}

/// All that a file names, each with what stands before it in its path.
fn names(code: &str) -> BTreeSet<(String, String)> {
    let pairs = |path: Vec<String>| {
        let before = [String::new()].into_iter().chain(path.clone());
        before.zip(path).collect::<Vec<_>>()
    };
    paths(code).into_iter().flat_map(pairs).collect()
}

/// Files that name what is not theirs, and exceptions that nothing needs. Each wanted name comes with the files that own it.
fn breaches(
    sources: &Sources,
    wanted: &[(String, BTreeSet<String>)],
    is_named: impl Fn(&str, &str, &(String, String)) -> bool,
    exceptions: &[(&str, &[&str], &str)],
) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut idle: BTreeSet<(&str, &str)> =
        exceptions.iter().flat_map(|(file, names, _)| names.iter().map(move |name| (*file, *name))).collect();
    for (file, text) in sources {
        let there = names(text);
        for (name, own) in wanted.iter().filter(|(name, _)| there.iter().any(|pair| is_named(file, name, pair))) {
            let excepted = exceptions.iter().any(|(may, names, _)| may == file && names.contains(&name.as_str()));
            idle.remove(&(file.as_str(), name.as_str()));
            if !own.contains(file) && !excepted {
                breaches.push(format!("{file} names {name}"));
            }
        }
    }
    breaches.extend(idle.into_iter().map(|(file, name)| format!("{file} does not name {name} any more")));
    breaches
}

/// The one file of a folder that has this text.
fn file_with(sources: &Sources, folder: &str, text: &str) -> String {
    let has = sources.iter().filter(|(file, code)| file.starts_with(folder) && code.contains(text));
    let found: Vec<&String> = has.map(|(file, _)| file).collect();
    assert_eq!(found.len(), 1, "files of {folder} with {text}: {found:?}");
    found[0].clone()
}

// ---- operations ----

/// Whoever names an operation, or its kernel, and is not to.
fn breaches_of_operations(sources: &Sources) -> Vec<String> {
    let mut wanted = Vec::new();
    for operation in listed(&sources["nn/ops/mod"], "operations!") {
        let kernel = snake(&operation);
        let family = kernel.to_uppercase();
        // The compiler sees to it that no other room names it.
        let own = file_with(sources, "nn/ops/", &format!("pub(in crate::nn) struct {operation} {{"));
        let kernels = file_with(sources, "engine/kernels/", &format!("pub static {family}: Family"));
        wanted.push((operation, BTreeSet::from([own.clone(), "nn/ops/mod".to_owned()])));
        wanted.push((family, BTreeSet::from([own, kernels.clone(), "engine/kernels/mod".to_owned()])));
        wanted.push((format!("\"{kernel}\""), BTreeSet::from([kernels])));
    }
    let is_named = |file: &str, wanted: &str, (before, name): &(String, String)| {
        let counts = match wanted {
            string if string.starts_with('"') => {
                KERNELS_BY_NAME.iter().any(|room| file.starts_with(room)) && !OTHER_STRINGS.contains(&file)
            }
            constant if constant == constant.to_uppercase() => true,
            _ => file.starts_with("nn/"),
        };
        counts && name == wanted && !OTHER_WORDS.contains(&before.as_str())
    };
    breaches(sources, &wanted, is_named, &NAME_AN_OPERATION)
}

#[test]
fn an_operation_is_its_own_file_and_lines_of_lists() {
    let mut sources = sources();
    let found = breaches_of_operations(&sources);
    assert!(found.is_empty(), "{}", found.join("\n"));

    let memory = sources.get_mut("nn/graph/memory").expect("a file");
    memory.push_str("use crate::nn::ops::{Tally, layout::Loss};\nlet kernel = kernels::TALLY;\n");
    let choices = sources.get_mut("engine/choices").expect("a file");
    choices.push_str("let is_tally = kernel.name == \"tally\";\n");
    let found = breaches_of_operations(&sources);
    assert_eq!(found, ["engine/choices names \"tally\"", "nn/graph/memory names Tally", "nn/graph/memory names TALLY"]);
}

#[test]
fn an_operation_has_a_shader_and_a_twin_of_its_name() {
    let sources = sources();
    let operations = listed(&sources["nn/ops/mod"], "operations!");
    assert!(operations.len() >= 19, "{operations:?}");
    for kernel in operations.iter().map(|operation| snake(operation)) {
        assert!(root().join(format!("shaders/nn/{kernel}.wgsl")).is_file(), "{kernel}: its shader");
        assert!(sources.contains_key(&format!("twin/nn/{kernel}")), "{kernel}: its twin");
        let families = FAMILIES.iter().filter(|family| family.name == kernel);
        assert_eq!(families.count(), 1, "{kernel}: its family of kernels");
    }
    assert_eq!(snake("LayerNormBackward"), "layer_norm_backward");
}

// ---- families of models ----

/// Whoever names a family and is not to.
fn breaches_of_families(sources: &Sources) -> Vec<String> {
    let own = |name: String| {
        let own = file_with(sources, "nn/models/", &format!("pub struct {name} {{"));
        (name, BTreeSet::from([own, "nn/models/mod".to_owned()]))
    };
    let wanted: Vec<_> = listed(&sources["nn/models/mod"], "families!").into_iter().map(own).collect();
    // Other rooms have but these two ways to a family.
    let is_named = |file: &str, wanted: &str, (before, name): &(String, String)| {
        let leads_there = file.starts_with("nn/") || before == "models" || before == "Model";
        leads_there && (name == wanted || name == "*" && before == "models")
    };
    breaches(sources, &wanted, is_named, &NAME_A_FAMILY)
}

#[test]
fn a_family_is_its_own_file_and_lines_of_lists() {
    let mut sources = sources();
    let found = breaches_of_families(&sources);
    assert!(found.is_empty(), "{}", found.join("\n"));

    sources.get_mut("train/task").expect("a file").push_str("use crate::nn::{Error, models::{Bert, Sizes}};\n");
    sources.get_mut("train/trunk").expect("a file").push_str("let model = Model::Gpt2(sizes);\n");
    let found = breaches_of_families(&sources);
    assert_eq!(found, ["train/task names Bert", "train/trunk names Gpt2"]);
}

#[test]
fn few_files_tell_the_models_of_run_files_apart() {
    let sources = sources();
    let tell = sources.iter().filter(|(_, code)| names(code).iter().any(|(_, name)| name == "ModelKind"));
    let tell: Vec<&str> = tell.map(|(file, _)| file.as_str()).collect();
    assert_eq!(tell, NAME_A_KIND.map(|(file, _)| file));
}

// ---- update rules ----

/// Whoever names a rule and is not to.
fn breaches_of_rules(sources: &Sources) -> Vec<String> {
    let own = |rule: Rule| {
        let own = ["params/rule/mod".to_owned(), "params/rule/kinds".to_owned(), format!("params/rule/{rule}")];
        (format!("{rule:?}"), BTreeSet::from(own))
    };
    let wanted: Vec<_> = Rule::ALL.into_iter().map(own).collect();
    let is_named = |_: &str, wanted: &str, (before, name): &(String, String)| before == "Rule" && name == wanted;
    breaches(sources, &wanted, is_named, &NAME_A_RULE)
}

#[test]
fn a_rule_is_its_own_files_and_lines_of_lists() {
    let mut sources = sources();
    let found = breaches_of_rules(&sources);
    assert!(found.is_empty(), "{}", found.join("\n"));
    sources.get_mut("optim/rows").expect("a file").push_str("let is_lion = row.rule == Rule::Lion;\n");
    assert_eq!(breaches_of_rules(&sources), ["optim/rows names Lion"]);
    for rule in Rule::ALL {
        assert!(sources.contains_key(&format!("params/rule/{rule}")), "{rule}: its declaration");
    }
    for family in RULES {
        let kernel = family.name;
        assert!(root().join(format!("shaders/optim/rule/{kernel}.wgsl")).is_file(), "{kernel}: its shader");
        assert!(sources.contains_key(&format!("twin/optim/rule/{kernel}")), "{kernel}: its twin");
    }
}

// ---- laws ----

#[test]
fn a_law_has_its_part_of_the_documentation() {
    let told = std::fs::read_to_string(root().join("docs/laws.md")).expect("a page");
    let sources = sources();
    let lines = sources["schedule/law/mod"].lines();
    for law in lines.filter_map(|line| line.trim().strip_prefix('&')?.strip_suffix("::WORDS,")) {
        assert!(told.contains(&format!("\n## {law}\n")), "docs/laws.md has no part on {law}");
        assert!(told.contains(&format!("\n| [`{law}`](#{law}) |")), "docs/laws.md has no row for {law}");
    }
}
