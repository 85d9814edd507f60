//! Data sets that are part of the program, with the feature `demo`.

#[cfg(feature = "demo")]
mod digits;
#[cfg(all(feature = "demo", feature = "pictures"))]
mod emoji;
#[cfg(feature = "demo")]
mod texts;

use super::{DataSet, Error, Text};
#[cfg(feature = "demo")]
pub use digits::digits;
#[cfg(all(feature = "demo", feature = "pictures"))]
pub use emoji::emoji;
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
    /// Pictures with classes.
    Pictures(&'static str, fn() -> Result<LabelledPictures, String>),
}

/// Pictures of one size, each with the name of its class.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LabelledPictures {
    /// Height and width.
    pub size: [usize; 2],
    /// `[height, width, 3]` bytes of each, and its class.
    pub pictures: Vec<(Vec<u8>, String)>,
}

/// Every set that is part of the program.
#[cfg(feature = "demo")]
pub static EMBEDDED: &[Embedded] = &[
    Embedded::Rows("digits", digits),
    Embedded::Text("kjv", kjv),
    Embedded::Text("glosses", glosses),
    #[cfg(feature = "pictures")]
    Embedded::Pictures("emoji", emoji),
];

/// Every set that is part of the program: none, without the feature `demo`.
#[cfg(not(feature = "demo"))]
pub static EMBEDDED: &[Embedded] = &[];

impl Embedded {
    /// Its name in run files.
    pub fn name(&self) -> &'static str {
        match self {
            Embedded::Rows(name, _) | Embedded::Text(name, _) | Embedded::Pictures(name, _) => name,
        }
    }
}

impl PartialEq for Embedded {
    fn eq(&self, other: &Embedded) -> bool {
        self.name() == other.name()
    }
}
