//! Ranks that work on the same run: sums over them, and what one tells the others, on plain slices of the host.
//!
//! A [`Collective`] is one rank's end. All ranks make the same calls in the same order. [`Alone`] is a run of one rank,
//! [`Threads`] are ranks of one process, `mpi::Mpi` those of `mpirun` (feature `mpi`).
//!
//! **Bits.** Every sum goes in the order of ranks, `((g0 + g1) + g2) + …`, and is made once, by the rank that owns the element; the
//! others get its bits. So it is the same on every rank, each time, over any kind of collective. What carries the bytes never
//! adds: MPI's own reductions may choose another order for another size or build.

mod alone;
mod collective;
mod error;
#[cfg(feature = "mpi")]
pub mod mpi;
mod rank;
mod threads;

pub use alone::Alone;
pub use collective::Collective;
pub use error::Error;
pub use rank::Rank;
pub use threads::Threads;
