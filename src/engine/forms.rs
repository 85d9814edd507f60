//! Which form of a kernel runs on the host, where there are two.

use crate::twin::nn::{AttentionPast, Epilogue};
use crate::twin::shared::{Attention, Linear, Position};
use crate::{fast, twin};

/// A form of each kernel that has a fast one.
#[derive(Debug)]
#[allow(clippy::type_complexity, reason = "they are the twins' signatures")]
pub(crate) struct Forms {
    /// The name of the engine that runs them.
    pub(crate) engine: &'static str,
    /// Whether those are the fast ones, for a kernel whose types are many.
    pub(crate) are_fast: bool,
    pub(crate) attention: fn(&[f32], &[u32], &mut [f32], &mut [f32], &Attention, Option<&Position>, bool),
    pub(crate) attention_backward_key_value: fn(&AttentionPast<'_>, &mut [f32]),
    pub(crate) attention_backward_query: fn(&AttentionPast<'_>, &mut [f32]),
    pub(crate) linear: fn(&[f32], &[f32], Option<&[f32]>, &mut [f32], &Linear, Epilogue<'_>),
    pub(crate) linear_backward_input: fn(&[f32], &[f32], &[f32], &mut [f32], &Linear, u32, bool),
    pub(crate) linear_backward_weight: fn(&[f32], &[f32], Option<&mut [f32]>, Option<&mut [f32]>, &Linear, bool),
}

/// The twins themselves.
pub(crate) static TWINS: Forms = Forms {
    engine: "twins",
    are_fast: false,
    attention: twin::nn::attention,
    attention_backward_key_value: twin::nn::attention_backward_key_value,
    attention_backward_query: twin::nn::attention_backward_query,
    linear: twin::nn::linear,
    linear_backward_input: twin::nn::linear_backward_input,
    linear_backward_weight: twin::nn::linear_backward_weight,
};

/// Those that are made to be fast.
pub(crate) static FAST: Forms = Forms {
    engine: "cpu",
    are_fast: true,
    attention: fast::attention,
    attention_backward_key_value: fast::attention_backward_key_value,
    attention_backward_query: fast::attention_backward_query,
    linear: fast::linear,
    linear_backward_input: fast::linear_backward_input,
    linear_backward_weight: fast::linear_backward_weight,
};
