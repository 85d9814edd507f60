// Schedule-Free SGD: gradients are taken at p, between a sequence z that steps and the average x of it.
//
//   z <- z - lr g                                       before the first step z and x are p
//   c = w_t / (w_1 + ... + w_t)                         w_t = t^r (largest lr so far)^weight_lr_power
//   x <- x + c (z - x)                                  what is evaluated
//   p <- x + (1 - momentum)(z - x)
//
// Defazio et al. 2024 (arXiv 2405.15682), as the package schedulefree has it. The rule's own numbers are r and
// weight_lr_power; momentum stands in beta1's place.
#import step_weight
const Z: u32 = 0u;
const X: u32 = 1u;

fn prepared(record: Record) -> Record {
    var next = record;
    next.own0 = step_share(record);
    return next;
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    let step = moved(record, g, Sequences(old.kept[Z], old.kept[X], old.p));
    next.kept[Z] = step.z;
    next.kept[X] = step.x;
    next.p = step.p;
    return next;
}
