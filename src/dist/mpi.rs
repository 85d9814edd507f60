//! The processes that `mpirun` starts: the only file that names the crate.
//!
//! Messages only, point to point: nothing is added up by MPI. Without `mpirun` a process is the only rank.

use super::{Collective, Error, Rank};
use mpi::environment::Universe;
use mpi::request::{RequestCollection, multiple_scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, Source};
use mpi::{Rank as Number, Threading};
use std::sync::Arc;

/// Most bytes of a message: MPI counts in 31 bits.
const MESSAGE_BYTES: usize = 1 << 30;

/// A process's end, or another handle of it: MPI ends with the last one.
#[derive(Clone)]
pub struct Mpi {
    rank: Rank,
    _universe: Arc<Universe>,
}

impl std::fmt::Debug for Mpi {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Mpi").field("rank", &self.rank).finish_non_exhaustive()
    }
}

impl Mpi {
    /// Begins, once in a process.
    ///
    /// # Errors
    /// [`Error::Mpi`] if it has begun before, or is built for single threads.
    pub fn start() -> Result<Mpi, Error> {
        let started = mpi::initialize_with_threading(Threading::Serialized);
        let (universe, threading) = started.ok_or(Error::Mpi { reason: "it has begun before in this process" })?;
        if threading < Threading::Serialized {
            return Err(Error::Mpi { reason: "this build of it lets one thread alone call it" });
        }
        let world = SimpleCommunicator::world();
        let number = |number: Number| usize::try_from(number).unwrap_or(0);
        let rank = Rank { number: number(world.rank()), of: number(world.size()).max(1) };
        Ok(Mpi { rank, _universe: Arc::new(universe) })
    }
}

impl Collective for Mpi {
    fn rank(&self) -> Rank {
        self.rank
    }

    fn exchange(&mut self, sent: &[&[u8]], received: &mut [&mut [u8]]) -> Result<(), Error> {
        let world = SimpleCommunicator::world();
        let peers = || (0..).zip(0..self.rank.of).filter(|(_, place)| *place != self.rank.number);
        let messages = 2 * self.rank.of;
        multiple_scope(messages, |scope, requests: &mut RequestCollection<'_, [u8]>| {
            let mut rooms: Vec<Option<&mut [u8]>> = received.iter_mut().map(|room| Some(&mut **room)).collect();
            for (number, place) in peers() {
                let room = rooms.get_mut(place).and_then(Option::take).unwrap_or_default();
                let from = world.process_at_rank(number);
                if room.is_empty() {
                    requests.add(from.immediate_receive_into(scope, room));
                } else {
                    for part in room.chunks_mut(MESSAGE_BYTES) {
                        requests.add(from.immediate_receive_into(scope, part));
                    }
                }
            }
            for (number, place) in peers() {
                let bytes = sent.get(place).copied().unwrap_or_default();
                let to = world.process_at_rank(number);
                if bytes.is_empty() {
                    requests.add(to.immediate_send(scope, bytes));
                } else {
                    for part in bytes.chunks(MESSAGE_BYTES) {
                        requests.add(to.immediate_send(scope, part));
                    }
                }
            }
            requests.wait_all(&mut Vec::with_capacity(messages));
        });
        Ok(())
    }

    fn end_all(&self, code: i32) {
        SimpleCommunicator::world().abort(code);
    }
}
