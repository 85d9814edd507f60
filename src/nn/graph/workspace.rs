//! A pass on its memory: the dispatches of a step, on buffers that its values share.

use super::batch::Batch;
use super::pass::Pass;
use super::value::{Form, Home, Node, Value};
use crate::engine::kernels::ValueStorage;
use crate::engine::layout::{Elements, IGNORED, Metrics};
use crate::engine::{Binding, Buffer, Dispatch, Engine, Range, counted};
use crate::nn::ops::{Operate, quads};
use crate::nn::{Error, Parameter, vector};
use crate::setters::setters;
use std::collections::HashMap;

/// What is made of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LossOptions {
    /// A row with this label does not count.
    pub ignore: u32,
    /// This part of the target is spread evenly over the classes.
    pub smoothing: f32,
    /// Of dropout.
    pub seed: u32,
}

impl LossOptions {
    /// Every label counts but [`IGNORED`], without smoothing; the seed is that of dropout.
    pub const fn new(seed: u32) -> LossOptions {
        LossOptions { ignore: IGNORED, smoothing: 0.0, seed }
    }

    setters! {
        ignore: u32,
        smoothing: f32,
        seed: u32,
    }
}

/// A pass on its memory.
#[derive(Clone, Debug)]
pub struct Workspace {
    engine: Engine,
    pass: Pass,
    buffers: Vec<Buffer>,
    /// Memory of values that share none.
    own: HashMap<Value, Buffer>,
    /// The counts of each loss, in recorded order.
    pub metrics: Vec<Buffer>,
}

impl Pass {
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
        let losses = self.operations.iter().filter(|operation| operation.is_tally()).count();
        let metrics = |_| engine.buffer("metrics", size_of::<Metrics>() as u64);
        let metrics = (0..losses).map(metrics).collect::<Result<_, _>>()?;
        let own = self.own(engine)?;
        there.append(&mut new);
        Ok(Workspace { engine: engine.clone(), pass: self, buffers, own, metrics })
    }

    /// Buffers of values that share none.
    fn own(&self, engine: &Engine) -> Result<HashMap<Value, Buffer>, Error> {
        let mut own = HashMap::new();
        for value in self.operations.iter().flat_map(|operation| operation.uses()) {
            let node @ Node { label, home, .. } = &self.nodes[value];
            let made = match home {
                Home::Own if !own.contains_key(&value) => engine.buffer(label, node.bytes(self.examples))?,
                Home::Constant(words) if !own.contains_key(&value) => engine.buffer_with(label, words)?,
                _ => continue,
            };
            own.insert(value, made);
        }
        Ok(own)
    }
}

impl Workspace {
    /// Bytes of activations and their gradients.
    pub fn bytes(&self) -> u64 {
        self.pass.bytes()
    }

    /// The names of the parameters that get gradients; see [`Pass::trained`].
    pub fn trained(&self) -> &[String] {
        self.pass.trained()
    }

    /// An activation that the pass [keeps](Pass::keeping), `[rows, quads(width)]` vec4; `None` for others, whose memory is
    /// used again.
    pub fn value(&self, label: &str) -> Option<Range> {
        self.kept().find(|(known, _)| *known == label).map(|(_, range)| range)
    }

    /// All that the pass keeps: label and memory.
    pub fn kept(&self) -> impl Iterator<Item = (&str, Range)> {
        self.pass.kept.iter().map(|value| self.labelled(*value))
    }

