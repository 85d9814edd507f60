//! A family of kernels: one shader and all that its flags make of it.

use super::call::Call;
use super::flags::{Flag, Flags};
use super::rule_text::{
    DIRECT, FACTOR_COLUMNS, FACTOR_FOLD, FACTOR_ROWS, FACTOR_SUMS, FACTOR_UPDATE, ROW_SUMS, ROW_SUMS_FOLD, RuleText,
    SUMS, UPDATE,
};
use super::source::{self, Shaders};
use super::values::ValueStorage;
use crate::engine::Error;
use std::fmt;
use std::sync::OnceLock;

/// How a kernel uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `var<storage, read>`
    Read,
    /// `var<storage, read_write>`
    ReadWrite,
    /// `var<storage, read_write>`, and only read: another binding may write the same buffer
    ReadShared,
    /// `var<uniform>`
    Uniform,
    /// `var<uniform>`, the horizon's clock, at the offset of the step's slot
    Clock,
}

/// A shader with its bindings, its flags and its twin.
pub struct Family {
    /// The name of shader, twin and test, and of the kernel without any flag.
    pub name: &'static str,
    /// The shader's text, imports and flags not yet resolved.
    pub(super) source: &'static str,
    /// Bindings 0, 1, … of group 0 without any flag.
    bindings: &'static [Access],
    words: &'static [Word],
    /// The update rule that the shader imports.
    pub(super) rule: Option<&'static RuleText>,
    /// Whether it takes differences of numbers that are nearly equal, which leave few digits: a row less its mean, scores less
    /// theirs.
    pub takes_differences: bool,
    /// Whether it adds up the rows of a batch, which may cancel: a gradient of a vector.
    pub adds_rows: bool,
    /// Runs the twin, or its fast form, on host memory.
    twin: fn(Call<'_>),
    kernels: OnceLock<Vec<Kernel>>,
}

/// Words that an update's shader asks about: whether there is a second slot, a third and a fourth.
pub(super) const SLOT_WORDS: [&str; 3] = ["SLOT1", "SLOT2", "SLOT3"];
/// Whether the rule's state may rest.
pub(super) const IDLE: &str = "IDLE";
/// Whether the rule looks at the rows of a matrix.
pub(super) const ROWS: &str = "ROWS";
/// Whether the rule's state of a matrix is rows and columns.
pub(super) const FACTORED: &str = "FACTORED";

/// A flag in its family. Names list flags in the order of the family.
#[derive(Clone, Copy)]
pub(super) struct Word {
    pub(super) flag: Flag,
    /// Bindings that come last.
    adds: &'static [Access],
    /// A binding whose buffer another one may write with the flag.
    shares: Option<usize>,
    /// Flags before it that it does not go with.
    never_with: &'static [Flag],
    /// The flag before it that it does not go without.
    only_with: Option<Flag>,
}

/// Values in bf16: every kernel of a model's operations has it.
pub(super) const BF16_VALUES: Word = Word::of(Flag::Values16);
/// Values in f16.
pub(super) const F16_VALUES: Word = Word::of(Flag::ValuesF16).never_with(&[Flag::Values16]);

/// A member of a family: what a dispatch runs.
#[non_exhaustive]
pub struct Kernel {
    /// Its family's name and, after a dot, the words of its flags. Its label in a trace.
    pub name: &'static str,
    /// Its family.
    pub family: &'static Family,
    /// Its flags.
    pub flags: Flags,
    /// Bindings 0, 1, … of group 0.
    pub bindings: Vec<Access>,
    /// Which of them hold values.
    values: OnceLock<Vec<usize>>,
}

impl Word {
    pub(super) const fn of(flag: Flag) -> Word {
        Word { flag, adds: &[], shares: None, never_with: &[], only_with: None }
    }

    pub(super) const fn adds(self, adds: &'static [Access]) -> Word {
        Word { adds, ..self }
    }

    pub(super) const fn shares(self, binding: usize) -> Word {
        Word { shares: Some(binding), ..self }
    }

    pub(super) const fn never_with(self, never_with: &'static [Flag]) -> Word {
        Word { never_with, ..self }
    }

    pub(super) const fn only_with(self, flag: Flag) -> Word {
        Word { only_with: Some(flag), ..self }
    }

