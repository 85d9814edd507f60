// The products of a forward pass, by tiles of registers or, with TILED, of workgroups.
//
//   sums[r, o] = sum_k x[r, k] W[o, k]
//
// The importing shader declares how many quads of k and of outputs there are, a quad of either operand, whatever r and o, and what becomes of
// the sums of four outputs:
//
//   fn depth() -> u32
//   fn breadth() -> u32
//   fn x_at(r: u32, k: u32) -> vec4<f32>
//   fn weight_at(o: u32, k: u32) -> vec4<f32>
//   fn store(r: u32, q: u32, sums: vec4<f32>)
//
// It declares `shape` with rows and zero, and with TILED imports linear_tiles.

#import turned

// Numbers 4k .. 4k + 3 of four outputs' weights, a column an output.
fn weights_at(q: u32, k: u32) -> mat4x4<f32> {
    let o = 4u * q;
    return mat4x4<f32>(weight_at(o, k), weight_at(o + 1u, k), weight_at(o + 2u, k), weight_at(o + 3u, k));
}

// The same of four rows, a column a row.
fn rows_at(r: u32, k: u32) -> mat4x4<f32> {
    return mat4x4<f32>(x_at(r, k), x_at(r + 1u, k), x_at(r + 2u, k), x_at(r + 3u, k));
}

#ifdef TILED
fn store_rows(r: u32, q: u32, sums: mat4x4<f32>) {
    store(r, q, sums[0]);
    store(r + 1u, q, sums[1]);
    store(r + 2u, q, sums[2]);
    store(r + 3u, q, sums[3]);
}

const DOWN_ALONG_K: bool = true;
const ACROSS_ALONG_K: bool = true;

fn down_at(q: u32, k: u32) -> mat4x4<f32> {
    if (k >= depth()) {
        return mat4x4<f32>();
    }
    return rows_at(4u * q, k);
}

fn across_at(k: u32, q: u32) -> mat4x4<f32> {
    if (k >= depth()) {
        return mat4x4<f32>();
    }
    return transpose(weights_at(q, k));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(group.y * grid.x + group.x, lane, breadth());
    let sums = products(lane, tile, depth(), false);
    let r = 4u * tile.own_down;
    let q = tile.own_across;
    store_rows(r, q, sums.near_near);
    if (QUADS == 2u) {
        store_rows(r, q + SIDE, sums.near_far);
        store_rows(r + 4u * SIDE, q, sums.far_near);
        store_rows(r + 4u * SIDE, q + SIDE, sums.far_far);
    }
}
#else
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let tile = id.y * grid.x * WORKGROUP + id.x;
    let across = (breadth() + 1u) / 2u;
    let q = tile % across * 2u;
    let r = tile / across * 8u;
    if (r >= shape.rows) {
        return;
    }
    var sums00 = mat4x4<f32>();
    var sums01 = mat4x4<f32>();
    var sums10 = mat4x4<f32>();
    var sums11 = mat4x4<f32>();
    for (var i = 0u; i < depth(); i++) {
        let w0 = transpose(weights_at(q, i));
        let w1 = transpose(weights_at(q + 1u, i));
        let x0 = rows_at(r, i);
        let x1 = rows_at(r + 4u, i);
        sums00 += w0 * x0;
        sums01 += w1 * x0;
        sums10 += w0 * x1;
        sums11 += w1 * x1;
    }
    for (var k = shape.zero; k < 4u; k++) {
        for (var i = shape.zero; i < 4u; i++) {
            store(r + k / 2u * 4u + i, q + k % 2u, sums00[0]);
            sums00 = turned(sums00);
        }
        sums00 = sums01;
        sums01 = sums10;
        sums10 = sums11;
    }
}
#endif
