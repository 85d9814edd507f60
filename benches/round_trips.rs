//! What a run costs in round trips: submissions, waits and bytes of ten epochs with three phases and an evaluation each, by
//! the engine's own counters.
//!
//! ```text
//! cargo bench --bench round_trips -- w1                    # 1,000 steps of W1
//! cargo bench --bench round_trips -- w3 --steps 50         # fewer: a tenth of them is an epoch
//! cargo bench --bench round_trips -- w1 --one-by-one       # a step a submission
//! cargo bench --bench round_trips -- w1 --exact            # each evaluation decides at once
//! cargo bench --bench round_trips -- w1 --set-up           # everything but the run, to be taken from a count from outside
//! GRADUS_ADAPTER=name cargo bench …                        # another adapter
//! ```
//!
//! `scripts/round_trips.sh` counts the same from outside, at the driver. Numbers are those of the train step's workloads;
//! values are random, since none is looked at. What is frozen is not kept, so that every step is a whole one.

use gradus::data::{DataSet, Sequence, SequenceSizes, Sequences, TokenStream};
use gradus::engine::layout::pcg;
use gradus::engine::{AdapterChoice, Engine};
use gradus::nn::Activation;
use gradus::nn::models::{Bert, Gpt2, Mlp, TransformerSizes};
use gradus::schedule::{Plan, Spec};
use gradus::train::{Classify, ClassifySequences, Config, Language, StepsPerSubmission, Task, Trainer};

type Failure = Box<dyn std::error::Error>;

const EPOCHS: usize = 10;
/// Batches of the test set.
const TESTED: usize = 4;

/// Phases by limits, and all that metrics may decide.
const SCHEDULE: &str = "
optimizer: {type: adamw, lr: 1.0e-4}
lr_scheduler: {type: cosine}
early_stopping: {monitor: val_loss, patience: 100}
";

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    if has("--test") || has("--list") {
        return Ok(());
    }
    let named = arguments.iter().find(|argument| ["w1", "w2", "w3"].contains(&argument.as_str()));
    let name = named.map_or("w1", String::as_str);
    let steps = arguments.iter().position(|argument| argument == "--steps");
    let steps: usize = match steps.and_then(|place| arguments.get(place + 1)) {
        Some(steps) => steps.parse()?,
        None => 1000,
    };
    let Work { task, batch: batch_size, phases } = work(name, (steps / EPOCHS).max(1))?;
    let decide = if has("--exact") { "exact" } else { "lag" };
    let limits = [", max_transition_epoch: 3", ", max_transition_epoch: 6", ""];
    let phases = phases.iter().zip(limits).enumerate();
    let phases: String =
        phases.map(|(place, (params, limit))| format!("  {place}: {{params: [{params}]{limit}}}\n")).collect();
    let spec = Spec::parse("round_trips.yaml", &format!("{SCHEDULE}decide: {decide}\nphases:\n{phases}"))?;
    let steps_per_submission =
        if has("--one-by-one") { StepsPerSubmission::AtMost(1) } else { StepsPerSubmission::Auto };
    let config = Config::default()
        .batch_size(batch_size)
        .epochs(EPOCHS)
        .steps_per_submission(steps_per_submission)
        .trunk_device_limit_bytes(0)
        .trunk_host_limit_bytes(0);

    let engine = Engine::new(&AdapterChoice::from_env())?;
    let mut trainer = Trainer::new(&engine, &*task, config, |params, epochs| Plan::new(&spec, params, epochs))?;
    trainer.programs()?;
    engine.wait()?;
    if has("--set-up") {
        return Ok(());
    }
    let before = engine.counters();
    while !trainer.is_over() {
        trainer.advance(|_| ())?;
    }
    let waits_before_end = (engine.counters() - before).blocking_waits;
    trainer.settle(|_| ())?;
    let cost = engine.counters() - before;
    println!(
        "{name} {} steps, {decide}: submissions {}, waits {waits_before_end} before the end and {} at it, sleeps {}, uploads {} of {} bytes, downloaded {} bytes, dispatches {}, on {}",
        trainer.cursor().step(),
        cost.submissions,
        cost.blocking_waits - waits_before_end,
        cost.throttles,
        cost.uploads,
        cost.uploaded_bytes,
        cost.downloaded_bytes,
        cost.dispatches,
        engine.name(),
    );
    Ok(())
}

/// Numbers below `end`, the same everywhere.
fn names(count: usize, end: usize) -> Vec<u32> {
    (0..count as u32).map(|at| pcg(at) % end as u32).collect()
}

struct Work {
    task: Box<dyn Task>,
    /// Rows of a batch, or its sequences.
    batch: usize,
    /// What each phase thaws.
    phases: [&'static str; 3],
}

/// A workload with epochs of so many steps.
fn work(name: &str, steps: usize) -> Result<Work, Failure> {
    let sizes = |layers, heads, hidden, vocab, context| TransformerSizes::new([layers, heads, hidden], vocab, context);
    match name {
        "w1" => {
            let set = |rows: usize| {
                let values = names(rows * 784, 256).into_iter().map(|value| value as f32 / 255.0).collect();
                DataSet::new(784, 10, values, names(rows, 10))
            };
            let model = Mlp::new(&[784, 256, 128, 10], Activation::Relu)?;
            let task = Classify::new(&model, (&set(128 * steps)?, &set(128 * TESTED)?))?;
            Ok(Work { task: Box::new(task), batch: 128, phases: ["'layers.2.*'", "'layers.1.*'", "'layers.0.*'"] })
        }
        "w2" => {
            let model = Gpt2::new(sizes(4, 4, 128, 96, 64)).tied(false);
            let text = |windows: usize| TokenStream::new(names(windows * 64 + 1, 96), 96);
            let task = Language::new(&model, (&text(16 * steps + 1)?, &text(16 * TESTED)?))?;
            let rest = "'transformer.h.[01].*', 'transformer.wte.*', 'transformer.wpe.*'";
            Ok(Work {
                task: Box::new(task),
                batch: 16,
                phases: ["'lm_head.*', 'transformer.ln_f.*'", "'transformer.h.[23].*'", rest],
            })
        }
        _ => {
            let model = Bert::new(sizes(6, 12, 384, 30_522, 64), 8);
            let sizes = SequenceSizes::new(64, 30_522, 8).types(2);
            let set = |count: usize| {
                let tokens = names(count * 64, 30_522);
                let labels = names(count, 8);
                let sequence = |(tokens, label): (&[u32], u32)| Sequence::new(tokens.to_vec(), label);
                Sequences::new(sizes, &tokens.chunks(64).zip(labels).map(sequence).collect::<Vec<_>>())
            };
            let task = ClassifySequences::new(&model, (&set(4 * steps)?, &set(4 * TESTED)?))?;
            let rest = "'encoder.layer.[012].*', 'embeddings.*'";
            Ok(Work { task: Box::new(task), batch: 4, phases: ["'classifier.*'", "'encoder.layer.[345].*'", rest] })
        }
    }
}
