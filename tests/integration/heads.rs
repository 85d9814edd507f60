//! What stands between the vector of an example and its loss: two values side by side, the last token, and the losses of
//! labels and numbers.

use crate::support::{assert_close, gpus, noise, sized_engines};
use crate::trial::{Trial, activations, agree, any, floats, junk, padded, record, regrid};
use gradus::engine::layout::{CORRECT, COUNTS, IGNORED, Join, Loss, Pool, Position};
use gradus::engine::{Dispatch, Engine, Range};
use gradus::nn::{self, ops};

#[test]
fn join_puts_rows_side_by_side_and_takes_them_apart() {
    for gpu in gpus() {
        for (case, [rows, left, right]) in [[1, 4, 1], [3, 8, 5], [70, 12, 130], [9, 384, 3]].into_iter().enumerate() {
            let (shape, seed) = (Join::new(rows, [left, right]), case as u32);
            let [of_left, both] = shape.strides();
            let (a, b) = (activations(seed, rows, left), activations(seed + 1, rows, right));
            let dispatch = ops::join(&gpu, &shape, any(&gpu)).expect("a dispatch");
            let memory = vec![a.clone(), b.clone(), junk(rows * both), record(shape)];
            let mut trial = Trial::of(&dispatch, memory);
            regrid(&mut trial, case % 3);
            let joined = agree(&gpu, &trial, 0, &format!("{shape:?}"))[2].clone();
            for (is_right, side, stride) in [(false, a, of_left), (true, b, both - of_left)] {
                let dispatch = ops::join_backward(&gpu, &shape, any(&gpu), is_right).expect("a dispatch");
                let mut trial = Trial::of(&dispatch, vec![joined.clone(), junk(rows * stride), record(shape)]);
                regrid(&mut trial, case % 3);
                let parted = agree(&gpu, &trial, 0, &format!("{shape:?}, right: {is_right}"));
                assert_eq!(parted[1][..rows * stride], side[..rows * stride], "{shape:?}, right: {is_right}");
            }
        }
    }
}

/// The last token that the mask leaves, wherever padding stands; nothing where it leaves none.
#[test]
fn the_last_token_is_the_last_that_the_mask_leaves() {
    let engine = Engine::cpu();
    let (batch, context, width) = (4, 5, 6);
    let shape = Pool::new(batch, context, width);
    let mask = vec![1, 1, 1, 0, 0, /**/ 0, 0, 1, 1, 1, /**/ 0, 0, 0, 0, 0, /**/ 1, 0, 1, 0, 0];
    let x = activations(3, batch * context, width);
    let dispatch = ops::mean_pool(&engine, &shape, ops::Tokens::Last, any(&engine)).expect("a dispatch");
    let got = Trial::of(&dispatch, vec![x.clone(), mask, junk(batch * 8), record(shape)]).run(&engine, 0);
    for (b, last) in [Some(2), Some(4), None, Some(2)].into_iter().enumerate() {
        let expected = last.map_or(&[0.0; 8][..], |last: usize| &floats(&x)[(b * context + last) * 8..][..8]);
        assert_eq!(floats(&got[2])[b * 8..][..8], *expected, "sequence {b}");
    }
}

/// A loss that has targets.
type LossOf = fn(&Engine, &Loss, [Range; 6], bool) -> Result<Dispatch, nn::Error>;

const LOSSES: [(&str, LossOf); 2] =
    [("binary_cross_entropy", ops::binary_cross_entropy), ("squared_error", ops::squared_error)];

/// z, targets, labels, dz, verdicts and position of a loss over rows that all count.
fn loss_memory(z: &[f32], targets: &[f32], shape: &Loss) -> Vec<Vec<u32>> {
    let (rows, outputs) = (shape.rows as usize, shape.classes as usize);
    vec![
        padded(z, outputs, 1e9),
        padded(targets, outputs, 1e9),
        vec![0; rows],
        junk(rows * shape.quads as usize * 4),
        junk(rows * 2),
        record(Position::default()),
        record(*shape),
    ]
}

#[test]
fn losses_of_targets_agree_with_their_twins() {
    for engine in sized_engines() {
        for (case, [rows, outputs]) in [[1, 1], [5, 3], [130, 6], [7, 150], [33, 8]].into_iter().enumerate() {
            for (name, loss) in LOSSES {
                let (shape, seed) = (Loss::new(rows, outputs), case as u32);
                let z: Vec<f32> = noise(seed, rows * outputs).iter().map(|z| 9.0 * z).collect();
                let targets: Vec<f32> = noise(seed + 1, rows * outputs).iter().map(|t| t.abs()).collect();
                for (trains, counting) in [(true, 0), (true, 200), (false, 0)] {
                    let mut memory = loss_memory(&z, &targets, &shape);
                    memory[2] = (0..rows as u32).map(|r| if r % 3 == 1 { IGNORED } else { r }).collect();
                    memory[5] = record(Position { counting, ..Position::default() });
                    let trial = Trial::of(&loss(&engine, &shape, any(&engine), trains).expect("a dispatch"), memory);
                    let (got, expected) = (trial.run(&engine, 0), trial.run(&Engine::twins(), 0));
                    let what = format!("{name} of {rows} rows of {outputs}, {trains} {counting}, {}", engine.name());
                    assert_close(&format!("dz of {what}"), floats(&got[3]), floats(&expected[3]), 2e-6, 1e-9);
                    for r in 0..rows {
                        assert_eq!(got[4][2 * r + 1], expected[4][2 * r + 1], "mark {r} of {what}");
                        let [got, expected] = [&got, &expected].map(|memory| floats(&memory[4])[2 * r]);
                        assert_close(&format!("loss {r} of {what}"), &[got], &[expected], 2e-6, 0.0);
                    }
                }
            }
        }
    }
}

