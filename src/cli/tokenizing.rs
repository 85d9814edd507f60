//! The bar that shows how far texts are tokenized.

use super::says::Says;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar that goes when this goes.
pub(super) struct Tokenizing(ProgressBar);

/// Fewer texts are tokenized before anyone has read a bar.
const FEW: usize = 5000;

impl Tokenizing {
    pub(super) fn new(says: Says) -> Tokenizing {
        let bar = if says >= Says::Usual { ProgressBar::no_length() } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("tokenizing {bar:40} {pos} of {len}, {eta} to go");
        Tokenizing(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    /// Shows how many texts of how many are done.
    pub(super) fn show(&self, done: usize, all: usize) {
        if all >= FEW {
            self.0.set_length(all as u64);
            self.0.set_position(self.0.position().max(done as u64));
        }
    }
}

impl Drop for Tokenizing {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
