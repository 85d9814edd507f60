//! Labelled sequences of tokens, from which batches are drawn on the device.

use super::split::split;
use super::{BatchSize, Error};
use crate::setters::setters;
use crate::twin::shared::{GatherSequences, TYPE_SHIFT};

/// What the sequences of a set may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SequenceSizes {
    /// Most tokens of a sequence.
    pub context: usize,
    /// Entries of the vocabulary, 2²⁸ at most.
    pub vocabulary: usize,
    /// Token types, 16 at most.
    pub types: usize,
    /// Classes of the labels.
    pub classes: usize,
}

impl SequenceSizes {
    /// Most tokens of a sequence, entries of the vocabulary and classes of the labels; one token type.
    pub fn new(context: usize, vocabulary: usize, classes: usize) -> SequenceSizes {
        SequenceSizes { context, vocabulary, types: 1, classes }
    }

    setters! {
        types: usize,
    }
}

/// One sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sequence {
    /// Its tokens, one at least.
    pub tokens: Vec<u32>,
    /// A type for each token; empty: all are of type 0.
    pub types: Vec<u32>,
    /// Its class.
    pub label: u32,
}

impl Sequence {
    /// Tokens of type 0, and their class.
    pub fn new(tokens: Vec<u32>, label: u32) -> Sequence {
        Sequence { tokens, types: Vec::new(), label }
    }

    setters! {
        types: Vec<u32>,
    }
}

/// A set of labelled sequences. Here each is as long as it is; the kernel `gather_sequences` reads them padded.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequences {
    sizes: SequenceSizes,
    packed: Vec<u32>,
    /// Where each one starts in it, and the end.
    starts: Vec<usize>,
    columns: Vec<Columns>,
}

/// Numbers that belong to sequences: what they are called, how many each sequence has, and the numbers, sequence after
/// sequence.
pub type Columns = (String, usize, Vec<f32>);

impl Sequences {
    /// A set of these sequences, all checked.
    ///
    /// # Errors
    /// [`Error::BadSequences`] for sizes that cannot be, [`Error::BadSequence`] for the first that does not fit them.
    pub fn new(sizes: SequenceSizes, sequences: &[Sequence]) -> Result<Sequences, Error> {
        check_sizes(&sizes, sequences.len()).map_err(|reason| Error::BadSequences { reason })?;
        let (mut packed, mut starts) = (Vec::new(), vec![0]);
        for (place, sequence) in sequences.iter().enumerate() {
            check(&sizes, sequence).map_err(|reason| Error::BadSequence { sequence: place, reason })?;
            packed.extend([sequence.label, sequence.tokens.len() as u32]);
            let types = sequence.types.iter().copied().chain(std::iter::repeat(0));
            packed.extend(sequence.tokens.iter().zip(types).map(|(token, kind)| token | kind << TYPE_SHIFT));
            starts.push(packed.len());
        }
        Ok(Sequences { sizes, packed, starts, columns: Vec::new() })
    }

    /// With numbers for each sequence: `targets`, or `features`.
    ///
    /// # Errors
    /// [`Error::BadSequences`] for numbers that do not make a row for each sequence, or are not finite.
    pub fn with_columns(mut self, name: &str, width: usize, values: Vec<f32>) -> Result<Sequences, Error> {
        let bad = |reason| Err(Error::BadSequences { reason });
        if width == 0 || width.checked_mul(self.len()) != Some(values.len()) {
            return bad("the numbers beside it do not make a row for each sequence");
        }
        if values.iter().any(|value| !value.is_finite()) {
            return bad("a number beside it is not finite");
        }
        self.columns.push((name.to_owned(), width, values));
        Ok(self)
    }

    /// The numbers of the sequences.
    pub fn columns(&self) -> &[Columns] {
        &self.columns
    }

    /// What the sequences may hold.
    pub fn sizes(&self) -> SequenceSizes {
        self.sizes
    }

    /// How many sequences.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// One after the other: the label, the length, and `token | type << 28` for each token.
    pub fn packed(&self) -> &[u32] {
        &self.packed
    }

    /// For the device: `[len, 2 + context]`, each record as [`packed`](Sequences::packed) has it, then zeros.
    pub fn padded(&self) -> Vec<u32> {
        let record = 2 + self.sizes.context;
        let mut padded = Vec::with_capacity(self.len() * record);
        for (place, ends) in self.starts.windows(2).enumerate() {
            padded.extend(&self.packed[ends[0]..ends[1]]);
            padded.resize((place + 1) * record, 0);
        }
        padded
    }

