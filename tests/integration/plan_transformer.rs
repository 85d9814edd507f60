//! `gradus plan --model transformer`: what it foretells of each phase against what is compiled for it.

use crate::plan::{refused, shown};
use crate::transformer_bed::{Bed, Data, LOSS, sizes_of};
use gradus::engine::{Binding, Engine};
use gradus::nn::models::Gpt2;
use gradus::nn::{Error, Model, Network};
use gradus::optim::{Optimizer, Parameters, Settings};
use gradus::params::{Group, Row};
use gradus::schedule::{Epochs, Plan, Spec};
use std::collections::{BTreeMap, BTreeSet};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schedules/transformer_gradual.yaml");

/// The demo's decoder.
fn demo(preset: &str) -> Model {
    Gpt2::preset(preset, 96, 64).expect("a preset").tied(false).into()
}

/// Names of what is trainable in each phase.
fn phases(config: &Model) -> Vec<BTreeSet<String>> {
    let params = config.params();
    let spec = Spec::parse(FILE, &std::fs::read_to_string(FILE).expect("a file")).expect("a schedule");
    let plan = Plan::new(&spec, &params[..], Epochs { epochs: 30, steps_per_epoch: 63 }).expect("a plan");
    let mut trainable = BTreeSet::new();
    let phases = plan.phases().iter().map(|phase| {
        trainable.extend(phase.params.iter().map(|place| params[*place].name.clone()));
        trainable.clone()
    });
    phases.collect()
}

/// Bytes of the activations' buffers, and dispatches, of the pass compiled for this trainable set.
fn compiled(config: &Model, batch: usize, trainable: &BTreeSet<String>) -> (u64, usize) {
    let engine = Engine::cpu();
    let data = Data::new(config, batch, sizes_of(config).context);
    let pass = Bed::new(&engine, config).pass(&data, |name| trainable.contains(name));
    let space = pass.allocate(&engine).expect("memory");
    // As a run has them: in arenas, in the model's order.
    let parameters = Parameters::new(&engine, &config.params(), None).expect("parameters");
    let group = Group::new("all", Row::default(), trainable.iter().map(String::as_str));
    let optimizer = Optimizer::new(&engine, &parameters, &[group], Settings::default()).expect("an optimizer");
    let value = |name: &str| Ok::<_, Error>(parameters.place(name).expect("a place"));
    let gradient = |name: &str| Ok(trainable.contains(name).then(|| optimizer.gradient(name).expect("a place")));
    let dispatches = space.dispatches(&data.on(&engine), LOSS, value, gradient, false).expect("dispatches");
    let mut buffers: BTreeMap<String, u64> = BTreeMap::new();
    for binding in dispatches.iter().flat_map(|dispatch| &dispatch.bindings) {
        if let Binding::Memory(range) = binding
            && range.buffer.label().starts_with("activations.")
        {
            buffers.insert(range.buffer.label().to_owned(), range.buffer.bytes());
        }
    }
    (buffers.values().sum(), dispatches.len())
}

/// Bytes as the table shows them.
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[test]
fn plan_foretells_activations_and_dispatches_of_each_phase() {
    let config = demo("tiny");
    let told = shown(&[FILE, "--model", "transformer", "--batch-size", "5"]);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].ends_with("gradients  activations  model's dispatches"), "{told}");
    let mut before = (0, 0);
    for (number, trainable) in phases(&config).iter().enumerate() {
        let (bytes, dispatches) = compiled(&config, 5, trainable);
        // A phase that thaws more never takes less.
        assert!(bytes >= before.0 && dispatches > before.1, "{number}: {bytes} {dispatches} after {before:?}");
        before = (bytes, dispatches);
        let line = lines[1 + number];
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells[0], number.to_string());
        assert_eq!(cells[8..], [megabytes(bytes), dispatches.to_string()], "{line}");
    }
    assert_eq!(before.1, 68);
    assert!(lines[4].starts_with("all ") && lines[4].ends_with("68"), "{told}");
}

/// Every set of tensors of a kind, however odd, so that the count holds for norms, biases and tables alone.
#[test]
fn passes_of_all_kinds_tell_their_bytes_and_dispatches_beforehand() {
    let mut counts = BTreeSet::new();
    for config in crate::transformer_bed::kinds() {
        let names: Vec<String> = config.params().into_iter().map(|param| param.name).collect();
        let alone = names.iter().map(|name| BTreeSet::from([name.clone()]));
        let from = (0..=names.len()).map(|first| names[first..].iter().cloned().collect());
        for trainable in alone.chain(from) {
            let data = Data::new(&config, 2, sizes_of(&config).context);
            let pass = Bed::new(&Engine::cpu(), &config).pass(&data, |name| trainable.contains(name));
            let (bytes, dispatches) = compiled(&config, 2, &trainable);
            assert_eq!((pass.bytes(), pass.dispatch_count()), (bytes, dispatches), "{config:?} {trainable:?}");
            counts.insert(dispatches);
        }
    }
    assert!(counts.len() > 20, "{counts:?}");
}

#[test]
fn plan_tells_what_is_wrong_with_a_transformer() {
    let asked = |arguments: &[&str]| refused(&[&[FILE, "--model", "transformer"], arguments].concat());
    assert_eq!(asked(&["--preset", "huge"]), "gradus: preset \"huge\" is not known; there are tiny, small and base");
    assert_eq!(asked(&["--batch-size", "0"]), "gradus: batch = 0 is not 1 or more");
    assert!(asked(&["--batch-size", "9000000"]).contains("batch = 9000000 is not small enough"));
    let mlp = concat!(env!("CARGO_MANIFEST_DIR"), "/schedules/mlp_gradual.yaml");
    assert_eq!(refused(&[mlp, "--model", "mlp", "--preset", "tiny"]), "gradus: --preset is for --model transformer");
}
