//! Batch norm: moments of each channel, the batch's or running ones, and what is normalized by them.
//!
//! Running statistics are buffers: state that is no parameter.

use super::squares::{Target, constant, elements};
use super::{Activation, Draft, Norm, Operate, Uses, lanes, or_aside, switch};
use crate::engine::kernels::{BATCH_MOMENTS, BATCH_NORM, BATCH_NORM_BACKWARD_INPUT, BATCH_NORM_BACKWARD_WEIGHT};
use crate::engine::{Dispatch, Engine, Range, layout};
use crate::nn::Error;
use crate::nn::graph::{Backward, Form, Graph, Nodes, Placing, Sample, Value};
use crate::params::Param;

/// Which moments a batch norm goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moments {
    /// The batch's, which join the running ones.
    Tracked,
    /// The batch's.
    OfBatch,
    /// The running ones.
    Running,
}

impl Moments {
    /// The same without a trace in the running ones.
    fn untracked(self) -> Moments {
        if self == Moments::Tracked { Moments::OfBatch } else { self }
    }

    /// The same without a trace if none of the parameters trains.
    fn held(self, parameters: &[String; 2], trainable: &dyn Fn(&str) -> bool) -> Moments {
        if parameters.iter().any(|name| trainable(name)) { self } else { self.untracked() }
    }
}

/// Moments of each channel of x.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct BatchMoments {
    norm: Norm,
    by: Moments,
    /// Weight and bias of what is normalized by them.
    parameters: [String; 2],
    /// Running mean and variance, and their count.
    buffers: [String; 3],
    x: Value,
    moments: Value,
}

/// y = (x − mean) rstd γ + β.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct BatchNorm {
    norm: Norm,
    by: Moments,
    parameters: [String; 2],
    count: String,
    x: Value,
    moments: Value,
    y: Value,
}

/// The gradients of γ and β, and the slopes that the gradient of x goes by.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct BatchNormBackwardWeight {
    norm: BatchNorm,
    dy: Value,
    slopes: Value,
    parameters: [Option<String>; 2],
    adds: bool,
}

/// The gradient of x, added to the existing value if it `adds`. Running moments have no slopes.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct BatchNormBackwardInput {
    norm: BatchNorm,
    dy: Value,
    slopes: Option<Value>,
    dx: Value,
    adds: bool,
}

impl Graph {
    /// The batch norm of each channel of x, with `module`'s weight and bias. Training goes by the batch's moments, which join
    /// the running ones; a test, and a trunk that is to be still, by the running ones.
    pub fn batch_norm(&mut self, module: &str, x: Value, norm: Norm) -> Value {
        let form = self.form(x);
        let part = |part: &str| format!("{module}.{part}");
        let y = self.nodes.shared(part("y"), form);
        let parameters = [part("weight"), part("bias")];
        let trains = |name: &String| self.trainable.as_ref().is_some_and(|trainable| trainable.contains(name));
        let is_still = self.is_still(x) && !(self.trains && parameters.iter().any(trains));
        let by = match (norm.tracks, is_still) {
            (true, true) => Moments::Running,
            (true, false) => Moments::Tracked,
            (false, _) => Moments::OfBatch,
        };
        let records = shape(norm, by, self.examples, [form.rows() * self.examples, form.width()]).ghosts();
        let records = Form::Fixed { bytes: 8 * (records * form.width()) as u64 };
        let moments = self.nodes.shared(part("moments"), records);
        let buffers = ["running_mean", "running_var", "num_batches_tracked"].map(part);
        let count = buffers[2].clone();
        self.push(BatchMoments { norm, by, parameters: parameters.clone(), buffers, x, moments });
        self.push(BatchNorm { norm, by, parameters, count, x, moments, y });
        y
    }
}

/// The sizes of a norm of so many examples, with so many rows and channels. Running moments are the same for all rows.
fn shape(norm: Norm, by: Moments, examples: usize, [rows, width]: [usize; 2]) -> layout::BatchNorm {
    let shape = layout::BatchNorm::new(rows, width, norm.eps, norm.momentum);
    match norm.ghost {
        Some(most) if by != Moments::Running => shape.in_ghosts(examples, most),
        _ => shape,
    }
}

