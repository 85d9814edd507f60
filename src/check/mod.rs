//! Whether the kernels are right on an adapter: each against its twin, over what operations and updates declare.
//!
//! Operations and the stages of a step declare small [samples](crate::nn::ops::samples). A sample becomes a program on the
//! twins. The program is [walked](walk): each of its dispatches is shown with the memory that it finds, as a [`Trial`] that any
//! engine can be given, and with what the twin leaves there.
//!
//! Needs the feature `nn`.
//!
//! Invariant: this room prints nothing and reads no file.

mod adapter;
mod alone;
mod bed;
mod certificate;
mod checked;
mod compared;
mod forms;
mod found;
mod speed;
mod standing;
mod trial;

pub use adapter::{adapter, kernels};
pub use bed::Bed;
pub use certificate::Certificate;
pub use checked::{Checked, Refused};
pub use compared::{Compared, compare};
pub use forms::{Form, forms};
pub use found::Found;
pub use speed::Speed;
pub use standing::{Standing, families_of, family_of, standing};
#[doc(hidden)]
pub use trial::{JUNK, TAIL, Trial, walk};
