//! A run file, as typed values.

use super::inputs::Column;
use super::keys::{self, Said};
use super::{
    Continue, DataSpec, Error, Inputs, ModelKind, ModelSpec, checks, elsewhere, mixed_precision, rows, settings,
};
use crate::dist::Rank;
use crate::nn::models::Head;
use crate::nn::{MixedPrecision, Objective, ValueStorage};
use crate::schedule::file::raw::Raw;
use crate::schedule::file::section::Section;
use crate::schedule::file::spec::SECTIONS;
use crate::schedule::{LrScaling, Spec};
use crate::train::{self, StepsPerSubmission, files};
use std::path::{Path, PathBuf};

/// Rows of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchRows {
    /// So many.
    Rows(usize),
    /// `auto`: the number that trains fastest within the memory limit.
    Auto,
}

/// `check`: what of a run's shaders is held against the host before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checking {
    /// Its kernels, once for each driver; and every gradient of the first batch, if the host needs less than ten
    /// seconds.
    Auto,
    /// Both, however long it takes.
    First,
    /// Nothing.
    Off,
}

impl Checking {
    /// The word for it in a run file.
    pub fn word(self) -> &'static str {
        match self {
            Checking::Auto => "auto",
            Checking::First => "first",
            Checking::Off => "off",
        }
    }
}

/// A run file: a schedule, a model, data and settings.
///
/// Keys shared with Ludwig keep its names, and become keys of the schedule. Paths are relative to the run file.
#[derive(Clone, Debug, PartialEq)]
pub struct RunFile {
    /// `name`: of the run's folder; the file's own name if it is not given.
    pub name: String,
    /// `output`: the folder that holds the run's folder.
    pub output: PathBuf,
    /// `seed`: of initial values, orders and splits.
    pub seed: u32,
    /// Which rank of how many trains by it; no key of the file.
    pub rank: Rank,
    /// `shard_optimizer`: ranks share out the moments.
    pub shards: bool,
    /// `epochs`.
    pub epochs: usize,
    /// `batch_size`: what one pass takes.
    pub batch_rows: BatchRows,
    /// `gradient_accumulation_steps`: passes of a step, so that it takes `batch_size` times as many rows.
    pub micro_batches: usize,
    /// `steps_per_submission`.
    pub steps_per_submission: StepsPerSubmission,
    /// `base_batch_size`: the rows of a step that the rates are meant for, if they are scaled.
    pub base_batch_size: usize,
    /// `learning_rate_scaling`.
    pub lr_scaling: LrScaling,
    /// `memory_limit_megabytes`, in bytes: what a step may use. Layers make their activations again where a batch of so many rows
    /// would take more; `batch_size: auto` takes so many rows as fit.
    pub memory_limit_bytes: Option<u64>,
    /// `checkpoint_every_steps`; by default a checkpoint follows each evaluation.
    pub checkpoint_every_steps: Option<u64>,
    /// `label_smoothing`: the part of each target that is spread evenly over the classes.
    pub label_smoothing: f64,
    /// `use_mixed_precision`: what activations and their gradients are stored in; `None` for `auto`, until that is found.
    pub mixed_precision: Option<MixedPrecision>,
    /// `check`: whether the shaders are held against the host before a run.
    pub check: Checking,
    /// `cache_encoder_embeddings`: what a frozen trunk makes of each example is kept.
    pub keeps_trunk: bool,
    /// Whether a frozen trunk runs without dropout, so that its outputs can be cached: it never trains, or
    /// `cache_encoder_embeddings: true` is written.
    pub still_trunk: bool,
    /// `trainable`: whether more than the head trains.
    pub trains_trunk: bool,
    /// The rate of `learning_rate: auto`, in words; `None` without it.
    pub auto_rate: Option<String>,
    /// The key of the rate, to change it: `learning_rate`, or `optimizer.lr`.
    pub rate_key: &'static str,
    /// `task`: what is learnt of an example.
    pub objective: Objective,
    /// `model`.
    pub model: ModelSpec,
    /// `data`.
    pub data: DataSpec,
    /// `continue`: the run whose stable phase this one continues with.
    pub continues: Option<Continue>,
    /// The schedule: sections in this file, or in the file that `schedule` names.
    pub schedule: Spec,
    /// What was accepted although it may not be meant.
    pub warnings: Vec<String>,
    /// Model, data and schedule, as they are written.
    pub(super) sections: Raw,
}

