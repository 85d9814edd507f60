//! The operations of a transformer: each kernel against its twin over plain memory, at sizes that fill nothing evenly,
//! with the constants of software and of a GPU; and each gradient against differences, on the twins.

use crate::support::{assert_close, gpus, noise, sized_engines};
use crate::trial::{
    JUNK, TAIL, Trial, activations, agree, any, dense, floats, junk, padded, record, regrid, run, storages, stored,
    words,
};
use gradus::engine::layout::{
    CORRECT, COUNTS, Dropout, Embedding, IGNORED, LayerNorm, Linear, Loss, Metrics, Moments, NONE, Pool, Position,
    Verdict, pcg,
};
use gradus::engine::{Dispatch, Engine, Range};
use gradus::nn::ops::{self, After};
use gradus::nn::{Activation, Parameter};
use gradus::params::Storage;

/// Rows and widths of a norm: one, below and past a quad, a row of lanes and a workgroup.
const ROWS: [[usize; 2]; 12] =
    [[1, 1], [1, 4], [1, 130], [2, 3], [3, 5], [4, 8], [5, 127], [7, 129], [8, 64], [9, 384], [33, 20], [130, 17]];

/// Batch, context and width.
const SEQUENCES: [[usize; 3]; 7] = [[1, 1, 1], [1, 1, 4], [1, 5, 3], [2, 3, 8], [3, 7, 5], [4, 64, 36], [5, 13, 130]];

/// The same for a weight, or a table, that is stored so.
fn in_any(engine: &Engine, storage: Storage) -> Parameter {
    let [range] = any(engine);
    (range, storage)
}

/// Numbers below `most`, from a seed, and the tail.
fn names(seed: u32, count: usize, most: usize) -> Vec<u32> {
    let mut names: Vec<u32> = (0..count as u32).map(|at| pcg(at ^ pcg(seed)) % most as u32).collect();
    names.resize(count + TAIL, 0);
    names
}

// ---- linear ----

const LINEARS: [[usize; 3]; 8] =
    [[1, 1, 1], [1, 5, 3], [2, 8, 2], [7, 12, 22], [9, 10, 31], [64, 36, 33], [33, 128, 96], [130, 65, 10]];

#[test]
fn nn_linear_with_a_residual_or_without_a_bias_agrees_with_its_twin() {
    for gpu in gpus() {
        for (case, [rows, inputs, outputs]) in LINEARS.into_iter().enumerate() {
            let (shape, seed) = (Linear::new(rows, inputs, outputs), case as u32);
            let z = rows * outputs.next_multiple_of(4);
            for (biased, storage) in storages(inputs).iter().flat_map(|storage| [(true, *storage), (false, *storage)]) {
                for way in ["plain", "residual", "activated"] {
                    let bias = biased.then(|| any::<1>(&gpu)[0].clone());
                    let [more] = any(&gpu);
                    let (after, last) = match way {
                        "plain" => (After::Nothing, None),
                        "residual" => (After::Residual(more), Some(activations(seed + 3, rows, outputs))),
                        _ => (After::Activation(Activation::GeluNew, more), Some(junk(z))),
                    };
                    let dispatch =
                        ops::linear(&gpu, &shape, in_any(&gpu, storage), any(&gpu), bias, after).expect("a dispatch");
                    let (x, weight) = (activations(seed, rows, inputs), stored(storage, seed + 1, inputs * outputs));
                    let bias = if biased { dense(seed + 2, outputs) } else { vec![0; 4] };
                    let mut memory = vec![x, weight, bias, junk(z), record(shape)];
                    memory.extend(last);
                    let mut trial = Trial::of(&dispatch, memory);
                    regrid(&mut trial, case % 3);
                    agree(&gpu, &trial, inputs, &format!("{shape:?} {way}, biased {biased}, in {storage}"));
                }
            }
        }
    }
}

#[test]
fn nn_linear_backward_input_joins_what_is_there() {
    for gpu in gpus() {
        for (case, [rows, inputs, outputs]) in LINEARS.into_iter().enumerate() {
            let (shape, seed) = (Linear::new(rows, inputs, outputs), case as u32);
            let below = (case % 2 == 0).then(|| (Activation::Tanh, any::<1>(&gpu)[0].clone()));
            let z_below = if below.is_some() { activations(seed + 2, rows, inputs) } else { vec![0; 4] };
            for storage in storages(inputs) {
                let (weight, below) = (in_any(&gpu, *storage), below.clone());
                let dispatch = ops::linear_backward_input(&gpu, &shape, weight, any(&gpu), below, true);
                let (dz, weight) = (activations(seed, rows, outputs), stored(*storage, seed + 1, inputs * outputs));
                let memory = vec![dz, weight, z_below.clone(), activations(seed + 3, rows, inputs), record(shape)];
                let trial = Trial::of(&dispatch.expect("a dispatch"), memory);
                agree(&gpu, &trial, outputs, &format!("{shape:?}, in {storage}"));
            }
        }
    }
}

#[test]
fn nn_linear_backward_weight_spares_what_is_frozen() {
    for gpu in gpus() {
        for (case, [rows, inputs, outputs]) in LINEARS.into_iter().enumerate() {
            let (shape, seed) = (Linear::new(rows, inputs, outputs), case as u32);
            for (weight, bias) in [(true, true), (true, false), (false, true)] {
                let target = |wanted: bool| wanted.then(|| any::<1>(&gpu)[0].clone());
                let targets = [target(weight), target(bias)];
                let dispatch = ops::linear_backward_weight(&gpu, &shape, any(&gpu), targets, true).expect("a dispatch");
                let (dz, x) = (activations(seed, rows, outputs), activations(seed + 1, rows, inputs));
                let place = |wanted: bool, seed: u32, count: usize| if wanted { dense(seed, count) } else { junk(0) };
                let targets = [place(weight, seed + 2, inputs * outputs), place(bias, seed + 3, outputs)];
                let [dweight, dbias] = targets;
                let trial = Trial::of(&dispatch, vec![dz, x, dweight, dbias, record(shape)]);
                agree(&gpu, &trial, rows, &format!("{shape:?} weight {weight} bias {bias}"));
            }
        }
    }
}

