//! Twin of `shaders/shared/dropout.wgsl`.

use super::{Position, pcg};
use bytemuck::{Pod, Zeroable};

/// One dropout of a model.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Dropout {
    pub seed: u32,
    pub stream: u32,
    pub threshold: u32,
    pub scale: f32,
    pub quads: u32,
    pub together: u32,
    pub pad1: u32,
    pub pad2: u32,
}

impl Dropout {
    /// Drops with `probability`, in [0, 1), over `quads` vec4s.
    pub fn new(seed: u32, stream: u32, probability: f64, quads: usize) -> Dropout {
        let threshold = (probability * 4_294_967_296.0).round() as u32;
        let scale = (1.0 / (1.0 - probability)) as f32;
        Dropout { seed, stream, threshold, scale, quads: quads as u32, ..Dropout::default() }
    }

    /// The same for all elements of so many vec4s together, which are an example's.
    #[must_use]
    pub fn together(self, quads: usize) -> Dropout {
        Dropout { together: quads as u32, ..self }
    }

    /// The key of this dropout in one batch.
    pub fn key(&self, position: &Position) -> u32 {
        pcg(self.seed ^ pcg(self.stream ^ pcg(position.step ^ pcg(position.batch))))
    }

    /// What an element is multiplied by: the scale or 0.
    pub fn factor(&self, key: u32, element: u32) -> f32 {
        if pcg(pcg(element) ^ key) < self.threshold { 0.0 } else { self.scale }
    }
}