const KEYS: [&str; 25] = [
    "name",
    "output",
    "seed",
    "task",
    "model",
    "data",
    "schedule",
    "epochs",
    "batch_size",
    "gradient_accumulation_steps",
    "steps_per_submission",
    "base_batch_size",
    "memory_limit_megabytes",
    "learning_rate",
    "learning_rate_scheduler",
    "learning_rate_scaling",
    "trainable",
    "cache_encoder_embeddings",
    "label_smoothing",
    "use_mixed_precision",
    "compile",
    "checkpoint_every_steps",
    "shard_optimizer",
    "continue",
    "check",
];

const KEEPS_TRUNK: &str = "cache_encoder_embeddings";
const MODEL: &str = "it names the model, as in model: {type: encoder, preset: tiny}";
const DATA: &str = "it names the data, as in data: {train: reviews.csv, text: review, label: stars}";

impl RunFile {
    /// The keys of a run file other than those of a schedule.
    pub const KEYS: &[&str] = &KEYS;

    /// Whether a text has a model or data: a schedule has neither.
    pub fn is_one(file: &str, text: &str) -> bool {
        Section::parse(file, text).is_ok_and(|top| top.has("model") || top.has("data"))
    }

    /// Reads a run file. Each of `settings` is a dotted key and a value that replaces the file's; paths in it are
    /// relative to the current folder.
    ///
    /// # Errors
    /// [`Error`] naming file, key and value, and the nearest valid one.
    pub fn read(path: &Path, settings: &[(String, String)]) -> Result<RunFile, Error> {
        let text = files::read_text(path).map_err(|error| Error::unreadable(path, &error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        RunFile::parse(&path.display().to_string(), &text, (folder, &stem), settings)
    }

    /// Reads the text of a run file; paths are relative to `folder`, and `name` is the run's default name.
    ///
    /// # Errors
    /// As [`read`](RunFile::read).
    pub fn parse(
        file: &str,
        text: &str,
        (folder, name): (&Path, &str),
        settings: &[(String, String)],
    ) -> Result<RunFile, Error> {
        let parsed = RunFile::parse_with(file, text, (folder, name), settings);
        // A setting may also make a value elsewhere wrong.
        let by_setting = |error: Error| match RunFile::first_that_fails(file, text, (folder, name), settings) {
            Some((key, value)) if !error.to_string().starts_with("--set ") => {
                Error::Setting { setting: format!("{key}={value}"), error: Box::new(error) }
            }
            _ => error,
        };
        parsed.map_err(by_setting)
    }

    /// The setting with which a file that is sound without any is so no more.
    fn first_that_fails<'a>(
        file: &str,
        text: &str,
        place: (&Path, &str),
        settings: &'a [(String, String)],
    ) -> Option<&'a (String, String)> {
        let fails = |count: &usize| RunFile::parse_with(file, text, place, &settings[..*count]).is_err();
        (0..=settings.len()).find(fails)?.checked_sub(1).map(|place| &settings[place])
    }

    fn parse_with(
        file: &str,
        text: &str,
        (folder, name): (&Path, &str),
        settings: &[(String, String)],
    ) -> Result<RunFile, Error> {
        let mut top = settings::top(file, text, folder, settings)?;
        top.forget_nulls(&KEYS);
        elsewhere::refuse(&top)?;
        top.only_near(&[&KEYS[..], &SECTIONS[..]].concat())?;

        let is_labelled = top.has_at("data.label") || top.has_at("data.labels");
        let model = ModelSpec::read(top.section("model", MODEL)?, folder, is_labelled)?;
        let objective = objective(&mut top, model.kind)?;
        let data = DataSpec::read(top.section("data", DATA)?, (&model, objective), folder)?;
        let mut schedule = top.split_off(&SECTIONS);
        let rate_key = if schedule.has_below("optimizer", "lr") { "optimizer.lr" } else { "learning_rate" };
        let Said { trains_trunk, auto_rate, has_rate } = keys::into_schedule(&mut top, &mut schedule, &model)?;
        let sections = Raw::default().with("model", model.raw.clone()).with("data", data.raw.clone());
        let sections = sections.with_all(schedule.raw());
        let says_keeps = top.has(KEEPS_TRUNK);
        let keeps_trunk = top.truth(KEEPS_TRUNK, model.kind != ModelKind::Decoder)?;
        let mut run = RunFile {
            name: top.text_or("name", name)?,
            output: folder.join(top.text_or("output", "runs")?),
            seed: small(&mut top, "seed", 1)? as u32,
            rank: Rank::default(),
            shards: top.truth("shard_optimizer", false)?,
            epochs: positive(&mut top, "epochs", 3)?,
            batch_rows: batch_rows(&mut top)?,
            micro_batches: positive(&mut top, "gradient_accumulation_steps", 1)?,
            steps_per_submission: steps_per_submission(&mut top)?,
            base_batch_size: positive(&mut top, "base_batch_size", BATCH_SIZE)?,
            lr_scaling: match top.word_or_first("learning_rate_scaling", &["none", "linear", "sqrt"])? {
                "linear" => LrScaling::Linear,
                "sqrt" => LrScaling::Sqrt,
                _ => LrScaling::None,
            },
            memory_limit_bytes: memory_limit_bytes(&mut top)?,
            checkpoint_every_steps: match top.has("checkpoint_every_steps") {
                true => Some(positive(&mut top, "checkpoint_every_steps", 1)? as u64),
                false => None,
            },
            label_smoothing: label_smoothing(&mut top, objective)?,
            mixed_precision: mixed_precision::read(&mut top)?,
            check: checking(&mut top)?,
            // What never trains needs no dropout, and what it makes of an example can be kept.
            still_trunk: !trains_trunk || (says_keeps && keeps_trunk),
            keeps_trunk,
            continues: match top.maybe_section("continue")? {
                Some(section) => Some(Continue::read(section, folder)?),
                None => None,
            },
            schedule: Spec::read(schedule)?,
            trains_trunk,
            auto_rate,
            rate_key,
            objective,
            model,
            data,
            warnings: Vec::new(),
            sections,
        };
        rows::check(&top, &run.schedule)?;
        run.go_on(&top)?;
        checks::refuse(&mut top, &run.name, &run.model, &run.schedule)?;
        run.warnings.extend(run.schedule.warnings.iter().cloned());
        run.warnings.extend(checks::doubts(file, &mut top)?);
        run.warnings.extend(checks::told_still_trunk(file, &run.model, run.trains_trunk));
        run.warnings.extend(checks::doubts_of_fine_tuning(file, &run.model, run.epochs, has_rate, run.schedule.row.lr));
        Ok(run)
    }

