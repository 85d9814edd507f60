// Softmax cross-entropy: loss, its gradient and whether the prediction is right, row by row, from logits.
//
//   loss[r] = log sum_c exp(z[r, c] - m) + m - (1 - s) z[r, label] - s mean_c z[r, c]       m = max_c z[r, c]
//   dz[r, c] = (softmax(z[r])_c - (1 - s) [c = label] - s / classes) / counting             s: label smoothing
//
// Like torch.nn.functional.cross_entropy. A row whose label is `ignore` has no loss and no gradient. All others weigh
// the same: one over the rows of the whole step that count, in any micro-batches. If the position does not give their
// number, the batch is the step, and each workgroup counts its rows, which are few compared with the logits. If none
// counts, everything is 0 (PyTorch: NaN). With GRADIENT = 0 dz is not touched.
//
// A row is right if the first of its largest logits is the label's. A row with a NaN or +inf among its logits is
// spoiled: its loss and gradient are NaN, and it is wrong. This is decided by the loaded bits, since neither max nor
// exp is bound to keep a NaN.
//
// Sums over many classes are made in blocks, so that their rounding error grows at most with the root of the classes.
//
//   0 z        [rows, quads]          vec4; what stands after the last class is not used
//   1 labels   [rows]
//   2 dz       [rows, quads]          vec4, zero after the last class
//   3 verdicts [rows]
//   4 position                        its `counting`
//   5 shape
//   6 loss_scale                      with SCALED: every gradient is multiplied by it
#import quad
#import rows
#import loss
#import counting
#import metrics
#import float

override GRADIENT: u32 = 1u;

// vec4s that a lane adds up before it adds to the whole.
const BLOCK: u32 = 64u;

const LOWEST: f32 = -3.4e38;

@group(0) @binding(0) var<storage, read> z: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> dz: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> verdicts: array<Verdict>;
@group(0) @binding(4) var<storage, read> position: Position;
@group(0) @binding(5) var<uniform> shape: Loss;
#ifdef SCALED
@group(0) @binding(6) var<storage, read> loss_scale: f32;
#endif

fn largest_of(row: u32, first: u32) -> f32 {
    var largest = vec4<f32>(LOWEST);
    for (var q = first; q < shape.quads; q += LANES) {
        largest = max(largest, select(vec4<f32>(LOWEST), z[row + q], inside(q, shape.classes)));
    }
    return max(max(largest.x, largest.y), max(largest.z, largest.w));
}

struct Sums {
    powers: f32,               // of exp(z - largest)
    logits: f32,
    earlier: f32,              // logits before the label's that are as large as the largest
    spoilers: f32,             // logits that are NaN or +inf
}

const NEGATIVE_INFINITY: u32 = 0xff800000u;

fn sums_of(row: u32, first: u32, label: u32, largest: f32) -> Sums {
    var powers = vec4<f32>();
    var logits = vec4<f32>();
    var earlier = vec4<f32>();
    var spoilers = vec4<f32>();
    for (var block = first; block < shape.quads; block += BLOCK * LANES) {
        var some = vec4<f32>();
        for (var q = block; q < min(block + BLOCK * LANES, shape.quads); q += LANES) {
            let known = inside(q, shape.classes);
            let loaded = z[row + q];
            let bits = bitcast<vec4<u32>>(loaded);
            let logit = select(vec4<f32>(largest), loaded, known);
            some += select(vec4<f32>(), exp(logit - largest), known);
            logits += select(vec4<f32>(), logit, known);
            let ties = (logit == vec4<f32>(largest)) & (4u * q + QUAD < vec4<u32>(label));
            earlier += select(vec4<f32>(), vec4<f32>(1.0), ties);
            let spoil = known & are_nonfinite(bits) & (bits != vec4<u32>(NEGATIVE_INFINITY));
            spoilers += select(vec4<f32>(), vec4<f32>(1.0), spoil);
        }
        powers += some;
    }
    return Sums(total(powers), total(logits), total(earlier), total(spoilers));
}

fn store_gradient(row: u32, first: u32, label: u32, largest: f32, powers: f32, weight: f32, spoiled: bool) {
    let even = shape.smoothing / f32(shape.classes);
    for (var q = first; q < shape.quads; q += LANES) {
        let softmax = exp(z[row + q] - largest) / powers;
        let target_part = select(vec4<f32>(even), vec4<f32>(1.0 - shape.smoothing + even), 4u * q + QUAD == vec4<u32>(label));
        let bits = bitcast<vec4<u32>>(weight * (softmax - target_part));
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
    let label = min(labels[place], shape.classes - 1u);
    let counts = labels[place] != shape.ignore;
    let weight = weight_of_rows(lane, GRADIENT != 0u);
    let largest = row_max(lane, largest_of(row, first));
    let own = sums_of(row, first, label, largest);
    let powers = row_sum(lane, own.powers);
    let logits = row_sum(lane, own.logits);
    let earlier = row_sum(lane, own.earlier);
    let spoiled = row_sum(lane, own.spoilers) > 0.0;
    if (r >= shape.rows) {
        return;
    }
    if (GRADIENT != 0u && counts) {
        store_gradient(row, first, label, largest, powers, weight, spoiled);
    } else if (GRADIENT != 0u) {
        for (var q = first; q < shape.quads; q += LANES) {
            dz[row + q] = vec4<f32>();
        }
    }
    if (first == 0u) {
        let answer = z[row + label / 4u][label % 4u];
        // Without smoothing a logit of -inf costs nothing: 0 times the mean would be NaN.
        let apart = select(0.0, shape.smoothing * (largest - logits / f32(shape.classes)), shape.smoothing != 0.0);
        let target_logit = (1.0 - shape.smoothing) * (largest - answer) + apart;
        let correct = select(0u, CORRECT, answer == largest && earlier == 0.0 && !spoiled);
        let loss = select(bitcast<u32>(log(powers) + target_logit), QUIET_NAN, spoiled);
        verdicts[r] = Verdict(bitcast<f32>(select(0u, loss, counts)), select(0u, COUNTS | correct, counts));
    }
}
