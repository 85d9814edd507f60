//! An optimizer by the name of a Python class, with that class's arguments.

use super::place::Place;
use super::row_keys::{behind, betas_of, others_of};
use super::section::so_many_numbers;
use crate::params::{self, Field, Refused, Row, Rule, Switch, nearest};
use crate::schedule::Error;
use crate::schedule::class::{Arguments, Value};

/// The paths of all classes, and what they are here.
fn classes() -> impl Iterator<Item = (&'static str, Rule)> {
    Rule::ALL.into_iter().flat_map(|rule| rule.classes().iter().map(move |path| (*path, rule)))
}

/// Arguments that say how PyTorch computes, not what.
const HOW: [&str; 4] = ["foreach", "capturable", "differentiable", "fused"];

/// The argument of `torch.optim.Muon` that a switch stands for.
const CHOICE: &str = "adjust_lr_fn";

/// The argument of a class that may be a pair of epsilons, and what such a pair is.
const EPS: &str = "eps";
const PAIR: &str = "a pair of numbers, or of None and a number";

/// The row of a class of `torch.optim` with these arguments.
pub(super) fn of_class(place: &Place, class: &str, arguments: &Arguments) -> Result<Row, Error> {
    let known = classes().find(|(path, _)| *path == class || path.rsplit('.').next() == Some(class));
    if let (None, Some(refused)) = (known, Refused::named(class)) {
        let (rule, with) = refused.instead;
        let nearest = rule.classes().first().unwrap_or(&"");
        let why = format!("is not built: {}; the nearest is {nearest}{}", refused.why, behind(with));
        return Err(place.unfit("class_path", class, why));
    }
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
    if let Some(switch) = row.rule.switches().iter().find(|switch| switch.is_called(key)) {
        let Value::Bool(given) = value else { return Some(Err("true or false".to_owned())) };
        *switch.of(row) = *given;
        return Some(Ok(()));
    }
    // A choice by a switch's name, or the usual one.
    if let (CHOICE, true) = (key, row.rule.switches().contains(&Switch::MatchRmsAdamw)) {
        row.match_rms_adamw = match value {
            Value::None => false,
            Value::Text(name) if name == "original" => false,
            Value::Text(name) if name == Switch::MatchRmsAdamw.name() => true,
            _ => return Some(Err(format!("original or {}", Switch::MatchRmsAdamw))),
        };
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
    // A class with two epsilons has both in one pair, whose None is the usual.
    if let (EPS, true, Value::List(pair)) = (key, row.has(Field::Eps2), value) {
        let number = |value: &Value, usual: f64| if *value == Value::None { Some(usual) } else { value.number() };
        let [eps, eps2] = &pair[..] else { return Some(Err(PAIR.to_owned())) };
        let (Some(eps), Some(eps2)) = (number(eps, row.eps), eps2.number()) else { return Some(Err(PAIR.to_owned())) };
        *row = row.eps(eps).eps2(eps2);
        return Some(Ok(()));
    }
    let field = others_of(row).into_iter().find(|field| field.name() == key);
    let is_dampening = key == "dampening" && row.rule.has_dampening();
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
