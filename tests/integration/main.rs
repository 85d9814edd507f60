//! One binary for all integration tests: one link step.
//!
//! Tests that need an adapter fail without one, unless `GRADUS_NO_GPU=1`; then they run on the CPU engine alone and say
//! how many were skipped.

mod attention;
mod bad_input;
mod best;
mod clip_norm;
mod demo;
mod engine;
mod forecast;
mod fused_step;
mod golden;
mod golden_laws;
mod golden_optim;
mod golden_phases;
mod golden_phases_errors;
mod golden_phases_resume;
mod laws;
mod nn;
mod nn_golden;
mod optim_kernels;
mod phase_properties;
mod plan;
mod properties;
mod sgd;
mod shaders;
mod support;
mod tidy;
mod train;
