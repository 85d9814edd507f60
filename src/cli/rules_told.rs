//! What there is to know of the update rules, from their declarations.

use gradus::optim::{Forecast, Settings};
use gradus::params::{Field, Param, Refused, Row, Rule};

/// What there is to know of a rule.
#[derive(serde::Serialize)]
pub(super) struct Told {
    #[serde(rename = "type")]
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) classes: &'static [&'static str],
    pub(super) formula: Vec<&'static str>,
    pub(super) decay: &'static str,
    pub(super) fields: Vec<FieldTold>,
    pub(super) switches: Vec<&'static str>,
    pub(super) state: Vec<String>,
    pub(super) state_bytes: f64,
    pub(super) step_bytes: f64,
    pub(super) moments: Vec<&'static str>,
    pub(super) bf16_parameters: bool,
    pub(super) ema_decay: bool,
    pub(super) differences: &'static [&'static str],
}

#[derive(serde::Serialize)]
pub(super) struct FieldTold {
    pub(super) name: &'static str,
    pub(super) default: f64,
    pub(super) allowed: &'static str,
}

/// A class that is not built.
#[derive(serde::Serialize)]
pub(super) struct RefusedTold {
    pub(super) class: &'static str,
    pub(super) why: &'static str,
    pub(super) nearest: String,
}

/// Rows and columns of the matrix over which bytes are counted: whole chunks, so that nothing is rounded up.
const SHAPE: [usize; 2] = [1024, 1024];

impl Told {
    pub(super) fn of(rule: Rule) -> Told {
        let row = Row::of(rule);
        let (forecast, param) = (Forecast::of(&[row], &Settings::default()), [Param::new("p", SHAPE)]);
        let each = |bytes: u64| bytes as f64 / SHAPE.iter().product::<usize>() as f64;
        let optional = rule.optional_slot();
        let slot = |slot: &str| match optional {
            Some((switch, name)) if name == slot => format!("{slot} (with {switch})"),
            _ => slot.to_owned(),
        };
        let field = |field: Field| FieldTold { name: field.name(), default: row.get(field), allowed: field.allowed() };
        Told {
            name: rule.name(),
            title: rule.title(),
            classes: rule.classes(),
            formula: rule.formula().collect(),
            decay: rule.decay(),
            fields: row.fields().map(field).collect(),
            switches: rule.switches().iter().map(|switch| switch.name()).collect(),
            state: rule.slots().map(slot).collect(),
            state_bytes: each(forecast.state_bytes(&param)),
            step_bytes: each(forecast.step_bytes(&param)),
            moments: rule.storages().iter().map(|storage| storage.name()).collect(),
            bf16_parameters: rule.stores_bf16(),
            ema_decay: rule.keeps_average(),
            differences: rule.differences(),
        }
    }
}

pub(super) fn refused_told() -> Vec<RefusedTold> {
    let told = |refused: &Refused| {
        let (rule, with) = refused.instead;
        RefusedTold { class: refused.class, why: refused.why, nearest: format!("{rule} {with}").trim_end().to_owned() }
    };
    Refused::all().iter().map(told).collect()
}
