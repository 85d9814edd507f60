//! Twin of `shaders/shared/table.wgsl`.

use bytemuck::{Pod, Zeroable};

/// One step's hyper-parameters of one group, as the device reads them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct TableRow {
    pub lr: f32,
    pub decay: f32,
    pub one_minus_beta1: f32,
    pub log_beta1: f32,
    pub beta2: f32,
    pub one_minus_beta2: f32,
    pub log_beta2: f32,
    pub eps: f32,
    pub momentum: f32,
    pub one_minus_dampening: f32,
    pub flags: u32,
    pub max_norm: f32,
    pub average_rate: f32,
    pub own0: f32,
    pub own1: f32,
}

/// The header before the rows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct TableHeader {
    pub first_step: u32,
    pub steps: u32,
    pub pad0: u32,
    pub pad1: u32,
}

impl TableHeader {
    /// The place of a group's row at a slot.
    pub fn row_at(&self, group: u32, slot: u32) -> usize {
        (if self.steps == 0 { group } else { group * self.steps + slot }) as usize
    }
}

/// Bytes before the rows.
pub const TABLE_HEADER_BYTES: u64 = size_of::<TableHeader>() as u64;
/// Bytes of the smallest table that a kernel can bind, which has one row.
pub const LEAST_TABLE_BYTES: u64 = TABLE_HEADER_BYTES + size_of::<TableRow>() as u64;

const ROW_WORDS: usize = size_of::<TableRow>() / 4;

/// The running maximum of v takes v's place.
pub const AMSGRAD: u32 = 1;
/// The loss is maximized.
pub const MAXIMIZE: u32 = 2;
/// Decay joins the gradient (Adam, SGD) instead of acting on the parameter (AdamW).
pub const COUPLED: u32 = 4;
/// SGD steps along the gradient plus momentum times the buffer.
pub const NESTEROV: u32 = 8;
/// There is a moving average of the parameters.
pub const AVERAGED: u32 = 16;
/// The momentum rises with the count (NAdam).
pub const RISING: u32 = 32;
/// The variance replaces the second moment (RMSprop).
pub const CENTERED: u32 = 64;
/// The step is as long as the trust ratio says (LAMB, LARS).
pub const ADAPTED: u32 = 128;
/// The trust ratio is 1 at most.
pub const TRUST_CLIPPED: u32 = 256;
/// Steps have weights in the average (Schedule-Free).
pub const WEIGHTED: u32 = 512;

/// A table's header and rows.
pub fn split_table(table: &[u32]) -> (&TableHeader, &[TableRow]) {
    let (header, rows) = table.split_at(TABLE_HEADER_BYTES as usize / 4);
    let whole = rows.len() / ROW_WORDS * ROW_WORDS;
    (&bytemuck::cast_slice(header)[0], bytemuck::cast_slice(&rows[..whole]))
}
