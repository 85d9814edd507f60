//! `label_smoothing`: training and tests of a run go by it, and a run resumes only with its own.

use crate::support::{engines, folder};
use gradus::data::digits;
use gradus::engine::Engine;
use gradus::nn::Activation;
use gradus::nn::models::Mlp;
use gradus::schedule::{Plan, Spec};
use gradus::train::{Checkpoints, Classify, Config, Error, Event, Trainer};
use std::fs;

fn trainer(engine: &Engine, lr: f64, smoothing: f32) -> Result<Trainer, Error> {
    let (train, test) = digits().expect("digits").split(20, 3).expect("a split");
    let model = Mlp::new(&[64, 12, 10], Activation::Relu).expect("a model");
    let text = format!("optimizer: {{type: adamw, lr: {lr}}}\nlr_scheduler: {{type: constant}}");
    let spec = Spec::parse("run.yaml", &text).expect("a spec");
    let task = Classify::new(&model, (&train, &test)).expect("a task");
    Trainer::new(engine, &task, Config::default().label_smoothing(smoothing), |params, epochs| {
        Plan::new(&spec, params, epochs)
    })
}

/// The losses of training and test after an epoch.
fn losses(engine: &Engine, lr: f64, smoothing: f32) -> [f64; 2] {
    let mut losses = [f64::NAN; 2];
    let mut trainer = trainer(engine, lr, smoothing).expect("a trainer");
    let note = |event: &Event| {
        if let Event::Evaluation(evaluation) = event {
            losses = [evaluation.train_loss, evaluation.val_loss];
        }
    };
    trainer.run(note).expect("a run");
    losses
}

/// Of a model that does not move, the loss is a straight line of the smoothing, up to that of targets that say nothing.
#[test]
fn the_loss_of_training_and_test_is_a_line_of_the_smoothing() {
    for engine in engines() {
        let [none, half, all] = [0.0, 0.5, 1.0].map(|smoothing| losses(&engine, 0.0, smoothing));
        for part in 0..2 {
            let middle = (none[part] + all[part]) / 2.0;
            assert!((half[part] - middle).abs() < 1e-5, "{half:?} between {none:?} and {all:?} on {}", engine.name());
            assert!(all[part] >= 10f64.ln() && all[part] != none[part], "{all:?}");
        }
        let [[_, plain], [_, smoothed]] = [0.0, 0.2].map(|smoothing| losses(&engine, 2e-3, smoothing));
        assert!((plain - smoothed).abs() > 1e-3, "training does not go by it");
    }
}

#[test]
fn a_run_resumes_with_its_own_smoothing_and_nothing_else_is_one() {
    let engine = Engine::cpu();
    let folder = folder("label-smoothing");
    let checkpoints = || Checkpoints::new(&folder, 1, None).expect("a folder");
    let mut first = trainer(&engine, 1e-3, 0.1).expect("a trainer");
    first.checkpoint_to(checkpoints());
    first.advance(|_| ()).expect("a step");
    first.checkpoint_now(|_| ()).expect("a checkpoint");
    let told = trainer(&engine, 1e-3, 0.2).expect("a trainer").resume(checkpoints()).map(|_| ());
    let told = told.expect_err("another run").to_string();
    assert!(told.contains("label_smoothing"), "{told}");
    assert!(trainer(&engine, 1e-3, 0.1).expect("a trainer").resume(checkpoints()).expect("the same").is_some());
    fs::remove_dir_all(folder).expect("the folder");
    let told = trainer(&engine, 1e-3, 1.5).map(|_| ()).expect_err("too much").to_string();
    assert_eq!(told, "label_smoothing = 1.5 is not from 0 to 1");
}
