//! What a step is over: the same sizes, groups and rates for every library.

use gradus::engine::layout::pcg;
use gradus::measure::workload::{cut, encoder, group_each, layer_groups, one_group};
use gradus::params::{self, Param};
use serde::Serialize;

/// Tensors that are cut from the encoder's, where each has a group of its own.
const MOST_GROUPS: usize = 465;

/// A workload by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// W1: a training step of an MLP, 784-256-128-10, batch 128.
    Mlp,
    /// W2: of a decoder, 4 layers of 128, 16 sequences of 64 tokens.
    Decoder,
    /// W3: of an encoder in MiniLM's shape, 4 sequences of 64 tokens.
    Encoder,
    /// W4: AdamW alone over the 101 tensors of that encoder's body, in one group.
    Adamw,
    /// AdamW alone over one tensor of 16 Mi elements.
    AdamwOne,
    /// AdamW alone over the 101 tensors in 26 groups, each with its own rate and decay.
    #[value(name = "adamw-26")]
    Adamw26,
    /// AdamW alone over the same elements, cut into 465 tensors with a group each.
    #[value(name = "adamw-465")]
    Adamw465,
}

impl Workload {
    /// What there is to do.
    pub fn work(self) -> Work {
        match self {
            Workload::Mlp => Work::training(Model::Mlp(Mlp { batch: 128, sizes: [784, 256, 128, 10] })),
            Workload::Decoder => Work::training(Model::Transformer(Transformer {
                causal: true,
                layers: 4,
                hidden: 128,
                heads: 4,
                vocabulary: 96,
                positions: 64,
                types: 0,
                outputs: 96,
                batch: 16,
                time: 64,
            })),
            Workload::Encoder => Work::training(Model::Transformer(Transformer {
                causal: false,
                layers: 6,
                hidden: 384,
                heads: 12,
                vocabulary: 30_522,
                positions: 512,
                types: 2,
                outputs: 8,
                batch: 4,
                time: 64,
            })),
            Workload::Adamw => Work::update(&encoder(), one_group),
            Workload::AdamwOne => Work::update(&[Param::new("tensor", [16 << 20])], one_group),
            Workload::Adamw26 => Work::update(&encoder(), layer_groups),
            Workload::Adamw465 => Work::update(&cut(encoder(), MOST_GROUPS), group_each),
        }
    }
}

/// A step, as data. f32 throughout; AdamW with betas 0.9 and 0.999, epsilon 1e-8.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Work {
    /// What is trained.
    pub model: Model,
    /// Rate and decay of each group of parameters; a model that is trained has one.
    pub groups: Vec<Group>,
}

/// What is trained.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// Forward, loss, backward and update.
    Mlp(Mlp),
    /// The same.
    Transformer(Transformer),
    /// The update alone, with gradients that stay the same.
    Tensors(Vec<Tensor>),
}

/// Linear layers with ReLU between them, cross-entropy over the last one's outputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mlp {
    /// Rows of a batch.
    pub batch: usize,
    /// Inputs, hidden layers, classes.
    pub sizes: [usize; 4],
}

/// Blocks of attention and a GELU layer four times as wide; learned positions, biases everywhere but in a
/// causal head, no dropout, no padding.
///
/// Causal: pre-norm, a norm after the last block, the loss at every token. Else: post-norm, a norm behind the
/// embeddings, the loss of a linear layer over the mean of the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Transformer {
    /// Whether a token sees only those before it.
    pub causal: bool,
    /// Blocks.
    pub layers: usize,
    /// Width of an activation.
    pub hidden: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Tokens that there are.
    pub vocabulary: usize,
    /// Positions that there are, of which the first `time` are used.
    pub positions: usize,
    /// Token types that there are, of which the first is used; 0: there are none.
    pub types: usize,
    /// Outputs of the head.
    pub outputs: usize,
    /// Sequences of a batch.
    pub batch: usize,
    /// Tokens of a sequence.
    pub time: usize,
}

impl Transformer {
    /// Tokens of a batch.
    pub fn tokens(&self) -> usize {
        self.batch * self.time
    }

    /// Labels of a batch.
    pub fn labels(&self) -> usize {
        if self.causal { self.tokens() } else { self.batch }
    }
}

/// A tensor of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tensor {
    /// Elements.
    pub elements: usize,
    /// Its group, by number.
    pub group: usize,
}

/// What the update knows of a group.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Learning rate.
    pub rate: f64,
    /// Weight decay.
    pub decay: f64,
}

impl Group {
    /// The group of this number: the first has rate 1e-3 and decay 0.01, no two have the same rate.
    fn numbered(place: usize) -> Group {
        Group { rate: 1e-3 * 0.99f64.powi(place as i32), decay: if place.is_multiple_of(2) { 0.01 } else { 0.0 } }
    }
}

impl Work {
    fn training(model: Model) -> Work {
        Work { model, groups: vec![Group::numbered(0)] }
    }

    fn update(params: &[Param], grouped: fn(&[Param]) -> Vec<params::Group>) -> Work {
        let groups = grouped(params);
        let group = |param: &Param| groups.iter().position(|group| group.params.contains(&param.name)).unwrap_or(0);
        let tensor = |param: &Param| Tensor { elements: param.elements(), group: group(param) };
        Work {
            model: Model::Tensors(params.iter().map(tensor).collect()),
            groups: (0..groups.len()).map(Group::numbered).collect(),
        }
    }
}

/// Numbers below `end`, the same everywhere; another `seed`, other numbers.
pub fn names(seed: u32, count: usize, end: usize) -> Vec<u32> {
    (0..count as u32).map(|at| pcg(pcg(seed) ^ at) % end as u32).collect()
}

/// Numbers from -1 to 1, the same everywhere.
pub fn reals(seed: u32, count: usize) -> Vec<f32> {
    (0..count as u32).map(|at| (f64::from(pcg(pcg(seed) ^ at)) / f64::from(1u32 << 31) - 1.0) as f32).collect()
}

/// The gradient of tensors that are updated alone: a tensor of n elements has the first n. Their loss is the mean over all
/// parameters of parameter times gradient; every parameter starts at 1.
pub fn gradient(tensors: &[Tensor]) -> Vec<f32> {
    reals(1, tensors.iter().map(|tensor| tensor.elements).max().unwrap_or(0))
}

/// The sum of parameter times gradient over a tensor.
pub fn product(values: &[f32], gradient: &[f32]) -> f64 {
    values.iter().zip(gradient).map(|(value, slope)| f64::from(*value) * f64::from(*slope)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_over_the_encoders_body() {
        for (workload, tensors, groups) in
            [(Workload::Adamw, 101, 1), (Workload::Adamw26, 101, 26), (Workload::Adamw465, 465, 465)]
        {
            let work = workload.work();
            let Model::Tensors(list) = work.model else { panic!("tensors") };
            let elements: usize = list.iter().map(|tensor| tensor.elements).sum();
            let last = list.iter().map(|tensor| tensor.group).max();
            assert_eq!((list.len(), work.groups.len(), elements), (tensors, groups, 22_565_376), "{workload:?}");
            assert_eq!(last, Some(groups - 1), "{workload:?}");
        }
    }
}
