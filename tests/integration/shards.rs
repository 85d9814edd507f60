//! Ranks that share out the moments (`shard_optimizer`): the run is that of ranks which all keep all of them.

use crate::ranks::{
    COSINE, GRADUAL, Shelf, among, assert_same_bits, config, encoder, joined, kinds, mlp, on, ran, trainer,
};
use crate::support::folder;
use gradus::dist::Collective;
use gradus::engine::Engine;
use gradus::optim::{Clip, Settings, Shard};
use gradus::params::Storage;
use gradus::schedule::{Plan, Spec};
use gradus::train::{Config, Task, Trainer};

/// Rules with other state: sums over tensors, rows and columns, directions, moments in bytes.
const RULES: [&str; 5] = [
    "optimizer: {type: adamw, lr: 5.0e-3}\nlr_scheduler: {type: cosine}",
    "optimizer: {type: sgd, lr: 5.0e-2, momentum: 0.9}\nlr_scheduler: {type: cosine}",
    "optimizer: {type: lamb, lr: 5.0e-3}\nlr_scheduler: {type: cosine}",
    "optimizer: {type: adafactor, lr: 5.0e-3}\nlr_scheduler: {type: cosine}",
    "optimizer: {type: adamw, lr: 5.0e-3, moments: int8}\nlr_scheduler: {type: cosine}",
];

#[test]
fn ranks_that_share_moments_have_the_bits_of_those_that_do_not() {
    for engine in kinds() {
        let settings = Settings::default().guard(true).clip(Clip::norm(0.5));
        for rule in RULES {
            let config = config().epochs(2).settings(settings);
            let expected = among(3, engine, &mlp(), rule, &config);
            let got = among(3, engine, &mlp(), rule, &config.clone().shard_optimizer(true));
            assert_same_bits(&format!("{rule} on {}", engine().name()), &got, &expected);
        }
        // With thaws, and back to the best; and with parameters in bf16, more ranks than a phase has tensors.
        let config = config().epochs(8);
        let expected = among(2, engine, &mlp(), GRADUAL, &config);
        assert_eq!(expected.phases.len(), 2, "{:?}", expected.phases);
        assert_same_bits(
            "phases",
            &among(2, engine, &mlp(), GRADUAL, &config.clone().shard_optimizer(true)),
            &expected,
        );
        let head = "optimizer: {type: adamw, lr: 5.0e-3}\nphases:\n  0: {params: ['classifier.weight'], max_transition_epoch: 1}\n  \
                    1: {params: ['encoder.layer.1.output', 'classifier.bias']}\n";
        let config = config.epochs(3).batch_size(4).parameters(Storage::Bf16);
        let expected = among(3, engine, &encoder(), head, &config);
        assert_same_bits("bf16", &among(3, engine, &encoder(), head, &config.clone().shard_optimizer(true)), &expected);
    }
}

#[test]
fn each_rank_keeps_its_part_of_the_moments() {
    let whole = trainer(&Engine::cpu(), &mlp(), COSINE, &config()).optimizer().state_bytes();
    let bytes = on(3, |end| {
        let number = end.rank().number;
        let mut trainer = joined(end, &Engine::cpu(), &mlp(), COSINE, &config().shard_optimizer(true));
        trainer.take_step().expect("a step");
        let optimizer = trainer.optimizer();
        let moments = |owner: usize| {
            let elements = |name: &str| optimizer_elements(&trainer, name).next_multiple_of(64);
            let own = optimizer.owners().into_iter().filter(|(_, of)| *of == owner);
            own.map(|(name, _)| 8 * elements(name)).sum::<u64>()
        };
        assert_eq!(optimizer.state_bytes(), moments(number), "two moments in f32");
        optimizer.state_bytes()
    });
    assert_eq!(bytes.iter().sum::<u64>(), whole, "{bytes:?}");
    // The first layer, 64 x 24, is one tensor.
    assert!(bytes.iter().all(|bytes| *bytes <= 8 * 64 * 24 && *bytes > 0), "{bytes:?}");
}

fn optimizer_elements(trainer: &Trainer, name: &str) -> u64 {
    let param = trainer.parameters().params().iter().find(|param| param.name == name);
    param.expect("a parameter").elements() as u64
}

#[test]
fn a_checkpoint_of_shared_moments_is_that_of_whole_ones() {
    for engine in kinds() {
        let run = |(ranks, micro_batches), shards, shelf: &Shelf, stop: u64| {
            let config = config().epochs(3).micro_batches(micro_batches).shard_optimizer(shards);
            let ended = on(ranks, |end| {
                let mut trainer = trainer(&engine(), &mlp(), GRADUAL, &config.clone().rank(end.rank()));
                trainer.resume(shelf.checkpoints()).expect("a folder");
                trainer.join(Box::new(end)).expect("ranks alike");
                while trainer.cursor().step() < stop && !trainer.is_over() {
                    trainer.advance(|_| ()).expect("the run goes on");
                }
                if trainer.is_over() { Some(ran(&mut trainer).values) } else { None }
            });
            ended.into_iter().next().flatten()
        };
        let (shared, whole) = (Shelf(folder("shared-moments")), Shelf(folder("whole-moments")));
        run((2, 1), true, &shared, 75);
        let expected = run((2, 1), false, &whole, u64::MAX);
        for step in [40, 70] {
            let read = |shelf: &Shelf, file: &str| {
                std::fs::read(shelf.0.join(format!("step-{step:09}/{file}"))).expect("a file")
            };
            for file in ["optimizer.safetensors", "model.safetensors"] {
                assert!(read(&shared, file) == read(&whole, file), "{file} after step {step} on {}", engine().name());
            }
        }
        // It goes on shared as before, and on one rank that keeps all.
        let copied = Shelf(folder("copied-moments"));
        copy(&shared.0, &copied.0);
        assert!(run((2, 1), true, &shared, u64::MAX) == expected, "shared");
        assert!(run((1, 2), false, &copied, u64::MAX) == expected, "on one rank");
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &to) } else { assert!(std::fs::copy(entry.path(), to).is_ok()) }
    }
}

#[test]
fn averages_are_not_shared_out() {
    let task = mlp();
    let spec = "optimizer: {type: adamw, lr: 5.0e-3, ema_decay: 0.9}\nlr_scheduler: {type: cosine}";
    let spec = Spec::parse("run.yaml", spec).expect("a spec");
    let made = |config: Config| {
        let task: &dyn Task = &task;
        Trainer::new(&Engine::cpu(), task, config, |params, epochs| Plan::new(&spec, params, epochs))
    };
    let rank = gradus::dist::Rank { number: 0, of: 2 };
    let error = made(config().rank(rank).shard_optimizer(true)).err().expect("an error").to_string();
    assert!(error.contains("its moments are shared out among ranks, and its group keeps an average of it"), "{error}");
    assert!(made(config().rank(rank)).is_ok());
    assert!(made(config().shard_optimizer(true)).is_ok(), "one rank shares nothing");
    assert_eq!(Settings::default().shard, None);
    assert_eq!(Settings::default().shard(Shard { number: 1, of: 2 }).shard, Some(Shard { number: 1, of: 2 }));
}
