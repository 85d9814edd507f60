//! A pass with memory: the dispatches of a step, on buffers that its values share.

use super::config::{Config, Kind, Pooling};
use super::forward::Recorder;
use super::memory::Memory;
use super::step::{After, Id, Layer, Norm, Step, Value, plane_bytes};
use crate::engine::layout::{self, Metrics};
use crate::engine::{Buffer, Dispatch, Engine, Range, counted};
use crate::nn::attention::{Sight, attention, attention_backward_key_value, attention_backward_query};
use crate::nn::ops::{self, After as Folded, Gradient, activation_bytes, quads};
use crate::nn::{Error, Parameter, limits, vector};
use std::collections::HashSet;

/// A batch on the device, as the kernels that gather one leave it.
#[derive(Clone, Debug)]
pub struct Sequences {
    /// Sequences.
    pub batch: usize,
    /// Tokens of each.
    pub context: usize,
    /// `[batch, context]`.
    pub tokens: Range,
    /// `[batch, context]`, 1 for a token, 0 for padding.
    pub mask: Range,
    /// `[batch, context]`; only with token types.
    pub types: Option<Range>,
    /// A decoder's targets `[batch, context]`, an encoder's labels `[batch]`.
    pub labels: Range,
    /// Where the batch stands; batch 0 starts the counts of the loss anew.
    pub position: Range,
}

/// What is made of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossOptions {
    /// A row with this label does not count.
    pub ignore: u32,
    /// This part of the target is spread evenly over the classes.
    pub smoothing: f32,
    /// On the gradient, which is a mean over the rows that count: 1 / micro-batches of a step.
    pub scale: f32,
    /// Of dropout.
    pub seed: u32,
}

/// The steps of a pass and their memory, of which nothing is allocated yet.
#[derive(Clone, Debug)]
pub struct Pass {
    pub(super) config: Config,
    pub(super) batch: usize,
    pub(super) context: usize,
    pub(super) values: Vec<Value>,
    pub(super) steps: Vec<Step>,
    pub(super) memory: Memory,
    pub(super) logits: Id,
    /// What is in memory before the pass.
    pub(super) inputs: Vec<Id>,
    /// What stays in memory behind it.
    pub(super) kept: Vec<Id>,
    /// The parameters that get gradients.
    pub(super) trained: Vec<String>,
    pub(super) trains: bool,
}

impl Pass {
    /// Forward, loss and the backward pass down to the lowest parameter that is `trainable`.
    pub(super) fn training(config: &Config, batch: usize, context: usize, trainable: &dyn Fn(&str) -> bool) -> Pass {
        let mut recorder = Recorder::new(config, batch, context, true);
        let logits = recorder.forward();
        recorder.backward(logits, trainable);
        let names = config.params().into_iter().map(|param| param.name);
        Pass { trained: names.filter(|name| trainable(name)).collect(), trains: true, ..Pass::of(recorder, logits) }
    }

    /// Forward and loss.
    pub(super) fn evaluation(config: &Config, batch: usize, context: usize) -> Pass {
        let mut recorder = Recorder::new(config, batch, context, false);
        let logits = recorder.forward();
        recorder.backward(logits, &|_| false);
        Pass::of(recorder, logits)
    }

    fn of(recorder: Recorder, logits: Id) -> Pass {
        let Recorder { config, batch, context, values, steps, .. } = recorder;
        let memory = Memory::of(&values, &steps, &[logits], &[]);
        let (config, inputs, kept, trained) = (config.clone(), Vec::new(), vec![logits], Vec::new());
        Pass { config, batch, context, values, steps, memory, logits, inputs, kept, trained, trains: false }
    }

    /// The pass with the activations of these labels left in memory behind it, for [`Workspace::value`]. A label is the
    /// module's name and the part: `transformer.h.0.mlp.c_proj.z`, `encoder.layer.0.output.LayerNorm.y`, `embedded`.
    #[must_use]
    pub fn keeping(self, label: impl Fn(&str) -> bool) -> Pass {
        let kept = (0..self.values.len()).filter(|id| *id == self.logits || label(&self.values[*id].label));
        let kept: Vec<Id> = kept.collect();
        let memory = Memory::of(&self.values, &self.steps, &kept, &self.inputs);
        Pass { memory, kept, ..self }
    }