impl Operate for BatchMoments {
    fn uses(&self) -> Uses {
        Uses::new([(self.by != Moments::Running).then_some(self.x)], [self.moments])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.x, &mut self.moments].into_iter().for_each(see);
    }

    fn buffers(&self, nodes: &Nodes) -> Vec<Param> {
        if !self.norm.tracks {
            return Vec::new();
        }
        let width = nodes[self.x].form.width();
        let [mean, variance, count] = &self.buffers;
        vec![Param::new(mean, [width]), Param::new(variance, [width]), Param::new(count, [1])]
    }

    fn repeat(&mut self) {
        self.by = self.by.untracked();
    }

    fn hold_frozen(&mut self, trainable: &dyn Fn(&str) -> bool) {
        self.by = self.by.held(&self.parameters, trainable);
    }

    /// Every batch has its own moments.
    fn drops(&self) -> bool {
        self.by != Moments::Running
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let running = match self.by {
            Moments::OfBatch => None,
            _ => {
                let [mean, variance, count] = &self.buffers;
                Some([at.vector(mean)?, at.vector(variance)?, at.vector(count)?])
            }
        };
        let x = if self.by == Moments::Running { None } else { Some(at.range(self.x)?) };
        let moments = at.range(self.moments)?;
        Ok(Some(batch_moments(
            at.engine(),
            &shape(self.norm, self.by, at.examples(), [at.rows(self.x), at.width(self.x)]),
            x,
            running,
            moments,
        )?))
    }
}

impl Operate for BatchNorm {
    fn uses(&self) -> Uses {
        Uses::new([self.x, self.moments], [self.y])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.x, &mut self.moments, &mut self.y].into_iter().for_each(see);
    }

    fn params(&self) -> Vec<&str> {
        self.parameters.iter().map(String::as_str).collect()
    }

    fn shapes(&self, nodes: &Nodes) -> Vec<Vec<usize>> {
        vec![vec![nodes[self.x].form.width()]; 2]
    }

    fn repeat(&mut self) {
        self.by = self.by.untracked();
    }

    fn hold_frozen(&mut self, trainable: &dyn Fn(&str) -> bool) {
        self.by = self.by.held(&self.parameters, trainable);
    }

    fn backward(&self, back: &mut Backward<'_>) {
        let Some(dy) = back.of(self.y) else { return };
        let [weight, bias] = &self.parameters;
        let mut parts = back.trained([Some(weight), Some(bias)]);
        let needs_slopes = back.needs(self.x) && self.by != Moments::Running;
        if needs_slopes && parts.is_empty() {
            parts.push(([None, None], false));
        }
        let form = back.form(self.moments);
        let slopes = back.nodes.shared(format!("{weight}.slopes"), form);
        for (parameters, adds) in parts {
            back.push(BatchNormBackwardWeight { norm: self.clone(), dy, slopes, parameters, adds });
        }
        if back.needs(self.x) {
            let (norm, slopes) = (self.clone(), needs_slopes.then_some(slopes));
            back.add(self.x, |dx, adds| BatchNormBackwardInput { norm, dy, slopes, dx, adds });
        }
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let [weight, bias] = &self.parameters;
        let ([x, moments, y], gamma, beta) =
            (at.ranges([self.x, self.moments, self.y])?, at.vector(weight)?, at.vector(bias)?);
        let count = match self.by {
            Moments::Tracked => Some(at.vector(&self.count)?),
            Moments::OfBatch | Moments::Running => None,
        };
        Ok(Some(batch_norm(
            at.engine(),
            &shape(self.norm, self.by, at.examples(), [at.rows(self.x), at.width(self.x)]),
            [x, gamma, beta, moments, y],
            count,
        )?))
    }
}

impl Operate for BatchNormBackwardWeight {
    fn uses(&self) -> Uses {
        Uses::new([self.dy, self.norm.x, self.norm.moments], [self.slopes])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        self.norm.each_value(see);
        [&mut self.dy, &mut self.slopes].into_iter().for_each(see);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let BatchNormBackwardWeight { norm, dy, slopes, parameters, adds } = self;
        let (memory, gradients) = (at.ranges([*dy, norm.x, norm.moments, *slopes])?, at.gradients(parameters)?);
        Ok(Some(batch_norm_backward_weight(
            at.engine(),
            &shape(norm.norm, norm.by, at.examples(), [at.rows(norm.x), at.width(norm.x)]),
            memory,
            gradients,
            at.accumulates(*adds),
        )?))
    }
}

