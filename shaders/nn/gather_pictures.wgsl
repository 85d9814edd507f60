// Gathers a batch of pictures from their bytes on the device, as gather.wgsl gathers rows, and makes numbers of them.
//
//   x[r, p, c] = seen(order_epoch(batch · rows + r), p)[c] scale[c] + shift[c]         c: red, green, blue
//
// seen is the picture's pixel. With AUGMENT = 1 it is that of a part of the picture, drawn anew for each picture and epoch, as
// torchvision's transforms draw it:
//
//   flip          left and right are exchanged, with probability 1/2             (RandomHorizontalFlip)
//   padding > 0   the whole picture, moved by up to so many pixels; black beyond (RandomCrop)
//   least_area    height · width = area · share, share uniform in [least_area, 1],
//                 width / height = e^u, u uniform in ± ln 4/3, at most the picture (RandomResizedCrop, which draws again where
//                 a part is too wide or high; here that side is cut)
//
// What is drawn is a function of seed, epoch and picture, so a resumed run sees the same. Between pixels the numbers are linear.
//
// With AHEAD = 1 the bytes of the step's pictures alone are there, in the step's order: the host has sent them ahead. With
// SHUFFLE = 0 the pictures are in order (evaluation). Pictures after the last one are zeros with the label IGNORED; all
// others count.
//
//   0 data     [samples, height, width]      four bytes: red, green, blue, nothing; [micro_batches · rows, …] with AHEAD
//   1 labels   [samples]
//   2 x        [rows, height, width]         vec4, zero after the third channel
//   3 y        [rows]
//   4 position
//   5 table                                  only its first step is read
//   6 shape
//   7 clock
//
// Numerics: a part of full size lies at whole pixels, so its numbers are those of the bytes.
#import metrics
#import table
#import rng
#import clock
#import tokens

struct GatherPictures {        // 80 bytes
    samples: u32,
    rows: u32,                 // pictures of one micro-batch
    height: u32,               // of a picture
    width: u32,
    steps_per_epoch: u32,
    micro_batches: u32,        // in a step
    micro: u32,                // which one this is
    seed: u32,
    flip: u32,                 // 1: pictures are flipped
    padding: u32,              // pixels
    least_area: f32,           // share of a picture; 0: the whole
    pad0: u32,
    scale: vec4<f32>,          // of a byte; 0 after the third
    shift: vec4<f32>,
}

// A part of a picture, in pixels.
struct Part {
    first: vec2<f32>,          // row and column
    sides: vec2<f32>,          // height and width
    is_flipped: bool,
}

override WORKGROUP: u32 = 64u;
override SHUFFLE: u32 = 1u;
override AUGMENT: u32 = 0u;
override AHEAD: u32 = 0u;

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;
@group(0) @binding(4) var<storage, read_write> position: Position;
@group(0) @binding(5) var<storage, read> table: Table;
@group(0) @binding(6) var<uniform> shape: GatherPictures;
@group(0) @binding(7) var<uniform> clock: Clock;

const LOG_ASPECT: f32 = 0.28768207;     // ln 4/3

fn bytes_of(pixel: u32) -> vec4<f32> {
    return vec4<f32>((vec4<u32>(pixel) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu));
}

// A number in [0, 1), one of eight of a picture.
fn chance(sample: u32, which: u32, key: u32) -> f32 {
    return f32(pcg(pcg(sample * 8u + which) ^ key) >> 8u) * 5.9604644775390625e-8;
}

fn drawn_part(sample: u32, epoch: u32) -> Part {
    let key = pcg(shape.seed ^ pcg(epoch ^ 0x70617274u));
    let all = vec2<f32>(f32(shape.height), f32(shape.width));
    let places = vec2<f32>(chance(sample, 0u, key), chance(sample, 1u, key));
    let is_flipped = shape.flip != 0u && chance(sample, 2u, key) < 0.5;
    if (shape.padding > 0u) {
        let most = f32(shape.padding);
        return Part(floor(places * (2.0 * most + 1.0)) - most, all, is_flipped);
    }
    var sides = all;
    if (shape.least_area > 0.0) {
        let area = (1.0 - chance(sample, 3u, key) * (1.0 - shape.least_area)) * all.x * all.y;
        let aspect = exp((2.0 * chance(sample, 4u, key) - 1.0) * LOG_ASPECT);
        sides = min(vec2<f32>(sqrt(area / aspect), sqrt(area * aspect)), all);
    }
    return Part(places * (all - sides), sides, is_flipped);
}

// A pixel of the picture at a place in memory. Beyond its edge it is black, or that of the edge if pictures are not moved.
fn tap(source: u32, row: i32, column: i32) -> vec4<f32> {
    let last = vec2<i32>(i32(shape.height), i32(shape.width)) - 1;
    let place = clamp(vec2<i32>(row, column), vec2<i32>(0), last);
    if (shape.padding > 0u && (place.x != row || place.y != column)) {
        return vec4<f32>();
    }
    return bytes_of(data[(source * shape.height + u32(place.x)) * shape.width + u32(place.y)]);
}

// What a part shows at a place of the picture.
fn seen(source: u32, part: Part, p: u32) -> vec4<f32> {
    let all = vec2<f32>(f32(shape.height), f32(shape.width));
    var column = p % shape.width;
    if (part.is_flipped) {
        column = shape.width - 1u - column;
    }
    let place = vec2<f32>(f32(p / shape.width), f32(column));
    let at = part.first + (place + 0.5) * (part.sides / all) - 0.5;
    let low = floor(at);
    let share = at - low;
    let row = i32(low.x);
    let left = i32(low.y);
    let above = mix(tap(source, row, left), tap(source, row, left + 1), share.y);
    let below = mix(tap(source, row + 1, left), tap(source, row + 1, left + 1), share.y);
    return mix(above, below, share.x);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    let pixels = shape.height * shape.width;
    let r = at / pixels;
    let p = at % pixels;
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
        let source = select(sample, shape.micro * shape.rows + r, AHEAD != 0u);
        if (AUGMENT != 0u) {
            values = seen(source, drawn_part(sample, epoch), p);
        } else {
            values = bytes_of(data[source * pixels + p]);
        }
        values = values * shape.scale + shape.shift;
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
