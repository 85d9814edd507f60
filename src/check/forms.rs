//! The forms that kernels have on an adapter.

use crate::engine::{Choices, Engine, Sizes, Tiling};

/// A handle to an engine whose dispatches have one form, and what that is called.
#[derive(Clone, Debug)]
pub struct Form {
    /// The sizes of workgroups, and the tiling: `gpu tiles64`.
    pub name: String,
    /// The engine that is checked.
    pub engine: Engine,
}

impl Form {
    fn of(engine: &Engine, name: &str, sizes: Sizes, tiling: Tiling) -> Form {
        let engine = engine.sized(sizes).choosing(Choices::all(tiling));
        Form { name: format!("{name} {}", tiling.name()), engine }
    }

    /// Another engine with the same form.
    pub fn on(&self, engine: &Engine) -> Engine {
        engine.sized(*self.engine.sizes()).choosing(self.engine.choices().clone())
    }
}

/// The forms that a run takes on an engine: each tiling of its choices. With `all`, those that it might be made to take.
pub fn forms(engine: &Engine, all: bool) -> Vec<Form> {
    let choices = engine.choices();
    let fits = |tiling: &Tiling| tiling.fits(engine);
    if all {
        let sizes = [("processor", Sizes::PROCESSOR), ("gpu", Sizes::GPU)];
        let tilings = || Tiling::ALL.into_iter().filter(fits);
        return sizes
            .into_iter()
            .flat_map(|(name, sizes)| tilings().map(move |tiling| Form::of(engine, name, sizes, tiling)))
            .collect();
    }
    let name = if *engine.sizes() == Sizes::PROCESSOR { "processor" } else { "gpu" };
    let mut tilings: Vec<Tiling> = vec![choices.otherwise];
    choices.chosen.values().filter(|tiling| **tiling != choices.otherwise).for_each(|tiling| {
        if !tilings.contains(tiling) {
            tilings.push(*tiling);
        }
    });
    tilings.into_iter().filter(fits).map(|tiling| Form::of(engine, name, *engine.sizes(), tiling)).collect()
}
