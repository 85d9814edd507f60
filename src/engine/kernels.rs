//! Every kernel, registered in one place: its shader, its bindings and its twin.
//!
//! One name all the way: `shaders/optim/adamw.wgsl` is `twin::optim::adamw`, the kernel `adamw`, its label in a trace
//! and its tests. A variant adds a word after a dot and differs from the plain kernel in its bindings.

use super::Error;
use super::forms::Forms;
use crate::twin::nn::Epilogue;
use crate::twin::shared::{Position, Stored};
use crate::{fast, twin};
use bytemuck::{AnyBitPattern, NoUninit};
use std::borrow::Cow;

/// How a kernel uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `var<storage, read>`
    Read,
    /// `var<storage, read_write>`
    ReadWrite,
    /// `var<uniform>`
    Uniform,
    /// `var<uniform>`, the horizon's clock, at the offset of the step's slot
    Clock,
}

/// A shader with its bindings and its twin.
#[derive(Debug)]
pub struct Kernel {
    /// The name of shader, twin, label and test.
    pub name: &'static str,
    /// The shader's text, imports and variants not yet resolved.
    source: &'static str,
    /// Names that `#ifdef` finds.
    defines: &'static [&'static str],
    /// Bindings 0, 1, … of group 0.
    pub bindings: &'static [Access],
    /// Runs the twin, or its fast form, on host memory.
    pub(crate) twin: fn(Call<'_>),
}

/// What a twin is called with.
pub(crate) struct Call<'a> {
    pub(crate) slots: Vec<Slot<'a>>,
    pub(crate) constants: &'a [(&'static str, f64)],
    /// Called instead of the twin where a kernel has two forms.
    pub(crate) forms: &'static Forms,
}

/// One binding as the twin sees it.
pub(crate) enum Slot<'a> {
    Read(&'a [u32]),
    Write(&'a mut [u32]),
    Clock(u32),
}

impl<'a> Call<'a> {
    /// The bindings; their number was checked when the program was prepared.
    fn take<const N: usize>(self) -> [Slot<'a>; N] {
        self.slots.try_into().unwrap_or_else(|_| unreachable!("bindings are checked when a program is prepared"))
    }

    /// The last binding, where the variant has it.
    fn take_last<T: AnyBitPattern + NoUninit>(&mut self, wanted: bool) -> Option<&'a mut [T]> {
        if wanted { self.slots.pop().map(Slot::get_mut) } else { None }
    }

    /// An `override` constant that is 0 or not.
    fn switch(&self, name: &str, default: bool) -> bool {
        self.constant(name, u32::from(default)) != 0
    }

    /// An `override` constant, or its default.
    fn constant(&self, name: &str, default: u32) -> u32 {
        self.constants.iter().find(|(known, _)| *known == name).map_or(default, |(_, value)| *value as u32)
    }
}

impl<'a> Slot<'a> {
    /// The whole elements that the binding holds.
    fn get<T: AnyBitPattern>(self) -> &'a [T] {
        let words = match self {
            Slot::Read(words) => words,
            Slot::Write(words) => words,
            Slot::Clock(_) => &[],
        };
        // Two halves share a word.
        let element_words = (size_of::<T>() / 4).max(1);
        bytemuck::cast_slice(&words[..words.len() / element_words * element_words])
    }

    fn get_mut<T: AnyBitPattern + NoUninit>(self) -> &'a mut [T] {
        match self {
            Slot::Write(words) => bytemuck::cast_slice_mut(words),
            Slot::Read(_) | Slot::Clock(_) => unreachable!("declared read-write"),
        }
    }

    /// The record that a uniform or small storage binding holds.
    fn one<T: AnyBitPattern>(self) -> &'a T {
        let words: &[u32] = self.get();
        &bytemuck::cast_slice(&words[..size_of::<T>() / 4])[0]
    }

    fn one_mut<T: AnyBitPattern + NoUninit>(self) -> &'a mut T {
        let words: &mut [u32] = self.get_mut();
        &mut bytemuck::cast_slice_mut(&mut words[..size_of::<T>() / 4])[0]
    }

    fn clock(self) -> u32 {
        match self {
            Slot::Clock(slot) => slot,
            Slot::Read(_) | Slot::Write(_) => unreachable!("declared as the clock"),
        }
    }
}

const SHARED: [(&str, &str); 33] = [
    ("activation", include_str!("../../shaders/shared/activation.wgsl")),
    ("adamw", include_str!("../../shaders/shared/adamw.wgsl")),
    ("attention", include_str!("../../shaders/shared/attention.wgsl")),
    ("attention_backward", include_str!("../../shaders/shared/attention_backward.wgsl")),
    ("attention_block", include_str!("../../shaders/shared/attention_block.wgsl")),
    ("attention_tile", include_str!("../../shaders/shared/attention_tile.wgsl")),
    ("bf16", include_str!("../../shaders/shared/bf16.wgsl")),
    ("chunk", include_str!("../../shaders/shared/chunk.wgsl")),
    ("clock", include_str!("../../shaders/shared/clock.wgsl")),
    ("control", include_str!("../../shaders/shared/control.wgsl")),
    ("dropout", include_str!("../../shaders/shared/dropout.wgsl")),
    ("elements", include_str!("../../shaders/shared/elements.wgsl")),
    ("embedding", include_str!("../../shaders/shared/embedding.wgsl")),
    ("float", include_str!("../../shaders/shared/float.wgsl")),
    ("int8", include_str!("../../shaders/shared/int8.wgsl")),
    ("layer_norm", include_str!("../../shaders/shared/layer_norm.wgsl")),
    ("linear", include_str!("../../shaders/shared/linear.wgsl")),
    ("linear_cooperative", include_str!("../../shaders/shared/linear_cooperative.wgsl")),
    ("linear_tiles", include_str!("../../shaders/shared/linear_tiles.wgsl")),
    ("loss", include_str!("../../shaders/shared/loss.wgsl")),
    ("metrics", include_str!("../../shaders/shared/metrics.wgsl")),
    ("moments", include_str!("../../shaders/shared/moments.wgsl")),
    ("pool", include_str!("../../shaders/shared/pool.wgsl")),
    ("quad", include_str!("../../shaders/shared/quad.wgsl")),
    ("rng", include_str!("../../shaders/shared/rng.wgsl")),
    ("rounding", include_str!("../../shaders/shared/rounding.wgsl")),
    ("rows", include_str!("../../shaders/shared/rows.wgsl")),
    ("squares", include_str!("../../shaders/shared/squares.wgsl")),
    ("streams", include_str!("../../shaders/shared/streams.wgsl")),
    ("streams16", include_str!("../../shaders/shared/streams16.wgsl")),
    ("table", include_str!("../../shaders/shared/table.wgsl")),
    ("tokens", include_str!("../../shaders/shared/tokens.wgsl")),
    ("weight", include_str!("../../shaders/shared/weight.wgsl")),
];

