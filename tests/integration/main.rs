//! One binary for all integration tests: one link step.
//!
//! Tests that need an adapter fail without one, unless `GRADUS_NO_GPU=1`; then they run on the CPU engine alone and say
//! how many were skipped.

mod golden;
mod golden_optim;
mod nn;
mod support;
