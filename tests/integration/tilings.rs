//! Kernels in tiles that a workgroup shares: each against its twin at sizes that fill no tile; the bits of a row, wherever
//! it stands; and which tiling is chosen for what.

use crate::support::{assert_close, folder, fresh_gpu, gpu};
use crate::trial::{Trial, activations, agree, any, dense, floats, junk, record, regrid, storages, stored};
use gradus::engine::layout::Linear;
use gradus::engine::{AdapterChoice, Choices, Engine, Range, Tiling};
use gradus::measure;
use gradus::nn::Activation;
use gradus::nn::ops::{self, After};
use gradus::params::Storage;
use std::process::Command;
use std::time::Duration;

/// Rows, inputs and outputs: below, at and past an edge of 32, 64 and 128.
const LAYERS: [[usize; 3]; 8] =
    [[1, 1, 1], [7, 12, 22], [33, 20, 30], [64, 32, 64], [65, 63, 33], [130, 65, 10], [129, 128, 132], [40, 260, 129]];

fn one(engine: &Engine) -> Range {
    let [range] = any(engine);
    range
}

/// Every tiling with every layer: an engine that chooses it, the sizes, and a number of their own.
fn each(gpu: &Engine) -> Vec<(Engine, [usize; 3], usize)> {
    let layers = || LAYERS.into_iter().enumerate();
    let each = Tiling::ALL.into_iter().enumerate().flat_map(|(first, tiling)| {
        let engine = gpu.choosing(Choices::all(tiling));
        layers().map(move |(case, layer)| (engine.clone(), layer, first + case))
    });
    each.collect()
}

#[test]
fn tilings_of_a_linear_layer_agree_with_its_twin() {
    let Some(gpu) = gpu() else { return };
    for (engine, layer, case) in each(&gpu) {
        for storage in storages(layer[1]) {
            let mut trial = linear(&engine, layer, case, *storage);
            let tiled = engine.choices().otherwise.tile().is_some();
            assert_eq!(trial.kernel.name.contains("tiled"), tiled, "{}", trial.kernel.name);
            assert_eq!(trial.kernel.name.contains("weight16"), *storage == Storage::Bf16, "{}", trial.kernel.name);
            regrid(&mut trial, case % 2);
            agree(&gpu, &trial, layer[1], &format!("{layer:?}, case {case}, {:?}", trial.constants));
        }
    }
}

/// A linear layer forward over random numbers, with its weight stored so, after which comes this or that.
fn linear(engine: &Engine, [rows, inputs, outputs]: [usize; 3], case: usize, storage: Storage) -> Trial {
    let (shape, seed) = (Linear::new(rows, inputs, outputs), case as u32);
    let z = rows * outputs.next_multiple_of(4);
    let biased = case.is_multiple_of(2);
    let (after, last) = match case % 3 {
        0 => (After::Nothing, None),
        1 => (After::Residual(one(engine)), Some(activations(seed + 3, rows, outputs))),
        _ => (After::Activation(Activation::GeluNew, one(engine)), Some(junk(z))),
    };
    let weight = (one(engine), storage);
    let dispatch = ops::linear(engine, &shape, weight, any(engine), biased.then(|| one(engine)), after);
    let dispatch = dispatch.expect("a dispatch");
    let (x, weight) = (activations(seed, rows, inputs), stored(storage, seed + 1, inputs * outputs));
    let bias = if biased { dense(seed + 2, outputs) } else { vec![0; 4] };
    Trial::of(&dispatch, [x, weight, bias, junk(z), record(shape)].into_iter().chain(last).collect())
}

/// With x and weight that f16 holds the shader rounds nothing but sums, so that it must agree with the twin as closely as
/// any other. If it does not run, whoever asks for it gets the usual dispatch, to the last bit.
#[test]
fn tilings_by_cooperative_matrices_agree_with_the_twin_or_are_the_usual_ones() {
    let Some(gpu) = gpu() else { return };
    let asked = gpu.choosing(Choices::all(Tiling::Cooperative));
    let usual = gpu.choosing(Choices::all(if gpu.is_software() { Tiling::Registers } else { Tiling::Tiles64 }));
    for (case, layer) in LAYERS.into_iter().enumerate() {
        let mut trial = linear(&asked, layer, case, Storage::F32);
        if Tiling::Cooperative.fits(&gpu) {
            assert!(trial.kernel.name.starts_with("linear.cooperative"), "{}", trial.kernel.name);
            trial.memory[..2].iter_mut().flatten().for_each(|word| {
                *word = half::f16::from_f32(f32::from_bits(*word)).to_f32().to_bits();
            });
            regrid(&mut trial, case % 2);
            agree(&gpu, &trial, layer[1], &format!("{layer:?}, case {case}"));
        } else {
            for storage in storages(layer[1]) {
                let (trial, expected) = (linear(&asked, layer, case, *storage), linear(&usual, layer, case, *storage));
                assert_eq!((trial.kernel.name, &trial.constants), (expected.kernel.name, &expected.constants));
                assert_eq!(trial.run(&gpu, 0), expected.run(&gpu, 0), "{layer:?}, in {storage}");
            }
        }
    }
}

