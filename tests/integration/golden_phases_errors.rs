//! Bad schedules, against what finetuning-scheduler does with them: every case of every file of kind `fts_errors`.
//!
//! The rule for all cases, also for new ones: what the reference refuses we refuse, by a message that names the file and
//! a key or value of the schedule, before the first step wherever it is not a matter of the run; what it accepts we
//! accept, and the run has as many epochs as its. The differences that are meant stand in `DIFFERENT`.

use crate::golden::{Case, cases, is_own_folder, own_folder};
use crate::golden_phases::{BATCHES, Device, all_cases, metrics, plan_of, run_epoch};
use gradus::schedule::{Error, Plan};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a refusal says, by case.
const TOLD: [(&str, &str); 41] = [
    ("same parameter in two phases", "phases.1.params[0] = head.bias names head.bias, which is already in phase 0"),
    (
        "same parameter twice inside one phase (name and pattern)",
        "phases.0.params[1] = head.bias names head.bias, which is already in this phase",
    ),
    ("unknown parameter name", "phases.1.params[0] = classifier.weight is not the name of a parameter"),
    (
        "pattern that matches only in the middle of a name",
        "phases.1.params[0] = dense is not the name of a parameter, or a pattern that matches the start of one",
    ),
    ("invalid regex", "phases.1.params[0] = enc[oder is not a valid pattern: "),
    (
        "gap in phase numbers",
        "phases = 0, 2 is not 0 to 1 without a gap. Renumbered they are:\n0:\n  params:\n  - head.*\n1:\n",
    ),
    (
        "phases start at 1",
        "phases = 1, 2 is not 0 to 1 without a gap. Renumbered they are:\n0:\n  params:\n  - head.*\n1:\n",
    ),
    ("negative phase number with a gap that hides it", "a key of phases = -1 is not a phase"),
    ("non-integer key", "key of phases = first is not a phase"),
    ("duplicate YAML key", "duplicate entry with key 0"),
    ("duplicate YAML key inside a phase", "duplicate entry with key \"params\""),
    ("malformed YAML", "line 2"),
    ("empty YAML file", "the file is empty"),
    ("YAML is a list", "the file = [a, b] is not a mapping"),
    ("epoch_transitions_only, phases 1,2 without max_transition_epoch", "phases 1, 2 have no max_transition_epoch"),
    ("epoch_transitions_only, only the last phase lacks it", "phase 2 has no max_transition_epoch"),
    ("epoch_transitions_only with implicit schedule", "phases 0, 1, 2, 3, 4, 5, 6, 7 have no max_transition_epoch"),
    ("lr not a number", "phases.1.lr = fast is not a number"),
    ("lr is a list", "phases.1.lr = [0.001] is not a number"),
    ("lr null", "phases.1.lr = nothing is not a number"),
    ("max_transition_epoch is a string", "phases.1.max_transition_epoch = 3 is not a number (without quotes)"),
    ("params is a string", "phases.0.params = head.weight is not a list"),
    ("new_lr_scheduler in phase 0", "phases.0.new_lr_scheduler"),
    ("new_lr_scheduler without lr_scheduler_init", "phases.1.new_lr_scheduler.class_path is not a known key"),
    ("new_lr_scheduler without class_path", "phases.1.new_lr_scheduler.lr_scheduler_init.class_path is missing"),
    ("new_lr_scheduler without init_args", "step_size"),
    ("new_lr_scheduler class not importable", "torch.optim.lr_scheduler.NopeLR"),
    ("new_lr_scheduler bad init_args", "stride"),
    (
        "new_lr_scheduler unsupported class OneCycleLR",
        "class_path = torch.optim.lr_scheduler.OneCycleLR is not a scheduler for groups that join late",
    ),
    (
        "initial scheduler unsupported (OneCycleLR)",
        "class_path = torch.optim.lr_scheduler.OneCycleLR is not a scheduler for groups that join late",
    ),
    ("init_pg_lrs not numbers", "phases.1.new_lr_scheduler.init_pg_lrs = [x, 0.001] is not a list of numbers"),
    ("pl_lrs_cfg interval invalid", "phases.1.new_lr_scheduler.pl_lrs_cfg.interval = batch is not one of epoch, step"),
    ("new ReduceLROnPlateau without monitor", "name one in pl_lrs_cfg, as monitor: val_loss"),
    ("new ReduceLROnPlateau without any pl_lrs_cfg", "name one in pl_lrs_cfg, as monitor: val_loss"),
    ("reinit_lr_cfg together with ft_schedule", "say new_lr_scheduler in its phases"),
    ("reinit_lr_cfg with init_pg_lrs", "finetuning.reinit_lr_cfg.init_pg_lrs"),
    ("reinit_lr_cfg plateau with list min_lr", "min_lr"),
    ("new_optimizer without optimizer_init", "phases.1.new_optimizer.class_path is not a known key"),
    ("new_optimizer bad init_args", "velocity"),
    ("new_optimizer unknown class", "torch.optim.Nope"),
    ("monitored metric never logged", "the metric \"nope\""),
];

