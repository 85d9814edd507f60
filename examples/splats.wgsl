// Gaussians in the plane, added up, and their gradients against a picture. Of Gaussian i: a centre, the logarithms of two
// widths, a colour, an opacity.
//
//   w_i(x) = opacity_i exp(-|(x - centre_i) / width_i|² / 2)      drawn(x) = sum_i w_i(x) colour_i
//   loss   = sum_x |drawn(x) - picture(x)|² / (3 pixels)
//
// `draw` makes a pixel an invocation, `backward` a Gaussian: neither needs atomics.

struct Scene { gaussians: u32, side: u32 }

@group(0) @binding(0) var<uniform> scene: Scene;
@group(0) @binding(1) var<storage, read> centres: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> widths: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> colours: array<f32>;
@group(0) @binding(4) var<storage, read> opacities: array<f32>;
@group(0) @binding(5) var<storage, read> picture: array<vec4<f32>>;        // [pixels]
@group(0) @binding(6) var<storage, read_write> off: array<vec4<f32>>;      // [pixels]: drawn - picture
@group(0) @binding(7) var<storage, read_write> grads: array<f32>;          // [gaussians, 2 + 2 + 3 + 1], stream by stream

fn colour(i: u32) -> vec3<f32> {
    return vec3<f32>(colours[3u * i], colours[3u * i + 1u], colours[3u * i + 2u]);
}

fn centre_of(pixel: u32) -> vec2<f32> {
    return (vec2<f32>(f32(pixel % scene.side), f32(pixel / scene.side)) + 0.5) / f32(scene.side);
}

@compute @workgroup_size(64)
fn draw(@builtin(global_invocation_id) at: vec3<u32>) {
    if (at.x >= scene.side * scene.side) {
        return;
    }
    var drawn = vec3<f32>();
    for (var i = 0u; i < scene.gaussians; i++) {
        let d = (centre_of(at.x) - centres[i]) * exp(-widths[i]);
        drawn += opacities[i] * exp(-0.5 * dot(d, d)) * colour(i);
    }
    off[at.x] = vec4<f32>(drawn - picture[at.x].xyz, 0.0);
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) at: vec3<u32>) {
    let i = at.x;
    if (i >= scene.gaussians) {
        return;
    }
    let inverse = exp(-widths[i]);
    var g_centre = vec2<f32>();
    var g_width = vec2<f32>();
    var g_colour = vec3<f32>();
    var g_opacity = 0.0;
    for (var pixel = 0u; pixel < scene.side * scene.side; pixel++) {
        let d = (centre_of(pixel) - centres[i]) * inverse;
        let bell = exp(-0.5 * dot(d, d));
        let g_bell = dot(off[pixel].xyz, colour(i));
        g_colour += opacities[i] * bell * off[pixel].xyz;
        g_opacity += bell * g_bell;
        g_centre += opacities[i] * bell * g_bell * d * inverse;
        g_width += opacities[i] * bell * g_bell * d * d;
    }
    let factor = 2.0 / f32(3u * scene.side * scene.side);
    let n = scene.gaussians;
    grads[2u * i] = factor * g_centre.x;
    grads[2u * i + 1u] = factor * g_centre.y;
    grads[2u * n + 2u * i] = factor * g_width.x;
    grads[2u * n + 2u * i + 1u] = factor * g_width.y;
    for (var k = 0u; k < 3u; k++) {
        grads[4u * n + 3u * i + k] = factor * g_colour[k];
    }
    grads[7u * n + i] = factor * g_opacity;
}
