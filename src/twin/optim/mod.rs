//! Twins of `shaders/optim`.

mod adamw_int8;
mod clip;
mod control;
mod direct;
mod factor_columns;
mod factor_fold;
mod factor_rows;
mod factor_sums;
mod factor_update;
mod keep;
mod norm;
mod norm_fold;
mod product;
mod resize;
mod row_sums;
mod row_sums_fold;
pub mod rule;
mod sums;
mod sums_fold;
mod swap;
mod update;

pub use adamw_int8::adamw_int8;
pub use clip::clip;
pub use control::control;
pub use direct::direct;
pub use factor_columns::factor_columns;
pub use factor_fold::factor_fold;
pub use factor_rows::factor_rows;
pub use factor_sums::factor_sums;
pub use factor_update::factor_update;
#[cfg(feature = "cpu")]
pub(crate) use factor_update::prepared as prepared_by_means;
pub use keep::keep;
pub use norm::{join, norm};
pub use norm_fold::norm_fold;
pub use product::product;
pub use resize::resize;
#[cfg(feature = "cpu")]
pub(crate) use row_sums::RowPart;
pub use row_sums::row_sums;
pub use row_sums_fold::row_sums_fold;
pub use sums::sums;
pub use sums_fold::sums_fold;
pub use swap::swap;
#[cfg(feature = "cpu")]
pub(crate) use update::Stretch;
pub use update::update;
