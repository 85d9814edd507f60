//! Decisions at a lag: an evaluation decides where the next one comes, the device keeps the best copy on its own, and nothing
//! is waited for.

use crate::phases::run;
use crate::support::{engines, folder, fresh_gpu};
use gradus::data::digits;
use gradus::engine::kernels::{JUDGE, KEEP};
use gradus::engine::layout::{Metrics, Span, Standing};
use gradus::engine::{Dispatch, Engine, Program, Submission};
use gradus::nn::Activation;
use gradus::nn::models::Mlp;
use gradus::params::Param;
use gradus::schedule::{Cursor, Epochs, Plan, Spec};
use gradus::train::{Checkpoints, Classify, Config, Error, Event, StepsPerSubmission, Trainer};
use proptest::prelude::*;

/// Phases by limits alone: no metric decides anything but which copy is the best.
const LIMITS: &str = "
optimizer: {type: adamw, lr: 2.0e-2, weight_decay: 0.05, no_decay: [bias]}
lr_scheduler: {type: cosine}
early_stopping: {monitor: val_loss, patience: 50}
phases:
  0: {params: ['layers.2.*'], max_transition_epoch: 2}
  1: {params: ['layers.1.*'], lr: 2.0e-2, max_transition_epoch: 4}
  2: {params: ['layers.0.*'], lr: 1.0e-2}
";
/// Phases by patience, and a plateau.
const PATIENCE: &str = "
optimizer: {type: adamw, lr: 1.0e-2}
lr_scheduler: {type: plateau, patience: 0, factor: 0.5}
early_stopping: {monitor: val_loss, patience: 1, min_delta: 0.2}
phases:
  0: {params: ['layers.2.*']}
  1: {params: ['layers.1.*'], lr: 5.0e-3}
  2: {params: ['layers.0.*'], lr: 2.0e-3}
";

fn at_a_lag(schedule: &str) -> String {
    format!("{schedule}decide: lag\n")
}

fn trainer(engine: &Engine, schedule: &str, epochs: usize) -> Trainer {
    let (train, test) = digits().expect("digits").split(20, 3).expect("a split");
    let model = Mlp::new(&[64, 24, 16, 10], Activation::Relu).expect("a model");
    let spec = Spec::parse("run.yaml", schedule).expect("a spec");
    let task = Classify::new(&model, (&train, &test)).expect("a task");
    let config = Config::default().epochs(epochs).steps_per_submission(StepsPerSubmission::Auto);
    Trainer::new(engine, &task, config, |params, epochs| Plan::new(&spec, params, epochs)).expect("a trainer")
}

fn bits(trainer: &Trainer) -> (Vec<u8>, Vec<u8>) {
    (trainer.parameters().read_file().expect("a file"), trainer.optimizer().read_state().expect("a file"))
}

#[test]
fn where_no_metric_decides_the_run_is_that_of_exact_decisions_to_the_last_bit() {
    for engine in engines() {
        for more in ["", "evaluate_every_steps: 30\n", "checkpoint: {monitor: val_accuracy}\n"] {
            for kept in [
                "type: adamw,",
                "type: adamw, moments: int8, ema_decay: 0.9,",
                "type: adamw, moments: bf16, amsgrad: true,",
            ] {
                let schedule = LIMITS.replace("type: adamw,", kept) + more;
                let mut exact = trainer(&engine, &schedule, 6);
                let told = run(&mut exact);
                let mut lagging = trainer(&engine, &at_a_lag(&schedule), 6);
                let lagging_told = run(&mut lagging);
                assert_eq!(told.evaluations, lagging_told.evaluations, "{kept} {more} on {}", engine.name());
                assert_eq!(told.began.len(), 2);
                assert!(bits(&exact) == bits(&lagging), "{kept} {more} on {}", engine.name());
                assert_eq!(exact.cursor(), lagging.cursor());
                let best = lagging.cursor().best().expect("a best evaluation");
                assert_eq!(lagging.judged_best().expect("it judges"), Some(best.score as f32));
                assert_eq!(exact.judged_best().expect("it does not"), None);
            }
        }
    }
}

