//! Each operation of a transformer alone, at the sizes of W2 (decoder: 16 sequences of 64 tokens, hidden 128, 96 entries)
//! and W3 (encoder: 4 sequences of 64, hidden 384, 30,522 entries). A case is one dispatch, submitted and waited for.
//!
//! ```text
//! cargo bench --bench nn_ops                  # everything, about 2 minutes on software Vulkan
//! cargo bench --bench nn_ops -- layer_norm    # what has this in its name
//! ```

use criterion::{Criterion, SamplingMode};
use gradus::engine::layout::{Dropout, Embedding, LayerNorm, Linear, Loss, Pool, Position, pcg};
use gradus::engine::{AdapterChoice, Dispatch, Engine, Program, Range, Submission};
use gradus::nn::ops::{self, After};
use gradus::nn::{Activation, Error};
use gradus::params::Storage;
use std::time::Duration;

/// Sizes of a workload.
struct Work {
    name: &'static str,
    batch: usize,
    context: usize,
    hidden: usize,
    feed_forward: usize,
    entries: usize,
}

const WORKS: [Work; 2] = [
    Work { name: "w2", batch: 16, context: 64, hidden: 128, feed_forward: 512, entries: 96 },
    Work { name: "w3", batch: 4, context: 64, hidden: 384, feed_forward: 1536, entries: 30_522 },
];

fn main() {
    let engine = Engine::new(&AdapterChoice::from_env()).expect("an engine");
    println!("{}", engine.name());
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for work in &WORKS {
        let cases = layers(&engine, work).and_then(|mut cases| {
            cases.extend(ends(&engine, work)?);
            Ok(cases)
        });
        for (what, dispatch) in cases.expect("memory") {
            let id = [dispatch.kernel.name, work.name, what].join("/");
            bench(&mut criterion, &engine, id.trim_end_matches('/'), dispatch);
        }
    }
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion, engine: &Engine, id: &str, dispatch: Dispatch) {
    let program = Program::of(id, vec![dispatch]);
    let prepared = engine.prepare(program).expect("a program");
    let mut group = criterion.benchmark_group("nn");
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let programs = [&prepared];
            let submission = Submission::of(&programs);
            engine.submit(&submission).and_then(|()| engine.wait()).expect("a run");
        });
    });
    group.finish();
}

