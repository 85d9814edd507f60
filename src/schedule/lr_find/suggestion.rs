//! What a curve suggests.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A way to pick a rate from a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// The rate at which the loss falls most steeply, by the slopes of `numpy.gradient`; the first of equals. If it
    /// never falls, the one at which it rises least. `None` with fewer than two points.
    Steepest(Axis),
    /// A tenth of the rate at the lowest loss (fastai's `minimum`). The index is the lowest loss's.
    TenthOfMinimum,
    /// The middle of the longest valley (fastai's `valley`): of the longest sequence of points, not all of them next to
    /// each other, along which the loss falls. It has n of them and ends at e; the pick is e − n + ⌊n / 3⌋ + ⌊n / 6⌋,
    /// at least 0. `None` if the loss never falls.
    Valley,
    /// Lightning's `suggestion(skip_begin, skip_end)`: the steepest descent along the rate itself, in f32, of the points
    /// after the first and before the last so many. A `skip_end` of 0 leaves nothing, as Python's `[begin:-0]` does.
    Lightning {
        /// Points left out at the beginning; there it is 10.
        skip_begin: usize,
        /// Points left out at the end; there it is 1.
        skip_end: usize,
    },
}

/// Along what a slope is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Axis {
    /// Steps.
    Index,
    /// The logarithm of the rate.
    LogRate,
    /// The rate, which makes the first steps of an exponential sweep the steepest.
    Rate,
}

/// A rate that a rule has picked.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Suggestion {
    /// The point of the curve that it goes by, from 0.
    pub index: usize,
    /// The rate.
    pub lr: f64,
}

impl Rule {
    /// Picks a rate from a curve: rates, and the loss at each. Points whose loss is not finite are passed over.
    pub fn pick(self, lrs: &[f64], losses: &[f64]) -> Option<Suggestion> {
        let finite: Vec<(usize, f64, f64)> = lrs
            .iter()
            .zip(losses)
            .enumerate()
            .filter(|(_, (_, loss))| loss.is_finite())
            .map(|(index, (lr, loss))| (index, *lr, *loss))
            .collect();
        let of = |(index, lr, _): (usize, f64, f64)| Suggestion { index, lr };
        match self {
            Rule::Steepest(axis) => {
                let along = |place: usize, lr: f64| match axis {
                    Axis::Index => place as f64,
                    Axis::LogRate => lr.ln(),
                    Axis::Rate => lr,
                };
                let points = finite.iter().enumerate().map(|(place, (_, lr, loss))| (along(place, *lr), *loss));
                let slopes = gradient(&points.collect::<Vec<_>>(), true);
                lowest(&slopes).map(|place| of(finite[place]))
            }
            Rule::TenthOfMinimum => {
                let losses: Vec<f64> = finite.iter().map(|(_, _, loss)| *loss).collect();
                let lowest = lowest(&losses).map(|place| of(finite[place]))?;
                Some(Suggestion { lr: lowest.lr / 10.0, ..lowest })
            }
            Rule::Valley => {
                let losses: Vec<f64> = finite.iter().map(|(_, _, loss)| *loss).collect();
                valley(&losses).map(|place| of(finite[place]))
            }
            Rule::Lightning { skip_begin, skip_end } => {
                let stays = |index: usize| skip_end > 0 && index >= skip_begin && index + skip_end < losses.len();
                // What is finite in f64 and not in f32 goes too.
                let kept: Vec<_> =
                    finite.into_iter().filter(|(index, _, loss)| stays(*index) && (*loss as f32).is_finite()).collect();
                let points: Vec<(f32, f32)> = kept.iter().map(|(_, lr, loss)| (*lr as f32, *loss as f32)).collect();
                lowest(&gradient(&points, false)).map(|place| of(kept[place]))
            }
        }
    }
}

/// The middle of the longest valley.
fn valley(losses: &[f64]) -> Option<usize> {
    // Of all falling sequences of n + 1 losses so far, the one that ends highest ends at ends[n].
    let mut ends: Vec<f64> = Vec::new();
    let mut end = 0;
    for (place, loss) in losses.iter().enumerate() {
        let longer = ends.partition_point(|end| end > loss);
        match ends.get_mut(longer) {
            Some(end) => *end = *loss,
            None => {
                ends.push(*loss);
                end = place;
            }
        }
    }
    let length = ends.len();
    (length > 1).then(|| (end + length / 3 + length / 6).saturating_sub(length))
}

/// The place of the lowest value, the first of equals; as in numpy and torch, NaN is lowest.
fn lowest<T: PartialOrd + Copy>(values: &[T]) -> Option<usize> {
    let is_number = |value: &T| value.partial_cmp(value).is_some();
    if let Some(place) = values.iter().position(|value| !is_number(value)) {
        return Some(place);
    }
    let below = |best: usize, place: usize| if values[place] < values[best] { place } else { best };
    (0..values.len()).reduce(below)
}

