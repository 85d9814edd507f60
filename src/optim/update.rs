//! What the third stage of a step needs to know of its rule: the kernel, and the moments that a parameter has.

use super::Precision;
use super::factors::{Shape, kept_parts};
use super::newton_schulz;
use super::work::{Floats, Part};
use crate::engine;
use crate::engine::kernels::{self, Family, Flag, Flags, Kernel};
use crate::params::{Param, Row, Rule, Storage, Sums};

/// The update stage of a group, and of all that share its dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Update {
    /// The kernels of the rule; those of moments in a byte each are another family.
    pub(crate) family: &'static Family,
    /// The kernels of the sums that the rule needs before, if it does.
    pub(crate) sums: Option<&'static Family>,
    /// The kernels of the sums over rows that the rule needs before, and of their fold, if it does.
    pub(crate) rows: Option<[&'static Family; 2]>,
    /// The kernels of the sums of rows and of columns that are the state of its rule, and of their fold, if they are.
    pub(crate) factors: Option<[&'static Family; 3]>,
    /// The kernels of the directions that are made orthogonal before the update, if its rule steps along such.
    pub(crate) direct: Option<&'static Family>,
    /// Slots of state that a rule of the family has in any case.
    pub(crate) base: &'static [&'static str],
    /// The slot that is there by a switch, if it is.
    pub(crate) optional: Option<&'static str>,
    /// Whether the sums read the state too.
    pub(crate) sums_read_state: bool,
    /// How they are stored.
    pub(crate) storage: Storage,
    /// Whether a moving average of the parameters is kept, in f32.
    pub(crate) has_average: bool,
    /// The slot that is evaluated in the parameters' place.
    pub(crate) evaluated: Option<usize>,
    /// What the numbers are called that the rule carries from step to step.
    pub(crate) carried: &'static [&'static str],
    /// How parameters and gradients are stored.
    pub(crate) precision: Precision,
    /// Whether another rank keeps the moments and makes the update: here is a gradient alone, for the norm.
    pub(crate) is_elsewhere: bool,
}

/// What the average is called in files.
pub(crate) const AVERAGE: &str = "ema";
/// Bytes of an element of the average.
const AVERAGE_BYTES: u64 = 4;

impl Update {
    /// What all groups with these rows have room in, if they share a kernel: every slot that one of them has, in the
    /// widest storage that one of them has, and an average if one of them keeps one. No group at all is AdamW.
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Update {
        let joined = rows.into_iter().map(Update::of_row).reduce(Update::joined);
        joined.unwrap_or_else(|| Update::of_row(&Row::default()))
    }

    fn joined(self, other: Update) -> Update {
        let has_average = self.has_average || other.has_average;
        Update {
            optional: self.optional.or(other.optional),
            storage: self.storage.min(other.storage),
            has_average,
            ..self
        }
    }

    /// The same with room for every slot that one of these rows has, of those with the same kernel.
    pub(crate) fn with_slots_of(self, rows: &[Row]) -> Update {
        let alike = rows.iter().map(Update::of_row).filter(|other| other.family == self.family);
        Update { optional: { alike }.find_map(|other| other.optional).or(self.optional), ..self }
    }

    /// What one group needs.
    pub(crate) fn of_row(row: &Row) -> Update {
        let declaration = row.rule.declaration();
        let optional = declaration.optional_slot.filter(|(switch, _)| switch.is_on(row)).map(|(_, slot)| slot);
        let family = family_of(row.rule);
        Update {
            family,
            sums: kernels::RULE_SUMS.into_iter().find(|(of, _)| *of == family).map(|(_, sums)| sums),
            rows: kernels::RULE_ROWS.into_iter().find(|(of, _)| *of == family).map(|(_, rows)| rows),
            factors: kernels::RULE_FACTORS.into_iter().find(|(of, _)| *of == family).map(|(_, factors)| factors),
            direct: kernels::RULE_DIRECTIONS.into_iter().find(|(of, _)| *of == family).map(|(_, direct)| direct),
            sums_read_state: matches!(declaration.sums, Some(Sums::WithState | Sums::OverRows | Sums::Factored)),
            base: declaration.slots,
            optional,
            storage: row.moments,
            has_average: row.ema_decay.is_some(),
            evaluated: declaration.evaluated,
            carried: declaration.carried,
            precision: Precision::F32,
            is_elsewhere: false,
        }
    }

    /// The same for a tensor that another rank updates: it has no state here.
    pub(crate) fn elsewhere(self) -> Update {
        Update {
            sums: None,
            rows: None,
            factors: None,
            direct: None,
            base: &[],
            optional: None,
            storage: Storage::F32,
            has_average: false,
            evaluated: None,
            is_elsewhere: true,
            ..self
        }
    }

