//! `optimizer.layer_decay` against a trace of timm's `param_groups_layer_decay`: each parameter's rate within 1e-12 of it.

use crate::golden::{cases, folder};
use gradus::params::Param;
use gradus::schedule::{Epochs, Plan, Spec};
use std::collections::{BTreeMap, BTreeSet};

const RATE: f64 = 1e-3;

fn plan(params: &[Param], text: &str) -> Result<Plan, String> {
    let spec = Spec::parse("run.yaml", text).map_err(|error| error.to_string())?;
    Plan::new(&spec, params, Epochs { epochs: 4, steps_per_epoch: 2 }).map_err(|error| error.to_string())
}

/// The rate of each parameter after so many steps.
fn rates(plan: &Plan, step: u64) -> BTreeMap<String, f64> {
    let mut cursor = plan.start().expect("a start");
    (0..step).for_each(|_| plan.step(&mut cursor).expect("a step"));
    let groups = plan.groups(&cursor).expect("groups").into_iter();
    groups.flat_map(|group| group.params.into_iter().map(move |name| (name, group.row.lr))).collect()
}

#[test]
fn golden_layer_decay_matches_timm() {
    let all = cases(&folder("layer_decay"), &["layer_decay_"]);
    for case in &all {
        let decay = case.json["layer_decay"].as_f64().expect("a decay");
        let scales = case.json["scales"].as_array().expect("scales");
        let scales: Vec<(&str, f64)> =
            scales.iter().map(|pair| (pair[0].as_str().expect("a name"), pair[1].as_f64().expect("a scale"))).collect();
        let params: Vec<Param> = scales.iter().map(|(name, _)| Param::new(*name, [2])).collect();
        let text = |law: &str| {
            format!(
                "optimizer: {{type: adamw, lr: {RATE}, weight_decay: 0.05, no_decay: [bias, norm, bn, downsample.1], layer_decay: {decay}}}\n\
                 lr_scheduler: {law}"
            )
        };
        // A law by name, one by class, and none: each moves every layer's rate from its own base.
        let linear = "{class_path: transformers.get_linear_schedule_with_warmup, init_args: {num_warmup_steps: 0, \
                      num_training_steps: 8}}";
        for (law, step, share) in
            [("{type: constant}", 0, 1.0), ("{type: linear}", 4, 0.5), (linear, 4, 0.5), ("{type: constant}", 7, 1.0)]
        {
            let rates = rates(&plan(&params, &text(law)).expect("a plan"), step);
            for (name, scale) in &scales {
                let (got, expected) = (rates[*name], RATE * scale * share);
                assert!((got - expected).abs() <= 1e-12 * expected, "{}: {name} {got}, not {expected}", case.name);
            }
        }
        let groups = plan(&params, &text("{type: constant}")).expect("a plan");
        let groups = groups.groups(&groups.start().expect("a start")).expect("groups");
        let layers: BTreeSet<u64> = scales.iter().map(|(_, scale)| scale.to_bits()).collect();
        assert_eq!(groups.len(), 2 * layers.len(), "{}: layers with decay and without", case.name);
        let last = format!("layer {}, no decay", layers.len() - 1);
        assert_eq!((groups[0].name.as_str(), &groups[groups.len() - 1].name), ("layer 0", &last));
    }
    println!("golden_layer_decay: {} files checked", all.len());
    assert!(all.len() >= 3, "{} files", all.len());
}

#[test]
fn a_phases_rate_is_divided_among_its_layers() {
    let params = ["stem.weight", "layer.0.weight", "layer.1.weight", "head.weight"].map(|name| Param::new(name, [2]));
    let text = "optimizer: {type: adamw, lr: 1.0e-2, layer_decay: 0.5}\nlr_scheduler: {type: constant}\n\
                early_stopping: {monitor: val_loss}\n\
                phases: {0: {params: [head.*], max_transition_epoch: 1}, 1: {params: [layer.*, stem.*], lr: 4.0e-3}}\n";
    let plan = plan(&params, text).expect("a plan");
    let latest = plan.latest().expect("phases");
    let groups = plan.groups(&latest[1]).expect("groups").into_iter();
    let told: Vec<(String, f64)> = groups.map(|group| (group.name, group.row.lr)).collect();
    let expected = [
        ("phase 0, layer 3", 1e-2),
        ("phase 1, layer 0", 5e-4),
        ("phase 1, layer 1", 1e-3),
        ("phase 1, layer 2", 2e-3),
    ];
    assert_eq!(told, expected.map(|(name, lr)| (name.to_owned(), lr)));
    // What the plan writes down is the same plan.
    let again = self::plan(&params, &plan.to_yaml()).expect("the same plan");
    assert_eq!(again.to_yaml(), plan.to_yaml());
    assert!(plan.to_yaml().contains("layer_decay: 0.5"), "{}", plan.to_yaml());
}

#[test]
fn a_decay_outside_its_range_is_refused() {
    let params = [Param::new("a", [2])];
    for (value, told) in [
        ("0", "layer_decay = 0 is not above 0 and at most 1"),
        ("1.5", "layer_decay = 1.5 is not above 0 and at most 1"),
    ] {
        let text = format!("optimizer: {{type: adamw, layer_decay: {value}}}\nlr_scheduler: {{type: constant}}");
        let error = plan(&params, &text).map(|_| ()).expect_err("a refusal");
        assert!(error.contains(told), "{error}");
    }
}
