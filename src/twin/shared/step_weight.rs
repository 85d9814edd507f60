//! Twin of `shaders/shared/step_weight.wgsl`.

use super::Record;

/// The weight of a step in Schedule-Free's average.
pub fn step_weight(record: &Record) -> f32 {
    (record.count as f32).powf(record.own0) * record.peak.powf(record.own1)
}

/// The share that this step has in the average.
pub fn step_share(record: &Record) -> f32 {
    if record.carried > 0.0 { step_weight(record) / record.carried } else { 0.0 }
}
