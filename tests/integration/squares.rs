//! The norm by squares that kernels write as they write the gradients, against the norm that reads the gradients again.

use crate::support::{assert_close, engines, gpus, noise, sized_engines};
use crate::transformer_bed::{Data, LOSS, decoder, encoder, sizes as model_sizes, values};
use crate::trial::{TAIL, Trial, activations, agree, dense, floats, junk, record};
use gradus::data::{TokenStream, Vocabulary, kjv};
use gradus::engine::layout::{Embedding, IGNORED, LayerNorm, Linear, Squares};
use gradus::engine::{Binding, Choices, Dispatch, Engine, Program, Range, Submission, Tiling};
use gradus::nn::models::{Gpt2, Mlp, Pooling};
use gradus::nn::{Activation, Batch, Error as ModelError, Model, Network, ops};
use gradus::optim::{Clip, Error, NormOrder, Optimizer, Parameters, Settings, Stats};
use gradus::params::{Group, Param, Row};
use gradus::schedule::{Plan, Spec};
use gradus::train::{Config as Training, Language, Trainer};

// ---- kernels ----

fn memory(engine: &Engine, elements: usize) -> Range {
    engine.buffer("memory", 4 * elements as u64).expect("a buffer").all()
}

fn any<const N: usize>(engine: &Engine) -> [Range; N] {
    std::array::from_fn(|_| memory(engine, 4))
}

/// The dispatch with squares, and the elements of its squares that belong to each gradient.
fn squared(engine: &Engine, dispatch: Dispatch, gradients: &[&Range]) -> (Dispatch, Vec<std::ops::Range<usize>>) {
    let named: Vec<(String, Range)> = gradients.iter().map(|range| (String::new(), (*range).clone())).collect();
    let mut dispatches = [dispatch];
    let squares = ops::write_squares(engine, &mut dispatches, &named).expect("squares");
    assert_eq!(squares.len(), gradients.len(), "all are written whole");
    let [dispatch] = dispatches;
    assert!(dispatch.kernel.name.ends_with("squares"));
    let Some(Binding::Memory(bound)) = dispatch.bindings.last() else { panic!("squares are bound last") };
    let first = bound.offset;
    let place = |bytes: u64| (bytes / 8) as usize;
    let part =
        |(_, range): &(String, Range)| place(range.offset - first)..place(range.offset - first) + place(range.bytes);
    (dispatch.clone(), squares.iter().map(part).collect())
}

/// Runs a kernel on both engines; squares must agree, and to be those of the gradients that it wrote.
fn check(
    gpu: &Engine,
    dispatch: &Dispatch,
    parts: &[std::ops::Range<usize>],
    mut words: Vec<Vec<u32>>,
    of: &[(usize, usize)],
) {
    let Some(Binding::Memory(bound)) = dispatch.bindings.last() else { panic!("squares are bound last") };
    // What lies behind the window is another dispatch's; a driver may drop what a shader writes there, so it is bound too.
    const BEHIND: [u32; 64] = [0x7777_7777; 64];
    let room = vec![0; bound.bytes as usize / 4];
    words.push([&room[..], &BEHIND].concat());
    let behind = Trial::of(dispatch, words.clone()).run(gpu, 0).pop().expect("squares").split_off(room.len());
    assert_eq!(behind, BEHIND, "{:?}: written behind its window", dispatch.constants);
    words.pop();
    words.push(room);
    let trial = Trial::of(dispatch, words);
    let what = format!("{:?}", dispatch.constants);
    let twin = agree(gpu, &trial, 4000, &what);
    for memory in [twin, trial.run(gpu, 0)] {
        let squares: &[Squares] = bytemuck::cast_slice(memory.last().expect("squares"));
        for (part, (binding, elements)) in parts.iter().zip(of) {
            let written = &floats(&memory[*binding])[..*elements];
            let sum: f64 = squares[part.clone()].iter().map(|one| f64::from(one.sum)).sum();
            let expected: f64 = written.iter().map(|g| f64::from(g * g)).sum();
            assert_close(&format!("{what} binding {binding}"), &[sum as f32], &[expected as f32], 1e-6, 0.0);
            let bad = squares[part.clone()].iter().any(Squares::is_bad);
            assert_eq!(bad, written.iter().any(|g| !g.is_finite()), "{what} binding {binding}");
        }
    }
}

