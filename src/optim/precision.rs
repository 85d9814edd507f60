//! How parameters and gradients are stored.

use super::Error;
use crate::params::{Row, Storage};

/// The types of a parameter's values and of its gradient. The arithmetic is f32.
///
/// A step rounds a value in bf16 stochastically, up or down, as a function of the seed in the optimizer's settings, the
/// steps applied to the tensor, and the element. So a step smaller than the last bit is right on average, and a resumed
/// run rounds the same, with only the counts saved. Uploads and loads round to the nearest even.
///
/// AdamW, Adam, NAdamW and Lion, without a moving average, in arenas or in a caller's buffers. Our models read [`Mixed`](Precision::Mixed) where [`nn::reads_bf16`](crate::nn::reads_bf16) says so; their gradients are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// Both in f32: with the moments' bytes twice, 12 bytes a parameter and step.
    #[default]
    F32,
    /// Values in bf16, gradients in f32: 8 bytes, and 16 with moments in bf16.
    Mixed,
    /// Both in bf16: 6 bytes, and 14 with moments in bf16, 10.25 with moments in int8.
    Bf16,
}

impl Precision {
    /// How values are stored.
    pub fn values(self) -> Storage {
        if self == Precision::F32 { Storage::F32 } else { Storage::Bf16 }
    }

    /// How gradients are stored.
    pub fn gradients(self) -> Storage {
        if self == Precision::Bf16 { Storage::Bf16 } else { Storage::F32 }
    }

    /// Whether a parameter that is stored so may be in a group with this row.
    ///
    /// # Errors
    /// [`Error::Unsuited`] where values are in bf16, for rules that do not store it and for a moving average.
    pub fn check(self, param: &str, row: &Row) -> Result<(), Error> {
        let reason = match self {
            Precision::F32 => return Ok(()),
            _ if !row.rule.stores_bf16() => {
                let title = row.rule.title();
                format!("its values are in bf16, which the kernel of {title} does not store")
            }
            _ if row.ema_decay.is_some() => {
                "its values are in bf16, and there is no moving average of those".to_owned()
            }
            _ => return Ok(()),
        };
        Err(Error::Unsuited { param: param.to_owned(), reason })
    }
}
