// AdamP.
//
//   m <- m + (1 - beta1)(g - m)
//   v <- beta2 v + (1 - beta2) g²
//   u = m / (sqrt(v) / sqrt(1 - beta2^t) + eps)         with nesterov m + (1 - beta1)(g - m) in m's place
//   u <- u - n (n . u), n = p / (|p| + eps)             row by row where |cos(g, p)| < delta / sqrt(columns) in every row,
//                                                       else for the whole tensor where that holds of it
//   p <- p (1 - lr weight_decay r) - lr / (1 - beta1^t) u    r = wd_ratio where u has lost a part, else 1
//
// A row is what one entry of the first dimension has. A vector's u stays as it is. Heo et al. 2021 (arXiv 2006.08217), with
// the order of operations of timm.optim.AdamP. The rule's own numbers are delta and wd_ratio; lr weight_decay stands in a
// momentum's place. The share of a row is how much of its parameters u loses.
const M: u32 = 0u;
const V: u32 = 1u;
const SHARE: u32 = 2u;

fn prepared(record: Record) -> Record {
    var next = record;
    var decay = record.momentum;
    if (record.sum_a > 0.0) {
        decay = decay * record.own1;
    }
    next.own1 = 1.0 - decay;
    return next;
}

fn with_moments(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    next.kept[M] = old.kept[M] + record.one_minus_beta1 * (g - old.kept[M]);
    next.kept[V] = record.beta2 * old.kept[V] + (record.one_minus_beta2 * g) * g;
    return next;
}

fn direction(record: Record, g: vec4<f32>, next: Quad) -> vec4<f32> {
    var m = next.kept[M];
    if ((record.flags & NESTEROV) != 0u) {
        m = m + record.one_minus_beta1 * (g - m);
    }
    return m / (sqrt(next.kept[V]) * record.root_scale + record.eps);
}

// |p|², |g|², p . g and p . u.
fn row_terms(record: Record, g: vec4<f32>, old: Quad) -> RowTerms {
    let u = direction(record, g, with_moments(record, g, old));
    return RowTerms(old.p * old.p, g * g, old.p * g, old.p * u);
}

// Whether gradient and parameters are nearly at a right angle, by the sums of so many elements.
fn is_across(record: Record, sums: vec4<f32>, elements: f32) -> bool {
    let lengths = max(sqrt(sums.xy), vec2<f32>(record.eps));
    return abs(sums.z) / lengths.x / lengths.y < record.own0 / sqrt(elements);
}

fn share(record: Record, sums: vec4<f32>) -> f32 {
    let length = sqrt(sums.x) + record.eps;
    return sums.w / length / length;
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = with_moments(record, g, old);
    let u = direction(record, g, next) - old.kept[SHARE] * old.p;
    next.p = record.own1 * old.p - record.step_size * u;
    return next;
}
