//! The row: one group's hyper-parameters at one step.

use super::Error;
use std::fmt;

/// Hyper-parameters of AdamW, with the names and defaults of `torch.optim.AdamW`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Learning rate, ≥ 0.
    pub lr: f64,
    /// Weight decay, ≥ 0.
    pub weight_decay: f64,
    /// Decay rate of the first moment, in [0, 1).
    pub beta1: f64,
    /// Decay rate of the second moment, in [0, 1).
    pub beta2: f64,
    /// Added to the root of the second moment after bias correction, ≥ 0.
    pub eps: f64,
    /// Divide by the largest second moment so far (Reddi et al. 2018).
    pub amsgrad: bool,
    /// Climb instead of descend.
    pub maximize: bool,
    /// True is AdamW: decay acts on the parameter. False is Adam: decay joins the gradient.
    pub decoupled: bool,
}

impl Default for Row {
    fn default() -> Row {
        Row {
            lr: 1e-3,
            weight_decay: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            amsgrad: false,
            maximize: false,
            decoupled: true,
        }
    }
}

/// A field of a row that a law may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// Learning rate.
    Lr,
    /// Weight decay.
    WeightDecay,
    /// Decay rate of the first moment.
    Beta1,
    /// Decay rate of the second moment.
    Beta2,
    /// Epsilon.
    Eps,
}

impl Field {
    /// Every field.
    pub const ALL: [Field; 5] = [Field::Lr, Field::WeightDecay, Field::Beta1, Field::Beta2, Field::Eps];

    /// Its name in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Field::Lr => "lr",
            Field::WeightDecay => "weight_decay",
            Field::Beta1 => "beta1",
            Field::Beta2 => "beta2",
            Field::Eps => "eps",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Row {
    /// The value of a field.
    pub fn get(&self, field: Field) -> f64 {
        match field {
            Field::Lr => self.lr,
            Field::WeightDecay => self.weight_decay,
            Field::Beta1 => self.beta1,
            Field::Beta2 => self.beta2,
            Field::Eps => self.eps,
        }
    }

    /// The row with one field changed.
    #[must_use]
    pub fn with(mut self, field: Field, value: f64) -> Row {
        match field {
            Field::Lr => self.lr = value,
            Field::WeightDecay => self.weight_decay = value,
            Field::Beta1 => self.beta1 = value,
            Field::Beta2 => self.beta2 = value,
            Field::Eps => self.eps = value,
        }
        self
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::BadValue`] with the field and value, and `group` as the group's name.
    pub fn check(&self, group: &str) -> Result<(), Error> {
        for field in Field::ALL {
            let value = self.get(field);
            let (ok, allowed) = match field {
                Field::Beta1 | Field::Beta2 => ((0.0..1.0).contains(&value), "in [0, 1)"),
                Field::Lr | Field::WeightDecay | Field::Eps => {
                    // As the device sees it, in f32.
                    ((value as f32).is_finite() && value >= 0.0, "a finite number that is 0 or more")
                }
            };
            if !ok {
                return Err(Error::BadValue { group: group.to_owned(), field, value, allowed });
            }
        }
        Ok(())
    }
}
