//! `gradus generate`: a trained decoder continues a text.

use super::asked::{Asked, refuse};
use super::asks::Asks;
use super::say::{self, caution};
use super::says::Says;
use anyhow::Context;
use clap::Args;
use gradus::data::{Continuation, Text};
use gradus::nn::Network;
use gradus::optim::Parameters;
use gradus::params::shown_path;
use gradus::run::{Trained, TrainedDecoder};
use gradus::train::{Ended, Generator, Sampling, files};
use serde_json::json;
use std::io::Read;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Generate {
    /// The folder of a run on a text, or a Hugging Face folder of GPT-2.
    #[arg(value_name = "DIR")]
    model: PathBuf,
    /// The text to continue; `-` is standard input. Without it a text begins, if the model has a token for that.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prompt: String,
    /// File with the text to continue.
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    prompt_file: Option<PathBuf>,
    /// The most tokens to write.
    #[arg(long, value_name = "TOKENS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    max_new_tokens: u32,
    /// Logits are divided by it: below 1 likely tokens become likelier. 0 takes the likeliest token each time.
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0, allow_negative_numbers = true)]
    temperature: f64,
    /// Draw among the K likeliest tokens only.
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Draw among the likeliest tokens only, as many as have the share P together.
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true, hide_default_value = true)]
    top_p: f64,
    /// Seed of the draws: the same one gives the same text.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// End before this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// How many texts to write; each has the next seed.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// Write a line of JSON for each text.
    #[arg(long)]
    json: bool,
    /// Use the best parameters (best.safetensors), not the last ones.
    #[arg(long)]
    best: bool,
}

const EXAMPLES: &str = "\
Examples:
  gradus generate runs/psalms --prompt 'And '
  gradus generate gpt2 --prompt 'Once upon a time' --temperature 0.8 --top-p 0.95 --max-new-tokens 100
  gradus generate runs/psalms --prompt-file begin.txt --temperature 0 --stop '.' --json

Tokens are drawn unless --temperature is 0. The filters come in this order: temperature, top-k, top-p. The prompt stands before
what is written; with --json both are apart. A prompt may be as long as the model's context. When the context is full, the oldest
tokens are no longer read.";

pub(super) fn run(asks: &Asks, options: &Generate) -> anyhow::Result<()> {
    let sampling = sampling(options)?;
    let decoder = decoder(options)?;
    let (name, prompt) = prompt(options)?;
    let refused = |error: gradus::run::Error| Asked::error(error.into());
    let read = decoder.prompt(&name, &prompt).map_err(refused)?;
    read.warning.iter().for_each(|warning| caution!("{warning}"));
    let values = decoder.values().map_err(refused)?;
    let engine = asks.engine(Says::Nothing)?;
    let parameters = Parameters::new(&engine, &decoder.model().params(), None)?;
    for (name, values) in &values {
        parameters.upload(name, values)?;
    }
    let tokenizer = decoder.tokenizer();
    let mut generator = Generator::new(&engine, decoder.model(), &parameters)?.among(tokenizer.vocabulary_size());
    for sample in 0..options.samples {
        let sampling = sampling.seed(options.seed.wrapping_add(sample));
        let shown = |piece: &str| {
            if !options.json && !piece.is_empty() {
                say::data(piece);
            }
        };
        if options.samples > 1 {
            shown(&format!("--- {} of {}, seed {}\n", sample + 1, options.samples, sampling.seed));
        }
        shown(&prompt);
        let (mut tokens, mut text) = (Vec::new(), Continuation::new(tokenizer, &read.tokens, &options.stop)?);
        let ended = generator.write(&read.tokens, &sampling, decoder.ends(), |token| {
            tokens.push(token);
            if !decoder.ends().contains(&token) {
                shown(text.add(token)?);
            }
            Ok(!text.is_stopped())
        })?;
        shown(text.rest());
        if options.json {
            let told = json!({
                "prompt": prompt, "text": text.text(), "tokens": tokens, "ended": word(ended), "seed": sampling.seed,
            });
            say::data(&format!("{told}\n"));
        } else if !text.text().ends_with('\n') {
            say::data("\n");
        }
    }
    Ok(())
}

/// The settings of the draws; what is wrong with them is told before anything is read.
fn sampling(options: &Generate) -> anyhow::Result<Sampling> {
    let sampling = Sampling::new(options.max_new_tokens as usize, options.seed)
        .temperature(options.temperature)
        .top_k(options.top_k)
        .top_p(options.top_p);
    sampling.check().map_err(|error| Asked::error(error.into()))?;
    if sampling.is_greedy() && options.samples > 1 {
        refuse!("--samples: at a temperature of 0 all texts are the same");
    }
    if options.stop.iter().any(String::is_empty) {
        refuse!("--stop: a text ends before it, so it cannot be empty");
    }
    Ok(sampling)
}

fn decoder(options: &Generate) -> anyhow::Result<TrainedDecoder> {
    let folder = &options.model;
    let found = match Trained::is_run(folder) {
        true => TrainedDecoder::of_run(folder, options.best),
        false if options.best => refuse!("--best: there is no run in {}", shown_path(folder)),
        false => TrainedDecoder::of_pretrained(folder),
    };
    found.map_err(|error| Asked::error(error.into()))
}

/// The prompt, and what errors call it. The end of the last line of a file is not a part of it.
fn prompt(options: &Generate) -> anyhow::Result<(String, String)> {
    let (name, bytes) = match &options.prompt_file {
        Some(path) => {
            let read = files::read(path).with_context(|| format!("reading {}", shown_path(path)));
            (path.display().to_string(), read.map_err(Asked::error)?)
        }
        None if options.prompt == "-" => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).context("reading standard input")?;
            ("standard input".to_owned(), bytes)
        }
        None => return Ok(("--prompt".to_owned(), options.prompt.clone())),
    };
    if bytes.is_empty() {
        return Ok((name, String::new()));
    }
    let text = Text::from_bytes(&name, bytes).map_err(|error| Asked::error(error.into()))?;
    let text = text.as_str();
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok((name, text.to_owned()))
}

fn word(ended: Ended) -> &'static str {
    match ended {
        Ended::EndOfText => "end of text",
        Ended::Stopped => "stop",
        _ => "length",
    }
}
