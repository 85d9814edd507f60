//! How the next token is chosen from a model's logits, as transformers' `generate` does it.

use super::Error;
use crate::engine::layout::{pcg, uniform};
use crate::setters::setters;

/// How tokens are drawn. The filters come in transformers' order: temperature, top-k, top-p.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sampling {
    /// The most tokens to draw.
    pub tokens: usize,
    /// Logits are divided by it: below 1 likely tokens become likelier. At 0 the likeliest token is taken.
    pub temperature: f64,
    /// Only so many of the likeliest tokens are drawn, and those as likely as the last of them.
    pub top_k: Option<usize>,
    /// Only the likeliest tokens are drawn, as many as have this share together. At 1 all are.
    pub top_p: f64,
    /// Seed of the draws.
    pub seed: u32,
}

impl Sampling {
    /// At most so many tokens from the model's own distribution.
    pub fn new(tokens: usize, seed: u32) -> Sampling {
        Sampling { tokens, temperature: 1.0, top_k: None, top_p: 1.0, seed }
    }

    setters! {
        temperature: f64,
        top_k: Option<usize>,
        top_p: f64,
        seed: u32,
    }

    /// Whether the likeliest token is always taken.
    pub fn is_greedy(&self) -> bool {
        self.temperature == 0.0
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::BadSampling`] naming the setting, its value, and what it may be.
    pub fn check(&self) -> Result<(), Error> {
        let bad = |setting, value, allowed| Err(Error::BadSampling { setting, value, allowed });
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return bad("temperature", self.temperature, "a number above 0, or 0 for the likeliest token");
        }
        if self.top_k == Some(0) {
            return bad("top_k", 0.0, "1 or more");
        }
        match self.top_p > 0.0 && self.top_p <= 1.0 {
            true => Ok(()),
            false => bad("top_p", self.top_p, "above 0, and at most 1"),
        }
    }

    /// The share of each token in the draw, by their logits, which are finite.
    pub fn shares(&self, logits: &[f32]) -> Vec<f64> {
        if self.is_greedy() {
            let best = likeliest(logits);
            return (0..logits.len()).map(|token| f64::from(u8::from(token == best))).collect();
        }
        let mut scores: Vec<f64> = logits.iter().map(|logit| f64::from(*logit) / self.temperature).collect();
        if let Some(count) = self.top_k {
            keep_likeliest(&mut scores, count);
        }
        let mut shares = softmax(&scores);
        if self.top_p < 1.0 {
            let all = shares.clone();
            leave_out_tail(&mut scores, &all, 1.0 - self.top_p);
            shares = softmax(&scores);
        }
        shares
    }

    /// The token after so many draws of this seed.
    pub(super) fn token(&self, logits: &[f32], draw: u32) -> u32 {
        if self.is_greedy() {
            return likeliest(logits) as u32;
        }
        drawn(&self.shares(logits), uniform(draw, pcg(self.seed)).into())
    }
}

/// The token with the highest logit, the first of several.
fn likeliest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    best
}

/// Leaves so many of the highest scores, and those that equal the last of them.
fn keep_likeliest(scores: &mut [f64], count: usize) {
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(|one, other| other.total_cmp(one));
    let Some(least) = sorted.get(count.saturating_sub(1)).copied() else { return };
    scores.iter_mut().filter(|score| **score < least).for_each(|score| *score = f64::NEG_INFINITY);
}

/// Leaves out the least likely tokens that have at most this share together, but never the likeliest one.
fn leave_out_tail(scores: &mut [f64], shares: &[f64], tail: f64) {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|one, other| scores[*one].total_cmp(&scores[*other]));
    order.pop();
    let mut sum = 0.0;
    for token in order {
        sum += shares[token];
        if sum > tail {
            return;
        }
        scores[token] = f64::NEG_INFINITY;
    }
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - highest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// The first token up to which the shares come above a number from 0 to 1.
fn drawn(shares: &[f64], number: f64) -> u32 {
    let (mut left, mut last) = (number, 0);
    for (token, share) in (0..).zip(shares) {
        left -= share;
        if left < 0.0 {
            return token;
        }
        if *share > 0.0 {
            last = token;
        }
    }
    // Rounding may leave a little behind the last share.
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_drawn_as_often_as_its_share() {
        let sampling = Sampling::new(1, 7).temperature(0.5).top_k(Some(3));
        let logits = [0.0, 0.5, 1.0, -1.0];
        let mut counts = [0; 4];
        (0..20_000).for_each(|draw| counts[sampling.token(&logits, draw) as usize] += 1);
        for (count, share) in counts.iter().zip(sampling.shares(&logits)) {
            assert!((f64::from(*count) / 20_000.0 - share).abs() < 0.01, "{counts:?}");
        }
        assert_eq!(counts[3], 0);
    }

    #[test]
    fn what_is_left_over_goes_to_a_token_that_may_be_drawn() {
        assert_eq!(drawn(&[0.25, 0.75, 0.0], 0.0), 0);
        assert_eq!(drawn(&[0.25, 0.75, 0.0], 0.25), 1);
        assert_eq!(drawn(&[0.25, 0.7499, 0.0], 0.999_95), 1);
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let usual = Sampling::new(1, 0);
        let told = |sampling: Sampling| sampling.check().expect_err("refused").to_string();
        assert_eq!(told(usual.top_p(1.5)), "top_p = 1.5: it must be above 0, and at most 1");
        assert_eq!(told(usual.top_k(Some(0))), "top_k = 0: it must be 1 or more");
        for bad in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(usual.temperature(bad).check().is_err(), "{bad}");
        }
        assert!(usual.top_p(0.0).check().is_err() && usual.top_p(f64::NAN).check().is_err());
        assert!(usual.temperature(0.0).top_k(Some(1)).top_p(1.0).check().is_ok());
    }
}
