//! Moments in int8: what a byte stands for, how numbers are rounded to bytes, steps against a model in f64, and that rounding
//! is right on average. (`moments` has what they share with bf16, `optim_kernels` compares with the twin.)

use crate::support::{engines, gpu, noise, sized_engines};
use gradus::engine::layout::{BLOCK, Block, CODED, Code, NEAREST, rounding_key, rounding_word, top_of};
use gradus::engine::{Engine, Submission};
use gradus::optim::{Optimizer, Parameters, Settings};
use gradus::params::{Group, Param, Row, Rule, Storage};
use half::bf16;
use proptest::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors};

const CODES: [Code; 2] = [Code::Signed, Code::Unsigned];
const SEED: u32 = 77;

fn row() -> Row {
    Row::adamw(1e-2).weight_decay(0.1).moments(Storage::Int8)
}

/// The rule in f64: the codes' numbers on both sides of x, and which share of their distance lies below it.
fn around(x: f64, largest: f64, code: Code) -> (f64, f64, f64) {
    let (fraction, most) = match code {
        Code::Signed => (3, 15.0 / 8.0),
        Code::Unsigned => (4, 15.0 / 8.0),
    };
    let top = (-95..=127).find(|top| most * 2f64.powi(*top) >= largest).unwrap_or(127);
    let exponent = if x == 0.0 { top - 14 } else { (x.abs().log2().floor() as i32).max(top - 14) };
    let unit = 2f64.powi(exponent - fraction);
    let below = (x.abs() / unit).floor();
    (below * unit, (below + 1.0) * unit, x.abs() / unit - below)
}

/// What is stored of 16 numbers.
fn stored(numbers: &[f64], code: Code, u: impl Fn(usize) -> u32) -> Vec<f64> {
    let largest = numbers.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    let one = |(k, x): (usize, &f64)| {
        let (below, above, share) = around(*x, largest, code);
        let rounded = if share + f64::from(u(k)) / 65536.0 >= 1.0 { above } else { below };
        // v is not rounded down to 0.
        let rounded = if code == Code::Unsigned && *x > 0.0 && rounded == 0.0 { above } else { rounded };
        rounded.copysign(*x)
    };
    numbers.iter().enumerate().map(one).collect()
}

#[test]
fn a_byte_is_a_number_and_back() {
    for code in CODES {
        for top in [32, 33, 100, 127, 200, 254] {
            let bytes: Vec<u8> = match code {
                Code::Signed => (0..=127).chain(129..=255).collect(),
                Code::Unsigned => (0..=254).collect(),
            };
            let numbers: Vec<f32> = bytes.iter().map(|byte| code.decode(*byte, top)).collect();
            for (byte, number) in bytes.iter().zip(&numbers) {
                assert!(number.is_finite() && *number == bf16::from_f32(*number).to_f32(), "{code:?} {top} {byte}");
                for u in [0, NEAREST, 65535] {
                    assert_eq!(code.encode(*number, top, u), *byte, "{code:?} {top}: {number:e}");
                }
            }
            let mut sorted = numbers.clone();
            sorted.sort_by(f32::total_cmp);
            sorted.dedup();
            assert_eq!(sorted.len(), numbers.len(), "{code:?} {top}: no number twice");
            let magnitudes = &numbers[..128];
            assert!(magnitudes.is_sorted(), "{code:?} {top}: larger bytes are larger numbers");
            assert_eq!((numbers[0].to_bits(), code.encode(-0.0, top, 65535)), (0, 0), "zero is zero");
            let largest = numbers.iter().copied().fold(0.0, f32::max);
            assert_eq!(top_of(&[0.0, largest, -largest]), top, "the exponent is of the largest");
            assert!(top == 254 || top_of(&[largest.next_up()]) == top + 1);
        }
    }
    assert!(Code::Signed.decode(Code::Signed.encode(f32::NAN, 100, 0), 100).is_nan());
    assert!(Code::Signed.decode(Code::Signed.encode(f32::NEG_INFINITY, 100, 0), 100).is_nan());
    assert_eq!(Code::Unsigned.decode(Code::Unsigned.encode(f32::INFINITY, 100, 0), 100), f32::INFINITY);
    assert_eq!(top_of(&[1.0, f32::INFINITY, f32::NAN]), top_of(&[1.0]), "what is not finite has no say");
    assert_eq!(Code::Unsigned.encode(f32::MAX, 254, 65535), 254, "the largest stays finite");
}

