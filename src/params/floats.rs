//! Numbers of a safetensors file.

use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};

/// A tensor's elements as f32; `None` if they are not floats of 16, 32 or 64 bits, nor one count.
pub(crate) fn floats(tensor: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = tensor.data();
    Some(match tensor.dtype() {
        Dtype::F32 => bytemuck::pod_collect_to_vec(data),
        Dtype::F16 => data.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::BF16 => data.as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::F64 => data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect(),
        Dtype::I64 if data.len() == 8 => {
            data.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f32).collect()
        }
        _ => return None,
    })
}