type Cases = Vec<(&'static str, Dispatch)>;

/// Memory for `count` numbers in [-1, 1).
fn floats(engine: &Engine, count: usize) -> Result<Range, Error> {
    let values: Vec<f32> = (0..count as u32).map(|at| pcg(at) as f32 / 2_147_483_648.0 - 1.0).collect();
    Ok(engine.buffer_with("numbers", &values)?.all())
}

/// Memory for `count` names below `most`.
fn names(engine: &Engine, count: usize, most: usize) -> Result<Range, Error> {
    let names: Vec<u32> = (0..count as u32).map(|at| pcg(at) % most as u32).collect();
    Ok(engine.buffer_with("names", &names)?.all())
}

/// A dispatch that writes the squares of a gradient too.
fn with_squares(engine: &Engine, dispatch: Dispatch, gradient: Range) -> Result<Dispatch, Error> {
    let mut dispatches = [dispatch];
    ops::write_squares(engine, &mut dispatches, &[(String::new(), gradient)])?;
    let [dispatch] = dispatches;
    Ok(dispatch)
}

/// What stands in the layers.
fn layers(engine: &Engine, work: &Work) -> Result<Cases, Error> {
    let (rows, hidden, wide) = (work.batch * work.context, work.hidden, work.feed_forward);
    let numbers = |count: usize| floats(engine, count);
    let (up, down) = (Linear::new(rows, hidden, wide), Linear::new(rows, wide, hidden));
    let [x, y, sum] = [(); 3].map(|()| numbers(rows * hidden));
    let (x, y, sum) = (x?, y?, sum?);
    let [z, h] = [(); 2].map(|()| numbers(rows * wide));
    let (z, h, w, dw) = (z?, h?, numbers(hidden * wide)?, numbers(hidden * wide)?);
    let (b, gamma, beta, moments) = (numbers(wide)?, numbers(hidden)?, numbers(hidden)?, numbers(2 * rows)?);
    let (bias, dgamma, dbeta, w) = (Some(b.clone()), numbers(hidden)?, numbers(hidden)?, (w, Storage::F32));
    let gelu = After::Activation(Activation::Gelu, h.clone());
    let [px, py] = [x.clone(), y.clone()];
    let norm = LayerNorm::new(rows, hidden, 1e-5);
    let drop = Dropout::new(1, 2, 0.1, rows * norm.quads as usize);
    let position = engine.buffer("position", size_of::<Position>() as u64)?.all();
    let memory = [x.clone(), gamma.clone(), beta.clone(), y.clone(), moments.clone()];
    let below = Some((Activation::Gelu, h.clone()));
    let targets = [Some(dw.clone()), Some(b)];
    let weight = ops::linear_backward_weight(engine, &up, [h.clone(), x.clone()], targets, false)?;
    Ok(vec![
        ("up", ops::linear(engine, &up, w.clone(), [x.clone(), z.clone()], bias.clone(), gelu)?),
        ("down", ops::linear(engine, &down, w.clone(), [h.clone(), y.clone()], bias, After::Residual(x.clone()))?),
        ("up", ops::linear_backward_input(engine, &up, w.clone(), [h.clone(), y.clone()], None, true)?),
        ("down", ops::linear_backward_input(engine, &down, w, [x.clone(), z.clone()], below, false)?),
        ("up", weight.clone()),
        ("up", with_squares(engine, weight, dw)?),
        ("", ops::layer_norm(engine, &norm, memory.clone(), None)?),
        ("", ops::layer_norm(engine, &norm, memory, Some([z, sum.clone()]))?),
        (
            "",
            ops::layer_norm_backward(
                engine,
                &norm,
                [px.clone(), sum, gamma.clone(), moments],
                Some((py.clone(), true)),
                [Some(dgamma), Some(dbeta)],
                false,
            )?,
        ),
        ("", ops::dropout(engine, &drop, [px, py, position], None)?),
    ])
}

/// What stands before and after them.
fn ends(engine: &Engine, work: &Work) -> Result<Cases, Error> {
    let (rows, hidden, entries) = (work.batch * work.context, work.hidden, work.entries);
    let numbers = |count: usize| floats(engine, count);
    let shape = Embedding::new(work.batch, work.context, hidden, entries);
    let (tokens, table, positions) =
        (names(engine, rows, entries)?, numbers(entries * hidden)?, numbers(rows * hidden)?);
    let (y, dtable) = (numbers(rows * hidden)?, numbers(entries * hidden)?);
    let (previous, last) = (numbers(rows)?, numbers(entries)?);
    let index = ops::embedding_index(engine, &shape, [tokens.clone(), previous.clone(), last.clone()])?;
    let prepared = engine.prepare(Program::of("index", vec![index.clone()]))?;
    engine.submit(&Submission::of(&[&prepared]))?;
    let (memory, of_tokens) = ([tokens.clone(), y.clone(), dtable.clone()], Some([previous, last]));
    let overwrite = ops::embedding_backward(engine, &shape, memory.clone(), of_tokens.clone(), false)?;
    let loss = Loss::new(rows, entries);
    let (z, dz) = (numbers(rows * loss.quads as usize * 4)?, numbers(rows * loss.quads as usize * 4)?);
    let (verdicts, metrics, position) = (numbers(2 * rows)?, numbers(8)?, numbers(4)?);
    let pool = Pool::new(work.batch, work.context, hidden);
    let (pooled, mask) = (numbers(work.batch * hidden)?, names(engine, rows, 2)?);
    let tables = [table, positions.clone()].map(|table| (table, Storage::F32));
    let judged = [z, tokens.clone(), dz, verdicts.clone(), position.clone()];
    Ok(vec![
        ("", ops::embedding(engine, &shape, [tokens, y.clone()], tables, None)?),
        ("", index),
        ("overwrite", overwrite.clone()),
        ("overwrite", with_squares(engine, overwrite, dtable)?),
        ("accumulate", ops::embedding_backward(engine, &shape, memory, of_tokens, true)?),
        ("train", ops::softmax_cross_entropy(engine, &loss, judged.clone(), true)?),
        ("evaluate", ops::softmax_cross_entropy(engine, &loss, judged, false)?),
        ("", ops::tally(engine, &loss, [verdicts, metrics, position])?),
        ("", ops::mean_pool(engine, &pool, ops::Tokens::All, [y, mask.clone(), pooled.clone()])?),
        ("", ops::mean_pool_backward(engine, &pool, ops::Tokens::All, [pooled, mask, positions])?),
    ])
}
