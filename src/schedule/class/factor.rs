//! A named function of the step: what Python users write as a lambda.

use super::python::divide;
use super::{Arguments, Fault, Value};
use std::fmt;
use std::sync::Arc;

/// A function of a scheduler's count n.
#[derive(Clone)]
#[non_exhaustive]
pub enum Factor {
    /// c.
    Constant(f64),
    /// base^n.
    Power(f64),
    /// 1 / (1 + k n).
    Reciprocal(f64),
    /// min(1, (n + 1) / steps).
    Warmup(f64),
    /// The values in turn, then the last one for ever.
    Table(Vec<f64>),
    /// Any other, under a name to show.
    Function(&'static str, Arc<dyn Fn(f64) -> f64 + Send + Sync>),
}

impl Factor {
    /// What a file may say.
    pub(super) const ALLOWED: &'static str = "a function of the step: {type: const, c}, {type: pow, base}, \
         {type: recip, k}, {type: warmup, n} or {type: table, values}";

    /// A function of Rust.
    pub fn function(name: &'static str, function: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Factor {
        Factor::Function(name, Arc::new(function))
    }

    /// Reads `{type: NAME, …}`.
    pub(super) fn read(map: &Arguments) -> Option<Factor> {
        let Some(Value::Text(kind)) = map.get("type") else { return None };
        let number = |key: &str| map.get(key).and_then(Value::number);
        match kind.as_str() {
            "const" => number("c").map(Factor::Constant),
            "pow" => number("base").map(Factor::Power),
            "recip" => number("k").map(Factor::Reciprocal),
            "warmup" => number("n").map(Factor::Warmup),
            "table" => {
                let Some(Value::List(list)) = map.get("values") else { return None };
                let values = list.iter().map(Value::number).collect::<Option<Vec<f64>>>()?;
                (!values.is_empty()).then_some(Factor::Table(values))
            }
            _ => None,
        }
    }

    /// Its value at n.
    pub(super) fn at(&self, n: f64) -> Result<f64, Fault> {
        match self {
            Factor::Constant(value) => Ok(*value),
            Factor::Power(base) => super::python::power(*base, n),
            Factor::Reciprocal(k) => divide(1.0, 1.0 + k * n),
            Factor::Warmup(steps) => Ok(divide(n + 1.0, *steps)?.min(1.0)),
            Factor::Table(values) => {
                let place = (n.max(0.0) as usize).min(values.len().saturating_sub(1));
                values.get(place).copied().ok_or_else(|| Fault::new("a table without values"))
            }
            Factor::Function(_, function) => Ok(function(n)),
        }
    }
}

impl fmt::Debug for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Factor::Constant(value) => write!(f, "{value}"),
            Factor::Power(base) => write!(f, "{base}^n"),
            Factor::Reciprocal(k) => write!(f, "1 / (1 + {k} n)"),
            Factor::Warmup(steps) => write!(f, "min(1, (n + 1) / {steps})"),
            Factor::Table(values) => write!(f, "{values:?}"),
            Factor::Function(name, _) => f.write_str(name),
        }
    }
}
