// Norm, first stage: partial sums of the gradients, and the first group that holds a non-finite one.
//
//   partial = sum |g|    (NORM = 1)     sum g²    (NORM = 2)     max |g|    (NORM = 3)     sum |g|^ORDER    (NORM = 4)
//             1 if some g is not 0    (NORM = 5)           0          (NORM = 0, guard only)
//
// Partial i covers chunks [bounds[i], bounds[i + 1]) of the work list, 1024 partials at most. One workgroup makes one
// partial: chunk by chunk, each reduced by a fixed tree, the chunks added in order. A partial whose chunks lie in two pages
// is continued by the second dispatch, so the bits do not depend on paging. No float atomics.
//
//   0 chunks   [n]                    work list in logical order
//   1 control                         partials are written
//   2 grads    [page]                 vec4; single floats with SINGLE_GRADS; vec2 of four bf16 with GRADS16
//   3 segment                         the chunks that lie in this page
//   4 tensors  [tensors]              where the gradient of each begins
//   5 bounds   [partials + 1]
#import control
#import chunk
#import float
#import bf16
#import power

override WORKGROUP: u32 = 256u;
override NORM: u32 = 2u;
override ORDER: f32 = 2.0;

@group(0) @binding(0) var<storage, read> chunks: array<Chunk>;
@group(0) @binding(1) var<storage, read_write> control: Control;
#ifdef SINGLE_GRADS
@group(0) @binding(2) var<storage, read> grads: array<f32>;
#else
#ifdef GRADS16
@group(0) @binding(2) var<storage, read> grads: array<vec2<u32>>;
#else
@group(0) @binding(2) var<storage, read> grads: array<vec4<f32>>;
#endif
#endif
@group(0) @binding(3) var<uniform> segment: Segment;
@group(0) @binding(4) var<storage, read> tensors: array<TensorEntry>;
@group(0) @binding(5) var<storage, read> bounds: array<u32>;

var<workgroup> sums: array<f32, WORKGROUP>;
var<workgroup> bads: array<u32, WORKGROUP>;

// The bits of four gradients from element `first` on, as they are loaded; those past the chunk's end count as 0.
fn bits_at(first: u32, live: u32) -> vec4<u32> {
#ifdef SINGLE_GRADS
    let quad = vec4<f32>(grads[first], grads[first + 1u], grads[first + 2u], grads[first + 3u]);
    return select(vec4<u32>(), bitcast<vec4<u32>>(quad), vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(live));
#else
#ifdef GRADS16
    let bits = bitcast<vec4<u32>>(widened(grads[first / 4u]));
    return select(vec4<u32>(), bits, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(live));
#else
    let bits = bitcast<vec4<u32>>(grads[first / 4u]);
    return select(vec4<u32>(), bits, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(live));
#endif
#endif
}

// What is not finite stays so, whatever its power would be.
fn to_the_order(g: f32) -> f32 {
    if (is_nonfinite(bitcast<u32>(g))) {
        return abs(g);
    }
    return power(abs(g), ORDER);
}

fn of_quad(g: vec4<f32>) -> f32 {
    if (NORM == 1u) {
        return dot(abs(g), vec4<f32>(1.0));
    }
    if (NORM == 2u) {
        return dot(g, g);
    }
    if (NORM == 4u) {
        return to_the_order(g.x) + to_the_order(g.y) + to_the_order(g.z) + to_the_order(g.w);
    }
    return larger(larger(g.x, g.y), larger(g.z, g.w));
}

// Joins two parts of a partial. Whether a gradient is not 0 is 1 at most.
fn both(a: f32, b: f32) -> f32 {
    return join(select(NORM, 3u, NORM == 5u), a, b);
}

// By the bits: a NaN is not 0 either.
fn some_is_not_zero(bits: vec4<u32>) -> f32 {
    return select(0.0, 1.0, any((bits & vec4<u32>(MAGNITUDE)) != vec4<u32>()));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let partial = segment.first_partial + workgroup.x;
    let start = bounds[partial];
    let end = bounds[partial + 1u];
    let from_chunk = max(start, segment.first);
    let to_chunk = min(end, segment.first + segment.count);

    var total = Partial(0.0, NO_GROUP);
    if (from_chunk > start) {
        total = control.partials[partial];    // begun by the dispatch of the page before
    }
    for (var c = from_chunk; c < to_chunk; c++) {
        let chunk = chunks[c];
        let first = tensors[chunk.entry].grad + chunk.grad;
        var sum = 0.0;
        var bad = NO_GROUP;
        for (var i = lane * 4u; i < chunk.length; i += WORKGROUP * 4u) {
            let bits = bits_at(first + i, chunk.length - i);
            if (NORM == 5u) {
                sum = both(sum, some_is_not_zero(bits));
            } else if (NORM != 0u) {
                sum = both(sum, of_quad(bitcast<vec4<f32>>(bits)));
            }
            if (any(are_nonfinite(bits))) {
                bad = chunk.group;
            }
        }
        sums[lane] = sum;
        bads[lane] = bad;
        workgroupBarrier();
        for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
            if (lane < width) {
                sums[lane] = both(sums[lane], sums[lane + width]);
                bads[lane] = min(bads[lane], bads[lane + width]);
            }
            workgroupBarrier();
        }
        total.sum = both(total.sum, sums[0]);
        total.bad_group = min(total.bad_group, bads[0]);
        workgroupBarrier();
    }
    if (lane == 0u) {
        control.partials[partial] = total;
    }
}
