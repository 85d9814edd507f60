//! Whose moments are whose, where the ranks of a run share them out: each tensor is one rank's, which keeps its moments and updates it.

/// One of several optimizers that share out the moments of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which one this is, from 0 on.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Shard {
    /// The owners of tensors, in the order in which they thawed: each goes to who has fewest elements then. So what thaws later
    /// is shared out as well, and nothing moves.
    pub(crate) fn owners(self, thawed: &[usize], elements: &[u64]) -> Vec<(usize, usize)> {
        let mut held = vec![0; self.of.max(1)];
        let owner = |tensor: &usize| {
            let least = held.iter().enumerate().min_by_key(|(_, elements)| **elements);
            let owner = least.map_or(0, |(owner, _)| owner);
            held[owner] += elements[*tensor];
            (*tensor, owner)
        };
        thawed.iter().map(owner).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_shared_out_as_they_thaw() {
        let elements = [10, 4, 5, 6, 100, 1];
        let shard = Shard { number: 0, of: 3 };
        assert_eq!(shard.owners(&[0, 1, 2, 3], &elements), [(0, 0), (1, 1), (2, 2), (3, 1)]);
        let later = shard.owners(&[0, 1, 2, 3, 5, 4], &elements);
        assert_eq!(later[..4], shard.owners(&[0, 1, 2, 3], &elements), "nothing moves");
        assert_eq!(later[4..], [(5, 2), (4, 2)]);
        assert_eq!(Shard { number: 0, of: 1 }.owners(&[2, 0], &elements), [(2, 0), (0, 0)]);
    }
}
