// The products of a backward pass to a weight, and the sums to a bias, by tiles of registers or, with TILED, of workgroups.
//
//   sums[o, i] = sum_r dz[r, o] x[r, i]           biases[o] = sum_r dz[r, o]
//
// There may be several such products of one x, as many as there are PLANES: their outputs are counted through, and no tile
// reaches into two of them. The importing shader declares PLANES, how many quads a row of one plane of dz and a row of x have, a
// quad of either operand, of rows and quads that exist, and what becomes of the sums of four weights and of four biases of a
// plane, whatever o and q; these give the squares of what they store:
//
//   fn height() -> u32
//   fn breadth() -> u32
//   fn x_quad(r: u32, q: u32) -> vec4<f32>
//   fn dz_quad(r: u32, q: u32) -> vec4<f32>
//   fn store(plane: u32, o: u32, q: u32, sums: vec4<f32>) -> vec2<f32>
//   fn store_biases(plane: u32, p: u32, sums: vec4<f32>) -> vec2<f32>      store_four_biases, if there is one plane
//
// It declares `shape` with rows and outputs, dbias and squares, and with TILED imports linear_tiles. What is frozen
// (WEIGHT = 0, BIAS = 0) is neither made nor written.

override ACCUMULATE: u32 = 0u;
override WEIGHT: u32 = 1u;
override BIAS: u32 = 1u;

// A column for each number of d.
fn outer(a: vec4<f32>, d: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(d.x * a, d.y * a, d.z * a, d.w * a);
}

fn store_outputs(plane: u32, p: u32, q: u32, sums: mat4x4<f32>) -> vec2<f32> {
    return store(plane, 4u * p, q, sums[0]) + store(plane, 4u * p + 1u, q, sums[1])
        + store(plane, 4u * p + 2u, q, sums[2]) + store(plane, 4u * p + 3u, q, sums[3]);
}

fn store_bias(o: u32, sum: f32) -> f32 {
    if (o >= shape.outputs) {
        return 0.0;
    }
    var stored = sum;
    if (ACCUMULATE != 0u) {
        stored += dbias[o];
    }
    dbias[o] = stored;
    return stored;
}

fn store_four_biases(p: u32, sums: vec4<f32>) -> vec2<f32> {
    let stored = vec4<f32>(
        store_bias(4u * p, sums.x),
        store_bias(4u * p + 1u, sums.y),
        store_bias(4u * p + 2u, sums.z),
        store_bias(4u * p + 3u, sums.w),
    );
    return squares_of(stored);
}

#ifdef TILED
const DOWN_ALONG_K: bool = false;
const ACROSS_ALONG_K: bool = false;

// Outputs 4q .. 4q + 3 of a row; of the last quad if q is past it, 0 if the row is past the last.
fn dz_at(r: u32, q: u32) -> vec4<f32> {
    if (r >= shape.rows) {
        return vec4<f32>();
    }
    return dz_quad(r, min(q, PLANES * height() - 1u));
}

// The same of inputs.
fn x_at(r: u32, q: u32) -> vec4<f32> {
    if (r >= shape.rows) {
        return vec4<f32>();
    }
    return x_quad(r, min(q, breadth() - 1u));
}

fn down_at(q: u32, k: u32) -> mat4x4<f32> {
    let r = 4u * k;
    return transpose(mat4x4<f32>(dz_at(r, q), dz_at(r + 1u, q), dz_at(r + 2u, q), dz_at(r + 3u, q)));
}

fn across_at(k: u32, q: u32) -> mat4x4<f32> {
    let r = 4u * k;
    return mat4x4<f32>(x_at(r, q), x_at(r + 1u, q), x_at(r + 2u, q), x_at(r + 3u, q));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.y * grid.x + group.x;
    // Only biases: one tile of inputs is enough.
    let across = select(1u, breadth(), WEIGHT != 0u);
    let down_tiles = (height() + edge() - 1u) / edge();
    let tiles = down_tiles * ((across + edge() - 1u) / edge());
    let plane = index / tiles;
    var tile = tile_of(index % tiles, lane, across);
    let down_tile = plane * down_tiles + tile.down / edge();
    tile.down += plane * height();
    tile.own_down += plane * height();
    let makes_biases = BIAS != 0u && tile.across == 0u;
    let sums = products(lane, tile, (shape.rows + 3u) / 4u, makes_biases);
    let p = tile.own_down;
    let q = tile.own_across;
    if (WEIGHT != 0u) {
        var stored = store_outputs(plane, p, q, sums.near_near);
        if (QUADS == 2u) {
            stored += store_outputs(plane, p, q + SIDE, sums.near_far)
                + store_outputs(plane, p + SIDE, q, sums.far_near)
                + store_outputs(plane, p + SIDE, q + SIDE, sums.far_far);
        }
#ifdef SQUARES
        squares[index * WORKGROUP + lane] = partial_of(stored);
#endif
    }
    if (makes_biases && lane % SIDE == 0u && plane < PLANES) {
        var stored = store_biases(plane, p, sums.down_near);
        if (QUADS == 2u) {
            stored += store_biases(plane, p + SIDE, sums.down_far);
        }
#ifdef SQUARES
        squares[grid.x * grid.y * WORKGROUP + down_tile * SIDE + lane / SIDE] = partial_of(stored);
#endif
    }
}
#else
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let tile = id.y * grid.x * WORKGROUP + id.x;
    // Only biases: one tile of inputs is enough.
    let across = select(1u, (breadth() + 1u) / 2u, WEIGHT != 0u);
    let q = tile % across * 2u;
    let down_tiles = (height() + 1u) / 2u;
    let down_tile = tile / across;
    let plane = down_tile / down_tiles;
    if (plane >= PLANES) {
        return;
    }
    let p = plane * height() + down_tile % down_tiles * 2u;
    // The last quad again if the tile reaches past it.
    let q1 = min(q + 1u, breadth() - 1u);
    let p1 = min(p + 1u, PLANES * height() - 1u);
    var sums00 = mat4x4<f32>();
    var sums01 = mat4x4<f32>();
    var sums10 = mat4x4<f32>();
    var sums11 = mat4x4<f32>();
    var bias0 = vec4<f32>();
    var bias1 = vec4<f32>();
    for (var r = 0u; r < shape.rows; r++) {
        let x0 = x_quad(r, q);
        let x1 = x_quad(r, q1);
        let d0 = dz_quad(r, p);
        let d1 = dz_quad(r, p1);
        sums00 += outer(x0, d0);
        sums01 += outer(x1, d0);
        sums10 += outer(x0, d1);
        sums11 += outer(x1, d1);
        bias0 += d0;
        bias1 += d1;
    }
    if (WEIGHT != 0u) {
        let stored = store_outputs(plane, p, q, sums00) + store_outputs(plane, p, q + 1u, sums01)
            + store_outputs(plane, p + 1u, q, sums10) + store_outputs(plane, p + 1u, q + 1u, sums11);
#ifdef SQUARES
        squares[tile] = partial_of(stored);
#endif
    }
    if (BIAS != 0u && q == 0u) {
        let stored = store_biases(plane, p, bias0) + store_biases(plane, p + 1u, bias1);
#ifdef SQUARES
        squares[grid.x * grid.y * WORKGROUP + down_tile] = partial_of(stored);
#endif
    }
}
#endif