/// Where we mean to differ, by case: a word of our refusal, or nothing where we accept what the reference refuses.
const DIFFERENT: [(&str, Option<&str>); 7] = [
    ("float keys", Some("is not a phase: phases are whole numbers from 0 on")),
    ("unknown key in a phase (ignored)", Some("phases.1.colour is not a known key")),
    ("pl_lrs_cfg unknown key", Some("phases.1.new_lr_scheduler.pl_lrs_cfg.cadence is not a known key")),
    ("max_depth -2", Some("finetuning.max_depth = -2 is not")),
    ("unscheduled lr float overflow ('1e400')", Some("phases.1.lr = inf is not a finite number")),
    (
        "reinit_optim_cfg together with ft_schedule",
        Some("finetuning.reinit_optim_cfg has no place here: the schedule has phases of its own"),
    ),
    // There a bare assertion fails.
    ("new_lr_scheduler unsupported class PolynomialLR with allow_untested", None),
];

/// Cases that are no matter of a schedule, and whose they are.
fn elsewhere(case: &Json) -> Option<&'static str> {
    let args = &case["args"];
    if args["schedule"] == "<missing>" {
        return Some("a file that is not there: the command line's");
    }
    if args["no_fts"] == true {
        return Some("a callback without its scheduler: nothing like it here");
    }
    let no_copy = args["ckpt"]["save_top_k"] == 0;
    no_copy.then_some("no checkpoint kept: the best copy is kept by itself")
}

#[test]
fn golden_phases_errors() {
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    let mut others: BTreeMap<&str, usize> = BTreeMap::new();
    let mut different = Vec::new();
    let files = all_cases("fts_errors");
    for file in &files {
        for case in file.json["cases"].as_array().expect("cases") {
            let what = case["what"].as_str().expect("what it is");
            if let Some(whose) = elsewhere(case) {
                *others.entry(whose).or_default() += 1;
                continue;
            }
            let run = run(&as_case(file, case));
            if let Some((_, refusal)) = DIFFERENT.iter().find(|(name, _)| *name == what) {
                check_different(what, &run, *refusal);
                different.push(what);
                continue;
            }
            let kind = if case["error"].is_null() { "accepted" } else { "refused" };
            match run {
                Ok(epochs) => {
                    assert!(case["error"].is_null(), "{what}: accepted, the reference says {}", case["error"]);
                    assert_eq!(Some(epochs), case["epochs_run"].as_u64(), "{what}: epochs");
                }
                Err(error) => check_refusal(what, case, &error),
            }
            *counted.entry(kind).or_default() += 1;
        }
    }
    println!("golden_phases_errors: {counted:?}; no matter of a schedule: {others:?}");
    assert!(!counted.is_empty() || !is_own_folder(), "no case was found");
    println!("golden_phases_errors: meant to be different: {}", different.join("; "));
}

fn check_different(what: &str, run: &Result<u64, Error>, refusal: Option<&str>) {
    match (run, refusal) {
        (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{what}: {error}"),
        (Ok(_), None) => {}
        (other, _) => panic!("{what}: {other:?}"),
    }
}

fn check_refusal(what: &str, case: &Json, error: &Error) {
    assert!(!case["error"].is_null(), "{what}: the reference accepts it; ours: {error}");
    let told = error.to_string();
    if let Some((_, words)) = TOLD.iter().find(|(name, _)| *name == what) {
        assert!(told.contains(words), "{what}: {words:?} is not in {told}");
    }
    let is_about_the_run = matches!(error, Error::NoMetric { .. });
    assert!(is_about_the_run || told.starts_with("in_schedule.yaml: "), "{what}: {told}");
    let mut said = BTreeSet::new();
    words(&case["args"], &mut said);
    let names_one = said.iter().any(|word| told.contains(word.as_str())) || told.contains("empty");
    assert!(names_one, "{what}: none of {said:?} is in {told}");
}

/// Every key and value of a case.
fn words(value: &Json, into: &mut BTreeSet<String>) {
    match value {
        Json::Object(map) => map.iter().for_each(|(key, value)| {
            into.insert(key.clone());
            words(value, into);
        }),
        Json::Array(list) => list.iter().for_each(|value| words(value, into)),
        Json::String(text) => into.extend(text.split_whitespace().map(|word| word.trim_matches(':').to_owned())),
        Json::Null => {}
        other => {
            into.insert(other.to_string());
        }
    }
    into.retain(|word| word.len() > 2);
}

/// An entry of the list as a case of its own: what all have in common, and the model.
fn as_case(file: &Case, case: &Json) -> Case {
    let mut args = file.json["args"].clone();
    for (key, value) in case["args"].as_object().expect("arguments") {
        args[key] = value.clone();
    }
    if args["fts"].is_null() {
        args["fts"] = json!({});
    }
    let model = &cases(&own_folder("phases"), &["fts_implicit_default"])[0].json["model_params"];
    Case { name: case["what"].to_string(), json: json!({"args": args, "model_params": model}), arrays: BTreeMap::new() }
}

/// Reads it, plans it and follows it to its end; how many epochs that took.
fn run(case: &Case) -> Result<u64, Error> {
    let plan: Plan = plan_of(case, &case.json["args"])?;
    let (mut cursor, mut device) = (plan.start()?, Device::default());
    let known = metrics(&case.json["args"]["script"], 0);
    if plan.monitors().iter().any(|monitor| known.iter().all(|(name, _)| name != monitor)) {
        plan.validation(&mut cursor, &known.iter().map(|(name, value)| (name.as_str(), *value)).collect::<Vec<_>>())?;
    }
    while cursor.stop().is_none() && cursor.step() / BATCHES < plan.epochs() {
        run_epoch(case, &plan, &mut cursor, &mut device, None, false);
    }
    Ok(cursor.step() / BATCHES)
}
