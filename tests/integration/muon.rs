//! Muon: matrices made orthogonal, all of a shape at once; what is no matrix is refused.

use crate::support::{engines, noise};
use gradus::engine::Engine;
use gradus::optim::{Forecast, Optimizer, Parameters, Settings};
use gradus::params::{Group, Param, Row, Rule};
use gradus::schedule::{Epochs, Plan, Spec};

/// All matrices of a shape at once, however many groups they are in: the sums and their fold, the directions, nineteen
/// products, the update. Bytes are those that were forecast.
#[test]
fn muon_makes_matrices_of_a_shape_orthogonal_at_once() {
    let engine = Engine::cpu();
    let shape = |number: usize| [[16, 24], [24, 16]][number % 2];
    let params: Vec<Param> = (0..24).map(|number| Param::new(format!("p{number}"), shape(number))).collect();
    let parameters = Parameters::new(&engine, &params, None).expect("parameters");
    let row = Row::of(Rule::Muon);
    let groups: Vec<Group> = params.iter().map(|param| Group::new(&param.name, row, [&param.name])).collect();
    let mut optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
    let program = optimizer.program().expect("a program");
    let kernels: Vec<&str> = program.dispatches.iter().map(|dispatch| dispatch.kernel.family.name).collect();
    let (begin, end) = (["control", "muon_sums", "sums_fold", "muon_direct"], ["muon"]);
    assert_eq!(kernels, [&begin[..], &["product"; 38], &end].concat());
    assert_eq!(program.bytes(), Forecast::of(&[row], &Settings::default()).step_bytes(&params));
    // Half of a product of 16 x 16 x 24, half of 17 of 16 x 16 x 16, and one of 16 x 16 x 24.
    assert_eq!(program.flops(), 24 * (16 * 17 * 24 + 17 * 16 * 17 * 16 + 2 * 16 * 16 * 24));
}

/// The singular values of a step are about 1.
#[test]
fn muon_steps_along_a_matrix_that_is_nearly_orthogonal() {
    for engine in engines() {
        for shape in [[7, 10], [10, 7]] {
            let params = [Param::new("p", shape)];
            let parameters = Parameters::new(&engine, &params, None).expect("parameters");
            let row = Row::of(Rule::Muon).lr(1.0).weight_decay(0.0).momentum(0.0);
            let groups = [Group::new("all", row, ["p"])];
            let optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default());
            let mut optimizer = optimizer.expect("an optimizer");
            optimizer.upload_gradient("p", &noise(100, 70)).expect("a gradient");
            optimizer.step().expect("a step");
            let p = parameters.read("p").expect("values");
            let is_wide = shape[0] < shape[1];
            let at = |row: usize, column: usize| if is_wide { p[row * 10 + column] } else { p[column * 7 + row] };
            let square = if is_wide { 1.0 } else { 10.0 / 7.0 };
            for (i, j) in (0..49).map(|place| (place / 7, place % 7)) {
                let dot = (0..10).map(|k| at(i, k) * at(j, k)).sum::<f32>() / square;
                let about = if i == j { 0.3..1.6 } else { -0.5..0.5 };
                assert!(about.contains(&dot), "{shape:?} on {}: {i}, {j}: {dot}", engine.name());
            }
        }
    }
}

