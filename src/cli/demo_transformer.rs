//! `gradus demo transformer`: pretrain on one text, fine-tune on another in three ways, and see what each way forgot.

use super::batch::Batch;
use super::progress::{Look, train_with_bar};
use super::say::{self, say};
use super::says::Says;
use anyhow::Context;
use clap::Args;
use gradus::data::{self, TokenStream, Vocabulary};
use gradus::engine::Engine;
use gradus::nn::Network;
use gradus::nn::models::Gpt2;
use gradus::optim::Parameters;
use gradus::params::{Param, Storage, nearest, shown_path};
use gradus::schedule::{Epochs, ModelParams, Plan, Spec};
use gradus::train::{Config, Evaluation, Event, Generator, Language, Sampling, Trainer, files};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
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
    /// Times through the second text, in each of the three ways.
    #[arg(long, default_value_t = 4)]
    epochs: usize,
    #[command(flatten)]
    batch: Batch,
    /// Seed of initial values and orders.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Number of seeds to run, from --seed on.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    seeds: u32,
    /// Schedule of the third way, instead of schedules/transformer_gradual.yaml.
    #[arg(long, value_name = "FILE")]
    schedule: Option<PathBuf>,
    /// Storage of moments, in pretraining too: f32, bf16 or int8.
    #[arg(long, value_name = "STORAGE", default_value_t, value_parser = storage)]
    moments: Storage,
    /// Storage of parameters, in pretraining too: f32, or bf16 for matrices only.
    #[arg(long, value_name = "STORAGE", default_value_t, value_parser = storage_of_parameters)]
    parameters: Storage,
    /// Folder for the results: metrics.jsonl and the pretrained parameters. A later call with the same options uses the
    /// pretrained parameters again.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

type Values = Vec<(String, Vec<f32>)>;

/// The texts, each to train on and to test on.
struct Texts {
    old: (TokenStream, TokenStream),
    new: (TokenStream, TokenStream),
}

/// What all runs have in common.
struct Demo<'a> {
    engine: &'a Engine,
    options: &'a Options,
    vocabulary: Vocabulary,
    texts: Texts,
    model: Gpt2,
    /// The third way: a name for errors, and the schedule.
    gradual: (String, String),
    metrics: Option<File>,
    /// Sequences of a batch, once they are settled.
    rows: Option<usize>,
}

/// The result of one way of fine-tuning, or of the model before it.
struct Outcome {
    way: &'static str,
    new_loss: f64,
    old_loss: f64,
    seconds: f64,
    optimizer_bytes: u64,
}

impl Outcome {
    fn sum(&self) -> f64 {
        self.new_loss + self.old_loss
    }
}

const BEFORE: &str = "before";
const GRADUALLY: &str = "gradual";

pub(super) fn run(engine: &Engine, options: &Options) -> anyhow::Result<()> {
    let mut demo = Demo::new(engine, options)?;
    let parameters: usize = demo.model.params().iter().map(Param::elements).sum();
    say!("a decoder of {parameters} parameters; {} characters, {CONTEXT} at a time", demo.vocabulary.len());
    let mut all = Vec::new();
    for seed in (0..options.seeds).map(|further| options.seed.wrapping_add(further)) {
        let outcomes = demo.one_seed(seed)?;
        say!();
        say!("seed {seed}");
        print_table(&outcomes);
        all.push(outcomes);
    }
    if all.len() > 1 {
        say!();
        say!("means over {} seeds", all.len());
        print_table(&means(&all));
        let wins = |outcomes: &&Vec<Outcome>| {
            let best = outcomes.iter().min_by(|one, other| one.sum().total_cmp(&other.sum()));
            best.is_some_and(|best| best.way == GRADUALLY)
        };
        say!("{GRADUALLY} has the smallest sum in {} of {} seeds", all.iter().filter(wins).count(), all.len());
    }
    Ok(())
}