/// Nothing bad, a NaN, an infinity, and numbers whose squares overflow.
fn poisons() -> [Option<f32>; 4] {
    [None, Some(f32::NAN), Some(f32::NEG_INFINITY), Some(3e37)]
}

fn poison(words: &mut [u32], elements: usize, with: Option<f32>) {
    if let Some(value) = with {
        words[elements / 2] = value.to_bits();
        words[elements - 1] = value.to_bits();
    }
}

#[test]
fn squares_of_linear_layers_agree_with_their_twin() {
    for gpu in gpus() {
        for (case, [rows, inputs, outputs]) in
            [[1, 1, 1], [2, 8, 2], [9, 10, 31], [64, 36, 33], [33, 128, 96], [7, 65, 130]].into_iter().enumerate()
        {
            let (shape, seed) = (Linear::new(rows, inputs, outputs), case as u32);
            for (way, bad) in poisons().into_iter().enumerate() {
                let engine = gpu.choosing(Choices::all(Tiling::ALL[(case + way) % 4]));
                for (weight, bias) in [(true, true), (true, false), (false, true)] {
                    let (dweight, dbias) = (memory(&gpu, inputs * outputs), memory(&gpu, outputs));
                    let targets = [weight.then(|| dweight.clone()), bias.then(|| dbias.clone())];
                    let accumulate = way != 1;
                    let dispatch =
                        ops::linear_backward_weight(&engine, &shape, any(&gpu), targets, accumulate).expect("one");
                    let live: Vec<&Range> =
                        [weight.then_some(&dweight), bias.then_some(&dbias)].into_iter().flatten().collect();
                    let (dispatch, parts) = squared(&gpu, dispatch, &live);
                    let (mut dz, mut x) = (activations(seed, rows, outputs), activations(seed + 1, rows, inputs));
                    let (mut old, old_bias) = (dense(seed + 2, inputs * outputs), dense(seed + 3, outputs));
                    match way {
                        // Through what the sums are made of, if nothing is added to; else through what is there.
                        1 => poison(&mut x, inputs.min(4), bad),
                        3 => poison(&mut old, inputs * outputs, bad),
                        2 => poison(&mut dz, outputs.min(4), bad),
                        _ => {}
                    }
                    let dweight = if weight { old } else { junk(0) };
                    let dbias = if bias { old_bias } else { junk(0) };
                    let words = vec![dz, x, dweight, dbias, record(shape)];
                    let of = [weight.then_some((2, inputs * outputs)), bias.then_some((3, outputs))];
                    let of: Vec<(usize, usize)> = of.into_iter().flatten().collect();
                    check(&gpu, &dispatch, &parts, words, &of);
                }
            }
        }
    }
}

#[test]
fn squares_of_norms_agree_with_their_twin() {
    for gpu in gpus() {
        for (case, [rows, width]) in [[1, 1], [2, 3], [3, 5], [7, 129], [33, 20]].into_iter().enumerate() {
            let (shape, seed) = (LayerNorm::new(rows, width, 1e-2), case as u32);
            for bad in poisons() {
                for (gamma, beta) in [(true, true), (true, false), (false, true)] {
                    let (dgamma, dbeta) = (memory(&gpu, width), memory(&gpu, width));
                    let targets = [gamma.then(|| dgamma.clone()), beta.then(|| dbeta.clone())];
                    let dispatch = ops::layer_norm_backward(&gpu, &shape, any(&gpu), None, targets, true).expect("one");
                    let live: Vec<&Range> =
                        [gamma.then_some(&dgamma), beta.then_some(&dbeta)].into_iter().flatten().collect();
                    let (dispatch, parts) = squared(&gpu, dispatch, &live);
                    let (dy, x) = (activations(seed, rows, width), activations(seed + 1, rows, width));
                    let moments = dense(seed + 2, 2 * rows);
                    let mut old = dense(seed + 3, width);
                    poison(&mut old, width, bad);
                    let place = |wanted: bool, old: Vec<u32>| if wanted { old } else { junk(0) };
                    let (dgamma, dbeta) = (place(gamma, old), place(beta, dense(seed + 4, width)));
                    let words = vec![dy, x, junk(0), moments, junk(0), dgamma, dbeta, record(shape)];
                    let of = [gamma.then_some((5, width)), beta.then_some((6, width))];
                    let of: Vec<(usize, usize)> = of.into_iter().flatten().collect();
                    check(&gpu, &dispatch, &parts, words, &of);
                }
            }
        }
    }
}

