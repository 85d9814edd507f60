//! Gathers of tokens: against their twins, and against what an epoch and an evaluation promise.

use crate::support::{engines, gpu};
use gradus::data::{BatchSize, Sequence, SequenceSizes, Sequences, TokenStream};
use gradus::engine::kernels::{Family, GATHER_SEQUENCES, GATHER_TOKENS};
use gradus::engine::layout::{GatherSequences, GatherTokens, IGNORED, Position, TableHeader, TableRow};
use gradus::engine::{Access, Binding, Buffer, Dispatch, Engine, Program, Range, Submission};
use std::collections::HashSet;

/// What stands in memory that is to be written, and after it.
const JUNK: u32 = 0xdead_beef;
/// Words behind each result that no kernel may touch.
const TAIL: usize = 7;

/// A step of a kernel: what it writes, without the tails, and the position.
struct Gathered {
    results: Vec<Vec<u32>>,
    position: Position,
}

/// Where a run stands and how it goes.
#[derive(Clone, Copy, Debug)]
struct Run {
    first_step: u32,
    slot: u32,
    shuffle: bool,
    workgroup: u32,
}

impl Run {
    fn at(slot: u32) -> Run {
        Run { first_step: 0, slot, shuffle: true, workgroup: 64 }
    }
}

/// Runs a gather over `source` into `sizes` words each; the shape is the record behind the uniform.
fn gather(
    engine: &Engine,
    family: &'static Family,
    source: &[u32],
    sizes: &[usize],
    shape: &[u32],
    run: Run,
) -> Gathered {
    let (kernel, name) = (family.plain(), family.name);
    let buffer = |words: &[u32]| engine.buffer_with("gather", words).expect("a buffer");
    let header = TableHeader { first_step: run.first_step, steps: 1, ..TableHeader::default() };
    // A whole row of hyper-parameters follows the header.
    let table: Vec<u32> =
        bytemuck::cast_slice(&[header]).iter().copied().chain([JUNK; size_of::<TableRow>() / 4]).collect();
    let results: Vec<Buffer> = sizes.iter().chain([&4]).map(|size| buffer(&vec![JUNK; size + TAIL])).collect();
    let mut buffers = vec![buffer(source)];
    buffers.extend(results.iter().cloned());
    buffers.extend([buffer(&table), buffer(shape)]);
    let mut bindings: Vec<Binding> = buffers.iter().map(Binding::from).collect();
    bindings.push(Binding::Clock);
    assert_eq!(kernel.bindings.last(), Some(&Access::Clock));
    let constants = vec![("WORKGROUP", f64::from(run.workgroup)), ("SHUFFLE", f64::from(u8::from(run.shuffle)))];
    // One row of workgroups and one too many, so that some invocations have nothing to do.
    let grid = [(sizes[0] as u32).div_ceil(run.workgroup) + 1, 1, 1];
    let dispatches = vec![Dispatch::new(kernel, bindings, grid).constants(constants)];
    let prepared = engine.prepare(Program::of(name, dispatches)).expect("a program");
    let programs = [&prepared];
    let submission = Submission::of(&programs).slot(run.slot);
    engine.submit(&submission).expect("a submission");

    let ranges: Vec<Range> = results.iter().map(Buffer::all).collect();
    let mut results: Vec<Vec<u32>> =
        engine.read_all(&ranges).expect("results").iter().map(|bytes| bytemuck::pod_collect_to_vec(bytes)).collect();
    for (result, size) in results.iter_mut().zip(sizes.iter().chain([&4])) {
        assert_eq!(result.split_off(*size), [JUNK; TAIL], "{name}: the tail");
    }
    let position = results.pop().expect("the position");
    Gathered { results, position: bytemuck::cast_slice(&position)[0] }
}

/// Inputs, targets and mask of a micro-batch of a language model.
fn tokens(engine: &Engine, stream: &TokenStream, shape: GatherTokens, run: Run) -> Gathered {
    let size = (shape.rows * shape.context) as usize;
    gather(engine, &GATHER_TOKENS, stream.tokens(), &[size; 3], bytemuck::cast_slice(&[shape]), run)
}

/// Tokens, mask, types and labels of a micro-batch of sequences.
fn sequences(engine: &Engine, set: &Sequences, shape: GatherSequences, run: Run) -> Gathered {
    let size = (shape.rows * shape.context) as usize;
    let sizes = [size, size, size, shape.rows as usize];
    gather(engine, &GATHER_SEQUENCES, &set.padded(), &sizes, bytemuck::cast_slice(&[shape]), run)
}

/// A stream whose tokens are their own places.
fn stream(tokens: u32) -> TokenStream {
    TokenStream::new((0..tokens).collect(), tokens as usize).expect("a stream")
}

