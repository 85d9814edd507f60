//! The best copy: what is put back, where it lies, what it costs.

use crate::support::{engines, fresh_gpu, noise};
use gradus::engine::{Counters, Engine};
use gradus::optim::{Best, Error, External, Forecast, Optimizer, Parameters, Refreeze, Settings};
use gradus::params::{Field, Group, Param, Row, Rule, Storage};
use std::collections::BTreeMap;

const EVERYTHING: u64 = u64::MAX;

fn model() -> Vec<Param> {
    vec![
        Param::new("late", [5000]),
        Param::new("weight", [100, 123]),
        Param::new("bias", [33]),
        Param::new("last", [7]),
    ]
}

/// Pages of two chunks: a thaw moves what lies on the last one.
fn settings() -> Settings {
    Settings::default().page_bytes(2 * 4096 * 4)
}

fn row() -> Row {
    Row::adamw(1e-2).weight_decay(0.1)
}

fn head() -> Group {
    Group::new("head", row(), ["weight", "bias"])
}

fn late() -> Group {
    Group::new("late", row().lr(3e-3), ["late"])
}

fn filled(engine: &Engine) -> Parameters {
    let parameters = Parameters::new(engine, &model(), None).expect("parameters");
    for (seed, param) in model().iter().enumerate() {
        parameters.upload(&param.name, &noise(seed as u32, param.elements())).expect("an upload");
    }
    parameters
}

fn optimizer(engine: &Engine, parameters: &Parameters, groups: &[Group]) -> Optimizer {
    Optimizer::new(engine, parameters, groups, settings()).expect("an optimizer")
}

fn train(optimizer: &mut Optimizer, seeds: std::ops::Range<u32>) {
    for seed in seeds {
        for (place, param) in model().iter().enumerate() {
            if optimizer.is_trainable(&param.name).expect("a parameter") {
                let gradient = noise(1000 + seed * 10 + place as u32, param.elements());
                optimizer.upload_gradient(&param.name, &gradient).expect("a gradient");
            }
        }
        optimizer.step().expect("a step");
    }
}

/// Everything that a restore puts back: parameters, and the state with its counts.
fn all(parameters: &Parameters, optimizer: &Optimizer) -> BTreeMap<String, Vec<u8>> {
    let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for file in [parameters.read_file().expect("a file"), optimizer.read_state().expect("state")] {
        for (name, view) in safetensors::SafeTensors::deserialize(&file).expect("a file").tensors() {
            found.insert(name, view.data().to_vec());
        }
    }
    found
}

fn counted<T>(engine: &Engine, what: impl FnOnce() -> T) -> Counters {
    let before = engine.counters();
    what();
    engine.counters() - before
}

#[test]
fn what_was_kept_comes_back_to_the_bit() {
    for engine in engines() {
        let bf16 = row().moments(Storage::Bf16);
        let averaged = bf16.amsgrad(true).ema_decay(0.9);
        let sgd = Row::of(Rule::Sgd).momentum(0.9);
        for rule in [row(), row().amsgrad(true), bf16, averaged, sgd] {
            for limit in [EVERYTHING, 0] {
                let parameters = filled(&engine);
                let groups = [head().row(rule)];
                let mut optimizer = optimizer(&engine, &parameters, &groups);
                let mut best = Best::new(limit);
                assert!(best.is_empty());
                train(&mut optimizer, 0..3);
                best.keep(&optimizer).expect("a copy");
                train(&mut optimizer, 3..5);
                best.keep(&optimizer).expect("a better copy");
                let kept = all(&parameters, &optimizer);
                train(&mut optimizer, 5..8);
                let straight = all(&parameters, &optimizer);
                for _ in 0..2 {
                    best.restore(&mut optimizer).expect("it goes back");
                    assert!(all(&parameters, &optimizer) == kept, "{rule:?} on {}, limit {limit}", engine.name());
                    train(&mut optimizer, 5..8);
                    assert!(all(&parameters, &optimizer) == straight, "and on from there as before");
                }
                assert_eq!(optimizer.next_step(), 14, "the schedule goes on");
            }
        }
    }
}

