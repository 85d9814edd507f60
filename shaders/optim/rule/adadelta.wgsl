// Adadelta.
//
//   v <- rho v + (1 - rho) g²
//   d = sqrt(u + eps) / sqrt(v + eps) · g
//   u <- rho u + (1 - rho) d²
//   p <- p - lr d
//
// Zeiler 2012 (arXiv 1212.5701), with the order of operations of torch.optim.Adadelta. rho stands in beta2's place.
const V: u32 = 0u;
const U: u32 = 1u;

fn prepared(record: Record) -> Record {
    return record;
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    next.kept[V] = record.beta2 * old.kept[V] + (record.one_minus_beta2 * g) * g;
    let d = sqrt(old.kept[U] + record.eps) / sqrt(next.kept[V] + record.eps) * g;
    next.kept[U] = record.beta2 * old.kept[U] + (record.one_minus_beta2 * d) * d;
    next.p = old.p - record.lr * d;
    return next;
}
