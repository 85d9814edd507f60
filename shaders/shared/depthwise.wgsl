// The weights of a depthwise convolution: [channels, taps], declared by the importing shader as `weight`.

#import conv

// Those of channels 4q .. 4q + 3 at a tap; of the last channel where they are past it.
fn weights_at(q: u32, tap: u32) -> vec4<f32> {
    let at = min(4u * q + QUAD, vec4<u32>(shape.outputs - 1u)) * taps() + tap;
    return vec4<f32>(weight[at.x], weight[at.y], weight[at.z], weight[at.w]);
}
