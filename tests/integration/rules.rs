//! Update rules from schedules and from files of state: every field follows a law, every class may be a new optimizer, and
//! what does not fit is refused.

use crate::support::{engines, noise};
use gradus::data::digits;
use gradus::engine::Engine;
use gradus::nn::Activation;
use gradus::nn::models::Mlp;
use gradus::optim::{Forecast, Optimizer, Parameters, Settings};
use gradus::params::{Field, Group, Param, Row, Rule};
use gradus::schedule::{Plan, Spec};
use gradus::train::{Classify, Config, Event, Trainer};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

const SHAPE: [usize; 2] = [7, 10];
const STEPS: u64 = 8;

fn begun(engine: &Engine, row: Row) -> (Parameters, Optimizer) {
    let params = [Param::new("p", SHAPE)];
    let parameters = Parameters::new(engine, &params, None).expect("parameters");
    parameters.upload("p", &noise(1, 70)).expect("an upload");
    let optimizer = Optimizer::new(engine, &parameters, &[Group::new("all", row, ["p"])], Settings::default());
    (parameters, optimizer.expect("an optimizer"))
}

fn step(optimizer: &mut Optimizer, step: u64) {
    optimizer.upload_gradient("p", &noise(100 + step as u32, 70)).expect("a gradient");
    optimizer.step().expect("a step");
}

/// A field's value that makes a difference in f32.
fn telling(rule: Rule, field: Field) -> f64 {
    match field {
        // Muon divides by the larger of a norm and this.
        Field::Eps if rule == Rule::Muon => 100.0,
        // Some of Adafactor's second moments are less than this one's square, and all of its parameters less than that.
        Field::Eps if rule == Rule::Adafactor => 0.5,
        Field::Eps2 => 10.0,
        Field::Beta2Decay => -0.75,
        Field::Lr => 0.1,
        // RAdam looks at its second moment only where that is one of several steps.
        Field::Beta2 => 0.9,
        // More than any cosine times the root of so many columns: every step loses a part.
        Field::Delta => 4.0,
        Field::Beta1 | Field::Beta3 | Field::Alpha | Field::Rho | Field::Momentum => 0.75,
        _ => 0.125,
    }
}

/// A law's rows have the bits of the same values set one by one, and the law makes a difference.
#[test]
fn every_field_of_every_rule_follows_a_law() {
    for rule in Rule::ALL {
        let row = Row::of(rule).fields().fold(Row::of(rule), |row, field| row.with(field, telling(rule, field)));
        for field in row.fields().filter(|field| *field != Field::Lr) {
            let law = format!("{{field: {field}, type: constant, warmup_steps: {STEPS}, warmup_start_ratio: 0.25}}");
            let text = format!("optimizer: {{type: {rule}}}\nlr_scheduler: {{type: constant}}\nlaws: [{law}]");
            let spec = Spec::parse("rule.yaml", &text).expect("a schedule");
            let rows = spec.table(&[row], STEPS, None).expect("rows");
            assert!(rows[0].get(field) != row.get(field), "{rule}: {field} moves");
            for engine in engines() {
                let (by_law, mut optimizer) = begun(&engine, row);
                optimizer.load_rows(0, &rows).expect("rows");
                (0..STEPS).for_each(|number| step(&mut optimizer, number));
                let (by_hand, mut optimizer) = begun(&engine, row);
                for number in 0..STEPS {
                    optimizer.set("all", field, rows[number as usize].get(field)).expect("a value");
                    step(&mut optimizer, number);
                }
                let (still, mut optimizer) = begun(&engine, row);
                (0..STEPS).for_each(|number| step(&mut optimizer, number));
                let [by_law, by_hand, still] = [by_law, by_hand, still].map(|it| it.read("p").expect("values"));
                assert_eq!(by_law, by_hand, "{rule}: {field} on {}", engine.name());
                assert_ne!(by_law, still, "{rule}: {field} makes no difference on {}", engine.name());
            }
        }
    }
}

/// The losses of a run of the digits, epoch by epoch.
fn losses(schedule: &str, epochs: usize) -> Vec<f64> {
    let (train, test) = digits().expect("the digits").split_stratified(20, 0).expect("two sets");
    let model = Mlp::new(&[64, 16, 10], Activation::Relu).expect("a model");
    let task = Classify::new(&model, (&train, &test)).expect("a task");
    let spec = Spec::parse("rule.yaml", schedule).expect("a schedule");
    let config = Config::default().epochs(epochs).batch_size(128);
    let plan = |params: gradus::schedule::ModelParams<'_>, run| Plan::new(&spec, params, run);
    let mut trainer = Trainer::new(&Engine::cpu(), &task, config, plan).expect("a trainer");
    let mut losses = Vec::new();
    trainer
        .run(|event| {
            if let Event::Evaluation(evaluation) = event {
                losses.push(evaluation.val_loss);
            }
        })
        .expect("a run");
    losses
}

#[test]
fn a_run_trains_by_several_rules() {
    let schedule = "optimizer: {type: adamw, lr: 3.0e-3, groups: [{match: '.*weight', type: lion, lr: 1.0e-3}, \
         {match: layers.0.bias, type: nadam}]}\nlr_scheduler: {type: cosine}";
    let losses = losses(schedule, 4);
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
}

