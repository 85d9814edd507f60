//! A run as it goes: a live line in a terminal, and a line for each evaluation and each phase.

use super::names;
use super::rates::rate;
use super::run_folder::BEST;
use super::say::{self, caution, say};
use super::says::Says;
use super::scores;
use gradus::params::{Shown, shown_path};
use gradus::schedule::{Reason, Stop};
use gradus::train::{Began, Evaluation, Event, Trainer};
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How a run is shown.
pub(super) struct Look {
    /// What a row is counted in, and how many of them a step goes through.
    pub(super) units: (&'static str, usize),
    pub(super) says: Says,
}

/// How a run ended.
pub(super) struct Ended {
    pub(super) last: Option<Evaluation>,
    /// By its user, before its end.
    pub(super) interrupted: bool,
    /// What it broke at, before its end.
    pub(super) broke: Option<gradus::train::Error>,
}

impl Ended {
    /// What it broke at, as an error.
    pub(super) fn sound(self) -> anyhow::Result<Ended> {
        match self.broke {
            Some(error) => Err(error.into()),
            None => Ok(self),
        }
    }
}

/// How often the live line is written.
const EVERY: Duration = Duration::from_millis(200);

/// The interval between plain lines without a terminal.
const SILENCE: Duration = Duration::from_secs(30);

/// Trains to the end, or until `stop` after a step, and passes each event on. An event that cannot be noted is missing,
/// and the run continues.
pub(super) fn train_with_bar(
    trainer: &mut Trainer,
    look: &Look,
    stop: impl Fn() -> bool,
    mut note: impl FnMut(&Event) -> anyhow::Result<()>,
) -> anyhow::Result<Ended> {
    let bar = if look.says == Says::Nothing { ProgressBar::hidden() } else { ProgressBar::new(trainer.plan().steps()) };
    bar.set_style(ProgressStyle::with_template("{bar:20} epoch {prefix}  step {pos}/{len}  {msg}  {eta} left")?);
    let printed = Cell::new(Instant::now());
    let put = |show: fn(&str), least: Says, text: String| {
        if look.says < least {
            return;
        }
        printed.set(Instant::now());
        match bar.is_hidden() {
            true => show(&text),
            // The bar is on stderr; the text belongs to stdout, wherever that goes.
            false => bar.suspend(|| show(&text)),
        }
    };
    let print = |least: Says, text: String| put(say::out, least, text);
    let head = |text: String| put(say::headed, Says::Usual, text);
    let at_a_lag = trainer.plan().decides_at_a_lag() && trainer.plan().restores_best();
    if trainer.plan().phases().len() > 1 {
        head(phase_lines(&trainer.phase_now()?, at_a_lag, look.says));
    }
    let titles = scores::titles(trainer.scoring().names());
    head(format!("epoch       lr   train loss   test loss{titles}\n"));
    let (mut last, reported, mut also) = (None, Cell::new(None), Vec::new());
    let mut tell = |event: &Event| {
        match event {
            Event::Step(progress) => reported.set(Some((progress.step, progress.loss))),
            Event::Also(tested) => also.push(scores::words_of(tested)),
            Event::Evaluation(evaluation) => {
                print(Says::Usual, evaluation_line(evaluation));
                also.drain(..).for_each(|told: String| print(Says::Usual, format!("       {told}\n")));
                last = Some(*evaluation);
            }
            Event::Phase(began) => head(phase_lines(began, at_a_lag, look.says)),
            Event::CheckpointAhead | Event::Confusion(_) => {}
            Event::Checkpoint(path) => print(Says::All, format!("checkpoint {}\n", shown_path(path))),
            Event::NoCheckpoint(error) => {
                bar.suspend(|| caution!("no checkpoint was written; earlier ones remain: {error}"));
            }
            Event::Best(path) => print(Says::All, format!("best so far {}\n", shown_path(path))),
            Event::NoBest(error) => {
                bar.suspend(|| caution!("the best parameters so far were not written: {error}"));
            }
            _ => {}
        }
        if let Err(error) = note(event) {
            bar.suspend(|| caution!("the run continues without this log entry: {error:#}"));
        }
    };
    let (started, first) = (Instant::now(), trainer.cursor().step());
    let mut told = started;
    let (mut interrupted, mut broke) = (false, None);
    while !trainer.is_over() && !interrupted && broke.is_none() {
        broke = trainer.advance(&mut tell).err();
        if broke.is_none() {
            // Ranks stop at the same step.
            match trainer.agreed(stop()) {
                Ok(stops) => interrupted = stops && !trainer.is_over(),
                Err(error) => broke = Some(error),
            }
        }
        let Some((step, loss)) = reported.get().filter(|_| told.elapsed() >= EVERY) else { continue };
        told = Instant::now();
        // What the device has done, not what the host has handed over.
        let rate = (step + 1 - first) as f64 * look.units.1 as f64 / started.elapsed().as_secs_f64();
        bar.set_position(step + 1);
        bar.set_prefix(format!("{}/{}", step / trainer.plan().steps_per_epoch() + 1, trainer.plan().epochs()));
        let message = format!("loss {loss:.4}  {}  {rate:.0} {}/s", rates(trainer), look.units.0);
        if bar.is_hidden() && printed.get().elapsed() >= SILENCE {
            print(Says::Usual, format!("       step {}/{}  {message}\n", step + 1, trainer.plan().steps()));
        }
        bar.set_message(message);
    }
    if !interrupted && broke.is_none() {
        broke = trainer.settle(&mut tell).err();
    }
    bar.finish_and_clear();
    if let Some(stop) = trainer.cursor().stop().filter(|_| look.says >= Says::Usual) {
        say!("the run ends here: {}", stop_text(stop));
    }
    Ok(Ended { last, interrupted, broke })
}

/// The phase, if there are several, and the learning rate of each group; of many the first and the last.
fn rates(trainer: &Trainer) -> String {
    let lrs: Vec<String> = trainer.lrs().iter().map(|lr| rate(*lr)).collect();
    let lrs = if lrs.len() > 4 { format!("{} … {}", lrs[0], lrs[lrs.len() - 1]) } else { lrs.join(" ") };
    if trainer.plan().phases().len() > 1 {
        return format!("phase {}  lr {lrs}", trainer.cursor().depth());
    }
    format!("lr {lrs}")
}

fn evaluation_line(evaluation: &Evaluation) -> String {
    let Evaluation { epoch, lr, train_loss, val_loss, .. } = evaluation;
    let scores = scores::columns(evaluation);
    let lr = rate(*lr);
    format!("{epoch:>5}  {lr:>7}   {train_loss:>10.4}  {val_loss:>10.4}{scores}\n")
}

/// Which phase began and why, what thawed, and each group's rate. Many names are counted, unless everything is printed.
fn phase_lines(began: &Began, at_a_lag: bool, says: Says) -> String {
    let why = match began.reason {
        None if began.steps == 0 => "the run begins".to_owned(),
        None => format!("the run resumes after {} steps", began.steps),
        Some(Reason::EarlyStopping) => "the previous phase stopped improving".to_owned(),
        Some(Reason::MaxTransitionEpoch) => "the previous phase reached its max_transition_epoch".to_owned(),
    };
    let mut text = format!("phase {}: {why}", began.phase);
    match began.restored {
        Some(step) => text.push_str(&format!("; restores the best copy, of step {step}")),
        None if at_a_lag && began.reason.is_some() => text.push_str("; restores the best copy so far"),
        None => {}
    }
    if began.forgot_moments {
        text.push_str("; a new optimizer");
    }
    let thawed = if says == Says::All { names::all(&began.thawed) } else { names::in_short(&began.thawed) };
    text.push_str(&format!("\n  thawed  {thawed}"));
    for (name, elements, lr) in &began.groups {
        text.push_str(&format!("\n  group   {}: {elements} parameters, lr {}", Shown(name), rate(*lr)));
    }
    text + "\n"
}

/// The best evaluation, its metric and step, and its file, if any.
pub(super) fn best_text(trainer: &Trainer) -> Option<String> {
    let (best, plan) = (trainer.cursor().best()?, trainer.plan());
    let epoch = best.step.div_ceil(plan.steps_per_epoch());
    let file = trainer.saved_best().map_or_else(String::new, |_| format!(", in {BEST}"));
    Some(format!("{} {:.4} of epoch {epoch}, after step {}{file}", plan.best_by(), best.score, best.step))
}

fn stop_text(stop: Stop) -> &'static str {
    match stop {
        Stop::Patience => "the last phase stopped improving",
        Stop::NotFinite => "the metric is not finite",
        Stop::Reached => "the metric reached stopping_threshold",
        Stop::Diverged => "the metric passed divergence_threshold",
    }
}