// ---- layer norm ----

/// Moments of rows of noise, roughly.
fn moments(seed: u32, rows: usize) -> Vec<u32> {
    let mut all: Vec<f32> = noise(seed, rows).iter().flat_map(|n| [0.1 * n, 1.7 + n]).collect();
    all.resize(2 * rows + TAIL, JUNK);
    words(all)
}

#[test]
fn nn_layer_norm_agrees_with_its_twin() {
    for engine in sized_engines() {
        for (case, [rows, width]) in ROWS.into_iter().enumerate() {
            let (shape, seed) = (LayerNorm::new(rows, width, 1e-2), case as u32);
            let count = rows * shape.stride();
            for residual in [false, true] {
                let with = residual.then(|| any(&engine));
                let dispatch = ops::layer_norm(&engine, &shape, any(&engine), with).expect("a dispatch");
                let (x, gamma, beta) = (activations(seed, rows, width), dense(seed + 1, width), dense(seed + 2, width));
                let mut memory = vec![x, gamma, beta, junk(count), junk(2 * rows), record(shape)];
                if residual {
                    memory.extend([activations(seed + 3, rows, width), junk(count)]);
                }
                // An rstd of 10 makes ten of one rounding.
                let what = format!("{shape:?}, residual {residual}");
                agree(&engine, &Trial::of(&dispatch, memory), 40, &what);
            }
        }
    }
}

#[test]
fn nn_layer_norm_of_a_far_mean_keeps_its_variance() {
    for engine in sized_engines() {
        let shape = LayerNorm::new(1, 64, 0.0);
        let x: Vec<f32> = (0..64).map(|c| 4096.0 + if c % 2 == 0 { 0.5 } else { -0.5 }).collect();
        let dispatch = ops::layer_norm(&engine, &shape, any(&engine), None).expect("a dispatch");
        let ones = words(vec![1.0; 64]);
        let memory = vec![padded(&x, 64, 0.0), ones, vec![0; 64], junk(64), junk(2), record(shape)];
        let got = Trial::of(&dispatch, memory).run(&engine, 0);
        let expected: Vec<f32> = (0..64).map(|c| if c % 2 == 0 { 1.0 } else { -1.0 }).collect();
        assert_close("y", &floats(&got[3])[..64], &expected, 1e-6, 0.0);
    }
}

#[test]
fn nn_layer_norm_backward_input_agrees_with_its_twin() {
    for engine in sized_engines() {
        for (case, [rows, width]) in ROWS.into_iter().enumerate() {
            let (shape, seed) = (LayerNorm::new(rows, width, 1e-2), case as u32);
            for accumulate in [false, true] {
                let (dx, none) = (any::<1>(&engine)[0].clone(), [None, None]);
                let dx = Some((dx, accumulate));
                let dispatch = ops::layer_norm_backward(&engine, &shape, any(&engine), dx, none, false);
                let dispatch = dispatch.expect("a dispatch");
                let (dy, x, gamma) =
                    (activations(seed, rows, width), activations(seed + 1, rows, width), dense(seed + 2, width));
                let dx = if accumulate { activations(seed + 4, rows, width) } else { junk(rows * shape.stride()) };
                let memory = vec![dy, x, gamma, moments(seed + 3, rows), dx, junk(0), junk(0), record(shape)];
                let what = format!("{shape:?}, accumulate {accumulate}");
                agree(&engine, &Trial::of(&dispatch, memory), 40, &what);
            }
        }
    }
}

#[test]
fn nn_layer_norm_backward_weight_agrees_with_its_twin() {
    for engine in sized_engines() {
        for (case, [rows, width]) in ROWS.into_iter().enumerate() {
            let (shape, seed) = (LayerNorm::new(rows, width, 1e-2), case as u32);
            for (gamma, beta, accumulate) in
                [(true, true, false), (true, true, true), (false, true, true), (true, false, false)]
            {
                let target = |wanted: bool| wanted.then(|| any::<1>(&engine)[0].clone());
                let targets = [target(gamma), target(beta)];
                // With the gradient of the input beside it, and alone.
                let input = (case % 2 == 0).then(|| (any::<1>(&engine)[0].clone(), false));
                let dx = if input.is_some() { junk(rows * shape.stride()) } else { junk(0) };
                let dispatch = ops::layer_norm_backward(&engine, &shape, any(&engine), input, targets, accumulate)
                    .expect("a dispatch");
                let (dy, x) = (activations(seed, rows, width), activations(seed + 1, rows, width));
                let place = |wanted: bool, seed: u32| match (wanted, accumulate) {
                    (false, _) => junk(0),
                    (true, false) => junk(width),
                    (true, true) => dense(seed, width),
                };
                let (dgamma, dbeta) = (place(gamma, seed + 3), place(beta, seed + 4));
                let memory =
                    vec![dy, x, dense(seed + 5, width), moments(seed + 2, rows), dx, dgamma, dbeta, record(shape)];
                let what = format!("{shape:?}, gamma {gamma}, beta {beta}, accumulate {accumulate}");
                agree(&engine, &Trial::of(&dispatch, memory), 40 + 4 * rows, &what);
            }
        }
    }
}

// ---- loss ----

