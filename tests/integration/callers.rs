//! A caller's own buffers: wherever tensors and gradients lie, a step has the bits of our arenas, and neighbours do not wait
//! for each other; gradients that change place.

use crate::support::{engines, fresh_gpu, noise};
use gradus::engine::{Engine, Program, Range};
use gradus::measure::{Memory, workload};
use gradus::optim::{Clip, External, Optimizer, Parameters, Precision, Settings};
use gradus::params::{Group, Param, Row, Storage};

/// Below, at and past a vec4, a workgroup and a chunk.
const SIZES: [usize; 8] = [1, 3, 4, 63, 260, 4095, 4097, 9001];
const STEPS: u32 = 3;

fn params() -> Vec<Param> {
    SIZES.iter().map(|size| Param::new(format!("p{size}"), [*size])).collect()
}

/// Floats of these numbers, each from the byte of `offsets` on that its place says: in buffers of their own, or one after
/// the other in one.
fn ranges(engine: &Engine, offsets: &[u64], is_one: bool) -> Vec<Range> {
    let bytes = SIZES.map(|size| size as u64 * 4);
    let mut at = 0;
    let starts: Vec<u64> = (0..SIZES.len())
        .map(|place| {
            let offset = offsets[place % offsets.len()];
            let start = if is_one { at } else { 0 } + offset;
            at = start + bytes[place];
            start
        })
        .collect();
    let together = engine.buffer("together", at).expect("a buffer");
    let range = |(start, bytes): (&u64, u64)| {
        let buffer = if is_one { together.clone() } else { engine.buffer("apart", start + bytes).expect("a buffer") };
        buffer.range(*start, bytes).expect("a range")
    };
    starts.iter().zip(bytes).map(range).collect()
}

/// Where values and gradients lie: by name, offsets and whether all are in one buffer.
type Road = (&'static str, [&'static [u64]; 2], [bool; 2]);

const ROADS: [Road; 6] = [
    ("apart, as vec4s", [&[0], &[16]], [false, false]),
    ("apart, at odd places", [&[4], &[4]], [false, false]),
    ("apart, each at another place", [&[4, 8, 12], &[8, 0, 12, 4]], [false, false]),
    ("together, with no space between", [&[0], &[0]], [true, true]),
    ("together, at odd places", [&[4, 0, 8], &[12, 4]], [true, true]),
    ("values together, gradients apart", [&[0, 4], &[0, 12]], [true, false]),
];

/// A road's tensors, with values filled by their places. With `shared` the gradients lie behind the values in one buffer.
fn externals(engine: &Engine, (_, offsets, together): &Road) -> Vec<External> {
    let [values, gradients] = [0, 1].map(|side| ranges(engine, offsets[side], together[side]));
    let external = |(((place, param), values), gradient): (((u32, Param), Range), Range)| {
        engine.write(&values.buffer, values.offset, &noise(place, param.elements())).expect("a write");
        External::new(param, values).gradient(gradient)
    };
    (0..).zip(params()).zip(values).zip(gradients).map(external).collect()
}

fn groups(row: Row) -> Vec<Group> {
    let names: Vec<String> = params().into_iter().map(|param| param.name).collect();
    let every = |first: usize| names.iter().skip(first).step_by(2).cloned().collect::<Vec<_>>();
    vec![Group::new("a", row, every(0)), Group::new("b", row.lr(row.lr / 3.0), every(1))]
}

fn train(optimizer: &mut Optimizer, steps: std::ops::Range<u32>) {
    for step in steps {
        for (place, param) in (0..).zip(params()) {
            let gradient = noise(100 * step + place, param.elements());
            optimizer.upload_gradient(&param.name, &gradient).expect("a gradient");
        }
        optimizer.step().expect("a step");
    }
}

fn bits(values: Vec<f32>) -> Vec<u32> {
    values.into_iter().map(f32::to_bits).collect()
}

