//! What can go wrong between ranks.

/// An error of the dist room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another rank has ended.
    #[error("rank {rank} has ended: its own message says why")]
    Gone {
        /// That rank.
        rank: usize,
    },
    /// Ranks that do not make the same call.
    #[error("rank {rank} sent {got} bytes and {expected} were expected: the ranks do not do the same")]
    OtherLength {
        /// The other rank.
        rank: usize,
        /// What it sent.
        got: usize,
        /// What was expected of it.
        expected: usize,
    },
    /// Parts that are not one for each rank, in order, within the values.
    #[error("the parts {bounds:?} do not cut {elements} elements for {ranks} ranks")]
    BadParts {
        /// Where each begins, and where the last ends.
        bounds: Vec<usize>,
        /// Elements to be cut.
        elements: usize,
        /// How many ranks there are.
        ranks: usize,
    },
    /// MPI cannot be used.
    #[error("MPI: {reason}")]
    Mpi {
        /// Why.
        reason: &'static str,
    },
}