impl Operate for BatchNormBackwardInput {
    fn uses(&self) -> Uses {
        let of_batch = self.slopes.map(|_| self.norm.x);
        Uses::new([Some(self.dy), Some(self.norm.moments), of_batch, self.slopes], [self.dx]).adding(self.adds)
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        self.norm.each_value(see);
        [&mut self.dy, &mut self.dx].into_iter().chain(&mut self.slopes).for_each(see);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let BatchNormBackwardInput { norm, dy, slopes, dx, adds } = self;
        let [dy, moments, dx] = at.ranges([*dy, norm.moments, *dx])?;
        let of_batch = slopes.map(|slopes| at.ranges([norm.x, slopes])).transpose()?;
        let memory = [dy, at.vector(&norm.parameters[0])?, moments, dx];
        Ok(Some(batch_norm_backward_input(
            at.engine(),
            &shape(norm.norm, norm.by, at.examples(), [at.rows(norm.x), at.width(norm.x)]),
            memory,
            of_batch,
            *adds,
        )?))
    }
}

/// Channels that are whole vec4s and others, rows of one lane and of many; norms under which nothing trains, norms that do not
/// train, norms by their batch alone, and trunks that are still below what trains.
pub(super) fn samples() -> Vec<Sample> {
    let of = |[pictures, width]: [usize; 2], norm: Norm, still_below: &[&str]| {
        let network = |graph: &mut Graph| {
            if !still_below.is_empty() {
                graph.trainable = Some(still_below.iter().map(|name| (*name).to_owned()).collect());
            }
            let x = graph.rows("rows", 6, 5);
            let x = graph.linear("one", x, width);
            let y = graph.batch_norm("once", x, norm);
            let y = graph.activate("between", Activation::Tanh, y);
            let y = graph.batch_norm("twice", y, Norm { eps: 1e-2, ..norm });
            let sum = graph.add(y, x);
            let z = graph.batch_norm("sum", sum, norm);
            graph.classified(z, 5)
        };
        Sample::of(format!("batch norms, {} rows of {width}", 6 * pictures), [pictures, 6], network)
    };
    vec![
        of([4, 3], Norm::new(), &[]),
        of([5, 22], Norm::new().momentum(None), &[]),
        of([100, 130], Norm::new(), &[]),
        of([9, 12], Norm::new().tracks(false), &[]),
        of([11, 10], Norm::new().ghost(Some(3)), &[]),
        of([5, 21], Norm::new().momentum(None).ghost(Some(2)), &[]),
        of([7, 36], Norm::new(), &[]).training(|name| name.starts_with("twice")),
        of([7, 20], Norm::new(), &[]).training(|name| name.starts_with("one")),
        of([3, 10], Norm::new(), &["last.weight"]).training(|name| name == "last.weight"),
        of([6, 9], Norm::new(), &["twice.bias"]).training(|name| name == "twice.bias"),
    ]
}

/// Moments of each channel of x, or, without x, of the running statistics: running mean and variance, and the count of
/// batches. Those of x join the running ones, if there are any.
///
/// # Errors
/// Out of device memory.
pub fn batch_moments(
    engine: &Engine,
    shape: &layout::BatchNorm,
    x: Option<Range>,
    running: Option<[Range; 3]>,
    moments: Range,
) -> Result<Dispatch, Error> {
    let [workgroup, lanes] = engine.sizes().columns;
    let switches = [switch("TRACK", x.is_some() && running.is_some()), switch("RUNNING", x.is_none())];
    let [mean, variance, count] = match running {
        Some(running) => running,
        None => [or_aside(engine, None)?, or_aside(engine, None)?, or_aside(engine, None)?],
    };
    let turns = if x.is_some() { 2 } else { 0 };
    let memory = [or_aside(engine, x)?, mean, variance, count, moments];
    let draft = Draft {
        kernel: BATCH_MOMENTS.plain(),
        memory: memory.into_iter().map(Into::into).collect(),
        constants: [self::lanes(lanes)].into_iter().chain(switches).collect(),
        invocations: u64::from(shape.quads) * u64::from(lanes),
        workgroup,
        bytes: 16 * turns * u64::from(shape.rows) * u64::from(shape.quads),
        flops: 0,
    };
    draft.dispatch(engine, 5, shape)
}

