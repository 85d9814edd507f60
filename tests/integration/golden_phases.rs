//! Fine-tuning phases against traces of finetuning-scheduler: every `fts_*` file, epoch by epoch.
//!
//! The cases' training is made up: two batches an epoch, and metrics by a script. So a plan and its cursor are followed
//! here as any trainer would, with a device that keeps nothing but each parameter's applied count. Tolerance of a rate:
//! 1e-9 relative; all else is equal.

use crate::golden::{Case, cases, folder, is_own_folder, number};
use gradus::params::{Field, Group, Param, Rule};
use gradus::schedule::{Cursor, Epochs, Error, ModelParams, Phases, Plan, Reason, Spec, implicit, to_yaml};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

pub const BATCHES: u64 = 2;

/// What finetuning-scheduler accepts and a file here does not: a word of the refusal, by case.
const REFUSED: [(&str, &str); 1] = [("fts_lr_zero", "phases.2.lr = -1")];

pub fn all_cases(kind: &str) -> Vec<Case> {
    cases(&folder("phases"), &["fts_"]).into_iter().filter(|case| case.text("kind") == kind).collect()
}

#[test]
fn golden_phases_of_finetuning_scheduler() {
    let (mut checked, mut crashed, mut refused) = (0, Vec::new(), Vec::new());
    let all = all_cases("fts");
    for case in &all {
        checked += 1;
        if let Some((_, word)) = REFUSED.iter().find(|(name, _)| *name == case.name) {
            let error = read(case, &case.json["args"]).unwrap_err().to_string();
            assert!(error.contains(word), "{}: {error}", case.name);
            refused.push(case.name.as_str());
            continue;
        }
        check_written(case);
        if case.json["args"]["fts"]["gen_ft_sched_only"] == true {
            continue;
        }
        // Saved and read back at every call, it is the same run.
        for saves in [false, true] {
            check_run(case, saves);
        }
        if !case.json["error"].is_null() {
            crashed.push(case.name.as_str());
        }
    }
    println!("golden_phases: {checked} files checked");
    println!("golden_phases: goes on where the reference crashes: {}", crashed.join(", "));
    println!("golden_phases: refused: {}", refused.join(", "));
    assert!(checked > 0 || !is_own_folder(), "no fts_* file was found");
}

// ---- a case as a file, a model and groups ----

pub fn read(case: &Case, args: &Json) -> Result<Spec, Error> {
    let mut top = json!({ "finetuning": args["fts"].as_object().cloned().unwrap_or_default() });
    let optimizer = &args["optimizer"];
    let mut row = optimizer["args"].clone();
    row["type"] = optimizer["class"].as_str().unwrap_or("AdamW").to_lowercase().into();
    if args["no_decay"].is_array() {
        row["no_decay"] = args["no_decay"].clone();
    }
    top["optimizer"] = row;
    if let Some(scheduler) = args["scheduler"].as_object() {
        let mut init = scheduler["args"].clone();
        if init["lr_lambda"].is_object() {
            init["lr_lambda"]["type"] = "pow".into();
        }
        let class = format!("torch.optim.lr_scheduler.{}", scheduler["class"].as_str().expect("a class"));
        let pl = scheduler.get("pl").cloned().unwrap_or_default();
        let interval = pl["interval"].as_str().unwrap_or("epoch");
        top["lr_scheduler"] = json!({"class_path": class, "init_args": init, "interval": interval});
        if pl["monitor"].is_string() {
            top["lr_scheduler"]["monitor"] = pl["monitor"].clone();
        }
    }
    match args.get("es") {
        None => top["early_stopping"] = json!({"patience": 1}),
        Some(Json::Null) => {}
        Some(given) => top["early_stopping"] = without_base(given),
    }
    top["checkpoint"] = json!({"monitor": "val_loss", "mode": "min"});
    for (key, value) in args["ckpt"].as_object().into_iter().flatten() {
        if matches!(key.as_str(), "monitor" | "mode") {
            top["checkpoint"][key] = value.clone();
        }
    }
    if let Some(every) = args["trainer"]["check_val_every_n_epoch"].as_u64() {
        top["evaluate_every_epochs"] = every.into();
    }
    let mut text = top.to_string();
    if let Some(phases) = args["schedule"].as_object() {
        // Keys without quotes: numbers.
        let quote = if case.name == "fts_string_keys" { "\"" } else { "" };
        let phases: Vec<String> = phases.iter().map(|(key, phase)| format!("{quote}{key}{quote}: {phase}")).collect();
        text.truncate(text.len() - 1);
        text.push_str(&format!(", \"phases\": {{{}}}}}", phases.join(", ")));
    }
    let mut spec = Spec::parse("in_schedule.yaml", &text)?;
    if let Some(plain) = args["schedule"].as_str() {
        spec.phases = Spec::parse("in_schedule.yaml", plain)?.phases;
    }
    Ok(spec)
}

