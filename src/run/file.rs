//! A run file, as typed values.

use super::keys::{self, Said};
use super::{Continue, DataSpec, Error, ModelSpec, elsewhere, rows};
use crate::params::{Rule, Storage};
use crate::schedule::file::as_written::Texts;
use crate::schedule::file::raw::Raw;
use crate::schedule::file::section::Section;
use crate::schedule::file::yaml::Value as RawValue;
use crate::schedule::{LrScaling, Plan, SECTIONS, Spec};
use crate::train::{self, files};
use std::path::{Path, PathBuf};

/// Rows of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchRows {
    /// So many.
    Rows(usize),
    /// `auto`: the number that trains fastest within the memory limit.
    Auto,
}

/// What a run file says: a schedule, and beside it model, data and settings.
///
/// Keys that Ludwig has too are called as there; what they say is written into the schedule. Files that are named stand
/// relative to the run file.
#[derive(Clone, Debug, PartialEq)]
pub struct RunFile {
    /// `name`: of the run's folder; the file's own name where it is not given.
    pub name: String,
    /// `output`: the folder that holds the run's folder.
    pub output: PathBuf,
    /// `seed`: of initial values, orders and splits.
    pub seed: u32,
    /// `epochs`.
    pub epochs: usize,
    /// `batch_size`: what one pass takes.
    pub batch_rows: BatchRows,
    /// `gradient_accumulation_steps`: passes of a step, so that it takes `batch_size` times as many rows.
    pub micro_batches: usize,
    /// `base_batch_size`: the rows of a step that the rates are meant for, where they follow them.
    pub base_batch_size: usize,
    /// `learning_rate_scaling`.
    pub lr_scaling: LrScaling,
    /// `memory_limit_megabytes`, in bytes: what `batch_size: auto` may use.
    pub memory_limit_bytes: u64,
    /// `checkpoint_every_steps`; without it there is a checkpoint after each evaluation.
    pub checkpoint_every_steps: Option<u64>,
    /// `cache_encoder_embeddings`: what a frozen trunk makes of each example is kept.
    pub keeps_trunk: bool,
    /// `trainable`: whether more than the head trains.
    pub trains_trunk: bool,
    /// What `learning_rate: auto` came to, in words; `None` where another rate is asked for.
    pub auto_rate: Option<String>,
    /// The key that says the rate, for who gives it another: `learning_rate`, or `optimizer.lr`.
    pub rate_key: &'static str,
    /// `model`.
    pub model: ModelSpec,
    /// `data`.
    pub data: DataSpec,
    /// `continue`: the run whose stable phase this one goes on with.
    pub continues: Option<Continue>,
    /// The schedule: the sections that stand in the file, or those of the file that `schedule` names.
    pub schedule: Spec,
    /// What was accepted although it may not be meant.
    pub warnings: Vec<String>,
    resolved: Raw,
}

const KEYS: [&str; 20] = [
    "name",
    "output",
    "seed",
    "model",
    "data",
    "schedule",
    "epochs",
    "batch_size",
    "gradient_accumulation_steps",
    "base_batch_size",
    "memory_limit_megabytes",
    "learning_rate",
    "learning_rate_scheduler",
    "learning_rate_scaling",
    "trainable",
    "cache_encoder_embeddings",
    "use_mixed_precision",
    "compile",
    "checkpoint_every_steps",
    "continue",
];

/// Where texts stand, which are what their user wrote: a column may be called `1`, a class `True`, a run `007`.
const TEXTS: Texts = Texts::Below(&[
    ("name", Texts::Here),
    ("output", Texts::Here),
    ("schedule", Texts::Here),
    ("model", Texts::Below(&[("from", Texts::Here)])),
    (
        "data",
        Texts::Below(&[
            ("train", Texts::Here),
            ("train_labels", Texts::Here),
            ("test", Texts::Here),
            ("test_labels", Texts::Here),
            ("text", Texts::Here),
            ("label", Texts::Here),
            ("features", Texts::Listed),
            ("classes", Texts::Listed),
        ]),
    ),
]);

const MODEL: &str = "it says what is trained, as in model: {type: encoder, preset: tiny}";
const DATA: &str = "it says what is trained on, as in data: {train: reviews.csv, text: review, label: stars}";

