//! Phases on a device: what a transition does, what it costs, and that a run continues from a checkpoint to the same bits.

use crate::support::{engines, folder, fresh_gpu};
use gradus::data::{DataSet, digits};
use gradus::engine::Engine;
use gradus::nn::Activation;
use gradus::nn::models::Mlp;
use gradus::optim::{Clip, Settings};
use gradus::schedule::{Plan, Reason, Spec};
use gradus::train::{Began, Checkpoints, Classify, Config, Evaluation, Event, Trainer};
use std::collections::BTreeMap;
use std::path::Path;

const GRADUAL: &str = "
optimizer: {type: adamw, lr: 5.0e-3, weight_decay: 0.05, no_decay: [bias]}
lr_scheduler: {class_path: torch.optim.lr_scheduler.ExponentialLR, init_args: {gamma: 0.95}, interval: epoch}
early_stopping: {monitor: val_loss, patience: 1, min_delta: 0.3}
phases:
  0: {params: ['layers.2.*'], max_transition_epoch: 3}
  1: {params: ['layers.1.*'], lr: 2.0e-3}
  2: {params: ['layers.0.*'], lr: 1.0e-3}
";

fn sets() -> (DataSet, DataSet) {
    digits().expect("digits").split(20, 3).expect("a split")
}

fn config() -> Config {
    let settings = Settings::default().guard(true).clip(Clip::norm(0.5));
    Config::default().epochs(9).seed(5).settings(settings)
}

fn trainer(engine: &Engine, text: &str, config: Config) -> Trainer {
    let (train, test) = sets();
    let model = Mlp::new(&[64, 24, 16, 10], Activation::Relu).expect("a model");
    let spec = Spec::parse("run.yaml", text).expect("a spec");
    let task = Classify::new(&model, (&train, &test)).expect("a task");
    Trainer::new(engine, &task, config, |params, epochs| Plan::new(&spec, params, epochs)).expect("a trainer")
}

/// What a run told.
#[derive(Default, Debug, PartialEq)]
pub struct Told {
    pub began: Vec<Began>,
    pub evaluations: Vec<Evaluation>,
}

pub fn run(trainer: &mut Trainer) -> Told {
    let mut told = Told::default();
    let tell = |event: &Event| match event {
        Event::Phase(began) => told.began.push(began.clone()),
        Event::Evaluation(evaluation) => told.evaluations.push(*evaluation),
        _ => (),
    };
    trainer.run(tell).expect("a run");
    told
}

fn bits(trainer: &Trainer) -> BTreeMap<String, Vec<u32>> {
    let values = |name: &str| trainer.parameters().read(name).expect("values");
    let params = trainer.parameters().params().iter();
    params
        .map(|param| (param.name.clone(), values(&param.name).iter().map(|value| value.to_bits()).collect()))
        .collect()
}

#[test]
fn phases_thaw_from_the_head_down_and_go_back_to_the_best() {
    for engine in engines() {
        let mut trainer = trainer(&engine, GRADUAL, config());
        let before = bits(&trainer);
        let first = trainer.phase_now().expect("a phase");
        assert_eq!(first.thawed, ["layers.2.weight", "layers.2.bias"]);
        let told = run(&mut trainer);
        let phases: Vec<usize> = told.began.iter().map(|began| began.phase).collect();
        assert_eq!(phases, [1, 2], "on {}", engine.name());
        assert_eq!(told.began[1].thawed, ["layers.0.weight", "layers.0.bias"]);
        let best = |until: u64| {
            let known = told.evaluations.iter().filter(|evaluation| evaluation.steps <= until);
            known.min_by(|a, b| a.val_loss.total_cmp(&b.val_loss)).expect("an evaluation").steps
        };
        for began in &told.began {
            assert_eq!(began.restored, Some(best(began.steps)), "back to the best of those before");
            assert!(matches!(began.reason, Some(Reason::EarlyStopping | Reason::MaxTransitionEpoch)));
        }
        // Rates continue: the scheduler has not gone back.
        let names: Vec<&str> = told.began[1].groups.iter().map(|(name, _, _)| name.as_str()).collect();
        assert_eq!(names[..2], ["phase 0", "phase 0, no decay"]);
        let epochs = told.began[1].steps / trainer.plan().steps_per_epoch();
        let (lr, expected) = (told.began[1].groups[0].2, 5e-3 * 0.95f64.powi(epochs as i32));
        assert!((lr - expected).abs() < 1e-12, "{lr} is not {expected}");
        let after = bits(&trainer);
        assert!(after.iter().all(|(name, values)| *values != before[name]), "everything has trained in the end");
    }
}

