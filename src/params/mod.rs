//! Parameters by name, the groups they form, and the row of hyper-parameters that a group has at a step.
//!
//! A [`Row`] is the record that a schedule fills and the optimizer reads; it is f64 here and becomes f32 on its way to
//! the device.
//!
//! Invariant: plain data. This room never uses wgpu, `engine`, `optim`, `nn` or `train`.

mod check;
mod error;
mod field;
mod floats;
mod group;
mod layers;
mod nearest;
mod numbered;
mod param;
mod row;
mod rule;
mod select;
mod shown;
mod storage;
mod word;

pub use error::Error;
pub use field::Field;
pub(crate) use floats::floats;
pub use group::Group;
pub use layers::{Changed, Layers};
pub(crate) use nearest::did_you_mean;
pub use nearest::{nearest, nearest_three};
pub(crate) use numbered::numbered_module;
pub use param::Param;
pub use row::Row;
pub use rule::{Refused, Rule, Switch};
pub(crate) use rule::{Sums, log};
pub use select::Pattern;
pub use shown::{Shown, shown_list, shown_path, tame, tame_line};
pub use storage::Storage;
pub use word::has_word;
