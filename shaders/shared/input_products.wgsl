// The products of a backward pass to an input, by tiles of registers or, with TILED, of workgroups.
//
//   sums[r, i] = sum_k dz[r, k] W[k, i]
//
// The importing shader declares how many quads of k there are, a quad of dz, four inputs of four weights, a column for each of k,
// whatever r and q, and what becomes of the sums of four inputs:
//
//   fn depth() -> u32
//   fn dz_at(r: u32, k: u32) -> vec4<f32>
//   fn weights_at(k: u32, q: u32) -> mat4x4<f32>
//   fn store(r: u32, q: u32, sums: vec4<f32>)
//
// It declares `shape` with rows, input_quads and zero, and with TILED imports linear_tiles.

#import turned

// The same of four rows, a column a row.
fn rows_at(r: u32, k: u32) -> mat4x4<f32> {
    return mat4x4<f32>(dz_at(r, k), dz_at(r + 1u, k), dz_at(r + 2u, k), dz_at(r + 3u, k));
}

#ifdef TILED
fn store_rows(r: u32, q: u32, sums: mat4x4<f32>) {
    store(r, q, sums[0]);
    store(r + 1u, q, sums[1]);
    store(r + 2u, q, sums[2]);
    store(r + 3u, q, sums[3]);
}

const DOWN_ALONG_K: bool = true;
const ACROSS_ALONG_K: bool = false;

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
    return weights_at(k, q);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(group.y * grid.x + group.x, lane, shape.input_quads);
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
    let across = (shape.input_quads + 1u) / 2u;
    let q = tile % across * 2u;
    let r = tile / across * 8u;
    if (r >= shape.rows) {
        return;
    }
    var sums00 = mat4x4<f32>();
    var sums01 = mat4x4<f32>();
    var sums10 = mat4x4<f32>();
    var sums11 = mat4x4<f32>();
    for (var o = 0u; o < depth(); o++) {
        let w0 = weights_at(o, q);
        let w1 = weights_at(o, q + 1u);
        let d0 = rows_at(r, o);
        let d1 = rows_at(r + 4u, o);
        sums00 += w0 * d0;
        sums01 += w1 * d0;
        sums10 += w0 * d1;
        sums11 += w1 * d1;
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
