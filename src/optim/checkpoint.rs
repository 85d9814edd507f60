//! Optimizer state to and from safetensors, by parameter name.
//!
//! A parameter `p` has `p.step` and its moments: `p.exp_avg` and `p.exp_avg_sq` (and `p.max_exp_avg_sq` with amsgrad), or
//! `p.momentum_buffer`, once SGD has filled it, each in the type that its group stores it in; what is read is converted.
//! These are the names and shapes of the states of torch's classes, so that
//! the file can be read into torch and back; SGD's has no `step` there.

use super::arena::Stream;
use super::parameters::{download_all, floats};
use super::{Error, Optimizer};
use crate::engine::layout::Record;
use crate::params::{Param, Storage};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::BTreeMap;

/// The moment that a tensor has only once it took a gradient with momentum.
const BUFFER: &str = "momentum_buffer";
/// Largest count that a file's f32 holds exactly.
const MOST_COUNT: f32 = 16_777_216.0;

/// A tensor's state out of a file.
struct Loaded {
    tensor: usize,
    record: Record,
    moments: Vec<Vec<f32>>,
}

impl Optimizer {
    /// The moments and applied counts of every parameter that has thawed, as a safetensors file. Waits for the device.
    ///
    /// # Errors
    /// From the device.
    pub fn save_state(&self) -> Result<Vec<u8>, Error> {
        let records = self.records()?;
        let mut tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
        let (mut wanted, mut moments): (Vec<(String, &Param)>, Vec<Stream<'_>>) = Default::default();
        for &tensor in &self.state.order {
            let (param, record) = (&self.params[tensor], &records[tensor]);
            for (moment, stream) in self.moments_of(tensor).iter().zip(self.state.moments(tensor)) {
                if *moment != BUFFER || record.buffered > 0 {
                    wanted.push((format!("{}.{moment}", param.name), param));
                    moments.push(stream);
                }
            }
            let count = record.count as f32;
            tensors.insert(format!("{}.step", param.name), (Dtype::F32, Vec::new(), count.to_le_bytes().to_vec()));
        }
        let values = download_all(self.engine(), &moments)?;
        for (((name, param), stream), bytes) in wanted.into_iter().zip(&moments).zip(values) {
            tensors.insert(name, (type_of(stream.storage), param.shape.clone(), bytes));
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
    /// [`Error::BadFile`] naming the tensor: unknown parameter, another rule's state, wrong shape or type, missing part.
    pub fn load_state(&mut self, file: &[u8]) -> Result<(), Error> {
        let file = SafeTensors::deserialize(file).map_err(|error| Error::BadFile(error.to_string()))?;
        let found = self.spoken_of(&file)?;
        let loaded: Vec<Loaded> = found.iter().map(|tensor| self.read(&file, *tensor)).collect::<Result<_, _>>()?;
        self.make_state(&found)?;
        for Loaded { tensor, record, moments } in loaded {
            for (stream, values) in self.state.moments(tensor).iter().zip(&moments) {
                stream.upload(self.engine(), values)?;
            }
            self.put_record(tensor, record)?;
        }
        Ok(())
    }

    /// The tensors whose state a file holds.
    fn spoken_of(&self, file: &SafeTensors<'_>) -> Result<Vec<usize>, Error> {
        let kernel = self.update().kernel;
        let mut found: Vec<usize> = Vec::new();
        for name in file.names() {
            let (param, part) = name.rsplit_once('.').unwrap_or((name, ""));
            let known = self.params.iter().position(|known| known.name == param);
            let tensor =
                known.ok_or_else(|| Error::BadFile(format!("{name:?} belongs to no parameter of this model")))?;
            if (part == BUFFER) != (kernel == "sgd") && part != "step" {
                return Err(Error::BadFile(format!("{name:?} is no state of {kernel}")));
            }
            if !found.contains(&tensor) {
                found.push(tensor);
            }
        }
        found.sort_unstable();
        Ok(found)
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
        let parts = self.moments_of(tensor).iter().filter(|part| **part != BUFFER || has_buffer);
        let moments = parts.map(|part| floats(file, &name(part), &param.shape)).collect::<Result<_, _>>()?;
        let record = Record { count: count as u32, buffered: u32::from(has_buffer), ..Record::default() };
        Ok(Loaded { tensor, record, moments })
    }
}

/// What safetensors calls a storage.
fn type_of(storage: Storage) -> Dtype {
    match storage {
        Storage::F32 => Dtype::F32,
        Storage::Bf16 => Dtype::BF16,
    }
}
