//! The gradients of whole models by directional finite differences, on the CPU engine. The kinds that the PyTorch cases
//! do not cover, and dropout, which they leave out.

use crate::support::noise;
use crate::transformer_bed::{Bed, Data, LOSS, decoder, encoder, with};
use gradus::engine::Engine;
use gradus::nn::models::Pooling;
use gradus::nn::{LossOptions, Model};

fn length(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

/// Half the gradient's direction, half any: so that the loss changes, and errors across the gradient show too.
fn direction(gradient: &[f32], seed: u32) -> Vec<f32> {
    let other = noise(seed, gradient.len());
    let (size, other_size) = (length(gradient).max(1e-9) as f32, length(&other).max(1e-9) as f32);
    gradient.iter().zip(&other).map(|(gradient, other)| gradient / size + other / other_size).collect()
}

fn check(config: &Model, loss: LossOptions) {
    const STEP: f32 = 5e-3;
    let engine = Engine::twins();
    let bed = Bed::new(&engine, config);
    let data = Data::new(config, 3, 5);
    let ready = bed.run(&data, loss);
    let gradients: Vec<Vec<f32>> = bed.names().iter().map(|name| bed.gradient(name)).collect();
    for (seed, (name, gradient)) in bed.names().iter().zip(&gradients).enumerate() {
        let value: Vec<f32> = engine.read(&bed.values[name].all()).expect("values");
        let direction = direction(gradient, seed as u32);
        let loss_at = |step: f32| {
            let moved: Vec<f32> = value.iter().zip(&direction).map(|(value, along)| value + step * along).collect();
            engine.write(&bed.values[name], 0, &moved).expect("values");
            ready.run()
        };
        let got = (loss_at(STEP) - loss_at(-STEP)) / (2.0 * f64::from(STEP));
        engine.write(&bed.values[name], 0, &value).expect("values");
        let expected: f64 = gradient.iter().zip(&direction).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        // A loss of 2 in f32 over a step of 0.01 is known to 5e-5.
        let allowed = 1e-2 * expected.abs() + 1e-4;
        assert!((got - expected).abs() <= allowed, "{:?}: {name}: {got:e}, not {expected:e}", config);
    }
}

#[test]
fn transformer_gradients_are_those_of_finite_differences() {
    for config in [decoder(false), encoder(0, Pooling::Mean)] {
        check(&config, LOSS);
        check(&config, LOSS.smoothing(0.1));
    }
}

#[test]
fn transformer_gradients_with_dropout_are_those_of_finite_differences() {
    for base in [decoder(true), encoder(2, Pooling::Pooler), encoder(0, Pooling::Mean)] {
        check(&with(&base, |sizes| sizes.dropout = 0.25), LOSS);
    }
}
