// Columns 4q .. 4q + 3 of a row of vec4s: which of them are inside its width.

const QUAD: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);

fn inside(q: u32, width: u32) -> vec4<bool> {
    return 4u * q + QUAD < vec4<u32>(width);
}

fn total(a: vec4<f32>) -> f32 {
    return (a.x + a.y) + (a.z + a.w);
}