fn without_base(given: &Json) -> Json {
    let mut given = given.clone();
    given.as_object_mut().expect("a mapping").remove("_base");
    given
}

fn params_of(names: &Json) -> Vec<Param> {
    let names = names.as_array().expect("names").iter().map(|name| name.as_str().expect("a name"));
    names.map(|name| Param::new(name, [1])).collect()
}

pub fn plan_of(case: &Case, args: &Json) -> Result<Plan, Error> {
    plan_by(case, args, &read(case, args)?)
}

/// The plan of a schedule for a case's model, run and groups.
pub fn plan_by(case: &Case, args: &Json, spec: &Spec) -> Result<Plan, Error> {
    let params = params_of(&case.json["model_params"]);
    let tied = [("decoder.weight".to_owned(), "embeddings.word_embeddings.weight".to_owned())];
    let tied = if args["tied"] == true { &tied[..] } else { &[] };
    let epochs = args["max_epochs"].as_u64().unwrap_or(12);
    let plan = Plan::new(
        spec,
        ModelParams { params: &params, tied, in_class: &[] },
        Epochs { epochs, steps_per_epoch: BATCHES },
    )?;
    let first: Vec<&str> = names(&params, &plan.phases()[0].params);
    let groups = match &args["optimizer"]["params"] {
        Json::String(how) if how == "all" => vec![Group::new("given", spec.row, params.iter().map(|p| &*p.name))],
        Json::String(how) if how == "no_decay_groups" => {
            let no_decay: Vec<&str> = spec.no_decay.iter().map(String::as_str).collect();
            let exempt = |name: &&str| no_decay.iter().any(|part| name.contains(part));
            let (without, with): (Vec<&str>, Vec<&str>) = first.into_iter().partition(exempt);
            let row = spec.row.weight_decay(0.0);
            vec![Group::new("decay", spec.row, with), Group::new("no decay", row, without)]
        }
        Json::Array(names) => {
            vec![Group::new("given", spec.row, names.iter().map(|name| name.as_str().expect("a name")))]
        }
        _ => vec![Group::new("given", spec.row, first)],
    };
    plan.with_groups(groups)
}

/// Names in the model's order.
fn names<'a>(params: &'a [Param], places: &[usize]) -> Vec<&'a str> {
    let mut places = places.to_vec();
    places.sort_unstable();
    places.into_iter().map(|place| params[place].name.as_str()).collect()
}

// ---- what is written ----

