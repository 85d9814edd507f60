//! Runs with values in f16: their loss scale falls and grows, survives a checkpoint, and has an end.

use crate::support::{engines, folder};
use gradus::data::digits;
use gradus::engine::Engine;
use gradus::nn::models::Mlp;
use gradus::nn::{Activation, MixedPrecision, ValueStorage};
use gradus::optim::{LossScale, LossScaleState, Optimizer, Parameters, Settings};
use gradus::params::{Group, Param, Row, Rule};
use gradus::schedule::{Plan, Spec};
use gradus::train::{Checkpoints, Classify, Config, Event, LAYER_BOUND, Trainer, auto_precision};
use std::fs;

const SCHEDULE: &str = "optimizer: {type: adamw, lr: 2.0e-3}\nlr_scheduler: {type: constant}";

/// Gradients overflow with the first scales, and the scale grows again soon.
fn settings() -> Settings {
    Settings::default().guard(true).loss_scale(LossScale::default().init_scale(16_777_216.0).growth_interval(5))
}

fn trainer(engine: &Engine, values: ValueStorage, settings: Settings) -> Trainer {
    of(engine, values.into(), settings)
}

fn of(engine: &Engine, values: MixedPrecision, settings: Settings) -> Trainer {
    let (train, test) = digits().expect("digits").split(20, 3).expect("a split");
    let model = Mlp::new(&[64, 12, 10], Activation::Relu).expect("a model");
    let spec = Spec::parse("run.yaml", SCHEDULE).expect("a spec");
    let task = Classify::new(&model, (&train, &test)).expect("a task");
    let config = Config::default().epochs(2).values(values).settings(settings);
    Trainer::new(engine, &task, config, |params, epochs| Plan::new(&spec, params, epochs)).expect("a trainer")
}

/// Trains to the end; the scale after each step, and the last test loss.
fn run(trainer: &mut Trainer) -> (Vec<f32>, f64) {
    let (mut scales, mut loss) = (Vec::new(), f64::NAN);
    trainer
        .run(|event| match event {
            Event::Step(progress) => scales.extend(progress.stats.loss_scale),
            Event::Evaluation(evaluation) => loss = evaluation.val_loss,
            _ => {}
        })
        .expect("a run");
    (scales, loss)
}

fn bits(trainer: &Trainer) -> Vec<u8> {
    trainer.parameters().read_file().expect("parameters")
}

#[test]
fn a_run_in_f16_finds_its_scale_and_the_losses_of_f32() {
    for engine in engines() {
        let (scales, _) = run(&mut trainer(&engine, ValueStorage::F16, settings()));
        // With torch's scale nothing overflows here, and no step is skipped.
        let (steady, loss) = run(&mut trainer(&engine, ValueStorage::F16, Settings::default().guard(true)));
        let (none, exact) = run(&mut trainer(&engine, ValueStorage::F32, Settings::default().guard(true)));
        let fell = scales.windows(2).filter(|pair| pair[1] == pair[0] / 2.0).count();
        let grew = scales.windows(2).filter(|pair| pair[1] == pair[0] * 2.0).count();
        assert!(fell > 1 && grew > 1 && none.is_empty(), "{fell} and {grew} on {}", engine.name());
        assert!(steady.iter().all(|scale| *scale == 65_536.0), "{steady:?}");
        assert!((loss - exact).abs() < 0.005 * exact, "{loss} for {exact} on {}", engine.name());
    }
}

#[test]
fn a_resumed_run_goes_on_with_its_scale_and_has_the_same_bits() {
    for engine in engines() {
        let mut straight = trainer(&engine, ValueStorage::F16, settings());
        let (scales, loss) = run(&mut straight);
        let folder = folder("loss-scale");
        let checkpoints = || Checkpoints::new(&folder, 1, None).expect("a folder");
        let mut first = trainer(&engine, ValueStorage::F16, settings());
        first.checkpoint_to(checkpoints());
        while first.cursor().step() < 13 {
            first.advance(|_| ()).expect("a step");
        }
        first.checkpoint_now(|_| ()).expect("a checkpoint");
        let mut second = trainer(&engine, ValueStorage::F16, settings());
        assert_eq!(second.resume(checkpoints()).expect("a checkpoint").expect("one").steps, 13);
        let (rest, resumed_loss) = run(&mut second);
        assert_eq!(rest, scales[13..], "on {}", engine.name());
        assert_eq!(resumed_loss.to_bits(), loss.to_bits(), "on {}", engine.name());
        assert!(bits(&second) == bits(&straight), "other bits on {}", engine.name());
        let mut wide = trainer(&engine, ValueStorage::F32, Settings::default().guard(true));
        let refused = wide.resume(checkpoints()).expect_err("another storage").to_string();
        assert!(refused.contains("use_mixed_precision"), "{refused}");
        fs::remove_dir_all(folder).expect("the folder");
    }
}

