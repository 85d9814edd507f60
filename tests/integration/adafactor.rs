//! Adafactor: what it keeps of a matrix, wherever that lies, and its class.

use crate::support::{engines, fresh_engines, noise};
use gradus::engine::Engine;
use gradus::optim::{Best, Clip, External, Forecast, Optimizer, Parameters, Refreeze, RowList, Settings};
use gradus::params::{Group, Param, Row, Rule};
use gradus::schedule::{Epochs, Plan, Spec};
use safetensors::SafeTensors;

/// Columns that come in fours and not, several bands and tiles, small matrices one behind the other, vectors and a number.
fn params() -> Vec<Param> {
    let shapes: [&[usize]; 9] =
        [&[300, 40], &[40, 600], &[7, 50, 33], &[9001, 1], &[1, 9001], &[5, 20, 3, 3], &[9001], &[5], &[]];
    shapes.into_iter().enumerate().map(|(number, shape)| Param::new(format!("p{number}"), shape.to_vec())).collect()
}

fn begun(engine: &Engine, params: &[Param], row: Row, settings: Settings) -> (Parameters, Optimizer) {
    let parameters = Parameters::new(engine, params, settings.page_bytes).expect("parameters");
    for (seed, param) in (1..).zip(params) {
        parameters.upload(&param.name, &noise(seed, param.elements())).expect("an upload");
    }
    let groups: Vec<Group> = params
        .iter()
        .enumerate()
        .map(|(place, param)| Group::new(&param.name, row.lr(row.lr / (1.0 + place as f64)), [&param.name]))
        .collect();
    let optimizer = Optimizer::new(engine, &parameters, &groups, settings).expect("an optimizer");
    (parameters, optimizer)
}

/// Each parameter has a group of its name.
fn step(optimizer: &mut Optimizer, params: &[Param], number: u32) {
    for (seed, param) in (100 * (number + 1)..).zip(params) {
        if optimizer.is_frozen(&param.name).expect("a group") {
            continue;
        }
        optimizer.upload_gradient(&param.name, &noise(seed, param.elements())).expect("a gradient");
    }
    optimizer.step().expect("a step");
}

fn values(parameters: &Parameters, params: &[Param]) -> Vec<Vec<u32>> {
    let bits = |param: &Param| parameters.read(&param.name).expect("values").into_iter().map(f32::to_bits).collect();
    params.iter().map(bits).collect()
}

#[test]
fn adafactor_keeps_rows_and_columns_alone() {
    let params = [Param::new("matrix", [1024, 512]), Param::new("stack", [8, 64, 3, 3]), Param::new("vector", [64])];
    for engine in fresh_engines() {
        let row = Row::of(Rule::Adafactor);
        let (_, mut optimizer) = begun(&engine, &params, row, Settings::default());
        // Rows, columns: of each small matrix three and three. All of them whole alignments.
        let expected = 4 * ((1024 + 512) + (8 * 64 * 3 + 8 * 64 * 3) + 64);
        assert_eq!(optimizer.state_bytes(), expected, "on {}", engine.name());
        assert_eq!(Forecast::of(&[row], &Settings::default()).state_bytes(&params), expected);
        step(&mut optimizer, &params, 0);
        let file = optimizer.read_state().expect("state");
        let file = SafeTensors::deserialize(&file).expect("a file");
        let shape = |name: &str| file.tensor(name).expect("a tensor").shape().to_vec();
        assert_eq!([shape("matrix.row_var"), shape("matrix.col_var")], [[1024, 1], [1, 512]]);
        assert_eq!([shape("stack.row_var"), shape("stack.col_var")], [[8, 64, 3, 1], [8, 64, 1, 3]]);
        assert_eq!((shape("vector.variance"), file.len()), (vec![64], 5 + 3));
    }
}

#[test]
fn adafactors_groups_share_each_stage() {
    let engine = Engine::cpu();
    let (_, mut optimizer) =
        begun(&engine, &params(), Row::of(Rule::Adafactor), Settings::default().clip(Clip::norm(1.0)));
    let program = optimizer.program().expect("a program");
    let kernels: Vec<&str> = program.dispatches.iter().map(|dispatch| dispatch.kernel.family.name).collect();
    let own = ["adafactor_rows", "adafactor_columns", "adafactor_fold", "adafactor_sums", "sums_fold", "adafactor"];
    assert_eq!(kernels, [&["norm", "control"][..], &own].concat());
}

#[test]
fn pages_change_no_bit_of_adafactor() {
    let params = params();
    for engine in engines() {
        let run = |page_bytes: Option<u64>| {
            let settings = Settings::default().page_bytes(page_bytes).clip(Clip::Value(0.5));
            let row = Row::of(Rule::Adafactor).weight_decay(0.1);
            let (parameters, mut optimizer) = begun(&engine, &params, row, settings);
            (0..3).for_each(|number| step(&mut optimizer, &params, number));
            (values(&parameters, &params), optimizer.read_state().expect("state"))
        };
        let whole = run(None);
        for page_bytes in [4096 * 4, 3 * 4096 * 4] {
            assert_eq!(run(Some(page_bytes)), whole, "pages of {page_bytes} on {}", engine.name());
        }
    }
}

