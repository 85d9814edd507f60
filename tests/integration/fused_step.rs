//! What the fused step promises beyond its numbers: frozen groups cost nothing, paging changes no bit, a step is one
//! submission, skipped steps change nothing, state survives.

use crate::support::{assert_close, engines, fresh_gpu, gpu, noise, sized_engines};
use gradus::engine::{Counters, Engine};
use gradus::optim::{Best, Clip, Error, Optimizer, Parameters, Refreeze, Settings};
use gradus::params::{Field, Group, Param, Row};
use std::collections::BTreeMap;

/// A small model: an odd weight, a bias, and a tensor of several chunks.
fn model() -> Vec<Param> {
    vec![Param::new("head.weight", [10, 33]), Param::new("head.bias", [10]), Param::new("trunk.weight", [100, 123])]
}

fn filled(engine: &Engine, params: &[Param], page_bytes: Option<u64>) -> Parameters {
    let parameters = Parameters::new(engine, params, page_bytes).expect("parameters");
    for (place, param) in params.iter().enumerate() {
        parameters.upload(&param.name, &noise(place as u32, param.elements())).expect("an upload");
    }
    parameters
}

fn two_groups() -> Vec<Group> {
    let row = Row::adamw(1e-2).weight_decay(0.1);
    vec![Group::new("head", row, ["head.weight", "head.bias"]), Group::new("trunk", row.lr(1e-3), ["trunk.weight"])]
}

fn give_gradients(optimizer: &mut Optimizer, params: &[Param], step: u32) {
    for (place, param) in params.iter().enumerate() {
        if optimizer.is_trainable(&param.name).expect("a parameter") {
            let gradient = noise(step * 100 + place as u32, param.elements());
            optimizer.upload_gradient(&param.name, &gradient).expect("a gradient");
        }
    }
}

fn all(parameters: &Parameters) -> BTreeMap<String, Vec<u32>> {
    let bits = |name: &str| parameters.read(name).expect("values").into_iter().map(f32::to_bits).collect();
    parameters.params().iter().map(|param| (param.name.clone(), bits(&param.name))).collect()
}

#[test]
fn tiny_pages_give_the_same_bits() {
    for engine in sized_engines() {
        let params = vec![Param::new("a", [3]), Param::new("b", [5 * 4096 + 77]), Param::new("c", [9000])];
        let row = Row::adamw(1e-2).amsgrad(true);
        let groups = [Group::new("one", row, ["a", "b"]), Group::new("two", row.lr(1e-3), ["c"])];
        for clip in [Clip::None, Clip::norm(0.1)] {
            let run = |page_bytes: Option<u64>| {
                let settings = Settings::default().clip(clip).page_bytes(page_bytes);
                let parameters = filled(&engine, &params, page_bytes);
                let mut optimizer = Optimizer::new(&engine, &parameters, &groups, settings).expect("an optimizer");
                for step in 0..4 {
                    give_gradients(&mut optimizer, &params, step);
                    optimizer.step().expect("a step");
                }
                let updates = optimizer.program().expect("a program");
                let updates = updates.dispatches.iter().filter(|d| d.kernel.name.starts_with("adamw")).count();
                (all(&parameters), optimizer.read_state().expect("state"), parameters.pages().len(), updates)
            };
            let (values, state, pages, updates) = run(None);
            assert_eq!((pages, updates), (1, 1), "one page is one dispatch");
            let (tiny_values, tiny_state, tiny_pages, tiny_updates) = run(Some(4096 * 4));
            assert!(tiny_pages >= 8 && tiny_updates >= 8, "{tiny_pages} pages, {tiny_updates} updates");
            assert!(values == tiny_values && state == tiny_state, "bits differ on {} with {clip:?}", engine.name());
            // Pages of different sizes for parameters and state: many pairs of windows.
            let settings = Settings::default().clip(clip).page_bytes(3 * 4096 * 4);
            let parameters = filled(&engine, &params, Some(2 * 4096 * 4));
            let mut optimizer = Optimizer::new(&engine, &parameters, &groups, settings).expect("an optimizer");
            for step in 0..4 {
                give_gradients(&mut optimizer, &params, step);
                optimizer.step().expect("a step");
            }
            assert!(values == all(&parameters), "bits differ with uneven pages on {}", engine.name());
        }
    }
}

#[test]
fn two_runs_give_the_same_bits() {
    for engine in engines() {
        let run = || {
            let parameters = filled(&engine, &model(), None);
            let settings = Settings::default().clip(Clip::norm(0.5)).guard(true);
            let mut optimizer = Optimizer::new(&engine, &parameters, &two_groups(), settings).expect("an optimizer");
            for step in 0..10 {
                give_gradients(&mut optimizer, &model(), step);
                optimizer.step().expect("a step");
            }
            (all(&parameters), optimizer.read_state().expect("state"))
        };
        assert!(run() == run(), "two runs differ on {}", engine.name());
    }
}

