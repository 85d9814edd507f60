// For losses: what a row that counts weighs in the gradient. A shader has `labels`, `position` and `shape` of a loss, and with
// SCALED the `loss_scale`, which keeps gradients in f16 above its smallest number. The update divides by it.

var<workgroup> counts: array<u32, WORKGROUP>;

// Rows of the batch that count, by all lanes of the workgroup together.
fn count_rows(lane: u32) -> u32 {
    var count = 0u;
    for (var r = lane; r < shape.rows; r += WORKGROUP) {
        count += select(1u, 0u, labels[r] == shape.ignore);
    }
    counts[lane] = count;
    workgroupBarrier();
    for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
        if (lane < width) {
            counts[lane] += counts[lane + width];
        }
        workgroupBarrier();
    }
    return counts[0];
}

// One over the rows of the step that count; if the position does not give them and this is asked for, over those of the
// batch.
fn weight_of_rows(lane: u32, asked: bool) -> f32 {
    var counting = position.counting;
    if (asked && counting == 0u) {
        counting = count_rows(lane);
    }
    let weight = 1.0 / f32(max(counting, 1u));
#ifdef SCALED
    return weight * loss_scale;
#else
    return weight;
#endif
}