    /// Makes the schedule continue another run's stable phase, if asked.
    fn go_on(&mut self, top: &Section) -> Result<(), Error> {
        let Some(continues) = &self.continues else { return Ok(()) };
        if self.model.from.is_some() {
            return Err(top.misplaced("continue", "model.from is there too; keep one of them").into());
        }
        let why = "does not go with this lr_scheduler: wsd, and WSDLrScheduler of pytorch-accelerated, have decays";
        let shown = continues.run.display().to_string();
        let continued = self.schedule.clone().continued();
        self.schedule = continued.ok_or_else(|| top.unfit("continue.run", shown, why))?;
        self.sections = std::mem::take(&mut self.sections).with("continue", continues.raw());
        Ok(())
    }

    /// The run, beginning with the values of the checkpoint that it continues, if asked.
    pub(super) fn begun(&self) -> Result<Option<RunFile>, Error> {
        let Some(continues) = &self.continues else { return Ok(None) };
        let mut run = RunFile { continues: None, ..self.clone() };
        run.model.from = Some(continues.checkpoint()?.join("model.safetensors"));
        Ok(Some(run))
    }

    /// The head of a model with these inputs.
    pub(super) fn head(&self, inputs: &Inputs) -> Head {
        let features = inputs.columns.iter().map(Column::width).sum();
        Head::new(inputs.classes.len()).objective(self.objective).features(features)
    }

    /// What `batch_size: auto` may use, in bytes.
    pub fn auto_limit_bytes(&self) -> u64 {
        self.memory_limit_bytes.unwrap_or(AUTO_LIMIT_BYTES)
    }

    /// The folder of the run.
    pub fn folder(&self) -> PathBuf {
        self.output.join(&self.name)
    }

    /// How to train with passes of so many rows.
    pub fn config(&self, batch_size: usize) -> train::Config {
        let RunFile { micro_batches, epochs, seed, steps_per_submission, .. } = *self;
        let parameters = self.model.parameters;
        let usual = train::Config::default();
        let still_trunk = self.still_trunk;
        let examples_limit = match &self.data.source {
            super::Source::Pictures(pictures) => pictures.device_limit_bytes,
            _ => None,
        };
        let config = train::Config {
            still_trunk,
            batch_size,
            micro_batches,
            rank: self.rank,
            shard_optimizer: self.shards,
            epochs,
            seed,
            steps_per_submission,
            parameters,
            label_smoothing: self.label_smoothing as f32,
            // Until it is found, the memory is counted as that of 16 bits.
            values: self.mixed_precision.clone().unwrap_or(ValueStorage::Bf16.into()),
            examples_device_limit_bytes: examples_limit.unwrap_or(usual.examples_device_limit_bytes),
            ..usual
        };
        match self.keeps_trunk {
            true => config,
            false => train::Config { trunk_device_limit_bytes: 0, trunk_host_limit_bytes: 0, ..config },
        }
    }

