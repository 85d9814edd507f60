//! Files of parameters and of an optimizer's state.
#![no_main]

use gradus::engine::Engine;
use gradus::optim::{Optimizer, Parameters, Settings};
use gradus::params::{Group, Param, Row};
use gradus_fuzz::edited;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;

struct Bed {
    parameters: Parameters,
    optimizer: Optimizer,
    files: [Vec<u8>; 2],
}

impl Bed {
    fn new() -> Bed {
        let engine = Engine::cpu();
        let params = [Param::new("trunk.weight", [5, 3]), Param::new("head.bias", [2])];
        let parameters = Parameters::new(&engine, &params, None).expect("parameters");
        let groups = [
            Group::new("trunk", Row::default(), ["trunk.weight"]),
            Group::new("head", Row::default(), ["head.bias"]),
        ];
        let mut optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
        optimizer.step().expect("a step");
        let files = [parameters.read_file().expect("a file"), optimizer.read_state().expect("a file")];
        Bed { parameters, optimizer, files }
    }
}

thread_local!(static BED: RefCell<Bed> = RefCell::new(Bed::new()));

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    BED.with_borrow_mut(|bed| {
        let state = kind & 1 == 1;
        let file = if kind & 2 == 0 { edited(&bed.files[usize::from(state)], rest) } else { rest.to_vec() };
        let loaded = if state { bed.optimizer.load_state(&file) } else { bed.parameters.load(&file) };
        if loaded.is_ok() {
            bed.optimizer.step().expect("a step after what was loaded");
        }
    });
});
