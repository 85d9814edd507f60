//! Whether the kernels are right on an adapter: each against its twin, over what operations and updates declare.
//!
//! Operations and the stages of a step declare small [samples](crate::nn::ops::samples). A sample becomes a program on the
//! twins. The program is [walked](walk): each of its dispatches is shown with the memory that it finds, as a [`Trial`] that any
//! engine can be given, and with what the twin leaves there.
//!
//! Invariant: this room prints nothing and reads no file.

mod adapter;
mod bed;
mod certificate;
mod compared;
mod forms;
mod gathers;
mod trial;

pub use adapter::{Extent, adapter};
pub use bed::{Bed, noise};
pub use certificate::{Certificate, Checked, Refused};
pub use compared::{Compared, compare};
pub use forms::{Form, forms};
pub use trial::{JUNK, TAIL, Trial, walk};
