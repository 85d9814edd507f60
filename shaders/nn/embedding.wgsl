// Embeddings of tokens and their positions, and of their types (BERT), added up.
//
//   y[r] = token_table[token[r]] + position_table[first_position + r mod context] (+ type_table[type[r]])
//
// Tokens are checked before they are uploaded; one past the table reads its last entry. Tables are stored as they are
// named in checkpoints, [entries, width] without padding; RAGGED reads them one by one. With TABLES16 they are all in bf16.
//
//   0 tokens         [rows]
//   1 token_table    [entries, width]    vec4, of bf16 with TABLES16; single floats with RAGGED
//   2 position_table [context.., width]  the same
//   3 y              [rows, quads]       vec4, zero after the last column
//   4 shape
//   5 token_types    [rows]              with TYPED
//   6 type_table     [types, width]      with TYPED; single floats but with TABLES16
#import embedding
#import values
#ifdef TABLES16
#import bf16
#endif

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> tokens: array<u32>;
#ifdef TABLES16
@group(0) @binding(1) var<storage, read> token_table: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> position_table: array<vec2<u32>>;
#else
#ifdef RAGGED
@group(0) @binding(1) var<storage, read> token_table: array<f32>;
@group(0) @binding(2) var<storage, read> position_table: array<f32>;
#else
@group(0) @binding(1) var<storage, read> token_table: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> position_table: array<vec4<f32>>;
#endif
#endif
@group(0) @binding(3) var<storage, read_write> y: array<Stored>;
@group(0) @binding(4) var<uniform> shape: Embedding;
#ifdef TYPED
@group(0) @binding(5) var<storage, read> token_types: array<u32>;
#ifdef TABLES16
@group(0) @binding(6) var<storage, read> type_table: array<vec2<u32>>;
#else
@group(0) @binding(6) var<storage, read> type_table: array<f32>;
#endif
#endif

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    let r = at / shape.quads;
    let q = at % shape.quads;
    if (r >= shape.rows) {
        return;
    }
    let token = min(tokens[r], shape.entries - 1u);
    let position = shape.first_position + r % shape.context;
#ifdef TABLES16
    var value = widened(token_table[token * shape.quads + q]) + widened(position_table[position * shape.quads + q]);
#else
#ifdef RAGGED
    var value = vec4<f32>();
    for (var k = 0u; k < min(4u, shape.width - 4u * q); k++) {
        let c = 4u * q + k;
        value[k] = token_table[token * shape.width + c] + position_table[position * shape.width + c];
    }
#else
    var value = token_table[token * shape.quads + q] + position_table[position * shape.quads + q];
#endif
#endif
#ifdef TYPED
    let kind = min(token_types[r], shape.types - 1u);
#ifdef TABLES16
    value += widened(type_table[kind * shape.quads + q]);
#else
    for (var k = 0u; k < min(4u, shape.width - 4u * q); k++) {
        value[k] += type_table[kind * shape.width + 4u * q + k];
    }
#endif
#endif
    y[at] = narrow(value);
}