/// A set of sequences of all lengths; the first token of each is its number, its label that number modulo 5.
fn set(samples: u32, context: u32) -> Sequences {
    let one = |sample: u32| {
        let length = sample % context + 1;
        let tokens = (0..length).map(|i| sample + 1000 * i).collect();
        let types =
            if sample.is_multiple_of(3) { Vec::new() } else { (0..length).map(|i| (sample + i) % 16).collect() };
        Sequence::new(tokens, sample % 5).types(types)
    };
    let sizes = SequenceSizes::new(context as usize, 1 << 28, 5).types(16);
    Sequences::new(sizes, &(0..samples).map(one).collect::<Vec<Sequence>>()).expect("a set")
}

/// Samples, rows and micro-batches.
const SIZES: [(u32, u32, u32); 7] =
    [(1, 1, 1), (2, 1, 2), (7, 3, 1), (63, 4, 5), (64, 64, 1), (65, 13, 5), (200, 9, 3)];

fn size(rows: u32, micro_batches: u32) -> BatchSize {
    BatchSize { rows: rows as usize, micro_batches: micro_batches as usize }
}

/// Every way to run: slots, orders, workgroups, steps of the table.
fn runs() -> impl Iterator<Item = Run> {
    let slots = [(0, 0), (3, 1), (1000, 1023)].into_iter();
    slots.flat_map(|(first_step, slot)| {
        [(true, 8), (false, 64)].map(|(shuffle, workgroup)| Run { first_step, slot, shuffle, workgroup })
    })
}

#[test]
fn gather_tokens_equals_its_twin() {
    let Some(gpu) = gpu() else { return };
    for (windows, rows, micro_batches) in SIZES {
        for (context, behind) in [(1, 0), (9, 1), (9, 8), (64, 40)] {
            let stream = stream((windows + 1) * context + behind);
            let training = stream.batches(context as usize, size(rows, micro_batches), windows).expect("a shape");
            let evaluation = stream.evaluation(context as usize, rows as usize).expect("a shape");
            for run in runs() {
                let shape = if run.shuffle { training } else { evaluation };
                let shape = GatherTokens { micro: shape.micro_batches - 1, ..shape };
                let (got, twin) = (tokens(&gpu, &stream, shape, run), tokens(&Engine::twins(), &stream, shape, run));
                assert_eq!(got.results, twin.results, "{shape:?}, {run:?}");
                assert_eq!(got.position, twin.position, "{shape:?}, {run:?}");
                assert_eq!(got.position.step, run.first_step + run.slot);
            }
        }
    }
}

#[test]
fn gather_sequences_equals_its_twin() {
    let Some(gpu) = gpu() else { return };
    for (samples, rows, micro_batches) in SIZES {
        for context in [1, 9, 64] {
            let set = set(samples, context);
            let training = set.batches(size(rows, micro_batches), samples).expect("a shape");
            let evaluation = set.evaluation(rows as usize).expect("a shape");
            for run in runs() {
                let shape = if run.shuffle { training } else { evaluation };
                let shape = GatherSequences { micro: shape.micro_batches - 1, ..shape };
                let (got, twin) = (sequences(&gpu, &set, shape, run), sequences(&Engine::twins(), &set, shape, run));
                assert_eq!(got.results, twin.results, "{shape:?}, {run:?}");
                assert_eq!(got.position, twin.position, "{shape:?}, {run:?}");
            }
        }
    }
}

/// Checks that each micro-batch of each step tells how many rows of the step count; gives the rows that the steps draw, and
/// how many of them count. A micro-batch is its targets or labels, and its position.
fn counted(shape: [u32; 2], micro_batch: impl Fn(u32, u32) -> (Vec<u32>, Position)) -> [usize; 2] {
    let [steps_per_epoch, micro_batches] = shape;
    let mut all = [0, 0];
    for step in 0..steps_per_epoch {
        let drawn: Vec<(Vec<u32>, Position)> = (0..micro_batches).map(|micro| micro_batch(step, micro)).collect();
        let counting = drawn.iter().flat_map(|(labels, _)| labels).filter(|label| **label != IGNORED).count();
        let told: Vec<u32> = drawn.iter().map(|(_, position)| position.counting).collect();
        assert!(told.iter().all(|told| *told as usize == counting), "step {step}: {told:?}, not {counting}");
        all = [all[0] + drawn.iter().map(|(labels, _)| labels.len()).sum::<usize>(), all[1] + counting];
    }
    all
}

