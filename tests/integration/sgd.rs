//! SGD beside AdamW: torch's first-step rule, state to and from files, what a schedule may move, what is refused.

use crate::support::{assert_close, engines, noise};
use gradus::engine::Engine;
use gradus::optim::{Error, Optimizer, Parameters, Settings};
use gradus::params::{Field, Group, Param, Row, Rule};
use gradus::schedule::Spec;
use safetensors::SafeTensors;

const SIZE: usize = 70;

fn start(engine: &Engine, names: &[&str]) -> Parameters {
    let params: Vec<Param> = names.iter().map(|name| Param::new(*name, [SIZE])).collect();
    let parameters = Parameters::new(engine, &params, None).expect("parameters");
    for (seed, name) in names.iter().enumerate() {
        parameters.upload(name, &noise(seed as u32, SIZE)).expect("an upload");
    }
    parameters
}

fn sgd() -> Row {
    Row::sgd(0.1).momentum(0.9).dampening(0.3)
}

fn gradient(step: u32) -> Vec<f32> {
    noise(100 + step, SIZE)
}

/// `torch.optim.SGD` on one element's gradients, with a momentum for each step.
fn reference(start: f32, gradients: &[f32], momenta: &[f64], row: &Row) -> f32 {
    let (mut p, mut buffer) = (f64::from(start), None);
    for (g, momentum) in gradients.iter().zip(momenta) {
        let g = f64::from(*g) + row.weight_decay * p;
        let along = match (*momentum, buffer) {
            (0.0, _) => g,
            (_, None) => *buffer.insert(g),
            (momentum, Some(old)) => *buffer.insert(momentum * old + (1.0 - row.dampening) * g),
        };
        p -= row.lr * along;
    }
    p as f32
}

/// The buffer starts as the gradient at the tensor's first step with momentum, whenever that is: a group that thaws late,
/// a momentum that a schedule brings up from 0, and one that it takes away for a while.
#[test]
fn the_first_gradient_fills_the_buffer() {
    let momenta = [0.0, 0.9, 0.9, 0.0, 0.8];
    let row = sgd().momentum(0.0).weight_decay(0.01);
    for engine in engines() {
        let parameters = start(&engine, &["early", "late"]);
        let groups = [Group::new("early", row, ["early"])];
        let mut optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
        for (step, momentum) in momenta.iter().enumerate() {
            if step == 2 {
                optimizer.add_group(&Group::new("late", row, ["late"])).expect("a group");
                optimizer.upload_gradient("late", &gradient(2)).expect("a gradient");
            }
            for group in optimizer.groups().map(str::to_owned).collect::<Vec<_>>() {
                optimizer.set(&group, Field::Momentum, *momentum).expect("a value");
                optimizer.upload_gradient(&group, &gradient(step as u32)).expect("a gradient");
            }
            optimizer.step().expect("a step");
        }
        for (name, seed, first) in [("early", 0, 0), ("late", 1, 2)] {
            let gradients: Vec<Vec<f32>> = (first..5).map(gradient).collect();
            let expected: Vec<f32> = noise(seed, SIZE)
                .iter()
                .enumerate()
                .map(|(place, p)| {
                    let own: Vec<f32> = gradients.iter().map(|gradient| gradient[place]).collect();
                    reference(*p, &own, &momenta[first as usize..], &row)
                })
                .collect();
            let got = parameters.read(name).expect("values");
            assert_close(&format!("{name} on {}", engine.name()), &got, &expected, 1e-6, 1e-7);
        }
        let counts = optimizer.read_applied_counts().expect("counts");
        assert_eq!((counts["early"], counts["late"]), (5, 3));
    }
}

#[test]
fn a_step_moves_20_bytes_a_parameter_and_keeps_one_moment() {
    let engine = Engine::cpu();
    let parameters = start(&engine, &["p"]);
    for momentum in [0.0, 0.9] {
        let groups = [Group::new("all", sgd().momentum(momentum), ["p"])];
        let mut optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
        let program = optimizer.program().expect("a program");
        assert_eq!(program.bytes(), 20 * SIZE as u64);
        assert!(program.to_string().starts_with("sgd step: 2 dispatches"), "{program}");
    }
}

