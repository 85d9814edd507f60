//! `gradus demo transformer`: pretrain on one text, fine-tune on another in three ways, and see what each way forgot.

use super::demo::train_with_bar;
use clap::Args;
use gradus::data::{self, TokenStream, Vocabulary};
use gradus::engine::Engine;
use gradus::nn::transformer::{self, Kind, Transformer};
use gradus::params::Param;
use gradus::schedule::{Plan, Spec};
use gradus::train::{Config, Language, Sampling, Trainer, sample};
use std::time::Instant;

/// Tokens of a sequence.
pub(super) const CONTEXT: usize = 64;

/// Sequences of a batch.
pub(super) const BATCH: usize = 16;

/// Percent of each text that is held out.
const HELD_OUT: usize = 5;

/// Tokens of the new text that are trained on: little, as fine-tuning has it.
const NEW_TOKENS: usize = 64 * 1024;

const PRETRAIN: &str = "
optimizer: {type: adamw, lr: 2.0e-3, weight_decay: 0.05, clip_norm: 1.0, no_decay: [bias, ln_, wte, wpe]}
lr_scheduler: {type: cosine, warmup_fraction: 0.05, min_ratio: 0.1}
";

const EVERYTHING: &str = "
optimizer: {type: adamw, lr: 2.0e-3, weight_decay: 0.01, clip_norm: 1.0, no_decay: [bias, ln_]}
lr_scheduler: {type: constant}
";

const HEAD: &str = "
optimizer: {type: adamw, lr: 2.0e-3, weight_decay: 0.01, clip_norm: 1.0, no_decay: [bias, ln_]}
lr_scheduler: {type: cosine, warmup_fraction: 0.1}
early_stopping: null
phases: {0: {params: [lm_head, 'transformer\\.ln_f']}}
";

const GRADUAL: &str = include_str!("../../schedules/transformer_gradual.yaml");

#[derive(Args)]
pub(super) struct Options {
    /// Size of the model: tiny, small or base.
    #[arg(long, default_value = "tiny", value_name = "NAME")]
    preset: String,
    /// Times through the first text.
    #[arg(long, default_value_t = 1, value_name = "EPOCHS")]
    pretrain: usize,
    /// Times through the second text, each way.
    #[arg(long, default_value_t = 4)]
    epochs: usize,
    /// Seed of initial values and orders.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Runs with so many seeds, from --seed on.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    seeds: u32,
}

type Values = Vec<(String, Vec<f32>)>;

/// The texts, each to train on and to test on.
struct Texts {
    vocabulary: Vocabulary,
    old: (TokenStream, TokenStream),
    new: (TokenStream, TokenStream),
}

/// What one way of fine-tuning came to.
struct Outcome {
    way: &'static str,
    new_loss: f64,
    old_loss: f64,
    seconds: f64,
    optimizer_bytes: u64,
}

pub(super) fn run(engine: &Engine, options: &Options) -> anyhow::Result<()> {
    let vocabulary = Vocabulary::ascii();
    let texts = texts(vocabulary)?;
    let model = decoder(&options.preset, &texts.vocabulary)?;
    let parameters: usize = model.params().iter().map(Param::elements).sum();
    println!("a decoder of {parameters} parameters; {} characters, {CONTEXT} at a time", texts.vocabulary.len());
    for seed in options.seed..options.seed + options.seeds {
        one_seed(engine, options, &model, &texts, seed)?;
    }
    Ok(())
}

/// The demo's decoder. It has a head of its own, so that there is something to train alone.
pub(super) fn decoder(preset: &str, vocabulary: &Vocabulary) -> anyhow::Result<Transformer> {
    let config = transformer::Config::decoder(preset, vocabulary.len(), CONTEXT)?;
    Ok(Transformer::new(transformer::Config { kind: Kind::Decoder { tied: false }, ..config })?)
}

/// Batches of so many sequences in the text that is fine-tuned on.
pub(super) fn steps_per_epoch(batch: usize) -> u64 {
    ((NEW_TOKENS - CONTEXT) / CONTEXT / batch) as u64
}

fn texts(vocabulary: Vocabulary) -> anyhow::Result<Texts> {
    let stream = |text: &data::Text| -> anyhow::Result<TokenStream> {
        Ok(TokenStream::new(vocabulary.encode(text)?, vocabulary.len())?)
    };
    let old = stream(&data::kjv())?.split(HELD_OUT)?;
    let (new, held_out) = stream(&data::glosses())?.split(HELD_OUT)?;
    let new = TokenStream::new(new.tokens()[..NEW_TOKENS].to_vec(), vocabulary.len())?;
    Ok(Texts { old, new: (new, held_out), vocabulary })
}

