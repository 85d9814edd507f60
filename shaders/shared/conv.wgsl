// Sizes of a convolution, and which pixels its window covers.
//
// A pixel is a row of channels: values are [images, height, width, channels]. The window has kernel_height by kernel_width taps,
// `dilation` pixels apart, and moves by `stride`. It begins `top` pixels above the picture and `left` beside it; pixels outside
// are 0. Outputs are in groups, each of which reads its part of the inputs alone. Weights are [outputs, taps, group_inputs], a
// tap's inputs side by side.

#import quad

struct Conv {                  // 80 bytes
    rows: u32,                 // pixels of z, or in a backward pass to the input those of x
    inputs: u32,               // channels of x
    outputs: u32,              // channels of z
    input_quads: u32,          // vec4s in a pixel of x
    output_quads: u32,         // vec4s in a pixel of z
    in_height: u32,
    in_width: u32,
    out_height: u32,
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride: u32,
    dilation: u32,
    top: u32,
    left: u32,
    zero: u32,                 // 0, see float.wgsl
    group_inputs: u32,
    group_outputs: u32,
    pad0: u32,
    pad1: u32,
}

// No pixel: outside of the picture.
const OUTSIDE: u32 = 0xffffffffu;

fn taps() -> u32 {
    return shape.kernel_height * shape.kernel_width;
}

// The pixel of x below a tap of the window that makes pixel r of z.
fn pixel_below(r: u32, tap: u32) -> u32 {
    let in_picture = r % (shape.out_height * shape.out_width);
    // What lies above the picture or left of it wraps around, and is past its end.
    let y = in_picture / shape.out_width * shape.stride + tap / shape.kernel_width * shape.dilation - shape.top;
    let x = in_picture % shape.out_width * shape.stride + tap % shape.kernel_width * shape.dilation - shape.left;
    if (y >= shape.in_height || x >= shape.in_width) {
        return OUTSIDE;
    }
    return (r / (shape.out_height * shape.out_width) * shape.in_height + y) * shape.in_width + x;
}

// The pixel of z whose window has pixel r of x below a tap.
fn pixel_above(r: u32, tap: u32) -> u32 {
    let in_picture = r % (shape.in_height * shape.in_width);
    let y = in_picture / shape.in_width + shape.top - tap / shape.kernel_width * shape.dilation;
    let x = in_picture % shape.in_width + shape.left - tap % shape.kernel_width * shape.dilation;
    let down = y / shape.stride;
    let across = x / shape.stride;
    if (down * shape.stride != y || across * shape.stride != x || down >= shape.out_height || across >= shape.out_width) {
        return OUTSIDE;
    }
    return (r / (shape.in_height * shape.in_width) * shape.out_height + down) * shape.out_width + across;
}
