//! How well a decoder learns with parameters in bf16: the pretraining of `gradus demo transformer`, and its test loss.
//!
//! Our models compute with f32. So after each step this program rounds their parameters as the step itself does where they are
//! stored in bf16 (`Precision::Mixed`): what is computed is to the bit what it would be with those, but not a byte is saved.
//!
//! ```text
//! cargo run --release --example bf16_parameters -- [first seed] [seeds] [moments]
//! ```

use gradus::data::{self, TokenStream, Vocabulary};
use gradus::engine::Engine;
use gradus::engine::layout::{OF_PARAMS, bf16, bf16_by, rounding_key, rounding_word};
use gradus::nn::transformer::{Config as Shape, Kind, Transformer};
use gradus::optim::Precision;
use gradus::params::Storage;
use gradus::schedule::{Model, Plan, Spec};
use gradus::train::{Config, Language, Trainer};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const CONTEXT: usize = 64;

fn schedule(moments: &str) -> String {
    format!(
        "optimizer: {{type: adamw, lr: 2.0e-3, weight_decay: 0.05, clip_norm: 1.0, moments: {moments}, \
         no_decay: [bias, ln_, wte, wpe]}}\n\
         lr_scheduler: {{type: cosine, warmup_fraction: 0.05, min_ratio: 0.1}}"
    )
}

/// Rounds every parameter as step `count` does, and initial values, at count 0, to the nearest.
fn round(trainer: &Trainer, seed: u32, count: u32) -> Outcome<()> {
    let parameters = trainer.parameters();
    for (tensor, param) in parameters.params().iter().enumerate() {
        let mut values = parameters.download(&param.name)?;
        for (number, chunk) in values.chunks_mut(4096).enumerate() {
            let key = rounding_key(seed, tensor as u32, count, number as u32) ^ OF_PARAMS;
            for (place, value) in chunk.iter_mut().enumerate() {
                let half = match count {
                    0 => bf16(*value),
                    _ => bf16_by(*value, rounding_word(key, place as u32) & 0xffff),
                };
                *value = f32::from_bits(u32::from(half) << 16);
            }
        }
        parameters.upload(&param.name, &values)?;
    }
    Ok(())
}

fn test_loss(seed: u32, moments: &str, precision: Precision) -> Outcome<f64> {
    let vocabulary = Vocabulary::ascii();
    let shape = Shape::decoder("tiny", vocabulary.len(), CONTEXT)?;
    let model = Transformer::new(Shape { kind: Kind::Decoder { tied: false }, ..shape })?;
    let (train, test) = TokenStream::new(vocabulary.encode(&data::kjv())?, vocabulary.len())?.split(5)?;
    let task = Language::new(&model, (&train, &test))?;
    let spec = Spec::parse("the example's schedule", &schedule(moments))?;
    let config = Config { batch_size: 16, seed, ..Config::default() };
    let plan = |model: Model<'_>, epochs| Plan::new(&spec, model, epochs);
    let mut trainer = Trainer::new(&Engine::cpu(), &task, config, plan)?;
    let is_rounded = precision.values() == Storage::Bf16;
    for count in 0..=trainer.plan().steps() as u32 {
        if count > 0 {
            trainer.take_step()?;
        }
        if is_rounded {
            round(&trainer, seed, count)?;
        }
    }
    Ok(trainer.evaluate_now()?.val_loss)
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: u32| arguments.get(place).map_or(Ok(default), |text| text.parse());
    let moments = arguments.get(2).map_or("bf16", String::as_str);
    for seed in (0..number(1, 3)?).map(|further| number(0, 1).map_or(further, |first| first + further)) {
        let [plain, rounded] = [("f32", Precision::F32), (moments, Precision::Mixed)];
        let plain = test_loss(seed, plain.0, plain.1)?;
        let rounded = test_loss(seed, rounded.0, rounded.1)?;
        let share = 100.0 * (rounded / plain - 1.0);
        println!("seed {seed}: test loss {plain:.4} in f32; {rounded:.4} in bf16, moments in {moments}: {share:+.2} %");
    }
    Ok(())
}