/// A weight beyond the range of f16: no loss scale helps, and the run says where it is.
#[test]
fn what_overflows_in_the_forward_pass_ends_the_run_with_its_place() {
    for engine in engines() {
        let mut trainer = trainer(&engine, ValueStorage::F16, Settings::default().guard(true));
        trainer.parameters().upload("layers.0.weight", &[1e7; 64 * 12]).expect("values");
        let error = trainer.run(|_| ()).expect_err("an overflow").to_string();
        let expected = "steps in a row, up to step";
        let place = "were skipped: a number is not finite however small the loss scale, first from linear at \
                     \"layers.0.weight\"; values in bf16 have the range of f32";
        assert!(error.contains(expected) && error.contains(place), "{error}");
    }
}

#[test]
fn auto_tries_three_storages_and_tells_each_layers_error() {
    for engine in engines() {
        let found =
            auto_precision(|precision| Ok(of(&engine, precision, Settings::default().guard(true)))).expect("a choice");
        let storages: Vec<ValueStorage> = found.tried.iter().map(|tried| tried.values).collect();
        assert_eq!(storages, [ValueStorage::F32, ValueStorage::Bf16, ValueStorage::F16]);
        let [wide, bf16, f16] = &found.tried[..] else { panic!("three") };
        for (tried, [least, most]) in [(wide, [0.0, 0.0]), (bf16, [1e-4, LAYER_BOUND]), (f16, [1e-6, 1e-2])] {
            let layers: Vec<&str> = tried.errors.iter().map(|(layer, _)| layer.as_str()).collect();
            assert_eq!(layers, ["layers.0", "layers.1"]);
            let worst = tried.worst().expect("a layer").1;
            assert!(tried.seconds > 0.0 && worst >= least && worst <= most, "{tried:?}");
        }
        assert!(found.chosen.wide.is_empty() && !found.why.is_empty(), "{found:?}");
    }
}

#[test]
fn a_module_that_is_not_there_is_refused() {
    let (train, test) = digits().expect("digits").split(20, 3).expect("a split");
    let model = Mlp::new(&[64, 12, 10], Activation::Relu).expect("a model");
    let spec = Spec::parse("run.yaml", SCHEDULE).expect("a spec");
    let task = Classify::new(&model, (&train, &test)).expect("a task");
    let precision = MixedPrecision::new(ValueStorage::Bf16).wide(vec!["layer.1".to_owned()]);
    let plan = |params: gradus::schedule::ModelParams<'_>, epochs| Plan::new(&spec, params, epochs);
    let told = Trainer::new(&Engine::cpu(), &task, Config::default().values(precision), plan).map(|_| ());
    assert_eq!(
        told.expect_err("a refusal").to_string(),
        "use_mixed_precision.f32 has \"layer.1\", which is no module of the model (did you mean \"layers.1\"?)"
    );
}

#[test]
fn a_scale_is_checked() {
    let engine = Engine::cpu();
    let (train, test) = digits().expect("digits").split(20, 3).expect("a split");
    let model = Mlp::new(&[64, 12, 10], Activation::Relu).expect("a model");
    let task = Classify::new(&model, (&train, &test)).expect("a task");
    let spec = Spec::parse("run.yaml", SCHEDULE).expect("a spec");
    let refused = |values: ValueStorage, scale: LossScale| {
        let config = Config::default().values(values).settings(Settings::default().loss_scale(scale));
        let plan = |params: gradus::schedule::ModelParams<'_>, epochs| Plan::new(&spec, params, epochs);
        Trainer::new(&engine, &task, config, plan).map(|_| ()).expect_err("a refusal").to_string()
    };
    let usual = LossScale::default();
    for (values, scale, expected) in [
        (ValueStorage::Bf16, usual, "only values in f16 need a loss scale, and these are in bf16"),
        (ValueStorage::F16, usual.init_scale(0.0), "init_scale = 0 is not a finite number above 0"),
        (ValueStorage::F16, usual.growth_factor(1.0), "growth_factor = 1 is not a finite number above 1"),
        (ValueStorage::F16, usual.backoff_factor(1.0), "backoff_factor = 1 is not between 0 and 1"),
        (ValueStorage::F16, usual.growth_interval(0), "growth_interval = 0 is not 1 or more"),
    ] {
        let told = refused(values, scale);
        assert!(told.contains(expected), "{told}");
    }
    let parameters = Parameters::new(&engine, &[Param::new("a", [4])], None).expect("parameters");
    let groups = [Group::new("all", Row::of(Rule::AdamW), ["a"])];
    let mut optimizer =
        Optimizer::new(&engine, &parameters, &groups, Settings::default().loss_scale(usual)).expect("one");
    let told = optimizer.set_loss_scale(LossScaleState::new(f32::NAN, 0)).expect_err("no scale").to_string();
    assert_eq!(told, "init_scale = NaN is not a finite number above 0");
}