#[test]
fn a_frozen_group_costs_nothing_and_keeps_its_bits() {
    for engine in engines() {
        let parameters = filled(&engine, &model(), None);
        let mut optimizer =
            Optimizer::new(&engine, &parameters, &two_groups(), Settings::default()).expect("an optimizer");
        let trainable: u64 = model().iter().map(|param| param.elements() as u64).sum();
        assert_eq!(optimizer.program().expect("a program").bytes(), 28 * trainable);
        optimizer.freeze("trunk", Refreeze::KeepState).expect("a group");
        let head = 10 * 33 + 10;
        assert_eq!(optimizer.program().expect("a program").bytes(), 28 * head, "frozen bytes are not moved");
        let before = all(&parameters);
        for step in 0..5 {
            give_gradients(&mut optimizer, &model(), step);
            optimizer.step().expect("a step");
        }
        let after = all(&parameters);
        assert!(before["trunk.weight"] == after["trunk.weight"], "a frozen tensor moved");
        assert!(before["head.weight"] != after["head.weight"], "a trained tensor did not move");
        assert_eq!(optimizer.read_applied_counts().expect("counts")["trunk.weight"], 0);
        assert_eq!(optimizer.gradient("trunk.weight").expect("its place is kept").bytes, 100 * 123 * 4);

        optimizer.freeze("head", Refreeze::KeepState).expect("a group");
        assert_eq!(optimizer.program().expect("a program").bytes(), 0, "nothing is left to do");
        optimizer.step().expect("a step over nothing");
        assert!(after == all(&parameters));
    }
}

#[test]
fn a_frozen_trunk_has_no_moments_until_it_thaws() {
    let engine = Engine::cpu();
    let parameters = filled(&engine, &model(), None);
    let head = &two_groups()[..1];
    let mut optimizer = Optimizer::new(&engine, &parameters, head, Settings::default()).expect("an optimizer");
    assert!(matches!(optimizer.gradient("trunk.weight"), Err(Error::NotOwned { .. })));
    let state = optimizer.read_state().expect("state");
    assert!(safetensors::SafeTensors::deserialize(&state).expect("a file").tensor("trunk.weight.exp_avg").is_err());
    let layout = optimizer.layout();
    optimizer.add_group(&two_groups()[1]).expect("a group");
    assert!(optimizer.layout() != layout);
    assert!(optimizer.gradient("trunk.weight").is_ok());
}

#[test]
fn refreezing_keeps_or_drops_state() {
    for engine in engines() {
        let parameters = filled(&engine, &model(), None);
        let mut optimizer =
            Optimizer::new(&engine, &parameters, &two_groups(), Settings::default()).expect("an optimizer");
        let take = |optimizer: &mut Optimizer| {
            give_gradients(optimizer, &model(), 1);
            optimizer.step().expect("a step");
            let counts = optimizer.read_applied_counts().expect("counts");
            (counts["head.weight"], counts["trunk.weight"])
        };
        assert_eq!(take(&mut optimizer), (1, 1));
        optimizer.freeze("trunk", Refreeze::KeepState).expect("a group");
        assert_eq!(take(&mut optimizer), (2, 1));
        optimizer.thaw("trunk").expect("a group");
        assert_eq!(take(&mut optimizer), (3, 2));
        let moments = moments(&optimizer, "head.weight");
        optimizer.freeze("trunk", Refreeze::DropState).expect("a group");
        assert!(matches!(optimizer.gradient("trunk.weight"), Err(Error::NotOwned { .. })));
        optimizer.thaw("trunk").expect("a group");
        assert_eq!(moments, self::moments(&optimizer, "head.weight"), "what stays is copied, bit for bit");
        assert!(self::moments(&optimizer, "trunk.weight").iter().all(|m| *m == 0), "what was dropped starts at zero");
        assert_eq!(take(&mut optimizer), (4, 1));
    }
}

fn moments(optimizer: &Optimizer, name: &str) -> Vec<u32> {
    let state = optimizer.read_state().expect("state");
    let file = safetensors::SafeTensors::deserialize(&state).expect("a file");
    bytemuck::pod_collect_to_vec(file.tensor(&format!("{name}.exp_avg")).expect("a moment").data())
}

#[test]
fn a_thaw_keeps_moments_and_gradients_across_pages() {
    for engine in engines() {
        let params = vec![Param::new("a", [5000]), Param::new("b", [9000]), Param::new("c", [3000])];
        let row = Row::adamw(1e-2);
        let settings = Settings::default().page_bytes(2 * 4096 * 4);
        let run = |late: bool| {
            let parameters = filled(&engine, &params, None);
            let groups = [Group::new("one", row, ["a", "b"]), Group::new("two", row, ["c"])];
            let mut optimizer = Optimizer::new(&engine, &parameters, &groups, settings).expect("an optimizer");
            optimizer.freeze("two", Refreeze::DropState).expect("a group");
            if !late {
                optimizer.thaw("two").expect("a group");
                optimizer.freeze("two", Refreeze::KeepState).expect("a group");
            }
            for step in 0..3 {
                give_gradients(&mut optimizer, &params, step);
                optimizer.step().expect("a step");
            }
            // The gradients are there before the thaw that moves them.
            give_gradients(&mut optimizer, &params, 3);
            optimizer.thaw("two").expect("a group");
            optimizer.step().expect("a step");
            let (a, c) = ("a".to_owned(), "c".to_owned());
            let all = all(&parameters);
            (all[&a].clone(), all["b"].clone(), all[&c].clone(), optimizer.read_state().expect("state"))
        };
        let (late, early) = (run(true), run(false));
        assert!(late == early, "a thaw that moves memory is a thaw that does not, on {}", engine.name());
    }
}

