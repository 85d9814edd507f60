//! The bar that shows how much of the data is read.

use super::says::Says;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar that goes when this goes.
pub(super) struct Reading {
    bar: ProgressBar,
    /// Fewer examples are read before anyone has read a bar.
    few: usize,
}

impl Reading {
    /// Of texts, which are tokenized.
    pub(super) fn texts(says: Says) -> Reading {
        Reading::new(says, "tokenizing", 5000)
    }

    /// Of pictures, which are unpacked.
    pub(super) fn pictures(says: Says) -> Reading {
        Reading::new(says, "reading pictures", 500)
    }

    fn new(says: Says, what: &str, few: usize) -> Reading {
        let bar = if says >= Says::Usual { ProgressBar::no_length() } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template(&format!("{what} {{bar:40}} {{pos}} of {{len}}, {{eta}} to go"));
        Reading { bar: bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())), few }
    }

    /// Shows how many examples of how many are done.
    pub(super) fn show(&self, done: usize, all: usize) {
        if all >= self.few {
            self.bar.set_length(all as u64);
            self.bar.set_position(self.bar.position().max(done as u64));
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
