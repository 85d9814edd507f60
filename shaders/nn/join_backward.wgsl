// Two values side by side, backward to one of them.
//
//   da[r] = the first `left` vec4s of dy[r]
//   db[r] = the others                           with RIGHT = 1
//
//   0 dy       [rows, left + right]   vec4
//   1 dx       [rows, left]           vec4; [rows, right] with RIGHT = 1
//   2 shape
#import join
#import values

override WORKGROUP: u32 = 64u;
override RIGHT: u32 = 0u;

@group(0) @binding(0) var<storage, read> dy: array<Stored>;
@group(0) @binding(1) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(2) var<uniform> shape: Join;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    let quads = select(shape.left, shape.right, RIGHT != 0u);
    let r = at / quads;
    if (r >= shape.rows) {
        return;
    }
    let first = select(0u, shape.left, RIGHT != 0u);
    dx[at] = dy[r * (shape.left + shape.right) + first + at % quads];
}
