//! A run as it goes: a live line in a terminal, and a line for each evaluation and each phase.

use gradus::schedule::{Reason, Stop};
use gradus::train::{Began, Evaluation, Event, Trainer};
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// What a step goes through: rows, or tokens.
pub(super) struct Units {
    pub(super) name: &'static str,
    pub(super) each_step: usize,
}

/// How often the live line is written.
const EVERY: Duration = Duration::from_millis(200);

/// Trains to the end and hands each evaluation on; the last one.
pub(super) fn train_with_bar(
    trainer: &mut Trainer,
    units: Units,
    mut note: impl FnMut(&Evaluation) -> anyhow::Result<()>,
) -> anyhow::Result<Option<Evaluation>> {
    let bar = ProgressBar::new(trainer.plan().steps());
    bar.set_style(ProgressStyle::with_template("{bar:20} step {pos}/{len}  {msg}  {eta} left")?);
    let print = |line: String| if bar.is_hidden() { println!("{line}") } else { bar.println(line) };
    if trainer.plan().phases().len() > 1 {
        print(phase_lines(&trainer.phase_now()?));
    }
    print("epoch        lr   train loss   test loss   accuracy".to_owned());
    let (mut last, mut failed, reported) = (None, Ok(()), Cell::new(None));
    let mut tell = |event: &Event| match event {
        Event::Step(progress) => reported.set(Some((progress.step, progress.loss))),
        Event::Evaluation(evaluation) => {
            print(evaluation_line(evaluation));
            last = Some(*evaluation);
            if failed.is_ok() {
                failed = note(evaluation);
            }
        }
        Event::Phase(began) => print(phase_lines(began)),
        Event::Checkpoint(_) => {}
    };
    let (started, first) = (Instant::now(), trainer.cursor().step());
    let mut told = started;
    while !trainer.is_over() {
        trainer.advance(&mut tell)?;
        let Some((step, loss)) = reported.get().filter(|_| told.elapsed() >= EVERY) else { continue };
        told = Instant::now();
        // What the device has done, not what the host has handed over.
        let rate = (step + 1 - first) as f64 * units.each_step as f64 / started.elapsed().as_secs_f64();
        bar.set_position(step + 1);
        bar.set_message(format!("loss {loss:.4}  {}  {rate:.0} {}/s", rates(trainer), units.name));
    }
    trainer.run(&mut tell)?;
    bar.finish_and_clear();
    if let Some(stop) = trainer.cursor().stop() {
        println!("the run ends here: {}", stop_text(stop));
    }
    failed.map(|()| last)
}

/// The phase, where there are several, and the learning rate of each group; of many the first and the last.
fn rates(trainer: &Trainer) -> String {
    let lrs: Vec<String> = trainer.lrs().iter().map(|lr| format!("{lr:.1e}")).collect();
    let lrs = if lrs.len() > 4 { format!("{} … {}", lrs[0], lrs[lrs.len() - 1]) } else { lrs.join(" ") };
    if trainer.plan().phases().len() > 1 {
        return format!("phase {}  lr {lrs}", trainer.cursor().depth());
    }
    format!("lr {lrs}")
}

fn evaluation_line(evaluation: &Evaluation) -> String {
    let Evaluation { epoch, lr, train_loss, val_loss, val_accuracy, .. } = evaluation;
    format!("{epoch:>5}  {lr:.2e}   {train_loss:>10.4}  {val_loss:>10.4}   {:>6.2} %", 100.0 * val_accuracy)
}

/// Which phase began and why, what thawed, and each group's rate.
fn phase_lines(began: &Began) -> String {
    let why = match began.reason {
        None if began.steps == 0 => "the run begins".to_owned(),
        None => format!("the run goes on after {} steps", began.steps),
        Some(Reason::EarlyStopping) => "the phase before got no better".to_owned(),
        Some(Reason::MaxTransitionEpoch) => "the phase before reached its max_transition_epoch".to_owned(),
    };
    let mut text = format!("phase {}: {why}", began.phase);
    if let Some(step) = began.restored {
        text.push_str(&format!("; back to the best, of step {step}"));
    }
    if began.forgot_moments {
        text.push_str("; a new optimizer");
    }
    text.push_str(&format!("\n  thawed  {}", began.thawed.join(", ")));
    for (name, elements, lr) in &began.groups {
        text.push_str(&format!("\n  group   {name}: {elements} parameters, lr {lr:.2e}"));
    }
    text
}

fn stop_text(stop: Stop) -> &'static str {
    match stop {
        Stop::Patience => "the last phase got no better",
        Stop::NotFinite => "the metric is not finite",
        Stop::Reached => "the metric reached stopping_threshold",
        Stop::Diverged => "the metric passed divergence_threshold",
    }
}
