// NAdamW: AdamW whose step takes the first moment blended with the gradient once more.
//
//   m <- m + (1 - beta1)(g - m)
//   v <- beta2 v + (1 - beta2) g²
//   p <- p - lr / (1 - beta1^t) · (m + (1 - beta1)(g - m)) / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//
// With the order of operations of timm.optim.NAdamW.
const M: u32 = 0u;
const V: u32 = 1u;

fn prepared(record: Record) -> Record {
    return record;
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    let m = old.kept[M] + record.one_minus_beta1 * (g - old.kept[M]);
    let v = record.beta2 * old.kept[V] + (record.one_minus_beta2 * g) * g;
    let ahead = m + record.one_minus_beta1 * (g - m);
    next.kept[M] = m;
    next.kept[V] = v;
    next.p = old.p - record.step_size * (ahead / (sqrt(v) * record.root_scale + record.eps));
    return next;
}
