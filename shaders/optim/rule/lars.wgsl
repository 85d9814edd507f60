// LARS.
//
//   r = trust_coeff |p| / (|g| + weight_decay |p| + eps)    norms of the whole tensor; 1 where one of them is 0
//   d = r (g + weight_decay p)
//   b <- d at the buffer's first gradient, later momentum b + (1 - dampening) d
//   p <- p - lr b                                           with nesterov p <- p - lr (d + momentum b)
//
// With trust_clip r is r / lr, and 1 at most. Where nothing decays it is 1, but with always_adapt. With momentum 0 the
// buffer stays as it is and p <- p - lr d. You et al. 2017 (arXiv 1708.03888), with the order of operations of
// timm.optim.Lars. The rule's own numbers are trust_coeff and the decay.
const B: u32 = 0u;

fn prepared(record: Record) -> Record {
    var next = record;
    var ratio = 1.0;
    if ((record.flags & ADAPTED) != 0u) {
        if (record.sum_a > 0.0 && record.sum_b > 0.0) {
            let norm = sqrt(record.sum_a);
            ratio = record.own0 * norm / (sqrt(record.sum_b) + norm * record.own1 + record.eps);
        }
        if ((record.flags & TRUST_CLIPPED) != 0u) {
            ratio = min(ratio / record.lr, 1.0);
        }
    }
    next.own0 = ratio;
    return next;
}

fn is_idle(record: Record) -> bool {
    return record.momentum == 0.0;
}

fn terms(record: Record, g: vec4<f32>, old: Quad) -> Terms {
    return Terms(old.p * old.p, g * g);
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    let d = record.own0 * (g + record.own1 * old.p);
    var along = d;
    if (record.momentum != 0.0) {
        var b = d;
        if (record.buffered > 1u) {
            b = record.momentum * old.kept[B] + record.one_minus_dampening * d;
        }
        next.kept[B] = b;
        along = b;
        if ((record.flags & NESTEROV) != 0u) {
            along = d + record.momentum * b;
        }
    }
    next.p = old.p - record.lr * along;
    return next;
}
