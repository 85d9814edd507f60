//! What a frozen trunk made of the examples: the bits of a run are those of one that goes through the whole model.

use crate::support::{assert_close, engines, folder, fresh_engines, fresh_gpu};
use gradus::data::{Sequence, SequenceSizes, Sequences, TokenStream, Vocabulary, kjv};
use gradus::engine::kernels::{GATHER_CACHED, ValueStorage};
use gradus::engine::layout::{GatherCached, Position, pcg, shuffled};
use gradus::engine::{Binding, Dispatch, Engine, Program, Submission};
use gradus::nn::Activation;
use gradus::nn::models::{Bert, Gpt2, TransformerSizes};
use gradus::optim::Settings;
use gradus::params::{Group, Row, Storage};
use gradus::schedule::{Plan, Spec};
use gradus::train::{
    Cache, CacheNote, ClassifySequences, Config, Evaluation, Event, Language, Task, Trainer, recomputed_layers,
};

fn sizes() -> TransformerSizes {
    TransformerSizes::new([3, 2, 16], Vocabulary::printable_ascii().len(), 12)
        .intermediate(24)
        .activation(Activation::GeluNew)
        .norm_eps(1e-5)
}

fn encoder(dropout: f32) -> Bert {
    Bert::new(sizes().dropout(dropout), 3)
}

fn language(fixed: bool) -> Language {
    let vocabulary = Vocabulary::printable_ascii();
    let tokens = vocabulary.encode(&kjv()).expect("tokens");
    let text = TokenStream::new(tokens[..1200].to_vec(), vocabulary.len()).expect("a stream");
    let (train, test) = text.split(20).expect("two");
    let model = Gpt2::new(sizes()).tied(false);
    let task = Language::new(&model, (&train, &test)).expect("a task");
    if fixed { task.with_fixed_windows() } else { task }
}

/// Sequences of several lengths, whose class is that of their first token.
fn labelled(model: &Bert) -> ClassifySequences {
    let one = |number: u32| {
        let length = 1 + pcg(number) % 9;
        let tokens = (0..length).map(|place| pcg(number ^ pcg(place)) % 96).collect::<Vec<u32>>();
        let types = (0..length).map(|place| u32::from(place > 3)).collect();
        let label = tokens[0] % 3;
        Sequence::new(tokens, label).types(types)
    };
    let shape = SequenceSizes::new(9, 96, 3).types(2);
    let set = Sequences::new(shape, &(0..101).map(one).collect::<Vec<_>>()).expect("a set");
    let (train, test) = set.split(30, 3).expect("two");
    ClassifySequences::new(model, (&train, &test)).expect("a task")
}

fn config() -> Config {
    let settings = Settings::default().guard(true);
    let config = Config::default().batch_size(4).micro_batches(2).epochs(4).seed(5).settings(settings);
    config.best_device_limit_bytes(1 << 20).trunk_device_limit_bytes(1 << 24).trunk_host_limit_bytes(0)
}

/// Nothing is kept.
fn none() -> Config {
    config().trunk_device_limit_bytes(0).trunk_host_limit_bytes(0)
}

/// All of it lies in host memory.
fn host() -> Config {
    config().trunk_device_limit_bytes(0).trunk_host_limit_bytes(1 << 24)
}

fn trainer(engine: &Engine, task: &dyn Task, schedule: &str, config: &Config) -> Trainer {
    let spec = Spec::parse("run.yaml", schedule).expect("a spec");
    let plan = |model: gradus::schedule::ModelParams<'_>, epochs| Plan::new(&spec, model, epochs);
    Trainer::new(engine, task, config.clone(), plan).expect("a trainer")
}

/// What a run came to, and what it kept in each phase: bytes, and dispatches of a step.
#[derive(Debug, PartialEq)]
struct Run {
    evaluations: Vec<Evaluation>,
    bits: Vec<u32>,
    phases: Vec<(u64, usize)>,
}

fn run(engine: &Engine, task: &dyn Task, schedule: &str, config: &Config) -> Run {
    let mut trainer = trainer(engine, task, schedule, config);
    let (mut evaluations, mut phases) = (Vec::new(), Vec::new());
    while !trainer.is_over() {
        trainer
            .advance(|event| {
                if let Event::Evaluation(done) = event {
                    evaluations.push(*done)
                }
            })
            .expect("a step");
        if phases.len() <= trainer.cursor().depth() {
            let dispatches = trainer.programs().expect("programs")[0].dispatches.len();
            phases.push((trainer.trunk_bytes(), dispatches));
        }
    }
    trainer
        .run(|event| {
            if let Event::Evaluation(done) = event {
                evaluations.push(*done)
            }
        })
        .expect("the rest");
    let parameters = trainer.parameters();
    let values = |name: &str| parameters.read(name).expect("values");
    let bits = parameters.params().iter().flat_map(|param| values(&param.name)).map(f32::to_bits).collect();
    Run { evaluations, bits, phases }
}

