//! The command line.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run().unwrap_or_else(|error| {
        cli::say::err(&format!("gradus: {error:#}\n"));
        cli::code_of(&error)
    })
}
