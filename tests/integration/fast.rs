//! Fast forms of the CPU engine: each against its twin, at sizes that fill no block, and with the same bits on any number
//! of threads and wherever in a batch a row stands. (Those of attention are in `attention.rs`.)

use crate::support::{assert_close, noise, on_threads};
use crate::transformer_bed::{Bed, Data, LOSS, decoder, encoder};
use crate::trial::{Trial, activations, agree, dense, junk, storages, stored};
use gradus::engine::layout::Linear;
use gradus::engine::{Engine, Range};
use gradus::nn::Activation;
use gradus::nn::models::Pooling;
use gradus::nn::ops::{After, linear, linear_backward_input, linear_backward_weight};
use gradus::params::Storage;
use gradus::{fast, twin};

/// Rows, inputs, outputs: one; below, at and past a block of the GEMM crate (8 or 16 results, 64 rows, 256 terms) and a
/// thread's least rows; inputs that are no whole vec4.
const SIZES: [[usize; 3]; 10] = [
    [1, 1, 1],
    [1, 12, 7],
    [2, 5, 3],
    [16, 16, 16],
    [17, 9, 33],
    [40, 261, 19],
    [130, 40, 70],
    [300, 22, 5],
    [65, 64, 300],
    [33, 515, 18],
];

const ACTIVATIONS: [Activation; 4] = [Activation::Relu, Activation::Gelu, Activation::GeluNew, Activation::Tanh];

/// Every variant of the three passes of a layer, over noise, and the terms of its sums.
fn trials([rows, inputs, outputs]: [usize; 3], seed: u32) -> Vec<(Trial, usize)> {
    let engine = Engine::twins();
    let shape = Linear::new(rows, inputs, outputs);
    let record = || bytemuck::cast_slice(&[shape]).to_vec();
    let any = || engine.buffer("any", 16).expect("a buffer").all();
    let wanted = |wanted: bool| -> Option<Range> { wanted.then(any) };
    let (x, z) = (rows * inputs.next_multiple_of(4), rows * outputs.next_multiple_of(4));
    let weight = |storage: Storage| stored(storage, seed + 1, inputs * outputs);
    let mut trials = Vec::new();

    let residual = (After::Residual(any()), activations(seed + 3, rows, outputs));
    let activated = ACTIVATIONS.map(|activation| (After::Activation(activation, any()), junk(z)));
    for (after, last) in [(After::Nothing, Vec::new()), residual].into_iter().chain(activated) {
        for (biased, storage) in storages(inputs).iter().flat_map(|storage| [(true, *storage), (false, *storage)]) {
            let (place, after) = ((any(), storage), after.clone());
            let dispatch = linear(&engine, &shape, place, [any(), any()], wanted(biased), after);
            let bias = if biased { dense(seed + 2, outputs) } else { junk(0) };
            let mut memory = vec![activations(seed, rows, inputs), weight(storage), bias, junk(z), record()];
            memory.extend((!last.is_empty()).then(|| last.clone()));
            trials.push((Trial::of(&dispatch.expect("a dispatch"), memory), inputs));
        }
    }
    for activation in [None].into_iter().chain(ACTIVATIONS.map(Some)) {
        for (accumulate, storage) in storages(inputs).iter().flat_map(|storage| [(false, *storage), (true, *storage)]) {
            let below = activation.map(|activation| (activation, any()));
            let place = (any(), storage);
            let dispatch = linear_backward_input(&engine, &shape, place, [any(), any()], below, accumulate);
            let dz_below = if accumulate { activations(seed + 4, rows, inputs) } else { junk(x) };
            let z_below = activations(seed + 5, rows, inputs);
            let memory = vec![activations(seed, rows, outputs), weight(storage), z_below, dz_below, record()];
            trials.push((Trial::of(&dispatch.expect("a dispatch"), memory), outputs));
        }
    }
    for [trains, biased] in [[true, true], [true, false], [false, true]] {
        for accumulate in [false, true] {
            let targets = [wanted(trains), wanted(biased)];
            let dispatch = linear_backward_weight(&engine, &shape, [any(), any()], targets, accumulate);
            let place = |wanted: bool, count: usize| match (wanted, accumulate) {
                (false, _) => junk(0),
                (true, false) => junk(count),
                (true, true) => dense(seed + 6, count),
            };
            let [dz, x] = [outputs, inputs].map(|width| activations(seed + width as u32, rows, width));
            let memory = vec![dz, x, place(trains, inputs * outputs), place(biased, outputs), record()];
            trials.push((Trial::of(&dispatch.expect("a dispatch"), memory), rows));
        }
    }
    trials
}