/// The schedule as read, and the implicit one as written.
fn check_written(case: &Case) {
    let name = &case.name;
    let written = case.json["written_yaml"]["TinyBert_ft_schedule.yaml"].as_str();
    if case.json["args"]["schedule"].is_null() {
        let phases = implicit(&params_of(&case.json["model_params"]));
        assert_eq!(Some(to_yaml(&phases).as_str()), written, "{name}");
    } else if let Some(written) = written {
        // Their dump, sorted and in another style, says the same to us.
        let (ours, theirs) = (read(case, &case.json["args"]), Spec::parse("in_schedule.yaml", written));
        let (Phases::Explicit(ours), Phases::Explicit(theirs)) = (ours.unwrap().phases, theirs.unwrap().phases) else {
            panic!("{name}: no phases");
        };
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let said = |phase: &gradus::schedule::PhaseSpec| {
                let (params, limit, lr) = (phase.params.clone(), phase.max_transition_epoch, phase.lr);
                let news = (phase.new_lr_scheduler.is_some(), phase.new_optimizer.as_ref().map(|new| new.row));
                (params, limit, lr, news)
            };
            assert_eq!(said(ours), said(theirs), "{name}");
        }
    }
    // Where the reference crashed while it resolved, it is half done.
    let Some(resolved) = case.json["resolved_schedule"].as_object().filter(|_| case.json["error"].is_null()) else {
        return;
    };
    let plan = plan_of(case, &case.json["args"]).unwrap_or_else(|error| panic!("{name}: {error}"));
    let model = params_of(&case.json["model_params"]);
    for (number, phase) in plan.phases().iter().enumerate() {
        let theirs = &resolved[&number.to_string()];
        let ours: Vec<&str> = phase.params.iter().map(|place| model[*place].name.as_str()).collect();
        assert_eq!(json!(ours), theirs["params"], "{name}: phase {number}");
        assert_eq!(phase.max_transition_epoch, theirs["max_transition_epoch"].as_f64().filter(|limit| *limit >= 0.0));
        if number > 0 {
            let lr = theirs["lr"].as_f64().or_else(|| theirs["lr"].as_str()?.parse().ok()).expect("a rate");
            assert!(near(phase.lr, lr), "{name}: phase {number}: lr {} is not {lr}", phase.lr);
        }
    }
}

// ---- a run ----

/// The part of a device that a trace speaks of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Device {
    counts: BTreeMap<usize, u64>,
    /// What was kept after so many steps.
    best: Option<(u64, BTreeMap<usize, u64>)>,
}

impl Device {
    /// Compares the applied counts.
    pub fn check(&self, expected: &Json, at: &str) {
        let counts: BTreeMap<String, f64> =
            self.counts.iter().map(|(param, count)| (param.to_string(), *count as f64)).collect();
        assert_eq!(json!(counts), expected["optimizer_steps"], "{at}: applied counts");
    }
}

fn check_run(case: &Case, saves: bool) {
    let name = &case.name;
    let plan = plan_of(case, &case.json["args"]).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut cursor = plan.start().unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut device = Device::default();
    let epochs = case.json["epochs"].as_array().expect("epochs");
    let mut done = 0;
    while done < plan.epochs() && cursor.stop().is_none() {
        // Of the epoch in which the reference crashes, what it had is not a measure.
        let whole = |epoch: &&Json| case.json["error"].is_null() || !epoch["after_validation"].is_null();
        let expected = epochs.get(done as usize).filter(whole);
        assert!(
            expected.is_some() || !case.json["error"].is_null(),
            "{name}: the run goes on after epoch {done}, the reference's does not"
        );
        run_epoch(case, &plan, &mut cursor, &mut device, expected, saves);
        done += 1;
    }
    if case.json["error"].is_null() {
        assert_eq!(done as usize, epochs.len(), "{name}: the run's epochs");
        let last = &case.json["final"];
        assert_eq!(Some(cursor.depth() as u64), last["depth"].as_u64(), "{name}");
        assert_eq!(Some(plan.phases().len() as u64 - 1), last["max_depth"].as_u64(), "{name}");
        assert_eq!(Some(plan.epochs()), last["max_epochs_effective"].as_u64(), "{name}");
        assert_eq!(Some(cursor.stop().is_some()), last["should_stop"].as_bool(), "{name}");
    } else {
        assert!(done as usize >= epochs.len(), "{name}: it ends before the reference crashes");
    }
}

pub fn saved(cursor: &mut Cursor, saves: bool) {
    if saves {
        let text = serde_json::to_string(cursor).expect("a cursor saves");
        *cursor = serde_json::from_str(&text).expect("a cursor reads back");
    }
}

