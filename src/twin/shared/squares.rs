//! Twin of `shaders/shared/squares.wgsl`.

use bytemuck::{Pod, Zeroable};

/// What a norm needs to know of the gradients that a workgroup wrote.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Squares {
    pub sum: f32,
    pub bad: u32,
}

impl Squares {
    /// Of these gradients; a square is rounded to f32, as on the device.
    pub fn of(gradients: &[f32]) -> Squares {
        let mut squares = [Squares::default()];
        write_squares(&mut squares, gradients, |_| 0);
        squares[0]
    }
}

/// The partial sums of a kernel's target, of which the workgroup `workgroup_of(element)` wrote each element.
pub fn write_squares(squares: &mut [Squares], gradients: &[f32], workgroup_of: impl Fn(usize) -> usize) {
    let mut sums = vec![0.0f64; squares.len()];
    squares.fill(Squares::default());
    for (element, g) in gradients.iter().enumerate() {
        let workgroup = workgroup_of(element);
        sums[workgroup] += f64::from(g * g);
        squares[workgroup].bad |= u32::from(!g.is_finite());
    }
    squares.iter_mut().zip(sums).for_each(|(squares, sum)| squares.sum = sum as f32);
}
