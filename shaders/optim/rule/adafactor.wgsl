// Adafactor.
//
//   w = t^beta2_decay
//   r <- r + w (mean of each row of g² - r)             of each matrix over the last two dimensions
//   c <- c + w (mean of each column of g² - c)
//   v = r c / max(mean of r, eps)                       of a vector v <- v + w (g² - v)
//   u = g / sqrt(max(v, eps²))
//   a = max(eps2, rms(p)) min(lr, 1 / sqrt(t))          rms: root mean square, of the whole tensor, p before its decay
//   p <- p - a / max(1, rms(u) / d) u
//
// Shazeer & Stern 2018 (arXiv 1804.04235), with the order of operations of torch.optim.Adafactor. The rule's own numbers are
// d and beta2_decay; eps2 stands in a momentum's place. The rate w stands in that of the root's scale once it is known. The
// sums over a tensor are those of p² and u², and are means where the update prepares a record.
#import power

const V: u32 = 0u;

fn prepared(record: Record) -> Record {
    var next = record;
    let count = f32(record.count);
    next.root_scale = 1.0 / power(count, -record.own1);
    let reach = max(record.momentum, sqrt(record.sum_a)) * min(record.lr, 1.0 / sqrt(count));
    let length = sqrt(record.sum_b) / record.own0;
    next.step_size = reach / select(1.0, length, length > 1.0);
    return next;
}

// The second moment of a vector's elements.
fn second_moment(record: Record, g: vec4<f32>, v: vec4<f32>) -> vec4<f32> {
    return lerp(v, g * g, record.root_scale);
}

// A NaN stays one, as in torch's clamp.
fn direction(record: Record, g: vec4<f32>, v: vec4<f32>) -> vec4<f32> {
    let least = vec4<f32>(record.eps * record.eps);
    return g / sqrt(select(v, least, v < least));
}

fn stepped(record: Record, g: vec4<f32>, old: Quad) -> Quad {
    var next = old;
    next.p = old.p - record.step_size * direction(record, g, old.kept[V]);
    return next;
}
