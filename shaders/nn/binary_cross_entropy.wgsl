// Binary cross-entropy of any number of labels: loss, its gradient and whether every label is right, row by row, from
// logits.
//
//   loss[r] = mean_k (max(z[r, k], 0) - t[r, k] z[r, k] + log(1 + exp(-|z[r, k]|)))
//   dz[r, k] = (1 / (1 + exp(-z[r, k])) - t[r, k]) / (outputs counting)
//
// Like torch.nn.BCEWithLogitsLoss. A row whose label is `ignore` has no loss and no gradient. All others weigh the
// same: one over the rows of the step that count. With GRADIENT = 0 dz is not touched.
//
// A row is right if each logit is above 0 exactly when its target is above a half. A row with a logit or target that is
// not finite is spoiled: its loss and gradient are NaN, and it is wrong. This is decided by the loaded bits.
//
//   0 z        [rows, quads]          vec4; what stands after the last output is not used
//   1 targets  [rows, quads]          vec4, from 0 to 1
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

// log(1 + x) for x from 0 to 1: where x is small, by its series.
fn log_of_one_and(x: vec4<f32>) -> vec4<f32> {
    return select(log(1.0 + x), x * (1.0 - x * (0.5 - x / 3.0)), x < vec4<f32>(0.01));
}

struct Sums {
    losses: f32,
    wrong: f32,                // outputs that are answered wrong
    spoilers: f32,             // logits and targets that are not finite
}

fn sums_of(row: u32, first: u32) -> Sums {
    var losses = vec4<f32>();
    var wrong = vec4<f32>();
    var spoilers = vec4<f32>();
    for (var q = first; q < shape.quads; q += LANES) {
        let known = inside(q, shape.classes);
        let logit = z[row + q];
        let aim = targets[row + q];
        let loss = max(logit, vec4<f32>()) - aim * logit + log_of_one_and(exp(-abs(logit)));
        losses += select(vec4<f32>(), loss, known);
        let differ = (logit > vec4<f32>()) != (aim > vec4<f32>(0.5));
        wrong += select(vec4<f32>(), vec4<f32>(1.0), known & differ);
        let spoil = are_nonfinite(bitcast<vec4<u32>>(logit)) | are_nonfinite(bitcast<vec4<u32>>(aim));
        spoilers += select(vec4<f32>(), vec4<f32>(1.0), known & spoil);
    }
    return Sums(total(losses), total(wrong), total(spoilers));
}

fn store_gradient(row: u32, first: u32, weight: f32, spoiled: bool) {
    for (var q = first; q < shape.quads; q += LANES) {
        let logit = z[row + q];
        let power = exp(-abs(logit));
        let sigmoid = select(power, vec4<f32>(1.0), logit >= vec4<f32>()) / (1.0 + power);
        let bits = bitcast<vec4<u32>>(weight * (sigmoid - targets[row + q]));
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
    let weight = weight_of_rows(lane, GRADIENT != 0u) / f32(shape.classes);
    let own = sums_of(row, first);
    let losses = row_sum(lane, own.losses);
    let wrong = row_sum(lane, own.wrong);
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
        let correct = select(0u, CORRECT, wrong == 0.0 && !spoiled);
        let loss = select(bitcast<u32>(losses / f32(shape.classes)), QUIET_NAN, spoiled);
        verdicts[r] = Verdict(bitcast<f32>(select(0u, loss, counts)), select(0u, COUNTS | correct, counts));
    }
}
