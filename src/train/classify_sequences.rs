//! A transformer with a head, on labelled sequences.

use super::examples::{COLUMNS, Examples, Sizes};
use super::supervised::{Set, Supervised, size};
use super::{Config, Error, Scoring};
use crate::data::{BatchSize, Sequences};
use crate::engine::Engine;
use crate::nn::{Model, Network, Objective};

/// Learning labels or numbers of sequences: a transformer with a head, its train set and its test set.
pub type ClassifySequences = Supervised<Sequences>;

impl ClassifySequences {
    /// A task.
    ///
    /// # Errors
    /// [`Error::Sequences`] for a set whose vocabulary, token types, classes or features are not the model's, or whose
    /// sequences are longer than its context. Errors of bad sizes of a model.
    pub fn new(
        model: &(impl Clone + Into<Model>),
        (train, test): (&Sequences, &Sequences),
    ) -> Result<ClassifySequences, Error> {
        let model: Model = model.clone().into();
        let (context, vocabulary) = model.sizes().map_or((0, 0), |sizes| (sizes.context, sizes.vocab));
        let pass = model.evaluation(1, context.max(1))?;
        for (which, set) in [("train", train), ("test", test)] {
            let sizes = set.sizes();
            if sizes.context > context {
                return Err(Error::Sequences { which, what: "a context of", set: sizes.context, model: context });
            }
            let beside = |name: &str| {
                let there = set.columns().iter().find(|(known, ..)| known == name).map_or(0, |(_, width, _)| *width);
                (there, pass.width_of(name).unwrap_or(0))
            };
            let [(targets, aims), (features, read)] = COLUMNS.map(beside);
            let pairs = [
                ("a vocabulary of", sizes.vocabulary, vocabulary),
                ("token types:", sizes.types, model.types().max(1)),
                ("classes:", sizes.classes, model.outputs()),
                ("targets:", targets, aims),
                ("numbers beside each:", features, read),
            ];
            if let Some((what, set, model)) = pairs.into_iter().find(|(_, set, model)| set != model) {
                return Err(Error::Sequences { which, what, set, model });
            }
        }
        Ok(Supervised { model, train: train.clone(), test: test.clone(), also: Vec::new(), start: None })
    }
}

impl Set for Sequences {
    fn context(&self) -> usize {
        self.sizes().context
    }

    fn tested(&self) -> usize {
        self.len()
    }

    fn scoring(&self, model: &Model) -> Scoring {
        let targets = self.columns().iter().find(|(name, ..)| name == "targets");
        match (model.objective(), targets) {
            (Objective::Labels, _) => Scoring::Labels(model.outputs()),
            (Objective::Numbers, Some((_, width, values))) => Scoring::of_numbers(*width, values),
            _ => Scoring::of_classes(model.outputs()),
        }
    }

    fn steps_per_epoch(&self, size: BatchSize, seed: u32) -> Result<u64, Error> {
        Ok(u64::from(self.batches(size, seed)?.steps_per_epoch))
    }

    fn to_train(&self, engine: &Engine, config: &Config) -> Result<Examples, Error> {
        let resident = engine.buffer_with("train examples", &self.padded())?;
        Examples::shuffled(vec![resident], Sizes::Sequences(self.batches(size(config), config.seed)?))
            .with_columns(engine, self.columns())
    }

    fn to_test(&self, engine: &Engine, rows: usize, _limit_bytes: u64) -> Result<Examples, Error> {
        let resident = engine.buffer_with("test examples", &self.padded())?;
        Examples::in_turn(vec![resident], Sizes::Sequences(self.evaluation(rows)?)).with_columns(engine, self.columns())
    }
}
