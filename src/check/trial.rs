//! A dispatch with its own memory, which any engine can run, and its results.

use crate::engine::{self, Access, Binding, Buffer, Dispatch, Engine, Kernel, Program, Range, Submission};

/// Words after each array, which no kernel may touch.
pub const TAIL: usize = 32;

/// The junk there, and in memory that nothing has written: no kernel makes this number.
pub const JUNK: f32 = -7.25e7;

/// A dispatch, with the words of each of its bindings; none for the clock.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trial {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Its constants.
    pub constants: Vec<(&'static str, f64)>,
    /// Workgroups.
    pub grid: [u32; 3],
    /// The slot of the clock.
    pub slot: u32,
    /// What it finds.
    pub memory: Vec<Vec<u32>>,
}

impl Trial {
    /// A dispatch over these words.
    pub fn of(dispatch: &Dispatch, memory: Vec<Vec<u32>>) -> Trial {
        let Dispatch { kernel, constants, grid, .. } = dispatch;
        Trial { kernel, constants: constants.clone(), grid: *grid, slot: 0, memory }
    }

    /// The trial with junk after each array, and its expected results. A device knows where the array ends; a twin uses
    /// the length of its slice.
    #[must_use]
    pub fn with_tails(&self, expected: &[Vec<u32>]) -> (Trial, Vec<Vec<u32>>) {
        let longer = |memory: &[Vec<u32>]| {
            let of = |(words, access): (&Vec<u32>, &Access)| match access {
                Access::Read | Access::ReadWrite | Access::ReadShared => [&words[..], &[JUNK.to_bits(); TAIL]].concat(),
                Access::Uniform | Access::Clock => words.clone(),
            };
            memory.iter().zip(&self.kernel.bindings).map(of).collect::<Vec<_>>()
        };
        (Trial { memory: longer(&self.memory), ..self.clone() }, longer(expected))
    }

    /// The words of each binding after a run. Waits for it.
    ///
    /// # Errors
    /// From the device; the driver's errors about the shader.
    pub fn run(&self, engine: &Engine) -> Result<Vec<Vec<u32>>, engine::Error> {
        let buffer = |words: &Vec<u32>| engine.buffer_with("trial", words);
        let buffers: Vec<Buffer> = self.memory.iter().map(buffer).collect::<Result<_, _>>()?;
        let bindings = self.kernel.bindings.iter().zip(&buffers).map(|(access, buffer)| match access {
            Access::Clock => Binding::Clock,
            Access::Read | Access::ReadWrite | Access::ReadShared | Access::Uniform => buffer.into(),
        });
        let (bindings, constants) = (bindings.collect(), self.constants.clone());
        run(
            engine,
            Dispatch { kernel: self.kernel, bindings, constants, grid: self.grid, bytes: 0, flops: 0 },
            self.slot,
        )?;
        let mut left = read(engine, buffers.iter().map(|buffer| Some(buffer.all())))?;
        // A buffer ends in whole vec4s.
        left.iter_mut().zip(&self.memory).for_each(|(left, words)| left.truncate(words.len()));
        Ok(left)
    }
}

/// Runs the dispatches of a program one by one on its own engine, up to the last one that is wanted by its place, and shows each of
/// these as a trial, with its place and what it left.
///
/// # Errors
/// From the device; from `show`.
pub fn walk<E: From<engine::Error>>(
    engine: &Engine,
    program: &Program,
    (slot, wanted): (u32, &dyn Fn(usize) -> bool),
    mut show: impl FnMut(usize, Trial, Vec<Vec<u32>>) -> Result<(), E>,
) -> Result<(), E> {
    let ahead = (0..program.dispatches.len()).rposition(wanted).map_or(0, |last| last + 1);
    for (place, dispatch) in program.dispatches.iter().enumerate().take(ahead) {
        if !wanted(place) {
            run(engine, dispatch.clone(), slot)?;
            continue;
        }
        let memory = || read(engine, dispatch.bindings.iter().map(range_of));
        let before = memory()?;
        run(engine, dispatch.clone(), slot)?;
        let mut after = memory()?;
        // Where another binding has written the same buffer, a trial's memory of it is another one.
        for ((access, after), before) in dispatch.kernel.bindings.iter().zip(&mut after).zip(&before) {
            if *access == Access::ReadShared {
                after.clone_from(before);
            }
        }
        show(place, Trial { slot, ..Trial::of(dispatch, before) }, after)?;
    }
    Ok(())
}

fn run(engine: &Engine, dispatch: Dispatch, slot: u32) -> Result<(), engine::Error> {
    let program = engine.prepare(Program { label: "trial".to_owned(), dispatches: vec![dispatch] })?;
    engine.submit(&Submission { programs: &[&program], slot, ..Submission::default() })
}

fn range_of(binding: &Binding) -> Option<Range> {
    match binding {
        Binding::Memory(range) => Some(range.clone()),
        Binding::Clock => None,
    }
}

/// The words of these ranges; a word for an empty one.
fn read(engine: &Engine, ranges: impl Iterator<Item = Option<Range>>) -> Result<Vec<Vec<u32>>, engine::Error> {
    let ranges: Vec<Option<Range>> = ranges.collect();
    let there: Vec<Range> = ranges.iter().flatten().cloned().collect();
    let mut bytes = engine.read_all(&there)?.into_iter();
    let words = |range: &Option<Range>| match range {
        Some(_) => bytes.next().map_or_else(Vec::new, |bytes| bytemuck::pod_collect_to_vec(&bytes)),
        None => vec![0; 4],
    };
    Ok(ranges.iter().map(words).collect())
}