const DECODER_PHASES: &str = "
optimizer: {type: adamw, lr: 3.0e-3}
early_stopping: {monitor: val_loss, patience: 9}
phases:
  0: {params: [lm_head, 'transformer.ln_f'], max_transition_epoch: 1}
  1: {params: ['transformer.h.2.mlp'], max_transition_epoch: 2}
  2: {params: ['transformer.h.1.attn.c_proj', 'transformer.h.1.ln_2'], max_transition_epoch: 3}
  3: {params: ['transformer.w.e']}
";

#[test]
fn a_decoder_starts_behind_its_frozen_trunk_and_keeps_every_bit() {
    for engine in engines() {
        let task = language(true);
        let whole = run(&engine, &task, DECODER_PHASES, &none());
        let kept = run(&engine, &task, DECODER_PHASES, &config());
        assert_eq!(whole.evaluations, kept.evaluations, "on {}", engine.name());
        assert!(whole.bits == kept.bits, "on {}: other bits", engine.name());
        // 79 windows to train on, each 12 x 16 numbers a value: the last block's output; its middle, and
        // the norm of that; the attention of block 1 and what it is added to; nothing.
        let value = 79 * 12 * 16 * 4;
        let bytes: Vec<u64> = kept.phases.iter().map(|(bytes, _)| *bytes).collect();
        assert_eq!(bytes, [value, 2 * value, 2 * value, 0]);
        assert!(whole.phases.iter().all(|(bytes, _)| *bytes == 0));
        // Two micro-batches; the embedding and 7 dispatches a block are left out, a gather comes for each value.
        let saved: Vec<i64> =
            whole.phases.iter().zip(&kept.phases).map(|(whole, kept)| whole.1 as i64 - kept.1 as i64).collect();
        assert_eq!(saved, [2 * (1 + 21 - 1), 2 * (1 + 14 + 5 - 2), 2 * (1 + 7 + 3 - 2), 0]);
        let moving = run(&engine, &language(false), DECODER_PHASES, &config());
        assert_eq!(moving.phases[0].1, whole.phases[0].1, "windows that move are no examples");
    }
}

const ENCODER_PHASES: &str = "
optimizer: {type: adamw, lr: 3.0e-3}
early_stopping: {monitor: val_loss, patience: 9}
phases:
  0: {params: [classifier], max_transition_epoch: 1}
  1: {params: ['encoder.layer.2.output'], max_transition_epoch: 2}
  2: {params: ['encoder.layer.1.attention.self.key']}
";

#[test]
fn an_encoder_does_too_and_keeps_a_row_a_sequence_for_its_head() {
    for engine in engines() {
        let task = labelled(&encoder(0.0));
        let whole = run(&engine, &task, ENCODER_PHASES, &none());
        let kept = run(&engine, &task, ENCODER_PHASES, &config());
        assert_eq!(whole.evaluations, kept.evaluations, "on {}", engine.name());
        assert!(whole.bits == kept.bits, "on {}: other bits", engine.name());
        let bytes: Vec<u64> = kept.phases.iter().map(|(bytes, _)| *bytes).collect();
        // The mean over 9 tokens; the feed-forward half's inner activation and what its end is added to; block 0's output.
        let number = 71 * 4;
        assert_eq!(bytes, [16 * number, 9 * (24 + 16) * number, 9 * 16 * number]);
        let trained = |evaluation: &Evaluation| evaluation.train_loss;
        assert!(kept.evaluations.last().map(trained) < kept.evaluations.first().map(trained));
    }
}

#[test]
fn parameters_in_bf16_keep_every_bit_too() {
    let decoder = language(true);
    let encoder = labelled(&encoder(0.0));
    for (task, schedule) in [(&decoder as &dyn Task, DECODER_PHASES), (&encoder, ENCODER_PHASES)] {
        for engine in engines() {
            let of = |config: Config| run(&engine, task, schedule, &config.parameters(Storage::Bf16));
            let (whole, kept) = (of(none()), of(config()));
            assert_eq!(whole.evaluations, kept.evaluations, "on {}", engine.name());
            assert!(whole.bits == kept.bits && kept.phases[0].0 > 0, "on {}: other bits", engine.name());
        }
    }
}

