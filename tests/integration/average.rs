//! The moving average of the parameters: when it moves and when it stays, the swap that an evaluation makes, files.
//! (`golden_optim` compares it with torch's AveragedModel, `optim_kernels` with its twins.)

use crate::support::{engines, fresh_gpu, noise, sized_engines};
use gradus::data::digits;
use gradus::engine::{Counters, Engine};
use gradus::nn::Activation;
use gradus::nn::models::Mlp;
use gradus::optim::{Best, External, Forecast, Optimizer, Parameters, Refreeze, Settings};
use gradus::params::{Field, Group, Param, Row, Rule, Storage};
use gradus::schedule::{Plan, Spec};
use gradus::train::{Classify, Config, Trainer};
use safetensors::tensor::SafeTensors;
use std::collections::BTreeMap;

fn row() -> Row {
    Row::adamw(1e-2).ema_decay(0.75)
}

fn plain() -> Row {
    row().ema_decay(None)
}

fn model() -> Vec<Param> {
    vec![
        Param::new("wide", [2 * 4096 + 77]),
        Param::new("head", [33]),
        Param::new("late", [5000]),
        Param::new("odd", [7]),
    ]
}

/// `wide` and `head` are averaged, `odd` is not, and `late` will be once it thaws.
fn groups() -> Vec<Group> {
    vec![
        Group::new("averaged", row(), ["wide", "head"]),
        Group::new("plain", plain(), ["odd"]),
        Group::new("late", row().moments(Storage::Bf16), ["late"]).frozen(),
    ]
}

fn filled(engine: &Engine) -> Parameters {
    let parameters = Parameters::new(engine, &model(), None).expect("parameters");
    for (seed, param) in model().iter().enumerate() {
        parameters.upload(&param.name, &noise(seed as u32, param.elements())).expect("an upload");
    }
    parameters
}

fn made(engine: &Engine, parameters: &Parameters, settings: Settings) -> Optimizer {
    Optimizer::new(engine, parameters, &groups(), settings).expect("an optimizer")
}

fn train(optimizer: &mut Optimizer, seeds: std::ops::Range<u32>) {
    for seed in seeds {
        for (place, param) in model().iter().enumerate() {
            if optimizer.is_trainable(&param.name).expect("a parameter") {
                let gradient = noise(1000 + seed * 10 + place as u32, param.elements());
                optimizer.upload_gradient(&param.name, &gradient).expect("a gradient");
            }
        }
        optimizer.step().expect("a step");
    }
}

fn values(parameters: &Parameters) -> BTreeMap<String, Vec<f32>> {
    model().into_iter().map(|param| (param.name.clone(), parameters.read(&param.name).expect("values"))).collect()
}

/// The averages that there are.
fn averages(optimizer: &Optimizer) -> BTreeMap<String, Vec<f32>> {
    let file = optimizer.read_state().expect("state");
    let file = SafeTensors::deserialize(&file).expect("a file");
    let average = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        Some((name.strip_suffix(".ema")?.to_owned(), bytemuck::pod_collect_to_vec(view.data())))
    };
    file.tensors().into_iter().filter_map(average).collect()
}

fn names(of: &BTreeMap<String, Vec<f32>>) -> Vec<&str> {
    of.keys().map(String::as_str).collect()
}

