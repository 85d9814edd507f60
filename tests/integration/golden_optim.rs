//! The optimizer and gradient clipping against traces of PyTorch, on both engines.
//!
//! Tolerances: parameters after every step and the final state within 2e-5 relative or 1e-6 absolute of the f64 trace,
//! and the largest error of a case at most 4 times that of PyTorch's own f32 trace plus 1e-7. Elements where PyTorch's
//! f32 itself breaks the first rule (overflow of g², an inf) are compared with its f32 trace: the same class of inf or
//! NaN, else the first rule. Muon's parameters are within 1e-2 relative or 3e-3 absolute: its class multiplies matrices in bf16,
//! whatever its parameters are.

use crate::golden::{Case, cases, folder, is_own_folder, number};
use crate::golden_loss_scale::check_loss_scale;
use crate::support::engines;
use gradus::engine::{AdapterChoice, Engine};
use gradus::optim::{Clip, Error, External, GradientClip, NormOrder, Optimizer, Parameters, Selection, Settings};
use gradus::params::{Field, Group, Param, Row, Rule};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Cases of these prefixes belong to this test.
const PREFIXES: [&str; 3] = ["opt_", "clip_", "scaler_"];

/// Where parameters and gradients lie.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    Owned,
    InPlace,
}

#[test]
fn golden_optim_matches_torch() {
    let all = cases(&folder("optim"), &PREFIXES);
    let mut checked = 0;
    let mut not_built: BTreeMap<String, usize> = BTreeMap::new();
    for case in &all {
        match case.text("kind") {
            "optimizer" => {
                let class = case.text("callable").rsplit('.').next().unwrap_or_default().to_owned();
                if rule_of(&class).is_none() {
                    *not_built.entry(class).or_default() += 1;
                } else if case.text("dtype") == "f32" {
                    let exact = twin_of(&all, case);
                    for engine in engines() {
                        check_optimizer(case, exact, &engine, Layout::Owned);
                        check_optimizer(case, exact, &engine, Layout::InPlace);
                    }
                    checked += 2;
                }
            }
            "clip" => {
                if case.text("dtype") == "f32" {
                    let exact = twin_of(&all, case);
                    for engine in engines() {
                        check_clip(case, exact, &engine);
                    }
                    checked += 2;
                }
            }
            "errors" => {
                check_errors(case);
                checked += 1;
            }
            "grad_scaler" => {
                engines().iter().for_each(|engine| check_loss_scale(case, engine));
                checked += 1;
            }
            other => panic!("{}: kind {other:?} is not known", case.name),
        }
    }
    let named: Vec<String> = not_built.iter().map(|(name, count)| format!("{name} ({count})")).collect();
    println!("golden_optim: {checked} files checked; not built: {}", named.join(", "));
    assert!(checked >= 50 || !is_own_folder(), "only {checked} files were checked");
    assert_eq!(checked + not_built.values().sum::<usize>(), all.len(), "every file is checked or named");
}

fn twin_of<'a>(all: &'a [Case], case: &Case) -> &'a Case {
    let name = case.name.replace("_f32", "_f64");
    all.iter().find(|other| other.name == name).unwrap_or_else(|| panic!("{name} is missing beside {}", case.name))
}

// ---- the optimizer ----

struct Memory {
    engine: Engine,
    owned: Option<Parameters>,
    external: HashMap<String, External>,
}

impl Memory {
    fn read(&self, name: &str) -> Vec<f32> {
        match &self.owned {
            Some(parameters) => parameters.read(name).expect("a parameter"),
            None => self.engine.read(&self.external[name].values).expect("a parameter"),
        }
    }
}

/// Parameters at odd offsets, each beside its gradient, all in one buffer.
fn external(engine: &Engine, case: &Case) -> HashMap<String, External> {
    let tensors = case.tensors();
    let bytes: u64 = tensors.iter().map(|(_, shape)| shape.iter().product::<usize>() as u64 * 8 + 12).sum();
    let buffer = match engine.device() {
        Some(device) => {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
            let descriptor = wgpu::BufferDescriptor { label: None, size: bytes, usage, mapped_at_creation: false };
            engine.import("model", &device.create_buffer(&descriptor)).expect("an import")
        }
        None => engine.buffer("model", bytes).expect("a buffer"),
    };
    let mut at = 4;
    let mut external = HashMap::new();
    for (name, shape) in tensors {
        let bytes = shape.iter().product::<usize>() as u64 * 4;
        let values = buffer.range(at, bytes).expect("a range");
        let gradient = buffer.range(at + bytes + 4, bytes).expect("a range");
        at += 2 * bytes + 8;
        external.insert(name.clone(), External::new(Param::new(name, shape), values).gradient(gradient));
    }
    external
}

