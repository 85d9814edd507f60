//! What it saves to keep a frozen trunk: a head alone is trained on the preset `small`, with what the trunk makes of each
//! example kept, and without; steps are taken in turn, each waited for.
//!
//! ```text
//! cargo bench --bench frozen_trunk                     # `small`, about 2 minutes on software Vulkan
//! cargo bench --bench frozen_trunk -- --preset tiny    # another preset
//! ```

use gradus::data::{Sequence, SequenceSizes, Sequences, TokenStream, Vocabulary, kjv};
use gradus::engine::layout::pcg;
use gradus::engine::{AdapterChoice, Engine};
use gradus::nn::models::{Bert, Gpt2};
use gradus::schedule::{Plan, Spec};
use gradus::train::{ClassifySequences, Config, Language, Task, Trainer};
use std::error::Error;
use std::time::Instant;

/// Tokens of a sequence, sequences of a batch, and examples to train on.
const CONTEXT: usize = 64;
const BATCH: usize = 16;
const EXAMPLES: usize = 64;

/// Pairs of steps.
const PAIRS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let place = arguments.iter().position(|argument| argument == "--preset");
    let preset = place.and_then(|place| arguments.get(place + 1)).map_or("small", String::as_str);
    let engine = Engine::new(&AdapterChoice::from_env())?;
    println!("{}; preset {preset}, batches of {BATCH} x {CONTEXT}, medians of {PAIRS} pairs", engine.name());
    println!("{:<32} {:>10} {:>10} {:>8} {:>12} {:>10}", "", "whole", "kept", "ratio", "once", "kept bytes");
    compare(&engine, "encoder, classifier alone", &encoder(preset)?, "classifier")?;
    compare(&engine, "decoder, output layer alone", &decoder(preset)?, "lm_head")
}

/// Random sequences: what they say does not change what a step costs.
fn encoder(preset: &str) -> Result<ClassifySequences, Box<dyn Error>> {
    let (vocabulary, classes) = (30_522, 8);
    let one = |number: u32| {
        let tokens = (0..CONTEXT as u32).map(|place| pcg(number ^ pcg(place)) % vocabulary as u32).collect();
        Sequence::new(tokens, number % classes as u32)
    };
    let sizes = SequenceSizes::new(CONTEXT, vocabulary, classes).types(2);
    let set = |count: usize| Sequences::new(sizes, &(0..count as u32).map(one).collect::<Vec<_>>());
    let model = Bert::preset(preset, vocabulary, CONTEXT, classes)?;
    Ok(ClassifySequences::new(&model, (&set(EXAMPLES)?, &set(1)?))?)
}

fn decoder(preset: &str) -> Result<Language, Box<dyn Error>> {
    let vocabulary = Vocabulary::printable_ascii();
    let tokens = vocabulary.encode(&kjv())?;
    let text = |tokens: &[u32]| TokenStream::new(tokens.to_vec(), vocabulary.len());
    let (train, test) = (text(&tokens[..(EXAMPLES + 1) * CONTEXT])?, text(&tokens[..CONTEXT + 1])?);
    let model = Gpt2::preset(preset, vocabulary.len(), CONTEXT)?.tied(false);
    Ok(Language::new(&model, (&train, &test))?.with_fixed_windows())
}

fn compare(engine: &Engine, what: &str, task: &dyn Task, head: &str) -> Result<(), Box<dyn Error>> {
    let spec =
        Spec::parse("head", &format!("optimizer: {{type: adamw, lr: 1.0e-3}}\nphases: {{0: {{params: [{head}]}}}}\n"))?;
    let trainer = |limit: u64| {
        let config =
            Config::default().batch_size(BATCH).epochs(PAIRS).trunk_device_limit_bytes(limit).trunk_host_limit_bytes(0);
        Trainer::new(engine, task, config, |model, epochs| Plan::new(&spec, model, epochs))
    };
    let (mut whole, mut kept) = (trainer(0)?, trainer(u64::MAX)?);
    let step = |trainer: &mut Trainer| -> Result<f64, Box<dyn Error>> {
        let started = Instant::now();
        trainer.take_step()?;
        engine.wait()?;
        Ok(started.elapsed().as_secs_f64())
    };
    // The first step compiles pipelines; the first one of `kept` goes through the trunk with every example too.
    step(&mut whole)?;
    let once = step(&mut kept)?;
    let (mut wholes, mut kepts, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let (whole, kept) = (step(&mut whole)?, step(&mut kept)?);
        wholes.push(whole);
        kepts.push(kept);
        ratios.push(whole / kept);
    }
    let (whole, short, ratio) = (median(wholes), median(kepts), median(ratios));
    let (whole, short) = (whole * 1e3, short * 1e3);
    let bytes = kept.trunk_bytes();
    println!("{what:<32} {whole:>7.1} ms {short:>7.2} ms {ratio:>7.0}x {once:>10.1} s {bytes:>10}");
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