pub fn run_epoch(
    case: &Case,
    plan: &Plan,
    cursor: &mut Cursor,
    device: &mut Device,
    expected: Option<&Json>,
    saves: bool,
) {
    let epoch = cursor.step() / BATCHES;
    let at = format!("{}, epoch {epoch}", case.name);
    let transition = plan.epoch_start(cursor).unwrap_or_else(|error| panic!("{at}: {error}"));
    assert_eq!(plan.epoch_start(cursor).unwrap(), None, "{at}: asked twice");
    saved(cursor, saves);
    if let Some(transition) = &transition {
        if let Some(step) = transition.restore {
            let (kept_at, counts) = device.best.clone().unwrap_or_else(|| panic!("{at}: nothing was kept"));
            assert_eq!(step, kept_at, "{at}: which copy");
            device.counts = counts;
        }
        if transition.forgets_moments {
            device.counts.clear();
        }
    }
    if let Some(expected) = expected {
        check_start(plan, cursor, device, expected, transition.as_ref(), &at);
        check_norms(plan, cursor, &case.json["model_params"], &expected["bn"], &at);
    }
    for _ in 0..BATCHES {
        let thawed = plan.thawed(cursor);
        for (params, _) in cursor.groups() {
            let trained = params.iter().filter(|param| thawed.contains(param));
            trained.for_each(|param| *device.counts.entry(*param).or_default() += 1);
        }
        plan.step(cursor).unwrap_or_else(|error| panic!("{at}: {error}"));
        saved(cursor, saves);
    }
    if plan.is_evaluated(cursor) {
        let metrics = metrics(&case.json["args"]["script"], epoch as usize);
        let metrics: Vec<(&str, f64)> = metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let verdict = plan.validation(cursor, &metrics).unwrap_or_else(|error| panic!("{at}: {error}"));
        if verdict.is_best {
            device.best = Some((cursor.step(), device.counts.clone()));
        }
        saved(cursor, saves);
    }
    if let Some(after) = expected.map(|expected| &expected["after_validation"]).filter(|after| !after.is_null()) {
        check_end(cursor, after, &at);
    }
}

pub fn metrics(script: &Json, epoch: usize) -> Vec<(String, f64)> {
    let value = |list: &Json| {
        let list = list.as_array().expect("a list of metrics");
        number(&list[epoch.min(list.len() - 1)]).expect("a metric")
    };
    match script.as_object() {
        None => vec![("val_loss".to_owned(), value(script))],
        Some(all) => all.iter().map(|(name, list)| (name.clone(), value(list))).collect(),
    }
}

fn check_start(
    plan: &Plan,
    cursor: &Cursor,
    device: &Device,
    expected: &Json,
    transition: Option<&gradus::schedule::Transition>,
    at: &str,
) {
    assert_eq!(Some(cursor.depth() as u64), expected["depth"].as_u64(), "{at}: depth");
    let reason = transition.map(|transition| match transition.reason {
        Reason::EarlyStopping => "early_stopping",
        Reason::MaxTransitionEpoch => "max_transition_epoch",
    });
    assert_eq!(reason, expected["transition"]["reason"].as_str(), "{at}: reason");
    let restored = expected["restored"]["best_model_path"].as_str().map(|path| epoch_of(path).expect("an epoch"));
    assert_eq!(
        transition.and_then(|transition| transition.restore).map(|step| step / BATCHES - 1),
        restored,
        "{at}: the restored epoch"
    );
    let thawed: Vec<u64> = plan.thawed(cursor).iter().map(|place| *place as u64).collect();
    let mut theirs: Vec<u64> = list(&expected["thawed"]).iter().map(|place| *place as u64).collect();
    theirs.sort_unstable();
    assert_eq!(thawed, theirs, "{at}: thawed");
    check_groups(plan, cursor, expected, at);
    let class = match cursor_rule(plan, cursor) {
        Rule::AdamW => "AdamW",
        Rule::Adam => "Adam",
        Rule::Sgd => "SGD",
        rule => panic!("{rule} is not in the traces"),
    };
    assert_eq!(Some(class), expected["optimizer"].as_str(), "{at}: optimizer");
    if class != "SGD" {
        device.check(expected, at);
    }
}

/// Batch norms stay in training, and follow the batches or not.
fn check_norms(plan: &Plan, cursor: &Cursor, names: &Json, norms: &Json, at: &str) {
    let names: Vec<&str> = names.as_array().expect("names").iter().filter_map(Json::as_str).collect();
    for (module, theirs) in norms.as_object().into_iter().flatten() {
        let weight = names.iter().position(|name| *name == format!("{module}.weight")).expect("a norm's weight");
        let tracks = plan.thawed(cursor).contains(&weight) || plan.frozen_norms_track(cursor);
        assert_eq!(Some(tracks), theirs["track_running_stats"].as_bool(), "{at}: {module}");
        assert_eq!(theirs["training"], true, "{at}: {module}");
    }
}

