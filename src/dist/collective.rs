//! What ranks do together.

use super::{Error, Rank};
use std::fmt::Debug;

/// One rank's end of a group of ranks. All of them make the same calls in the same order; each call returns once this rank has what
/// it asked for. An error ends the group: whoever waits for this rank learns it when its end is dropped.
pub trait Collective: Debug + Send {
    /// Which rank this is.
    fn rank(&self) -> Rank;

    /// Every rank sends some bytes to each, and receives some from each, by rank. What is for itself is left alone.
    ///
    /// # Errors
    /// [`Error::Gone`], [`Error::OtherLength`].
    fn exchange(&mut self, sent: &[&[u8]], received: &mut [&mut [u8]]) -> Result<(), Error>;

    /// Ends the processes of the other ranks, and perhaps this one, with an exit code: this one cannot go on. Nothing for ranks that
    /// learn it when this one is dropped.
    fn end_all(&self, _code: i32) {}

    /// Waits until all ranks are here.
    ///
    /// # Errors
    /// As [`exchange`](Collective::exchange).
    fn barrier(&mut self) -> Result<(), Error> {
        self.each(&[]).map(drop)
    }

    /// Sums over all ranks, in their order, element by element: every rank ends up with all sums. `room` is kept from call to call.
    ///
    /// # Errors
    /// As [`exchange`](Collective::exchange).
    fn sum(&mut self, values: &mut [f32], room: &mut Vec<f32>) -> Result<(), Error> {
        let bounds = self.rank().bounds(values.len());
        self.sum_scatter(values, &bounds, room)?;
        self.gather(values, &bounds)
    }

    /// The same, but each rank ends up with the sums of its part alone; what the others own is as before. A part begins where
    /// `bounds` says, and ends where the next begins.
    ///
    /// # Errors
    /// [`Error::BadParts`]; as [`exchange`](Collective::exchange).
    fn sum_scatter(&mut self, values: &mut [f32], bounds: &[usize], room: &mut Vec<f32>) -> Result<(), Error> {
        let Rank { number, of } = self.rank();
        check_parts(values.len(), bounds, of)?;
        if of == 1 {
            return Ok(());
        }
        let own = bounds[number]..bounds[number + 1];
        room.resize(own.len() * (of - 1), 0.0);
        let sent: Vec<&[u8]> = (0..of).map(|rank| bytes(&values[bounds[rank]..bounds[rank + 1]])).collect();
        let mut rooms = room.chunks_exact_mut(own.len().max(1));
        let mut received: Vec<&mut [u8]> = Vec::with_capacity(of);
        for rank in 0..of {
            let room = if rank == number { None } else { rooms.next() };
            received.push(room.map_or(&mut [][..], bytemuck::cast_slice_mut));
        }
        self.exchange(&sent, &mut received)?;
        // The ranks before this one come first.
        let (before, behind) = room.split_at_mut(own.len() * number);
        let mut parts = before.chunks_exact(own.len().max(1));
        let own = &mut values[own];
        if let Some(first) = parts.next() {
            let mut sum = first.to_vec();
            parts.for_each(|part| add(&mut sum, part));
            add(own, &sum);
        }
        behind.chunks_exact(own.len().max(1)).for_each(|part| add(own, part));
        Ok(())
    }

    /// Every rank has a part of the values, and ends up with all of them.
    ///
    /// # Errors
    /// As [`sum_scatter`](Collective::sum_scatter).
    fn gather(&mut self, values: &mut [f32], bounds: &[usize]) -> Result<(), Error> {
        let Rank { number, of } = self.rank();
        check_parts(values.len(), bounds, of)?;
        let (before, rest) = values.split_at_mut(bounds[number]);
        let (own, behind) = rest.split_at_mut(bounds[number + 1] - bounds[number]);
        let sent = vec![bytes(own); of];
        let mut received: Vec<&mut [u8]> = Vec::with_capacity(of);
        let (mut left, mut right) = (&mut before[bounds[0]..], behind);
        for rank in 0..of {
            let elements = bounds[rank + 1] - bounds[rank];
            let from = if rank < number { &mut left } else { &mut right };
            let part = if rank == number { &mut [] } else { split_front(from, elements) };
            received.push(bytemuck::cast_slice_mut(part));
        }
        self.exchange(&sent, &mut received)
    }

    /// What each rank says, in their order. All say equally much.
    ///
    /// # Errors
    /// As [`exchange`](Collective::exchange).
    fn each(&mut self, own: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        self.each_of(own, &vec![own.len(); self.rank().of])
    }

