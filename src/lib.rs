//! gradus fine-tunes neural networks from Rust, through [wgpu], by compute shaders in WGSL. A program with parameters
//! and gradients in `wgpu` buffers uses only its fused optimizer. A program without its own model uses [`run`] and [`train`].
//!
//! It has run on software Vulkan (llvmpipe, SwiftShader) and on processors, and on no real GPU yet; [`check`] finds out whether
//! the shaders are right on your adapter. The pages of the documentation are in [`_documentation`]: begin with
//! [the library](_documentation::library), or with [the guide](_documentation::guide) for the command line.
//!
//! # The first five minutes
//!
//! ```no_run
//! use gradus::engine::{AdapterChoice, Engine};
//! use gradus::optim::{Clip, Optimizer, Parameters, Settings};
//! use gradus::params::{Field, Group, Param, Row};
//!
//! # fn main() -> Result<(), gradus::Error> {
//! let engine = Engine::new(&AdapterChoice::Best)?;
//! let params = [Param::new("trunk.weight", [512, 512]), Param::new("head.weight", [10, 512])];
//! let parameters = Parameters::new(&engine, &params, None)?;
//! let groups = [
//!     Group::new("trunk", Row::adamw(1e-5), ["trunk.weight"]),
//!     Group::new("head", Row::adamw(1e-3), ["head.weight"]),
//! ];
//! let settings = Settings::default().clip(Clip::norm(1.0)).guard(true);
//! let mut optimizer = Optimizer::new(&engine, &parameters, &groups, settings)?;
//! // … your backward pass writes to optimizer.gradient("trunk.weight")? and optimizer.gradient("head.weight")? …
//! optimizer.step()?; // both groups, one dispatch; the host does not wait
//! optimizer.set("head", Field::Lr, 5e-4)?;
//! # Ok(())
//! # }
//! ```
//!
//! Buffers that already exist are updated where they are: see [`Optimizer::over`](optim::Optimizer::over) and
//! `examples/own_buffers.rs`.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | none | the fused optimizer and the schedules: [`params`], [`engine`], [`optim`], [`schedule`] |
//! | `nn` | [`nn`], [`check`], [`measure`]; no further crate |
//! | `cpu` | [`fast`]: the CPU engine on all cores, by rayon and a GEMM crate; without it that engine runs the twins |
//! | `data` | [`data`], [`dist`], [`train`], [`run`]; with `nn`; no further crate |
//! | `demo` | embedded data sets, 1.2 MB; with `data` |
//! | `tokenizers` | reads the `tokenizer.json` of Hugging Face's folders; with `data` |
//! | `cli` (default) | the command line `gradus`, and all of the above |
//! | `mpi` | [`dist`] over the processes of `mpirun`; needs an MPI to build; with `data` |
//! | `cooperative_matrices` | `linear` by cooperative matrices in f16, not yet run on hardware |
//!
//! # How data flows
//!
//! ```text
//! schedule.yaml ──> Spec ──> laws ──> rows [steps x groups] ──one upload──> table on the device
//!
//! batch ──> forward ──> loss ──> backward ──> gradient arena ──> norm ──> control ──> update ──> parameter arena
//!                                                                          └─ clip, guard: decided on the device
//!
//! loss, norm, skips ──ring of staging buffers, never waited for──> the host
//! ```
//!
//! * [`params`]: names, shapes, groups, and the [`Row`](params::Row) of hyper-parameters.
//! * [`schedule`]: schedule files, laws, rows.
//! * [`engine`]: programs as data, the wgpu engine and the CPU engine.
//! * [`twin`]: the Rust twin of every shader; [`fast`]: fast forms of the expensive ones.
//! * [`optim`]: the fused optimizer.
//! * [`nn`]: the MLP and the transformer, forward and backward.
//! * [`data`], [`train`]: data sets and the loop; [`dist`]: several ranks of one run.
//! * [`run`]: run files, with the model and data that they name.
//! * [`measure`]: the speed of an adapter; [`check`]: whether its kernels are right.

// The library neither prints nor panics on input.
#![cfg_attr(
    not(test),
    warn(clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)
)]
#![cfg_attr(not(feature = "data"), allow(dead_code, reason = "what the rooms left out alone use"))]

#[cfg(feature = "nn")]
pub mod check;
#[cfg(feature = "data")]
pub mod data;
#[cfg(feature = "data")]
pub mod dist;
pub mod engine;
mod error;
#[doc(hidden)]
#[cfg(feature = "cpu")]
pub mod fast;
#[cfg(feature = "nn")]
pub mod measure;
#[cfg(feature = "nn")]
pub mod nn;
pub mod optim;
pub mod params;
#[cfg(feature = "data")]
pub mod run;
pub mod schedule;
mod setters;
#[cfg(feature = "data")]
pub mod train;
#[doc(hidden)]
pub mod twin;

pub use error::Error;
pub use wgpu;

pub mod _documentation;

/// The README's snippets are compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
