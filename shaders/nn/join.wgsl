// Two values side by side.
//
//   y[r] = (a[r], b[r])
//
// Rows of a are whole vec4s, so that no vec4 of b is split.
//
//   0 a        [rows, left]           vec4
//   1 b        [rows, right]          vec4, zero after the last column
//   2 y        [rows, left + right]   vec4
//   3 shape
#import join
#import values

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> a: array<Stored>;
@group(0) @binding(1) var<storage, read> b: array<Stored>;
@group(0) @binding(2) var<storage, read_write> y: array<Stored>;
@group(0) @binding(3) var<uniform> shape: Join;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    let r = at / (shape.left + shape.right);
    let q = at % (shape.left + shape.right);
    if (r >= shape.rows) {
        return;
    }
    if (q < shape.left) {
        y[at] = a[r * shape.left + q];
    } else {
        y[at] = b[r * shape.right + q - shape.left];
    }
}