/// Values and state after some steps in arenas of our own.
fn in_arenas(engine: &Engine, row: Row, settings: Settings) -> (Vec<Vec<u32>>, Vec<u8>) {
    let parameters = Parameters::new(engine, &params(), None).expect("parameters");
    for (place, param) in (0..).zip(params()) {
        parameters.upload(&param.name, &noise(place, param.elements())).expect("an upload");
    }
    let mut optimizer = Optimizer::new(engine, &parameters, &groups(row), settings).expect("an optimizer");
    train(&mut optimizer, 1..1 + STEPS);
    let values = params().iter().map(|param| bits(parameters.read(&param.name).expect("values"))).collect();
    (values, optimizer.read_state().expect("state"))
}

fn rows() -> Vec<(Row, Settings)> {
    let plain = Row::adamw(1e-2).weight_decay(0.1);
    let settings = Settings::default().seed(7);
    let clipped = settings.clip(Clip::norm(0.5)).guard(true);
    let mut all = vec![(plain, settings), (plain, clipped), (plain.amsgrad(true), clipped)];
    for moments in [Storage::F32, Storage::Bf16, Storage::Int8] {
        all.push((plain.moments(moments).ema_decay(0.9), clipped));
    }
    all.push((plain.amsgrad(true).ema_decay(0.9), settings));
    all.push((Row::sgd(1e-2).momentum(0.9), clipped));
    all
}

#[test]
fn every_road_has_the_bits_of_our_arenas() {
    for engine in engines() {
        for (row, settings) in rows() {
            let (expected, state) = in_arenas(&engine, row, settings);
            for road in &ROADS {
                let what = format!("{} on {}, {row:?}", road.0, engine.name());
                let externals = externals(&engine, road);
                let mut optimizer = Optimizer::over(&engine, &externals, &groups(row), settings).expect("an optimizer");
                train(&mut optimizer, 1..1 + STEPS);
                for (external, expected) in externals.iter().zip(&expected) {
                    let values = bits(engine.read(&external.values).expect("values"));
                    assert!(values == *expected, "{what}: {}", external.param.name);
                }
                assert!(optimizer.read_state().expect("state") == state, "{what}: state");
            }
        }
    }
}

/// What lies around a tensor is nobody's to touch.
#[test]
fn values_and_gradients_may_share_a_buffer() {
    for engine in engines() {
        for (row, settings) in rows() {
            let (expected, state) = in_arenas(&engine, row, settings);
            for gap in [0, 4, 16] {
                let bytes: u64 = SIZES.iter().map(|size| *size as u64 * 4 + gap).sum();
                let buffer = engine.buffer("shared", 2 * bytes + 4).expect("a buffer");
                engine.write(&buffer, 0, &vec![7.0f32; buffer.bytes() as usize / 4]).expect("a write");
                let (mut at, mut externals) = (4, Vec::new());
                for (place, param) in (0..).zip(params()) {
                    let bytes = param.elements() as u64 * 4;
                    let [values, gradient] = [at, at + bytes + gap].map(|at| buffer.range(at, bytes).expect("a range"));
                    engine.write(&buffer, at, &noise(place, param.elements())).expect("a write");
                    externals.push(External::new(param, values).gradient(gradient));
                    at += 2 * (bytes + gap);
                }
                let mut optimizer = Optimizer::over(&engine, &externals, &groups(row), settings).expect("an optimizer");
                train(&mut optimizer, 1..1 + STEPS);
                let mut all: Vec<f32> = engine.read(&buffer.all()).expect("values");
                for (external, expected) in externals.iter().zip(&expected) {
                    for range in [&external.values, external.gradient.as_ref().expect("a gradient")] {
                        let these = &mut all[range.offset as usize / 4..][..external.param.elements()];
                        if range.offset == external.values.offset {
                            let what = format!("{} on {}, {row:?}", external.param.name, engine.name());
                            assert!(bits(these.to_vec()) == *expected, "{what}, gap {gap}");
                        }
                        these.fill(7.0);
                    }
                }
                assert!(all.iter().all(|value| *value == 7.0), "what lies between, on {}", engine.name());
                assert!(optimizer.read_state().expect("state") == state);
            }
        }
    }
}

