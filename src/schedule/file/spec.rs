//! A schedule file as typed values.

use super::checkpoint::CheckpointSpec;
use super::class_spec::ClassSpec;
use super::decide::Decide;
use super::early_stopping::EarlyStopping;
use super::evaluate::Evaluate;
use super::finetuning::Finetuning;
use super::group_spec::GroupSpec;
use super::law_spec::LawSpec;
use super::optimizer_section::OptimizerSection;
use super::phase_spec::PhaseSpec;
use super::place::Place;
use super::section::Section;
use super::{direction, law_keys};
use crate::params::{Field, Row};
use crate::schedule::Error;

/// What the sections are for, in case one is missing.
const OPTIMIZER: &str =
    "it names the update rule and what its rates start with, as in optimizer: {type: adamw, lr: 1.0e-3}";
const LR_SCHEDULER: &str = "it names the law that moves the lr, as in lr_scheduler: {type: cosine}";

const PHASES: &str = "it lists what thaws, as in phases: {0: {params: [head.*]}, 1: {params: [encoder.*]}}";

/// A schedule file. Its top level is one of three: sections without phases, for a run that trains everything; sections
/// with `phases`, or with only `finetuning` for the implicit schedule; or only phases, as in finetuning-scheduler.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// `optimizer`: the hyper-parameters that groups start with.
    pub row: Row,
    /// `optimizer.no_decay`: parameters whose name contains one of these have no weight decay.
    pub no_decay: Vec<String>,
    /// `optimizer.layer_decay`: each layer's rate is so much of that of the layer above it.
    pub layer_decay: Option<f64>,
    /// `optimizer.groups`.
    pub groups: Vec<GroupSpec>,
    /// `lr_scheduler`, then `laws`.
    pub laws: Vec<LawSpec>,
    /// `phases`.
    pub phases: Phases,
    /// `finetuning`.
    pub finetuning: Finetuning,
    /// `early_stopping`. A schedule of phases has it unless it is null or transitions come by epochs only.
    pub early_stopping: Option<EarlyStopping>,
    /// `checkpoint`.
    pub checkpoint: CheckpointSpec,
    /// `evaluate_every_epochs` or `evaluate_every_steps`.
    pub evaluate: Evaluate,
    /// `decide`.
    pub decide: Decide,
    /// Warnings: what was accepted but is probably a mistake, or has no effect.
    pub warnings: Vec<String>,
    pub(in crate::schedule) place: Place,
}

/// The phases of a schedule.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Phases {
    /// Nothing: everything trains from the start.
    Everything,
    /// It wants some, and leaves them to the [implicit](crate::schedule::implicit) schedule.
    Implicit,
    /// Phases 0…n.
    Explicit(Vec<PhaseSpec>),
}

/// The keys of a schedule with sections.
pub(crate) const SECTIONS: [&str; 10] = [
    "optimizer",
    "lr_scheduler",
    "laws",
    "early_stopping",
    "checkpoint",
    "finetuning",
    "evaluate_every_epochs",
    "evaluate_every_steps",
    "decide",
    "phases",
];

impl Spec {
    /// Reads a schedule; `file` is the name that errors give it.
    ///
    /// # Errors
    /// [`Error`] naming file, key and value, and the nearest valid one.
    pub fn parse(file: &str, text: &str) -> Result<Spec, Error> {
        Spec::read(Section::parse(file, text)?)
    }

    /// Reads the top level of a schedule.
    pub(crate) fn read(mut top: Section) -> Result<Spec, Error> {
        let mut spec = Spec::bare(top.place());
        if top.is_numbered() {
            spec.phases = read_phases(top, &mut spec.warnings)?;
            spec.early_stopping = Some(EarlyStopping::default());
            spec.doubt_directions();
            return Ok(spec);
        }
        top.only(&SECTIONS)?;
        let is_phased = top.has("phases") || top.has("finetuning");
        if !is_phased || top.has("optimizer") {
            let said = OptimizerSection::read(top.section("optimizer", OPTIMIZER)?)?;
            (spec.row, spec.no_decay, spec.groups) = (said.row, said.no_decay, said.groups);
            spec.layer_decay = said.layer_decay;
        }
        if !is_phased || top.has("lr_scheduler") {
            spec.laws.push(LawSpec::read(top.section("lr_scheduler", LR_SCHEDULER)?, Field::Lr)?);
        }
        let has_beta1 = spec.rows().any(|row| row.has(Field::Beta1));
        if let Some(law) = spec.laws.iter().find(|law| law.moves(Field::Beta1) && !has_beta1) {
            let instead = format!("{} has no beta1: move its momentum by an entry of laws", spec.row.rule);
            return Err(law.place().misplaced("beta1_min", instead));
        }
        for section in top.sections("laws")? {
            let law = read_law(section, &spec)?;
            spec.laws.push(law);
        }
        if let Some(section) = top.maybe_section("finetuning")? {
            spec.finetuning = Finetuning::read(section)?;
        }
        if is_phased {
            spec.phases = match top.has("phases") {
                true => read_phases(top.section("phases", PHASES)?, &mut spec.warnings)?,
                false => Phases::Implicit,
            };
        }
        spec.early_stopping = read_early_stopping(&mut top, &mut spec, is_phased)?;
        spec.checkpoint = CheckpointSpec::read(&mut top, spec.early_stopping.as_ref(), &mut spec.warnings)?;
        spec.evaluate = Evaluate::read(&mut top)?;
        spec.decide = Decide::read(&mut top)?;
        spec.doubt_directions();
        spec.laws.iter_mut().for_each(|law| law.toward(spec.checkpoint.better));
        Ok(spec)
    }

