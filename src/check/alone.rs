//! What kernels are tried with that are in no network and in no update: those that draw batches, that count and judge an
//! evaluation, and that copy.

use super::trial::{JUNK, Trial};
use crate::engine::kernels::{
    CONFUSION, COPY, Family, GATHER, GATHER_CACHED, GATHER_PICTURES, GATHER_SEQUENCES, GATHER_TOKENS, JUDGE, KEEP,
    LABEL_CONFUSION, SQUARED_ERROR_SUMS,
};
use crate::engine::layout::{
    Gather, GatherCached, GatherPictures, GatherSequences, GatherTokens, IGNORED, Loss, Metrics, Position, Span,
    Standing, TYPE_SHIFT, TableHeader, TableRow, noise, pcg,
};
use crate::engine::{Engine, Sizes, row_of};

/// Examples of the set, rows of a micro-batch, micro-batches of a step, tokens of an example, and the step.
const SIZES: [[u32; 5]; 4] = [[7, 3, 1, 9, 0], [65, 13, 2, 5, 4], [200, 9, 3, 64, 11], [500, 70, 1, 1, 6]];

/// A constant of a shader, and its value.
type Constant = (&'static str, f64);

fn record<T: bytemuck::NoUninit>(record: T) -> Vec<u32> {
    bytemuck::cast_slice(&[record]).to_vec()
}

fn words(seed: u32, count: u32) -> Vec<u32> {
    (0..count).map(|at| pcg(at ^ pcg(seed))).collect()
}

fn junk(count: u32) -> Vec<u32> {
    vec![JUNK.to_bits(); count as usize]
}

fn table(first_step: u32) -> Vec<u32> {
    [record(TableHeader { first_step, steps: 1, ..TableHeader::default() }), record(TableRow::default())].concat()
}

/// Trials with an engine's sizes.
pub(super) fn trials(engine: &Engine) -> Vec<Trial> {
    let sizes = engine.sizes();
    let mut all: Vec<Trial> = Vec::new();
    for [samples, rows, micro_batches, context, step] in SIZES {
        for shuffle in [true, false] {
            let steps_per_epoch = samples.div_ceil(rows * micro_batches);
            let step = if shuffle { step } else { steps_per_epoch - 1 };
            let (slot, seed, micro) = (step.min(2), samples, micro_batches - 1);
            let clock = vec![0; 4];
            let mut of = |family: &'static Family, memory: Vec<Vec<u32>>, invocations: u32, more: &[Constant]| {
                let usual = [("WORKGROUP", f64::from(sizes.gather)), ("SHUFFLE", f64::from(u8::from(shuffle)))];
                let constants = [&usual[..], more].concat();
                let grid = row_of(invocations.div_ceil(sizes.gather) + 1);
                all.push(Trial { kernel: family.plain(), constants, grid, slot, memory });
            };
            let (first_step, quads, position) = (table(step - slot), 3, junk(4));
            let shape = Gather { samples, rows, quads, steps_per_epoch, micro_batches, micro, seed, pad0: 0 };
            let numbers = noise(seed, (samples * quads * 4) as usize).iter().map(|n| n.to_bits()).collect();
            let labels = (0..samples).map(|s| s % 5).collect();
            let (x, y) = (junk(rows * quads * 4), junk(rows));
            let memory =
                vec![numbers, labels, x, y, position.clone(), first_step.clone(), record(shape), clock.clone()];
            of(&GATHER, memory, rows * quads, &[]);

            let (scale, shift) = ([0.02, 0.01, 0.03, 0.0], [-1.5, -1.0, 0.5, 0.0]);
            let of_one = GatherPictures { height: context.div_ceil(3), width: 3, scale, shift, ..Default::default() };
            let shape = GatherPictures { samples, rows, steps_per_epoch, micro_batches, micro, seed, ..of_one };
            let pixels = shape.pixels();
            // All pictures, and room for those of a step.
            let bytes: Vec<u32> =
                words(seed, samples.max(rows * micro_batches) * pixels).iter().map(|word| word >> 8).collect();
            let labels: Vec<u32> = (0..samples).map(|s| s % 3).collect();
            let augmented = [
                ([0, 0], shape),
                ([1, 0], GatherPictures { flip: 1, padding: 2, ..shape }),
                ([1, 0], GatherPictures { flip: 1, least_area: 0.3, ..shape }),
                ([1, 1], GatherPictures { flip: 1, padding: 1, ..shape }),
            ];
            for ([augment, ahead], shape) in augmented {
                let (x, y) = (junk(rows * pixels * 4), junk(rows));
                let (bytes, labels) = (bytes.clone(), labels.clone());
                let memory =
                    vec![bytes, labels, x, y, position.clone(), first_step.clone(), record(shape), clock.clone()];
                let switches = [("AUGMENT", f64::from(augment)), ("AHEAD", f64::from(ahead))];
                of(&GATHER_PICTURES, memory, rows * pixels, &switches);
            }

            // What is tested ends in the midst of a window.
            let tokens = if shuffle { (samples + 1) * context + context / 2 } else { samples * context - context / 3 };
            let offsets = if shuffle { context.min(tokens - samples * context).max(1) } else { 1 };
            let shape = GatherTokens {
                tokens,
                context,
                samples,
                offsets,
                rows,
                steps_per_epoch,
                micro_batches,
                micro,
                seed,
                ..GatherTokens::default()
            };
            let stream = words(seed, tokens).iter().map(|word| word >> 8).collect();
            let [inputs, targets, mask] = [(); 3].map(|()| junk(rows * context));
            let memory =
                vec![stream, inputs, targets, mask, position.clone(), first_step.clone(), record(shape), clock.clone()];
            of(&GATHER_TOKENS, memory, rows * context, &[]);

            let shape =
                GatherSequences { samples, context, rows, steps_per_epoch, micro_batches, micro, seed, pad0: 0 };
            let sequence = |sample: u32| {
                let tokens = words(sample, context).into_iter().map(|word| (word >> 8) | (word & 3) << TYPE_SHIFT);
                [sample % 5, sample % context + 1].into_iter().chain(tokens)
            };
            let sequences = (0..samples).flat_map(sequence).collect();
            let [tokens, mask, types] = [(); 3].map(|()| junk(rows * context));
            let memory = vec![sequences, tokens, mask, types, junk(rows), position, first_step, record(shape), clock];
            of(&GATHER_SEQUENCES, memory, rows * context, &[]);

            let (first, count, batches) = (samples / 3, samples / 2, steps_per_epoch * micro_batches);
            let shape = GatherCached { samples, rows, quads, seed, first, count, batches, pad0: 0 };
            let position = Position { step, epoch: step / steps_per_epoch, batch: step % steps_per_epoch, counting: 0 };
            let cached = noise(seed, (count * quads * 4) as usize).iter().map(|n| n.to_bits()).collect();
            of(
                &GATHER_CACHED,
                vec![cached, junk(rows * quads * 4), record(position), record(shape)],
                rows * quads,
                &[],
            );
        }
    }
    all.push(copy(sizes));
    all.push(keep(sizes, 1));
    all.push(keep(sizes, 0));
    all.extend(judges());
    all.extend(counts(sizes));
    all
}

