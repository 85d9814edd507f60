//! Twin of `shaders/nn/depthwise_backward_input.wgsl`.

use super::conv_backward_input;
use crate::twin::shared::Conv;

/// As of a convolution with a group for each channel.
pub fn depthwise_backward_input(dz: &[f32], weight: &[f32], dx: &mut [f32], shape: &Conv, accumulate: bool) {
    conv_backward_input(dz, weight, dx, shape, accumulate);
}