#[test]
fn a_thaw_is_one_submission_and_moves_only_lists() {
    let Some(engine) = fresh_gpu() else { return };
    let parameters = filled(&engine, &model(), None);
    let mut optimizer = Optimizer::new(&engine, &parameters, &two_groups(), Settings::default()).expect("an optimizer");
    optimizer.freeze("trunk", Refreeze::DropState).expect("a group");
    optimizer.step().expect("a step");
    let before = engine.counters();
    optimizer.thaw("trunk").expect("a group");
    optimizer.step().expect("a step");
    let counted = engine.counters() - before;
    assert!(counted.submissions <= 2, "{counted:?}");
    assert!(counted.uploaded_bytes < 2048, "{counted:?}");
    assert_eq!(counted.blocking_waits, 0);
}

/// What a thaw uploads: lists and table, counted from their sizes; and what it submits: at most the copies of what moves,
/// then the step. A best copy that is restored and extended on the way adds one submission.
#[test]
fn a_new_group_costs_its_lists_and_at_most_two_submissions() {
    let Some(engine) = fresh_gpu() else { return };
    let [head, trunk] = &two_groups()[..] else { panic!("two groups") };
    let chunks: u64 = model().iter().map(|param| (param.elements() as u64).div_ceil(4096)).sum();
    for (clip, page_bytes) in [(Clip::None, None), (Clip::norm(1.0), None), (Clip::norm(1.0), Some(4096 * 4))] {
        for with_best in [false, true] {
            let parameters = filled(&engine, &model(), page_bytes);
            let settings = Settings::default().clip(clip).page_bytes(page_bytes);
            let mut optimizer =
                Optimizer::new(&engine, &parameters, std::slice::from_ref(head), settings).expect("an optimizer");
            give_gradients(&mut optimizer, &model(), 0);
            optimizer.step().expect("a step");
            let mut best = Best::new(u64::MAX);
            best.keep(&optimizer).expect("a copy");
            let before = engine.counters();
            if with_best {
                best.restore_and_extend(&mut optimizer, &["trunk.weight"]).expect("a transition");
            }
            optimizer.add_group(trunk).expect("a group");
            let thawed = engine.counters();
            optimizer.step().expect("a step");
            let counted = engine.counters() - before;
            assert!((thawed - before).submissions <= 1 + u64::from(with_best), "before the step: {counted:?}");
            assert_eq!((engine.counters() - thawed).submissions, 1);
            assert_eq!((counted.blocking_waits, counted.downloaded_bytes), (0, 0));

            let kernels: Vec<&str> =
                optimizer.program().expect("a program").dispatches.iter().map(|one| one.kernel.name).collect();
            let runs = |name: &str| kernels.iter().filter(|kernel| **kernel == name).count() as u64;
            let segments = 256 * (runs("norm") + runs("adamw"));
            // Where each partial sum begins, and the last ends; and that there is one clip for all groups.
            let bounds = if runs("norm") > 0 { 4 * (chunks + 1) } else { 0 };
            let sets = size_of::<gradus::engine::layout::ClipSet>() as u64;
            let (settings_bytes, tensors, table) =
                (64, 3 * 12, 16 + 2 * size_of::<gradus::engine::layout::TableRow>() as u64);
            let expected = size_of::<gradus::engine::layout::Chunk>() as u64 * chunks
                + segments
                + bounds
                + sets
                + settings_bytes
                + tensors
                + table;
            assert_eq!(counted.uploaded_bytes, expected, "{clip:?} {page_bytes:?} {kernels:?}");
        }
    }
}

#[test]
fn a_step_is_one_submission_and_no_wait() {
    let Some(engine) = fresh_gpu() else { return };
    let steps = 300u64;
    let groups = two_groups();
    for (clip, per_element) in [(Clip::None, 28), (Clip::norm(1.0), 32)] {
        let parameters = filled(&engine, &model(), None);
        let settings = Settings::default().clip(clip);
        let mut optimizer = Optimizer::new(&engine, &parameters, &groups, settings).expect("an optimizer");
        give_gradients(&mut optimizer, &model(), 0);
        let horizon = u64::from(optimizer.horizon_steps());
        let before = engine.counters();
        for step in 0..steps {
            if step % horizon == 0 {
                let rows: Vec<Row> =
                    (0..horizon.min(steps - step)).flat_map(|_| groups.iter().map(|g| g.row)).collect();
                optimizer.load_rows(step, &rows).expect("rows");
            }
            optimizer.step().expect("a step");
            optimizer.stats().expect("stats");
        }
        let counted: Counters = engine.counters() - before;
        let trainable: u64 = model().iter().map(|param| param.elements() as u64).sum();
        assert_eq!(counted.submissions, steps);
        assert_eq!(counted.blocking_waits, 0);
        assert_eq!(counted.program_bytes, steps * per_element * trainable);
        // The lists of the first step travel inside its submission, apart from the table: 2 tables in 300 steps.
        let tables = steps.div_ceil(horizon);
        assert!(tables * 100 <= steps, "at most one upload per 100 steps");
        let lists = 4 + 3 * u64::from(clip != Clip::None) + 1;
        assert!(counted.uploads <= tables + lists, "{counted:?}");
        let average = counted.uploaded_bytes as f64 / (steps * groups.len() as u64) as f64;
        assert!(average <= 64.0, "{average} bytes per group and step");
        // In steady state there is nothing to upload at all.
        let before = engine.counters();
        optimizer.load_rows(steps, &vec![groups[0].row; 2 * horizon as usize]).expect("rows");
        for _ in 0..100 {
            optimizer.step().expect("a step");
        }
        assert_eq!((engine.counters() - before).uploads, 1);
    }
}