/// What a trunk leaves was stored in 16 bits, so a run from its outputs has the same bits too, and about the losses of f32.
#[test]
fn values_in_16_bits_give_the_same_bits_and_nearly_the_losses_of_f32() {
    for engine in engines() {
        let (decoder, encoder) = (language(true), labelled(&encoder(0.0)));
        for (task, schedule) in [(&decoder as &dyn Task, DECODER_PHASES), (&encoder, ENCODER_PHASES)] {
            let exact = run(&engine, task, schedule, &none());
            for (storage, most) in [(ValueStorage::Bf16, 0.02), (ValueStorage::F16, 0.005)] {
                let of = |config: Config| run(&engine, task, schedule, &config.values(storage));
                let (whole, kept) = (of(none()), of(config()));
                let what = format!("{} on {}", storage.name(), engine.name());
                assert_eq!(whole.evaluations, kept.evaluations, "{what}");
                assert!(whole.bits == kept.bits && kept.phases[0].0 > 0, "{what}: other bits");
                assert!(whole.bits != exact.bits, "{what}: nothing was rounded");
                for (got, expected) in whole.evaluations.iter().zip(&exact.evaluations) {
                    let off = (got.val_loss - expected.val_loss).abs() / expected.val_loss;
                    assert!(off < most, "{what}: {} for {}", got.val_loss, expected.val_loss);
                }
            }
        }
    }
}

/// What a frozen trunk made is read by the next run: it has the bits of one that makes it, and no example goes through the trunk.
#[test]
fn an_earlier_runs_trunk_is_read_back_to_the_bit() {
    for engine in fresh_engines() {
        for kept_in in [config(), host()] {
            let folder = folder("trunk-cache");
            let cached = kept_in.clone().trunk_cache(Cache::new(&folder, 1 << 30));
            let task = labelled(&encoder(0.0));
            let of = |config: &Config, task: &dyn Task| {
                let mut trainer = trainer(&engine, task, ENCODER_PHASES, config);
                let before = engine.counters().dispatches;
                trainer.programs().expect("programs");
                (engine.counters().dispatches - before, trainer.trunk_notes())
            };
            let (made, notes) = of(&cached, &task);
            assert!(notes.len() == 1 && notes.iter().all(|note| matches!(note, CacheNote::Kept(_))), "{notes:?}");
            let (read, notes) = of(&cached, &task);
            assert!(notes.len() == 1 && notes.iter().all(|note| matches!(note, CacheNote::Read(_))), "{notes:?}");
            assert!(made > 0 && read == 0, "{made} and {read} dispatches on {}", engine.name());
            let (whole, again) =
                (run(&engine, &task, ENCODER_PHASES, &kept_in), run(&engine, &task, ENCODER_PHASES, &cached));
            assert!(whole == again, "other bits on {}", engine.name());
            // Another seed has other parameters; 16 bits are other values.
            for other in [cached.clone().seed(6), cached.clone().values(ValueStorage::Bf16)] {
                let (_, notes) = of(&other, &task);
                assert!(!notes.iter().any(|note| matches!(note, CacheNote::Read(_))), "{notes:?}");
            }
            let CacheNote::Read(file) = &of(&cached, &task).1[0] else { panic!("it was there") };
            let mut bytes = std::fs::read(file).expect("a file");
            let last = bytes.len() - 1;
            bytes[last] ^= 4;
            std::fs::write(file, bytes).expect("a file");
            let (_, notes) = of(&cached, &task);
            assert!(matches!(&notes[0], CacheNote::Damaged(_)), "{notes:?}");
            assert!(matches!(&of(&cached, &task).1[0], CacheNote::Read(_)), "made anew, and read then");
            std::fs::remove_dir_all(folder).expect("the folder");
        }
    }
}

