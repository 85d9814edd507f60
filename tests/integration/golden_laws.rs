//! Schedulers by class name against traces of the reference packages: every `lr_*` file, stepped as its `drive` says.
//!
//! Tolerance: 1e-9 relative (absolute 1e-21). Where a trace records an error, ours is an error at the same step. Where
//! it records a rate that is negative or not finite, ours refuses the step. The slanted triangle is a formula of a paper
//! and no class: the law of its name is compared, which holds its lowest rate where the formula continues down.

use crate::golden::{Case, cases, folder, is_own_folder, number, own_folder};
use gradus::schedule::class::{
    Arguments, At, DecayInfo, Error, Fault, FieldLaw, FieldScheduler, Group, Memory, Scheduler, State, Update, Value,
    WsdLrScheduler, build, estimate_checkpoint_steps, names,
};
use gradus::schedule::law::{Law, SlantedTriangular, Slope};
use serde_json::Value as Json;
use std::collections::BTreeMap;

fn all_cases() -> Vec<Case> {
    cases(&folder("laws"), &["lr_"])
}

#[test]
fn golden_laws_by_class_name() {
    let all = all_cases();
    let (mut checked, mut refused) = (0, Vec::new());
    let mut not_built: BTreeMap<String, usize> = BTreeMap::new();
    for case in &all {
        match case.text("kind") {
            "lr" if is_slanted(case) => check_slanted(case),
            "lr" => match scheduler_of(case) {
                Err(Error::UnknownClass { class, .. } | Error::NotBuilt { class, .. }) => {
                    *not_built.entry(class).or_default() += 1;
                    continue;
                }
                scheduler => check(case, scheduler, &mut refused),
            },
            "errors" => check_errors(case),
            "table" => check_table(case),
            other => panic!("{}: kind {other:?} is not known", case.name),
        }
        checked += 1;
    }
    let named: Vec<String> = not_built.iter().map(|(name, count)| format!("{name} ({count})")).collect();
    println!("golden_laws: {checked} files checked; not built: {}", named.join(", "));
    println!("golden_laws: refused as no rate: {}", refused.join(", "));
    assert!(checked > 0 || !is_own_folder(), "no lr_* file was found");
    assert_eq!(checked + not_built.values().sum::<usize>(), all.len(), "every file is checked or named");
}

#[test]
fn golden_laws_saved_at_any_step_go_on_bit_for_bit() {
    for case in all_cases().iter().filter(|case| case.text("kind") == "lr") {
        let Ok(scheduler) = scheduler_of(case) else { continue };
        let Some(whole) = drive(case, &*scheduler, None) else { continue };
        for every in [1, 3, 7] {
            let restored = drive(case, &*scheduler, Some(every)).expect("it starts again");
            assert_eq!(whole.bits(), restored.bits(), "{}: saved at every step {every}", case.name);
            assert_eq!(whole.state, restored.state, "{}: saved at every step {every}", case.name);
        }
    }
}

// ---- a case ----

fn check(case: &Case, scheduler: Result<Box<dyn Scheduler>, Error>, refused: &mut Vec<String>) {
    let trace = scheduler.as_ref().ok().and_then(|scheduler| drive(case, &**scheduler, None));
    if !case.json["constructor_error"].is_null() || rows(&case.json["steps"]).is_empty() {
        assert!(trace.is_none(), "{}: the reference has no value, ours starts", case.name);
        return;
    }
    let scheduler = scheduler.unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let trace = trace.unwrap_or_else(|| panic!("{}: {}", case.name, start(case, &*scheduler).unwrap_err()));
    if let Some(initial) = case.json["initial_values"].as_array() {
        let same = trace.initial.iter().zip(initial).all(|(got, expected)| near(*got, num(expected)));
        assert!(same, "{}: after construction {:?}, not {initial:?}", case.name, trace.initial);
    }
    check_values(case, &trace, refused);
    check_state(case, &*scheduler, &trace);
    if case.text("callable").ends_with("WSDLrScheduler") {
        check_checkpoints(case, &trace);
    }
}