    /// What must be there before a [`top`](Pass::top) runs: label and memory, as its trunk [keeps](Workspace::kept) it.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, Range)> {
        self.pass.inputs.iter().map(|value| self.labelled(*value))
    }

    fn labelled(&self, value: Value) -> (&str, Range) {
        (self.pass.nodes[value].label.as_str(), self.shared(value))
    }

    /// The logits: `[rows, quads(classes)]` vec4.
    pub fn logits(&self) -> Range {
        self.shared(self.pass.logits)
    }

    /// The dispatches of the pass over a batch. `parameter` returns the place and storage of a parameter, `gradient`
    /// the place of its gradient; it is called only for those that [train](Pass::trained), and may return `None`. With
    /// `accumulate`, gradients are added to the existing ones.
    ///
    /// # Errors
    /// From `parameter` and `gradient`; [`Error::Unreadable`], [`Error::UnreadableVector`], [`Error::TablesDiffer`]; a batch
    /// of other sizes ([`Error::BadConfig`]), without an input ([`Error::NoInput`]) or with too little of one
    /// ([`Error::ShortInput`]); out of device memory.
    pub fn dispatches<E: From<Error>>(
        &self,
        batch: &Batch,
        loss: LossOptions,
        parameter: impl Fn(&str) -> Result<Parameter, E>,
        gradient: impl Fn(&str) -> Result<Option<Range>, E>,
        accumulate: bool,
    ) -> Result<Vec<Dispatch>, E> {
        self.check(batch)?;
        let (parameter, gradient) = (&parameter, &gradient);
        let placing = Placing { space: self, batch, loss, parameter, gradient, accumulate };
        let mut dispatches = Vec::with_capacity(self.pass.operations.len());
        for operation in &self.pass.operations {
            let storage = operation.storage(&self.pass.nodes);
            for dispatch in operation.dispatches(&placing)? {
                dispatches.push(with_values(dispatch, storage)?);
            }
        }
        Ok(dispatches)
    }

    fn check(&self, batch: &Batch) -> Result<(), Error> {
        let pairs = [("batch", batch.examples, self.pass.examples), ("context", batch.context, self.pass.context)];
        if let Some((setting, value, _)) = pairs.into_iter().find(|(_, given, made)| given != made) {
            let value = value as f64;
            return Err(Error::BadConfig { setting, value, allowed: "what the workspace was made for" });
        }
        for value in self.pass.operations.iter().flat_map(|operation| operation.uses()) {
            let node @ Node { home: Home::Input(name), .. } = &self.pass.nodes[value] else { continue };
            let (bytes, needed) = (batch.get(name)?.bytes, node.bytes(self.pass.examples));
            if bytes < needed {
                return Err(Error::ShortInput { name, bytes, needed });
            }
        }
        Ok(())
    }

    /// A value's part of the pass's memory.
    fn shared(&self, value: Value) -> Range {
        let buffer = self.pass.memory.buffer_of[value.0].unwrap_or(0);
        let bytes = self.pass.nodes[value].bytes(self.pass.examples);
        Range { buffer: self.buffers[buffer].clone(), offset: 0, bytes }
    }
}

/// The dispatch over values that are stored so. Bytes go down by as much as those of all that it binds.
fn with_values(dispatch: Dispatch, storage: ValueStorage) -> Result<Dispatch, Error> {
    if storage == ValueStorage::F32 {
        return Ok(dispatch);
    }
    let kernel = dispatch.kernel.with_values(storage)?;
    let bytes = |binding: &Binding| match binding {
        Binding::Memory(range) => range.bytes,
        Binding::Clock => 0,
    };
    let all: u64 = dispatch.bindings.iter().map(bytes).sum();
    let values: u64 = kernel.values().1.iter().map(|place| bytes(&dispatch.bindings[*place])).sum();
    // Values take half of what they would take in f32.
    let bytes = (u128::from(dispatch.bytes) * u128::from(all) / u128::from(all + values).max(1)) as u64;
    Ok(Dispatch { kernel, bytes, ..dispatch })
}

/// The places of the values, parameters and gradients of a pass, for the dispatches of its operations.
pub(in crate::nn) struct Placing<'a, E> {
    space: &'a Workspace,
    batch: &'a Batch,
    pub(in crate::nn) loss: LossOptions,
    parameter: &'a dyn Fn(&str) -> Result<Parameter, E>,
    gradient: &'a dyn Fn(&str) -> Result<Option<Range>, E>,
    accumulate: bool,
}