#[test]
fn what_a_metric_decides_comes_an_evaluation_later() {
    for engine in engines() {
        let mut first = trainer(&engine, &at_a_lag(PATIENCE), 14);
        let told = run(&mut first);
        let phases: Vec<usize> = told.began.iter().map(|began| began.phase).collect();
        assert_eq!(phases, [1, 2], "on {}", engine.name());
        // What was best by then is what the parameters went back to: nothing is trained before the next test sees it.
        let losses: Vec<f64> = told.evaluations.iter().map(|evaluation| evaluation.val_loss).collect();
        let mut patience: Option<f64> = None;
        let mut decided = Vec::new();
        for (place, loss) in losses.iter().enumerate() {
            let is_better = patience.is_none_or(|best| *loss as f32 + 0.2 < best as f32);
            if is_better {
                patience = Some(*loss);
            } else {
                decided.push(place + 2);
            }
        }
        let began = told.began[0].steps / first.plan().steps_per_epoch();
        assert_eq!(began as usize, decided[0], "the evaluation after the one that decides: {losses:?}");
        // A second run decides the same at the same steps.
        let mut again = trainer(&engine, &at_a_lag(PATIENCE), 14);
        assert_eq!(run(&mut again), told);
        assert!(bits(&again) == bits(&first));
    }
}

#[test]
fn nothing_is_waited_for_between_start_and_end() {
    let Some(engine) = fresh_gpu() else { return };
    for schedule in [LIMITS, PATIENCE] {
        let count = |schedule: &str| {
            let mut trainer = trainer(&engine, schedule, 10);
            let before = engine.counters();
            let mut evaluations = 0;
            while !trainer.is_over() {
                trainer
                    .advance(|event| evaluations += u64::from(matches!(event, Event::Evaluation(_))))
                    .expect("steps");
            }
            (engine.counters() - before, evaluations)
        };
        let (exact, evaluations) = count(schedule);
        assert_eq!(exact.blocking_waits, evaluations);
        let (lagging, evaluations) = count(&at_a_lag(schedule));
        assert!(evaluations > 4 && lagging.blocking_waits == 0, "{lagging:?}");
    }
}

#[test]
fn a_run_at_a_lag_that_is_stopped_anywhere_is_the_same_run() {
    for engine in engines() {
        for schedule in [LIMITS, PATIENCE] {
            let schedule = at_a_lag(schedule);
            let mut whole = trainer(&engine, &schedule, 9);
            let told = run(&mut whole);
            for stop in [1, 44, 45, 88, 100, 132, 133, 180, 221, 300] {
                let folder = folder("lag-goes-on");
                let checkpoints = || Checkpoints::new(&folder, 3, Some(1000)).expect("a folder");
                let mut first = trainer(&engine, &schedule, 9);
                first.checkpoint_to(checkpoints());
                while first.cursor().step() < stop && !first.is_over() {
                    first.advance(|_| ()).expect("steps");
                }
                let at = first.cursor().step();
                first.checkpoint_now(|_| ()).expect("a checkpoint");
                drop(first);
                let mut again = trainer(&engine, &schedule, 9);
                again.resume(checkpoints()).expect("a resumption").expect("a checkpoint");
                assert_eq!(again.cursor().undecided().is_some(), at >= 44 && !again.is_over());
                let rest = run(&mut again);
                assert!(bits(&again) == bits(&whole), "after {at} steps on {}", engine.name());
                assert_eq!(again.cursor(), whole.cursor(), "after {at} steps");
                let later = told.evaluations.iter().filter(|evaluation| evaluation.steps > at);
                assert!(later.eq(&rest.evaluations), "the evaluations after {at} steps");
                std::fs::remove_dir_all(folder).expect("the folder was ours");
            }
        }
    }
}

#[test]
fn the_best_file_of_a_run_at_a_lag_is_that_of_exact_decisions() {
    let folder = folder("lag-best");
    std::fs::create_dir_all(&folder).expect("a folder");
    for engine in engines() {
        let files = [LIMITS.to_owned(), at_a_lag(LIMITS)].map(|schedule| {
            let file = folder.join("best.safetensors");
            let mut trainer = trainer(&engine, &schedule, 6);
            trainer.save_best_to(&file);
            trainer.run(|_| ()).expect("a run");
            assert_eq!(trainer.saved_best(), trainer.cursor().best());
            std::fs::read(&file).expect("a file")
        });
        assert!(files[0] == files[1], "on {}", engine.name());
    }
    std::fs::remove_dir_all(folder).expect("the folder was ours");
}