fn runs(program: &Program, family: &str) -> usize {
    program.dispatches.iter().filter(|dispatch| dispatch.kernel.family.name == family).count()
}

#[test]
fn neighbours_do_not_wait_for_each_other() {
    let engine = Engine::cpu();
    let row = Row::default();
    let program = |road: &Road| {
        let externals = externals(&engine, road);
        let mut optimizer =
            Optimizer::over(&engine, &externals, &groups(row), Settings::default()).expect("an optimizer");
        optimizer.program().expect("a program").clone()
    };
    // Small tensors that end inside a vec4 take single floats; large ones do in a dispatch of their own, behind all others.
    let apart = program(&ROADS[0]);
    assert_eq!((runs(&apart, "adamw"), apart.barriers()), (SIZES.len() + 2, 2), "{apart}");
    let together = program(&ROADS[3]);
    assert_eq!((runs(&together, "adamw"), together.barriers()), (2, 2), "{together}");
}

/// One buffer for each of the 101 tensors of an encoder.
#[test]
fn a_step_over_buffers_of_their_own_has_one_barrier() {
    let engine = Engine::cpu();
    let tensors = workload::shrunk(&workload::encoder(), 64);
    let memory = Memory::new(&engine, workload::elements(&tensors)).expect("memory");
    let groups = workload::one_group(&tensors);
    for externals in [memory.apart(&tensors), memory.together(&tensors)] {
        let externals = externals.expect("tensors");
        let mut optimizer = Optimizer::over(&engine, &externals, &groups, Settings::default()).expect("an optimizer");
        let program = optimizer.program().expect("a program");
        assert_eq!(program.barriers(), 1, "{program}");
    }
}

/// Gradients in buffers that come and go, as those of a program with a pool of memory do.
#[test]
fn gradients_change_place_from_step_to_step() {
    for engine in engines() {
        for (row, settings) in rows() {
            let (expected, state) = in_arenas(&engine, row, settings);
            let road = ROADS[2];
            let bare: Vec<External> = externals(&engine, &road)
                .into_iter()
                .map(|external| External::new(external.param.clone(), external.values.clone()))
                .collect();
            let mut optimizer = Optimizer::over(&engine, &bare, &groups(row), settings).expect("an optimizer");
            for step in 1..=STEPS {
                let places = ranges(&engine, [&[8, 0, 4][..], &[4], &[0]][step as usize % 3], step == 2);
                let named: Vec<(String, Range)> = params().into_iter().map(|param| param.name).zip(places).collect();
                let named: Vec<(&str, Range)> =
                    named.iter().map(|(name, range)| (name.as_str(), range.clone())).collect();
                optimizer.rebind(&named).expect("a place for each");
                train(&mut optimizer, step..step + 1);
            }
            for (external, expected) in bare.iter().zip(&expected) {
                let values = bits(engine.read(&external.values).expect("values"));
                assert!(values == *expected, "{} on {}, {row:?}", external.param.name, engine.name());
            }
            assert!(optimizer.read_state().expect("state") == state);
        }
    }
}

/// Going back and forth between two sets of buffers uploads a list, and makes nothing.
#[test]
fn gradients_that_come_back_cost_their_list() {
    let Some(engine) = fresh_gpu() else { return };
    let externals = externals(&engine, &ROADS[0]);
    let mut optimizer =
        Optimizer::over(&engine, &externals, &groups(Row::default()), Settings::default()).expect("an optimizer");
    let wide = |_| -> Vec<Range> {
        let buffer = |size: &usize| engine.buffer("wide", *size as u64 * 4 + 64).expect("a buffer");
        SIZES.iter().map(|size| buffer(size).range(0, *size as u64 * 4).expect("a range")).collect()
    };
    let sets = [0, 1].map(wide);
    let names: Vec<String> = params().into_iter().map(|param| param.name).collect();
    let moved = |set: &[Range], by: u64| -> Vec<(&str, Range)> {
        let range = |range: &Range| range.buffer.range(range.offset + by, range.bytes).expect("a range");
        names.iter().map(String::as_str).zip(set.iter().map(range)).collect()
    };
    for set in &sets {
        optimizer.rebind(&moved(set, 0)).expect("a place for each");
        optimizer.step().expect("a step");
    }
    for step in 0..10 {
        let before = engine.counters();
        optimizer.rebind(&moved(&sets[step % 2], 16 * (step as u64 / 2 % 3))).expect("a place for each");
        assert_eq!((engine.counters() - before).uploads, 0, "nothing is made");
        optimizer.step().expect("a step");
        let cost = engine.counters() - before;
        let list = if (2..4).contains(&step) || step >= 4 { 12 * SIZES.len() as u64 } else { 0 };
        assert_eq!((cost.submissions, cost.uploaded_bytes, cost.blocking_waits), (1, list, 0), "step {step}");
    }
}

