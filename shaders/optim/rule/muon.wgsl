// Muon, of matrices alone.
//
//   b <- b + (1 - momentum)(g - b)
//   x = b                                               with nesterov, which is on at first, g + momentum (b - g)
//   x <- x / max(|x|, eps)                              norm of the whole matrix
//   x <- (3.4445 - 4.7750 s + 2.0315 s²) x              five times; s = x xᵀ, of the transpose if rows are the more
//   p <- p - lr c x                                     c = sqrt(max(1, rows / columns))
//
// With match_rms_adamw c is 0.2 sqrt(max(rows, columns)). Jordan et al. 2024, with the order of operations of
// torch.optim.Muon. The first slot of what the update sees is x, of what comes before it b. The share c is in x.
const B: u32 = 0u;
const X: u32 = 0u;

fn prepared(record: Record) -> Record {
    var next = record;
    next.own0 = 1.0 / max(sqrt(record.sum_a), record.eps);
    return next;
}

fn buffer(record: Record, g: vec4<f32>, old: Quad) -> vec4<f32> {
    return old.kept[B] + (1.0 - record.momentum) * (g - old.kept[B]);
}

fn direction(record: Record, g: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    if ((record.flags & NESTEROV) != 0u) {
        return g + record.momentum * (b - g);
    }
    return b;
}

fn terms(record: Record, g: vec4<f32>, old: Quad) -> Terms {
    let x = direction(record, g, buffer(record, g, old));
    return Terms(x * x, vec4<f32>());
}

fn directed(record: Record, g: vec4<f32>, old: Quad) -> Directed {
    let b = buffer(record, g, old);
    return Directed(b, record.own0 * direction(record, g, b));
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    next.p = old.p - record.lr * old.kept[X];
    return next;
}
