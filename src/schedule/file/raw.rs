//! A value of a file, read or to be written.

use super::shown::{flow, show};
use super::yaml::{self, Mapping, Value};

/// A mapping of a file, read or to be written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Raw(pub(super) Mapping);

impl From<Raw> for Value {
    fn from(raw: Raw) -> Value {
        Value::Mapping(raw.0)
    }
}

impl Raw {
    /// With this key, instead of any of its name.
    #[must_use]
    pub(crate) fn with(mut self, key: impl Into<Value>, value: impl Into<Value>) -> Raw {
        self.0.insert(key.into(), value.into());
        self
    }

    /// With this key, which is null without a value.
    #[must_use]
    pub(crate) fn with_maybe(self, key: &str, value: Option<impl Into<Value>>) -> Raw {
        self.with(key, value.map_or(Value::Null, Into::into))
    }

    /// With this among its `init_args`.
    #[must_use]
    pub(crate) fn with_argument(&self, key: &str, value: impl Into<Value>) -> Raw {
        let given = self.0.get("init_args").and_then(Value::as_mapping).cloned();
        let arguments = Raw(given.unwrap_or_default()).with(key, value);
        self.clone().with("init_args", arguments)
    }

    /// With all of these, instead of any of their names.
    #[must_use]
    pub(crate) fn with_all(mut self, other: Raw) -> Raw {
        self.0.extend(other.0);
        self
    }

    /// Only these keys.
    #[must_use]
    pub(crate) fn only(self, keys: &[&str]) -> Raw {
        Raw(self.0.into_iter().filter(|(key, _)| key.as_str().is_some_and(|key| keys.contains(&key))).collect())
    }

    /// Without these keys.
    #[must_use]
    pub(crate) fn without(self, keys: &[&str]) -> Raw {
        Raw(self.0.into_iter().filter(|(key, _)| key.as_str().is_none_or(|key| !keys.contains(&key))).collect())
    }

    /// Without the arguments of its schedulers.
    #[must_use]
    pub(in crate::schedule) fn without_arguments(mut self) -> Raw {
        forget_arguments(&mut self.0);
        self
    }

    /// Whether the key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Each value by its dotted key, as text.
    pub(crate) fn flat(&self) -> Vec<(String, String)> {
        let mut flat = Vec::new();
        flatten("", &self.0, &mut flat);
        flat
    }

    /// As text, in block style.
    pub(crate) fn to_text(&self) -> String {
        yaml::print(&self.0)
    }
}

fn forget_arguments(map: &mut Mapping) {
    for (key, value) in map.iter_mut() {
        let Some(below) = value.as_mapping_mut() else { continue };
        if matches!(key.as_str(), Some("lr_scheduler" | "lr_scheduler_init")) {
            below.remove("init_args");
        }
        forget_arguments(below);
    }
}

fn flatten(path: &str, map: &Mapping, flat: &mut Vec<(String, String)>) {
    for (key, value) in map {
        let key = if path.is_empty() { show(key) } else { format!("{path}.{}", show(key)) };
        match value {
            Value::Mapping(below) => flatten(&key, below, flat),
            value => flat.push((key, flow(value))),
        }
    }
}
