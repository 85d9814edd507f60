//! `use_mixed_precision: auto`: storages of values, tried on a run's own first step.

use super::coming::{LEAST_SHARE, root_mean_square};
use super::{Error, Trainer};
use crate::nn::{MixedPrecision, ValueStorage};
use std::collections::BTreeMap;

/// A layer whose gradient is further off than this in 16 bits works in f32.
pub const LAYER_BOUND: f64 = 0.1;

/// A storage takes another's place if a step takes less than this share of its time: less is noise.
const FASTER: f64 = 0.95;

/// A storage, as the run's first step found it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TriedPrecision {
    /// What values were stored in.
    pub values: ValueStorage,
    /// Seconds of the forward and backward pass; the update is the same for all.
    pub seconds: f64,
    /// Each layer's error: the length of the difference of its gradients from those in f32, relative to theirs.
    pub errors: Vec<(String, f64)>,
}

impl TriedPrecision {
    /// The layer that is furthest off.
    pub fn worst(&self) -> Option<&(String, f64)> {
        self.errors.iter().max_by(|one, other| one.1.total_cmp(&other.1))
    }
}

/// What was chosen, why, and what was tried for it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AutoPrecision {
    /// The choice.
    pub chosen: MixedPrecision,
    /// The reason, as a sentence.
    pub why: String,
    /// f32, bf16 and f16.
    pub tried: Vec<TriedPrecision>,
}

/// Tries f32, bf16 and f16 on the first step of a run, and chooses: bf16, unless f16 is faster or f32 is. Layers whose
/// gradients are further off than [`LAYER_BOUND`] stay f32. `trainer` gives a fresh trainer of the run with its values stored so.
///
/// No step is taken. Speeds are measured by the clock: two searches may differ if two storages are about as fast.
///
/// # Errors
/// From `trainer` and the device.
pub fn auto_precision(
    mut trainer: impl FnMut(MixedPrecision) -> Result<Trainer, Error>,
) -> Result<AutoPrecision, Error> {
    let mut exact = Vec::new();
    let mut tried = Vec::new();
    for values in [ValueStorage::F32, ValueStorage::Bf16, ValueStorage::F16] {
        let mut trainer = trainer(values.into())?;
        let (gradients, _) = trainer.finite_gradients()?;
        if values == ValueStorage::F32 {
            exact.clone_from(&gradients);
        }
        tried.push(TriedPrecision { values, seconds: trainer.coming_seconds()?, errors: errors(&exact, &gradients) });
    }
    let (values, why) = choice(&tried);
    let of = tried.iter().find(|tried| tried.values == values);
    let is_off = |(layer, error): &(String, f64)| (*error > LAYER_BOUND).then(|| layer.clone());
    let wide = of.iter().flat_map(|of| &of.errors).filter_map(is_off).collect();
    Ok(AutoPrecision { chosen: MixedPrecision::new(values).wide(wide), why, tried })
}

/// Each layer's error, that of its worst gradient.
fn errors(exact: &[(String, Vec<f32>)], gradients: &[(String, Vec<f32>)]) -> Vec<(String, f64)> {
    let all = exact.iter().flat_map(|(_, gradient)| gradient);
    let least = LEAST_SHARE * root_mean_square(all.map(|slope| f64::from(*slope)));
    let mut errors: BTreeMap<&str, f64> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for ((name, exact), (_, gradient)) in exact.iter().zip(gradients) {
        let layer = name.rsplit_once('.').map_or(name.as_str(), |(layer, _)| layer);
        let size = root_mean_square(exact.iter().map(|slope| f64::from(*slope))).max(least).max(f64::MIN_POSITIVE);
        let apart = exact.iter().zip(gradient).map(|(a, b)| f64::from(*a) - f64::from(*b));
        let error = root_mean_square(apart) / size;
        if !errors.contains_key(layer) {
            order.push(layer);
        }
        let known = errors.entry(layer).or_default();
        *known = if error.is_nan() { f64::INFINITY } else { known.max(error) };
    }
    order.into_iter().map(|layer| (layer.to_owned(), errors[layer])).collect()
}

/// The storage, and why.
fn choice(tried: &[TriedPrecision]) -> (ValueStorage, String) {
    let seconds = |values: ValueStorage| {
        let of = tried.iter().find(|tried| tried.values == values);
        of.map_or(f64::INFINITY, |tried| tried.seconds)
    };
    let [wide, bf16, f16] = [ValueStorage::F32, ValueStorage::Bf16, ValueStorage::F16].map(seconds);
    let (narrow, of_narrow) = if f16 < FASTER * bf16 { (ValueStorage::F16, f16) } else { (ValueStorage::Bf16, bf16) };
    if wide < FASTER * of_narrow {
        let slower = of_narrow / wide;
        let name = narrow.name();
        return (ValueStorage::F32, format!("a step in {name} takes {slower:.2} times as long as in f32 here"));
    }
    let why = match narrow {
        ValueStorage::F16 => format!("a step in f16 takes {:.2} of the time in bf16", f16 / bf16),
        _ => format!("f16 is not faster ({:.2} of the time), and bf16 has the range of f32", f16 / bf16),
    };
    (narrow, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_stands_unless_another_storage_is_faster() {
        let of = |seconds: [f64; 3]| {
            let storages = [ValueStorage::F32, ValueStorage::Bf16, ValueStorage::F16].into_iter().zip(seconds);
            let tried: Vec<TriedPrecision> =
                storages.map(|(values, seconds)| TriedPrecision { values, seconds, errors: Vec::new() }).collect();
            choice(&tried).0
        };
        assert_eq!(of([1.0, 0.6, 0.6]), ValueStorage::Bf16);
        assert_eq!(of([1.0, 0.6, 0.5]), ValueStorage::F16);
        assert_eq!(of([1.0, 1.0, 0.98]), ValueStorage::Bf16);
        assert_eq!(of([1.0, 1.4, 1.3]), ValueStorage::F32);
    }

    #[test]
    fn a_layer_has_the_error_of_its_worst_gradient() {
        let named = |weights: [f32; 2], bias: f32| {
            vec![
                ("a.weight".to_owned(), weights.to_vec()),
                ("a.bias".to_owned(), vec![bias]),
                ("b.c.weight".to_owned(), vec![4.0]),
            ]
        };
        let found = errors(&named([3.0, 4.0], 1.0), &named([3.0, 4.5], 1.3));
        assert_eq!(found[0].0, "a");
        assert!((found[0].1 - 0.3).abs() < 1e-6 && found[1] == ("b.c".to_owned(), 0.0), "{found:?}");
        let lost = errors(&named([3.0, 4.0], 1.0), &named([f32::INFINITY, 4.0], f32::NAN));
        assert_eq!(lost[0].1, f64::INFINITY);
    }
}