    /// When each scheduler by class name is stepped, and when evaluations decide if it is not at once, in words.
    pub fn intervals(&self) -> Vec<String> {
        let lag = "decide: an evaluation decides where the next one comes, and keeps its copy at once (lag)";
        let lag = (self.decide == Decide::Lag).then(|| lag.to_owned());
        self.classes().map(ClassSpec::told_interval).chain(lag).collect()
    }

    /// The schedulers by class name: the first one, then those that begin with a phase.
    fn classes(&self) -> impl Iterator<Item = &ClassSpec> {
        let phases: &[PhaseSpec] = if let Phases::Explicit(phases) = &self.phases { phases } else { &[] };
        let new = phases.iter().filter_map(|phase| phase.new_lr_scheduler.as_ref());
        let new = new.chain(&self.finetuning.reinit_lr_cfg).map(|new| &new.class);
        self.laws.iter().filter_map(LawSpec::class).chain(new)
    }

    /// Warns of laws and classes that take worse metrics for better, as the metric's name has it.
    fn doubt_directions(&mut self) {
        let usual = self.checkpoint.monitor.as_str();
        let of_laws = self.laws.iter().filter_map(|law| {
            let (plateau, at) = (law.plateau()?, law.place().at());
            let doubt = direction::doubt(usual, plateau.better()).filter(|_| law.says_mode())?;
            Some(format!("{at}.mode = {} is obeyed, although {doubt}", direction::mode(plateau.better())))
        });
        let of_classes =
            self.classes().filter_map(|class| direction::doubt_class(class, class.monitor.as_deref().unwrap_or(usual)));
        let warnings: Vec<String> = of_laws.chain(of_classes).collect();
        self.warnings.extend(warnings);
    }

    /// A schedule that trains everything, with this row and no law.
    pub fn new(row: Row) -> Spec {
        Spec { row, ..Spec::bare(Place::top("the schedule")) }
    }

    /// AdamW with PyTorch's defaults at a constant rate, and nothing else.
    fn bare(place: Place) -> Spec {
        Spec {
            row: Row::default(),
            no_decay: Vec::new(),
            layer_decay: None,
            groups: Vec::new(),
            laws: Vec::new(),
            phases: Phases::Everything,
            finetuning: Finetuning::default(),
            early_stopping: None,
            checkpoint: CheckpointSpec::default(),
            evaluate: Evaluate::Epochs(1),
            decide: Decide::Exact,
            warnings: Vec::new(),
            place,
        }
    }

    /// A schedule that only says that there are phases: the implicit schedule, with finetuning-scheduler's settings.
    pub fn implicit() -> Spec {
        let early_stopping = Some(EarlyStopping::default());
        Spec { phases: Phases::Implicit, early_stopping, ..Spec::bare(Place::top("the implicit schedule")) }
    }
}

fn read_phases(section: Section, warnings: &mut Vec<String>) -> Result<Phases, Error> {
    if section.is_empty() {
        return Err(section.empty(PHASES));
    }
    let phases = section.phases(warnings)?;
    let phases = phases.into_iter().enumerate().map(|(number, phase)| PhaseSpec::read(phase, number, warnings));
    phases.collect::<Result<_, _>>().map(Phases::Explicit)
}

fn read_early_stopping(top: &mut Section, spec: &mut Spec, is_phased: bool) -> Result<Option<EarlyStopping>, Error> {
    let is_null = top.is_null("early_stopping");
    let section = top.maybe_section("early_stopping")?;
    let given = section.map(|section| EarlyStopping::read(section, &mut spec.warnings)).transpose()?;
    if is_phased && spec.finetuning.epoch_transitions_only {
        if given.is_some() {
            let what = "early_stopping is ignored: finetuning.epoch_transitions_only is true";
            spec.warnings.push(format!("{}: {what}", spec.place.file()));
        }
        return Ok(None);
    }
    Ok(given.or_else(|| (is_phased && !is_null).then(EarlyStopping::default)))
}

