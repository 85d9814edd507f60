// Sums a loss's verdicts on the rows of a batch.
//
//   loss_sum += sum_r loss[r]                     rows += rows that count         correct += right answers
//
// One workgroup: a lane takes rows in turn, then a fixed tree sums. The sums run over an epoch and restart at its batch
// 0. The loss of a batch joins a second sum in whole numbers and 2⁻³²nds, which does not round: so the mean of an
// evaluation is as exact as the sums of its batches, however many it has. (The usual compensated sum in floats is
// optimized away by some drivers.) A sum that is not finite, or too large for 32 bits, shows only in loss_sum.
//
//   0 verdicts [rows]
//   1 metrics
//   2 position
//   3 shape
#import metrics
#import loss
#import float

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<storage, read> verdicts: array<Verdict>;
@group(0) @binding(1) var<storage, read_write> metrics: Metrics;
@group(0) @binding(2) var<storage, read> position: Position;
@group(0) @binding(3) var<uniform> shape: Loss;

var<workgroup> losses: array<f32, WORKGROUP>;
var<workgroup> counts: array<u32, WORKGROUP>;
var<workgroup> corrects: array<u32, WORKGROUP>;

// Adds a finite loss, which is not negative, to the exact sum.
fn add_exactly(loss: f32) {
    let whole = floor(max(loss, 0.0));
    let part = u32((max(loss, 0.0) - whole) * 4294967296.0);
    let sum = metrics.loss_part + part;
    metrics.loss_part = sum;
    metrics.loss_whole += u32(whole) + select(0u, 1u, sum < part);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
    var loss = 0.0;
    var count = 0u;
    var correct = 0u;
    for (var r = lane; r < shape.rows; r += WORKGROUP) {
        let verdict = verdicts[r];
        loss += verdict.loss;
        count += verdict.mark & COUNTS;
        correct += (verdict.mark & CORRECT) / CORRECT;
    }
    losses[lane] = loss;
    counts[lane] = count;
    corrects[lane] = correct;
    workgroupBarrier();
    for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
        if (lane < width) {
            losses[lane] += losses[lane + width];
            counts[lane] += counts[lane + width];
            corrects[lane] += corrects[lane + width];
        }
        workgroupBarrier();
    }
    if (lane != 0u) {
        return;
    }
    if (position.batch == 0u) {
        metrics = Metrics();
    }
    metrics.loss_sum += losses[0];
    if (!is_nonfinite(bitcast<u32>(losses[0]))) {
        add_exactly(losses[0]);
    }
    metrics.correct += corrects[0];
    metrics.rows += counts[0];
    metrics.loss = losses[0] / f32(max(counts[0], 1u));
    metrics.epoch = position.epoch;
}