#[test]
fn nn_loss_over_a_vocabulary_agrees_with_its_twin() {
    for engine in sized_engines() {
        for (case, (rows, classes)) in [(1, 30_522), (5, 30_522), (3, 50_257), (2, 1025)].into_iter().enumerate() {
            let shape = Loss { smoothing: 0.1, ..Loss::new(rows, classes) };
            let mut z = noise(case as u32, rows * classes);
            z.iter_mut().for_each(|z| *z *= 8.0);
            let memory = vec![
                padded(&z, classes, 1e9),
                names(case as u32 + 1, rows, classes),
                junk(rows * shape.quads as usize * 4),
                junk(rows * 2),
                record(Position::default()),
                record(shape),
            ];
            let dispatch = ops::softmax_cross_entropy(&engine, &shape, any(&engine), true).expect("a dispatch");
            let trial = Trial::of(&dispatch, memory);
            let (got, expected) = (trial.run(&engine, 0), trial.run(&Engine::twins(), 0));
            let what = format!("{rows} rows of {classes} classes");
            assert_close(&format!("dz of {what}"), floats(&got[2]), floats(&expected[2]), 1e-5, 1e-9);
            let [got, expected] = [&got, &expected].map(|memory| floats(&memory[3])[..2 * rows].to_vec());
            assert_close(&format!("losses of {what}"), &got, &expected, 2e-6, 0.0);
        }
    }
}

#[test]
fn nn_loss_of_rows_that_do_not_count_is_nothing() {
    for engine in sized_engines() {
        let (rows, classes) = (5, 6);
        let shape = Loss::new(rows, classes);
        for counting in [0, 3] {
            let memory = vec![
                activations(1, rows, classes),
                vec![IGNORED; rows],
                junk(rows * 8),
                junk(rows * 2),
                record(Position { counting, ..Position::default() }),
                record(shape),
            ];
            let dispatch = ops::softmax_cross_entropy(&engine, &shape, any(&engine), true).expect("a dispatch");
            let got = Trial::of(&dispatch, memory).run(&engine, 0);
            assert!(floats(&got[2])[..rows * 8].iter().all(|g| *g == 0.0), "{counting} on {}", engine.name());
            assert!(got[3][..rows * 2].iter().all(|word| *word == 0), "{counting} on {}", engine.name());
        }
    }
}

/// A model that has blown up answers nothing right, wherever the label and the NaN stand.
#[test]
fn nn_loss_of_a_row_with_a_nan_is_a_wrong_answer() {
    let (classes, quads) = (6, 2);
    // Each row's logits by place: what is not named is 0, and the label's is the largest of the numbers.
    let logits = |label: usize, bad: &[usize], value: f32| {
        let mut row = vec![0.0; classes];
        row[label] = 2.0;
        bad.iter().for_each(|place| row[*place] = value);
        row
    };
    let all: Vec<usize> = (0..classes).collect();
    let mut rows: Vec<(usize, Vec<f32>, bool)> = Vec::new();
    for label in [0, 3, 5] {
        rows.push((label, logits(label, &[], 0.0), true));
        for place in 0..classes {
            rows.push((label, logits(label, &[place], f32::NAN), false));
        }
        rows.push((label, logits(label, &all, f32::NAN), false));
        rows.push((label, logits(label, &[label], f32::INFINITY), false));
        // What a mask leaves out is not a hindrance.
        rows.push((label, logits(label, &[1, 2], f32::NEG_INFINITY), true));
    }
    let shape = Loss::new(rows.len(), classes);
    let z: Vec<f32> = rows.iter().flat_map(|(_, row, _)| row.clone()).collect();
    let labels: Vec<u32> = rows.iter().map(|(label, ..)| *label as u32).collect();
    for engine in sized_engines() {
        let memory = vec![
            padded(&z, classes, 1e9),
            labels.clone(),
            junk(rows.len() * quads * 4),
            junk(rows.len() * 2),
            record(Position::default()),
            record(shape),
        ];
        let dispatch = ops::softmax_cross_entropy(&engine, &shape, any(&engine), true).expect("a dispatch");
        let got = Trial::of(&dispatch, memory).run(&engine, 0);
        for (place, (label, row, is_right)) in rows.iter().enumerate() {
            let what = format!("{row:?}, label {label} on {}", engine.name());
            assert_eq!(got[3][2 * place + 1], if *is_right { COUNTS | CORRECT } else { COUNTS }, "{what}");
            // No driver is bound to keep a NaN, and yet it reaches the loss and the whole gradient.
            assert_eq!(floats(&got[3])[2 * place].is_nan(), !is_right, "loss of {what}");
            let gradient = &floats(&got[2])[4 * quads * place..][..4 * quads];
            let of_classes = gradient[..classes].iter().all(|g| g.is_nan() != *is_right);
            assert!(of_classes && gradient[classes..].iter().all(|g| *g == 0.0), "gradient of {what}: {gradient:?}");
        }
    }
}

