//! A parameter by name and shape.

use super::Error;

/// Elements that one parameter may have: 4 TiB of f32, more than any device holds.
const MOST_ELEMENTS: usize = 1 << 40;

/// A named tensor of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name, as in checkpoints: `layers.0.weight`.
    pub name: String,
    /// Its shape, outermost first.
    pub shape: Vec<usize>,
}

impl Param {
    /// A parameter of this name and shape.
    pub fn new(name: impl Into<String>, shape: impl Into<Vec<usize>>) -> Param {
        Param { name: name.into(), shape: shape.into() }
    }

    /// How many elements it has, at most `usize::MAX`. A shape without dimensions is one number.
    pub fn elements(&self) -> usize {
        self.shape.iter().fold(1, |elements, size| elements.saturating_mul(*size))
    }

    /// Checks a model's list: not empty, every name once, no parameter without elements.
    ///
    /// # Errors
    /// [`Error::EmptyModel`], [`Error::NameTwice`], [`Error::EmptyParam`], [`Error::HugeParam`].
    pub fn check_all(params: &[Param]) -> Result<(), Error> {
        if params.is_empty() {
            return Err(Error::EmptyModel);
        }
        let mut names = std::collections::HashSet::new();
        for param in params {
            if !names.insert(param.name.as_str()) {
                return Err(Error::NameTwice { what: "parameter", name: param.name.clone() });
            }
            if param.elements() == 0 {
                return Err(Error::EmptyParam { param: param.name.clone(), shape: param.shape.clone() });
            }
            if param.elements() > MOST_ELEMENTS {
                return Err(Error::HugeParam { param: param.name.clone(), shape: param.shape.clone() });
            }
        }
        Ok(())
    }
}
