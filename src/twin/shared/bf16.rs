//! Twin of `shaders/shared/bf16.wgsl`.

/// The bf16 nearest to a number, of two equally near the even one; NaN is the quiet one.
pub fn bf16(x: f32) -> u16 {
    bf16_by(x, 0x7fff + ((x.to_bits() >> 16) & 1))
}

/// The bf16 below in magnitude, or the one above if `u`, in parts of 65536, and what is cut off make a whole.
pub fn bf16_by(x: f32, u: u32) -> u16 {
    if x.is_nan() {
        return 0x7fc0;
    }
    ((x.to_bits() + u) >> 16) as u16
}
