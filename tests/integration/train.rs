//! The training loop: the same run twice, accumulation, and what a step costs.

use crate::support::{assert_close, engines, folder, fresh_gpu};
use gradus::data::{DataSet, digits};
use gradus::engine::Engine;
use gradus::nn::Activation;
use gradus::nn::models::Mlp;
use gradus::optim::{Clip, Settings};
use gradus::params::{Field, Row};
use gradus::schedule::law::{Cosine, Level};
use gradus::schedule::{Epochs, ModelParams, Plan, Spec};
use gradus::train::{Classify, Config, Evaluation, Event, StepsPerSubmission, Trainer};
use std::collections::BTreeMap;

fn sets() -> (DataSet, DataSet) {
    digits().expect("digits").split(20, 3).expect("a split")
}

fn config() -> Config {
    Config::default()
        .batch_size(32)
        .micro_batches(1)
        .epochs(3)
        .seed(5)
        .settings(Settings::default().guard(true).clip(Clip::norm(5.0)))
}

fn spec(row: Row) -> Spec {
    let mut spec = Spec::new(row);
    spec.no_decay = vec!["bias".to_owned()];
    spec
}

fn row() -> Row {
    Row::adamw(3e-3)
}

fn trainer(engine: &Engine, config: Config) -> Trainer {
    trainer_of(engine, config, row())
}

/// Everything trains from the start, by a cosine of the caller's own.
fn trainer_of(engine: &Engine, config: Config, row: Row) -> Trainer {
    let (train, test) = sets();
    let model = Mlp::new(&[64, 32, 10], Activation::Relu).expect("a model");
    let plan = |params: ModelParams<'_>, epochs: Epochs| {
        let law = Cosine::new(epochs.epochs * epochs.steps_per_epoch, Level::ZERO)?;
        Ok(Plan::new(&spec(row), params, epochs)?.with_law(Field::Lr, law))
    };
    let task = Classify::new(&model, (&train, &test)).expect("a task");
    Trainer::new(engine, &task, config, plan).expect("a trainer")
}

fn values(trainer: &Trainer) -> BTreeMap<String, Vec<f32>> {
    let parameters = trainer.parameters();
    let value = |name: &String| parameters.read(name).expect("values");
    parameters.params().iter().map(|param| (param.name.clone(), value(&param.name))).collect()
}

fn evaluations(trainer: &mut Trainer) -> Vec<Evaluation> {
    let mut evaluations = Vec::new();
    let tell = |event: &Event| {
        if let Event::Evaluation(evaluation) = event {
            evaluations.push(*evaluation);
        }
    };
    trainer.run(tell).expect("a run");
    evaluations
}

fn run(engine: &Engine, config: Config) -> (Vec<Evaluation>, BTreeMap<String, Vec<f32>>) {
    let mut trainer = trainer(engine, config);
    let epochs = evaluations(&mut trainer);
    (epochs, values(&trainer))
}

#[test]
fn two_runs_with_one_seed_give_the_same_bits() {
    for engine in engines() {
        let (epochs, parameters) = run(&engine, config());
        assert_eq!(epochs.len(), 3);
        assert!(
            epochs[2].metric("val_accuracy") > Some(0.85) && epochs[2].train_loss < epochs[0].train_loss,
            "{epochs:?}"
        );
        let (again, same) = run(&engine, config());
        let bits = |values: &BTreeMap<String, Vec<f32>>| {
            values.values().flatten().map(|value| value.to_bits()).collect::<Vec<u32>>()
        };
        assert!(epochs == again && bits(&parameters) == bits(&same), "two runs differ on {}", engine.name());
        let (_, other) = run(&engine, config().seed(6));
        assert!(bits(&parameters) != bits(&other), "another seed is another run");
    }
}

/// A clip norm in the row is enough: nobody needs to say it twice.
#[test]
fn a_clip_norm_in_the_row_turns_clipping_on() {
    for engine in engines() {
        let row = row().clip_norm(1e-3);
        let mut trainer = trainer_of(&engine, config().settings(Settings::default()).epochs(1), row);
        let mut clipped = Vec::new();
        let tell = |event: &Event| {
            if let Event::Step(progress) = event {
                clipped.push(progress.stats);
            }
        };
        trainer.run(tell).expect("a run");
        assert!(!clipped.is_empty());
        for stats in clipped {
            let norm = stats.grad_norm.expect("a norm");
            assert_close("clip", &[stats.clip_coefficient], &[(1e-3 / (norm + 1e-6)).min(1.0)], 1e-5, 0.0);
        }
    }
}

#[test]
fn a_run_goes_on_from_where_steps_by_hand_ended() {
    let engine = Engine::cpu();
    let (whole, parameters) = run(&engine, config());
    let mut trainer = trainer(&engine, config());
    for _ in 0..50 {
        trainer.take_step().expect("a step");
    }
    let epochs = evaluations(&mut trainer);
    assert_eq!(epochs[..], whole[1..], "the first of three epochs ended before the run began");
    assert_eq!(values(&trainer), parameters);
    trainer.run(|_| panic!("nothing is left")).expect("a run");
}

#[test]
fn both_engines_train_alike() {
    let engines = engines();
    let [gpu, cpu] = &engines[..] else { return };
    let ((on_gpu, _), (on_cpu, _)) = (run(gpu, config()), run(cpu, config()));
    for (a, b) in on_gpu.iter().zip(&on_cpu) {
        let pair = |epoch: &Evaluation| [epoch.train_loss as f32, epoch.val_loss as f32];
        // Roundings grow over 132 steps of training; 2e-3 is 20 times what was seen.
        assert_close(&format!("losses of epoch {}", a.epoch), &pair(a), &pair(b), 2e-3, 0.0);
    }
}