#[test]
fn what_is_frozen_keeps_its_bits_and_costs_nothing() {
    for engine in engines() {
        let mut trainer = trainer(&engine, GRADUAL, config());
        let before = bits(&trainer);
        for _ in 0..20 {
            trainer.take_step().expect("a step");
        }
        let after = bits(&trainer);
        for (name, values) in &after {
            assert_eq!(*values == before[name], !name.starts_with("layers.2."), "{name}");
        }
        let [model, optimizer] = trainer.programs().expect("programs");
        assert_eq!(optimizer.bytes(), 28 * (16 * 10 + 10));
        let backward = model.dispatches.iter().filter(|dispatch| dispatch.kernel.name.starts_with("linear_backward"));
        assert_eq!(backward.count(), 1, "the head's weights alone");
    }
}

#[test]
fn a_transition_costs_two_submissions_the_lists_and_a_table() {
    let Some(engine) = fresh_gpu() else { return };
    let text = GRADUAL.replace("patience: 1, min_delta: 0.3", "patience: 50");
    let mut trainer = trainer(&engine, &text, config());
    let steps = 3 * trainer.plan().steps_per_epoch();
    run_until(&mut trainer, steps);
    let before = engine.counters();
    let began = trainer.take_step().expect("a step").expect("a phase");
    let cost = engine.counters() - before;
    assert!(began.restored.is_some() && began.thawed.len() == 2);
    // Back to the best with the copy of what thaws next; what must move in memory; and the step itself.
    assert!(cost.submissions <= 3 && cost.blocking_waits == 0, "{cost:?}");
    let (groups, rows) = (began.groups.len() as u64, trainer.plan().steps() - steps);
    let table = 16 + size_of::<gradus::engine::layout::TableRow>() as u64 * groups * rows.min(256);
    // Beside it the work lists (the norm's over squares, 24 bytes a tensor, is not the update's), and the sizes of layers
    // and batch for the new program.
    let lists = 1088 + 24 * trainer.parameters().params().len() as u64;
    assert!((table..table + lists).contains(&cost.uploaded_bytes), "{cost:?}, the table has {table} bytes");
}

#[test]
fn a_run_that_goes_on_ends_with_the_same_bits() {
    for engine in engines() {
        for schedule in [GRADUAL.to_owned(), with_a_new_optimizer(), averaged_in("bf16"), averaged_in("int8")] {
            let mut whole = trainer(&engine, &schedule, config());
            let told = run(&mut whole);
            for stop in [1, 60, 131, 132, 133, 200, 220, 301] {
                let folder = folder("goes-on");
                {
                    let mut first = trainer(&engine, &schedule, config());
                    first.checkpoint_to(every(&folder, stop));
                    run_until(&mut first, stop);
                }
                let mut again = trainer(&engine, &schedule, config());
                let resumed = again.resume(every(&folder, 1000)).expect("a resumption").expect("a checkpoint");
                assert_eq!(resumed.steps, stop.min(whole.cursor().step()));
                let rest = run(&mut again);
                assert_eq!(bits(&again), bits(&whole), "after {stop} steps on {}", engine.name());
                assert_eq!(again.cursor(), whole.cursor(), "after {stop} steps");
                let later = told.evaluations.iter().filter(|evaluation| evaluation.steps > stop);
                assert!(later.eq(&rest.evaluations), "the evaluations after {stop} steps");
                std::fs::remove_dir_all(folder).expect("the folder was ours");
            }
        }
    }
}

fn every(folder: &Path, steps: u64) -> Checkpoints {
    Checkpoints::new(folder, 3, Some(steps)).expect("a folder")
}

fn with_a_new_optimizer() -> String {
    GRADUAL.replace(
        "1: {params: ['layers.1.*'], lr: 2.0e-3}",
        "1: {params: ['layers.1.*'], new_optimizer: {optimizer_init: {class_path: torch.optim.SGD, \
         init_args: {lr: 0.02, momentum: 0.9}}}}",
    )
}