/// Numbers from -1 to 1 as `generators/heads.py` makes them.
fn even(count: usize, step: usize) -> Vec<f64> {
    (0..count).map(|place| (place * step % 101) as f64 / 50.0 - 1.0).collect()
}

/// Values of `torch.nn.BCEWithLogitsLoss` and `torch.nn.MSELoss`, from `generators/heads.py`.
#[test]
fn losses_of_targets_are_those_of_torch() {
    let (rows, outputs) = (5, 3);
    let mut z: Vec<f64> = even(rows * outputs, 37).iter().map(|z| 8.0 * z).collect();
    (z[3], z[7]) = (60.0, -60.0);
    let labels: Vec<f64> = even(rows * outputs, 29).iter().map(|t| f64::from(u8::from(*t > 0.0))).collect();
    let far: Vec<f64> = z.iter().map(|z| z + 1000.0).collect();
    let numbers: Vec<f64> = even(rows * outputs, 29).iter().map(|t| 3.0 * t + 1000.0).collect();
    #[rustfmt::skip]
    let expected = [
        (1.427_898_98, [
            2.235_667_54e-05, 0.007_403_731_11, -0.001_402_756_47, 0.0, 0.025_483_475, 0.066_378_617_8, -0.066_122_495_3,
            5.837_673_84e-28, 0.066_608_309_4, -0.064_055_618_5, -0.004_120_231_08, 3.612_258_78e-05, 0.011_198_774_3,
            -0.000_875_021_222, 0.000_178_533_946,
        ]),
        (455.8084, [
            -0.666_666_667, -0.109_333_333, 0.448, 7.704, 0.216, 0.773_333_333, -0.824, -7.608, 1.098_666_67,
            -0.498_666_667, 0.058_666_666_7, -0.730_666_667, -0.173_333_333, 0.384, -0.405_333_333,
        ]),
    ];
    let shape = Loss::new(rows, outputs);
    for engine in sized_engines().into_iter().chain([Engine::twins()]) {
        for (((name, loss), (mean, slopes)), (z, targets)) in
            LOSSES.into_iter().zip(&expected).zip([(&z, &labels), (&far, &numbers)])
        {
            let [z, targets] = [z, targets].map(|values| values.iter().map(|x| *x as f32).collect::<Vec<f32>>());
            let dispatch = loss(&engine, &shape, any(&engine), true).expect("a dispatch");
            let got = Trial::of(&dispatch, loss_memory(&z, &targets, &shape)).run(&engine, 0);
            let got_mean = (0..rows).map(|r| floats(&got[4])[2 * r]).sum::<f32>() / rows as f32;
            assert_close(&format!("{name} on {}", engine.name()), &[got_mean], &[*mean as f32], 1e-6, 0.0);
            let got_slopes: Vec<f32> =
                floats(&got[3])[..4 * rows].chunks(4).flat_map(|row| row[..3].to_vec()).collect();
            let slopes: Vec<f32> = slopes.iter().map(|slope| *slope as f32).collect();
            // Targets around 1,000 are rounded to 6e-5.
            let rounding = if name == "squared_error" { 1e-5 } else { 1e-8 };
            assert_close(&format!("slopes of {name} on {}", engine.name()), &got_slopes, &slopes, 1e-6, rounding);
        }
    }
}

/// A row with a number that is not finite is spoiled, whatever the others are.
#[test]
fn losses_of_targets_of_a_row_with_a_nan_are_nan() {
    let (outputs, bad) = (5, [f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
    let places: Vec<(usize, f32)> = (0..2 * outputs).flat_map(|place| bad.map(|bad| (place, bad))).collect();
    let rows = places.len() + 1;
    let (mut z, mut targets) = (vec![3.0; rows * outputs], vec![1.0; rows * outputs]);
    for (row, (place, bad)) in places.iter().enumerate() {
        let of = if *place < outputs { &mut z } else { &mut targets };
        of[row * outputs + place % outputs] = *bad;
    }
    let shape = Loss::new(rows, outputs);
    for engine in sized_engines().into_iter().chain([Engine::twins()]) {
        for (name, loss) in LOSSES {
            let dispatch = loss(&engine, &shape, any(&engine), true).expect("a dispatch");
            let got = Trial::of(&dispatch, loss_memory(&z, &targets, &shape)).run(&engine, 0);
            for row in 0..rows {
                let is_spoiled = row < places.len();
                let what = format!("{name} row {row} on {}", engine.name());
                let right = if is_spoiled || name == "squared_error" { 0 } else { CORRECT };
                assert_eq!(got[4][2 * row + 1], COUNTS | right, "{what}");
                assert_eq!(floats(&got[4])[2 * row].is_nan(), is_spoiled, "loss of {what}");
                let slopes = &floats(&got[3])[8 * row..][..8];
                assert!(slopes[..outputs].iter().all(|slope| slope.is_nan() == is_spoiled), "{what}: {slopes:?}");
                assert!(slopes[outputs..].iter().all(|slope| *slope == 0.0), "{what}: {slopes:?}");
            }
        }
    }
}
