//! Which form of a kernel runs on the host, if there are two.

use crate::twin;
use crate::twin::nn::{AttentionPast, Epilogue};
use crate::twin::shared::{
    Attention, BatchNorm, ChannelMoments, ChannelSlopes, Conv, Embedding, LayerNorm, Linear, Loss, Moments, Position,
    Running, Squares, Verdict,
};

#[cfg(feature = "cpu")]
pub(super) use crate::fast;

/// Without the feature `cpu` the twins replace their fast forms, on the caller's thread.
#[cfg(not(feature = "cpu"))]
pub(super) mod fast {
    pub(crate) use crate::twin::nn::*;
    pub(crate) use crate::twin::optim::{
        direct, factor_columns, factor_rows, factor_sums, factor_update, product, row_sums, sums, update,
    };

    pub(crate) fn on_cores<T>(run: impl FnOnce() -> T) -> T {
        run()
    }
}

/// A form of each kernel that has a fast one.
#[derive(Debug)]
#[allow(clippy::type_complexity, reason = "they are the twins' signatures")]
pub(crate) struct Forms {
    /// The name of the engine that runs them.
    pub(crate) engine: &'static str,
    /// Whether those are the fast ones, for a kernel whose types are many.
    pub(crate) are_fast: bool,
    pub(crate) attention: fn(&[f32], &[u32], &mut [f32], &mut [f32], &Attention, Option<&Position>, bool),
    pub(crate) attention_backward_delta: fn(&[f32], &[f32], &mut [f32], &Attention),
    pub(crate) attention_backward_key_value: fn(&AttentionPast<'_>, &mut [f32]),
    pub(crate) attention_backward_query: fn(&AttentionPast<'_>, &mut [f32]),
    pub(crate) batch_moments: fn(&[f32], Option<Running<'_>>, &mut [ChannelMoments], &BatchNorm),
    pub(crate) batch_norm: fn(&[f32], &[f32], &[f32], &[ChannelMoments], &mut [f32], &BatchNorm),
    pub(crate) batch_norm_backward_input:
        fn(&[f32], Option<(&[f32], &[ChannelSlopes])>, &[f32], &[ChannelMoments], &mut [f32], &BatchNorm, bool),
    pub(crate) batch_norm_backward_weight: fn(
        &[f32],
        &[f32],
        &[ChannelMoments],
        &mut [ChannelSlopes],
        Option<&mut [f32]>,
        Option<&mut [f32]>,
        &BatchNorm,
        bool,
    ),
    pub(crate) conv: fn(&[f32], &[f32], Option<&[f32]>, &mut [f32], &Conv),
    pub(crate) conv_backward_input: fn(&[f32], &[f32], &mut [f32], &Conv, bool),
    pub(crate) window_pool: fn(&[f32], &mut [f32], Option<&mut [u32]>, &Conv),
    pub(crate) window_pool_backward: fn(&[f32], Option<&[u32]>, &mut [f32], &Conv, bool),
    pub(crate) conv_backward_weight_squares: fn(Option<&[f32]>, Option<&[f32]>, &Conv, [usize; 2], &mut [Squares]),
    pub(crate) conv_backward_weight: fn(&[f32], &[f32], Option<&mut [f32]>, Option<&mut [f32]>, &Conv, bool),
    pub(crate) depthwise: fn(&[f32], &[f32], Option<&[f32]>, &mut [f32], &Conv),
    pub(crate) depthwise_backward_input: fn(&[f32], &[f32], &mut [f32], &Conv, bool),
    pub(crate) depthwise_backward_weight: fn(&[f32], &[f32], Option<&mut [f32]>, Option<&mut [f32]>, &Conv, bool),
    pub(crate) embedding_backward: fn(&[u32], &[u32], &[u32], &[f32], &mut [f32], &Embedding, bool),
    pub(crate) embedding_backward_squares: fn(&[f32], &Embedding, [usize; 2], &mut [Squares]),
    pub(crate) layer_norm:
        fn(&[f32], &[f32], &[f32], &mut [f32], &mut [Moments], &LayerNorm, Option<(&[f32], &mut [f32])>),
    pub(crate) layer_norm_backward_input: fn(&[f32], &[f32], &[f32], &[Moments], &mut [f32], &LayerNorm, bool),
    pub(crate) layer_norm_backward_weight:
        fn(&[f32], &[f32], &[Moments], Option<&mut [f32]>, Option<&mut [f32]>, &LayerNorm, bool),
    pub(crate) linear: fn(&[f32], &[f32], Option<&[f32]>, &mut [f32], &Linear, Epilogue<'_>),
    pub(crate) linear_backward_input: fn(&[f32], &[f32], &[f32], &mut [f32], &Linear, u32, bool),
    pub(crate) linear_backward_weight: fn(&[f32], &[f32], Option<&mut [f32]>, Option<&mut [f32]>, &Linear, bool),
    pub(crate) linear_backward_weight_squares: fn(Option<&[f32]>, Option<&[f32]>, &Linear, [usize; 2], &mut [Squares]),
    pub(crate) softmax_cross_entropy: fn(&[f32], &[u32], Option<&mut [f32]>, &mut [Verdict], f64, &Loss),
}

/// The twins themselves.
pub(crate) static TWINS: Forms = Forms {
    engine: "twins",
    are_fast: false,
    attention: twin::nn::attention,
    attention_backward_delta: twin::nn::attention_backward_delta,
    attention_backward_key_value: twin::nn::attention_backward_key_value,
    attention_backward_query: twin::nn::attention_backward_query,
    batch_moments: twin::nn::batch_moments,
    batch_norm: twin::nn::batch_norm,
    batch_norm_backward_input: twin::nn::batch_norm_backward_input,
    batch_norm_backward_weight: twin::nn::batch_norm_backward_weight,
    conv: twin::nn::conv,
    conv_backward_input: twin::nn::conv_backward_input,
    window_pool: twin::nn::window_pool,
    window_pool_backward: twin::nn::window_pool_backward,
    conv_backward_weight_squares: twin::nn::conv_backward_weight_squares,
    conv_backward_weight: twin::nn::conv_backward_weight,
    depthwise: twin::nn::depthwise,
    depthwise_backward_input: twin::nn::depthwise_backward_input,
    depthwise_backward_weight: twin::nn::depthwise_backward_weight,
    embedding_backward: twin::nn::embedding_backward,
    embedding_backward_squares: twin::nn::embedding_backward_squares,
    layer_norm: twin::nn::layer_norm,
    layer_norm_backward_input: twin::nn::layer_norm_backward_input,
    layer_norm_backward_weight: twin::nn::layer_norm_backward_weight,
    linear: twin::nn::linear,
    linear_backward_input: twin::nn::linear_backward_input,
    linear_backward_weight: twin::nn::linear_backward_weight,
    linear_backward_weight_squares: twin::nn::linear_backward_weight_squares,
    softmax_cross_entropy: twin::nn::softmax_cross_entropy,
};

/// Those that are made to be fast.
pub(crate) static FAST: Forms = Forms {
    engine: "cpu",
    are_fast: true,
    attention: fast::attention,
    attention_backward_delta: fast::attention_backward_delta,
    attention_backward_key_value: fast::attention_backward_key_value,
    attention_backward_query: fast::attention_backward_query,
    batch_moments: fast::batch_moments,
    batch_norm: fast::batch_norm,
    batch_norm_backward_input: fast::batch_norm_backward_input,
    batch_norm_backward_weight: fast::batch_norm_backward_weight,
    conv: fast::conv,
    conv_backward_input: fast::conv_backward_input,
    window_pool: fast::window_pool,
    window_pool_backward: fast::window_pool_backward,
    conv_backward_weight_squares: fast::conv_backward_weight_squares,
    conv_backward_weight: fast::conv_backward_weight,
    depthwise: fast::depthwise,
    depthwise_backward_input: fast::depthwise_backward_input,
    depthwise_backward_weight: fast::depthwise_backward_weight,
    embedding_backward: fast::embedding_backward,
    embedding_backward_squares: fast::embedding_backward_squares,
    layer_norm: fast::layer_norm,
    layer_norm_backward_input: fast::layer_norm_backward_input,
    layer_norm_backward_weight: fast::layer_norm_backward_weight,
    linear: fast::linear,
    linear_backward_input: fast::linear_backward_input,
    linear_backward_weight: fast::linear_backward_weight,
    linear_backward_weight_squares: fast::linear_backward_weight_squares,
    softmax_cross_entropy: fast::softmax_cross_entropy,
};
