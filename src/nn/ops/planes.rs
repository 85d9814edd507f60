//! Layers side by side. Each pass over them is one dispatch if their parameters lie at equal distances in one buffer, as those
//! of a model do; else one for each layer.

use super::Constants;
use crate::engine::{Range, layout};
use crate::nn::Parameter;
use crate::params::Storage;

/// Most layers that a kernel takes at once.
const MOST: usize = 3;

/// Numbers of a vec4.
const QUAD: u64 = 4;

/// The parameters of a layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layer {
    pub(super) weight: String,
    pub(super) bias: Option<String>,
}

impl Layer {
    pub(super) fn of(module: &str, has_bias: bool) -> Layer {
        Layer { weight: format!("{module}.weight"), bias: has_bias.then(|| format!("{module}.bias")) }
    }
}

/// How a dispatch takes several layers of one x, in vec4s.
pub(super) struct Planes {
    pub(super) count: u32,
    /// Between the weight of a layer and the next one's, and between their biases.
    pub(super) gap: u64,
    pub(super) bias_gap: u64,
    /// From the first weight to the first bias, where they are bound together.
    pub(super) bias_at: u64,
}

impl Planes {
    /// One layer.
    pub(super) const ONE: Planes = Planes { count: 1, gap: 0, bias_gap: 0, bias_at: 0 };

    /// Of weights that are stored so and biases. `None` where no kernel takes them together: rows and outputs of several are
    /// whole vec4s.
    fn of((weight, stored): (&Even, Storage), bias: Option<&Even>, shape: &layout::Linear) -> Option<Planes> {
        let is_whole = shape.inputs.is_multiple_of(4) && shape.outputs.is_multiple_of(4);
        if weight.count == 1 {
            return Some(Planes::ONE);
        }
        let bias_gap = bias.map_or(Some(0), |bias| bias.gap(Storage::F32))?;
        let planes = Planes { count: weight.count, gap: weight.gap(stored)?, bias_gap, bias_at: 0 };
        is_whole.then_some(planes)
    }

    /// The sizes of a layer that has the outputs of all.
    pub(super) fn all(&self, shape: &layout::Linear) -> layout::Linear {
        layout::Linear { outputs: self.count * shape.outputs, ..*shape }
    }

    /// What a kernel is told; one layer needs nothing.
    pub(super) fn constants(&self) -> Constants {
        if self.count == 1 {
            return Vec::new();
        }
        let mut constants = vec![("PLANES", f64::from(self.count)), ("GAP", self.gap as f64)];
        let more = [("BIAS_GAP", self.bias_gap), ("BIAS_AT", self.bias_at)];
        constants.extend(more.into_iter().filter(|(_, vec4s)| *vec4s > 0).map(|(name, vec4s)| (name, vec4s as f64)));
        constants
    }
}

/// One of each.
pub(super) fn each<T, R, E>(all: &[T], one: impl FnMut(&T) -> Result<R, E>) -> Result<Vec<R>, E> {
    all.iter().map(one).collect()
}

/// The parameters of layers as those of one dispatch, if they can be: weights, biases, and how they lie.
pub(super) fn together(
    weights: &[Parameter],
    biases: &[Range],
    shape: &layout::Linear,
) -> Option<(Parameter, Option<Range>, Planes)> {
    let stored = weights.first()?.1;
    let ranges: Vec<Range> = weights.iter().map(|(range, _)| range.clone()).collect();
    let weight = Even::of(&ranges).filter(|_| weights.iter().all(|(_, other)| *other == stored))?;
    let bias = if biases.is_empty() { None } else { Some(Even::of(biases)?) };
    let planes = Planes::of((&weight, stored), bias.as_ref(), shape)?;
    Some(((weight.all, stored), bias.map(|bias| bias.all), planes))
}

/// The same of gradients. Several layers' biases are bound with their weights.
pub(super) fn gradients_together(
    gradients: &[[Option<Range>; 2]],
    shape: &layout::Linear,
) -> Option<([Option<Range>; 2], Planes)> {
    if let [gradient] = gradients {
        return Some((gradient.clone(), Planes::ONE));
    }
    let part = |place: usize| gradients.iter().map(|gradient| gradient[place].clone()).collect::<Option<Vec<_>>>();
    let (weight, bias) = (Even::of(&part(0)?)?, Even::of(&part(1)?)?);
    let planes = Planes::of((&weight, Storage::F32), Some(&bias), shape)?;
    let (all, bias_at) = weight.with(&bias)?;
    Some(([Some(all), None], Planes { bias_at, ..planes }))
}

/// Tensors of one size at equal distances in a buffer.
struct Even {
    /// From the first to the end of the last.
    all: Range,
    count: u32,
    /// From one to the next.
    step: u64,
    /// Of one.
    bytes: u64,
}

impl Even {
    /// `None` if they do not lie so.
    fn of(ranges: &[Range]) -> Option<Even> {
        let ([first, ..], [.., last], 1..=MOST) = (ranges, ranges, ranges.len()) else { return None };
        let step = ranges.get(1).map_or(Some(first.bytes), |second| second.offset.checked_sub(first.offset))?;
        let follow = |pair: &[Range]| {
            let [one, next] = pair else { return false };
            next.buffer.same(&one.buffer) && next.offset == one.offset + step && next.bytes == one.bytes
        };
        let all = Range { bytes: last.offset.checked_sub(first.offset)? + last.bytes, ..first.clone() };
        let even = Even { all, count: ranges.len() as u32, step, bytes: first.bytes };
        ranges.windows(2).all(follow).then_some(even)
    }

    /// Vec4s between the end of one and the next; `None` if it is not whole ones.
    fn gap(&self, stored: Storage) -> Option<u64> {
        let (gap, quad) = (self.step.checked_sub(self.bytes)?, stored.bytes(QUAD));
        gap.is_multiple_of(quad).then_some(gap / quad)
    }

    /// These and others in f32, which lie between and behind them, and the vec4s from the first of these to the first of
    /// those.
    fn with(&self, others: &Even) -> Option<(Range, u64)> {
        let (all, quad) = (&self.all, Storage::F32.bytes(QUAD));
        let at = others.all.offset.checked_sub(all.offset)?;
        let are_between = self.bytes <= at && at + others.bytes <= self.step && at.is_multiple_of(quad);
        let lie_so = others.all.buffer.same(&all.buffer) && self.step == others.step && self.count == others.count;
        (are_between && lie_so).then(|| (Range { bytes: at + others.all.bytes, ..all.clone() }, at / quad))
    }
}
