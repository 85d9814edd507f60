//! A law in a file: a short name with its arguments, length, warm-up and cool-down.

use super::class_spec::ClassSpec;
use super::direction;
use super::edge::Edge;
use super::law_keys::{self, WITHOUT_TYPE};
use super::length::{Length, OWN, Run};
use super::place::Place;
use super::raw::Raw;
use super::section::Section;
use crate::params::{Field, Row};
use crate::schedule::law::lambda::NOT_IN_FILES;
use crate::schedule::law::level::LevelKeys;
use crate::schedule::law::table::FieldLaw;
use crate::schedule::law::words::{BETA1, Build, LevelAt, Reading, Words};
use crate::schedule::law::{Better, LAWS, Level, NAMES, Plateau, PlateauState, own};
use crate::schedule::law::{cool_down::COOLDOWN_END, warm_up::WARMUP_START};
use crate::schedule::{Error, class};
use std::fmt;

/// A law of a file, on a field.
#[derive(Clone, Debug)]
pub struct LawSpec {
    pub(in crate::schedule) field: Field,
    pub(super) place: Place,
    pub(super) kind: Kind,
    /// Its own length; by default the run's.
    pub(in crate::schedule) length: Option<Length>,
    pub(super) warmup: Option<Edge>,
    pub(super) cooldown: Option<Edge>,
    /// beta1 moves the opposite way, down to this.
    pub(super) beta1: Option<Level>,
    /// As written in the file, with its defaults.
    pub(in crate::schedule) raw: Raw,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// By short name.
    Law(Said),
    /// By class name.
    Class(ClassSpec),
}

/// What a law's own keys say.
#[derive(Clone)]
pub(super) struct Said {
    pub(super) build: Build,
    /// Lengths and levels among them; those of its parts too.
    pub(super) lengths: Vec<Length>,
    pub(super) levels: Vec<LevelAt>,
    /// The law that metrics move, if it is such a law.
    pub(super) plateau: Option<Plateau>,
    /// Its warm-up is inside.
    pub(super) decays: bool,
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Said").field("lengths", &self.lengths).field("levels", &self.levels).finish_non_exhaustive()
    }
}

/// The text in the file, with defaults, determines everything.
impl PartialEq for LawSpec {
    fn eq(&self, other: &LawSpec) -> bool {
        (self.field, &self.place, &self.raw) == (other.field, &other.place, &other.raw)
    }
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
        let spec = LawSpec::read_law(section, field, true)?;
        spec.probe()?;
        Ok(spec)
    }

    /// Reads a law that is a part of another.
    pub(in crate::schedule) fn read_part(section: Section, field: Field) -> Result<LawSpec, Error> {
        LawSpec::read_law(section, field, false)
    }

    fn read_law(mut section: Section, field: Field, top: bool) -> Result<LawSpec, Error> {
        if section.peek("type").is_some_and(own::is_known) {
            return LawSpec::read_own(section, field);
        }
        let words = words(&mut section, field, top)?;
        let length = Length::read(&mut section, OWN)?;
        let warmup = Edge::warm_up(&mut section)?;
        let cooldown = if words.no_cooldown.is_some() { None } else { Edge::cool_down(&mut section)? };
        let has_beta1 = law_keys::has_beta1(words, field, top);
        let beta1 = if has_beta1 { Level::read(&mut section, BETA1)? } else { None };
        let kind = Kind::Law(Said::read(words, &mut section, field)?);
        let (place, raw) = (section.place(), section.said());
        section.finish()?;
        Ok(LawSpec { field, place, kind, length, warmup, cooldown, beta1, raw })
    }

    /// Reads a law of the program's own: what is not every law's is its own to read.
    fn read_own(mut section: Section, field: Field) -> Result<LawSpec, Error> {
        let raw = section.raw();
        let name = section.text("type")?;
        let length = Length::read(&mut section, OWN)?;
        let warmup = Edge::warm_up(&mut section)?;
        let cooldown = Edge::cool_down(&mut section)?;
        let place = section.place();
        let build = own::build(name, section.rest()?);
        let said = Said { build, lengths: Vec::new(), levels: Vec::new(), plateau: None, decays: false };
        Ok(LawSpec { field, place, kind: Kind::Law(said), length, warmup, cooldown, beta1: None, raw })
    }

    /// The field that it moves.
    pub fn field(&self) -> Field {
        self.field
    }

    /// Its place in the file.
    pub(in crate::schedule) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it moves this field, be it as the second of two.
    pub(in crate::schedule) fn moves(&self, field: Field) -> bool {
        self.field == field || (self.beta1.is_some() && field == Field::Beta1)
    }

    /// The class, if it is named by class.
    pub(in crate::schedule) fn class(&self) -> Option<&ClassSpec> {
        match &self.kind {
            Kind::Class(class) => Some(class),
            Kind::Law(_) => None,
        }
    }

    /// The plateau law, if it is one: its reductions need metrics, which [`laws`](LawSpec::laws) does not have.
    pub fn plateau(&self) -> Option<&Plateau> {
        match &self.kind {
            Kind::Law(said) => said.plateau.as_ref(),
            Kind::Class(_) => None,
        }
    }

    /// Whether the file says its `mode`.
    pub(super) fn says_mode(&self) -> bool {
        self.raw.has("mode")
    }

    /// A plateau law without a `mode` takes the direction of its metric.
    pub(super) fn toward(&mut self, better: Better) {
        if self.says_mode() {
            return;
        }
        if let Kind::Law(Said { plateau: Some(plateau), build, .. }) = &mut self.kind {
            *plateau = plateau.toward(better);
            *build = plateau.build(PlateauState::default());
            self.raw = std::mem::take(&mut self.raw).with("mode", direction::mode(better));
        }
    }

    /// A plateau law after the metrics that its state has seen.
    pub(in crate::schedule) fn after(&self, state: PlateauState) -> LawSpec {
        let mut after = self.clone();
        if let Kind::Law(Said { plateau: Some(plateau), build, .. }) = &mut after.kind {
            *build = plateau.build(state);
        }
        after
    }

    /// Whether it moves by metrics, by short name or by class name; [`laws`](LawSpec::laws) are then those of a run in
    /// which none ever comes.
    pub fn needs_metrics(&self) -> bool {
        self.plateau().is_some() || self.class().is_some_and(ClassSpec::needs_metrics)
    }

    /// Whether it is a class that counts steps, the default of `interval`.
    pub fn is_class_by_step(&self) -> bool {
        self.class().is_some_and(ClassSpec::steps_every_step)
    }

    /// Whether that count is, by the class's own arguments, meant to be one of epochs.
    pub fn takes_steps_for_epochs(&self) -> bool {
        self.class().is_some_and(|class| class.steps_every_step() && class.counts_epochs())
    }

    /// The laws over a run, for groups with these rows at its start.
    ///
    /// # Errors
    /// [`Error`] naming file, key and value, if the run does not fit or a level is above every group's base.
    pub fn laws(&self, groups: &[Row], run: Run) -> Result<Vec<FieldLaw>, Error> {
        let said = match &self.kind {
            Kind::Class(class) => return class.laws(&self.place, groups, run),
            Kind::Law(said) => said,
        };
        self.check_levels(groups)?;
        let (law, beta1) = self.build(said, run, false)?;
        let mut laws = vec![FieldLaw { field: self.field, group: None, law }];
        laws.extend(beta1.map(|law| FieldLaw { field: Field::Beta1, group: None, law }));
        Ok(laws)
    }

    /// The levels that the file gives.
    pub(in crate::schedule) fn levels(&self) -> Vec<LevelAt> {
        let at = |keys: LevelKeys, level| LevelAt { place: self.place.clone(), key: keys[0], level };
        let edges = [(WARMUP_START, self.warmup), (COOLDOWN_END, self.cooldown)];
        let edges = edges.into_iter().filter_map(|(keys, edge)| Some(at(keys, edge?.level)));
        let own: &[LevelAt] = if let Kind::Law(said) = &self.kind { &said.levels } else { &[] };
        edges.chain(own.iter().cloned()).collect()
    }

    /// Refuses a level above the highest base of these groups.
    ///
    /// A law moves below the base. A group that starts below an absolute level stays there, which makes sense if groups
    /// start at different rates. If *every* group starts below it, the level is a mistake.
    fn check_levels(&self, groups: &[Row]) -> Result<(), Error> {
        self.levels().iter().try_for_each(|level| check_below(level, self.field, groups))?;
        let beta1 = self.beta1.map(|level| LevelAt { place: self.place.clone(), key: BETA1[0], level });
        beta1.iter().try_for_each(|level| check_below(level, Field::Beta1, groups))
    }
}

