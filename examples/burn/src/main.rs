//! Burn's models, trained by gradus in Burn's own buffers, beside the same training by Burn's AdamW.

mod models;
mod share;
mod sides;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use gradus::params::{Param, Row};
use gradus::schedule::{Epochs, Plan, Spec};
use share::{Failure, Lender};
use sides::{Ours, Side, Theirs};
use std::time::Instant;

const RUN: Epochs = Epochs { epochs: 5, steps_per_epoch: 10 };
/// Rounds whose times count, after some to warm up. In each, a side takes two steps.
const ROUNDS: usize = 31;
const WARM_UP: usize = 3;

fn main() -> Result<(), Failure> {
    let mut lender = Lender::open()?;
    println!("{}; {}", lender.adapter.name, lender.adapter.driver_info);
    let device = lender.device.clone();
    device.seed(7);
    let (model, loss) = models::mlp(&device);
    compare("MLP", &mut lender, model.freeze(), &loss)?;
    let (model, loss) = models::transformer(&device);
    compare("transformer", &mut lender, model.freeze(), &loss)
}

type Loss<'a, M> = &'a dyn Fn(&M, usize) -> Tensor<1>;

fn compare<M: Module>(name: &str, lender: &mut Lender, model: M, loss: Loss<M>) -> Result<(), Failure> {
    println!("\n{name}\nstep, phase, loss by gradus, by Burn, difference");
    let device = lender.device.clone();
    let (mut theirs, mut ours) = (Theirs::new(model.clone()), Ours::new(lender, model)?);
    let params: Vec<Param> = ours.lent.iter().map(|lent| Param::new(&lent.name, &lent.shape[..])).collect();
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schedule.yaml"))?;
    let spec = Spec::parse("schedule.yaml", &text)?;
    let plan = Plan::new(&spec, &params[..], RUN)?;
    let rows = train(&mut ours, &mut theirs, &plan, loss)?;
    // The last rows continue for the steps whose times are taken.
    let rows = rows.repeat(4 * (WARM_UP + ROUNDS));
    ours.load(plan.steps(), &rows)?;
    theirs.load(plan.steps(), &rows)?;
    measure(&mut ours, &mut theirs, loss, &device)?;
    // No copies: no gradient lies in memory of gradus, and Burn has every parameter where it was at first.
    assert_eq!(ours.optimizer.gradient_bytes(), 0);
    for (now, first) in ours.lender.lend(&ours.model, None)?.iter().zip(&ours.lent) {
        assert!(now.range.buffer.same(&first.range.buffer) && now.range.offset == first.range.offset);
    }
    Ok(())
}

/// Takes both sides through the schedule and holds every loss against the other. Hands back the last step's rows.
fn train<M>(ours: &mut Ours<M>, theirs: &mut Theirs<M>, plan: &Plan, loss: Loss<M>) -> Result<Vec<Row>, Failure>
where
    M: Module,
{
    let mut sides: [&mut dyn Side<M>; 2] = [ours, theirs];
    let mut cursor = plan.start()?;
    let (mut groups, mut rows, mut farthest) = (Vec::new(), Vec::new(), 0.0f32);
    while cursor.step() < plan.steps() {
        if cursor.step().is_multiple_of(RUN.steps_per_epoch) {
            plan.epoch_start(&mut cursor)?;
            let known = groups.len();
            (groups, rows) = (plan.groups(&cursor)?, plan.rows(&cursor, RUN.steps_per_epoch)?);
            for side in &mut sides {
                side.thaw(&groups[known..])?;
                side.load(cursor.step(), &rows)?;
            }
        }
        let mut losses = [0.0; 2];
        for (side, value) in sides.iter_mut().zip(&mut losses) {
            let loss = loss(side.model(), cursor.step() as usize);
            *value = loss.clone().into_scalar::<f32>();
            let gradients = GradientsParams::from_grads(loss.backward(), side.model());
            side.update(gradients)?;
        }
        let difference = losses[0] - losses[1];
        println!("{:3} {} {:.7} {:.7} {difference:+.1e}", cursor.step(), cursor.depth(), losses[0], losses[1]);
        farthest = farthest.max(difference.abs());
        plan.step(&mut cursor)?;
    }
    assert!(farthest <= 1e-5, "the losses differ by {farthest:e}");
    Ok(rows.split_off(rows.len() - groups.len()))
}

/// Takes steps of both sides in turn: gradus with clipping, Burn with clipping, Burn without.
fn measure<M>(ours: &mut Ours<M>, theirs: &mut Theirs<M>, loss: Loss<M>, device: &Device) -> Result<(), Failure>
where
    M: Module,
{
    let clip_norm = theirs.clip_norm;
    let mut times: [Vec<[f64; 2]>; 3] = Default::default();
    let (mut handles, mut before) = (Vec::new(), ours.lender.engine.counters());
    for round in 0..WARM_UP + ROUNDS {
        if round == WARM_UP {
            (times, handles) = Default::default();
            before = ours.lender.engine.counters();
        }
        times[0].push(time(ours, loss, device)?);
        handles.push([ours.finding, ours.binding].map(|time| time.as_secs_f64() * 1e6 / ours.found as f64));
        for (clip_norm, times) in [clip_norm, None].into_iter().zip(&mut times[1..]) {
            theirs.clip_norm = clip_norm;
            times.push(time(theirs, loss, device)?);
        }
    }
    for (place, what) in ["a whole step", "the optimizer alone"].into_iter().enumerate() {
        let milliseconds = |side: usize| median(times[side].iter().map(|it| it[place]).collect());
        let pairs = |side: usize| times[side].iter().zip(&times[0]);
        let ratio = |side: usize| median(pairs(side).map(|(theirs, ours)| theirs[place] / ours[place]).collect());
        println!("{what}: gradus {:.2} ms", milliseconds(0));
        println!("  Burn {:.2} ms, {:.2} times as long", milliseconds(1), ratio(1));
        println!("  Burn without clipping {:.2} ms, {:.2} times as long", milliseconds(2), ratio(2));
    }
    let (did, steps) = (ours.lender.engine.counters() - before, 2 * ROUNDS as u64);
    let [submissions, dispatches, bytes] = [did.submissions, did.dispatches, did.uploaded_bytes].map(|it| it / steps);
    println!("a step: {submissions} submissions, {dispatches} dispatches, {bytes} bytes uploaded");
    let [finding, binding] = [0, 1].map(|place| median(handles.iter().map(|it: &[f64; 2]| it[place]).collect()));
    println!("{} gradients: {finding:.1} us to find each, {binding:.1} us to bind it", ours.found);
    Ok(())
}

/// Milliseconds of a whole step, and of the optimizer's part of another one.
fn time<M: Module>(side: &mut dyn Side<M>, loss: Loss<M>, device: &Device) -> Result<[f64; 2], Failure> {
    let gradients = |model: &M| GradientsParams::from_grads(loss(model, 0).backward(), model);
    let begin = Instant::now();
    let of_step = gradients(side.model());
    side.update(of_step)?;
    device.sync()?;
    let whole = begin.elapsed();
    let of_step = gradients(side.model());
    device.sync()?;
    let begin = Instant::now();
    side.update(of_step)?;
    device.sync()?;
    Ok([whole, begin.elapsed()].map(|time| time.as_secs_f64() * 1e3))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
