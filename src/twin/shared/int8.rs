//! Twin of `shaders/shared/int8.wgsl`.

use bytemuck::{Pod, Zeroable};

/// Elements that share an exponent.
pub const CODED: usize = 16;
/// Elements of a block.
pub const BLOCK: usize = 256;
/// What rounds to the nearest.
pub const NEAREST: u32 = 32_768;

const BINADES: u32 = 14;
const LEAST_TOP: u32 = 32;
const M_NAN: u8 = 128;
const V_INFINITE: u8 = 255;

/// Moments as they are stored together: a code an element, and an exponent for each 16.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Block {
    /// The codes.
    pub codes: [[u8; CODED]; BLOCK / CODED],
    /// The exponents, biased as in f32.
    pub tops: [u8; BLOCK / CODED],
}

/// The numbers of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// m: a sign, and 3 bits of fraction.
    Signed,
    /// v: 4 bits of fraction, from 0 up.
    Unsigned,
}

/// The exponent that these numbers share.
pub fn top_of(numbers: &[f32]) -> u32 {
    let finite = numbers.iter().filter(|number| number.is_finite()).map(|number| number.abs().to_bits());
    ((finite.max().unwrap_or(0) + 0xf_ffff) >> 23).clamp(LEAST_TOP, 254)
}

/// An f32 with this biased exponent and no fraction.
fn power(biased: u32) -> f32 {
    f32::from_bits(biased << 23)
}

impl Code {
    fn fraction_bits(self) -> u32 {
        match self {
            Code::Signed => 3,
            Code::Unsigned => 4,
        }
    }

    /// The code of a number within the range of `top`; `u`, in parts of 65536, decides its rounding.
    pub fn encode(self, x: f32, top: u32, u: u32) -> u8 {
        if !x.is_finite() {
            return if self == Code::Signed { M_NAN } else { V_INFINITE };
        }
        let (low, fraction) = (top - BINADES, self.fraction_bits());
        let exponent = (x.abs().to_bits() >> 23).max(low);
        let n = x.abs() * power(254 + fraction - exponent) + u as f32 / 65536.0;
        let code = ((exponent - low) << fraction) + n as u32;
        match self {
            Code::Signed => match code.min(u32::from(M_NAN) - 1) as u8 {
                0 => 0,
                code => code | (u8::from(x.is_sign_negative()) << 7),
            },
            Code::Unsigned => {
                let least = u32::from(x >= f32::MIN_POSITIVE);
                code.clamp(least, u32::from(V_INFINITE) - 1) as u8
            }
        }
    }

    /// The number of a code.
    pub fn decode(self, code: u8, top: u32) -> f32 {
        let fraction = self.fraction_bits();
        let (magnitude, sign) = match self {
            Code::Signed if code == M_NAN => return f32::NAN,
            Code::Unsigned if code == V_INFINITE => return f32::INFINITY,
            Code::Signed => (u32::from(code & 0x7f), if code & 0x80 == 0 { 1.0 } else { -1.0 }),
            Code::Unsigned => (u32::from(code), 1.0),
        };
        let (high, whole) = (magnitude >> fraction, 1 << fraction);
        let n = (magnitude & (whole - 1)) | if high > 0 { whole } else { 0 };
        let low = top.max(LEAST_TOP) - BINADES;
        sign * (n as f32 * power(low + high.max(1) - 1 - fraction))
    }
}

impl Block {
    /// The numbers of vec4 `place`.
    pub fn numbers(&self, place: usize, code: Code) -> [f32; CODED] {
        self.codes[place].map(|byte| code.decode(byte, u32::from(self.tops[place])))
    }

    /// Stores those of vec4 `place`, each rounded by its `u`.
    pub fn put(&mut self, place: usize, numbers: &[f32; CODED], code: Code, u: impl Fn(usize) -> u32) {
        let top = top_of(numbers);
        self.codes[place] = std::array::from_fn(|k| code.encode(numbers[k], top, u(k)));
        self.tops[place] = top as u8;
    }

    /// Numbers as blocks, rounded to the nearest.
    pub fn nearest(numbers: &[f32], code: Code) -> Vec<Block> {
        let mut blocks = vec![Block::zeroed(); numbers.len().div_ceil(BLOCK)];
        for (run, sixteen) in numbers.chunks(CODED).enumerate() {
            let mut whole = [0.0; CODED];
            whole[..sixteen.len()].copy_from_slice(sixteen);
            blocks[run * CODED / BLOCK].put(run % CODED, &whole, code, |_| NEAREST);
        }
        blocks
    }
}