#[test]
fn squares_of_tables_agree_with_their_twin() {
    for gpu in gpus() {
        for (case, [rows, width, entries]) in
            [[1, 1, 1], [5, 3, 11], [16, 8, 300], [65, 130, 20], [9, 12, 50_000], [3, 13, 50_001]]
                .into_iter()
                .enumerate()
        {
            let (shape, seed) = (Embedding::new(rows, 1, width, entries), case as u32);
            for bad in poisons() {
                let mut tokens: Vec<u32> =
                    noise(seed, rows).iter().map(|x| ((x + 1.0) / 2.0 * entries as f32) as u32).collect();
                tokens.resize(rows + TAIL, 0);
                let index = ops::embedding_index(&gpu, &shape, any(&gpu)).expect("an index");
                let index = Trial::of(&index, vec![tokens, junk(rows), junk(entries), record(shape)]).run(&gpu, 0);
                let [tokens, previous, last, _] = index.try_into().expect("four");
                let mut dy = activations(seed + 1, rows, width);
                poison(&mut dy, width, bad);
                let table = memory(&gpu, entries * width);
                for index in [Some(any(&gpu)), None] {
                    // Without an index a table has few entries.
                    if index.is_none() && entries > 20 {
                        continue;
                    }
                    let [a, b] = any(&gpu);
                    let memory = [a, b, table.clone()];
                    let dispatch = ops::embedding_backward(&gpu, &shape, memory, index, false).expect("one");
                    let (dispatch, parts) = squared(&gpu, dispatch, &[&table]);
                    let [tokens, previous, last, dy] = [&tokens, &previous, &last, &dy].map(Clone::clone);
                    let words = vec![tokens, previous, last, dy, junk(entries * width), record(shape)];
                    check(&gpu, &dispatch, &parts, words, &[(4, entries * width)]);
                }
            }
        }
    }
}

#[test]
fn squares_are_of_what_the_last_dispatch_writes_whole() {
    let engine = Engine::cpu();
    let linear = Linear::new(4, 8, 6);
    let embedding = Embedding::new(4, 1, 8, 6);
    let (weight, bias) = (memory(&engine, 48), memory(&engine, 6));
    let layer = |accumulate: bool| {
        let targets = [Some(weight.clone()), Some(bias.clone())];
        ops::linear_backward_weight(&engine, &linear, any(&engine), targets, accumulate).expect("a dispatch")
    };
    let joined = |accumulate: bool| {
        let [a, b] = any(&engine);
        let (memory, index) = ([a, b, weight.clone()], Some(any(&engine)));
        ops::embedding_backward(&engine, &embedding, memory, index, accumulate).expect("a dispatch")
    };
    let gradients = [("w".to_owned(), weight.clone()), ("b".to_owned(), bias.clone())];
    let run = |mut dispatches: Vec<Dispatch>| {
        let squares = ops::write_squares(&engine, &mut dispatches, &gradients).expect("squares");
        let names: Vec<String> = squares.into_iter().map(|(name, _)| name).collect();
        (names.join(" "), dispatches.iter().map(|one| one.kernel.name).collect::<Vec<_>>())
    };
    let (plain, with) = ("linear_backward_weight", "linear_backward_weight.squares");
    let (table, table_with) = ("embedding_backward", "embedding_backward.squares");
    assert_eq!(run(vec![layer(false)]), ("w b".into(), vec![with]));
    assert_eq!(run(vec![layer(false), layer(true)]), ("w b".into(), vec![plain, with]), "the last micro-batch");
    assert_eq!(run(vec![layer(false), joined(true)]), ("b".into(), vec![with, table]), "a tied table");
    assert_eq!(run(vec![joined(false)]), ("w".into(), vec![table_with]));
    assert_eq!(run(vec![joined(false), joined(true)]), (String::new(), vec![table, table]), "rows are added");
}

