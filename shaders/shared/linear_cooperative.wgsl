// A linear layer's products in tiles of 32 rows by 32 outputs, by cooperative matrices of 16 by 16 by 16.
//
//   result[r, o] = sum_i x[r, i] W[o, i]
//
// A workgroup is one subgroup. It takes 16 inputs a turn: its invocations put them into workgroup memory in f16, and
// four matrices of sums take 16 by 16 products each. Sums leave through workgroup memory too, where the importing
// shader folds in its own terms. It declares a quad of either operand, of an existing row for any r and o:
//
//   fn x_at(r: u32, i: u32) -> vec4<f32>
//   fn weight_at(o: u32, i: u32) -> vec4<f32>
//
// x and W are rounded to f16: a product is off by at most 2^-10 of itself, what is below 2^-14 by at most 2^-25 an
// operand, and what is past 65,504 becomes infinite. Products are exact, sums f32, 16 of them in the device's own
// order.
//
// This has never run on hardware: we had no adapter with such matrices.

// Inputs and outputs of a tile; quads of inputs in a turn.
const EDGE: u32 = 32u;
const TURN: u32 = 4u;

// From a row in workgroup memory to the next: 16 bytes are what a load must be aligned to.
const STEP: u32 = 24u;

var<workgroup> xs: array<f16, 768>;         // [EDGE, STEP]
var<workgroup> weights: array<f16, 768>;    // [EDGE, STEP]
var<workgroup> results: array<f32, 1024>;   // [EDGE, EDGE]

// Zeros where i is past its end.
fn share(lane: u32, r: u32, o: u32, first: u32, input_quads: u32) {
    for (var at = lane; at < EDGE * TURN; at += WORKGROUP) {
        let i = first + at % TURN;
        var x4 = vec4<f32>();
        var weight4 = vec4<f32>();
        if (i < input_quads) {
            x4 = x_at(r + at / TURN, i);
            weight4 = weight_at(o + at / TURN, i);
        }
        let to = at / TURN * STEP + 4u * (at % TURN);
        for (var k = 0u; k < 4u; k++) {
            xs[to + k] = f16(x4[k]);
            weights[to + k] = f16(weight4[k]);
        }
    }
}

// The tile that begins at row r and output o. All invocations of a workgroup come here together.
fn products(lane: u32, r: u32, o: u32, input_quads: u32) {
    var near_near = coop_mat16x16<f32, C>();
    var near_far = coop_mat16x16<f32, C>();
    var far_near = coop_mat16x16<f32, C>();
    var far_far = coop_mat16x16<f32, C>();
    for (var first = 0u; first < input_quads; first += TURN) {
        share(lane, r, o, first, input_quads);
        workgroupBarrier();
        // A row of x is one of its matrix; one of the weight is a column.
        let x_near = coopLoadT<coop_mat16x16<f16, A>>(&xs[0], STEP);
        let x_far = coopLoadT<coop_mat16x16<f16, A>>(&xs[384], STEP);
        let weight_near = coopLoad<coop_mat16x16<f16, B>>(&weights[0], STEP);
        let weight_far = coopLoad<coop_mat16x16<f16, B>>(&weights[384], STEP);
        near_near = coopMultiplyAdd(x_near, weight_near, near_near);
        near_far = coopMultiplyAdd(x_near, weight_far, near_far);
        far_near = coopMultiplyAdd(x_far, weight_near, far_near);
        far_far = coopMultiplyAdd(x_far, weight_far, far_far);
        workgroupBarrier();
    }
    coopStoreT(near_near, &results[0], EDGE);
    coopStoreT(near_far, &results[16], EDGE);
    coopStoreT(far_near, &results[512], EDGE);
    coopStoreT(far_far, &results[528], EDGE);
    workgroupBarrier();
}

// Four neighbours of the tile.
fn result(at: u32) -> vec4<f32> {
    return vec4<f32>(results[at], results[at + 1u], results[at + 2u], results[at + 3u]);
}
