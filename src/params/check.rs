//! What a row may hold.

use super::{Error, Field, Param, Row, Rule};

impl Row {
    /// Checks every field that the row has.
    ///
    /// # Errors
    /// [`Error::BadValue`] with the field and value, and `group` as the group's name.
    pub fn check(&self, group: &str) -> Result<(), Error> {
        self.fields().try_for_each(|field| field.check(group, self.get(field)))
    }

    /// Checks a row that a group starts with: its fields, and what is fixed from the start. As in PyTorch, a schedule may
    /// later take the momentum of a Nesterov group to 0.
    ///
    /// # Errors
    /// As [`Row::check`]; [`Error::BadDampening`], [`Error::BadNesterov`], [`Error::BadStorage`], [`Error::NoAverage`].
    pub fn check_start(&self, group: &str) -> Result<(), Error> {
        self.check(group)?;
        let Row { rule, momentum, dampening, nesterov, moments, .. } = *self;
        let group = group.to_owned();
        let has_dampening = rule.has_dampening();
        match rule {
            _ if has_dampening && !(dampening as f32).is_finite() => Err(Error::BadDampening { group, dampening }),
            _ if has_dampening && nesterov && (momentum == 0.0 || dampening != 0.0) => {
                Err(Error::BadNesterov { group, momentum, dampening })
            }
            _ if !rule.storages().contains(&moments) => Err(Error::BadStorage { group, rule, moments }),
            _ if self.ema_decay.is_some() && !rule.keeps_average() => Err(Error::NoAverage { group, rule }),
            _ => Ok(()),
        }
    }
}

impl Rule {
    /// Refuses a parameter that it is not for.
    ///
    /// # Errors
    /// [`Error::NotAMatrix`].
    pub fn check_param(self, param: &Param) -> Result<(), Error> {
        if !self.needs_matrices() || param.shape.len() == 2 {
            return Ok(());
        }
        Err(Error::NotAMatrix { param: param.name.clone(), shape: param.shape.clone(), rule: self })
    }
}

impl Field {
    /// Refuses a value that the field does not allow.
    ///
    /// # Errors
    /// [`Error::BadValue`] with `group` as the group's name.
    pub fn check(self, group: &str, value: f64) -> Result<(), Error> {
        if self.allows(value) {
            return Ok(());
        }
        Err(Error::BadValue { group: group.to_owned(), field: self, value, allowed: self.allowed() })
    }
}
