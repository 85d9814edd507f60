// Adan.
//
//   d = g - the step before's g                         0 at the first step
//   m <- m + (1 - beta1)(g - m)
//   u <- beta2 u + (1 - beta2) d
//   n <- beta3 n + (1 - beta3)(g + beta2 d)²
//   e = sqrt(n) / sqrt(1 - beta3^t) + eps
//   p <- p - lr / (1 - beta1^t) · m / e - lr beta2 / (1 - beta2^t) · u / e
//   p <- p / (1 + lr wd)                                with no_prox p is decayed before, by 1 - lr wd
//
// Xie et al. 2022 (arXiv 2208.06677), with the order of operations of timm.optim.Adan. beta3 stands in beta2's place and
// beta2 in that of a momentum. The rule's own numbers are the factor of the decay and ln beta2.
const M: u32 = 0u;
const N: u32 = 1u;
const U: u32 = 2u;
const BEFORE: u32 = 3u;                // -g of the step before

fn prepared(record: Record) -> Record {
    var next = record;
    next.own1 = record.lr * record.momentum / one_minus_exp(f32(record.count) * record.own1);
    return next;
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    var d = vec4<f32>();
    if (record.count > 1u) {
        d = g + old.kept[BEFORE];
    }
    let both = g + record.momentum * d;
    next.kept[M] = old.kept[M] + record.one_minus_beta1 * (g - old.kept[M]);
    next.kept[N] = record.beta2 * old.kept[N] + (record.one_minus_beta2 * both) * both;
    next.kept[U] = record.momentum * old.kept[U] + record.one_minus_dampening * d;
    next.kept[BEFORE] = -g;
    let e = sqrt(next.kept[N]) * record.root_scale + record.eps;
    next.p = old.p - record.step_size * (next.kept[M] / e);
    next.p = next.p - record.own1 * (next.kept[U] / e);
    next.p = next.p * record.own0;
    return next;
}
