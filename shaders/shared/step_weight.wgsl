// The weight of a step in Schedule-Free's average: count^own0 peak^own1.
#import power

fn step_weight(record: Record) -> f32 {
    return power(f32(record.count), record.own0) * power(record.peak, record.own1);
}

// The share that this step has in the average.
fn step_share(record: Record) -> f32 {
    if (record.carried > 0.0) {
        return step_weight(record) / record.carried;
    }
    return 0.0;
}

// The sequence that steps, the average of it, and the parameters between them.
struct Sequences {
    z: vec4<f32>,
    x: vec4<f32>,
    p: vec4<f32>,
}

// A step along d, by a record whose own0 is the step's share. Before the first one z and x are p.
fn moved(record: Record, d: vec4<f32>, old: Sequences) -> Sequences {
    var next = old;
    if (record.count == 1u) {
        next.z = old.p;
        next.x = old.p;
    }
    next.z = next.z - record.lr * d;
    next.x = lerp(next.x, next.z, record.own0);
    next.p = next.x + record.one_minus_beta1 * (next.z - next.x);
    return next;
}