fn check_values(case: &Case, trace: &Trace, refused: &mut Vec<String>) {
    let steps = rows(&case.json["steps"]);
    for (place, (step, expected)) in steps.iter().zip(rows(&case.json["values"])).enumerate() {
        let what = format!("{} at step {step}", case.name);
        let expected: Vec<f64> = rows(expected).iter().map(num).collect();
        let row = trace.rows.iter().find(|row| row.step == num(step)).unwrap_or_else(|| panic!("{what}: not stepped"));
        let values = match &row.values {
            Ok(values) => values,
            Err(error) => {
                let no_rate = |value: &f64| !value.is_finite() || *value < 0.0 && field(case) == "lr";
                assert!(expected.iter().any(no_rate), "{what}: {error}, but the reference gives {expected:?}");
                refused.push(what);
                return;
            }
        };
        assert_eq!(values.len(), expected.len(), "{what}: groups");
        for (group, (got, expected)) in values.iter().zip(&expected).enumerate() {
            assert!(near(*got, *expected), "{what}, group {group}: {got:e}, not {expected:e}");
        }
        if let Some(momentum) = case.json["momentum"].get(place) {
            for (group, (got, expected)) in row.momentum.iter().zip(rows(momentum)).enumerate() {
                assert!(near(*got, num(expected)), "{what}, group {group}: momentum {got:e}, not {expected}");
            }
            assert_eq!(row.momentum.len(), expected.len(), "{what}: momentum");
        }
        if let (Some(state), Memory::Plateau { best, bad, cooldown }) = (case.json["state"].get(place), &row.memory) {
            let same = near(*best, num(&state["best"]))
                && Some(*bad) == state["bad"].as_u64()
                && Some(*cooldown) == state["cooldown"].as_i64();
            assert!(same, "{what}: state {:?}, not {state}", row.memory);
        }
        if let Some(previous) = case.json["previous_checkpoint_step"].get(place) {
            assert_eq!(row.memory, Memory::Checkpoint(previous.as_i64()), "{what}");
        }
    }
    if !case.json["state"].is_null() {
        let waits = |memory: &Memory| matches!(memory, Memory::Plateau { .. } | Memory::Greedy(_));
        assert!(trace.rows.iter().all(|row| waits(&row.memory)), "{}", case.name);
    }
    for failed in rows(&case.json["failed_steps"]) {
        let row = trace.rows.iter().find(|row| row.step == num(&failed["n"])).expect("a failed step");
        assert!(row.values.is_err(), "{}: step {} fails in the reference", case.name, failed["n"]);
    }
    if !case.json["error"].is_null() {
        let last = trace.rows.last().expect("a last step");
        assert!(last.values.is_err(), "{}: the reference fails at {}", case.name, case.json["error"]);
    }
}

fn is_slanted(case: &Case) -> bool {
    case.text("callable").starts_with("slanted_triangular/")
}

fn check_slanted(case: &Case) {
    let args = &case.json["args"];
    let slope = if case.text("callable").ends_with("paper") { Slope::Paper } else { Slope::Exact };
    let (steps, ratio) = (args["T"].as_u64().expect("steps"), num(&args["ratio"]));
    let law = SlantedTriangular::new(steps, num(&args["cut_frac"]), ratio, slope);
    assert_eq!(law.is_ok(), !rows(&case.json["steps"]).is_empty(), "{}: {law:?}", case.name);
    for (step, expected) in rows(&case.json["steps"]).iter().zip(rows(&case.json["values"])) {
        let law = law.as_ref().expect("a law");
        for (base, expected) in rows(&case.json["group_lrs"]).iter().zip(rows(expected)) {
            let got = law.value(num(base), step.as_u64().expect("a step"));
            let expected = num(expected).max(num(base) / ratio);
            assert!(near(got, expected), "{} at step {step}: {got:e}, not {expected:e}", case.name);
        }
    }
}

fn check_state(case: &Case, scheduler: &dyn Scheduler, trace: &Trace) {
    if let Some(length) = case.json["cycle_length"].as_f64() {
        assert_eq!(scheduler.cycle_length(), Some(length), "{}: cycle length", case.name);
    }
    if let Some(updates) = case.json["state_dict"]["num_updates"].as_f64() {
        assert_eq!(trace.state.count, updates, "{}: num_updates", case.name);
    }
}

/// Checkpoints, periods and continuation of pytorch-accelerated's warmup-stable-decay.
fn check_checkpoints(case: &Case, trace: &Trace) {
    let wsd = WsdLrScheduler::new(&arguments(&case.json["args"])).expect("it was built before");
    check_periods(&case.name, &wsd, &case.json);
    if let Some(resolved) = case.json.get("resolved") {
        assert_eq!(Some(wsd.total_steps()), resolved["total_steps"].as_i64(), "{}", case.name);
        assert_eq!(Some(wsd.num_warmup_steps()), resolved["num_warmup_steps"].as_i64(), "{}", case.name);
    }
    for (step, info) in case.json["phase_info"].as_object().into_iter().flatten() {
        let step = step.parse().expect("a step");
        assert_eq!(wsd.phase_info(step), Some(info_of(info)), "{}: phase of step {step}", case.name);
    }
    if let Some(continuation) = case.json.get("continuation") {
        check_continuation(case, &wsd, &trace.state, continuation);
    }
}

