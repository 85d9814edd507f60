//! Nothing useless is written: parameters and moments are looked over first.

use super::Error;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::Path;

/// Refuses the bytes of a safetensors file in which a number is not finite; `file` is their destination.
pub(super) fn check_finite(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| Error::bad_file(file, &error.to_string()))?;
    match tensors.iter().find(|(_, tensor)| !is_finite(tensor)) {
        None => Ok(()),
        Some((name, _)) => Err(Error::NotFinite { file: file.to_owned(), tensor: name.to_owned() }),
    }
}

/// Whether every number is finite: all bits of the exponent say that it is not.
fn is_finite(tensor: &TensorView<'_>) -> bool {
    let data = tensor.data();
    let halves =
        |exponent: u16| data.as_chunks().0.iter().all(|bytes| u16::from_le_bytes(*bytes) & exponent != exponent);
    match tensor.dtype() {
        Dtype::F32 => data.as_chunks().0.iter().all(|bytes| f32::from_le_bytes(*bytes).is_finite()),
        Dtype::F64 => data.as_chunks().0.iter().all(|bytes| f64::from_le_bytes(*bytes).is_finite()),
        Dtype::F16 => halves(0x7c00),
        Dtype::BF16 => halves(0x7f80),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dtype: Dtype, data: &[u8]) -> Vec<u8> {
        let tensor = TensorView::new(dtype, vec![data.len() / (dtype.bitsize() / 8)], data).unwrap();
        safetensors::serialize([("a.weight", tensor)], None).unwrap()
    }

    #[test]
    fn one_number_that_is_not_finite_is_named_by_its_tensor() {
        let told =
            |dtype, data: &[u8]| check_finite(Path::new("m"), &file(dtype, data)).map_err(|error| error.to_string());
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let data = [1.0f32, value].map(f32::to_le_bytes).concat();
            let words = "m is not written: a.weight in it is not finite";
            assert!(told(Dtype::F32, &data).unwrap_err().starts_with(words));
            let half = [half::f16::ONE, half::f16::from_f32(value)].map(half::f16::to_le_bytes).concat();
            assert!(told(Dtype::F16, &half).is_err());
            let half = [half::bf16::ONE, half::bf16::from_f32(value)].map(half::bf16::to_le_bytes).concat();
            assert!(told(Dtype::BF16, &half).is_err());
        }
        let data = [f32::MAX, f32::MIN, -0.0, 1e-45].map(f32::to_le_bytes).concat();
        assert_eq!(told(Dtype::F32, &data), Ok(()));
        assert_eq!(told(Dtype::F16, &half::f16::MAX.to_le_bytes()), Ok(()));
        assert_eq!(told(Dtype::BF16, &half::bf16::MAX.to_le_bytes()), Ok(()));
        // Counts are not floats.
        assert_eq!(told(Dtype::U32, &u32::MAX.to_le_bytes()), Ok(()));
    }
}
