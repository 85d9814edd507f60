//! Twins of `shaders/nn`.

mod attention;
mod attention_backward_delta;
mod attention_backward_key_value;
mod attention_backward_query;
mod gather;
mod linear;
mod linear_backward_input;
mod linear_backward_weight;
mod softmax_cross_entropy;

pub use attention::attention;
pub use attention_backward_delta::attention_backward_delta;
pub use attention_backward_key_value::attention_backward_key_value;
pub use attention_backward_query::{AttentionPast, attention_backward_query};
pub use gather::gather;
pub use linear::linear;
pub use linear_backward_input::linear_backward_input;
pub use linear_backward_weight::linear_backward_weight;
pub use softmax_cross_entropy::softmax_cross_entropy;
