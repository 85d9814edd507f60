//! A schedule: read, resolved against a model, followed for a few steps, and written down again.
#![no_main]

use gradus::params::Param;
use gradus::schedule::{Epochs, Plan, Spec};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(spec) = Spec::parse("fuzz.yaml", text) else { return };
    let names = ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias", "norm.weight"];
    let params: Vec<Param> = names.iter().map(|name| Param::new(*name, [4])).collect();
    let Ok(plan) = Plan::new(&spec, &params[..], Epochs { epochs: 3, steps_per_epoch: 5 }) else { return };
    let Ok(mut cursor) = plan.start() else { return };
    for _ in 0..4 {
        let Ok(_) = plan.epoch_start(&mut cursor) else { return };
        for _ in 0..5 {
            if plan.rows(&cursor, 2).is_err() || plan.step(&mut cursor).is_err() {
                return;
            }
        }
        let Ok(_) = plan.validation(&mut cursor, &[("val_loss", 0.5), ("accuracy", 0.5)]) else { return };
    }
    let written = plan.to_yaml();
    Spec::parse("written.yaml", &written).unwrap_or_else(|error| panic!("what is written is not read: {error}\n{written}"));
});
