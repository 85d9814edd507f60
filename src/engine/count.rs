//! Numbers as kernels have them: offsets, lengths and counts of 32 bits.

use super::Error;

/// The number in 32 bits; `what` names it if it is more.
pub(crate) fn count<N: TryInto<u64>>(what: &'static str, number: N) -> Result<u32, Error> {
    let value = number.try_into().unwrap_or(u64::MAX);
    u32::try_from(value).map_err(|_| Error::TooMany { what, value })
}

/// The number in 32 bits, of which it is known that it has no more; never another number that it would be cut to.
pub(crate) fn counted<N: TryInto<u32>>(number: N) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_32_bits_do_not_count_is_told() {
        assert_eq!(count("rows", u64::from(u32::MAX)).ok(), Some(u32::MAX));
        assert_eq!(count("rows", 1usize << 20).ok(), Some(1 << 20));
        let told = count("rows", 1u64 << 32).expect_err("an error").to_string();
        assert_eq!(told, "rows: 4294967296 is more than 32 bits can count");
        assert_eq!(counted(usize::MAX), u32::MAX);
    }
}
