//! What several tests share: the engines to run on, and comparing numbers.

pub use gradus::engine::layout::noise;
use gradus::engine::layout::{OF_PARAMS, bf16_by, rounding_key, rounding_word};
use gradus::engine::{AdapterChoice, Choices, Engine, Sizes};
use gradus::optim::Parameters;
use gradus::params::Param;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

/// Names of the tests that would have run on an adapter.
static SKIPPED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The wgpu engine, one for all tests; `None` (counted and said) where `GRADUS_NO_GPU=1`. `GRADUS_KERNELS=tiles64` has all
/// of them run with that tiling. Tests run beside each other, so its counters count for all of them: a test that reads
/// counters takes [`fresh_gpu`] or [`fresh_engines`].
///
/// # Panics
/// Without an adapter and without `GRADUS_NO_GPU=1`: a missing adapter is a failure.
pub fn gpu() -> Option<Engine> {
    static GPU: OnceLock<Option<Engine>> = OnceLock::new();
    let engine = GPU.get_or_init(|| {
        if std::env::var("GRADUS_NO_GPU").is_ok_and(|value| value == "1") {
            return None;
        }
        let engine = Engine::new(&AdapterChoice::from_env()).expect("an engine");
        assert!(
            engine.adapter().is_some(),
            "no adapter found; install one (on Debian: mesa-vulkan-drivers) or set GRADUS_NO_GPU=1"
        );
        Some(chosen(engine))
    });
    if engine.is_none() {
        let mut skipped = SKIPPED.lock().expect("no test panics here");
        skipped.insert(std::thread::current().name().unwrap_or_default().to_owned());
        println!("GRADUS_NO_GPU=1: {} tests skipped on the wgpu engine so far", skipped.len());
    }
    engine.clone()
}

/// A wgpu engine with counters of its own.
pub fn fresh_gpu() -> Option<Engine> {
    gpu()?;
    Some(chosen(Engine::new(&AdapterChoice::from_env()).expect("an engine")))
}

/// The engine with the tiling that the environment asks for.
fn chosen(engine: Engine) -> Engine {
    match std::env::var("GRADUS_KERNELS") {
        Ok(name) => engine.choosing(Choices::parse(&name).expect("the name of a tiling")),
        Err(_) => engine,
    }
}

/// The wgpu engine with the sizes of a processor and with those of a GPU, whatever it is; none where `GRADUS_NO_GPU=1`.
/// Kernels are tested with both: what they share out, and whom they wait for, is another thing in each.
pub fn gpus() -> Vec<Engine> {
    let sized = |gpu: Engine| [Sizes::PROCESSOR, Sizes::GPU].map(|sizes| chosen(gpu.sized(sizes)));
    gpu().into_iter().flat_map(sized).collect()
}

/// [`gpus`], and the CPU engine.
pub fn sized_engines() -> Vec<Engine> {
    gpus().into_iter().chain([Engine::cpu()]).collect()
}

/// Both engines, or the CPU engine alone where `GRADUS_NO_GPU=1`.
pub fn engines() -> Vec<Engine> {
    gpu().into_iter().chain([Engine::cpu()]).collect()
}

/// Both engines with counters of their own, or the CPU engine alone where `GRADUS_NO_GPU=1`.
pub fn fresh_engines() -> Vec<Engine> {
    fresh_gpu().into_iter().chain([Engine::cpu()]).collect()
}

/// Runs something where the CPU engine finds so many threads.
pub fn on_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads").install(run)
}

/// Panics with the place and size of the worst difference, unless every pair is within `relative` or `absolute`.
pub fn assert_close(what: &str, got: &[f32], expected: &[f32], relative: f64, absolute: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: lengths");
    let mut worst = (0.0f64, 0);
    for (place, (g, e)) in got.iter().zip(expected).enumerate() {
        let (g, e) = (f64::from(*g), f64::from(*e));
        if g.is_nan() && e.is_nan() || g == e {
            continue;
        }
        let over = (g - e).abs() / (absolute.max(relative * e.abs()));
        if over.is_nan() || over > worst.0 {
            worst = (over, place);
        }
    }
    let (over, place) = worst;
    assert!(
        !over.is_nan() && over <= 1.0,
        "{what}[{place}]: got {:e}, expected {:e}: {over:.1} times the tolerance (relative {relative:e}, absolute {absolute:e})",
        got[place],
        expected[place]
    );
}

/// A folder of this process's own that is not there yet.
pub fn folder(name: &str) -> PathBuf {
    static FOLDERS: AtomicU32 = AtomicU32::new(0);
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("gradus-{name}-{}-{number}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

/// Rounds values in f32 as step `count` rounds those that are stored in bf16; at count 0, as an upload does.
pub fn round_by_hand(parameters: &Parameters, seed: u32, count: u32, are_small: impl Fn(&Param) -> bool) {
    for (tensor, param) in parameters.params().iter().enumerate().filter(|(_, param)| are_small(param)) {
        let mut values = parameters.read(&param.name).expect("values");
        for (number, chunk) in values.chunks_mut(4096).enumerate() {
            let key = rounding_key(seed, tensor as u32, count, number as u32) ^ OF_PARAMS;
            for (place, value) in chunk.iter_mut().enumerate() {
                let half = match count {
                    0 => half::bf16::from_f32(*value).to_bits(),
                    _ => bf16_by(*value, rounding_word(key, place as u32) & 0xffff),
                };
                *value = f32::from_bits(u32::from(half) << 16);
            }
        }
        parameters.upload(&param.name, &values).expect("an upload");
    }
}