/// The rule of a class; `None` if it is not built.
pub fn rule_of(class: &str) -> Option<Rule> {
    let last = class.rsplit('.').next();
    Rule::ALL.into_iter().find(|rule| rule.classes().iter().any(|path| path.rsplit('.').next() == last))
}

fn row_of(json: &Value, class: &str) -> Row {
    let mut row = Row::of(rule_of(class).expect("a rule that is built"));
    for field in row.fields() {
        row = row.with(field, json[field.name()].as_f64().unwrap_or(row.get(field)));
    }
    for (field, beta) in
        [Field::Beta1, Field::Beta2, Field::Beta3].into_iter().zip(json["betas"].as_array().unwrap_or(&Vec::new()))
    {
        row = row.with(field, beta.as_f64().expect("a beta"));
    }
    // Adafactor's class has a pair: the first None is f32's.
    if let Some([eps, eps2]) = json["eps"].as_array().map(Vec::as_slice) {
        row = row.eps(eps.as_f64().unwrap_or(row.eps)).eps2(eps2.as_f64().expect("eps2"));
    }
    let on = |switch: &str| json[switch].as_bool().unwrap_or(false);
    // What LAMB's class clips by, unless told otherwise.
    let clip_norm = match json.get("max_grad_norm") {
        None if row.rule == Rule::Lamb => Some(1.0),
        norm => norm.and_then(Value::as_f64),
    };
    row.amsgrad(on("amsgrad"))
        .clip_norm(clip_norm)
        .maximize(on("maximize"))
        .dampening(json["dampening"].as_f64().unwrap_or(row.dampening))
        .ema_decay(json["ema_decay"].as_f64())
        .nesterov(json["nesterov"].as_bool().unwrap_or(row.nesterov))
        .centered(on("centered"))
        .decoupled_weight_decay(on("decoupled_weight_decay") || on("decoupled_decay"))
        .trust_clip(on("trust_clip"))
        .always_adapt(on("always_adapt"))
        .no_prox(on("no_prox"))
        .match_rms_adamw(json["adjust_lr_fn"] == "match_rms_adamw")
}

fn groups_of(case: &Case) -> Vec<Group> {
    let args = &case.json["args"];
    let list = case.json["groups"].as_array().expect("groups");
    list.iter()
        .enumerate()
        .map(|(place, group)| {
            let mut merged = args.as_object().cloned().unwrap_or_default();
            merged.extend(group.as_object().expect("a group").clone());
            let names = group["params"].as_array().expect("names").iter().map(|name| name.as_str().expect("a name"));
            Group::new(format!("group{place}"), row_of(&Value::Object(merged), case.text("callable")), names)
        })
        .collect()
}

fn clip_of(case: &Case) -> Clip {
    match (&case.json["clip_grad_norm"], &case.json["clip_grad_value"]) {
        (Value::Object(_), _) => clip_by_norm(&case.json["clip_grad_norm"]),
        (_, Value::Object(args)) => Clip::Value(args["clip_value"].as_f64().expect("clip_value")),
        _ => Clip::None,
    }
}

fn clip_by_norm(args: &Value) -> Clip {
    let order = NormOrder::of(number(&args["norm_type"]).unwrap_or(2.0));
    let error_if_nonfinite = args["error_if_nonfinite"].as_bool().unwrap_or(false);
    Clip::norm(args["max_norm"].as_f64().expect("max_norm")).order(order).error_if_nonfinite(error_if_nonfinite)
}

