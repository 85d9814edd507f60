//! A pass over a batch as data, before it has memory: what is computed from what.
//!
//! A model file calls [`Graph`], and each call appends an operation. Operations are folded into their neighbours (`fuse`),
//! walked in reverse for what is trainable (`backward`), cut at a frozen trunk (`split`), made again for the backward pass where
//! memory is short (`recompute`), stored in 16 bits where that is wanted (`store`), and laid out so that they share memory
//! (`memory`). Only then is there a buffer (`workspace`). So the bytes that a set of trainable parameters needs are known before
//! anything is allocated.

mod backward;
mod batch;
mod fuse;
#[allow(clippy::module_inception, reason = "the graph is what the folder is about")]
mod graph;
mod memory;
mod pass;
mod recompute;
mod sample;
mod split;
mod store;
mod value;
mod workspace;

pub(super) use backward::Backward;
pub use batch::Batch;
pub use graph::Graph;
pub use pass::Pass;
#[doc(hidden)]
pub use sample::{Input, Sample};
pub use value::Value;
pub(super) use value::{Form, Home, Nodes};
pub(super) use workspace::Placing;
pub use workspace::{LossOptions, Workspace};
