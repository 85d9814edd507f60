//! An optimizer, as a file says it.

use super::Error;
use super::class::{Arguments, Value};
use super::yaml::{Place, Section};
use crate::params::{Row, nearest};

/// An optimizer that a schedule asks for: what its groups start with.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerSpec {
    /// The hyper-parameters of its groups.
    pub row: Row,
    pub(super) place: Place,
}

impl OptimizerSpec {
    /// The `new_optimizer` of a phase, as finetuning-scheduler writes it: `optimizer_init` with `class_path` and
    /// `init_args`.
    pub(super) fn read_new(mut section: Section) -> Result<OptimizerSpec, Error> {
        section.only(&["optimizer_init"])?;
        let mut init = section.section("optimizer_init", "it names the optimizer: class_path and init_args")?;
        init.only(&["class_path", "init_args"])?;
        let (class, arguments, place) = (init.text("class_path")?, init.arguments("init_args")?, init.place());
        let row = of_class(&place, &class, &arguments)?;
        Ok(OptimizerSpec { row, place })
    }
}

/// What torch's classes are called here.
const CLASSES: [(&str, Rule); 3] = [("AdamW", Rule::AdamW), ("Adam", Rule::Adam), ("SGD", Rule::Sgd)];

/// Arguments that choose how PyTorch computes, not what.
const HOW: [&str; 4] = ["foreach", "capturable", "differentiable", "fused"];

/// The row of a class of `torch.optim` with these arguments.
fn of_class(place: &Place, class: &str, arguments: &Arguments) -> Result<Row, Error> {
    let name = class.rsplit('.').next().unwrap_or(class);
    let known = CLASSES.iter().find(|(known, _)| *known == name && (class == name || class.starts_with("torch.optim.")));
    let Some((_, rule)) = known else {
        let names = CLASSES.map(|(name, _)| format!("torch.optim.{name}"));
        let nearest = nearest(class, names.iter().map(String::as_str));
        return Err(place.bad_near("class_path", class, format!("one of {}", names.join(", ")), nearest));
    };
    let mut row = Row::of(*rule);
    for (key, value) in arguments.iter() {
        let misfit = |allowed: &str| Err(place.bad(&format!("init_args.{key}"), value, allowed));
        let number = value.number().filter(|number| number.is_finite());
        match (key, value, number) {
            ("betas", Value::List(list), _) => match list.iter().map(Value::number).collect::<Option<Vec<f64>>>() {
                Some(betas) if betas.len() == 2 && row.has(Field::Beta1) => (row.beta1, row.beta2) = (betas[0], betas[1]),
                _ => return misfit("a list of two numbers"),
            },
            ("amsgrad", Value::Bool(flag), _) if row.has(Field::Beta1) => row.amsgrad = *flag,
            ("nesterov", Value::Bool(flag), _) if row.rule == Rule::Sgd => row.nesterov = *flag,
            ("maximize", Value::Bool(flag), _) => row.maximize = *flag,
            ("dampening", _, Some(number)) if row.rule == Rule::Sgd => row.dampening = number,
            ("dampening" | "amsgrad" | "nesterov" | "maximize" | "betas", ..) if known_to(*rule, key) => {
                return misfit(if matches!(key, "betas") { "a list of two numbers" } else { "of the right type" });
            }
            (how, ..) if HOW.contains(&how) => {}
            _ => match (row.fields().find(|field| field.name() == key), number) {
                (Some(field), Some(number)) => row = row.with(field, number),
                (Some(_), None) => return misfit("a number"),
                (None, _) => return Err(unknown(place, key, *rule, &row)),
            },
        }
    }
    checked(place, row)
}
