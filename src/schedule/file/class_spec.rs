//! A scheduler that a file asks for by class name, unrolled ahead of time.

use super::length::Run;
use super::place::Place;
use super::run_words::{self, SOME_RUN};
use super::section::Section;
use crate::params::{Field, Row};
use crate::schedule::Error;
use crate::schedule::class::{self, Arguments, Group, own};
use crate::schedule::law::Listed;
use crate::schedule::law::table::FieldLaw;

/// `class_path`, `init_args`, and when `step()` is called.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::schedule) struct ClassSpec {
    pub(in crate::schedule) path: String,
    pub(in crate::schedule) arguments: Arguments,
    /// `step()` is called after every epoch, not after every step.
    pub(in crate::schedule) per_epoch: bool,
    /// `step()` is called after so many of them only.
    pub(in crate::schedule) frequency: u64,
    /// The metric that a class takes which needs one.
    pub(in crate::schedule) monitor: Option<String>,
    pub(in crate::schedule) place: Place,
}

/// The classes that finetuning-scheduler supports.
const LATE: [&str; 10] = [
    "LambdaLR",
    "MultiplicativeLR",
    "StepLR",
    "MultiStepLR",
    "ExponentialLR",
    "CosineAnnealingLR",
    "ReduceLROnPlateau",
    "CosineAnnealingWarmRestarts",
    "ConstantLR",
    "LinearLR",
];

impl ClassSpec {
    pub(in crate::schedule) fn read(section: &mut Section) -> Result<ClassSpec, Error> {
        section.only(&["class_path", "init_args", "interval", "frequency", "monitor"])?;
        let path = section.text("class_path")?;
        let arguments = section.arguments("init_args")?;
        let (frequency, monitor) = (frequency(section)?, monitor(section)?);
        let mut spec = ClassSpec { path, arguments, per_epoch: false, frequency, monitor, place: section.place() };
        // A metric is an epoch's, as a rule.
        let intervals = if spec.needs_metrics() { ["epoch", "step"] } else { ["step", "epoch"] };
        spec.per_epoch = section.word_or_first("interval", &intervals)? == "epoch";
        spec.build(SOME_RUN)?;
        Ok(spec)
    }

    /// The `new_lr_scheduler` of a phase, as finetuning-scheduler writes it: `lr_scheduler_init` and `pl_lrs_cfg`.
    pub(in crate::schedule) fn read_new(section: &mut Section) -> Result<ClassSpec, Error> {
        let mut init = section.section("lr_scheduler_init", "it names the scheduler: class_path and init_args")?;
        init.only(&["class_path", "init_args"])?;
        let (path, arguments, place) = (init.text("class_path")?, init.arguments("init_args")?, init.place());
        let mut spec = ClassSpec { path, arguments, per_epoch: true, frequency: 1, monitor: None, place };
        if let Some(mut calls) = section.maybe_section("pl_lrs_cfg")? {
            // The last three say nothing that matters here.
            calls.only(&["interval", "frequency", "monitor", "name", "strict", "reduce_on_plateau"])?;
            spec.per_epoch = calls.word_or_first("interval", &["epoch", "step"])? == "epoch";
            (spec.frequency, spec.monitor) = (frequency(&mut calls)?, monitor(&mut calls)?);
        }
        spec.build(SOME_RUN)?;
        if spec.needs_metrics() && spec.monitor.is_none() {
            let why = "goes by a metric: name one in pl_lrs_cfg, as monitor: val_loss";
            return Err(spec.place.unfit("class_path", &spec.path, why));
        }
        Ok(spec)
    }

    /// The scheduler, for a run of this length.
    pub(in crate::schedule) fn build(&self, run: Run) -> Result<Box<dyn class::Scheduler>, Error> {
        let of_epoch = run.steps_per_epoch.filter(|steps| *steps > 0).unwrap_or(u64::MAX);
        let every = if self.per_epoch { of_epoch } else { 1 };
        let calls = run.steps.div_ceil(every) / self.frequency;
        let arguments = run_words::resolved(&self.place, &self.path, &self.arguments, run, calls.max(1))?;
        class::build(&self.path, &arguments).map_err(|error| self.place.class(error))
    }

    /// Whether the class is known to work with groups that join after its start: those that finetuning-scheduler
    /// supports, and the functions of transformers, which make one of them.
    pub(in crate::schedule) fn takes_late_groups(&self) -> bool {
        let name = self.path.rsplit('.').next().unwrap_or(&self.path);
        own::make(&self.path).is_some()
            || LATE.contains(&name)
            || (self.path.starts_with("transformers.") && name.starts_with("get_"))
    }

