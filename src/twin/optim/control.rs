//! Twin of `shaders/optim/control.wgsl`.

use super::join;
use crate::twin::shared::{
    AVERAGED, COUPLED, ClipSet, ControlSettings, MAXIMIZE, NO_GROUP, Partial, RISING, Record, StatsBlock, TableRow,
    TensorEntry, WEIGHTED, one_minus_exp, split_control_mut, split_table, step_weight,
};

/// Decides what this step does and writes a record for each of its tensors.
/// `order` is that of a norm of kind 4.
pub fn control(
    control: &mut [u32],
    table: &[u32],
    tensors: &[TensorEntry],
    settings: &ControlSettings,
    slot: u32,
    sets: &[ClipSet],
    order: f32,
) {
    let (stats, partials, records) = split_control_mut(control);
    let (header, rows) = split_table(table);

    let partials = &partials[..settings.partials as usize];
    let nothing = Partial { sum: 0.0, bad_group: NO_GROUP };
    let total = partials.iter().fold(nothing, |a, b| Partial {
        sum: join(settings.norm, a.sum, b.sum),
        bad_group: a.bad_group.min(b.bad_group),
    });
    let loss_scale = if settings.growth_interval == 0 { 1.0 } else { stats.loss_scale };
    let norm_of = |sum: f32| match settings.norm {
        2 => sum.sqrt() / loss_scale,
        4 => sum.powf(1.0 / order) / loss_scale,
        5 => sum,
        _ => sum / loss_scale,
    };
    let norm = norm_of(total.sum);
    let bad_norm = settings.error_if_nonfinite != 0 && settings.norm != 0 && !norm.is_finite();
    let bad_gradient = settings.guard != 0 && total.bad_group != NO_GROUP;
    let skip = u32::from(bad_norm || bad_gradient);
    let max_norm = match settings.tensors {
        0 => settings.max_norm,
        _ => rows[header.row_at(0, slot)].max_norm,
    };
    let clip = if settings.by_set == 0 { clip_coefficient(settings.norm, max_norm, norm) } else { 1.0 };

    stats.applied += 1 - skip;
    stats.skipped += skip;
    stats.skip = skip;
    stats.skips_in_a_row = if skip == 0 { 0 } else { stats.skips_in_a_row + 1 };
    if total.bad_group != NO_GROUP {
        stats.bad_group = total.bad_group;
    }
    stats.step = match settings.alone {
        0 => header.first_step.wrapping_add(slot),
        _ => stats.applied + stats.skipped - 1,
    };
    if bad_norm {
        stats.nonfinite_norms += 1;
        stats.bad_norm_step = stats.step;
        stats.bad_norm = norm;
    }
    stats.norm = norm;
    stats.clip = clip;
    stats.value_bound = settings.value_bound * loss_scale;
    if settings.growth_interval != 0 {
        rescale(stats, settings);
    }
    if skip != 0 {
        return;
    }
    for tensor in &tensors[..settings.tensors as usize] {
        let record = &mut records[tensor.record as usize];
        let row = &rows[header.row_at(tensor.group, slot)];
        let clip = match settings.by_set {
            0 => clip,
            _ => {
                let own = sets[tensor.group as usize].partials();
                let sum = own.fold(0.0, |sum, place| join(settings.norm, sum, partials[place].sum));
                clip_coefficient(settings.norm, row.max_norm, norm_of(sum))
            }
        };
        *record = Record { grad: tensor.grad, ..record_of(record, row, clip / loss_scale) };
    }
}

/// What the gradients of the next step are scaled by.
fn rescale(stats: &mut StatsBlock, settings: &ControlSettings) {
    if stats.skip != 0 {
        stats.loss_scale *= settings.backoff_factor;
        stats.growth_tracker = 0;
        return;
    }
    stats.growth_tracker += 1;
    if stats.growth_tracker == settings.growth_interval {
        stats.growth_tracker = 0;
        let grown = stats.loss_scale * settings.growth_factor;
        stats.loss_scale = if grown.is_finite() { grown } else { stats.loss_scale };
    }
}

fn clip_coefficient(kind: u32, max_norm: f32, norm: f32) -> f32 {
    if kind == 0 || max_norm == 0.0 {
        return 1.0;
    }
    if norm.is_nan() {
        return norm;
    }
    if norm.is_infinite() {
        return 0.0;
    }
    (max_norm / (norm + 1e-6)).min(1.0)
}

fn record_of(old: &Record, row: &TableRow, factor: f32) -> Record {
    let count = old.count + 1;
    let coupled = row.flags & COUPLED != 0;
    let has_average = row.flags & AVERAGED != 0;
    let record = Record {
        count,
        flags: row.flags,
        scale: if row.flags & MAXIMIZE != 0 { -factor } else { factor },
        decay: if coupled { 1.0 } else { row.decay },
        coupled_decay: if coupled { row.decay } else { 0.0 },
        one_minus_beta1: row.one_minus_beta1,
        beta2: row.beta2,
        one_minus_beta2: row.one_minus_beta2,
        step_size: row.lr / one_minus_exp(count as f32 * row.log_beta1),
        root_scale: 1.0 / one_minus_exp(count as f32 * row.log_beta2).sqrt(),
        eps: row.eps,
        momentum: row.momentum,
        one_minus_dampening: row.one_minus_dampening,
        buffered: old.buffered + u32::from(row.momentum != 0.0),
        averaged: old.averaged + u32::from(has_average),
        average_rate: match has_average {
            true if old.averaged == 0 => 1.0,
            true => row.average_rate,
            false => 0.0,
        },
        lr: row.lr,
        own0: row.own0,
        own1: row.own1,
        carried: if row.flags & RISING == 0 { 0.0 } else { product(old, row, count) },
        ..Record::default()
    };
    if row.flags & WEIGHTED == 0 {
        return record;
    }
    let record = Record { peak: old.peak.max(row.lr), ..record };
    Record { carried: old.carried + step_weight(&record), ..record }
}

/// The product of the momenta up to this count.
fn product(old: &Record, row: &TableRow, count: u32) -> f32 {
    let momentum = (1.0 - row.one_minus_beta1) * (1.0 - 0.5 * (count as f32 * row.own0).exp());
    if count == 1 { momentum } else { old.carried * momentum }
}