fn magnitude() -> impl Strategy<Value = f32> {
    prop_oneof![Just(0.0f32), (-100i32..127, 1.0f32..2.0).prop_map(|(exponent, x)| x * 2f32.powi(exponent))]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Every way of rounding gives one of the two numbers around x; more u never less; the nearest is the nearest.
    #[test]
    fn rounding_stays_beside(numbers in prop::array::uniform16(magnitude()), u in 0u32..65536, negative: bool) {
        for code in CODES {
            let sign = if negative && code == Code::Signed { -1.0 } else { 1.0 };
            let numbers = numbers.map(|x| x * sign);
            let top = top_of(&numbers);
            let largest = numbers.iter().fold(0.0f64, |most, x| most.max(f64::from(x.abs())));
            for x in numbers {
                let (below, above, share) = around(f64::from(x), largest, code);
                let rounded = |u| f64::from(code.decode(code.encode(x, top, u), top).abs());
                let kept = code == Code::Unsigned && x > 0.0 && below == 0.0;
                prop_assert!(rounded(u) == above || rounded(u) == below && !kept, "{x:e} to {:e}", rounded(u));
                prop_assert!(rounded(u) <= rounded(65535) && rounded(0) <= rounded(u));
                let nearest = if share >= 0.5 { above } else { below };
                prop_assert!(kept || rounded(NEAREST) == nearest);
            }
        }
    }

    /// What was read and has not changed is stored again to the bit, whatever the words.
    #[test]
    fn what_is_stored_stays(numbers in prop::array::uniform16(magnitude()), u in prop::array::uniform16(0u32..65536)) {
        for code in CODES {
            let mut block = Block::nearest(&numbers, code)[0];
            let first = block.numbers(0, code);
            block.put(0, &first, code, |k| u[k]);
            prop_assert_eq!(block.numbers(0, code), first);
        }
    }

    /// The mean over all words is x, to their 65536th part.
    #[test]
    fn rounding_is_right_on_average(x in 1e-3f32..1.0) {
        for code in CODES {
            let top = top_of(&[1.0]);
            let rounded = |u| f64::from(code.decode(code.encode(x, top, u), top));
            let mean = (0..65536).map(rounded).sum::<f64>() / 65536.0;
            prop_assert!((mean / f64::from(x) - 1.0).abs() < 1e-5, "{mean} of {x}");
        }
    }
}

fn trained(
    engine: &Engine,
    sizes: &[usize],
    row: Row,
    gradients: impl Fn(usize, usize) -> Vec<f32>,
    steps: usize,
) -> (Vec<Vec<f32>>, Vec<u8>) {
    let params: Vec<Param> = sizes.iter().map(|size| Param::new(format!("p{size}"), [*size])).collect();
    let parameters = Parameters::new(engine, &params, None).expect("parameters");
    for (place, param) in params.iter().enumerate() {
        parameters.upload(&param.name, &noise(place as u32, param.elements())).expect("an upload");
    }
    let groups = [Group::new("all", row, params.iter().map(|param| param.name.clone()))];
    let settings = Settings::default().seed(SEED);
    let mut optimizer = Optimizer::new(engine, &parameters, &groups, settings).expect("an optimizer");
    for step in 0..steps {
        for (place, param) in params.iter().enumerate() {
            optimizer.upload_gradient(&param.name, &gradients(step, place)).expect("a gradient");
        }
        optimizer.step().expect("a step");
    }
    let values = params.iter().map(|param| parameters.read(&param.name).expect("values")).collect();
    (values, optimizer.read_state().expect("state"))
}

fn moment(state: &[u8], name: &str) -> Vec<f32> {
    let file = SafeTensors::deserialize(state).expect("a file");
    let view = file.tensor(name).expect("a moment");
    assert_eq!(view.dtype(), Dtype::BF16, "{name}");
    view.data().as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect()
}

const SIZES: [usize; 11] = [1, 2, 7, 15, 16, 17, 255, 257, 4095, 4097, 9000];