/// A parameter without a gradient keeps values, moments and count, as in PyTorch.
#[test]
fn what_has_no_gradient_this_step_stays() {
    for engine in engines() {
        let externals = externals(&engine, &ROADS[1]);
        let mut optimizer =
            Optimizer::over(&engine, &externals, &groups(Row::default()), Settings::default()).expect("an optimizer");
        train(&mut optimizer, 1..2);
        let read = |place: usize| -> Vec<f32> { engine.read(&externals[place].values).expect("values") };
        let (left, other) = (read(3), read(5));
        let some: Vec<(&str, Range)> = externals
            .iter()
            .filter(|external| external.param.name != "p63")
            .map(|external| (external.param.name.as_str(), external.gradient.clone().expect("a gradient")))
            .collect();
        optimizer.rebind(&some).expect("all but one");
        optimizer.step().expect("a step");
        assert!(read(3) == left && read(5) != other);
        let counts = optimizer.read_applied_counts().expect("counts");
        assert_eq!((counts["p63"], counts["p4095"]), (1, 2));
        let told = optimizer.upload_gradient("p63", &[0.0; 63]).expect_err("an error").to_string();
        assert!(told.contains("\"p63\""), "{told}");
        optimizer.rebind(&[]).expect("none at all");
        optimizer.step().expect("a step that changes nothing");
        assert!(read(3) == left);
        assert_eq!(optimizer.read_applied_counts().expect("counts")["p4095"], 2);
    }
}

#[test]
fn what_cannot_be_bound_changes_nothing() {
    for engine in engines() {
        let externals = externals(&engine, &ROADS[0]);
        let mut optimizer =
            Optimizer::over(&engine, &externals, &groups(Row::default()), Settings::default()).expect("an optimizer");
        train(&mut optimizer, 1..2);
        let place = |name: &str| {
            let found = externals.iter().find(|external| external.param.name == name).expect("a parameter");
            found.gradient.clone().expect("a gradient")
        };
        let values = externals[5].values.clone();
        let outside = Range { bytes: values.bytes, offset: 64, buffer: values.buffer.clone() };
        let short = Range { bytes: 8, ..place("p63") };
        let refused: [(&[(&str, Range)], &str); 6] = [
            (&[("p64", place("p63"))], "no parameter is named \"p64\""),
            (&[("p63", place("p63")), ("p63", place("p63"))], "\"p63\" is used twice"),
            (&[("p4095", outside)], "reaches past the end"),
            (&[("p63", short)], "its gradient has 8 bytes, its shape [63] needs 252"),
            (&[("p4095", values)], "the values of \"p4095\" and the gradient of \"p4095\" overlap"),
            (&[("p1", place("p4").buffer.range(16, 4).expect("a range")), ("p4", place("p4"))], "overlap"),
        ];
        let before = optimizer.layout();
        for (gradients, reason) in refused {
            let told = optimizer.rebind(gradients).expect_err("an error").to_string();
            assert!(told.contains(reason), "{told}");
        }
        assert_eq!(optimizer.layout(), before);
        train(&mut optimizer, 2..3);
        assert_eq!(optimizer.read_applied_counts().expect("counts")["p63"], 2);
        let parameters = Parameters::new(&engine, &params(), None).expect("parameters");
        let mut ours =
            Optimizer::new(&engine, &parameters, &groups(Row::default()), Settings::default()).expect("an optimizer");
        let told = ours.rebind(&[("p63", place("p63"))]).expect_err("an error").to_string();
        assert!(told.contains("lie in arenas of the optimizer's own"), "{told}");
    }
}

