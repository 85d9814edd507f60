//! Fast forms of the twins that cost most: same name, same arguments, f32 sums, and every core.
//!
//! The CPU engine runs these if there are any. Products are the GEMM crate's, which takes the terms of a sum in order,
//! in blocks of a fixed size; a sum along a row or down a column has lanes and blocks of a fixed size (`rows.rs`). So
//! the result of a row depends neither on its place in a batch nor on the number of threads. Loops over numbers have no
//! branches and no calls, so that a compiler vectorizes them.
//!
//! Needs the feature `cpu`.
//!
//! Invariant: a fast form gives the results of its twin, up to f32 rounding, and the same bits on any number of
//! threads.

mod activation;
mod attention;
mod attention_backward_key_value;
mod attention_backward_query;
mod batch_norm;
mod conv;
mod cores;
mod direct;
mod embedding_backward;
mod exponential;
mod factor_columns;
mod factor_rows;
mod factor_sums;
mod factor_update;
mod layer_norm;
mod layer_norm_backward_input;
mod layer_norm_backward_weight;
mod linear;
mod linear_backward_input;
mod linear_backward_weight;
mod matrix;
mod product;
mod row_sums;
mod rows;
mod softmax_cross_entropy;
mod squares;
mod sums;
mod update;
mod window_pool;

pub use attention::attention;
pub use attention_backward_key_value::attention_backward_key_value;
pub use attention_backward_query::{attention_backward_delta, attention_backward_query};
pub use batch_norm::{batch_moments, batch_norm, batch_norm_backward_input, batch_norm_backward_weight};
pub use conv::{
    conv, conv_backward_input, conv_backward_weight, depthwise, depthwise_backward_input, depthwise_backward_weight,
};
pub(crate) use cores::on_cores;
pub use direct::direct;
pub use embedding_backward::embedding_backward;
pub use factor_columns::factor_columns;
pub use factor_rows::factor_rows;
pub use factor_sums::factor_sums;
pub use factor_update::factor_update;
pub use layer_norm::layer_norm;
pub use layer_norm_backward_input::layer_norm_backward_input;
pub use layer_norm_backward_weight::layer_norm_backward_weight;
pub use linear::linear;
pub use linear_backward_input::linear_backward_input;
pub use linear_backward_weight::linear_backward_weight;
pub use product::product;
pub use row_sums::row_sums;
pub use softmax_cross_entropy::softmax_cross_entropy;
pub use squares::{conv_backward_weight_squares, embedding_backward_squares, linear_backward_weight_squares};
pub use sums::sums;
pub use update::update;
pub use window_pool::{window_pool, window_pool_backward};
