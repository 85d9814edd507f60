//! A law as a file says it: by short name, with its arguments, its length, a warm-up and a cool-down.

use super::class::Arguments;
use super::class_spec::ClassSpec;
use super::direction;
use super::law::{Anneal, Better, Decay, Level, Mode, Plateau, PlateauState, Rise, Slope, Threshold};
use super::law_keys::{
    self, BETA1, COOLDOWN, COOLDOWN_END, CYCLE, DOWN, END, EVERY, Keys, LevelKeys, MILESTONES, MIN, NAMES, OWN, START,
    TIMESCALE, UP, WARMUP, WARMUP_START,
};
use super::yaml::{Place, Raw, Section};
use super::{Error, FieldLaw, class, own};
use crate::params::{Field, Row};

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its steps.
    pub steps: u64,
    /// The steps of an epoch, for laws that count in epochs.
    pub steps_per_epoch: Option<u64>,
}

/// A law of a file, on a field.
#[derive(Clone, Debug, PartialEq)]
pub struct LawSpec {
    pub(super) field: Field,
    pub(super) place: Place,
    pub(super) kind: Kind,
    /// Its own length; the run's where there is none.
    pub(super) length: Option<Length>,
    pub(super) warmup: Option<Edge>,
    pub(super) cooldown: Option<Edge>,
    /// beta1 moves the opposite way, down to this.
    pub(super) beta1: Option<Level>,
    /// As it stands in the file, with all that is not said there.
    pub(super) raw: Raw,
}

/// A number of steps, as a file says it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Length {
    pub(super) key: &'static str,
    pub(super) unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit {
    Steps(u64),
    Epochs(f64),
    Fraction(f64),
}

/// A warm-up or a cool-down: its shape, its length, and the level at its outer end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edge {
    pub(super) shape: Rise,
    pub(super) length: Length,
    pub(super) level: Level,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Constant,
    Linear {
        start: Level,
        end: Level,
    },
    Polynomial {
        power: f64,
        min: Level,
    },
    Exponential {
        gamma: f64,
        every: Length,
    },
    Step {
        gamma: f64,
        every: Length,
        min: Level,
    },
    MultiStep {
        gamma: f64,
        milestones: Vec<Length>,
    },
    Multiplicative(Vec<f64>),
    Cosine {
        min: Level,
        k_decay: f64,
    },
    CosineRestarts {
        cycle: Length,
        multiplier: f64,
        decay: f64,
        limit: Option<u64>,
        min: Level,
        k_decay: f64,
    },
    Cyclic {
        up: Length,
        down: Option<Length>,
        min: Level,
        mode: Mode,
    },
    OneCycle {
        up: f64,
        div: f64,
        final_div: f64,
        anneal: Anneal,
        three_phase: bool,
    },
    InverseSqrt {
        timescale: Option<Length>,
    },
    Tanh {
        bounds: (f64, f64),
        min: Level,
    },
    SlantedTriangular {
        cut: f64,
        ratio: f64,
        slope: Slope,
    },
    Wsd {
        share: f64,
        checkpoints: u64,
        form: Decay,
        min: Level,
    },
    /// With what its metrics have done so far.
    Plateau(Plateau, PlateauState),
    Sequential(Vec<LawSpec>),
    Chained(Vec<LawSpec>),
    Class(ClassSpec),
    /// A law of the program's own, by its name.
    Own(String, Arguments),
}

impl LawSpec {
    /// Reads a section whose keys are one law's, or one class's.
    pub(super) fn read(mut section: Section, field: Field) -> Result<LawSpec, Error> {
        if field == Field::Lr && section.has("class_path") {
            let raw = section.raw();
            let kind = Kind::Class(ClassSpec::read(&mut section)?);
            let place = section.place();
            return Ok(LawSpec { field, place, kind, length: None, warmup: None, cooldown: None, beta1: None, raw });
        }
        let spec = LawSpec::read_any(section, field, true)?;
        spec.probe()?;
        Ok(spec)
    }

    /// The field that it moves.
    pub fn field(&self) -> Field {
        self.field
    }

    /// Where it stands in its file.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it moves this field, be it as the second of two.
    pub(super) fn moves(&self, field: Field) -> bool {
        self.field == field || (self.beta1.is_some() && field == Field::Beta1)
    }

