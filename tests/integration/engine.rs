//! The engine: choice of adapter, errors that come back, counters and the ring.

use crate::support::{fresh_gpu, gpu};
use gradus::engine::kernels::COPY;
use gradus::engine::{
    AdapterChoice, Delivery, Dispatch, Engine, Error, Prepared, Program, Report, Submission, Upload, list_adapters,
};
use gradus::optim::{Optimizer, Parameters, Settings};
use gradus::params::{Group, Param, Row};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn adapters_are_picked_by_name() {
    assert_eq!(AdapterChoice::parse("cpu"), AdapterChoice::Cpu);
    assert_eq!(AdapterChoice::parse(" CPU "), AdapterChoice::Cpu);
    assert_eq!(AdapterChoice::parse(""), AdapterChoice::Best);
    let cpu = Engine::new(&AdapterChoice::Cpu).expect("the CPU engine");
    assert_eq!((cpu.name(), cpu.adapter().is_none()), ("cpu", true));
    if gpu().is_none() {
        return;
    }
    let adapters = list_adapters();
    let first = &adapters[0].name;
    let asked = AdapterChoice::Named(first[..4].to_uppercase());
    assert_eq!(Engine::new(&asked).expect("part of a name, in any case").name(), first);
    let told = Engine::new(&AdapterChoice::parse("no such card")).expect_err("an error").to_string();
    assert!(told.starts_with("no adapter matches \"no such card\"; this machine has: "), "{told}");
    assert!(told.contains(first) && told.ends_with("\"cpu\""), "{told}");
}

#[test]
fn a_buffer_over_the_limit_is_refused_by_name_and_size() {
    let Some(engine) = gpu() else { return };
    let told = engine.buffer("huge", 1 << 50).expect_err("an error").to_string();
    let limit = engine.adapter().expect("an adapter").buffer_bytes;
    assert_eq!(told, format!("buffer \"huge\" of 1125899906842624 bytes is over the device's limit of {limit} bytes"));
    engine.buffer("small", 64).expect("the engine goes on");
}

#[test]
fn a_buffer_over_memory_is_refused_on_the_cpu_engine_too() {
    let engine = Engine::cpu();
    for bytes in [1 << 62, u64::MAX] {
        let told = engine.buffer("huge", bytes).expect_err("an error").to_string();
        assert_eq!(told, format!("out of device memory while making buffer \"huge\" of {bytes} bytes"));
    }
}

#[test]
fn ranges_and_slots_made_by_hand_are_checked() {
    use gradus::engine::{CLOCK_SLOTS, Range};
    for engine in crate::support::engines() {
        let buffer = engine.buffer("four", 16).expect("a buffer");
        let past = Range { buffer: buffer.clone(), offset: 1000, bytes: 4 };
        let told = engine.read::<u32>(&past).expect_err("an error").to_string();
        assert_eq!(told, "range 1000..1004 of buffer \"four\" (16 bytes): reaches past the end");
        assert!(engine.ring(vec![past.clone()]).is_err());
        let copies = vec![(past, buffer.all())];
        assert!(engine.submit(&Submission::default().copies(copies)).is_err());
        let late = Submission::default().slot(CLOCK_SLOTS);
        assert_eq!(engine.submit(&late).expect_err("an error").to_string(), "slot 1024 is past the clock's last, 1023");
    }
}

#[test]
fn the_loss_of_a_borrowed_device_shows_in_the_next_report() {
    let Some(engine) = fresh_gpu() else { return };
    let (device, queue) = (engine.device().expect("a device").clone(), engine.queue().expect("a queue").clone());
    let borrowed = Engine::from_device(device.clone(), queue).expect("an engine");
    let parameters = Parameters::new(&borrowed, &[Param::new("p", [64])], None).expect("parameters");
    let groups = [Group::new("all", Row::default(), ["p"])];
    let mut optimizer = Optimizer::new(&borrowed, &parameters, &groups, Settings::default()).expect("an optimizer");
    optimizer.step().expect("a step");
    borrowed.wait().expect("a wait");
    assert_eq!(optimizer.stats().expect("stats").expect("a report").applied_steps, 1);
    device.destroy();
    let told = [optimizer.step().map(|()| None), optimizer.stats()].into_iter().find_map(Result::err);
    assert!(told.is_some(), "neither the step nor its report tells of the loss");
}