fn check_optimizer(case: &Case, exact: &Case, engine: &Engine, layout: Layout) {
    let what = format!("{} on {} ({layout:?})", case.name, engine.name());
    let groups = groups_of(case);
    let late = &case.json["group_added_before_step"];
    let joins = |place: usize| late[place.to_string()].as_u64();
    let first: Vec<Group> = groups
        .iter()
        .enumerate()
        .filter(|(place, _)| joins(*place).is_none())
        .map(|(_, group)| group.clone())
        .collect();
    let settings = Settings::default().clip(clip_of(case));
    let params: Vec<Param> = case.tensors().into_iter().map(|(name, shape)| Param::new(name, shape)).collect();

    let (memory, mut optimizer) = match layout {
        Layout::Owned => {
            let parameters = Parameters::new(engine, &params, None).expect("parameters");
            for param in &params {
                parameters.upload(&param.name, &case.f32s(&format!("init.{}", param.name))).expect("an upload");
            }
            let optimizer = Optimizer::new(engine, &parameters, &first, settings).expect("an optimizer");
            (Memory { engine: engine.clone(), owned: Some(parameters), external: HashMap::new() }, optimizer)
        }
        Layout::InPlace => {
            let external = external(engine, case);
            let list: Vec<External> = params.iter().map(|param| external[&param.name].clone()).collect();
            for one in &list {
                let values = case.f32s(&format!("init.{}", one.param.name));
                engine.write(&one.values.buffer, one.values.offset, &values).expect("a write");
            }
            let optimizer = Optimizer::over(engine, &list, &first, settings).expect("an optimizer");
            (Memory { engine: engine.clone(), owned: None, external }, optimizer)
        }
    };

    let steps = case.json["n_steps"].as_u64().expect("n_steps") as usize;
    let mut selections: HashMap<Vec<String>, Selection> = HashMap::new();
    let mut traced: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    for step in 0..steps {
        for (place, group) in groups.iter().enumerate() {
            if joins(place) == Some(step as u64) {
                optimizer.add_group(group).expect("a group");
                selections.clear();
            }
        }
        for change in case.json["set_before_step"][step.to_string()].as_array().unwrap_or(&Vec::new()) {
            apply_change(&mut optimizer, change);
        }
        let present: Vec<String> = params
            .iter()
            .filter(|param| case.json["grad_present"][step][&param.name].as_bool().expect("a flag"))
            .map(|param| param.name.clone())
            .collect();
        for name in &present {
            let grads = case.f32s(&format!("grad.{name}"));
            let elements = grads.len() / steps;
            optimizer.upload_gradient(name, &grads[step * elements..][..elements]).expect("a gradient");
        }
        if !selections.contains_key(&present) {
            let names: Vec<&str> = present.iter().map(String::as_str).collect();
            selections.insert(present.clone(), optimizer.select(&names).expect("a selection"));
        }
        optimizer.step_over(&selections[&present]).expect("a step");
        for param in &params {
            traced.entry(format!("param.{}", param.name)).or_default().extend(memory.read(&param.name));
        }
        let counts = case.json["step_count"][steps - 1].as_object().expect("counts");
        // torch's SGD and timm's Lion count nothing, and its Adan a group.
        if counts.values().any(Value::is_number) {
            check_counts(case, step, &optimizer, &what);
        }
        if let Some(norms) = case.json["total_norm"].as_array() {
            engine.wait().expect("a wait");
            let stats = optimizer.stats().expect("stats").expect("a report");
            let (got, expected) = (f64::from(stats.grad_norm.expect("a norm")), number(&norms[step]).expect("a norm"));
            assert!((got - expected).abs() <= 1e-5 * expected, "{what}: norm of step {step} is {got}, not {expected}");
        }
    }
    compare(case, exact, "param.", &traced, &what);
    let file = optimizer.read_state().expect("state");
    let file = SafeTensors::deserialize(&file).expect("a safetensors file");
    let mut state = BTreeMap::new();
    for name in case.arrays.keys().filter(|name| name.starts_with("state.")) {
        let view = file.tensor(&name["state.".len()..]).unwrap_or_else(|_| panic!("{what}: {name} is missing"));
        assert_eq!(view.shape(), case.array(name).shape, "{what}: shape of {name}");
        state.insert(name.clone(), bytemuck::pod_collect_to_vec(view.data()));
    }
    compare(case, exact, "state.", &state, &what);
    check_evaluated(case, exact, &mut optimizer, &|name| memory.read(name), &what);
}

/// What is evaluated in the parameters' place at the end, where a case tells it; a second swap changes no bit.
fn check_evaluated(case: &Case, exact: &Case, optimizer: &mut Optimizer, read: &dyn Fn(&str) -> Vec<f32>, what: &str) {
    let names: Vec<&str> = case.arrays.keys().filter_map(|name| name.strip_prefix("eval.")).collect();
    if names.is_empty() {
        return;
    }
    let all =
        |prefix: &str| names.iter().map(|name| (format!("{prefix}{name}"), read(name))).collect::<BTreeMap<_, _>>();
    let before = all("");
    optimizer.swap_averages().expect("a swap");
    compare(case, exact, "eval.", &all("eval."), what);
    optimizer.swap_averages().expect("a swap back");
    assert_eq!(all(""), before, "{what}: swapped twice");
}