fn check_periods(name: &str, wsd: &WsdLrScheduler, json: &Json) {
    let steps: Vec<i64> = rows(&json["checkpoint_steps"]).iter().filter_map(Json::as_i64).collect();
    assert_eq!(wsd.checkpoint_steps(), steps, "{name}: checkpoints");
    let infos: Vec<DecayInfo> = rows(&json["decay_info"]).iter().map(info_of).collect();
    assert_eq!(wsd.decay_info(), infos, "{name}: periods");
}

fn info_of(json: &Json) -> DecayInfo {
    let step = |key: &str| json[key].as_i64().unwrap_or_else(|| panic!("{key} of {json}"));
    DecayInfo {
        period_start: step("period_start"),
        period_end: step("period_end"),
        decay_steps: step("decay_steps"),
        pre_decay_step: step("pre_decay_step"),
    }
}

/// A new scheduler that loads the first one's state after its whole run.
fn check_continuation(case: &Case, saved: &WsdLrScheduler, state: &State, json: &Json) {
    let name = format!("{} continued", case.name);
    let second = Case { name: name.clone(), json: json.clone(), arrays: BTreeMap::new() };
    let new = WsdLrScheduler::new(&arguments(&json["args"])).expect("it is built");
    let mut groups = groups_of(&second);
    new.start(&mut groups).expect("it starts");
    let (loaded, mut state) = new.load_state_dict(saved, state);
    check_periods(&name, &loaded, json);
    assert_eq!(Some(loaded.is_continuation()), json["is_continuation_flag_after_load"].as_bool(), "{name}");
    assert_eq!(Some(loaded.total_steps()), json["total_steps_after_load"].as_i64(), "{name}");
    assert_eq!(Some(loaded.num_warmup_steps()), json["num_warmup_steps_after_load"].as_i64(), "{name}");
    assert_eq!(Some(state.count), json["num_updates_after_load"].as_f64(), "{name}");
    let mut trace = Trace { initial: lrs(&groups, "lr"), rows: Vec::new(), state: state.clone() };
    for step in all_steps(&second) {
        let result = loaded.step(&mut state, &mut groups, None);
        trace.push(step, &result, &state, &groups, "lr");
    }
    check_values(&second, &trace, &mut Vec::new());
}

fn check_table(case: &Case) {
    for row in rows(&case.json["values"]) {
        let expected: Vec<i64> = rows(&row[2]).iter().filter_map(Json::as_i64).collect();
        let [total, count] = [&row[0], &row[1]].map(|value| value.as_i64().expect("a number of steps"));
        assert_eq!(estimate_checkpoint_steps(total, count), expected, "{}: {row}", case.name);
    }
}

// ---- driving a scheduler ----

/// What a run gave at each step.
struct Trace {
    initial: Vec<f64>,
    rows: Vec<Row>,
    state: State,
}

struct Row {
    step: f64,
    values: Result<Vec<f64>, Error>,
    momentum: Vec<f64>,
    memory: Memory,
}

impl Trace {
    fn push(&mut self, step: f64, result: &Result<(), Error>, state: &State, groups: &[Group], field: &str) {
        let momentum = groups.iter().filter_map(|group| group.get("beta1").or(group.get("momentum"))).collect();
        let values = result.clone().map(|()| lrs(groups, field));
        self.rows.push(Row { step, values, momentum, memory: state.memory.clone() });
        self.state = state.clone();
    }

    fn bits(&self) -> Vec<Option<Vec<u64>>> {
        let bits = |values: &Vec<f64>, momentum: &[f64]| values.iter().chain(momentum).map(|v| v.to_bits()).collect();
        self.rows.iter().map(|row| row.values.as_ref().ok().map(|values| bits(values, &row.momentum))).collect()
    }
}

/// How a file says that its scheduler was stepped.
#[derive(Clone, Copy, PartialEq)]
enum Drive {
    /// The first value is the constructor's, then one call a value.
    Counted,
    /// Every value is a call's.
    FromCall,
    /// Every value is a call's that says the epoch.
    Epochs,
    /// Every value is a call's that says the update.
    Updates,
}

fn drive_of(case: &Case) -> Drive {
    let text = case.text("drive");
    let says = |part: &str| text.contains(part);
    if says("values[0] right after construction")
        || says("values[0] after construction")
        || says("values[0] after that")
    {
        Drive::Counted
    } else if says("(n+1)-th step()") || says("asked in order") {
        Drive::FromCall
    } else if says("step_update(") {
        Drive::Updates
    } else if says("scheduler.step(t") || says("at t = steps[i]") {
        Drive::Epochs
    } else {
        panic!("{}: drive {text:?} is not known", case.name)
    }
}

fn start(case: &Case, scheduler: &dyn Scheduler) -> Result<(State, Vec<Group>), Error> {
    let mut groups = groups_of(case);
    let state = scheduler.start(&mut groups)?;
    Ok((state, groups))
}

