//! The clip norm as a field of a row: a law moves it, the device applies it, one number a step.

use crate::support::{assert_close, engines, fresh_gpu};
use gradus::engine::Engine;
use gradus::optim::{Clip, Error, NormOrder, Optimizer, Parameters, Settings};
use gradus::params::{Field, Group, Param, Row, Rule};
use gradus::schedule::{Epochs, Plan, Spec};

const FILE: &str = "optimizer: {type: sgd, lr: 1.0, clip_norm: 8.0, no_decay: [bias]}\n\
                    lr_scheduler: {type: constant}\n\
                    laws: [{field: clip_norm, type: exponential, gamma: 0.5, every_steps: 1}]";

fn parameters(engine: &Engine) -> Parameters {
    let params = [Param::new("weight", [2]), Param::new("bias", [1])];
    Parameters::new(engine, &params, None).expect("parameters")
}

fn groups(row: Row) -> [Group; 2] {
    [Group::new("decay", row, ["weight"]), Group::new("no_decay", row, ["bias"])]
}

/// Gradients (3, 0) and 4 have norm 5; 8 · 0.5ⁿ clips from the step 1 on.
#[test]
fn a_law_moves_what_is_clipped_to() {
    let spec = Spec::parse("run.yaml", FILE).expect("a spec");
    for engine in engines() {
        let parameters = parameters(&engine);
        let mut optimizer =
            Optimizer::new(&engine, &parameters, &groups(spec.row), Settings::default()).expect("an optimizer");
        optimizer.upload_gradient("weight", &[3.0, 0.0]).expect("a gradient");
        optimizer.upload_gradient("bias", &[4.0]).expect("a gradient");
        let table = spec.table(&[spec.row; 2], 6, None).expect("rows");
        optimizer.load_rows(0, &table).expect("rows");
        let mut moved = 0.0f64;
        for step in 0..6 {
            optimizer.step().expect("a step");
            engine.wait().expect("a wait");
            let stats = optimizer.stats().expect("stats").expect("a report");
            let clip = (8.0 * 0.5f64.powi(step) / (5.0 + 1e-6)).min(1.0);
            assert_eq!(stats.grad_norm, Some(5.0), "on {}", engine.name());
            assert_close("clip coefficient", &[stats.clip_coefficient], &[clip as f32], 1e-6, 0.0);
            moved -= clip;
            let expected = [(3.0 * moved) as f32, 0.0, (4.0 * moved) as f32];
            let got = ["weight", "bias"].map(|name| parameters.read(name).expect("values")).concat();
            assert_close(&format!("step {step} on {}", engine.name()), &got, &expected, 1e-5, 1e-6);
        }
    }
}

#[test]
fn a_moving_clip_norm_needs_no_upload_but_the_table() {
    let Some(engine) = fresh_gpu() else { return };
    let spec = Spec::parse("run.yaml", FILE).expect("a spec");
    let parameters = parameters(&engine);
    let mut optimizer =
        Optimizer::new(&engine, &parameters, &groups(spec.row), Settings::default()).expect("an optimizer");
    optimizer.load_rows(0, &spec.table(&[spec.row; 2], 100, None).expect("rows")).expect("rows");
    optimizer.step().expect("a step");
    let before = engine.counters();
    for _ in 1..100 {
        optimizer.step().expect("a step");
    }
    let counted = engine.counters() - before;
    assert_eq!((counted.submissions, counted.uploads, counted.blocking_waits), (99, 0, 0));
}

