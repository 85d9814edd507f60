//! Twins of `shaders/nn`.

mod gather;
mod gather_sequences;
mod gather_tokens;
mod linear;
mod linear_backward_input;
mod linear_backward_weight;
mod softmax_cross_entropy;

pub use gather::gather;
pub use gather_sequences::gather_sequences;
pub use gather_tokens::gather_tokens;
pub use linear::linear;
pub use linear_backward_input::linear_backward_input;
pub use linear_backward_weight::linear_backward_weight;
pub use softmax_cross_entropy::softmax_cross_entropy;