/// An epoch of many batches has the mean of its rows, though one f32 would have lost it.
#[test]
fn nn_tally_keeps_the_mean_of_a_long_evaluation() {
    for engine in sized_engines() {
        let (batches, rows) = (2000, 3);
        let shape = Loss::new(rows, 10);
        let losses = noise(5, batches * rows);
        let verdict = |at: usize| Verdict {
            loss: 2.0 + losses[at],
            mark: if at.is_multiple_of(3) { COUNTS | CORRECT } else { COUNTS },
        };
        let verdicts = engine.buffer("verdicts", 8 * rows as u64).expect("a buffer");
        let metrics = engine.buffer("metrics", size_of::<Metrics>() as u64).expect("a buffer");
        let position = engine.buffer("position", 16).expect("a buffer");
        let memory = [verdicts.all(), metrics.all(), position.all()];
        let dispatch = ops::tally(&engine, &shape, memory).expect("a dispatch");
        for batch in 0..batches {
            let some: Vec<Verdict> = (0..rows).map(|r| verdict(batch * rows + r)).collect();
            engine.write(&verdicts, 0, &some).expect("a write");
            engine.write(&position, 0, &[Position { batch: batch as u32, ..Position::default() }]).expect("a write");
            run(&engine, vec![dispatch.clone()], 0);
        }
        let metrics: Metrics = engine.read(&metrics.all()).expect("metrics")[0];
        let expected: f64 = (0..batches * rows).map(|at| f64::from(verdict(at).loss)).sum();
        let got = metrics.mean_loss() * f64::from(metrics.rows);
        assert!((got - expected).abs() <= 3e-8 * expected, "{}: {got} for {expected}", engine.name());
        assert_eq!((metrics.rows, metrics.correct), (6000, 2000), "{}", engine.name());
    }
}

// ---- embedding ----

#[test]
fn nn_embedding_equals_its_twin() {
    for gpu in gpus() {
        for (case, [batch, context, width]) in SEQUENCES.into_iter().enumerate() {
            let (seed, entries) = (case as u32, [1, 3, 11, 300][case % 4]);
            for (typed, storage) in storages(width).iter().flat_map(|storage| [(false, *storage), (true, *storage)]) {
                let first_position = 2 * (seed & 1);
                let shape = Embedding { types: 2, first_position, ..Embedding::new(batch, context, width, entries) };
                let rows = batch * context;
                let table = || in_any(&gpu, storage);
                let types = typed.then(|| (any::<1>(&gpu)[0].clone(), table()));
                let dispatch = ops::embedding(&gpu, &shape, any(&gpu), [table(), table()], types).expect("a dispatch");
                let table = |seed: u32, entries: usize| stored(storage, seed, entries * width);
                let (token_table, position_table) = (table(seed, entries), table(seed + 1, context + 2));
                let y = junk(rows * shape.stride());
                let mut memory = vec![names(seed, rows, entries), token_table, position_table, y, record(shape)];
                if typed {
                    memory.extend([names(seed + 2, rows, 2), table(seed + 3, 2)]);
                }
                let mut trial = Trial::of(&dispatch, memory);
                regrid(&mut trial, case % 3);
                let (got, expected) = (trial.run(&gpu, 0), trial.run(&Engine::twins(), 0));
                assert_eq!(got, expected, "{shape:?}, typed {typed}, in {storage}");
            }
        }
    }
}

#[test]
fn nn_embedding_index_equals_its_twin() {
    for gpu in gpus() {
        for (case, [batch, context, width]) in SEQUENCES.into_iter().enumerate() {
            for entries in [1, 2, 11, 300] {
                let shape = Embedding::new(batch, context, width, entries);
                let tokens = names(case as u32, batch * context, entries);
                let dispatch = ops::embedding_index(&gpu, &shape, any(&gpu)).expect("a dispatch");
                let memory = vec![tokens.clone(), junk(batch * context), junk(entries), record(shape)];
                let mut trial = Trial::of(&dispatch, memory);
                regrid(&mut trial, case % 3);
                let (got, expected) = (trial.run(&gpu, 0), trial.run(&Engine::twins(), 0));
                assert_eq!(got, expected, "{shape:?}");
            }
        }
    }
}

#[test]
fn nn_embedding_index_of_positions_is_known_beforehand() {
    for [batch, context, width] in SEQUENCES {
        for first_position in [0, 2] {
            let shape = Embedding { first_position, ..Embedding::new(batch, context, width, context + 3) };
            let [positions, previous, last] = ops::position_index(&shape);
            let engine = Engine::twins();
            let dispatch = ops::embedding_index(&engine, &shape, any(&engine)).expect("a dispatch");
            let memory = vec![positions, junk(previous.len()), vec![NONE; last.len() + TAIL], record(shape)];
            let got = Trial::of(&dispatch, memory).run(&engine, 0);
            assert_eq!((&got[1][..previous.len()], &got[2][..last.len()]), (&previous[..], &last[..]), "{shape:?}");
        }
    }
}

#[test]
fn nn_embedding_backward_of_few_entries_needs_no_index() {
    for engine in sized_engines() {
        for (case, [batch, context, width]) in SEQUENCES.into_iter().enumerate() {
            let (seed, rows) = (case as u32, batch * context);
            for (entries, accumulate) in [(1, false), (2, true), (3, false), (8, true)] {
                let shape = Embedding::new(batch, context, width, entries);
                let dispatch = ops::embedding_backward(&engine, &shape, any(&engine), None, accumulate);
                let (tokens, dy) = (names(seed, rows, entries), activations(seed + 1, rows, width));
                let dtable = if accumulate { dense(seed + 2, entries * width) } else { junk(entries * width) };
                let memory = vec![tokens.clone(), tokens.clone(), tokens, dy, dtable, record(shape)];
                let mut trial = Trial::of(&dispatch.expect("a dispatch"), memory);
                regrid(&mut trial, case % 2);
                agree(&engine, &trial, rows, &format!("{shape:?}, accumulate {accumulate}"));
            }
        }
    }
}

