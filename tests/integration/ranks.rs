//! Ranks of one run, on threads: they train as one rank does that takes all their micro-batches, and end alike.
//!
//! Without a norm one rank adds up the gradients of its micro-batches in the same order as ranks do theirs, so runs are compared
//! to the bit. Where gradients are clipped, squares are summed in another order.

use crate::support::{assert_close, folder, fresh_gpu};
use gradus::data::{DataSet, Pictures, Sequence, SequenceSizes, Sequences, digits};
use gradus::dist::{Collective, Error as DistError, Rank, Threads};
use gradus::engine::Engine;
use gradus::engine::layout::pcg;
use gradus::nn::Activation;
use gradus::nn::models::{Bert, Mlp, ResNet, TransformerSizes};
use gradus::optim::{Clip, Settings};
use gradus::params::Storage;
use gradus::schedule::lr_find::Sweep;
use gradus::schedule::{Plan, Spec};
use gradus::train::{
    Checkpoints, Classify, ClassifyPictures, ClassifySequences, Config, Error, Evaluation, Event, Task, Trainer,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) const COSINE: &str = "optimizer: {type: adamw, lr: 5.0e-3}\nlr_scheduler: {type: cosine}";

/// Phases that end by patience and go back to the best, and a run that ends by it.
pub(crate) const GRADUAL: &str = "
optimizer: {type: adamw, lr: 1.0e-2}
early_stopping: {monitor: val_loss, patience: 1, min_delta: 0.05}
phases:
  0: {params: ['layers.2.*'], max_transition_epoch: 2}
  1: {params: ['layers.1.*'], lr: 5.0e-3, max_transition_epoch: 4}
  2: {params: ['layers.0.*'], lr: 5.0e-3}
";

/// The engines that ranks are tried on: each rank has one of its own.
pub(crate) fn kinds() -> Vec<fn() -> Engine> {
    let gpu: fn() -> Engine = || fresh_gpu().expect("it was there before");
    let cpu: fn() -> Engine = Engine::cpu;
    if fresh_gpu().is_some() { vec![gpu, cpu] } else { vec![cpu] }
}

/// Does the same on each of so many ranks; what each came to.
pub(crate) fn on<T: Send>(ranks: usize, run: impl Fn(Threads) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let started: Vec<_> = Threads::of(ranks).into_iter().map(|end| scope.spawn(|| run(end))).collect();
        started.into_iter().map(|thread| thread.join().expect("no rank panics")).collect()
    })
}

pub(crate) fn mlp() -> Classify {
    let (train, test) = digits().expect("digits").split(20, 3).expect("a split");
    let model = Mlp::new(&[64, 24, 16, 10], Activation::Relu).expect("a model");
    Classify::new(&model, (&train, &test)).expect("a task")
}

/// Sequences of several lengths, read with dropout.
pub(crate) fn encoder() -> ClassifySequences {
    let one = |number: u32| {
        let tokens: Vec<u32> = (0..1 + pcg(number) % 9).map(|place| pcg(number ^ pcg(place)) % 96).collect();
        Sequence::new(tokens.clone(), tokens[0] % 3)
    };
    let shape = SequenceSizes::new(9, 96, 3).types(2);
    let set = Sequences::new(shape, &(0..101).map(one).collect::<Vec<_>>()).expect("a set");
    let (train, test) = set.split(30, 3).expect("two");
    let sizes = TransformerSizes::new([2, 2, 16], 96, 12).intermediate(24).activation(Activation::GeluNew);
    ClassifySequences::new(&Bert::new(sizes.dropout(0.1), 3), (&train, &test)).expect("a task")
}

pub(crate) fn config() -> Config {
    Config::default().batch_size(16).epochs(3).seed(5).settings(Settings::default().guard(true))
}

