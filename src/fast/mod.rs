//! Fast forms of the twins that cost most: same name, same arguments, f32 products of matrices, and every core.
//!
//! The CPU engine runs these where there are any. A product is the GEMM crate's, which takes the terms of a sum in their
//! order, in blocks of a fixed size, whatever stands beside: so what a row gives depends neither on its place in a batch
//! nor on how many threads share the rows.
//!
//! Invariant: a fast form gives what its twin gives, to the rounding of f32, and the same bits on any number of threads.

mod adamw;
mod attention;
mod attention_backward_key_value;
mod attention_backward_query;
mod linear;
mod linear_backward_input;
mod linear_backward_weight;
mod matrix;

pub use adamw::adamw;
pub use attention::attention;
pub use attention_backward_key_value::attention_backward_key_value;
pub use attention_backward_query::attention_backward_query;
pub use linear::linear;
pub use linear_backward_input::linear_backward_input;
pub use linear_backward_weight::linear_backward_weight;
