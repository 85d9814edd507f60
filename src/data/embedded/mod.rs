//! Data sets that are part of the program, with the feature `demo`.

#[cfg(feature = "demo")]
mod digits;
#[cfg(feature = "demo")]
mod texts;

use super::{DataSet, Error, Text};
#[cfg(feature = "demo")]
pub use digits::digits;
#[cfg(feature = "demo")]
pub use texts::{glosses, kjv};

/// A set that is part of the program, by its name.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Embedded {
    /// Rows with labels.
    Rows(&'static str, fn() -> Result<DataSet, Error>),
    /// A text.
    Text(&'static str, fn() -> Text),
}

/// Every set that is part of the program.
#[cfg(feature = "demo")]
pub static EMBEDDED: &[Embedded] =
    &[Embedded::Rows("digits", digits), Embedded::Text("kjv", kjv), Embedded::Text("glosses", glosses)];

/// Every set that is part of the program: none, without the feature `demo`.
#[cfg(not(feature = "demo"))]
pub static EMBEDDED: &[Embedded] = &[];

impl Embedded {
    /// Its name in run files.
    pub fn name(&self) -> &'static str {
        match self {
            Embedded::Rows(name, _) | Embedded::Text(name, _) => name,
        }
    }
}

impl PartialEq for Embedded {
    fn eq(&self, other: &Embedded) -> bool {
        self.name() == other.name()
    }
}