/// Layers that make their activations again give the bits of layers that keep them, in less memory.
#[test]
fn recomputed_layers_give_the_same_bits_in_less_memory() {
    for engine in engines() {
        let (decoder, encoder) = (language(false), labelled(&encoder(0.2)));
        let all = "optimizer: {type: adamw, lr: 3.0e-3}\nlr_scheduler: {type: constant}";
        for task in [&decoder as &dyn Task, &encoder] {
            for values in [ValueStorage::F32, ValueStorage::Bf16] {
                let of = |layers: usize| none().epochs(1).values(values).recomputed_layers(layers);
                let kept = run(&engine, task, all, &of(0));
                let mut bytes = vec![task.activation_bytes(&of(0), &|_| true).expect("sizes").expect("bytes")];
                for layers in 1..=3 {
                    let again = run(&engine, task, all, &of(layers));
                    assert_eq!(again.evaluations, kept.evaluations, "on {}", engine.name());
                    assert!(again.bits == kept.bits, "{layers} on {}: other bits", engine.name());
                    assert!(again.phases[0].1 > kept.phases[0].1, "nothing was made again");
                    bytes.push(task.activation_bytes(&of(layers), &|_| true).expect("sizes").expect("bytes"));
                }
                assert!(bytes[1] < bytes[0] && bytes[2] < bytes[1], "{bytes:?}");
            }
        }
    }
}

#[test]
fn as_few_layers_as_needed_make_their_activations_again() {
    let task = labelled(&encoder(0.0));
    let names: Vec<String> = task.params().into_iter().map(|param| param.name).collect();
    let groups = [Group::new("all", Row::default(), names)];
    let of = |limit_bytes| recomputed_layers(&task, &none(), &groups, limit_bytes);
    let kept = of(u64::MAX).expect("room");
    assert_eq!((kept.layers, kept.of, kept.products), (0, 3, 1.0));
    let some = of(kept.bytes - 1).expect("room");
    assert!(some.layers == 1 && some.bytes < kept.bytes && some.bytes_if_kept == kept.bytes, "{some:?}");
    assert!(some.products > 1.05 && some.products < 1.15, "{some:?}");
    let told = of(1).expect_err("too little").to_string();
    assert!(told.contains("a step of 4 rows takes") && told.contains("memory_limit_megabytes"), "{told}");
}

#[test]
fn host_memory_and_pages_give_the_same_bits() {
    for engine in engines() {
        let task = labelled(&encoder(0.0));
        let whole = run(&engine, &task, ENCODER_PHASES, &none());
        let host = run(&engine, &task, ENCODER_PHASES, &host());
        assert_eq!(whole.evaluations, host.evaluations, "on {}", engine.name());
        assert!(whole.bits == host.bits && host.phases[0].0 > 0, "on {}", engine.name());
        // A page holds 7 of the largest values.
        let settings = config().settings.page_bytes(9 * 24 * 4 * 7);
        let unpaged = run(&engine, &task, ENCODER_PHASES, &none().settings(settings));
        let paged = run(&engine, &task, ENCODER_PHASES, &config().settings(settings));
        assert_eq!(unpaged.evaluations, paged.evaluations);
        assert!(unpaged.bits == paged.bits && paged.phases[1].1 > host.phases[1].1, "on {}", engine.name());
    }
}

#[test]
fn micro_batches_add_up_to_the_batch_with_and_without_a_trunk() {
    let decoder = language(true);
    let encoder = labelled(&encoder(0.0));
    for (task, schedule, name) in
        [(&decoder as &dyn Task, DECODER_PHASES, "lm_head.weight"), (&encoder, ENCODER_PHASES, "classifier.weight")]
    {
        for engine in engines() {
            let gradient = |limits: &Config, batch_size, micro_batches| {
                let config = limits.clone().batch_size(batch_size).micro_batches(micro_batches);
                let mut trainer = trainer(&engine, task, schedule, &config);
                trainer.advance(|_| ()).expect("a step");
                engine.read(&trainer.optimizer().gradient(name).expect("a range")).expect("values")
            };
            let whole: Vec<f32> = gradient(&none(), 15, 1);
            for limits in [&none(), &config(), &host()] {
                assert_close(name, &gradient(limits, 5, 3), &whole, 1e-5, 1e-7);
            }
        }
    }
}

#[test]
fn dropout_below_the_head_keeps_nothing() {
    for engine in engines() {
        let mut trainer = trainer(&engine, &labelled(&encoder(0.1)), ENCODER_PHASES, &config());
        trainer.advance(|_| ()).expect("a step");
        assert_eq!(trainer.trunk_bytes(), 0);
        // The test drops nothing.
        trainer.evaluate_now().expect("an evaluation");
        assert_eq!(trainer.trunk_bytes(), 30 * 16 * 4);
    }
}

