//! `gradus predict`: predictions of a trained model.

use super::answers::{Answers, Form};
use super::asked::{Asked as Refused, refuse};
use super::asks::Asks;
use super::reading::Reading;
use super::say::{self, caution};
use super::says::Says;
use anyhow::Context;
use clap::{Args, ValueEnum};
use gradus::params::shown_path;
use gradus::run::{Asked, AskedFormat, TableFormat, Trained};
use gradus::train::{Predictor, Questions, Wanted, files};
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Predict {
    /// The folder of a run, or a Hugging Face folder.
    #[arg(value_name = "DIR")]
    model: PathBuf,
    /// Rows with the columns of the train set, with or without the label; `-` is standard input. For a model of pictures, a picture
    /// or a folder of them.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// File to write, CSV or JSON lines by its extension [default: CSV to standard output].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Format of FILE [default: by its extension; for standard input, one text a line].
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Write JSON lines to standard output.
    #[arg(long, conflicts_with = "out")]
    json: bool,
    /// How many of the most likely classes to print.
    #[arg(long, value_name = "K", default_value_t = 1)]
    top: usize,
    /// Write the vector of each text or picture, the input of the head.
    #[arg(long, conflicts_with = "top")]
    vectors: bool,
    /// The column of texts, for a folder that is not a run [default: text].
    #[arg(long, value_name = "COLUMN")]
    text: Option<String>,
    /// Use the best parameters (best.safetensors), not the last ones.
    #[arg(long)]
    best: bool,
    /// Leave out pictures that cannot be read, and say which.
    #[arg(long)]
    skip_bad_rows: bool,
    /// Rows of a batch; predictions do not depend on it.
    #[arg(long, value_name = "ROWS", default_value_t = 32)]
    batch_size: usize,
}

const EXAMPLES: &str = "\
Examples:
  gradus predict runs/run new.csv                    label and probability of each row
  gradus predict runs/run new.csv --top 3 --out answers.jsonl
  echo 'a fine film' | gradus predict runs/run -
  gradus predict runs/run holiday.jpg                the class of a picture, or of each in a folder

Each row gets one prediction, in order. If a row cannot be read, the error names its line, and there is no output.";

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Tsv,
    Jsonl,
    Lines,
}

impl Format {
    fn of_asked(self) -> AskedFormat {
        match self {
            Format::Csv => AskedFormat::Table(TableFormat::Csv),
            Format::Tsv => AskedFormat::Table(TableFormat::Tsv),
            Format::Jsonl => AskedFormat::Table(TableFormat::JsonLines),
            Format::Lines => AskedFormat::Lines,
        }
    }
}

pub(super) fn run(asks: &Asks, options: &Predict) -> anyhow::Result<()> {
    if options.top == 0 {
        refuse!("--top = 0 is not 1 or more");
    }
    let form = form(options)?;
    let trained = trained(options)?;
    let vectors = options.vectors || trained.outputs().is_empty();
    let wanted = if vectors { Wanted::Vectors } else { Wanted::Outputs };
    let width = match (wanted, trained.vector_width()) {
        (Wanted::Vectors, Some(width)) => width,
        (Wanted::Vectors, None) => {
            refuse!("--vectors: the model reads rows of numbers; models of texts and of pictures have vectors")
        }
        _ => trained.outputs().len(),
    };
    let (names, questions) = questions(&trained, options)?;
    questions.warnings.iter().for_each(|warning| caution!("{warning}"));
    let values = trained.values().map_err(|error| Refused::error(error.into()))?;
    let engine = asks.engine(Says::Nothing)?;
    let predictor = Predictor::new(&engine, trained.model(), &values)?;
    let answers = Answers {
        form,
        objective: (!vectors).then(|| trained.objective()),
        outputs: trained.outputs(),
        separator: trained.separator(),
        top: options.top,
        names,
    };
    let (mut text, mut broken) = (answers.header(width), 0);
    let mut places = 0..;
    predictor.each(&questions.rows, (wanted, width), options.batch_size, |numbers| {
        broken += usize::from(numbers.iter().any(|number| !number.is_finite()));
        text.push_str(&answers.line(places.next().unwrap_or_default(), numbers));
    })?;
    if broken > 0 {
        caution!("{broken} of {} predictions are not finite: the model is broken", questions.count);
    }
    match &options.out {
        Some(out) => files::replace(out, text.as_bytes())?,
        None => say::data(&text),
    }
    Ok(())
}

/// What is asked, and what each example is called; nothing if they have no names.
fn questions(trained: &Trained, options: &Predict) -> anyhow::Result<(Vec<String>, gradus::run::Read<Questions>)> {
    let refused = |error: gradus::run::Error| Refused::error(error.into());
    if trained.reads_pictures() {
        if options.format.is_some() || options.file == Path::new("-") {
            refuse!(
                "a model of pictures is asked about a file, a folder or a table of paths; --format and - are for texts and rows"
            );
        }
        let bar = Reading::pictures(Says::Usual);
        let told = |done, all| bar.show(done, all);
        return trained.pictures(&options.file, options.skip_bad_rows, &told).map_err(|error| match error {
            gradus::run::Error::BadRows { .. } => {
                Refused::error(anyhow::anyhow!("{error}\n--skip-bad-rows leaves such files out"))
            }
            error => refused(error),
        });
    }
    if options.skip_bad_rows {
        refuse!("--skip-bad-rows is for pictures, whose answers have their names: each row of a table gets one answer");
    }
    let asked = asked(options)?;
    let bar = Reading::texts(Says::Usual);
    let questions = trained.questions(&asked, &|done, all| bar.show(done, all));
    Ok((Vec::new(), questions.map_err(refused)?))
}

fn trained(options: &Predict) -> anyhow::Result<Trained> {
    let folder = &options.model;
    let found = match (Trained::is_run(folder), &options.text) {
        (true, Some(_)) => refuse!("--text: the run in {} names its columns", shown_path(folder)),
        (true, None) => Trained::of_run(folder, options.best),
        (false, _) if options.best => refuse!("--best: there is no run in {}", shown_path(folder)),
        (false, text) => Trained::of_pretrained(folder, text.as_deref().unwrap_or("text")),
    };
    found.map_err(|error| Refused::error(error.into()))
}

/// The format of predictions, by the extension; a bad one is refused before anything is computed.
fn form(options: &Predict) -> anyhow::Result<Form> {
    match options.out.as_deref().map(TableFormat::of) {
        None if options.json => Ok(Form::JsonLines),
        None | Some(Ok(TableFormat::Csv)) => Ok(Form::Csv),
        Some(Ok(TableFormat::JsonLines)) => Ok(Form::JsonLines),
        Some(Ok(_)) => refuse!("--out: predictions are written as csv or jsonl"),
        Some(Err(error)) => Err(Refused::error(error.into())),
    }
}

fn asked(options: &Predict) -> anyhow::Result<Asked> {
    let format = options.format.map(Format::of_asked);
    if options.file != Path::new("-") {
        return Asked::of_file(&options.file, format).map_err(|error| Refused::error(error.into()));
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).context("reading standard input")?;
    Ok(Asked::of_bytes(Path::new("standard input"), bytes, format.unwrap_or(AskedFormat::Lines)))
}