#[test]
fn state_goes_to_a_file_and_back() {
    for engine in engines() {
        let groups = [Group::new("all", sgd(), ["a", "b"])];
        let make = |parameters: &Parameters| {
            Optimizer::new(&engine, parameters, &groups, Settings::default()).expect("an optimizer")
        };
        let run = |optimizer: &mut Optimizer, parameters: &Parameters, steps: std::ops::Range<u32>| {
            for step in steps {
                for name in ["a", "b"] {
                    optimizer.upload_gradient(name, &gradient(step)).expect("a gradient");
                }
                optimizer.step().expect("a step");
            }
            parameters.read_file().expect("a file")
        };
        let parameters = start(&engine, &["a", "b"]);
        let mut optimizer = make(&parameters);
        let fresh = optimizer.read_state().expect("state");
        assert!(SafeTensors::deserialize(&fresh).expect("a file").tensor("a.momentum_buffer").is_err(), "as in torch");
        let saved = run(&mut optimizer, &parameters, 0..3);
        let state = optimizer.read_state().expect("state");
        let straight = run(&mut optimizer, &parameters, 3..6);

        // torch's own state of SGD has the buffer and no count.
        let whole = SafeTensors::deserialize(&state).expect("a file");
        let buffers = whole.tensors().into_iter().filter(|(name, _)| name.ends_with("momentum_buffer"));
        let from_torch = safetensors::serialize(buffers, None).expect("a file");
        for file in [&state, &from_torch] {
            let resumed = start(&engine, &["a", "b"]);
            resumed.load(&saved).expect("a file");
            let mut optimizer = make(&resumed);
            optimizer.load_state(file).expect("state");
            assert!(run(&mut optimizer, &resumed, 3..6) == straight, "a run that goes on is the run");
        }
        // A fresh state says that there was no gradient yet: the next one fills the buffer.
        optimizer.load_state(&fresh).expect("state");
        parameters.load(&start(&engine, &["a", "b"]).read_file().expect("a file")).expect("a file");
        assert!(run(&mut optimizer, &parameters, 0..3) == saved);

        let adamw = [Group::new("all", Row::default(), ["a", "b"])];
        let mut adamw = Optimizer::new(&engine, &parameters, &adamw, Settings::default()).expect("an optimizer");
        let told = adamw.load_state(&from_torch).expect_err("an error").to_string();
        assert!(told.contains(".momentum_buffer\" is no state of adamw"), "{told}");
        let told = optimizer.load_state(&adamw.read_state().expect("state")).expect_err("an error").to_string();
        assert!(told.contains("is no state of sgd"), "{told}");
    }
}

/// A step has a dispatch for each rule in use, and each group the values that it has alone.
#[test]
fn rules_with_different_kernels_stand_side_by_side() {
    let engine = Engine::cpu();
    let lion = Row::of(Rule::Lion);
    let run = |groups: &[Group]| {
        let parameters = start(&engine, &["a", "b", "c"]);
        let mut optimizer = Optimizer::new(&engine, &parameters, groups, Settings::default()).expect("an optimizer");
        for step in 0..3 {
            for group in groups {
                for name in &group.params {
                    let count = parameters.read(name).expect("values").len();
                    let gradient: Vec<f32> = (0..count).map(|at| ((at + step) % 7) as f32 - 3.0).collect();
                    optimizer.upload_gradient(name, &gradient).expect("a gradient");
                }
            }
            optimizer.step().expect("a step");
        }
        let dispatches = optimizer.program().expect("a program").dispatches.len();
        (dispatches, ["a", "b", "c"].map(|name| parameters.read(name).expect("values")))
    };
    let groups =
        [Group::new("one", Row::default(), ["a"]), Group::new("two", sgd(), ["b"]), Group::new("three", lion, ["c"])];
    let (dispatches, together) = run(&groups);
    assert_eq!(dispatches, 4, "control, and an update for each rule");
    for (place, group) in groups.into_iter().enumerate() {
        let (_, alone) = run(&[group]);
        assert!(alone[place] == together[place], "group {place}");
    }
}

