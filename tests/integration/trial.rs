//! A kernel over plain memory, on either engine: everything that it may write is compared, results, padding and a tail
//! after each array that no kernel may touch.

use crate::support::{assert_close, noise};
use gradus::engine::{Access, Binding, Buffer, Dispatch, Engine, Kernel, Program, Range, Submission};
use gradus::params::Storage;
use half::bf16;

/// Elements after each array.
pub const TAIL: usize = 32;

/// What stands in memory that is to be written, and after it. No kernel makes this number.
pub const JUNK: f32 = -7.25e7;

/// A dispatch over memory that either engine can be given.
pub struct Trial {
    pub kernel: &'static Kernel,
    pub constants: Vec<(&'static str, f64)>,
    pub grid: [u32; 3],
    /// The words behind each binding; none behind the clock.
    pub memory: Vec<Vec<u32>>,
}

impl Trial {
    pub fn of(dispatch: &Dispatch, memory: Vec<Vec<u32>>) -> Trial {
        let Dispatch { kernel, constants, grid, .. } = dispatch;
        Trial { kernel, constants: constants.clone(), grid: *grid, memory }
    }

    pub fn set(&mut self, name: &'static str, value: f64) {
        self.constants.retain(|(known, _)| *known != name);
        self.constants.push((name, value));
    }

    pub fn constant(&self, name: &str) -> f64 {
        self.constants.iter().find(|(known, _)| *known == name).expect("a constant").1
    }

    /// Everything behind the bindings after a run.
    pub fn run(&self, engine: &Engine, slot: u32) -> Vec<Vec<u32>> {
        let buffers: Vec<Buffer> =
            self.memory.iter().map(|words| engine.buffer_with("trial", words).expect("a buffer")).collect();
        let bindings = self.kernel.bindings.iter().zip(&buffers).map(|(access, buffer)| match access {
            Access::Clock => Binding::Clock,
            Access::Read | Access::ReadWrite | Access::ReadShared | Access::Uniform => buffer.into(),
        });
        let (bindings, constants) = (bindings.collect(), self.constants.clone());
        let dispatch = Dispatch::new(self.kernel, bindings, self.grid).constants(constants);
        run(engine, vec![dispatch], slot);
        let ranges: Vec<Range> = buffers.iter().map(Buffer::all).collect();
        let bytes = engine.read_all(&ranges).expect("memory");
        bytes.iter().map(|bytes| bytemuck::pod_collect_to_vec(bytes)).collect()
    }
}

pub fn run(engine: &Engine, dispatches: Vec<Dispatch>, slot: u32) {
    let prepared = engine.prepare(Program::of("trial", dispatches)).expect("a program");
    engine.submit(&Submission::of(&[&prepared]).slot(slot)).expect("a submission");
}

pub fn words(values: Vec<f32>) -> Vec<u32> {
    bytemuck::cast_vec(values)
}

/// `count` numbers and the tail.
pub fn dense(seed: u32, count: usize) -> Vec<u32> {
    let mut values = noise(seed, count);
    values.resize(count + TAIL, JUNK);
    words(values)
}

/// How a matrix with rows of this width may be stored for a model to read it.
pub fn storages(width: usize) -> &'static [Storage] {
    if width.is_multiple_of(4) { &[Storage::F32, Storage::Bf16] } else { &[Storage::F32] }
}

/// `count` numbers as they are stored, and the tail.
pub fn stored(storage: Storage, seed: u32, count: usize) -> Vec<u32> {
    if storage == Storage::F32 {
        return dense(seed, count);
    }
    let half = |value: &f32| u32::from(bf16::from_f32(*value).to_bits());
    let pair = |pair: &[f32]| half(&pair[0]) | pair.get(1).map_or(0, half) << 16;
    noise(seed, count).chunks(2).map(pair).chain([JUNK.to_bits(); TAIL]).collect()
}

/// Rows of whole vec4s, `behind` after the last column, then the tail. Some numbers are 0 and -0, where relu bends.
pub fn padded(values: &[f32], width: usize, behind: f32) -> Vec<u32> {
    let mut all = Vec::new();
    for row in values.chunks(width) {
        all.extend(row);
        all.resize(all.len().next_multiple_of(4), behind);
    }
    all.resize(all.len() + TAIL, JUNK);
    words(all)
}

pub fn activations(seed: u32, rows: usize, width: usize) -> Vec<u32> {
    let mut values = noise(seed, rows * width);
    values.iter_mut().step_by(7).for_each(|value| *value = 0.0);
    values.iter_mut().skip(3).step_by(11).for_each(|value| *value = -0.0);
    padded(&values, width, 0.0)
}

pub fn junk(count: usize) -> Vec<u32> {
    words(vec![JUNK; count + TAIL])
}

/// A record as memory.
pub fn record<T: bytemuck::NoUninit>(record: T) -> Vec<u32> {
    bytemuck::cast_slice(&[record]).to_vec()
}

/// Memory for a dispatch of which only kernel, constants and grid are used.
pub fn any<const N: usize>(engine: &Engine) -> [Range; N] {
    let range = engine.buffer("any", 16).expect("a buffer").all();
    std::array::from_fn(|_| range.clone())
}

pub fn floats(words: &[u32]) -> &[f32] {
    bytemuck::cast_slice(words)
}

/// The same grid as made, folded into y, and in workgroups of another size.
pub fn regrid(trial: &mut Trial, way: usize) {
    let groups: u32 = trial.grid.iter().product();
    match way {
        0 => {}
        1 => trial.grid = [groups.div_ceil(3), 3, 1],
        // What a workgroup shares has its size.
        _ if ["tiled", "cooperative"].iter().any(|form| trial.kernel.name.contains(form)) => {}
        _ => {
            let invocations = groups * trial.constant("WORKGROUP") as u32;
            let workgroup = if trial.constant("WORKGROUP") == 64.0 { 32 } else { 64 };
            trial.set("WORKGROUP", f64::from(workgroup));
            trial.grid = [invocations.div_ceil(workgroup), 1, 1];
        }
    }
}

/// Runs a trial on both engines, compares all memory, and gives the twin's.
///
/// A twin's sums are exact to f32, so the difference is the shader's own rounding: it grows with the `terms` of a sum
/// of products in [-1, 1), of which 2e-7 a term is four times the worst seen.
pub fn agree(gpu: &Engine, trial: &Trial, terms: usize, what: &str) -> Vec<Vec<u32>> {
    let (got, expected) = (trial.run(gpu, 0), trial.run(&Engine::twins(), 0));
    for (place, access) in trial.kernel.bindings.iter().enumerate() {
        if *access == Access::ReadWrite {
            let what = format!("{} {what} binding {place}", trial.kernel.name);
            assert_close(&what, floats(&got[place]), floats(&expected[place]), 1e-6, 2e-7 * (terms + 4) as f64);
        } else {
            assert_eq!(got[place], trial.memory[place], "{} {what}: binding {place} is only read", trial.kernel.name);
        }
    }
    expected
}
