//! The keys by which a section says a row: those of its rule.

use super::raw::Raw;
use super::section::{Section, so_many_numbers};
use crate::params::{self, Field, Refused, Row, Rule, Storage, Switch};
use crate::schedule::Error;

/// A Python class, which has a place elsewhere.
pub(super) fn refuse_class(section: &Section) -> Result<(), Error> {
    if !section.has("class_path") {
        return Ok(());
    }
    let names = Rule::ALL.map(Rule::name);
    let (last, others) = names.split_last().unwrap_or((&"", &[]));
    let told = format!("type: names the optimizer, {} or {last}", others.join(", "));
    Err(section.misplaced("class_path", told))
}

/// The rule that `type` names.
pub(super) fn rule_of(section: &mut Section) -> Result<Rule, Error> {
    if let Some((name, refused)) = section.peek("type").and_then(|name| Some((name, Refused::named(name)?))) {
        let (rule, with) = refused.instead;
        let why = format!("is not built: {}; the nearest is {rule}{}", refused.why, behind(with));
        return Err(section.unfit("type", name, why));
    }
    let name = section.word("type", &Rule::ALL.map(Rule::name))?;
    Ok(Rule::named(name).unwrap_or_default())
}

/// What the nearest rule takes, behind its name.
pub(super) fn behind(with: &str) -> String {
    if with.is_empty() { String::new() } else { format!(" {with}") }
}

/// What the keys of the row's rule say; what they do not stays as it is.
pub(super) fn read_row(section: &mut Section, mut row: Row) -> Result<Row, Error> {
    let betas = betas_of(&row);
    if !betas.is_empty() {
        let given = section.list_of("betas", &betas.iter().map(|beta| row.get(*beta)).collect::<Vec<_>>())?;
        row = betas.into_iter().zip(given).fold(row, |row, (beta, value)| row.with(beta, value));
    }
    for field in others_of(&row) {
        row = row.with(field, section.number(field.name(), row.get(field))?);
    }
    if row.rule.has_dampening() {
        row.dampening = section.number("dampening", row.dampening)?;
    }
    if section.has("moments") {
        let names: Vec<&str> = row.rule.storages().iter().map(|storage| storage.name()).collect();
        let moments = section.word("moments", &names)?;
        row.moments = Storage::ALL.into_iter().find(|storage| storage.name() == moments).unwrap_or_default();
    }
    for switch in row.rule.switches() {
        let usual = switch.is_on(&row);
        *switch.of(&mut row) = section.truth(switch.name(), usual)?;
    }
    Ok(row)
}

/// The betas of a rule, which stand in one list.
pub(super) fn betas_of(row: &Row) -> Vec<Field> {
    row.fields().filter(|field| field.is_beta()).collect()
}

/// Its other fields, each a key of its own.
pub(super) fn others_of(row: &Row) -> Vec<Field> {
    let is_other = |field: &Field| !field.is_beta() && ![Field::ClipNorm, Field::EmaDecay].contains(field);
    row.fields().filter(is_other).collect()
}

/// The keys of a rule's own.
pub(super) fn keys_of(rule: Rule) -> Vec<&'static str> {
    let row = Row::of(rule);
    let has_betas = !betas_of(&row).is_empty();
    let (rates, others): (Vec<Field>, Vec<Field>) =
        others_of(&row).into_iter().partition(|field| matches!(field, Field::Lr | Field::WeightDecay));
    let mut keys: Vec<&str> = rates.into_iter().map(Field::name).collect();
    keys.extend(has_betas.then_some("betas"));
    keys.extend(others.into_iter().map(Field::name));
    keys.extend(rule.has_dampening().then_some("dampening"));
    keys.extend(rule.switches().iter().map(|switch| switch.name()));
    keys.extend((rule.storages().len() > 1).then_some("moments"));
    keys
}

/// A row as the keys that say it.
pub(in crate::schedule) fn raw_of(row: &Row) -> Raw {
    let mut section = Raw::default().with("type", row.rule.name());
    for field in others_of(row) {
        section = section.with(field.name(), row.get(field));
    }
    let betas: Vec<f64> = betas_of(row).into_iter().map(|field| row.get(field)).collect();
    if !betas.is_empty() {
        section = section.with("betas", betas);
    }
    if row.rule.storages().len() > 1 {
        section = section.with("moments", row.moments.name());
    }
    if row.rule.has_dampening() {
        section = section.with("dampening", row.dampening).with("nesterov", row.nesterov);
    }
    let usual = Row::of(row.rule);
    let has_been = |switch: &Switch| *switch == Switch::Nesterov && row.rule.has_dampening();
    let is_told = |switch: &&Switch| !has_been(switch) && switch.is_on(row) != switch.is_on(&usual);
    let told = row.rule.switches().iter().filter(is_told);
    told.fold(section, |section, switch| section.with(switch.name(), switch.is_on(row)))
}

pub(super) fn check(section: &Section, row: &Row) -> Result<(), Error> {
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
