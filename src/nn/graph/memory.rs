//! Which values share memory: each has a buffer from the operation that first writes it to the one
//! that last uses it.

use super::value::{Home, Nodes, Value};
use crate::nn::ops::{Operate, Operation};

/// Buffers by size, and the buffer of each value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Memory {
    pub(super) buffer_bytes: Vec<u64>,
    /// `None` for a value that no operation uses, and for one whose memory is not the pass's.
    pub(super) buffer_of: Vec<Option<usize>>,
}

impl Memory {
    /// Lays values out for operations in this order. What must stay after the pass is `kept`, what somebody writes before
    /// it `given`.
    ///
    /// A value takes the smallest free buffer that holds it, else a new one. An operation's results never take the memory of
    /// what it reads: a kernel may not read and write one buffer.
    pub(super) fn of(
        (nodes, examples): (&Nodes, usize),
        operations: &[Operation],
        kept: &[Value],
        given: &[Value],
    ) -> Memory {
        let shared = |values: Vec<Value>| -> Vec<Value> {
            let owners = values.into_iter().map(|value| nodes.owner(value));
            owners.filter(|value| nodes[*value].home == Home::Shared).collect()
        };
        let uses: Vec<[Vec<Value>; 2]> = operations
            .iter()
            .map(|operation| operation.uses())
            .map(|uses| [shared(uses.reads), shared(uses.writes)])
            .collect();
        let mut last = vec![None; nodes.len()];
        for (place, used) in uses.iter().enumerate() {
            used.iter().flatten().for_each(|value| last[value.0] = Some(place));
        }
        kept.iter().for_each(|value| last[value.0] = Some(usize::MAX));
        let mut memory = Memory { buffer_bytes: Vec::new(), buffer_of: vec![None; nodes.len()] };
        let bytes = |value: &Value| nodes[*value].bytes(examples);
        let mut free: Vec<usize> = Vec::new();
        // Values in the order in which they came.
        let mut order: Vec<Value> = given.to_vec();
        for value in given {
            memory.buffer_of[value.0] = Some(memory.take(&mut free, bytes(value)));
        }
        for (place, used) in uses.iter().enumerate() {
            for write in &used[1] {
                if memory.buffer_of[write.0].is_none() {
                    memory.buffer_of[write.0] = Some(memory.take(&mut free, bytes(write)));
                    order.push(*write);
                }
            }
            let done =
                |value: &&Value| last[value.0] == Some(place) && used.iter().flatten().any(|used| used == *value);
            free.extend(order.iter().filter(done).filter_map(|value| memory.buffer_of[value.0]));
        }
        memory
    }

    fn take(&mut self, free: &mut Vec<usize>, bytes: u64) -> usize {
        let fits = free.iter().enumerate().filter(|(_, buffer)| self.buffer_bytes[**buffer] >= bytes);
        // A buffer more than twice too large is left to who needs it.
        let fits = fits.filter(|(_, buffer)| self.buffer_bytes[**buffer] <= 2 * bytes);
        match fits.min_by_key(|(_, buffer)| self.buffer_bytes[**buffer]).map(|(place, _)| place) {
            Some(place) => free.swap_remove(place),
            None => {
                self.buffer_bytes.push(bytes);
                self.buffer_bytes.len() - 1
            }
        }
    }

    /// Bytes of all buffers.
    pub(super) fn bytes(&self) -> u64 {
        self.buffer_bytes.iter().sum()
    }

    /// The existing buffer that each of these takes: the smallest that holds it, in order from the largest. `None` if
    /// none is left.
    pub(super) fn within(&self, there: &[u64]) -> Vec<Option<usize>> {
        let mut taken = vec![false; there.len()];
        let mut found = vec![None; self.buffer_bytes.len()];
        let mut asking: Vec<usize> = (0..found.len()).collect();
        asking.sort_by_key(|buffer| std::cmp::Reverse(self.buffer_bytes[*buffer]));
        for buffer in asking {
            let fits = |place: &usize| !taken[*place] && there[*place] >= self.buffer_bytes[buffer];
            found[buffer] = (0..there.len()).filter(fits).min_by_key(|place| there[*place]);
            found[buffer].into_iter().for_each(|place| taken[place] = true);
        }
        found
    }

    /// Bytes that this takes in addition to what exists.
    pub(super) fn bytes_beside(&self, there: &Memory) -> u64 {
        let found = self.within(&there.buffer_bytes).into_iter().zip(&self.buffer_bytes);
        found.filter(|(found, _)| found.is_none()).map(|(_, bytes)| bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Graph;
    use super::*;
    use crate::nn::Activation;

    #[test]
    fn what_is_there_is_taken_by_what_it_fits_best() {
        let memory = |buffer_bytes: &[u64]| Memory { buffer_bytes: buffer_bytes.to_vec(), ..Memory::default() };
        let asked = memory(&[16, 64, 32, 32]);
        assert_eq!(asked.within(&[100, 32, 64]), [None, Some(2), Some(1), Some(0)]);
        assert_eq!(asked.bytes_beside(&memory(&[100, 32, 64])), 16);
        assert_eq!((asked.bytes_beside(&asked), asked.bytes_beside(&memory(&[]))), (0, 144));
    }

    #[test]
    fn memory_is_used_again_and_never_by_what_is_still_read() {
        let mut graph = Graph::new(1, 1, true);
        let x = graph.rows("rows", 1, 16);
        let one = graph.activate("one", Activation::Relu, x);
        let two = graph.activate("two", Activation::Relu, one);
        let three = graph.activate("three", Activation::Relu, two);
        let four = graph.activate("four", Activation::Relu, three);
        let nodes = (&graph.nodes, 1);
        let buffers = |memory: &Memory| [one, two, three, four].map(|value| memory.buffer_of[value.0]);
        let memory = Memory::of(nodes, &graph.operations, &[], &[]);
        // Two in turn are enough. What the batch holds has no memory here.
        assert_eq!(buffers(&memory), [Some(0), Some(1), Some(0), Some(1)]);
        assert_eq!(memory.buffer_of[x.0], None);
        let kept = Memory::of(nodes, &graph.operations, &[one], &[]);
        assert_eq!((buffers(&kept)[2], kept.bytes()), (Some(2), 192));
        // What is given is there before the first operation, and gives its memory up after its last use.
        let given = Memory::of(nodes, &graph.operations[2..], &[], &[two]);
        assert_eq!(buffers(&given), [None, Some(0), Some(1), Some(0)]);
    }
}
