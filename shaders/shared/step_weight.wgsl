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