const NORM: &str = include_str!("../../shaders/optim/norm.wgsl");
const NORM_FOLD: &str = include_str!("../../shaders/optim/norm_fold.wgsl");
const CONTROL: &str = include_str!("../../shaders/optim/control.wgsl");
const ADAMW: &str = include_str!("../../shaders/optim/adamw.wgsl");
const ADAMW_INT8: &str = include_str!("../../shaders/optim/adamw_int8.wgsl");
const SGD: &str = include_str!("../../shaders/optim/sgd.wgsl");
const SWAP: &str = include_str!("../../shaders/optim/swap.wgsl");
const CLIP: &str = include_str!("../../shaders/optim/clip.wgsl");
const ACTIVATE: &str = include_str!("../../shaders/nn/activate.wgsl");
const ACTIVATE_BACKWARD: &str = include_str!("../../shaders/nn/activate_backward.wgsl");
const ADD: &str = include_str!("../../shaders/nn/add.wgsl");
const DROPOUT: &str = include_str!("../../shaders/nn/dropout.wgsl");
const EMBEDDING: &str = include_str!("../../shaders/nn/embedding.wgsl");
const EMBEDDING_BACKWARD: &str = include_str!("../../shaders/nn/embedding_backward.wgsl");
const EMBEDDING_INDEX: &str = include_str!("../../shaders/nn/embedding_index.wgsl");
const MEAN_POOL: &str = include_str!("../../shaders/nn/mean_pool.wgsl");
const MEAN_POOL_BACKWARD: &str = include_str!("../../shaders/nn/mean_pool_backward.wgsl");
const ATTENTION: &str = include_str!("../../shaders/nn/attention.wgsl");
const ATTENTION_BACKWARD_QUERY: &str = include_str!("../../shaders/nn/attention_backward_query.wgsl");
const ATTENTION_BACKWARD_KEY_VALUE: &str = include_str!("../../shaders/nn/attention_backward_key_value.wgsl");
const COPY: &str = include_str!("../../shaders/measure/copy.wgsl");
const GATHER: &str = include_str!("../../shaders/nn/gather.wgsl");
const LAYER_NORM: &str = include_str!("../../shaders/nn/layer_norm.wgsl");
const LAYER_NORM_BACKWARD_INPUT: &str = include_str!("../../shaders/nn/layer_norm_backward_input.wgsl");
const LAYER_NORM_BACKWARD_WEIGHT: &str = include_str!("../../shaders/nn/layer_norm_backward_weight.wgsl");
const GATHER_CACHED: &str = include_str!("../../shaders/nn/gather_cached.wgsl");
const GATHER_SEQUENCES: &str = include_str!("../../shaders/nn/gather_sequences.wgsl");
const GATHER_TOKENS: &str = include_str!("../../shaders/nn/gather_tokens.wgsl");
const LINEAR: &str = include_str!("../../shaders/nn/linear.wgsl");
const LINEAR_BACKWARD_INPUT: &str = include_str!("../../shaders/nn/linear_backward_input.wgsl");
const LINEAR_BACKWARD_WEIGHT: &str = include_str!("../../shaders/nn/linear_backward_weight.wgsl");
const SOFTMAX_CROSS_ENTROPY: &str = include_str!("../../shaders/nn/softmax_cross_entropy.wgsl");
const TALLY: &str = include_str!("../../shaders/nn/tally.wgsl");

use Access::{Clock, Read, ReadWrite, Uniform};

/// Bindings of AdamW: work list, control, moments, parameters, gradients, segment; then, where they are there, the maximum
/// of the second moment and the average.
const ADAMW_BINDINGS: [Access; 9] = [Read, Read, ReadWrite, ReadWrite, ReadWrite, Read, Uniform, ReadWrite, ReadWrite];
static ADAMW_IN_PLACE: [Access; 9] =
    [Read, Read, ReadWrite, ReadWrite, ReadWrite, ReadWrite, Uniform, ReadWrite, ReadWrite];
/// Bindings of SGD: work list, control, buffer, parameters, gradients, segment; then the average.
static SGD_BINDINGS: [Access; 7] = [Read, Read, ReadWrite, ReadWrite, Read, Uniform, ReadWrite];
static SGD_IN_PLACE: [Access; 7] = [Read, Read, ReadWrite, ReadWrite, ReadWrite, Uniform, ReadWrite];

/// Bindings of a linear layer forward: x, weight, bias, z, shape; then what is folded in.
static LINEAR_BINDINGS: [Access; 5] = [Read, Read, Read, ReadWrite, Uniform];
static LINEAR_ACTIVATED: [Access; 6] = [Read, Read, Read, ReadWrite, Uniform, ReadWrite];
static LINEAR_RESIDUAL: [Access; 6] = [Read, Read, Read, ReadWrite, Uniform, Read];
/// Bindings of its pass to the weight: dz, x, dweight, dbias, shape; then squares.
static LINEAR_WEIGHT_BINDINGS: [Access; 6] = [Read, Read, ReadWrite, ReadWrite, Uniform, ReadWrite];

/// Bindings of attention: qkv, mask, out, lse, shape; then where the batch stands.
static ATTENTION_BINDINGS: [Access; 6] = [Read, Read, ReadWrite, ReadWrite, Uniform, Read];
/// Bindings of its pass to the queries: qkv, mask, out, dout, lse, delta, dqkv, shape; then where the batch stands.
static ATTENTION_QUERY_BINDINGS: [Access; 9] = [Read, Read, Read, Read, Read, ReadWrite, ReadWrite, Uniform, Read];
/// The same to keys and values, without out.
static ATTENTION_PAST_BINDINGS: [Access; 8] = [Read, Read, Read, Read, Read, ReadWrite, Uniform, Read];

/// A variant of AdamW: its words, how moments are stored, and whether there are a maximum and an average.
const fn adamw_entry<S: Stored + AnyBitPattern + NoUninit, const MAXIMUM: bool, const AVERAGE: bool>(
    name: &'static str,
    defines: &'static [&'static str],
    bindings: &'static [Access],
) -> Kernel {
    let bindings = bindings.split_at(7 + MAXIMUM as usize + AVERAGE as usize).0;
    entry(name, ADAMW, defines, bindings, adamw::<S, f32, f32, MAXIMUM, AVERAGE>)
}

/// The same over parameters in bf16, with gradients stored as `G`.
const fn adamw16_entry<S, G, const MAXIMUM: bool>(name: &'static str, defines: &'static [&'static str]) -> Kernel
where
    S: Stored + AnyBitPattern + NoUninit,
    G: Stored + AnyBitPattern,
{
    let bindings = ADAMW_BINDINGS.split_at(7 + MAXIMUM as usize).0;
    entry(name, ADAMW, defines, bindings, adamw::<S, u16, G, MAXIMUM, false>)
}

/// The same with moments in a byte each.
const fn adamw16_int8_entry<G: Stored + AnyBitPattern, const MAXIMUM: bool>(
    name: &'static str,
    defines: &'static [&'static str],
) -> Kernel {
    let bindings = ADAMW_BINDINGS.split_at(7 + MAXIMUM as usize).0;
    entry(name, ADAMW_INT8, defines, bindings, adamw_int8::<u16, G, MAXIMUM, false>)
}

/// The same with moments in a byte each.
const fn adamw_int8_entry<const MAXIMUM: bool, const AVERAGE: bool>(
    name: &'static str,
    defines: &'static [&'static str],
    bindings: &'static [Access],
) -> Kernel {
    let bindings = bindings.split_at(7 + MAXIMUM as usize + AVERAGE as usize).0;
    entry(name, ADAMW_INT8, defines, bindings, adamw_int8::<f32, f32, MAXIMUM, AVERAGE>)
}

