//! Ranks of one process, a thread each: for several adapters of a machine, and for tests.

use super::{Collective, Error, Rank};
use std::sync::mpsc::{Receiver, Sender, channel};

/// One of the ranks. Between each two lies a channel in either direction.
#[derive(Debug)]
pub struct Threads {
    rank: Rank,
    /// By rank; none to itself.
    to: Vec<Option<Sender<Vec<u8>>>>,
    from: Vec<Option<Receiver<Vec<u8>>>>,
}

impl Threads {
    /// So many ranks, in order. Each belongs on a thread of its own; the others learn it if it is dropped.
    pub fn of(ranks: usize) -> Vec<Threads> {
        let end = |number| Threads { rank: Rank { number, of: ranks }, to: Vec::new(), from: Vec::new() };
        let mut all: Vec<Threads> = (0..ranks).map(end).collect();
        for sender in 0..ranks {
            for receiver in 0..ranks {
                let (to, from) = if sender == receiver { (None, None) } else { both(channel()) };
                all[sender].to.push(to);
                all[receiver].from.push(from);
            }
        }
        all
    }
}

fn both<A, B>((a, b): (A, B)) -> (Option<A>, Option<B>) {
    (Some(a), Some(b))
}

impl Collective for Threads {
    fn rank(&self) -> Rank {
        self.rank
    }

    fn exchange(&mut self, sent: &[&[u8]], received: &mut [&mut [u8]]) -> Result<(), Error> {
        for (rank, (to, bytes)) in self.to.iter().zip(sent).enumerate() {
            let Some(to) = to else { continue };
            to.send(bytes.to_vec()).map_err(|_| Error::Gone { rank })?;
        }
        for (rank, (from, bytes)) in self.from.iter().zip(received).enumerate() {
            let Some(from) = from else { continue };
            let got = from.recv().map_err(|_| Error::Gone { rank })?;
            if got.len() != bytes.len() {
                return Err(Error::OtherLength { rank, got: got.len(), expected: bytes.len() });
            }
            bytes.copy_from_slice(&got);
        }
        Ok(())
    }
}
