// Products of matrices of one shape, many at once: each of its own two, with a part of a third.
//
//   c = scale (a b + kept d) + diagonal 1
//
// a is [rows, inner], b [inner, columns], c and d [rows, columns], each stored row after row, or turned: column after column. Of a
// symmetric c only what is not above its diagonal is computed, and what is above is the same.
// A workgroup makes a tile of c, of 64 rows and columns, in steps of 16 terms; a lane makes 4 by 4 of it. The terms of a sum
// are added in their order.
//
//   0 places   [matrices ..]          where each matrix begins in what it is bound in, in elements
//   1 left     a
//   2 right    b
//   3 added    d; not read where `kept` is 0
//   4 out      c
//   5 product  the shapes
struct Product {               // 48 bytes
    rows: u32,
    columns: u32,
    inner: u32,
    flags: u32,                // LEFT_TURNED | RIGHT_TURNED | OUT_TURNED | SYMMETRIC
    scale: f32,
    kept: f32,
    left: u32,                 // where the places of a begin in the list; of b, d, c
    right: u32,
    added: u32,
    out: u32,
    matrices: u32,             // how many
    diagonal: f32,             // what is added to each element of the diagonal
}

const LEFT_TURNED: u32 = 1u;
const RIGHT_TURNED: u32 = 2u;
const OUT_TURNED: u32 = 4u;
const SYMMETRIC: u32 = 8u;
const LANES: u32 = 256u;
const TILE: u32 = 64u;
const DEPTH: u32 = 16u;

@group(0) @binding(0) var<storage, read> places: array<u32>;
@group(0) @binding(1) var<storage, read> left: array<f32>;
@group(0) @binding(2) var<storage, read> right: array<f32>;
@group(0) @binding(3) var<storage, read> added: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<uniform> product: Product;

var<workgroup> left_tile: array<f32, TILE * DEPTH>;
var<workgroup> right_tile: array<f32, TILE * DEPTH>;

fn left_at(first: u32, i: u32, k: u32) -> f32 {
    if (i >= product.rows || k >= product.inner) {
        return 0.0;
    }
    return left[first + select(i * product.inner + k, k * product.rows + i, (product.flags & LEFT_TURNED) != 0u)];
}

fn right_at(first: u32, k: u32, j: u32) -> f32 {
    if (j >= product.columns || k >= product.inner) {
        return 0.0;
    }
    return right[first + select(k * product.columns + j, j * product.inner + k, (product.flags & RIGHT_TURNED) != 0u)];
}

fn out_at(i: u32, j: u32) -> u32 {
    return select(i * product.columns + j, j * product.rows + i, (product.flags & OUT_TURNED) != 0u);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let is_symmetric = (product.flags & SYMMETRIC) != 0u;
    if (is_symmetric && workgroup.x > workgroup.y) {
        return;
    }
    let row = workgroup.y * TILE;
    let column = workgroup.x * TILE;
    let left_first = places[product.left + workgroup.z];
    let right_first = places[product.right + workgroup.z];
    let i = lane / 16u * 4u;
    let j = lane % 16u * 4u;
    var sums: array<vec4<f32>, 4>;
    for (var first = 0u; first < product.inner; first += DEPTH) {
        // Lanes side by side read what lies side by side.
        for (var n = lane; n < TILE * DEPTH; n += LANES) {
            let k = n % DEPTH;
            let across = n / DEPTH;
            if ((product.flags & LEFT_TURNED) != 0u) {
                left_tile[n] = left_at(left_first, row + n % TILE, first + n / TILE);
            } else {
                left_tile[k * TILE + across] = left_at(left_first, row + across, first + k);
            }
            if ((product.flags & RIGHT_TURNED) != 0u) {
                right_tile[k * TILE + across] = right_at(right_first, first + k, column + across);
            } else {
                right_tile[n] = right_at(right_first, first + n / TILE, column + n % TILE);
            }
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let a = k * TILE + i;
            let b = k * TILE + j;
            let along = vec4<f32>(right_tile[b], right_tile[b + 1u], right_tile[b + 2u], right_tile[b + 3u]);
            sums[0] += left_tile[a] * along;
            sums[1] += left_tile[a + 1u] * along;
            sums[2] += left_tile[a + 2u] * along;
            sums[3] += left_tile[a + 3u] * along;
        }
        workgroupBarrier();
    }
    let added_first = places[product.added + workgroup.z];
    let out_first = places[product.out + workgroup.z];
    for (var r = 0u; r < 4u; r++) {
        for (var c = 0u; c < 4u; c++) {
            let to_row = row + i + r;
            let to_column = column + j + c;
            let is_above = is_symmetric && to_column > to_row;
            if (to_row < product.rows && to_column < product.columns && !is_above) {
                let at = out_at(to_row, to_column);
                var sum = sums[r][c];
                if (product.kept != 0.0) {
                    sum += product.kept * added[added_first + at];
                }
                sum = product.scale * sum + select(0.0, product.diagonal, to_row == to_column);
                out[out_first + at] = sum;
                if (is_symmetric) {
                    out[out_first + out_at(to_column, to_row)] = sum;
                }
            }
        }
    }
}