/// What stood in a table's `last` before the batch must not matter: old rows, rows past the batch, and none.
#[test]
fn nn_embedding_backward_agrees_with_its_twin_whatever_came_before() {
    for engine in sized_engines() {
        for (case, [batch, context, width]) in SEQUENCES.into_iter().enumerate() {
            for entries in [1, 2, 11, 300] {
                let (shape, seed, rows) =
                    (Embedding::new(batch, context, width, entries), case as u32, batch * context);
                let tokens = names(seed, rows, entries);
                let [old, past] = [rows, 3 * rows].map(|most| names(seed + 9, entries, most));
                for (last, accumulate) in [(old, false), (past, true), (vec![NONE; entries + TAIL], false)] {
                    let index = ops::embedding_index(&engine, &shape, any(&engine)).expect("a dispatch");
                    let memory = vec![tokens.clone(), junk(rows), last, record(shape)];
                    let [tokens, previous, last, _] =
                        Trial::of(&index, memory).run(&engine, 0).try_into().expect("four");
                    let dy = activations(seed + 1, rows, width);
                    let dtable = if accumulate { dense(seed + 2, entries * width) } else { junk(entries * width) };
                    let before = dtable.clone();
                    let index = Some(any(&engine));
                    let dispatch = ops::embedding_backward(&engine, &shape, any(&engine), index, accumulate);
                    let dispatch = dispatch.expect("a dispatch");
                    let memory = vec![tokens.clone(), previous, last, dy.clone(), dtable, record(shape)];
                    let mut trial = Trial::of(&dispatch, memory);
                    regrid(&mut trial, case % 3);
                    agree(&engine, &trial, rows, &format!("{shape:?}, accumulate {accumulate}"));
                    trial.set("QUADS", 3.0);
                    trial.grid = [trial.grid.iter().product::<u32>().div_ceil(3), 1, 1];
                    let got =
                        agree(&engine, &trial, rows, &format!("{shape:?}, accumulate {accumulate}, three quads each"));
                    let mut expected = vec![0.0; entries * width];
                    for r in 0..rows {
                        for c in 0..width {
                            expected[tokens[r] as usize * width + c] += floats(&dy)[r * shape.stride() + c];
                        }
                    }
                    if accumulate {
                        expected.iter_mut().zip(floats(&before)).for_each(|(sum, before)| *sum += before);
                    }
                    assert_close("table", &floats(&got[4])[..entries * width], &expected, 1e-6, 2e-7 * rows as f64);
                }
            }
        }
    }
}

// ---- pooling ----

/// A mask with padding at the end of each sequence; the last sequence has nothing left.
fn padding(batch: usize, context: usize) -> Vec<u32> {
    let left =
        |r: usize| r % context < context - r / context * context / batch && (batch == 1 || r / context + 1 < batch);
    (0..batch * context).map(|r| u32::from(left(r))).collect()
}

#[test]
fn nn_mean_pool_agrees_with_its_twin() {
    for gpu in gpus() {
        for (case, [batch, context, width]) in SEQUENCES.into_iter().enumerate() {
            let (shape, seed) = (Pool::new(batch, context, width), case as u32);
            let (few, many) = (batch * shape.stride(), batch * context * shape.stride());
            for of in [ops::Tokens::All, ops::Tokens::Last] {
                for mut mask in [padding(batch, context), ops::first_tokens(&shape), vec![1; batch * context]] {
                    let first = mask == ops::first_tokens(&shape);
                    mask.resize(mask.len() + TAIL, 1);
                    let dispatch = ops::mean_pool(&gpu, &shape, of, any(&gpu)).expect("a dispatch");
                    let x = activations(seed, batch * context, width);
                    let mut trial = Trial::of(&dispatch, vec![x.clone(), mask.clone(), junk(few), record(shape)]);
                    regrid(&mut trial, case % 3);
                    let got = agree(&gpu, &trial, context, &format!("{shape:?}"));
                    if first {
                        for b in 0..batch {
                            let (from, to) = (b * context * shape.stride(), b * shape.stride());
                            assert_eq!(
                                got[2][to..][..width],
                                x[from..][..width],
                                "{shape:?}: the first token as it is"
                            );
                        }
                    }
                    let dispatch = ops::mean_pool_backward(&gpu, &shape, of, any(&gpu)).expect("a dispatch");
                    let memory = vec![activations(seed, batch, width), mask, junk(many), record(shape)];
                    let mut trial = Trial::of(&dispatch, memory);
                    regrid(&mut trial, case % 3);
                    agree(&gpu, &trial, 1, &format!("{shape:?}"));
                }
            }
        }
    }
}

// ---- dropout ----

#[test]
fn nn_dropout_drops_the_same_elements_as_its_twin() {
    for gpu in gpus() {
        for (case, quads) in [1, 2, 63, 64, 65, 1000].into_iter().enumerate() {
            for probability in [0.0, 0.1, 0.5, 0.999] {
                // Each element for itself, and in three sizes of an example.
                let shape = Dropout::new(case as u32, 3, probability, quads).together([0, 1, 7, 130][case % 4]);
                let position = Position { step: 5, epoch: 1, batch: case as u32, counting: 0 };
                for residual in [false, true] {
                    let with = residual.then(|| any::<1>(&gpu)[0].clone());
                    let dispatch = ops::dropout(&gpu, &shape, any(&gpu), with).expect("a dispatch");
                    let (x, y) = (activations(1, quads, 4), junk(4 * quads));
                    let mut memory = vec![x, y, record(position), record(shape)];
                    memory.extend(residual.then(|| activations(2, quads, 4)));
                    let mut trial = Trial::of(&dispatch, memory);
                    regrid(&mut trial, case % 3);
                    agree(&gpu, &trial, 1, &format!("{shape:?}, residual {residual}"));
                }
            }
        }
    }
}

