//! Twin of `shaders/shared/control.wgsl`, and of the settings that the control stage reads.

use bytemuck::{Pod, Zeroable};

/// Most partial sums of a norm.
pub const PARTIALS: usize = 1024;
/// No group has a non-finite gradient.
pub const NO_GROUP: u32 = u32::MAX;
/// Bytes of the control block before the records.
pub const CONTROL_HEADER_BYTES: u64 = (size_of::<StatsBlock>() + PARTIALS * size_of::<Partial>()) as u64;

const RECORD_WORDS: usize = size_of::<Record>() / 4;

/// What a step did, read back by the host.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct StatsBlock {
    pub loss_scale: f32,
    pub growth_tracker: u32,
    pub step: u32,
    pub applied: u32,
    pub skipped: u32,
    pub skip: u32,
    pub bad_group: u32,
    pub nonfinite_norms: u32,
    pub norm: f32,
    pub clip: f32,
    pub value_bound: f32,
    pub bad_norm_step: u32,
    pub bad_norm: f32,
    pub lost_rows: u32,
    pub skips_in_a_row: u32,
    pub pad0: u32,
}

/// One partial sum of a norm.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Partial {
    pub sum: f32,
    pub bad_group: u32,
}

/// What the update needs to know of one tensor.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Record {
    pub count: u32,
    pub flags: u32,
    pub scale: f32,
    pub decay: f32,
    pub coupled_decay: f32,
    pub one_minus_beta1: f32,
    pub beta2: f32,
    pub one_minus_beta2: f32,
    pub step_size: f32,
    pub root_scale: f32,
    pub eps: f32,
    pub momentum: f32,
    pub one_minus_dampening: f32,
    pub buffered: u32,
    pub averaged: u32,
    pub average_rate: f32,
    pub grad: u32,
    pub lr: f32,
    pub own0: f32,
    pub own1: f32,
    pub carried: f32,
    pub peak: f32,
    pub sum_a: f32,
    pub sum_b: f32,
}

/// What the optimizer was set up with.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct ControlSettings {
    pub partials: u32,
    pub tensors: u32,
    pub norm: u32,
    pub guard: u32,
    pub max_norm: f32,
    pub value_bound: f32,
    pub error_if_nonfinite: u32,
    pub alone: u32,
    pub growth_factor: f32,
    pub backoff_factor: f32,
    pub growth_interval: u32,
    pub by_set: u32,
    pub zero: u32,
    pub pad0: u32,
    pub pad1: u32,
    pub pad2: u32,
}

/// The partial sums that a group's clip follows from.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct ClipSet {
    pub first: u32,
    pub count: u32,
    pub squares_first: u32,
    pub squares_count: u32,
}

impl ClipSet {
    /// The places of both.
    pub fn partials(&self) -> impl Iterator<Item = usize> + use<> {
        let [first, squares_first] = [self.first as usize, self.squares_first as usize];
        (first..first + self.count as usize).chain(squares_first..squares_first + self.squares_count as usize)
    }
}

/// The three parts of a control block, to be written.
pub fn split_control_mut(control: &mut [u32]) -> (&mut StatsBlock, &mut [Partial], &mut [Record]) {
    let (stats, rest) = control.split_at_mut(size_of::<StatsBlock>() / 4);
    let (partials, records) = rest.split_at_mut(PARTIALS * size_of::<Partial>() / 4);
    let whole = records.len() / RECORD_WORDS * RECORD_WORDS;
    let stats: &mut [StatsBlock] = bytemuck::cast_slice_mut(stats);
    (&mut stats[0], bytemuck::cast_slice_mut(partials), bytemuck::cast_slice_mut(&mut records[..whole]))
}

/// The three parts of a control block.
pub fn split_control(control: &[u32]) -> (&StatsBlock, &[Partial], &[Record]) {
    let (stats, rest) = control.split_at(size_of::<StatsBlock>() / 4);
    let (partials, records) = rest.split_at(PARTIALS * size_of::<Partial>() / 4);
    let whole = records.len() / RECORD_WORDS * RECORD_WORDS;
    let stats: &[StatsBlock] = bytemuck::cast_slice(stats);
    (&stats[0], bytemuck::cast_slice(partials), bytemuck::cast_slice(&records[..whole]))
}