/// The steps of a case, with those that fail in the reference, in order.
fn all_steps(case: &Case) -> Vec<f64> {
    let failed = rows(&case.json["failed_steps"]).iter().map(|failed| num(&failed["n"]));
    let mut steps: Vec<f64> = rows(&case.json["steps"]).iter().map(num).chain(failed).collect();
    steps.sort_by(f64::total_cmp);
    steps
}

/// Steps a case; `None` where the scheduler does not start. Saves and restores every so many steps.
fn drive(case: &Case, scheduler: &dyn Scheduler, restore_every: Option<usize>) -> Option<Trace> {
    let (mut state, mut groups) = start(case, scheduler).ok()?;
    let field = field(case);
    let how = drive_of(case);
    let mut trace = Trace { initial: lrs(&groups, field), rows: Vec::new(), state: state.clone() };
    let mut done = match how {
        Drive::Counted => case.json["args"]["last_epoch"].as_f64().unwrap_or(-1.0) + 1.0,
        _ => -1.0,
    };
    let mut steps = all_steps(case);
    if let Some(failing) = case.json["error"]["at_step_call"].as_f64() {
        steps.push(failing);
    }
    let metrics = rows(&case.json["metrics"]);
    for (place, step) in steps.into_iter().enumerate() {
        if restore_every.is_some_and(|every| place % every == 0) {
            let saved = serde_json::to_string(&(&state, &groups)).expect("it can be saved");
            (state, groups) = serde_json::from_str(&saved).expect("it can be restored");
        }
        let mut result = Ok(());
        match how {
            Drive::Epochs | Drive::Updates => {
                let at = if how == Drive::Epochs { At::Epoch(step) } else { At::Update(step) };
                result = scheduler.step_to(&mut state, &mut groups, at, metrics.get(step as usize).map(num));
            }
            Drive::Counted | Drive::FromCall => {
                while done < step {
                    let metric = metrics.get(done.max(0.0) as usize).map(num);
                    result = scheduler.step(&mut state, &mut groups, metric);
                    done += 1.0;
                }
            }
        }
        trace.push(step, &result, &state, &groups, field);
    }
    Some(trace)
}

fn field(case: &Case) -> &str {
    case.json["field"].as_str().unwrap_or("lr")
}

fn groups_of(case: &Case) -> Vec<Group> {
    let field = field(case);
    let values = case.json["group_lrs"].as_array().or(case.json["group_values"].as_array());
    let values = values.unwrap_or_else(|| panic!("{}: no group_lrs", case.name));
    let optimizer = &case.json["optimizer"];
    let adam = optimizer["class"].as_str().is_some_and(|class| class.contains("Adam"));
    let mut groups = Vec::new();
    for (place, value) in values.iter().enumerate() {
        let mut group = Group::new(0.1).with(field, num(value));
        group = match adam {
            true => group.with("beta1", optimizer["betas"][0].as_f64().unwrap_or(0.9)),
            false => group.with("momentum", optimizer["momentum"].as_f64().unwrap_or(0.0)),
        };
        for (key, name) in [("lr_scale", "lr_scale"), ("initial_lrs", "initial_lr"), ("initial_lr", "initial_lr")] {
            let given = &case.json[key];
            if let Some(value) = given.get(place).or(Some(given)).and_then(number) {
                group.set(name, value);
            }
        }
        if let Some(default) = optimizer["default_lr"].as_f64() {
            group.set("default_lr", default);
        }
        groups.push(group);
    }
    groups
}

fn scheduler_of(case: &Case) -> Result<Box<dyn Scheduler>, Error> {
    let args = &case.json["args"];
    match case.json["rule"].as_str() {
        None => build(case.text("callable"), &arguments(args)),
        Some("milestones") => Ok(Box::new(FieldScheduler::new("milestones", Milestones::of(args)))),
        Some("step") => Ok(Box::new(FieldScheduler::new("step", Grow::of(args)))),
        Some("only_at") => Ok(Box::new(FieldScheduler::new("only_at", OnlyAt(args["table"].clone())))),
        Some(rule) => panic!("{}: rule {rule:?} is not known", case.name),
    }
}

// ---- the documented examples of a user's own laws ----

/// Multiplies weight decay by gamma at milestones.
#[derive(Debug)]
struct Milestones {
    milestones: Vec<f64>,
    gamma: f64,
}

impl Milestones {
    fn of(args: &Json) -> Milestones {
        Milestones { milestones: rows(&args["milestones"]).iter().map(num).collect(), gamma: num(&args["gamma"]) }
    }
}

impl FieldLaw for Milestones {
    fn field(&self) -> &str {
        "weight_decay"
    }

    fn updated(&self, bases: &[f64], n: f64) -> Result<Update, Fault> {
        let passed = self.milestones.iter().filter(|milestone| n >= **milestone).count();
        Ok(Update::Each(bases.iter().map(|base| base * self.gamma.powi(passed as i32)).collect()))
    }
}