#[test]
fn micro_batches_add_up_to_the_batch() {
    for engine in engines() {
        let one = |batch_size, micro_batches| {
            let settings = Settings::default();
            let mut trainer =
                trainer(&engine, config().batch_size(batch_size).micro_batches(micro_batches).settings(settings));
            trainer.take_step().expect("a step");
            let gradient =
                |name: &str| engine.read(&trainer.optimizer().gradient(name).expect("a range")).expect("values");
            (gradient("layers.0.weight"), gradient("layers.1.bias"))
        };
        let (whole, parts) = (one(64, 1), one(16, 4));
        assert_close("weights", &parts.0, &whole.0, 1e-4, 1e-7);
        assert_close("biases", &parts.1, &whole.1, 1e-4, 1e-7);
    }
}

#[test]
fn a_training_step_is_one_submission_and_no_wait() {
    let Some(engine) = fresh_gpu() else { return };
    let mut trainer = trainer(&engine, config().epochs(10));
    trainer.take_step().expect("a step");
    let before = engine.counters();
    for _ in 0..300 {
        trainer.take_step().expect("a step");
    }
    let counted = engine.counters() - before;
    assert_eq!((counted.submissions, counted.blocking_waits), (300, 0));
    assert!(counted.uploads <= 3, "{counted:?}");
    let groups = 2;
    assert!(counted.uploaded_bytes <= 64 * 300 * groups, "{counted:?}");
    let [model, optimizer] = trainer.programs().expect("programs");
    assert_eq!(counted.dispatches, 300 * (model.dispatches.len() + optimizer.dispatches.len()) as u64);
    assert_eq!(optimizer.bytes(), 28 * (64 * 32 + 32 + 32 * 10 + 10), "the norm reads no gradient");
}

#[test]
fn settings_out_of_range_are_refused() {
    let (train, test) = sets();
    let engine = Engine::cpu();
    let told = |config: Config, sizes: &[usize]| {
        let model = Mlp::new(sizes, Activation::Gelu).expect("a model");
        let made = Classify::new(&model, (&train, &test)).and_then(|task| {
            Trainer::new(&engine, &task, config, |params, epochs| Plan::new(&spec(row()), params, epochs))
        });
        made.err().expect("an error").to_string()
    };
    assert_eq!(told(config().epochs(0), &[64, 10]), "epochs = 0: at least 1 is needed");
    assert_eq!(
        told(config().batch_size(800).micro_batches(2), &[64, 10]),
        "batch_size = 800: a step takes 1600 rows, the train set has 1438"
    );
    let steps_per_submission = StepsPerSubmission::AtMost(1025);
    assert_eq!(
        told(config().steps_per_submission(steps_per_submission), &[64, 10]),
        "steps_per_submission = 1025: it is from 1 to 1024"
    );
    assert_eq!(told(config(), &[65, 10]), "the train set has 64 inputs and 10 classes, the model 65 and 10");
    for (sizes, reason) in [(&[64][..], "at least inputs and classes"), (&[64, 0, 10], "size 0")] {
        let error = Mlp::new(sizes, Activation::Relu).expect_err("an error").to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn data_sets_are_checked() {
    let told = |values: usize, labels: Vec<u32>| {
        DataSet::new(2, 3, vec![0.0; values], labels).expect_err("an error").to_string()
    };
    assert_eq!(told(5, vec![0, 1]), "5 numbers and 2 labels do not make rows of 2 numbers with a label each");
    assert_eq!(told(4, vec![0, 3]), "row 1 has the label 3, but there are 3 classes (0 to 2)");
    let small = DataSet::new(1, 2, vec![0.0; 2], vec![0, 1]).expect("a set");
    assert_eq!(small.split(20, 0).expect_err("an error").to_string(), "2 rows cannot be split with 20 % held out");
}

#[test]
fn the_best_file_holds_what_was_tested_and_leaves_the_run_as_it_was() {
    let folder = folder("best-file");
    std::fs::create_dir_all(&folder).expect("a folder");
    for engine in engines() {
        let row = Row::adamw(0.05).ema_decay(0.3);
        let config = config().epochs(6).batch_size(16);
        let mut without = trainer_of(&engine, config.clone(), row);
        without.run(|_| ()).expect("a run");
        let mut trainer = trainer_of(&engine, config, row);
        let file = folder.join("best.safetensors");
        trainer.save_best_to(&file);
        let (mut written, mut kept) = (0, Vec::new());
        while !trainer.is_over() {
            let mut is_best = false;
            trainer.advance(|event| is_best |= matches!(event, Event::Best(path) if *path == file)).expect("a step");
            if is_best {
                (written, kept) = (written + 1, trainer.save_tested().expect("a file"));
                assert_eq!(trainer.saved_best().map(|best| best.step), Some(trainer.cursor().step()));
            }
        }
        assert!(written > 0 && std::fs::read(&file).expect("a file") == kept, "{}", engine.name());
        assert!(kept != trainer.parameters().read_file().expect("a file"), "averages are tested");
        assert!(values(&trainer) == values(&without), "on {}", engine.name());
    }
    std::fs::remove_dir_all(folder).expect("the folder was ours");
}
