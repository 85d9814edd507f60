//! What is measured: that it comes, in figures that can be; never how fast.

use crate::support::engines;
use gradus::engine::kernels::COPY;
use gradus::engine::{Dispatch, Program, Submission};
use gradus::measure::workload::{elements, encoder, layer_groups, one_group, shrunk, thawed};
use gradus::measure::{self, Extent, Memory, Product, Quartiles, Target};
use gradus::optim::{Clip, Settings};

#[test]
fn a_report_holds_every_figure_and_goes_to_json() {
    for engine in engines() {
        let sizes: &[(usize, u64)] = if engine.adapter().is_some() { &[(1 << 20, 28 << 20)] } else { &[] };
        let tensors = shrunk(&encoder(), 200);
        let extent = Extent::of(&engine).most_parameters(sizes.len() << 20).pairs(1).tensors(tensors);
        let report = measure::adapter(&engine, &extent, |_| ()).expect("a report");
        assert_eq!(report.figures.copies.len(), 2);
        assert!(report.figures.copies.iter().all(|copy| copy.seconds > 0.0 && copy.bytes == 8 * (64 << 20)));
        let measured: Vec<(usize, u64)> =
            report.figures.sizes.iter().map(|size| (size.parameters, size.bytes)).collect();
        assert_eq!(measured, sizes);
        assert!(report.figures.sizes.iter().all(|size| size.wall_seconds >= size.device_seconds.unwrap_or(0.0)));
        let targets = report.figures.comparisons.iter().filter(|comparison| comparison.target.is_some()).count();
        assert!(targets >= 4 && report.figures.comparisons.iter().all(|one| one.ratio.median() > 0.0), "{report}");
        assert!(report.figures.comparisons.iter().all(|one| one.met.is_some() == one.target.is_some()));
        let rates = |product: &Product| product.operations_per_second();
        assert!(report.figures.products.iter().flat_map(rates).all(|rate| rate > 0.0 && rate.is_finite()));
        assert!(report.figures.sizes.iter().all(|size| size.share_of_copy.is_some_and(|share| share.median() > 0.0)));
        assert_eq!(report.timestamps, engine.has_timestamps());
        let host = &report.figures.host;
        assert!(host.ratio.median() > 0.0 && host.met == host.target.is_met(host.ratio.median()));
        assert!(host.shared_ratio.median() > 0.0);
        let json: serde_json::Value = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["adapter"], engine.name());
        let told = report.to_string();
        for words in
            ["copy_buffer_to_buffer", "465 groups / 1 group", "the host's part of a step / an empty submission"]
        {
            assert!(told.contains(words), "{words:?} is missing in\n{told}");
        }
    }
}

#[test]
fn copies_and_steps_are_timed_by_the_device_where_that_is_wanted() {
    for engine in engines() {
        for (engine, wanted) in [(engine.clone(), true), (engine.untimed(), false)] {
            let has = |feature: &(&str, bool)| *feature == ("timestamps", true);
            let can_tell = engine.adapter().is_some_and(|adapter| adapter.features.iter().any(has));
            assert_eq!(engine.has_timestamps(), can_tell && wanted);
            let tensors = shrunk(&encoder(), 200);
            let memory = Memory::new(&engine, elements(&tensors)).expect("memory");
            let step = memory.fused(&tensors, &one_group(&tensors), Settings::default()).expect("a step");
            for mut work in [step, memory.copy().expect("copies")] {
                let taken = work.time().expect("a time");
                assert_eq!(taken.device.is_some_and(|seconds| seconds > 0.0), engine.has_timestamps(), "{taken:?}");
                assert!(taken.wall >= taken.best(), "{taken:?}");
            }
        }
    }
}

#[test]
fn bytes_are_those_of_the_trainable_parameters() {
    for engine in engines() {
        let tensors = encoder();
        let memory = Memory::new(&engine, elements(&tensors)).expect("memory");
        let some = thawed(&tensors, 90);
        let clipped = Settings::default().clip(Clip::norm(1.0));
        for (settings, each) in [(Settings::default(), 28), (clipped, 32)] {
            let mut step = memory.fused(&tensors, &one_group(&some), settings).expect("a step");
            assert_eq!(step.bytes().expect("a count"), each * elements(&some) as u64);
        }
        let mut grouped = memory.fused(&tensors, &layer_groups(&tensors), Settings::default()).expect("a step");
        assert_eq!(grouped.bytes().expect("a count"), 28 * 22_565_376);
    }
}

#[test]
fn quartiles_and_targets_say_what_they_say() {
    assert_eq!(Quartiles::of(vec![5.0, 1.0, 3.0, 2.0, 4.0]).0, [2.0, 3.0, 4.0]);
    assert_eq!(Quartiles::of(vec![7.0]).0, [7.0; 3]);
    assert!(Target::AtMost(1.05).is_met(1.05) && !Target::AtMost(1.05).is_met(1.06));
    assert!(Target::AtLeast(0.9).is_met(0.9) && !Target::AtLeast(0.9).is_met(0.89));
    assert!(!Target::AtLeast(0.9).is_met(f64::NAN));
}

#[test]
fn a_kernel_copies_all_and_nothing_else() {
    for engine in engines() {
        for (workgroup, quads, count) in [(64, 4, 1000), (8, 32, 1), (64, 1, 4096), (256, 4, 5000)] {
            let numbers: Vec<f32> = (0..count * 4).map(|place| place as f32).collect();
            let source = engine.buffer_with("source", &numbers).expect("memory");
            let to = engine.buffer_with("to", &vec![-1f32; numbers.len() + 64]).expect("memory");
            let target = to.range(0, numbers.len() as u64 * 4).expect("a range");
            let dispatch = Dispatch::new(
                COPY.plain(),
                vec![(&source).into(), target.into()],
                [(count as u32).div_ceil((workgroup * quads) as u32) + 1, 1, 1],
            )
            .constants(vec![("WORKGROUP", f64::from(workgroup)), ("QUADS", f64::from(quads))]);
            let program = Program::of("copy", vec![dispatch]);
            let program = engine.prepare(program).expect("a program");
            engine.submit(&Submission::of(&[&program])).expect("a run");
            let read: Vec<f32> = engine.read(&to.all()).expect("numbers");
            assert_eq!(read[..numbers.len()], numbers);
            assert!(read[numbers.len()..].iter().all(|number| *number == -1.0));
        }
    }
}
