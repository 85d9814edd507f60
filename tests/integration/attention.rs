//! Attention: the kernels against their twins, the twins against a plain softmax in f64 and against differences, and
//! what padding, dropout and a second run must give.

use crate::support::{assert_close, gpu, gpus, noise, on_threads, sized_engines};
use gradus::engine::layout::{Attention, Position, pcg};
use gradus::engine::{Buffer, Choices, Dispatch, Engine, Program, Range, Sizes, Submission, Tiling};
use gradus::nn::ops::{Sight, attention, attention_backward_key_value, attention_backward_query, numbers};

/// Elements after each array, and what stands in memory that is to be written. No kernel makes this number.
const TAIL: usize = 32;
const JUNK: f32 = -7.25e7;

/// Batch, context, heads and vec4s of a head: below, at and above a tile, and heads of 4 to 128 numbers.
const SIZES: [[u32; 4]; 12] = [
    [1, 1, 1, 1],
    [1, 7, 3, 4],
    [2, 8, 1, 8],
    [3, 9, 2, 3],
    [1, 16, 5, 16],
    [2, 15, 3, 32],
    [1, 65, 3, 8],
    [2, 65, 2, 5],
    [3, 64, 4, 4],
    [1, 130, 1, 2],
    [5, 3, 7, 4],
    [1, 1025, 1, 1],
];

/// Which tokens are real.
#[derive(Clone, Copy, Debug)]
enum Tokens {
    All,
    /// Every example a third shorter than the one before, the fourth empty.
    Shorter,
    /// The first ones are padding, so that under a causal mask the first queries see nothing.
    Late,
    Scattered,
    None,
}

const TOKENS: [Tokens; 5] = [Tokens::All, Tokens::Shorter, Tokens::Late, Tokens::Scattered, Tokens::None];

/// One attention: its sizes, inputs and the gradient that comes back.
#[derive(Clone, Debug)]
struct Case {
    shape: Attention,
    sight: Sight,
    mask: Vec<u32>,
    qkv: Vec<f32>,
    dout: Vec<f32>,
    dropout: bool,
}

/// What the passes leave, tails included.
#[derive(Debug, PartialEq)]
struct Results {
    out: Vec<f32>,
    lse: Vec<f32>,
    delta: Vec<f32>,
    dqkv: Vec<f32>,
}

const POSITION: Position = Position { step: 12, epoch: 1, batch: 5, counting: 0 };

impl Case {
    fn new([batch, context, heads, quads]: [u32; 4], fused: bool, sight: Sight, tokens: Tokens, seed: u32) -> Case {
        let layout = if fused { Attention::fused } else { Attention::planes };
        let shape = Attention { rate: 0.3, seed: 77, ..layout(batch, context, heads, quads) };
        let count = (batch * context * heads * quads * 4) as usize;
        let mut qkv = noise(seed, 3 * count);
        qkv.iter_mut().for_each(|x| *x *= 2.0);
        let mask = (0..batch).flat_map(|example| (0..context).map(move |token| (example, token)));
        let mask = mask.map(|(example, token)| u32::from(is_real(tokens, context, example, token))).collect();
        Case { shape, sight, mask, qkv, dout: noise(seed + 1, count), dropout: false }
    }

    fn causal(&self) -> bool {
        self.sight == Sight::Causal
    }

    fn position(&self) -> Option<&Position> {
        self.dropout.then_some(&POSITION)
    }

    /// Forward and backward on an engine; `rows` folds the grid.
    fn run(&self, engine: &Engine, rows: u32) -> Results {
        let shape = &self.shape;
        let input = |data: &[f32]| engine.buffer_with("input", data).expect("a buffer").all();
        let junk = |count: usize| engine.buffer_with("result", &vec![JUNK; count + TAIL]).expect("a buffer");
        let number = numbers(shape) as usize;
        let (qkv, dout) = (input(&self.qkv), input(&self.dout));
        let mask = engine.buffer_with("mask", &self.mask).expect("a buffer").all();
        let results = [junk(self.dout.len()), junk(number), junk(number), junk(self.qkv.len())];
        let [out, lse, delta, dqkv] = results.each_ref().map(Buffer::all);
        let position =
            self.position().map(|position| engine.buffer_with("position", &[*position]).expect("a buffer").all());
        let to_query = [&qkv, &mask, &out, &dout, &lse, &delta, &dqkv].map(Range::clone);
        let past = [&qkv, &mask, &dout, &lse, &delta, &dqkv].map(Range::clone);
        let forward = [&qkv, &mask, &out, &lse].map(Range::clone);
        let dispatches = [
            attention(engine, shape, self.sight, forward, position.clone()),
            attention_backward_query(engine, shape, self.sight, to_query, position.clone()),
            attention_backward_key_value(engine, shape, self.sight, past, position.clone()),
        ];
        let fold = |dispatch: Dispatch| {
            let [groups, ..] = dispatch.grid;
            dispatch.grid([groups.div_ceil(rows), rows, 1])
        };
        let dispatches = dispatches.into_iter().map(|dispatch| fold(dispatch.expect("a dispatch"))).collect();
        let program = engine.prepare(Program::of("attention", dispatches)).expect("a program");
        engine.submit(&Submission::of(&[&program])).expect("a submission");
        let read = |range: &Range| engine.read(range).expect("results");
        Results { out: read(&out), lse: read(&lse), delta: read(&delta), dqkv: read(&dqkv) }
    }

