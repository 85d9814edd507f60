//! What can go wrong between the host and the device.

use super::kernels::Flags;

/// An error of the engine room.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No adapter's name contains the text asked for.
    #[error("no adapter matches {asked:?}; this machine has: {found}")]
    NoSuchAdapter {
        /// What the caller asked for.
        asked: String,
        /// The adapters there are, one after the other.
        found: String,
    },
    /// The driver refused to open the device.
    #[error("the adapter {adapter:?} gave no device: {reason}")]
    NoDevice {
        /// Name of the adapter.
        adapter: String,
        /// The driver's message.
        reason: String,
    },
    /// A buffer is larger than the device allows.
    #[error("buffer {label:?} of {bytes} bytes is over the device's limit of {limit} bytes")]
    TooLarge {
        /// The buffer's name.
        label: String,
        /// Its size in bytes.
        bytes: u64,
        /// The device's limit in bytes.
        limit: u64,
    },
    /// The device has no room for a buffer.
    #[error("out of device memory while making buffer {label:?} of {bytes} bytes")]
    OutOfMemory {
        /// The buffer's name.
        label: String,
        /// Its size in bytes.
        bytes: u64,
    },
    /// A buffer lacks a usage that the engine needs.
    #[error("buffer {label:?} of {bytes} bytes was made without the usage {needed}")]
    MissingUsage {
        /// The buffer's name.
        label: String,
        /// Its size in bytes.
        bytes: u64,
        /// The usage it should have.
        needed: &'static str,
    },
    /// A range reaches past the end of its buffer, or is empty or misaligned.
    #[error("range {offset}..{end} of buffer {label:?} ({bytes} bytes): {reason}")]
    BadRange {
        /// The buffer's name.
        label: String,
        /// Its size in bytes.
        bytes: u64,
        /// First byte of the range.
        offset: u64,
        /// One past the last byte of the range.
        end: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A buffer belongs to another engine.
    #[error("buffer {label:?} belongs to another engine")]
    ForeignBuffer {
        /// The buffer's name.
        label: String,
    },
    /// A program does not fit its kernels.
    #[error("program {program:?}, kernel {kernel:?}: {reason}")]
    BadProgram {
        /// The program's name.
        program: String,
        /// The kernel's name.
        kernel: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A family of kernels has no member with these flags.
    #[error("there is no kernel {family:?} with flags {flags}")]
    NoSuchKernel {
        /// The family's name.
        family: &'static str,
        /// The flags asked for.
        flags: Flags,
    },
    /// The CPU engine runs submissions itself.
    #[error("the CPU engine has no command encoders: let it submit")]
    NoEncoder,
    /// The clock has no such slot.
    #[error("slot {slot} is past the clock's last, {}", super::CLOCK_SLOTS - 1)]
    NoSuchSlot {
        /// The slot asked for.
        slot: u32,
    },
    /// A number that kernels have in 32 bits does not fit them.
    #[error("{what}: {value} is more than 32 bits can count")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        value: u64,
    },
    /// A submission gives some of its programs a slot.
    #[error("{slots} slots for {programs} programs: one for each is needed, or none")]
    SlotsDiffer {
        /// Slots given.
        slots: usize,
        /// Programs of the submission.
        programs: usize,
    },
    /// A submission asks for reports that do not fit its programs or their ring.
    #[error("{parts} reports of {programs} programs: each is of as many programs, and the ring has room for {room}")]
    PartsDiffer {
        /// Reports asked for.
        parts: usize,
        /// Programs of the submission.
        programs: usize,
        /// Reports of one submission that the ring has room for.
        room: usize,
    },
    /// The bytes are not pipelines compiled by this adapter, driver and version.
    #[error("kept pipelines cannot be used: {reason}")]
    BadPipelines {
        /// What is wrong with them.
        reason: &'static str,
    },
    /// The driver refused something that it was given.
    #[error("the device refused {what}: {reason}")]
    Validation {
        /// What was being done.
        what: String,
        /// The driver's message.
        reason: String,
    },
    /// The device is gone; every buffer on it is lost.
    #[error("the device {adapter:?} was lost: {reason}")]
    DeviceLost {
        /// Name of the adapter.
        adapter: String,
        /// The driver's message.
        reason: String,
    },
}