/// Sums are f32 as a shader's are, and its tolerance is theirs: it grows with the terms of a sum.
#[test]
fn fast_forms_of_linear_layers_agree_with_their_twins() {
    for (case, sizes) in SIZES.into_iter().enumerate() {
        for (trial, terms) in trials(sizes, 10 * case as u32) {
            agree(&Engine::cpu(), &trial, terms, &format!("{sizes:?} {:?}", trial.constants));
        }
    }
}

#[test]
fn fast_forms_have_the_same_bits_on_any_number_of_threads_and_twice() {
    for (case, sizes) in SIZES.into_iter().enumerate() {
        for (trial, _) in trials(sizes, 10 * case as u32) {
            let run = |threads: usize| on_threads(threads, || trial.run(&Engine::cpu(), 0));
            let alone = run(1);
            for threads in [1, 2, 3, 7] {
                assert!(run(threads) == alone, "{} {sizes:?}, {threads} threads", trial.kernel.name);
            }
        }
    }
}

/// What a frozen trunk makes of an example may be kept: it does not depend on the batch.
#[test]
fn fast_forms_make_of_a_row_what_they_make_of_it_alone() {
    for (case, [rows, inputs, outputs]) in SIZES.into_iter().enumerate() {
        let shape = Linear::new(rows, inputs, outputs);
        let (from, to) = (shape.input(1, 0), shape.output(1, 0));
        let noise = |number: u32, count: usize| noise(100 * case as u32 + number, count);
        let (x, dz, weight) = (noise(1, rows * from), noise(2, rows * to), noise(3, inputs * outputs));
        let forward = |x: &[f32], shape: &Linear| {
            let mut z = vec![0.0; shape.rows as usize * to];
            fast::linear(x, &weight, None, &mut z, shape, twin::nn::Epilogue::Plain);
            z
        };
        let backward = |dz: &[f32], shape: &Linear| {
            let mut dx = vec![0.0; shape.rows as usize * from];
            fast::linear_backward_input(dz, &weight, dz, &mut dx, shape, 0, false);
            dx
        };
        let (z, dx) = (forward(&x, &shape), backward(&dz, &shape));
        for first in 0..rows {
            for count in [1, 3, 8].into_iter().filter(|count| first + count <= rows) {
                let some = Linear::new(count, inputs, outputs);
                let what = format!("{count} rows from {first} of {shape:?}");
                let [ins, outs] = [from, to].map(|width| first * width..(first + count) * width);
                assert!(forward(&x[ins.clone()], &some) == z[outs.clone()], "forward, {what}");
                assert!(backward(&dz[outs], &some) == dx[ins], "backward, {what}");
            }
        }
    }
}

/// A whole pass, with what lies between the fast forms.
#[test]
fn fast_passes_have_the_same_bits_on_any_number_of_threads_and_are_near_the_twins() {
    for config in [decoder(true), encoder(2, Pooling::Mean)] {
        let data = Data::new(&config, 9, 5);
        let pass = |engine: Engine| {
            let bed = Bed::new(&engine, &config);
            let loss = bed.run(&data, LOSS).run();
            (loss, bed.names().iter().flat_map(|name| bed.gradient(name)).collect::<Vec<f32>>())
        };
        let alone = on_threads(1, || pass(Engine::cpu()));
        for threads in [2, 5] {
            assert!(on_threads(threads, || pass(Engine::cpu())) == alone, "{config:?}, {threads} threads");
        }
        let (loss, gradients) = pass(Engine::twins());
        assert!((alone.0 - loss).abs() <= 1e-5 * loss, "{config:?}: {} and {loss}", alone.0);
        assert_close("gradients", &alone.1, &gradients, 1e-4, 1e-6);
    }
}
