//! Twins of `shaders/nn`.

mod dropout;
mod embedding;
mod embedding_backward;
mod embedding_index;
mod gather;
mod gather_sequences;
mod gather_tokens;
mod layer_norm;
mod layer_norm_backward_input;
mod layer_norm_backward_weight;
mod linear;
mod linear_backward_input;
mod linear_backward_weight;
mod mean_pool;
mod mean_pool_backward;
mod softmax_cross_entropy;
mod tally;

pub use dropout::dropout;
pub use embedding::embedding;
pub use embedding_backward::embedding_backward;
pub use embedding_index::embedding_index;
pub use gather::gather;
pub use gather_sequences::gather_sequences;
pub use gather_tokens::gather_tokens;
pub use layer_norm::layer_norm;
pub use layer_norm_backward_input::layer_norm_backward_input;
pub use layer_norm_backward_weight::layer_norm_backward_weight;
pub use linear::{Epilogue, linear};
pub use linear_backward_input::linear_backward_input;
pub use linear_backward_weight::linear_backward_weight;
pub use mean_pool::mean_pool;
pub use mean_pool_backward::mean_pool_backward;
pub use softmax_cross_entropy::softmax_cross_entropy;
pub use tally::tally;
