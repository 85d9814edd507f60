//! `gradus`, the binary: the only room that prints and exits.
//!
//! Invariant: no wgpu type in this room's own code.

mod answers;
mod appended;
mod asked;
mod asks;
mod batch;
mod bench;
mod cache;
mod chart;
mod check;
mod checking;
mod compare;
mod confusion;
mod demo;
mod demo_pictures;
mod demo_transformer;
mod evaluate;
mod exchange_told;
mod generate;
mod info;
mod kernels;
mod log;
mod log_lines;
mod lr_find;
mod memory;
mod mistakes;
mod model_folder;
mod names;
mod optimizers;
mod optimizers_page;
mod phase_table;
mod picture;
mod pipelines;
mod plan;
mod plan_options;
mod plan_run;
mod plan_told;
mod precision;
mod predict;
mod progress;
mod ranks;
mod rates;
mod rates_told;
mod reading;
mod ready;
mod report;
mod report_chart;
mod report_log;
mod report_text;
mod rules_told;
mod run_folder;
mod run_lock;
pub(crate) mod say;
mod says;
mod schedule;
mod scores;
mod set_up;
mod signals;
mod tensorboard;
mod thinned;
mod train;
mod verdict;
mod watchdog;

pub(crate) use asked::code_of;
use asks::Asks;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, CommandFactory, Parser, Subcommand};
use gradus::params::Shown;
use says::Says;
use std::process::ExitCode;

/// The heading of options that all commands share.
const WHERE: &str = "Adapter";

/// Fine-tune neural networks through wgpu.
#[derive(Parser)]
#[command(name = "gradus", version, max_term_width = 100)]
struct Arguments {
    /// Adapter to run on: a part of its name or kind, or `cpu`.
    #[arg(long, global = true, value_name = "TEXT", help_heading = WHERE)]
    adapter: Option<String>,
    /// Tiling of matrix products: its name, or a file of `gradus bench`.
    ///
    /// Tilings are registers, tiles, tiles32, tiles64, tiles128 and cooperative (products in f16, see docs/performance.md).
    /// `gradus bench` leaves files in the user's cache. The default is GRADUS_KERNELS, else what was measured on this adapter.
    #[arg(long, global = true, value_name = "TEXT", help_heading = WHERE)]
    kernels: Option<String>,
    /// `off`: measure by the host's clock, if the driver's timestamps are wrong.
    #[arg(long, global = true, value_name = "on|off", action = ArgAction::Set, default_value = "on", help_heading = WHERE)]
    #[arg(value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    timestamps: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a model by a run file.
    Train(train::Train),
    /// Use a trained model: labels with probabilities, numbers, or vectors for each row.
    Predict(predict::Predict),
    /// Test a trained model on labelled rows.
    Evaluate(evaluate::Evaluate),
    /// Continue a text with a trained decoder.
    Generate(generate::Generate),
    /// Compare runs: a table, and their curves on one page.
    Compare(compare::Compare),
    /// Find a learning rate for a run file: the range test.
    LrFind(lr_find::LrFind),
    /// List the adapters of this machine, with their limits and features.
    Info {
        /// Write it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Measure this adapter: copies, the fused step, and what groups, tensors and frozen parameters cost.
    Bench(bench::Bench),
    /// Check every kernel on this adapter against the same computation on the host.
    Check(check::Check),
    /// Train a small model on embedded data.
    Demo {
        #[command(subcommand)]
        demo: Demo,
    },
    /// Show what a run file or a schedule will do: rates, phases and memory, without training.
    Plan(plan_options::Plan),
    /// List the update rules: formulas, fields, defaults, bytes of state.
    Optimizers(optimizers::Optimizers),
    /// List or clear what is kept for runs to come: what frozen trunks made of examples, and unpacked pictures.
    Cache(cache::Cache),
    /// Write completions for a shell to standard output.
    #[command(after_help = "Example:\n  gradus completions bash > ~/.local/share/bash-completion/completions/gradus")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Make schedules.
    Schedule {
        #[command(subcommand)]
        schedule: Schedule,
    },
}

#[derive(Subcommand)]
enum Schedule {
    /// Write a schedule of phases to edit, from a model's parameters.
    Generate(schedule::Generate),
}

#[derive(Subcommand)]
enum Demo {
    /// A multi-layer perceptron on handwritten digits.
    Mlp(demo::Mlp),
    /// A transformer: pretrained on one text, fine-tuned on another in three ways.
    Transformer(demo_transformer::Options),
    /// A small ResNet on emoji, by a run file.
    Pictures(demo_pictures::Options),
}

/// clap's text, with an argument on one line. The text may contain its value alone.
fn with_argument_shown(text: String, argument: String) -> String {
    let value = argument.split_once('=').map(|(_, value)| value.to_owned());
    [Some(argument), value].into_iter().flatten().fold(text, |text, said| {
        let shown = Shown(&said).to_string();
        if shown == said { text } else { text.replace(&said, &shown) }
    })
}

/// What `gradus` alone prints.
const FIRST_COMMANDS: &str = "\
gradus fine-tunes neural networks.