/// Every kernel and every variant of it.
pub static KERNELS: [Kernel; 132] = [
    entry("norm", NORM, &["GRADS32"], &[Read, ReadWrite, Read, Uniform], norm::<f32>),
    entry("norm.grads16", NORM, &["GRADS16"], &[Read, ReadWrite, Read, Uniform], norm::<u16>),
    entry("norm.in_place", NORM, &["IN_PLACE"], &[Read, ReadWrite, ReadWrite, Uniform], norm::<f32>),
    entry("norm_fold", NORM_FOLD, &[], &[Read, ReadWrite, Read, Uniform], norm_fold),
    entry("control", CONTROL, &[], &[ReadWrite, Read, Read, Uniform, Clock], control),
    adamw_entry::<f32, false, false>("adamw", &[], &ADAMW_BINDINGS),
    adamw_entry::<f32, true, false>("adamw.amsgrad", &["AMSGRAD"], &ADAMW_BINDINGS),
    adamw_entry::<f32, false, true>("adamw.average", &["AVERAGE"], &ADAMW_BINDINGS),
    adamw_entry::<f32, true, true>("adamw.amsgrad_average", &["AMSGRAD", "AVERAGE"], &ADAMW_BINDINGS),
    adamw_entry::<u16, false, false>("adamw.bf16", &["BF16"], &ADAMW_BINDINGS),
    adamw_entry::<u16, true, false>("adamw.amsgrad_bf16", &["AMSGRAD", "BF16"], &ADAMW_BINDINGS),
    adamw_entry::<u16, false, true>("adamw.bf16_average", &["BF16", "AVERAGE"], &ADAMW_BINDINGS),
    adamw_entry::<u16, true, true>("adamw.amsgrad_bf16_average", &["AMSGRAD", "BF16", "AVERAGE"], &ADAMW_BINDINGS),
    adamw_entry::<f32, false, false>("adamw.in_place", &["IN_PLACE"], &ADAMW_IN_PLACE),
    adamw_entry::<f32, true, false>("adamw.in_place_amsgrad", &["IN_PLACE", "AMSGRAD"], &ADAMW_IN_PLACE),
    adamw_entry::<f32, false, true>("adamw.in_place_average", &["IN_PLACE", "AVERAGE"], &ADAMW_IN_PLACE),
    adamw_entry::<f32, true, true>(
        "adamw.in_place_amsgrad_average",
        &["IN_PLACE", "AMSGRAD", "AVERAGE"],
        &ADAMW_IN_PLACE,
    ),
    adamw_entry::<u16, false, false>("adamw.in_place_bf16", &["IN_PLACE", "BF16"], &ADAMW_IN_PLACE),
    adamw_entry::<u16, true, false>("adamw.in_place_amsgrad_bf16", &["IN_PLACE", "AMSGRAD", "BF16"], &ADAMW_IN_PLACE),
    adamw_entry::<u16, false, true>("adamw.in_place_bf16_average", &["IN_PLACE", "BF16", "AVERAGE"], &ADAMW_IN_PLACE),
    adamw_entry::<u16, true, true>(
        "adamw.in_place_amsgrad_bf16_average",
        &["IN_PLACE", "AMSGRAD", "BF16", "AVERAGE"],
        &ADAMW_IN_PLACE,
    ),
    adamw_int8_entry::<false, false>("adamw_int8", &[], &ADAMW_BINDINGS),
    adamw_int8_entry::<true, false>("adamw_int8.amsgrad", &["AMSGRAD"], &ADAMW_BINDINGS),
    adamw_int8_entry::<false, true>("adamw_int8.average", &["AVERAGE"], &ADAMW_BINDINGS),
    adamw_int8_entry::<true, true>("adamw_int8.amsgrad_average", &["AMSGRAD", "AVERAGE"], &ADAMW_BINDINGS),
    adamw_int8_entry::<false, false>("adamw_int8.in_place", &["IN_PLACE"], &ADAMW_IN_PLACE),
    adamw_int8_entry::<true, false>("adamw_int8.in_place_amsgrad", &["IN_PLACE", "AMSGRAD"], &ADAMW_IN_PLACE),
    adamw_int8_entry::<false, true>("adamw_int8.in_place_average", &["IN_PLACE", "AVERAGE"], &ADAMW_IN_PLACE),
    adamw_int8_entry::<true, true>(
        "adamw_int8.in_place_amsgrad_average",
        &["IN_PLACE", "AMSGRAD", "AVERAGE"],
        &ADAMW_IN_PLACE,
    ),
    adamw16_entry::<f32, f32, false>("adamw.params16", &["PARAMS16"]),
    adamw16_entry::<f32, u16, false>("adamw.params16_grads16", &["PARAMS16", "GRADS16"]),
    adamw16_entry::<u16, f32, false>("adamw.bf16_params16", &["BF16", "PARAMS16"]),
    adamw16_entry::<u16, u16, false>("adamw.bf16_params16_grads16", &["BF16", "PARAMS16", "GRADS16"]),
    adamw16_entry::<f32, f32, true>("adamw.amsgrad_params16", &["AMSGRAD", "PARAMS16"]),
    adamw16_entry::<f32, u16, true>("adamw.amsgrad_params16_grads16", &["AMSGRAD", "PARAMS16", "GRADS16"]),
    adamw16_entry::<u16, f32, true>("adamw.amsgrad_bf16_params16", &["AMSGRAD", "BF16", "PARAMS16"]),
    adamw16_entry::<u16, u16, true>("adamw.amsgrad_bf16_params16_grads16", &["AMSGRAD", "BF16", "PARAMS16", "GRADS16"]),
    adamw16_int8_entry::<f32, false>("adamw_int8.params16", &["PARAMS16"]),
    adamw16_int8_entry::<u16, false>("adamw_int8.params16_grads16", &["PARAMS16", "GRADS16"]),
    adamw16_int8_entry::<f32, true>("adamw_int8.amsgrad_params16", &["AMSGRAD", "PARAMS16"]),
    adamw16_int8_entry::<u16, true>("adamw_int8.amsgrad_params16_grads16", &["AMSGRAD", "PARAMS16", "GRADS16"]),
    entry("sgd", SGD, &[], SGD_BINDINGS.split_at(6).0, sgd::<false>),
    entry("sgd.in_place", SGD, &["IN_PLACE"], SGD_IN_PLACE.split_at(6).0, sgd::<false>),
    entry("sgd.average", SGD, &["AVERAGE"], &SGD_BINDINGS, sgd::<true>),
    entry("sgd.in_place_average", SGD, &["IN_PLACE", "AVERAGE"], &SGD_IN_PLACE, sgd::<true>),
    entry("swap", SWAP, &[], &[Read, Read, ReadWrite, ReadWrite, Uniform], swap),
    entry("swap.in_place", SWAP, &["IN_PLACE"], &[Read, Read, ReadWrite, ReadWrite, Uniform], swap),
    entry("clip", CLIP, &[], &[Read, Read, ReadWrite, Uniform], clip),
    entry("clip.in_place", CLIP, &["IN_PLACE"], &[Read, Read, ReadWrite, Uniform], clip),
    entry("activate", ACTIVATE, &[], &[Read, ReadWrite, Uniform], activate),
    entry("activate_backward", ACTIVATE_BACKWARD, &[], &[Read, Read, ReadWrite, Uniform], activate_backward),
    entry("add", ADD, &[], &[Read, Read, ReadWrite, Uniform], add),
    entry("dropout", DROPOUT, &[], &[Read, ReadWrite, Read, Uniform], dropout),
    entry("dropout.residual", DROPOUT, &["RESIDUAL"], &[Read, ReadWrite, Read, Uniform, Read], dropout_residual),
    entry("embedding", EMBEDDING, &[], &[Read, Read, Read, ReadWrite, Uniform], embedding::<f32>),
    entry("embedding.ragged", EMBEDDING, &["RAGGED"], &[Read, Read, Read, ReadWrite, Uniform], embedding::<f32>),
    entry(
        "embedding.typed",
        EMBEDDING,
        &["TYPED"],
        &[Read, Read, Read, ReadWrite, Uniform, Read, Read],
        embedding_typed::<f32>,
    ),
    entry(
        "embedding.ragged_typed",
        EMBEDDING,
        &["RAGGED", "TYPED"],
        &[Read, Read, Read, ReadWrite, Uniform, Read, Read],
        embedding_typed::<f32>,
    ),
    entry("embedding.tables16", EMBEDDING, &["TABLES16"], &[Read, Read, Read, ReadWrite, Uniform], embedding::<u16>),
    entry(
        "embedding.tables16_typed",
        EMBEDDING,
        &["TABLES16", "TYPED"],
        &[Read, Read, Read, ReadWrite, Uniform, Read, Read],
        embedding_typed::<u16>,
    ),
    entry("embedding_index", EMBEDDING_INDEX, &[], &[Read, ReadWrite, ReadWrite, Uniform], embedding_index),
    entry(
        "embedding_backward",
        EMBEDDING_BACKWARD,
        &[],
        &[Read, Read, Read, Read, ReadWrite, Uniform],
        embedding_backward,
    ),
    entry(
        "embedding_backward.ragged",
        EMBEDDING_BACKWARD,
        &["RAGGED"],
        &[Read, Read, Read, Read, ReadWrite, Uniform],
        embedding_backward,
    ),
    entry(
        "embedding_backward.squares",
        EMBEDDING_BACKWARD,
        &["SQUARES"],
        &[Read, Read, Read, Read, ReadWrite, Uniform, ReadWrite],
        embedding_backward_squares,
    ),
    entry(
        "embedding_backward.ragged_squares",
        EMBEDDING_BACKWARD,
        &["RAGGED", "SQUARES"],
        &[Read, Read, Read, Read, ReadWrite, Uniform, ReadWrite],
        embedding_backward_squares,
    ),
    entry("mean_pool", MEAN_POOL, &[], &[Read, Read, ReadWrite, Uniform], mean_pool),
    entry("mean_pool_backward", MEAN_POOL_BACKWARD, &[], &[Read, Read, ReadWrite, Uniform], mean_pool_backward),
    entry("copy", COPY, &[], &[Read, ReadWrite], copy),
    entry("gather", GATHER, &[], &[Read, Read, ReadWrite, ReadWrite, ReadWrite, Read, Uniform, Clock], gather),
    entry("layer_norm", LAYER_NORM, &[], &[Read, Read, Read, ReadWrite, ReadWrite, Uniform], layer_norm),
    entry(
        "layer_norm.residual",
        LAYER_NORM,
        &["RESIDUAL"],
        &[Read, Read, Read, ReadWrite, ReadWrite, Uniform, Read, ReadWrite],
        layer_norm_residual,
    ),
    entry(
        "layer_norm_backward_input",
        LAYER_NORM_BACKWARD_INPUT,
        &[],
        &[Read, Read, Read, Read, ReadWrite, Uniform],
        layer_norm_backward_input,
    ),
    entry(
        "layer_norm_backward_weight",
        LAYER_NORM_BACKWARD_WEIGHT,
        &[],
        &[Read, Read, Read, ReadWrite, ReadWrite, Uniform],
        layer_norm_backward_weight,
    ),
    entry("gather_cached", GATHER_CACHED, &[], &[Read, ReadWrite, Read, Uniform], gather_cached),
    entry(
        "layer_norm_backward_weight.squares",
        LAYER_NORM_BACKWARD_WEIGHT,
        &["SQUARES"],
        &[Read, Read, Read, ReadWrite, ReadWrite, Uniform, ReadWrite],
        layer_norm_backward_weight_squares,
    ),
    entry(
        "gather_sequences",
        GATHER_SEQUENCES,
        &[],
        &[Read, ReadWrite, ReadWrite, ReadWrite, ReadWrite, ReadWrite, Read, Uniform, Clock],
        gather_sequences,
    ),
    entry(
        "gather_tokens",
        GATHER_TOKENS,
        &[],
        &[Read, ReadWrite, ReadWrite, ReadWrite, ReadWrite, Read, Uniform, Clock],
        gather_tokens,
    ),
    entry("linear", LINEAR, &[], &LINEAR_BINDINGS, linear::<f32>),
    entry("linear.ragged", LINEAR, &["RAGGED"], &LINEAR_BINDINGS, linear::<f32>),
    entry("linear.activated", LINEAR, &["ACTIVATED"], &LINEAR_ACTIVATED, linear_activated::<f32>),
    entry("linear.ragged_activated", LINEAR, &["RAGGED", "ACTIVATED"], &LINEAR_ACTIVATED, linear_activated::<f32>),
    entry("linear.residual", LINEAR, &["RESIDUAL"], &LINEAR_RESIDUAL, linear_residual::<f32>),
    entry("linear.ragged_residual", LINEAR, &["RAGGED", "RESIDUAL"], &LINEAR_RESIDUAL, linear_residual::<f32>),
    entry("linear.tiled", LINEAR, &["TILED"], &LINEAR_BINDINGS, linear::<f32>),
    entry("linear.tiled_ragged", LINEAR, &["TILED", "RAGGED"], &LINEAR_BINDINGS, linear::<f32>),
    entry("linear.tiled_activated", LINEAR, &["TILED", "ACTIVATED"], &LINEAR_ACTIVATED, linear_activated::<f32>),
    entry(
        "linear.tiled_ragged_activated",
        LINEAR,
        &["TILED", "RAGGED", "ACTIVATED"],
        &LINEAR_ACTIVATED,
        linear_activated::<f32>,
    ),
    entry("linear.tiled_residual", LINEAR, &["TILED", "RESIDUAL"], &LINEAR_RESIDUAL, linear_residual::<f32>),
    entry(
        "linear.tiled_ragged_residual",
        LINEAR,
        &["TILED", "RAGGED", "RESIDUAL"],
        &LINEAR_RESIDUAL,
        linear_residual::<f32>,
    ),
    entry("linear.cooperative", LINEAR, &["COOPERATIVE"], &LINEAR_BINDINGS, linear::<f32>),
    entry("linear.cooperative_ragged", LINEAR, &["COOPERATIVE", "RAGGED"], &LINEAR_BINDINGS, linear::<f32>),
    entry(
        "linear.cooperative_activated",
        LINEAR,
        &["COOPERATIVE", "ACTIVATED"],
        &LINEAR_ACTIVATED,
        linear_activated::<f32>,
    ),
    entry(
        "linear.cooperative_ragged_activated",
        LINEAR,
        &["COOPERATIVE", "RAGGED", "ACTIVATED"],
        &LINEAR_ACTIVATED,
        linear_activated::<f32>,
    ),
    entry(
        "linear.cooperative_residual",
        LINEAR,
        &["COOPERATIVE", "RESIDUAL"],
        &LINEAR_RESIDUAL,
        linear_residual::<f32>,
    ),
    entry(
        "linear.cooperative_ragged_residual",
        LINEAR,
        &["COOPERATIVE", "RAGGED", "RESIDUAL"],
        &LINEAR_RESIDUAL,
        linear_residual::<f32>,
    ),
    entry("linear.weight16", LINEAR, &["WEIGHT16"], &LINEAR_BINDINGS, linear::<u16>),
    entry("linear.weight16_activated", LINEAR, &["WEIGHT16", "ACTIVATED"], &LINEAR_ACTIVATED, linear_activated::<u16>),
    entry("linear.weight16_residual", LINEAR, &["WEIGHT16", "RESIDUAL"], &LINEAR_RESIDUAL, linear_residual::<u16>),
    entry("linear.tiled_weight16", LINEAR, &["TILED", "WEIGHT16"], &LINEAR_BINDINGS, linear::<u16>),
    entry(
        "linear.tiled_weight16_activated",
        LINEAR,
        &["TILED", "WEIGHT16", "ACTIVATED"],
        &LINEAR_ACTIVATED,
        linear_activated::<u16>,
    ),
    entry(
        "linear.tiled_weight16_residual",
        LINEAR,
        &["TILED", "WEIGHT16", "RESIDUAL"],
        &LINEAR_RESIDUAL,
        linear_residual::<u16>,
    ),
    entry("linear.cooperative_weight16", LINEAR, &["COOPERATIVE", "WEIGHT16"], &LINEAR_BINDINGS, linear::<u16>),
    entry(
        "linear.cooperative_weight16_activated",
        LINEAR,
        &["COOPERATIVE", "WEIGHT16", "ACTIVATED"],
        &LINEAR_ACTIVATED,
        linear_activated::<u16>,
    ),
    entry(
        "linear.cooperative_weight16_residual",
        LINEAR,
        &["COOPERATIVE", "WEIGHT16", "RESIDUAL"],
        &LINEAR_RESIDUAL,
        linear_residual::<u16>,
    ),
    entry("linear_backward_input", LINEAR_BACKWARD_INPUT, &[], &LINEAR_BINDINGS, linear_backward_input::<f32>),
    entry(
        "linear_backward_input.ragged",
        LINEAR_BACKWARD_INPUT,
        &["RAGGED"],
        &LINEAR_BINDINGS,
        linear_backward_input::<f32>,
    ),
    entry(
        "linear_backward_input.tiled",
        LINEAR_BACKWARD_INPUT,
        &["TILED"],
        &LINEAR_BINDINGS,
        linear_backward_input::<f32>,
    ),
    entry(
        "linear_backward_input.tiled_ragged",
        LINEAR_BACKWARD_INPUT,
        &["TILED", "RAGGED"],
        &LINEAR_BINDINGS,
        linear_backward_input::<f32>,
    ),
    entry(
        "linear_backward_input.weight16",
        LINEAR_BACKWARD_INPUT,
        &["WEIGHT16"],
        &LINEAR_BINDINGS,
        linear_backward_input::<u16>,
    ),
    entry(
        "linear_backward_input.tiled_weight16",
        LINEAR_BACKWARD_INPUT,
        &["TILED", "WEIGHT16"],
        &LINEAR_BINDINGS,
        linear_backward_input::<u16>,
    ),
    entry(
        "linear_backward_weight",
        LINEAR_BACKWARD_WEIGHT,
        &[],
        LINEAR_WEIGHT_BINDINGS.split_at(5).0,
        linear_backward_weight,
    ),
    entry(
        "linear_backward_weight.ragged",
        LINEAR_BACKWARD_WEIGHT,
        &["RAGGED"],
        LINEAR_WEIGHT_BINDINGS.split_at(5).0,
        linear_backward_weight,
    ),
    entry(
        "linear_backward_weight.squares",
        LINEAR_BACKWARD_WEIGHT,
        &["SQUARES"],
        &LINEAR_WEIGHT_BINDINGS,
        linear_backward_weight_squares,
    ),
    entry(
        "linear_backward_weight.ragged_squares",
        LINEAR_BACKWARD_WEIGHT,
        &["RAGGED", "SQUARES"],
        &LINEAR_WEIGHT_BINDINGS,
        linear_backward_weight_squares,
    ),
    entry(
        "linear_backward_weight.tiled",
        LINEAR_BACKWARD_WEIGHT,
        &["TILED"],
        LINEAR_WEIGHT_BINDINGS.split_at(5).0,
        linear_backward_weight,
    ),
    entry(
        "linear_backward_weight.tiled_ragged",
        LINEAR_BACKWARD_WEIGHT,
        &["TILED", "RAGGED"],
        LINEAR_WEIGHT_BINDINGS.split_at(5).0,
        linear_backward_weight,
    ),
    entry(
        "linear_backward_weight.tiled_squares",
        LINEAR_BACKWARD_WEIGHT,
        &["TILED", "SQUARES"],
        &LINEAR_WEIGHT_BINDINGS,
        linear_backward_weight_squares,
    ),
    entry(
        "linear_backward_weight.tiled_ragged_squares",
        LINEAR_BACKWARD_WEIGHT,
        &["TILED", "RAGGED", "SQUARES"],
        &LINEAR_WEIGHT_BINDINGS,
        linear_backward_weight_squares,
    ),
    entry(
        "softmax_cross_entropy",
        SOFTMAX_CROSS_ENTROPY,
        &[],
        &[Read, Read, ReadWrite, ReadWrite, Uniform],
        softmax_cross_entropy,
    ),
    entry("tally", TALLY, &[], &[Read, ReadWrite, Read, Uniform], tally),
    entry("attention", ATTENTION, &[], ATTENTION_BINDINGS.split_at(5).0, attention),
    entry("attention.dropout", ATTENTION, &["DROPOUT"], &ATTENTION_BINDINGS, attention_dropout),
    entry("attention.tiled", ATTENTION, &["TILED"], ATTENTION_BINDINGS.split_at(5).0, attention),
    entry("attention.tiled_dropout", ATTENTION, &["TILED", "DROPOUT"], &ATTENTION_BINDINGS, attention_dropout),
    entry(
        "attention_backward_query",
        ATTENTION_BACKWARD_QUERY,
        &[],
        ATTENTION_QUERY_BINDINGS.split_at(8).0,
        attention_backward_query::<false>,
    ),
    entry(
        "attention_backward_query.dropout",
        ATTENTION_BACKWARD_QUERY,
        &["DROPOUT"],
        &ATTENTION_QUERY_BINDINGS,
        attention_backward_query::<true>,
    ),
    entry(
        "attention_backward_query.tiled",
        ATTENTION_BACKWARD_QUERY,
        &["TILED"],
        ATTENTION_QUERY_BINDINGS.split_at(8).0,
        attention_backward_query::<false>,
    ),
    entry(
        "attention_backward_query.tiled_dropout",
        ATTENTION_BACKWARD_QUERY,
        &["TILED", "DROPOUT"],
        &ATTENTION_QUERY_BINDINGS,
        attention_backward_query::<true>,
    ),
    entry(
        "attention_backward_key_value",
        ATTENTION_BACKWARD_KEY_VALUE,
        &[],
        ATTENTION_PAST_BINDINGS.split_at(7).0,
        attention_backward_key_value::<false>,
    ),
    entry(
        "attention_backward_key_value.dropout",
        ATTENTION_BACKWARD_KEY_VALUE,
        &["DROPOUT"],
        &ATTENTION_PAST_BINDINGS,
        attention_backward_key_value::<true>,
    ),
    entry(
        "attention_backward_key_value.tiled",
        ATTENTION_BACKWARD_KEY_VALUE,
        &["TILED"],
        ATTENTION_PAST_BINDINGS.split_at(7).0,
        attention_backward_key_value::<false>,
    ),
    entry(
        "attention_backward_key_value.tiled_dropout",
        ATTENTION_BACKWARD_KEY_VALUE,
        &["TILED", "DROPOUT"],
        &ATTENTION_PAST_BINDINGS,
        attention_backward_key_value::<true>,
    ),
];