#[test]
fn it_begins_at_the_first_step_and_stays_where_nothing_moves() {
    for engine in engines() {
        let settings = Settings::default().guard(true);
        let parameters = filled(&engine);
        let mut optimizer = made(&engine, &parameters, settings);
        assert!(averages(&optimizer).is_empty(), "there is none before the first step");
        train(&mut optimizer, 0..1);
        let (first, average) = (values(&parameters), averages(&optimizer));
        assert_eq!(names(&average), ["head", "wide"]);
        assert!(average["wide"] == first["wide"] && average["head"] == first["head"], "the first step fills it");

        // A skipped step moves nothing.
        optimizer.upload_gradient("head", &[f32::NAN; 33]).expect("a gradient");
        optimizer.step().expect("a step");
        assert!(averages(&optimizer) == average, "skipped on {}", engine.name());

        // What thaws late begins at its own first step; what has no gradient this step stays.
        optimizer.thaw("late").expect("a group");
        let some = optimizer.select(&["wide", "late"]).expect("a selection");
        for (name, size) in [("wide", 2 * 4096 + 77), ("late", 5000)] {
            optimizer.upload_gradient(name, &noise(50, size)).expect("a gradient");
        }
        optimizer.step_over(&some).expect("a step");
        let (now, second) = (values(&parameters), averages(&optimizer));
        assert!(
            second["late"] == now["late"] && second["head"] == average["head"] && second["wide"] != average["wide"]
        );
        for place in 0..now["wide"].len() {
            let expected = 0.75 * f64::from(first["wide"][place]) + 0.25 * f64::from(now["wide"][place]);
            assert!((f64::from(second["wide"][place]) - expected).abs() <= 1e-6, "wide[{place}]");
        }

        // A frozen group's average stays; dropped with the state, it starts again.
        optimizer.freeze("averaged", Refreeze::KeepState).expect("a group");
        train(&mut optimizer, 2..4);
        let third = averages(&optimizer);
        assert!(third["wide"] == second["wide"] && third["late"] != second["late"]);
        optimizer.freeze("averaged", Refreeze::DropState).expect("a group");
        assert_eq!(names(&averages(&optimizer)), ["late"]);
        optimizer.thaw("averaged").expect("a group");
        train(&mut optimizer, 4..5);
        assert!(averages(&optimizer)["wide"] == values(&parameters)["wide"]);

        // A decay of 1 keeps it, one of 0 makes it the parameters, to the bit.
        let before = averages(&optimizer);
        optimizer.set("averaged", Field::EmaDecay, 1.0).expect("a value");
        train(&mut optimizer, 5..6);
        assert!(averages(&optimizer)["wide"] == before["wide"]);
        optimizer.set("averaged", Field::EmaDecay, 0.0).expect("a value");
        train(&mut optimizer, 6..7);
        assert!(averages(&optimizer)["wide"] == values(&parameters)["wide"]);
    }
}

#[test]
fn a_swap_is_there_and_back_to_the_bit() {
    for engine in sized_engines() {
        for page_bytes in [None, Some(4096 * 4)] {
            let settings = Settings::default().page_bytes(page_bytes);
            let parameters = filled(&engine);
            let mut optimizer = made(&engine, &parameters, settings);
            optimizer.swap_averages().expect("a swap of nothing");
            assert!(values(&parameters) == values(&filled(&engine)));
            optimizer.swap_averages().expect("and back");
            train(&mut optimizer, 0..3);
            optimizer.freeze("averaged", Refreeze::KeepState).expect("a group");
            let (before, average) = (values(&parameters), averages(&optimizer));
            let mut best = Best::new(u64::MAX);
            best.keep(&optimizer).expect("a copy");

            optimizer.swap_averages().expect("a swap");
            assert!(optimizer.is_swapped());
            let swapped = values(&parameters);
            for name in ["wide", "head"] {
                assert!(swapped[name] == average[name] && swapped[name] != before[name], "{name} on {}", engine.name());
            }
            for name in ["late", "odd"] {
                assert!(swapped[name] == before[name], "{name} has no average");
            }
            let refused = [
                optimizer.step().expect_err("an error"),
                optimizer.thaw("late").expect_err("an error"),
                optimizer.freeze("plain", Refreeze::KeepState).expect_err("an error"),
                optimizer.read_state().map(|_| ()).expect_err("an error"),
                optimizer.load_state(&[]).expect_err("an error"),
                optimizer.add_groups(&[]).expect_err("an error"),
                best.keep(&optimizer).expect_err("an error"),
                best.restore(&mut optimizer).expect_err("an error"),
                best.extend(&optimizer, &["late"]).expect_err("an error"),
            ];
            for error in refused {
                let told = "parameters and their averages are swapped: swap them back with swap_averages first";
                assert_eq!(error.to_string(), told);
            }
            assert!(values(&parameters) == swapped, "what is refused changes nothing");
            optimizer.swap_averages().expect("and back");
            assert!(values(&parameters) == before && averages(&optimizer) == average);
            train(&mut optimizer, 3..4);
        }
    }
}

#[test]
fn a_swap_leaves_what_lies_around_a_callers_tensor() {
    for engine in sized_engines() {
        for offset in [16, 12] {
            let size = 4096 + 33;
            let [values, gradient] =
                ["values", "gradient"].map(|label| engine.buffer(label, 20_000).expect("a buffer"));
            engine.write(&values, 0, &noise(1, 5000)).expect("a write");
            engine.write(&gradient, 0, &noise(2, 5000)).expect("a write");
            let range = |buffer: &gradus::engine::Buffer| buffer.range(offset, size as u64 * 4).expect("a range");
            let param = Param::new("p", [size]);
            let external = External::new(param, range(&values)).gradient(range(&gradient));
            let groups = [Group::new("all", row(), ["p"])];
            let mut optimizer =
                Optimizer::over(&engine, &[external], &groups, Settings::default()).expect("an optimizer");
            for _ in 0..3 {
                optimizer.step().expect("a step");
            }
            let read = || engine.read::<f32>(&values.all()).expect("values");
            let (before, average) = (read(), averages(&optimizer));
            optimizer.swap_averages().expect("a swap");
            let swapped = read();
            let first = offset as usize / 4;
            assert!(swapped[first..][..size] == average["p"], "from byte {offset} on {}", engine.name());
            assert!(swapped[..first] == before[..first] && swapped[first + size..] == before[first + size..]);
            optimizer.swap_averages().expect("and back");
            assert!(read() == before);
        }
    }
}