/// Multiplies weight decay by gamma every few updates.
#[derive(Debug)]
struct Grow {
    every: f64,
    gamma: f64,
}

impl Grow {
    fn of(args: &Json) -> Grow {
        Grow { every: num(&args["every"]), gamma: num(&args["gamma"]) }
    }
}

impl FieldLaw for Grow {
    fn field(&self) -> &str {
        "weight_decay"
    }

    fn updated(&self, bases: &[f64], n: f64) -> Result<Update, Fault> {
        Ok(Update::Each(bases.iter().map(|base| base * self.gamma.powf((n / self.every).floor())).collect()))
    }
}

/// A table: nothing, one value, or a list at a step.
#[derive(Debug)]
struct OnlyAt(Json);

impl FieldLaw for OnlyAt {
    fn field(&self) -> &str {
        "weight_decay"
    }

    fn updated(&self, _bases: &[f64], n: f64) -> Result<Update, Fault> {
        Ok(match &self.0[n.to_string()] {
            Json::Null => Update::Keep,
            Json::Array(list) => Update::Each(list.iter().map(num).collect()),
            value => Update::All(num(value)),
        })
    }
}

// ---- errors ----

/// Every refusal of a class is one of ours, and what it accepts is accepted.
fn check_errors(case: &Case) {
    for one in rows(&case.json["cases"]) {
        let what = one["what"].as_str().expect("what");
        let result = bad_call(what).unwrap_or_else(|| panic!("{}: case {what:?} is not known", case.name));
        match (one["error"].is_null(), result) {
            (true, result) => assert!(result.0.is_ok(), "{what}: {:?}", result.0.err()),
            (false, (Ok(()), Ok(()))) => panic!("{what}: accepted; the reference says {}", one["error"]),
            (false, _) => {}
        }
    }
}

type Outcome = (Result<(), Error>, Result<(), Error>);

/// Whether a class can be constructed for two groups, and then stepped.
fn outcome(class: &str, args: Json, mut groups: Vec<Group>) -> Outcome {
    let started = build(class, &arguments(&args)).and_then(|scheduler| {
        let state = scheduler.start(&mut groups)?;
        Ok((scheduler, state))
    });
    match started {
        Err(error) => (Err(error), Ok(())),
        Ok((scheduler, mut state)) => {
            let stepped = (0..3).try_for_each(|_| scheduler.step(&mut state, &mut groups, Some(1.0)));
            (Ok(()), stepped)
        }
    }
}

fn two() -> Vec<Group> {
    vec![Group::new(0.1).with("momentum", 0.0), Group::new(0.1).with("momentum", 0.0)]
}

/// A bad call by its description: a special one, or `CLASS ARGUMENT VALUE`.
fn bad_call(what: &str) -> Option<Outcome> {
    use serde_json::json;
    let call = |class: &str, args: Json| Some(outcome(class, args, two()));
    let part = json!({"class": "StepLR", "args": {"step_size": 2}});
    match what {
        "field missing from a param group" => {
            #[derive(Debug)]
            struct Missing;
            impl FieldLaw for Missing {
                fn field(&self) -> &str {
                    "betas9"
                }
                fn updated(&self, _: &[f64], _: f64) -> Result<Update, Fault> {
                    Ok(Update::Keep)
                }
            }
            let result = FieldScheduler::new("a law", Missing).start(&mut two()).map(drop);
            assert!(result.as_ref().is_err_and(|error| error.to_string().contains("group 0 has no betas9")));
            Some((result, Ok(())))
        }
        "cosine warmup negative (accepted)" => call(
            "CosineLrScheduler",
            json!({"total_num_epochs": 2, "num_update_steps_per_epoch": 4, "num_warmup_epochs": -1}),
        ),
        "wsd nothing given" => call("WSDLrScheduler", json!({})),
        "wsd ratio 0.34 with 2 checkpoints" => {
            call("WSDLrScheduler", json!({"total_steps": 40, "decay_phase_ratio": 0.34, "num_checkpoints": 2}))
        }
        "ReduceLROnPlateau mode" => call("ReduceLROnPlateau", json!({"mode": "avg"})),
        "ReduceLROnPlateau threshold_mode" => call("ReduceLROnPlateau", json!({"threshold_mode": "pct"})),
        "ReduceLROnPlateau min_lr length" => call("ReduceLROnPlateau", json!({"min_lr": [0.1]})),
        "OneCycleLR no length" => call("OneCycleLR", json!({"max_lr": 0.1})),
        "OneCycleLR strategy" => call("OneCycleLR", json!({"max_lr": 0.1, "total_steps": 9, "anneal_strategy": "exp"})),
        "OneCycleLR max_lr length" => call("OneCycleLR", json!({"max_lr": [0.1], "total_steps": 9})),
        "OneCycleLR momentum missing" => Some(outcome(
            "OneCycleLR",
            json!({"max_lr": 0.1, "total_steps": 9}),
            vec![Group::new(0.1), Group::new(0.1)],
        )),
        "CyclicLR mode" => call("CyclicLR", json!({"base_lr": 0.1, "max_lr": 0.2, "mode": "square"})),
        "LambdaLR length" => call("LambdaLR", json!({"lr_lambda": [{"type": "const", "c": 1.0}]})),
        "SequentialLR milestones" => call("SequentialLR", json!({"schedulers": [part], "milestones": [3]})),
        "SequentialLR plateau" => {
            let plateau = json!({"class": "ReduceLROnPlateau", "args": {}});
            call("SequentialLR", json!({"schedulers": [plateau, part], "milestones": [3]}))
        }
        "resume without initial_lr" => call("StepLR", json!({"step_size": 2, "last_epoch": 3})),
        _ => {
            let words: Vec<&str> = what.split(' ').collect();
            let [class, argument, value] = words[..] else { return None };
            let (class, argument) = match (class, argument) {
                ("cosine", argument) => ("CosineLrScheduler", argument),
                ("wsd", "ratio") => ("WSDLrScheduler", "decay_phase_ratio"),
                ("wsd", argument) => ("WSDLrScheduler", argument),
                other => other,
            };
            let mut args = usual(class)?;
            let value = if value == "negative" { "-1.0" } else { value };
            args[argument] = serde_json::from_str(value).ok()?;
            call(class, args)
        }
    }
}

