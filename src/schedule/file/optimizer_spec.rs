//! An optimizer, as a file says it.

use super::place::Place;
use super::raw::Raw;
use super::section::{Section, so_many_numbers};
use crate::params::{self, Field, Row, Rule, Storage, Switch, nearest};
use crate::schedule::Error;
use crate::schedule::class::{Arguments, Value};

/// An optimizer that a schedule asks for: what its groups start with.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerSpec {
    /// The hyper-parameters of its groups.
    pub row: Row,
    /// As it stands in the file.
    pub(in crate::schedule) raw: Raw,
}

impl OptimizerSpec {
    /// The section `optimizer`: the row that groups start with, and `no_decay`.
    pub(in crate::schedule) fn read(mut section: Section) -> Result<(Row, Vec<String>), Error> {
        let names = Rule::ALL.map(Rule::name);
        if section.has("class_path") {
            let told = format!(
                "type: names the optimizer, {} or {}",
                names[..names.len() - 1].join(", "),
                names[names.len() - 1]
            );
            return Err(section.misplaced("class_path", &told));
        }
        // Without a valid type, AdamW's keys may be meant.
        let asked = section.peek("type").and_then(Rule::named).unwrap_or_default();
        section.only(&keys_of(asked))?;
        let name = section.word("type", &names)?;
        let mut row = Row::of(Rule::named(name).unwrap_or_default());
        let betas = betas_of(&row);
        if !betas.is_empty() {
            let given = section.list_of("betas", &betas.iter().map(|beta| row.get(*beta)).collect::<Vec<_>>())?;
            row = betas.into_iter().zip(given).fold(row, |row, (beta, value)| row.with(beta, value));
        }
        for field in others_of(&row) {
            row = row.with(field, section.number(field.name(), row.get(field))?);
        }
        if has_dampening(row.rule) {
            row.dampening = section.number("dampening", row.dampening)?;
        }
        if row.rule.storages().len() > 1 {
            let names: Vec<&str> = row.rule.storages().iter().map(|storage| storage.name()).collect();
            let moments = section.word_or_first("moments", &names)?;
            row.moments = Storage::ALL.into_iter().find(|storage| storage.name() == moments).unwrap_or_default();
        }
        for switch in row.rule.switches() {
            *switch.of(&mut row) = section.flag(switch.name())?;
        }
        row.clip_norm = section.optional("clip_norm")?;
        row.ema_decay = section.optional("ema_decay")?;
        check(&section, &row)?;
        Ok((row, section.texts("no_decay")?))
    }

    /// The same where gradients are clipped to this norm: that is the run's, as it is the trainer's in Lightning.
    pub(in crate::schedule) fn clipping_to(self, clip_norm: Option<f64>) -> OptimizerSpec {
        OptimizerSpec { row: Row { clip_norm, ..self.row }, ..self }
    }

    /// The `new_optimizer` of a phase, as finetuning-scheduler writes it: `optimizer_init` with `class_path` and
    /// `init_args`.
    pub(in crate::schedule) fn read_new(mut section: Section) -> Result<OptimizerSpec, Error> {
        section.only(&["optimizer_init"])?;
        let raw = section.raw();
        let mut init = section.section("optimizer_init", "it names the optimizer: class_path and init_args")?;
        init.only(&["class_path", "init_args"])?;
        let (class, arguments, place) = (init.text("class_path")?, init.arguments("init_args")?, init.place());
        let row = of_class(&place, &class, &arguments)?;
        Ok(OptimizerSpec { row, raw })
    }
}

/// The betas of a rule, which stand in one list.
fn betas_of(row: &Row) -> Vec<Field> {
    row.fields().filter(|field| field.is_beta()).collect()
}

/// Its other fields, each a key of its own.
fn others_of(row: &Row) -> Vec<Field> {
    let is_other = |field: &Field| !field.is_beta() && ![Field::ClipNorm, Field::EmaDecay].contains(field);
    row.fields().filter(is_other).collect()
}

fn has_dampening(rule: Rule) -> bool {
    rule.switches().contains(&Switch::Nesterov)
}

/// The keys of the section, by the rule.
fn keys_of(rule: Rule) -> Vec<&'static str> {
    let row = Row::of(rule);
    let has_betas = !betas_of(&row).is_empty();
    let (rates, others): (Vec<Field>, Vec<Field>) =
        others_of(&row).into_iter().partition(|field| matches!(field, Field::Lr | Field::WeightDecay));
    let mut keys = vec!["type"];
    keys.extend(rates.into_iter().map(Field::name));
    keys.extend(has_betas.then_some("betas"));
    keys.extend(others.into_iter().map(Field::name));
    keys.extend(has_dampening(rule).then_some("dampening"));
    keys.extend(rule.switches().iter().map(|switch| switch.name()));
    keys.extend((rule.storages().len() > 1).then_some("moments"));
    keys.extend(["clip_norm", "ema_decay", "no_decay"]);
    keys
}