/// y = (x − mean) rstd γ + β; one more batch in the count of running statistics, if it is given. Memory: x, gamma, beta, moments,
/// y.
///
/// # Errors
/// Out of device memory.
pub fn batch_norm(
    engine: &Engine,
    shape: &layout::BatchNorm,
    memory: [Range; 5],
    count: Option<Range>,
) -> Result<Dispatch, Error> {
    let constants = [switch("TRACK", count.is_some())];
    let memory = memory.into_iter().chain([or_aside(engine, count)?]).map(Into::into).collect();
    let elements = u64::from(shape.rows) * u64::from(shape.quads);
    let mut draft = Draft::of_elements(engine, BATCH_NORM.plain(), memory, elements, 32 * elements);
    draft.constants.extend(constants);
    draft.dispatch(engine, 6, shape)
}

/// dγ and dβ, added to what is there with `accumulate`; `None` for what is frozen. Memory: dy, x, moments, slopes.
///
/// # Errors
/// Out of device memory.
pub fn batch_norm_backward_weight(
    engine: &Engine,
    shape: &layout::BatchNorm,
    memory: [Range; 4],
    [dgamma, dbeta]: [Option<Range>; 2],
    accumulate: bool,
) -> Result<Dispatch, Error> {
    let frozen = [switch("WEIGHT", dgamma.is_some()), switch("BIAS", dbeta.is_some())];
    let memory = memory.into_iter().chain([or_aside(engine, dgamma)?, or_aside(engine, dbeta)?]);
    let [workgroup, lanes] = engine.sizes().columns;
    let draft = Draft {
        kernel: BATCH_NORM_BACKWARD_WEIGHT.plain(),
        memory: memory.map(Into::into).collect(),
        constants: [self::lanes(lanes), switch("ACCUMULATE", accumulate)].into_iter().chain(frozen).collect(),
        invocations: u64::from(shape.quads) * u64::from(lanes),
        workgroup,
        bytes: 32 * u64::from(shape.rows) * u64::from(shape.quads),
        flops: 0,
    };
    draft.dispatch(engine, 6, shape)
}

/// dx from dy, added to what is there with `accumulate`. Memory: dy, gamma, moments, dx; x and slopes if the moments are the
/// batch's own.
///
/// # Errors
/// Out of device memory.
pub fn batch_norm_backward_input(
    engine: &Engine,
    shape: &layout::BatchNorm,
    [dy, gamma, moments, dx]: [Range; 4],
    of_batch: Option<[Range; 2]>,
    accumulate: bool,
) -> Result<Dispatch, Error> {
    let constants = [switch("ACCUMULATE", accumulate), switch("RUNNING", of_batch.is_none())];
    let elements = u64::from(shape.rows) * u64::from(shape.quads);
    let streams = if of_batch.is_some() { 3 } else { 2 };
    let [x, slopes] = of_batch.unwrap_or_else(|| [dy.clone(), moments.clone()]);
    let memory = [dy, x, gamma, moments, slopes, dx].into_iter().map(Into::into).collect();
    let kernel = BATCH_NORM_BACKWARD_INPUT.plain();
    let mut draft = Draft::of_elements(engine, kernel, memory, elements, 16 * streams * elements);
    draft.constants.extend(constants);
    draft.dispatch(engine, 6, shape)
}

/// Partial sums of squares: one of γ for each vec4, then those of β.
pub(super) fn squares(dispatch: &Dispatch) -> Vec<Target> {
    let target = |binding, switch, place: u64| {
        let quads = elements(dispatch, binding).div_ceil(4);
        Target::of(dispatch, binding, [place * quads, quads]).filter(|_| constant(dispatch, switch, 1) != 0)
    };
    [target(4, "WEIGHT", 0), target(5, "BIAS", 1)].into_iter().flatten().collect()
}