    /// A train and a test set: `test_percent` of the sequences, drawn by a seed, are the test set.
    ///
    /// # Errors
    /// [`Error::BadSplit`] if either would be empty.
    pub fn split(&self, test_percent: usize, seed: u32) -> Result<(Sequences, Sequences), Error> {
        let (train, test) = split(self.len(), test_percent, seed)?;
        Ok((self.picked(&train), self.picked(&test)))
    }

    fn picked(&self, places: &[usize]) -> Sequences {
        let (mut packed, mut starts) = (Vec::new(), vec![0]);
        for place in places {
            packed.extend(&self.packed[self.starts[*place]..self.starts[place + 1]]);
            starts.push(packed.len());
        }
        let rows = |width: usize, values: &[f32]| {
            places.iter().flat_map(|place| &values[width * place..width * (place + 1)]).copied().collect()
        };
        let columns = self.columns.iter().map(|(name, width, values)| (name.clone(), *width, rows(*width, values)));
        Sequences { sizes: self.sizes, packed, starts, columns: columns.collect() }
    }

    /// What the kernel `gather_sequences` needs to draw training batches, in a new order every epoch. `micro` is 0, to be
    /// set for each micro-batch.
    ///
    /// # Errors
    /// [`Error::BadBatch`].
    pub fn batches(&self, size: BatchSize, seed: u32) -> Result<GatherSequences, Error> {
        let steps_per_epoch = size.steps_per_epoch(self.len())?;
        let (rows, micro_batches) = (size.rows as u32, size.micro_batches as u32);
        Ok(GatherSequences { rows, steps_per_epoch, micro_batches, seed, ..self.shape() })
    }

    /// What the kernel `gather_sequences` needs, with `SHUFFLE` = 0, to go once over all sequences: a batch a step.
    /// The last batch may end in rows whose label is ignored.
    ///
    /// # Errors
    /// [`Error::BadBatch`].
    pub fn evaluation(&self, rows: usize) -> Result<GatherSequences, Error> {
        let steps_per_epoch = BatchSize::covering(self.len(), rows, self.sizes.context)?;
        Ok(GatherSequences { rows: rows as u32, steps_per_epoch, micro_batches: 1, ..self.shape() })
    }

    fn shape(&self) -> GatherSequences {
        let (samples, context) = (self.len() as u32, self.sizes.context as u32);
        GatherSequences { samples, context, ..GatherSequences::default() }
    }
}

fn check_sizes(sizes: &SequenceSizes, sequences: usize) -> Result<(), &'static str> {
    let record = sizes.context.saturating_add(2);
    match sizes {
        SequenceSizes { context: 0, .. } => Err("a context of 0 tokens"),
        SequenceSizes { classes: 0, .. } => Err("0 classes"),
        SequenceSizes { types, .. } if !(1..=16).contains(types) => Err("token types are 1 to 16"),
        SequenceSizes { vocabulary, .. } if *vocabulary > 1 << TYPE_SHIFT => {
            Err("the vocabulary has more than 2^28 entries")
        }
        _ if sequences == 0 => Err("there is none"),
        _ if u32::try_from(sequences.saturating_mul(record)).is_err() => Err("more words than 32 bits count"),
        _ => Ok(()),
    }
}