const fn entry(
    name: &'static str,
    source: &'static str,
    defines: &'static [&'static str],
    bindings: &'static [Access],
    twin: fn(Call<'_>),
) -> Kernel {
    Kernel { name, source, defines, bindings, twin }
}

/// The kernel of this name.
///
/// # Errors
/// [`Error::NoSuchKernel`].
pub fn kernel(name: &str) -> Result<&'static Kernel, Error> {
    KERNELS.iter().find(|kernel| kernel.name == name).ok_or_else(|| Error::NoSuchKernel { name: name.to_owned() })
}

fn norm<G: Stored + AnyBitPattern>(call: Call<'_>) {
    let kind = call.constant("NORM", 2);
    let [chunks, control, grads, segment] = call.take();
    twin::optim::norm::<G>(chunks.get(), control.get_mut(), grads.get(), segment.one(), kind);
}

fn norm_fold(call: Call<'_>) {
    let kind = call.constant("NORM", 2);
    let [chunks, control, squares, segment] = call.take();
    twin::optim::norm_fold(chunks.get(), control.get_mut(), squares.get(), segment.one(), kind);
}

fn control(call: Call<'_>) {
    let [control, table, tensors, settings, clock] = call.take();
    twin::optim::control(control.get_mut(), table.get(), tensors.get(), settings.one(), clock.clock());
}

