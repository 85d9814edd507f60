//! What a device can bind, held against the sizes of a model before anything is allocated.

use super::Error;
use crate::engine::Engine;
use crate::params::Param;

/// Refuses parameters that the device cannot bind whole.
pub(super) fn check_parameters(engine: &Engine, params: &[Param]) -> Result<(), Error> {
    let (limit, bytes) = (engine.page_bytes(), |param: &Param| param.elements() as u64 * 4);
    match params.iter().find(|param| bytes(param) > limit) {
        Some(param) => Err(Error::ParameterTooLarge { name: param.name.clone(), bytes: bytes(param), limit }),
        None => Ok(()),
    }
}

/// Refuses a batch whose largest activation, by name and bytes, is over the limit. `largest` tells it of any batch.
pub(super) fn check_batch(limit: u64, batch: usize, largest: impl Fn(usize) -> (String, u64)) -> Result<(), Error> {
    let (name, bytes) = largest(batch);
    if bytes <= limit {
        return Ok(());
    }
    let most = largest_that(batch, |batch| largest(batch).1 <= limit);
    Err(Error::ActivationTooLarge { batch, name, bytes, limit, most })
}

/// The largest number up to `most` that fits, 0 for none; what is below one that fits, fits too.
pub(super) fn largest_that(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut fit, mut over) = (0, most.saturating_add(1));
    while over - fit > 1 {
        let middle = fit + (over - fit) / 2;
        if fits(middle) { fit = middle } else { over = middle }
    }
    fit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_that_fits_is_found() {
        for most in 0..20 {
            for limit in 0..25 {
                assert_eq!(largest_that(most, |number| number <= limit), most.min(limit));
            }
        }
    }

    #[test]
    fn a_batch_over_the_limit_is_told_with_one_that_fits() {
        let largest = |batch: usize| ("logits".to_owned(), 100 * batch as u64);
        assert!(check_batch(700, 7, largest).is_ok());
        let told = |limit| check_batch(limit, 8, largest).unwrap_err().to_string();
        assert_eq!(
            told(799),
            "a batch of 8: activation \"logits\" takes 800 bytes, this device binds at most 799 at once; the largest \
             batch that fits is 7"
        );
        assert!(told(99).ends_with("; not even a batch of 1 fits"));
    }
}