/// With betas of 0 the moments are the gradient and its square, so that the rounding is all there is to see. Both engines
/// follow the rule to the bit.
#[test]
fn moments_are_rounded_by_the_rule() {
    // From the largest to what is under the smallest code, in one vec4 and in many; zeros.
    let gradient = |place: usize, size: usize| -> Vec<f32> {
        let spread = |(k, x): (usize, f32)| match k % 19 {
            3 => 0.0,
            5 | 6 => x * 1e-3,
            7 => x * 1e-6,
            _ if k / 64 % 2 == 1 => x * 1e-8,
            _ => x,
        };
        noise(90 + place as u32, size).into_iter().enumerate().map(spread).collect()
    };
    for engine in engines() {
        let row = row().beta1(0.0).beta2(0.0);
        let (_, state) = trained(&engine, &SIZES, row, |_, place| gradient(place, SIZES[place]), 2);
        for (place, size) in SIZES.into_iter().enumerate() {
            let g = gradient(place, size);
            let (m, v) = (moment(&state, &format!("p{size}.exp_avg")), moment(&state, &format!("p{size}.exp_avg_sq")));
            for first in (0..size).step_by(CODED) {
                let run = first..size.min(first + CODED);
                let key = rounding_key(SEED, place as u32, 2, (first / 4096) as u32);
                let word = |k: usize| rounding_word(key, (first % 4096 + k) as u32);
                let first_moments: Vec<f64> = g[run.clone()].iter().map(|g| f64::from(*g)).collect();
                let second: Vec<f64> = g[run.clone()].iter().map(|g| f64::from(g * g)).collect();
                let at = format!("{run:?} of {size} on {}", engine.name());
                let same = |got: &[f32], expected: Vec<f64>| got.iter().map(|x| f64::from(*x)).eq(expected);
                assert!(same(&m[run.clone()], stored(&first_moments, Code::Signed, |k| word(k) & 0xffff)), "m at {at}");
                assert!(same(&v[run], stored(&second, Code::Unsigned, |k| word(k) >> 16)), "v at {at}");
            }
        }
    }
}

/// The steps of a tensor in f64, with moments that are stored as the rule says.
fn reference(tensor: u32, start: &[f32], gradients: &[Vec<f32>], row: &Row) -> [Vec<f64>; 3] {
    let mut p: Vec<f64> = start.iter().map(|x| f64::from(*x)).collect();
    let [mut m, mut v, mut v_max] = [(); 3].map(|()| vec![0.0f64; p.len()]);
    for (step, gradient) in gradients.iter().enumerate() {
        let t = step as i32 + 1;
        for k in 0..p.len() {
            let mut g = f64::from(gradient[k]);
            match row.rule {
                Rule::AdamW => p[k] -= row.lr * row.weight_decay * p[k],
                _ => g += row.weight_decay * p[k],
            }
            m[k] = row.beta1 * m[k] + (1.0 - row.beta1) * g;
            v[k] = row.beta2 * v[k] + (1.0 - row.beta2) * g * g;
            v_max[k] = v_max[k].max(v[k]);
            let root = if row.amsgrad { v_max[k] } else { v[k] };
            let denominator = root.sqrt() / (1.0 - row.beta2.powi(t)).sqrt() + row.eps;
            p[k] -= row.lr / (1.0 - row.beta1.powi(t)) * m[k] / denominator;
        }
        for first in (0..p.len()).step_by(CODED) {
            let run = first..p.len().min(first + CODED);
            let key = rounding_key(SEED, tensor, t as u32, (first / 4096) as u32);
            let word = |k: usize| rounding_word(key, (first % 4096 + k) as u32);
            let codes = stored(&m[run.clone()], Code::Signed, |k| word(k) & 0xffff);
            m[run.clone()].copy_from_slice(&codes);
            let codes = stored(&v[run.clone()], Code::Unsigned, |k| word(k) >> 16);
            v[run.clone()].copy_from_slice(&codes);
            let codes = stored(&v_max[run.clone()], Code::Unsigned, |_| NEAREST);
            v_max[run].copy_from_slice(&codes);
        }
    }
    [p, m, v]
}

#[test]
fn steps_are_those_of_a_model_in_f64() {
    const STEPS: usize = 6;
    let gradient = |step: usize, place: usize| noise((1000 + 10 * step + place) as u32, SIZES[place]);
    for engine in engines() {
        for row in [row(), row().rule(Rule::Adam), row().amsgrad(true)] {
            let (got, state) = trained(&engine, &SIZES, row, gradient, STEPS);
            let (mut all, mut off) = (0, 0);
            for (place, size) in SIZES.into_iter().enumerate() {
                let gradients: Vec<Vec<f32>> = (0..STEPS).map(|step| gradient(step, place)).collect();
                let [p, m, v] = reference(place as u32, &noise(place as u32, size), &gradients, &row);
                let [got_m, got_v] = ["exp_avg", "exp_avg_sq"].map(|name| moment(&state, &format!("p{size}.{name}")));
                for k in 0..size {
                    // Where f32 and f64 fall on two sides of what a word rounds up, a moment is another; but seldom.
                    let same = (f64::from(got[place][k]) - p[k]).abs() <= 1e-6;
                    let same = same && f64::from(got_m[k]) == m[k] && f64::from(got_v[k]) == v[k];
                    all += 1;
                    off += usize::from(!same);
                }
            }
            assert!(off <= all / 500, "{off} of {all} are off on {} with {row:?}", engine.name());
        }
    }
}

