//! Ends a run whose ranks wait for each other without end: one of them may be stuck, and then none would ever say so.

use super::run_folder::last_checkpoint;
use super::say;
use gradus::dist::{Collective, Error, Rank};
use gradus::params::shown_path;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often it looks.
const EVERY: Duration = Duration::from_millis(200);

/// One rank's end, whose waiting is watched.
#[derive(Debug)]
pub(super) struct Watched<C> {
    inner: C,
    waits: Waits,
}

/// What the watchdog of a rank knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// Since when the rank has been waiting for others.
    since: Option<Instant>,
    /// The run's folder.
    folder: Option<PathBuf>,
    /// The rank waits for nobody any more.
    is_over: bool,
}

impl Waits {
    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Where the checkpoints are that a message names.
    pub(super) fn names_checkpoints_of(&self, folder: &Path) {
        self.change(|seen| seen.folder = Some(folder.to_owned()));
    }

    /// What to say once the rank has waited for so long.
    fn verdict(&self, rank: Rank, limit: Duration) -> Option<String> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = seen.since.map(|since| since.elapsed()).filter(|waited| *waited > limit)?;
        let folder = seen.folder.as_deref();
        let resume = match folder.and_then(last_checkpoint) {
            Some(at) => format!(
                "the last checkpoint is {}: resume with gradus train --resume {}",
                shown_path(&at),
                folder.map(shown_path).unwrap_or_default()
            ),
            None => "there is no checkpoint".to_owned(),
        };
        let Rank { number, of } = rank;
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let on = if host.trim().is_empty() { String::new() } else { format!(" on {}", host.trim()) };
        Some(format!(
            "rank {number} of {of}{on} has waited {} s for the others, of which one is stuck (--patience): {resume}",
            waited.as_secs()
        ))
    }
}

impl<C: Collective> Watched<C> {
    /// Watches a rank: if it waits longer than this for others, `end` is told, on a thread of its own.
    pub(super) fn new(inner: C, limit: Duration, end: impl Fn(&str) + Send + 'static) -> (Watched<C>, Waits) {
        let (waits, rank) = (Waits::default(), inner.rank());
        let watched = waits.clone();
        let watch = move || {
            while !watched.0.lock().is_ok_and(|seen| seen.is_over) {
                if let Some(verdict) = watched.verdict(rank, limit) {
                    return end(&verdict);
                }
                std::thread::sleep(EVERY);
            }
        };
        if !rank.is_alone() && std::thread::Builder::new().name("watchdog".to_owned()).spawn(watch).is_err() {
            say::caution!("no thread for a watchdog: a rank that is stuck will not be noticed");
        }
        (Watched { inner, waits: waits.clone() }, waits)
    }
}

impl<C: Collective> Collective for Watched<C> {
    fn rank(&self) -> Rank {
        self.inner.rank()
    }

    fn exchange(&mut self, sent: &[&[u8]], received: &mut [&mut [u8]]) -> Result<(), Error> {
        self.waits.change(|seen| seen.since = Some(Instant::now()));
        let exchanged = self.inner.exchange(sent, received);
        self.waits.change(|seen| seen.since = None);
        exchanged
    }

    fn end_all(&self, code: i32) {
        self.inner.end_all(code);
    }
}

impl<C> Drop for Watched<C> {
    fn drop(&mut self) {
        self.waits.change(|seen| seen.is_over = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus::dist::Threads;
    use std::sync::mpsc::channel;

    #[test]
    fn a_rank_that_waits_too_long_is_told_and_one_that_does_not_is_not() {
        let (send, told) = channel();
        let mut ends = Threads::of(2).into_iter().map(|end| {
            let send = send.clone();
            Watched::new(end, Duration::from_millis(500), move |verdict| {
                send.send(verdict.to_owned()).expect("a reader")
            })
        });
        let ((mut first, waits), (mut second, _)) = (ends.next().expect("a rank"), ends.next().expect("a rank"));
        waits.names_checkpoints_of(Path::new("/nowhere"));
        let other = std::thread::spawn(move || {
            second.barrier().expect("both are here");
            // Long, but not in waiting for another rank.
            std::thread::sleep(Duration::from_millis(1500));
            second.barrier().expect("both are here");
        });
        first.barrier().expect("both are here");
        first.barrier().expect("the other came after all");
        other.join().expect("it ends");
        let verdict = told.try_recv().expect("the first rank waited");
        assert!(verdict.starts_with("rank 0 of 2"), "{verdict}");
        assert!(
            verdict.ends_with(" s for the others, of which one is stuck (--patience): there is no checkpoint"),
            "{verdict}"
        );
        assert!(told.try_recv().is_err(), "the second did not wait");
    }
}
