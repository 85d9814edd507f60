// Counts how often rows of each class are predicted as each, over the batches of an evaluation.
//
//   cells[label, answer] += 1                    answer: the first of the row's largest logits
//
// One workgroup: its lanes take rows in turn. Counting starts again at batch 0. A row whose label is `ignore` has no
// cell, nor has one with a NaN or +inf among its logits, by the loaded bits.
//
//   0 z        [rows, quads]          vec4; what stands after the last class is not used
//   1 labels   [rows]
//   2 cells    [classes, classes]
//   3 position
//   4 shape
#import loss
#import metrics
#import float

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<storage, read> z: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> cells: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read> position: Position;
@group(0) @binding(4) var<uniform> shape: Loss;

const NEGATIVE_INFINITY: u32 = 0xff800000u;

// The first of the largest logits; `classes` without one.
fn answer_of(r: u32) -> u32 {
    var answer = 0u;
    var largest = 0.0;
    for (var c = 0u; c < shape.classes; c++) {
        let logit = z[r * shape.quads + c / 4u][c % 4u];
        let bits = bitcast<u32>(logit);
        if (is_nonfinite(bits) && bits != NEGATIVE_INFINITY) {
            return shape.classes;
        }
        if (c == 0u || logit > largest) {
            largest = logit;
            answer = c;
        }
    }
    return answer;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
    if (position.batch == 0u) {
        for (var at = lane; at < shape.classes * shape.classes; at += WORKGROUP) {
            atomicStore(&cells[at], 0u);
        }
    }
    storageBarrier();
    for (var r = lane; r < shape.rows; r += WORKGROUP) {
        let answer = answer_of(r);
        if (labels[r] != shape.ignore && answer < shape.classes) {
            atomicAdd(&cells[min(labels[r], shape.classes - 1u) * shape.classes + answer], 1u);
        }
    }
}
