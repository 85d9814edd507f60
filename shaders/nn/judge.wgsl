// Compares an evaluation with the best one so far, on the device.
//
//   score = the sum of losses, exact below LARGEST_EXACT_SUM, / rows, or with ACCURACY right answers / rows
//   best = score is less, or with HIGHER greater, than the best so far; or there was none yet
//
// One invocation. The quotient is computed in whole numbers, digit by digit, and rounded once to the nearest f32, ties
// to even: a division of floats may be 2.5 units off, and would not always agree with the host's. Scores are not
// negative, so the order of their bits is their order. NaN is never the best.
//
//   0 metrics
//   1 standing
#import metrics
#import standing
#import float

override ACCURACY: u32 = 0u;
override HIGHER: u32 = 0u;

@group(0) @binding(0) var<storage, read> metrics: Metrics;
@group(0) @binding(1) var<storage, read_write> standing: Standing;

// The digit of whole + part / 2³² with the value 2^place.
fn digit(whole: u32, part: u32, place: i32) -> u32 {
    if (place >= 0) {
        return whole >> u32(place) & 1u;
    }
    if (place >= -32) {
        return part >> u32(place + 32) & 1u;
    }
    return 0u;
}

// Bits of the f32 nearest to (whole + part / 2³²) / rows. The smallest, 2⁻³² of 2³² rows, has its 25 digits, the last
// of which rounds, before place -96.
fn quotient(whole: u32, part: u32, rows: u32) -> u32 {
    var rest = 0u;
    var digits = 0u;
    var top = 0;
    var below = 0u;
    for (var place = 31; place >= -96; place--) {
        let carried = rest >> 31u;
        rest = rest << 1u | digit(whole, part, place);
        var next = 0u;
        if (carried == 1u || rest >= rows) {
            rest -= rows;
            next = 1u;
        }
        if (digits >= 1u << 24u) {
            below |= next;
            continue;
        }
        digits = digits << 1u | next;
        if (digits == 1u && next == 1u) {
            top = place;
        }
    }
    if (digits == 0u) {
        return 0u;
    }
    let is_above_half = below != 0u || rest != 0u;
    var mantissa = digits >> 1u;
    if ((digits & 1u) == 1u && (is_above_half || (mantissa & 1u) == 1u)) {
        mantissa += 1u;
    }
    // A mantissa that is rounded up to 2²⁴ makes the exponent one larger.
    return (u32(top + 127) << 23u) + (mantissa - (1u << 23u));
}

fn score() -> u32 {
    if (metrics.rows == 0u) {
        return 0u;
    }
    if (ACCURACY == 1u) {
        return quotient(metrics.correct, 0u, metrics.rows);
    }
    let sum = bitcast<u32>(metrics.loss_sum);
    if (is_nonfinite(sum)) {
        return sum;
    }
    if (metrics.loss_sum >= LARGEST_EXACT_SUM) {
        // Its mantissa over the rows, times its power of two.
        let mantissa = (sum & 0x7fffffu) | 0x800000u;
        return quotient(mantissa, 0u, metrics.rows) + (((sum >> 23u) - 150u) << 23u);
    }
    return quotient(metrics.loss_whole, metrics.loss_part, metrics.rows);
}

@compute @workgroup_size(1)
fn main() {
    let found = score();
    let known = bitcast<u32>(standing.score);
    var is_better = found < known;
    if (HIGHER == 1u) {
        is_better = found > known;
    }
    let is_best = !is_nan(found) && (standing.known == 0u || is_better);
    standing.best = u32(is_best);
    if (is_best) {
        standing.score = bitcast<f32>(found);
        standing.known = 1u;
    }
}