    /// Bytes of activations and their gradients.
    pub fn bytes(&self) -> u64 {
        self.memory.bytes()
    }

    /// Bytes that this pass takes beside another, where they share [memory](Pass::allocate_within).
    pub fn bytes_beside(&self, other: &Pass) -> u64 {
        self.memory.bytes_beside(&other.memory)
    }

    /// Whether the attention drops weights.
    pub(super) fn drops_weights(&self) -> bool {
        self.trains && self.config.dropout > 0.0
    }

    /// Dispatches of the pass, where each parameter that [trains](Pass::trained) has room for its gradient.
    pub fn dispatch_count(&self) -> usize {
        self.steps.iter().map(|step| self.dispatches_of(step)).sum()
    }

    fn dispatches_of(&self, step: &Step) -> usize {
        let index = |table: Table| usize::from(table != Table::Positions);
        match step {
            // And the sums of the rows' losses.
            Step::Loss { .. } => 2,
            Step::EmbedBackward { tables, .. } => {
                let trained = tables.iter().zip(TABLES).filter(|(name, _)| self.trained.contains(name));
                trained.map(|(_, table)| 1 + index(table)).sum()
            }
            _ => 1,
        }
    }

    /// The names of the parameters that get gradients, in the model's order.
    pub fn trained(&self) -> &[String] {
        &self.trained
    }

    /// Whether the device can bind each parameter and activation. Nothing is allocated.
    ///
    /// # Errors
    /// [`Error::ParameterTooLarge`]; [`Error::ActivationTooLarge`] with the largest batch that fits.
    pub fn check(&self, engine: &Engine) -> Result<(), Error> {
        limits::check_parameters(engine, &self.config.params())?;
        let largest = |batch| largest(&self.config, batch, self.context);
        limits::check_batch(engine.binding_bytes(), self.batch, largest)
    }

    /// Allocates the memory.
    ///
    /// # Errors
    /// As [`check`](Pass::check); out of device memory.
    pub fn allocate(self, engine: &Engine) -> Result<Workspace, Error> {
        self.allocate_within(engine, &mut Vec::new())
    }

    /// The same as far as the memory is not there already, of passes that never run while this one does. What is new
    /// joins it.
    ///
    /// # Errors
    /// As [`allocate`](Pass::allocate).
    pub fn allocate_within(self, engine: &Engine, there: &mut Vec<Buffer>) -> Result<Workspace, Error> {
        self.check(engine)?;
        let there_bytes: Vec<u64> = there.iter().map(Buffer::bytes).collect();
        let found = self.memory.within(&there_bytes);
        let mut new = Vec::new();
        let mut buffers = Vec::with_capacity(found.len());
        for (number, (found, bytes)) in found.iter().zip(&self.memory.buffer_bytes).enumerate() {
            buffers.push(match found {
                Some(place) => there[*place].clone(),
                None => {
                    new.push(engine.buffer(&format!("activations.{number}"), *bytes)?);
                    new[new.len() - 1].clone()
                }
            });
        }
        let rows = (self.batch * self.context) as u64;
        let index = |entries: usize| -> Result<Index, Error> {
            Ok(Index {
                previous: engine.buffer("embedding previous", rows * 4)?,
                last: engine.buffer("embedding last", entries as u64 * 4)?,
            })
        };
        let [positions, previous, last] = ops::position_index(&self.embedding(Table::Positions));
        let positioned = Index {
            previous: engine.buffer_with("position previous", &previous)?,
            last: engine.buffer_with("position last", &last)?,
        };
        let workspace = Workspace {
            engine: engine.clone(),
            metrics: engine.buffer("metrics", size_of::<Metrics>() as u64)?,
            positions: engine.buffer_with("positions", &positions)?,
            first: engine.buffer_with("first tokens", &ops::first_tokens(&self.pool()))?,
            indices: [index(self.config.vocab)?, positioned, index(self.config.types().max(1))?],
            buffers,
            pass: self,
        };
        there.append(&mut new);
        Ok(workspace)
    }
}

