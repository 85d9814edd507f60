//! A ResNet that trains on pictures: it learns, a resumed run is the same run with its running statistics, and a trunk that is
//! still may be kept.

use crate::support::{engines, folder};
use gradus::data::{Augmentation, Pictures};
use gradus::engine::Engine;
use gradus::engine::layout::pcg;
use gradus::nn::models::ResNet;
use gradus::schedule::{Plan, Spec};
use gradus::train::{Checkpoints, ClassifyPictures, Config, Error, Trainer};

const SIZE: [usize; 2] = [12, 10];

const PLAIN: &str =
    "optimizer: {type: sgd, lr: 0.05, momentum: 0.9, weight_decay: 1.0e-4}\nlr_scheduler: {type: constant}";

/// Only the last layer trains.
const HEAD: &str = "
optimizer: {type: adamw, lr: 1.0e-2}
phases:
  0: {params: ['fc.*']}
";

/// The last layer, then the last stage; what was best is restored between them.
const GRADUAL: &str = "
optimizer: {type: adamw, lr: 5.0e-3}
early_stopping: {monitor: val_loss, patience: 9}
phases:
  0: {params: ['fc.*'], max_transition_epoch: 2}
  1: {params: ['layer2.*'], lr: 2.0e-3}
";

/// Pictures whose class is their brightest channel.
fn pictures() -> Pictures {
    let labels: Vec<u32> = (0..90).map(|picture| pcg(picture) % 3).collect();
    let byte = |picture: usize, place: usize| {
        let noise = pcg(pcg(picture as u32) ^ place as u32) % 160;
        (noise + if place % 3 == labels[picture] as usize { 60 } else { 0 }) as u8
    };
    let places = SIZE[0] * SIZE[1] * 3;
    let bytes: Vec<u8> = (0..labels.len())
        .flat_map(|picture| (0..places).map(move |place| (picture, place)))
        .map(|(p, at)| byte(p, at))
        .collect();
    Pictures::new(SIZE, 3, &bytes, labels.clone()).expect("pictures").normalized([0.4; 3], [0.2; 3])
}

fn model() -> ResNet {
    ResNet::new(18, SIZE, 3).expect("a model").blocks(vec![1, 1]).width(4)
}

fn trainer(engine: &Engine, schedule: &str, config: Config) -> Trainer {
    trainer_on(engine, schedule, config, Augmentation::new())
}

fn trainer_on(engine: &Engine, schedule: &str, config: Config, augmentation: Augmentation) -> Trainer {
    let (train, test) = pictures().split(20, 3).expect("a split");
    let train = train.augmented(augmentation).expect("pictures");
    let task = ClassifyPictures::new(model(), (&train, &test)).expect("a task");
    let spec = Spec::parse("run.yaml", schedule).expect("a spec");
    let config = config.batch_size(8).epochs(4).seed(5);
    Trainer::new(engine, &task, config, |params, epochs| Plan::new(&spec, params, epochs)).expect("a trainer")
}

/// The loss and the accuracy of the last evaluation, and the file of all parameters and buffers.
fn finished(mut trainer: Trainer) -> (f64, f64, Vec<u8>) {
    let mut last = None;
    let done = trainer.run(|event| {
        if let gradus::train::Event::Evaluation(done) = event {
            last = Some((done.val_loss, done.metric("val_accuracy").expect("an accuracy")));
        }
    });
    done.expect("a run");
    let (loss, accuracy) = last.expect("an evaluation");
    (loss, accuracy, trainer.parameters().read_file().expect("a file"))
}

