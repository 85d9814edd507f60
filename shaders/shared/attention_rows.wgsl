// Rows of attention, which keys a query sees, and which weights dropout keeps. Scores are in matrices of 4 by 4, with a
// column for each query and a row for each key.
//
// The importing shader declares qkv, mask and shape, and position with DROPOUT.
#import attention
#import dropout
#import float
#import values

override CAUSAL: u32 = 0u;     // 1: a query sees no later key

const QUAD: vec4<u32> = vec4<u32>(0u, 1u, 2u, 3u);

// What an invocation or a workgroup works on: some tokens of one head of one example.
struct Place {
    index: u32,                // example · heads + head
    example: u32,
    head: u32,
    first: u32,                // of the tokens
}

fn is_inside(place: Place) -> bool {
    return place.index < shape.batch * shape.heads;
}

// The rows of four tokens, counted over the whole batch; past the last token, the last one's.
fn rows_of(place: Place, token: u32) -> vec4<u32> {
    return place.example * shape.context + min(token + QUAD, vec4<u32>(shape.context - 1u));
}

// The first vec4 of four tokens' rows in a part of qkv, at the place's head.
fn part_of(part: u32, place: Place, token: u32) -> vec4<u32> {
    return part + place.head * shape.head_quads + rows_of(place, token) * shape.stride;
}

// The same in out and its gradient.
fn out_of(place: Place, token: u32) -> vec4<u32> {
    return (rows_of(place, token) * shape.heads + place.head) * shape.head_quads;
}

// Vec4 d of the rows that begin there, a column a row.
fn qkv_at(rows: vec4<u32>, d: u32) -> mat4x4<f32> {
    return mat4x4<f32>(wide(qkv[rows.x + d]), wide(qkv[rows.y + d]), wide(qkv[rows.z + d]), wide(qkv[rows.w + d]));
}

// Which of the keys j .. j + 3 are there and real.
fn real_keys(place: Place, j: u32) -> vec4<bool> {
    let rows = rows_of(place, j);
    let keys = vec4<u32>(mask[rows.x], mask[rows.y], mask[rows.z], mask[rows.w]);
    return (keys != vec4<u32>()) & (j + QUAD < vec4<u32>(shape.context));
}

// Which of these, the keys j .. j + 3, the query sees. A query after the last one sees none.
fn seen(query: u32, j: u32, real: vec4<bool>) -> vec4<bool> {
    let latest = select(shape.context, query, CAUSAL != 0u);
    return real & (j + QUAD <= vec4<u32>(latest)) & vec4<bool>(query < shape.context);
}

// e^x; NaN stays NaN, which exp alone does not promise.
fn power(x: vec4<f32>) -> vec4<f32> {
    let bits = opaque(x, shape.zero);
    return bitcast<vec4<f32>>(select(bitcast<vec4<u32>>(exp(x)), bits, are_nan(bits)));
}

// Which weights of 4 queries dropout keeps, a bit each, 8 keys of a query side by side. (They are made in a separate
// loop: in the unrolled code that uses them they would more than double a driver's time to compile.)
fn kept_of(place: Place, t: u32, j: u32) -> u32 {
    var bits = 0u;
#ifdef DROPOUT
    let threshold = u32(shape.rate * 4294967296.0);
    let dropout = Dropout(shape.seed, shape.stream, threshold, 1.0, 0u, 0u, 0u, 0u);
    let batch = dropout_key(dropout, position);
    for (var i = 0u; i < 4u; i++) {
        let key = pcg(batch ^ pcg(place.index * shape.context + t + i));
        for (var k = 0u; k < 8u; k++) {
            bits |= u32(dropout_factor(dropout, key, j + k) != 0.0) << (8u * i + k);
        }
    }
#endif
    return bits;
}

// Four weights as dropout leaves them; their bits begin at `first`.
fn dropped_row(weights: vec4<f32>, bits: u32, first: u32) -> vec4<f32> {
#ifdef DROPOUT
    let stay = ((vec4<u32>(bits) >> (first + QUAD)) & vec4<u32>(1u)) != vec4<u32>();
    return select(vec4<f32>(), weights / (1.0 - shape.rate), stay);
#else
    return weights;
#endif
}

// The same of 4 queries.
fn dropped(weights: mat4x4<f32>, bits: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        dropped_row(weights[0], bits, 0u),
        dropped_row(weights[1], bits, 8u),
        dropped_row(weights[2], bits, 16u),
        dropped_row(weights[3], bits, 24u),
    );
}
