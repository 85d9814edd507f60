//! The forms that kernels have on an adapter.

use crate::engine::{Choices, Engine, Sizes, Tiling};

/// A handle to an engine whose dispatches have one form, and what that is called.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Form {
    /// The sizes of workgroups, and the tiling: `gpu tiles64`.
    pub name: String,
    /// The engine that is checked.
    pub engine: Engine,
}

impl Form {
    fn of(engine: &Engine, sizes: Sizes, tiling: Tiling) -> Form {
        let instead = engine.choices().instead.clone();
        let mut name = format!("{} {}", if sizes == Sizes::PROCESSOR { "processor" } else { "gpu" }, tiling.name());
        instead.iter().for_each(|(kernel, tiling)| name.push_str(&format!(", {kernel} {}", tiling.name())));
        let engine = engine.sized(sizes).choosing(Choices { instead, ..Choices::all(tiling) });
        Form { name, engine }
    }

    /// Another engine with the same form.
    pub fn on(&self, engine: &Engine) -> Engine {
        engine.sized(*self.engine.sizes()).choosing(self.engine.choices().clone())
    }
}

/// The forms that a run takes on an engine: each tiling of its choices. With `all`, those that it might be made to take.
pub fn forms(engine: &Engine, all: bool) -> Vec<Form> {
    if all {
        let sizes = [Sizes::PROCESSOR, Sizes::GPU].into_iter();
        let tilings = || Tiling::ALL.into_iter().filter(|tiling| tiling.fits(engine));
        return sizes.flat_map(|sizes| tilings().map(move |tiling| Form::of(engine, sizes, tiling))).collect();
    }
    let choices = engine.choices();
    let mut tilings = vec![choices.otherwise];
    for tiling in choices.chosen.values().filter(|tiling| tiling.fits(engine)) {
        if !tilings.contains(tiling) {
            tilings.push(*tiling);
        }
    }
    tilings.into_iter().map(|tiling| Form::of(engine, *engine.sizes(), tiling)).collect()
}
