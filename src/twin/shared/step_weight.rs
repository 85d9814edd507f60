//! Twin of `shaders/shared/step_weight.wgsl`.

use super::{Record, lerp};

/// The weight of a step in Schedule-Free's average.
pub fn step_weight(record: &Record) -> f32 {
    (record.count as f32).powf(record.own0) * record.peak.powf(record.own1)
}

/// The share that this step has in the average.
pub fn step_share(record: &Record) -> f32 {
    if record.carried > 0.0 { step_weight(record) / record.carried } else { 0.0 }
}

/// The sequence that steps, the average of it and the parameter between them, after a step along d, by a record whose own0 is
/// the step's share.
#[inline(always)]
pub fn moved(record: &Record, d: f32, [z, x, p]: [f32; 3]) -> [f32; 3] {
    let [z, x] = if record.count == 1 { [p; 2] } else { [z, x] };
    let z = z - record.lr * d;
    let x = lerp(x, z, record.own0);
    [z, x, x + record.one_minus_beta1 * (z - x)]
}