/// The largest activation of a batch. No gradient is larger than what it is the gradient of.
pub(super) fn largest(config: &Config, batch: usize, context: usize) -> (String, u64) {
    let mut recorder = Recorder::new(config, batch, context, false);
    recorder.forward();
    let largest = recorder.values.into_iter().max_by_key(|value| value.bytes);
    largest.map_or_else(Default::default, |value| (value.label, value.bytes))
}

/// The tables that are embedded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    Tokens,
    Positions,
    Types,
}

const TABLES: [Table; 3] = [Table::Tokens, Table::Positions, Table::Types];

/// Which rows of a batch name an entry of a table.
#[derive(Clone, Debug)]
struct Index {
    previous: Buffer,
    last: Buffer,
}

/// A pass on its memory.
#[derive(Clone, Debug)]
pub struct Workspace {
    engine: Engine,
    pass: Pass,
    buffers: Vec<Buffer>,
    /// The counts of the loss.
    pub metrics: Buffer,
    positions: Buffer,
    first: Buffer,
    /// Of the token table, the position table and the type table.
    indices: [Index; 3],
}

/// Where parameters and their gradients are.
struct Placed<'a, E> {
    parameter: &'a dyn Fn(&str) -> Result<Parameter, E>,
    gradient: &'a dyn Fn(&str) -> Result<Option<Range>, E>,
    /// Whose gradients are asked for.
    trained: HashSet<&'a str>,
    /// Gradients that something of this step is in already.
    written: HashSet<String>,
    accumulate: bool,
}

impl Workspace {
    /// Bytes of activations and their gradients.
    pub fn bytes(&self) -> u64 {
        self.pass.bytes()
    }

    /// An activation that the pass [keeps](Pass::keeping), `[rows, quads(width)]` vec4; `None` for others, whose memory is
    /// used again.
    pub fn value(&self, label: &str) -> Option<Range> {
        self.pass.kept.iter().find(|id| self.pass.values[**id].label == label).map(|id| self.range(*id))
    }

    /// All that the pass keeps: label and memory.
    pub fn kept(&self) -> impl Iterator<Item = (&str, Range)> {
        self.pass.kept.iter().map(|id| (self.pass.values[*id].label.as_str(), self.range(*id)))
    }

