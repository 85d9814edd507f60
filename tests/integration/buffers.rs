//! A model's buffers: state that is no parameter. It lies beside the parameters, is in the same files and in best copies, and no
//! optimizer knows it.

use crate::support::{engines, noise};
use gradus::engine::Engine;
use gradus::optim::{Best, Error, Optimizer, Parameters, Settings};
use gradus::params::{Group, Param, Row};

const NAMES: [(&str, usize); 3] = [("bn.running_mean", 5), ("bn.running_var", 5), ("bn.num_batches_tracked", 1)];

fn buffers() -> Vec<Param> {
    NAMES.map(|(name, elements)| Param::new(name, [elements])).into()
}

/// Two parameters and three buffers, with values by a seed.
fn parameters(engine: &Engine, seed: u32) -> Parameters {
    let params = [Param::new("bn.weight", [5]), Param::new("last.weight", [3, 5])];
    let parameters = Parameters::new(engine, &params, None).and_then(|parameters| parameters.with_buffers(&buffers()));
    let parameters = parameters.expect("parameters");
    for (number, param) in (0..).zip(params.iter().chain(&buffers())) {
        parameters.upload(&param.name, &noise(seed + number, param.elements())).expect("an upload");
    }
    parameters
}

fn optimizer(engine: &Engine, parameters: &Parameters) -> Optimizer {
    let group = Group::new("all", Row::adamw(0.1).weight_decay(0.5), ["bn.weight", "last.weight"]);
    Optimizer::new(engine, parameters, &[group], Settings::default()).expect("an optimizer")
}

/// The values of these, by name.
fn values<'a>(parameters: &Parameters, names: impl IntoIterator<Item = &'a str>) -> Vec<Vec<f32>> {
    names.into_iter().map(|name| parameters.read(name).expect("values")).collect()
}

fn of_buffers(parameters: &Parameters) -> Vec<Vec<f32>> {
    values(parameters, NAMES.map(|(name, _)| name))
}

#[test]
fn buffers_are_no_parameters_and_have_places() {
    for engine in engines() {
        let parameters = parameters(&engine, 1);
        assert_eq!((parameters.params().len(), parameters.buffers()), (2, &buffers()[..]));
        let (range, storage) = parameters.place("bn.running_var").expect("a place");
        assert_eq!((range.bytes, storage), (20, gradus::params::Storage::F32));
        assert!(parameters.place("bn.running_men").is_err());
        // No group has them.
        let group = Group::new("all", Row::adamw(0.1), ["bn.running_mean"]);
        let refused = Optimizer::new(&engine, &parameters, &[group], Settings::default());
        assert!(matches!(refused, Err(Error::Params(_))), "{refused:?}");
    }
}

#[test]
fn buffers_have_names_of_their_own() {
    let engine = Engine::cpu();
    let twice = |names: [&str; 2]| {
        let params = Parameters::new(&engine, &[Param::new("bn.weight", [5])], None).expect("parameters");
        params.with_buffers(&names.map(|name| Param::new(name, [5])))
    };
    assert!(twice(["a", "b"]).is_ok());
    assert!(twice(["a", "a"]).is_err() && twice(["a", "bn.weight"]).is_err());
}

#[test]
fn buffers_are_in_the_file_of_the_parameters() {
    for engine in engines() {
        let (one, other) = (parameters(&engine, 1), parameters(&engine, 100));
        assert_ne!(of_buffers(&one), of_buffers(&other));
        other.load(&one.read_file().expect("a file")).expect("a model's file");
        assert_eq!(of_buffers(&one), of_buffers(&other));
        // A file without them is another model's.
        let without = Parameters::new(&engine, one.params(), None).expect("parameters");
        let refused = one.load(&without.read_file().expect("a file")).expect_err("an error").to_string();
        assert!(refused.contains("bn.running_mean"), "{refused}");
    }
}

#[test]
fn buffers_are_in_best_copies_and_no_step_moves_them() {
    for engine in engines() {
        let parameters = parameters(&engine, 1);
        let mut optimizer = optimizer(&engine, &parameters);
        for name in ["bn.weight", "last.weight"] {
            let range = optimizer.gradient(name).expect("a gradient");
            engine.write(&range.buffer, range.offset, &noise(7, range.bytes as usize / 4)).expect("gradients");
        }
        let before = of_buffers(&parameters);
        let mut best = Best::new(1 << 20);
        best.keep(&optimizer).expect("a copy");
        let copied = best.bytes();
        optimizer.step().expect("a step");
        assert_eq!(of_buffers(&parameters), before, "decay and steps leave them alone");
        let weight = parameters.read("bn.weight").expect("values");
        for (name, elements) in NAMES {
            parameters.upload(name, &vec![9.0; elements]).expect("an upload");
        }
        best.restore(&mut optimizer).expect("what was kept");
        assert_eq!(of_buffers(&parameters), before);
        assert_ne!(parameters.read("bn.weight").expect("values"), weight);
        // A second copy takes the place of the first.
        parameters.upload("bn.num_batches_tracked", &[3.0]).expect("an upload");
        best.keep(&optimizer).expect("a copy");
        assert_eq!(best.bytes(), copied);
        parameters.upload("bn.num_batches_tracked", &[4.0]).expect("an upload");
        best.restore_and_extend(&mut optimizer, &[]).expect("what was kept");
        assert_eq!(parameters.read("bn.num_batches_tracked").expect("a count"), [3.0]);
    }
}
