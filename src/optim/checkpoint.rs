//! Optimizer state to and from safetensors, by parameter name.
//!
//! A parameter `p` has `p.step` and a tensor for each slot of its rule, in the words of the rule's class: `p.exp_avg` and
//! `p.exp_avg_sq` (and `p.max_exp_avg_sq` with amsgrad) for AdamW, `p.momentum_buffer` for SGD once there was momentum, each
//! in the type that its group stores it in; what is read is converted. Moments in int8 are there as bf16, which has every
//! number that a byte may stand for: what is read is the same again. NAdam has `p.mu_product` too, Schedule-Free
//! `p.weight_sum` and `p.lr_max`. Adafactor has `p.row_var` and `p.col_var`, in which the
//! last dimension, or the last but one, has a length of 1, and `p.variance` of a vector. A group that keeps an
//! average of its parameters has `p.ema`, once a step was taken. But for that these are the names and shapes of the states
//! of torch's and timm's classes, so that the file can be read into them and back; SGD's has no `step` there.

use super::arena::Stream;
use super::factors::shape_in_files;
use super::parameters::{download_all, floats, type_of};
use super::update::AVERAGE;
use super::{Error, Optimizer};
use crate::engine::layout::Record;
use crate::params::{Rule, Shown, Storage};
use half::bf16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The moment that a tensor has only once it took a gradient with momentum.
const BUFFER: &str = "momentum_buffer";
/// The product of NAdam's momenta, which its class has begin with 1.
const PRODUCT: &str = "mu_product";
/// Largest count that a file's f32 holds exactly.
const MOST_COUNT: f32 = 16_777_216.0;

/// A tensor's state out of a file.
struct Loaded {
    tensor: usize,
    record: Record,
    /// Moments and average, by name; the others are zero.
    parts: Vec<(&'static str, Vec<f32>)>,
}

impl Optimizer {
    /// The moments and applied counts of every parameter that has thawed, as a safetensors file. Waits for the device.
    ///
    /// # Errors
    /// [`Error::Swapped`]; from the device.
    pub fn read_state(&self) -> Result<Vec<u8>, Error> {
        self.refuse_swapped()?;
        let records = self.records()?;
        let mut tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
        let (mut wanted, mut streams): (Vec<(String, Vec<usize>)>, Vec<Stream<'_>>) = Default::default();
        for &tensor in &self.state.order {
            let (param, record) = (&self.params[tensor], &records[tensor]);
            let is_filled = |part: &str| match part {
                BUFFER => record.buffered > 0,
                AVERAGE => record.averaged > 0,
                part => self.update_of_own(tensor).slots().any(|slot| slot == part),
            };
            for (part, stream) in self.state.streams(tensor).into_iter().filter(|(part, _)| is_filled(part)) {
                wanted.push((format!("{}.{part}", param.name), shape_in_files(part, param)));
                streams.push(stream);
            }
            let count = record.count as f32;
            let number = |value: f32| (Dtype::F32, Vec::new(), value.to_le_bytes().to_vec());
            tensors.insert(format!("{}.step", param.name), number(count));
            let carried = [record.carried, record.peak];
            for (name, value) in self.update_of_own(tensor).carried.iter().zip(carried) {
                let value = if *name == PRODUCT && record.count == 0 { 1.0 } else { value };
                tensors.insert(format!("{}.{name}", param.name), number(value));
            }
        }
        let values = download_all(self.engine(), &streams)?;
        for (((name, shape), stream), bytes) in wanted.into_iter().zip(&streams).zip(values) {
            tensors.insert(name, (type_of(stream.storage), shape, in_file(stream, bytes)));
        }
        let bad = |error: safetensors::SafeTensorError| Error::BadFile(error.to_string());
        let mut views = Vec::with_capacity(tensors.len());
        for (name, (dtype, shape, bytes)) in &tensors {
            views.push((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).map_err(bad)?));
        }
        safetensors::serialize(views, None).map_err(bad)
    }

    /// Takes the state of every parameter that the file speaks of; the others keep theirs. Moments in another type than
    /// their group stores them in are converted, to the nearest. The whole file is checked before anything changes.
    ///
    /// # Errors
    /// [`Error::BadFile`] naming the tensor: unknown parameter, another rule's state, wrong shape or type, missing part;
    /// [`Error::Swapped`].
    pub fn load_state(&mut self, file: &[u8]) -> Result<(), Error> {
        self.refuse_swapped()?;
        let file = SafeTensors::deserialize(file).map_err(|error| Error::BadFile(error.to_string()))?;
        let found = self.spoken_of(&file)?;
        let loaded: Vec<Loaded> = found.iter().map(|tensor| self.read(&file, *tensor)).collect::<Result<_, _>>()?;
        self.make_state(&found)?;
        for Loaded { tensor, record, parts } in loaded {
            for (name, stream) in self.state.streams(tensor) {
                let found = parts.iter().find(|(part, _)| *part == name);
                let zeros = || vec![0.0; stream.elements() as usize];
                stream.upload(self.engine(), &found.map_or_else(zeros, |(_, values)| values.clone()))?;
            }
            self.put_record(tensor, record)?;
        }
        Ok(())
    }

