// AdamW, and Adam where decay is coupled.
//
//   m <- m + (1 - beta1)(g - m)
//   v <- beta2 v + (1 - beta2) g²                       with amsgrad v_max <- max(v_max, v), below in place of v
//   p <- p - lr / (1 - beta1^t) · m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//
// Loshchilov & Hutter 2019 (arXiv 1711.05101), Kingma & Ba 2015, Reddi et al. 2018, with the order of operations of
// torch.optim.AdamW. t counts the steps applied to the tensor.
const M: u32 = 0u;
const V: u32 = 1u;

fn prepared(record: Record) -> Record {
    return record;
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    next.kept[M] = old.kept[M] + record.one_minus_beta1 * (g - old.kept[M]);
    next.kept[V] = record.beta2 * old.kept[V] + (record.one_minus_beta2 * g) * g;   // g² alone may overflow where this does not
    var root = next.kept[V];
#ifdef AMSGRAD
    if ((record.flags & AMSGRAD) != 0u) {
        root = larger_each(old.kept[2], root);    // neither is below 0
        next.kept[2] = root;
    }
#endif
    next.p = old.p - record.step_size * (next.kept[M] / (sqrt(root) * record.root_scale + record.eps));
    return next;
}