// ---- the optimizer ----

fn clipped() -> Settings {
    Settings::default().clip(Clip::norm(0.5)).guard(true)
}

fn sizes() -> [Param; 4] {
    [Param::new("a", [3]), Param::new("b", [5000]), Param::new("c", [70, 9]), Param::new("d", [9000])]
}

fn two_groups() -> [Group; 2] {
    let row = Row::sgd(1e-3);
    [Group::new("one", row, ["d", "b"]), Group::new("two", row, ["a", "c"])]
}

/// Rooms for squares in two buffers, of odd lengths.
fn rooms(engine: &Engine, names: &[&str]) -> Vec<(String, Range)> {
    let buffers = ["first", "second"].map(|label| engine.buffer(label, 8 * 20_000).expect("a buffer"));
    let room = |(place, name): (usize, &&str)| {
        let range = buffers[place % 2].range(8 * (9 + 5100 * place as u64), 8 * [3, 5000, 1, 77][place % 4]);
        ((*name).to_owned(), range.expect("a range"))
    };
    names.iter().enumerate().map(room).collect()
}

fn step(optimizer: &mut Optimizer, engine: &Engine) -> Stats {
    optimizer.step().expect("a step");
    engine.wait().expect("a wait");
    optimizer.stats().expect("stats").expect("a report")
}

fn give(optimizer: &Optimizer, seed: u32) {
    for (place, param) in sizes().iter().enumerate() {
        let values = noise(seed + place as u32, param.elements());
        optimizer.upload_gradient(&param.name, &values).expect("a gradient");
    }
}

fn kernels(program: &Program) -> Vec<&'static str> {
    program.dispatches.iter().map(|dispatch| dispatch.kernel.name).collect()
}

#[test]
fn squares_stand_for_gradients() {
    for engine in sized_engines() {
        let parameters = Parameters::new(&engine, &sizes(), None).expect("parameters");
        let make = || Optimizer::new(&engine, &parameters, &two_groups(), clipped()).expect("an optimizer");
        let mut plain = make();
        give(&plain, 1);
        let expected = step(&mut plain, &engine);
        let elements: u64 = sizes().iter().map(|param| param.elements() as u64).sum();
        let some: [(&[&str], _, u64); 3] = [
            (&["a", "b", "c", "d"], vec!["norm_fold", "norm_fold", "norm_fold", "norm_fold", "control", "sgd"], 0),
            (&["c"], vec!["norm", "norm_fold", "control", "sgd"], 4 * (elements - 630)),
            (&[], vec!["norm", "control", "sgd"], 4 * elements),
        ];
        for (names, stages, norm_bytes) in some {
            let mut optimizer = make();
            optimizer.take_squares(&rooms(&engine, names)).expect("squares");
            give(&optimizer, 1);
            let got = step(&mut optimizer, &engine);
            let what = format!("{names:?} on {}", engine.name());
            let pair = |stats: Stats| [stats.grad_norm.expect("a norm"), stats.clip_coefficient];
            assert_close(&what, &pair(got), &pair(expected), 1e-6, 0.0);
            let program = optimizer.program().expect("a program");
            assert_eq!((kernels(program), program.bytes()), (stages, 20 * elements + norm_bytes), "{what}");
            let again = step(&mut optimizer, &engine);
            assert_eq!(pair(again), pair(got), "the same bits");
            // A selection goes by the squares of its own tensors.
            let selection = optimizer.select(&["c", "d"]).expect("a selection");
            optimizer.step_over(&selection).expect("a step");
            engine.wait().expect("a wait");
            let over = optimizer.stats().expect("stats").expect("a report").grad_norm.expect("a norm");
            let squares = |seed: u32, count| noise(seed, count).iter().map(|g| f64::from(g * g)).sum::<f64>();
            let norm = (squares(3, 630) + squares(4, 9000)).sqrt();
            assert_close(&what, &[over], &[norm as f32], 1e-6, 0.0);
        }
    }
}