#[test]
fn rows_and_settings_clip_alike() {
    for engine in engines() {
        let run = |row: Row, clip: Clip| {
            let parameters = parameters(&engine);
            let settings = Settings::default().clip(clip);
            let mut optimizer = Optimizer::new(&engine, &parameters, &groups(row), settings).expect("an optimizer");
            for _ in 0..3 {
                optimizer.upload_gradient("weight", &[3.0, -1.0]).expect("a gradient");
                optimizer.upload_gradient("bias", &[4.0]).expect("a gradient");
                optimizer.step().expect("a step");
            }
            ["weight", "bias"]
                .map(|name| parameters.read(name).expect("values").into_iter().map(f32::to_bits).collect::<Vec<u32>>())
        };
        let by_infinity = |max_norm| Clip::norm(max_norm).order(NormOrder::Infinity);
        let (plain, clipped) = (Row::default(), Row::default().clip_norm(0.5));
        assert_eq!(run(plain, Clip::norm(0.5)), run(clipped, Clip::None), "turned on by the rows");
        assert_eq!(run(plain, by_infinity(0.5)), run(clipped, by_infinity(9.0)), "the rows' norm, the settings' order");
        assert_ne!(run(plain, Clip::None), run(clipped, Clip::None));
    }
}

#[test]
fn one_clip_norm_holds_for_all_groups() {
    let engine = Engine::cpu();
    let parameters = parameters(&engine);
    let row = |clip_norm| Row::of(Rule::Sgd).clip_norm(clip_norm);
    let told = |result: Result<(), Error>| result.expect_err("an error").to_string();
    let make = |first, second, clip| {
        let groups = [Group::new("one", row(first), ["weight"]), Group::new("two", row(second), ["bias"])];
        Optimizer::new(&engine, &parameters, &groups, Settings::default().clip(clip))
    };
    for (second, text) in [(None, "no clip_norm"), (Some(2.0), "clip_norm = 2")] {
        assert_eq!(
            told(make(Some(1.0), second, Clip::None).map(drop)),
            format!("group \"one\" has clip_norm = 1 and group \"two\" has {text}; a step has one for all groups")
        );
    }
    assert_eq!(
        told(make(Some(1.0), Some(1.0), Clip::Value(0.5)).map(drop)),
        "rows clip by norm (clip_norm = 1) and settings by value (0.5); only one of them can be"
    );
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-50] {
        let refused = told(make(Some(bad), Some(bad), Clip::None).map(drop));
        assert_eq!(refused, format!("group \"one\": clip_norm = {bad} is not a finite number above 0"));
    }

    let mut optimizer = Optimizer::new(&engine, &parameters, &[], Settings::default()).expect("an optimizer");
    optimizer.add_group(&Group::new("one", row(Some(4.0)), ["weight"])).expect("the first group decides");
    optimizer.set("one", Field::ClipNorm, 3.0).expect("a value");
    optimizer.add_group(&Group::new("two", row(Some(4.0)), ["bias"])).expect("a group");
    assert_eq!(optimizer.row("two").expect("a row").clip_norm, Some(3.0), "a late group takes the others'");
    optimizer.set("two", Field::ClipNorm, 2.0).expect("a value");
    assert_eq!(optimizer.row("one").expect("a row").clip_norm, Some(2.0), "it is set for all");
    assert!(told(optimizer.set("one", Field::ClipNorm, f64::INFINITY)).contains("clip_norm = inf is not"));
    assert!(told(optimizer.load_rows(0, &[row(Some(1.0)), row(Some(2.0))])).contains("one for all groups"));
    assert_eq!(
        told(optimizer.load_rows(0, &[row(None), row(None)])),
        "2 rows for 2 groups: a clip norm cannot come or go from step to step"
    );
    let mut plain = make(None, None, Clip::norm(1.0)).expect("an optimizer");
    let refused = told(plain.set("one", Field::ClipNorm, 1.0));
    assert_eq!(refused, "group \"one\": sgd has no clip_norm; its fields are lr, weight_decay, momentum");
}

