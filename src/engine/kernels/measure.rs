//! The kernel that a device is measured by.

use super::call::Call;
use super::family::Access::{Read, ReadWrite};
use super::family::Family;
use crate::twin;

/// Copies: source, target.
pub static COPY: Family =
    Family::new("copy", include_str!("../../../shaders/measure/copy.wgsl"), &[Read, ReadWrite], copy);

fn copy(call: Call<'_>) {
    let [source, to] = call.take();
    twin::measure::copy(source.get(), to.get_mut());
}
