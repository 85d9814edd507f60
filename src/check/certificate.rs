//! What a check found on an adapter.

use super::checked::{Checked, Refused, entry};
use super::found::Found;
use super::speed::Speed;
use crate::engine::Engine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a check found, and for which adapter it is true.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Certificate {
    /// The adapter's name.
    pub adapter: String,
    /// Its driver.
    pub driver: String,
    /// The version of gradus that checked it.
    pub version: String,
    /// Whether every form was tried, or only those that runs use here.
    pub is_whole: bool,
    /// Seconds that it took.
    pub seconds: f64,
    /// What was tried, by kernel and form: `linear.tiled (gpu tiles64)`.
    pub kernels: BTreeMap<String, Checked>,
    /// Networks whose gradients were held against differences of their loss, and the largest error relative to the slope.
    pub slopes: BTreeMap<String, f64>,
    /// What kernels reach at a size of training.
    pub speeds: Vec<Speed>,
    /// What is not right here.
    pub refused: Vec<Refused>,
}

impl Certificate {
    /// An empty one for this engine's adapter.
    pub fn of(engine: &Engine) -> Certificate {
        let adapter = engine.adapter();
        Certificate {
            adapter: engine.name().to_owned(),
            driver: adapter.map_or_else(String::new, |adapter| adapter.driver.clone()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Certificate::default()
        }
    }

    /// Whether it is true for this engine's adapter and driver, and this version.
    pub fn is_of(&self, engine: &Engine) -> bool {
        let own = Certificate::of(engine);
        (&self.adapter, &self.driver, &self.version) == (&own.adapter, &own.driver, &own.version)
    }

    /// What was found of a kernel in a form, if it was tried.
    pub fn of_kernel(&self, kernel: &str, form: &str) -> Option<&Checked> {
        self.kernels.get(&entry(kernel, form))
    }

    /// Takes in what another check of the same adapter has found.
    pub fn take(&mut self, found: Found) {
        self.refused.retain(|refused| !found.kernels.contains_key(&entry(&refused.kernel, &refused.form)));
        self.kernels.extend(found.kernels);
        self.refused.extend(found.refused);
    }
}
