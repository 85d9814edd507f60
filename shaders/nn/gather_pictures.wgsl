// Gathers a batch of pictures from their bytes on the device, as gather.wgsl gathers rows, and makes numbers of them.
//
//   x[r, p, c] = data[order_epoch(batch · rows + r), p, c] scale[c] + shift[c]         c: red, green, blue
//
// With SHUFFLE = 0 the pictures are in order (evaluation). Pictures after the last one are zeros with the label IGNORED; all
// others count.
//
//   0 data     [samples, pixels]      four bytes: red, green, blue, nothing
//   1 labels   [samples]
//   2 x        [rows, pixels]         vec4, zero after the third channel
//   3 y        [rows]
//   4 position
//   5 table                           only its first step is read
//   6 shape
//   7 clock
#import metrics
#import table
#import rng
#import clock
#import tokens

struct GatherPictures {        // 64 bytes
    samples: u32,
    rows: u32,                 // pictures of one micro-batch
    pixels: u32,               // of a picture
    steps_per_epoch: u32,
    micro_batches: u32,        // in a step
    micro: u32,                // which one this is
    seed: u32,
    pad0: u32,
    scale: vec4<f32>,          // of a byte; 0 after the third
    shift: vec4<f32>,
}

override WORKGROUP: u32 = 64u;
override SHUFFLE: u32 = 1u;

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;
@group(0) @binding(4) var<storage, read_write> position: Position;
@group(0) @binding(5) var<storage, read> table: Table;
@group(0) @binding(6) var<uniform> shape: GatherPictures;
@group(0) @binding(7) var<uniform> clock: Clock;

fn bytes_of(pixel: u32) -> vec4<f32> {
    return vec4<f32>((vec4<u32>(pixel) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    let r = at / shape.pixels;
    let p = at % shape.pixels;
    if (r >= shape.rows) {
        return;
    }
    let step = table.first_step + clock.slot;
    let epoch = step / shape.steps_per_epoch;
    let batch = step % shape.steps_per_epoch * shape.micro_batches + shape.micro;
    var sample = batch * shape.rows + r;
    var label = IGNORED;
    var values = vec4<f32>();
    if (sample < shape.samples) {
        if (SHUFFLE != 0u) {
            sample = shuffled(sample, shape.samples, pcg(shape.seed ^ pcg(epoch)));
        }
        label = labels[sample];
        values = bytes_of(data[sample * shape.pixels + p]) * shape.scale + shape.shift;
    }
    x[at] = values;
    if (p == 0u) {
        y[r] = label;
    }
    if (at == 0u) {
        let counting = samples_in(batch - shape.micro, shape.micro_batches, shape.rows, shape.samples);
        position = Position(step, epoch, batch, counting);
    }
}