fn check(sizes: &SequenceSizes, sequence: &Sequence) -> Result<(), String> {
    let Sequence { tokens, types, label } = sequence;
    let below = |what: &str, value: u32, bound: usize| match (value as usize) < bound {
        true => Ok(()),
        false => Err(format!("{what} is {value}, but there are {bound}")),
    };
    match tokens.len() {
        0 => return Err("it has no tokens".to_owned()),
        length if length > sizes.context => {
            return Err(format!("{length} tokens are more than a context of {}", sizes.context));
        }
        length if !types.is_empty() && types.len() != length => {
            return Err(format!("{} token types for {length} tokens", types.len()));
        }
        _ => {}
    }
    below("the label", *label, sizes.classes)?;
    for (place, token) in tokens.iter().enumerate() {
        below(&format!("token {place}"), *token, sizes.vocabulary)?;
    }
    for (place, kind) in types.iter().enumerate() {
        below(&format!("the type of token {place}"), *kind, sizes.types)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: SequenceSizes = SequenceSizes { context: 3, vocabulary: 10, types: 2, classes: 4 };

    fn sequence(tokens: &[u32], types: &[u32], label: u32) -> Sequence {
        Sequence { tokens: tokens.to_vec(), types: types.to_vec(), label }
    }

    #[test]
    fn a_record_holds_label_length_and_typed_tokens() {
        let set = Sequences::new(SIZES, &[sequence(&[9, 0], &[0, 1], 3), sequence(&[1, 2, 3], &[], 0)]).expect("a set");
        assert_eq!(set.packed(), [3, 2, 9, 1 << 28, 0, 3, 1, 2, 3]);
        assert_eq!(set.padded(), [3, 2, 9, 1 << 28, 0, 0, 3, 1, 2, 3]);
        let shape = set.batches(BatchSize { rows: 1, micro_batches: 2 }, 5).expect("a shape");
        assert_eq!((shape.samples, shape.steps_per_epoch, shape.micro_batches, shape.seed), (2, 1, 2, 5));
        let shape = set.evaluation(3).expect("a shape");
        assert_eq!((shape.rows, shape.steps_per_epoch, shape.micro_batches), (3, 1, 1));
        assert_eq!(set.evaluation(1).expect("a shape").steps_per_epoch, 2);
    }

    #[test]
    fn a_split_loses_none() {
        let all: Vec<Sequence> = (0..10).map(|token| sequence(&[token], &[], token % 4)).collect();
        let numbers = (0..20).map(|number| number as f32).collect();
        let set = Sequences::new(SIZES, &all).expect("a set").with_columns("features", 2, numbers).expect("columns");
        let (train, test) = set.split(20, 7).expect("a split");
        assert_eq!((train.len(), test.len()), (8, 2));
        let tokens = |set: &Sequences| set.padded().chunks(5).map(|record| record[2]).collect::<Vec<u32>>();
        let mut both = [tokens(&train), tokens(&test)].concat();
        both.sort_unstable();
        assert_eq!(both, Vec::from_iter(0..10));
        for (token, row) in tokens(&train).into_iter().zip(train.columns()[0].2.chunks(2)) {
            assert_eq!(row, [2.0 * token as f32, 2.0 * token as f32 + 1.0]);
        }
        assert!(set.split(1, 7).is_err() && set.split(100, 7).is_err());
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let told = |second| {
            let first = sequence(&[0], &[], 0);
            Sequences::new(SIZES, &[first, second]).expect_err("refused").to_string()
        };
        assert_eq!(told(sequence(&[], &[], 0)), "sequence 1: it has no tokens");
        assert_eq!(told(sequence(&[0; 4], &[], 0)), "sequence 1: 4 tokens are more than a context of 3");
        assert_eq!(told(sequence(&[0; 3], &[0], 0)), "sequence 1: 1 token types for 3 tokens");
        assert_eq!(told(sequence(&[0, 10], &[], 0)), "sequence 1: token 1 is 10, but there are 10");
        assert_eq!(told(sequence(&[0, 1], &[0, 2], 0)), "sequence 1: the type of token 1 is 2, but there are 2");
        assert_eq!(told(sequence(&[0], &[], 4)), "sequence 1: the label is 4, but there are 4");
        let sizes = |sizes| Sequences::new(sizes, &[sequence(&[0], &[], 0)]).expect_err("refused").to_string();
        assert_eq!(sizes(SequenceSizes { context: 0, ..SIZES }), "a set of sequences: a context of 0 tokens");
        assert_eq!(sizes(SequenceSizes { types: 17, ..SIZES }), "a set of sequences: token types are 1 to 16");
        assert_eq!(sizes(SequenceSizes { classes: 0, ..SIZES }), "a set of sequences: 0 classes");
        assert_eq!(
            sizes(SequenceSizes { context: usize::MAX, ..SIZES }),
            "a set of sequences: more words than 32 bits count"
        );
        assert!(Sequences::new(SIZES, &[]).is_err());
        let set = Sequences::new(SIZES, &[sequence(&[0], &[], 0)]).expect("a set");
        for (width, values) in [(0, vec![]), (2, vec![0.0]), (1, vec![f32::NAN])] {
            assert!(set.clone().with_columns("targets", width, values).is_err(), "{width}");
        }
    }
}