/// Moments in fewer bytes, and an average that is what evaluations test; its decay is moved by a law.
fn averaged_in(moments: &str) -> String {
    GRADUAL.replace("type: adamw,", &format!("type: adamw, moments: {moments}, ema_decay: 0.9,"))
        + "laws: [{field: ema_decay, type: linear, end_ratio: 0.5}]\n"
}

/// Runs to this step, with all that belongs to it, and no further.
fn run_until(trainer: &mut Trainer, stop: u64) {
    while trainer.cursor().step() < stop && !trainer.is_over() {
        trainer.advance(|_| ()).expect("a step");
    }
}

#[test]
fn checkpoints_that_are_cut_off_altered_or_of_another_run_are_refused_by_name() {
    let engine = Engine::cpu();
    let folder = folder("refused");
    let mut first = trainer(&engine, GRADUAL, config());
    first.checkpoint_to(every(&folder, 10));
    run_until(&mut first, 45);
    let resume = |schedule: &str, config: Config| trainer(&engine, schedule, config).resume(every(&folder, 10));

    let told = resume(GRADUAL, config().seed(6)).expect_err("another run").to_string();
    assert!(told.contains("step-000000044") && told.ends_with("seed is 5 there and 6 here"), "{told}");
    let settings = config().settings.clip(Clip::None);
    let told = resume(GRADUAL, config().settings(settings)).expect_err("another run").to_string();
    assert!(told.contains("clip is Norm") && told.ends_with("there and None here"), "{told}");
    let told = resume(&GRADUAL.replace("0.05", "0.06"), config()).expect_err("another run").to_string();
    assert!(told.contains("this is another run: the schedule is") && told.contains("0.06"), "{told}");

    // The last is broken: the one before it is used, and the broken one named.
    let last = folder.join("step-000000044");
    let model = last.join("model.safetensors");
    let bytes = std::fs::read(&model).expect("a file");
    std::fs::write(&model, &bytes[..bytes.len() - 1]).expect("a file");
    let resumed = resume(GRADUAL, config()).expect("a resumption").expect("a checkpoint");
    assert_eq!((resumed.steps, resumed.left_out.len()), (40, 1));
    assert!(resumed.left_out[0].to_string().contains("model.safetensors: it has"), "{:?}", resumed.left_out);
    let mut altered = bytes;
    *altered.last_mut().expect("bytes") ^= 1;
    std::fs::write(&model, altered).expect("a file");
    let resumed = resume(GRADUAL, config()).expect("a resumption").expect("a checkpoint");
    assert!(resumed.left_out[0].to_string().ends_with("model.safetensors: it is not what was written"));

    // Of the others each word of run.json counts; with none good, the first that was tried is reported.
    for step in ["step-000000020", "step-000000030", "step-000000040"] {
        let run = folder.join(step).join("run.json");
        let Ok(text) = std::fs::read_to_string(&run) else { continue };
        std::fs::write(&run, text.replacen("\"depth\": 0", "\"depth\": 1", 1)).expect("a file");
    }
    let told = resume(GRADUAL, config()).expect_err("none is good").to_string();
    assert!(told.contains("step-000000044"), "{told}");
    std::fs::remove_dir_all(folder).expect("the folder was ours");
}

#[test]
fn a_schedule_goes_by_metrics_that_are_measured() {
    let (train, test) = sets();
    let model = Mlp::new(&[64, 10], Activation::Relu).expect("a model");
    let spec = Spec::parse("run.yaml", "early_stopping: {monitor: val_los}\nphases: {0: {params: [layers.0]}}");
    let spec = spec.expect("a spec");
    let task = Classify::new(&model, (&train, &test)).expect("a task");
    let made = Trainer::new(&Engine::cpu(), &task, config(), |params, epochs| Plan::new(&spec, params, epochs));
    assert_eq!(
        made.err().expect("an error").to_string(),
        "the schedule needs \"val_los\", which is not measured (did you mean \"val_loss\"?); \
         measured are train_loss, val_loss, val_accuracy, val_f1, val_f1_weighted"
    );
}