    /// What has to be there before a [`top`](Pass::top) runs: label and memory, as its trunk [keeps](Workspace::kept) it.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, Range)> {
        self.pass.inputs.iter().map(|id| (self.pass.values[*id].label.as_str(), self.range(*id)))
    }

    /// The logits: `[batch, context, quads(vocab)]` of a decoder, `[batch, quads(classes)]` of an encoder.
    pub fn logits(&self) -> Range {
        self.range(self.pass.logits)
    }

    /// The dispatches of the pass over a batch. `parameter` tells where each parameter lies and how it is stored, `gradient`
    /// where its gradient goes; it is asked for those that [train](Pass::trained) only, and may leave one out with `None`. With `accumulate`,
    /// gradients are added to what is there.
    ///
    /// # Errors
    /// From `parameter` and `gradient`; [`Error::Unreadable`], [`Error::UnreadableVector`], [`Error::TablesDiffer`]; a batch of other sizes, or without
    /// the token types that the model has; out of device memory.
    pub fn dispatches<E: From<Error>>(
        &self,
        batch: &Sequences,
        loss: LossOptions,
        parameter: impl Fn(&str) -> Result<Parameter, E>,
        gradient: impl Fn(&str) -> Result<Option<Range>, E>,
        accumulate: bool,
    ) -> Result<Vec<Dispatch>, E> {
        self.check(batch)?;
        let trained = self.pass.trained.iter().map(String::as_str).collect();
        let (parameter, gradient, written) = (&parameter, &gradient, HashSet::new());
        let mut placed = Placed { parameter, gradient, trained, written, accumulate };
        let mut dispatches = Vec::with_capacity(self.pass.steps.len() + 4);
        for step in &self.pass.steps {
            self.dispatch(step, batch, loss, &mut placed, &mut dispatches)?;
        }
        Ok(dispatches)
    }

    fn check(&self, batch: &Sequences) -> Result<(), Error> {
        let pairs = [("batch", batch.batch, self.pass.batch), ("context", batch.context, self.pass.context)];
        if let Some((setting, value, _)) = pairs.into_iter().find(|(_, given, made)| given != made) {
            let value = value as f64;
            return Err(Error::BadConfig { setting, value, allowed: "what the workspace was made for" });
        }
        let types = self.pass.config.types();
        if types > 0 && batch.types.is_none() {
            let value = types as f64;
            return Err(Error::BadConfig {
                setting: "types",
                value,
                allowed: "possible for a batch without token types",
            });
        }
        Ok(())
    }

    fn range(&self, value: Id) -> Range {
        let buffer = self.pass.memory.buffer_of[value].map_or(0, |buffer| buffer);
        Range { buffer: self.buffers[buffer].clone(), offset: 0, bytes: self.pass.values[value].bytes }
    }

    /// A layer's part of a value: the whole, or its plane.
    fn plane(&self, value: Id, layer: &Layer) -> Range {
        let range = self.range(value);
        if range.bytes < 3 * layer.plane_bytes() || layer.bias.is_none() {
            return range;
        }
        let bytes = activation_bytes(layer.rows, layer.outputs);
        Range { offset: layer.plane as u64 * layer.plane_bytes(), bytes, ..range }
    }

    fn dispatch<E: From<Error>>(
        &self,
        step: &Step,
        batch: &Sequences,
        loss: LossOptions,
        placed: &mut Placed<'_, E>,
        dispatches: &mut Vec<Dispatch>,
    ) -> Result<(), E> {
        let (engine, at) = (&self.engine, |value: &Id| self.range(*value));
        let made = match step {
            Step::Embed { tables, y } => {
                let types = match (batch.types.clone(), tables.get(2)) {
                    (Some(types), Some(table)) => Some((types, (placed.parameter)(table)?)),
                    _ => None,
                };
                let (memory, shape) = ([batch.tokens.clone(), at(y)], self.pass.embedding(Table::Tokens));
                let tables = [(placed.parameter)(&tables[0])?, (placed.parameter)(&tables[1])?];
                ops::embedding(engine, &shape, memory, tables, types)?
            }
            Step::EmbedBackward { tables, dy } => return self.embed_backward(tables, *dy, batch, placed, dispatches),
            Step::Norm { norm, x, residual, y, moments } => {
                let [gamma, beta] = parts(norm);
                let memory = [at(x), placed.vector(&gamma)?, placed.vector(&beta)?, at(y), at(moments)];
                let residual = residual.map(|(residual, sum)| [self.range(residual), self.range(sum)]);
                ops::layer_norm(engine, &self.pass.norm(norm), memory, residual)?
            }
            Step::NormInput { norm, dy, x, moments, dx, adds } => {
                let [gamma, _] = parts(norm);
                let memory = [at(dy), at(x), placed.vector(&gamma)?, at(moments), at(dx)];
                ops::layer_norm_backward_input(engine, &self.pass.norm(norm), memory, *adds)?
            }
            Step::NormWeight { norm, dy, x, moments } => {
                let memory = [at(dy), at(x), at(moments)];
                let (gradients, adds) = placed.gradients(&parts(norm).each_ref().map(String::as_str))?;
                ops::layer_norm_backward_weight(engine, &self.pass.norm(norm), memory, gradients, adds)?
            }
            Step::Linear { layer, x, z, after } => {
                let bias = layer.bias.as_ref().map(|bias| placed.vector(bias)).transpose()?;
                let (weight, memory) = ((placed.parameter)(&layer.weight)?, [at(x), self.plane(*z, layer)]);
                let folded = match after {
                    After::Nothing => Folded::Nothing,
                    After::Activation(activation, h) => Folded::Activation(*activation, at(h)),
                    After::Residual(residual) => Folded::Residual(at(residual)),
                };
                ops::linear(engine, &linear(layer), weight, memory, bias, folded)?
            }
            Step::LinearInput { layer, dz, below, dx, adds } => {
                let (weight, memory) = ((placed.parameter)(&layer.weight)?, [self.plane(*dz, layer), at(dx)]);
                let below = below.map(|(activation, z)| (activation, self.range(z)));
                ops::linear_backward_input(engine, &linear(layer), weight, memory, below, *adds)?
            }
            Step::LinearWeight { layer, dz, x } => {
                let bias = layer.bias.as_deref().unwrap_or_default();
                let (gradients, adds) = placed.gradients(&[&layer.weight, bias])?;
                let memory = [self.plane(*dz, layer), at(x)];
                ops::linear_backward_weight(engine, &linear(layer), memory, gradients, adds)?
            }
            Step::Attention { qkv, out, lse, stream } => {
                let memory = [at(qkv), batch.mask.clone(), at(out), at(lse)];
                attention(engine, &self.pass.attention(*stream, loss), self.pass.sight(), memory, self.drops(batch))?
            }
            Step::AttentionQuery { qkv, out, dout, lse, delta, dqkv, stream } => {
                let memory = [at(qkv), batch.mask.clone(), at(out), at(dout), at(lse), at(delta), at(dqkv)];
                let (shape, sight) = (self.pass.attention(*stream, loss), self.pass.sight());
                attention_backward_query(engine, &shape, sight, memory, self.drops(batch))?
            }
            Step::AttentionKeyValue { qkv, dout, lse, delta, dqkv, stream } => {
                let memory = [at(qkv), batch.mask.clone(), at(dout), at(lse), at(delta), at(dqkv)];
                let (shape, sight) = (self.pass.attention(*stream, loss), self.pass.sight());
                attention_backward_key_value(engine, &shape, sight, memory, self.drops(batch))?
            }
            Step::Pool { x, y } => ops::mean_pool(engine, &self.pass.pool(), [at(x), self.pooled(batch), at(y)])?,
            Step::PoolBackward { dy, dx } => {
                ops::mean_pool_backward(engine, &self.pass.pool(), [at(dy), self.pooled(batch), at(dx)])?
            }
            Step::Dropout { x, y, residual, rows, width, stream } => {
                let rate = f64::from(self.pass.config.dropout);
                let shape = layout::Dropout::new(loss.seed, *stream, rate, rows * quads(*width));
                let memory = [at(x), at(y), batch.position.clone()];
                ops::dropout(engine, &shape, memory, residual.map(|residual| self.range(residual)))?
            }
            Step::Loss { logits, dlogits, verdicts } => {
                let shape = self.pass.loss(loss);
                let gradient = if self.pass.trains { Gradient::Mean } else { Gradient::None };
                let memory = [at(logits), batch.labels.clone(), at(dlogits), at(verdicts)];
                dispatches.push(ops::softmax_cross_entropy(engine, &shape, memory, gradient)?);
                let memory = [at(verdicts), self.metrics.all(), batch.position.clone()];
                ops::tally(engine, &shape, memory)?
            }
        };
        dispatches.push(made);
        Ok(())
    }

    /// The gradients of the tables that train, each by an index of who names what.
    fn embed_backward<E: From<Error>>(
        &self,
        tables: &[String],
        dy: Id,
        batch: &Sequences,
        placed: &mut Placed<'_, E>,
        dispatches: &mut Vec<Dispatch>,
    ) -> Result<(), E> {
        let types = batch.types.clone().unwrap_or_else(|| batch.tokens.clone());
        let named = [batch.tokens.clone(), self.positions.all(), types];
        for (((name, table), names), index) in tables.iter().zip(TABLES).zip(named).zip(&self.indices) {
            let ([gradient], adds) = placed.gradients(&[name])?;
            let Some(gradient) = gradient else { continue };
            let shape = self.pass.embedding(table);
            let (previous, last) = (index.previous.all(), index.last.all());
            // Positions are the same in every batch.
            if table != Table::Positions {
                let memory = [names.clone(), previous.clone(), last.clone()];
                dispatches.push(ops::embedding_index(&self.engine, &shape, memory)?);
            }
            let memory = [names, previous, last, self.range(dy), gradient];
            dispatches.push(ops::embedding_backward(&self.engine, &shape, memory, adds)?);
        }
        Ok(())
    }

    /// The tokens that are pooled.
    fn pooled(&self, batch: &Sequences) -> Range {
        match self.pass.config.kind {
            Kind::Encoder { pooling: Pooling::First, .. } => self.first.all(),
            _ => batch.mask.clone(),
        }
    }

    /// The position, where the attention's weights are dropped.
    fn drops(&self, batch: &Sequences) -> Option<Range> {
        self.pass.drops_weights().then(|| batch.position.clone())
    }
}

