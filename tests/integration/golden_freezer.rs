//! Layers frozen and thawed by ranges, against traces of pytorch-accelerated's `ModelFreezer`: every `freezer_*` file.
//!
//! Two of its flags are swapped inside the package, so that `freeze(set_modules_as_eval=True)` freezes nothing and
//! `unfreeze(set_modules_as_training=False)` thaws nothing. Here they freeze and thaw, as they are documented to; from
//! such a call on a trace is not a measure. Without these flags every module stays in training, as here.

use crate::golden::{Case, cases, folder, is_own_folder};
use gradus::params::{Changed, Layers, Param};
use serde_json::{Value as Json, json};

#[test]
fn golden_freezer() {
    let (mut calls, mut swapped) = (0, Vec::new());
    let all = cases(&folder("phases"), &["freezer_"]);
    for case in &all {
        assert_eq!(case.text("kind"), "model_freezer", "{}", case.name);
        let trace = case.json["trace"].as_array().expect("a trace");
        let mut freezer = Freezer::new(case);
        for (at, entry) in trace.iter().enumerate() {
            let what = format!("{}, call {at}: {}", case.name, entry["op"]);
            let before = freezer.layers.clone();
            let changed = freezer.call(&entry["op"]);
            if is_swapped(&entry["op"]) {
                check_documented(&freezer.layers, &before, &entry["op"], &what);
                swapped.push(what);
                break;
            }
            freezer.check(entry, &changed, &what);
            calls += 1;
        }
    }
    println!(
        "golden_freezer: {} files, {calls} calls compared; done right where the reference swaps its flags: {}",
        all.len(),
        swapped.join("; ")
    );
    assert!(!all.is_empty() || !is_own_folder(), "no freezer_* file was found");
}

struct Freezer {
    names: Vec<String>,
    layers: Layers,
}

impl Freezer {
    fn new(case: &Case) -> Freezer {
        // JSON maps are read in alphabetical order; the groups of a trace are in the model's.
        let order = ["embed", "body", "neck", "head"];
        let requires = case.json["trace"][0]["requires_grad"].as_object().expect("parameters");
        let place =
            |name: &str| order.iter().position(|group| name.split('.').next() == Some(*group)).expect("a group");
        let mut names: Vec<String> = requires.keys().cloned().collect();
        names.sort_by_key(|name| place(name));
        let params: Vec<Param> = names.iter().map(|name| Param::new(name.as_str(), [1])).collect();
        let args = &case.json["args"];
        let keeps = args["bn"] == true && args["freeze_batch_norms"] == false;
        let layers = Layers::new(&params, |name| keeps && name.starts_with("body.1."));
        Freezer { names, layers }
    }

    fn call(&mut self, op: &Json) -> Vec<Changed> {
        let index = |key: &str, usual: i64| op[key].as_i64().unwrap_or(usual);
        match op["do"].as_str() {
            None => Vec::new(),
            Some("freeze") => self.layers.freeze(index("from_index", 0), index("to_index", -2)),
            Some("unfreeze") => self.layers.thaw(index("from_index", -1), index("to_index", 0)),
            Some(other) => panic!("{other} is not a call that is known"),
        }
    }

    fn check(&self, entry: &Json, changed: &[Changed], what: &str) {
        let frozen = self.layers.frozen();
        for (place, name) in self.names.iter().enumerate() {
            assert_eq!(Some(!frozen.contains(&place)), entry["requires_grad"][name].as_bool(), "{what}: {name}");
        }
        let groups = entry["layer_groups"].as_array().expect("groups");
        let ours: Vec<Json> = self.layers.are_frozen().map(Json::from).collect();
        assert_eq!(ours, groups.iter().map(|group| group["is_frozen"].clone()).collect::<Vec<_>>(), "{what}");
        self.check_modules(entry, &frozen, what);
        for (place, group) in groups.iter().enumerate() {
            assert_eq!(group["index"], json!([place, place as i64 - groups.len() as i64]), "{what}");
        }
        if let Some(returned) = entry["returned"].as_object() {
            assert_eq!(returned.len(), changed.len(), "{what}: groups that thawed");
            for Changed { layer, params } in changed {
                let mut ours: Vec<&str> = params.iter().map(|param| self.names[*param].as_str()).collect();
                let theirs = returned[&layer.to_string()].as_array().expect("parameters");
                let mut theirs: Vec<&str> = theirs.iter().map(|name| name.as_str().expect("a name")).collect();
                ours.sort_unstable();
                theirs.sort_unstable();
                assert_eq!(ours, theirs, "{what}: layer {layer}");
            }
        }
    }
}

/// Modules without parameters.
const WITHOUT_PARAMETERS: [&str; 6] = ["ReLU", "GELU", "Tanh", "SiLU", "Dropout", "Identity"];

impl Freezer {
    /// The layers inside the groups: a module is frozen if a parameter of it is. Those without parameters never are.
    fn check_modules(&self, entry: &Json, frozen: &[usize], what: &str) {
        let mut modules: Vec<(&str, bool)> = Vec::new();
        for (place, name) in self.names.iter().enumerate() {
            let (module, _) = name.rsplit_once('.').expect("a module");
            let is_frozen = frozen.contains(&place);
            match modules.last_mut().filter(|(last, _)| *last == module) {
                Some((_, any)) => *any |= is_frozen,
                None => modules.push((module, is_frozen)),
            }
        }
        let groups: Vec<&str> = self.layers.names().collect();
        let ours: Vec<Json> = modules
            .iter()
            .map(|(module, is_frozen)| {
                let group = groups.iter().position(|group| module.split('.').next() == Some(*group)).expect("a group");
                json!([group, is_frozen])
            })
            .collect();
        let layers = entry["layers"].as_array().expect("layers");
        let has_parameters = |layer: &&Json| !WITHOUT_PARAMETERS.contains(&layer["type"].as_str().unwrap_or_default());
        let theirs: Vec<Json> =
            layers.iter().filter(has_parameters).map(|layer| json!([layer["index"][0], layer["is_frozen"]])).collect();
        assert_eq!(ours, theirs, "{what}: modules");
        assert!(layers.iter().all(|layer| has_parameters(&layer) || layer["is_frozen"] == false), "{what}");
        let training = entry["training"].as_object().expect("modes");
        assert!(training.values().all(|mode| *mode == true), "{what}: every module stays in training");
    }
}

fn is_swapped(op: &Json) -> bool {
    op["set_modules_as_eval"] == true || op["set_modules_as_training"] == false
}

/// The same call without the flag does the same.
fn check_documented(layers: &Layers, before: &Layers, op: &Json, what: &str) {
    let freezes = op["do"] == "freeze";
    let (frozen, was) = (layers.frozen(), before.frozen());
    assert_ne!(frozen, was, "{what}");
    assert_eq!(frozen.len() > was.len(), freezes, "{what}");
}
