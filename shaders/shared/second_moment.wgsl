// The second moment of a tensor's elements from its rows and columns, for kernels that import update.wgsl.
#import moments

@group(0) @binding(SEGMENT_BINDING + 2u) var<storage, read> means: array<f32>;

fn factor(place: u32) -> f32 {
    return slot0[place / 4u][place % 4u];
}

// Of four elements from this one of the tensor on. What is past its end has that of its last row.
fn second_moments(own: Factors, element: u32) -> vec4<f32> {
    let last = own.elements / own.columns - 1u;
    var row = min(element / own.columns, last);
    var column = element % own.columns;
    var v = vec4<f32>();
    for (var k = 0u; k < 4u; k++) {
        let matrix = row / own.rows;
        let both = factor(own.row_state + row) * factor(own.column_state + matrix * own.columns + column);
        v[k] = both / means[own.means + matrix];
        column += 1u;
        if (column == own.columns) {
            column = 0u;
            row = min(row + 1u, last);
        }
    }
    return v;
}