#[test]
fn it_costs_8_bytes_a_parameter_and_a_swap_one_submission() {
    let engine = Engine::cpu();
    let [wide, head, late, odd] = &model()[..] else { panic!("four parameters") };
    let parameters = filled(&engine);
    let mut optimizer = made(&engine, &parameters, Settings::default());
    optimizer.thaw("late").expect("a group");
    let of = |row: Row| Forecast::of(&[row], &Settings::default());
    let small = row().moments(Storage::Bf16);
    let sum = |bytes: fn(&Forecast, &[&Param]) -> u64| {
        bytes(&of(row()), &[wide, head]) + bytes(&of(plain()), &[odd]) + bytes(&of(small), &[late])
    };
    let program = optimizer.program().expect("a program");
    let elements = |param: &Param| param.elements() as u64;
    let expected = 36 * (elements(wide) + elements(head)) + 28 * elements(odd) + 28 * elements(late);
    assert_eq!(program.bytes(), expected);
    assert_eq!(program.bytes(), sum(|forecast, params| forecast.step_bytes(params.iter().copied())));
    let kernels: Vec<&str> = program.dispatches.iter().map(|dispatch| dispatch.kernel.name).collect();
    assert_eq!(kernels, ["control", "adamw.average", "adamw", "adamw.bf16_average"]);
    assert_eq!(optimizer.state_bytes(), sum(|forecast, params| forecast.state_bytes(params.iter().copied())));
    let mut best = Best::new(u64::MAX);
    best.keep(&optimizer).expect("a copy");
    assert_eq!(best.bytes(), sum(|forecast, params| forecast.best_bytes(params.iter().copied())));
    let swap = optimizer.swap().expect("a program").expect("there is something to swap").program();
    assert_eq!(swap.bytes(), 16 * (elements(wide) + elements(head) + elements(late)));

    let Some(engine) = fresh_gpu() else { return };
    let parameters = filled(&engine);
    let mut optimizer = made(&engine, &parameters, Settings::default());
    train(&mut optimizer, 0..1);
    optimizer.swap().expect("made");
    let before = engine.counters();
    optimizer.swap_averages().expect("a swap");
    let cost = engine.counters() - before;
    let Counters { submissions, uploaded_bytes, downloaded_bytes, blocking_waits, .. } = cost;
    assert_eq!((submissions, uploaded_bytes, downloaded_bytes, blocking_waits), (1, 0, 0, 0), "{cost:?}");
}

