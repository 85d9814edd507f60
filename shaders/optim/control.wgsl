// Control, second stage: one workgroup decides what this step does, and writes one record a tensor for the update.
//
//   norm  = (sum of partials)^(1/order) / loss_scale    1, 2, infinity or ORDER; of order 0 the sum
//   clip  = min(1, max_norm / (norm + 1e-6))            max_norm from this step's first row;
//                                                       torch.nn.utils.clip_grad_norm_: NaN norm -> NaN, inf norm -> 0
//                                                       BY_SET: each group's own, of the partials of its set
//   skip  = guard and a non-finite gradient, or a non-finite norm where that is an error
//   scale = clip / loss_scale                           what the update multiplies gradients by
//   count = count + 1 unless skipped                    one a tensor: a late thaw starts at 0
//   step_size  = lr / (1 - beta1^count)                 root_scale = 1 / sqrt(1 - beta2^count)
//   buffered   = buffered + 1 where there is momentum   SGD's first gradient fills the buffer
//   averaged   = averaged + 1 where there is an average its first step fills it: a rate of 1
//   carried    = carried · beta1 (1 - e^(count own0) / 2)   where the momentum rises (NAdam)
//   carried    = carried + count^own0 peak^own1         where steps have weights (Schedule-Free), with
//   peak       = max(peak, lr)
//
// The loss scale, where there is one, as torch.amp.GradScaler (with `guard`): backoff_factor times itself after a step that was
// skipped, growth_factor times itself after growth_interval steps in a row that were not.
//
// 1 - beta^count is formed as 1 - e^(count ln beta), good to 1e-6 for counts from 1 to 1e6.
//
//   0 control                         partials are read; stats and records are written
//   1 table    [groups, steps]        this step's rows
//   2 tensors  [tensors]              TensorEntry of each tensor in the work list
//   3 settings                        what the optimizer was set up with
//   4 clock                           which slot of the table
//   5 sets     [groups]               whose partials each group's clip follows from, if by_set
#import control
#import table
#import chunk
#import float
#import clock
#import step_weight

// The partial sums of the gradients that a group's own are clipped together with, and those of squares.
struct ClipSet {               // 16 bytes
    first: u32,
    count: u32,
    squares_first: u32,
    squares_count: u32,
}