/// Where a bf16 stays: a decay of 1 part in 1000 is a 60th of a code, and comes about by chance.
#[test]
fn a_second_moment_falls_on_average() {
    const STEPS: usize = 400;
    for engine in engines() {
        let gradients = |step: usize, _: usize| if step == 0 { noise(3, 5000) } else { vec![0.0; 5000] };
        let fallen = |steps| {
            let (_, state) = trained(&engine, &[5000], row(), gradients, steps);
            moment(&state, "p5000.exp_avg_sq").iter().map(|v| f64::from(*v)).sum::<f64>()
        };
        let share = fallen(STEPS) / fallen(1) / 0.999f64.powi(STEPS as i32 - 1);
        assert!((share - 1.0).abs() < 0.02, "v is {share} of what it should be on {}", engine.name());
    }
}

/// What is not finite keeps to itself: the elements beside it in a vec4 learn on, unless the guard skips the step.
#[test]
fn what_is_not_finite_keeps_to_itself() {
    const SIZE: usize = 2 * BLOCK + 5;
    let with = |bad: f32, step: usize| {
        let mut gradient = noise(step as u32, SIZE);
        gradient[20] = if step == 1 { bad } else { gradient[20] };
        gradient
    };
    for engine in sized_engines() {
        for bad in [f32::NAN, f32::INFINITY, 1e25] {
            let (values, state) = trained(&engine, &[SIZE], row(), |step, _| with(bad, step), 3);
            let (clean, _) = trained(&engine, &[SIZE], row(), |step, _| with(1.0, step), 3);
            let v = moment(&state, &format!("p{SIZE}.exp_avg_sq"));
            assert!(v[20] == f32::INFINITY || v[20].is_nan(), "{bad}: v = {}", v[20]);
            for k in (0..SIZE).filter(|k| *k != 20) {
                assert!(values[0][k].is_finite() && v[k].is_finite(), "{bad}: {k} on {}", engine.name());
                assert!((values[0][k] - clean[0][k]).abs() < 0.03, "{bad}: {k} is {}", values[0][k]);
            }
        }
    }
}

/// A GPU's workgroups share blocks and hand exponents on; software's do not. Both give the same bits.
#[test]
fn wide_workgroups_change_no_bit() {
    let Some(engine) = gpu() else { return };
    let params: Vec<Param> = SIZES.iter().map(|size| Param::new(format!("p{size}"), [*size])).collect();
    let run = |workgroup: u32, row: Row| {
        let parameters = Parameters::new(&engine, &params, None).expect("parameters");
        let groups = [Group::new("all", row, params.iter().map(|param| param.name.clone()))];
        let mut optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
        let mut program = optimizer.program().expect("a program").clone();
        let update = program.dispatches.last_mut().expect("an update");
        assert!(update.kernel.name.starts_with("adamw_int8"));
        update.constants = vec![("WORKGROUP", f64::from(workgroup))];
        let program = engine.prepare(program).expect("a program");
        for step in 0..3 {
            for (place, param) in params.iter().enumerate() {
                let gradient = noise(10 * step + place as u32, param.elements());
                optimizer.upload_gradient(&param.name, &gradient).expect("a gradient");
            }
            let next = optimizer.next(None).expect("a step");
            let (uploads, slot) = (next.uploads, next.slot);
            let programs = [&program];
            let submission = Submission::of(&programs).uploads(uploads).slot(slot);
            engine.submit(&submission).expect("a submission");
        }
        (parameters.read_file().expect("a file"), optimizer.read_state().expect("state"))
    };
    for row in [row(), row().amsgrad(true).ema_decay(0.9)] {
        let alone = run(8, row);
        for workgroup in [16, 64, 256] {
            assert!(run(workgroup, row) == alone, "workgroups of {workgroup} with {row:?}");
        }
    }
}
