//! Reports on their way back through a ring.

use super::{Gpu, buffer_descriptor};
use crate::engine::Error;
use crate::engine::buffer::Range;
use crate::engine::faults::{Scopes, locked};
use crate::engine::ring::{
    Delivery, FAILED, FREE, GpuSlot, Pending, Ring, Slots, TIMESTAMP_BYTES, Tags, Timer, UNDER_WAY, next_in_order,
};
use crate::engine::submission::Report;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

impl Gpu {
    pub(crate) fn ring(&self, regions: &[Range], (count, room): (usize, usize), timed: bool) -> Result<Slots, Error> {
        let bytes = (regions.iter().map(|range| range.bytes).sum::<u64>() + TIMESTAMP_BYTES) * room as u64;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let mut slots = Vec::with_capacity(count);
        for _ in 0..count {
            let staging = self.create(&buffer_descriptor("report", bytes, usage))?;
            let timer = if timed { Some(self.timer(room)?) } else { None };
            slots.push(GpuSlot {
                staging,
                tags: Mutex::default(),
                state: Arc::new(AtomicU8::new(FREE)),
                refused: AtomicBool::new(false),
                timer,
            });
        }
        Ok(Slots::Gpu(slots))
    }

    fn timer(&self, room: usize) -> Result<Timer, Error> {
        let scopes = Scopes::open(&self.device);
        let queries = self.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("step time"),
            ty: wgpu::QueryType::Timestamp,
            count: 2 * room as u32,
        });
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let bytes = TIMESTAMP_BYTES * room as u64;
        let resolved = self.device.create_buffer(&buffer_descriptor("step time", bytes, usage));
        scopes.close("a timer", &self.report.name)?;
        Ok(Timer { queries, resolved })
    }

    /// Hands over what has arrived, oldest first, without waiting.
    pub(crate) fn collect<E: From<Error>>(
        &self,
        ring: &Ring,
        slots: &[GpuSlot],
        mut take: impl FnMut(Delivery<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.poll(wgpu::PollType::Poll)?;
        if slots
            .iter()
            .any(|slot| slot.state.compare_exchange(FAILED, FREE, Ordering::AcqRel, Ordering::Relaxed).is_ok())
        {
            // On a borrowed device this is the only sign of its loss.
            let reason = "a report could not be mapped".to_owned();
            return Err(Error::DeviceLost { adapter: self.report.name.clone(), reason }.into());
        }
        while let Some(slot) = oldest_arrived(slots) {
            let is_refused = slot.refused.load(Ordering::Acquire);
            let taken = if is_refused { Ok(()) } else { self.hand_over(ring, slot, &mut take) };
            if is_refused || locked(&slot.tags).is_empty() {
                slot.staging.unmap();
                slot.state.store(FREE, Ordering::Release);
            }
            taken?;
        }
        Ok(())
    }

    /// Gives the caller a slot's mapped reports, as far as it takes them.
    fn hand_over<E: From<Error>>(
        &self,
        ring: &Ring,
        slot: &GpuSlot,
        take: &mut impl FnMut(Delivery<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mapped = slot.staging.get_mapped_range(..).map_err(|error| self.refused("a report", error.to_string()))?;
        let each = ring.report_bytes() as usize;
        let (reports, stamps) = mapped.split_at(each * ring.room);
        let place = |tags: Tags| (tags.next - tags.first) as usize;
        loop {
            let tags = *locked(&slot.tags);
            if tags.is_empty() {
                return Ok(());
            }
            locked(&slot.tags).next += 1;
            let bytes = &reports[each * place(tags)..][..each];
            let stamps = &stamps[TIMESTAMP_BYTES as usize * place(tags)..];
            let device_seconds = slot.timer.as_ref().and_then(|_| self.seconds(stamps));
            self.tally.download(bytes.len() as u64);
            take(Delivery { tag: tags.next, bytes, device_seconds })?;
        }
    }

    fn seconds(&self, stamps: &[u8]) -> Option<f64> {
        let stamps: &[[u8; 8]] = stamps.as_chunks().0;
        let ticks = u64::from_le_bytes(*stamps.get(1)?).checked_sub(u64::from_le_bytes(*stamps.first()?))?;
        Some(ticks as f64 * f64::from(self.queue.get_timestamp_period()) * 1e-9)
    }
}

/// The oldest report, if it has arrived.
fn oldest_arrived(slots: &[GpuSlot]) -> Option<&GpuSlot> {
    let states = slots.iter().map(|slot| (slot.state.load(Ordering::Acquire), locked(&slot.tags).next));
    next_in_order(states).and_then(|place| slots.get(place))
}

/// A slot for this report, if one is free.
pub(super) fn take_free_slot<'a>(report: &Report<'a>) -> Option<&'a GpuSlot> {
    let Slots::Gpu(slots) = &report.ring.slots else { return None };
    let slot = slots
        .iter()
        .find(|slot| slot.state.compare_exchange(FREE, UNDER_WAY, Ordering::AcqRel, Ordering::Relaxed).is_ok())?;
    let (first, end) = (report.tag, report.tag + report.parts as u64);
    *locked(&slot.tags) = Tags { first, next: first, end };
    slot.refused.store(false, Ordering::Release);
    Some(slot)
}

impl Gpu {
    /// Copies the report of a part of the programs.
    pub(super) fn encode_part(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        ring: &Ring,
        slot: &GpuSlot,
        part: usize,
    ) -> Result<(), Error> {
        let mut at = ring.report_bytes() * part as u64;
        for region in &ring.regions {
            let from = self.own_buffer(&region.buffer)?;
            encoder.copy_buffer_to_buffer(from, region.offset, &slot.staging, at, Some(region.bytes));
            at += region.bytes;
        }
        Ok(())
    }
}

/// Sends a slot on its way, after its last part.
pub(super) fn encode_report(encoder: &mut wgpu::CommandEncoder, report: &Report<'_>, slot: &GpuSlot, pending: Pending) {
    if let Some(timer) = &slot.timer {
        let (ring, parts) = (report.ring, report.parts as u64);
        encoder.resolve_query_set(&timer.queries, 0..2 * report.parts as u32, &timer.resolved, 0);
        let behind = ring.report_bytes() * ring.room as u64;
        let bytes = Some(TIMESTAMP_BYTES * parts);
        encoder.copy_buffer_to_buffer(&timer.resolved, 0, &slot.staging, behind, bytes);
    }
    encoder.map_buffer_on_submit(&slot.staging, wgpu::MapMode::Read, .., move |result| pending.mapped(result));
}
