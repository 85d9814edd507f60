//! A program that takes steps when it is asked to, from the asking side of [the protocol](crate::protocol).

use crate::Failure;
use crate::protocol::Ready;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long an answer may take: burn tunes for minutes on a busy processor before it is ready.
const PATIENCE: Duration = Duration::from_secs(900);

/// A running program. It ends with this value.
pub struct Partner {
    program: Child,
    questions: ChildStdin,
    lines: Receiver<Line>,
    /// The last thing that it complained of.
    complaint: Option<String>,
    /// What it said when it was ready.
    pub ready: Ready,
}

enum Line {
    Answer(String),
    Complaint(String),
}

impl Partner {
    /// Starts a program and waits until it is ready.
    ///
    /// # Errors
    /// What the program complained of; if it is not there or says nothing in time.
    pub fn start(command: &mut Command) -> Result<Partner, Failure> {
        let name = command.get_program().to_string_lossy().into_owned();
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = piped.spawn().map_err(|error| format!("{name} cannot be started: {error}"))?;
        let (Some(questions), Some(answers), Some(complaints)) =
            (program.stdin.take(), program.stdout.take(), program.stderr.take())
        else {
            return Err("a program without pipes".into());
        };
        let (sender, lines) = channel();
        pass_on(answers, sender.clone(), Line::Answer);
        pass_on(complaints, sender, Line::Complaint);
        let ready = Ready {
            kind: String::new(),
            parameters: 0,
            first_step_seconds: f64::NAN,
            loss: f64::NAN,
            device: String::new(),
        };
        let mut partner = Partner { program, questions, lines, complaint: None, ready };
        partner.ready = partner.answer("ready")?.parse()?;
        Ok(partner)
    }

    /// Seconds of one step.
    ///
    /// # Errors
    /// If it gave up, or takes too long.
    pub fn step(&mut self) -> Result<f64, Failure> {
        self.ask("step", "seconds")
    }

    /// The loss.
    ///
    /// # Errors
    /// If it gave up, or takes too long.
    pub fn loss(&mut self) -> Result<f64, Failure> {
        self.ask("loss", "loss")
    }

    fn ask(&mut self, question: &str, answer: &str) -> Result<f64, Failure> {
        // A program that has ended says why in what it left to be read.
        let _ = writeln!(self.questions, "{question}");
        Ok(self.answer(answer)?.parse()?)
    }

    /// What stands after the first word of the next line that begins with it.
    fn answer(&mut self, word: &str) -> Result<String, Failure> {
        let asked = Instant::now();
        loop {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(asked.elapsed())) {
                Ok(Line::Answer(line)) => {
                    if let Some(rest) = line.strip_prefix(word).and_then(|rest| rest.strip_prefix(' ')) {
                        return Ok(rest.to_owned());
                    }
                }
                Ok(Line::Complaint(line)) => self.complaint = told(&line).or(self.complaint.take()),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("no answer within {} s", PATIENCE.as_secs()).into());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.complaint.take().unwrap_or_else(|| "it ended without a word".to_owned()).into());
                }
            }
        }
    }
}

/// A line that says something: neither blank nor Rust's note on backtraces.
fn told(line: &str) -> Option<String> {
    let line = line.trim();
    (!line.is_empty() && !line.starts_with("note: run with")).then(|| line.to_owned())
}

/// Sends every line on until there is none.
fn pass_on(from: impl Read + Send + 'static, to: Sender<Line>, kind: fn(String) -> Line) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(kind(line)).is_err() {
                break;
            }
        }
    });
}

impl Drop for Partner {
    fn drop(&mut self) {
        // It may have ended on its own.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Partner, Failure> {
        Partner::start(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn lines_that_are_no_answers_are_passed_over() {
        let script = "echo hello; echo ready cpu 5 0.5 2.0 a device; read q; echo warning: $q; echo seconds 0.25";
        let mut partner = shell(script).expect("a shell");
        assert_eq!((partner.ready.parameters, partner.ready.adapter()), (5, "a device"));
        assert_eq!(partner.step().expect("a time"), 0.25);
        assert_eq!(partner.loss().expect_err("it has ended").to_string(), "it ended without a word");
    }

    #[test]
    fn a_program_that_fails_says_why() {
        let failed = |script| shell(script).err().expect("a failure").to_string();
        assert_eq!(failed("echo first >&2; echo no device >&2; echo >&2; exit 1"), "no device");
        assert_eq!(failed("echo ready nothing"), "not what a program says when it is ready: nothing");
        let missing = Partner::start(&mut Command::new("no-such-program-anywhere")).err().expect("a failure");
        assert!(missing.to_string().starts_with("no-such-program-anywhere cannot be started"), "{missing}");
    }
}
