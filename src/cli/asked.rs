//! A request that cannot be carried out: it has its own exit code.

use std::fmt;
use std::process::ExitCode;

/// What was asked for cannot be: the command line or a file that it names says so. The command line's own errors end with
/// it too.
const CANNOT_BE: u8 = 2;

/// Returns the error that what was asked for cannot be.
macro_rules! refuse {
    ($($told:tt)*) => {
        return Err(crate::cli::asked::Asked::error(anyhow::anyhow!($($told)*)))
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

/// The exit code of a command that ends with an error.
pub(crate) fn code_of(error: &anyhow::Error) -> ExitCode {
    let is_asked = error.is::<Asked>()
        || error.is::<gradus::run::Error>()
        || error.is::<gradus::schedule::Error>()
        || error.is::<gradus::nn::Error>();
    if is_asked { ExitCode::from(CANNOT_BE) } else { ExitCode::FAILURE }
}