#[test]
fn every_class_may_be_an_optimizer_that_begins_anew() {
    for rule in Rule::ALL.into_iter().filter(|rule| !rule.needs_matrices()) {
        for class in rule.classes() {
            let reinit = format!("{{optimizer_init: {{class_path: {class}, init_args: {{lr: 1.0e-3}}}}}}");
            let schedule = format!(
                "optimizer: {{type: sgd, lr: 0.1}}\nearly_stopping: {{monitor: val_loss, patience: 1}}\n\
                 finetuning: {{reinit_optim_cfg: {reinit}, base_max_lr: 1.0e-3}}"
            );
            let losses = losses(&schedule, 4);
            assert!(losses.iter().all(|loss| loss.is_finite()), "{class}: {losses:?}");
        }
    }
}

/// The file with one number in the place of another.
fn with_number(file: &[u8], name: &str, value: f32) -> Vec<u8> {
    let file = SafeTensors::deserialize(file).expect("a file");
    let number = value.to_le_bytes();
    let changed = |(known, view): (String, TensorView<'_>)| {
        let bytes = if known == name { number.to_vec() } else { view.data().to_vec() };
        (known, view.dtype(), view.shape().to_vec(), bytes)
    };
    let all: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = file.tensors().into_iter().map(changed).collect();
    let views = all.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).expect("a view"))
    });
    safetensors::serialize(views, None).expect("a file")
}

#[test]
fn a_product_of_momenta_that_cannot_be_is_refused() {
    for engine in engines() {
        let (parameters, mut optimizer) = begun(&engine, Row::of(Rule::NAdam));
        optimizer.load_state(&optimizer.read_state().expect("state")).expect("what was written");
        step(&mut optimizer, 0);
        let state = optimizer.read_state().expect("state");
        for (product, allowed) in [(1.0, "[0, 1)"), (-0.5, "[0, 1)"), (f32::NAN, "[0, 1)"), (1.5, "[0, 1)")] {
            let told = optimizer.load_state(&with_number(&state, "p.mu_product", product)).expect_err("an error");
            assert!(told.to_string().contains(&format!("\"p.mu_product\" = {product} is not in {allowed}")), "{told}");
        }
        assert_eq!(optimizer.read_state().expect("state"), state, "nothing changes");
        optimizer.load_state(&with_number(&state, "p.mu_product", 0.25)).expect("a product that can be");
        step(&mut optimizer, 1);
        assert!(parameters.read("p").expect("values").iter().all(|p| p.is_finite()));
    }
}

const LONG: [usize; 2] = [9001, 1];

/// An optimizer over a long tensor, a short one and one of another rule, on pages of so many bytes; what it leaves.
fn stepped(engine: &Engine, row: Row, page_bytes: Option<u64>) -> (Vec<Vec<f32>>, Vec<u8>) {
    let params = [Param::new("long", LONG), Param::new("between", [300]), Param::new("short", [5])];
    let parameters = Parameters::new(engine, &params, page_bytes).expect("parameters");
    for (seed, param) in (1..).zip(&params) {
        parameters.upload(&param.name, &noise(seed, param.elements())).expect("an upload");
    }
    let groups = [Group::new("own", row, ["long", "short"]), Group::new("other", Row::default(), ["between"])];
    let settings = Settings::default().page_bytes(page_bytes);
    let mut optimizer = Optimizer::new(engine, &parameters, &groups, settings).expect("an optimizer");
    for number in 0..3 {
        for (seed, param) in (10 * number..).zip(&params) {
            optimizer.upload_gradient(&param.name, &noise(1000 + seed, param.elements())).expect("a gradient");
        }
        optimizer.step().expect("a step");
    }
    let values = params.iter().map(|param| parameters.read(&param.name).expect("values")).collect();
    (values, optimizer.read_state().expect("state"))
}

/// The norms of a whole tensor are the same wherever it is cut.
#[test]
fn sums_over_a_tensor_do_not_depend_on_its_pages() {
    for engine in engines() {
        for rule in Rule::ALL.into_iter().filter(|rule| rule.needs_sums() && !rule.needs_matrices()) {
            let row = Row::of(rule).weight_decay(0.1).momentum(0.9);
            let (values, state) = stepped(&engine, row, None);
            for page_bytes in [4096 * 4, 2 * 4096 * 4] {
                let cut = stepped(&engine, row, Some(page_bytes));
                assert_eq!(
                    cut,
                    (values.clone(), state.clone()),
                    "{rule} on pages of {page_bytes} on {}",
                    engine.name()
                );
            }
            assert_ne!(values, stepped(&engine, row.weight_decay(0.0), None).0, "{rule}: the ratio makes a difference");
        }
    }
}

