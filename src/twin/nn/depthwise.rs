//! Twin of `shaders/nn/depthwise.wgsl`.

use super::conv;
use crate::twin::shared::Conv;

/// A convolution with a group for each channel.
pub fn depthwise(x: &[f32], weight: &[f32], bias: Option<&[f32]>, z: &mut [f32], shape: &Conv) {
    conv(x, weight, bias, z, shape);
}
