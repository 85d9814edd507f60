//! The command line.

mod cli;

use std::process::ExitCode;

/// What was asked for cannot be: the command line or a file that it names says so. The command line's own errors end with
/// it too.
const CANNOT_BE: u8 = 2;

fn main() -> ExitCode {
    cli::run().unwrap_or_else(|error| {
        cli::say::err(&format!("gradus: {error:#}\n"));
        let asked = error.is::<cli::Asked>()
            || error.is::<gradus::run::Error>()
            || error.is::<gradus::schedule::Error>()
            || error.is::<gradus::nn::Error>();
        if asked { ExitCode::from(CANNOT_BE) } else { ExitCode::FAILURE }
    })
}