#[test]
fn a_nonfinite_gradient_skips_the_whole_step() {
    for engine in sized_engines() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let parameters = filled(&engine, &model(), None);
            let settings = Settings::default().guard(true);
            let mut optimizer = Optimizer::new(&engine, &parameters, &two_groups(), settings).expect("an optimizer");
            give_gradients(&mut optimizer, &model(), 0);
            optimizer.step().expect("a step");
            let (before, state) = (all(&parameters), optimizer.read_state().expect("state"));
            let mut poisoned = noise(3, 100 * 123);
            poisoned[12_299] = bad;
            optimizer.upload_gradient("trunk.weight", &poisoned).expect("a gradient");
            optimizer.step().expect("a step");
            assert!(before == all(&parameters), "parameters changed");
            assert!(state == optimizer.read_state().expect("state"), "moments or counts changed");
            let stats = optimizer.stats().expect("stats").expect("a report");
            assert!(stats.skipped && stats.skipped_steps == 1 && stats.applied_steps == 1, "{stats:?}");
            assert_eq!(stats.bad_group, Some(1), "the trunk is the second group");
            assert_eq!(stats.step, 1);
            // A frozen tensor's gradient does not count.
            optimizer.freeze("trunk", Refreeze::KeepState).expect("a group");
            give_gradients(&mut optimizer, &model(), 2);
            optimizer.step().expect("a step");
            engine.wait().expect("a wait");
            let stats = optimizer.stats().expect("stats").expect("a report");
            assert!(!stats.skipped && stats.applied_steps == 2 && stats.step == 2, "{stats:?}");
            let timed = |name: &&(&str, bool)| **name == ("timestamps", true);
            let can_tell = engine.adapter().is_some_and(|adapter| adapter.features.iter().any(|one| timed(&one)));
            assert_eq!(stats.device_seconds.is_some_and(|seconds| seconds > 0.0), can_tell, "{stats:?}");
        }
    }
}

#[test]
fn a_nonfinite_norm_can_be_an_error() {
    for engine in sized_engines() {
        let parameters = filled(&engine, &model(), None);
        let clip = Clip::norm(1.0).error_if_nonfinite(true);
        let settings = Settings::default().clip(clip);
        let mut optimizer = Optimizer::new(&engine, &parameters, &two_groups(), settings).expect("an optimizer");
        give_gradients(&mut optimizer, &model(), 0);
        optimizer.upload_gradient("head.bias", &[f32::INFINITY; 10]).expect("a gradient");
        let before = all(&parameters);
        optimizer.step().expect("the error comes with a report");
        engine.wait().expect("a wait");
        let told = optimizer.stats().expect_err("an error").to_string();
        assert_eq!(
            told,
            "the total norm of order 2 of the gradients at step 0 is not finite (inf); the step was skipped"
        );
        assert!(before == all(&parameters), "parameters changed");
        assert!(optimizer.stats().expect("told once").expect("a report").skipped);
    }
}

#[test]
fn set_takes_effect_at_once_and_on_rows_to_come() {
    for engine in engines() {
        let params = [Param::new("p", [4])];
        let row = Row::adamw(0.0).weight_decay(0.0);
        let parameters = filled(&engine, &params, None);
        let groups = [Group::new("all", row, ["p"])];
        let mut optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
        optimizer.upload_gradient("p", &[1.0; 4]).expect("a gradient");
        let start = parameters.read("p").expect("values");
        let moved = |lr: f32| start.iter().map(|p| p - lr).collect::<Vec<f32>>();
        optimizer.step().expect("a step");
        assert_eq!(parameters.read("p").expect("values"), start, "lr 0 leaves the parameters");
        optimizer.set("all", Field::Lr, 0.5).expect("a value");
        optimizer.step().expect("a step");
        assert_close("after set", &parameters.read("p").expect("values"), &moved(0.5), 1e-6, 1e-6);
        // Loaded rows: set changes this step's and later ones, not the group's alone.
        optimizer.load_rows(2, &[row.lr(0.25), row.lr(0.125), row.lr(1.0)]).expect("rows");
        optimizer.step().expect("a step");
        assert_close("row 0", &parameters.read("p").expect("values"), &moved(0.75), 1e-6, 1e-6);
        optimizer.set("all", Field::Lr, 2.0).expect("a value");
        assert_eq!(optimizer.row("all").expect("a row").lr, 2.0);
        optimizer.step().expect("a step");
        optimizer.step().expect("a step");
        assert_close("rows 1 and 2", &parameters.read("p").expect("values"), &moved(4.75), 1e-6, 1e-6);
        let told = optimizer.step().expect_err("the rows are used up").to_string();
        assert_eq!(told, "no row for step 5: the rows loaded cover 2..5; load the next ones with load_rows");
    }
}

