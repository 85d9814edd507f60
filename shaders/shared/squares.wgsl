// Squares of the gradients that a kernel writes, so that a norm need not read them again: the variants with SQUARES
// write a partial sum for each invocation, and whether a gradient in it is not finite.
//
// The sum of the squares of finite gradients may overflow, so it does not tell. The sum of g / 1024 does: that of at most
// 512 finite ones is finite, and what is not finite stays so, whatever is added. To look at the bits of each gradient is
// three times the work. Whoever loads the sum asks, not the kernel that computes it: see float.wgsl.

struct Squares {               // 8 bytes
    sum: f32,                  // of g²
    mark: u32,                 // bits of the sum of g / 1024: not finite where a gradient is not
}

// (g², g / 1024), to be added up over at most 512 gradients.
fn squares_of(g: vec4<f32>) -> vec2<f32> {
    return vec2<f32>(dot(g, g), dot(g, vec4<f32>(1.0 / 1024.0)));
}

fn partial_of(sums: vec2<f32>) -> Squares {
    return Squares(sums.x, bitcast<u32>(sums.y));
}