#[test]
fn squares_name_the_group_that_is_not_finite() {
    for engine in sized_engines() {
        let parameters = Parameters::new(&engine, &sizes(), None).expect("parameters");
        for settings in [clipped(), Settings::default().guard(true)] {
            let mut optimizer = Optimizer::new(&engine, &parameters, &two_groups(), settings).expect("an optimizer");
            optimizer.take_squares(&rooms(&engine, &["a", "b", "c", "d"])).expect("squares");
            let before = parameters.read("a").expect("values");
            for (name, elements, group) in [("c", 630, 1), ("d", 9000, 0)] {
                for bad in [f32::NAN, f32::INFINITY] {
                    give(&optimizer, 1);
                    let mut values = noise(9, elements);
                    values[elements / 2] = bad;
                    optimizer.upload_gradient(name, &values).expect("a gradient");
                    let stats = step(&mut optimizer, &engine);
                    assert_eq!((stats.skipped, stats.bad_group), (true, Some(group)), "{name} on {}", engine.name());
                }
            }
            assert_eq!(parameters.read("a").expect("values"), before, "a skipped step changes nothing");
            // Squares that overflow are no bad gradients: the norm is infinite, and clips to nothing.
            give(&optimizer, 1);
            optimizer.upload_gradient("c", &[1e30; 630]).expect("a gradient");
            let stats = step(&mut optimizer, &engine);
            assert!(!stats.skipped, "{stats:?}");
            let by_norm = settings.clip != Clip::None;
            assert_eq!(stats.grad_norm, by_norm.then_some(f32::INFINITY));
            assert_eq!(stats.clip_coefficient, if by_norm { 0.0 } else { 1.0 });
        }
    }
}

#[test]
fn squares_are_let_go_when_gradients_move() {
    let engine = Engine::cpu();
    let parameters = Parameters::new(&engine, &sizes(), None).expect("parameters");
    let [one, two] = two_groups();
    let first = [one, two.clone().frozen()];
    let mut optimizer = Optimizer::new(&engine, &parameters, &first, clipped()).expect("an optimizer");
    let all = rooms(&engine, &["a", "b", "c", "d"]);
    let stages = |optimizer: &mut Optimizer| kernels(optimizer.program().expect("a program")).join(" ");
    let selection = optimizer.select(&["d"]).expect("a selection");
    optimizer.take_squares(&all).expect("squares");
    assert_eq!(stages(&mut optimizer), "norm_fold control sgd", "b and d lie in one buffer; the frozen are left alone");
    assert!(matches!(optimizer.step_over(&selection), Err(Error::StaleSelection)));
    optimizer.thaw("two").expect("a group");
    assert_eq!(stages(&mut optimizer), "norm control sgd");
    optimizer.take_squares(&all).expect("squares");
    assert!(!stages(&mut optimizer).contains("norm "));
    let state = optimizer.read_state().expect("state");
    optimizer.load_state(&state).expect("state");
    assert_eq!(stages(&mut optimizer), "norm control sgd");
}

#[test]
fn squares_that_do_not_fit_are_refused() {
    let engine = Engine::cpu();
    let parameters = Parameters::new(&engine, &sizes(), None).expect("parameters");
    let make = |settings| Optimizer::new(&engine, &parameters, &two_groups(), settings).expect("an optimizer");
    let mut optimizer = make(clipped());
    let told = |optimizer: &mut Optimizer, squares: Vec<(String, Range)>| {
        optimizer.take_squares(&squares).expect_err("an error").to_string()
    };
    let buffer = engine.buffer("squares", 64).expect("a buffer");
    let range = |offset, bytes| Range { buffer: buffer.clone(), offset, bytes };
    let layout = optimizer.layout();
    assert!(told(&mut optimizer, rooms(&engine, &["a", "e"])).contains("\"e\""));
    assert!(told(&mut optimizer, rooms(&engine, &["a", "a"])).contains("\"a\""));
    let told = |optimizer: &mut Optimizer, range| told(optimizer, vec![("a".to_owned(), range)]);
    assert_eq!(
        told(&mut optimizer, range(4, 8)),
        "parameter \"a\": the partial sums of its squares are not whole: squares[4..12]"
    );
    assert!(told(&mut optimizer, range(56, 16)).contains("reaches past the end"));
    assert!(told(&mut optimizer, range(0, 0)).contains("is empty"));
    assert_eq!(optimizer.layout(), layout, "nothing has changed");
    // Other orders are not made of squares.
    for order in [NormOrder::One, NormOrder::Infinity] {
        let clip = Clip::norm(1.0).order(order);
        let mut optimizer = make(Settings::default().clip(clip).guard(true));
        assert!(!optimizer.uses_squares());
        optimizer.take_squares(&rooms(&engine, &["a", "b", "c", "d"])).expect("squares");
        assert_eq!(kernels(optimizer.program().expect("a program")), ["norm", "control", "sgd"]);
    }
    assert!(!make(Settings::default()).uses_squares(), "nobody asks for a norm");
}

