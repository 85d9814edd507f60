// Softmax cross-entropy: loss, its gradient and the number of right answers, from logits.
//
//   loss[r] = log sum_c exp(z[r, c] - m) + (m - z[r, label])       m = max_c z[r, c]
//   dz[r, c] = scale (softmax(z[r])_c - [c = label])               scale = 1 / (rows of the whole step)
//
// One workgroup: a lane takes rows in turn, then a fixed tree adds up. The sums in metrics run over an epoch.
//
//   0 z        [rows, quads * 4]      single floats
//   1 labels   [rows]
//   2 dz       [rows, quads * 4]      zero behind the last class
//   3 metrics
//   4 position                        batch 0 starts the count anew
//   5 shape
#import metrics

struct Loss {                  // 16 bytes
    rows: u32,
    classes: u32,
    quads: u32,                // vec4s in a row of z
    scale: f32,
}

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> dz: array<f32>;
@group(0) @binding(3) var<storage, read_write> metrics: Metrics;
@group(0) @binding(4) var<storage, read> position: Position;
@group(0) @binding(5) var<uniform> shape: Loss;

var<workgroup> losses: array<f32, WORKGROUP>;
var<workgroup> corrects: array<u32, WORKGROUP>;

struct Verdict {
    loss: f32,
    correct: u32,
}

fn judge(r: u32) -> Verdict {
    let row = r * shape.quads * 4u;
    let label = min(labels[r], shape.classes - 1u);
    var largest = z[row];
    var answer = 0u;
    for (var c = 1u; c < shape.classes; c++) {
        let logit = z[row + c];
        if (logit > largest) {
            largest = logit;
            answer = c;
        }
    }
    var sum = 0.0;
    for (var c = 0u; c < shape.classes; c++) {
        sum += exp(z[row + c] - largest);
    }
    for (var c = 0u; c < shape.quads * 4u; c++) {
        var gradient = 0.0;
        if (c < shape.classes) {
            gradient = shape.scale * (exp(z[row + c] - largest) / sum - select(0.0, 1.0, c == label));
        }
        dz[row + c] = gradient;
    }
    return Verdict(log(sum) + (largest - z[row + label]), u32(answer == label));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
    var loss = 0.0;
    var correct = 0u;
    for (var r = lane; r < shape.rows; r += WORKGROUP) {
        let verdict = judge(r);
        loss += verdict.loss;
        correct += verdict.correct;
    }
    losses[lane] = loss;
    corrects[lane] = correct;
    workgroupBarrier();
    for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
        if (lane < width) {
            losses[lane] += losses[lane + width];
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
    metrics.correct += corrects[0];
    metrics.rows += shape.rows;
    metrics.loss = losses[0] / f32(shape.rows);
    metrics.epoch = position.epoch;
}