#[test]
fn files_hold_it() {
    for engine in engines() {
        let parameters = filled(&engine);
        let mut optimizer = made(&engine, &parameters, Settings::default());
        train(&mut optimizer, 0..3);
        let (saved, state) = (parameters.read_file().expect("a file"), optimizer.read_state().expect("state"));
        train(&mut optimizer, 3..6);
        let straight = (parameters.read_file().expect("a file"), optimizer.read_state().expect("state"));

        let resumed = filled(&engine);
        resumed.load(&saved).expect("a file");
        let mut optimizer = made(&engine, &resumed, Settings::default());
        optimizer.load_state(&state).expect("state");
        assert!(optimizer.read_state().expect("state") == state, "a state read back is the state");
        train(&mut optimizer, 3..6);
        assert!(
            (resumed.read_file().expect("a file"), optimizer.read_state().expect("state")) == straight,
            "and goes on"
        );

        // Without an average in the file it begins at the next step; the average of a group that keeps none is refused.
        let whole = SafeTensors::deserialize(&state).expect("a file");
        let without = whole.tensors().into_iter().filter(|(name, _)| !name.ends_with(".ema"));
        let without = safetensors::serialize(without, None).expect("a file");
        optimizer.load_state(&without).expect("state");
        train(&mut optimizer, 6..7);
        assert!(averages(&optimizer)["wide"] == values(&resumed)["wide"]);
        let groups = [Group::new("all", plain(), ["wide", "head", "odd"])];
        let mut other = Optimizer::new(&engine, &resumed, &groups, Settings::default()).expect("an optimizer");
        let told = other.load_state(&state).expect_err("an error").to_string();
        assert!(told.ends_with("is an average, and its group keeps none"), "{told}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let engine = Engine::cpu();
    let parameters = filled(&engine);
    for (decay, text) in [(1.5, "1.5"), (-0.1, "-0.1"), (f64::NAN, "NaN")] {
        let groups = [Group::new("all", row().ema_decay(decay), ["odd"])];
        let error = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect_err("an error");
        assert_eq!(error.to_string(), format!("group \"all\": ema_decay = {text} is not in [0, 1]"));
    }
    let mut optimizer = made(&engine, &parameters, Settings::default());
    let told = optimizer.load_rows(0, &[plain(), plain(), row()]).expect_err("an error").to_string();
    assert_eq!(told, "3 rows for 3 groups: an average cannot come or go from step to step");
    let told = optimizer.set("plain", Field::EmaDecay, 0.5).expect_err("an error").to_string();
    assert!(told.contains("adamw has no ema_decay"), "{told}");
    assert!(optimizer.swap().expect("a program").is_some());
    let groups = [Group::new("all", plain(), ["odd"])];
    let mut none = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
    assert!(none.swap().expect("a program").is_none());

    let read = |optimizer: &str, rest: &str| {
        let text = format!("optimizer: {{{optimizer}}}\nlr_scheduler: {{type: constant}}\n{rest}");
        Spec::parse("run.yaml", &text).map_err(|error| error.to_string())
    };
    let spec = read("type: sgd, ema_decay: 0.99", "laws: [{field: ema_decay, type: linear, end_ratio: 0.5}]");
    let spec = spec.expect("a spec");
    assert_eq!(spec.row, Row::of(Rule::Sgd).ema_decay(0.99));
    let table = spec.table(&[spec.row], 100, None).expect("rows");
    assert!(
        table[0].ema_decay == Some(0.99) && (table[50].get(Field::EmaDecay) - 0.7425).abs() < 1e-12,
        "{:?}",
        table[50]
    );
    assert_eq!(
        read("type: adamw, ema_decay: 2", "").expect_err("an error"),
        "run.yaml: optimizer.ema_decay = 2 is not in [0, 1]"
    );
    let told = read("type: adamw", "laws: [{field: ema_decay, type: linear}]").expect_err("an error");
    assert!(told.ends_with("field = ema_decay needs optimizer.ema_decay, from which it starts"), "{told}");
}

/// A trainer's evaluations are of the averages, and training is as it is without them.
#[test]
fn evaluations_test_the_average() {
    for engine in engines() {
        let (train, test) = digits().expect("digits").split(20, 3).expect("a split");
        let model = Mlp::new(&[64, 32, 10], Activation::Relu).expect("a model");
        let task = Classify::new(&model, (&train, &test)).expect("a task");
        let trainer = |keys: &str| {
            let text = format!("optimizer: {{type: adamw, lr: 3.0e-3{keys}}}\nlr_scheduler: {{type: constant}}");
            let spec = Spec::parse("run.yaml", &text).expect("a spec");
            let config = Config::default().epochs(2).seed(4);
            let plan = |params: gradus::schedule::ModelParams<'_>, epochs| Plan::new(&spec, params, epochs);
            Trainer::new(&engine, &task, config, plan).expect("a trainer")
        };
        let bits = |trainer: &Trainer| trainer.parameters().read_file().expect("a file");
        let (mut plain, mut averaged) = (trainer(""), trainer(", ema_decay: 0.9"));
        for trainer in [&mut plain, &mut averaged] {
            for _ in 0..40 {
                trainer.take_step().expect("a step");
            }
        }
        let [one, other] = [&mut plain, &mut averaged].map(|trainer| trainer.evaluate_now().expect("an evaluation"));
        assert!(bits(&plain) == bits(&averaged), "training is the same on {}", engine.name());
        assert_ne!(one.val_loss, other.val_loss);

        // The same figures from the averages as a model's parameters.
        let state = averaged.optimizer().read_state().expect("state");
        let state = SafeTensors::deserialize(&state).expect("a file");
        for name in plain.parameters().params().iter().map(|param| &param.name) {
            let view = state.tensor(&format!("{name}.ema")).expect("an average");
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
            plain.parameters().upload(name, &values).expect("an upload");
        }
        let again = plain.evaluate_now().expect("an evaluation");
        assert_eq!((again.val_loss, again.metric("val_accuracy")), (other.val_loss, other.metric("val_accuracy")));
    }
}
