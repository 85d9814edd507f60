//! What a schedule file says, as typed values.
//!
//! So far the sections `optimizer` and `lr_scheduler`; phases are not read yet.

use super::yaml::Section;
use super::{Error, FieldLaw, LawSpec, Run, checked_rows};
use crate::params::{Field, Row, Rule};

/// A schedule file.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// `optimizer`: the hyper-parameters that groups start with.
    pub row: Row,
    /// `optimizer.no_decay`: parameters whose name contains one of these have no weight decay.
    pub no_decay: Vec<String>,
    /// `lr_scheduler`, then `laws`.
    pub laws: Vec<LawSpec>,
}

impl Spec {
    /// Reads a schedule; `file` is the name that errors give it.
    ///
    /// # Errors
    /// [`Error`] naming file, key and value, and the nearest valid one.
    pub fn parse(file: &str, text: &str) -> Result<Spec, Error> {
        let mut top = Section::parse(file, text)?;
        let (row, no_decay) = read_optimizer(top.section("optimizer")?)?;
        let mut laws = vec![LawSpec::read(top.section("lr_scheduler")?, Field::Lr)?];
        for mut section in top.sections("laws")? {
            if section.is("field", "clip_norm") && !row.has(Field::ClipNorm) {
                let allowed = "a field here: give optimizer.clip_norm, from which it starts";
                return Err(section.bad("field", "clip_norm".to_owned(), allowed, None));
            }
            let name = section.word("field", &row.fields().map(Field::name).collect::<Vec<_>>())?;
            let field = Field::ALL.into_iter().find(|field| field.name() == name).unwrap_or(Field::Lr);
            if laws.iter().any(|law| law.moves(field)) {
                let allowed = "a field that no law moves yet";
                return Err(section.bad("field", name.to_owned(), allowed, None));
            }
            laws.push(LawSpec::read(section, field)?);
        }
        if let Some(law) = laws.iter().find(|law| law.moves(Field::Beta1) && !row.has(Field::Beta1)) {
            let allowed = format!("a field of {}: move its momentum by an entry of laws", row.rule);
            return Err(law.place().bad("beta1_min", "beta1", allowed));
        }
        top.finish()?;
        Ok(Spec { row, no_decay, laws })
    }

    /// The laws of a run, for groups with these rows at its start.
    ///
    /// # Errors
    /// [`Error`] naming file, key and value where the run is too short for a law, or where a law counts in epochs and
    /// their length is not known.
    pub fn laws(&self, groups: &[Row], run: Run) -> Result<Vec<FieldLaw>, Error> {
        let mut laws = Vec::new();
        for law in &self.laws {
            laws.extend(law.laws(groups, run)?);
        }
        Ok(laws)
    }

    /// The rows of a whole run, `[steps, groups]`.
    ///
    /// # Errors
    /// As [`laws`](Spec::laws), and [`Error::BadRow`] where a law gives what its field does not allow.
    pub fn table(&self, groups: &[Row], steps: u64, steps_per_epoch: Option<u64>) -> Result<Vec<Row>, Error> {
        let laws = self.laws(groups, Run { steps, steps_per_epoch })?;
        checked_rows(groups, &laws, 0, steps)
    }
}

/// The row that groups start with, and `no_decay`.
fn read_optimizer(mut optimizer: Section) -> Result<(Row, Vec<String>), Error> {
    let name = optimizer.word("type", &Rule::ALL.map(Rule::name))?;
    let mut row = Row::of(Rule::ALL.into_iter().find(|rule| rule.name() == name).unwrap_or_default());
    if row.rule == Rule::Sgd {
        row.momentum = optimizer.number("momentum", row.momentum)?;
        row.dampening = optimizer.number("dampening", row.dampening)?;
        row.nesterov = optimizer.flag("nesterov")?;
    } else {
        (row.beta1, row.beta2) = optimizer.pair("betas", (row.beta1, row.beta2))?;
    }
    row.lr = optimizer.number("lr", row.lr)?;
    row.weight_decay = optimizer.number("weight_decay", row.weight_decay)?;
    if row.has(Field::Eps) {
        row.eps = optimizer.number("eps", row.eps)?;
    }
    row.clip_norm = optimizer.optional("clip_norm")?;
    let no_decay = optimizer.texts("no_decay")?;
    check(&optimizer, &row)?;
    optimizer.finish()?;
    Ok((row, no_decay))
}

fn check(section: &Section, row: &Row) -> Result<(), Error> {
    let Err(error) = row.check_start("") else { return Ok(()) };
    match error {
        crate::params::Error::BadValue { field: Field::Beta1 | Field::Beta2, allowed, .. } => {
            let value = format!("[{}, {}]", row.beta1, row.beta2);
            Err(section.bad("betas", value, &format!("two numbers {allowed}"), None))
        }
        crate::params::Error::BadValue { field, value, allowed, .. } => {
            Err(section.bad(field.name(), value.to_string(), allowed, None))
        }
        crate::params::Error::BadDampening { dampening, .. } => {
            Err(section.bad("dampening", dampening.to_string(), "a finite number", None))
        }
        crate::params::Error::BadNesterov { momentum, dampening, .. } => {
            let allowed = format!(
                "allowed here: it needs a momentum above 0 and no dampening (momentum: {momentum}, dampening: {dampening})"
            );
            Err(section.bad("nesterov", "true".to_owned(), &allowed, None))
        }
        other => Err(section.bad("type", other.to_string(), "a valid optimizer", None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_file_key_value_and_the_nearest() {
        let told = |text: &str| Spec::parse("run.yaml", text).unwrap_err().to_string();
        let rest = "\nlr_scheduler: {type: cosine}";
        assert_eq!(
            told(&format!("optimizer: {{type: adamv}}{rest}")),
            "run.yaml: optimizer.type = adamv is not one of adamw, adam, sgd (did you mean \"adamw\"?)"
        );
        assert_eq!(
            told(&format!("optimizer: {{type: adamw, weigth_decay: 1}}{rest}")),
            "run.yaml: optimizer.weigth_decay is not a known key (did you mean \"weight_decay\"?); \
             known are type, betas, lr, weight_decay, eps, clip_norm, no_decay"
        );
        assert_eq!(
            told(&format!("optimizer: {{type: adamw, lr: .nan}}{rest}")),
            "run.yaml: optimizer.lr = NaN is not a finite number that is 0 or more"
        );
        assert!(told("optimizer: {type: adamw, lr: 1, lr: 2}").contains("duplicate entry"));
        assert_eq!(told("optimizer: {type: adamw}"), "run.yaml: lr_scheduler.type is missing");
    }

    #[test]
    fn text_that_reads_as_a_number_is_one() {
        let spec = Spec::parse("", "optimizer: {type: adamw, lr: 1e-4}\nlr_scheduler: {type: constant}").unwrap();
        let run = Run { steps: 3, steps_per_epoch: None };
        assert_eq!(spec.row.lr, 1e-4);
        assert_eq!(spec.laws(&[spec.row], run).unwrap()[0].law.value(0.5, 2), 0.5);
    }
}