#[test]
fn what_sgd_has_not_is_refused() {
    let engine = Engine::cpu();
    let parameters = start(&engine, &["a", "b"]);
    let make =
        |row: Row| Optimizer::new(&engine, &parameters, &[Group::new("one", row, ["a", "b"])], Settings::default());
    let mut optimizer = make(sgd()).expect("an optimizer");
    let told = |result: Result<(), Error>| result.expect_err("an error").to_string();
    assert_eq!(
        told(optimizer.set("one", Field::Beta1, 0.5)),
        "group \"one\": sgd has no beta1; its fields are lr, weight_decay, momentum"
    );
    assert_eq!(
        told(optimizer.load_rows(0, &[Row::default()])),
        "1 rows for 1 groups: rule and amsgrad cannot change from step to step"
    );
    for (row, expected) in [
        (sgd().momentum(-0.1), "group \"one\": momentum = -0.1 is not a finite number that is 0 or more"),
        (sgd().dampening(f64::NAN), "group \"one\": dampening = NaN is not a finite number"),
        (
            sgd().nesterov(true),
            "group \"one\": nesterov needs a momentum above 0 and no dampening (momentum = 0.9, dampening = 0.3)",
        ),
    ] {
        assert_eq!(make(row).expect_err("an error").to_string(), expected);
    }
}

#[test]
fn a_schedule_moves_momentum() {
    let read = |optimizer: &str, rest: &str| {
        Spec::parse("run.yaml", &format!("optimizer: {{type: sgd{optimizer}}}\n{rest}"))
            .map_err(|error| error.to_string())
    };
    let spec = read(
        ", lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 1.0e-4, no_decay: [bias]",
        "lr_scheduler: {type: cosine}\nlaws: [{field: momentum, type: linear, end_ratio: 0.5}]",
    )
    .expect("a spec");
    assert_eq!(spec.row, Row::sgd(0.1).momentum(0.9).nesterov(true).weight_decay(1e-4));
    let table = spec.table(&[spec.row], 100, None).expect("rows");
    assert!(table[0].momentum == 0.9 && (table[50].momentum - 0.675).abs() < 1e-12, "{:?}", table[50]);

    // By class name momentum cycles as in torch, where AdamW has its beta1.
    let cycles =
        "lr_scheduler: {class_path: torch.optim.lr_scheduler.OneCycleLR, init_args: {max_lr: 2.0, total_steps: 6}}";
    let spec = read(", momentum: 0.5", cycles).expect("a spec");
    let table = spec.table(&[spec.row], 6, None).expect("rows");
    assert!(table[0].momentum == 0.95 && table.iter().any(|row| row.momentum < 0.9), "{table:?}");
    assert!(table.iter().all(|row| row.beta1 == 0.9));

    let told = |optimizer: &str, rest: &str| read(optimizer, rest).expect_err("an error");
    let law = "lr_scheduler: {type: constant}";
    assert!(told(", betas: [0.9, 0.99]", law).starts_with("run.yaml: optimizer.betas is not a known key"));
    let betas = told("", &format!("{law}\nlaws: [{{field: beta1, type: linear}}]"));
    assert!(betas.contains("beta1 is not one of weight_decay, momentum"), "{betas}");
    assert_eq!(
        told("", "lr_scheduler: {type: one_cycle, beta1_min: 0.85}"),
        "run.yaml: lr_scheduler.beta1_min has no place here: sgd has no beta1: move its momentum by an entry of laws"
    );
    assert_eq!(
        told(", nesterov: true", law),
        "run.yaml: optimizer.nesterov = true needs a momentum above 0 and no dampening \
         (momentum: 0, dampening: 0)"
    );
    assert!(told(", momentum: -1", law).contains("optimizer.momentum = -1 is not a finite number that is 0 or more"));
    assert!(told(", dampening: .nan", law).contains("optimizer.dampening = NaN is not a finite number"));
}