/// Rows and outputs of a batch that is counted, the first one and a later one.
fn counts(sizes: &Sizes) -> Vec<Trial> {
    let mut all = Vec::new();
    for ([rows, outputs], batch) in [([5, 1], 0), ([7, 3], 2), ([130, 6], 1), ([300, 41], 0), ([9, 500], 3)] {
        let shape = Loss::new(rows as usize, outputs as usize);
        let stride = shape.quads as usize * 4;
        let numbers = |seed: u32| noise(seed, rows as usize * stride).iter().map(|n| n.to_bits()).collect::<Vec<u32>>();
        // Some rows are after the last one, and some logits are no numbers.
        let mut z = numbers(rows);
        z.iter_mut().skip(2 * stride).step_by(37 * stride).for_each(|z| *z = f32::NAN.to_bits());
        let labels: Vec<u32> = (0..rows).map(|r| if r % 5 == 4 { IGNORED } else { pcg(r) % outputs }).collect();
        let position = record(Position { batch, ..Position::default() });
        let before = |count: u32| (0..count).map(|at| at % 7).collect::<Vec<u32>>();
        let mut of = |family: &'static Family, memory: Vec<Vec<u32>>| {
            let constants = vec![("WORKGROUP", f64::from(sizes.tally))];
            all.push(Trial { kernel: family.plain(), constants, grid: [1, 1, 1], slot: 0, memory });
        };
        let cells = before(outputs * outputs);
        of(&CONFUSION, vec![z.clone(), labels.clone(), cells, position.clone(), record(shape)]);
        let (targets, cells) = (numbers(outputs), before(4 * outputs));
        of(&LABEL_CONFUSION, vec![z, targets.clone(), labels.clone(), cells, position.clone(), record(shape)]);
        let (z, sums) = (numbers(batch), junk((batch + 1) * outputs));
        of(&SQUARED_ERROR_SUMS, vec![z, targets, labels, sums, position, record(shape)]);
    }
    all
}

