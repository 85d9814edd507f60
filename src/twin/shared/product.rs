//! The record of `shaders/optim/product.wgsl`.

use bytemuck::{Pod, Zeroable};
use std::ops::Range;

/// a is stored column after column.
pub const LEFT_TURNED: u32 = 1;
/// b is.
pub const RIGHT_TURNED: u32 = 2;
/// c and d are.
pub const OUT_TURNED: u32 = 4;
/// c is symmetric: what is above its diagonal is what is below it.
pub const SYMMETRIC: u32 = 8;

/// The shapes of a product.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Product {
    pub rows: u32,
    pub columns: u32,
    pub inner: u32,
    pub flags: u32,
    pub scale: f32,
    pub kept: f32,
    pub left: u32,
    pub right: u32,
    pub added: u32,
    pub out: u32,
    pub matrices: u32,
    pub diagonal: f32,
}

impl Product {
    /// Elements of a, b and c.
    pub fn lengths(&self) -> [usize; 3] {
        let [rows, columns, inner] = [self.rows, self.columns, self.inner].map(|length| length as usize);
        [rows * inner, inner * columns, rows * columns]
    }

    /// Where a, b, d and c of matrix `number` lie.
    pub fn ranges(&self, places: &[u32], number: usize) -> [Range<usize>; 4] {
        let [left, right, out] = self.lengths();
        let range = |first: u32, length: usize| {
            let first = places[first as usize + number] as usize;
            first..first + length
        };
        let added = if self.kept == 0.0 { 0..0 } else { range(self.added, out) };
        [range(self.left, left), range(self.right, right), added, range(self.out, out)]
    }
}
