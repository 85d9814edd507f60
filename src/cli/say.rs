//! The only place that prints. Text from outside is escaped, and a closed pipe is not a panic.
//!
//! A line stays one line. In a text of several lines, text from outside is [`gradus::params::Shown`].

use gradus::params::{tame, tame_line};
use std::cell::Cell;
use std::env;
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};

/// A line on standard output.
macro_rules! say {
    () => { $crate::cli::say::line("") };
    ($($words:tt)+) => { $crate::cli::say::line(&format!($($words)*)) };
}

/// A line of ours on standard error.
macro_rules! tell {
    ($($words:tt)+) => { $crate::cli::say::err_line(&format!("gradus: {}", format_args!($($words)+))) };
}

/// A warning on standard error.
macro_rules! caution {
    ($($words:tt)+) => { $crate::cli::say::err_line(&format!("gradus: warning: {}", format_args!($($words)+))) };
}

pub(crate) use {caution, say, tell};

/// What a shell sees of a program that a closed pipe has ended.
const PIPE_CLOSED: i32 = 141;

/// Whether the program does more than print.
static GOES_ON: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether what this thread says is said by another too.
    static IS_HUSHED: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread prints nothing.
pub(super) fn hush() {
    IS_HUSHED.set(true);
}

/// From now on it prints again.
#[cfg(feature = "mpi")]
pub(super) fn speak() {
    IS_HUSHED.set(false);
}

/// From now on the program continues when standard output is full or closed. Before that it ends there, as a shell expects
/// of `gradus info | head`.
pub(super) fn go_on_without_stdout() {
    GOES_ON.store(true, Ordering::Relaxed);
}

/// A line for standard output.
pub(super) fn line(text: &str) {
    written(&(tame_line(text) + "\n"));
}

/// A line for standard error.
pub(super) fn err_line(text: &str) {
    err(&(tame_line(text) + "\n"));
}

/// Text of several lines for standard output.
pub(super) fn out(text: &str) {
    written(&tame(text));
}

/// The same, with its first line in bold in a terminal.
pub(super) fn headed(text: &str) {
    let (head, rest) = text.split_once('\n').unwrap_or((text, ""));
    if is_styled() {
        written(&format!("\u{1b}[1m{}\u{1b}[0m\n{}", tame(head), tame(rest)));
    } else {
        out(text);
    }
}

/// Whether standard output is a terminal whose user wants styles (<https://no-color.org>).
fn is_styled() -> bool {
    let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    stdout().is_terminal() && !is_set("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Output for other programs: JSON, a schedule, completions. Only a terminal gets it escaped.
pub(super) fn data(text: &str) {
    if stdout().is_terminal() { out(text) } else { written(text) }
}

fn written(text: &str) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if IS_HUSHED.get() {
        return;
    }
    let mut out = stdout().lock();
    let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) else { return };
    drop(out);
    if GOES_ON.load(Ordering::Relaxed) {
        if !TOLD.swap(true, Ordering::Relaxed) {
            caution!("standard output cannot be written; the run continues: {error}");
        }
    } else if error.kind() == ErrorKind::BrokenPipe {
        exit(PIPE_CLOSED);
    } else {
        tell!("standard output cannot be written: {error}");
        exit(1);
    }
}

/// Text of several lines for standard error. If that fails, nobody can be told.
pub(crate) fn err(text: &str) {
    if IS_HUSHED.get() {
        return;
    }
    let _ = stderr().lock().write_all(tame(text).as_bytes());
}
