// Schedule-Free AdamW: gradients are taken at p, between a sequence z that steps and the average x of it.
//
//   v <- beta2 v + (1 - beta2) g²
//   d = g / (sqrt(v) / sqrt(1 - beta2^t) + eps) + weight_decay p
//   z <- z - lr d                                       before the first step z and x are p
//   c = w_t / (w_1 + ... + w_t)                         w_t = t^r (largest lr so far)^weight_lr_power
//   x <- x + c (z - x)                                  what is evaluated
//   p <- x + (1 - beta1)(z - x)
//
// Defazio et al. 2024 (arXiv 2405.15682), as the package schedulefree has it. The rule's own numbers are r and
// weight_lr_power; the decay stands in a momentum's place.
#import step_weight
const Z: u32 = 0u;
const V: u32 = 1u;
const X: u32 = 2u;

fn prepared(record: Record) -> Record {
    var next = record;
    next.own0 = step_share(record);
    return next;
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    next.kept[V] = record.beta2 * old.kept[V] + (record.one_minus_beta2 * g) * g;
    let d = g / (sqrt(next.kept[V]) * record.root_scale + record.eps) + record.momentum * old.p;
    let step = moved(record, d, Sequences(old.kept[Z], old.kept[X], old.p));
    next.kept[Z] = step.z;
    next.kept[X] = step.x;
    next.p = step.p;
    return next;
}