/// A thaw after the copy was kept moves state to other pages, and what thawed goes back to where it never trained.
#[test]
fn what_thawed_since_goes_back_to_what_it_was() {
    for engine in engines() {
        for limit in [EVERYTHING, 0] {
            let parameters = filled(&engine);
            let mut optimizer = optimizer(&engine, &parameters, &[head()]);
            let mut best = Best::new(limit);
            best.extend(&optimizer, &["late"]).expect("nothing to extend yet");
            train(&mut optimizer, 0..3);
            best.keep(&optimizer).expect("a copy");
            let kept = all(&parameters, &optimizer);
            train(&mut optimizer, 3..4);
            best.extend(&optimizer, &["late", "bias", "late"]).expect("an extension");
            optimizer.add_group(&late()).expect("a group");
            train(&mut optimizer, 4..7);
            best.restore(&mut optimizer).expect("it goes back");
            let restored = all(&parameters, &optimizer);
            for (name, bytes) in &kept {
                assert!(restored[name] == *bytes, "{name} on {}, limit {limit}", engine.name());
            }
            for part in ["exp_avg", "exp_avg_sq", "step"] {
                assert!(restored[&format!("late.{part}")].iter().all(|byte| *byte == 0), "{part} of what thawed");
            }
            // The next copy has all of it, and another thaw on top.
            train(&mut optimizer, 7..9);
            best.keep(&optimizer).expect("a copy");
            let kept = all(&parameters, &optimizer);
            best.restore_and_extend(&mut optimizer, &["last"]).expect("a transition");
            optimizer.add_group(&Group::new("last", row(), ["last"])).expect("a group");
            train(&mut optimizer, 9..11);
            best.restore(&mut optimizer).expect("it goes back");
            let restored = all(&parameters, &optimizer);
            assert!(kept.iter().all(|(name, bytes)| restored[name] == *bytes));
            assert!(restored["last.step"].iter().chain(&restored["last.exp_avg"]).all(|byte| *byte == 0));
        }
    }
}

#[test]
fn another_rule_takes_the_parameters_alone() {
    for engine in engines() {
        let parameters = filled(&engine);
        let mut adamw = optimizer(&engine, &parameters, &[head()]);
        let mut best = Best::new(EVERYTHING);
        train(&mut adamw, 0..3);
        best.keep(&adamw).expect("a copy");
        let kept = all(&parameters, &adamw);
        let mut sgd = optimizer(&engine, &parameters, &[head().row(Row::of(Rule::Sgd).momentum(0.9))]);
        train(&mut sgd, 3..5);
        best.restore(&mut sgd).expect("it goes back");
        let restored = all(&parameters, &sgd);
        assert!(kept["weight"] == restored["weight"] && kept["bias"] == restored["bias"]);
        assert!(!restored.contains_key("weight.momentum_buffer"), "no buffer, as before the first step");
        assert_eq!(sgd.read_applied_counts().expect("counts")["weight"], 0);
        // From here on the copy is one of sgd; what was about to thaw is still in it.
        best.extend(&sgd, &["late"]).expect("an extension");
        train(&mut sgd, 5..6);
        best.keep(&sgd).expect("a copy");
        let kept = all(&parameters, &sgd);
        sgd.add_group(&late().row(Row::of(Rule::Sgd))).expect("a group");
        train(&mut sgd, 6..8);
        best.restore(&mut sgd).expect("it goes back");
        let restored = all(&parameters, &sgd);
        assert!(kept.iter().all(|(name, bytes)| restored[name] == *bytes));
    }
}

#[test]
fn dropped_state_stays_dropped() {
    for engine in engines() {
        let parameters = filled(&engine);
        let mut optimizer = optimizer(&engine, &parameters, &[head(), late()]);
        let mut best = Best::new(EVERYTHING);
        train(&mut optimizer, 0..2);
        best.keep(&optimizer).expect("a copy");
        // Dropped after it was kept: values come back, and nothing is counted while there are no moments.
        optimizer.freeze("late", Refreeze::DropState).expect("a group");
        best.restore(&mut optimizer).expect("it goes back");
        assert_eq!(optimizer.read_applied_counts().expect("counts")["late"], 0);
        // Dropped before it was kept again: the moments of the first time are gone.
        best.keep(&optimizer).expect("a copy");
        optimizer.thaw("late").expect("a group");
        train(&mut optimizer, 2..4);
        best.restore(&mut optimizer).expect("it goes back");
        let restored = all(&parameters, &optimizer);
        assert!(restored["late.exp_avg"].iter().chain(&restored["late.step"]).all(|byte| *byte == 0));
    }
}

#[test]
fn a_callers_buffers_are_kept_too() {
    for engine in engines() {
        let at = |name: &str, offset: u64, elements: usize, seed: u32| {
            let buffer = engine.buffer_with(name, &noise(seed, elements + 20)).expect("a buffer");
            buffer.range(offset, elements as u64 * 4).expect("a range")
        };
        let externals: Vec<External> = model()
            .into_iter()
            .enumerate()
            .map(|(place, param)| {
                let (elements, seed) = (param.elements(), place as u32);
                let (values, gradient) = (at("values", 12, elements, seed), at("gradient", 20, elements, 50 + seed));
                External::new(param, values).gradient(gradient)
            })
            .collect();
        let mut optimizer = Optimizer::over(&engine, &externals, &[head()], settings()).expect("an optimizer");
        // The whole buffers: what lies around the parameters is nobody's to restore, nor to touch.
        let read = || externals.iter().map(|one| engine.read(&one.values.buffer.all()).expect("values")).collect();
        let mut best = Best::new(EVERYTHING);
        optimizer.step().expect("a step");
        best.keep(&optimizer).expect("a copy");
        let (kept, state): (Vec<Vec<u32>>, _) = (read(), optimizer.read_state().expect("state"));
        optimizer.step().expect("a step");
        assert!(kept != read());
        best.restore(&mut optimizer).expect("it goes back");
        assert!(kept == read() && state == optimizer.read_state().expect("state"), "on {}", engine.name());
    }
}