#[test]
fn files_say_it_beside_the_other_fields() {
    let told = |file: &str| Spec::parse("run.yaml", file).expect_err("an error").to_string();
    assert_eq!(
        told(&FILE.replace(" clip_norm: 8.0,", "")),
        "run.yaml: laws[0].field = clip_norm needs optimizer.clip_norm, from which it starts"
    );
    for bad in ["0", "-1.0", ".nan", ".inf"] {
        let refused = told(&FILE.replace("8.0", bad));
        assert!(refused.ends_with("is not a finite number above 0"), "{refused}");
    }
    let fallen = Spec::parse("run.yaml", &FILE.replace("gamma: 0.5", "gamma: 0.0")).expect("a spec");
    let refused = fallen.table(&[fallen.row], 3, None).expect_err("an error").to_string();
    assert_eq!(refused, "run.yaml: laws[0]: clip_norm = 0 at step 1 of group 0 is not a finite number above 0");
}

/// What plain clipping of each set alone makes of gradients of 5 and 6, and SGD of it.
fn apart(norms: [Option<f64>; 3]) -> [f32; 3] {
    let coefficient = |norm: f64, most: Option<f64>| most.map_or(1.0, |most| (most / (norm + 1e-6)).min(1.0));
    // Of the second set the gradients are 4 and 3.
    [-2.0 * coefficient(2.0, norms[0]), -4.0 * coefficient(5.0, norms[1]), -3.0 * coefficient(5.0, norms[2])]
        .map(|value| value as f32)
}

/// `clip_grad_norm_(group["params"], max_norm)` of each set, decided on the device.
#[test]
fn groups_are_clipped_in_sets() {
    for engine in engines() {
        for order in [NormOrder::Two, NormOrder::P(2.0), NormOrder::Infinity] {
            let names = ["alone", "with", "both"];
            let params = names.map(|name| Param::new(name, [9000]));
            let parameters = Parameters::new(&engine, &params, None).expect("parameters");
            let row = |norm: Option<f64>| Row::sgd(1.0).clip_norm(norm);
            let groups = [
                Group::new("alone", row(None), ["alone"]),
                Group::new("with", row(Some(1.0)), ["with"]).clipped_with("set"),
                Group::new("both", row(Some(1.0)), ["both"]).clipped_with("set"),
            ];
            let settings = Settings::default().clip(Clip::norm(0.5).order(order)).guard(true);
            let mut optimizer = Optimizer::new(&engine, &parameters, &groups, settings).expect("an optimizer");
            // The gradient's one number lies in the last chunk.
            let gradient = |value: f32| [vec![0.0; 8999], vec![value]].concat();
            for (name, value) in names.into_iter().zip([2.0, 4.0, 3.0]) {
                optimizer.upload_gradient(name, &gradient(value)).expect("a gradient");
            }
            let mut expected = [0.0; 3];
            let mut check = |optimizer: &mut Optimizer, norms: [Option<f64>; 3]| {
                optimizer.step().expect("a step");
                let step = match order {
                    NormOrder::Infinity => {
                        let coefficient = |norm: f64, most: Option<f64>| most.map_or(1.0, |it| (it / norm).min(1.0));
                        let [a, b, c] = norms;
                        [-2.0 * coefficient(2.0, a), -4.0 * coefficient(4.0, b), -3.0 * coefficient(4.0, c)]
                            .map(|value| value as f32)
                    }
                    _ => apart(norms),
                };
                (0..3).for_each(|place| expected[place] += step[place]);
                let got = names.map(|name| parameters.read(name).expect("values")[8999]);
                assert_close(&format!("{order:?} on {}", engine.name()), &got, &expected, 2e-6, 0.0);
            };
            // A group without a norm has that of the settings.
            check(&mut optimizer, [Some(0.5), Some(1.0), Some(1.0)]);
            optimizer.set("both", Field::ClipNorm, 2.0).expect("a norm, of the other group too");
            check(&mut optimizer, [Some(0.5), Some(2.0), Some(2.0)]);
            // Guard and skip are for all.
            optimizer.upload_gradient("with", &gradient(f32::NAN)).expect("a gradient");
            optimizer.step().expect("a step");
            let got = names.map(|name| parameters.read(name).expect("values")[8999]);
            assert_close("skipped", &got, &expected, 2e-6, 0.0);
            engine.wait().expect("a wait");
            let stats = optimizer.stats().expect("stats").expect("a report");
            assert_eq!((stats.skipped_steps, stats.clip_coefficient), (1, 1.0));
        }
    }
}

