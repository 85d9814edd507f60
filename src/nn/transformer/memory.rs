//! Which values share memory: each has a buffer from the step that first writes it to the one that last uses it.

use super::step::{Id, Step, Value};

/// Buffers by size, and the buffer of each value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Memory {
    pub(super) buffer_bytes: Vec<u64>,
    /// `None` for a value that no step uses.
    pub(super) buffer_of: Vec<Option<usize>>,
}

impl Memory {
    /// Lays values out for steps in this order. What has to stay behind the pass is `kept`, what somebody writes before it
    /// `given`.
    ///
    /// A value takes the smallest free buffer that holds it, else a new one. A step's results never take the memory of
    /// what it reads: a kernel may not read and write one buffer.
    pub(super) fn of(values: &[Value], steps: &[Step], kept: &[Id], given: &[Id]) -> Memory {
        let mut last = vec![None; values.len()];
        for (place, step) in steps.iter().enumerate() {
            let (reads, writes) = step.values();
            reads.iter().chain(&writes).for_each(|value| last[*value] = Some(place));
        }
        kept.iter().for_each(|value| last[*value] = Some(usize::MAX));
        let mut memory = Memory { buffer_bytes: Vec::new(), buffer_of: vec![None; values.len()] };
        let mut free: Vec<usize> = Vec::new();
        for value in given {
            memory.buffer_of[*value] = Some(memory.take(&mut free, values[*value].bytes));
        }
        for (place, step) in steps.iter().enumerate() {
            let (reads, writes) = step.values();
            for write in writes.iter().filter(|write| memory.buffer_of[**write].is_none()).collect::<Vec<_>>() {
                let buffer = memory.take(&mut free, values[*write].bytes);
                memory.buffer_of[*write] = Some(buffer);
            }
            let mut done: Vec<Id> =
                reads.into_iter().chain(writes).filter(|value| last[*value] == Some(place)).collect();
            done.sort_unstable();
            done.dedup();
            free.extend(done.into_iter().filter_map(|value| memory.buffer_of[value]));
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_never_by_what_is_still_read() {
        let value = |label: &str| Value { label: label.to_owned(), bytes: 64 };
        let values = ["a", "b", "c", "d"].map(value);
        let pool = |x, y| Step::Pool { x, y };
        let steps = [Step::Embed { tables: vec![], y: 0 }, pool(0, 1), pool(1, 2), pool(2, 3)];
        let memory = Memory::of(&values, &steps, &[], &[]);
        // Two in turn are enough.
        assert_eq!(memory.buffer_of, [Some(0), Some(1), Some(0), Some(1)]);
        let kept = Memory::of(&values, &steps, &[0], &[]);
        assert_eq!((kept.buffer_of[2], kept.bytes()), (Some(2), 192));
        // What is given is there before the first step, and gives its memory up behind its last use.
        let given = Memory::of(&values, &steps[2..], &[], &[1]);
        assert_eq!(given.buffer_of, [None, Some(0), Some(1), Some(0)]);
    }
}