    /// The results without tails.
    fn twin(&self) -> Results {
        let mut results = self.run(&Engine::twins(), 1);
        for values in [&mut results.out, &mut results.lse, &mut results.delta, &mut results.dqkv] {
            values.truncate(values.len() - TAIL);
        }
        results
    }
}

fn is_real(tokens: Tokens, context: u32, example: u32, token: u32) -> bool {
    match tokens {
        Tokens::All => true,
        Tokens::Shorter => token * 3 < context * (3 - example.min(3)),
        Tokens::Late => token * 3 >= context,
        Tokens::Scattered => pcg(example * context + token) & 4 != 0,
        Tokens::None => false,
    }
}

/// Every size with some layout, sight, tokens and dropout; every pair of sight and tokens comes up.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, sizes) in SIZES.into_iter().enumerate() {
        for (turn, tokens) in TOKENS.into_iter().enumerate() {
            let bit = |place: usize| (number + turn) >> place & 1 == 1;
            let sight = if bit(0) { Sight::Causal } else { Sight::Both };
            let case = Case::new(sizes, bit(1), sight, tokens, (number * 10 + turn) as u32);
            cases.push(Case { dropout: bit(2), ..case });
        }
    }
    cases
}

fn agree(case: &Case, got: &Results) {
    let expected = case.run(&Engine::twins(), 1);
    let what = |name: &str| format!("{name} of {:?} {:?} dropout {}", case.shape, case.sight, case.dropout);
    assert_close(&what("out"), &got.out, &expected.out, 1e-5, 2e-6);
    assert_close(&what("lse"), &got.lse, &expected.lse, 1e-5, 2e-6);
    assert_close(&what("delta"), &got.delta, &expected.delta, 1e-5, 1e-5);
    assert_close(&what("dqkv"), &got.dqkv, &expected.dqkv, 1e-5, 1e-5);
}

#[test]
fn attention_agrees_with_its_twin() {
    let Some(gpu) = gpu() else { return };
    let [processor, wide] = [Sizes::PROCESSOR, Sizes::GPU].map(|sizes| gpu.sized(sizes));
    let wide_registers = wide.choosing(Choices::all(Tiling::Registers));
    for gpu in [processor, wide_registers, wide] {
        for (number, case) in cases().into_iter().enumerate() {
            agree(&case, &case.run(&gpu, 1 + number as u32 % 3));
        }
    }
}

/// The fast forms round as the shaders do: scores and sums are f32.
#[test]
fn attention_on_any_number_of_threads_agrees_with_its_twin_and_has_the_same_bits() {
    for case in cases() {
        let got = on_threads(1, || case.run(&Engine::cpu(), 1));
        agree(&case, &got);
        for threads in [2, 5] {
            assert_eq!(got, on_threads(threads, || case.run(&Engine::cpu(), 1)), "{:?}, {threads} threads", case.shape);
        }
    }
}

#[test]
fn attention_gives_the_same_bits_twice() {
    for gpu in gpus() {
        for case in cases().iter().step_by(7) {
            assert_eq!(case.run(&gpu, 1), case.run(&gpu, 1), "{:?}", case.shape);
        }
    }
}

/// A NaN in a query or a key reaches whatever sees it, on drivers too whose exp makes a number of one.
#[test]
fn attention_keeps_a_nan() {
    for engine in sized_engines() {
        for (number, (sight, part)) in [Sight::Both, Sight::Causal].into_iter().zip([0, 1]).enumerate() {
            let mut case = Case::new([2, 37, 2, 4], true, sight, Tokens::All, number as u32);
            // Token 5 of the first example, in its first head.
            case.qkv[(5 * 3 + part) * 32] = f32::NAN;
            let (got, expected) = (case.run(&engine, 1), case.run(&Engine::twins(), 1));
            let are_nan = |values: &[f32]| values.iter().map(|x| x.is_nan()).collect::<Vec<bool>>();
            assert!(expected.out.iter().any(|x| x.is_nan()));
            assert_eq!(are_nan(&got.out), are_nan(&expected.out), "out of {sight:?} on {}", engine.name());
            assert_eq!(are_nan(&got.lse), are_nan(&expected.lse), "lse of {sight:?} on {}", engine.name());
            // Backward, what a token does not see may get its NaN too: 0 times NaN.
            let kept = got.dqkv.iter().zip(&expected.dqkv).all(|(got, expected)| got.is_nan() || !expected.is_nan());
            assert!(kept, "gradient of {sight:?} on {}", engine.name());
        }
    }
}