/// A step of a rule with sums: control, the sums of all tensors, their fold, the update. Bytes are those that were forecast.
#[test]
fn sums_are_two_dispatches_for_all_tensors() {
    let engine = Engine::cpu();
    let params: Vec<Param> = (1..40).map(|number| Param::new(format!("p{number}"), [128, number])).collect();
    let parameters = Parameters::new(&engine, &params, None).expect("parameters");
    for rule in Rule::ALL {
        let row = Row::of(rule);
        let groups: Vec<Group> =
            params.iter().map(|param| Group::new(format!("group of {}", param.name), row, [&param.name])).collect();
        let mut optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
        let program = optimizer.program().expect("a program");
        let kernels: Vec<&str> = program.dispatches.iter().map(|dispatch| dispatch.kernel.family.name).collect();
        let expected = match rule {
            // Sums of rows, those of columns, and their fold come before.
            Rule::Adafactor => 7,
            rule if rule.needs_sums() => 4,
            _ => 2,
        };
        assert!(kernels.len() == expected || rule.needs_matrices(), "{rule}: {kernels:?}");
        let forecast = Forecast::of(&[row], &Settings::default());
        assert_eq!(program.bytes(), forecast.step_bytes(&params), "{rule}");
    }
}

/// Groups of three rules, however many: three dispatches of the update.
#[test]
fn a_rule_is_one_dispatch_whatever_its_groups() {
    let engine = Engine::cpu();
    let params: Vec<Param> = (0..26).map(|number| Param::new(format!("p{number}"), [64 + number])).collect();
    let parameters = Parameters::new(&engine, &params, None).expect("parameters");
    let rules = [Rule::AdamW, Rule::Lion, Rule::Lamb];
    let group = |(number, param): (usize, &Param)| {
        Group::new(format!("group {number}"), Row::of(rules[number % 3]).lr(1e-4 * number as f64), [&param.name])
    };
    let groups: Vec<Group> = params.iter().enumerate().map(group).collect();
    let mut optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
    let program = optimizer.program().expect("a program");
    let kernels: Vec<&str> = program.dispatches.iter().map(|dispatch| dispatch.kernel.family.name).collect();
    assert_eq!(kernels, ["control", "lamb_sums", "sums_fold", "adamw", "lion", "lamb"]);
}

#[test]
fn schedule_free_is_evaluated_at_its_average() {
    for (rule, lr) in [("adamw_schedulefree", "5.0e-3"), ("sgd_schedulefree", "0.5")] {
        let schedule = format!("optimizer: {{type: {rule}, lr: {lr}}}\nlr_scheduler: {{type: constant}}");
        let losses = losses(&schedule, 5);
        assert!(losses[4] < 0.8 * losses[0], "{rule}: {losses:?}");
        let spec = format!("optimizer: {{type: {rule}, ema_decay: 0.9}}\nlr_scheduler: {{type: constant}}");
        let told = Spec::parse("rule.yaml", &spec).expect_err("refused").to_string();
        assert!(told.contains(&format!("ema_decay = 0.9 cannot be with type: {rule}")), "{told}");
    }
}

/// A state that is read and loaded goes on with the same bits, swapped or not in between.
#[test]
fn every_rule_goes_on_from_its_state() {
    for engine in engines() {
        for rule in Rule::ALL {
            let row = Row::of(rule).weight_decay(0.1).momentum(0.5);
            let (whole, mut optimizer) = begun(&engine, row);
            (0..STEPS).for_each(|number| step(&mut optimizer, number));
            let (first, mut optimizer) = begun(&engine, row);
            (0..2).for_each(|number| step(&mut optimizer, number));
            optimizer.swap_averages().expect("a swap");
            optimizer.swap_averages().expect("a swap back");
            let (values, state) = (first.read("p").expect("values"), optimizer.read_state().expect("state"));
            let (second, mut optimizer) = begun(&engine, row);
            second.upload("p", &values).expect("an upload");
            optimizer.load_state(&state).expect("state");
            (2..STEPS).for_each(|number| step(&mut optimizer, number));
            assert_eq!(
                second.read("p").expect("values"),
                whole.read("p").expect("values"),
                "{rule} on {}",
                engine.name()
            );
        }
    }
}

/// Another rule's state, and numbers that cannot be, change nothing.
#[test]
fn another_rules_state_is_refused() {
    let engine = Engine::cpu();
    let (_parameters, mut adan) = begun(&engine, Row::of(Rule::Adan));
    step(&mut adan, 0);
    let file = adan.read_state().expect("state");
    for rule in Rule::ALL.into_iter().filter(|rule| *rule != Rule::Adan) {
        let (_parameters, mut optimizer) = begun(&engine, Row::of(rule));
        let before = optimizer.read_state().expect("state");
        let told = optimizer.load_state(&file).expect_err("refused").to_string();
        assert!(told.contains("is no state of"), "{rule}: {told}");
        assert_eq!(optimizer.read_state().expect("state"), before, "{rule}");
    }
    let (_parameters, mut optimizer) = begun(&engine, Row::of(Rule::AdamWScheduleFree));
    step(&mut optimizer, 0);
    let state = optimizer.read_state().expect("state");
    for name in ["p.weight_sum", "p.lr_max"] {
        let told = optimizer.load_state(&with_number(&state, name, -1.0)).expect_err("refused").to_string();
        assert!(told.contains(&format!("{name:?} = -1 is not a finite number that is 0 or more")), "{told}");
    }
}
