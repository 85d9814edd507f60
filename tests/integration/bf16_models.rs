//! Models whose parameters are stored in bf16: a run is that of values rounded by hand, it continues to the same bits, it
//! takes the bytes that were told, and what cannot be is refused before anything is made.

use crate::support::{assert_close, engines, folder, gpu, round_by_hand};
use crate::transformer_bed::LOSS;
use gradus::data::{TokenStream, Vocabulary, digits, kjv};
use gradus::engine::{Choices, Engine, Tiling};
use gradus::nn::models::{Gpt2, Mlp, TransformerSizes};
use gradus::nn::{Activation, Batch, Error, Network, reads_bf16};
use gradus::optim::{Forecast, Optimizer, Parameters, Precision, Settings};
use gradus::params::{Group, Param, Row, Storage};
use gradus::schedule::{Plan, Spec};
use gradus::train::{Checkpoints, Classify, Config, Language, Task, Trainer};
use safetensors::tensor::{Dtype, SafeTensors};

const GRADUAL: &str = "
optimizer: {type: adamw, lr: 3.0e-3, weight_decay: 0.01, clip_norm: 1.0, moments: bf16, no_decay: [bias, ln_]}
phases:
  0: {params: ['transformer.ln_f', 'transformer.h.1'], max_transition_epoch: 1}
  1: {params: ['transformer.(h.0|w.e)'], lr: 2.0e-3}
";
const SEED: u32 = 5;

/// A decoder of a width that is whole vec4s, with its token table at both ends.
fn language() -> Language {
    let sizes = TransformerSizes::new([2, 2, 16], Vocabulary::printable_ascii().len(), 12)
        .intermediate(40)
        .activation(Activation::GeluNew)
        .norm_eps(1e-5)
        .dropout(0.1);
    let tokens = Vocabulary::printable_ascii().encode(&kjv()).expect("tokens");
    let stream = TokenStream::new(tokens[..1200].to_vec(), sizes.vocab).expect("a stream");
    let (train, test) = stream.split(20).expect("two");
    Language::new(&Gpt2::new(sizes), (&train, &test)).expect("a task")
}

/// An MLP on the digits; the rows of its second weight are no whole vec4s.
fn classify() -> Classify {
    let (train, test) = digits().expect("digits").split(20, 3).expect("a split");
    let model = Mlp::new(&[64, 30, 10], Activation::Relu).expect("a model");
    Classify::new(&model, (&train, &test)).expect("a task")
}

fn trainer(
    engine: &Engine,
    task: &dyn Task,
    schedule: &str,
    parameters: Storage,
) -> Result<Trainer, Box<dyn std::error::Error>> {
    let spec = Spec::parse("run.yaml", schedule)?;
    let config = Config::default().batch_size(4).micro_batches(2).epochs(2).seed(SEED).parameters(parameters);
    Ok(Trainer::new(engine, task, config, |model, epochs| Plan::new(&spec, model, epochs))?)
}

fn values(trainer: &Trainer) -> Vec<(Param, Vec<f32>)> {
    let parameters = trainer.parameters();
    let value = |param: &Param| (param.clone(), parameters.read(&param.name).expect("values"));
    parameters.params().iter().map(value).collect()
}

fn bits(trainer: &Trainer) -> Vec<u32> {
    values(trainer).iter().flat_map(|(_, values)| values.iter().map(|value| value.to_bits())).collect()
}

#[test]
fn bf16_models_train_as_values_rounded_by_hand() {
    let everything = "optimizer: {type: adamw, lr: 3.0e-3, clip_norm: 1.0}\nlr_scheduler: {type: cosine}";
    let (language, classify) = (language(), classify());
    for task in [&language as &dyn Task, &classify] {
        let engine = Engine::cpu();
        let mut stored = trainer(&engine, task, everything, Storage::Bf16).expect("a trainer");
        let mut by_hand = trainer(&engine, task, everything, Storage::F32).expect("a trainer");
        round_by_hand(by_hand.parameters(), SEED, 0, reads_bf16);
        assert!(bits(&stored) == bits(&by_hand), "initial values");
        for count in 1..=30 {
            stored.take_step().expect("a step");
            by_hand.take_step().expect("a step");
            round_by_hand(by_hand.parameters(), SEED, count, reads_bf16);
            assert!(bits(&stored) == bits(&by_hand), "after {count} steps");
        }
        let [stored, by_hand] = [stored, by_hand].map(|mut trainer| trainer.evaluate_now().expect("an evaluation"));
        assert_eq!((stored.train_loss, stored.val_loss), (by_hand.train_loss, by_hand.val_loss));
    }
}

