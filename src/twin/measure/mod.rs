//! Twins of `shaders/measure`.

mod copy;

pub use copy::copy;
