//! What the variants of a kernel differ in.

use std::fmt;
use std::ops::BitOr;

/// A word of a kernel's name and, in capitals, of its shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flag {
    /// The activation of the result is written too.
    Activated,
    /// There is a maximum of the second moment.
    Amsgrad,
    /// There is a moving average of the parameters.
    Average,
    /// Moments are bf16.
    Bf16,
    /// There is an average of the gradient, which the second moment is centered by.
    Centered,
    /// A subgroup multiplies cooperative matrices.
    Cooperative,
    /// Weights are dropped.
    Dropout,
    /// Gradients are bf16.
    Grads16,
    /// Elements are halves of words.
    Halves,
    /// Parameters are bf16.
    Params16,
    /// Rows do not start at a vec4.
    Ragged,
    /// A residual is added.
    Residual,
    /// The gradient is multiplied by a loss scale.
    Scaled,
    /// Gradients are bound as single floats, at any offset.
    SingleGrads,
    /// Parameters are bound as single floats, at any offset.
    SingleParams,
    /// Partial sums of a gradient's squares are written too.
    Squares,
    /// Tables are bf16.
    Tables16,
    /// A workgroup shares a tile.
    Tiled,
    /// Tokens have types.
    Typed,
    /// Values, which are activations and their gradients, are bf16.
    Values16,
    /// Values are f16.
    ValuesF16,
    /// The weight is bf16.
    Weight16,
    /// What is written is f32, whatever values are.
    Widened,
}

/// The word of each.
const WORDS: [(Flag, &str); 23] = [
    (Flag::Activated, "activated"),
    (Flag::Amsgrad, "amsgrad"),
    (Flag::Average, "average"),
    (Flag::Bf16, "bf16"),
    (Flag::Centered, "centered"),
    (Flag::Cooperative, "cooperative"),
    (Flag::Dropout, "dropout"),
    (Flag::Grads16, "grads16"),
    (Flag::Halves, "halves"),
    (Flag::Params16, "params16"),
    (Flag::Ragged, "ragged"),
    (Flag::Residual, "residual"),
    (Flag::Scaled, "scaled"),
    (Flag::SingleGrads, "single_grads"),
    (Flag::SingleParams, "single_params"),
    (Flag::Squares, "squares"),
    (Flag::Tables16, "tables16"),
    (Flag::Tiled, "tiled"),
    (Flag::Typed, "typed"),
    (Flag::Values16, "values16"),
    (Flag::ValuesF16, "values_f16"),
    (Flag::Weight16, "weight16"),
    (Flag::Widened, "widened"),
];

impl Flag {
    /// Its word in names.
    pub(super) fn word(self) -> &'static str {
        Flags::from(self).words().next().unwrap_or_default()
    }

    /// Only this flag if the condition holds, else none.
    pub fn when(self, holds: bool) -> Flags {
        if holds { self.into() } else { Flags::NONE }
    }
}

/// Any number of flags.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// No flag: the plain kernel of a family.
    pub const NONE: Flags = Flags(0);

    /// Whether a flag is among them.
    pub fn has(self, flag: Flag) -> bool {
        self.0 & 1 << flag as u32 != 0
    }

    /// The words of those there are.
    pub(super) fn words(self) -> impl Iterator<Item = &'static str> {
        WORDS.into_iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, word)| word)
    }
}

impl From<Flag> for Flags {
    fn from(flag: Flag) -> Flags {
        Flags(1 << flag as u32)
    }
}

impl<F: Into<Flags>> BitOr<F> for Flags {
    type Output = Flags;

    fn bitor(self, other: F) -> Flags {
        Flags(self.0 | other.into().0)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({self})")
    }
}
