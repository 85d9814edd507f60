//! The tensors of a step as matrices, for rules that look at rows.

use super::work::{CHUNK_ELEMENTS, Tensor};
use crate::engine::layout::Matrix;
use crate::engine::{Error, count};

/// The tensors of a work list as matrices; one without rows where the rule looks at none.
#[derive(Debug, Default)]
pub(super) struct Matrices {
    pub(super) list: Vec<Matrix>,
    /// Rows of all of them.
    pub(super) rows: u32,
    /// Places of the sums of rows.
    pub(super) sums: u32,
}

impl Matrices {
    /// Those that `is_own` keeps.
    pub(super) fn of(tensors: &[Tensor<'_>], is_own: impl Fn(&Tensor<'_>) -> bool) -> Result<Matrices, Error> {
        let (mut rows, mut sums) = (0, 0);
        let list = tensors.iter().map(|tensor| {
            let Some([height, width]) = tensor.matrix.filter(|_| is_own(tensor)) else { return Ok(Matrix::default()) };
            // Kernels count its elements.
            count("elements of a matrix", tensor.elements)?;
            let matrix = Matrix {
                record: count("tensors", tensor.number)?,
                rows: count("rows", height)?,
                columns: count("columns", width)?,
                chunk: count("elements of a chunk", CHUNK_ELEMENTS)?,
                first: count("rows", rows)?,
                sums: count("sums of rows", sums)?,
            };
            rows += height;
            sums += height + tensor.elements.div_ceil(CHUNK_ELEMENTS);
            Ok(matrix)
        });
        let list = list.collect::<Result<_, Error>>()?;
        Ok(Matrices { list, rows: count("rows", rows)?, sums: count("sums of rows", sums)? })
    }
}