/// Two devices in one process: each runs its own, and neither takes the other's memory.
#[test]
fn another_devices_buffer_is_refused() {
    let (Some(engine), Some(other)) = (fresh_gpu(), fresh_gpu()) else { return };
    let externals = externals(&engine, &ROADS[0]);
    let foreign = self::externals(&other, &ROADS[0]);
    let row = Row::default();
    assert!(
        Optimizer::over(&engine, &foreign, &groups(row), Settings::default()).and_then(|mut it| it.step()).is_err()
    );
    let mut optimizer = Optimizer::over(&engine, &externals, &groups(row), Settings::default()).expect("an optimizer");
    train(&mut optimizer, 1..2);
    let theirs = foreign[5].gradient.clone().expect("a gradient");
    for theirs in [theirs, Engine::cpu().buffer("host", 4095 * 4).expect("a buffer").all()] {
        let told = optimizer.rebind(&[("p4095", theirs)]).expect_err("an error").to_string();
        assert!(!told.is_empty());
        train(&mut optimizer, 2..3);
    }
    let mut on_other = Optimizer::over(&other, &foreign, &groups(row), Settings::default()).expect("an optimizer");
    let steps = |optimizer: &mut Optimizer| train(optimizer, 3..6);
    std::thread::scope(|scope| {
        scope.spawn(|| steps(&mut optimizer));
        scope.spawn(|| steps(&mut on_other));
    });
    assert_eq!(optimizer.read_applied_counts().expect("counts")["p63"], 6);
    assert_eq!(on_other.read_applied_counts().expect("counts")["p63"], 3);
}

/// Where the norm goes by squares too: selections and squares stay what they were.
#[test]
fn what_is_refused_lets_no_squares_go() {
    let (Some(engine), Some(other)) = (fresh_gpu(), fresh_gpu()) else { return };
    let externals = externals(&engine, &ROADS[0]);
    let settings = Settings::default().clip(Clip::norm(0.5));
    let mut optimizer = Optimizer::over(&engine, &externals, &groups(Row::default()), settings).expect("an optimizer");
    let squares = engine.buffer("squares", 16).expect("a buffer");
    optimizer.take_squares(&[("p63".to_owned(), squares.range(0, 8).expect("a range"))]).expect("squares");
    train(&mut optimizer, 1..2);
    let (selection, before) = (optimizer.select(&["p63"]).expect("a selection"), optimizer.layout());
    let theirs = self::externals(&other, &ROADS[0])[5].gradient.clone().expect("a gradient");
    optimizer.rebind(&[("p4095", theirs)]).expect_err("another device's");
    assert_eq!(optimizer.layout(), before);
    assert!(optimizer.program().expect("a program").dispatches.iter().any(|it| it.kernel.family.name == "norm_fold"));
    optimizer.step_over(&selection).expect("it still fits");
    assert_eq!(optimizer.read_applied_counts().expect("counts")["p63"], 2);
}

#[test]
fn halves_lie_as_vec4s() {
    let engine = Engine::cpu();
    let values = engine.buffer("values", 64).expect("a buffer");
    let gradients = engine.buffer("gradients", 64).expect("a buffer");
    let half = External::new(Param::new("p", [8]), values.range(0, 16).expect("a range"));
    let half = half.precision(Precision::Mixed);
    let mut optimizer =
        Optimizer::over(&engine, &[half], &[Group::new("all", Row::default(), ["p"])], Settings::default())
            .expect("an optimizer");
    let told = optimizer.rebind(&[("p", gradients.range(4, 32).expect("a range"))]).expect_err("an error").to_string();
    assert!(told.contains("start at byte 4, which is not a multiple of 16"), "{told}");
    let told = optimizer.rebind(&[("p", values.range(32, 32).expect("a range"))]).expect_err("an error").to_string();
    assert!(told.contains("also holds the gradient of \"p\""), "{told}");
}