    /// The schedule for passes of so many rows: its rates follow the rows of a step, which are those of all its passes.
    ///
    /// # Errors
    /// A rate that f32 cannot hold then.
    pub fn scaled(&self, batch_size: usize) -> Result<Spec, Error> {
        let rows = self.config(batch_size).rows_per_step();
        Ok(self.schedule.scaled(self.lr_scaling, rows, self.base_batch_size)?)
    }
}

/// What `batch_size: auto` may use if nothing is said.
const AUTO_LIMIT_BYTES: u64 = 1_024_000_000;

/// The default rows of a batch, and those that rates are meant for.
const BATCH_SIZE: usize = 32;

/// What is learnt of an example, by its word.
pub(super) const TASKS: [(&str, Objective); 3] =
    [("classify", Objective::Classes), ("multi_label", Objective::Labels), ("regress", Objective::Numbers)];

fn objective(top: &mut Section, kind: ModelKind) -> Result<Objective, Error> {
    let word = top.word_or_first("task", &TASKS.map(|(word, _)| word))?;
    let objective = TASKS.iter().find(|(known, _)| *known == word).map_or(Objective::Classes, |(_, task)| *task);
    if objective != Objective::Classes && kind != ModelKind::Encoder {
        let why = format!("does not go with model.type: {kind}; it is for texts, and an encoder reads them");
        return Err(top.unfit("task", word, why).into());
    }
    Ok(objective)
}

fn batch_rows(top: &mut Section) -> Result<BatchRows, Error> {
    if top.is_word("batch_size", "auto") {
        top.text("batch_size")?;
        return Ok(BatchRows::Auto);
    }
    Ok(BatchRows::Rows(positive(top, "batch_size", BATCH_SIZE)?))
}

fn checking(top: &mut Section) -> Result<Checking, Error> {
    // YAML has one value for off, no and false.
    if top.has("check") && top.peek("check").is_none() {
        return Ok(if top.truth("check", true)? { Checking::Auto } else { Checking::Off });
    }
    Ok(match top.word_or_first("check", &["auto", "first", "off"])? {
        "first" => Checking::First,
        "off" => Checking::Off,
        _ => Checking::Auto,
    })
}

fn steps_per_submission(top: &mut Section) -> Result<StepsPerSubmission, Error> {
    const KEY: &str = "steps_per_submission";
    if !top.has(KEY) {
        return Ok(StepsPerSubmission::Auto);
    }
    if top.is_word(KEY, "auto") {
        top.text(KEY)?;
        return Ok(StepsPerSubmission::Auto);
    }
    match small(top, KEY, 1)? {
        steps @ 1..=1024 => Ok(StepsPerSubmission::AtMost(steps as u32)),
        steps => Err(top.bad(KEY, steps.to_string(), "auto, or from 1 to 1024", None).into()),
    }
}

/// A whole number from 1 on.
fn label_smoothing(top: &mut Section, objective: Objective) -> Result<f64, Error> {
    const KEY: &str = "label_smoothing";
    let smoothing = top.number(KEY, 0.0)?;
    if !(0.0..=1.0).contains(&smoothing) {
        return Err(top.bad(KEY, smoothing.to_string(), "from 0 to 1", None).into());
    }
    if smoothing > 0.0 && objective != Objective::Classes {
        return Err(top
            .unfit(KEY, smoothing, "is for task: classify: other losses have no classes to spread it over")
            .into());
    }
    Ok(smoothing)
}

fn memory_limit_bytes(top: &mut Section) -> Result<Option<u64>, Error> {
    const KEY: &str = "memory_limit_megabytes";
    if top.is_null(KEY) || !top.has(KEY) {
        top.forget_nulls(&[KEY]);
        return Ok(None);
    }
    Ok(Some((positive(top, KEY, 1)? as u64).saturating_mul(1_000_000)))
}

fn positive(top: &mut Section, key: &'static str, default: usize) -> Result<usize, Error> {
    if !top.has(key) {
        return Ok(default);
    }
    match small(top, key, 0)? {
        0 => Err(top.bad(key, "0".to_owned(), "1 or more", None).into()),
        number => Ok(number as usize),
    }
}

/// A whole number of 32 bits.
fn small(top: &mut Section, key: &'static str, default: u64) -> Result<u64, Error> {
    let number = top.count(key)?.unwrap_or(default);
    match u32::try_from(number) {
        Ok(_) => Ok(number),
        Err(_) => Err(top.bad(key, number.to_string(), "below 2^32", None).into()),
    }
}
