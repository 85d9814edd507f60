//! The operations of pictures: against PyTorch's numbers, and every form of their kernels against the twins.

use crate::golden::{Case, cases, own_folder};
use crate::support::{assert_close, on_threads, sized_engines};
use crate::trial::{JUNK, TAIL, Trial, activations, dense, floats, junk, padded, run, words};
use gradus::check::{Bed, forms, kernels};
use gradus::engine::kernels::ValueStorage;
use gradus::engine::{Engine, Range, layout};
use gradus::nn::ops::{self, Window};

fn case(name: &str) -> Case {
    cases(&own_folder("pictures"), &[&format!("{name}.")]).pop().unwrap_or_else(|| panic!("{name} is missing"))
}

fn engines() -> Vec<Engine> {
    [Engine::twins()].into_iter().chain(sized_engines()).collect()
}

/// Numbers of [a, b, c, d] as [a, c, d, b]: from torch's order to ours.
fn channels_last(case: &Case, name: &str) -> (Vec<f32>, [usize; 4]) {
    let array = case.array(name);
    let [a, b, c, d] = array.shape[..] else { panic!("{name} has no four sides") };
    let at = |place: usize| {
        let (channel, pixel, picture) = (place % b, place / b % (c * d), place / b / (c * d));
        array.values[(picture * b + channel) * c * d + pixel] as f32
    };
    ((0..a * b * c * d).map(at).collect(), [a, c, d, b])
}

/// The same as rows of whole vec4s.
fn pixels(case: &Case, name: &str) -> Vec<f32> {
    let (values, [.., channels]) = channels_last(case, name);
    let mut rows = floats(&padded(&values, channels, 0.0)).to_vec();
    rows.truncate(rows.len() - TAIL);
    rows
}

/// Numbers as memory, with a tail that nobody may touch.
fn memory(values: &[f32]) -> Vec<u32> {
    words(values.iter().copied().chain([JUNK; TAIL]).collect())
}

fn any<const N: usize>(engine: &Engine) -> [Range; N] {
    std::array::from_fn(|_| engine.buffer("any", 16).expect("a buffer").all())
}

fn record<T: bytemuck::NoUninit>(record: &T) -> Vec<u32> {
    bytemuck::cast_slice(std::slice::from_ref(record)).to_vec()
}

/// A window of a case, and the sizes of its convolution.
fn conv_of(case: &Case, one: &serde_json::Value) -> layout::Conv {
    let number = |value: &serde_json::Value| value.as_u64().expect("a number") as usize;
    let name = one["name"].as_str().expect("a name");
    let shape = |part: &str| case.array(&format!("{name}.{part}")).shape.clone();
    let (x, weight, z) = (shape("x"), shape("weight"), shape("z"));
    let [down, across] = [0, 1].map(|side| number(&one["padding"][side]));
    let window = Window::new([x[2], x[3]], 1)
        .kernel([weight[2], weight[3]])
        .stride(number(&one["stride"]))
        .dilation(number(&one["dilation"]))
        .padding([down, down, across, across])
        .groups(number(&one["groups"]));
    assert_eq!(window.places(), [z[2], z[3]], "{name}");
    window.shape(x[0], [x[1], z[1]])
}

/// The passes of a case: what is run, which binding is compared, and with what.
fn passes(engine: &Engine, case: &Case, one: &serde_json::Value) -> Vec<(Trial, usize, Vec<f32>)> {
    let name = one["name"].as_str().expect("a name");
    let shape = conv_of(case, one);
    let by_pixels = layout::Conv { rows: shape.pixels(shape.rows as usize) as u32, ..shape };
    let [x, z, dz, dx] = ["x", "z", "dz", "dx"].map(|part| pixels(case, &format!("{name}.{part}")));
    let [weight, dweight] = ["weight", "dweight"].map(|part| channels_last(case, &format!("{name}.{part}")).0);
    let biased = one["bias"].as_bool().expect("whether it has one");
    let bias = if biased { case.f32s(&format!("{name}.bias")) } else { Vec::new() };
    let wanted = |wanted: bool| wanted.then(|| any::<1>(engine)[0].clone());
    let forward = ops::conv(engine, &shape, any(engine), wanted(biased)).expect("a dispatch");
    let to_input = ops::conv_backward_input(engine, &shape, any(engine), false).expect("a dispatch");
    let targets = [wanted(true), wanted(biased)];
    let to_weight = ops::conv_backward_weight(engine, &shape, any(engine), targets, false).expect("a dispatch");
    let [x, dz, weight, bias] = [&x, &dz, &weight, &bias].map(|values| memory(values));
    let to_weight = |binding, expected: Vec<f32>| {
        let (dweight, dbias) = (junk(weight.len() - TAIL), junk(bias.len() - TAIL));
        (Trial::of(&to_weight, vec![dz.clone(), x.clone(), dweight, dbias, record(&shape)]), binding, expected)
    };
    let mut passes = vec![
        (Trial::of(&forward, vec![x.clone(), weight.clone(), bias.clone(), junk(z.len()), record(&shape)]), 3, z),
        (Trial::of(&to_input, vec![dz.clone(), weight.clone(), junk(dx.len()), record(&by_pixels)]), 2, dx),
        to_weight(2, dweight),
    ];
    passes.extend(biased.then(|| to_weight(3, case.f32s(&format!("{name}.dbias")))));
    passes
}

