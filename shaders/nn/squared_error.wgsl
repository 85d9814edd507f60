// Squared error of numbers: loss and its gradient, row by row.
//
//   loss[r] = mean_k (z[r, k] - t[r, k])²
//   dz[r, k] = 2 (z[r, k] - t[r, k]) / (outputs counting)
//
// Like torch.nn.MSELoss. A row whose label is `ignore` has no loss and no gradient. All others weigh the same: one over
// the rows of the step that count. With GRADIENT = 0 dz is not touched. No row is right or wrong.
//
// A row with an output or target that is not finite is spoiled: its loss and gradient are NaN. This is decided by the
// loaded bits.
//
//   0 z        [rows, quads]          vec4; what stands after the last output is not used
//   1 targets  [rows, quads]          vec4
//   2 labels   [rows]                 `ignore`, or anything else
//   3 dz       [rows, quads]          vec4, zero after the last output
//   4 verdicts [rows]
//   5 position                        its `counting`
//   6 shape                           its classes are the outputs
//   7 loss_scale                      with SCALED: every gradient is multiplied by it
#import quad
#import rows
#import loss
#import counting
#import metrics
#import float

override GRADIENT: u32 = 1u;

@group(0) @binding(0) var<storage, read> z: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> targets: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> dz: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> verdicts: array<Verdict>;
@group(0) @binding(5) var<storage, read> position: Position;
@group(0) @binding(6) var<uniform> shape: Loss;
#ifdef SCALED
@group(0) @binding(7) var<storage, read> loss_scale: f32;
#endif

struct Sums {
    squares: f32,
    spoilers: f32,             // outputs and targets that are not finite
}

fn sums_of(row: u32, first: u32) -> Sums {
    var squares = vec4<f32>();
    var spoilers = vec4<f32>();
    for (var q = first; q < shape.quads; q += LANES) {
        let known = inside(q, shape.classes);
        let output = z[row + q];
        let aim = targets[row + q];
        let apart = output - aim;
        squares += select(vec4<f32>(), apart * apart, known);
        let spoil = are_nonfinite(bitcast<vec4<u32>>(output)) | are_nonfinite(bitcast<vec4<u32>>(aim));
        spoilers += select(vec4<f32>(), vec4<f32>(1.0), known & spoil);
    }
    return Sums(total(squares), total(spoilers));
}

fn store_gradient(row: u32, first: u32, weight: f32, spoiled: bool) {
    for (var q = first; q < shape.quads; q += LANES) {
        let bits = bitcast<vec4<u32>>(weight * (z[row + q] - targets[row + q]));
        let gradient = select(bits, vec4<u32>(QUIET_NAN), vec4<bool>(spoiled));
        dz[row + q] = bitcast<vec4<f32>>(select(vec4<u32>(), gradient, inside(q, shape.classes)));
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let r = row_at(group, grid, lane);
    let place = min(r, shape.rows - 1u);
    let row = place * shape.quads;
    let first = lane % LANES;
    let counts = labels[place] != shape.ignore;
    let weight = 2.0 * weight_of_rows(lane, GRADIENT != 0u) / f32(shape.classes);
    let own = sums_of(row, first);
    let squares = row_sum(lane, own.squares);
    let spoiled = row_sum(lane, own.spoilers) > 0.0;
    if (r >= shape.rows) {
        return;
    }
    if (GRADIENT != 0u && counts) {
        store_gradient(row, first, weight, spoiled);
    } else if (GRADIENT != 0u) {
        for (var q = first; q < shape.quads; q += LANES) {
            dz[row + q] = vec4<f32>();
        }
    }
    if (first == 0u) {
        let loss = select(bitcast<u32>(squares / f32(shape.classes)), QUIET_NAN, spoiled);
        verdicts[r] = Verdict(bitcast<f32>(select(0u, loss, counts)), select(0u, COUNTS, counts));
    }
}