fn adamw<S, P, G, const MAXIMUM: bool, const AVERAGE: bool>(mut call: Call<'_>)
where
    S: Stored + AnyBitPattern + NoUninit,
    P: Stored + AnyBitPattern + NoUninit,
    G: Stored + AnyBitPattern,
{
    let step = if call.forms.are_fast { fast::adamw::<S, P, G> } else { twin::optim::adamw::<S, P, G> };
    let average = call.take_last(AVERAGE);
    let v_max = call.take_last(MAXIMUM);
    let [chunks, control, m, v, params, grads, segment] = call.take();
    let (m, v, params) = (m.get_mut::<S>(), v.get_mut(), params.get_mut::<P>());
    let grads = grads.get::<G>();
    step(chunks.get(), control.get(), m, v, params, grads, segment.one(), v_max, average);
}

fn adamw_int8<P, G, const MAXIMUM: bool, const AVERAGE: bool>(mut call: Call<'_>)
where
    P: Stored + AnyBitPattern + NoUninit,
    G: Stored + AnyBitPattern,
{
    let average = call.take_last(AVERAGE);
    let v_max = call.take_last(MAXIMUM);
    let [chunks, control, m, v, params, grads, segment] = call.take();
    let (m, v, params) = (m.get_mut(), v.get_mut(), params.get_mut::<P>());
    let grads = grads.get::<G>();
    twin::optim::adamw_int8(chunks.get(), control.get(), m, v, params, grads, segment.one(), v_max, average);
}

fn sgd<const AVERAGE: bool>(mut call: Call<'_>) {
    let average = call.take_last(AVERAGE);
    let [chunks, control, buffers, params, grads, segment] = call.take();
    let (buffers, params) = (buffers.get_mut(), params.get_mut());
    twin::optim::sgd(chunks.get(), control.get(), buffers, params, grads.get(), segment.one(), average);
}

fn swap(call: Call<'_>) {
    let [chunks, control, params, average, segment] = call.take();
    twin::optim::swap(chunks.get(), control.get(), params.get_mut(), average.get_mut(), segment.one());
}

fn clip(call: Call<'_>) {
    let [chunks, control, grads, segment] = call.take();
    twin::optim::clip(chunks.get(), control.get(), grads.get_mut(), segment.one());
}

fn activate(call: Call<'_>) {
    let activation = call.constant("ACTIVATION", 0);
    let [z, h, shape] = call.take();
    twin::nn::activate(z.get(), h.get_mut(), shape.one(), activation);
}

fn activate_backward(call: Call<'_>) {
    let (activation, accumulate) = (call.constant("ACTIVATION", 0), call.switch("ACCUMULATE", false));
    let [z, dh, dz, shape] = call.take();
    twin::nn::activate_backward(z.get(), dh.get(), dz.get_mut(), shape.one(), activation, accumulate);
}

fn add(call: Call<'_>) {
    let [x, residual, y, shape] = call.take();
    twin::nn::add(x.get(), residual.get(), y.get_mut(), shape.one());
}

fn dropout(call: Call<'_>) {
    let [x, y, position, shape] = call.take();
    twin::nn::dropout(x.get(), y.get_mut(), position.one(), shape.one(), None);
}

fn dropout_residual(call: Call<'_>) {
    let [x, y, position, shape, residual] = call.take();
    twin::nn::dropout(x.get(), y.get_mut(), position.one(), shape.one(), Some(residual.get()));
}

fn embedding<S: Stored + AnyBitPattern>(call: Call<'_>) {
    let [tokens, token_table, position_table, y, shape] = call.take();
    let (tokens, y) = (tokens.get(), y.get_mut());
    twin::nn::embedding::<S>(tokens, token_table.get(), position_table.get(), y, shape.one(), None);
}

fn embedding_typed<S: Stored + AnyBitPattern>(call: Call<'_>) {
    let [tokens, token_table, position_table, y, shape, types, type_table] = call.take();
    let (tokens, y, types) = (tokens.get(), y.get_mut(), Some((types.get(), type_table.get())));
    twin::nn::embedding::<S>(tokens, token_table.get(), position_table.get(), y, shape.one(), types);
}

fn embedding_index(call: Call<'_>) {
    let [tokens, previous, last, shape] = call.take();
    twin::nn::embedding_index(tokens.get(), previous.get_mut(), last.get_mut(), shape.one());
}

fn embedding_backward(call: Call<'_>) {
    let accumulate = call.switch("ACCUMULATE", false);
    let [tokens, previous, last, dy, dtable, shape] = call.take();
    let (tokens, previous, last, dtable) = (tokens.get(), previous.get(), last.get(), dtable.get_mut());
    twin::nn::embedding_backward(tokens, previous, last, dy.get(), dtable, shape.one(), accumulate);
}

fn embedding_backward_squares(call: Call<'_>) {
    let sizes = [call.constant("WORKGROUP", 64), call.constant("QUADS", 1)].map(|size| size as usize);
    let [tokens, previous, last, dy, dtable, shape, squares] = call.take();
    let (tokens, previous, last, shape) = (tokens.get(), previous.get(), last.get(), shape.one());
    let dtable = dtable.get_mut();
    twin::nn::embedding_backward(tokens, previous, last, dy.get(), dtable, shape, false);
    twin::nn::embedding_backward_squares(dtable, shape, sizes, squares.get_mut());
}

fn mean_pool(call: Call<'_>) {
    let [x, mask, y, shape] = call.take();
    twin::nn::mean_pool(x.get(), mask.get(), y.get_mut(), shape.one());
}

fn mean_pool_backward(call: Call<'_>) {
    let [dy, mask, dx, shape] = call.take();
    twin::nn::mean_pool_backward(dy.get(), mask.get(), dx.get_mut(), shape.one());
}

fn copy(call: Call<'_>) {
    let [source, to] = call.take();
    twin::measure::copy(source.get(), to.get_mut());
}

fn gather(call: Call<'_>) {
    let shuffle = call.switch("SHUFFLE", true);
    let [data, labels, x, y, position, table, shape, clock] = call.take();
    let (data, labels, x, y) = (data.get(), labels.get(), x.get_mut(), y.get_mut());
    let (position, header, shape) = (position.one_mut(), table.one(), shape.one());
    twin::nn::gather(data, labels, x, y, position, header, shape, clock.clock(), shuffle);
}

fn layer_norm(call: Call<'_>) {
    let [x, gamma, beta, y, moments, shape] = call.take();
    let (y, moments) = (y.get_mut(), moments.get_mut());
    twin::nn::layer_norm(x.get(), gamma.get(), beta.get(), y, moments, shape.one(), None);
}

fn layer_norm_residual(call: Call<'_>) {
    let [x, gamma, beta, y, moments, shape, residual, sum] = call.take();
    let (y, moments, residual) = (y.get_mut(), moments.get_mut(), Some((residual.get(), sum.get_mut())));
    twin::nn::layer_norm(x.get(), gamma.get(), beta.get(), y, moments, shape.one(), residual);
}

fn layer_norm_backward_input(call: Call<'_>) {
    let accumulate = call.switch("ACCUMULATE", false);
    let [dy, x, gamma, moments, dx, shape] = call.take();
    let (dy, x, gamma, moments) = (dy.get(), x.get(), gamma.get(), moments.get());
    twin::nn::layer_norm_backward_input(dy, x, gamma, moments, dx.get_mut(), shape.one(), accumulate);
}

fn layer_norm_backward_weight(call: Call<'_>) {
    let accumulate = call.switch("ACCUMULATE", false);
    let (weight, bias) = (call.switch("WEIGHT", true), call.switch("BIAS", true));
    let [dy, x, moments, dgamma, dbeta, shape] = call.take();
    let (dgamma, dbeta) = (weight.then(|| dgamma.get_mut()), bias.then(|| dbeta.get_mut()));
    twin::nn::layer_norm_backward_weight(dy.get(), x.get(), moments.get(), dgamma, dbeta, shape.one(), accumulate);
}

fn gather_cached(call: Call<'_>) {
    let shuffle = call.switch("SHUFFLE", true);
    let [cached, out, position, shape] = call.take();
    twin::nn::gather_cached(cached.get(), out.get_mut(), position.one(), shape.one(), shuffle);
}

fn layer_norm_backward_weight_squares(call: Call<'_>) {
    let accumulate = call.switch("ACCUMULATE", false);
    let (weight, bias) = (call.switch("WEIGHT", true), call.switch("BIAS", true));
    let [dy, x, moments, dgamma, dbeta, shape, squares] = call.take();
    let (mut dgamma, mut dbeta) = (weight.then(|| dgamma.get_mut()), bias.then(|| dbeta.get_mut()));
    let (dy, x, moments, shape) = (dy.get(), x.get(), moments.get(), shape.one());
    let (gamma, beta) = (dgamma.as_deref_mut(), dbeta.as_deref_mut());
    twin::nn::layer_norm_backward_weight(dy, x, moments, gamma, beta, shape, accumulate);
    let (gamma, beta) = (dgamma.as_deref(), dbeta.as_deref());
    twin::nn::layer_norm_backward_weight_squares(gamma, beta, shape, squares.get_mut());
}

fn gather_sequences(call: Call<'_>) {
    let shuffle = call.constant("SHUFFLE", 1) != 0;
    let [sequences, tokens, mask, types, labels, position, table, shape, clock] = call.take();
    let (tokens, mask, types, labels) = (tokens.get_mut(), mask.get_mut(), types.get_mut(), labels.get_mut());
    let (position, header, shape, slot) = (position.one_mut(), table.one(), shape.one(), clock.clock());
    let sequences = sequences.get();
    twin::nn::gather_sequences(sequences, tokens, mask, types, labels, position, header, shape, slot, shuffle);
}

fn gather_tokens(call: Call<'_>) {
    let shuffle = call.constant("SHUFFLE", 1) != 0;
    let [tokens, inputs, targets, mask, position, table, shape, clock] = call.take();
    let (inputs, targets, mask) = (inputs.get_mut(), targets.get_mut(), mask.get_mut());
    let (position, header, shape, slot) = (position.one_mut(), table.one(), shape.one(), clock.clock());
    twin::nn::gather_tokens(tokens.get(), inputs, targets, mask, position, header, shape, slot, shuffle);
}

/// What a binding holds, as f32.
fn widened<'a, S: Stored + AnyBitPattern>(slot: Slot<'a>) -> Cow<'a, [f32]> {
    S::widened(slot.get())
}