#[test]
fn it_costs_one_submission_and_no_wait_on_the_device() {
    let Some(engine) = fresh_gpu() else { return };
    let parameters = filled(&engine);
    let mut optimizer = optimizer(&engine, &parameters, &[head()]);
    train(&mut optimizer, 0..1);
    let mut best = Best::new(EVERYTHING);
    let mut one = Counters::default();
    one.submissions = 1;
    for _ in 0..2 {
        assert_eq!(counted(&engine, || best.keep(&optimizer).expect("a copy")), one);
        assert_eq!(counted(&engine, || best.restore(&mut optimizer).expect("it goes back")), one);
    }
    assert_eq!(counted(&engine, || best.extend(&optimizer, &["last"]).expect("an extension")), one);
    let transition = counted(&engine, || best.restore_and_extend(&mut optimizer, &["late"]).expect("a transition"));
    assert_eq!(transition, one);
    assert_eq!(counted(&engine, || best.extend(&optimizer, &["late"]).expect("held")), Counters::default());

    // In host memory: one wait to keep, none to restore.
    let mut best = Best::new(0);
    let bytes = (12_300 + 33) * 12 + 2 * 96;
    let mut download = one;
    (download.downloaded_bytes, download.blocking_waits) = (bytes, 1);
    assert_eq!(counted(&engine, || best.keep(&optimizer).expect("a copy")), download);
    let restored = counted(&engine, || best.restore(&mut optimizer).expect("it goes back"));
    assert_eq!((restored.submissions, restored.uploaded_bytes, restored.blocking_waits), (1, bytes, 0));
}

#[test]
fn its_bytes_are_known_beforehand() {
    for engine in engines() {
        let bf16 = row().moments(Storage::Bf16);
        let averaged = row().ema_decay(0.9);
        for rule in [row(), row().amsgrad(true), bf16, averaged, Row::of(Rule::Sgd)] {
            let forecast = Forecast::of(&[rule], &settings());
            let [late_param, weight, bias, last] = &model()[..] else { panic!("four parameters") };
            let parameters = filled(&engine);
            let mut optimizer = optimizer(&engine, &parameters, &[head().row(rule)]);
            let (first, both) = (forecast.best_bytes([weight, bias]), forecast.best_bytes([weight, bias, late_param]));
            // Room on the device for the first block and not for the second, whatever order they come in.
            let mut best = Best::new(both - 1);
            best.keep(&optimizer).expect("a copy");
            assert_eq!((best.bytes(), best.device_bytes()), (first, first));
            let extended = first + forecast.extension_bytes([late_param]);
            best.extend(&optimizer, &["late"]).expect("an extension");
            assert_eq!((best.bytes(), best.device_bytes()), (extended, first));
            optimizer.add_group(&late().row(rule)).expect("a group");
            train(&mut optimizer, 0..1);
            let kept = all(&parameters, &optimizer);
            best.keep(&optimizer).expect("a copy");
            assert_eq!((best.bytes(), best.device_bytes()), (both, first));
            train(&mut optimizer, 1..2);
            best.restore(&mut optimizer).expect("it goes back from both places");
            assert!(kept == all(&parameters, &optimizer));
            // What is small enough again lies on the device.
            best.extend(&optimizer, &["last"]).expect("an extension");
            assert_eq!(best.device_bytes(), first + forecast.extension_bytes([last]));
        }
    }
}

#[test]
fn what_cannot_be_restored_is_refused() {
    let engine = Engine::cpu();
    let parameters = filled(&engine);
    let mut optimizer = optimizer(&engine, &parameters, &[head()]);
    let mut best = Best::new(EVERYTHING);
    let told = |result: Result<(), Error>| result.expect_err("an error").to_string();
    assert_eq!(told(best.restore(&mut optimizer)), "there is no best copy: nothing has been kept yet");
    best.keep(&optimizer).expect("a copy");
    assert_eq!(told(best.extend(&optimizer, &["lats"])), "no parameter is named \"lats\"; did you mean \"late\"?");
    optimizer.add_group(&late()).expect("a group");
    train(&mut optimizer, 0..2);
    let before = all(&parameters, &optimizer);
    let missing =
        "parameter \"late\" thawed after the best copy was kept and is not in it: extend the copy before a thaw";
    assert_eq!(told(best.restore(&mut optimizer)), missing);
    assert_eq!(told(best.extend(&optimizer, &["late"])), missing);
    assert!(before == all(&parameters, &optimizer), "nothing changed");
    optimizer.set("head", Field::Lr, 0.5).expect("a value");
    best.keep(&optimizer).expect("a copy");
    best.restore(&mut optimizer).expect("it goes back");
    assert_eq!(optimizer.row("head").expect("a row").lr, 0.5, "rows are no part of it");

    let other = Parameters::new(&engine, &[Param::new("other", [3])], None).expect("parameters");
    let mut other =
        Optimizer::new(&engine, &other, &[Group::new("all", row(), ["other"])], settings()).expect("an optimizer");
    assert_eq!(told(best.restore(&mut other)), "the best copy is of a model with other parameters");
}
