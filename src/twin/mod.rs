//! The Rust twin of every shader: same name, same bindings in the same order, on plain slices.
//!
//! A twin is written to be read beside its shader and to be right; it is the oracle of the tests. Sums are carried in
//! f64, so that a difference from the shader is the shader's rounding.
//!
//! Invariant: a twin sees slices and nothing else.

pub mod measure;
pub mod nn;
pub mod optim;
pub mod shared;