#[test]
fn golden_pictures_convolutions_are_torchs() {
    let case = case("convs");
    let list = case.json["cases"].as_array().expect("cases");
    assert!(list.len() >= 12, "{} cases", list.len());
    for engine in engines() {
        for one in list {
            for (trial, binding, expected) in passes(&engine, &case, one) {
                let got = trial.run(&engine, 0).swap_remove(binding);
                let what = format!("{} of {} on {}", trial.kernel.name, one["name"], engine.name());
                assert_close(&what, &floats(&got)[..expected.len()], &expected, 1e-5, 2e-5);
            }
        }
    }
}

/// A buffer with these numbers.
fn placed(engine: &Engine, values: &[f32]) -> Range {
    engine.buffer_with("values", values).expect("a buffer").all()
}

/// Room for so many numbers.
fn room(engine: &Engine, count: usize) -> Range {
    placed(engine, &vec![JUNK; count])
}

/// Whether a buffer holds these numbers, and behind them nothing else.
fn assert_holds(what: &str, engine: &Engine, range: &Range, expected: &[f32], absolute: f64) {
    let got: Vec<f32> = engine.read(range).expect("numbers");
    assert_close(what, &got[..expected.len()], expected, 1e-5, absolute);
}

#[test]
fn golden_pictures_batch_norms_are_torchs() {
    let case = case("norms");
    let list = case.json["cases"].as_array().expect("cases");
    assert!(list.len() >= 9, "{} cases", list.len());
    for (engine, one) in engines().iter().flat_map(|engine| list.iter().map(move |one| (engine, one))) {
        let name = one["name"].as_str().expect("a name");
        let part = |part: &str| format!("{name}.{part}");
        let [pictures, channels, height, width] = case.array(&part("x")).shape[..] else { panic!("{name}") };
        let (eps, momentum) = (one["eps"].as_f64().expect("a number") as f32, one["momentum"].as_f64());
        let trains = one["trains"].as_bool().expect("whether it trains");
        let (rows, ghosts) = (pictures * height * width, one["ghosts"].as_u64().expect("a count") as usize);
        let shape = layout::BatchNorm::new(rows, channels, eps, momentum.map(|momentum| momentum as f32));
        let ghosts = if trains { ghosts } else { 1 };
        let shape = shape.in_ghosts(pictures, pictures.div_ceil(ghosts));
        assert_eq!(shape.ghosts(), ghosts, "{name}");
        let [x, dy] = ["x", "dy"].map(|name| placed(engine, &pixels(&case, &part(name))));
        let [y, dx] = ["y", "dx"].map(|name| room(engine, pixels(&case, &part(name)).len()));
        let [gamma, beta] = ["weight", "bias"].map(|name| placed(engine, &case.f32s(&part(name))));
        let statistics = ["running_mean", "running_var", "num_batches_tracked"];
        let running = statistics.map(|name| placed(engine, &case.f32s(&part(&format!("before.{name}")))));
        let [moments, slopes] = [0, 1].map(|_| room(engine, 2 * ghosts * channels));
        let [dgamma, dbeta] = [0, 1].map(|_| room(engine, channels));
        let of_batch = trains.then(|| x.clone());
        let count = trains.then(|| running[2].clone());
        let forward = [x.clone(), gamma.clone(), beta, moments.clone(), y.clone()];
        let targets = [Some(dgamma.clone()), Some(dbeta.clone())];
        let to_weight = [dy.clone(), x.clone(), moments.clone(), slopes.clone()];
        let to_input = [dy, gamma, moments.clone(), dx.clone()];
        let of_slopes = trains.then_some([x, slopes]);
        let dispatches = [
            ops::batch_moments(engine, &shape, of_batch, Some(running.clone()), moments),
            ops::batch_norm(engine, &shape, forward, count),
            ops::batch_norm_backward_weight(engine, &shape, to_weight, targets, false),
            ops::batch_norm_backward_input(engine, &shape, to_input, of_slopes, false),
        ];
        run(engine, dispatches.map(|dispatch| dispatch.expect("a dispatch")).into(), 0);
        let what = |what: &str| format!("{what} of {name} on {}", engine.name());
        for (part_name, range) in [("y", &y), ("dx", &dx)] {
            assert_holds(&what(part_name), engine, range, &pixels(&case, &part(part_name)), 2e-5);
        }
        for (part_name, range) in [("dweight", &dgamma), ("dbias", &dbeta)] {
            assert_holds(&what(part_name), engine, range, &case.f32s(&part(part_name)), 2e-5);
        }
        for (statistic, range) in statistics.iter().zip(&running) {
            let expected = case.f32s(&part(&format!("after.{statistic}")));
            assert_holds(&what(statistic), engine, range, &expected, 2e-6);
        }
    }
}

