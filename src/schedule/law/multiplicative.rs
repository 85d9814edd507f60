//! Another factor for every step.

use super::Law;
use super::shape::{factor, scaled};
use super::words::{Words, build};
use crate::schedule::Error;

const NAME: &str = "multiplicative";

/// As files say it.
pub(super) const WORDS: Words = Words::new(NAME, &[&["factors"]], |file| {
    let factors = file.section.numbers("factors")?.ok_or_else(|| file.section.missing(&["factors"]))?;
    build(move |_| Multiplicative::new(factors.iter().copied()))
});

/// value = base · f₁ · f₂ ⋯ f_step; after the last factor the value holds.
///
/// The products are made once, so a value needs no history.
#[derive(Clone, Debug, PartialEq)]
pub struct Multiplicative {
    products: Vec<f64>,
}

impl Multiplicative {
    /// The factors from step 1 on.
    ///
    /// # Errors
    /// A factor that is negative or not a number.
    pub fn new(factors: impl IntoIterator<Item = f64>) -> Result<Multiplicative, Error> {
        let mut products = vec![1.0];
        let mut product = 1.0;
        for value in factors {
            product = scaled(product, factor(NAME, "factors", value)?);
            products.push(product);
        }
        Ok(Multiplicative { products })
    }

    /// The factors f(1) to f(steps).
    ///
    /// # Errors
    /// A factor that is negative or not a number.
    pub fn of(steps: u64, f: impl Fn(u64) -> f64) -> Result<Multiplicative, Error> {
        Multiplicative::new((1..=steps).map(f))
    }
}

impl Law for Multiplicative {
    fn value(&self, base: f64, step: u64) -> f64 {
        let last = self.products.len() - 1;
        scaled(base, self.products[usize::try_from(step).unwrap_or(last).min(last)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_and_holds() {
        let law = Multiplicative::of(3, |step| 1.0 / (1.0 + step as f64)).unwrap();
        assert_eq!([0, 1, 2, 3, 4].map(|step| law.value(24.0, step)), [24.0, 12.0, 4.0, 1.0, 1.0]);
        assert!(Multiplicative::new([1.0, f64::NAN]).is_err());
    }
}