#[test]
fn gathers_tell_how_many_rows_of_the_step_count() {
    for engine in engines() {
        for (samples, rows, micro_batches) in SIZES {
            let (stream, set) = (stream((samples + 1) * 9 + 5), set(samples, 9));
            let size = size(rows, micro_batches);
            let run = |shuffle: bool, step: u32| Run { shuffle, ..Run::at(step) };
            let tokens_of = |shape: GatherTokens, shuffle: bool| {
                counted([shape.steps_per_epoch, shape.micro_batches], |step, micro| {
                    let mut drawn = tokens(&engine, &stream, GatherTokens { micro, ..shape }, run(shuffle, step));
                    (drawn.results.swap_remove(1), drawn.position)
                })
            };
            let sequences_of = |shape: GatherSequences, shuffle: bool| {
                counted([shape.steps_per_epoch, shape.micro_batches], |step, micro| {
                    let mut drawn = sequences(&engine, &set, GatherSequences { micro, ..shape }, run(shuffle, step));
                    (drawn.results.swap_remove(3), drawn.position)
                })
            };
            // All that is drawn to train counts. What is tested has padding; so have steps after the last sample.
            let (windows, labelled) =
                (stream.batches(9, size, 7).expect("a shape"), set.batches(size, 7).expect("a shape"));
            for [drawn, counting] in [tokens_of(windows, true), sequences_of(labelled, true)] {
                assert_eq!(drawn, counting, "{samples} samples");
            }
            let evaluation = stream.evaluation(9, rows as usize).expect("a shape");
            assert_eq!(tokens_of(evaluation, false)[1], stream.tokens().len() - 1);
            assert_eq!(sequences_of(set.evaluation(rows as usize).expect("a shape"), false)[1], samples as usize);
            for shuffle in [true, false] {
                let steps_per_epoch = labelled.steps_per_epoch + 2;
                let beyond = sequences_of(GatherSequences { steps_per_epoch, ..labelled }, shuffle);
                assert_eq!(beyond[1], samples as usize, "{shuffle}");
                let steps_per_epoch = windows.steps_per_epoch + 2;
                let beyond = tokens_of(GatherTokens { steps_per_epoch, ..windows }, shuffle);
                assert_eq!(beyond[1], windows.samples as usize * 9, "{shuffle}");
            }
        }
    }
}

/// Where the windows of an epoch start, in the order drawn; each is checked to be whole.
fn starts(engine: &Engine, stream: &TokenStream, shape: GatherTokens, epoch: u32) -> Vec<u32> {
    let mut starts = Vec::new();
    for step in 0..shape.steps_per_epoch {
        for micro in 0..shape.micro_batches {
            let run = Run { first_step: epoch * shape.steps_per_epoch, ..Run::at(step) };
            let Gathered { results, position } = tokens(engine, stream, GatherTokens { micro, ..shape }, run);
            assert_eq!((position.epoch, position.batch), (epoch, step * shape.micro_batches + micro));
            assert!(results[2].iter().all(|mask| *mask == 1), "{shape:?}: the mask");
            let context = shape.context as usize;
            for (inputs, targets) in results[0].chunks(context).zip(results[1].chunks(context)) {
                assert_eq!(inputs, Vec::from_iter(inputs[0]..inputs[0] + shape.context), "{shape:?}: inputs");
                assert_eq!(targets, Vec::from_iter(inputs[0] + 1..=inputs[0] + shape.context), "{shape:?}: targets");
                starts.push(inputs[0]);
            }
        }
    }
    starts
}

#[test]
fn gather_tokens_tiles_the_stream_from_a_new_offset_every_epoch() {
    for engine in engines() {
        let stream = stream(60 * 16 + 25);
        let shape = stream.batches(16, size(5, 4), 7).expect("a shape");
        assert_eq!((shape.samples, shape.steps_per_epoch), (60, 3));
        let epochs: Vec<Vec<u32>> = (0..4).map(|epoch| starts(&engine, &stream, shape, epoch)).collect();
        let mut offsets = HashSet::new();
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            let tiles: Vec<u32> = (0..60).map(|window| sorted[0] + 16 * window).collect();
            assert_eq!(sorted, tiles, "{}: windows side by side, each once", engine.name());
            assert_ne!(epoch, &sorted, "{}: in a new order", engine.name());
            offsets.insert(sorted[0]);
        }
        assert!(offsets.len() > 1 && offsets.iter().all(|offset| *offset < 16), "{offsets:?}");
        assert_ne!(epochs[0], starts(&engine, &stream, GatherTokens { seed: 8, ..shape }, 0), "two seeds, one order");
        // Twenty windows a step are the same twenty in whatever micro-batches they come.
        let whole = stream.batches(16, size(20, 1), 7).expect("a shape");
        assert_eq!(starts(&engine, &stream, whole, 2), epochs[2], "{}", engine.name());
    }
}