#[test]
fn a_write_past_the_end_is_refused() {
    for engine in crate::support::engines() {
        let buffer = engine.buffer("four", 16).expect("a buffer");
        let told = engine.write(&buffer, 8, &[1u32, 2, 3]).expect_err("an error").to_string();
        assert_eq!(told, "range 8..20 of buffer \"four\" (16 bytes): reaches past the end");
        assert_eq!(engine.read::<u32>(&buffer.all()).expect("a read"), [0; 4]);
    }
}

#[test]
fn a_destroyed_device_is_an_error_not_a_panic() {
    let Some(engine) = fresh_gpu() else { return };
    let parameters = Parameters::new(&engine, &[Param::new("p", [64])], None).expect("parameters");
    let groups = [Group::new("all", Row::default(), ["p"])];
    let mut optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
    optimizer.step().expect("a step");
    engine.wait().expect("a wait");
    engine.device().expect("a device").destroy();
    let told: Vec<String> = [
        optimizer.step().err().map(|error| error.to_string()),
        parameters.read("p").err().map(|error| error.to_string()),
        engine.buffer("after", 64).err().map(|error| error.to_string()),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert_eq!(told.len(), 3, "each call comes back with an error: {told:?}");
    assert!(told.iter().all(|error| error.contains("was lost")), "{told:?}");
}

#[test]
fn a_refused_submission_on_our_own_device_comes_back() {
    let Some(engine) = fresh_gpu() else { return };
    let usage = wgpu::BufferUsages::STORAGE;
    let descriptor = wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false };
    let buffer = engine.device().expect("a device").create_buffer(&descriptor);
    let unwritable = engine.import("read only", &buffer).expect("it can be bound");
    let told = engine.write(&unwritable, 0, &[1u32]).expect_err("no COPY_DST").to_string();
    assert!(told.contains("refused"), "{told}");
    engine.wait().expect("the engine goes on");
}

#[test]
fn a_borrowed_device_keeps_its_own_handlers() {
    let Some(engine) = fresh_gpu() else { return };
    let (device, queue) = (engine.device().expect("a device").clone(), engine.queue().expect("a queue").clone());
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    device.on_uncaptured_error(Arc::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    let borrowed = Engine::from_device(device.clone(), queue).expect("an engine");
    let usage = wgpu::BufferUsages::STORAGE;
    let descriptor = wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false };
    let buffer = device.create_buffer(&descriptor);
    let unwritable = borrowed.import("read only", &buffer).expect("it can be bound");
    borrowed.write(&unwritable, 0, &[1u32]).expect_err("our own error comes back to us");
    assert_eq!(seen.load(Ordering::Relaxed), 0, "and does not reach the owner's handler");
    let nonsense =
        wgpu::BufferDescriptor { usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE, ..descriptor };
    let _ = device.create_buffer(&nonsense);
    assert_eq!(seen.load(Ordering::Relaxed), 1, "the owner's errors reach the owner");
}

#[test]
fn the_ring_carries_what_fits_and_never_waits() {
    for engine in crate::support::fresh_engines() {
        let buffer = engine.buffer("word", 16).expect("a buffer");
        let ring = engine.ring(vec![buffer.range(0, 8).expect("a range")]).expect("a ring");
        assert_eq!(ring.report_bytes(), 8);
        let before = engine.counters();
        let mut seen: Vec<(u64, u32)> = Vec::new();
        let collect_into = |seen: &mut Vec<(u64, u32)>| {
            let take = |delivery: Delivery<'_>| {
                seen.push((delivery.tag, word(delivery.bytes)));
                Ok::<(), Error>(())
            };
            engine.collect(&ring, take).expect("reports");
        };
        for step in 0..50u32 {
            let data = bytemuck::cast_slice(&[step, step + 1]).to_vec();
            let uploads = vec![Upload::new(buffer.clone(), 0, data)];
            let report = Some(Report::new(&ring, u64::from(step)));
            engine.submit(&Submission::default().uploads(uploads).report(report)).expect("a submission");
            collect_into(&mut seen);
        }
        assert_eq!((engine.counters() - before).blocking_waits, 0);
        engine.wait().expect("a wait");
        collect_into(&mut seen);
        assert!(!seen.is_empty() && seen.is_sorted(), "{seen:?}");
        assert!(seen.iter().all(|(tag, word)| *tag == u64::from(*word)), "a report is that of its tag: {seen:?}");
    }
}

