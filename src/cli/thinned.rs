//! A curve of any length in a few points, made as its points come.

/// Stretches of a curve; a screen shows no more. Even, as they are joined in pairs.
const MOST_STRETCHES: usize = 600;

/// Of each stretch of a curve the lowest point and the highest. What is not finite is not there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Thinned {
    stretches: Vec<[(f64, f64); 2]>,
    /// Points of a whole stretch.
    length: u64,
    /// Points of the last one.
    filled: u64,
}

impl Thinned {
    pub(super) fn new() -> Thinned {
        Thinned { stretches: Vec::new(), length: 1, filled: 1 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    pub(super) fn push(&mut self, point: (f64, f64)) {
        if !point.0.is_finite() || !point.1.is_finite() {
            return;
        }
        match self.stretches.last_mut() {
            Some(last) if self.filled < self.length => {
                self.filled += 1;
                *last = joined(*last, [point; 2]);
            }
            _ => {
                if self.stretches.len() == MOST_STRETCHES {
                    self.stretches = self.stretches.chunks(2).map(|two| joined(two[0], two[two.len() - 1])).collect();
                    self.length *= 2;
                }
                self.stretches.push([point; 2]);
                self.filled = 1;
            }
        }
    }

    /// The points that are left, in their order.
    pub(super) fn points(&self) -> Vec<(f64, f64)> {
        let mut points = Vec::new();
        for [low, high] in &self.stretches {
            let (first, second) = if low.0 <= high.0 { (low, high) } else { (high, low) };
            points.push(*first);
            if first != second {
                points.push(*second);
            }
        }
        points
    }
}

impl FromIterator<(f64, f64)> for Thinned {
    fn from_iter<I: IntoIterator<Item = (f64, f64)>>(points: I) -> Thinned {
        let mut thinned = Thinned::new();
        points.into_iter().for_each(|point| thinned.push(point));
        thinned
    }
}

/// The lowest and the highest of two stretches, the earlier one of equals.
fn joined([low, high]: [(f64, f64); 2], [other_low, other_high]: [(f64, f64); 2]) -> [(f64, f64); 2] {
    [if other_low.1 < low.1 { other_low } else { low }, if other_high.1 > high.1 { other_high } else { high }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_peaks_and_a_short_one_its_points() {
        let value = |step: u32| match step {
            54_321 => 9.0,
            60_000 => f64::NAN,
            70_000 => -3.0,
            _ => 1.0,
        };
        let few = (0..100_000).map(|step| (f64::from(step), value(step))).collect::<Thinned>().points();
        assert!(few.len() <= 2 * MOST_STRETCHES && few.is_sorted_by_key(|point| point.0), "{}", few.len());
        assert!(few.contains(&(54_321.0, 9.0)) && few.contains(&(70_000.0, -3.0)));
        assert!(few.iter().all(|point| point.1.is_finite()) && few[0].0 == 0.0);
        let short: Vec<(f64, f64)> = (0..100).map(|step| (f64::from(step), f64::from(step % 7))).collect();
        assert_eq!(short.iter().copied().collect::<Thinned>().points(), short);
    }
}