/// A rule of matrices on what is none is refused when a run is planned, and by the optimizer; nothing changes.
#[test]
fn muon_is_for_matrices_alone() {
    let names = [("encoder.weight", vec![4, 6]), ("encoder.bias", vec![4]), ("kernel", vec![2, 2, 2])];
    let params = names.map(|(name, shape)| Param::new(name, shape));
    let plan = |text: &str| {
        let spec = Spec::parse("muon.yaml", text).expect("a schedule");
        Plan::new(&spec, &params[..], Epochs { epochs: 2, steps_per_epoch: 1 }).map_err(|error| error.to_string())
    };
    let told = plan("optimizer: {type: muon}\nlr_scheduler: {type: constant}").expect_err("refused");
    let expected = "parameter \"encoder.bias\" of shape [4] is no matrix, and muon is for matrices alone: give it a group of \
                    another rule, in a schedule by optimizer.groups: [{match: \"encoder.bias\", type: adamw}]";
    assert!(told.contains(expected), "{told}");
    let late = "optimizer: {type: adamw, groups: [{match: kernel, type: muon}]}\nlr_scheduler: {type: constant}\n\
                phases: {0: {params: [encoder.*], max_transition_epoch: 1}, 1: {params: [kernel]}}";
    let told = plan(late).expect_err("refused in a later phase");
    assert!(told.contains("\"kernel\" of shape [2, 2, 2]"), "{told}");
    let others = "groups: [{match: '.*bias|kernel', type: adamw, lr: 1.0e-3}]";
    plan(&format!("optimizer: {{type: muon, {others}}}\nlr_scheduler: {{type: constant}}")).expect("a plan");

    let engine = Engine::cpu();
    let parameters = Parameters::new(&engine, &params, None).expect("parameters");
    let groups = [Group::new("all", Row::default(), ["encoder.weight"])];
    let mut optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
    let before = (optimizer.layout(), optimizer.state_bytes());
    let more = Group::new("more", Row::of(Rule::Muon), ["kernel"]);
    let told = optimizer.add_group(&more).expect_err("refused").to_string();
    assert!(told.contains("\"kernel\" of shape [2, 2, 2] is no matrix"), "{told}");
    assert_eq!((optimizer.layout(), optimizer.state_bytes()), before);
}

/// The class's arguments are the rule's fields and switches, and a plan says them again.
#[test]
fn muon_by_its_class_is_muon() {
    let params = ["first", "second"].map(|name| Param::new(name, [2, 3]));
    let plan = |text: &str| {
        let spec = Spec::parse("muon.yaml", text).map_err(|error| error.to_string())?;
        let run = Epochs { epochs: 3, steps_per_epoch: 1 };
        Plan::new(&spec, &params[..], run).map_err(|error| error.to_string())
    };
    let by_class = |more: &str| {
        let new = format!("{{optimizer_init: {{class_path: torch.optim.Muon, init_args: {{lr: 0.02{more}}}}}}}");
        plan(&format!(
            "optimizer: {{type: sgd, lr: 0.1}}\nlr_scheduler: {{type: constant}}\n\
             phases: {{0: {{params: [first], max_transition_epoch: 1}}, 1: {{params: [second], new_optimizer: {new}}}}}"
        ))
    };
    let original = Row::of(Rule::Muon).lr(0.02);
    for (more, row) in [
        ("", original),
        (", adjust_lr_fn: null, nesterov: false", original.nesterov(false)),
        (", adjust_lr_fn: original, momentum: 0.5, eps: 1.0e-5", original.momentum(0.5).eps(1e-5)),
        (", adjust_lr_fn: match_rms_adamw", original.match_rms_adamw(true)),
    ] {
        let plan_of_class = by_class(more).expect("a plan");
        assert_eq!(plan_of_class.row_of(1), row, "{more}");
        assert_eq!(plan(&plan_of_class.to_yaml()).expect("what was written").row_of(1), row, "{more}");
    }
    let keys = "type: muon, lr: 0.02, nesterov: false, match_rms_adamw: true";
    let by_keys = plan(&format!("optimizer: {{{keys}}}\nlr_scheduler: {{type: constant}}")).expect("a plan");
    assert_eq!(by_keys.row_of(0), original.nesterov(false).match_rms_adamw(true));
    assert_eq!(plan(&by_keys.to_yaml()).expect("what was written").row_of(0), by_keys.row_of(0));
    let told = by_class(", adjust_lr_fn: spectral_unclamped").expect_err("refused");
    assert!(told.contains("original or match_rms_adamw"), "{told}");
}