#[test]
fn what_does_not_go_with_a_lag_is_told() {
    let params = ["layers.0.weight", "layers.1.weight"].map(|name| Param::new(name, [2]));
    let told = |text: &str| {
        let spec = Spec::parse("run.yaml", text).map_err(|error| error.to_string())?;
        let plan = Plan::new(&spec, &params[..], Epochs { epochs: 3, steps_per_epoch: 4 });
        plan.map(|plan| plan.to_yaml()).map_err(|error| error.to_string())
    };
    let new = "phases: {0: {params: [layers.1.*]}, 1: {params: [layers.0.*], \
               new_optimizer: {optimizer_init: {class_path: torch.optim.SGD, init_args: {lr: 0.1}}}}}\n";
    let refused = told(&format!("{new}decide: lag")).expect_err("an error");
    let words =
        "run.yaml: decide = lag does not go with the new_optimizer of phase 1, before which the best has to be known";
    assert_eq!(refused, words);
    let refused = told("optimizer: {type: adamw}\nlr_scheduler: {type: cosine}\ndecide: later").expect_err("an error");
    assert!(refused.starts_with("run.yaml: decide = later is not"), "{refused}");
    let plain = "optimizer: {type: adamw}\nlr_scheduler: {type: cosine}\n";
    assert!(told(&format!("{plain}decide: lag")).expect("a plan").contains("decide: lag\n"));
    let exact = told(&format!("{plain}decide: exact")).expect("a plan");
    assert_eq!(exact, told(plain).expect("a plan"), "what is usual is not written: older checkpoints go on");
    // There is no room on the device for what is to be kept there.
    let refused = trainer_within(&at_a_lag(LIMITS), 0).err().expect("an error").to_string();
    assert!(refused.ends_with("bytes, and the limit is 0 (best_device_limit_bytes)"), "{refused}");
    // As much as the copy takes is enough.
    let words = trainer_within(&at_a_lag(LIMITS), 1).err().expect("an error").to_string();
    let bytes: u64 = words.split(' ').find_map(|word| word.parse().ok()).expect("a number");
    trainer_within(&at_a_lag(LIMITS), bytes - 1).err().expect("an error");
    trainer_within(&at_a_lag(LIMITS), bytes).expect("a trainer").run(|_| ()).expect("a run");
}

fn trainer_within(schedule: &str, best_device_limit_bytes: u64) -> Result<Trainer, Error> {
    let (train, test) = digits().expect("digits").split(20, 3).expect("a split");
    let model = Mlp::new(&[64, 24, 16, 10], Activation::Relu).expect("a model");
    let spec = Spec::parse("run.yaml", schedule).expect("a spec");
    let task = Classify::new(&model, (&train, &test)).expect("a task");
    let config = Config::default().epochs(6).best_device_limit_bytes(best_device_limit_bytes);
    Trainer::new(&Engine::cpu(), &task, config, |params, epochs| Plan::new(&spec, params, epochs))
}

/// A plan that goes by one metric, and what it makes of a sequence.
fn walked(schedule: &str, losses: &[f64]) -> (Vec<(usize, f64, bool)>, Cursor) {
    let params = ["head", "body"].map(|name| Param::new(name, [2]));
    let spec = Spec::parse("run.yaml", schedule).expect("a spec");
    let epochs = Epochs { epochs: losses.len() as u64, steps_per_epoch: 2 };
    let plan = Plan::new(&spec, &params[..], epochs).expect("a plan");
    let (mut cursor, mut walk) = (plan.start().expect("a cursor"), Vec::new());
    for loss in losses {
        if cursor.stop().is_some() {
            break;
        }
        plan.epoch_start(&mut cursor).expect("a phase");
        walk.push((cursor.depth(), plan.rows(&cursor, 1).expect("rows")[0].lr, cursor.stop().is_some()));
        plan.step(&mut cursor).expect("a step");
        plan.step(&mut cursor).expect("a step");
        plan.validation(&mut cursor, &[("val_loss", *loss)]).expect("a verdict");
    }
    plan.decide(&mut cursor).expect("a verdict");
    (walk, cursor)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Without phases nothing that is decided changes what is measured: the walk is that of exact decisions, an evaluation
    /// behind.
    #[test]
    fn a_walk_at_a_lag_is_the_exact_one_an_evaluation_behind(losses in proptest::collection::vec(0.0f64..2.0, 1..20)) {
        let schedule = "optimizer: {type: adamw, lr: 1}\nlr_scheduler: {type: plateau, patience: 1, factor: 0.5}\n\
                        early_stopping: {patience: 4}\n";
        let (exact, cursor) = walked(schedule, &losses);
        let (lagging, behind) = walked(&at_a_lag(schedule), &losses);
        for (place, (_, lr, _)) in lagging.iter().enumerate() {
            // The first two evaluations' places have nothing decided yet.
            let (_, expected, _) = exact[place.saturating_sub(1).min(exact.len() - 1)];
            prop_assert_eq!(*lr, expected, "{}: {:?} and {:?}", place, &lagging, &exact);
        }
        let stopped = exact.len() < losses.len();
        prop_assert_eq!(lagging.len(), if stopped { exact.len() + 1 } else { exact.len() });
        if !stopped {
            prop_assert_eq!(cursor, behind, "at the end all has decided");
        }
    }

    /// The device finds the same evaluation to be the best as the host does, and keeps what was there then.
    #[test]
    fn the_device_finds_the_best_that_the_host_finds(
        sequence in proptest::collection::vec((0u32..50, 0u32..4, any::<u32>(), 0u32..1200, 0u32..8), 1..40),
        is_accuracy in any::<bool>(),
        is_higher in any::<bool>(),
    ) {
        for engine in engines() {
            judged(&engine, &sequence, is_accuracy, is_higher);
        }
    }
}

