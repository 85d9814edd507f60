//! What a program has given a name, for the files of its process.

use super::Error;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What makes the thing of each name.
pub(in crate::schedule) struct Registry<M: ?Sized>(RwLock<BTreeMap<String, Arc<M>>>);

impl<M: ?Sized> Registry<M> {
    pub(in crate::schedule) const fn new() -> Registry<M> {
        Registry(RwLock::new(BTreeMap::new()))
    }

    pub(in crate::schedule) fn add(&self, name: &str, make: Arc<M>) -> Result<(), Error> {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if name.is_empty() || all.contains_key(name) {
            return Err(Error::Taken { name: name.to_owned() });
        }
        all.insert(name.to_owned(), make);
        Ok(())
    }

    pub(in crate::schedule) fn get(&self, name: &str) -> Option<Arc<M>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}
