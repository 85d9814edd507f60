//! `gradus evaluate`: a trained model on a labelled file.

use super::asked::Asked as Refused;
use super::asks::Asks;
use super::reading::Reading;
use super::say::{self, caution, say};
use super::says::Says;
use super::scores::SCORES;
use clap::Args;
use gradus::params::{Storage, shown_path};
use gradus::run::Trained;
use gradus::schedule::{Plan, Spec};
use gradus::train::Trainer;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Evaluate {
    /// The folder of a run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Labelled rows, with the columns of the train set, a folder with a folder of pictures for each class, or an IDX file of pictures.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file of the labels, of pictures in an IDX file.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Write the result as JSON to standard output.
    #[arg(long)]
    json: bool,
    /// Use the best parameters (best.safetensors), not the last ones.
    #[arg(long)]
    best: bool,
    /// Rows of a batch.
    #[arg(long, value_name = "ROWS", default_value_t = 32)]
    batch_size: usize,
}

const EXAMPLES: &str = "\
Examples:
  gradus evaluate runs/run test.csv
  gradus evaluate runs/run test.csv --best --json
  gradus evaluate runs/run t10k-images-idx3-ubyte --labels t10k-labels-idx1-ubyte";

/// Nothing is trained: no rate, and no moments.
const UNTRAINED: &str = "optimizer: {type: sgd, lr: 0.0}\nlr_scheduler: {type: constant}";

pub(super) fn run(asks: &Asks, options: &Evaluate) -> anyhow::Result<()> {
    let refused = |error: gradus::run::Error| Refused::error(error.into());
    let trained = Trained::of_run(&options.run, options.best).map_err(refused)?;
    let says = if options.json { Says::Nothing } else { Says::Usual };
    let bar = if trained.reads_pictures() { Reading::pictures(says) } else { Reading::texts(says) };
    let test = trained.test(&options.file, options.labels.as_deref(), &|done, all| bar.show(done, all));
    drop(bar);
    let test = test.map_err(refused)?;
    test.warnings.iter().for_each(|warning| caution!("{warning}"));
    let engine = asks.engine(Says::Nothing)?;
    let spec = Spec::parse("evaluate", UNTRAINED)?;
    let config =
        trained.run().config(options.batch_size.clamp(1, test.count)).micro_batches(1).parameters(Storage::F32);
    let config = config.trunk_device_limit_bytes(0).trunk_host_limit_bytes(0);
    let mut trainer = Trainer::new(&engine, &*test.rows, config, |params, epochs| Plan::new(&spec, params, epochs))?;
    let found = trainer.evaluate_now()?;
    if options.json {
        let scores = found.scores.iter();
        let scores = scores.map(|(name, value)| (name.trim_start_matches("val_").to_owned(), json!(value)));
        let first = [("rows".to_owned(), json!(test.count)), ("loss".to_owned(), json!(found.val_loss))];
        let told: Map<String, Value> = first.into_iter().chain(scores).collect();
        say::data(&format!("{}\n", Value::Object(told)));
        return Ok(());
    }
    say!("{} rows of {}", test.count, shown_path(&options.file));
    say!("loss           {:.4}", found.val_loss);
    for look in &SCORES {
        if let Some(value) = found.scores.get(look.name) {
            say!("{:14} {}", look.title, look.shown(value));
        }
    }
    Ok(())
}
