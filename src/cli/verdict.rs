//! Whether a run succeeded: a failed one looks like any other until you read its numbers.

use gradus::train::{Evaluation, Event};

/// What the losses of the steps say.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// The first step of this process that was reported, and the first whose loss was not finite.
    first: Option<u64>,
    first_lost: Option<u64>,
    last_loss: Option<f32>,
}

impl Verdict {
    /// Takes in what a step reports.
    pub(super) fn note(&mut self, event: &Event) {
        let Event::Step(progress) = event else { return };
        self.first.get_or_insert(progress.step);
        if !progress.loss.is_finite() {
            self.first_lost.get_or_insert(progress.step);
        }
        self.last_loss = Some(progress.loss);
    }

    /// Why the run counts as failed, by its last evaluation; `None` if it does not.
    pub(super) fn failure(&self, last: &Evaluation) -> Option<String> {
        let Evaluation { steps, skipped_steps, val_loss, .. } = last;
        if 2 * skipped_steps > *steps {
            let cause = self.cause();
            return Some(format!(
                "{skipped_steps} of {steps} steps were skipped: their gradients were not finite, {cause}"
            ));
        }
        if val_loss.is_finite() {
            return None;
        }
        let is_sound = self.last_loss.is_some_and(f32::is_finite) && self.first_lost.is_none();
        let cause = if is_sound {
            "though every loss in training is finite: a value of the test set is too large for the model".to_owned()
        } else {
            self.cause()
        };
        Some(format!("the test loss is {val_loss}, {cause}"))
    }

    /// What a loss that is not finite comes from, by when it came first.
    pub(super) fn cause(&self) -> String {
        match self.first_lost {
            Some(0) => {
                "from the first step on: a value of the data or of model.from is too large for the model".to_owned()
            }
            Some(step) => {
                format!("from step {step} on: a lower rate, a warm-up or optimizer.clip_norm may help")
            }
            None => {
                "though the losses of the steps are finite: a lower rate, a warm-up or optimizer.clip_norm may help"
                    .to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus::train::Progress;

    fn evaluation(skipped_steps: u64, val_loss: f64) -> Evaluation {
        let mut evaluation = Evaluation::default();
        (evaluation.steps, evaluation.train_loss) = (10, 1.0);
        (evaluation.skipped_steps, evaluation.val_loss) = (skipped_steps, val_loss);
        evaluation
    }

    fn verdict(losses: &[f32]) -> Verdict {
        let mut verdict = Verdict::default();
        for (step, loss) in losses.iter().enumerate() {
            let mut progress = Progress::default();
            (progress.step, progress.loss) = (step as u64, *loss);
            verdict.note(&Event::Step(progress));
        }
        verdict
    }

    #[test]
    fn a_run_that_came_to_nothing_is_told_with_the_cause_that_fits() {
        let told = |losses: &[f32], last: &Evaluation| verdict(losses).failure(last);
        assert_eq!(told(&[1.0, f32::NAN, 1.0], &evaluation(5, 0.3)), None, "half of them and less");
        assert!(told(&[f32::NAN; 3], &evaluation(6, 0.3)).unwrap().contains("6 of 10 steps were skipped"));
        assert!(told(&[f32::NAN; 3], &evaluation(10, f64::NAN)).unwrap().contains("from the first step on: a value"));
        assert!(told(&[1.0, f32::INFINITY], &evaluation(9, 0.3)).unwrap().contains("from step 1 on: a lower rate"));
        let test = told(&[1.0, 1.0], &evaluation(0, f64::INFINITY)).unwrap();
        assert!(test.contains("the test loss is inf, ") && test.contains("a value of the test set"), "{test}");
    }
}