fn apply_change(optimizer: &mut Optimizer, change: &Value) {
    let group = format!("group{}", change["group"]);
    let mut fields: Vec<(Field, f64)> = Vec::new();
    for (key, value) in change.as_object().expect("a change") {
        match key.as_str() {
            "group" => {}
            "lr" => fields.push((Field::Lr, value.as_f64().expect("lr"))),
            "weight_decay" => fields.push((Field::WeightDecay, value.as_f64().expect("weight_decay"))),
            "ema_decay" => fields.push((Field::EmaDecay, value.as_f64().expect("ema_decay"))),
            "eps" if value.is_array() => {
                fields.push((Field::Eps, value[0].as_f64().expect("eps")));
                fields.push((Field::Eps2, value[1].as_f64().expect("eps2")));
            }
            "eps" => fields.push((Field::Eps, value.as_f64().expect("eps"))),
            "d" => fields.push((Field::D, value.as_f64().expect("d"))),
            "beta2_decay" => fields.push((Field::Beta2Decay, value.as_f64().expect("beta2_decay"))),
            "momentum" => fields.push((Field::Momentum, value.as_f64().expect("momentum"))),
            "betas" => {
                fields.push((Field::Beta1, value[0].as_f64().expect("beta1")));
                fields.push((Field::Beta2, value[1].as_f64().expect("beta2")));
            }
            other => panic!("change of {other:?} is not known"),
        }
    }
    for (field, value) in fields {
        optimizer.set(&group, field, value).expect("a value");
    }
}

fn check_counts(case: &Case, step: usize, optimizer: &Optimizer, what: &str) {
    let counts = optimizer.read_applied_counts().expect("counts");
    for (name, count) in case.json["step_count"][step].as_object().expect("counts") {
        let expected = count.as_f64().unwrap_or(0.0) as u64;
        assert_eq!(counts[name], expected, "{what}: applied count of {name} after step {step}");
    }
}

/// The rules at the head of this file, over every array whose name starts with `prefix`.
fn compare(case: &Case, exact: &Case, prefix: &str, got: &BTreeMap<String, Vec<f32>>, what: &str) {
    let (mut largest, mut allowed) = (0.0f64, 0.0f64);
    let names: Vec<&String> = case.arrays.keys().filter(|name| name.starts_with(prefix)).collect();
    assert_eq!(names.len(), got.len(), "{what}: arrays of {prefix}");
    for name in names {
        let (single, double, ours) = (&case.array(name).values, &exact.array(name).values, &got[name]);
        assert_eq!(ours.len(), double.len(), "{what}: length of {name}");
        for place in 0..ours.len() {
            let (s, d, o) = (single[place], double[place], f64::from(ours[place]));
            if case.text("callable").ends_with(".Muon") {
                let close = (o - d).abs() <= (1e-2 * d.abs()).max(3e-3);
                assert!(close, "{what}: {name}[{place}] is {o:e}, not {d:e} (torch f32: {s:e})");
            } else if within(s, d) {
                assert!(within(o, d), "{what}: {name}[{place}] is {o:e}, not {d:e} (torch f32: {s:e})");
                largest = largest.max((o - d).abs());
                allowed = allowed.max((s - d).abs());
            } else {
                let same = o.is_nan() && s.is_nan() || o == s || within(o, s);
                assert!(same, "{what}: {name}[{place}] is {o:e}, torch's f32 is {s:e}");
            }
        }
    }
    let allowed = 4.0 * allowed + 1e-7;
    assert!(largest <= allowed, "{what}: largest error of {prefix} is {largest:e}, allowed {allowed:e}");
}

fn within(got: f64, expected: f64) -> bool {
    (got - expected).abs() <= (2e-5 * expected.abs()).max(1e-6)
}

// ---- clipping alone ----