#[test]
fn held_rows_never_run_out() {
    for engine in engines() {
        let parameters = filled(&engine, &[Param::new("p", [4])], None);
        let groups = [Group::new("all", Row::adamw(1e-3), ["p"])];
        let mut optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
        for _ in 0..1030 {
            optimizer.step().expect("a step");
            optimizer.stats().expect("stats");
        }
        engine.wait().expect("a wait");
        optimizer.stats().expect("stats");
        optimizer.step().expect("a step");
        engine.wait().expect("a wait");
        let stats = optimizer.stats().expect("stats").expect("a report");
        assert_eq!((stats.step, stats.applied_steps), (1030, 1031));
    }
}

#[test]
fn state_goes_to_a_file_and_back() {
    for engine in engines() {
        let row = Row::adamw(1e-2).amsgrad(true);
        let groups = [Group::new("all", row, model().iter().map(|param| param.name.clone()))];
        let run = |parameters: &Parameters, optimizer: &mut Optimizer, steps: std::ops::Range<u32>| {
            for step in steps {
                give_gradients(optimizer, &model(), step);
                optimizer.step().expect("a step");
            }
            all(parameters)
        };
        let parameters = filled(&engine, &model(), None);
        let mut optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
        run(&parameters, &mut optimizer, 0..5);
        let (saved, state) = (parameters.read_file().expect("a file"), optimizer.read_state().expect("state"));
        let straight = run(&parameters, &mut optimizer, 5..8);

        let resumed = Parameters::new(&engine, &model(), None).expect("parameters");
        resumed.load(&saved).expect("a file");
        let mut optimizer = Optimizer::new(&engine, &resumed, &groups, Settings::default()).expect("an optimizer");
        optimizer.load_state(&state).expect("state");
        assert_eq!(optimizer.read_state().expect("state"), state, "a state read back is the state");
        assert!(run(&resumed, &mut optimizer, 5..8) == straight, "a run that goes on is the run");
    }
}

#[test]
fn a_bad_state_file_changes_nothing() {
    let engine = Engine::cpu();
    let parameters = filled(&engine, &model(), None);
    let mut optimizer = Optimizer::new(&engine, &parameters, &two_groups(), Settings::default()).expect("an optimizer");
    give_gradients(&mut optimizer, &model(), 0);
    optimizer.step().expect("a step");
    let state = optimizer.read_state().expect("state");
    let other = vec![Param::new("head.weight", [10, 34])];
    let strange = Optimizer::new(
        &engine,
        &filled(&engine, &other, None),
        &[Group::new("all", Row::default(), ["head.weight"])],
        Settings::default(),
    )
    .expect("an optimizer");
    for (file, told) in [
        (state[..state.len() / 2].to_vec(), "safetensors file: "),
        (vec![0xff; 100], "safetensors file: "),
        (strange.read_state().expect("state"), "\"head.weight.exp_avg\" is of shape [10, 34], not [10, 33]"),
    ] {
        let error = optimizer.load_state(&file).expect_err("an error").to_string();
        assert!(error.contains(told), "{error}");
        assert!(optimizer.read_state().expect("state") == state, "state changed");
    }
}

#[test]
fn a_selection_leaves_the_others_alone_and_goes_out_of_date() {
    for engine in engines() {
        let parameters = filled(&engine, &model(), None);
        let mut optimizer =
            Optimizer::new(&engine, &parameters, &two_groups(), Settings::default()).expect("an optimizer");
        give_gradients(&mut optimizer, &model(), 0);
        let selection = optimizer.select(&["trunk.weight"]).expect("a selection");
        let before = all(&parameters);
        optimizer.step_over(&selection).expect("a step");
        let after = all(&parameters);
        assert!(before["head.weight"] == after["head.weight"] && before["trunk.weight"] != after["trunk.weight"]);
        optimizer.freeze("head", Refreeze::KeepState).expect("a group");
        assert!(matches!(optimizer.step_over(&selection), Err(Error::StaleSelection)));
        assert_eq!(optimizer.next_step(), 1, "a refused step does not count");
    }
}

#[test]
fn encoding_into_a_callers_encoder_is_the_same_step() {
    let Some(engine) = gpu() else { return };
    let device = engine.device().expect("a device").clone();
    let run = |own_encoder: bool| {
        let parameters = filled(&engine, &model(), None);
        let mut optimizer =
            Optimizer::new(&engine, &parameters, &two_groups(), Settings::default()).expect("an optimizer");
        give_gradients(&mut optimizer, &model(), 0);
        for step in 0..3 {
            optimizer.set("head", Field::Lr, 1e-2 / f64::from(step + 1)).expect("a value");
            if own_encoder {
                let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                optimizer.encode(&mut encoder).expect("a step");
                engine.queue().expect("a queue").submit([encoder.finish()]);
            } else {
                optimizer.step().expect("a step");
            }
        }
        engine.wait().expect("a wait");
        assert_eq!(optimizer.stats().expect("stats").expect("a report").applied_steps, 3);
        all(&parameters)
    };
    assert!(run(true) == run(false));
}