impl<E: From<Error>> Placing<'_, E> {
    pub(in crate::nn) fn engine(&self) -> &Engine {
        &self.space.engine
    }

    /// The place of a value.
    pub(in crate::nn) fn range(&self, value: Value) -> Result<Range, E> {
        let node = self.node(value);
        Ok(match &node.home {
            Home::Shared => self.space.shared(value),
            Home::Plane { of, number } => {
                let (whole, stride) = (self.range(*of)?, node.plane_bytes(self.examples()));
                let bytes = node.bytes(self.examples());
                Range { offset: whole.offset + *number as u64 * stride, bytes, ..whole }
            }
            Home::Input(name) => self.batch.get(name)?.clone(),
            Home::Own | Home::Constant(_) => self.space.own[&value].all(),
        })
    }

    /// The place of a plane of a value.
    pub(in crate::nn) fn plane(&self, value: Value, number: usize) -> Result<Range, E> {
        let (whole, node) = (self.range(value)?, self.node(value));
        let bytes = Node { form: node.form.plane(), ..node.clone() }.bytes(self.examples());
        let offset = whole.offset + number as u64 * node.plane_bytes(self.examples());
        Ok(Range { offset, bytes, ..whole })
    }

    /// The places of several values.
    pub(in crate::nn) fn ranges<const N: usize>(&self, values: [Value; N]) -> Result<[Range; N], E> {
        let ranges: Vec<Range> = values.into_iter().map(|value| self.range(value)).collect::<Result<_, E>>()?;
        Ok(ranges.try_into().unwrap_or_else(|_| unreachable!("one for each value")))
    }

    /// The place of a parameter, and its storage.
    pub(in crate::nn) fn parameter(&self, name: &str) -> Result<Parameter, E> {
        (self.parameter)(name)
    }

    /// The place of a parameter that is always f32.
    pub(in crate::nn) fn vector(&self, name: &str) -> Result<Range, E> {
        Ok(vector((self.parameter)(name)?)?)
    }

    /// The places of these parameters' gradients.
    pub(in crate::nn) fn gradients<const N: usize>(
        &self,
        names: &[Option<String>; N],
    ) -> Result<[Option<Range>; N], E> {
        let mut ranges = [const { None }; N];
        for (range, name) in ranges.iter_mut().zip(names) {
            *range = name.as_ref().map_or(Ok(None), |name| (self.gradient)(name))?;
        }
        Ok(ranges)
    }

    /// Whether an operation adds to the gradients of parameters: to those of an earlier micro-batch, or to another use's.
    pub(in crate::nn) fn accumulates(&self, adds: bool) -> bool {
        self.accumulate || adds
    }

    /// The counts of a loss, by its place among the losses.
    pub(in crate::nn) fn metrics(&self, loss: usize) -> Range {
        self.space.metrics[loss].all()
    }

    /// Rows of a value in the whole batch.
    pub(in crate::nn) fn rows(&self, value: Value) -> usize {
        self.examples() * self.node(value).form.rows()
    }

    /// Numbers of a value's row.
    pub(in crate::nn) fn width(&self, value: Value) -> usize {
        self.node(value).form.width()
    }

    /// Vec4s of a value in the whole batch.
    pub(in crate::nn) fn elements(&self, value: Value) -> Elements {
        Elements::new(counted(self.rows(value) * quads(self.width(value))))
    }

    /// What a value's numbers are stored in.
    pub(in crate::nn) fn storage(&self, value: Value) -> ValueStorage {
        self.node(value).storage
    }

    /// Vec4s from one plane of a value to the next.
    pub(in crate::nn) fn plane_quads(&self, value: Value) -> u32 {
        counted((self.form(value).plane_bytes(self.examples()) / ValueStorage::F32.quad_bytes()) as usize)
    }

    pub(in crate::nn) fn form(&self, value: Value) -> Form {
        self.node(value).form
    }

    /// Examples of the batch, and rows of each.
    pub(in crate::nn) fn examples(&self) -> usize {
        self.space.pass.examples
    }

    pub(in crate::nn) fn context(&self) -> usize {
        self.space.pass.context
    }

    fn node(&self, value: Value) -> &Node {
        &self.space.pass.nodes[value]
    }
}
