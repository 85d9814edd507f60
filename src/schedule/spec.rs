//! What a schedule file says, as typed values.
//!
//! So far the sections `optimizer` and `lr_scheduler`; phases are not read yet.

use super::table::fits;
use super::yaml::Section;
use super::{Error, FieldLaw, LawSpec, Run, checked_rows, law_keys};
use crate::params::{Field, Row};

/// What the sections are for, where one is missing.
const OPTIMIZER: &str =
    "it names the update rule and what its rates start with, as in optimizer: {type: adamw, lr: 1.0e-3}";
const LR_SCHEDULER: &str = "it names the law that moves the lr, as in lr_scheduler: {type: cosine}";

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
        top.only(&["optimizer", "lr_scheduler", "laws"])?;
        let (row, no_decay) = read_optimizer(top.section("optimizer", OPTIMIZER)?)?;
        let mut laws = vec![LawSpec::read(top.section("lr_scheduler", LR_SCHEDULER)?, Field::Lr)?];
        for section in top.sections("laws")? {
            laws.push(read_law(section, &laws)?);
        }
        Ok(Spec { row, no_decay, laws })
    }

    /// The laws of a run, for groups with these rows at its start.
    ///
    /// # Errors
    /// [`Error`] naming file, key and value where the run is too short for a law, where a law counts in epochs and their
    /// length is not known, or where a class moves a field that one of `laws` moves.
    pub fn laws(&self, groups: &[Row], run: Run) -> Result<Vec<FieldLaw>, Error> {
        let mut laws: Vec<FieldLaw> = Vec::new();
        let mut by: Vec<(Field, &LawSpec)> = Vec::new();
        for spec in &self.laws {
            let made = spec.laws(groups, run)?;
            // What a class moves is known only now.
            if let Some((field, other)) = by.iter().find(|(field, _)| made.iter().any(|law| law.field == *field)) {
                return Err(spec.place().moved_twice(*field, other.place()));
            }
            by.extend(made.iter().map(|law| (law.field, spec)));
            laws.extend(made);
        }
        Ok(laws)
    }

    /// The rows of a whole run, `[steps, groups]`.
    ///
    /// # Errors
    /// As [`laws`](Spec::laws), [`Error::BadLaw`] where a law gives what its field does not allow, and
    /// [`Error::BadRow`] where a group starts with that.
    pub fn table(&self, groups: &[Row], steps: u64, steps_per_epoch: Option<u64>) -> Result<Vec<Row>, Error> {
        let laws = self.laws(groups, Run { steps, steps_per_epoch })?;
        checked_rows(groups, &laws, 0, steps).map_err(|error| self.by_law(groups, error))
    }

    /// A row's error as its law's, where the group's own row is sound.
    fn by_law(&self, groups: &[Row], error: Error) -> Error {
        match error {
            Error::BadRow { step, group, field, value, allowed }
                if groups.get(group).is_some_and(|row| fits(field, row.get(field))) =>
            {
                // What no short name moves is moved by a class, which stands first.
                match self.laws.iter().find(|law| law.moves(field)).or(self.laws.first()) {
                    Some(law) => law.place().gives(step, group, field, value, allowed),
                    None => Error::BadRow { step, group, field, value, allowed },
                }
            }
            other => other,
        }
    }
}

/// The row that groups start with, and `no_decay`.
fn read_optimizer(mut optimizer: Section) -> Result<(Row, Vec<String>), Error> {
    if optimizer.has("class_path") {
        return Err(optimizer.misplaced("class_path", "type: names the optimizer, adamw or adam"));
    }
    optimizer.only(&["type", "lr", "weight_decay", "betas", "eps", "no_decay"])?;
    let kind = optimizer.word("type", &["adamw", "adam"])?;
    let adamw = kind == "adamw";
    let defaults = Row { decoupled: adamw, ..Row::default() };
    let (beta1, beta2) = optimizer.pair("betas", (defaults.beta1, defaults.beta2))?;
    let row = Row {
        lr: optimizer.number("lr", defaults.lr)?,
        weight_decay: optimizer.number("weight_decay", if adamw { defaults.weight_decay } else { 0.0 })?,
        beta1,
        beta2,
        eps: optimizer.number("eps", defaults.eps)?,
        ..defaults
    };
    check(&optimizer, &row)?;
    Ok((row, optimizer.texts("no_decay")?))
}

