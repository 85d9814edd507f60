//! What goes wrong comes back to the call that caused it, and a step that the device took counts as taken.

use crate::support::{engines, fresh_gpu};
use gradus::engine::{CLOCK_SLOTS, Engine, Submission};
use gradus::nn::Network;
use gradus::nn::models::Gpt2;
use gradus::optim::{Optimizer, Parameters, Settings};
use gradus::params::{Group, Param, Row};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// An optimizer of so many elements.
fn optimizer(engine: &Engine, elements: usize, settings: Settings) -> (Parameters, Optimizer) {
    let parameters = Parameters::new(engine, &[Param::new("p", [elements])], None).expect("parameters");
    let groups = [Group::new("all", Row::default(), ["p"])];
    let optimizer = Optimizer::new(engine, &parameters, &groups, settings).expect("an optimizer");
    (parameters, optimizer)
}

/// A buffer that a write is refused for.
fn unwritable(engine: &Engine) -> gradus::engine::Buffer {
    let usage = wgpu::BufferUsages::STORAGE;
    let descriptor = wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false };
    let buffer = engine.device().expect("a device").create_buffer(&descriptor);
    engine.import("read only", &buffer).expect("it can be bound")
}

/// A device of ours, and one that is borrowed.
fn own_and_borrowed() -> Option<[Engine; 2]> {
    let (own, other) = (fresh_gpu()?, fresh_gpu()?);
    let (device, queue) = (other.device().expect("a device").clone(), other.queue().expect("a queue").clone());
    Some([own, Engine::from_device(device, queue).expect("an engine")])
}

#[test]
fn a_fault_of_one_thread_is_not_another_ones() {
    let Some(engines) = own_and_borrowed() else { return };
    for engine in engines {
        let (_parameters, mut optimizer) = optimizer(&engine, 64, Settings::default());
        let (stop, refused) = (AtomicBool::new(false), AtomicU32::new(0));
        const STEPS: u64 = 300;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let clone = engine.clone();
                let bad = unwritable(&clone);
                while !stop.load(Ordering::Acquire) {
                    let told = clone.write(&bad, 0, &[1u32]).expect_err("it is refused").to_string();
                    assert!(told.contains("refused"), "{told}");
                    refused.fetch_add(1, Ordering::AcqRel);
                }
            });
            let mut step = 0;
            // Until both have done a good deal side by side.
            while step < STEPS || refused.load(Ordering::Acquire) < 50 {
                optimizer.step().expect("a step of this thread");
                step += 1;
                assert_eq!(optimizer.next_step(), step);
            }
            stop.store(true, Ordering::Release);
        });
        engine.wait().expect("the engine goes on");
        let applied = optimizer.read_applied_counts().expect("counts")["p"];
        assert_eq!(applied, optimizer.next_step(), "each step that counts was taken, and no other");
    }
}

#[test]
fn a_fault_of_one_clone_is_not_another_ones() {
    let Some(engines) = own_and_borrowed() else { return };
    for engine in engines {
        let (_parameters, mut optimizer) = optimizer(&engine, 64, Settings::default());
        let clone = engine.clone();
        let bad = unwritable(&clone);
        for step in 1..=20 {
            clone.write(&bad, 0, &[1u32]).expect_err("it is refused");
            optimizer.step().expect("a step");
            assert_eq!(optimizer.next_step(), step);
        }
        assert_eq!(optimizer.read_applied_counts().expect("counts")["p"], 20);
    }
}

/// Calls of wgpu that the owner of a handle makes on our own device are told of before anything is given to it.
#[test]
fn a_fault_of_ones_own_call_refuses_what_comes_next_before_it_runs() {
    let Some(engine) = fresh_gpu() else { return };
    let (_parameters, mut optimizer) = optimizer(&engine, 64, Settings::default());
    optimizer.step().expect("a step");
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE;
    let nonsense = wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false };
    let _ = engine.device().expect("a device").create_buffer(&nonsense);
    let told = optimizer.step().expect_err("an error").to_string();
    assert!(told.contains("an earlier call"), "{told}");
    assert_eq!((optimizer.next_step(), optimizer.read_applied_counts().expect("counts")["p"]), (1, 1));
    optimizer.step().expect("the step is there to be taken");
    assert_eq!((optimizer.next_step(), optimizer.read_applied_counts().expect("counts")["p"]), (2, 2));
}