fn check(section: &Section, row: &Row) -> Result<(), Error> {
    let Err(error) = row.check_start("") else { return Ok(()) };
    match error {
        params::Error::BadValue { field, allowed, .. } if field.is_beta() => {
            let betas = betas_of(row);
            let values: Vec<String> = betas.iter().map(|beta| row.get(*beta).to_string()).collect();
            let allowed = format!("{} {allowed}", so_many_numbers(betas.len()));
            Err(section.bad("betas", format!("[{}]", values.join(", ")), &allowed, None))
        }
        params::Error::BadValue { field, value, allowed, .. } => {
            Err(section.bad(field.name(), value.to_string(), allowed, None))
        }
        params::Error::BadDampening { dampening, .. } => {
            Err(section.bad("dampening", dampening.to_string(), "a finite number", None))
        }
        params::Error::BadNesterov { momentum, dampening, .. } => {
            let why =
                format!("needs a momentum above 0 and no dampening (momentum: {momentum}, dampening: {dampening})");
            Err(section.unfit("nesterov", "true", why))
        }
        params::Error::NoAverage { rule, .. } => {
            let why =
                format!("cannot be with type: {rule}: an average beside its state is more than a kernel can bind");
            Err(section.unfit("ema_decay", row.get(Field::EmaDecay).to_string(), why))
        }
        other => Err(section.bad("type", other.to_string(), "a valid optimizer", None)),
    }
}

/// The paths of all classes, and what they are here.
fn classes() -> impl Iterator<Item = (&'static str, Rule)> {
    Rule::ALL.into_iter().flat_map(|rule| rule.classes().iter().map(move |path| (*path, rule)))
}

/// Arguments that say how PyTorch computes, not what.
const HOW: [&str; 4] = ["foreach", "capturable", "differentiable", "fused"];

/// The row of a class of `torch.optim` with these arguments.
fn of_class(place: &Place, class: &str, arguments: &Arguments) -> Result<Row, Error> {
    let known = classes().find(|(path, _)| *path == class || path.rsplit('.').next() == Some(class));
    let Some((path, rule)) = known else {
        let paths: Vec<&str> = classes().map(|(path, _)| path).collect();
        let allowed = format!("built; there are {}", paths.join(", "));
        return Err(place.bad_near("class_path", class, allowed, nearest(class, paths)));
    };
    let mut row = Row::of(rule);
    for (key, value) in arguments.iter().filter(|(key, _)| !HOW.contains(key)) {
        match put(&mut row, key, value) {
            Some(Ok(())) => {}
            Some(Err(allowed)) => return Err(place.bad(&format!("init_args.{key}"), value, allowed)),
            None => {
                let known = row.fields().map(Field::name).chain(["betas", "dampening"]);
                let known = known.chain(rule.switches().iter().map(|switch| switch.name()));
                let allowed = format!("an argument of {path}");
                return Err(place.bad_near("init_args", key, allowed, nearest(key, known)));
            }
        }
    }
    match row.check_start("") {
        Ok(()) => Ok(row),
        Err(params::Error::BadValue { field, value, allowed, .. }) => {
            Err(place.bad(&format!("init_args.{field}"), value, allowed))
        }
        Err(other) => Err(place.bad("init_args", other, "a valid optimizer")),
    }
}

/// Puts an argument into the row; what would be accepted where it does not fit, `None` for an argument that the rule does
/// not have.
fn put(row: &mut Row, key: &str, value: &Value) -> Option<Result<(), String>> {
    if let Some(switch) = row.rule.switches().iter().find(|switch| switch.name() == key) {
        let Value::Bool(given) = value else { return Some(Err("true or false".to_owned())) };
        *switch.of(row) = *given;
        return Some(Ok(()));
    }
    let betas = betas_of(row);
    if key == "betas" && !betas.is_empty() {
        let list = if let Value::List(list) = value { &list[..] } else { &[] };
        let numbers: Option<Vec<f64>> = list.iter().map(Value::number).collect();
        let Some(numbers) = numbers.filter(|numbers| numbers.len() == betas.len()) else {
            return Some(Err(format!("a list of {}", so_many_numbers(betas.len()))));
        };
        *row = betas.into_iter().zip(numbers).fold(*row, |row, (beta, value)| row.with(beta, value));
        return Some(Ok(()));
    }
    let field = others_of(row).into_iter().find(|field| field.name() == key);
    let is_dampening = key == "dampening" && has_dampening(row.rule);
    if field.is_none() && !is_dampening {
        return None;
    }
    let Some(number) = value.number() else { return Some(Err("a number".to_owned())) };
    match field {
        Some(field) => *row = row.with(field, number),
        None => row.dampening = number,
    }
    Some(Ok(()))
}