#[test]
fn a_submission_brings_back_a_report_of_each_part() {
    for engine in crate::support::fresh_engines() {
        let seen = engine.buffer("seen", 16).expect("a buffer");
        let copy = |word: u32| {
            let from = engine.buffer_with("word", &[word; 4]).expect("a buffer");
            let mut program = Program::new("copy");
            program.dispatches.push(
                Dispatch::new(COPY.plain(), vec![(&from).into(), (&seen).into()], [1, 1, 1])
                    .constants(vec![])
                    .bytes(32),
            );
            engine.prepare(program).expect("a program")
        };
        let copies: Vec<Prepared> = (0..6).map(copy).collect();
        let programs: Vec<&Prepared> = copies.iter().collect();
        let ring = engine.ring_with_room(vec![seen.range(0, 8).expect("a range")], 4).expect("a ring");
        let submit = |programs: &[&Prepared], tag, parts| {
            let report = Some(Report::new(&ring, tag).parts(parts));
            engine.submit(&Submission::of(programs).report(report))
        };
        let before = engine.counters();
        submit(&programs, 10, 3).expect("a submission");
        submit(&programs[..4], 13, 4).expect("a submission");
        engine.wait().expect("a wait");
        // Where one is not taken, those behind it are there the next time, be they of the same submission.
        let mut told = Vec::new();
        for refused in [11, 14, u64::MAX] {
            let taken = engine.collect(&ring, |delivery| {
                told.push((delivery.tag, word(delivery.bytes)));
                let is_refused = delivery.tag == refused;
                if is_refused { Err(Error::NoSuchSlot { slot: 0 }) } else { Ok(()) }
            });
            assert_eq!(taken.is_err(), refused < u64::MAX);
        }
        assert_eq!(told, [(10, 1), (11, 3), (12, 5), (13, 0), (14, 1), (15, 2), (16, 3)]);
        let cost = engine.counters() - before;
        assert_eq!((cost.submissions, cost.dispatches, cost.downloaded_bytes), (2, 10, 7 * 8));
        for (programs, parts) in [(&programs[..], 4), (&programs[..], 0), (&programs[..5], 5)] {
            let told = submit(programs, 0, parts).expect_err("an error").to_string();
            let count = programs.len();
            let expected = format!(
                "{parts} reports of {count} programs: each is of as many programs, and the ring has room for 4"
            );
            assert_eq!(told, expected);
        }
        assert!(ring.has_free_slot());
    }
}

fn word(bytes: &[u8]) -> u32 {
    assert_eq!(bytes.len(), 8);
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[test]
fn a_program_that_does_not_fit_its_kernel_is_refused() {
    use gradus::engine::kernels::{CLIP, Flag};
    use gradus::engine::{Binding, Dispatch, Program};
    for engine in crate::support::engines() {
        let buffer = engine.buffer("b", 64).expect("a buffer");
        let with = |bindings: Vec<Binding>| {
            let mut program = Program::new("test");
            program.dispatches.push(Dispatch::new(CLIP.plain(), bindings, [1, 1, 1]).constants(vec![]));
            engine.prepare(program).expect_err("an error").to_string()
        };
        assert_eq!(with(vec![(&buffer).into()]), "program \"test\", kernel \"clip\": 1 bindings given, 4 declared");
        let clocked = vec![(&buffer).into(), (&buffer).into(), (&buffer).into(), Binding::Clock];
        assert_eq!(with(clocked), "program \"test\", kernel \"clip\": binding 3 is declared Uniform");
    }
    assert!(matches!(CLIP.variant(Flag::Squares), Err(Error::NoSuchKernel { .. })));
}