impl<'a> Demo<'a> {
    fn new(engine: &'a Engine, options: &'a Options) -> anyhow::Result<Demo<'a>> {
        let vocabulary = Vocabulary::printable_ascii();
        let gradual = match &options.schedule {
            None => ("schedules/transformer_gradual.yaml".to_owned(), GRADUAL.to_owned()),
            Some(file) => {
                let shown = file.to_string_lossy().into_owned();
                let text = files::read_text(Path::new(file)).with_context(|| format!("reading {shown}"))?;
                (shown, text)
            }
        };
        let metrics = options.out.as_deref().map(metrics_in).transpose()?;
        let (texts, model) = (texts(&vocabulary)?, decoder(&options.preset, &vocabulary)?);
        // What is wrong with the schedule is reported before anything is trained.
        let spec = Spec::parse(&gradual.0, &gradual.1)?;
        let epochs = Epochs { epochs: options.epochs.max(1) as u64, steps_per_epoch: steps_per_epoch(BATCH) };
        Plan::new(&spec, model.params().as_slice(), epochs)?;
        Ok(Demo { engine, options, texts, model, gradual, metrics, rows: None, vocabulary })
    }

    fn one_seed(&mut self, seed: u32) -> anyhow::Result<Vec<Outcome>> {
        let pretrained = self.pretrained(seed)?;
        say!("a sample of what this character model writes; a model so small learns spelling, not meaning:");
        say::out(&quoted(&self.text_of(&pretrained, "And ", seed)?));
        // Cut at the same places in every epoch: what a frozen trunk makes of a sequence is then made once.
        let task = Language::new(&self.model, (&self.texts.new.0, &self.texts.new.1))?;
        let task = task.starting_from(pretrained.clone()).with_fixed_windows();
        let (new_loss, old_loss) = self.losses(&pretrained)?;
        let mut outcomes = vec![Outcome { way: BEFORE, new_loss, old_loss, seconds: 0.0, optimizer_bytes: 0 }];
        let built_in = |schedule: &str| ("the demo's own schedule".to_owned(), schedule.to_owned());
        let ways = [
            ("everything, one high rate", built_in(EVERYTHING)),
            ("head only", built_in(HEAD)),
            (GRADUALLY, self.gradual.clone()),
        ];
        for (way, schedule) in ways {
            say!();
            say!("fine-tuning on definitions of WordNet: {way}");
            let (trainer, seconds) = self.train(way, &task, &schedule, self.options.epochs, seed)?;
            let (values, optimizer_bytes) = (self.values(trainer.parameters())?, trainer.optimizer_bytes());
            if trainer.trunk_bytes() > 0 {
                say!("{:.1} MB of the frozen trunk's outputs were cached", trainer.trunk_bytes() as f64 / 1e6);
            }
            drop(trainer);
            let (new_loss, old_loss) = self.losses(&values)?;
            say::out(&quoted(&self.text_of(&values, "a ", seed)?));
            outcomes.push(Outcome { way, new_loss, old_loss, seconds, optimizer_bytes });
        }
        Ok(outcomes)
    }

    /// Trains on the first text, or takes what an earlier run left.
    fn pretrained(&mut self, seed: u32) -> anyhow::Result<Values> {
        let Options { preset, pretrain, batch, out, moments, parameters, .. } = self.options;
        let word = |what: &str, storage: &Storage| match storage {
            Storage::F32 => String::new(),
            small => format!("-{what}{small}"),
        };
        let stored = word("", moments) + &word("parameters-", parameters);
        let name = format!("pretrained-{preset}-{pretrain}-{seed}{}{stored}.safetensors", batch.label());
        let file = out.as_ref().map(|folder| folder.join(name));
        if let Some(file) = file.as_ref().filter(|file| file.exists()) {
            say!();
            say!("pretrained parameters from {}", shown_path(file));
            let bytes = files::read(file).with_context(|| format!("reading {}", shown_path(file)))?;
            let parameters = Parameters::new(self.engine, &self.model.params(), None)?;
            parameters.load(&bytes).with_context(|| format!("reading {}", shown_path(file)))?;
            return self.values(&parameters);
        }
        say!();
        say!("pretraining on Psalms, Proverbs and the Gospels (seed {seed})");
        let task = Language::new(&self.model, (&self.texts.old.0, &self.texts.old.1))?;
        let schedule = ("the demo's own schedule".to_owned(), PRETRAIN.to_owned());
        let (trainer, _) = self.train("pretraining", &task, &schedule, *pretrain, seed)?;
        if let Some(file) = file {
            files::replace(&file, &trainer.parameters().read_file()?)?;
        }
        self.values(trainer.parameters())
    }

    /// Trains by a schedule to its end; seconds that it took.
    fn train(
        &mut self,
        way: &str,
        task: &Language,
        (name, schedule): &(String, String),
        epochs: usize,
        seed: u32,
    ) -> anyhow::Result<(Trainer, f64)> {
        let mut spec = Spec::parse(name, schedule)?;
        if self.options.moments != Storage::F32 {
            spec.row.moments = self.options.moments;
        }
        let parameters = self.options.parameters;
        let config = Config::default().batch_size(BATCH).epochs(epochs).seed(seed).parameters(parameters);
        // One size for all runs, found for the first, which trains everything.
        let batch = &self.options.batch;
        let rows = match self.rows {
            Some(rows) => rows,
            None => *self.rows.insert(batch.rows(self.engine, task, &config, &spec)?),
        };
        let (config, spec) = (config.batch_size(rows), batch.scaled(&spec, rows, BATCH)?);
        let look = Look { units: ("tokens", rows * CONTEXT), says: Says::Usual };
        let mut trainer = Trainer::new(self.engine, task, config, |params, epochs| Plan::new(&spec, params, epochs))?;
        let started = Instant::now();
        let metrics = &mut self.metrics;
        train_with_bar(
            &mut trainer,
            &look,
            || false,
            |event| match (metrics.as_mut(), event) {
                (Some(file), Event::Evaluation(evaluation)) => note(file, way, seed, evaluation),
                _ => Ok(()),
            },
        )?
        .sound()?;
        Ok((trainer, started.elapsed().as_secs_f64()))
    }

    fn values(&self, parameters: &Parameters) -> anyhow::Result<Values> {
        let values = |param: Param| Ok((parameters.read(&param.name)?, param.name));
        self.model.params().into_iter().map(values).map(|both| both.map(|(values, name)| (name, values))).collect()
    }

    /// The losses of these values on the new text and on the old one.
    fn losses(&self, values: &Values) -> anyhow::Result<(f64, f64)> {
        let loss = |test: &TokenStream| -> anyhow::Result<f64> {
            let task = Language::new(&self.model, (&self.texts.new.0, test))?.starting_from(values.clone());
            let spec = Spec::parse("the demo's own schedule", EVERYTHING)?;
            let config = Config::default().batch_size(BATCH);
            let plan = |params: ModelParams<'_>, epochs| Plan::new(&spec, params, epochs);
            Ok(Trainer::new(self.engine, &task, config, plan)?.evaluate_now()?.val_loss)
        };
        Ok((loss(&self.texts.new.1)?, loss(&self.texts.old.1)?))
    }

    fn text_of(&self, values: &Values, prompt: &str, seed: u32) -> anyhow::Result<String> {
        let parameters = Parameters::new(self.engine, &self.model.params(), None)?;
        for (name, values) in values {
            parameters.upload(name, values)?;
        }
        let text = data::Text::from_bytes("prompt", prompt.as_bytes().to_vec())?;
        let sampling = Sampling::new(160, seed).temperature(0.7);
        let mut tokens = Vec::new();
        let mut generator = Generator::new(self.engine, &self.model, &parameters)?;
        generator.write(&self.vocabulary.encode(&text)?, &sampling, &[], |token| {
            tokens.push(token);
            Ok(true)
        })?;
        Ok(format!("{prompt}{}", self.vocabulary.decode(&tokens)?))
    }
}