    /// What the slots of state are called, in the order of the kernel's bindings. Each is a stream of an arena, but for
    /// those of rows and columns, which lie in one.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.base.iter().copied().chain(self.optional)
    }

    /// Whether what is kept of a tensor lies together, wherever its parameters lie.
    pub(crate) fn needs_one_part(&self) -> bool {
        let looks_further = self.rows.is_some() || self.factors.is_some() || self.direct.is_some();
        self.storage != Storage::F32 || looks_further
    }

    /// Whether moments of one are moments of the other.
    pub(crate) fn is_stored_as(&self, other: &Update) -> bool {
        (self.family, self.storage, self.is_elsewhere) == (other.family, other.storage, other.is_elsewhere)
    }

    /// Whether tensors of both may lie in one arena.
    pub(crate) fn is_kept_as(&self, other: &Update) -> bool {
        self.is_stored_as(other) && (self.has_average, self.precision) == (other.has_average, other.precision)
    }

    /// What a parameter has of the slots: all, or its rows and columns, or what a vector has in their place.
    pub(crate) fn slots_of(&self, param: &Param) -> Vec<&'static str> {
        let slots: Vec<&str> = self.slots().collect();
        match (self.factors, Shape::of(param), &slots[..]) {
            (Some(_), Some(_), [rows, columns, _]) => vec![rows, columns],
            (Some(_), None, [_, _, variance]) => vec![variance],
            _ => slots,
        }
    }

    /// What a parameter has besides itself and its gradient: the moments and, last, the average.
    pub(crate) fn streams(&self, param: &Param) -> Vec<&'static str> {
        self.slots_of(param).into_iter().chain(self.has_average.then_some(AVERAGE)).collect()
    }

    /// What its arenas of moments are called.
    pub(crate) fn arena_names(&self) -> Vec<&'static str> {
        if self.factors.is_some() { vec!["rows and columns"] } else { self.slots().collect() }
    }

    /// How a parameter's moments lie in an arena where its values have these parts.
    pub(crate) fn moment_parts(&self, param: &Param, parts: &[Part]) -> Vec<Part> {
        if self.factors.is_some() { kept_parts(param) } else { parts.to_vec() }
    }

    /// The kernel; there is none of single floats, or with an average, where values are bf16.
    pub(crate) fn kernel(&self, floats: Floats) -> Result<&'static Kernel, engine::Error> {
        let flags = flags_of(floats)
            | self.optional_flag()
            | Flag::Bf16.when(self.storage == Storage::Bf16)
            | Flag::Average.when(self.has_average)
            | Flag::Params16.when(self.precision.values() == Storage::Bf16)
            | Flag::Grads16.when(self.precision.gradients() == Storage::Bf16);
        let family = if self.storage == Storage::Int8 { &kernels::ADAMW_INT8 } else { self.family };
        family.variant(flags)
    }

    /// The kernel of the sums that the rule needs before, over tensors or over rows, if it does.
    pub(crate) fn sums_kernel(&self, floats: Floats) -> Result<Option<&'static Kernel>, engine::Error> {
        let flags = flags_of(floats);
        let family = self.sums.or(self.rows.map(|[sums, _]| sums));
        family.map(|family| family.variant(flags)).transpose()
    }

    /// The kernels of the sums of rows and of columns, if these are kept.
    pub(crate) fn factor_kernels(&self, floats: Floats) -> Result<Option<[&'static Kernel; 2]>, engine::Error> {
        let Some([rows, columns, _]) = self.factors else { return Ok(None) };
        Ok(Some([rows.variant(flags_of(floats))?, columns.variant(flags_of(floats))?]))
    }

    /// The kernel of the directions before the update, if there are any.
    pub(crate) fn direct_kernel(&self, floats: Floats) -> Result<Option<&'static Kernel>, engine::Error> {
        self.direct.map(|family| family.variant(flags_of(floats))).transpose()
    }

    /// The flag of the slot that is there by a switch, which the family alone tells.
    fn optional_flag(&self) -> Flags {
        let of_family = [Flag::Amsgrad, Flag::Centered].into_iter().find(|flag| self.family.variant(*flag).is_ok());
        of_family.map_or(Flags::NONE, |flag| flag.when(self.optional.is_some()))
    }

    /// Bytes of the moments and the average of a parameter, each part of which begins at such a boundary.
    pub(crate) fn kept_bytes(&self, param: &Param, alignment: u64) -> u64 {
        let whole = Part::whole(param.elements() as u64);
        let aligned = |parts: &[Part]| parts.iter().map(|part| part.elements.next_multiple_of(alignment)).sum::<u64>();
        let moments = self.storage.bytes(aligned(&self.moment_parts(param, &whole)));
        moments * self.arena_names().len() as u64 + self.average_bytes(aligned(&whole))
    }

    fn average_bytes(&self, elements: u64) -> u64 {
        if self.has_average { elements * AVERAGE_BYTES } else { 0 }
    }

    /// Bytes of the moments that elements have for themselves: those of a matrix have none where its rows and columns are
    /// kept.
    fn moment_bytes(&self, elements: u64, is_matrix: bool) -> u64 {
        match self.factors {
            Some(_) if is_matrix => 0,
            _ => self.storage.bytes(elements) * self.arena_names().len() as u64,
        }
    }

    /// Bytes of the two arrays of directions of so many elements, if its rule makes any.
    pub(crate) fn direction_bytes(&self, elements: u64) -> u64 {
        if self.direct.is_some() { 2 * Storage::F32.bytes(elements) } else { 0 }
    }

    /// Bytes that a step over a parameter moves.
    pub(crate) fn step_bytes(&self, param: &Param) -> u64 {
        let (elements, is_matrix) = (param.elements() as u64, has_rows(param));
        let sums = if self.rows.is_none() || is_matrix { self.sums_bytes(elements, is_matrix) } else { 0 };
        let of_factors = if is_matrix { 2 * self.factor_bytes(elements) + self.fold_bytes(param) } else { 0 };
        let of_directions = match (self.direct, &param.shape[..]) {
            (Some(_), [rows, columns]) => {
                self.direct_bytes(elements) + newton_schulz::cost([*rows, *columns].map(|length| length as u64)).bytes
            }
            _ => 0,
        };
        sums + of_factors + of_directions + self.update_bytes(elements, is_matrix)
    }

    /// Bytes that the directions before it move: parameter and gradient are read, the momentum is read and written, and the
    /// direction is written.
    pub(crate) fn direct_bytes(&self, elements: u64) -> u64 {
        if self.direct.is_some() { 5 * Storage::F32.bytes(elements) } else { 0 }
    }

    /// Bytes that sums of rows, or of columns, read: the gradient.
    pub(crate) fn factor_bytes(&self, elements: u64) -> u64 {
        if self.factors.is_some() { self.precision.gradients().bytes(elements) } else { 0 }
    }

    /// Bytes that their fold moves of a matrix: rows and columns are read and written.
    pub(crate) fn fold_bytes(&self, param: &Param) -> u64 {
        let kept = || kept_parts(param).iter().map(|part| part.elements).sum();
        if self.factors.is_some() && has_rows(param) { 2 * self.storage.bytes(kept()) } else { 0 }
    }

    /// Bytes that the update moves: parameter and state are read and written, the gradient is read.
    pub(crate) fn update_bytes(&self, elements: u64, is_matrix: bool) -> u64 {
        let [values, gradient] = [self.precision.values(), self.precision.gradients()].map(|it| it.bytes(elements));
        2 * (values + self.moment_bytes(elements, is_matrix) + self.average_bytes(elements)) + gradient
    }

    /// Bytes that the sums before it read: parameter and gradient, and the moments of a rule whose step they make.
    pub(crate) fn sums_bytes(&self, elements: u64, is_matrix: bool) -> u64 {
        let [values, gradient] = [self.precision.values(), self.precision.gradients()].map(|it| it.bytes(elements));
        let moments = if self.sums_read_state { self.moment_bytes(elements, is_matrix) } else { 0 };
        if self.sums.is_some() || self.rows.is_some() { values + gradient + moments } else { 0 }
    }
}

/// The flags of how parameters and gradients are taken.
fn flags_of(floats: Floats) -> Flags {
    Flag::SingleGrads.when(floats != Floats::Quads) | Flag::SingleParams.when(floats == Floats::Singles)
}

/// Whether a parameter is a matrix to a rule that looks at rows.
pub(crate) fn has_rows(param: &Param) -> bool {
    param.shape.len() > 1
}

/// The kernels that a rule names; each has some, as a test says.
fn family_of(rule: Rule) -> &'static Family {
    let name = rule.declaration().kernel;
    kernels::RULES.into_iter().find(|family| family.name == name).unwrap_or(&kernels::ADAMW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_kernels_for_its_slots() {
        for rule in Rule::ALL {
            let update = Update::of_row(&Row::of(rule));
            assert_eq!(update.family.name, rule.declaration().kernel);
            assert_eq!(update.sums.is_some() || update.rows.is_some(), rule.needs_sums(), "{rule}");
            let bindings = update.kernel(Floats::Quads).expect("a kernel").bindings.len();
            let further = if update.rows.is_some() || update.factors.is_some() { 2 } else { 0 };
            assert_eq!(bindings, 5 + update.arena_names().len() + further, "{rule}");
        }
    }
}