#[test]
fn a_resnet_learns_pictures_and_counts_its_batches() {
    for engine in engines() {
        let trainer = trainer(&engine, PLAIN, Config::default());
        let before = trainer.parameters().read("bn1.running_mean").expect("values");
        assert_eq!(before, [0.0; 4]);
        let (train, _) = pictures().split(20, 3).expect("a split");
        let steps = 4 * (train.count() / 8) as u64;
        let mut trainer = trainer;
        trainer.run(|_| ()).expect("a run");
        let read = |name: &str| trainer.parameters().read(name).expect("values");
        assert_eq!(read("layer2.0.bn2.num_batches_tracked"), [steps as f32], "on {}", engine.name());
        assert!(read("bn1.running_mean").iter().all(|mean| *mean != 0.0));
        let (_, accuracy, _) = finished(self::trainer(&engine, PLAIN, Config::default()));
        assert!(accuracy > 0.8, "{accuracy} on {}", engine.name());
    }
}

#[test]
fn a_resumed_run_has_its_running_statistics_to_the_bit() {
    let engine = Engine::cpu();
    for schedule in [PLAIN, GRADUAL] {
        let whole = finished(trainer(&engine, schedule, Config::default()));
        let shelf = folder("pictures-resume");
        let mut first = trainer(&engine, schedule, Config::default());
        first.checkpoint_to(Checkpoints::new(&shelf, 2, None).expect("a folder"));
        while first.cursor().step() < 20 {
            first.advance(|_| ()).expect("a step");
        }
        first.checkpoint_now(|_| ()).expect("a checkpoint");
        drop(first);
        let mut second = trainer(&engine, schedule, Config::default());
        second.resume(Checkpoints::new(&shelf, 2, None).expect("a folder")).expect("a run").expect("a checkpoint");
        assert!(finished(second) == whole, "{schedule}");
        let _ = std::fs::remove_dir_all(&shelf);
    }
}

/// Below what trains, running statistics are as they were; and the bits are the same whether the trunk's outputs are kept or not.
#[test]
fn a_still_trunk_has_the_same_bits_whether_it_is_kept_or_not() {
    for engine in engines() {
        let still = Config::default().still_trunk(true);
        let none = still.clone().trunk_device_limit_bytes(0).trunk_host_limit_bytes(0);
        let mut kept = trainer(&engine, HEAD, still.clone());
        kept.advance(|_| ()).expect("a step");
        assert!(kept.trunk_bytes() > 0, "the trunk is kept on {}", engine.name());
        assert_eq!(kept.parameters().read("layer2.0.bn2.num_batches_tracked").expect("a count"), [0.0]);
        let [kept, gone] = [still, none].map(|config| finished(trainer(&engine, HEAD, config)));
        assert!(kept == gone, "{} and {} on {}", kept.0, gone.0, engine.name());
    }
}

/// The gradients of a coming step are read without a step: running statistics are put back.
#[test]
fn a_look_at_the_coming_gradients_leaves_no_trace() {
    for engine in engines() {
        let mut trainer = trainer(&engine, PLAIN, Config::default());
        trainer.advance(|_| ()).expect("a step");
        let before = trainer.parameters().read_file().expect("a file");
        let gradients = trainer.coming_gradients().expect("gradients");
        assert_eq!(gradients.len(), trainer.parameters().params().len());
        assert!(trainer.parameters().read_file().expect("a file") == before, "on {}", engine.name());
    }
}

#[test]
fn pictures_that_do_not_fit_are_refused() {
    let bytes = vec![0; 2 * 4 * 3];
    assert!(Pictures::new([2, 2], 2, &bytes, vec![0, 1]).is_ok());
    assert!(Pictures::new([2, 2], 2, &bytes, vec![0, 2]).is_err());
    assert!(Pictures::new([2, 2], 2, &bytes, vec![0]).is_err());
    assert!(Pictures::new([0, 2], 2, &[], vec![]).is_err());
    let small = Pictures::new([2, 2], 2, &bytes, vec![0, 1]).expect("pictures");
    let refused = ClassifyPictures::new(model(), (&small, &small));
    assert!(matches!(refused, Err(Error::Mismatch { .. })), "{refused:?}");
}

