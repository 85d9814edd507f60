//! One file, one run: run files, and the model and data that they name.
//!
//! A run file is a schedule with a model, data and settings. [`RunFile`] is the file; [`Material`] is its model and
//! data, read from disk: a task for the trainer, and what is needed to use the model later.
//!
//! Needs the feature `data`.
//!
//! Invariant: it reads files, and neither trains nor prints. It writes nothing but unpacked pictures into a cache that it is given.

mod asked;
mod bad_rows;
mod checks;
mod continued;
mod data;
mod data_section;
mod elsewhere;
mod error;
mod examples;
mod file;
mod file_kind;
mod head;
mod idx;
mod inputs;
mod json_lines;
mod keys;
mod known;
mod labelled;
mod material;
mod mixed_precision;
mod model;
mod model_kind;
mod number_set;
mod of_run;
mod paths;
mod picture_folder;
mod picture_model;
mod picture_set;
mod pretrained_folder;
mod read_options;
mod read_table;
mod rows;
mod separated;
mod sets;
mod settings;
mod shapes;
mod shards;
mod table;
mod text_set;
mod texts;
mod tokenizer;
mod trained;
mod trained_decoder;
mod weights;
mod written;

pub use asked::{Asked, AskedFormat};
pub use continued::Continue;
pub use data::{CacheFolder, DataSpec, PictureData, PictureFiles, Source, Split, TestSet, Unknown};
pub use error::Error;
pub use file::{BatchRows, Checking, RunFile};
pub use head::HeadSpec;
pub use inputs::{Inputs, TOKENIZER};
pub use material::Material;
pub use model::ModelSpec;
pub use model_kind::ModelKind;
pub use picture_folder::{PictureFolder, Wants};
pub use picture_model::PictureSpec;
pub use pretrained_folder::PretrainedFolder;
pub use read_options::{Noted, ReadOptions};
pub use read_table::TableFormat;
pub use shapes::shapes;
pub use texts::{Label, TextColumns};
pub use trained::{Read, Trained};
pub use trained_decoder::{Prompt, TrainedDecoder};
