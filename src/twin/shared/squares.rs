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

    /// Of these gradients; a square is rounded to f32, as on the device.
    pub fn of(gradients: &[f32]) -> Squares {
        let mut squares = [Squares::default()];
        write_squares(&mut squares, gradients, |_| 0);
        squares[0]
    }
}

/// The partial sums of a kernel's target, of which the workgroup `workgroup_of(element)` wrote each element.
pub fn write_squares(squares: &mut [Squares], gradients: &[f32], workgroup_of: impl Fn(usize) -> usize) {
    let mut sums = vec![[0.0f64; 2]; squares.len()];
    for (element, g) in gradients.iter().enumerate() {
        let [sum, mark] = &mut sums[workgroup_of(element)];
        *sum += f64::from(g * g);
        *mark += f64::from(*g) / 1024.0;
    }
    for (squares, [sum, mark]) in squares.iter_mut().zip(sums) {
        *squares = Squares { sum: sum as f32, mark: (mark as f32).to_bits() };
    }
}