/// A best copy, an average, a group that thaws late, and a run that goes on from its files: to the bit.
#[test]
fn adafactor_goes_on_to_the_bit() {
    let params = params();
    for engine in engines() {
        let row = Row::of(Rule::Adafactor).ema_decay(0.5);
        let (parameters, mut optimizer) = begun(&engine, &params, row, Settings::default());
        optimizer.freeze("p1", Refreeze::DropState).expect("frozen");
        let before = parameters.read("p1").expect("values");
        step(&mut optimizer, &params, 0);
        assert_eq!(parameters.read("p1").expect("values"), before, "a frozen matrix stays");
        optimizer.thaw("p1").expect("thawed");
        step(&mut optimizer, &params, 1);
        let counts = optimizer.read_applied_counts().expect("counts");
        assert_eq!((counts["p0"], counts["p1"]), (2, 1));

        let mut best = Best::new(u64::MAX);
        best.keep(&optimizer).expect("kept");
        let (kept, state) = (values(&parameters, &params), optimizer.read_state().expect("state"));
        step(&mut optimizer, &params, 2);
        let after = (values(&parameters, &params), optimizer.read_state().expect("state"));
        best.restore(&mut optimizer).expect("restored");
        assert_eq!((values(&parameters, &params), optimizer.read_state().expect("state")), (kept, state.clone()));
        step(&mut optimizer, &params, 2);
        assert_eq!((values(&parameters, &params), optimizer.read_state().expect("state")), after);

        best.restore(&mut optimizer).expect("restored");
        let file: Vec<Vec<f32>> = params.iter().map(|param| parameters.read(&param.name).expect("values")).collect();
        let (others, mut other) = begun(&engine, &params, row, Settings::default());
        for (param, values) in params.iter().zip(&file) {
            others.upload(&param.name, values).expect("an upload");
        }
        other.load_state(&state).expect("a state");
        step(&mut other, &params, 2);
        assert_eq!((values(&others, &params), other.read_state().expect("state")), after, "on {}", engine.name());
    }
}

#[test]
fn rows_and_columns_are_not_resized() {
    let engine = Engine::cpu();
    let external = |name: &str, shape: &[usize]| {
        let param = Param::new(name, shape.to_vec());
        let bytes = param.elements() as u64 * 4;
        let range = || engine.buffer("memory", bytes + 16).expect("a buffer").range(0, bytes).expect("a range");
        External::new(param, range()).gradient(range())
    };
    let all = [external("matrix", &[8, 5]), external("vector", &[8])];
    let groups = [Group::new("all", Row::of(Rule::Adafactor), ["matrix", "vector"])];
    let mut optimizer = Optimizer::over(&engine, &all, &groups, Settings::default()).expect("an optimizer");
    let rows = [3, 1, 1];
    let told = optimizer.resize(&[external("matrix", &[3, 5])], RowList::Host(&rows)).expect_err("refused").to_string();
    assert!(told.contains("its moments are those of rows and columns"), "{told}");
    optimizer.resize(&[external("vector", &[3])], RowList::Host(&rows)).expect("a vector's are its own");
    optimizer.freeze("all", Refreeze::DropState).expect("frozen");
    optimizer.resize(&[external("matrix", &[3, 5])], RowList::Host(&rows)).expect("nothing is kept");
}

#[test]
fn adafactor_by_its_class_is_adafactor() {
    let params = ["first", "second"].map(|name| Param::new(name, [2, 3]));
    let by_class = |class: &str, arguments: &str| {
        let new = format!("{{optimizer_init: {{class_path: {class}, init_args: {{{arguments}}}}}}}");
        let text = format!(
            "optimizer: {{type: sgd, lr: 0.1}}\nlr_scheduler: {{type: constant}}\n\
             phases: {{0: {{params: [first], max_transition_epoch: 1}}, 1: {{params: [second], new_optimizer: {new}}}}}"
        );
        let spec = Spec::parse("adafactor.yaml", &text).map_err(|error| error.to_string())?;
        let plan = Plan::new(&spec, &params[..], Epochs { epochs: 3, steps_per_epoch: 1 });
        plan.map(|plan| plan.row_of_param(1, 1)).map_err(|error| error.to_string())
    };
    let torch = "torch.optim.Adafactor";
    let original = Row::of(Rule::Adafactor);
    for (arguments, row) in [
        ("lr: 0.02", original.lr(0.02)),
        ("lr: 0.02, eps: [null, 0.01]", original.lr(0.02).eps2(0.01)),
        ("lr: 0.02, eps: [1.0e-4, 0.01], d: 2.0, foreach: true", original.lr(0.02).eps(1e-4).eps2(0.01).d(2.0)),
        ("lr: 0.02, beta2_decay: -0.5, maximize: true", original.lr(0.02).beta2_decay(-0.5).maximize(true)),
    ] {
        let found = by_class(torch, arguments).expect("a plan");
        assert_eq!(found, row.lr(found.lr), "{arguments}");
    }
    for (class, arguments, expected) in [
        (torch, "lr: 0.02, eps: [1.0e-4]", "a pair of numbers, or of None and a number"),
        (torch, "lr: 0.02, beta2_decay: 0.5", "beta2_decay = 0.5 is not a finite number that is 0 or less"),
        (torch, "lr: 0.02, relative_step: true", "an argument of torch.optim.Adafactor"),
        ("transformers.optimization.Adafactor", "lr: 0.02", "is not built: it adds eps to each square"),
        ("timm.optim.Adafactor", "lr: 0.02", "is not built: it adds eps to each square"),
    ] {
        let told = by_class(class, arguments).expect_err("refused");
        assert!(told.contains(expected), "{told}");
    }
    assert_eq!(original.eps, f64::from(f32::EPSILON));
}