/// Arguments that a class accepts.
fn usual(class: &str) -> Option<Json> {
    use serde_json::json;
    Some(match class {
        "OneCycleLR" => json!({"max_lr": 0.1, "total_steps": 9}),
        "CyclicLR" => json!({"base_lr": 0.1, "max_lr": 0.2}),
        "CosineAnnealingWarmRestarts" => json!({"T_0": 3}),
        "CosineAnnealingLR" => json!({"T_max": 3}),
        "StepLR" => json!({"step_size": 3}),
        "MultiStepLR" => json!({"milestones": [3]}),
        "ExponentialLR" => json!({"gamma": 0.9}),
        "ReduceLROnPlateau" | "LinearLR" | "ConstantLR" | "PolynomialLR" => json!({}),
        "CosineLrScheduler" => json!({"total_num_epochs": 2, "num_update_steps_per_epoch": 4}),
        "WSDLrScheduler" => json!({"total_steps": 40}),
        _ => return None,
    })
}

/// The closed forms, against traces that were made by plain steps.
#[test]
fn a_step_to_an_epoch_gives_the_closed_form() {
    let recurrences = ["MultiplicativeLR", "SequentialLR", "ChainedScheduler"];
    let mut checked = 0;
    // Of the project's own traces, none of which breaks off.
    let own = cases(&own_folder("laws"), &["lr_"]);
    for case in own.iter().filter(|case| case.text("kind") == "lr") {
        let class = case.text("callable");
        let of_torch = class.starts_with("torch") || class.starts_with("transformers");
        // The closed form of this class takes the factor back at once where total_iters is 0.
        let differs = case.json["args"]["total_iters"] == 0;
        // Without its metrics a class that waits for them has nothing to go by.
        let waits = !case.json["metrics"].is_null();
        if !of_torch || differs || waits || recurrences.iter().any(|name| class.ends_with(name)) {
            continue;
        }
        let scheduler = scheduler_of(case).expect("a scheduler");
        let (mut state, mut groups) = start(case, &*scheduler).expect("a start");
        for (step, expected) in rows(&case.json["steps"]).iter().zip(rows(&case.json["values"])).rev() {
            let told = scheduler.step_to(&mut state, &mut groups, At::Epoch(num(step)), None);
            told.unwrap_or_else(|error| panic!("{}: {error}", case.name));
            for (got, expected) in lrs(&groups, "lr").iter().zip(rows(expected)) {
                let close = near(*got, num(expected)) || (got - num(expected)).abs() < 1e-16;
                assert!(close, "{} at {step}: {got:e}, not {expected}", case.name);
            }
        }
        checked += 1;
    }
    println!("golden_laws: {checked} closed forms checked");
}