    /// The class, where it is asked for by class name.
    pub(super) fn class(&self) -> Option<&ClassSpec> {
        match &self.kind {
            Kind::Class(class) => Some(class),
            _ => None,
        }
    }

    /// The plateau law, where it is one: its reductions need metrics, which [`laws`](LawSpec::laws) does not have.
    pub fn plateau(&self) -> Option<&Plateau> {
        match &self.kind {
            Kind::Plateau(plateau, _) => Some(plateau),
            _ => None,
        }
    }

    /// Whether the file says its `mode`.
    pub(super) fn says_mode(&self) -> bool {
        self.raw.has("mode")
    }

    /// A plateau law that says no `mode` of its own takes the direction of its metric.
    pub(super) fn toward(&mut self, better: Better) {
        if let Kind::Plateau(plateau, _) = &mut self.kind
            && !self.raw.has("mode")
        {
            *plateau = plateau.toward(better);
            self.raw = std::mem::take(&mut self.raw).with("mode", direction::mode(better));
        }
    }

    /// A plateau law after the metrics that its state has seen.
    pub(super) fn after(&self, state: PlateauState) -> LawSpec {
        match &self.kind {
            Kind::Plateau(plateau, _) => LawSpec { kind: Kind::Plateau(*plateau, state), ..self.clone() },
            _ => self.clone(),
        }
    }

    /// Whether it moves by metrics, by short name or by class name; [`laws`](LawSpec::laws) are then those of a run in
    /// which none ever comes.
    pub fn needs_metrics(&self) -> bool {
        match &self.kind {
            Kind::Plateau(..) => true,
            Kind::Class(class) => class.needs_metrics(),
            _ => false,
        }
    }

    /// Whether it is a class whose count goes up with every step, as `interval` has it unless told otherwise.
    pub fn is_class_by_step(&self) -> bool {
        matches!(&self.kind, Kind::Class(class) if class.steps_every_step())
    }

    /// Whether that count is, by the class's own arguments, meant to be one of epochs.
    pub fn takes_steps_for_epochs(&self) -> bool {
        matches!(&self.kind, Kind::Class(class) if class.steps_every_step() && class.counts_epochs())
    }

    /// The laws over a run, for groups with these rows at its start.
    ///
    /// # Errors
    /// [`Error`] naming file, key and value where the run does not fit, or where a level lies above every group's base.
    pub fn laws(&self, groups: &[Row], run: Run) -> Result<Vec<FieldLaw>, Error> {
        if let Kind::Class(class) = &self.kind {
            return class.laws(&self.place, groups, run);
        }
        self.check_levels(groups)?;
        let (law, beta1) = self.over(run)?;
        let mut laws = vec![FieldLaw { field: self.field, group: None, law }];
        laws.extend(beta1.map(|law| FieldLaw { field: Field::Beta1, group: None, law }));
        Ok(laws)
    }

    fn read_any(mut section: Section, field: Field, top: bool) -> Result<LawSpec, Error> {
        if section.peek("type").is_some_and(|name| own::law(name).is_some()) {
            return LawSpec::read_own(section, field);
        }
        let name = name(&mut section, field, top)?;
        let length = length(&mut section, OWN)?;
        let warmup = edge(&mut section, "warmup", WARMUP)?;
        let cooldown = if name == "plateau" { None } else { edge(&mut section, "cooldown", COOLDOWN)? };
        let has_momentum = law_keys::has_momentum(name, field, top);
        let beta1 = if has_momentum { level(&mut section, BETA1)? } else { None };
        let kind = kind(name, &mut section, field)?;
        let (place, raw) = (section.place(), section.said());
        section.finish()?;
        Ok(LawSpec { field, place, kind, length, warmup, cooldown, beta1, raw })
    }
}

impl LawSpec {
    /// Reads a law of the program's own: what is not every law's is its own to read.
    fn read_own(mut section: Section, field: Field) -> Result<LawSpec, Error> {
        let raw = section.raw();
        let name = section.text("type")?;
        let length = length(&mut section, OWN)?;
        let warmup = edge(&mut section, "warmup", WARMUP)?;
        let cooldown = edge(&mut section, "cooldown", COOLDOWN)?;
        let place = section.place();
        let kind = Kind::Own(name, section.rest()?);
        Ok(LawSpec { field, place, kind, length, warmup, cooldown, beta1: None, raw })
    }
}

