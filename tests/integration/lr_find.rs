//! The range test on a device: the run continues to the same bits as without it, the losses are those of the batches, and
//! what a sweep costs. (`golden_lr_find` compares curves and suggestions with traces.)

use crate::support::{assert_close, engines, fresh_gpu};
use gradus::data::{DataSet, TokenStream, Vocabulary, digits, kjv};
use gradus::engine::Engine;
use gradus::nn::Activation;
use gradus::nn::models::{Gpt2, Mlp, TransformerSizes};
use gradus::optim::Settings;
use gradus::params::Storage;
use gradus::schedule::lr_find::{Curve, End, Form, Rule, Scale, Sweep};
use gradus::schedule::{Cursor, Plan, Spec};
use gradus::train::{Classify, Config, Evaluation, Event, Language, Task, Trainer};

fn sets() -> (DataSet, DataSet) {
    digits().expect("digits").split(20, 3).expect("a split")
}

fn mlp() -> Classify {
    let (train, test) = sets();
    let model = Mlp::new(&[64, 24, 16, 10], Activation::Relu).expect("a model");
    Classify::new(&model, (&train, &test)).expect("a task")
}

/// Short sequences, with dropout, cut at other places in every epoch or at the same.
fn text(dropout: f32, fixed: bool) -> Language {
    let vocabulary = Vocabulary::ascii();
    let tokens = vocabulary.encode(&kjv()).expect("tokens");
    let stream = TokenStream::new(tokens[..1200].to_vec(), vocabulary.len()).expect("a stream");
    let (train, test) = stream.split(20).expect("two");
    let sizes = TransformerSizes::new([2, 2, 16], vocabulary.len(), 12)
        .intermediate(24)
        .activation(Activation::GeluNew)
        .norm_eps(1e-5)
        .dropout(dropout);
    let task = Language::new(&Gpt2::new(sizes).tied(false), (&train, &test)).expect("a task");
    if fixed { task.with_fixed_windows() } else { task }
}

/// 22 steps an epoch.
fn config() -> Config {
    let settings = Settings::default().guard(true);
    Config::default().batch_size(32).micro_batches(2).epochs(5).seed(5).settings(settings)
}

fn trainer(engine: &Engine, task: &dyn Task, schedule: &str, config: Config) -> Trainer {
    let spec = Spec::parse("run.yaml", schedule).expect("a spec");
    Trainer::new(engine, task, config, |params, epochs| Plan::new(&spec, params, epochs)).expect("a trainer")
}

const PLAIN: &str = "{optimizer: {type: adamw, lr: 3.0e-3}, lr_scheduler: {type: constant}}";

/// Every moment that there is, rates and decay that move, clipping.
const FULL: &str = "
optimizer: {type: adamw, lr: 5.0e-3, weight_decay: 0.05, moments: bf16, clip_norm: 0.5, ema_decay: 0.9, no_decay: [bias]}
lr_scheduler: {type: one_cycle, beta1_min: 0.85}
laws: [{field: weight_decay, type: cosine, min_ratio: 0.1}]
";

/// Transitions in the middle of a run, each back to the best copy; one brings a new optimizer.
const PHASED: &str = "
optimizer: {type: adamw, lr: 5.0e-3, weight_decay: 0.05, no_decay: [bias]}
lr_scheduler: {class_path: torch.optim.lr_scheduler.ExponentialLR, init_args: {gamma: 0.95}, interval: epoch}
early_stopping: {monitor: val_loss, patience: 9}
phases:
  0: {params: ['layers.2.*'], max_transition_epoch: 1}
  1: {params: ['layers.1.*'], lr: 2.0e-3, max_transition_epoch: 3}
  2:
    params: ['layers.0.*']
    lr: 1.0e-3
    new_optimizer: {optimizer_init: {class_path: torch.optim.AdamW, init_args: {lr: 1.0e-3, amsgrad: true}}}
";

