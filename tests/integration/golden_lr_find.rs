//! The range test against traces: every `lrfind_*` file, those of the formula and those of Lightning's.
//!
//! Tolerance: 1e-9 relative for rates and smoothed losses; the places that are picked are exact.

use crate::golden::{Case, cases, folder, is_own_folder, number};
use gradus::schedule::lr_find::{Axis, Curve, End, Form, Rule, Scale, Suggestion, Sweep};
use serde_json::Value as Json;
use std::collections::BTreeMap;

#[test]
fn golden_lr_find() {
    let all = cases(&folder("lr_find"), &["lrfind_"]);
    let (mut checked, mut not_built): (usize, BTreeMap<String, usize>) = Default::default();
    for case in &all {
        match case.text("kind") {
            "lr_find_formula" => formula(case),
            "lr_find_lightning" => lightning(case),
            "lr_find_suggestion" => suggestions(case, &column(case, "values"), &numbers(&case.json["losses"])),
            other => {
                *not_built.entry(other.to_owned()).or_default() += 1;
                continue;
            }
        }
        checked += 1;
    }
    let named: Vec<String> = not_built.iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
    println!("golden_lr_find: {checked} files checked; not built: {}", named.join(", "));
    assert!(checked == 16 || !is_own_folder(), "{checked} of our own 16 files were checked");
    assert_eq!(checked + not_built.values().sum::<usize>(), all.len(), "every file is checked or named");
}

fn formula(case: &Case) {
    let args = &case.json["args"];
    let sweep = Sweep::default()
        .scale(scale(args))
        .start(given(args, "start").expect("a start"))
        .end(given(args, "end").expect("an end"))
        .num(args["num"].as_u64().expect("a count") as u32)
        .beta(given(args, "beta").expect("a beta"))
        .stop_factor(given(args, "diverge_factor"));
    let losses = numbers(&case.json["losses"]);
    let curve = pushed(case, &sweep, &losses);
    match case.json["stopped_at"].as_u64() {
        Some(stopped) => {
            assert!(matches!(curve.end(), Some(End::Diverged | End::NotFinite)), "{}: {:?}", case.name, curve.end());
            assert_eq!(curve.points().len() as u64, stopped, "{}: stopped at", case.name);
        }
        None => assert_eq!(curve.end(), Some(End::Done), "{}: {} losses", case.name, losses.len()),
    }
    check(case, &curve, &column(case, "values"), &numbers(&case.json["smoothed"]));

    let suggested = case.json["suggestion"].as_object().expect("suggestions");
    for (name, expected) in suggested {
        let rule = match name.as_str() {
            "index_spacing" => Rule::Steepest(Axis::Index),
            "log_lr_spacing" => Rule::Steepest(Axis::LogRate),
            "lr_spacing" => Rule::Steepest(Axis::Rate),
            "minimum_over_10" => Rule::TenthOfMinimum,
            other => panic!("{}: suggestion {other:?} is not known", case.name),
        };
        same(&format!("{}: {name}", case.name), curve.suggestion(rule), expected);
    }
}

fn lightning(case: &Case) {
    let args = &case.json["args"];
    let usual = Sweep::named("lightning.pytorch.tuner.Tuner.lr_find").expect("a known name");
    assert_eq!(usual.form, Form::Lightning);
    let sweep = usual
        .scale(scale(args))
        .start(given(args, "min_lr").unwrap_or(usual.start))
        .end(given(args, "max_lr").unwrap_or(usual.end))
        .num(args["num_training"].as_u64().map_or(usual.num, |num| num as u32))
        .stop_factor(args.get("early_stop_threshold").map_or(usual.stop_factor, number));
    let curve = pushed(case, &sweep, &numbers(&case.json["losses"]));
    let run = case.json["training_batches_run"].as_u64().expect("a count");
    assert_eq!(curve.points().len() as u64, run, "{}: batches", case.name);
    assert!(curve.is_over(), "{}: the sweep goes on after {run} batches", case.name);
    let result = &case.json["result"];
    check(case, &curve, &numbers(&result["lr"]), &numbers(&result["loss"]));
    // Every group has the swept rate.
    for (point, groups) in curve.points().iter().zip(rows(&case.json["values"])) {
        let expected = numbers(groups);
        assert_eq!(expected.len(), rows(&case.json["group_lrs"]).len(), "{}: groups", case.name);
        assert!(expected.iter().all(|lr| near(point.lr, *lr)), "{}: {:e}, not {expected:?}", case.name, point.lr);
    }
    let (lrs, losses): (Vec<f64>, Vec<f64>) = curve.points().iter().map(|point| (point.lr, point.smoothed)).unzip();
    suggestions(case, &lrs, &losses);
}

/// Lightning's suggestions, by what they skip.
fn suggestions(case: &Case, lrs: &[f64], losses: &[f64]) {
    for (skips, expected) in case.json["suggestion_skip_begin_end"].as_object().expect("suggestions") {
        let (begin, end) = skips.split_once(',').expect("two counts");
        let count = |text: &str| text.parse().expect("a count");
        let rule = Rule::Lightning { skip_begin: count(begin), skip_end: count(end) };
        same(&format!("{}: {skips}", case.name), rule.pick(lrs, losses), expected);
    }
}

fn pushed(case: &Case, sweep: &Sweep, losses: &[f64]) -> Curve {
    let mut curve = Curve::new(sweep).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    for loss in losses {
        curve.push(*loss);
    }
    curve
}

fn check(case: &Case, curve: &Curve, lrs: &[f64], smoothed: &[f64]) {
    let points = curve.points();
    assert_eq!((points.len(), points.len()), (lrs.len(), smoothed.len()), "{}: points", case.name);
    for (place, (point, (lr, loss))) in points.iter().zip(lrs.iter().zip(smoothed)).enumerate() {
        assert!(near(point.lr, *lr), "{} at {place}: a rate of {:e}, not {lr:e}", case.name, point.lr);
        assert!(near(point.smoothed, *loss), "{} at {place}: smoothed {:e}, not {loss:e}", case.name, point.smoothed);
    }
}

fn same(what: &str, got: Option<Suggestion>, expected: &Json) {
    let index = got.map(|suggestion| suggestion.index as u64);
    assert_eq!(index, expected["index"].as_u64(), "{what}");
    match (got, number(&expected["lr"])) {
        (Some(got), Some(lr)) => assert!(near(got.lr, lr), "{what}: {:e}, not {lr:e}", got.lr),
        (got, lr) => assert!(got.is_none() && lr.is_none(), "{what}: {got:?}, not {lr:?}"),
    }
}

fn near(got: f64, expected: f64) -> bool {
    got.is_nan() && expected.is_nan() || got == expected || (got - expected).abs() <= 1e-9 * expected.abs()
}

fn scale(args: &Json) -> Scale {
    match args["mode"].as_str() {
        None | Some("exponential") => Scale::Exponential,
        Some("linear") => Scale::Linear,
        Some(other) => panic!("mode {other:?} is not known"),
    }
}

fn given(args: &Json, key: &str) -> Option<f64> {
    number(&args[key])
}

fn rows(value: &Json) -> &[Json] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

fn numbers(value: &Json) -> Vec<f64> {
    rows(value).iter().map(|value| number(value).unwrap_or_else(|| panic!("{value} is no number"))).collect()
}

/// The first group's values.
fn column(case: &Case, key: &str) -> Vec<f64> {
    rows(&case.json[key]).iter().map(|row| numbers(row)[0]).collect()
}