// ---- models ----

/// A model's step on memory of an optimizer's own.
struct Bed {
    engine: Engine,
    optimizer: Optimizer,
    program: Program,
}

impl Bed {
    /// `steps` makes the dispatches of a step; with `squares` its kernels write them.
    fn new(
        engine: &Engine,
        parameters: &Parameters,
        groups: &[Group],
        squares: bool,
        step: impl Fn(&Optimizer) -> Vec<Dispatch>,
    ) -> Bed {
        let mut optimizer = Optimizer::new(engine, parameters, groups, clipped()).expect("an optimizer");
        let mut program = Program::new("model");
        program.dispatches = step(&optimizer);
        if squares {
            let gradients: Vec<(String, Range)> = parameters
                .params()
                .iter()
                .filter(|param| optimizer.is_trainable(&param.name).expect("a parameter"))
                .map(|param| (param.name.clone(), optimizer.gradient(&param.name).expect("a gradient")))
                .collect();
            let squares = ops::write_squares(engine, &mut program.dispatches, &gradients).expect("squares");
            optimizer.take_squares(&squares).expect("squares");
        }
        Bed { engine: engine.clone(), optimizer, program }
    }

    fn run(&mut self) -> Stats {
        let prepared = self.engine.prepare(self.program.clone()).expect("a program");
        self.engine.submit(&Submission::of(&[&prepared])).expect("a pass");
        step(&mut self.optimizer, &self.engine)
    }

    /// Bytes that the norm reads.
    fn norm_bytes(&mut self) -> u64 {
        let program = self.optimizer.program().expect("a program");
        program.dispatches.iter().filter(|one| one.kernel.name == "norm").map(|one| one.bytes).sum()
    }

    fn bytes(&mut self) -> u64 {
        self.optimizer.program().expect("a program").bytes()
    }
}

fn trainable(optimizer: &Optimizer, name: &str) -> Option<Range> {
    optimizer.is_trainable(name).expect("a parameter").then(|| optimizer.gradient(name).expect("a gradient"))
}

fn transformer(engine: &Engine, config: &Model, frozen: fn(&str) -> bool, micro: usize, squares: bool) -> Bed {
    let model = config.clone();
    let parameters = Parameters::new(engine, &model.params(), None).expect("parameters");
    for (name, values) in values(config) {
        parameters.upload(&name, &values).expect("an upload");
    }
    let names: Vec<String> = model.params().into_iter().map(|param| param.name).collect();
    let (bias, weight): (Vec<String>, Vec<String>) =
        names.into_iter().filter(|name| !frozen(name)).partition(|name| name.ends_with("bias"));
    let row = Row::adamw(1e-3);
    let groups = [Group::new("bias", row, bias), Group::new("weight", row, weight)];
    let data = Data::new(config, 4, 5);
    Bed::new(engine, &parameters, &groups, squares, |optimizer| {
        let pass = model.training(4 / micro, 5, |name| trainable(optimizer, name).is_some()).expect("a pass");
        let space = pass.allocate(engine).expect("memory");
        let one = |number: usize| {
            let data = if micro == 1 { data.clone() } else { data.half(number) };
            let parameter = |name: &str| Ok::<_, ModelError>(parameters.place(name).expect("a range"));
            let gradient = |name: &str| Ok(trainable(optimizer, name));
            let batch = data.on(engine);
            space.dispatches(&batch, LOSS, parameter, gradient, number > 0).expect("dispatches")
        };
        (0..micro).flat_map(one).collect()
    })
}

