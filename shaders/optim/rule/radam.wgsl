// RAdam.
//
//   m <- m + (1 - beta1)(g - m)
//   v <- beta2 v + (1 - beta2) g²
//   rho_inf = 2 / (1 - beta2) - 1                       rho_t = rho_inf - 2 t beta2^t / (1 - beta2^t)
//   r = sqrt((rho_t - 4)(rho_t - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho_t))
//   p <- p - lr / (1 - beta1^t) · m · r sqrt(1 - beta2^t) / (sqrt(v) + eps)      where rho_t > 5
//   p <- p - lr / (1 - beta1^t) · m                                              else
//
// Liu et al. 2020 (arXiv 1908.03265), with the order of operations of torch.optim.RAdam. The first of the rule's own
// numbers is ln beta2.
//
// Numerics: rho_t is a small difference of large numbers while t is small. With x = -ln beta2 it is
// t + c(x) - t c(t x), where c(y) = coth(y / 2) - 2 / y has a short series.
const M: u32 = 0u;
const V: u32 = 1u;

// coth(y / 2) - 2 / y for y < 1.
fn cotangent_rest(y: f32) -> f32 {
    let square = y * y;
    return y / 6.0 * (1.0 - square / 60.0 * (1.0 - square / 42.0 * (1.0 - square / 40.0)));
}

fn prepared(record: Record) -> Record {
    var next = record;
    let t = f32(record.count);
    let x = -record.own0;
    let limit = (2.0 - record.one_minus_beta2) / record.one_minus_beta2;
    var rho = 0.0;
    if (t * x < 1.0) {
        rho = t + cotangent_rest(x) - t * cotangent_rest(t * x);
    } else {
        let rest = one_minus_exp(-t * x);
        rho = limit - 2.0 * t * (1.0 - rest) / rest;
    }
    next.own1 = 0.0;
    if (rho > 5.0) {
        let r = sqrt((rho - 4.0) / (limit - 4.0) * ((rho - 2.0) / (limit - 2.0)) * (limit / rho));
        next.step_size = record.step_size * r / record.root_scale;
        next.own1 = 1.0;
    }
    return next;
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    next.kept[M] = old.kept[M] + record.one_minus_beta1 * (g - old.kept[M]);
    next.kept[V] = record.beta2 * old.kept[V] + (record.one_minus_beta2 * g) * g;
    var direction = next.kept[M];
    if (record.own1 != 0.0) {
        direction = next.kept[M] / (sqrt(next.kept[V]) + record.eps);
    }
    next.p = old.p - record.step_size * direction;
    return next;
}