/// A trunk of frozen layers.
const HEAD: &str = "
optimizer: {type: sgd, lr: 3.0e-2, momentum: 0.9, nesterov: true}
early_stopping: {monitor: val_loss, patience: 9}
phases:
  0: {params: [lm_head, 'transformer.ln_f'], max_transition_epoch: 2}
  1: {params: ['transformer.h.1.mlp']}
";

/// In few steps to where no loss is a number any more.
fn steep() -> Sweep {
    Sweep::default().start(1e-4).end(1e30).num(24).beta(0.5)
}

/// What a run came to.
#[derive(Debug, PartialEq)]
struct Run {
    evaluations: Vec<Evaluation>,
    cursor: Cursor,
    optimizer_bytes: u64,
    values: Vec<u32>,
    state: Vec<u8>,
}

/// A run to its end, with a sweep after so many steps each and one at the end, and their curves.
fn run(mut trainer: Trainer, sweep: &Sweep, after: &[u64]) -> (Run, Vec<Curve>) {
    let (mut evaluations, mut curves) = (Vec::new(), Vec::new());
    let mut tell = |event: &Event| {
        if let Event::Evaluation(evaluation) = event {
            evaluations.push(*evaluation);
        }
    };
    loop {
        let steps = trainer.cursor().step();
        if after.contains(&steps) || trainer.is_over() && !after.is_empty() {
            let cursor = trainer.cursor().clone();
            let (lrs, values) = (trainer.lrs().to_vec(), values(&trainer));
            curves.push(trainer.lr_find(sweep, |_| ()).expect("a sweep"));
            assert_eq!((trainer.cursor(), trainer.lrs()), (&cursor, &lrs[..]));
            assert_eq!(trainer.optimizer().next_step(), steps);
            assert!(self::values(&trainer) == values, "the parameters are back after {steps} steps");
        }
        if trainer.is_over() {
            break;
        }
        trainer.advance(&mut tell).expect("a step");
    }
    trainer.run(&mut tell).expect("the rest");
    let run = Run {
        evaluations,
        cursor: trainer.cursor().clone(),
        optimizer_bytes: trainer.optimizer_bytes(),
        values: values(&trainer),
        state: trainer.optimizer().read_state().expect("state"),
    };
    (run, curves)
}

fn values(trainer: &Trainer) -> Vec<u32> {
    let parameters = trainer.parameters();
    let value = |name: &str| parameters.read(name).expect("values");
    parameters.params().iter().flat_map(|param| value(&param.name)).map(f32::to_bits).collect()
}

/// Compares a run with one that has sweeps in it, with a stop and without; the curves of the latter.
fn check_undisturbed(what: &str, task: &dyn Task, schedule: &str, config: &Config, after: &[u64]) -> Vec<Curve> {
    let mut whole = Vec::new();
    for engine in engines() {
        let made = || trainer(&engine, task, schedule, config.clone());
        let (straight, _) = run(made(), &steep(), &[]);
        let endless = steep().form(Form::Lightning).stop_factor(None);
        for sweep in [steep(), endless] {
            let (swept, curves) = run(made(), &sweep, after);
            let what = format!("{what} on {}", engine.name());
            assert_eq!(curves.len(), after.len() + 1, "{what}");
            assert_eq!(straight.evaluations, swept.evaluations, "{what}");
            assert_eq!(straight.cursor, swept.cursor, "{what}");
            assert!(straight == swept, "{what}: other bits");
            if sweep == endless {
                assert!(curves.iter().all(|curve| curve.end() == Some(End::Done)), "{what}");
                whole.extend(curves);
            }
        }
    }
    whole
}

/// Whether there was a step with a loss that is not a number, which the guard skips.
fn has_skipped(curve: &Curve) -> bool {
    curve.points().iter().any(|point| !point.loss.is_finite())
}