#[test]
fn gather_tokens_offsets_of_a_thousand_epochs_are_even() {
    let stream = stream(100);
    let shape = stream.batches(8, size(1, 1), 3).expect("a shape");
    let mut counts = [0u32; 8];
    for epoch in 0..800 {
        let run = Run { first_step: epoch * shape.steps_per_epoch, ..Run::at(0) };
        counts[tokens(&Engine::twins(), &stream, shape, run).results[0][0] as usize % 8] += 1;
    }
    // 100 on average with a deviation of 9.4.
    assert!(counts.iter().all(|count| (50..150).contains(count)), "{counts:?}");
}

#[test]
fn gather_tokens_evaluates_every_target_once() {
    for engine in engines() {
        for (length, context, rows) in [(65, 64, 3), (66, 64, 1), (100, 9, 4), (90, 9, 5), (2, 1, 2), (500, 16, 32)] {
            let stream = stream(length);
            let shape = stream.evaluation(context, rows).expect("a shape");
            let mut targets = Vec::new();
            for batch in 0..shape.steps_per_epoch {
                let run = Run { shuffle: false, ..Run::at(batch) };
                let Gathered { results, position } = tokens(&engine, &stream, shape, run);
                assert_eq!(position.batch, batch, "counts start anew at the first batch");
                for ((input, target), mask) in results[0].iter().zip(&results[1]).zip(&results[2]) {
                    match *target {
                        IGNORED => assert_eq!((*input, *mask), (0, 0), "{shape:?}"),
                        target => assert_eq!((input + 1, *mask), (target, 1), "{shape:?}"),
                    }
                }
                targets.extend(results[1].iter().copied().filter(|target| *target != IGNORED));
            }
            assert_eq!(targets, Vec::from_iter(1..length), "{shape:?} on {}", engine.name());
        }
    }
}

/// The numbers of the sequences in a micro-batch; each is checked to be whole.
fn drawn(engine: &Engine, set: &Sequences, shape: GatherSequences, run: Run) -> Vec<u32> {
    let record = shape.context as usize + 2;
    let mut drawn = Vec::new();
    let results = sequences(engine, set, shape, run).results;
    for (r, label) in results[3].iter().enumerate() {
        let row = |result: &[u32]| result[r * (record - 2)..][..record - 2].to_vec();
        let [tokens, mask, types] = [0, 1, 2].map(|result| row(&results[result]));
        if *label == IGNORED {
            assert!([&tokens, &mask, &types].iter().all(|row| row.iter().all(|word| *word == 0)), "{shape:?}");
            continue;
        }
        let words: Vec<u32> = tokens.iter().zip(&types).map(|(token, kind)| token | kind << 28).collect();
        let length = mask.iter().sum();
        let expected: Vec<u32> = [*label, length].into_iter().chain(words).collect();
        assert_eq!(set.padded()[tokens[0] as usize * record..][..record], expected, "{shape:?}");
        assert!(mask.iter().enumerate().all(|(i, mask)| *mask == u32::from(i < length as usize)), "{shape:?}");
        drawn.push(tokens[0]);
    }
    drawn
}

#[test]
fn gather_sequences_draws_each_once_an_epoch_and_in_order_for_evaluation() {
    for engine in engines() {
        let set = set(60, 9);
        let shape = set.batches(size(5, 4), 7).expect("a shape");
        let epoch = |shape: GatherSequences, number: u32| -> Vec<u32> {
            let steps = 0..shape.steps_per_epoch;
            let micros = steps.flat_map(|step| (0..shape.micro_batches).map(move |micro| (step, micro)));
            let run = |step| Run { first_step: number * shape.steps_per_epoch, ..Run::at(step) };
            micros
                .flat_map(|(step, micro)| drawn(&engine, &set, GatherSequences { micro, ..shape }, run(step)))
                .collect()
        };
        let epochs = [0, 1].map(|number| epoch(shape, number));
        for order in &epochs {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, Vec::from_iter(0..60), "{}", engine.name());
        }
        assert_ne!(epochs[0], epochs[1]);
        assert_ne!(epochs[0], epoch(GatherSequences { seed: 8, ..shape }, 0));
        let evaluation = set.evaluation(7).expect("a shape");
        let all = (0..evaluation.steps_per_epoch)
            .flat_map(|batch| drawn(&engine, &set, evaluation, Run { shuffle: false, ..Run::at(batch) }));
        assert_eq!(all.collect::<Vec<u32>>(), Vec::from_iter(0..60), "{}", engine.name());
    }
}
