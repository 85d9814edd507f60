//! How gradients are clipped.

use super::Error;

/// The order of a norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormOrder {
    /// Sum of magnitudes.
    One,
    /// Root of the sum of squares.
    Two,
    /// Largest magnitude.
    Infinity,
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
            Clip::Norm { max_norm, .. } => ("max_norm", *max_norm),
            Clip::Value(bound) => ("clip value", *bound),
        };
        // As the device sees it.
        if (value as f32).is_finite() && value as f32 > 0.0 {
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
            Clip::None | Clip::Value(_) => 0,
        }
    }

    pub(crate) fn order_name(&self) -> &'static str {
        match self.norm_kind() {
            1 => "1",
            3 => "inf",
            _ => "2",
        }
    }
}
