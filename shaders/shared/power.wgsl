// Powers and roots of numbers that are 0 or more. A device's pow may be off by some 1e-6, and make a NaN of 0 to the 0.

const MOST_FACTORS: f32 = 16.0;

fn power(base: f32, exponent: f32) -> f32 {
    if (exponent == 0.0) {
        return 1.0;
    }
    if (exponent == floor(exponent) && exponent <= MOST_FACTORS) {
        var product = base;
        for (var k = 1.0; k < exponent; k += 1.0) {
            product = product * base;
        }
        return product;
    }
    return select(pow(base, exponent), 0.0, base == 0.0);
}

// The number whose power of this order is x; a step of Newton's method makes good what pow is off by.
fn root(x: f32, order: f32) -> f32 {
    let first = power(x, 1.0 / order);
    if (order != floor(order) || order > MOST_FACTORS || first == 0.0) {
        return first;
    }
    return first + first / order * (x / power(first, order) - 1.0);
}