#[test]
fn nn_stochastic_depth_leaves_examples_out() {
    let (examples, quads) = (400, 5);
    let shape = Dropout::new(3, 1, 0.25, examples * quads).together(quads);
    let (x, mut y) = (vec![3.0; 4 * examples * quads], vec![0.0; 4 * examples * quads]);
    gradus::twin::nn::dropout(&x, &mut y, &Position::default(), &shape, None);
    let kept: Vec<bool> = y.chunks(4 * quads).map(|example| example[0] != 0.0).collect();
    for (example, kept) in y.chunks(4 * quads).zip(&kept) {
        assert!(example.iter().all(|y| *y == if *kept { 4.0 } else { 0.0 }), "{example:?}");
    }
    let dropped = kept.iter().filter(|kept| !**kept).count() as f64;
    // Four standard deviations.
    assert!((dropped - 100.0).abs() < 4.0 * 75f64.sqrt(), "{dropped} of {examples}");
}

#[test]
fn nn_dropout_patterns_have_their_rate_and_are_their_own() {
    const COUNT: u32 = 100_000;
    let pattern = |seed: u32, stream: u32, step: u32, batch: u32| -> Vec<bool> {
        let shape = Dropout::new(seed, stream, 0.1, 1);
        let key = shape.key(&Position { step, batch, ..Position::default() });
        (0..COUNT).map(|element| shape.factor(key, element) == 0.0).collect()
    };
    let first = pattern(1, 0, 0, 0);
    assert_eq!(first, pattern(1, 0, 0, 0));
    let others =
        [pattern(2, 0, 0, 0), pattern(1, 1, 0, 0), pattern(1, 0, 1, 0), pattern(1, 0, 0, 1), pattern(1, 0, 1, 1)];
    for other in &others {
        let dropped = other.iter().filter(|dropped| **dropped).count() as f64;
        // Five standard deviations.
        assert!((dropped - 1e4).abs() < 5.0 * 9e3f64.sqrt(), "{dropped} of {COUNT}");
        let both = first.iter().zip(other).filter(|(a, b)| **a && **b).count() as f64;
        assert!((both - 1e3).abs() < 5.0 * 990f64.sqrt(), "{both} in both patterns");
    }
    // Neighbours are dropped together as many times as chance has it.
    let pairs = first.windows(2).filter(|pair| pair[0] && pair[1]).count() as f64;
    assert!((pairs - 1e3).abs() < 5.0 * 1100f64.sqrt(), "{pairs} pairs of neighbours");
}

// ---- bits ----

/// The same bits twice: every sum has one order.
#[test]
fn nn_operations_repeat_to_the_bit() {
    for gpu in gpus() {
        let (rows, width) = (130, 127);
        let (norm, loss) = (LayerNorm::new(rows, width, 1e-5), Loss::new(rows, width));
        let table = Embedding::new(13, 10, width, 7);
        let count = rows * norm.stride();
        let index = ops::embedding_index(&gpu, &table, any(&gpu)).expect("a dispatch");
        let index = Trial::of(&index, vec![names(1, rows, 7), junk(rows), junk(7), record(table)]).run(&gpu, 0);
        let [tokens, previous, last, _] = index.try_into().expect("four");
        let x = || activations(1, rows, width);
        let one = || Some(any::<1>(&gpu)[0].clone());
        let trials = [
            (
                ops::layer_norm(&gpu, &norm, any(&gpu), None),
                vec![x(), dense(2, width), dense(3, width), junk(count), junk(2 * rows), record(norm)],
            ),
            (
                ops::layer_norm_backward(&gpu, &norm, any(&gpu), one().map(|dx| (dx, false)), [one(), one()], false),
                vec![
                    x(),
                    activations(2, rows, width),
                    dense(4, width),
                    moments(3, rows),
                    junk(count),
                    junk(width),
                    junk(width),
                    record(norm),
                ],
            ),
            (
                ops::softmax_cross_entropy(&gpu, &loss, any(&gpu), true),
                vec![
                    x(),
                    names(1, rows, width),
                    junk(count),
                    junk(2 * rows),
                    record(Position::default()),
                    record(loss),
                ],
            ),
            (
                ops::embedding_backward(&gpu, &table, any(&gpu), Some(any(&gpu)), false),
                vec![tokens, previous, last, x(), junk(7 * width), record(table)],
            ),
        ];
        for (dispatch, memory) in trials {
            let trial = Trial::of(&dispatch.expect("a dispatch"), memory);
            let first = trial.run(&gpu, 0);
            for _ in 0..5 {
                assert!(trial.run(&gpu, 0) == first, "{}", trial.kernel.name);
            }
        }
    }
}

// ---- gradients ----

/// An operation on the twins: its forward pass, its backward pass, and what is differentiated.
struct Slope {
    engine: Engine,
    forward: Vec<Dispatch>,
    backward: Vec<Dispatch>,
    /// The output, and the weights of its elements in the sum that is differentiated: the gradient given to backward.
    output: Range,
    weights: Vec<f32>,
    /// Inputs, each with the place of its gradient.
    inputs: Vec<(&'static str, Range, Range)>,
}

impl Slope {
    fn value(&self) -> f64 {
        run(&self.engine, self.forward.clone(), 0);
        let output: Vec<f32> = self.engine.read(&self.output).expect("an output");
        output.iter().zip(&self.weights).map(|(y, c)| f64::from(*y) * f64::from(*c)).sum()
    }