    pub(in crate::schedule) fn refuses_late_groups(&self) -> Error {
        let allowed = format!(
            "a scheduler for groups that join late, unless finetuning.allow_untested is true; those are {}",
            LATE.join(", ")
        );
        self.place.bad("class_path", &self.path, allowed)
    }

    /// When its `step()` is called, in words.
    pub(in crate::schedule) fn told_interval(&self) -> String {
        let (name, frequency) = (self.path.rsplit('.').next().unwrap_or(&self.path), self.frequency);
        let unit = if self.per_epoch { "epoch" } else { "step" };
        let every = if frequency == 1 { format!("every {unit}") } else { format!("every {frequency} {unit}s") };
        let metric = match &self.monitor {
            _ if !self.needs_metrics() => String::new(),
            Some(monitor) => format!(" with an evaluation, by {monitor}"),
            None => " with an evaluation, by the metric of checkpoint".to_owned(),
        };
        format!("{}: {name} steps after {every}{metric} (interval: {unit})", self.place.path())
    }

    /// Whether some of its moves wait for a metric: timm's warms up without one.
    pub(in crate::schedule) fn needs_metrics(&self) -> bool {
        self.waits() || self.path.ends_with("PlateauLRScheduler")
    }

    /// Without any metric a run keeps the class's first values.
    fn waits(&self) -> bool {
        class::waits(&self.path, &self.arguments)
    }

    pub(in crate::schedule) fn steps_every_step(&self) -> bool {
        !self.per_epoch
    }

    pub(in crate::schedule) fn counts_epochs(&self) -> bool {
        class::counts_epochs(&self.path, &self.arguments)
    }

    /// Whether `step()` is called after the step of this number. As in Lightning, steps are counted within their epoch.
    pub(in crate::schedule) fn is_due(&self, step: u64, per_epoch: u64) -> bool {
        let (in_epoch, epochs) = (step % per_epoch + 1, step / per_epoch + 1);
        let (ends, count) = if self.per_epoch { (in_epoch == per_epoch, epochs) } else { (true, in_epoch) };
        ends && count.is_multiple_of(self.frequency)
    }

    /// What the class makes of the groups: step k runs on the values after k calls of `step()`. Beyond the run the last
    /// values hold.
    pub(in crate::schedule) fn laws(&self, place: &Place, groups: &[Row], run: Run) -> Result<Vec<FieldLaw>, Error> {
        let told = |error: class::Error| place.class(error);
        let per_epoch = run.steps_per_epoch.filter(|steps| *steps > 0);
        if self.per_epoch && per_epoch.is_none() && !self.waits() {
            let why = "needs the steps of an epoch: give --steps-per-epoch";
            return Err(place.unfit("interval", "epoch", why));
        }
        let scheduler = self.build(run)?;
        let mut moving: Vec<Group> = groups.iter().map(Group::of_row).collect();
        let mut state = scheduler.start(&mut moving).map_err(told)?;
        let mut curves: Vec<[Vec<f64>; Field::ALL.len()]> = vec![Default::default(); groups.len()];
        let is_due = |step: u64| !self.waits() && self.is_due(step, per_epoch.unwrap_or(u64::MAX));
        let ends = |error| told(error).of_a_run((0..run.steps).filter(|step| is_due(*step)).count());
        for step in 0..run.steps {
            if step > 0 && is_due(step - 1) {
                scheduler.step(&mut state, &mut moving, None).map_err(ends)?;
            }
            for ((row, group), curves) in groups.iter().zip(&moving).zip(&mut curves) {
                let now = group.to_row(row);
                for (field, curve) in Field::ALL.into_iter().zip(curves) {
                    // A field that never moves costs no memory.
                    if curve.is_empty() && now.get(field) != row.get(field) {
                        curve.resize(step as usize, row.get(field));
                        curve.push(now.get(field));
                    } else if !curve.is_empty() {
                        curve.push(now.get(field));
                    }
                }
            }
        }
        let of_group = |(group, curves): (usize, [Vec<f64>; Field::ALL.len()])| {
            let moved = Field::ALL.into_iter().zip(curves).filter(|(_, curve)| !curve.is_empty());
            moved.map(move |(field, curve)| FieldLaw::of_group(group, field, Listed(curve)))
        };
        Ok(curves.into_iter().enumerate().flat_map(of_group).collect())
    }
}

fn frequency(section: &mut Section) -> Result<u64, Error> {
    match section.count("frequency")? {
        Some(0) => Err(section.bad("frequency", "0".to_owned(), "1 or more", None)),
        given => Ok(given.unwrap_or(1)),
    }
}

fn monitor(section: &mut Section) -> Result<Option<String>, Error> {
    let said = section.has("monitor") && !section.is_null("monitor");
    if said { section.text("monitor").map(Some) } else { Ok(None) }
}
