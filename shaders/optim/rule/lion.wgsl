// Lion.
//
//   p <- p - lr sign(m + (1 - beta1)(g - m))
//   m <- m + (1 - beta2)(g - m)
//
// Chen et al. 2023 (arXiv 2302.06675), with the order of operations of timm.optim.Lion.
const M: u32 = 0u;

fn prepared(record: Record) -> Record {
    return record;
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    let m = old.kept[M];
    next.p = old.p - record.lr * sign(m + record.one_minus_beta1 * (g - m));
    next.kept[M] = m + record.one_minus_beta2 * (g - m);
    return next;
}