struct ControlSettings {              // 64 bytes
    partials: u32,             // 0: there was no norm stage
    tensors: u32,
    norm: u32,                 // 0 none, 1, 2, 3 for infinity, 4 for ORDER, 5 for 0
    guard: u32,
    max_norm: f32,             // where there are no tensors, and so no row
    value_bound: f32,
    error_if_nonfinite: u32,
    alone: u32,                // 1: clipping alone, without a table; steps are counted here
    growth_factor: f32,
    backoff_factor: f32,
    growth_interval: u32,      // 0: there is no loss scale
    by_set: u32,               // 1: groups are clipped in sets, each by its own norm
    zero: u32,                 // 0, see float.wgsl
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

override WORKGROUP: u32 = 256u;
override ORDER: f32 = 2.0;

@group(0) @binding(0) var<storage, read_write> control: Control;
@group(0) @binding(1) var<storage, read> table: Table;
@group(0) @binding(2) var<storage, read> tensors: array<TensorEntry>;
@group(0) @binding(3) var<uniform> settings: ControlSettings;
@group(0) @binding(4) var<uniform> clock: Clock;
@group(0) @binding(5) var<storage, read> sets: array<ClipSet>;

var<workgroup> sums: array<f32, WORKGROUP>;
var<workgroup> bads: array<u32, WORKGROUP>;
var<workgroup> skip: u32;
var<workgroup> factor: f32;             // of the gradients
var<workgroup> scale: f32;              // the loss scale that they have

fn max_norm() -> f32 {
    if (settings.tensors == 0u) {
        return settings.max_norm;
    }
    return table.rows[row_at(table.steps, 0u, clock.slot)].max_norm;
}

// A norm that is 0 is none.
fn clip_coefficient(bits: u32, norm: f32, most: f32) -> f32 {
    if (settings.norm == 0u || most == 0.0) {
        return 1.0;
    }
    if (is_nan(bits)) {
        return bitcast<f32>(bits);
    }
    if (is_nonfinite(bits)) {
        return 0.0;
    }
    return min(1.0, most / (norm + 1e-6));
}

fn loss_scale() -> f32 {
    return select(1.0, control.stats.loss_scale, settings.growth_interval != 0u);
}

const LARGEST: f32 = 3.4028235e38;

// What the gradients of the next step are scaled by.
fn rescale() {
    let scale = control.stats.loss_scale;
    if (skip != 0u) {
        control.stats.loss_scale = scale * settings.backoff_factor;
        control.stats.growth_tracker = 0u;
        return;
    }
    control.stats.growth_tracker += 1u;
    if (control.stats.growth_tracker == settings.growth_interval) {
        control.stats.growth_tracker = 0u;
        if (scale <= LARGEST / settings.growth_factor) {
            control.stats.loss_scale = scale * settings.growth_factor;
        }
    }
}

fn norm_of(bits: u32) -> f32 {
    var norm = bitcast<f32>(bits);
    if (settings.norm == 2u && !is_nonfinite(bits)) {
        norm = sqrt(norm);
    }
    if (settings.norm == 4u && !is_nonfinite(bits)) {
        norm = root(norm, ORDER);
    }
    // A number of tensors has no scale.
    return select(norm / scale, norm, settings.norm == 5u);
}

// What the gradients of a group are multiplied by, in the order of its set's partial sums.
fn factor_of(group: u32, most: f32) -> f32 {
    if (settings.by_set == 0u) {
        return factor;
    }
    let own = sets[group];
    var sum = 0.0;
    for (var i = own.first; i < own.first + own.count; i++) {
        sum = join(settings.norm, sum, control.partials[i].sum);
    }
    for (var i = own.squares_first; i < own.squares_first + own.squares_count; i++) {
        sum = join(settings.norm, sum, control.partials[i].sum);
    }
    let bits = opaque(vec4<f32>(sum), settings.zero).x;
    return clip_coefficient(bits, norm_of(bits), most) / scale;
}

// By the bits of the sum, which lie in workgroup memory: a norm is finite where its sum is.
fn decide(bits: u32, bad_group: u32) {
    scale = loss_scale();
    let norm = norm_of(bits);
    let bad_norm = settings.error_if_nonfinite != 0u && settings.norm != 0u && is_nonfinite(bits);
    let bad_gradient = settings.guard != 0u && bad_group != NO_GROUP;
    skip = u32(bad_norm || bad_gradient);
    var clip = 1.0;
    if (settings.by_set == 0u) {
        clip = clip_coefficient(bits, norm, max_norm());
    }
    factor = clip / scale;

    control.stats.applied += 1u - skip;
    control.stats.skipped += skip;
    control.stats.skip = skip;
    control.stats.skips_in_a_row = select(0u, control.stats.skips_in_a_row + 1u, skip != 0u);
    if (bad_group != NO_GROUP) {
        control.stats.bad_group = bad_group;
    }
    control.stats.step = table.first_step + clock.slot;
    if (settings.alone != 0u) {
        control.stats.step = control.stats.applied + control.stats.skipped - 1u;
    }
    if (bad_norm) {
        control.stats.nonfinite_norms += 1u;
        control.stats.bad_norm_step = control.stats.step;
        control.stats.bad_norm = norm;
    }
    control.stats.norm = norm;
    control.stats.clip = clip;
    control.stats.value_bound = settings.value_bound * loss_scale();
    if (settings.growth_interval != 0u) {
        rescale();
    }
}

fn record_of(old: Record, row: TableRow, factor: f32) -> Record {
    let count = old.count + 1u;
    var record = Record();
    record.count = count;
    record.flags = row.flags;
    record.scale = select(factor, -factor, (row.flags & MAXIMIZE) != 0u);
    let coupled = (row.flags & COUPLED) != 0u;
    record.decay = select(row.decay, 1.0, coupled);
    record.coupled_decay = select(0.0, row.decay, coupled);
    record.one_minus_beta1 = row.one_minus_beta1;
    record.beta2 = row.beta2;
    record.one_minus_beta2 = row.one_minus_beta2;
    record.step_size = row.lr / one_minus_exp(f32(count) * row.log_beta1);
    record.root_scale = 1.0 / sqrt(one_minus_exp(f32(count) * row.log_beta2));
    record.eps = row.eps;
    record.momentum = row.momentum;
    record.one_minus_dampening = row.one_minus_dampening;
    record.buffered = old.buffered + u32(row.momentum != 0.0);
    record.lr = row.lr;
    record.own0 = row.own0;
    record.own1 = row.own1;
    if ((row.flags & RISING) != 0u) {
        let momentum = (1.0 - row.one_minus_beta1) * (1.0 - 0.5 * exp(f32(count) * row.own0));
        record.carried = select(old.carried, 1.0, count == 1u) * momentum;
    }
    if ((row.flags & WEIGHTED) != 0u) {
        record.peak = max(old.peak, row.lr);
        record.carried = old.carried + step_weight(record);
    }
    record.averaged = old.averaged;
    if ((row.flags & AVERAGED) != 0u) {
        record.averaged += 1u;
        record.average_rate = select(row.average_rate, 1.0, record.averaged == 1u);
    }
    return record;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    var bad = NO_GROUP;
    for (var i = lane; i < settings.partials; i += WORKGROUP) {
        sum = join(settings.norm, sum, control.partials[i].sum);
        bad = min(bad, control.partials[i].bad_group);
    }
    sums[lane] = sum;
    bads[lane] = bad;
    workgroupBarrier();
    for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
        if (lane < width) {
            sums[lane] = join(settings.norm, sums[lane], sums[lane + width]);
            bads[lane] = min(bads[lane], bads[lane + width]);
        }
        workgroupBarrier();
    }
    if (lane == 0u) {
        decide(bitcast<u32>(sums[0]), bads[0]);
    }
    workgroupBarrier();
    if (skip != 0u) {
        return;
    }
    for (var i = lane; i < settings.tensors; i += WORKGROUP) {
        let tensor = tensors[i];
        let row = table.rows[row_at(table.steps, tensor.group, clock.slot)];
        var record = record_of(control.records[tensor.record], row, factor_of(tensor.group, row.max_norm));
        record.grad = tensor.grad;
        control.records[tensor.record] = record;
    }
}