/// What an entry says is its own alone; the others are clipped together, or not at all.
#[test]
fn an_entry_of_a_run_file_is_clipped_alone() {
    let params = ["encoder.weight", "encoder.bias", "head.weight"].map(|name| Param::new(name, [2]));
    for (of_all, most) in [("", None), (", clip_norm: 1.0", Some(1.0))] {
        let text = format!(
            "optimizer: {{type: sgd, lr: 1.0{of_all}, no_decay: [bias], groups: [{{match: encoder, clip_norm: 0.5}}]}}\n\
             lr_scheduler: {{type: constant}}"
        );
        let spec = Spec::parse("run.yaml", &text).expect("a spec");
        let run = Epochs { epochs: 1, steps_per_epoch: 2 };
        let plan = Plan::new(&spec, &params[..], run).expect("a plan");
        let again = Plan::new(&Spec::parse("again.yaml", &plan.to_yaml()).expect("a spec"), &params[..], run);
        assert_eq!(again.expect("a plan").to_yaml(), plan.to_yaml());
        let groups = plan.groups(&plan.start().expect("a cursor")).expect("groups");
        let norms: Vec<Option<f64>> = groups.iter().map(|group| group.row.clip_norm).collect();
        assert_eq!(norms, [most, Some(0.5), Some(0.5)]);
        for engine in engines() {
            let parameters = Parameters::new(&engine, &params, None).expect("parameters");
            let mut optimizer =
                Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
            for (param, gradient) in params.iter().zip([[3.0, 0.0], [0.0, 4.0], [2.0, 0.0]]) {
                optimizer.upload_gradient(&param.name, &gradient).expect("a gradient");
            }
            optimizer.step().expect("a step");
            let got = params.each_ref().map(|param| parameters.read(&param.name).expect("values")).concat();
            let head = most.map_or(-2.0, |most| -most as f32);
            assert_close(engine.name(), &got, &[-0.3, 0.0, 0.0, -0.4, head, 0.0], 1e-6, 0.0);
        }
    }
}

#[test]
fn more_sets_than_there_are_sums_for_are_refused() {
    let engine = Engine::cpu();
    let params: Vec<Param> = (0..300).map(|number| Param::new(format!("p{number}"), [2])).collect();
    let parameters = Parameters::new(&engine, &params, None).expect("parameters");
    let group = |param: &Param| Group::new(&param.name, Row::sgd(1.0).clip_norm(1.0), [&param.name]);
    let groups: Vec<Group> = params.iter().map(|param| group(param).clipped_with(&param.name)).collect();
    let told = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect_err("refused").to_string();
    assert_eq!(told, "clip sets = 300 is not 256 at most");
    Optimizer::new(&engine, &parameters, &groups[..256], Settings::default()).expect("so many");
    let many: Vec<Param> = (0..1025).map(|number| Param::new(format!("p{number}"), [2])).collect();
    let parameters = Parameters::new(&engine, &many, None).expect("parameters");
    let clip = Clip::norm(1.0).order(NormOrder::of(0.0));
    let told = Optimizer::new(&engine, &parameters, &[], Settings::default().clip(clip)).expect_err("refused");
    assert_eq!(told.to_string(), "norm order = 0 is not possible for more than 1024 tensors");
    for order in [-1.0, f64::NEG_INFINITY, f64::NAN] {
        let clip = Clip::norm(1.0).order(NormOrder::of(order));
        let told = Optimizer::new(&engine, &parameters, &[], Settings::default().clip(clip)).expect_err("refused");
        let expected = format!("norm order = {order} is not 0, a finite number above 0, or infinity");
        assert_eq!(told.to_string(), expected);
    }
}
