// Adagrad.
//
//   s <- s + g²                                         before the first step s is initial_accumulator_value
//   p <- p - lr / (1 + (t - 1) lr_decay) · g / (sqrt(s) + eps)
//
// Duchi et al. 2011, with the order of operations of torch.optim.Adagrad. The rule's own numbers are lr_decay and the
// initial value.
const S: u32 = 0u;

fn prepared(record: Record) -> Record {
    var next = record;
    next.step_size = record.lr / (1.0 + f32(record.count - 1u) * record.own0);
    return next;
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    var s = old.kept[S];
    if (record.count == 1u) {
        s = vec4<f32>(record.own1);
    }
    next.kept[S] = s + g * g;
    next.p = old.p - record.step_size * (g / (sqrt(next.kept[S]) + record.eps));
    return next;
}