/// x and weight are rounded to f16, each off by at most 2^-11 of itself: a product by 2^-10, of numbers below 1. Numbers
/// that f16 has but few bits for, below 2^-14, are off by less than that too.
#[test]
fn tilings_by_cooperative_matrices_round_to_f16_and_no_further() {
    let Some(gpu) = gpu() else { return };
    let asked = gpu.choosing(Choices::all(Tiling::Cooperative));
    for (case, layer) in LAYERS.into_iter().enumerate().filter(|(case, _)| case % 3 == 0) {
        let trial = linear(&asked, layer, case, Storage::F32);
        let (got, expected) = (trial.run(&gpu, 0), trial.run(&Engine::twins(), 0));
        let most = layer[1] as f64 * (2f64.powi(-10) + 2e-7) + 1e-6;
        assert_close(&format!("{layer:?}"), floats(&got[3]), floats(&expected[3]), 1e-6, most);
    }
}

/// The rest of a step and an engine without matrices have the usual tiling; it is never found by measuring.
#[test]
fn tilings_by_cooperative_matrices_are_for_linear_layers_and_have_to_be_asked_for() {
    let asked = Choices::parse("cooperative").expect("a tiling");
    assert_eq!(asked, Choices::all(Tiling::Cooperative));
    assert_eq!(Engine::cpu().choosing(asked.clone()).tiling("linear", 512, 512), Tiling::Registers);
    assert!(!Tiling::ALL.contains(&Tiling::Cooperative));
    let Some(gpu) = gpu() else { return };
    let usual = if gpu.is_software() { Tiling::Registers } else { Tiling::Tiles64 };
    let gpu = gpu.choosing(asked);
    for kernel in ["linear_backward_input", "linear_backward_weight", "attention"] {
        assert_eq!(gpu.tiling(kernel, 512, 512), usual, "{kernel}");
    }
    let (Some(device), Some(queue)) = (gpu.device(), gpu.queue()) else { return };
    let borrowed = Engine::from_device(device.clone(), queue.clone()).expect("an engine");
    let borrowed = borrowed.choosing(gpu.choices().clone());
    assert_eq!(borrowed.tiling("linear", 512, 512), usual, "what a borrowed device has is not known");
}

#[test]
fn tilings_of_a_linear_layer_backward_to_its_input_agree_with_its_twin() {
    let Some(gpu) = gpu() else { return };
    for (engine, [rows, inputs, outputs], case) in each(&gpu) {
        let (shape, seed) = (Linear::new(rows, inputs, outputs), case as u32);
        let (below, accumulate) = ((case.is_multiple_of(2)).then(|| (Activation::Tanh, one(&gpu))), case % 3 == 0);
        let z_below = if below.is_some() { activations(seed + 2, rows, inputs) } else { vec![0; 4] };
        let dx = rows * inputs.next_multiple_of(4);
        let dx = if accumulate { activations(seed + 3, rows, inputs) } else { junk(dx) };
        for storage in storages(inputs) {
            let (weight, below) = ((one(&gpu), *storage), below.clone());
            let dispatch = ops::linear_backward_input(&engine, &shape, weight, any(&gpu), below, accumulate);
            let (dz, weight) = (activations(seed, rows, outputs), stored(*storage, seed + 1, inputs * outputs));
            let memory = vec![dz, weight, z_below.clone(), dx.clone(), record(shape)];
            let mut trial = Trial::of(&dispatch.expect("a dispatch"), memory);
            regrid(&mut trial, case % 2);
            agree(&gpu, &trial, outputs, &format!("{shape:?}, case {case}, {:?}", trial.constants));
        }
    }
}

