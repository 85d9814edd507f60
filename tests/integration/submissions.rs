//! Several steps in one submission: the same run to the last bit, and fewer calls to the queue.

use crate::support::{engines, folder, fresh_gpu};
use gradus::data::digits;
use gradus::engine::{Counters, Engine};
use gradus::nn::Activation;
use gradus::nn::models::Mlp;
use gradus::schedule::{Plan, Spec};
use gradus::train::{Began, Checkpoints, Classify, Config, Evaluation, Event, Progress, StepsPerSubmission, Trainer};

/// Phases, a law, an average, and evaluations between epochs. An epoch has 44 steps.
const GRADUAL: &str = "
optimizer: {type: adamw, lr: 5.0e-3, weight_decay: 0.05, no_decay: [bias], ema_decay: 0.9}
lr_scheduler: {type: cosine}
early_stopping: {monitor: val_loss, patience: 2, min_delta: 0.3}
evaluate_every_steps: 30
phases:
  0: {params: ['layers.1.*'], max_transition_epoch: 2}
  1: {params: ['layers.0.*'], lr: 1.0e-3}
";
const PLAIN: &str = "optimizer: {type: adamw, lr: 3.0e-3}\nlr_scheduler: {type: cosine}";
const EPOCH: u64 = 44;

fn trainer(engine: &Engine, schedule: &str, steps_per_submission: StepsPerSubmission, epochs: usize) -> Trainer {
    let (train, test) = digits().expect("digits").split(20, 3).expect("a split");
    let model = Mlp::new(&[64, 24, 10], Activation::Relu).expect("a model");
    let spec = Spec::parse("run.yaml", schedule).expect("a spec");
    let task = Classify::new(&model, (&train, &test)).expect("a task");
    let config = Config::default().epochs(epochs).steps_per_submission(steps_per_submission);
    Trainer::new(engine, &task, config, |params, epochs| Plan::new(&spec, params, epochs)).expect("a trainer")
}

/// All that a run told but for what a clock says.
#[derive(Debug, Default, PartialEq)]
struct Told {
    steps: Vec<Progress>,
    evaluations: Vec<Evaluation>,
    began: Vec<Began>,
    checkpoints: usize,
}

impl Told {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Step(progress) => {
                let mut progress = progress.clone();
                progress.stats.device_seconds = None;
                self.steps.push(progress);
            }
            Event::Evaluation(evaluation) => self.evaluations.push(*evaluation),
            Event::Phase(began) => self.began.push(began.clone()),
            Event::Checkpoint(_) => self.checkpoints += 1,
            _ => (),
        }
    }
}

fn bits(trainer: &Trainer) -> (Vec<u8>, Vec<u8>) {
    (trainer.parameters().read_file().expect("a file"), trainer.optimizer().read_state().expect("a file"))
}

#[test]
fn how_many_steps_a_submission_has_changes_no_bit() {
    for engine in engines() {
        let run = |steps_per_submission, every: Option<u64>| {
            let folder = folder("at-once");
            let mut trainer = trainer(&engine, GRADUAL, steps_per_submission, 5);
            if every.is_some() {
                trainer.checkpoint_to(Checkpoints::new(&folder, 2, every).expect("a folder"));
            }
            let mut told = Told::default();
            trainer.run(|event| told.note(event)).expect("a run");
            let _ = std::fs::remove_dir_all(folder);
            (told, bits(&trainer), trainer.cursor().clone(), trainer.lrs().to_vec(), trainer.optimizer_bytes())
        };
        for every in [None, Some(37)] {
            let one_by_one = run(StepsPerSubmission::AtMost(1), every);
            assert!(one_by_one.0.began.len() == 1 && one_by_one.0.evaluations.len() > 5);
            for steps in [StepsPerSubmission::AtMost(7), StepsPerSubmission::AtMost(1024), StepsPerSubmission::Auto] {
                let at_once = run(steps, every);
                // Of single steps, software may be slow enough to leave a report out; of several none is.
                let all = at_once.2.step();
                assert_eq!(at_once.0.steps.len() as u64, all, "each step is told, {steps:?} on {}", engine.name());
                let mut known = at_once.0.steps.iter();
                assert!(one_by_one.0.steps.iter().all(|step| known.any(|other| other == step)), "{steps:?}");
                let same = |one: &Told, other: &Told| {
                    assert_eq!(one.evaluations, other.evaluations);
                    assert_eq!(one.began, other.began);
                    assert_eq!(one.checkpoints, other.checkpoints);
                };
                same(&at_once.0, &one_by_one.0);
                assert!(at_once.1 == one_by_one.1, "{steps:?} on {}", engine.name());
                assert_eq!((&at_once.2, &at_once.3, at_once.4), (&one_by_one.2, &one_by_one.3, one_by_one.4));
            }
        }
    }
}

