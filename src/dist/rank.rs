//! Which rank of how many.

/// One of the ranks of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Its number, from 0 on.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Default for Rank {
    /// The only one.
    fn default() -> Rank {
        Rank { number: 0, of: 1 }
    }
}

impl Rank {
    /// Whether it is the first, which speaks and writes for all.
    pub fn is_first(self) -> bool {
        self.number == 0
    }

    /// Whether there is no other.
    pub fn is_alone(self) -> bool {
        self.of == 1
    }

    /// Cuts so many elements into a part for each rank: where each begins, and where the last ends.
    pub fn bounds(self, elements: usize) -> Vec<usize> {
        let most = elements.div_ceil(self.of.max(1));
        (0..=self.of).map(|rank| (rank * most).min(elements)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_every_element_once() {
        let of = |of, elements| Rank { number: 0, of }.bounds(elements);
        assert_eq!(of(1, 7), [0, 7]);
        assert_eq!(of(3, 7), [0, 3, 6, 7]);
        assert_eq!(of(4, 2), [0, 1, 2, 2, 2]);
        assert_eq!(of(2, 0), [0, 0, 0]);
    }
}