#[test]
fn golden_pictures_pools_are_torchs() {
    let case = case("pools");
    let list = case.json["cases"].as_array().expect("cases");
    for (engine, one) in engines().iter().flat_map(|engine| list.iter().map(move |one| (engine, one))) {
        let name = one["name"].as_str().expect("a name");
        let part = |part: &str| format!("{name}.{part}");
        let number = |key: &str| one[key].as_u64().expect("a number") as usize;
        let [pictures, channels, height, width] = case.array(&part("x")).shape[..] else { panic!("{name}") };
        let window = Window::new([height, width], number("kernel")).stride(number("stride")).padded(number("padding"));
        let shape = window.shape(pictures, [channels; 2]);
        let [x, dy] = ["x", "dy"].map(|name| placed(engine, &pixels(&case, &part(name))));
        let [y, dx] = ["y", "dx"].map(|name| room(engine, pixels(&case, &part(name)).len()));
        let is_mean = one["mean"].as_bool().expect("whether it is the mean");
        let which = (!is_mean).then(|| room(engine, pixels(&case, &part("y")).len()));
        let dispatches = [
            ops::window_pool(engine, &shape, [x, y.clone()], which.clone()),
            ops::window_pool_backward(engine, &shape, [dy, dx.clone()], which, false),
        ];
        run(engine, dispatches.map(|dispatch| dispatch.expect("a dispatch")).into(), 0);
        for (part_name, range) in [("y", &y), ("dx", &dx)] {
            let what = format!("{part_name} of {name} on {}", engine.name());
            assert_holds(&what, engine, range, &pixels(&case, &part(part_name)), 2e-6);
        }
    }
}

/// What the names of our samples begin with.
const SAMPLES: [&str; 4] = ["convolutions", "batch norms", "pools of", "activations"];

/// Gradients of the samples, by differences of the loss.
#[test]
fn pictures_have_the_gradients_of_finite_differences() {
    let samples = ops::samples().into_iter().filter(|sample| sample.values == ValueStorage::F32);
    let mut tried = 0;
    for sample in samples.filter(|sample| SAMPLES.iter().any(|start| sample.name.starts_with(start))) {
        let [got, expected] = Bed::new(&Engine::twins(), &sample).expect("a bed").slope().expect("a slope");
        let error = (got - expected).abs() / expected.abs().max(0.05);
        assert!(error < 0.02, "{}: {got:e} along a slope of {expected:e}", sample.name);
        tried += 1;
    }
    assert!(tried >= 15, "{tried}");
}

/// The CPU engine's, in the sizes of processors and of GPUs. Those of shaders are held against PyTorch above.
#[test]
fn pictures_have_fast_forms_that_agree_with_their_twins() {
    const WORDS: [&str; 4] = ["conv", "depthwise", "batch_", "window_"];
    let wanted = |name: &str| WORDS.iter().any(|word| name.starts_with(word));
    let found = kernels(&forms(&Engine::cpu(), true), &|kernel| wanted(kernel.family.name), |_| ());
    let found = found.expect("what was found");
    assert!(found.refused.is_empty(), "{:?}", found.refused);
    let worst = found.kernels.values().map(|checked| checked.error).fold(0.0, f64::max);
    assert!(found.kernels.len() > 150 && worst < 1e-3, "{worst:e} of {}", found.kernels.len());
}

#[test]
fn pictures_have_the_same_bits_on_any_number_of_threads() {
    let case = case("convs");
    for one in case.json["cases"].as_array().expect("cases") {
        for (trial, ..) in passes(&Engine::twins(), &case, one) {
            let run = |threads: usize| on_threads(threads, || trial.run(&Engine::cpu(), 0));
            let alone = run(1);
            assert!([2, 3].into_iter().all(|threads| run(threads) == alone), "{} {}", trial.kernel.name, one["name"]);
        }
    }
}

/// A convolution of one tap is a linear layer, to the bit.
#[test]
fn pictures_make_of_one_tap_what_a_linear_layer_makes() {
    let window = Window::new([5, 7], 1);
    for engine in sized_engines() {
        let shape = window.shape(3, [6, 9]);
        let conv = ops::conv(&engine, &shape, any(&engine), None).expect("a dispatch");
        let (x, weight) = (activations(1, 105, 6), dense(2, 54));
        let linear = layout::Linear::new(105, 6, 9);
        let weight_place = (any::<1>(&engine)[0].clone(), gradus::params::Storage::F32);
        let other = ops::linear(&engine, &linear, weight_place, any(&engine), None, ops::After::Nothing);
        let run = |dispatch, shape: Vec<u32>| {
            let memory = vec![x.clone(), weight.clone(), junk(0), junk(105 * 12), shape];
            Trial::of(dispatch, memory).run(&engine, 0).swap_remove(3)
        };
        let (got, expected) = (run(&conv, record(&shape)), run(&other.expect("a dispatch"), record(&linear)));
        assert!(got == expected, "{}", engine.name());
    }
}
