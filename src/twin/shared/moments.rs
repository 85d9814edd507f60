//! Twin of `shaders/shared/moments.wgsl`.

/// The bf16 nearest to a number, of two equally near the even one; NaN is the quiet one.
pub fn bf16(x: f32) -> u16 {
    if x.is_nan() {
        return 0x7fc0;
    }
    let bits = x.to_bits();
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

/// Moments as a type stores them.
pub trait Stored: Copy {
    /// What is stored, widened.
    fn load(self) -> f32;
    /// What is stored of a number.
    fn store(x: f32) -> Self;
}

impl Stored for f32 {
    fn load(self) -> f32 {
        self
    }

    fn store(x: f32) -> f32 {
        x
    }
}

/// bf16.
impl Stored for u16 {
    fn load(self) -> f32 {
        f32::from_bits(u32::from(self) << 16)
    }

    fn store(x: f32) -> u16 {
        bf16(x)
    }
}