impl Unit {
    pub(super) fn is_like(self, other: Unit) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    /// The number alone.
    pub(super) fn show(self) -> String {
        match self {
            Unit::Steps(steps) => steps.to_string(),
            Unit::Epochs(number) | Unit::Fraction(number) => number.to_string(),
        }
    }
}

/// The law's short name, where all keys are its own.
fn name(section: &mut Section, field: Field, top: bool) -> Result<&'static str, Error> {
    let text = section.peek("type").unwrap_or_default().to_owned();
    let known = NAMES.into_iter().find(|name| *name == text);
    refuse_strangers(section, &text, known.is_some(), top && field == Field::Lr)?;
    if known.is_some() {
        section.only(&law_keys::of(known, field, top))?;
    } else if !section.has("type") {
        section.only_among(&law_keys::of(None, field, top), law_keys::WITHOUT_TYPE)?;
    }
    section.word("type", &NAMES)
}

/// Refuses what means something elsewhere, and says where. `may_be_class`: a class could stand here, by another key.
fn refuse_strangers(section: &Section, name: &str, known: bool, may_be_class: bool) -> Result<(), Error> {
    if section.has("class_path") {
        let instead = "a Python class stands under lr_scheduler only; here type: names a law";
        return Err(section.misplaced("class_path", instead));
    }
    if name == "plateau" && section.has("cooldown") {
        let instead = "plateau has no cool-down; metrics that do not count after a reduction are cooldown_metrics";
        return Err(section.misplaced("cooldown", instead));
    }
    if name == "lambda" {
        let why = "cannot stand in a file: it is a closure in Rust (schedule::law::Lambda); name another law";
        return Err(section.unfit("type", name, why));
    }
    if !known && (name.contains('.') || class::resembles(name)) {
        let place = if may_be_class { "not by type" } else { "under lr_scheduler only" };
        let allowed = format!("the short name of a law; a Python class is asked for by class_path, {place}");
        return Err(section.bad("type", name.to_owned(), &allowed, None));
    }
    Ok(())
}

/// A length by one of three keys.
fn length(section: &mut Section, [steps, epochs, fraction]: Keys) -> Result<Option<Length>, Error> {
    let mut found: Option<Length> = None;
    let given = [
        (steps, section.count(steps)?.map(Unit::Steps)),
        (epochs, section.optional(epochs)?.map(Unit::Epochs)),
        (fraction, section.optional(fraction)?.map(Unit::Fraction)),
    ];
    for (key, unit) in given {
        let Some(unit) = unit else { continue };
        check_unit(section, key, unit)?;
        if let Some(other) = found {
            return Err(section.beside(key, unit.show(), other.key));
        }
        found = Some(Length { key, unit });
    }
    Ok(found)
}

fn check_unit(section: &Section, key: &str, unit: Unit) -> Result<(), Error> {
    match unit {
        Unit::Epochs(epochs) if !(epochs.is_finite() && epochs >= 0.0) => {
            Err(section.bad(key, epochs.to_string(), "a finite number that is 0 or more", None))
        }
        Unit::Fraction(fraction) if !(0.0..=1.0).contains(&fraction) => {
            Err(section.bad(key, fraction.to_string(), "a number from 0 to 1", None))
        }
        _ => Ok(()),
    }
}

fn required(section: &mut Section, keys: Keys) -> Result<Length, Error> {
    length(section, keys)?.ok_or_else(|| section.missing(&keys))
}

/// A level by one of two keys, the absolute one first.
fn level(section: &mut Section, [absolute, ratio]: LevelKeys) -> Result<Option<Level>, Error> {
    match (section.optional(absolute)?, section.optional(ratio)?) {
        (Some(_), Some(value)) => Err(section.beside(ratio, value, absolute)),
        (Some(value), None) => Ok(Some(Level::Absolute(value))),
        (None, ratio) => Ok(ratio.map(Level::Ratio)),
    }
}