#[test]
fn attention_where_nothing_is_seen_is_zero() {
    for engine in sized_engines() {
        let case = Case::new([3, 11, 2, 4], true, Sight::Causal, Tokens::Late, 5);
        let results = case.run(&engine, 1);
        let width = case.dout.len() / 33;
        for (row, token) in (0..33).map(|row| (row, row % 11)) {
            // Queries 0 to 3 see only padding, keys 0 to 3 are padding.
            let blind = token * 3 < 11;
            let [dq, dk, dv] = [0, 1, 2].map(|part| &results.dqkv[(3 * row + part) * width..][..width]);
            let out = &results.out[row * width..][..width];
            let is_zero = |values: &[f32]| values.iter().all(|x| *x == 0.0);
            assert!(!blind || [out, dq, dk, dv].into_iter().all(is_zero), "token {token}");
            assert!(blind || ![out, dv].into_iter().any(is_zero), "token {token}");
        }
        let none = Case::new([2, 5, 2, 4], false, Sight::Both, Tokens::None, 6);
        let results = none.run(&engine, 1);
        let written = |values: &[f32]| values[..values.len() - TAIL].iter().all(|x| *x == 0.0);
        assert!([results.out, results.lse, results.delta, results.dqkv].iter().all(|values| written(values)));
    }
}

/// Attention as the textbook has it, and its gradient by the chain rule, in f64 with the whole table of weights.
fn textbook(case: &Case) -> (Vec<f64>, Vec<f64>) {
    let shape = &case.shape;
    let (context, width) = (shape.context as usize, shape.head_quads as usize * 4);
    let (rows, hidden) = (shape.batch as usize * context, shape.heads as usize * width);
    let fused = shape.stride as usize * 4 == 3 * hidden;
    let part = |part: usize, row: usize| if fused { (3 * row + part) * hidden } else { (part * rows + row) * hidden };
    let mut out = vec![0.0; rows * hidden];
    let mut gradient = vec![0.0; 3 * rows * hidden];
    for (example, head) in (0..shape.batch as usize).flat_map(|e| (0..shape.heads as usize).map(move |h| (e, h))) {
        let at = |which: usize, token: usize| part(which, example * context + token) + head * width;
        let number = |which: usize, token: usize, i: usize| f64::from(case.qkv[at(which, token) + i]);
        let dout =
            |token: usize, i: usize| f64::from(case.dout[(example * context + token) * hidden + head * width + i]);
        for t in 0..context {
            let sees = |j: usize| case.mask[example * context + j] != 0 && (!case.causal() || j <= t);
            let score = |j: usize| (0..width).map(|i| number(0, t, i) * number(1, j, i)).sum::<f64>();
            let root = (width as f64).sqrt();
            let exps: Vec<f64> = (0..context).map(|j| if sees(j) { (score(j) / root).exp() } else { 0.0 }).collect();
            let sum: f64 = exps.iter().sum();
            let weights: Vec<f64> = exps.iter().map(|x| if sum > 0.0 { x / sum } else { 0.0 }).collect();
            let kept = |j: usize| f64::from(shape.kept(case.position(), [example, head], t, j));
            let pulls: Vec<f64> =
                (0..context).map(|j| kept(j) * (0..width).map(|i| dout(t, i) * number(2, j, i)).sum::<f64>()).collect();
            let mean: f64 = weights.iter().zip(&pulls).map(|(p, d)| p * d).sum();
            for j in 0..context {
                let slope = weights[j] * (pulls[j] - mean) / root;
                for i in 0..width {
                    out[(example * context + t) * hidden + head * width + i] += weights[j] * kept(j) * number(2, j, i);
                    gradient[at(0, t) + i] += slope * number(1, j, i);
                    gradient[at(1, j) + i] += slope * number(0, t, i);
                    gradient[at(2, j) + i] += weights[j] * kept(j) * dout(t, i);
                }
            }
        }
    }
    (out, gradient)
}

#[test]
fn attention_twins_are_the_textbook() {
    for case in cases() {
        let (out, gradient) = textbook(&case);
        let [out, gradient] = [out, gradient].map(|values| values.iter().map(|x| *x as f32).collect::<Vec<f32>>());
        let results = case.twin();
        assert_close(&format!("out of {:?}", case.shape), &results.out, &out, 1e-5, 1e-6);
        assert_close(&format!("gradient of {:?}", case.shape), &results.dqkv, &gradient, 1e-5, 2e-6);
    }
}

#[test]
fn attention_gradient_is_the_slope_of_its_output() {
    for case in cases().into_iter().filter(|case| case.mask.iter().any(|token| *token != 0)) {
        let direction = noise(99, case.qkv.len());
        let expected: f64 = case.twin().dqkv.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
        let value = |step: f32| -> f64 {
            let qkv = case.qkv.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            let out = Case { qkv, ..case.clone() }.twin().out;
            out.iter().zip(&case.dout).map(|(o, d)| f64::from(*o) * f64::from(*d)).sum()
        };
        let step = 1e-3;
        let slope = (value(step) - value(-step)) / f64::from(2.0 * step);
        let tolerance = 1e-2 * expected.abs().max(0.1);
        assert!((slope - expected).abs() <= tolerance, "{:?}: slope {slope}, gradient {expected}", case.shape);
    }
}