/// Epochs that are recommended for a pretrained trunk (Devlin et al. 2019 take 2 to 4, Ludwig 3 to 10).
const FINE_TUNING_EPOCHS: std::ops::RangeInclusive<usize> = 3..=10;

impl RunFile {
    /// The keys of a run file beside those of a schedule.
    pub const KEYS: &[&str] = &KEYS;

    /// Whether a text says what is trained, or on what: a schedule does neither.
    pub fn is_one(file: &str, text: &str) -> bool {
        Section::parse(file, text).is_ok_and(|top| top.has("model") || top.has("data"))
    }

    /// Reads a run file. Each of `settings` is a dotted key and a value that takes the place of what the file says there;
    /// files that it names stand relative to where the program was started.
    ///
    /// # Errors
    /// [`Error`] naming file, key and value, and the nearest valid one.
    pub fn read(path: &Path, settings: &[(String, String)]) -> Result<RunFile, Error> {
        let text = files::read_text(path).map_err(|error| Error::unreadable(path, &error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        RunFile::parse(&path.display().to_string(), &text, (folder, &stem), settings)
    }

    /// Reads the file of a run that goes on in this folder, which is the run's wherever it has been moved to. `settings` may
    /// say what does not make it another run: for how long it goes on, what it leaves, and where its data has gone.
    ///
    /// # Errors
    /// As [`read`](RunFile::read); [`Error::OtherRun`] for a setting that would make it another.
    pub fn of_run(path: &Path, folder: &Path, settings: &[(String, String)]) -> Result<RunFile, Error> {
        let there = RunFile::read(path, &[])?;
        // A scheduler that ends before the run may be given another length; whether it does is the checkpoint's to say.
        let mends = |key: &str| key.contains("lr_scheduler") && key.contains(".init_args");
        let may_be_set = |key: &str| MAY_CHANGE.contains(&key) || DATA_FILES.contains(&key) || mends(key);
        if let Some((key, value)) = settings.iter().find(|(key, _)| !may_be_set(key)) {
            let says_the_same =
                RunFile::read(path, settings).is_ok_and(|here| here.said_of_run() == there.said_of_run());
            if !says_the_same {
                let flat = there.raw(there.batch_rows_text()).flat();
                let was = flat.into_iter().find(|(known, _)| known == key);
                return Err(Error::OtherRun {
                    path: path.to_owned(),
                    setting: format!("{key}={value}"),
                    was: was.map_or_else(String::new, |(key, was)| format!(" ({key}: {was})")),
                    may_be_set: "epochs, checkpoint_every_steps, memory_limit_megabytes and where files of data are",
                });
            }
        }
        let mut run = RunFile::read(path, settings)?;
        let folder = std::path::absolute(folder).map_err(|error| Error::unreadable(folder, &error))?;
        if let (Some(output), Some(name)) = (folder.parent(), folder.file_name()) {
            (run.output, run.name) = (output.to_owned(), name.to_string_lossy().into_owned());
        }
        Ok(run)
    }

    /// Reads the text of a run file; files that it names stand relative to `folder`, and `name` is the run's where it says
    /// none.
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
        // What stands in another place than the setting may be wrong by it too.
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
        let mut top = Section::parse_with(TEXTS, file, text)?;
        let (which, others): (Vec<_>, Vec<_>) = settings.iter().partition(|(key, _)| key == "schedule");
        which.iter().try_for_each(|(key, value)| set(&mut top, key, value))?;
        take_schedule_file(&mut top, folder)?;
        others.iter().try_for_each(|(key, value)| set(&mut top, key, value))?;
        top.forget_nulls(&KEYS);
        elsewhere::refuse(&top)?;
        top.only_near(&[&KEYS[..], &SECTIONS[..]].concat())?;

        let model = ModelSpec::read(top.section("model", MODEL)?, folder)?;
        let data = DataSpec::read(top.section("data", DATA)?, &model, folder)?;
        let mut schedule = top.split_off(&SECTIONS);
        let rate_key = if schedule.has_below("optimizer", "lr") { "optimizer.lr" } else { "learning_rate" };
        let Said { trains_trunk, auto_rate, has_rate } = keys::into_schedule(&mut top, &mut schedule, &model)?;
        let resolved = Raw::default().with("model", model.raw.clone()).with("data", data.raw.clone());
        let resolved = resolved.with_all(schedule.raw());
        let mut run = RunFile {
            name: top.text_or("name", name)?,
            output: folder.join(top.text_or("output", "runs")?),
            seed: small(&mut top, "seed", 1)? as u32,
            epochs: positive(&mut top, "epochs", 3)?,
            batch_rows: batch_rows(&mut top)?,
            micro_batches: positive(&mut top, "gradient_accumulation_steps", 1)?,
            base_batch_size: positive(&mut top, "base_batch_size", BATCH_SIZE)?,
            lr_scaling: match top.word_or_first("learning_rate_scaling", &["none", "linear", "sqrt"])? {
                "linear" => LrScaling::Linear,
                "sqrt" => LrScaling::Sqrt,
                _ => LrScaling::None,
            },
            memory_limit_bytes: (positive(&mut top, "memory_limit_megabytes", 1024)? as u64).saturating_mul(1_000_000),
            checkpoint_every_steps: match top.has("checkpoint_every_steps") {
                true => Some(positive(&mut top, "checkpoint_every_steps", 1)? as u64),
                false => None,
            },
            keeps_trunk: top.truth("cache_encoder_embeddings", model.kind != super::ModelKind::Decoder)?,
            continues: match top.maybe_section("continue")? {
                Some(section) => Some(Continue::read(section, folder)?),
                None => None,
            },
            schedule: Spec::read(schedule)?,
            trains_trunk,
            auto_rate,
            rate_key,
            model,
            data,
            warnings: Vec::new(),
            resolved,
        };
        rows::check(&top, &run.schedule)?;
        if let Some(continues) = &run.continues {
            if run.model.from.is_some() {
                return Err(top.misplaced("continue", "it stands beside model.from; keep one of them").into());
            }
            let why = "does not go with this lr_scheduler: wsd, and WSDLrScheduler of pytorch-accelerated, have decays";
            let shown = continues.run.display().to_string();
            run.schedule = run.schedule.continued().ok_or_else(|| top.unfit("continue.run", shown, why))?;
            run.resolved = run.resolved.with("continue", continues.raw());
        }
        if top.flag("use_mixed_precision")? {
            let why = "cannot be: everything is computed in f32 here; parameters and moments may be stored in less, see \
                 model.parameters and optimizer.moments";
            return Err(top.unfit("use_mixed_precision", "true", why).into());
        }
        if run.model.parameters != Storage::F32 {
            let row = &run.schedule.row;
            let beside = [("type: sgd", row.rule == Rule::Sgd), ("ema_decay", row.ema_decay.is_some())];
            if let Some((other, _)) = beside.into_iter().find(|(_, is_there)| *is_there) {
                let why = format!(
                    "does not go with optimizer.{other}: AdamW and Adam store it, and no average is kept of it"
                );
                return Err(top.unfit("model.parameters", run.model.parameters, why).into());
            }
        }
        if run.name.is_empty() || run.name.contains(['/', '\\']) || run.name.starts_with('.') {
            return Err(top.bad("name", run.name, "the name of a folder", None).into());
        }
        run.warnings.extend(run.schedule.warnings.iter().cloned());
        if !top.truth("compile", true)? {
            run.warnings.push(format!("{file}: compile: false changes nothing: every step is compiled"));
        }
        if run.model.from.is_some() && !has_rate {
            let rate = run.schedule.row.lr;
            run.warnings.push(format!(
                "{file}: no rate is given, so it is {rate:e}: a pretrained model is usually fine-tuned with much less (learning_rate: auto)"
            ));
        }
        if run.model.from.is_some() && !FINE_TUNING_EPOCHS.contains(&run.epochs) {
            let (least, most) = (FINE_TUNING_EPOCHS.start(), FINE_TUNING_EPOCHS.end());
            let epochs = run.epochs;
            run.warnings.push(format!(
                "{file}: epochs = {epochs}: a pretrained model is usually fine-tuned for {least} to {most}"
            ));
        }
        Ok(run)
    }

    /// The folder of the run.
    pub fn folder(&self) -> PathBuf {
        self.output.join(&self.name)
    }

    /// How to train with passes of so many rows.
    pub fn config(&self, batch_size: usize) -> train::Config {
        let RunFile { micro_batches, epochs, seed, .. } = *self;
        let parameters = self.model.parameters;
        let config = train::Config { batch_size, micro_batches, epochs, seed, parameters, ..train::Config::default() };
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

    /// The file as it would have to be to say all of it, defaults included: files by their whole paths, the batch size that
    /// was found, and the schedule as `plan` has it, which is that of the file for the run's model and length.
    pub fn resolved(&self, batch_size: usize, plan: &Plan) -> String {
        self.raw(batch_size).without(&SECTIONS).with_all(plan.to_raw()).to_text()
    }

    /// What makes the run, by dotted keys.
    fn said_of_run(&self) -> Vec<(String, String)> {
        let flat = self.raw(self.batch_rows_text()).flat();
        flat.into_iter().filter(|(key, _)| !MAY_CHANGE.contains(&key.as_str())).collect()
    }

    fn batch_rows_text(&self) -> String {
        match self.batch_rows {
            BatchRows::Rows(rows) => rows.to_string(),
            BatchRows::Auto => "auto".to_owned(),
        }
    }

    fn raw(&self, batch_size: impl Into<RawValue>) -> Raw {
        let scaling = match self.lr_scaling {
            LrScaling::None => "none",
            LrScaling::Linear => "linear",
            LrScaling::Sqrt => "sqrt",
        };
        let mut raw = Raw::default()
            .with("name", self.name.as_str())
            .with("output", absolute(&self.output))
            .with("seed", self.seed)
            .with("epochs", self.epochs)
            .with("batch_size", batch_size)
            .with("gradient_accumulation_steps", self.micro_batches)
            .with("base_batch_size", self.base_batch_size)
            .with("learning_rate_scaling", scaling)
            .with("memory_limit_megabytes", self.memory_limit_bytes / 1_000_000)
            .with("use_mixed_precision", false)
            .with("cache_encoder_embeddings", self.keeps_trunk);
        if let Some(steps) = self.checkpoint_every_steps {
            raw = raw.with("checkpoint_every_steps", steps);
        }
        raw.with_all(self.resolved.clone())
    }
}

/// A path that means the same from any folder.
pub(super) fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// What may be set for a run that goes on.
const MAY_CHANGE: [&str; 3] = ["epochs", "checkpoint_every_steps", "memory_limit_megabytes"];

/// Files of data, which may have been moved: what is in them has to be the same.
const DATA_FILES: [&str; 4] = ["data.train", "data.test", "data.train_labels", "data.test_labels"];

/// Puts a setting of the command line in its place. What it names as a file stands where the user stands.
fn set(top: &mut Section, key: &str, value: &str) -> Result<(), Error> {
    top.set(TEXTS, key, value)?;
    let files = DATA_FILES.into_iter().chain(["schedule", "output", "model.from", "continue.run"]);
    let is_below = |path: &str| path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    for path in files.filter(|path| is_below(path)) {
        top.change_text(path, |text| absolute(Path::new(text)));
    }
    Ok(())
}

/// Rows of a batch where nothing is said, and those that rates are meant for.
const BATCH_SIZE: usize = 32;

/// Brings in the sections of the file that `schedule` names, under those that stand in the run file.
fn take_schedule_file(top: &mut Section, folder: &Path) -> Result<(), Error> {
    let Some(named) = top.maybe_text("schedule")? else { return Ok(()) };
    let path = folder.join(named);
    let text = files::read_text(&path).map_err(|error| Error::unreadable(&path, &error))?;
    let shown = path.display().to_string();
    // What is wrong with the file is told under its own name.
    Spec::parse(&shown, &text)?;
    let file = Section::parse(&shown, &text)?;
    let sections = if file.is_numbered() { Raw::default().with("phases", file.raw()) } else { file.raw() };
    if let Some(twice) = SECTIONS.into_iter().find(|key| top.has(key) && sections.has(key)) {
        return Err(top.misplaced(twice, format!("{shown} has it too; keep one of them, or use --set")).into());
    }
    top.extend(sections);
    Ok(())
}

fn batch_rows(top: &mut Section) -> Result<BatchRows, Error> {
    if top.is_word("batch_size", "auto") {
        top.text("batch_size")?;
        return Ok(BatchRows::Auto);
    }
    Ok(BatchRows::Rows(positive(top, "batch_size", BATCH_SIZE)?))
}

/// A whole number from 1 on.
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