fn storage(name: &str) -> Result<Storage, String> {
    one_of(&Storage::ALL, name)
}

pub(super) fn storage_of_parameters(name: &str) -> Result<Storage, String> {
    one_of(&[Storage::F32, Storage::Bf16], name)
}

fn one_of(known: &[Storage], name: &str) -> Result<Storage, String> {
    let names: Vec<&str> = known.iter().map(|storage| storage.name()).collect();
    let hint = nearest(name, names.iter().copied()).map(|nearest| format!("; did you mean {nearest:?}?"));
    let found = known.iter().find(|storage| storage.name() == name);
    found.copied().ok_or_else(|| format!("one of {}{}", names.join(", "), hint.unwrap_or_default()))
}

/// The demo's decoder. Its head is not tied, so that it can train alone.
pub(super) fn decoder(preset: &str, vocabulary: &Vocabulary) -> anyhow::Result<Gpt2> {
    Ok(Gpt2::preset(preset, vocabulary.len(), CONTEXT)?.tied(false))
}

/// Batches of so many sequences in the text that is fine-tuned on.
pub(super) fn steps_per_epoch(batch: usize) -> u64 {
    ((NEW_TOKENS - CONTEXT) / CONTEXT / batch) as u64
}

fn texts(vocabulary: &Vocabulary) -> anyhow::Result<Texts> {
    let stream = |text: &data::Text| -> anyhow::Result<TokenStream> {
        Ok(TokenStream::new(vocabulary.encode(text)?, vocabulary.len())?)
    };
    let old = stream(&data::kjv())?.split(HELD_OUT)?;
    let (new, held_out) = stream(&data::glosses())?.split(HELD_OUT)?;
    let new = TokenStream::new(new.tokens()[..NEW_TOKENS].to_vec(), vocabulary.len())?;
    Ok(Texts { old, new: (new, held_out) })
}