#[test]
fn tilings_of_a_linear_layer_backward_to_its_weight_agree_with_its_twin() {
    let Some(gpu) = gpu() else { return };
    for (engine, [rows, inputs, outputs], case) in each(&gpu) {
        let (shape, seed) = (Linear::new(rows, inputs, outputs), case as u32);
        let (weight, bias, accumulate) = (case % 4 != 0, case % 4 != 1, case % 3 == 0);
        let targets = [weight.then(|| one(&gpu)), bias.then(|| one(&gpu))];
        let dispatch =
            ops::linear_backward_weight(&engine, &shape, any(&gpu), targets, accumulate).expect("a dispatch");
        let place = |wanted: bool, seed: u32, count: usize| match (wanted, accumulate) {
            (false, _) => junk(0),
            (true, false) => junk(count),
            (true, true) => dense(seed, count),
        };
        let (dweight, dbias) = (place(weight, seed + 2, inputs * outputs), place(bias, seed + 3, outputs));
        let (dz, x) = (activations(seed, rows, outputs), activations(seed + 1, rows, inputs));
        let mut trial = Trial::of(&dispatch, vec![dz, x, dweight, dbias, record(shape)]);
        regrid(&mut trial, case % 2);
        agree(&gpu, &trial, rows, &format!("{shape:?}, case {case}, {:?}", dispatch.constants));
    }
}

/// A frozen trunk is traversed in other batches than a step's.
#[test]
fn tilings_give_a_row_the_same_bits_wherever_it_stands() {
    let Some(gpu) = gpu() else { return };
    let (rows, inputs, outputs) = (150, 52, 70usize);
    let stride = outputs.next_multiple_of(4);
    let (x, weight, bias) = (activations(1, rows, inputs), dense(2, inputs * outputs), dense(3, outputs));
    for tiling in Tiling::ALL {
        let engine = gpu.choosing(Choices::all(tiling));
        let run = |first: usize, rows: usize| {
            let shape = Linear::new(rows, inputs, outputs);
            let bound = Some(one(&gpu));
            let dispatch = ops::linear(&engine, &shape, (one(&gpu), Storage::F32), any(&gpu), bound, After::Nothing)
                .expect("a dispatch");
            let x = x[first * inputs..].to_vec();
            let memory = vec![x, weight.clone(), bias.clone(), junk(rows * stride), record(shape)];
            Trial::of(&dispatch, memory).run(&gpu, 0)[3][..rows * stride].to_vec()
        };
        let all = run(0, rows);
        for (first, count) in [(0, 1), (1, 149), (77, 3), (149, 1), (30, 64)] {
            assert_eq!(run(first, count), all[first * stride..][..count * stride], "{tiling:?}, {count} from {first}");
        }
    }
}

#[test]
fn tilings_are_chosen_by_kernel_and_size_and_never_by_rows() {
    let mut choices = Choices::all(Tiling::Tiles64);
    choices.chosen.insert(Choices::key("linear", 384, 1536), Tiling::Tiles128);
    choices.chosen.insert(Choices::key("linear", 96, 96), Tiling::Registers);
    assert_eq!(choices.chosen.keys().collect::<Vec<_>>(), ["linear 128 x 128", "linear 512 x 2048"]);
    assert_eq!(choices.tiling("linear", 400, 1800), Tiling::Tiles128);
    assert_eq!(choices.tiling("linear", 128, 100), Tiling::Registers);
    assert_eq!(choices.tiling("linear", 128, 512), Tiling::Tiles64);
    assert_eq!(choices.tiling("linear_backward_input", 400, 1800), Tiling::Tiles64);
    assert_eq!(Choices::key("linear", 1, 1 << 20), "linear 64 x 4096");

    let text = serde_json::to_string(&choices).expect("JSON");
    assert_eq!(serde_json::from_str::<Choices>(&text).expect("choices"), choices);
    for tiling in Tiling::ALL {
        assert_eq!(Choices::parse(tiling.name()), Some(Choices::all(tiling)));
        assert_eq!(serde_json::to_value(tiling).expect("JSON"), tiling.name());
    }
    assert_eq!(Choices::parse("tiles"), Some(Choices::all(Tiling::Tiles64)));
    assert_eq!(Choices::parse("cards"), None);
}

#[test]
fn tilings_that_the_device_has_no_room_for_are_not_taken() {
    let Some(engine) = fresh_gpu() else { return };
    let (Some(device), Some(queue)) = (engine.device(), engine.queue()) else { return };
    let all = Choices::all(Tiling::Tiles128);
    let roomy = device.limits().max_compute_workgroup_storage_size >= 32 << 10;
    let chosen = engine.choosing(all.clone());
    assert_eq!(chosen.tiling("linear", 512, 512), if roomy { Tiling::Tiles128 } else { Tiling::Registers });
    assert!(chosen.same(&engine), "a handle to the same engine");
    assert_eq!((chosen.choices(), engine.tiling("linear", 1, 1)), (&all, engine.choices().otherwise));
    let own = Engine::new(&AdapterChoice::from_env()).expect("an engine");
    let borrowed = Engine::from_device(device.clone(), queue.clone()).expect("an engine");
    assert_eq!(borrowed.choices(), own.choices(), "what is likely best");
    assert_eq!(Engine::cpu().tiling("linear", 512, 512), Tiling::Registers);
}

