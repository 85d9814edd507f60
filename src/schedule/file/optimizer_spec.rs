//! A new optimizer, as a file says it.

use super::optimizer_class::of_class;
use super::raw::Raw;
use super::section::Section;
use crate::params::Row;
use crate::schedule::Error;

/// An optimizer that a schedule asks for: what its groups start with.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerSpec {
    /// The hyper-parameters of its groups.
    pub row: Row,
    /// As it stands in the file.
    pub(in crate::schedule) raw: Raw,
}

impl OptimizerSpec {
    /// The same where gradients are clipped to this norm: that is the run's, as it is the trainer's in Lightning.
    pub(in crate::schedule) fn clipping_to(self, clip_norm: Option<f64>) -> OptimizerSpec {
        OptimizerSpec { row: Row { clip_norm, ..self.row }, ..self }
    }

    /// The `new_optimizer` of a phase, as finetuning-scheduler writes it: `optimizer_init` with `class_path` and
    /// `init_args`.
    pub(in crate::schedule) fn read_new(mut section: Section) -> Result<OptimizerSpec, Error> {
        section.only(&["optimizer_init"])?;
        let raw = section.raw();
        let mut init = section.section("optimizer_init", "it names the optimizer: class_path and init_args")?;
        init.only(&["class_path", "init_args"])?;
        let (class, arguments, place) = (init.text("class_path")?, init.arguments("init_args")?, init.place());
        let row = of_class(&place, &class, &arguments)?;
        Ok(OptimizerSpec { row, raw })
    }
}