    /// The same where each may say as much as it likes.
    ///
    /// # Errors
    /// As [`exchange`](Collective::exchange).
    fn each_at_length(&mut self, own: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let lengths = self.each(&(own.len() as u64).to_le_bytes())?;
        self.each_of(own, &lengths.iter().map(|length| length_of(length)).collect::<Vec<usize>>())
    }

    /// The same for the first rank alone: the others hear nothing.
    ///
    /// # Errors
    /// As [`exchange`](Collective::exchange).
    fn to_first(&mut self, own: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let Rank { number, of } = self.rank();
        let lengths = self.each(&(own.len() as u64).to_le_bytes())?;
        let mut all: Vec<Vec<u8>> = match number {
            0 => lengths.iter().map(|length| vec![0; length_of(length)]).collect(),
            _ => vec![Vec::new(); of],
        };
        let mut sent = vec![&[][..]; of];
        sent[0] = own;
        let mut received: Vec<&mut [u8]> = all.iter_mut().map(Vec::as_mut_slice).collect();
        self.exchange(&sent, &mut received)?;
        if number == 0 {
            all[0] = own.to_vec();
        }
        Ok(all)
    }

    /// The same where each says so many bytes.
    ///
    /// # Errors
    /// As [`exchange`](Collective::exchange).
    fn each_of(&mut self, own: &[u8], lengths: &[usize]) -> Result<Vec<Vec<u8>>, Error> {
        let Rank { number, of } = self.rank();
        let mut all: Vec<Vec<u8>> = lengths.iter().map(|length| vec![0; *length]).collect();
        let mut received: Vec<&mut [u8]> = all.iter_mut().map(Vec::as_mut_slice).collect();
        self.exchange(&vec![own; of], &mut received)?;
        if let Some(place) = all.get_mut(number) {
            *place = own.to_vec();
        }
        Ok(all)
    }

    /// Every rank ends up with the bytes of the first. All have room for equally many.
    ///
    /// # Errors
    /// As [`exchange`](Collective::exchange).
    fn broadcast(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let Rank { number, of } = self.rank();
        let mut received: Vec<&mut [u8]> = (0..of).map(|_| &mut [][..]).collect();
        if number == 0 {
            return self.exchange(&vec![&*bytes; of], &mut received);
        }
        received[0] = bytes;
        self.exchange(&vec![&[][..]; of], &mut received)
    }
}

/// A length as it is sent.
fn length_of(bytes: &[u8]) -> usize {
    let bytes = <[u8; 8]>::try_from(bytes).unwrap_or_default();
    usize::try_from(u64::from_le_bytes(bytes)).unwrap_or(usize::MAX)
}

fn check_parts(elements: usize, bounds: &[usize], ranks: usize) -> Result<(), Error> {
    let are_in_order = bounds.windows(2).all(|pair| pair[0] <= pair[1]);
    let end = bounds.last().is_some_and(|last| *last <= elements);
    if bounds.len() == ranks + 1 && are_in_order && end {
        return Ok(());
    }
    Err(Error::BadParts { bounds: bounds.to_vec(), elements, ranks })
}

fn bytes(values: &[f32]) -> &[u8] {
    bytemuck::cast_slice(values)
}

fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// Takes so many elements from the front of a slice.
fn split_front<'a>(slice: &mut &'a mut [f32], elements: usize) -> &'a mut [f32] {
    let (front, rest) = std::mem::take(slice).split_at_mut(elements);
    *slice = rest;
    front
}

#[cfg(test)]
mod tests {
    use super::super::{Alone, Threads};
    use super::*;