/// Every way to compare, with scores of all sizes: a loss that is nothing, not a number, or hardly less than the best so far.
fn judges() -> Vec<Trial> {
    let whole = |rows: u32, loss_whole: u32, loss_part: u32| Metrics {
        loss_sum: loss_whole as f32,
        correct: rows / 3,
        rows,
        loss_whole,
        loss_part,
        ..Metrics::default()
    };
    let found = [
        Metrics::default(),
        whole(3, 2, 0),
        whole(7, 0, 1 << 31),
        whole(1797, 4000, 12_345_678),
        whole(100_003, u32::MAX, u32::MAX - 5),
        Metrics { loss_sum: 4.7e11, ..whole(13, 77, 0) },
        Metrics { loss_sum: f32::NAN, ..whole(5, 1, 0) },
        Metrics { loss_sum: f32::INFINITY, ..whole(5, 1, 0) },
    ];
    let best = [(0, 0.0), (1, 0.333_333_34), (1, 0.071_428_575), (1, 100.0), (1, 0.0)];
    let mut all = Vec::new();
    for metrics in found {
        for (known, score) in best {
            for (accuracy, higher) in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)] {
                let standing = Standing { known, score, ..Standing::default() };
                let constants = vec![("ACCURACY", accuracy), ("HIGHER", higher)];
                let memory = vec![record(metrics), record(standing)];
                all.push(Trial { kernel: JUDGE.plain(), constants, grid: [1, 1, 1], slot: 0, memory });
            }
        }
    }
    all
}

fn keep(sizes: &Sizes, known: u32) -> Trial {
    let spans = [[0u32, 5, 1], [1, 0, 4], [7, 20, 300], [400, 330, 65]];
    let spans = spans.map(|[source, copy, quads]| Span { source, copy, quads, ..Span::default() });
    let standing = Standing { known: 1, best: 1 - known, ..Standing::default() };
    let constants = vec![("WORKGROUP", f64::from(sizes.chunk)), ("KNOWN", f64::from(known))];
    let memory = vec![record(standing), spans.into_iter().flat_map(record).collect(), words(1, 2000), junk(2000)];
    Trial { kernel: KEEP.plain(), constants, grid: [4, 1, 1], slot: 0, memory }
}

fn copy(sizes: &Sizes) -> Trial {
    let ([workgroup, quads], count) = (sizes.copy, 1001);
    let constants = vec![("WORKGROUP", f64::from(workgroup)), ("QUADS", f64::from(quads))];
    let grid = row_of(u32::div_ceil(count, workgroup * quads));
    let memory = vec![words(1, 4 * count), junk(4 * count)];
    Trial { kernel: COPY.plain(), constants, grid, slot: 0, memory }
}
