//! Text from a decoder.

use super::Error;
use crate::engine::layout::{IGNORED, pcg, uniform};
use crate::engine::{Engine, Program, Submission, counted};
use crate::nn::models::Gpt2;
use crate::nn::{Batch, LossOptions, Network};
use crate::optim::Parameters;
use crate::setters::setters;

/// How tokens are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sampling {
    /// Tokens to draw.
    pub tokens: usize,
    /// Logits are divided by it: below 1 likely tokens become likelier.
    pub temperature: f32,
    /// Seed of the draws.
    pub seed: u32,
}

impl Sampling {
    /// So many tokens, at a temperature of 1.
    pub fn new(tokens: usize, seed: u32) -> Sampling {
        Sampling { tokens, temperature: 1.0, seed }
    }

    setters! {
        temperature: f32,
    }
}

/// Draws tokens one by one after a prompt, each from the model's distribution given the last `context` tokens before
/// it. Waits for the device once a token.
///
/// # Errors
/// [`Error::BadPrompt`] for an empty prompt or a token out of range; from the device.
pub fn sample(
    engine: &Engine,
    model: &Gpt2,
    parameters: &Parameters,
    prompt: &[u32],
    sampling: Sampling,
) -> Result<Vec<u32>, Error> {
    let (context, vocab) = (model.sizes.context, model.sizes.vocab);
    if prompt.is_empty() || prompt.iter().any(|token| *token as usize >= vocab) {
        return Err(Error::BadPrompt { tokens: prompt.len(), vocab });
    }
    let numbers = |label: &str, value: u32| engine.buffer_with(label, &vec![value; context]);
    let tokens = numbers("tokens", 0)?;
    let batch = Batch::new(engine, 1, context)?
        .with("tokens", tokens.all())
        .with("mask", numbers("mask", 1)?.all())
        .with("labels", numbers("targets", IGNORED)?.all());
    let space = model.evaluation(1, context)?.allocate(engine)?;
    let loss = LossOptions { ignore: IGNORED, smoothing: 0.0, seed: 0 };
    let parameter = |name: &str| parameters.place(name).map_err(Error::from);
    let mut program = Program::new("sample");
    program.dispatches = space.dispatches(&batch, loss, parameter, |_| Ok(None), false)?;
    let program = engine.prepare(program)?;

    let row_bytes = vocab.div_ceil(4) as u64 * 16;
    let mut text = prompt.to_vec();
    for draw in 0..sampling.tokens {
        let seen = &text[text.len().saturating_sub(context)..];
        engine.write(&tokens, 0, seen)?;
        engine.submit(&Submission { programs: &[&program], ..Submission::default() })?;
        let mut last = space.logits();
        (last.offset, last.bytes) = (last.offset + row_bytes * (seen.len() as u64 - 1), row_bytes);
        let logits: Vec<f32> = engine.read(&last)?;
        text.push(drawn(&logits[..vocab], sampling, counted(draw)));
    }
    Ok(text.split_off(prompt.len()))
}

/// A token by its logit: the first whose share of the softmax reaches a number drawn from 0 to 1.
fn drawn(logits: &[f32], sampling: Sampling, draw: u32) -> u32 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> =
        logits.iter().map(|logit| f64::from((logit - highest) / sampling.temperature.max(1e-6)).exp()).collect();
    let mut left = f64::from(uniform(draw, pcg(sampling.seed))) * weights.iter().sum::<f64>();
    for (token, weight) in (0..).zip(&weights) {
        left -= weight;
        if left < 0.0 {
            return token;
        }
    }
    counted(logits.len()) - 1
}