/// A float, f64 as numpy has it or f32 as Lightning has it.
trait Float:
    Copy
    + PartialEq
    + From<u8>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
}

impl Float for f32 {}
impl Float for f64 {}

/// Slopes of `(x, y)` points: at the ends those to the neighbour, between them those of the parabola through the point and
/// both neighbours; none with fewer than two points. `even` is for numpy's way of taking points at even distances, which
/// torch takes like any others.
fn gradient<T: Float>(points: &[(T, T)], even: bool) -> Vec<T> {
    let steps: Vec<T> = points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    let (Some(first), Some(last)) = (points.get(..2), points.last_chunk::<2>()) else { return Vec::new() };
    let slope = |from: (T, T), to: (T, T)| (to.1 - from.1) / (to.0 - from.0);
    let is_even = even && steps.iter().all(|step| *step == steps[0]);
    let between = |(three, step): (&[(T, T)], &[T])| {
        let (y, d, e) = ([three[0].1, three[1].1, three[2].1], step[0], step[1]);
        if is_even {
            return (y[2] - y[0]) / (T::from(2) * d);
        }
        y[0] * (-e / (d * (d + e))) + y[1] * ((e - d) / (d * e)) + y[2] * (d / (e * (d + e)))
    };
    let inner = points.windows(3).zip(steps.windows(2)).map(between);
    [slope(first[0], first[1])].into_iter().chain(inner).chain([slope(last[0], last[1])]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of fastai's `valley` (`fastai/callback/schedule.py`), in square time.
    fn longest_valley(losses: &[f64]) -> Option<usize> {
        let mut lengths = vec![1usize; losses.len()];
        let mut end = 0;
        for place in 0..losses.len() {
            let before = (0..place).filter(|before| losses[place] < losses[*before]).map(|before| lengths[before]);
            lengths[place] += before.max().unwrap_or(0);
            if lengths[place] > lengths[end] {
                end = place;
            }
        }
        let length = *lengths.get(end)?;
        let middle = end as i64 - length as i64 + (length / 3) as i64 + (length / 6) as i64;
        (length > 1).then_some(middle.max(0) as usize)
    }

    #[test]
    fn a_valley_is_the_longest_fall() {
        assert_eq!(valley(&[]), None);
        assert_eq!(valley(&[1.0, 1.0, 2.0]), None, "nothing falls");
        assert_eq!(valley(&[2.0, 1.0]), Some(0));
        // Nine losses fall, up to the eleventh: 10 − 9 + 3 + 1.
        let losses = [9.0, 9.5, 9.2, 8.0, 7.0, 6.0, 7.5, 5.0, 4.0, 3.0, 2.0, 5.0, 9.0];
        assert_eq!(valley(&losses), Some(5));
        let mut seed = 7u32;
        for count in 0..60 {
            let losses: Vec<f64> = (0..count)
                .map(|place| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    f64::from(seed >> 24) / 16.0 - f64::from(place % 40)
                })
                .collect();
            assert_eq!(valley(&losses), longest_valley(&losses), "{losses:?}");
        }
    }

    #[test]
    fn slopes_of_a_parabola_are_exact_between_the_ends() {
        let points = [0.0, 1.0, 3.0, 4.0].map(|x: f64| (x, x * x));
        let slopes = gradient(&points, true);
        assert_eq!(slopes.len(), 4);
        let mut both = slopes.iter().zip([1.0, 2.0, 6.0, 7.0]);
        assert!(both.all(|(slope, expected)| (slope - expected).abs() < 1e-12), "{slopes:?}");
        assert_eq!(gradient(&[(0.0, 1.0), (2.0, 5.0)], true), [2.0, 2.0]);
        assert!(gradient(&[(0.0, 1.0)], true).is_empty() && gradient::<f32>(&[], false).is_empty());
    }

    #[test]
    fn what_is_not_finite_is_passed_over() {
        let (lrs, losses) = ([1.0, 2.0, 4.0, 8.0], [3.0, f64::NAN, 1.0, f64::INFINITY]);
        let pick = |rule: Rule| rule.pick(&lrs, &losses);
        assert_eq!(pick(Rule::Steepest(Axis::LogRate)), Some(Suggestion { index: 0, lr: 1.0 }));
        assert_eq!(pick(Rule::TenthOfMinimum), Some(Suggestion { index: 2, lr: 0.4 }));
        assert_eq!(pick(Rule::Valley), Some(Suggestion { index: 0, lr: 1.0 }));
        for rule in [Rule::Steepest(Axis::Index), Rule::TenthOfMinimum, Rule::Valley] {
            assert_eq!(rule.pick(&lrs, &[f64::NAN; 4]), None, "{rule:?}");
        }
    }
}
