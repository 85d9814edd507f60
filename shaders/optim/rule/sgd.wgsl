// SGD.
//
//   b <- g at the buffer's first gradient, later momentum b + (1 - dampening) g
//   p <- p - lr b                                       with nesterov p <- p - lr (g + momentum b)
//
// With momentum 0 the buffer stays as it is and p <- p - lr g. Polyak 1964, Nesterov 1983, with the order of operations of
// torch.optim.SGD.
const B: u32 = 0u;

fn prepared(record: Record) -> Record {
    return record;
}

fn is_idle(record: Record) -> bool {
    return record.momentum == 0.0;
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    var direction = g;
    if (record.momentum != 0.0) {
        var b = g;
        if (record.buffered > 1u) {
            b = record.momentum * old.kept[B] + record.one_minus_dampening * g;
        }
        next.kept[B] = b;
        direction = b;
        if ((record.flags & NESTEROV) != 0u) {
            direction = g + record.momentum * b;
        }
    }
    next.p = old.p - record.step_size * direction;
    return next;
}