fn check_below(at: &LevelAt, field: Field, groups: &[Row]) -> Result<(), Error> {
    let highest = groups.iter().filter(|row| row.has(field)).map(|row| row.get(field)).reduce(f64::max);
    match (at.level, highest) {
        (Level::Absolute(value), Some(highest)) if value > highest => {
            let allowed = format!("at most {highest:?}, the highest {field} that a group starts with");
            Err(at.place.bad(at.key, value, allowed))
        }
        _ => Ok(()),
    }
}

impl Said {
    fn read(words: &Words, section: &mut Section, field: Field) -> Result<Said, Error> {
        let mut reading = Reading { section, field, lengths: Vec::new(), levels: Vec::new(), plateau: None };
        let build = (words.read)(&mut reading)?;
        let Reading { lengths, levels, plateau, .. } = reading;
        Ok(Said { build, lengths, levels, plateau, decays: words.decays })
    }
}

/// The law that the section names; all keys belong to it.
fn words(section: &mut Section, field: Field, top: bool) -> Result<&'static Words, Error> {
    let text = section.peek("type").unwrap_or_default().to_owned();
    let known = LAWS.iter().copied().find(|law| law.name == text);
    refuse_strangers(section, &text, known, top && field == Field::Lr)?;
    if known.is_some() {
        section.only(&law_keys::of(known, field, top))?;
    } else if !section.has("type") {
        section.only_among(&law_keys::of(None, field, top), WITHOUT_TYPE)?;
    }
    let name = section.word("type", &NAMES)?;
    LAWS.iter().copied().find(|law| law.name == name).ok_or_else(|| section.missing(&["type"]))
}

/// Refuses words that have their meaning elsewhere, and says where. `may_be_class`: a class is allowed here, by another
/// key.
fn refuse_strangers(section: &Section, name: &str, known: Option<&Words>, may_be_class: bool) -> Result<(), Error> {
    if section.has("class_path") {
        let instead = "a Python class is for lr_scheduler only; here type: names a law";
        return Err(section.misplaced("class_path", instead));
    }
    if let Some(instead) = known.and_then(|law| law.no_cooldown).filter(|_| section.has("cooldown")) {
        return Err(section.misplaced("cooldown", instead));
    }
    let (closure, why) = NOT_IN_FILES;
    if name == closure {
        return Err(section.unfit("type", name, why));
    }
    if known.is_none() && (name.contains('.') || class::resembles(name)) {
        let place = if may_be_class { "not by type" } else { "under lr_scheduler only" };
        let allowed = format!("the short name of a law; a Python class is named by class_path, {place}");
        return Err(section.bad("type", name.to_owned(), &allowed, None));
    }
    Ok(())
}
