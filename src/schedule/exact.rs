//! Saves f64 so that it reads back bit for bit: as text in text formats, infinities included.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

struct Exact(f64);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&format!("{:?}", self.0))
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Exact, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map(Exact).map_err(serde::de::Error::custom)
        } else {
            f64::deserialize(deserializer).map(Exact)
        }
    }
}

pub(in crate::schedule) mod number {
    use super::{Deserialize, Deserializer, Exact, Serialize, Serializer};

    pub(in crate::schedule) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        Exact(*value).serialize(serializer)
    }

    pub(in crate::schedule) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Exact::deserialize(deserializer).map(|exact| exact.0)
    }
}

pub(in crate::schedule) mod maybe {
    use super::{Deserialize, Deserializer, Exact, Serialize, Serializer};

    pub(in crate::schedule) fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(Exact).serialize(serializer)
    }

    pub(in crate::schedule) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Exact>::deserialize(deserializer)?.map(|exact| exact.0))
    }
}

pub(in crate::schedule) mod list {
    use super::{Deserialize, Deserializer, Exact, Serializer};

    pub(in crate::schedule) fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|value| Exact(*value)))
    }

    pub(in crate::schedule) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<Exact>::deserialize(deserializer)?.into_iter().map(|exact| exact.0).collect())
    }
}

pub(in crate::schedule) mod map {
    use super::{BTreeMap, Deserialize, Deserializer, Exact, Serializer};

    pub(in crate::schedule) fn serialize<S: Serializer>(
        values: &BTreeMap<String, f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(key, value)| (key, Exact(*value))))
    }

    pub(in crate::schedule) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, f64>, D::Error> {
        let values = BTreeMap::<String, Exact>::deserialize(deserializer)?;
        Ok(values.into_iter().map(|(key, exact)| (key, exact.0)).collect())
    }
}