/// Sums are added up in another order on the device, so that a value may be rounded the other way.
#[test]
fn bf16_models_train_alike_on_both_engines_and_in_every_tiling() {
    let Some(gpu) = gpu() else { return };
    let task = language();
    let after_steps = |engine: &Engine| {
        let mut trainer = trainer(engine, &task, GRADUAL, Storage::Bf16).expect("a trainer");
        for _ in 0..5 {
            trainer.take_step().expect("a step");
        }
        values(&trainer)
    };
    let expected = after_steps(&Engine::twins());
    for tiling in Tiling::ALL {
        let got = after_steps(&gpu.choosing(Choices::all(tiling)));
        for ((param, got), (_, expected)) in got.iter().zip(&expected) {
            // A step of 3e-3 a few times in the other direction, where a gradient is near 0, and the last bit.
            assert_close(&format!("{} by {tiling:?}", param.name), got, expected, 2f64.powi(-7), 5e-3);
        }
        let apart = got.iter().zip(&expected).flat_map(|((_, a), (_, b))| a.iter().zip(b));
        let (apart, all) = (apart.clone().filter(|(a, b)| a != b).count(), apart.count());
        assert!(apart * 10 < all, "{apart} of {all} differ by {tiling:?}");
    }
}

#[test]
fn bf16_models_go_on_to_the_same_bits() {
    let task = language();
    for engine in engines() {
        let new = || trainer(&engine, &task, GRADUAL, Storage::Bf16).expect("a trainer");
        let mut whole = new();
        whole.run(|_| ()).expect("a run");
        let steps = whole.plan().steps_per_epoch();
        for stop in [3, steps + 1] {
            let folder = folder("bf16");
            let checkpoints = |every| Checkpoints::new(&folder, 3, Some(every)).expect("a folder");
            let mut first = new();
            first.checkpoint_to(checkpoints(stop));
            while first.cursor().step() < stop {
                first.advance(|_| ()).expect("a step");
            }
            let mut again = new();
            again.resume(checkpoints(1000)).expect("a resumption").expect("a checkpoint");
            again.run(|_| ()).expect("a run");
            assert!(bits(&again) == bits(&whole), "after {stop} steps on {}", engine.name());
            let mut other = trainer(&engine, &task, GRADUAL, Storage::F32).expect("a trainer");
            let told = other.resume(checkpoints(1000)).expect_err("another run").to_string();
            assert!(told.ends_with("this is another run: model.parameters is bf16 there and f32 here"), "{told}");
            std::fs::remove_dir_all(folder).expect("the folder was ours");
        }
        let saved = whole.parameters().read_file().expect("a file");
        let saved = SafeTensors::deserialize(&saved).expect("safetensors");
        for param in whole.parameters().params() {
            let stored = if reads_bf16(param) { Dtype::BF16 } else { Dtype::F32 };
            assert_eq!(saved.tensor(&param.name).expect("it is there").dtype(), stored, "{}", param.name);
        }
    }
}

/// 16 bytes a trained element of a matrix with moments in bf16, 2 of it to hold.
#[test]
fn bf16_models_take_the_bytes_that_are_told() {
    let (task, engine) = (classify(), Engine::cpu());
    let schedule = "optimizer: {type: adamw, lr: 1.0e-3, moments: bf16}\nlr_scheduler: {type: constant}";
    let mut trainer = trainer(&engine, &task, schedule, Storage::Bf16).expect("a trainer");
    let params = task.params();
    let elements = |bf16: bool| params.iter().filter(|param| reads_bf16(param) == bf16).map(Param::elements).sum();
    let (small, plain): (usize, usize) = (elements(true), elements(false));
    assert_eq!((small, plain), (64 * 30, 30 + 30 * 10 + 10));
    assert!(trainer.parameters().bytes() < (2 * small + 4 * plain + 4 * 256) as u64);
    let row = Row::default().moments(Storage::Bf16);
    let forecast = Forecast::of(&[row], &Config::default().settings).with_squares();
    let of = |bf16: bool, precision| {
        let these: Vec<&Param> = params.iter().filter(|param| reads_bf16(param) == bf16).collect();
        let forecast = forecast.with_precision(precision);
        (forecast.step_bytes(these.iter().copied()), forecast.parameter_bytes(these))
    };
    let (bf16, f32) = (of(true, Precision::Mixed), of(false, Precision::F32));
    assert_eq!(bf16, (16 * small as u64, 2 * small as u64));
    assert_eq!(f32.0, 20 * plain as u64);
    assert_eq!(trainer.parameters().bytes(), bf16.1 + f32.1);
    let update = trainer.programs().expect("programs")[1];
    let moved: u64 = update
        .dispatches
        .iter()
        .filter(|dispatch| dispatch.kernel.name.starts_with("adamw"))
        .map(|dispatch| dispatch.bytes)
        .sum();
    assert_eq!(moved, bf16.0 + f32.0);
    let precisions = [Precision::Mixed, Precision::F32, Precision::F32, Precision::F32];
    assert_eq!(trainer.parameters().precisions(), precisions);
}

