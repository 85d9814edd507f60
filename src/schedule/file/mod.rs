//! Schedule files.
//!
//! `yaml` reads the text. A [`Section`](section::Section) hands out its keys and reports what is wrong with them, and
//! where ([`Place`](place::Place)). The rest are the sections as typed values; [`Spec`](spec::Spec) is the whole.

pub(crate) mod as_written;
pub(super) mod checkpoint;
pub(super) mod class_spec;
mod continued;
pub(super) mod decide;
pub(super) mod direction;
pub(super) mod early_stopping;
mod edge;
pub(super) mod evaluate;
pub(super) mod finetuning;
pub(super) mod generate;
pub(super) mod group_spec;
mod law_keys;
mod law_over;
pub(super) mod law_spec;
pub(super) mod length;
pub(super) mod lr_scaling;
mod optimizer_class;
mod optimizer_section;
pub(super) mod optimizer_spec;
pub(super) mod phase_spec;
pub(super) mod place;
pub(crate) mod raw;
pub(super) mod row_keys;
pub(super) mod run_words;
mod scalar;
pub(crate) mod section;
mod shown;
pub(crate) mod spec;
mod spec_laws;
pub(crate) mod yaml;
