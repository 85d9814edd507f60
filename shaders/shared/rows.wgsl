// For kernels that reduce along a row: LANES neighbours of a workgroup share one.
//
// In software LANES is 1: an invocation takes a whole row, since there waiting costs more than it gains. All
// invocations must call this together, so those past the last row work on the last row again and store nothing.

override WORKGROUP: u32 = 64u;
override LANES: u32 = 32u;     // a power of two that divides WORKGROUP

var<workgroup> shares: array<f32, WORKGROUP>;

// The row of an invocation; it may be past the last.
fn row_at(group: vec3<u32>, grid: vec3<u32>, lane: u32) -> u32 {
    return (group.y * grid.x + group.x) * (WORKGROUP / LANES) + lane / LANES;
}

// The sum over the lanes of a row, by a fixed tree.
fn row_sum(lane: u32, value: f32) -> f32 {
    if (LANES == 1u) {
        return value;
    }
    shares[lane] = value;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if (lane % LANES < width) {
            shares[lane] += shares[lane + width];
        }
        workgroupBarrier();
    }
    let sum = shares[lane - lane % LANES];
    workgroupBarrier();
    return sum;
}

// The largest over the lanes of a row.
fn row_max(lane: u32, value: f32) -> f32 {
    if (LANES == 1u) {
        return value;
    }
    shares[lane] = value;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if (lane % LANES < width) {
            shares[lane] = max(shares[lane], shares[lane + width]);
        }
        workgroupBarrier();
    }
    let largest = shares[lane - lane % LANES];
    workgroupBarrier();
    return largest;
}
