//! The transformers' reference numbers are whole: each parameter with its first value and its gradient, each case of an
//! operation with its arrays. And the schedule for a decoder thaws what it says.

use crate::golden::{Case, cases, own_folder};
use gradus::params::Param;
use gradus::schedule::{Epochs, Plan, Spec};

fn case(name: &str) -> Case {
    cases(&own_folder("transformer"), &[&format!("{name}.")]).pop().unwrap_or_else(|| panic!("{name} is missing"))
}

fn number(case: &Case, key: &str) -> usize {
    case.json["config"][key].as_u64().unwrap_or_else(|| panic!("{}: {key}", case.name)) as usize
}

#[test]
fn golden_transformers_hold_every_parameter_and_twenty_losses() {
    for (case, count) in [(case("decoder"), 28), (case("encoder"), 41)] {
        let tensors = case.tensors();
        assert_eq!(tensors.len(), count, "{}", case.name);
        for (name, shape) in &tensors {
            let (init, grad) = (case.array(&format!("init.{name}")), case.array(&format!("grad.{name}")));
            assert!(init.shape == *shape && grad.shape == *shape, "{}: {name}", case.name);
            let norm = grad.values.iter().map(|value| value * value).sum::<f64>().sqrt();
            let stated = case.json["grad_norm"][name].as_f64().expect("a norm");
            assert!((norm - stated).abs() <= 1e-6 * stated, "{}: {name}: {norm:e}, not {stated:e}", case.name);
        }
        let [batch, context, hidden] = ["batch", "context", "hidden"].map(|key| number(&case, key));
        for place in ["embedding", "block.0", "block.1"] {
            assert_eq!(case.array(&format!("activation.{place}")).shape, [batch, context, hidden], "{}", case.name);
        }
        for key in ["loss_f64", "loss_f32"] {
            assert_eq!(case.json[key].as_array().map(Vec::len), Some(20), "{}: {key}", case.name);
        }
    }
}

#[test]
fn golden_operations_hold_inputs_results_and_gradients() {
    let case = case("operations");
    let list = case.json["cases"].as_array().expect("cases");
    assert_eq!(list.len(), 17);
    for one in list {
        let [name, operation] = ["name", "operation"].map(|key| one[key].as_str().expect("a string"));
        let (inputs, fixed): (&[&str], &[&str]) = match operation {
            "layer_norm" => (&["x", "weight", "bias"], &["y", "dy"]),
            "gelu_erf" | "gelu_tanh" => (&["x"], &["y", "dy"]),
            "cross_entropy" => (&["logits"], &["targets"]),
            "embedding" => (&["weight"], &["indices", "y", "dy"]),
            "attention" => (&["q", "k", "v"], &["mask", "y", "dy"]),
            other => panic!("{name}: {other} is not known"),
        };
        let array = |what: &str| case.array(&format!("{name}.{what}"));
        for input in inputs {
            assert_eq!(array(input).shape, array(&format!("d{input}")).shape, "{name}.{input}");
        }
        assert!(fixed.iter().all(|what| !array(what).values.is_empty()), "{name}");
        assert_eq!(one["loss"].is_number(), operation == "cross_entropy", "{name}");
    }
}

/// A decoder of so many blocks, under the names of the reference.
fn decoder(blocks: usize) -> Vec<Param> {
    let mut params = Vec::new();
    for (name, shape) in case("decoder").tensors() {
        match name.strip_prefix("transformer.h.0.") {
            _ if name.starts_with("transformer.h.1.") => {}
            None => params.push(Param::new(name, shape)),
            Some(rest) => {
                params.extend(
                    (0..blocks).map(|block| Param::new(format!("transformer.h.{block}.{rest}"), shape.clone())),
                );
            }
        }
    }
    params
}

#[test]
fn schedule_transformer_gradual_thaws_from_the_top_down() {
    let text = include_str!("../../schedules/transformer_gradual.yaml");
    let spec = Spec::parse("transformer_gradual.yaml", text).expect("a schedule");
    assert!(spec.warnings.is_empty(), "{:?}", spec.warnings);
    for blocks in [3, 4, 12] {
        let params = decoder(blocks);
        let run = Epochs { epochs: 12, steps_per_epoch: 10 };
        let plan = Plan::new(&spec, &params[..], run).expect("a plan");
        let phases: Vec<Vec<&str>> = plan
            .phases()
            .iter()
            .map(|phase| phase.params.iter().map(|place| params[*place].name.as_str()).collect())
            .collect();
        // Twelve tensors a block.
        assert_eq!(phases.iter().map(Vec::len).collect::<Vec<usize>>(), [12 * (blocks - 2) + 2, 24, 2], "{phases:?}");
        assert_eq!(phases[2], ["transformer.wte.weight", "transformer.wpe.weight"]);
        assert!(phases[1].iter().all(|name| name.contains(".h.0.") || name.contains(".h.1.")), "{phases:?}");
        assert_eq!([0, 1, 2].map(|phase: usize| plan.phases()[phase].lr), [6e-4, 4e-4, 2e-4]);
        // Twelve steps to warm up, then down to 0; weights decay, biases and norms do not.
        let start = plan.start().expect("a start");
        let rows = plan.rows(&start, 120).expect("rows");
        let rates: Vec<f64> = rows.iter().step_by(2).map(|row| row.lr).collect();
        assert!(rates[0] == 0.0 && rates[12] == 6e-4 && rates[119] < 1e-6, "{rates:?}");
        assert_eq!([rows[0].weight_decay, rows[1].weight_decay], [0.01, 0.0]);
    }
}
