//! What a trained model makes of examples.

use super::Error;
use super::examples::Examples;
use super::supervised::Set;
use crate::data::{DataSet, Pictures, Sequences};
use crate::engine::layout::{LEAST_TABLE_BYTES, TableHeader};
use crate::engine::{Buffer, Engine, Prepared, Program, Range, Submission, counted};
use crate::nn::{LossOptions, Model, Network};
use crate::optim::Parameters;

/// Examples that a model is asked about. Their labels and targets are not looked at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Questions {
    /// Rows of numbers.
    Rows(DataSet),
    /// Sequences of tokens.
    Sequences(Sequences),
    /// Pictures.
    Pictures(Pictures),
}

impl Questions {
    fn set(&self) -> &dyn Set {
        match self {
            Questions::Rows(rows) => rows,
            Questions::Sequences(sequences) => sequences,
            Questions::Pictures(pictures) => pictures,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.set().tested()
    }
}

/// A model with its values on a device.
#[derive(Debug)]
pub struct Predictor {
    engine: Engine,
    model: Model,
    parameters: Parameters,
}

/// What a predictor gives of each example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wanted {
    /// The outputs, before any softmax.
    Outputs,
    /// The vector of the sequence: the row that the head reads.
    Vectors,
}

impl Predictor {
    /// Puts a model on a device, with a value for each parameter.
    ///
    /// # Errors
    /// From the device; a parameter that the model does not have, or of another size.
    pub fn new(engine: &Engine, model: &Model, values: &[(String, Vec<f32>)]) -> Result<Predictor, Error> {
        let parameters = Parameters::new(engine, &model.params(), None)?.with_buffers(&model.buffers())?;
        for (name, values) in values {
            parameters.upload(name, values)?;
        }
        Ok(Predictor { engine: engine.clone(), model: model.clone(), parameters })
    }

    /// So many numbers of each example, in batches of `rows`: a row has the same bits in a batch of any size. `each` hears
    /// the numbers of an example, in the examples' order.
    ///
    /// # Errors
    /// From the device.
    pub fn each(
        &self,
        questions: &Questions,
        (wanted, width): (Wanted, usize),
        rows: usize,
        mut each: impl FnMut(&[f32]),
    ) -> Result<(), Error> {
        let (engine, set) = (&self.engine, questions.set());
        let bound = self.model.largest_batch(engine, set.context());
        let rows = rows.min(set.tested()).min(bound).max(1);
        let examples = set.to_test(engine, rows, u64::MAX)?;
        let (program, found, table) = self.program(&examples, wanted)?;
        let mut left = set.tested();
        for step in 0..set.tested().div_ceil(rows) {
            let header = TableHeader { first_step: counted(step), ..TableHeader::default() };
            engine.write(&table, 0, &[header])?;
            let uploads = examples.uploads(counted(step));
            engine.submit(&Submission { uploads, programs: &[&program], ..Submission::default() })?;
            let numbers: Vec<f32> = engine.read(&found)?;
            let stride = numbers.len() / rows;
            numbers.chunks(stride).take(left).for_each(|row| each(&row[..width.min(stride)]));
            left = left.saturating_sub(rows);
        }
        Ok(())
    }

    /// The program of a batch, the place of its results, and the table that says which batch it is.
    fn program(&self, examples: &Examples, wanted: Wanted) -> Result<(Prepared, Range, Buffer), Error> {
        let engine = &self.engine;
        let table = engine.buffer("predict table", LEAST_TABLE_BYTES)?;
        let batch = examples.room(engine)?;
        let pass = self.model.evaluation(batch.examples, batch.context)?;
        let space = pass.keeping(|label| wanted == Wanted::Vectors && label == VECTOR).allocate(engine)?;
        let found = match wanted {
            Wanted::Outputs => space.logits(),
            Wanted::Vectors => space.value(VECTOR).ok_or(Error::NoVectors)?,
        };
        let parameter = |name: &str| self.parameters.place(name).map_err(Error::from);
        let mut program = Program::new("predict");
        program.dispatches.extend(examples.gathers(engine, &batch, &table, 0)?);
        program.dispatches.extend(space.dispatches(&batch, LossOptions::new(0), parameter, |_| Ok(None), false)?);
        Ok((engine.prepare(program)?, found, table))
    }
}

/// The name of a sequence's vector in a graph.
const VECTOR: &str = "pooled";