#[test]
fn many_steps_in_one_encoder_have_the_bits_of_one_by_one() {
    let Some(engine) = gpu() else { return };
    let device = engine.device().expect("a device").clone();
    let submit = |encoder: wgpu::CommandEncoder| {
        engine.queue().expect("a queue").submit([encoder.finish()]);
    };
    let rows = |steps: u32| -> Vec<Row> {
        (0..steps).flat_map(|step| [1e-2, 1e-3].map(|lr| Row::adamw(lr / f64::from(step + 1)))).collect()
    };
    // The encoder itself makes the gradients: those of the head are its values, as the step before left them.
    let run = |at_once: bool| {
        let parameters = filled(&engine, &model(), None);
        let mut optimizer =
            Optimizer::new(&engine, &parameters, &two_groups(), Settings::default()).expect("an optimizer");
        optimizer.load_rows(0, &rows(6)).expect("rows");
        give_gradients(&mut optimizer, &model(), 0);
        let from = parameters.place("head.weight").expect("a place").0;
        let to = optimizer.gradient("head.weight").expect("a range");
        let moved = |encoder: &mut wgpu::CommandEncoder, _: u64| {
            let (from_buffer, to_buffer) = (from.buffer.wgpu().expect("on it"), to.buffer.wgpu().expect("on it"));
            encoder.copy_buffer_to_buffer(from_buffer, from.offset, to_buffer, to.offset, Some(to.bytes));
        };
        let mut told = Vec::new();
        if at_once {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let gradients = |encoder: &mut wgpu::CommandEncoder, step| {
                told.push(step);
                moved(encoder, step);
            };
            optimizer.encode_many(6, &mut encoder, gradients).expect("steps");
            submit(encoder);
        } else {
            for step in 0..6 {
                let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                told.push(step);
                moved(&mut encoder, step);
                optimizer.encode(&mut encoder).expect("a step");
                submit(encoder);
                // More reports than a ring has slots would be left out.
                engine.wait().expect("a wait");
                optimizer.stats().expect("stats");
            }
        }
        engine.wait().expect("a wait");
        let stats = optimizer.stats().expect("stats").expect("a report");
        assert_eq!((stats.step, stats.applied_steps, optimizer.next_step()), (5, 6, 6));
        assert_eq!(told, [0, 1, 2, 3, 4, 5]);
        // What is refused writes nothing and takes no step: neither are there rows, nor does a part of them do.
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        optimizer.load_rows(6, &rows(2)).expect("rows");
        let refused = optimizer.encode_many(3, &mut encoder, |_, _| panic!("nothing is to be written"));
        assert!(matches!(refused, Err(Error::NoRow { step: 8, .. })));
        assert_eq!(optimizer.next_step(), 6);
        optimizer.encode_many(2, &mut encoder, |_, _| ()).expect("steps");
        (all(&parameters), optimizer.read_state().expect("state"))
    };
    assert!(run(true) == run(false));
}

#[test]
fn an_encoder_that_is_dropped_gives_its_report_slot_back() {
    let Some(engine) = gpu() else { return };
    let device = engine.device().expect("a device").clone();
    let parameters = filled(&engine, &model(), None);
    let mut optimizer = Optimizer::new(&engine, &parameters, &two_groups(), Settings::default()).expect("an optimizer");
    for _ in 0..20 {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        optimizer.encode(&mut encoder).expect("a step");
    }
    let before = all(&parameters);
    optimizer.set("head", Field::Lr, 1.0).expect("a value");
    give_gradients(&mut optimizer, &model(), 0);
    optimizer.step().expect("a step");
    engine.wait().expect("a wait");
    let stats = optimizer.stats().expect("stats").expect("slots of dropped encoders are free again");
    assert_eq!((stats.step, stats.applied_steps), (20, 1));
    assert!(before["trunk.weight"] != all(&parameters)["trunk.weight"], "lists that were dropped are sent again");
}

#[test]
fn partials_of_many_chunks_do_not_depend_on_pages_either() {
    let Some(engine) = gpu() else { return };
    // 1,500 chunks: most partials hold two, and pages of 100 chunks cut some of them.
    let params = vec![Param::new("a", [700 * 4096 + 5]), Param::new("b", [799 * 4096])];
    let groups = [Group::new("all", Row::default(), ["a", "b"])];
    let norm = |page_bytes: Option<u64>| {
        let parameters = Parameters::new(&engine, &params, page_bytes).expect("parameters");
        let settings = Settings::default().clip(Clip::norm(1.0)).page_bytes(page_bytes);
        let mut optimizer = Optimizer::new(&engine, &parameters, &groups, settings).expect("an optimizer");
        give_gradients(&mut optimizer, &params, 9);
        optimizer.step().expect("a step");
        engine.wait().expect("a wait");
        optimizer.stats().expect("stats").expect("a report").grad_norm.expect("a norm")
    };
    let exact: f64 =
        [0, 1].iter().flat_map(|p| noise(900 + p, params[*p as usize].elements())).map(|g| f64::from(g).powi(2)).sum();
    let whole = norm(None);
    assert!((f64::from(whole) / exact.sqrt() - 1.0).abs() < 1e-6, "{whole} is not {}", exact.sqrt());
    assert_eq!(whole.to_bits(), norm(Some(100 * 4096 * 4)).to_bits());
}

