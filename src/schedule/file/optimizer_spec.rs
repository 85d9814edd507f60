//! An optimizer, as a file says it.

use super::place::Place;
use super::raw::Raw;
use super::section::Section;
use crate::params::{self, Field, Row, Rule, Storage, nearest};
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
        if section.has("class_path") {
            return Err(section.misplaced("class_path", "type: names the optimizer, adamw, adam or sgd"));
        }
        let names = Rule::ALL.map(Rule::name);
        // Without a valid type, keys of both kinds may be meant.
        let is_sgd = section.peek("type") == Some(Rule::Sgd.name());
        section.only(if is_sgd { &SGD } else { &ADAM })?;
        let name = section.word("type", &names)?;
        let mut row = Row::of(Rule::ALL.into_iter().find(|rule| rule.name() == name).unwrap_or_default());
        if row.rule == Rule::Sgd {
            row.momentum = section.number("momentum", row.momentum)?;
            row.dampening = section.number("dampening", row.dampening)?;
            row.nesterov = section.flag("nesterov")?;
        } else {
            (row.beta1, row.beta2) = section.pair("betas", (row.beta1, row.beta2))?;
            row.eps = section.number("eps", row.eps)?;
            let moments = section.word_or_first("moments", &Storage::ALL.map(Storage::name))?;
            row.moments = Storage::ALL.into_iter().find(|storage| storage.name() == moments).unwrap_or_default();
            row.amsgrad = section.flag("amsgrad")?;
        }
        row.maximize = section.flag("maximize")?;
        row.lr = section.number("lr", row.lr)?;
        row.weight_decay = section.number("weight_decay", row.weight_decay)?;
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

/// The keys of the section, by the rule.
const ADAM: [&str; 11] = [
    "type",
    "lr",
    "weight_decay",
    "betas",
    "eps",
    "amsgrad",
    "maximize",
    "moments",
    "clip_norm",
    "ema_decay",
    "no_decay",
];
const SGD: [&str; 10] = [
    "type",
    "lr",
    "weight_decay",
    "momentum",
    "dampening",
    "nesterov",
    "maximize",
    "clip_norm",
    "ema_decay",
    "no_decay",
];

fn check(section: &Section, row: &Row) -> Result<(), Error> {
    let Err(error) = row.check_start("") else { return Ok(()) };
    match error {
        params::Error::BadValue { field: Field::Beta1 | Field::Beta2, allowed, .. } => {
            let value = format!("[{}, {}]", row.beta1, row.beta2);
            Err(section.bad("betas", value, &format!("two numbers {allowed}"), None))
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
        other => Err(section.bad("type", other.to_string(), "a valid optimizer", None)),
    }
}

/// Classes of torch.optim, and what they are here.
const CLASSES: [(&str, Rule); 3] =
    [("torch.optim.AdamW", Rule::AdamW), ("torch.optim.Adam", Rule::Adam), ("torch.optim.SGD", Rule::Sgd)];

/// Arguments that say how PyTorch computes, not what.
const HOW: [&str; 4] = ["foreach", "capturable", "differentiable", "fused"];

/// The row of a class of `torch.optim` with these arguments.
fn of_class(place: &Place, class: &str, arguments: &Arguments) -> Result<Row, Error> {
    let known = CLASSES.iter().find(|(path, _)| *path == class || path.rsplit('.').next() == Some(class));
    let Some((path, rule)) = known else {
        let paths = CLASSES.map(|(path, _)| path);
        let allowed = format!("built; there are {}", paths.join(", "));
        return Err(place.bad_near("class_path", class, allowed, nearest(class, paths)));
    };
    let mut row = Row::of(*rule);
    for (key, value) in arguments.iter().filter(|(key, _)| !HOW.contains(key)) {
        match put(&mut row, key, value) {
            Some(Ok(())) => {}
            Some(Err(allowed)) => return Err(place.bad(&format!("init_args.{key}"), value, allowed)),
            None => {
                let known =
                    row.fields().map(Field::name).chain(["betas", "amsgrad", "dampening", "nesterov", "maximize"]);
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
fn put(row: &mut Row, key: &str, value: &Value) -> Option<Result<(), &'static str>> {
    let (adam, sgd) = (row.rule != Rule::Sgd, row.rule == Rule::Sgd);
    let flag = match key {
        "amsgrad" if adam => Some(&mut row.amsgrad),
        "nesterov" if sgd => Some(&mut row.nesterov),
        "maximize" => Some(&mut row.maximize),
        _ => None,
    };
    if let Some(flag) = flag {
        let Value::Bool(given) = value else { return Some(Err("true or false")) };
        *flag = *given;
        return Some(Ok(()));
    }
    if key == "betas" && adam {
        let Value::List(list) = value else { return Some(Err("a list of two numbers")) };
        let numbers: Option<Vec<f64>> = list.iter().map(Value::number).collect();
        let Some(&[beta1, beta2]) = numbers.as_deref() else { return Some(Err("a list of two numbers")) };
        (row.beta1, row.beta2) = (beta1, beta2);
        return Some(Ok(()));
    }
    let field = row.fields().find(|field| field.name() == key && !matches!(field, Field::Beta1 | Field::Beta2));
    let is_dampening = key == "dampening" && sgd;
    if field.is_none() && !is_dampening {
        return None;
    }
    let Some(number) = value.number() else { return Some(Err("a number")) };
    match field {
        Some(field) => *row = row.with(field, number),
        None => row.dampening = number,
    }
    Some(Ok(()))
}