#[test]
fn values_uploaded_in_a_run_are_seen() {
    for engine in engines() {
        let task = labelled(&encoder(0.0));
        let bits = |config: &Config| {
            let mut trainer = trainer(&engine, &task, ENCODER_PHASES, config);
            trainer.advance(|_| ()).expect("a step");
            let before = trainer.evaluate_now().expect("an evaluation").val_loss;
            let name = "encoder.layer.0.attention.self.query.weight";
            let values: Vec<f32> = (0..256).map(|place| (place as f32).sin()).collect();
            trainer.parameters().upload(name, &values).expect("an upload");
            let after = trainer.evaluate_now().expect("an evaluation").val_loss;
            trainer.advance(|_| ()).expect("a step");
            assert_ne!(before, after);
            let head = trainer.parameters().read("classifier.weight").expect("values");
            (after, head.into_iter().map(f32::to_bits).collect::<Vec<u32>>())
        };
        assert_eq!(bits(&config()), bits(&none()), "on {}", engine.name());
    }
}

#[test]
fn a_step_uploads_its_rows_only_from_host_memory() {
    for engine in fresh_gpu().into_iter().chain([Engine::cpu()]) {
        let task = labelled(&encoder(0.0));
        for (config, bytes) in [(&config(), 0), (&host(), 8 * 16 * 4)] {
            let mut trainer = trainer(&engine, &task, ENCODER_PHASES, config);
            trainer.advance(|_| ()).expect("a step");
            let before = engine.counters();
            trainer.take_step().expect("a step");
            let after = engine.counters();
            assert_eq!(after.uploaded_bytes - before.uploaded_bytes, bytes);
            assert_eq!(after.submissions - before.submissions, 1);
        }
    }
}

#[test]
fn gather_cached_takes_the_rows_of_its_page() {
    for engine in engines() {
        // All examples, a page of them, and the rows of a step.
        for (samples, rows, quads, first, count, batches) in
            [(1, 1, 1, 0, 1, 8), (70, 9, 5, 0, 70, 8), (70, 9, 5, 30, 20, 8), (27, 9, 5, 0, 27, 3)]
        {
            for (shuffle, batch) in [(true, 0), (true, 6), (true, 7), (false, 7)] {
                let position = Position { epoch: 3, batch, ..Position::default() };
                let shape = GatherCached { samples, rows, quads, seed: 9, first, count, batches, pad0: 0 };
                let cached: Vec<f32> = (0..count * quads * 4).map(|place| place as f32).collect();
                let out = gathered(&engine, &cached, position, shape, shuffle);
                for r in 0..rows {
                    let place = batch % batches * rows + r;
                    let row = &out[(r * quads * 4) as usize..][..(quads * 4) as usize];
                    if place >= samples {
                        assert!(row.iter().all(|value| *value == 0.0), "row {r} of {shape:?} is behind the last");
                        continue;
                    }
                    let sample = if shuffle { shuffled(place, samples, pcg(9 ^ pcg(3))) } else { place };
                    let there = (first..first + count).contains(&sample);
                    let expected = |at: u32| if there { ((sample - first) * quads * 4 + at) as f32 } else { -1.0 };
                    let expected: Vec<f32> = (0..quads * 4).map(expected).collect();
                    assert_eq!(row, expected, "row {r} of {shape:?}");
                }
                assert_eq!(out[(rows * quads * 4) as usize..], [-1.0; 4], "the tail");
            }
        }
    }
}

fn gathered(engine: &Engine, cached: &[f32], position: Position, shape: GatherCached, shuffle: bool) -> Vec<f32> {
    let out = engine.buffer_with("out", &vec![-1f32; (shape.rows * shape.quads * 4) as usize + 4]).expect("a buffer");
    let bindings: Vec<Binding> = vec![
        (&engine.buffer_with("cached", cached).expect("a buffer")).into(),
        (&out).into(),
        (&engine.buffer_with("position", &[position]).expect("a buffer")).into(),
        (&engine.buffer_with("shape", &[shape]).expect("a buffer")).into(),
    ];
    let constants = vec![("WORKGROUP", 64.0), ("SHUFFLE", f64::from(u8::from(shuffle)))];
    let grid = [(shape.rows * shape.quads).div_ceil(64) + 1, 1, 1];
    let kernel = GATHER_CACHED.plain();
    let dispatches = vec![Dispatch::new(kernel, bindings, grid).constants(constants)];
    let program = engine.prepare(Program::of("gather", dispatches)).expect("a program");
    engine.submit(&Submission::of(&[&program])).expect("a submission");
    engine.read(&out.all()).expect("rows")
}