    /// Central differences along a direction with random sizes and the gradient's signs, as for the MLP.
    fn check(&self, what: &str) {
        self.value();
        run(&self.engine, self.backward.clone(), 0);
        for (seed, (name, place, gradient)) in self.inputs.iter().enumerate() {
            let start: Vec<f32> = self.engine.read(place).expect("values");
            let gradient: Vec<f32> = self.engine.read(gradient).expect("a gradient");
            let sizes = noise(seed as u32 + 90, start.len());
            let direction =
                sizes.iter().zip(&gradient).map(|(size, g)| if *g == 0.0 { 0.0 } else { size.abs().copysign(*g) });
            let direction: Vec<f32> = direction.collect();
            let moved = |step: f32| -> Vec<f32> { start.iter().zip(&direction).map(|(v, d)| v + step * d).collect() };
            let (above, below) = (moved(2e-3), moved(-2e-3));
            let span = above.iter().zip(&below).map(|(a, b)| f64::from(*a) - f64::from(*b));
            let expected: f64 = span.zip(&gradient).map(|(span, g)| span * f64::from(*g)).sum();
            let at = |values: &[f32]| {
                self.engine.write(&place.buffer, 0, values).expect("a write");
                self.value()
            };
            let (got, _) = (at(&above) - at(&below), self.engine.write(&place.buffer, 0, &start).expect("a write"));
            let error = (got - expected).abs() / expected.abs();
            println!("{what} {name}: {expected:e}, off by {error:e}");
            assert!(expected > 1e-4, "{what} {name}: a slope of {expected:e} drowns in rounding");
            assert!(error <= 1e-2, "{what} {name}: {got:e} for {expected:e}, off by {error:e}");
        }
    }
}

/// Memory with these numbers, without a tail.
fn put(engine: &Engine, mut memory: Vec<u32>) -> Range {
    memory.truncate(memory.len() - TAIL);
    engine.buffer_with("memory", &memory).expect("a buffer").all()
}

fn empty(engine: &Engine, count: usize) -> Range {
    engine.buffer("memory", 4 * count as u64).expect("a buffer").all()
}

#[test]
fn nn_slopes_of_linear_layers() {
    let engine = Engine::twins();
    let (rows, inputs, outputs) = (5, 6, 7);
    let shape = Linear::new(rows, inputs, outputs);
    for activation in [Activation::Gelu, Activation::GeluNew, Activation::Tanh] {
        // A layer whose activation is read by a second one without a bias, plus a residual.
        let (x, w1, b1) = (activations(1, rows, inputs), dense(2, inputs * outputs), dense(3, outputs));
        let [x, w1, b1, w2] = [x, w1, b1, dense(4, outputs * inputs)].map(|memory| put(&engine, memory));
        let [z, h, dz, top, dtop, dx] = [8, 8, 8, 8, 8, 8].map(|stride| empty(&engine, rows * stride));
        let residual = put(&engine, activations(5, rows, inputs));
        let [dw1, dw2, db1] = [inputs * outputs, inputs * outputs, outputs].map(|count| empty(&engine, count));
        let back = Linear::new(rows, outputs, inputs);
        let weights = floats(&activations(6, rows, inputs))[..rows * 8].to_vec();
        engine.write(&dtop.buffer, 0, &weights).expect("a write");
        let after = After::Activation(activation, h.clone());
        let (up, down) = ([x.clone(), z.clone()], [h.clone(), top.clone()]);
        let f32 = |range: &Range| (range.clone(), Storage::F32);
        let forward = vec![
            ops::linear(&engine, &shape, f32(&w1), up, Some(b1.clone()), after).expect("a dispatch"),
            ops::linear(&engine, &back, f32(&w2), down, None, After::Residual(residual.clone())).expect("a dispatch"),
        ];
        let (targets, below) = ([Some(dw2.clone()), None], Some((activation, z.clone())));
        let backward = vec![
            ops::linear_backward_weight(&engine, &back, [dtop.clone(), h], targets, false).expect("a dispatch"),
            ops::linear_backward_input(&engine, &back, f32(&w2), [dtop.clone(), dz.clone()], below, false)
                .expect("a dispatch"),
            ops::linear_backward_weight(
                &engine,
                &shape,
                [dz.clone(), x.clone()],
                [Some(dw1.clone()), Some(db1.clone())],
                false,
            )
            .expect("a dispatch"),
            ops::linear_backward_input(&engine, &shape, f32(&w1), [dz, dx.clone()], None, false).expect("a dispatch"),
        ];
        let inputs =
            vec![("x", x, dx), ("w1", w1, dw1), ("b1", b1, db1), ("w2", w2, dw2), ("residual", residual, dtop)];
        Slope { engine: engine.clone(), forward, backward, output: top, weights, inputs }
            .check(&format!("linear {activation:?}"));
    }
}

#[test]
fn nn_slopes_of_layer_norm() {
    let engine = Engine::twins();
    for [rows, width] in [[1, 5], [3, 8], [7, 33]] {
        let shape = LayerNorm::new(rows, width, 1e-5);
        let count = rows * shape.stride();
        let (x, gamma, beta) = (activations(1, rows, width), dense(2, width), dense(3, width));
        let [x, gamma, beta] = [x, gamma, beta].map(|memory| put(&engine, memory));
        let residual = put(&engine, activations(4, rows, width));
        let [y, sum, dy, dx] = [(); 4].map(|()| empty(&engine, count));
        let moments = empty(&engine, size_of::<Moments>() / 4 * rows);
        let [dgamma, dbeta] = [(); 2].map(|()| empty(&engine, width));
        let weights = floats(&activations(5, rows, width))[..count].to_vec();
        engine.write(&dy.buffer, 0, &weights).expect("a write");
        let memory = [x.clone(), gamma.clone(), beta.clone(), y.clone(), moments.clone()];
        let forward =
            vec![ops::layer_norm(&engine, &shape, memory, Some([residual.clone(), sum.clone()])).expect("a dispatch")];
        let memory = [dy, sum, gamma.clone(), moments];
        let (to_input, targets) = (Some((dx.clone(), false)), [Some(dgamma.clone()), Some(dbeta.clone())]);
        let backward = ops::layer_norm_backward(&engine, &shape, memory, to_input, targets, false);
        let backward = vec![backward.expect("a dispatch")];
        let inputs =
            vec![("x", x, dx.clone()), ("residual", residual, dx), ("gamma", gamma, dgamma), ("beta", beta, dbeta)];
        Slope { engine: engine.clone(), forward, backward, output: y, weights, inputs }.check(&format!("{shape:?}"));
    }
}

#[test]
fn nn_slopes_of_the_loss() {
    let engine = Engine::twins();
    for (smoothing, of_step) in [(0.0, 21), (0.1, 21), (0.2, 0)] {
        let (rows, classes) = (7, 13);
        let shape = Loss { smoothing, ignore: 2, ..Loss::new(rows, classes) };
        let labels = names(3, rows, classes);
        let counting = if of_step > 0 { of_step } else { labels[..rows].iter().filter(|label| **label != 2).count() };
        let z = put(&engine, activations(1, rows, classes));
        let labels = put(&engine, labels);
        let [dz, verdicts] = [rows * 16, rows * 2].map(|count| empty(&engine, count));
        let position = Position { counting: of_step as u32, ..Position::default() };
        let position = engine.buffer_with("position", &[position]).expect("a buffer").all();
        let memory = [z.clone(), labels, dz.clone(), verdicts.clone(), position];
        let dispatch = ops::softmax_cross_entropy(&engine, &shape, memory, true).expect("a dispatch");
        let weights = [1.0 / counting as f32, 0.0].repeat(rows);
        let (forward, backward) = (vec![dispatch.clone()], vec![dispatch]);
        let inputs = vec![("z", z, dz)];
        Slope { engine: engine.clone(), forward, backward, output: verdicts, weights, inputs }
            .check(&format!("{shape:?}, {of_step} in the step"));
    }
}

#[test]
fn nn_slopes_of_embeddings_dropped_out_and_pooled() {
    let engine = Engine::twins();
    let (batch, context, width, entries) = (3, 5, 6, 9);
    let rows = batch * context;
    let shape = Embedding { types: 2, ..Embedding::new(batch, context, width, entries) };
    let of = |entries: u32| Embedding { entries, ..shape };
    let tables = [entries, context + 1, 2]
        .map(|entries| (entries * width, put(&engine, dense(entries as u32, entries * width))));
    let [(_, token_table), (_, position_table), (_, type_table)] = &tables;
    let gradients = [0, 1, 2].map(|table: usize| empty(&engine, tables[table].0));
    let (tokens, types) = (put(&engine, names(4, rows, entries)), put(&engine, names(5, rows, 2)));
    let [y, dropped, dy, ddropped] = [(); 4].map(|()| empty(&engine, rows * shape.stride()));
    let [pooled, dpooled] = [(); 2].map(|()| empty(&engine, batch * shape.stride()));
    let weights = floats(&activations(6, batch, width))[..batch * shape.stride()].to_vec();
    engine.write(&dpooled.buffer, 0, &weights).expect("a write");
    let mask = engine.buffer_with("mask", &padding(batch, context)).expect("a buffer").all();
    let position =
        engine.buffer_with("position", &[Position { step: 3, ..Position::default() }]).expect("a buffer").all();
    let drop = Dropout::new(1, 2, 0.3, rows * shape.quads as usize);
    let pool = Pool::new(batch, context, width);

    let memory = [tokens.clone(), y.clone()];
    let [of_tokens, of_positions, of_types] =
        [token_table, position_table, type_table].map(|table| (table.clone(), Storage::F32));
    let forward = vec![
        ops::embedding(&engine, &shape, memory, [of_tokens, of_positions], Some((types.clone(), of_types)))
            .expect("a dispatch"),
        ops::dropout(&engine, &drop, [y, dropped.clone(), position.clone()], None).expect("a dispatch"),
        ops::mean_pool(&engine, &pool, ops::Tokens::All, [dropped, mask.clone(), pooled.clone()]).expect("a dispatch"),
    ];
    let mut backward = vec![
        ops::mean_pool_backward(&engine, &pool, ops::Tokens::All, [dpooled, mask, ddropped.clone()])
            .expect("a dispatch"),
        ops::dropout(&engine, &drop, [ddropped, dy.clone(), position], None).expect("a dispatch"),
    ];
    let positions = of(context as u32 + 1);
    let [named, previous, last] =
        ops::position_index(&positions).map(|list| engine.buffer_with("list", &list).expect("a buffer").all());
    for (shape, names, gradient) in [(of(entries as u32), tokens, &gradients[0]), (of(2), types, &gradients[2])] {
        let [previous, last] = [rows, entries].map(|count| empty(&engine, count));
        let memory = [names.clone(), previous.clone(), last.clone()];
        backward.push(ops::embedding_index(&engine, &shape, memory).expect("a dispatch"));
        let (memory, index) = ([names, dy.clone(), gradient.clone()], Some([previous, last]));
        backward.push(ops::embedding_backward(&engine, &shape, memory, index, false).expect("a dispatch"));
    }
    let (memory, index) = ([named, dy, gradients[1].clone()], Some([previous, last]));
    backward.push(ops::embedding_backward(&engine, &positions, memory, index, false).expect("a dispatch"));
    let [tokens, positions, types] = gradients;
    let [(_, token_table), (_, position_table), (_, type_table)] = tables;
    let inputs = vec![
        ("token table", token_table, tokens),
        ("position table", position_table, positions),
        ("type table", type_table, types),
    ];
    Slope { engine: engine.clone(), forward, backward, output: pooled, weights, inputs }.check("embeddings");
}