#[test]
fn squares_of_transformers_make_their_norm() {
    let kinds = [decoder(true), decoder(false), encoder(2, Pooling::Mean), encoder(0, Pooling::Pooler)];
    let nothing: fn(&str) -> bool = |_| false;
    let trunk: fn(&str) -> bool =
        |name| name.contains("h.0.") || name.contains("layer.0.") || name.contains("embedding");
    assert_eq!(LOSS.ignore, IGNORED);
    for engine in engines() {
        for config in &kinds {
            for (frozen, micro) in [(nothing, 1), (nothing, 2), (trunk, 1), (trunk, 2)] {
                let what = format!("{config:?}, {micro} micro-batches, on {}", engine.name());
                let (mut by_squares, mut by_norm) = (
                    transformer(&engine, config, frozen, micro, true),
                    transformer(&engine, config, frozen, micro, false),
                );
                let (got, expected) = (by_squares.run(), by_norm.run());
                let pair = |stats: Stats| [stats.grad_norm.expect("a norm"), stats.clip_coefficient];
                assert!(pair(expected)[1] < 1.0, "{what}: it clips");
                assert_close(&what, &pair(got), &pair(expected), 1e-6, 0.0);
                // What rows of a batch are added to is read again: a tied table, and tables in a second micro-batch.
                let added = |param: &&Param| {
                    let tied = param.name == "transformer.wte.weight" && *config == decoder(true);
                    let table = param.name.contains("wte")
                        || param.name.contains("wpe")
                        || param.name.contains("embeddings.") && param.name.contains("_embeddings");
                    !frozen(&param.name) && (tied || table && micro > 1)
                };
                let params = config.params();
                let elements = |params: Vec<&Param>| params.iter().map(|param| param.elements() as u64).sum::<u64>();
                let (added, all) = (
                    elements(params.iter().filter(added).collect()),
                    elements(params.iter().filter(|param| !frozen(&param.name)).collect()),
                );
                assert_eq!((by_squares.norm_bytes(), by_squares.bytes()), (4 * added, 28 * all + 4 * added), "{what}");
                assert_eq!(by_norm.bytes(), 32 * all, "{what}");
                let again = transformer(&engine, config, frozen, micro, true).run();
                assert_eq!(pair(again).map(f32::to_bits), pair(got).map(f32::to_bits), "{what}: the same bits");
            }
        }
    }
}

/// tanh, inputs of 1e38 and no first weight: its gradient overflows, and no other.
fn mlp(engine: &Engine, input: f32, squares: bool) -> Bed {
    let model = Mlp::new(&[5, 9, 3], Activation::Tanh).expect("a model");
    let parameters = Parameters::new(engine, &model.params(), None).expect("parameters");
    parameters.upload("layers.1.weight", &noise(1, 27).iter().map(|x| 1e3 * x).collect::<Vec<f32>>()).expect("values");
    let row = Row::adamw(1e-3);
    let groups = [
        Group::new("head", row, ["layers.1.weight", "layers.1.bias"]),
        Group::new("bias", row, ["layers.0.bias"]),
        Group::new("weight", row, ["layers.0.weight"]),
    ];
    let batch = Batch::new(engine, 7, 1).and_then(|batch| batch.with_rows(engine, 5)?.with_words(engine, "labels", 1));
    let batch = batch.expect("a batch");
    let x: Vec<f32> = (0..7 * 8).map(|place| if place % 8 < 5 { input } else { 0.0 }).collect();
    engine.write(&batch.get("rows").expect("rows").buffer, 0, &x).expect("inputs");
    engine.write(&batch.get("labels").expect("labels").buffer, 0, &[0u32, 1, 0, 1, 0, 1, 1]).expect("labels");
    let parameter = |name: &str| Ok::<_, ModelError>(parameters.place(name).expect("a range"));
    Bed::new(engine, &parameters, &groups, squares, |optimizer| {
        let gradient = |name: &str| Ok(trainable(optimizer, name));
        let pass = model.training(7, 1, |name| trainable(optimizer, name).is_some()).expect("a pass");
        let space = pass.allocate(engine).expect("memory");
        space.dispatches(&batch, LOSS, parameter, gradient, false).expect("dispatches")
    })
}