#[test]
fn a_callback_that_fails_inside_a_step_is_not_the_steps_fault() {
    let Some(engines) = own_and_borrowed() else { return };
    for engine in engines {
        let (_parameters, mut optimizer) = optimizer(&engine, 64, Settings::default());
        let (device, queue) = (engine.device().expect("a device").clone(), engine.queue().expect("a queue").clone());
        let mut taken = 0;
        for _ in 0..20 {
            let device = device.clone();
            queue.on_submitted_work_done(move || {
                let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE;
                let nonsense = wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false };
                let _ = device.create_buffer(&nonsense);
            });
            if optimizer.step().is_ok() {
                taken += 1;
            }
            assert_eq!(optimizer.next_step(), taken);
        }
        assert!(taken > 0);
        assert_eq!(optimizer.read_applied_counts().expect("counts")["p"], taken);
    }
}

#[test]
fn panics_of_others_go_through_a_poll() {
    let Some(engines) = own_and_borrowed() else { return };
    for engine in engines {
        let (_parameters, mut optimizer) = optimizer(&engine, 64, Settings::default());
        engine.wait().expect("a wait");
        let queue = engine.queue().expect("a queue").clone();
        queue.submit([]);
        queue.on_submitted_work_done(|| panic!("the host program's own"));
        let panicked = catch_unwind(AssertUnwindSafe(|| engine.wait())).expect_err("the panic comes through");
        assert_eq!(panicked.downcast_ref::<&str>(), Some(&"the host program's own"));
        optimizer.step().expect("the engine goes on");
        engine.wait().expect("a wait");
        assert_eq!(optimizer.read_applied_counts().expect("counts")["p"], 1);
    }
}

/// What is refused, dropped or without a report is not waited for.
#[test]
fn nothing_is_unfinished_once_the_device_is_done() {
    let Some(engines) = own_and_borrowed() else { return };
    for engine in engines {
        let (_parameters, mut optimizer) = optimizer(&engine, 64, Settings::default());
        let bad = unwritable(&engine);
        for _ in 0..20 {
            optimizer.step().expect("a step");
            engine.write(&bad, 0, &[1u32]).expect_err("it is refused");
            let mut encoder = engine.device().expect("a device").create_command_encoder(&Default::default());
            optimizer.encode(&mut encoder).expect("a step that is never submitted");
        }
        engine.keep_pace(0).expect("all is done");
        assert_eq!(optimizer.read_applied_counts().expect("counts")["p"], 20);
    }
}

#[test]
fn slots_are_one_for_each_program_or_none() {
    for engine in engines() {
        let slots = &[0, 1];
        let told = engine.submit(&Submission::default().slots(slots)).expect_err("an error").to_string();
        assert_eq!(told, "2 slots for 0 programs: one for each is needed, or none");
        let slots = &[CLOCK_SLOTS];
        let told = engine.submit(&Submission::default().slots(slots)).expect_err("an error").to_string();
        assert_eq!(told, "slot 1024 is past the clock's last, 1023");
    }
}

/// A page is at most 2 GiB on a device; the CPU engine has no limit that a model meets.
#[test]
fn pages_are_as_large_as_kernels_can_address() {
    let model = Gpt2::preset("base", 50_257, 64).expect("a preset");
    let pass = model.training(1, 8, |_| true).expect("a pass");
    // 154 MB of token table.
    pass.check(&Engine::cpu()).expect("the CPU engine binds GPT-2's table");
    for engine in engines() {
        let (page, limit) = (engine.page_bytes(), 2u64 << 30);
        assert!(page.is_multiple_of(256));
        match engine.adapter() {
            Some(adapter) => assert!(
                page <= limit && page <= adapter.storage_binding_bytes && adapter.storage_binding_bytes <= limit
            ),
            None => assert_eq!(page, 8 << 30),
        }
    }
}