fn check_clip(case: &Case, exact: &Case, engine: &Engine) {
    let args = &case.json["args"];
    let clip = match case.text("callable").rsplit('.').next() {
        Some("clip_grad_norm_") => clip_by_norm(args),
        Some("clip_grad_value_") => Clip::Value(args["clip_value"].as_f64().expect("clip_value")),
        other => panic!("{}: {other:?} is not known", case.name),
    };
    for offset in [0, 4] {
        let what = format!("{} on {} (from byte {offset})", case.name, engine.name());
        let tensors = case.tensors();
        let mut gradients = Vec::new();
        for (name, _) in &tensors {
            let values = case.f32s(&format!("before.{name}"));
            let padded = values.len().next_multiple_of(4) + 1;
            let buffer = engine.buffer(name, padded as u64 * 4).expect("a buffer");
            engine.write(&buffer, offset, &values).expect("a write");
            gradients.push((name.as_str(), buffer.range(offset, values.len() as u64 * 4).expect("a range")));
        }
        let mut clipping = GradientClip::new(engine, &gradients, clip).expect("clipping");
        clipping.run().expect("a run");
        engine.wait().expect("a wait");
        let stats = clipping.stats();
        if case.json["error"].is_null() {
            let norm = stats.expect("stats").expect("a report").grad_norm;
            if let Some(expected) = number(&case.json["total_norm"]) {
                let got = f64::from(norm.expect("a norm"));
                let same = got.is_nan() && expected.is_nan() || got == expected;
                assert!(same || (got - expected).abs() <= 2e-5 * expected, "{what}: norm {got}, not {expected}");
            }
        } else {
            assert!(matches!(stats, Err(Error::NonfiniteNorm { .. })), "{what}: {stats:?}");
            assert!(clipping.stats().is_ok(), "{what}: the error is told once");
        }
        let after: BTreeMap<String, Vec<f32>> = gradients
            .iter()
            .map(|(name, range)| (format!("after.{name}"), engine.read(range).expect("a gradient")))
            .collect();
        compare(case, exact, "after.", &after, &what);
    }
}

// ---- errors ----

/// Every refusal of PyTorch's constructor is one of ours; where we refuse more, it is said here.
fn check_errors(case: &Case) {
    let engine = Engine::new(&AdapterChoice::Cpu).expect("the CPU engine");
    let params = [Param::new("a", [2]), Param::new("b", [2])];
    let parameters = Parameters::new(&engine, &params, None).expect("parameters");
    let make = |groups: &[Group]| Optimizer::new(&engine, &parameters, groups, Settings::default());
    let with = |row: Row| make(&[Group::new("all", row, ["a", "b"])]).err();
    let row = Row::default();
    for one in case.json["cases"].as_array().expect("cases") {
        let what = one["what"].as_str().expect("what");
        let refused = match what {
            "lr negative" => with(row.lr(-1.0)).is_some(),
            "eps negative" => with(row.eps(-1e-8)).is_some(),
            "beta1 = 1.0" => with(row.beta1(1.0)).is_some(),
            "beta2 negative" => with(row.beta2(-0.1)).is_some(),
            "weight_decay negative" => with(row.weight_decay(-0.1)).is_some(),
            "lr nan (not checked?)" => with(row.lr(f64::NAN)).is_some(),
            "empty list" => Parameters::new(&engine, &[], None).is_err(),
            "empty group" => make(&[Group::new("all", row, ["a"]), Group::new("none", row, [""; 0])]).is_err(),
            "same parameter in two groups" => {
                make(&[Group::new("one", row, ["a"]), Group::new("two", row, ["b", "a"])]).is_err()
            }
            "add_param_group with a known parameter" => {
                let mut optimizer = make(&[Group::new("one", row, ["a"])]).expect("an optimizer");
                optimizer.add_group(&Group::new("two", row, ["a"])).is_err()
            }
            // Ours alone: a group's values are checked too, and a parameter stands once in a group.
            "group lr negative (not checked)" => {
                assert!(make(&[Group::new("one", row.lr(-1.0), ["a"])]).is_err());
                continue;
            }
            "same parameter twice in one group (warning only?)" | "duplicate names in named parameters" => {
                assert!(make(&[Group::new("one", row, ["a", "a"])]).is_err());
                continue;
            }
            "sgd nesterov without momentum" => with(Row::of(Rule::Sgd).nesterov(true)).is_some(),
            "sgd nesterov with dampening" => {
                let row = Row::of(Rule::Sgd).nesterov(true).momentum(0.9).dampening(0.1);
                with(row).is_some()
            }
            // Not these rules'.
            "not a leaf" | "names mixed" => continue,
            "muon 1-D" => with(Row::of(Rule::Muon)).is_some(),
            "adafactor beta2_decay positive" => with(Row::of(Rule::Adafactor).beta2_decay(0.5)).is_some(),
            // A group may have it, and a row is a group's.
            "adafactor d < 1" => {
                assert!(
                    with(Row::of(Rule::Adafactor).d(0.0)).is_some() && with(Row::of(Rule::Adafactor).d(0.5)).is_none()
                );
                continue;
            }
            other => panic!("{}: case {other:?} is not known", case.name),
        };
        assert_eq!(refused, !one["error"].is_null(), "{what}");
    }
}
