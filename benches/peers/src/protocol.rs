//! How a program that takes steps is spoken to, by lines of text.
//!
//! It is started with the name of a workload, takes its first steps and says `ready` with what [`Ready`] holds. Then it
//! answers `step` by taking one whole step, waited for, with `seconds` and how many that took, and `loss` with `loss` and
//! the loss of the last step. It ends where its input ends. A line that begins with none of these words is no answer.

use crate::Failure;
use crate::programs::Steps;
use std::fmt;
use std::io::{BufRead, Write};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Steps before a program is ready, at most, and the time after which no more of them is begun. There are two at least.
const WARM_UP_STEPS: usize = 10;
const WARM_UP_TIME: Duration = Duration::from_secs(5);

/// What a program says of itself when it is ready.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    /// `software` for an adapter that is one, `cpu` for none at all, else `gpu`.
    pub kind: String,
    /// Elements of all parameters.
    pub parameters: usize,
    /// Seconds from the program's start to the end of its first step.
    pub first_step_seconds: f64,
    /// After the first step.
    pub loss: f64,
    /// Name of the adapter, and behind a semicolon whatever else is to be known of it.
    pub device: String,
}

impl Ready {
    /// The adapter's name alone.
    pub fn adapter(&self) -> &str {
        self.device.split(';').next().unwrap_or_default().trim()
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ready { kind, parameters, first_step_seconds, loss, device } = self;
        write!(f, "{kind} {parameters} {first_step_seconds} {loss} {device}")
    }
}

impl FromStr for Ready {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Ready, Failure> {
        let fields: Vec<&str> = text.splitn(5, ' ').collect();
        let [kind, parameters, first_step_seconds, loss, device] = fields[..] else {
            return Err(format!("not what a program says when it is ready: {text}").into());
        };
        Ok(Ready {
            kind: kind.to_owned(),
            parameters: parameters.parse()?,
            first_step_seconds: first_step_seconds.parse()?,
            loss: loss.parse()?,
            device: device.to_owned(),
        })
    }
}

/// Takes steps as long as it is asked to.
pub fn serve(
    open: impl FnOnce() -> Result<Box<dyn Steps>, Failure>,
    questions: impl BufRead,
    mut answers: impl Write,
) -> Result<(), Failure> {
    let started = Instant::now();
    let mut steps = open()?;
    take(steps.as_mut())?;
    let first_step_seconds = started.elapsed().as_secs_f64();
    let ready = Ready {
        kind: steps.kind().to_owned(),
        parameters: steps.parameters(),
        first_step_seconds,
        loss: steps.loss()?,
        device: steps.device(),
    };
    let warm = Instant::now();
    for step in 1..WARM_UP_STEPS {
        if step > 1 && warm.elapsed() > WARM_UP_TIME {
            break;
        }
        take(steps.as_mut())?;
    }
    writeln!(answers, "ready {ready}")?;
    answers.flush()?;
    for question in questions.lines() {
        match question?.trim() {
            "step" => writeln!(answers, "seconds {}", take(steps.as_mut())?)?,
            "loss" => writeln!(answers, "loss {}", steps.loss()?)?,
            other => return Err(format!("not a question: {other}").into()),
        }
        answers.flush()?;
    }
    Ok(())
}

/// Seconds of one step.
fn take(steps: &mut dyn Steps) -> Result<f64, Failure> {
    steps.prepare()?;
    let started = Instant::now();
    steps.step()?;
    Ok(started.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts its steps.
    struct Counted(usize);

    impl Steps for Counted {
        fn device(&self) -> String {
            "a device (of sorts); a driver".to_owned()
        }
        fn kind(&self) -> &'static str {
            "cpu"
        }
        fn parameters(&self) -> usize {
            7
        }
        fn step(&mut self) -> Result<(), Failure> {
            self.0 += 1;
            Ok(())
        }
        fn loss(&mut self) -> Result<f64, Failure> {
            Ok(1.0 / self.0 as f64)
        }
    }

    #[test]
    fn each_question_is_answered() {
        let mut answers = Vec::new();
        serve(|| Ok(Box::new(Counted(0))), "step\nloss\n".as_bytes(), &mut answers).expect("answers");
        let answers = String::from_utf8(answers).expect("text");
        let lines: Vec<&str> = answers.lines().collect();
        let [ready, seconds, loss] = lines[..] else { panic!("{answers}") };
        let ready: Ready = ready.strip_prefix("ready ").expect("it is ready").parse().expect("a device");
        assert_eq!((ready.parameters, ready.loss, ready.adapter()), (7, 1.0, "a device (of sorts)"));
        assert!(seconds.strip_prefix("seconds ").expect("seconds").parse::<f64>().expect("a number") >= 0.0);
        assert_eq!(loss, format!("loss {}", 1.0 / (WARM_UP_STEPS + 1) as f64));
        assert!(serve(|| Ok(Box::new(Counted(0))), "stop\n".as_bytes(), Vec::new()).is_err());
    }

    #[test]
    fn what_is_ready_can_be_read_back() {
        let ready = Ready {
            kind: "software".to_owned(),
            parameters: 235_146,
            first_step_seconds: 12.5,
            loss: 2.25,
            device: "llvmpipe (LLVM 15.0.6, 256 bits); Vulkan".to_owned(),
        };
        assert_eq!(ready.to_string().parse::<Ready>().expect("it can"), ready);
        for bad in ["", "software 1 2", "software many 1.0 1.0 llvmpipe"] {
            assert!(bad.parse::<Ready>().is_err(), "{bad}");
        }
        let diverged = "cpu 1 1.0 NaN torch".parse::<Ready>().expect("a loss may be none");
        assert!(diverged.loss.is_nan());
    }
}