#[test]
fn composites_step_what_they_hold() {
    let json = |text: &str| arguments(&serde_json::from_str(text).expect("JSON"));
    let run = |class: &str, text: &str, steps: usize| {
        let scheduler = build(class, &json(text)).expect("a scheduler");
        let mut groups = vec![Group::new(1.0)];
        let mut state = scheduler.start(&mut groups).expect("a start");
        let mut values = vec![groups[0].lr()];
        for _ in 0..steps {
            scheduler.step(&mut state, &mut groups, None).expect("a step");
            values.push(groups[0].lr());
        }
        values
    };
    let halves = r#"{"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 1, "gamma": 0.5}}"#;
    // At the milestone the second starts from initial_lr, not from the rate of the moment.
    let sequential = format!(r#"{{"schedulers": [{halves}, {halves}], "milestones": [2]}}"#);
    assert_eq!(run("SequentialLR", &sequential, 4), [1.0, 0.5, 1.0, 0.5, 0.25]);
    let chained = format!(r#"{{"schedulers": [{halves}, {halves}]}}"#);
    assert_eq!(run("ChainedScheduler", &chained, 2), [1.0, 0.25, 0.0625]);
    let by_name = r#"{"name": "linear", "num_warmup_steps": 0, "num_training_steps": 4}"#;
    assert_eq!(run("transformers.get_scheduler", by_name, 4), [1.0, 0.75, 0.5, 0.25, 0.0]);
}

#[test]
fn a_group_that_joins_goes_on_from_its_own_rate() {
    let scheduler = build("StepLR", &Arguments::new().with("step_size", 2).with("gamma", 0.5)).expect("a scheduler");
    let mut groups = vec![Group::new(1.0)];
    let mut state = scheduler.start(&mut groups).expect("a start");
    scheduler.step(&mut state, &mut groups, None).expect("a step");
    groups.push(Group::new(0.4).with("initial_lr", 0.4));
    state.join(0.4);
    scheduler.step(&mut state, &mut groups, None).expect("a step");
    assert_eq!(lrs(&groups, "lr"), [0.5, 0.2]);
}

#[test]
fn class_errors_name_the_nearest() {
    let told = |class: &str, args: Json| build(class, &arguments(&args)).map(drop).unwrap_err().to_string();
    let empty = || serde_json::json!({});
    assert_eq!(
        told("torch.optim.lr_scheduler.OneCycelLR", empty()),
        "\"torch.optim.lr_scheduler.OneCycelLR\" is not a known scheduler class \
         (did you mean \"torch.optim.lr_scheduler.OneCycleLR\"?)"
    );
    assert!(told("torch.optim.StepLR", empty()).contains("did you mean \"torch.optim.lr_scheduler.StepLR\""));
    assert_eq!(
        told("StepLR", serde_json::json!({"stepsize": 3})),
        "StepLR has no argument \"stepsize\" (did you mean \"step_size\"?); it has step_size, gamma, last_epoch"
    );
    assert_eq!(told("StepLR", empty()), "StepLR needs the argument \"step_size\"");
    assert_eq!(told("ConstantLR", serde_json::json!({"factor": 2})), "ConstantLR: factor = 2 is not between 0 and 1");
    assert_eq!(
        told("transformers.optimization.get_adafactor_schedule", empty()),
        "transformers.optimization.get_adafactor_schedule is not built here: it reports the rates that the Adafactor \
         optimizer of transformers sets itself, and sets none"
    );
    assert!(names().iter().all(|name| !matches!(build(name, &Arguments::new()), Err(Error::UnknownClass { .. }))));
}

#[test]
fn a_step_without_a_rate_leaves_the_groups() {
    let scheduler = build("OneCycleLR", &arguments(&serde_json::json!({"max_lr": 0.1, "total_steps": 2})));
    let scheduler = scheduler.expect("a scheduler");
    let mut groups = two();
    let mut state = scheduler.start(&mut groups).expect("a start");
    scheduler.step(&mut state, &mut groups, None).expect("step 1");
    scheduler.step(&mut state, &mut groups, None).expect("step 2, one past the last");
    let before = groups.clone();
    let told = scheduler.step(&mut state, &mut groups, None).unwrap_err().to_string();
    assert_eq!(told, "OneCycleLR has no value at step 3: the cycle has 2 steps");
    assert_eq!(groups, before);
}

/// Random numbers for the arguments of every class: an error, or rates that are rates, and the state comes back.
#[test]
fn any_arguments_give_rates_or_an_error() {
    let known = |class: &str| match build(class, &Arguments::new().with("?", 0.0)) {
        Err(Error::UnknownArgument { known, .. }) => known.split(", ").map(str::to_owned).collect::<Vec<_>>(),
        other => panic!("{class}: {other:?}"),
    };
    let classes: Vec<(String, Vec<String>)> = names().into_iter().map(|class| (class.clone(), known(&class))).collect();
    let mut started: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..400 {
        for (class, known) in &classes {
            let mut random = Random(gradus::engine::layout::pcg(seed) ^ class.len() as u32);
            let mut arguments = Arguments::new();
            for argument in known.iter().filter(|_| random.below(3) > 0).collect::<Vec<_>>() {
                arguments.set(argument.as_str(), random.value(argument));
            }
            let mut groups = two();
            let Ok(scheduler) = build(class, &arguments) else { continue };
            let Ok(mut state) = scheduler.start(&mut groups) else { continue };
            *started.entry(class).or_default() += 1;
            for step in 0..12 {
                let metric = Some(f64::from(random.below(5)));
                let stepped = scheduler.step(&mut state, &mut groups, metric);
                let what = format!("{class} {arguments:?} at {step}: {stepped:?}");
                assert!(groups.iter().all(|group| group.lr().is_finite() && group.lr() >= 0.0), "{what}");
                let saved = serde_json::to_string(&(&state, &groups)).expect("it can be saved");
                let restored: (State, Vec<Group>) = serde_json::from_str(&saved).expect("it can be restored");
                assert_eq!(format!("{:?}", (&state, &groups)), format!("{:?}", (&restored.0, &restored.1)), "{what}");
            }
        }
    }
    // The composites need schedulers inside.
    let silent: Vec<&String> =
        classes.iter().map(|(class, _)| class).filter(|c| !started.contains_key(c.as_str())).collect();
    assert!(silent.iter().all(|class| class.ends_with("SequentialLR")), "never started: {silent:?}");
}

struct Random(u32);

impl Random {
    fn below(&mut self, count: u32) -> u32 {
        self.0 = gradus::engine::layout::pcg(self.0);
        self.0 % count
    }

    fn value(&mut self, argument: &str) -> Value {
        let words: &[&str] = match argument {
            "mode" => &["min", "max", "triangular", "triangular2", "exp_range"],
            "threshold_mode" => &["rel", "abs"],
            "anneal_strategy" => &["cos", "linear"],
            "warmup_type" | "decay_type" => &["linear", "cosine", "1-sqrt"],
            "name" => &["linear", "cosine", "constant"],
            "stable_fn" => &["constant", "rsqrt", "power"],
            "decay_fn" => &["linear", "1-sqrt", "cosine", "power", "exp"],
            _ => &[],
        };
        if !words.is_empty() {
            return words[self.below(words.len() as u32) as usize].into();
        }
        let truths = ["three_phase", "cycle_momentum", "warmup_prefix", "t_in_epochs", "initialize"];
        if truths.contains(&argument) || argument.starts_with("use_") || argument.starts_with("is_") {
            return Value::Bool(self.below(4) > 0);
        }
        let number = |random: &mut Random| {
            let numbers =
                [0.0, 0.1, 0.3, 0.5, 0.9, 1.0, 1.5, 2.0, 2.5, 3.0, -1.0, 1e-6, 1e300, f64::INFINITY, f64::NAN];
            Value::Number(numbers[random.below(numbers.len() as u32) as usize])
        };
        match (argument, self.below(3)) {
            ("lr_lambda" | "scale_fn", _) => {
                let base = number(self);
                Value::Map(Arguments::new().with("type", "pow").with("base", base))
            }
            ("milestones", _) => Value::List(vec![Value::Integer(i64::from(self.below(6))), number(self)]),
            ("decay_t", 0) => Value::List(vec![number(self), number(self)]),
            ("schedulers", _) => {
                let inner = Arguments::new().with("gamma", number(self));
                let part = Arguments::new().with("class_path", "ExponentialLR").with("init_args", Value::Map(inner));
                Value::List(vec![Value::Map(part)])
            }
            ("last_epoch" | "initial_lr", _) => Value::Integer(-1),
            (_, 0) => number(self),
            (_, _) => Value::Integer(i64::from(self.below(12)) - 1),
        }
    }
}

// ---- JSON ----

fn arguments(json: &Json) -> Arguments {
    let mut arguments = Arguments::new();
    for (key, value) in json.as_object().into_iter().flatten() {
        arguments.set(key, value_of(value));
    }
    arguments
}

fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::None,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(value) => match value.as_i64() {
            Some(value) => Value::Integer(value),
            None => Value::Number(value.as_f64().expect("a number")),
        },
        Json::String(text) => number(json).map_or_else(|| Value::Text(text.clone()), Value::Number),
        Json::Array(list) => Value::List(list.iter().map(value_of).collect()),
        Json::Object(_) => Value::Map(arguments(json)),
    }
}

fn rows(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn num(json: &Json) -> f64 {
    number(json).unwrap_or_else(|| panic!("{json} is no number"))
}

fn lrs(groups: &[Group], field: &str) -> Vec<f64> {
    groups.iter().map(|group| group.get(field).expect("the field")).collect()
}

fn near(got: f64, expected: f64) -> bool {
    // A recurrence that ends at 0 may end a rounding below it; ours ends at 0.
    let rounded_below = got == 0.0 && -1e-15 < expected && expected < 0.0;
    got == expected
        || rounded_below
        || got.is_nan() && expected.is_nan()
        || (got - expected).abs() <= 1e-9 * expected.abs().max(got.abs()).max(1e-12)
}