pub(crate) fn trainer(engine: &Engine, task: &dyn Task, schedule: &str, config: &Config) -> Trainer {
    let spec = Spec::parse("run.yaml", schedule).expect("a spec");
    Trainer::new(engine, task, config.clone(), |params, epochs| Plan::new(&spec, params, epochs)).expect("a trainer")
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ran {
    pub(crate) evaluations: Vec<Evaluation>,
    /// Losses of steps whose reports have come, by step.
    losses: BTreeMap<u64, u32>,
    pub(crate) phases: Vec<(usize, u64)>,
    pub(crate) values: Vec<(String, Vec<u32>)>,
}

impl Ran {
    /// Its evaluations in words, in which a number that is none is equal to itself.
    fn told(&self) -> String {
        format!("{:#?}", self.evaluations)
    }
}

/// Trains to the end.
pub(crate) fn ran(trainer: &mut Trainer) -> Ran {
    let (mut evaluations, mut losses, mut phases) = (Vec::new(), BTreeMap::new(), Vec::new());
    let tell = |event: &Event| match event {
        Event::Evaluation(evaluation) => evaluations.push(*evaluation),
        Event::Step(progress) => drop(losses.insert(progress.step, progress.loss.to_bits())),
        Event::Phase(began) => phases.push((began.phase, began.steps)),
        _ => {}
    };
    trainer.run(tell).expect("a run");
    Ran { evaluations, losses, phases, values: values(trainer) }
}

/// Parameters, bit for bit.
pub(crate) fn values(trainer: &Trainer) -> Vec<(String, Vec<u32>)> {
    let bits = |name: &str| trainer.parameters().read(name).expect("values").iter().map(|it| it.to_bits()).collect();
    trainer.parameters().params().iter().map(|param| (param.name.clone(), bits(&param.name))).collect()
}

/// A trainer that has joined the others.
pub(crate) fn joined(end: Threads, engine: &Engine, task: &dyn Task, schedule: &str, config: &Config) -> Trainer {
    let mut trainer = trainer(engine, task, schedule, &config.clone().rank(end.rank()));
    trainer.join(Box::new(end)).expect("ranks alike");
    trainer
}

/// A run of so many ranks: what all of them came to alike.
pub(crate) fn among(
    ranks: usize,
    engine: fn() -> Engine,
    task: &(dyn Task + Sync),
    schedule: &str,
    config: &Config,
) -> Ran {
    let ran = on(ranks, |end| ran(&mut joined(end, &engine(), task, schedule, config)));
    for (rank, other) in ran.iter().enumerate().skip(1) {
        assert_eq!(other.told(), ran[0].told(), "rank {rank}");
        assert_eq!((&other.losses, &other.phases), (&ran[0].losses, &ran[0].phases), "rank {rank}");
        assert!(other.values == ran[0].values, "rank {rank} has other parameters");
    }
    ran.into_iter().next().expect("a rank")
}

/// The same run on one rank that takes the micro-batches of all.
fn alone(ranks: usize, engine: fn() -> Engine, task: &dyn Task, schedule: &str, config: &Config) -> Ran {
    let micro_batches = config.micro_batches * ranks;
    ran(&mut trainer(&engine(), task, schedule, &config.clone().micro_batches(micro_batches)))
}

pub(crate) fn assert_same_bits(what: &str, got: &Ran, expected: &Ran) {
    assert!(expected.evaluations.len() > 1, "{expected:?}");
    assert_eq!(got.phases, expected.phases, "{what}");
    // One rank sums the losses of an epoch micro-batch by micro-batch; the exact sums are those.
    assert_eq!(got.told(), expected.told(), "{what}");
    assert!(got.values == expected.values, "{what}: other parameters");
}

#[test]
fn ranks_have_the_bits_of_one_that_takes_their_micro_batches() {
    for engine in kinds() {
        for (ranks, micro_batches) in [(2, 1), (3, 1)] {
            let config = config().micro_batches(micro_batches);
            let (got, expected) =
                (among(ranks, engine, &mlp(), COSINE, &config), alone(ranks, engine, &mlp(), COSINE, &config));
            assert_same_bits(&format!("{ranks} ranks on {}", engine().name()), &got, &expected);
        }
    }
}

#[test]
fn ranks_thaw_go_back_to_the_best_and_stop_as_one() {
    for engine in kinds() {
        for decide in ["", "decide: lag\n"] {
            let (schedule, config) = (format!("{GRADUAL}{decide}"), config().epochs(20));
            let expected = alone(2, engine, &mlp(), &schedule, &config);
            assert!(expected.phases.len() == 2 && expected.evaluations.len() < 20, "{:?}", expected.phases);
            assert_same_bits(engine().name(), &among(2, engine, &mlp(), &schedule, &config), &expected);
        }
    }
}

#[test]
fn ranks_drop_and_round_as_one() {
    let half = "optimizer: {type: adamw, lr: 5.0e-3}\nlr_scheduler: {type: constant}\n";
    let trunk = "optimizer: {type: adamw, lr: 5.0e-3}\nphases:\n  0: {params: [classifier]}\n";
    for engine in kinds() {
        // All of it in bf16, and a frozen trunk whose outputs are cached, on the device and on the host.
        let config = config().batch_size(4);
        let cached = config.clone().still_trunk(true);
        let on_host = cached.clone().trunk_device_limit_bytes(0);
        let cases = [(half, config.clone().parameters(Storage::Bf16)), (trunk, cached), (trunk, on_host)];
        for (schedule, config) in cases {
            let (got, expected) =
                (among(3, engine, &encoder(), schedule, &config), alone(3, engine, &encoder(), schedule, &config));
            assert_same_bits(engine().name(), &got, &expected);
        }
    }
}

/// N ranks x batch B and one rank x N·B: sums of f32 in another order, over 66 steps. 1e-3 is 20 times what was seen.
#[test]
fn ranks_train_as_one_with_a_batch_of_all_their_rows() {
    for engine in kinds() {
        for (ranks, micro_batches) in [(2, 1), (3, 2)] {
            let settings = Settings::default().guard(true).clip(Clip::norm(0.5));
            let config = config().batch_size(24 / ranks).micro_batches(micro_batches).settings(settings);
            let got = among(ranks, engine, &mlp(), COSINE, &config);
            assert_eq!(got, among(ranks, engine, &mlp(), COSINE, &config), "two runs of {ranks} ranks differ");
            let expected = ran(&mut trainer(&engine(), &mlp(), COSINE, &config.clone().batch_size(24)));
            assert_eq!(got.evaluations.len(), expected.evaluations.len());
            for (got, expected) in got.evaluations.iter().zip(&expected.evaluations) {
                let losses = |of: &Evaluation| [of.train_loss as f32, of.val_loss as f32];
                assert_close("losses", &losses(got), &losses(expected), 1e-3, 0.0);
            }
            for ((name, got), (_, expected)) in got.values.iter().zip(&expected.values) {
                let floats = |bits: &[u32]| bits.iter().map(|bits| f32::from_bits(*bits)).collect::<Vec<f32>>();
                assert_close(name, &floats(got), &floats(expected), 1e-3, 1e-3);
            }
            // Steps say the mean over the rows of all ranks.
            let loss = |ran: &Ran| ran.losses.get(&0).map(|bits| f32::from_bits(*bits)).expect("the first step's");
            if micro_batches == 1 {
                assert_close("the first loss", &[loss(&got)], &[loss(&expected)], 1e-6, 0.0);
            }
        }
    }
}

/// An example whose gradient is not finite: whichever rank draws it, all leave out the step.
#[test]
fn a_step_that_is_not_finite_on_one_rank_is_left_out_by_all() {
    let (train, test) = digits().expect("digits").split(20, 3).expect("a split");
    let rows = train.rows();
    let broken = |row: usize| if row == 7 { f32::INFINITY } else { 0.0 };
    let inputs = (0..rows * 64).map(|place| (pcg(place as u32) % 17) as f32 / 16.0 + broken(place / 64)).collect();
    let labels = (0..rows).map(|row| pcg(row as u32) % 10).collect();
    let train = DataSet::new(64, 10, inputs, labels).expect("a set");
    let model = Mlp::new(&[64, 24, 10], Activation::Relu).expect("a model");
    let task = Classify::new(&model, (&train, &test)).expect("a task");
    for engine in kinds() {
        let got = among(2, engine, &task, COSINE, &config());
        assert_same_bits(engine().name(), &got, &alone(2, engine, &task, COSINE, &config()));
        let skipped: Vec<u64> = got.evaluations.iter().map(|evaluation| evaluation.skipped_steps).collect();
        assert_eq!(skipped, [1, 2, 3], "once an epoch");
    }
}

/// Running statistics follow a rank's own rows; what is tested and written has the first rank's.
#[test]
fn ranks_test_with_the_statistics_of_the_first() {
    let byte = |place: u32| (pcg(place) % 256) as u8;
    let pictures = |count: u32| {
        let bytes: Vec<u8> = (0..count * 8 * 8 * 3).map(byte).collect();
        Pictures::new([8, 8], 2, &bytes, (0..count).map(|it| it % 2).collect()).expect("pictures")
    };
    let model = ResNet::new(18, [8, 8], 2).expect("a model").blocks(vec![1]).width(4);
    let task = ClassifyPictures::new(model, (&pictures(24), &pictures(7))).expect("a task");
    for engine in kinds() {
        let got = among(2, engine, &task, COSINE, &config().batch_size(4).epochs(2));
        assert_eq!(got, among(2, engine, &task, COSINE, &config().batch_size(4).epochs(2)));
        assert!(got.evaluations.iter().all(|evaluation| evaluation.val_loss.is_finite()));
    }
}

/// A folder of checkpoints that goes when the test ends.
pub(crate) struct Shelf(pub(crate) PathBuf);

impl Shelf {
    pub(crate) fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(&self.0, 99, Some(10)).expect("a folder")
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A run on so many ranks that goes on from a folder of checkpoints, or begins there and ends before its end.
fn on_shelf(
    ranks: usize,
    engine: fn() -> Engine,
    config: &Config,
    (shelf, stop): (&Shelf, u64),
) -> Vec<(Ran, Option<u64>)> {
    on(ranks, |end| {
        let mut trainer = trainer(&engine(), &mlp(), GRADUAL, &config.clone().rank(end.rank()));
        let resumed = trainer.resume(shelf.checkpoints()).expect("a folder").map(|resumed| resumed.steps);
        trainer.join(Box::new(end)).expect("ranks alike");
        let mut written = 0;
        let mut tell = |event: &Event| written += usize::from(matches!(event, Event::Checkpoint(_)));
        while trainer.cursor().step() < stop && !trainer.is_over() {
            trainer.advance(&mut tell).expect("the run goes on");
        }
        let ran = Ran {
            evaluations: Vec::new(),
            losses: BTreeMap::new(),
            phases: vec![(written, trainer.cursor().step())],
            values: values(&trainer),
        };
        (ran, resumed)
    })
}

#[test]
fn a_run_of_ranks_goes_on_to_the_bit_with_as_many_ranks_or_others() {
    for engine in kinds() {
        let config = config().epochs(6).micro_batches(1);
        let whole = on_shelf(2, engine, &config, (&Shelf(folder("ranks-whole")), u64::MAX));
        // Who goes on, and with how many micro-batches each, so that a step has the same rows.
        for (ranks, micro_batches) in [(2, 1), (1, 2)] {
            let shelf = Shelf(folder("ranks-resumed"));
            let begun = on_shelf(2, engine, &config, (&shelf, 95));
            assert!(begun[0].0.phases[0].0 >= 9 && begun[1].0.phases[0].0 == 0, "the first alone writes");
            let config = config.clone().micro_batches(micro_batches);
            for (ran, resumed) in on_shelf(ranks, engine, &config, (&shelf, u64::MAX)) {
                assert_eq!(resumed, Some(90));
                assert!(ran.values == whole[0].0.values, "{ranks} ranks go on otherwise on {}", engine().name());
            }
        }
    }
}

#[test]
fn a_range_test_among_ranks_is_one_of_all_their_rows() {
    for engine in kinds() {
        let sweep = Sweep::default().start(1e-5).end(1e-1).num(20);
        let curve = |trainer: &mut Trainer| {
            let before = values(trainer);
            let curve = trainer.lr_find(&sweep, |_| ()).expect("a curve");
            assert!(values(trainer) == before, "the run is as it was");
            curve.points().iter().map(|point| point.loss).collect::<Vec<f64>>()
        };
        let got = on(2, |end| curve(&mut joined(end, &engine(), &mlp(), COSINE, &config())));
        let expected = curve(&mut trainer(&engine(), &mlp(), COSINE, &config().micro_batches(2)));
        assert!(got[0] == expected && got[1] == expected && expected.len() > 5, "{got:?}\n{expected:?}");
    }
}

/// What a step among ranks costs each of them.
#[test]
fn a_step_among_ranks_is_two_submissions_and_one_wait() {
    let Some(_) = fresh_gpu() else { return };
    let costs = on(2, |end| {
        let engine = fresh_gpu().expect("an engine");
        let mut trainer = joined(end, &engine, &mlp(), COSINE, &config());
        trainer.take_step().expect("a step");
        let before = (engine.counters(), trainer.exchanged());
        (0..5).for_each(|_| drop(trainer.take_step().expect("a step")));
        let (cost, exchanged) = (engine.counters() - before.0, trainer.exchanged());
        assert_eq!(exchanged.steps - before.1.steps, 5);
        let gradients = trainer.optimizer().gradient_bytes();
        assert!(
            (exchanged.bytes - before.1.bytes).abs_diff(5 * gradients) <= 5 * 256 * 6,
            "{exchanged:?}, {gradients}"
        );
        (cost.submissions, cost.blocking_waits)
    });
    assert_eq!(costs, [(10, 5); 2]);
}

/// Whether ranks with these settings join, and what they are told if not.
fn told(change: impl Fn(Config, usize) -> Config + Sync, task: impl Fn(usize) -> Classify + Sync) -> Vec<String> {
    on(2, |end| {
        let rank = end.rank();
        let config = change(config().rank(rank), rank.number);
        let mut trainer = trainer(&Engine::cpu(), &task(rank.number), COSINE, &config);
        if rank.number == 1 && config.seed == 77 {
            let name = trainer.parameters().params()[0].name.clone();
            trainer.parameters().upload(&name, &vec![0.5; 64 * 24]).expect("an upload");
        }
        trainer.join(Box::new(end)).err().map_or_else(String::new, |error| error.to_string())
    })
}

#[test]
fn ranks_of_different_runs_are_told_before_the_first_step() {
    let same = |_| mlp();
    assert_eq!(told(|config, _| config, same), ["", ""]);
    let other_data = |rank: usize| {
        let (train, test) = digits().expect("digits").split(20, 3 + rank as u32).expect("a split");
        let model = Mlp::new(&[64, 24, 16, 10], Activation::Relu).expect("a model");
        Classify::new(&model, (&train, &test)).expect("a task")
    };
    for (what, told) in [
        ("seed is 5 on rank 0 and 6 on rank 1", told(|config, rank| config.seed(5 + rank as u32), same)),
        ("batch_size is 16 on rank 0 and 17 on rank 1", told(|config, rank| config.batch_size(16 + rank), same)),
        ("the length of the run is ", told(|config, rank| config.epochs(3 + rank), same)),
        ("the data is ", told(|config, _| config, other_data)),
        ("the parameters is ", told(|config, _| config.seed(77), same)),
    ] {
        let begins = "rank 1 is not about to train the same run as rank 0: ";
        assert_eq!(told[0], told[1]);
        assert!(told[0].starts_with(begins) && told[0][begins.len()..].starts_with(what), "{what}: {}", told[0]);
    }
}

#[test]
fn a_rank_without_the_others_takes_no_step() {
    let task = mlp();
    let rank = Rank { number: 1, of: 2 };
    let mut lonely = trainer(&Engine::cpu(), &task, COSINE, &config().rank(rank));
    let before = values(&lonely);
    assert!(matches!(lonely.take_step(), Err(Error::NotJoined)));
    assert!(values(&lonely) == before && lonely.cursor().step() == 0);
    let mut others = Threads::of(3).into_iter();
    let error = lonely.join(Box::new(others.next().expect("a rank"))).expect_err("other ranks");
    assert_eq!(error.to_string(), "this is rank 1 of 2 by the run's settings, and 0 of 3 among the ranks");
    let none = trainer_error(&task, config().rank(Rank { number: 2, of: 2 }));
    assert_eq!(none, "rank = 2: there are 2 ranks, numbered from 0 on");
    let few = trainer_error(&task, config().batch_size(700).rank(Rank { number: 0, of: 3 }));
    assert_eq!(few, "batch_size = 700: a step takes 2100 rows, the train set has 1438");
}

fn trainer_error(task: &dyn Task, config: Config) -> String {
    let spec = Spec::parse("run.yaml", COSINE).expect("a spec");
    let made = Trainer::new(&Engine::cpu(), task, config, |params, epochs| Plan::new(&spec, params, epochs));
    made.err().expect("an error").to_string()
}

#[test]
fn a_rank_that_ends_early_ends_the_others() {
    let ended = on(2, |end| {
        let number = end.rank().number;
        let mut trainer = joined(end, &Engine::cpu(), &mlp(), COSINE, &config());
        for _ in 0..4 {
            trainer.take_step().expect("a step");
        }
        if number == 1 {
            return (4, String::new());
        }
        let mut error = None;
        while error.is_none() {
            error = trainer.take_step().err();
        }
        (trainer.cursor().step(), error.expect("an error").to_string())
    });
    assert_eq!(ended[0], (4, DistError::Gone { rank: 1 }.to_string()), "a step that was not taken does not count");
}

#[test]
fn ranks_stop_at_the_same_step_when_one_is_told_to() {
    let stopped = on(3, |end| {
        let number = end.rank().number as u64;
        let mut trainer = joined(end, &Engine::cpu(), &mlp(), COSINE, &config());
        loop {
            trainer.advance(|_| ()).expect("a step");
            let step = trainer.cursor().step();
            if trainer.agreed(number == 1 && step == 7).expect("ranks") {
                return step;
            }
        }
    });
    assert_eq!(stopped, [7; 3]);
}