fn cursor_rule(plan: &Plan, cursor: &Cursor) -> Rule {
    plan.groups(cursor).expect("groups")[0].row.rule
}

pub fn check_groups(plan: &Plan, cursor: &Cursor, expected: &Json, at: &str) {
    let theirs = expected["groups"].as_array().expect("groups");
    let ours: Vec<_> = cursor.groups().collect();
    assert_eq!(ours.len(), theirs.len(), "{at}: groups");
    for (place, ((params, group), theirs)) in ours.iter().zip(theirs).enumerate() {
        let members: Vec<f64> = params.iter().map(|param| *param as f64).collect();
        assert_eq!(members, list(&theirs["p"]), "{at}: members of group {place}");
        let lr = number(&theirs["lr"]).expect("a rate");
        assert!(near(group.lr(), lr), "{at}: lr {} of group {place} is not {lr}", group.lr());
        if let (Some(ours), Some(theirs)) = (group.get("initial_lr"), number(&theirs["initial_lr"])) {
            assert!(near(ours, theirs), "{at}: initial_lr {ours} of group {place} is not {theirs}");
        }
    }
    let filled: Vec<usize> = (0..theirs.len()).filter(|place| !list(&theirs[*place]["p"]).is_empty()).collect();
    let groups = plan.groups(cursor).expect("groups");
    assert_eq!(groups.len(), filled.len(), "{at}: groups for an optimizer");
    for (group, place) in groups.iter().zip(&filled) {
        let theirs = &theirs[*place];
        for (key, field) in [("weight_decay", Field::WeightDecay), ("eps", Field::Eps), ("momentum", Field::Momentum)] {
            if let (true, Some(value)) = (group.row.has(field), number(&theirs[key])) {
                assert!(near(group.row.get(field), value), "{at}: {key} of group {place}");
            }
        }
        if group.row.has(Field::Beta1) {
            assert_eq!(vec![group.row.beta1, group.row.beta2], list(&theirs["betas"]), "{at}: betas of group {place}");
        }
    }
    let batches = expected["batch_lrs"].as_array().expect("rates of batches");
    let rows = plan.rows(cursor, batches.len() as u64).unwrap_or_else(|error| panic!("{at}: {error}"));
    for (batch, theirs) in batches.iter().enumerate() {
        let theirs = list(theirs);
        for (column, place) in filled.iter().enumerate() {
            let ours = rows[batch * filled.len() + column].lr;
            let theirs = theirs[*place];
            assert!(near(ours, theirs), "{at}, batch {batch}: lr {ours} of group {place} is not {theirs}");
        }
    }
}

pub fn check_end(cursor: &Cursor, after: &Json, at: &str) {
    let stopping = &after["es"];
    if !stopping.is_null() {
        let ours = cursor.patience();
        assert_eq!(Some(ours.wait), stopping["wait_count"].as_u64(), "{at}: wait");
        assert_eq!(Some(ours.is_complete), stopping["es_phase_complete"].as_bool(), "{at}: complete");
        if let Some(best) = number(&stopping["best_score"]).filter(|best| best.is_finite()) {
            assert_eq!(ours.best, Some(best), "{at}: best of early stopping");
        }
    }
    assert_eq!(Some(cursor.stop().is_some()), after["should_stop"].as_bool(), "{at}: stop");
    if let (Some(epoch), Some(best)) = (after["best_model_path"].as_str().and_then(epoch_of), cursor.best()) {
        assert_eq!(best.step / BATCHES - 1, epoch, "{at}: best epoch");
        assert_eq!(Some(best.depth as u64), after["fts_best_ckpt_depth"].as_u64(), "{at}: best depth");
    }
}

/// The epoch of a checkpoint's name, `epoch=3-step=8.ckpt`.
fn epoch_of(path: &str) -> Option<u64> {
    let digits = path.split("epoch=").nth(1)?.chars().take_while(char::is_ascii_digit);
    digits.collect::<String>().parse().ok()
}

fn list(value: &Json) -> Vec<f64> {
    value.as_array().into_iter().flatten().map(|item| number(item).expect("a number")).collect()
}

fn near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-12)
}
