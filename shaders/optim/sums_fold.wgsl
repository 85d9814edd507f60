// Adds up the sums of each tensor's chunks, in their order in the tensor, and writes them into its record. A workgroup does
// one tensor, by a fixed tree.
//
//   0 folds    [tensors]              which sums each tensor has
//   1 places   [chunks]               places of the chunks in the work list, tensor by tensor, each in its own order
//   2 sums     [n]                    of each chunk of the work list
//   3 control                         records are written
//   4 segment                         how many tensors there are
#import control
#import chunk

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<storage, read> folds: array<Fold>;
@group(0) @binding(1) var<storage, read> places: array<u32>;
@group(0) @binding(2) var<storage, read> sums: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> control: Control;
@group(0) @binding(4) var<uniform> segment: Segment;

var<workgroup> parts: array<vec2<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = workgroup.y * grid.x + workgroup.x;
    if (place >= segment.count) {
        return;
    }
    let fold = folds[place];
    var sum = vec2<f32>();
    for (var i = lane; i < fold.count; i += WORKGROUP) {
        sum += sums[places[fold.first + i]];
    }
    parts[lane] = sum;
    workgroupBarrier();
    for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
        if (lane < width) {
            parts[lane] += parts[lane + width];
        }
        workgroupBarrier();
    }
    if (lane == 0u && control.stats.skip == 0u) {
        control.records[fold.record].sum_a = parts[0].x;
        control.records[fold.record].sum_b = parts[0].y;
    }
}