/// Sizes, as kernels have them; that they fit 32 bits has been checked before there was a pass.
impl Pass {
    fn sizes(&self) -> (u32, u32, u32) {
        (counted(self.batch), counted(self.context), counted(self.config.hidden))
    }

    fn embedding(&self, table: Table) -> layout::Embedding {
        let (batch, context, width) = self.sizes();
        let types = counted(self.config.types());
        let entries = match table {
            Table::Tokens => counted(self.config.vocab),
            Table::Positions => counted(self.config.context),
            Table::Types => types,
        };
        let quads = width.div_ceil(4);
        layout::Embedding { rows: batch * context, width, quads, context, entries, types, ..Default::default() }
    }

    fn norm(&self, norm: &Norm) -> layout::LayerNorm {
        let width = counted(self.config.hidden);
        let (rows, quads) = (counted(norm.rows), width.div_ceil(4));
        layout::LayerNorm { rows, width, quads, eps: self.config.norm_eps }
    }

    fn pool(&self) -> layout::Pool {
        let (batch, context, width) = self.sizes();
        layout::Pool { batch, context, quads: width.div_ceil(4), ..Default::default() }
    }

    fn sight(&self) -> Sight {
        if matches!(self.config.kind, Kind::Decoder { .. }) { Sight::Causal } else { Sight::Both }
    }

