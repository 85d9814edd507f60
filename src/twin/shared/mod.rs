//! What several kernels share: the records that host and shaders both read, and small functions.

mod activation;
mod attention;
mod batch_norm;
mod bf16;
mod chunk;
mod control;
mod conv;
mod dropout;
mod elements;
mod embedding;
mod factors;
mod float;
mod int8;
mod join;
mod layer_norm;
mod layer_scale;
mod linear;
mod loss;
mod matrix;
mod metrics;
mod moments;
mod pictures;
mod pool;
mod prefix_tokens;
mod product;
mod resize;
mod rng;
mod rounding;
mod squares;
mod standing;
mod step_weight;
mod table;
mod tokens;

pub use activation::{activate, activate_derivative, erf};
pub use attention::Attention;
pub use batch_norm::{BatchNorm, ChannelMoments, ChannelSlopes, Running};
pub use bf16::{bf16, bf16_by};
pub use chunk::{Chunk, Fold, Segment, TensorEntry};
pub use control::{
    CONTROL_HEADER_BYTES, ClipSet, ControlSettings, NO_GROUP, PARTIALS, Partial, Record, StatsBlock, split_control,
    split_control_mut,
};
pub use conv::Conv;
pub use dropout::Dropout;
pub use elements::Elements;
pub use embedding::{Embedding, NONE};
pub use factors::{Band, Factors, Folded, Line, met_gradient};
pub use float::{clamp_value, larger, lerp, one_minus_exp};
pub use int8::{BLOCK, Block, CODED, Code, NEAREST, top_of};
pub use join::Join;
pub use layer_norm::{LayerNorm, Moments};
pub use layer_scale::LayerScale;
pub use linear::Linear;
pub use loss::{CORRECT, COUNTS, Loss, Verdict};
pub use matrix::{Matrix, spread_shares};
pub use metrics::{Gather, Metrics, Position, samples_in};
pub use moments::Stored;
pub use pictures::GatherPictures;
pub use pool::Pool;
pub use prefix_tokens::PrefixTokens;
pub use product::{LEFT_TURNED, OUT_TURNED, Product, RIGHT_TURNED, SYMMETRIC};
pub use resize::{FRESH, Resize, ZERO};
pub use rng::{noise, pcg, shuffled, uniform};
pub use rounding::{OF_PARAMS, rounding_key, rounding_word};
#[cfg(feature = "cpu")]
pub(crate) use squares::Sum;
pub use squares::{Squares, write_squares};
pub use standing::{Span, Standing};
pub use step_weight::{moved, step_share, step_weight};
pub use table::{
    ADAPTED, AMSGRAD, AVERAGED, CENTERED, COUPLED, LEAST_TABLE_BYTES, MAXIMIZE, NESTEROV, RISING, TABLE_HEADER_BYTES,
    TRUST_CLIPPED, TableHeader, TableRow, WEIGHTED, split_table,
};
pub use tokens::{GatherCached, GatherSequences, GatherTokens, IGNORED, TYPE_SHIFT};
