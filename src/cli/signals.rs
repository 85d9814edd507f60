//! Signals that end a run: the first lets it write a checkpoint, the second ends the program at once.
//!
//! Log lines are lost by neither: they are written as they come, not gathered in this process.

use anyhow::Context;
use std::sync::atomic::{AtomicI32, Ordering};

/// The signal that came, 0 for none.
static CAME: AtomicI32 = AtomicI32::new(0);

/// What a shell expects of a program that a signal has ended, over its number.
const ENDED_BY: i32 = 128;

/// The exit code of a run that a signal has ended; none as long as no signal came.
pub(super) fn ended() -> Option<u8> {
    let signal = CAME.load(Ordering::Relaxed);
    u8::try_from(ENDED_BY + signal).ok().filter(|_| signal != 0)
}

/// Listens from now on.
pub(super) fn listen() -> anyhow::Result<()> {
    system::listen().context("listening for signals")
}

/// Notes a signal, and returns whether it is the first one.
fn is_first(signal: i32) -> bool {
    CAME.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

#[cfg(unix)]
mod system {
    use super::{ENDED_BY, is_first};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::exit;
    use std::io;
    use std::thread::Builder;

    pub(super) fn listen() -> io::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        if !hangup_is_ignored() {
            signals.add_signal(SIGHUP)?;
        }
        let follow = move || {
            for signal in signals.forever() {
                if !is_first(signal) {
                    // At once: what a driver has to do at an exit may take its time.
                    exit(ENDED_BY + signal);
                }
            }
        };
        Builder::new().name("signals".to_owned()).spawn(follow).map(drop)
    }

    /// Whether this process should outlive its terminal, as with `nohup`.
    #[cfg(target_os = "linux")]
    fn hangup_is_ignored() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        ignored.is_some_and(|mask| mask >> (SIGHUP - 1) & 1 == 1)
    }

    /// The same. A shell cannot trap what was ignored when it began, and it begins with what this process ignores.
    #[cfg(not(target_os = "linux"))]
    fn hangup_is_ignored() -> bool {
        let traps = std::process::Command::new("sh").args(["-c", "trap 'exit 7' HUP; kill -HUP $$; exit 0"]).status();
        traps.is_ok_and(|status| status.code() == Some(0))
    }
}

#[cfg(not(unix))]
mod system {
    use super::{ENDED_BY, is_first};
    use std::io;

    /// The number of Ctrl-C, used here for every event that ends a program.
    const INTERRUPT: i32 = 2;

    pub(super) fn listen() -> io::Result<()> {
        let handler = || {
            if !is_first(INTERRUPT) {
                std::process::exit(ENDED_BY + INTERRUPT);
            }
        };
        ctrlc::set_handler(handler).map_err(io::Error::other)
    }
}
