//! `gradus optimizers`: the update rules, from their declarations. `docs/optimizers.md` is what `--markdown` prints.

use super::asked::refuse;
use super::optimizers_page;
use super::phase_table::aligned;
use super::rates::short;
use super::rules_told::{Told, refused_told};
use super::say::{self, say};
use clap::Args;
use gradus::params::{Refused, Rule};
use std::fmt::Write as _;

#[derive(Args)]
#[command(after_help = "Examples:\n  gradus optimizers\n  gradus optimizers lion\n  gradus optimizers --json")]
pub(super) struct Optimizers {
    /// The rule to tell all about, by its name in a file or by its class.
    rule: Option<String>,
    /// Write it as JSON.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Write the page docs/optimizers.md.
    #[arg(long, conflicts_with = "rule")]
    markdown: bool,
}

pub(super) fn run(options: &Optimizers) -> anyhow::Result<()> {
    let rules = match &options.rule {
        Some(name) => vec![named(name)?],
        None => Rule::ALL.to_vec(),
    };
    let told: Vec<Told> = rules.into_iter().map(Told::of).collect();
    if options.json {
        let told = match options.rule {
            Some(_) => serde_json::json!({"optimizers": told}),
            None => serde_json::json!({"optimizers": told, "not_built": refused_told()}),
        };
        say::data(&format!("{told:#}\n"));
    } else if options.markdown {
        say::data(&optimizers_page::page(&told)?);
    } else if let (Some(_), [one]) = (&options.rule, &told[..]) {
        say::out(&detail(one)?);
    } else {
        say::out(&table(&told));
        say!("bytes are those of a parameter in f32: held beside it, and moved by a step");
        say!("`gradus optimizers NAME` tells formula, fields and ranges");
    }
    Ok(())
}

/// The rule of this name, or of the class of this name.
fn named(name: &str) -> anyhow::Result<Rule> {
    let is_class =
        |rule: &Rule| rule.classes().iter().any(|path| *path == name || path.rsplit('.').next() == Some(name));
    if let Some(rule) = Rule::named(name).or_else(|| Rule::ALL.into_iter().find(is_class)) {
        return Ok(rule);
    }
    if let Some(refused) = Refused::named(name) {
        let (rule, with) = refused.instead;
        let nearest = format!("{rule} {with}");
        refuse!("{} is not built: {}; the nearest is {}", refused.class, refused.why, nearest.trim_end());
    }
    let known = Rule::ALL.map(Rule::name);
    let hint = gradus::params::nearest(name, known);
    let hint = hint.map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?"));
    refuse!("no optimizer is named {:?}{hint}; there are {}", gradus::params::Shown(name), known.join(", "));
}

/// A line for each rule.
fn table(told: &[Told]) -> String {
    let head = ["type", "state", "step", "moments", "class", "fields and switches"].map(str::to_owned).to_vec();
    let line = |told: &Told| {
        let fields = told.fields.iter().map(|field| format!("{} {}", field.name, short(field.default)));
        let fields: Vec<String> = fields.chain(told.switches.iter().map(|switch| (*switch).to_owned())).collect();
        let bytes = |bytes: f64| format!("{bytes} B");
        let (state, step) = (bytes(told.state_bytes), bytes(told.step_bytes));
        vec![told.name.to_owned(), state, step, told.moments.join(" "), told.classes.join(", "), fields.join(", ")]
    };
    aligned(&[head].into_iter().chain(told.iter().map(line)).collect::<Vec<_>>())
}

/// All about one rule.
fn detail(told: &Told) -> Result<String, std::fmt::Error> {
    let mut text = format!("{} ({})\n\n", told.name, told.classes.join(", "));
    for line in &told.formula {
        writeln!(text, "  {line}")?;
    }
    writeln!(text, "\ndecay {}\n", told.decay)?;
    let fields = told.fields.iter();
    let fields = fields.map(|field| vec![field.name.to_owned(), short(field.default), field.allowed.to_owned()]);
    text.push_str(&aligned(&fields.collect::<Vec<_>>()));
    for switch in &told.switches {
        writeln!(text, "{switch}: true or false")?;
    }
    let is = |is_so: bool| if is_so { "yes" } else { "no" };
    writeln!(
        text,
        "\nstate: {} ({} bytes a parameter, in {})",
        told.state.join(", "),
        told.state_bytes,
        told.moments.join(" or ")
    )?;
    writeln!(text, "moved by a step: {} bytes a parameter", told.step_bytes)?;
    writeln!(text, "parameters in bf16: {}; ema_decay: {}", is(told.bf16_parameters), is(told.ema_decay))?;
    for difference in told.differences {
        writeln!(text, "differs from its class: {difference}")?;
    }
    Ok(text)
}