    /// Runs the same on so many ranks, and gives what each came to.
    fn on<T: Send>(ranks: usize, run: impl Fn(&mut Threads) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let ends = Threads::of(ranks).into_iter();
            let started: Vec<_> = ends.map(|mut end| scope.spawn(|| (run(&mut end), end).0)).collect();
            started.into_iter().map(|thread| thread.join().expect("no rank panics")).collect()
        })
    }

    /// Numbers whose sum depends on the order.
    fn numbers(rank: usize, count: usize) -> Vec<f32> {
        let size = 10f32.powi((rank as i32 * 5) % 7 - 3);
        (0..count).map(|place| size / (1 + (place * 7 + rank * 13) % 23) as f32).collect()
    }

    /// The sums in the order of ranks.
    fn in_order(ranks: usize, count: usize) -> Vec<f32> {
        (1..ranks).fold(numbers(0, count), |mut sums, rank| {
            add(&mut sums, &numbers(rank, count));
            sums
        })
    }

    #[test]
    fn every_rank_has_the_sums_in_the_order_of_ranks() {
        for (ranks, count) in [(1, 5), (2, 1), (2, 1001), (3, 1000), (4, 3), (5, 0)] {
            let sums = on(ranks, |end| {
                let (mut values, mut room) = (numbers(end.rank().number, count), Vec::new());
                end.sum(&mut values, &mut room).expect("sums");
                // Once more with what is kept.
                let mut again = numbers(end.rank().number, count);
                end.sum(&mut again, &mut room).expect("sums");
                assert_eq!(values, again);
                values
            });
            for (rank, sums) in sums.into_iter().enumerate() {
                assert_eq!(sums, in_order(ranks, count), "rank {rank} of {ranks}, {count} numbers");
            }
        }
    }

    #[test]
    fn the_order_of_ranks_is_not_any_order() {
        let sums = in_order(4, 200);
        let backwards = (0..3).rev().fold(numbers(3, 200), |mut sums, rank| {
            add(&mut sums, &numbers(rank, 200));
            sums
        });
        assert_ne!(sums, backwards, "these numbers would not show it");
    }

    #[test]
    fn a_rank_keeps_the_sums_of_its_part() {
        let bounds = [2, 2, 7, 9];
        let got = on(3, |end| {
            let mut values = numbers(end.rank().number, 10);
            end.sum_scatter(&mut values, &bounds, &mut Vec::new()).expect("sums");
            values
        });
        for (rank, got) in got.into_iter().enumerate() {
            let mut expected = numbers(rank, 10);
            let own = bounds[rank]..bounds[rank + 1];
            expected[own.clone()].copy_from_slice(&in_order(3, 10)[own]);
            assert_eq!(got, expected, "rank {rank}");
        }
    }

    #[test]
    fn parts_are_gathered_from_whoever_owns_them() {
        let got = on(3, |end| {
            let mut values = vec![end.rank().number as f32; 8];
            end.gather(&mut values, &[1, 2, 2, 7]).expect("parts");
            values
        });
        for (rank, got) in got.into_iter().enumerate() {
            let own = rank as f32;
            assert_eq!(got, [own, 0.0, 2.0, 2.0, 2.0, 2.0, 2.0, own]);
        }
    }

    #[test]
    fn ranks_hear_each_other() {
        let heard = on(3, |end| {
            let own = vec![7; end.rank().number];
            let mut first = [end.rank().number as u8 + 1; 4];
            end.broadcast(&mut first).expect("the first's bytes");
            end.barrier().expect("all are here");
            let of_first = end.to_first(&own).expect("words");
            let is_first = end.rank().is_first();
            assert_eq!(of_first, if is_first { vec![vec![], vec![7], vec![7, 7]] } else { vec![vec![]; 3] });
            (end.each_at_length(&own).expect("words"), first, end.each(&[own.len() as u8]).expect("words"))
        });
        for (words, first, lengths) in heard {
            assert_eq!(words, [vec![], vec![7], vec![7, 7]]);
            assert_eq!(first, [1; 4]);
            assert_eq!(lengths, [[0], [1], [2]]);
        }
    }

    #[test]
    fn a_rank_that_ends_is_an_error_of_the_others() {
        let ended = on(3, |end| {
            if end.rank().number == 1 {
                return Ok(());
            }
            end.sum(&mut [1.0; 8], &mut Vec::new())
        });
        let gone = Err(Error::Gone { rank: 1 });
        assert!(ended.contains(&gone), "{ended:?}");
        assert!(ended[0].is_err() && ended[2].is_err(), "{ended:?}");
    }

    #[test]
    fn ranks_that_do_not_do_the_same_are_told() {
        let got = on(2, |end| {
            let bytes = vec![0; 3 + end.rank().number];
            end.each(&bytes).map(drop)
        });
        assert_eq!(got[0], Err(Error::OtherLength { rank: 1, got: 4, expected: 3 }));
        assert_eq!(got[1], Err(Error::OtherLength { rank: 0, got: 3, expected: 4 }));
    }

    #[test]
    fn parts_are_one_for_each_rank() {
        let mut values = [1.0; 4];
        for bounds in [&[][..], &[0], &[0, 5], &[3, 2], &[0, 2, 4]] {
            let refused = Alone.sum_scatter(&mut values, bounds, &mut Vec::new());
            assert!(matches!(refused, Err(Error::BadParts { .. })), "{bounds:?}");
        }
        Alone.sum(&mut values, &mut Vec::new()).expect("its own");
        assert_eq!(values, [1.0; 4]);
    }
}
