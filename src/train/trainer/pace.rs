//! How many steps a submission holds, by what they take.

use crate::train::StepsPerSubmission;

/// Seconds of a submission's steps at the quickest step's speed. That is half of what a submission may take, since others are
/// slower than that one; systems reset a GPU only after seconds.
const SECONDS: f64 = 0.05;

/// The steps of a submission, and the measurements that they follow from.
#[derive(Debug)]
pub(super) struct Pace {
    most: u32,
    /// The step from which on the programs are what they are now.
    since: u64,
    /// Seconds of the quickest step since then.
    quickest: Option<f64>,
}

impl Pace {
    pub(super) fn new(steps: StepsPerSubmission) -> Pace {
        Pace { most: steps.most(), since: 0, quickest: None }
    }

    /// The most steps of the next submission: one as long as nothing is known.
    pub(super) fn steps(&self) -> u64 {
        let fit = self.quickest.map_or(1, |seconds| (SECONDS / seconds) as u64);
        fit.clamp(1, self.most.into())
    }

    /// Notes the time of a step. The time of other programs is ignored.
    pub(super) fn learn(&mut self, step: u64, seconds: f64) {
        if step >= self.since {
            self.quickest = Some(self.quickest.map_or(seconds, |quickest| quickest.min(seconds)));
        }
    }

    /// From this step on there are other programs.
    pub(super) fn forget(&mut self, step: u64) {
        (self.since, self.quickest) = (step, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_the_quickest_of_the_programs_at_hand() {
        let mut pace = Pace::new(StepsPerSubmission::Auto);
        assert_eq!(pace.steps(), 1, "nothing is known");
        for (seconds, steps) in [(0.2, 1), (0.01, 5), (0.3, 5), (0.001, 50), (1e-9, 256), (1.0, 256)] {
            pace.learn(0, seconds);
            assert_eq!(pace.steps(), steps, "{seconds}");
        }
        pace.forget(7);
        pace.learn(6, 1e-9);
        assert_eq!(pace.steps(), 1, "a report of the programs before");
        pace.learn(7, 0.02);
        assert_eq!(pace.steps(), 2);
        let mut few = Pace::new(StepsPerSubmission::AtMost(3));
        few.learn(0, 1e-6);
        assert_eq!(few.steps(), 3);
    }
}