fn one_seed(engine: &Engine, options: &Options, model: &Transformer, texts: &Texts, seed: u32) -> anyhow::Result<()> {
    println!("\npretraining on Psalms, Proverbs and the Gospels (seed {seed})");
    let old = Language::new(model, (&texts.old.0, &texts.old.1))?;
    let (pretrained, before) = train(engine, model, &old, PRETRAIN, options.pretrain, seed)?;
    println!("{}", quoted(&text_of(engine, model, texts, &pretrained, "And ", seed)?));

    let new = Language::new(model, (&texts.new.0, &texts.new.1))?.starting_from(pretrained.clone());
    let ways = [("everything, one high rate", EVERYTHING), ("head only", HEAD), ("gradual", GRADUAL)];
    let mut outcomes = Vec::new();
    for (way, schedule) in ways {
        println!("\nfine-tuning on definitions of WordNet: {way}");
        let (values, mut outcome) = train(engine, model, &new, schedule, options.epochs, seed)?;
        outcome.way = way;
        outcome.old_loss = loss_on(engine, model, (&texts.new.0, &texts.old.1), &values)?;
        println!("{}", quoted(&text_of(engine, model, texts, &values, "a ", seed)?));
        outcomes.push(outcome);
    }
    let untouched = loss_on(engine, model, (&texts.new.0, &texts.new.1), &pretrained)?;
    println!("\n{:28} {:>9} {:>9} {:>9} {:>9} {:>16}", "", "new text", "old text", "sum", "seconds", "optimizer moved");
    println!("{:28} {:>9.4} {:>9.4} {:>9.4}", "before", untouched, before.new_loss, untouched + before.new_loss);
    for outcome in outcomes {
        let Outcome { way, new_loss, old_loss, seconds, optimizer_bytes } = outcome;
        let megabytes = optimizer_bytes as f64 / 1e6;
        let sum = new_loss + old_loss;
        println!("{way:28} {new_loss:>9.4} {old_loss:>9.4} {sum:>9.4} {seconds:>9.1} {megabytes:>13.0} MB");
    }
    Ok(())
}

/// Trains by a schedule; the best parameters by the test loss, or the last, and what it came to.
fn train(
    engine: &Engine,
    model: &Transformer,
    task: &Language,
    schedule: &str,
    epochs: usize,
    seed: u32,
) -> anyhow::Result<(Values, Outcome)> {
    let spec = Spec::parse("schedule", schedule)?;
    let config = Config { batch_size: BATCH, epochs, seed, ..Config::default() };
    let mut trainer = Trainer::new(engine, task, config, |params, epochs| Plan::new(&spec, params, epochs))?;
    let started = Instant::now();
    train_with_bar(&mut trainer, None)?;
    let seconds = started.elapsed().as_secs_f64();
    let new_loss = trainer.evaluate_now()?.val_loss;
    let values = model.params().into_iter().map(|param| {
        let values = trainer.parameters().download(&param.name)?;
        Ok((param.name, values))
    });
    let values = values.collect::<Result<Values, gradus::optim::Error>>()?;
    let optimizer_bytes = trainer.optimizer_bytes();
    Ok((values, Outcome { way: "", new_loss, old_loss: 0.0, seconds, optimizer_bytes }))
}

/// The loss of these values on the second text.
fn loss_on(
    engine: &Engine,
    model: &Transformer,
    texts: (&TokenStream, &TokenStream),
    values: &Values,
) -> anyhow::Result<f64> {
    let task = Language::new(model, texts)?.starting_from(values.clone());
    let spec = Spec::parse("schedule", EVERYTHING)?;
    let config = Config { batch_size: BATCH, ..Config::default() };
    let mut trainer = Trainer::new(engine, &task, config, |params, epochs| Plan::new(&spec, params, epochs))?;
    Ok(trainer.evaluate_now()?.val_loss)
}

fn text_of(
    engine: &Engine,
    model: &Transformer,
    texts: &Texts,
    values: &Values,
    prompt: &str,
    seed: u32,
) -> anyhow::Result<String> {
    let parameters = gradus::optim::Parameters::new(engine, &model.params(), None)?;
    for (name, values) in values {
        parameters.upload(name, values)?;
    }
    let text = data::Text::from_bytes("prompt", prompt.as_bytes().to_vec())?;
    let sampling = Sampling { tokens: 160, temperature: 0.7, seed };
    let tokens = sample(engine, model, &parameters, &texts.vocabulary.encode(&text)?, sampling)?;
    Ok(format!("{prompt}{}", texts.vocabulary.decode(&tokens)?))
}

fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
}