#[test]
fn squares_of_an_mlp_catch_what_is_not_finite() {
    for engine in sized_engines() {
        for (input, bad) in [(1.0, None), (1e38, Some(2)), (f32::NAN, Some(0)), (f32::INFINITY, Some(0))] {
            let (got, expected) = (mlp(&engine, input, true).run(), mlp(&engine, input, false).run());
            let what = format!("inputs of {input} on {}", engine.name());
            assert_eq!((got.skipped, got.bad_group), (bad.is_some(), bad), "{what}");
            assert_eq!((expected.skipped, expected.bad_group), (bad.is_some(), bad), "{what}");
            let norm = |stats: Stats| stats.grad_norm.expect("a norm");
            assert_close(&what, &[norm(got)], &[norm(expected)], 1e-6, 0.0);
        }
        assert_eq!(mlp(&engine, 1.0, true).bytes(), 28 * (45 + 9 + 27 + 3));
    }
}

// ---- a run ----

const PHASES: &str = "
optimizer: {type: adamw, lr: 3.0e-3, clip_norm: 0.1, no_decay: [bias, ln_]}
early_stopping: {monitor: val_loss, patience: 9}
phases:
  0: {params: ['transformer.h.1', 'transformer.ln_f'], max_transition_epoch: 1}
  1: {params: ['transformer.(h.0|w.e)|lm_head'], lr: 2.0e-3}
";

fn language(engine: &Engine, tied: bool) -> Trainer {
    let vocabulary = Vocabulary::ascii();
    let tokens = vocabulary.encode(&kjv()).expect("tokens");
    let stream = TokenStream::new(tokens[..1200].to_vec(), vocabulary.len()).expect("a stream");
    let (train, test) = stream.split(20).expect("two");
    let sizes = model_sizes().hidden(12).vocab(vocabulary.len()).context(12);
    let task = Language::new(&Gpt2::new(sizes).tied(tied), (&train, &test)).expect("a task");
    let schedule = if tied { PHASES.replace("|lm_head", "") } else { PHASES.to_owned() };
    let spec = Spec::parse("run.yaml", &schedule).expect("a spec");
    let config = Training::default().batch_size(4).epochs(7).seed(5);
    Trainer::new(engine, &task, config, |model, epochs| Plan::new(&spec, model, epochs)).expect("a trainer")
}

/// Elements of what trains now, and those of the table of tokens.
fn training(trainer: &Trainer) -> (u64, u64) {
    let trains = |param: &&Param| trainer.optimizer().is_trainable(&param.name).expect("a parameter");
    let elements = |name: &str| {
        let params = trainer.parameters().params().iter().filter(trains);
        params.filter(|param| param.name.contains(name)).map(|param| param.elements() as u64).sum()
    };
    (elements(""), elements("wte"))
}

#[test]
fn squares_stay_with_a_run_through_its_phases() {
    for engine in engines() {
        for tied in [true, false] {
            let run = || {
                let mut trainer = language(&engine, tied);
                let mut seen = Vec::new();
                for step in 0..100 {
                    trainer.advance(|_| ()).expect("a step");
                    let phase = trainer.cursor().depth();
                    if seen.last().is_none_or(|(known, _)| *known != phase) {
                        let (all, table) = training(&trainer);
                        let [_, optimizer] = trainer.programs().expect("programs");
                        let read = if tied { 4 * table } else { 0 };
                        assert_eq!(optimizer.bytes(), 28 * all + read, "tied {tied}, step {step}, phase {phase}");
                        seen.push((phase, kernels(optimizer)));
                    }
                }
                let values = |param: &Param| trainer.parameters().read(&param.name).expect("values");
                let bits = trainer.parameters().params().iter().flat_map(values).map(f32::to_bits);
                (seen, bits.collect::<Vec<u32>>())
            };
            let (seen, bits) = run();
            let plain = vec!["norm_fold", "control", "adamw"];
            let last = if tied { vec!["norm", "norm_fold", "control", "adamw"] } else { plain.clone() };
            assert_eq!(seen, [(0, plain), (1, last)]);
            assert!(run().1 == bits, "the same bits on {}", engine.name());
        }
    }
}
