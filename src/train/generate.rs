//! Text from a decoder, token after token.

use super::{Error, Sampling};
use crate::engine::layout::IGNORED;
use crate::engine::{Buffer, Engine, Prepared, Program, Range, Submission, Upload, counted};
use crate::nn::{Batch, LossOptions, Model, Network};
use crate::optim::Parameters;

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// All tokens that were asked for are there.
    Length,
    /// The model has drawn a token that ends a text.
    EndOfText,
    /// The caller wants no more.
    Stopped,
}

/// A decoder that continues texts.
#[derive(Debug)]
pub struct Generator<'a> {
    engine: &'a Engine,
    parameters: &'a Parameters,
    /// The decoder with the logits of the last token only.
    model: Model,
    /// A parameter of it, and its name among the parameters.
    output: (String, String),
    context: usize,
    /// Tokens that may be drawn: the first so many.
    vocabulary: usize,
    /// A pass for each length that was needed.
    passes: Vec<Pass>,
    /// Memory that the passes share.
    memory: Vec<Buffer>,
}

/// A pass over texts of at most so many tokens.
#[derive(Debug)]
struct Pass {
    length: usize,
    tokens: Buffer,
    mask: Buffer,
    program: Prepared,
    logits: Range,
}

/// The shortest pass. The others double, so that a short text in a long context costs little.
const SHORTEST: usize = 16;

impl<'a> Generator<'a> {
    /// For a decoder with these parameters.
    ///
    /// # Errors
    /// [`Error::NotDecoder`] for a model that predicts no tokens.
    pub fn new(
        engine: &'a Engine,
        model: &(impl Clone + Into<Model>),
        parameters: &'a Parameters,
    ) -> Result<Generator<'a>, Error> {
        let model: Model = model.clone().into();
        let ((model, output), context) = (model.next_token().ok_or(Error::NotDecoder)?, model.context());
        let (vocabulary, passes, memory) = (model.outputs(), Vec::new(), Vec::new());
        Ok(Generator { engine, parameters, model, output, context, vocabulary, passes, memory })
    }

    /// Draws only the first so many tokens: a table may have more rows than a tokenizer has tokens.
    #[must_use]
    pub fn among(mut self, tokens: usize) -> Generator<'a> {
        self.vocabulary = self.vocabulary.min(tokens);
        self
    }

    /// Draws tokens one by one after a prompt, each from the model's distribution given the last `context` tokens before
    /// it, until one of `ends` is drawn or `each`, which hears every token, returns false. Waits for the device once a
    /// token.
    ///
    /// # Errors
    /// [`Error::BadSampling`]; [`Error::BadPrompt`] for an empty or too long prompt or a token out of range;
    /// [`Error::BrokenLogits`] for a model whose numbers are not finite; from `each` and the device.
    pub fn write(
        &mut self,
        prompt: &[u32],
        sampling: &Sampling,
        ends: &[u32],
        mut each: impl FnMut(u32) -> Result<bool, Error>,
    ) -> Result<Ended, Error> {
        sampling.check()?;
        let (context, vocab) = (self.context, self.model.outputs());
        let fits = (1..=context).contains(&prompt.len());
        if !fits || prompt.iter().any(|token| *token as usize >= vocab) {
            return Err(Error::BadPrompt { tokens: prompt.len(), context, vocab });
        }
        let mut text = prompt.to_vec();
        for draw in 0..sampling.tokens {
            let logits = self.logits(&text[text.len().saturating_sub(context)..])?;
            let token = sampling.token(&logits[..self.vocabulary], counted(draw));
            text.push(token);
            let goes_on = each(token)?;
            if ends.contains(&token) {
                return Ok(Ended::EndOfText);
            }
            if !goes_on {
                return Ok(Ended::Stopped);
            }
        }
        Ok(Ended::Length)
    }

    /// The logits of the token that follows these, which the context has room for.
    ///
    /// # Errors
    /// [`Error::BrokenLogits`]; from the device.
    pub fn logits(&mut self, seen: &[u32]) -> Result<Vec<f32>, Error> {
        let length = seen.len().next_power_of_two().max(SHORTEST).min(self.context);
        let place = match self.passes.iter().position(|pass| pass.length == length) {
            Some(place) => place,
            None => {
                let pass = self.pass(length)?;
                self.passes.push(pass);
                self.passes.len() - 1
            }
        };
        let Pass { tokens, mask, program, logits, .. } = &self.passes[place];
        let upload = |buffer: &Buffer, words: &[u32]| Upload {
            buffer: buffer.clone(),
            offset: 0,
            data: bytemuck::cast_slice(words).to_vec(),
        };
        let are_seen: Vec<u32> = (0..length).map(|row| u32::from(row < seen.len())).collect();
        let uploads = vec![upload(tokens, seen), upload(mask, &are_seen)];
        self.engine.submit(&Submission { uploads, programs: &[program], ..Submission::default() })?;
        let mut logits: Vec<f32> = self.engine.read(logits)?;
        logits.truncate(self.model.outputs());
        match logits.iter().all(|logit| logit.is_finite()) {
            true => Ok(logits),
            false => Err(Error::BrokenLogits { tokens: seen.len() }),
        }
    }

    fn pass(&mut self, length: usize) -> Result<Pass, Error> {
        let engine = self.engine;
        let words = |label: &str| engine.buffer(label, length as u64 * 4);
        let (tokens, mask) = (words("tokens")?, words("mask")?);
        let batch = Batch::new(engine, 1, length)?
            .with("tokens", tokens.all())
            .with("mask", mask.all())
            .with("labels", engine.buffer_with("labels", &[IGNORED])?.all());
        let space = self.model.evaluation(1, length)?.allocate_within(engine, &mut self.memory)?;
        let (there, here) = &self.output;
        let parameter = |name: &str| {
            let name = if name == there { here } else { name };
            self.parameters.place(name).map_err(Error::from)
        };
        let mut program = Program::new("generate");
        program.dispatches = space.dispatches(&batch, LossOptions::new(0), parameter, |_| Ok(None), false)?;
        Ok(Pass { length, tokens, mask, program: engine.prepare(program)?, logits: space.logits() })
    }
}