fn linear<S: Stored + AnyBitPattern>(call: Call<'_>) {
    let forms = call.forms;
    let biased = call.switch("BIAS", true);
    let [x, weight, bias, z, shape] = call.take();
    let bias = biased.then(|| bias.get());
    (forms.linear)(x.get(), &widened::<S>(weight), bias, z.get_mut(), shape.one(), Epilogue::Plain);
}

fn linear_activated<S: Stored + AnyBitPattern>(call: Call<'_>) {
    let forms = call.forms;
    let (biased, activation) = (call.switch("BIAS", true), call.constant("ACTIVATION", 0));
    let [x, weight, bias, z, shape, h] = call.take();
    let (bias, epilogue) = (biased.then(|| bias.get()), Epilogue::Activated(activation, h.get_mut()));
    (forms.linear)(x.get(), &widened::<S>(weight), bias, z.get_mut(), shape.one(), epilogue);
}

fn linear_residual<S: Stored + AnyBitPattern>(call: Call<'_>) {
    let forms = call.forms;
    let biased = call.switch("BIAS", true);
    let [x, weight, bias, z, shape, residual] = call.take();
    let (bias, epilogue) = (biased.then(|| bias.get()), Epilogue::Residual(residual.get()));
    (forms.linear)(x.get(), &widened::<S>(weight), bias, z.get_mut(), shape.one(), epilogue);
}

