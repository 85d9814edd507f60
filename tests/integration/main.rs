//! One binary for all integration tests: one link step.
//!
//! Tests that need an adapter fail without one, unless `GRADUS_NO_GPU=1`; then they run on the CPU engine alone and say
//! how many were skipped.

mod attention;
mod average;
mod bad_input;
mod bad_schedule;
mod batch_size;
mod best;
mod clip_norm;
mod demo;
mod engine;
mod fast;
mod forecast;
mod fused_step;
mod gathers;
mod golden;
mod golden_freezer;
mod golden_laws;
mod golden_optim;
mod golden_phases;
mod golden_phases_errors;
mod golden_phases_resume;
mod golden_phases_written;
mod kill;
mod language;
mod laws;
mod measure;
mod moments;
mod nn;
mod nn_golden;
mod nn_ops;
mod optim_kernels;
mod phase_properties;
mod phases;
mod plan;
mod plan_transformer;
mod properties;
mod schedule_command;
mod sgd;
mod shaders;
mod squares;
mod support;
mod tidy;
mod tilings;
mod train;
mod transformer;
mod transformer_bed;
mod transformer_files;
mod transformer_goldens;
mod transformer_gradients;
mod transformer_pass;
mod trial;
mod trunk;