    /// The tensors whose state a file holds.
    fn spoken_of(&self, file: &SafeTensors<'_>) -> Result<Vec<usize>, Error> {
        let places: HashMap<&str, usize> =
            self.params.iter().zip(0..).map(|(param, at)| (param.name.as_str(), at)).collect();
        let mut found = BTreeSet::new();
        for name in file.names() {
            let (param, part) = name.rsplit_once('.').unwrap_or((name, ""));
            let unknown = || Error::BadFile(format!("{:?} belongs to no parameter of this model", Shown(name)));
            let tensor = places.get(param).copied().ok_or_else(unknown)?;
            let is_of = |rule: Rule| rule.slots().chain(rule.carried()).any(|known| known == part);
            if Rule::ALL.into_iter().any(is_of) && !is_of(self.row_of_own(tensor).rule) {
                let kernel = self.update_of_own(tensor).family.name;
                return Err(Error::BadFile(format!("{:?} is no state of {kernel}", Shown(name))));
            }
            found.insert(tensor);
        }
        Ok(found.into_iter().collect())
    }

    /// One tensor's state out of a file.
    fn read(&self, file: &SafeTensors<'_>, tensor: usize) -> Result<Loaded, Error> {
        let param = &self.params[tensor];
        let name = |part: &str| format!("{}.{part}", param.name);
        let has_buffer = file.tensor(&name(BUFFER)).is_ok();
        // A file of torch's SGD has no count; that there was a step is all that matters.
        let count = match file.tensor(&name("step")) {
            Err(_) if has_buffer => 1.0,
            _ => floats(file, &name("step"), &[])?[0],
        };
        if !(count >= 0.0 && count.fract() == 0.0 && count <= MOST_COUNT) {
            return Err(Error::BadFile(format!("{:?} = {count} is not a count", name("step"))));
        }
        let has_average = file.tensor(&name(AVERAGE)).is_ok();
        let update = self.update_of_own(tensor);
        if has_average && !update.has_average {
            return Err(Error::BadFile(format!("{:?} is an average, and its group keeps none", name(AVERAGE))));
        }
        let is_there = |part: &&str| (*part != BUFFER || has_buffer) && (*part != AVERAGE || has_average);
        let parts = update.streams(param).into_iter().filter(is_there);
        let parts = parts.map(|part| Ok((part, floats(file, &name(part), &shape_in_files(part, param))?)));
        let parts = parts.collect::<Result<_, Error>>()?;
        let is_evaluated = update.evaluated.is_some() && count > 0.0;
        let (buffered, averaged) = (u32::from(has_buffer), u32::from(has_average || is_evaluated));
        let mut carried = [0.0; 2];
        for (part, value) in update.carried.iter().zip(&mut carried) {
            *value = floats(file, &name(part), &[])?[0];
            if let Some(allowed) = refused(part, *value, count) {
                return Err(Error::BadFile(format!("{:?} = {value} is not {allowed}", name(part))));
            }
        }
        let [carried, peak] = carried;
        let record = Record { count: count as u32, buffered, averaged, carried, peak, ..Record::default() };
        Ok(Loaded { tensor, record, parts })
    }
}

/// The state of a model whose moments several optimizers [share](super::Shard), out of the files of all of them.
///
/// # Errors
/// [`Error::BadFile`] for what is no file of a state.
pub fn whole_state(files: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    let bad = |error: safetensors::SafeTensorError| Error::BadFile(error.to_string());
    let files: Vec<SafeTensors<'_>> =
        files.iter().map(|file| SafeTensors::deserialize(file)).collect::<Result<_, _>>().map_err(bad)?;
    let mut whole: BTreeMap<String, TensorView<'_>> = BTreeMap::new();
    for file in &files {
        whole.extend(file.tensors());
    }
    safetensors::serialize(whole, None).map_err(bad)
}

/// What a number that a rule carries would have to be, where it is not. The product of momenta, each
/// below 1, is 1 only as long as there was no step.
fn refused(part: &str, value: f32, count: f32) -> Option<&'static str> {
    match part {
        PRODUCT if count > 0.0 => (!(0.0..1.0).contains(&value)).then_some("in [0, 1)"),
        PRODUCT => (!(0.0..=1.0).contains(&value)).then_some("in [0, 1]"),
        _ => (!(value.is_finite() && value >= 0.0)).then_some("a finite number that is 0 or more"),
    }
}

/// What a file holds of a stream: bf16 has all the numbers that a byte may stand for.
fn in_file(stream: &Stream<'_>, bytes: Vec<u8>) -> Vec<u8> {
    match stream.storage {
        Storage::F32 | Storage::Bf16 => bytes,
        Storage::Int8 => {
            stream.widened(&bytes).into_iter().flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect()
        }
    }
}
