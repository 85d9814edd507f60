//! Twin of `shaders/shared/conv.wgsl`.

use bytemuck::{Pod, Zeroable};

/// Sizes of a convolution; a pixel is a row of whole vec4s (`quads`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Conv {
    pub rows: u32,
    pub inputs: u32,
    pub outputs: u32,
    pub input_quads: u32,
    pub output_quads: u32,
    pub in_height: u32,
    pub in_width: u32,
    pub out_height: u32,
    pub out_width: u32,
    pub kernel_height: u32,
    pub kernel_width: u32,
    pub stride: u32,
    pub dilation: u32,
    pub top: u32,
    pub left: u32,
    pub zero: u32,
    pub group_inputs: u32,
    pub group_outputs: u32,
    pub pad0: u32,
    pub pad1: u32,
}

impl Conv {
    /// Taps of the window.
    pub fn taps(&self) -> usize {
        self.kernel_height as usize * self.kernel_width as usize
    }

    /// Weights of an output.
    pub fn depth(&self) -> usize {
        self.taps() * self.group_inputs as usize
    }

    /// The pixel of x below a tap of the window that makes pixel r of z; `None` outside of the picture.
    pub fn pixel_below(&self, r: usize, tap: usize) -> Option<usize> {
        let [height, width, columns] = [self.in_height, self.in_width, self.out_width].map(|size| size as usize);
        let [stride, dilation] = [self.stride, self.dilation].map(|size| size as usize);
        let picture = self.out_height as usize * columns;
        let across = self.kernel_width as usize;
        let y = (r % picture / columns * stride + tap / across * dilation).checked_sub(self.top as usize)?;
        let x = (r % columns * stride + tap % across * dilation).checked_sub(self.left as usize)?;
        (y < height && x < width).then(|| (r / picture * height + y) * width + x)
    }

    /// Pixels of x in all pictures, of which z has `rows`.
    pub fn pixels(&self, rows: usize) -> usize {
        let [height, width] = [self.in_height, self.in_width].map(|size| size as usize);
        rows / (self.out_height as usize * self.out_width as usize) * height * width
    }

    /// Whether each channel has a window of its own.
    pub fn is_depthwise(&self) -> bool {
        (self.group_inputs, self.group_outputs) == (1, 1)
    }

    /// Groups of channels: each one's outputs read its inputs alone.
    pub fn groups(&self) -> usize {
        (self.inputs / self.group_inputs) as usize
    }

    /// The first input that an output reads.
    pub fn first_input(&self, o: usize) -> usize {
        o / self.group_outputs as usize * self.group_inputs as usize
    }

    /// Number `i` of a pixel of x or dx.
    pub fn input(&self, pixel: usize, i: usize) -> usize {
        pixel * self.input_quads as usize * 4 + i
    }

    /// Number `o` of a pixel of z or dz.
    pub fn output(&self, pixel: usize, o: usize) -> usize {
        pixel * self.output_quads as usize * 4 + o
    }
}