    fn attention(&self, stream: u32, loss: LossOptions) -> layout::Attention {
        let config = &self.config;
        let (batch, context, _) = self.sizes();
        let (heads, head_quads) = (counted(config.heads), counted(quads(config.head())));
        let shape = match config.kind {
            Kind::Decoder { .. } => layout::Attention::fused(batch, context, heads, head_quads),
            Kind::Encoder { .. } => {
                // Planes start where a binding may.
                let part = counted(plane_bytes(self.batch * self.context, config.hidden) / 16);
                let planes = layout::Attention::planes(batch, context, heads, head_quads);
                layout::Attention { key: part, value: 2 * part, ..planes }
            }
        };
        layout::Attention { rate: config.dropout, seed: loss.seed, stream, ..shape }
    }

    fn loss(&self, loss: LossOptions) -> layout::Loss {
        let config = &self.config;
        let (rows, classes) = match config.kind {
            Kind::Decoder { .. } => (self.batch * self.context, config.vocab),
            Kind::Encoder { classes, .. } => (self.batch, classes),
        };
        layout::Loss {
            rows: counted(rows),
            classes: counted(classes),
            quads: counted(quads(classes)),
            scale: loss.scale,
            ignore: loss.ignore,
            smoothing: loss.smoothing,
            ..Default::default()
        }
    }
}

impl<E: From<Error>> Placed<'_, E> {
    /// Where a parameter lies that is f32 always.
    fn vector(&self, name: &str) -> Result<Range, E> {
        Ok(vector((self.parameter)(name)?)?)
    }

    /// Where gradients go, and whether they are added to what is there: to those of an earlier micro-batch, or to
    /// those of another use of the same parameter in this one.
    fn gradients<const N: usize>(&mut self, names: &[&str; N]) -> Result<([Option<Range>; N], bool), E> {
        let mut ranges = [const { None }; N];
        let mut adds = self.accumulate;
        for (range, name) in ranges.iter_mut().zip(names).filter(|(_, name)| self.trained.contains(**name)) {
            *range = (self.gradient)(name)?;
            adds |= !self.written.insert((*name).to_owned());
        }
        Ok((ranges, adds))
    }
}

/// γ and β.
fn parts(norm: &Norm) -> [String; 2] {
    [format!("{}.weight", norm.module), format!("{}.bias", norm.module)]
}

fn linear(layer: &Layer) -> layout::Linear {
    layout::Linear {
        rows: counted(layer.rows),
        inputs: counted(layer.inputs),
        outputs: counted(layer.outputs),
        input_quads: counted(quads(layer.inputs)),
        output_quads: counted(quads(layer.outputs)),
        ..Default::default()
    }
}