/// What so many epochs cost, and how often the trainer was asked to continue.
fn cost(engine: &Engine, steps: StepsPerSubmission, epochs: usize) -> (Counters, u64) {
    let mut trainer = trainer(engine, PLAIN, steps, epochs);
    trainer.programs().expect("programs");
    let (before, mut calls) = (engine.counters(), 0);
    while !trainer.is_over() {
        trainer.advance(|_| ()).expect("steps");
        calls += 1;
    }
    (engine.counters() - before, calls)
}

#[test]
fn a_submission_holds_as_many_steps_as_are_asked_for() {
    // Reports of the CPU engine are there at once: the first step is alone, and the steps behind it are not.
    let (one_by_one, calls) = cost(&Engine::cpu(), StepsPerSubmission::AtMost(1), 3);
    assert_eq!((one_by_one.submissions, calls), (3 * EPOCH + 3, 3 * EPOCH));
    let (at_once, calls) = cost(&Engine::cpu(), StepsPerSubmission::AtMost(11), 3);
    // 1 + 11 + 11 + 11 + 10, then four times 11 each epoch; and each epoch's test. On a machine that is busy the first steps
    // may be too slow for 11 of them.
    assert!((5 + 4 + 4..30).contains(&calls), "{calls}");
    assert_eq!(at_once.submissions, calls + 3);
    let rest = |mut counters: Counters| {
        counters.submissions = 0;
        counters
    };
    assert_eq!(rest(at_once), rest(one_by_one), "nothing else differs");

    let Some(engine) = fresh_gpu() else { return };
    let (one_by_one, _) = cost(&engine, StepsPerSubmission::AtMost(1), 8);
    let (at_once, _) = cost(&engine, StepsPerSubmission::AtMost(11), 8);
    assert_eq!(at_once.dispatches, one_by_one.dispatches);
    assert_eq!((at_once.blocking_waits, at_once.uploads), (0, one_by_one.uploads));
    assert!(at_once.submissions <= one_by_one.submissions / 3, "{at_once:?} for {one_by_one:?}");
}

#[test]
fn a_run_that_is_stopped_anywhere_goes_on_with_several_steps() {
    for engine in engines() {
        let mut whole = trainer(&engine, GRADUAL, StepsPerSubmission::AtMost(1), 4);
        whole.run(|_| ()).expect("a run");
        for stop in [1, 33, 60, 89, 101] {
            let folder = folder("stopped-at-once");
            let checkpoints = || Checkpoints::new(&folder, 2, Some(1000)).expect("a folder");
            let mut first = trainer(&engine, GRADUAL, StepsPerSubmission::AtMost(16), 4);
            first.checkpoint_to(checkpoints());
            while first.cursor().step() < stop && !first.is_over() {
                first.advance(|_| ()).expect("steps");
            }
            // As a signal does, between two submissions.
            first.checkpoint_now(|_| ()).expect("a checkpoint");
            let mut again = trainer(&engine, GRADUAL, StepsPerSubmission::Auto, 4);
            again.resume(checkpoints()).expect("a resumption").expect("a checkpoint");
            again.run(|_| ()).expect("a run");
            assert!(bits(&again) == bits(&whole), "stopped after {stop} steps on {}", engine.name());
            assert_eq!(again.cursor(), whole.cursor());
            std::fs::remove_dir_all(folder).expect("the folder was ours");
        }
    }
}
