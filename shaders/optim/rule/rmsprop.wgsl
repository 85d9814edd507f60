// RMSprop.
//
//   v <- alpha v + (1 - alpha) g²
//   a <- a + (1 - alpha)(g - a)                         with centered v - a² stands in v's place below
//   b <- momentum b + g / (sqrt(v) + eps)
//   p <- p - lr b
//
// With momentum 0 the buffer stays as it is and p <- p - lr g / (sqrt(v) + eps). Tieleman & Hinton 2012, Graves 2013
// (arXiv 1308.0850), with the order of operations of torch.optim.RMSprop. alpha stands in beta2's place.
const V: u32 = 0u;
const B: u32 = 1u;

fn prepared(record: Record) -> Record {
    return record;
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    next.kept[V] = record.beta2 * old.kept[V] + (record.one_minus_beta2 * g) * g;
    var square = next.kept[V];
#ifdef CENTERED
    if ((record.flags & CENTERED) != 0u) {
        let a = old.kept[2] + record.one_minus_beta2 * (g - old.kept[2]);
        next.kept[2] = a;
        square = square - a * a;
    }
#endif
    var direction = g / (sqrt(square) + record.eps);
    if (record.momentum != 0.0) {
        direction = record.momentum * old.kept[B] + direction;
        next.kept[B] = direction;
    }
    next.p = old.p - record.lr * direction;
    return next;
}