/// A level, or a share of the base.
fn level_or(section: &mut Section, keys: LevelKeys, share: f64) -> Result<Level, Error> {
    Ok(level(section, keys)?.unwrap_or_else(|| Level::Ratio(section.say(keys[1], share))))
}

fn min(section: &mut Section, default: f64) -> Result<Level, Error> {
    level_or(section, MIN, default)
}

/// `warmup` or `cooldown`: the shape by the key itself, and a length. A constant cool-down needs no level.
fn edge(section: &mut Section, key: &'static str, keys: Keys) -> Result<Option<Edge>, Error> {
    let warms = key == "warmup";
    let shaped = section.has(key);
    let shapes = if warms { ["linear", "constant", "cosine"] } else { ["constant", "linear", "cosine"] };
    let shape = match section.word_or_first(key, &shapes)? {
        "linear" => Rise::Linear,
        "cosine" => Rise::Cosine,
        _ => Rise::Constant,
    };
    let length = length(section, keys)?;
    let names = if warms { WARMUP_START } else { COOLDOWN_END };
    let given = level(section, names)?;
    let Some(length) = length else {
        section.unsay(key);
        return if shaped || given.is_some() { Err(section.missing(&keys)) } else { Ok(None) };
    };
    if warms && shape == Rise::Constant && given.is_none() {
        return Err(section.missing(&[names[1], names[0]]));
    }
    let level = given.unwrap_or_else(|| Level::Ratio(section.say(names[1], 0.0)));
    Ok(Some(Edge { shape, length, level }))
}

fn kind(name: &str, section: &mut Section, field: Field) -> Result<Kind, Error> {
    Ok(match name {
        "linear" => Kind::Linear { start: level_or(section, START, 1.0)?, end: level_or(section, END, 0.0)? },
        "polynomial" => Kind::Polynomial { power: section.number("power", 1.0)?, min: min(section, 0.0)? },
        "exponential" => {
            let gamma = section.optional("gamma")?.ok_or_else(|| section.missing(&["gamma"]))?;
            let one = |section: &mut Section| Length { key: EVERY[0], unit: Unit::Steps(section.say(EVERY[0], 1)) };
            Kind::Exponential { gamma, every: length(section, EVERY)?.unwrap_or_else(|| one(section)) }
        }
        "step" => Kind::Step {
            gamma: section.number("gamma", 0.1)?,
            every: required(section, EVERY)?,
            min: min(section, 0.0)?,
        },
        "multi_step" => Kind::MultiStep { gamma: section.number("gamma", 0.1)?, milestones: milestones(section)? },
        "multiplicative" => {
            Kind::Multiplicative(section.numbers("factors")?.ok_or_else(|| section.missing(&["factors"]))?)
        }
        "cosine" => Kind::Cosine { min: min(section, 0.0)?, k_decay: section.number("k_decay", 1.0)? },
        "cosine_restarts" => Kind::CosineRestarts {
            cycle: required(section, CYCLE)?,
            multiplier: section.number("cycle_mult", 1.0)?,
            decay: section.number("cycle_decay", 1.0)?,
            limit: section.count("cycle_limit")?,
            min: min(section, 0.0)?,
            k_decay: section.number("k_decay", 1.0)?,
        },
        "cyclic" => cyclic(section)?,
        "one_cycle" => Kind::OneCycle {
            up: section.number("up_fraction", 0.3)?,
            div: section.number("div", 25.0)?,
            final_div: section.number("final_div", 1e4)?,
            anneal: if section.word_or_first("anneal", &["cos", "linear"])? == "cos" {
                Anneal::Cos
            } else {
                Anneal::Linear
            },
            three_phase: section.flag("three_phase")?,
        },
        "inverse_sqrt" => Kind::InverseSqrt { timescale: length(section, TIMESCALE)? },
        "tanh" => Kind::Tanh {
            bounds: (section.number("lower", -6.0)?, section.number("upper", 3.0)?),
            min: min(section, 0.0)?,
        },
        "slanted_triangular" => Kind::SlantedTriangular {
            cut: section.number("cut_fraction", 0.1)?,
            ratio: section.number("ratio", 32.0)?,
            slope: match section.word_or_first("form", &["exact", "paper"])? {
                "paper" => Slope::Paper,
                _ => Slope::Exact,
            },
        },
        "wsd" => {
            let form = match section.word_or_first("decay", &["sqrt", "inverse", "linear", "cosine"])? {
                "inverse" => Decay::Inverse,
                "linear" => Decay::Linear,
                "cosine" => Decay::Cosine,
                _ => Decay::Sqrt,
            };
            Kind::Wsd {
                share: section.number("decay_fraction", 0.1)?,
                checkpoints: section.count_or("checkpoints", 1)?,
                form,
                min: min(section, if form == Decay::Inverse { 0.1 } else { 0.0 })?,
            }
        }
        "plateau" => Kind::Plateau(plateau(section)?, PlateauState::default()),
        "sequential" => Kind::Sequential(parts(section, field)?),
        "chained" => Kind::Chained(parts(section, field)?),
        _ => Kind::Constant,
    })
}

