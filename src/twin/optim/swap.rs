//! Twin of `shaders/optim/swap.wgsl`.

use crate::twin::shared::{Chunk, Segment, split_control};

/// Swaps parameters and their moving average, in every chunk of a segment whose tensor has one.
pub fn swap(chunks: &[Chunk], control: &[u32], params: &mut [f32], average: &mut [f32], segment: &Segment) {
    let (_, _, records) = split_control(control);
    for chunk in segment.of(chunks) {
        if records[chunk.tensor as usize].averaged == 0 {
            continue;
        }
        let length = chunk.length as usize;
        let params = &mut params[chunk.param as usize..][..length];
        params.swap_with_slice(&mut average[chunk.state as usize..][..length]);
    }
}
