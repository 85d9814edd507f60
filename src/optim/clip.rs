//! How gradients are clipped.

use super::Error;
use crate::engine::layout::PARTIALS;

/// The order of a norm.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum NormOrder {
    /// Sum of magnitudes.
    One,
    /// Root of the sum of squares.
    Two,
    /// Largest magnitude.
    Infinity,
    /// How many tensors have a gradient that is not 0 everywhere: PyTorch's order 0, which is that of the tensors' norms too.
    Zero,
    /// The root of this order of the sum of magnitudes to its power: a finite number above 0. Those below 0, of PyTorch's, go by
    /// the smallest magnitudes, and are refused.
    P(
        /// The order.
        f64,
    ),
}

impl NormOrder {
    /// The norm of this order, `norm_type` in PyTorch.
    pub fn of(order: f64) -> NormOrder {
        match order {
            0.0 => NormOrder::Zero,
            1.0 => NormOrder::One,
            2.0 => NormOrder::Two,
            f64::INFINITY => NormOrder::Infinity,
            order => NormOrder::P(order),
        }
    }

    /// The order as a number.
    pub fn number(self) -> f64 {
        match self {
            NormOrder::Zero => 0.0,
            NormOrder::One => 1.0,
            NormOrder::Two => 2.0,
            NormOrder::Infinity => f64::INFINITY,
            NormOrder::P(order) => order,
        }
    }
}

/// What happens to gradients before the update, with PyTorch's behaviour on infinite and NaN gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Clip {
    /// Nothing.
    #[default]
    None,
    /// All gradients are multiplied by min(1, `max_norm` / (total norm + 1e-6)), as `torch.nn.utils.clip_grad_norm_`:
    /// a NaN norm makes every gradient NaN, an infinite one makes finite gradients 0 and infinite ones NaN.
    #[non_exhaustive]
    Norm {
        /// Largest norm, > 0; a row's own [`clip_norm`](crate::params::Row::clip_norm) takes its place.
        max_norm: f64,
        /// Order of the norm over all gradients together.
        order: NormOrder,
        /// Skip the step and report an error instead, where the norm is not finite.
        error_if_nonfinite: bool,
    },
    /// Every gradient is clamped to ±bound, as `torch.nn.utils.clip_grad_value_`: NaN stays, infinity becomes the bound.
    Value(
        /// The bound, > 0.
        f64,
    ),
}

impl Clip {
    /// Clipping by the 2-norm, as most recipes do it.
    pub fn norm(max_norm: f64) -> Clip {
        Clip::Norm { max_norm, order: NormOrder::Two, error_if_nonfinite: false }
    }

    /// The same by another order of the norm; what does not clip by norm stays as it is.
    #[must_use]
    pub fn order(self, order: NormOrder) -> Clip {
        match self {
            Clip::Norm { max_norm, error_if_nonfinite, .. } => Clip::Norm { max_norm, order, error_if_nonfinite },
            clip => clip,
        }
    }

    /// The same, where a norm that is not finite is an error or not; what does not clip by norm stays as it is.
    #[must_use]
    pub fn error_if_nonfinite(self, error_if_nonfinite: bool) -> Clip {
        match self {
            Clip::Norm { max_norm, order, .. } => Clip::Norm { max_norm, order, error_if_nonfinite },
            clip => clip,
        }
    }

    /// What holds for a step whose rows have this clip norm.
    ///
    /// # Errors
    /// [`Error::TwoClips`] beside clipping by value.
    pub(crate) fn with(self, clip_norm: Option<f64>) -> Result<Clip, Error> {
        match (self, clip_norm) {
            (clip, None) => Ok(clip),
            (Clip::None, Some(max_norm)) => Ok(Clip::norm(max_norm)),
            (Clip::Norm { order, error_if_nonfinite, .. }, Some(max_norm)) => {
                Ok(Clip::Norm { max_norm, order, error_if_nonfinite })
            }
            (Clip::Value(bound), Some(max_norm)) => Err(Error::TwoClips { bound, max_norm }),
        }
    }

    /// The norm that gradients are clipped to where a row does not say; 0 where none are.
    pub(crate) fn max_norm(&self) -> f64 {
        match self {
            Clip::Norm { max_norm, .. } => *max_norm,
            Clip::None | Clip::Value(_) => 0.0,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let (setting, value) = match self {
            Clip::None => return Ok(()),
            Clip::Norm { order: NormOrder::P(order), .. } if !is_positive(*order) => {
                let allowed = "0, a finite number above 0, or infinity";
                return Err(Error::BadSetting { setting: "norm order", value: *order, allowed });
            }
            Clip::Norm { max_norm, .. } => ("max_norm", *max_norm),
            Clip::Value(bound) => ("clip value", *bound),
        };
        if is_positive(value) {
            return Ok(());
        }
        Err(Error::BadSetting { setting, value, allowed: "a finite number above 0" })
    }

    /// The kernels' number for the norm; 0 where there is none.
    pub(crate) fn norm_kind(&self) -> u32 {
        match self {
            Clip::Norm { order: NormOrder::One, .. } => 1,
            Clip::Norm { order: NormOrder::Two, .. } => 2,
            Clip::Norm { order: NormOrder::Infinity, .. } => 3,
            Clip::Norm { order: NormOrder::P(_), .. } => 4,
            Clip::Norm { order: NormOrder::Zero, .. } => 5,
            Clip::None | Clip::Value(_) => 0,
        }
    }

    /// Whether the norm is a number of tensors.
    pub(crate) fn counts_tensors(&self) -> bool {
        matches!(self, Clip::Norm { order: NormOrder::Zero, .. })
    }

    /// Refuses to count more tensors than there are partial sums.
    pub(crate) fn check_tensors(&self, tensors: usize) -> Result<(), Error> {
        if !self.counts_tensors() || tensors <= PARTIALS {
            return Ok(());
        }
        Err(Error::BadSetting { setting: "norm order", value: 0.0, allowed: "possible for more than 1024 tensors" })
    }

    /// The norm's order; 2 where there is none.
    pub(crate) fn norm_order(&self) -> f64 {
        if let Clip::Norm { order, .. } = self { order.number() } else { 2.0 }
    }
}

/// Whether a number is finite and above 0, as the device sees it.
fn is_positive(value: f64) -> bool {
    (value as f32).is_finite() && value as f32 > 0.0
}