/// An entry of `laws`, where none of those before moves the same field.
fn read_law(mut section: Section, before: &[LawSpec]) -> Result<LawSpec, Error> {
    if section.peek("field") == Some(Field::Lr.name()) {
        return Err(section.misplaced("field: lr", "lr_scheduler moves the lr, laws move the other fields"));
    }
    let fields: Vec<Field> = Field::ALL.into_iter().filter(|field| *field != Field::Lr).collect();
    let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
    if !section.has("field") {
        section.only_among(&law_keys::of(None, Field::WeightDecay, true), "field, type and the keys of that law")?;
    }
    let name = section.word("field", &names)?;
    let field = fields.into_iter().find(|field| field.name() == name).unwrap_or(Field::WeightDecay);
    let law = LawSpec::read(section, field)?;
    for field in Field::ALL.into_iter().filter(|field| law.moves(*field)) {
        if let Some(other) = before.iter().find(|other| other.moves(field)) {
            return Err(law.place().moved_twice(field, other.place()));
        }
    }
    Ok(law)
}

fn check(section: &Section, row: &Row) -> Result<(), Error> {
    let Err(error) = row.check("") else { return Ok(()) };
    match error {
        crate::params::Error::BadValue { field: Field::Beta1 | Field::Beta2, allowed, .. } => {
            let value = format!("[{}, {}]", row.beta1, row.beta2);
            Err(section.bad("betas", value, &format!("two numbers {allowed}"), None))
        }
        crate::params::Error::BadValue { field, value, allowed, .. } => {
            Err(section.bad(field.name(), value.to_string(), allowed, None))
        }
        other => Err(section.bad("type", other.to_string(), "a valid optimizer", None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        Spec::parse("run.yaml", text).unwrap_err().to_string()
    }

    fn check_all(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            assert_eq!(told(text), format!("run.yaml: {expected}"), "{text}");
        }
    }

    #[test]
    fn errors_name_file_key_value_and_the_nearest() {
        let optimizer = |keys: &str| told(&format!("optimizer: {{{keys}}}\nlr_scheduler: {{type: cosine}}"));
        for (keys, expected) in [
            ("type: adamv", "type = adamv is not one of adamw, adam (did you mean \"adamw\"?)"),
            ("type: torch.optim.AdamW", "type = torch.optim.AdamW is not one of adamw, adam (did you mean \"adamw\"?)"),
            (
                "typ: adamw, lr: 1",
                "typ is not a known key (did you mean \"type\"?); known are type, lr, weight_decay, betas, eps, no_decay",
            ),
            (
                "type: adamw, weigth_decay: 1",
                "weigth_decay is not a known key (did you mean \"weight_decay\"?); known are type, lr, weight_decay, \
                 betas, eps, no_decay",
            ),
            ("lr: 1", "type is missing"),
            ("class_path: torch.optim.AdamW", "class_path has no place here: type: names the optimizer, adamw or adam"),
            ("type: adamw, lr: .nan", "lr = NaN is not a finite number that is 0 or more"),
            ("type: adamw, lr: [1, {a: b}]", "lr = [1, {a: b}] is not a number"),
            ("type: adamw, betas: 0.9", "betas = 0.9 is not a list of two numbers"),
            ("type: adamw, lr: ", "lr = nothing is not a number"),
        ] {
            assert_eq!(optimizer(keys), format!("run.yaml: optimizer.{expected}"), "{keys}");
        }
        assert!(told("optimizer: {type: adamw, lr: 1, lr: 2}").contains("duplicate entry"));
    }

    #[test]
    fn a_slip_in_a_section_a_missing_one_and_an_empty_one_are_told_apart() {
        let known = "known are optimizer, lr_scheduler, laws";
        let optimizer =
            "it names the update rule and what its rates start with, as in optimizer: {type: adamw, lr: 1.0e-3}";
        let lr_scheduler = "it names the law that moves the lr, as in lr_scheduler: {type: cosine}";
        check_all(&[
            ("", "the file is empty"),
            ("# nothing yet\n", "the file is empty"),
            ("[1, 2]", "the file = [1, 2] is not a mapping of keys to values"),
            (
                "optimzer: {type: adamw}\nlr_scheduler: {type: cosine}",
                &format!("optimzer is not a known key (did you mean \"optimizer\"?); {known}"),
            ),
            (
                "optimizer: {type: adamw}\nlr_schedular: {type: cosine}",
                &format!("lr_schedular is not a known key (did you mean \"lr_scheduler\"?); {known}"),
            ),
            ("3: {type: adamw}", &format!("3 is not a known key; {known}")),
            ("lr_scheduler: {type: cosine}", &format!("the section optimizer is missing: {optimizer}")),
            ("optimizer: {type: adamw}", &format!("the section lr_scheduler is missing: {lr_scheduler}")),
            ("optimizer: {type: adamw}\nlr_scheduler:", &format!("the section lr_scheduler is empty: {lr_scheduler}")),
            (
                "optimizer: {type: adamw}\nlr_scheduler: [cosine]",
                "lr_scheduler = [cosine] is not a mapping of keys to values",
            ),
            ("optimizer: {type: adamw}\nlr_scheduler: {min: 0.1}", "lr_scheduler.type is missing"),
            (
                "optimizer: {type: adamw}\nlr_scheduler: {min: 0.1, typ: cosine}",
                "lr_scheduler.typ is not a known key (did you mean \"type\"?); \
                 known are type and the keys of the law that it names",
            ),
        ]);
    }

    #[test]
    fn laws_take_what_no_other_law_moves() {
        let laws = |entry: &str| {
            told(&format!(
                "optimizer: {{type: adamw}}\nlr_scheduler: {{type: one_cycle, beta1_min: 0.8}}\n\
                 laws: [{{field: eps, type: linear}}, {{{entry}}}]"
            ))
        };
        for (entry, expected) in [
            (
                "field: lr, type: linear",
                "[1].field: lr has no place here: lr_scheduler moves the lr, laws move the other fields",
            ),
            ("field: eps, type: step, every_steps: 1", "[1]: eps is already moved by laws[0]"),
            ("field: beta1, type: linear", "[1]: beta1 is already moved by lr_scheduler"),
            (
                "field: weight_decay, type: cyclic, up_steps: 5, beta1_min: 0",
                "[1]: beta1 is already moved by lr_scheduler",
            ),
            (
                "fild: eps, type: linear",
                "[1].fild is not a known key (did you mean \"field\"?); known are field, type and the keys of that law",
            ),
            ("type: linear", "[1].field is missing"),
            (
                "field: weight_decay, class_path: StepLR",
                "[1].class_path has no place here: a Python class stands under lr_scheduler only; here type: names a law",
            ),
            (
                "field: weight_decay, type: StepLR",
                "[1].type = StepLR is not the short name of a law; a Python class is asked for by class_path, under \
                 lr_scheduler only",
            ),
        ] {
            assert_eq!(laws(entry), format!("run.yaml: laws{expected}"), "{entry}");
        }
        let class = "lr_scheduler: {class_path: OneCycleLR, init_args: {max_lr: 1, total_steps: 9}}";
        let text = format!("optimizer: {{type: adamw}}\n{class}\nlaws: [{{field: beta1, type: linear}}]");
        let told = Spec::parse("run.yaml", &text).unwrap().table(&[Row::default()], 9, None).unwrap_err().to_string();
        assert_eq!(told, "run.yaml: laws[0]: beta1 is already moved by lr_scheduler");
    }

    #[test]
    fn long_values_are_cut() {
        let told =
            told(&format!("optimizer: {{type: adamw, lr: [{}]}}\nlr_scheduler: {{type: cosine}}", "1, ".repeat(99)));
        assert_eq!(told, format!("run.yaml: optimizer.lr = [{}... is not a number", "1, ".repeat(19) + "1,"));
    }

    #[test]
    fn text_that_reads_as_a_number_is_one() {
        let spec = Spec::parse("", "optimizer: {type: adamw, lr: 1e-4}\nlr_scheduler: {type: constant}").unwrap();
        let run = Run { steps: 3, steps_per_epoch: None };
        assert_eq!(spec.row.lr, 1e-4);
        assert_eq!(spec.laws(&[spec.row], run).unwrap()[0].law.value(0.5, 2), 0.5);
    }
}