#[test]
fn optimizers_can_be_sent_and_shared() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Engine>();
    is_send_and_sync::<Optimizer>();
    is_send_and_sync::<Parameters>();
    is_send_and_sync::<Best>();
    is_send_and_sync::<gradus::optim::GradientClip>();
    is_send_and_sync::<gradus::engine::Buffer>();
}

#[test]
fn a_program_can_be_read() {
    let engine = Engine::cpu();
    let parameters = filled(&engine, &model(), None);
    let settings = Settings::default().clip(Clip::norm(1.0));
    let mut optimizer = Optimizer::new(&engine, &parameters, &two_groups(), settings).expect("an optimizer");
    let program = optimizer.program().expect("a program");
    let kernels: Vec<&str> = program.dispatches.iter().map(|dispatch| dispatch.kernel.name).collect();
    assert_eq!(kernels, ["norm", "control", "adamw"]);
    assert_eq!(program.barriers(), 2, "each stage waits for the one before");
    let told = program.to_string();
    assert!(told.starts_with("adamw step: 3 dispatches, 2 barriers, 404480 bytes"), "{told}");
}

#[test]
fn parameters_are_read_from_other_float_types() {
    use safetensors::tensor::{Dtype, TensorView};
    let engine = Engine::cpu();
    let parameters = Parameters::new(&engine, &[Param::new("p", [3])], None).expect("parameters");
    let values = [1.5f32, -2.0, 0.25];
    let halves: Vec<u8> = values.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect();
    let brains: Vec<u8> = values.iter().flat_map(|value| half::bf16::from_f32(*value).to_le_bytes()).collect();
    let doubles: Vec<u8> = values.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect();
    for (dtype, bytes) in [(Dtype::F16, halves), (Dtype::BF16, brains), (Dtype::F64, doubles)] {
        parameters.upload("p", &[0.0; 3]).expect("an upload");
        let view = TensorView::new(dtype, vec![3], &bytes).expect("a view");
        parameters.load(&safetensors::serialize([("p", view)], None).expect("a file")).expect("it loads");
        assert_eq!(parameters.read("p").expect("values"), values, "{dtype:?}");
    }
    let bytes = [0u8; 12];
    let whole = TensorView::new(Dtype::I32, vec![3], &bytes).expect("a view");
    let told = parameters.load(&safetensors::serialize([("p", whole)], None).expect("a file")).expect_err("an error");
    assert_eq!(told.to_string(), "safetensors file: \"p\" is I32, not a float");
}

#[test]
fn a_refused_step_loses_nothing() {
    let Some(device) = gpu() else { return };
    // The CPU engine has no encoders: the step is refused, and the next one is whole.
    let engine = Engine::cpu();
    let parameters = filled(&engine, &model(), None);
    let mut optimizer = Optimizer::new(&engine, &parameters, &two_groups(), Settings::default()).expect("an optimizer");
    give_gradients(&mut optimizer, &model(), 0);
    let before = all(&parameters);
    let device = device.device().expect("a device");
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let told = optimizer.encode(&mut encoder).expect_err("an error").to_string();
    assert_eq!(told, "the CPU engine has no command encoders: let it submit");
    assert_eq!(optimizer.next_step(), 0, "a refused step does not count");
    optimizer.step().expect("a step");
    assert!(before["head.weight"] != all(&parameters)["head.weight"], "the step after it is whole");
    assert_eq!(optimizer.stats().expect("stats").expect("a report").step, 0);
}

#[test]
fn a_selection_belongs_to_its_optimizer() {
    let engine = Engine::cpu();
    let parameters = filled(&engine, &model(), None);
    let make = || Optimizer::new(&engine, &parameters, &two_groups(), Settings::default()).expect("an optimizer");
    let (one, mut other) = (make(), make());
    let selection = one.select(&["head.bias"]).expect("a selection");
    assert!(matches!(other.step_over(&selection), Err(Error::StaleSelection)));
}

#[test]
fn an_optimizer_may_start_without_groups() {
    for engine in engines() {
        let parameters = filled(&engine, &model(), None);
        let mut optimizer = Optimizer::new(&engine, &parameters, &[], Settings::default()).expect("an optimizer");
        optimizer.step().expect("a step over nothing");
        optimizer.add_group(&two_groups()[0]).expect("a group");
        give_gradients(&mut optimizer, &model(), 0);
        let before = all(&parameters);
        optimizer.step().expect("a step");
        assert!(before["head.weight"] != all(&parameters)["head.weight"]);
    }
}

