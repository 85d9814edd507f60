// Rotates the columns of a tile's sums by one place; after four turns all are back.
//
// Kernels with sums in registers store them column by column, in loops that begin at shape.zero, which a compiler
// cannot know. So no compiler unrolls them 16 times: a driver on a processor compiles each load and store again, and
// took longer for these than for the products. The columns rotate, since a variable index would move them to memory.
fn turned(sums: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(sums[1], sums[2], sums[3], sums[0]);
}