#[test]
fn bf16_models_refuse_what_cannot_be_before_anything_is_made() {
    let (task, engine) = (classify(), Engine::cpu());
    let told = |schedule: &str, parameters: Storage| {
        let before = engine.counters();
        let told = trainer(&engine, &task, schedule, parameters).err().expect("an error").to_string();
        assert_eq!(engine.counters(), before, "nothing was made");
        told
    };
    let law = "lr_scheduler: {type: constant}";
    assert_eq!(
        told(&format!("optimizer: {{type: sgd, lr: 0.1}}\n{law}"), Storage::Bf16),
        "parameter \"layers.0.weight\": its values are in bf16, which the kernel of SGD does not store"
    );
    assert_eq!(
        told(&format!("optimizer: {{type: adamw, lr: 0.1, ema_decay: 0.9}}\n{law}"), Storage::Bf16),
        "parameter \"layers.0.weight\": its values are in bf16, and there is no moving average of those"
    );
    let later = "
phases:
  0: {params: [layers.1.weight], max_transition_epoch: 1}
  1: {params: [layers.0.weight], new_optimizer: {optimizer_init: {class_path: torch.optim.SGD, init_args: {lr: 0.1}}}}
";
    assert!(told(later, Storage::Bf16).contains("SGD"));
    assert_eq!(
        told(&format!("optimizer: {{type: adamw, lr: 0.1}}\n{law}"), Storage::Int8),
        "parameters cannot be stored in int8, only in f32 and bf16"
    );
}

/// Whoever stores parameters by a rule of their own is told what a model does not read.
#[test]
fn bf16_models_say_what_they_do_not_read() {
    let engine = Engine::cpu();
    let mlp = Mlp::new(&[8, 6, 4], Activation::Relu).expect("a model");
    let batch =
        Batch::new(&engine, 2, 1).and_then(|batch| batch.with_rows(&engine, 8)?.with_words(&engine, "labels", 1));
    let batch = batch.expect("a batch");
    let space = mlp.evaluation(2, 1).expect("a pass").allocate(&engine).expect("a workspace");
    let told = |is_small: fn(&Param) -> bool| {
        let of = |param: &Param| if is_small(param) { Precision::Mixed } else { Precision::F32 };
        let parameters = Parameters::stored(&engine, &mlp.params(), of, None).expect("parameters");
        let place = |name: &str| Ok::<_, Error>(parameters.place(name).expect("it is there"));
        let made = space.dispatches(&batch, LOSS, place, |_| Ok(None), false);
        made.map(|_| ()).map_err(|error| error.to_string())
    };
    told(reads_bf16).expect("it is read");
    assert_eq!(
        told(|param| param.name == "layers.0.bias").expect_err("an error"),
        "a bias or a norm's gain is stored in bf16; a model reads vectors in f32"
    );
    assert_eq!(
        told(|param| param.name == "layers.1.weight").expect_err("an error"),
        "a matrix with rows of 6 is stored in bf16; a model reads f32, and bf16 where rows are a multiple of 4"
    );
    let task = language();
    let of = |param: &Param| match param.name.as_str() {
        "transformer.wte.weight" => Precision::Mixed,
        _ => Precision::F32,
    };
    let parameters = Parameters::stored(&engine, &task.params(), of, None).expect("parameters");
    let groups: [Group; 0] = [];
    let optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
    let mut placed = task.place(&engine, &Config::default().batch_size(2)).expect("a place");
    let told = placed.test(&parameters, &optimizer).expect_err("an error").to_string();
    assert_eq!(told, "the tables of an embedding are stored in bf16 and f32; it reads them alike");
}
