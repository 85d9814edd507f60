//! The training loop: batches, steps, evaluation and reports.
//!
//! A step is gather, forward, loss, backward and the optimizer's stages, one program after the other. A submission
//! holds one step, or several if nothing between them needs the host. The host runs ahead of the device and never waits
//! for it in a step; results come back through rings. The plan says where phases begin. A checkpoint holds all that a
//! killed run needs to resume exactly.
//!
//! Needs the feature `data`.
//!
//! Invariant: no command line, no printing, no exit.

mod ahead;
mod alike;
mod auto_precision;
mod batch_size;
mod best;
mod best_file;
mod cache;
mod checkpoint;
mod classify;
mod classify_pictures;
mod classify_sequences;
mod coming;
mod config;
mod confusion;
mod error;
mod event;
mod examples;
pub mod files;
mod finite;
mod generate;
mod judge;
mod kept_pictures;
mod language;
mod lr_find;
mod on_device;
mod order;
mod overflow;
mod phase;
mod predict;
mod recompute;
mod resume;
mod sampling;
mod saved;
mod scoring;
mod supervised;
mod task;
mod test;
mod trainer;
mod trunk;

pub use auto_precision::{AutoPrecision, LAYER_BOUND, TriedPrecision, auto_precision};
pub use batch_size::{AutoBatchSize, TriedBatchSize, auto_batch_size};
pub use cache::{Cache, CacheFile, CacheNote};
pub use checkpoint::Checkpoints;
pub use classify::Classify;
pub use classify_pictures::ClassifyPictures;
pub use classify_sequences::ClassifySequences;
pub use coming::{Agreement, Disagreement};
pub use config::{Config, StepsPerSubmission};
pub use confusion::{ClassScore, Confusion};
pub use error::{Error, Overflow};
pub use event::{AlsoTested, Began, Evaluation, Event, Progress};
pub use generate::{Ended, Generator};
pub use language::{Language, Windows};
pub use predict::{Predictor, Questions, Wanted};
pub use recompute::{Recomputed, recomputed_layers};
pub use resume::{LostBest, OtherEpochs, Resumed};
pub use sampling::Sampling;
pub use saved::MadeOn;
pub use scoring::{Scores, Scoring};
pub use supervised::Supervised;
pub use task::{Placed, Task};
pub use test::Test;
pub use trainer::{Exchanged, Trainer};