fn linear_backward_input<S: Stored + AnyBitPattern>(call: Call<'_>) {
    let forms = call.forms;
    let (activation, accumulate) = (call.constant("ACTIVATION", 0), call.switch("ACCUMULATE", false));
    let [dz, weight, z_below, dz_below, shape] = call.take();
    let dz_below = dz_below.get_mut();
    let shape = shape.one();
    (forms.linear_backward_input)(
        dz.get(),
        &widened::<S>(weight),
        z_below.get(),
        dz_below,
        shape,
        activation,
        accumulate,
    );
}

fn linear_backward_weight(call: Call<'_>) {
    let forms = call.forms;
    let accumulate = call.switch("ACCUMULATE", false);
    let (weight, bias) = (call.switch("WEIGHT", true), call.switch("BIAS", true));
    let [dz, x, dweight, dbias, shape] = call.take();
    let (dweight, dbias) = (weight.then(|| dweight.get_mut()), bias.then(|| dbias.get_mut()));
    (forms.linear_backward_weight)(dz.get(), x.get(), dweight, dbias, shape.one(), accumulate);
}

fn linear_backward_weight_squares(call: Call<'_>) {
    let forms = call.forms;
    // A tile of the variants without them is one invocation's.
    let tile = [call.constant("SIDE", 1), call.constant("QUADS", 2)].map(|size| size as usize);
    let accumulate = call.switch("ACCUMULATE", false);
    let (weight, bias) = (call.switch("WEIGHT", true), call.switch("BIAS", true));
    let [dz, x, dweight, dbias, shape, squares] = call.take();
    let (mut dweight, mut dbias) = (weight.then(|| dweight.get_mut()), bias.then(|| dbias.get_mut()));
    let (dz, x, shape, weight, bias) = (dz.get(), x.get(), shape.one(), dweight.as_deref_mut(), dbias.as_deref_mut());
    (forms.linear_backward_weight)(dz, x, weight, bias, shape, accumulate);
    let (weight, bias) = (dweight.as_deref(), dbias.as_deref());
    twin::nn::linear_backward_weight_squares(weight, bias, shape, tile, squares.get_mut());
}

