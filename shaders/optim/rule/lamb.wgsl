// LAMB.
//
//   m <- m + (1 - beta1)(g - m)
//   v <- beta2 v + (1 - beta2) g²
//   u = m / (1 - beta1^t) / (sqrt(v) / sqrt(1 - beta2^t) + eps) + weight_decay p
//   p <- p - lr |p| / |u| · u                           norms of the whole tensor; 1 where one of them is 0
//
// With trust_clip the ratio is 1 at most. Where nothing decays it is 1, but with always_adapt. With
// decoupled_weight_decay p decays before, and u has none of it. You et al. 2020 (arXiv 1904.00962), with the order of
// operations of timm.optim.Lamb. The rule's own numbers are the decay in u and ln beta1.
const M: u32 = 0u;
const V: u32 = 1u;

fn prepared(record: Record) -> Record {
    var next = record;
    next.own1 = 1.0 / one_minus_exp(f32(record.count) * record.own1);
    var ratio = 1.0;
    if ((record.flags & ADAPTED) != 0u && record.sum_a > 0.0 && record.sum_b > 0.0) {
        ratio = sqrt(record.sum_a) / sqrt(record.sum_b);
    }
    if ((record.flags & TRUST_CLIPPED) != 0u) {
        ratio = min(ratio, 1.0);
    }
    next.step_size = record.lr * ratio;
    return next;
}

fn with_moments(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    next.kept[M] = old.kept[M] + record.one_minus_beta1 * (g - old.kept[M]);
    next.kept[V] = record.beta2 * old.kept[V] + (record.one_minus_beta2 * g) * g;
    return next;
}

fn direction(record: Record, next: Quad) -> vec4<f32> {
    return next.kept[M] * record.own1 / (sqrt(next.kept[V]) * record.root_scale + record.eps) + record.own0 * next.p;
}

fn terms(record: Record, g: vec4<f32>, old: Quad) -> Terms {
    let u = direction(record, with_moments(record, g, old));
    return Terms(old.p * old.p, u * u);
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = with_moments(record, g, old);
    next.p = old.p - record.step_size * direction(record, next);
    return next;
}