/// An entry of `laws`, for a field that the optimizer has and no earlier entry moves.
fn read_law(mut section: Section, spec: &Spec) -> Result<LawSpec, Error> {
    if section.peek("field") == Some(Field::Lr.name()) {
        return Err(section.misplaced("field: lr", "lr_scheduler moves the lr, laws move the other fields"));
    }
    for field in [Field::ClipNorm, Field::EmaDecay].map(Field::name) {
        if section.peek("field") == Some(field) && !spec.row.fields().any(|known| known.name() == field) {
            let why = format!("needs optimizer.{field}, from which it starts");
            return Err(section.unfit("field", field, why));
        }
    }
    let is_there = |field: &Field| *field != Field::Lr && spec.rows().any(|row| row.has(*field));
    let fields: Vec<Field> = Field::ALL.into_iter().filter(is_there).collect();
    let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
    if !section.has("field") {
        section.only_among(&law_keys::of(None, Field::WeightDecay, true), "field, type and the keys of that law")?;
    }
    let name = section.word("field", &names)?;
    let field = fields.into_iter().find(|field| field.name() == name).unwrap_or(Field::WeightDecay);
    let law = LawSpec::read(section, field)?;
    for field in Field::ALL.into_iter().filter(|field| law.moves(*field)) {
        if let Some(other) = spec.laws.iter().find(|other| other.moves(field)) {
            return Err(law.place().moved_twice(field, other.place()));
        }
    }
    Ok(law)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Rule;
    use crate::schedule::Run;

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
        let rules = Rule::ALL.map(Rule::name).join(", ");
        let (first, last) = rules.rsplit_once(", ").unwrap();
        let each = format!("{first} or {last}");
        for (keys, expected) in [
            ("type: adamv", "type = adamv is not one of RULES (did you mean \"adamw\"?)"),
            ("type: torch.optim.AdamW", "type = torch.optim.AdamW is not one of RULES (did you mean \"adamw\"?)"),
            (
                "typ: adamw, lr: 1",
                "typ is not a known key (did you mean \"type\"?); known are type, lr, weight_decay, betas, eps, \
                 amsgrad, maximize, moments, clip_norm, ema_decay, no_decay, layer_decay, groups",
            ),
            (
                "type: adamw, weigth_decay: 1",
                "weigth_decay is not a known key (did you mean \"weight_decay\"?); known are type, lr, weight_decay, \
                 betas, eps, \
                 amsgrad, maximize, moments, clip_norm, ema_decay, no_decay, layer_decay, groups",
            ),
            ("lr: 1", "type is missing"),
            ("class_path: torch.optim.AdamW", "class_path has no place here: type: names the optimizer, EACH"),
            ("type: adamw, lr: .nan", "lr = NaN is not a finite number that is 0 or more"),
            ("type: adamw, lr: [1, {a: b}]", "lr = [1, {a: b}] is not a number"),
            ("type: adamw, betas: 0.9", "betas = 0.9 is not a list of two numbers"),
            ("type: adan, betas: [0.9, 0.9]", "betas = [0.9, 0.9] is not a list of three numbers"),
            (
                "type: lion, eps: 1.0e-8",
                "eps is not a known key; known are type, lr, weight_decay, betas, maximize, moments, clip_norm, \
                 ema_decay, no_decay, layer_decay, groups",
            ),
            ("type: lion, moments: int8", "moments = int8 is not one of f32, bf16"),
            ("type: rmsprop, alpha: 2.0", "alpha = 2 is not in [0, 1]"),
            (
                "type: adan, ema_decay: 0.9",
                "ema_decay = 0.9 cannot be with type: adan: an average beside its state is more than a kernel can bind",
            ),
            ("type: adamw, lr: ", "lr = nothing is not a number"),
        ] {
            let expected = expected.replace("RULES", &rules).replace("EACH", &each);
            assert_eq!(optimizer(keys), format!("run.yaml: optimizer.{expected}"), "{keys}");
        }
        assert!(told("optimizer: {type: adamw, lr: 1, lr: 2}").contains("duplicate entry"));
    }

    #[test]
    fn a_slip_in_a_section_a_missing_one_and_an_empty_one_are_told_apart() {
        let known = "known are optimizer, lr_scheduler, laws, \
                 early_stopping, checkpoint, finetuning, evaluate_every_epochs, evaluate_every_steps, decide, phases";
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
            ("yes: {type: adamw}", &format!("yes is not a known key; {known}")),
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
                "[1].class_path has no place here: a Python class is for lr_scheduler only; here type: names a law",
            ),
            (
                "field: weight_decay, type: StepLR",
                "[1].type = StepLR is not the short name of a law; a Python class is named by class_path, under \
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