/// As finetuning-scheduler: a frozen batch norm that does not track goes by the batch's moments and leaves its running ones, until the
/// first transition that restores the best.
#[test]
fn frozen_batch_norms_leave_their_running_statistics_where_that_is_asked() {
    let holds = GRADUAL.replace("phases:", "finetuning: {frozen_bn_track_running_stats: false}\nphases:");
    let always = holds.replace("stats: false}", "stats: false, restore_best: false}");
    for engine in engines() {
        for (schedule, before, after) in [(GRADUAL, true, true), (&holds[..], false, true), (&always[..], false, false)]
        {
            let mut trainer = trainer(&engine, schedule, Config::default());
            let counted = |trainer: &Trainer, norm: &str| {
                trainer.parameters().read(&format!("{norm}.num_batches_tracked")).expect("a count")[0] > 0.0
            };
            while trainer.cursor().depth() == 0 {
                assert!(trainer.cursor().step() < 2 || counted(&trainer, "bn1") == before, "{schedule}");
                trainer.advance(|_| ()).expect("a step");
            }
            let earlier = trainer.parameters().read("bn1.num_batches_tracked").expect("a count")[0];
            trainer.run(|_| ()).expect("the rest of it");
            let later = trainer.parameters().read("bn1.num_batches_tracked").expect("a count")[0];
            assert_eq!(later > earlier, after, "{schedule} on {}", engine.name());
            assert!(counted(&trainer, "layer2.0.bn1"), "what is thawed always tracks: {schedule}");
        }
    }
}

/// Whether pictures lie on the device or come ahead of each step changes no bit, nor what a trunk is kept of.
#[test]
fn pictures_in_host_memory_train_to_the_same_bits() {
    let augmented = Augmentation::new().flip(true).padding(2);
    for engine in engines() {
        for (schedule, augmentation, still, micro) in [
            (PLAIN, augmented, false, 1),
            (PLAIN, Augmentation::new().least_area(0.5), false, 2),
            (HEAD, Augmentation::new(), true, 1),
            (GRADUAL, augmented, false, 1),
        ] {
            let config = Config::default().still_trunk(still).micro_batches(micro);
            let run = |limit: u64| {
                let config = config.clone().examples_device_limit_bytes(limit);
                let trainer = trainer_on(&engine, schedule, config, augmentation);
                let before = engine.counters();
                let uploads = trainer.step_upload_bytes();
                let finished = finished(trainer);
                (uploads, (engine.counters() - before).blocking_waits, finished)
            };
            let (all, none) = (run(u64::MAX), run(0));
            assert_eq!(all.0, 0);
            assert_eq!(none.0, 8 * micro as u64 * (SIZE[0] * SIZE[1] * 4) as u64);
            assert!(all.2 == none.2, "{schedule}, {augmentation:?} on {}", engine.name());
            // On an adapter the host may sleep while many steps are under way.
            assert!(still || engine.adapter().is_some() || none.1 == all.1, "{} waits, and {}", none.1, all.1);
        }
    }
}

/// Steps move the running statistics of a frozen trunk, and each test goes by those of its time: what the trunk made of the test set at the
/// first one would be old at the second.
#[test]
fn tests_follow_running_statistics_that_move_in_a_frozen_trunk() {
    let engine = Engine::cpu();
    for (schedule, still) in [(HEAD, false), (GRADUAL, false), (HEAD, true)] {
        let losses = |config: Config| {
            let mut losses = Vec::new();
            let mut trainer = trainer(&engine, schedule, config.still_trunk(still));
            let done = trainer.run(|event| {
                if let gradus::train::Event::Evaluation(done) = event {
                    losses.push(done.val_loss);
                }
            });
            done.expect("a run");
            (losses, trainer.trunk_bytes() > 0)
        };
        let (kept, has_trunk) = losses(Config::default());
        let (made, _) = losses(Config::default().trunk_device_limit_bytes(0).trunk_host_limit_bytes(0));
        assert_eq!(kept, made, "{schedule}, still: {still}");
        assert!(has_trunk, "{schedule}: what does not move is kept");
    }
}