/// The little ones; the rest would take minutes on software.
#[test]
fn tilings_are_measured_class_by_class_until_the_time_is_up() {
    let Some(gpu) = gpu() else { return };
    let choices = measure::choices(&gpu, Duration::from_millis(200)).expect("choices");
    assert_eq!(choices.otherwise, gpu.choices().otherwise);
    let first =
        ["linear", "linear_backward_input", "linear_backward_weight"].map(|kernel| Choices::key(kernel, 64, 64));
    let measured = first.iter().filter(|key| choices.chosen.contains_key(*key)).count();
    assert!(measured >= 1, "the smallest class comes first: {choices:?}");
    let none = measure::choices(&gpu, Duration::ZERO).expect("choices");
    assert_eq!(none, Choices::all(none.otherwise));
}

#[test]
fn tilings_are_asked_for_by_option_or_environment_or_kept_in_the_cache() {
    let Some(gpu) = gpu() else { return };
    let adapter = gpu.adapter().expect("an adapter");
    let caches = folder("caches");
    let info = |asked: &[&str], variable: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        let folders = ["HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"].map(|name| (name, &caches));
        command.envs(folders).env("GRADUS_KERNELS", variable).arg("info").args(asked);
        let output = command.output().expect("the binary runs");
        let told = [&output.stdout[..], &output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&told).into_owned())
    };
    let (_, told) = info(&[], "");
    assert!(told.contains("kernels: not measured"), "{told}");
    let (_, told) = info(&[], "tiles32");
    assert!(told.contains("asked for: tiles32\n  all else") && told.contains(" tiles32 "), "{told}");
    let (_, told) = info(&["--kernels", "registers"], "tiles32");
    assert!(told.contains("asked for: registers"), "{told}");
    let (fine, told) = info(&["--kernels", "cards"], "");
    assert!(!fine && told.contains("--kernels cards: registers, tiles"), "{told}");

    // As a measurement would have left it.
    let mut choices = Choices::all(Tiling::Tiles64);
    choices.chosen.insert(Choices::key("linear", 64, 64), Tiling::Tiles32);
    let kept = |driver: &str| {
        let version = env!("CARGO_PKG_VERSION");
        serde_json::json!({"adapter": adapter.name, "driver": driver, "version": version, "choices": choices})
            .to_string()
    };
    let file = folder("kernels").with_extension("json");
    std::fs::write(&file, kept("of another machine")).expect("a file");
    let path = file.to_str().expect("a path");
    let (_, told) = info(&["--kernels", path], "");
    assert!(told.contains("tiles32    64 x 64\n") && told.contains("tiles64    1 classes"), "{told}");
    let place = |told: &str| told.lines().find_map(|line| line.split_once(", in ").map(|(_, file)| file.to_owned()));
    assert_eq!(place(&told), None, "{told}");

    let name = gradus_cache(&caches, &adapter.name, &adapter.driver);
    std::fs::create_dir_all(name.parent().expect("a folder")).expect("a folder");
    std::fs::write(&name, kept(&adapter.driver)).expect("a file");
    let (_, told) = info(&[], "");
    assert_eq!(place(&told).as_deref(), name.to_str(), "{told}");
    std::fs::write(&name, kept("of another machine")).expect("a file");
    let (_, told) = info(&[], "");
    assert!(told.contains("kernels: not measured"), "another driver's does not count: {told}");
    std::fs::write(&name, "{").expect("a file");
    let (fine, told) = info(&[], "");
    assert!(fine && told.contains("warning: reading"), "{told}");
}

/// The name by which the binary keeps choices.
fn gradus_cache(caches: &std::path::Path, adapter: &str, driver: &str) -> std::path::PathBuf {
    let name = format!("{adapter} {driver} {}", env!("CARGO_PKG_VERSION")).to_lowercase();
    let words: Vec<&str> =
        name.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').filter(|word| !word.is_empty()).collect();
    let below = if cfg!(target_os = "macos") { "Library/Caches/gradus" } else { "gradus" };
    caches.join(below).join(words.join("-") + ".json")
}