/// Follows a sequence of (rows, whole, part, right answers, kind) on a device and on the host.
fn judged(engine: &Engine, sequence: &[(u32, u32, u32, u32, u32)], is_accuracy: bool, is_higher: bool) {
    let metrics = engine.buffer("metrics", 32).expect("a buffer");
    let standing = engine.buffer("standing", 16).expect("a buffer");
    let (source, copies) = (engine.buffer("source", 256).expect("it"), engine.buffer("copies", 256).expect("it"));
    let spans = [Span { source: 2, copy: 5, quads: 3, pad0: 0 }, Span { source: 9, copy: 0, quads: 1, pad0: 0 }];
    let spans = engine.buffer_with("spans", &spans).expect("a buffer");
    let flag = |is_set| f64::from(u8::from(is_set));
    let mut program = Program::new("judge and keep");
    program.dispatches.push(
        Dispatch::new(JUDGE.plain(), vec![(&metrics).into(), (&standing).into()], [1, 1, 1])
            .constants(vec![("ACCURACY", flag(is_accuracy)), ("HIGHER", flag(is_higher))]),
    );
    program.dispatches.push(
        Dispatch::new(
            KEEP.plain(),
            vec![(&standing).into(), (&spans).into(), (&source).into(), (&copies).into()],
            [2, 1, 1],
        )
        .constants(vec![("WORKGROUP", 8.0)]),
    );
    let program = engine.prepare(program).expect("a program");
    let (mut best, mut kept) = (None::<f32>, vec![0u32; 64]);
    for (place, (rows, whole, part, correct, kind)) in (1u32..).zip(sequence.iter().copied()) {
        let loss_sum = match kind {
            0 => f32::NAN,
            1 => f32::INFINITY,
            _ => whole as f32,
        };
        // Few scores, so that some are equal, and parts of every size.
        let part = if kind < 6 { (part % 4) << 30 } else { part };
        let rows = if kind == 5 { rows } else { rows % 4 };
        let found = Metrics { loss_sum, correct, rows, loss_whole: whole, loss_part: part, ..Metrics::default() };
        engine.write(&metrics, 0, &[found]).expect("a write");
        let there: Vec<u32> = (0..64).map(|word| place * 1000 + word).collect();
        engine.write(&source, 0, &there).expect("a write");
        engine.submit(&Submission::of(&[&program])).expect("a submission");
        let score = match (rows, is_accuracy) {
            (0, _) => 0.0,
            (_, true) => (f64::from(correct) / f64::from(rows)) as f32,
            (_, false) => found.mean_loss() as f32,
        };
        let beats = |best: f32| if is_higher { score > best } else { score < best };
        let is_best = !score.is_nan() && best.is_none_or(beats);
        if is_best {
            best = Some(score);
            kept[20..32].copy_from_slice(&there[8..20]);
            kept[..4].copy_from_slice(&there[36..40]);
        }
        let standing: Vec<Standing> = engine.read(&standing.all()).expect("it");
        let standing = standing[0];
        assert_eq!(standing.best == 1, is_best, "{found:?} on {}", engine.name());
        let known = (standing.known == 1).then_some(standing.score.to_bits());
        assert_eq!(known, best.map(f32::to_bits), "{found:?} on {}", engine.name());
        assert_eq!(engine.read::<u32>(&copies.all()).expect("it"), kept, "{found:?} on {}", engine.name());
    }
}