#[test]
fn a_run_goes_on_to_the_same_bits() {
    // Before the first step, within an epoch, between two.
    let curves = check_undisturbed("everything", &mlp(), FULL, &config(), &[0, 7, 22, 50]);
    assert!(curves.iter().all(has_skipped), "no step was skipped");
    let host = config().best_device_limit_bytes(0);
    check_undisturbed("a copy in host memory", &mlp(), FULL, &host.epochs(2), &[5]);
    let paged = config().settings.page_bytes(4096).horizon_steps(10);
    check_undisturbed("pages", &mlp(), FULL, &config().epochs(2).settings(paged), &[5]);
    let bf16 = config().parameters(Storage::Bf16).epochs(4);
    check_undisturbed("parameters in bf16", &mlp(), PHASED, &bf16, &[0, 7, 66]);
}

#[test]
fn phases_go_on_to_the_same_bits() {
    // In every phase, and right before each transition.
    let curves = check_undisturbed("phases", &mlp(), PHASED, &config(), &[0, 22, 30, 44, 66, 70]);
    assert!(curves.iter().any(has_skipped), "no step was skipped");
}

#[test]
fn a_transformer_with_dropout_and_one_with_a_frozen_trunk_do_too() {
    let config = config().batch_size(4);
    check_undisturbed("dropout", &text(0.1, false), PLAIN, &config.clone().epochs(2), &[0, 12]);
    for (device, host) in [(1 << 24, 0), (0, 1 << 24)] {
        let kept = config.clone().trunk_device_limit_bytes(device).trunk_host_limit_bytes(host);
        check_undisturbed("a trunk", &text(0.0, true), HEAD, &kept, &[3, 18, 25]);
    }
}

/// A rate that moves nothing.
fn still() -> Sweep {
    Sweep::default().scale(Scale::Linear).start(1e-30).end(2e-30).num(49).beta(0.0)
}

#[test]
fn losses_are_the_means_of_the_steps_rows_in_the_runs_order() {
    for engine in engines() {
        let (train, _) = sets();
        let losses = |batch_size, micro_batches, steps: usize| {
            let config = config().batch_size(batch_size).micro_batches(micro_batches);
            let mut trainer = trainer(&engine, &mlp(), PLAIN, config);
            for _ in 0..steps {
                trainer.take_step().expect("a step");
            }
            let mut told = Vec::new();
            let curve = trainer.lr_find(&still(), |point| told.push(*point)).expect("a sweep");
            assert_eq!(
                (curve.points(), curve.end()),
                (&told[..], Some(End::Done)),
                "every point is told, and in order"
            );
            told.iter().map(|point| point.loss as f32).collect::<Vec<f32>>()
        };
        // 64 rows a step: 50 steps are two epochs and a piece, from within one.
        let (whole, parts) = (losses(64, 1, 0), losses(16, 4, 0));
        assert_eq!(whole.len(), 50);
        // The losses of a batch are added up in f32 before they are counted.
        assert_close("micro-batches", &parts, &whole, 1e-5, 0.0);
        assert!(whole[..22].iter().zip(&whole[22..]).any(|(a, b)| a != b), "every epoch has an order of its own");
        let later = losses(64, 1, 7);
        assert!(later[0] != whole[7], "seven steps have trained it");

        // The first is that of a step of the run.
        let mut first = None;
        let config = config().batch_size(64).micro_batches(1).epochs(1);
        let mut tell = |event: &Event| {
            if let Event::Step(progress) = event {
                first = first.or(Some((progress.step, progress.loss)));
            }
        };
        let mut run = trainer(&engine, &mlp(), PLAIN, config);
        run.advance(&mut tell).and_then(|()| run.run(&mut tell)).expect("a run");
        let epoch = run.plan().steps_per_epoch() as usize;
        assert_eq!((epoch, train.rows() / 64), (22, 22));
        let (step, first) = first.expect("a report");
        assert_eq!(step, 0, "the first report finds a slot");
        assert_close("the first step", &[whole[0]], &[first], 1e-6, 0.0);
    }
}

