//! Event files that TensorBoard reads: records of length, checksum, protocol buffer, checksum.
//!
//! The format is that of TensorFlow's `tfevents` (record_writer.cc, event.proto, summary.proto): an event is wall time,
//! step and one value under a tag. Nothing else of it is needed here, so three messages are written out by hand.

use super::appended::Appended;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file of events.
pub(super) struct EventFile {
    file: Appended,
    /// Records that are not in the file yet.
    pending: Vec<u8>,
}

/// Field numbers and wire types of the messages, as (number << 3 | type).
const WALL_TIME: u8 = 1 << 3 | 1;
const STEP: u8 = 2 << 3;
const FILE_VERSION: u8 = 3 << 3 | 2;
const SUMMARY: u8 = 5 << 3 | 2;
const SESSION_LOG: u8 = 7 << 3 | 2;
const VALUE: u8 = 1 << 3 | 2;
const TAG: u8 = 1 << 3 | 2;
const SIMPLE_VALUE: u8 = 2 << 3 | 5;
/// `SessionLog { status: START }`: events of later steps are no longer valid.
const START: [u8; 2] = [1 << 3, 1];

impl EventFile {
    /// A new file in a folder, for a run that continues after so many steps.
    pub(super) fn create(folder: &Path, steps: u64) -> anyhow::Result<EventFile> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let path = folder.join(format!("events.out.tfevents.{seconds:010}.gradus.{}", std::process::id()));
        let mut events = EventFile { file: Appended::open(&path)?, pending: Vec::new() };
        events.record(&event(0, FILE_VERSION, b"brain.Event:2"));
        if steps > 0 {
            events.record(&event(steps, SESSION_LOG, &START));
        }
        events.write()?;
        Ok(events)
    }

    /// A value under a tag, for the next [`EventFile::write`].
    pub(super) fn scalar(&mut self, step: u64, tag: &str, value: f64) {
        let mut inner = field(TAG, tag.as_bytes());
        inner.push(SIMPLE_VALUE);
        inner.extend((value as f32).to_le_bytes());
        self.record(&event(step, SUMMARY, &field(VALUE, &inner)));
    }

    /// Writes the values since the last time, at once. If that fails they are lost; of several failures in a row the
    /// first is an error.
    pub(super) fn write(&mut self) -> anyhow::Result<()> {
        self.file.add(&std::mem::take(&mut self.pending)).map(drop)
    }

    fn record(&mut self, data: &[u8]) {
        let length = (data.len() as u64).to_le_bytes();
        self.pending.extend(length);
        self.pending.extend(masked(&length).to_le_bytes());
        self.pending.extend(data);
        self.pending.extend(masked(data).to_le_bytes());
    }
}

/// An event with one field, a time and a step.
fn event(step: u64, key: u8, inner: &[u8]) -> Vec<u8> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let mut event = vec![WALL_TIME];
    event.extend(seconds.to_le_bytes());
    event.push(STEP);
    event.extend(varint(step));
    event.extend(field(key, inner));
    event
}

/// A field of bytes.
fn field(key: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![key];
    field.extend(varint(bytes.len() as u64));
    field.extend(bytes);
    field
}

/// Seven bits a byte, the lowest first.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// The checksum of a record: CRC-32C, turned and shifted, so that a file of records may itself be checked.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_fields_are_those_of_protocol_buffers() {
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(varint(u64::MAX).len(), 10);
        // The example of the protocol's own documentation: field 2, "testing".
        assert_eq!(field(0x12, b"testing"), [0x12, 7, b't', b'e', b's', b't', b'i', b'n', b'g']);
    }

    #[test]
    fn the_checksum_is_tensorflows() {
        // The length of the first record of every file that TensorFlow writes, 24 bytes, and its checksum there.
        assert_eq!(masked(&24u64.to_le_bytes()), 0x224b_7fa3);
    }
}
