//! A request that cannot be carried out: it has its own exit code.

use std::fmt;

/// Returns the error that what was asked for cannot be.
macro_rules! refuse {
    ($($told:tt)*) => {
        return Err(crate::cli::Asked::error(anyhow::anyhow!($($told)*)))
    };
}
pub(super) use refuse;

/// An error of what was asked for, found before anything was begun.
#[derive(Debug)]
pub(crate) struct Asked(anyhow::Error);

impl Asked {
    pub(super) fn error(error: anyhow::Error) -> anyhow::Error {
        anyhow::Error::new(Asked(error))
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for Asked {}
