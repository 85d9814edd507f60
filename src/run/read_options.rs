//! How data is read.

use crate::data::Told;
use crate::train::{Cache, CacheNote};

/// Told what was done with the folder that keeps pictures, for each set of them.
pub type Noted<'a> = &'a dyn Fn(CacheNote);

/// How data is read: who hears how far it is, and where unpacked pictures are kept for runs to come.
#[derive(Clone, Copy)]
pub struct ReadOptions<'a> {
    pub(super) told: Told<'a>,
    pub(super) kept: Option<(&'a Cache, Noted<'a>)>,
}

impl<'a> ReadOptions<'a> {
    /// Nobody hears anything, and nothing is kept.
    pub fn new() -> ReadOptions<'a> {
        ReadOptions::telling(&|_, _| {})
    }

    /// With somebody who hears how far it is.
    pub fn telling(told: Told<'a>) -> ReadOptions<'a> {
        ReadOptions { told, kept: None }
    }

    /// With a folder that keeps unpacked pictures, and somebody who hears what was done with it.
    #[must_use]
    pub fn keeping(self, cache: &'a Cache, noted: Noted<'a>) -> ReadOptions<'a> {
        ReadOptions { kept: Some((cache, noted)), ..self }
    }
}

impl Default for ReadOptions<'_> {
    fn default() -> Self {
        ReadOptions::new()
    }
}
