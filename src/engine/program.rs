//! A step as data: a list of dispatches, each naming a kernel, what is bound to it and its grid.
//!
//! A program is made once per trainable set, prepared by an engine and replayed. Because it is data it can be printed
//! and its dispatches, bytes and barriers counted before anything runs.

use super::buffer::{Buffer, Range};
use super::kernels::{Access, Kernel};
use crate::setters::setters;
use std::fmt;

/// Workgroups one dimension of a dispatch may have, on every device.
const GROUPS_PER_DIMENSION: u32 = 65_535;

/// What one binding of a kernel refers to.
#[derive(Clone, Debug)]
pub enum Binding {
    /// Device memory.
    Memory(Range),
    /// The horizon's clock: the slot that the host chose for this run (see [`Submission::slot`](super::Submission::slot)).
    Clock,
}

impl From<Range> for Binding {
    fn from(range: Range) -> Binding {
        Binding::Memory(range)
    }
}

impl From<&Buffer> for Binding {
    fn from(buffer: &Buffer) -> Binding {
        Binding::Memory(buffer.all())
    }
}

/// One dispatch of one kernel.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dispatch {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// One entry for each binding that the kernel declares, in its order.
    pub bindings: Vec<Binding>,
    /// Values of the kernel's `override` constants.
    pub constants: Vec<(&'static str, f64)>,
    /// Workgroups in x, y and z.
    pub grid: [u32; 3],
    /// Bytes of the big streams (parameters, gradients, state, activations) that it reads and writes.
    pub bytes: u64,
    /// Multiplications and additions of its products of matrices, two a product; 0 for a kernel that makes none.
    pub flops: u64,
}

/// A list of dispatches that run in order, in one compute pass.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Program {
    /// Its name in traces and errors.
    pub label: String,
    /// The dispatches, in order.
    pub dispatches: Vec<Dispatch>,
}

impl Program {
    /// An empty program.
    pub fn new(label: &str) -> Program {
        Program::of(label, Vec::new())
    }

    /// A program of these dispatches.
    pub fn of(label: &str, dispatches: Vec<Dispatch>) -> Program {
        Program { label: label.to_owned(), dispatches }
    }

    /// Bytes that one run moves, by the dispatches' own count.
    pub fn bytes(&self) -> u64 {
        self.dispatches.iter().map(|dispatch| dispatch.bytes).sum()
    }

    /// Multiplications and additions of the products of matrices that one run makes.
    pub fn flops(&self) -> u64 {
        self.dispatches.iter().map(|dispatch| dispatch.flops).sum()
    }

    /// Memory barriers that one run needs: a dispatch waits if it touches a buffer that a dispatch since the last
    /// barrier wrote, or writes one that such a dispatch read. (wgpu tracks whole buffers, so does this count.)
    pub fn barriers(&self) -> usize {
        let mut barriers = 0;
        let mut since: Vec<(&Buffer, bool)> = Vec::new();
        for dispatch in &self.dispatches {
            let uses: Vec<(&Buffer, bool)> = dispatch.uses().collect();
            let waits = uses
                .iter()
                .any(|(buffer, writes)| since.iter().any(|(other, wrote)| buffer.same(other) && (*writes || *wrote)));
            if waits {
                barriers += 1;
                since.clear();
            }
            since.extend(uses);
        }
        barriers
    }
}

impl Dispatch {
    /// A dispatch that counts no bytes and no products, with the kernel's own constants.
    pub fn new(kernel: &'static Kernel, bindings: Vec<Binding>, grid: [u32; 3]) -> Dispatch {
        Dispatch { kernel, bindings, constants: Vec::new(), grid, bytes: 0, flops: 0 }
    }

    setters! {
        constants: Vec<(&'static str, f64)>,
        grid: [u32; 3],
        bytes: u64,
        flops: u64,
    }

    /// The buffers it touches, and whether it binds them to be written.
    fn uses(&self) -> impl Iterator<Item = (&Buffer, bool)> {
        self.kernel.bindings.iter().zip(&self.bindings).filter_map(|(access, binding)| match binding {
            Binding::Memory(range) => Some((&range.buffer, matches!(access, Access::ReadWrite | Access::ReadShared))),
            Binding::Clock => None,
        })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} dispatches, {} barriers, {} bytes",
            self.label,
            self.dispatches.len(),
            self.barriers(),
            self.bytes()
        )?;
        for dispatch in &self.dispatches {
            let [x, y, z] = dispatch.grid;
            write!(f, "  {} ({x}, {y}, {z})", dispatch.kernel.name)?;
            for (name, value) in &dispatch.constants {
                write!(f, " {name}={value}")?;
            }
            writeln!(f, " {:?}", dispatch.bindings)?;
        }
        Ok(())
    }
}

/// The grid of `groups` workgroups in a row, folded into y if x would exceed the limit. A kernel finds its place with
/// `index = y * width + x` and returns if that is past its count.
pub fn row_of(groups: u32) -> [u32; 3] {
    if groups <= GROUPS_PER_DIMENSION {
        return [groups, 1, 1];
    }
    let rows = groups.div_ceil(GROUPS_PER_DIMENSION);
    [groups.div_ceil(rows), rows, 1]
}