    fn goes_with(&self, flags: Flags) -> bool {
        !self.never_with.iter().any(|flag| flags.has(*flag)) && self.only_with.is_none_or(|flag| flags.has(flag))
    }
}

impl Family {
    pub(super) const fn new(
        name: &'static str,
        source: &'static str,
        bindings: &'static [Access],
        twin: fn(Call<'_>),
    ) -> Family {
        Family {
            name,
            source,
            bindings,
            words: &[],
            rule: None,
            takes_differences: false,
            adds_rows: false,
            twin,
            kernels: OnceLock::new(),
        }
    }

    /// The same family with these flags.
    pub(super) const fn with(mut self, words: &'static [Word]) -> Family {
        self.words = words;
        self
    }

    /// The same family, by an update rule.
    pub(super) const fn by(mut self, rule: &'static RuleText) -> Family {
        self.rule = Some(rule);
        self
    }

    /// The same family, which takes differences.
    pub(super) const fn taking_differences(mut self) -> Family {
        self.takes_differences = true;
        self
    }

    /// The same family, which adds up rows.
    pub(super) const fn adding_rows(mut self) -> Family {
        self.adds_rows = true;
        self
    }

    /// Every member: one for each set of flags that go together, the plain one first.
    pub fn kernels(&'static self) -> &'static [Kernel] {
        self.kernels.get_or_init(|| {
            let mut sets = vec![Flags::NONE];
            for word in self.words {
                let more: Vec<Flags> =
                    sets.iter().filter(|set| word.goes_with(**set)).map(|set| *set | word.flag).collect();
                sets.extend(more);
            }
            sets.into_iter().map(|flags| self.kernel(flags)).collect()
        })
    }

    /// Whether there are kernels with this flag.
    pub(crate) fn has(&self, flag: Flag) -> bool {
        self.words.iter().any(|word| word.flag == flag)
    }

    /// The name of its shader's file.
    pub(super) fn shader(&self) -> &'static str {
        match self.source {
            source if source == UPDATE => "update",
            source if source == SUMS => "sums",
            source if source == DIRECT => "direct",
            source if source == ROW_SUMS => "row_sums",
            source if source == ROW_SUMS_FOLD => "row_sums_fold",
            source if source == FACTOR_ROWS => "factor_rows",
            source if source == FACTOR_COLUMNS => "factor_columns",
            source if source == FACTOR_FOLD => "factor_fold",
            source if source == FACTOR_SUMS => "factor_sums",
            source if source == FACTOR_UPDATE => "factor_update",
            _ => self.name,
        }
    }

    /// The member without any flag.
    pub fn plain(&'static self) -> &'static Kernel {
        &self.kernels()[0]
    }

    /// The member with just these flags.
    ///
    /// # Errors
    /// [`Error::NoSuchKernel`] if the family lacks them, or they exclude each other.
    pub fn variant(&'static self, flags: impl Into<Flags>) -> Result<&'static Kernel, Error> {
        let flags = flags.into();
        let found = self.kernels().iter().find(|kernel| kernel.flags == flags);
        found.ok_or(Error::NoSuchKernel { family: self.name, flags })
    }

    fn kernel(&'static self, flags: Flags) -> Kernel {
        let mut bindings = self.bindings.to_vec();
        let mut name = self.name.to_owned();
        for word in self.words.iter().filter(|word| flags.has(word.flag)) {
            name.push(if name.len() == self.name.len() { '.' } else { '_' });
            name.push_str(word.flag.word());
            word.shares.into_iter().for_each(|binding| bindings[binding] = Access::ReadShared);
            bindings.extend(word.adds);
        }
        // It is there for as long as its family is.
        Kernel { name: name.leak(), family: self, flags, bindings, values: OnceLock::new() }
    }
}

impl PartialEq for Family {
    fn eq(&self, other: &Family) -> bool {
        self.name == other.name
    }
}

impl Eq for Family {}

impl Kernel {
    /// Whether it has a flag.
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.has(flag)
    }

    /// The member of its family that has this flag too.
    ///
    /// # Errors
    /// [`Error::NoSuchKernel`].
    pub fn with(&self, flag: Flag) -> Result<&'static Kernel, Error> {
        self.family.variant(self.flags | flag)
    }

    /// The shader's text with its imports and its flags resolved.
    pub fn wgsl(&self) -> String {
        self.wgsl_with(&Shaders::default())
    }

    /// The same with other texts of some shaders.
    pub fn wgsl_with(&self, shaders: &Shaders) -> String {
        let source = shaders.of(self.family.shader()).unwrap_or(self.family.source);
        let slots = self.slots();
        let is_defined = |name: &str| match SLOT_WORDS.iter().position(|word| *word == name) {
            Some(place) => slots > place + 1,
            None if name == IDLE => self.family.rule.is_some_and(|rule| rule.can_idle),
            None if name == ROWS => self.family.rule.is_some_and(|rule| rule.has_rows),
            None if name == FACTORED => self.family.rule.is_some_and(|rule| rule.is_factored),
            None => self.flags.words().any(|word| word.to_uppercase() == name),
        };
        source::resolved(source, self.family.rule, shaders, is_defined)
    }

    /// How values are stored, and the bindings that hold some: those of the type that `shaders/shared/values.wgsl` has for them.
    pub(crate) fn values(&self) -> (ValueStorage, &[usize]) {
        let storage = match (self.has(Flag::Values16), self.has(Flag::ValuesF16)) {
            (true, _) => ValueStorage::Bf16,
            (_, true) => ValueStorage::F16,
            _ => return (ValueStorage::F32, &[]),
        };
        let binding = |line: &str| {
            let (number, rest) = line.strip_prefix("@group(0) @binding(")?.split_once(')')?;
            rest.ends_with("array<Stored>;").then(|| number.parse().ok())?
        };
        (storage, self.values.get_or_init(|| self.wgsl().lines().filter_map(binding).collect()))
    }

    /// The same kernel with values stored so.
    ///
    /// # Errors
    /// [`Error::NoSuchKernel`].
    pub fn with_values(&self, storage: ValueStorage) -> Result<&'static Kernel, Error> {
        self.family.variant(self.flags | storage.flags())
    }

    /// Slots of state of an update; 0 for other kernels.
    pub(crate) fn slots(&self) -> usize {
        self.family.rule.map_or(0, |rule| rule.slots + usize::from(self.has_optional_slot()))
    }

    /// Whether a flag adds a slot of state.
    fn has_optional_slot(&self) -> bool {
        self.has(Flag::Amsgrad) || self.has(Flag::Centered)
    }

    /// Runs the twin, or its fast form.
    pub(crate) fn run(&self, call: Call<'_>) {
        let (storage, bindings) = self.values();
        match storage {
            ValueStorage::F32 => (self.family.twin)(call),
            _ => call.over_wide_values(storage, bindings, self.family.twin),
        }
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Family({})", self.name)
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({})", self.name)
    }
}
