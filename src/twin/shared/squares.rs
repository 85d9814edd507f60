//! Twin of `shaders/shared/squares.wgsl`.

use bytemuck::{Pod, Zeroable};

/// What a norm needs to know of the gradients that a workgroup wrote.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Squares {
    pub sum: f32,
    pub mark: u32,
}

impl Squares {
    /// Whether a gradient is not finite.
    pub fn is_bad(&self) -> bool {
        !f32::from_bits(self.mark).is_finite()
    }

    /// Of these gradients.
    pub fn of(gradients: &[f32]) -> Squares {
        let mut squares = [Squares::default()];
        write_squares(&mut squares, gradients, |_| 0);
        squares[0]
    }
}

/// The squares of what one invocation wrote, and their mark, as they add up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum([f64; 2]);

impl Sum {
    /// A square is rounded to f32, as on the device.
    #[inline(always)]
    pub(crate) fn add(&mut self, gradient: f32) {
        let [sum, mark] = &mut self.0;
        *sum += f64::from(gradient * gradient);
        *mark += f64::from(gradient) / 1024.0;
    }

    pub(crate) fn squares(&self) -> Squares {
        let [sum, mark] = self.0;
        Squares { sum: sum as f32, mark: (mark as f32).to_bits() }
    }
}

/// The partial sums of a kernel's target, of which the workgroup `workgroup_of(element)` wrote each element.
pub fn write_squares(squares: &mut [Squares], gradients: &[f32], workgroup_of: impl Fn(usize) -> usize) {
    let mut sums = vec![Sum::default(); squares.len()];
    for (element, gradient) in gradients.iter().enumerate() {
        sums[workgroup_of(element)].add(*gradient);
    }
    squares.iter_mut().zip(sums).for_each(|(squares, sum)| *squares = sum.squares());
}
