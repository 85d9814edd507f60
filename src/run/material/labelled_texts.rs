//! An encoder on labelled texts.

use super::{Material, Reader, summary};
use crate::data::{Sequence, SequenceSizes, Sequences, UnknownCharacters, Vocabulary};
use crate::nn::models::Head;
use crate::run::sets::{Classed, Sets};
use crate::run::{Error, Inputs, examples};
use crate::train::ClassifySequences;
use std::collections::BTreeSet;
use std::path::Path;

impl Reader<'_> {
    pub(super) fn labelled_texts(
        mut self,
        train: &Path,
        [text, label]: [&String; 2],
        classes: &[String],
    ) -> Result<Material, Error> {
        let (data, context) = (&self.run.data, self.run.model.context);
        let sets = Sets::read(self.run, classes, train, |path| examples::texts(path, text, label))?;
        let Sets { train, test, classes, warnings } = sets;
        self.warnings.extend(warnings);
        let vocabulary = self.vocabulary(|| {
            let all: BTreeSet<char> = train.iter().chain(&test).flat_map(|row| row.input.chars()).collect();
            Ok(Vocabulary::new(all.into_iter().collect())?)
        })?;
        let sizes = SequenceSizes { context, vocabulary: vocabulary.len(), types: 1, classes: classes.len() };
        let (train_set, cut) = self.sequences(&train, &data.train_name(), (&vocabulary, sizes))?;
        let (test_set, cut_of_test) = self.sequences(&test, &data.test_name(), (&vocabulary, sizes))?;
        let inputs =
            Inputs { characters: Some(vocabulary.characters().iter().collect()), classes, ..Inputs::default() }
                .checked(&[bytemuck::cast_slice(train_set.packed())], &[bytemuck::cast_slice(test_set.packed())]);
        let encoder = self.run.model.labelled(vocabulary.len(), Head::new(inputs.classes.len()))?;
        let values = self.values(&encoder, &inputs)?;
        if cut + cut_of_test > 0 {
            let (cut, all) = (cut + cut_of_test, train.len() + test.len());
            self.warnings.push(format!(
                "{cut} of {all} texts are longer than {context} characters and were cut (model.context)"
            ));
        }
        let task = ClassifySequences::new(&encoder, (&train_set, &test_set))?;
        let (trained, tested, classes) = (train_set.len(), test_set.len(), inputs.classes.len());
        let what = format!("{trained} texts to train on, {tested} to test, {classes} classes");
        Ok(Material {
            summary: summary("an encoder", &encoder, &what),
            task: Box::new(match values {
                Some(values) => task.starting_from(values),
                None => task,
            }),
            inputs,
            units: ("tokens", context),
            warnings: self.warnings,
        })
    }

    /// The texts of a file as tokens, and how many were cut.
    fn sequences(
        &mut self,
        rows: &[Classed<String>],
        file: &str,
        (vocabulary, sizes): (&Vocabulary, SequenceSizes),
    ) -> Result<(Sequences, usize), Error> {
        let (mut unknown, mut cut) = (UnknownCharacters::default(), 0);
        let instead = self.token_of_unknown(vocabulary);
        let mut sequences = Vec::with_capacity(rows.len());
        for row in rows {
            let mut tokens = vocabulary.encode_known((&row.input, row.line), instead, &mut unknown);
            cut += usize::from(tokens.len() > sizes.context);
            tokens.truncate(sizes.context);
            sequences.push(Sequence { tokens, types: Vec::new(), label: row.class });
        }
        self.tell_unknown(file, &unknown)?;
        if let Some(at) = sequences.iter().position(|sequence| sequence.tokens.is_empty()) {
            let reason = "no character of the text is in the vocabulary";
            return Err(Error::bad_line(Path::new(file), rows[at].line, reason));
        }
        Ok((Sequences::new(sizes, &sequences)?, cut))
    }
}
