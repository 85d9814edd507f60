//! Python's arithmetic, where it differs from Rust's: it refuses what would give no number, and rounds quotients down.

use super::Fault;

/// `a / b`.
pub(super) fn divide(a: f64, b: f64) -> Result<f64, Fault> {
    if b == 0.0 { Err(Fault::new("division by zero")) } else { Ok(a / b) }
}

/// `a ** b`.
pub(super) fn power(a: f64, b: f64) -> Result<f64, Fault> {
    let value = a.powf(b);
    if value.is_finite() || !a.is_finite() || !b.is_finite() {
        return Ok(value);
    }
    Err(Fault::new(format!("{a:?} to the power {b:?} is not a finite real number")))
}

/// `math.sqrt(a)`.
pub(super) fn root(a: f64) -> Result<f64, Fault> {
    if a < 0.0 { Err(Fault::new(format!("the square root of {a:?}"))) } else { Ok(a.sqrt()) }
}

/// `a // b`.
pub(super) fn floor_divide(a: f64, b: f64) -> Result<f64, Fault> {
    let rest = modulo(a, b)?;
    let quotient = (a - rest) / b;
    let floor = quotient.floor();
    Ok(if quotient - floor > 0.5 { floor + 1.0 } else { floor })
}

/// `a % b`: has the sign of b.
pub(super) fn modulo(a: f64, b: f64) -> Result<f64, Fault> {
    if b == 0.0 {
        return Err(Fault::new("modulo by zero"));
    }
    let rest = a % b;
    Ok(if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest })
}

/// `bisect.bisect_right(list, value)`, which takes the list to be in order whether it is or not.
pub(super) fn bisect_right(list: &[f64], value: f64) -> usize {
    let (mut low, mut high) = (0, list.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        if list.get(middle).is_some_and(|item| value < *item) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// The value, if it is a finite number. For use before a `max` that would hide it.
pub(super) fn finite(value: f64) -> Result<f64, Fault> {
    if value.is_finite() { Ok(value) } else { Err(Fault::new(format!("the formula gives {value}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_python_does() {
        assert_eq!(floor_divide(1.0, 0.1), Ok(9.0));
        assert_eq!(floor_divide(5.0, 2.5), Ok(2.0));
        assert_eq!(floor_divide(-1.0, 4.0), Ok(-1.0));
        assert_eq!(modulo(-1.0, 4.0), Ok(3.0));
        assert!(divide(1.0, 0.0).is_err() && modulo(1.0, 0.0).is_err());
        assert!(power(0.0, -1.0).is_err() && power(-1.0, 0.5).is_err() && root(-1.0).is_err());
        assert_eq!(bisect_right(&[3.0, 6.0], 3.0), 1);
        assert_eq!(bisect_right(&[], 3.0), 0);
    }
}