fn softmax_cross_entropy(call: Call<'_>) {
    let (gradient, mean) = (call.switch("GRADIENT", true), call.switch("MEAN", false));
    let [z, labels, dz, verdicts, shape] = call.take();
    let (dz, verdicts) = (gradient.then(|| dz.get_mut()), verdicts.get_mut());
    twin::nn::softmax_cross_entropy(z.get(), labels.get(), dz, verdicts, shape.one(), mean);
}

fn tally(call: Call<'_>) {
    let [verdicts, metrics, position, shape] = call.take();
    twin::nn::tally(verdicts.get(), metrics.one_mut(), position.one(), shape.one());
}

fn attention(call: Call<'_>) {
    let (causal, forms) = (is_causal(&call), call.forms);
    let [qkv, mask, out, lse, shape] = call.take();
    let (out, lse) = (out.get_mut(), lse.get_mut());
    (forms.attention)(qkv.get(), mask.get(), out, lse, shape.one(), None, causal);
}

fn attention_dropout(call: Call<'_>) {
    let (causal, forms) = (is_causal(&call), call.forms);
    let [qkv, mask, out, lse, shape, position] = call.take();
    let (out, lse) = (out.get_mut(), lse.get_mut());
    (forms.attention)(qkv.get(), mask.get(), out, lse, shape.one(), Some(position.one()), causal);
}

fn is_causal(call: &Call<'_>) -> bool {
    call.constant("CAUSAL", 0) != 0
}

fn attention_backward_query<const DROPOUT: bool>(mut call: Call<'_>) {
    let (causal, forms, position) = (is_causal(&call), call.forms, take_position(&mut call, DROPOUT));
    let [qkv, mask, out, dout, lse, delta, dqkv, shape] = call.take();
    let (qkv, mask, dout, lse) = (qkv.get(), mask.get(), dout.get(), lse.get());
    let (delta, shape) = (delta.get_mut(), shape.one());
    twin::nn::attention_backward_delta(dout, out.get(), delta, shape);
    let past = twin::nn::AttentionPast { qkv, mask, dout, lse, delta, shape, position, causal };
    (forms.attention_backward_query)(&past, dqkv.get_mut());
}

fn attention_backward_key_value<const DROPOUT: bool>(mut call: Call<'_>) {
    let (causal, forms, position) = (is_causal(&call), call.forms, take_position(&mut call, DROPOUT));
    let [qkv, mask, dout, lse, delta, dqkv, shape] = call.take();
    let (qkv, mask, dout, lse) = (qkv.get(), mask.get(), dout.get(), lse.get());
    let (delta, shape) = (delta.get(), shape.one());
    let past = twin::nn::AttentionPast { qkv, mask, dout, lse, delta, shape, position, causal };
    (forms.attention_backward_key_value)(&past, dqkv.get_mut());
}

/// The last binding, where weights are dropped.
fn take_position<'a>(call: &mut Call<'a>, dropout: bool) -> Option<&'a Position> {
    if dropout { call.slots.pop().map(Slot::one) } else { None }
}

impl Kernel {
    /// The shader's text with its imports and its variant resolved.
    ///
    /// `#import name` stands for `shaders/shared/name.wgsl`; `#ifdef NAME`, `#else`, `#endif` choose lines. What is imported
    /// twice stands there once. There is nothing else.
    pub fn wgsl(&self) -> String {
        let mut text = String::new();
        self.expand(self.source, &mut text, &mut Vec::new());
        text
    }

    fn expand(&self, source: &str, text: &mut String, imported: &mut Vec<&'static str>) {
        // What the conditions around a line say.
        let mut conditions: Vec<bool> = Vec::new();
        for line in source.lines() {
            let wanted = conditions.iter().all(|holds| *holds);
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("#ifdef"), Some(name)) => conditions.push(self.defines.contains(&name)),
                (Some("#else"), _) => conditions.iter_mut().last().into_iter().for_each(|holds| *holds = !*holds),
                (Some("#endif"), _) => _ = conditions.pop(),
                (Some("#import"), Some(name)) if wanted => {
                    // A name that is not there leaves its line in the text, where the shader compiler points at it.
                    match SHARED.iter().find(|(known, _)| *known == name) {
                        Some((name, _)) if imported.contains(name) => {}
                        Some((name, shared)) => {
                            imported.push(name);
                            self.expand(shared, text, imported);
                        }
                        None => text.push_str(line),
                    }
                    text.push('\n');
                }
                _ if wanted => {
                    text.push_str(line);
                    text.push('\n');
                }
                _ => {}
            }
        }
    }
}