/// A new file for the metrics.
fn metrics_in(folder: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("making the folder {}", shown_path(folder)))?;
    let file = folder.join("metrics.jsonl");
    files::create(&file).with_context(|| format!("opening {}", shown_path(&file)))
}

fn note(file: &mut File, run: &str, seed: u32, evaluation: &Evaluation) -> anyhow::Result<()> {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        run: &'a str,
        seed: u32,
        #[serde(flatten)]
        evaluation: &'a Evaluation,
    }
    let line = serde_json::to_string(&Line { run, seed, evaluation })?;
    writeln!(file, "{line}").context("writing metrics.jsonl")
}

fn print_table(outcomes: &[Outcome]) {
    say!("{:28} {:>9} {:>9} {:>9} {:>9} {:>16}", "", "new text", "old text", "sum", "seconds", "optimizer moved");
    for outcome in outcomes {
        let Outcome { way, new_loss, old_loss, seconds, optimizer_bytes } = outcome;
        let losses = format!("{way:28} {new_loss:>9.4} {old_loss:>9.4} {:>9.4}", outcome.sum());
        if *way == BEFORE {
            say!("{losses}");
        } else {
            say!("{losses} {seconds:>9.1} {:>13.0} MB", *optimizer_bytes as f64 / 1e6);
        }
    }
}

/// The means of each way.
fn means(all: &[Vec<Outcome>]) -> Vec<Outcome> {
    let seeds = all.len() as f64;
    let mean = |way: usize, of: fn(&Outcome) -> f64| all.iter().map(|outcomes| of(&outcomes[way])).sum::<f64>() / seeds;
    let of_way = |(way, outcome): (usize, &Outcome)| Outcome {
        way: outcome.way,
        new_loss: mean(way, |outcome| outcome.new_loss),
        old_loss: mean(way, |outcome| outcome.old_loss),
        seconds: mean(way, |outcome| outcome.seconds),
        optimizer_bytes: mean(way, |outcome| outcome.optimizer_bytes as f64) as u64,
    };
    all.first().map_or_else(Vec::new, |first| first.iter().enumerate().map(of_way).collect())
}

fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("  | {line}\n")).collect()
}