fn parts(section: &mut Section, field: Field) -> Result<Vec<LawSpec>, Error> {
    if !section.has("parts") {
        return Err(section.missing(&["parts"]));
    }
    let parts = section.sections("parts")?;
    if parts.is_empty() {
        return Err(section.bad("parts", "[]".to_owned(), "a list of one law or more: it is empty", None));
    }
    let parts: Vec<LawSpec> =
        parts.into_iter().map(|part| LawSpec::read_any(part, field, false)).collect::<Result<_, _>>()?;
    section.say("parts", parts.iter().map(|part| part.raw.clone()).collect::<Vec<_>>());
    Ok(parts)
}

fn milestones(section: &mut Section) -> Result<Vec<Length>, Error> {
    let mut found: Option<(&str, Vec<Length>)> = None;
    for (place, key) in MILESTONES.into_iter().enumerate() {
        let Some(numbers) = section.numbers(key)? else { continue };
        if let Some((other, _)) = found {
            return Err(section.beside(key, format!("{numbers:?}"), other));
        }
        let mut lengths = Vec::new();
        for number in numbers {
            let unit = match place {
                0 if number >= 0.0 && number.fract() == 0.0 => Unit::Steps(number as u64),
                0 => return Err(section.bad(key, number.to_string(), "a whole number that is 0 or more", None)),
                1 => Unit::Epochs(number),
                _ => Unit::Fraction(number),
            };
            check_unit(section, key, unit)?;
            lengths.push(Length { key, unit });
        }
        found = Some((key, lengths));
    }
    found.map(|(_, lengths)| lengths).ok_or_else(|| section.missing(&MILESTONES))
}

fn cyclic(section: &mut Section) -> Result<Kind, Error> {
    let mode = section.word_or_first("mode", &["triangular", "triangular2", "exp_range"])?;
    let mode = match (mode, section.optional("gamma")?) {
        ("exp_range", gamma) => Mode::ExpRange(gamma.ok_or_else(|| section.missing(&["gamma"]))?),
        (mode, Some(gamma)) => {
            return Err(section.unfit("gamma", gamma, format!("needs mode: exp_range, not {mode}")));
        }
        ("triangular2", None) => Mode::Triangular2,
        _ => Mode::Triangular,
    };
    let (up, down) = (required(section, UP)?, length(section, DOWN)?);
    Ok(Kind::Cyclic { up, down, min: min(section, 0.0)?, mode })
}

fn plateau(section: &mut Section) -> Result<Plateau, Error> {
    let factor = section.number("factor", 0.1)?;
    let patience = section.count_or("patience", 10)?;
    let threshold = section.number("threshold", 1e-4)?;
    let threshold = match section.word_or_first("threshold_mode", &["rel", "abs"])? {
        "abs" => Threshold::Absolute(threshold),
        _ => Threshold::Relative(threshold),
    };
    let cooldown = section.count_or("cooldown_metrics", 0)?;
    let law = Plateau::new(Better::Lower, factor, patience, min(section, 0.0)?);
    let law = law.and_then(|law| law.threshold(threshold)).map_err(|error| section.place().named(error))?;
    // The last key: where it is not said it is the metric's, which is not known here.
    let says_mode = section.has("mode");
    let mode = section.word_or_first("mode", &["min", "max"])?;
    if !says_mode {
        section.unsay("mode");
    }
    Ok(law.toward(if mode == "max" { Better::Higher } else { Better::Lower }).cooldown(cooldown))
}
