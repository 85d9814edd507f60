//! What can go wrong in the optimizer.

use crate::params::Shown;
use crate::{engine, params};

/// An error of the optim room.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A wrong name, value or group.
    #[error(transparent)]
    Params(#[from] params::Error),
    /// Groups whose clip norms differ: a step has one.
    #[error("group {first:?} has {} and group {second:?} has {}; a step has one for all groups", clip_norm(.first_norm), clip_norm(.second_norm), first = Shown(.first), second = Shown(.second))]
    ClipNormsDiffer {
        /// A group.
        first: String,
        /// Its clip norm.
        first_norm: Option<f64>,
        /// A group that does not agree.
        second: String,
        /// Its clip norm.
        second_norm: Option<f64>,
    },
    /// A clip norm in the rows beside clipping by value in the settings.
    #[error("rows clip by norm (clip_norm = {max_norm}) and settings by value ({bound}); only one of them can be")]
    TwoClips {
        /// The bound of the settings.
        bound: f64,
        /// The norm of the rows.
        max_norm: f64,
    },
    /// There is no best copy to restore.
    #[error("there is no best copy: nothing has been kept yet")]
    NothingKept,
    /// A best copy lacks a parameter that has trained since.
    #[error("parameter {param:?} thawed after the best copy was kept and is not in it: extend the copy before a thaw", param = Shown(.param))]
    NotKept {
        /// The parameter.
        param: String,
    },
    /// A best copy that the device is to make lies in host memory.
    #[error(
        "{what} lies in host memory, and only on the device can it be kept without the host: there is too little room for the best copy"
    )]
    NotOnDevice {
        /// What lies there.
        what: String,
    },
    /// A best copy of another model.
    #[error("the best copy is of a model with other parameters")]
    OtherModel,
    /// The device refused.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// A range has another size than its parameter.
    #[error("parameter {param:?}: its {what} has {bytes} bytes, its shape {shape:?} needs {needed}", param = Shown(.param))]
    SizesDisagree {
        /// The parameter.
        param: String,
        /// `values` or `gradient`.
        what: &'static str,
        /// Bytes given.
        bytes: u64,
        /// Its shape.
        shape: Vec<usize>,
        /// Bytes that the shape needs.
        needed: u64,
    },
    /// Two ranges share bytes.
    #[error("the {first} and the {second} overlap in buffer {buffer:?}", first = Shown(.first), second = Shown(.second), buffer = Shown(.buffer))]
    Overlap {
        /// One of them, with its parameter's name.
        first: String,
        /// The other.
        second: String,
        /// The buffer's name.
        buffer: String,
    },
    /// What is to move lies in the optimizer's own arenas.
    #[error(
        "the {what} lie in arenas of the optimizer's own: only those of a caller, given to Optimizer::over, can move"
    )]
    NotCallers {
        /// `gradients` or `parameters`.
        what: &'static str,
    },
    /// A list of rows names one that there is not.
    #[error("parameter {param:?}: row {index}, which the list names at place {place}, is past its {rows} rows", param = Shown(.param))]
    NoSuchRow {
        /// The parameter.
        param: String,
        /// Where in the list.
        place: usize,
        /// The row.
        index: u32,
        /// Rows that there are.
        rows: usize,
    },
    /// Lists of rows on the device named some that there were not.
    #[error(
        "{rows} rows of resized parameters are zeros: their lists on the device name rows past those that there were"
    )]
    LostRows {
        /// How many since it was last told, over all parameters.
        rows: u32,
    },
    /// An offset is not where a kernel needs it.
    #[error(
        "parameter {param:?}: its {what} start at byte {offset}, which is not a multiple of {alignment} ({reason})", param = Shown(.param))]
    Misaligned {
        /// The parameter.
        param: String,
        /// `parameter` or `gradient`.
        what: &'static str,
        /// The offset in bytes.
        offset: u64,
        /// What it must be a multiple of.
        alignment: u64,
        /// Why.
        reason: &'static str,
    },
    /// A caller's buffers do not suit the kernels.
    #[error("parameter {param:?}: {reason}", param = Shown(.param))]
    Unsuited {
        /// The parameter.
        param: String,
        /// What is in the way, and what to do.
        reason: String,
    },
    /// A step in a compute pass needs an upload, which no pass can carry.
    #[error("the step needs an upload before its pass: call encode_ahead with the encoder before the pass begins")]
    NotAhead,
    /// The loaded rows do not cover this step.
    #[error("no row for step {step}: the rows loaded cover {first}..{end}; load the next ones with load_rows")]
    NoRow {
        /// The step about to be taken.
        step: u64,
        /// First step of the loaded rows.
        first: u64,
        /// One past their last step.
        end: u64,
    },
    /// Rows that do not fit the groups or the clock.
    #[error("{rows} rows for {groups} groups: {reason}")]
    BadRows {
        /// Rows given.
        rows: usize,
        /// Groups there are.
        groups: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A setting of the clip or the horizon is out of range.
    #[error("{setting} = {value} is not {allowed}")]
    BadSetting {
        /// Which setting.
        setting: &'static str,
        /// The value given.
        value: f64,
        /// What would be accepted.
        allowed: &'static str,
    },
    /// The gradients' norm was not finite, which the clip was told to treat as an error. The step changed nothing.
    #[error(
        "the total norm of order {order} of the gradients at step {step} is not finite ({norm}); the step was skipped"
    )]
    NonfiniteNorm {
        /// The step.
        step: u64,
        /// The norm's order.
        order: f64,
        /// The norm: inf or NaN.
        norm: f32,
    },
    /// Gradients were not finite for so many steps in a row, though the loss scale backed off each time.
    #[error(
        "{steps} steps in a row, up to step {step}, were skipped: gradients are not finite however small the loss scale"
    )]
    Overflow {
        /// The last of the steps.
        step: u64,
        /// How many.
        steps: u64,
        /// The first group with such a gradient in the last of them.
        group: Option<usize>,
    },
    /// A report that is no stats block.
    #[error("a report of {bytes} bytes is no stats block, which has 64")]
    BadReport {
        /// Its bytes.
        bytes: usize,
    },
    /// A step's number does not fit the device's counters.
    #[error("step {step} is past the last that there is, {}", super::LAST_STEP)]
    StepTooLarge {
        /// The step.
        step: u64,
    },
    /// Parameters stand where their averages belong, for an evaluation.
    #[error("parameters and their averages are swapped: swap them back with swap_averages first")]
    Swapped,
    /// A selection was made by another optimizer, or before groups were frozen, thawed or added.
    #[error("the selection is out of date: groups were added, frozen or thawed since it was made")]
    StaleSelection,
    /// A file of parameters or state that does not fit.
    #[error("safetensors file: {0}")]
    BadFile(String),
    /// The owned arenas have no such range (a caller's buffers are used, or the parameter was never trained).
    #[error("parameter {param:?} has no {what} arena of the optimizer's own", param = Shown(.param))]
    NotOwned {
        /// The parameter.
        param: String,
        /// `gradient` or `parameter`.
        what: &'static str,
    },
}

fn clip_norm(value: &Option<f64>) -> String {
    value.map_or_else(|| "no clip_norm".to_owned(), |value| format!("clip_norm = {value}"))
}
