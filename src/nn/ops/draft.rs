//! A dispatch in the making: the kernel, its memory, its constants and how many invocations it wants.

use crate::engine::kernels::{Flag, Flags};
use crate::engine::{Binding, Dispatch, Engine, Kernel, Range, row_of};
use crate::nn::Error;
use crate::params::Storage;

pub(super) type Constants = Vec<(&'static str, f64)>;

/// A dispatch before its sizes get their buffer.
pub(super) struct Draft {
    pub(super) kernel: &'static Kernel,
    pub(super) memory: Vec<Binding>,
    pub(super) constants: Constants,
    /// Invocations wanted, and how many make a workgroup.
    pub(super) invocations: u64,
    pub(super) workgroup: u32,
    pub(super) bytes: u64,
    /// As [`Dispatch::flops`].
    pub(super) flops: u64,
}

impl Draft {
    /// An operation that reduces along rows, and how many times it streams over them.
    ///
    /// In software an invocation takes a whole row: 8 lanes that share one make a layer norm of 1,024 rows of 128 take
    /// 2.3 ms instead of 0.7 to 1.5, its backward pass 2.4 instead of 1.2, a loss of 256 rows over 30,522 classes 91
    /// instead of 77 (llvmpipe, 2 shared cores). Workgroups of 8, 32 and 64 rows do not differ by more than the machine
    /// drifts;
    /// 8 leave a small batch to both cores. On a GPU 32 lanes share a row (not measured there).
    pub(super) fn of_rows(
        engine: &Engine,
        kernel: &'static Kernel,
        memory: Vec<Binding>,
        rows: u32,
        quads: u32,
        streams: u64,
    ) -> Draft {
        let [workgroup, lanes] = engine.sizes().rows;
        Draft {
            kernel,
            memory,
            constants: vec![self::lanes(lanes)],
            invocations: u64::from(rows) * u64::from(lanes),
            workgroup,
            bytes: 16 * streams * u64::from(rows) * u64::from(quads),
            flops: 0,
        }
    }

    /// An operation whose invocations each make a vec4 independently.
    ///
    /// In software a workgroup costs about 0.3 µs in addition to its work. Zeros for a table of 30,522 by 384 (47 MB),
    /// which are nothing else, take 139 ms in workgroups of 8, 38 ms of 32, 34 ms of 64 and 16 ms of 256 (llvmpipe, 2
    /// shared cores); what works on 131,072 numbers is within 20 % from 64 on. GPUs are given the same (not measured
    /// there).
    pub(super) fn of_elements(
        engine: &Engine,
        kernel: &'static Kernel,
        memory: Vec<Binding>,
        invocations: u64,
        bytes: u64,
    ) -> Draft {
        let workgroup = engine.sizes().elements;
        Draft { kernel, memory, constants: Vec::new(), invocations, workgroup, bytes, flops: 0 }
    }

    /// The dispatch. Sizes are bound at `place`; the other bindings follow.
    pub(super) fn dispatch<T: bytemuck::NoUninit>(
        self,
        engine: &Engine,
        place: usize,
        shape: &T,
    ) -> Result<Dispatch, Error> {
        let Draft { kernel, memory: mut bindings, mut constants, invocations, workgroup, bytes, flops } = self;
        let shape = engine.buffer_with("shape", std::slice::from_ref(shape))?;
        bindings.insert(place, (&shape).into());
        constants.insert(0, ("WORKGROUP", f64::from(workgroup)));
        let groups = u32::try_from(invocations.div_ceil(u64::from(workgroup))).unwrap_or(u32::MAX);
        Ok(Dispatch { kernel, bindings, constants, grid: row_of(groups), bytes, flops })
    }
}

/// How many lanes share a row or a column.
pub(super) fn lanes(count: u32) -> (&'static str, f64) {
    ("LANES", f64::from(count))
}

/// A switch of a kernel.
pub(super) fn switch(name: &'static str, on: bool) -> (&'static str, f64) {
    (name, f64::from(u8::from(on)))
}

/// The flag of the kernel that reads a matrix with rows of this width: `in_bf16`, or [`Flag::Ragged`] where rows do not start
/// at a vec4 and are read one by one.
pub(super) fn read_as(stored: Storage, width: u32, in_bf16: Flag) -> Result<Flags, Error> {
    match (stored, width.is_multiple_of(4)) {
        (Storage::F32, true) => Ok(Flags::NONE),
        (Storage::F32, false) => Ok(Flag::Ragged.into()),
        (Storage::Bf16, true) => Ok(in_bf16.into()),
        (Storage::Bf16 | Storage::Int8, _) => Err(Error::Unreadable { stored, width: width as usize }),
    }
}

/// The range, or memory for a binding that the kernel does not use.
pub(super) fn or_aside(engine: &Engine, range: Option<Range>) -> Result<Range, Error> {
    match range {
        Some(range) => Ok(range),
        None => Ok(engine.buffer("aside", 16)?.all()),
    }
}