#[test]
fn both_engines_find_the_same() {
    let sweep = Sweep::default().start(1e-5).end(1e3).num(80).beta(0.9);
    let curves: Vec<Curve> = engines()
        .iter()
        .map(|engine| trainer(engine, &mlp(), PLAIN, config()).lr_find(&sweep, |_| ()).expect("a sweep"))
        .collect();
    for curve in &curves {
        assert_eq!(curve.end(), Some(End::Diverged));
        assert!(curve.points().len() > 40, "{} points", curve.points().len());
        let valley = curve.suggestion(Rule::Valley).expect("a valley").lr;
        assert!(valley > 1e-3 && valley < 1e-1, "{valley}");
    }
    let [gpu, cpu] = &curves[..] else { return };
    // Roundings grow with the rate: until it reaches a few hundredths they are those of training.
    let losses = |curve: &Curve| curve.points()[..30].iter().map(|point| point.loss as f32).collect::<Vec<f32>>();
    assert_close("losses", &losses(gpu), &losses(cpu), 2e-3, 0.0);
}

/// One table a horizon, a submission a step, and no wait between the one before the sweep and the one after it.
#[test]
fn a_sweep_is_one_upload_and_no_wait() {
    let Some(engine) = fresh_gpu() else { return };
    for (horizon_steps, tables) in [(256, 1), (50, 1), (25, 2), (16, 4)] {
        let settings = config().settings.horizon_steps(horizon_steps);
        let mut trainer = trainer(&engine, &mlp(), PLAIN, config().settings(settings));
        trainer.take_step().expect("a step");
        let mut between = Vec::new();
        let before = engine.counters();
        let curve = trainer.lr_find(&still(), |_| between.push(engine.counters().blocking_waits)).expect("a sweep");
        let cost = engine.counters() - before;
        assert_eq!(curve.points().len(), 50);
        // Beside the tables, what is counted on the device goes back; beside the steps, what was kept comes and goes.
        assert_eq!((cost.uploads, cost.submissions), (tables + 2, 50 + 4), "{cost:?}");
        assert_eq!(cost.blocking_waits, 2, "{cost:?}");
        let last = between.pop().expect("a point");
        // The last four may arrive with the wait behind the sweep.
        assert!(last <= before.blocking_waits + 2, "{last}");
        between.truncate(46);
        assert!(between.iter().all(|waits| *waits == before.blocking_waits + 1), "{between:?}");
        // The row of the coming step is sent again.
        let after = engine.counters();
        trainer.take_step().expect("a step");
        assert_eq!((engine.counters() - after).uploads, 1);
    }
}

#[test]
fn a_sweep_that_diverges_stops_there() {
    for engine in fresh_gpu().into_iter().chain([Engine::cpu()]) {
        let mut trainer = trainer(&engine, &mlp(), PLAIN, config());
        let before = engine.counters();
        let curve = trainer.lr_find(&steep().end(1e6).num(400), |_| ()).expect("a sweep");
        let (points, cost) = (curve.points(), engine.counters() - before);
        assert_eq!(curve.end(), Some(End::Diverged));
        points.iter().fold(f64::INFINITY, |best, point| {
            assert!(point.smoothed <= 4.0 * best, "{point:?} after {best}");
            best.min(point.smoothed)
        });
        assert!(points.len() < 300, "{} points on {}", points.len(), engine.name());
        // The step that diverged, up to three that were under way, and four for what is kept.
        let others = cost.submissions - points.len() as u64;
        assert!((4..=8).contains(&others), "{others} on {}", engine.name());
    }
}

#[test]
fn a_sweep_that_is_none_is_refused() {
    let mut trainer = trainer(&Engine::cpu(), &mlp(), PLAIN, config());
    let before = values(&trainer);
    let told = trainer.lr_find(&Sweep::default().end(0.0), |_| ()).unwrap_err().to_string();
    assert_eq!(told, "lr_find: end = 0 is not above start, which is 0.0000001");
    assert!(values(&trainer) == before);
}
