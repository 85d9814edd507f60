//! Reports on their way back through a ring.

use super::{Gpu, buffer_descriptor, gpu_buffer};
use crate::engine::Error;
use crate::engine::buffer::Range;
use crate::engine::faults::{Scopes, locked};
use crate::engine::ring::{
    Delivery, FAILED, FREE, GpuSlot, Pending, RING_SLOTS, Ring, Slots, TIMESTAMP_BYTES, Timer, UNDER_WAY, Unfinished,
    next_in_order,
};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

impl Gpu {
    pub(crate) fn ring(&self, regions: &[Range], timed: bool) -> Result<Slots, Error> {
        let bytes: u64 = regions.iter().map(|range| range.bytes).sum::<u64>() + TIMESTAMP_BYTES;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let mut slots = Vec::with_capacity(RING_SLOTS);
        for _ in 0..RING_SLOTS {
            let staging = self.create(&buffer_descriptor("report", bytes, usage))?;
            let timer = if timed { Some(self.timer()?) } else { None };
            slots.push(GpuSlot {
                staging,
                tag: Mutex::new(0),
                state: Arc::new(AtomicU8::new(FREE)),
                refused: AtomicBool::new(false),
                timer,
            });
        }
        Ok(Slots::Gpu(slots))
    }

    fn timer(&self) -> Result<Timer, Error> {
        let scopes = Scopes::open(&self.device);
        let queries = self.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("step time"),
            ty: wgpu::QueryType::Timestamp,
            count: 2,
        });
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = self.device.create_buffer(&buffer_descriptor("step time", TIMESTAMP_BYTES, usage));
        scopes.close("a timer", &self.report.name)?;
        Ok(Timer { queries, resolved })
    }

    /// Hands over what has arrived, oldest first, without waiting.
    pub(crate) fn collect<E: From<Error>>(
        &self,
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
            let taken = if is_refused { Ok(()) } else { self.hand_over(slot, &mut take) };
            slot.staging.unmap();
            slot.state.store(FREE, Ordering::Release);
            taken?;
        }
        Ok(())
    }

    /// Gives the caller a mapped report.
    fn hand_over<E: From<Error>>(
        &self,
        slot: &GpuSlot,
        take: &mut impl FnMut(Delivery<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mapped = slot.staging.get_mapped_range(..).map_err(|error| self.refused("a report", error.to_string()))?;
        let (bytes, stamps) = mapped.split_at(mapped.len() - TIMESTAMP_BYTES as usize);
        let device_seconds = slot.timer.as_ref().and_then(|_| self.seconds(stamps));
        self.tally.download(bytes.len() as u64);
        take(Delivery { tag: *locked(&slot.tag), bytes, device_seconds })
    }

    fn seconds(&self, stamps: &[u8]) -> Option<f64> {
        let stamps: &[[u8; 8]] = stamps.as_chunks().0;
        let ticks = u64::from_le_bytes(*stamps.get(1)?).checked_sub(u64::from_le_bytes(*stamps.first()?))?;
        Some(ticks as f64 * f64::from(self.queue.get_timestamp_period()) * 1e-9)
    }
}

/// The oldest report, if it has arrived.
fn oldest_arrived(slots: &[GpuSlot]) -> Option<&GpuSlot> {
    let states = slots.iter().map(|slot| (slot.state.load(Ordering::Acquire), *locked(&slot.tag)));
    next_in_order(states).and_then(|place| slots.get(place))
}

pub(super) fn take_free_slot(ring: &Ring, tag: u64) -> Option<&GpuSlot> {
    let Slots::Gpu(slots) = &ring.slots else { return None };
    let slot = slots
        .iter()
        .find(|slot| slot.state.compare_exchange(FREE, UNDER_WAY, Ordering::AcqRel, Ordering::Relaxed).is_ok())?;
    *locked(&slot.tag) = tag;
    slot.refused.store(false, Ordering::Release);
    Some(slot)
}

pub(super) fn encode_report(
    encoder: &mut wgpu::CommandEncoder,
    ring: &Ring,
    slot: &GpuSlot,
    unfinished: Option<Unfinished>,
) -> Result<(), Error> {
    let pending = Pending::new(slot, unfinished);
    let mut at = 0;
    for region in &ring.regions {
        let from = gpu_buffer(&region.buffer)?;
        encoder.copy_buffer_to_buffer(from, region.offset, &slot.staging, at, Some(region.bytes));
        at += region.bytes;
    }
    if let Some(timer) = &slot.timer {
        encoder.resolve_query_set(&timer.queries, 0..2, &timer.resolved, 0);
        encoder.copy_buffer_to_buffer(&timer.resolved, 0, &slot.staging, at, Some(TIMESTAMP_BYTES));
    }
    encoder.map_buffer_on_submit(&slot.staging, wgpu::MapMode::Read, .., move |result| pending.mapped(result));
    Ok(())
}
