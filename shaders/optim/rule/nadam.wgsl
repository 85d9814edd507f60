// NAdam.
//
//   mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)
//   m <- m + (1 - beta1)(g - m)
//   v <- beta2 v + (1 - beta2) g²
//   d = sqrt(v / (1 - beta2^t)) + eps
//   p <- p - lr (1 - mu_t) / (1 - mu_1 ... mu_t) · g / d - lr mu_t+1 / (1 - mu_1 ... mu_t+1) · m / d
//
// Dozat 2016, with the order of operations of torch.optim.NAdam. The product of the momenta is in the record; the first
// of the rule's own numbers is momentum_decay ln 0.96.
const M: u32 = 0u;
const V: u32 = 1u;

fn prepared(record: Record) -> Record {
    var next = record;
    let beta1 = 1.0 - record.one_minus_beta1;
    let now = beta1 * (1.0 - 0.5 * exp(f32(record.count) * record.own0));
    let coming = beta1 * (1.0 - 0.5 * exp(f32(record.count + 1u) * record.own0));
    next.own0 = record.lr * (1.0 - now) / (1.0 - record.carried);
    next.own1 = record.lr * coming / (1.0 - record.carried * coming);
    return next;
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    next.kept[M] = old.kept[M] + record.one_minus_beta1 * (g - old.kept[M]);
    next.kept[V] = record.beta2 * old.kept[V] + (record.one_minus_beta2 * g) * g;
    let d = sqrt(next.kept[V]) * record.root_scale + record.eps;
    next.p = old.p - record.own0 * (g / d);
    next.p = next.p - record.own1 * (next.kept[M] / d);
    return next;
}
