//! Optimizer state to and from safetensors, by parameter name.
//!
//! A parameter `p` has `p.exp_avg`, `p.exp_avg_sq` and `p.step`, and `p.max_exp_avg_sq` with amsgrad: the names and
//! shapes of `torch.optim.AdamW`'s state, so that the file can be read into torch and back.

use super::parameters::{download_pieces, floats, upload_pieces};
use super::{Error, Optimizer};
use crate::engine::{Buffer, Range};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::BTreeMap;

/// What torch calls m, v and their maximum.
const SLOTS: [&str; 3] = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"];

impl Optimizer {
    /// The moments and applied counts of every parameter that has thawed, as a safetensors file. Waits for the device.
    ///
    /// # Errors
    /// From the device.
    pub fn save_state(&self) -> Result<Vec<u8>, Error> {
        let counts = self.applied_counts()?;
        let mut tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
        for &tensor in &self.state.order {
            let param = &self.params[tensor];
            let pieces = self.state.pieces(tensor).unwrap_or(&[]);
            for (slot, pages) in self.slots(tensor) {
                let values = download_pieces(self.engine(), pieces, pages)?;
                let bytes = bytemuck::cast_slice(&values).to_vec();
                tensors.insert(format!("{}.{slot}", param.name), (param.shape.clone(), bytes));
            }
            let count = counts.get(&param.name).copied().unwrap_or(0) as f32;
            tensors.insert(format!("{}.step", param.name), (Vec::new(), count.to_le_bytes().to_vec()));
        }
        let bad = |error: safetensors::SafeTensorError| Error::BadFile(error.to_string());
        let mut views = Vec::with_capacity(tensors.len());
        for (name, (shape, bytes)) in &tensors {
            views.push((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(bad)?));
        }
        safetensors::serialize(views, None).map_err(bad)
    }

    /// Takes the state of every parameter that the file speaks of; the others keep theirs. The whole file is checked
    /// before anything changes.
    ///
    /// # Errors
    /// [`Error::BadFile`] naming the tensor: unknown parameter, wrong shape or type, missing part.
    pub fn load_state(&mut self, file: &[u8]) -> Result<(), Error> {
        let bad = |reason: String| Error::BadFile(reason);
        let file = SafeTensors::deserialize(file).map_err(|error| bad(error.to_string()))?;
        let mut found: Vec<usize> = Vec::new();
        for name in file.names() {
            let param = name.rsplit_once('.').map_or(name, |(param, _)| param);
            let known = self.params.iter().position(|known| known.name == param);
            let tensor = known.ok_or_else(|| bad(format!("{name:?} belongs to no parameter of this model")))?;
            if !found.contains(&tensor) {
                found.push(tensor);
            }
        }
        found.sort_unstable();
        let mut loaded: Vec<(usize, u32, Vec<Vec<f32>>)> = Vec::new();
        for &tensor in &found {
            let param = &self.params[tensor];
            let count = floats(&file, &format!("{}.step", param.name), &[])?[0];
            if !(count >= 0.0 && count.fract() == 0.0 && count <= 16_777_216.0) {
                return Err(bad(format!("\"{}.step\" = {count} is not a count", param.name)));
            }
            let slots: &[&str] = if self.uses_amsgrad(tensor) { &SLOTS } else { &SLOTS[..2] };
            let values = slots
                .iter()
                .map(|slot| floats(&file, &format!("{}.{slot}", param.name), &param.shape))
                .collect::<Result<_, _>>()?;
            loaded.push((tensor, count as u32, values));
        }
        self.make_state(&found)?;
        for (tensor, count, values) in loaded {
            let pieces = self.state.pieces(tensor).unwrap_or(&[]);
            for ((_, pages), values) in self.slots(tensor).into_iter().zip(&values) {
                let windows: Vec<Range> = pages.iter().map(Buffer::all).collect();
                upload_pieces(self.engine(), pieces, &windows, values)?;
            }
            self.put_count(tensor, count)?;
        }
        Ok(())
    }

    /// Names and pages of a tensor's state; the maximum only where its group uses amsgrad, as in torch.
    fn slots(&self, tensor: usize) -> Vec<(&'static str, &[Buffer])> {
        let state = &self.state;
        let used = if self.uses_amsgrad(tensor) { 3 } else { 2 };
        SLOTS.into_iter().zip([&state.m[..], &state.v[..], &state.v_max[..]]).take(used).collect()
    }
}