#[test]
fn a_group_that_starts_frozen_has_no_moments() {
    for engine in engines() {
        let parameters = filled(&engine, &model(), None);
        let [head, trunk] = &two_groups()[..] else { panic!("two groups") };
        let groups = [head.clone(), trunk.clone().frozen()];
        let mut optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
        assert!(matches!(optimizer.gradient("trunk.weight"), Err(Error::NotOwned { .. })));
        assert_eq!(optimizer.program().expect("a program").bytes(), 28 * (10 * 33 + 10));
        optimizer.thaw("trunk").expect("a group");
        assert!(optimizer.gradient("trunk.weight").is_ok());
    }
}

#[test]
fn reports_name_no_group_where_none_is_bad_and_the_step_that_was() {
    for engine in engines() {
        let parameters = filled(&engine, &model(), None);
        let clip = Clip::norm(1.0).error_if_nonfinite(true);
        let settings = Settings::default().clip(clip);
        let mut optimizer = Optimizer::new(&engine, &parameters, &two_groups(), settings).expect("an optimizer");
        give_gradients(&mut optimizer, &model(), 0);
        optimizer.step().expect("a step");
        engine.wait().expect("a wait");
        assert_eq!(optimizer.stats().expect("stats").expect("a report").bad_group, None);
        // Finite gradients whose squares overflow: the norm is inf, no gradient is bad.
        optimizer.upload_gradient("head.bias", &[1e25; 10]).expect("a gradient");
        optimizer.step().expect("a step");
        // Many more steps before anybody looks: the report that arrives is of a later one.
        for step in 2..12 {
            give_gradients(&mut optimizer, &model(), step);
            optimizer.step().expect("a step");
        }
        engine.wait().expect("a wait");
        let told = optimizer.stats().expect_err("an error").to_string();
        assert!(told.contains("at step 1 is not finite (inf)"), "{told}");
        let stats = optimizer.stats().expect("told once").expect("a report");
        assert_eq!((stats.bad_group, stats.skipped_steps), (None, 1));
    }
}

#[test]
fn steps_past_the_last_are_refused() {
    use gradus::optim::LAST_STEP;
    let engine = Engine::cpu();
    let parameters = filled(&engine, &model(), None);
    let mut optimizer = Optimizer::new(&engine, &parameters, &two_groups(), Settings::default()).expect("an optimizer");
    for step in [u64::MAX, LAST_STEP + 1] {
        assert!(matches!(optimizer.go_to_step(step), Err(Error::StepTooLarge { .. })));
        assert!(matches!(optimizer.load_rows(step, &[Row::default(); 2]), Err(Error::StepTooLarge { .. })));
    }
    optimizer.go_to_step(LAST_STEP).expect("the last step");
    optimizer.step().expect("a step");
    assert_eq!(optimizer.stats().expect("stats").expect("a report").step, LAST_STEP);
    assert!(matches!(optimizer.step(), Err(Error::StepTooLarge { .. })));
    optimizer.go_to_step(3).expect("back again");
    optimizer.step().expect("held rows hold anywhere");
}

#[test]
fn encoding_over_a_selection_and_after_a_thaw_is_the_same_step() {
    let Some(engine) = gpu() else { return };
    let device = engine.device().expect("a device").clone();
    let run = |own_encoder: bool| {
        let parameters = filled(&engine, &model(), None);
        let mut optimizer =
            Optimizer::new(&engine, &parameters, &two_groups(), Settings::default()).expect("an optimizer");
        optimizer.freeze("trunk", Refreeze::DropState).expect("a group");
        optimizer.thaw("trunk").expect("a group");
        give_gradients(&mut optimizer, &model(), 0);
        let selection = optimizer.select(&["trunk.weight", "head.bias"]).expect("a selection");
        for over in [true, false] {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            match (own_encoder, over) {
                (true, true) => optimizer.encode_over(&selection, &mut encoder).expect("a step"),
                (true, false) => optimizer.encode(&mut encoder).expect("a step"),
                (false, true) => optimizer.step_over(&selection).expect("a step"),
                (false, false) => optimizer.step().expect("a step"),
            }
            engine.queue().expect("a queue").submit([encoder.finish()]);
        }
        all(&parameters)
    };
    assert!(run(true) == run(false));
}

#[test]
fn clipping_alone_works_in_an_encoder_even_after_one_was_dropped() {
    use gradus::optim::GradientClip;
    let Some(engine) = gpu() else { return };
    let device = engine.device().expect("a device");
    let buffer = engine.buffer_with("gradient", &[3.0f32, 4.0]).expect("a buffer");
    let range = buffer.range(0, 8).expect("a range");
    let mut clipping = GradientClip::new(&engine, &[("p", range.clone())], Clip::norm(1.0)).expect("clipping");
    for submitted in [false, true] {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        clipping.encode(&mut encoder).expect("a run");
        if submitted {
            engine.queue().expect("a queue").submit([encoder.finish()]);
        }
    }
    assert_close("clipped", &engine.read(&range).expect("gradients"), &[0.6, 0.8], 1e-5, 0.0);
    let stats = clipping.stats().expect("stats").expect("a report");
    assert_eq!((stats.step, stats.grad_norm, stats.bad_group), (0, Some(5.0), None));
}