  gradus train run.yaml      train by a run file
  gradus lr-find run.yaml    find a learning rate for it
  gradus plan run.yaml       show its rates and phases without training
  gradus predict RUN FILE    use the trained model
  gradus compare RUN RUN     compare runs in a table and on one page

gradus demo mlp trains a small network in seconds. gradus --help lists every command and option.
";

/// Reads the command line and runs its command.
pub fn run() -> anyhow::Result<ExitCode> {
    if std::env::args_os().count() == 1 {
        say::out(FIRST_COMMANDS);
        return Ok(ExitCode::SUCCESS);
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // The help, or what is wrong with the command line.
        Err(told) => {
            let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
            let text = arguments.fold(told.render().to_string(), with_argument_shown);
            if told.use_stderr() {
                say::err(&text)
            } else {
                say::out(&text)
            }
            return Ok(ExitCode::from(u8::try_from(told.exit_code())?));
        }
    };
    let asked = arguments.kernels.as_deref();
    let asks = Asks::of(arguments.adapter.as_deref(), asked, arguments.timestamps);
    let done = obey(&arguments.command, &asks, asked);
    asks.keep_pipelines();
    done
}

fn obey(command: &Command, asks: &Asks, asked: Option<&str>) -> anyhow::Result<ExitCode> {
    let choice = asks.choice();
    if !matches!(command, Command::Train(_)) {
        ranks::refuse_processes("only gradus train works on several")?;
    }
    match command {
        Command::LrFind(options) => lr_find::run(asks, options),
        Command::Compare(options) => compare::run(options),
        Command::Predict(options) => predict::run(asks, options),
        Command::Evaluate(options) => evaluate::run(asks, options),
        Command::Generate(options) => generate::run(asks, options),
        Command::Train(options) => return train::run(asks, options),
        Command::Info { json } => info::run(&choice, asked, *json),
        Command::Bench(options) => bench::run(&asks.open(&choice)?, asked, options),
        Command::Check(options) => check::run(&choice, asked, options),
        Command::Demo { demo: Demo::Mlp(options) } => demo::run(&asks.engine(Says::Usual)?, options),
        Command::Demo { demo: Demo::Transformer(options) } => {
            demo_transformer::run(&asks.engine(Says::Usual)?, options)
        }
        Command::Demo { demo: Demo::Pictures(options) } => return demo_pictures::run(asks, options),
        Command::Plan(options) => plan::run(asks, options),
        Command::Optimizers(options) => optimizers::run(options),
        Command::Cache(options) => cache::run(options),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "gradus", &mut script);
            say::data(&String::from_utf8(script)?);
            Ok(())
        }
        Command::Schedule { schedule: Schedule::Generate(options) } => schedule::generate(options),
    }?;
    Ok(ExitCode::SUCCESS)
}
