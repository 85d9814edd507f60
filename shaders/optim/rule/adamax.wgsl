// Adamax.
//
//   m <- m + (1 - beta1)(g - m)
//   u <- max(beta2 u, |g| + eps)
//   p <- p - lr / (1 - beta1^t) · m / u
//
// Kingma & Ba 2015 (arXiv 1412.6980), with the order of operations of torch.optim.Adamax.
const M: u32 = 0u;
const U: u32 = 1u;

fn prepared(record: Record) -> Record {
    return record;
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    next.kept[M] = old.kept[M] + record.one_minus_beta1 * (g - old.kept[M]);
    next.kept[U] = larger_each(record.beta2 * old.kept[U], abs(g) + record.eps);
    next.p = old.p - record.step_size * (next.kept[M] / next.kept[U]);
    return next;
}
