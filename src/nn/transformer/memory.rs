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

    /// The buffer that each of these takes of those that are there, at most one each: the smallest that holds it, the
    /// largest asking first. `None`: there is none left.
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

    /// Bytes that this takes beside what is there.
    pub(super) fn bytes_beside(&self, there: &Memory) -> u64 {
        let found = self.within(&there.buffer_bytes).into_iter().zip(&self.buffer_bytes);
        found.filter(|(found, _)| found.is_none()).map(|(_, bytes)| bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
