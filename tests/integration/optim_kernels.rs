//! The optimizer's kernels on the device against their twins, at sizes that fill no chunk, vec4 or workgroup.

use crate::support::{assert_close, gpus, noise, on_threads, sized_engines};
use gradus::engine::kernels::CONTROL;
use gradus::engine::layout::{self, CONTROL_HEADER_BYTES, Record};
use gradus::engine::{Binding, Dispatch, Engine, Program, Range, Submission};
use gradus::optim::{Clip, External, GradientClip, NormOrder, Optimizer, Parameters, Settings};
use gradus::params::{Group, Param, Row, Rule, Storage};
use half::bf16;
use safetensors::tensor::Dtype;
use std::collections::BTreeMap;

const SIZES: [usize; 9] = [1, 63, 64, 65, 255, 257, 4095, 4097, 300_007];
const STEPS: u32 = 3;

/// How a caller's tensors and gradients lie.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lies {
    /// In buffers of their own, as vec4s.
    Apart,
    /// The same, gradients at odd places.
    Loose,
    /// All in one buffer, with no space between, at odd places.
    Packed,
}

const EVERY_WAY: [Lies; 3] = [Lies::Apart, Lies::Loose, Lies::Packed];

impl Lies {
    /// Ranges for floats of these numbers, filled with `noise` by their place.
    fn ranges(self, engine: &Engine, sizes: &[usize]) -> Vec<Range> {
        let offset = if self == Lies::Apart { 16 } else { 12 };
        let together = engine.buffer("packed", sizes.iter().sum::<usize>() as u64 * 4 + offset).expect("a buffer");
        let mut at = offset;
        let range = |(place, size): (usize, &usize)| {
            let bytes = *size as u64 * 4;
            let range = if self == Lies::Packed {
                at += bytes;
                together.range(at - bytes, bytes)
            } else {
                engine.buffer("apart", bytes.next_multiple_of(16) + 16).expect("a buffer").range(offset, bytes)
            };
            let range = range.expect("a range");
            engine.write(&range.buffer, range.offset, &noise(place as u32, *size)).expect("a write");
            range
        };
        sizes.iter().enumerate().map(range).collect()
    }
}

fn params() -> Vec<Param> {
    SIZES.iter().map(|size| Param::new(format!("p{size}"), [*size])).collect()
}

/// Every second parameter in a group of other hyper-parameters.
fn split(plain: Row, other: Row) -> Vec<Group> {
    let names: Vec<String> = params().into_iter().map(|param| param.name).collect();
    let every_second = |first: usize| names.iter().skip(first).step_by(2).cloned().collect::<Vec<_>>();
    vec![Group::new("plain", plain, every_second(0)), Group::new("other", other, every_second(1))]
}

fn adamw(amsgrad: bool, moments: Storage, ema_decay: Option<f64>) -> Vec<Group> {
    let plain = Row::adamw(1e-2).weight_decay(0.1).amsgrad(amsgrad).moments(moments).ema_decay(ema_decay);
    let other = plain.lr(3e-3).beta1(0.8).beta2(0.95).eps(1e-6).maximize(true).rule(Rule::Adam);
    split(plain, other)
}

fn sgd(momentum: f64, ema_decay: Option<f64>) -> Vec<Group> {
    let nesterov = momentum > 0.0;
    let plain = Row::sgd(1e-2).weight_decay(0.1).momentum(momentum).nesterov(nesterov).ema_decay(ema_decay);
    split(plain, plain.lr(3e-3).dampening(0.25).nesterov(false).maximize(true))
}

/// Parameters and state by name, and the last norm.
type Ran = (BTreeMap<String, Vec<f32>>, Option<f32>);

/// What a few steps leave.
fn run(engine: &Engine, lies: Option<Lies>, settings: Settings, groups: &[Group]) -> Ran {
    let owned;
    let mut external: Vec<External> = Vec::new();
    let mut optimizer = match lies {
        None => {
            owned = Parameters::new(engine, &params(), settings.page_bytes).expect("parameters");
            for (place, param) in params().iter().enumerate() {
                owned.upload(&param.name, &noise(place as u32, param.elements())).expect("an upload");
            }
            Optimizer::new(engine, &owned, groups, settings).expect("an optimizer")
        }
        Some(lies) => {
            owned = Parameters::new(engine, &params(), None).expect("parameters");
            let (values, gradients) = match lies {
                Lies::Packed => {
                    let all = lies.ranges(engine, &[SIZES, SIZES].concat());
                    let (values, gradients) = all.split_at(SIZES.len());
                    (values.to_vec(), gradients.to_vec())
                }
                lies => (Lies::Apart.ranges(engine, &SIZES), lies.ranges(engine, &SIZES)),
            };
            let placed = params().into_iter().zip(values).zip(gradients);
            external.extend(placed.map(|((param, values), gradient)| External::new(param, values).gradient(gradient)));
            Optimizer::over(engine, &external, groups, settings).expect("an optimizer")
        }
    };
    for step in 0..STEPS {
        for (place, param) in params().iter().enumerate() {
            let seed = 1000 + step * 100 + place as u32;
            optimizer.upload_gradient(&param.name, &noise(seed, param.elements())).expect("a gradient");
        }
        optimizer.step().expect("a step");
    }
    engine.wait().expect("a wait");
    let norm = optimizer.stats().expect("stats").expect("a report").grad_norm;
    let mut values = BTreeMap::new();
    for (place, param) in params().iter().enumerate() {
        let read = match external.get(place) {
            Some(external) => engine.read(&external.values).expect("values"),
            None => owned.read(&param.name).expect("values"),
        };
        values.insert(param.name.clone(), read);
    }
    let state = optimizer.read_state().expect("state");
    for (name, view) in safetensors::SafeTensors::deserialize(&state).expect("a file").tensors() {
        let read = match view.dtype() {
            Dtype::BF16 => view.data().as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
            _ => bytemuck::pod_collect_to_vec(view.data()),
        };
        values.insert(name, read);
    }
    (values, norm)
}

fn agree(lies: Option<Lies>, settings: Settings, groups: &[Group]) {
    let expected = run(&Engine::twins(), lies, settings, groups);
    for engine in gpus() {
        agree_with(&expected, run(&engine, lies, settings, groups), lies, groups);
    }
}

fn agree_with((expected, twin_norm): &Ran, (got, norm): Ran, lies: Option<Lies>, groups: &[Group]) {
    if let (Some(norm), Some(twin_norm)) = (norm, twin_norm) {
        assert_close("norm", &[norm], &[*twin_norm], 1e-5, 0.0);
    }
    assert_eq!(got.len(), expected.len());
    for (name, values) in &got {
        // A clip coefficient may differ by the norm's rounding; the update multiplies by it.
        let what = format!("{name} ({lies:?}, {:?})", groups[0].row);
        if groups[0].row.moments == Storage::F32 {
            assert_close(&what, values, &expected[name], 2e-5, 1e-6);
            continue;
        }
        // Where the two engines' f32 fall on two sides of a tie, or of what a word rounds up, a moment differs by its last
        // bit, 1 part in 128 of it in bf16 and in 8 in int8, and the parameter by as much of a step; but seldom.
        let last_bit = if groups[0].row.moments == Storage::Bf16 { 1.0 / 128.0 } else { 1.0 / 8.0 };
        assert_close(&what, values, &expected[name], last_bit, 1e-2 * last_bit);
        let differ = values.iter().zip(&expected[name]).filter(|(a, b)| (*a - *b).abs() > 2e-5 * b.abs() + 1e-6);
        assert!(differ.count() <= values.len() / 500 + 1, "{what}: more than ties");
    }
}

#[test]
fn adamw_matches_its_twin_in_arenas() {
    for amsgrad in [false, true] {
        for moments in Storage::ALL {
            for average in [None, Some(0.9)] {
                agree(None, Settings::default(), &adamw(amsgrad, moments, average));
            }
        }
    }
}

#[test]
fn adamw_matches_its_twin_in_callers_buffers() {
    for lies in EVERY_WAY {
        for amsgrad in [false, true] {
            for moments in Storage::ALL {
                for average in [None, Some(0.9)] {
                    agree(Some(lies), Settings::default(), &adamw(amsgrad, moments, average));
                }
            }
        }
    }
}

/// However chunks are shared out, and however their tensors are paged.
#[test]
fn adamw_has_the_bits_of_its_twin_on_any_number_of_threads() {
    for (amsgrad, average) in [(false, None), (true, None), (false, Some(0.9)), (true, Some(0.9))] {
        for moments in [Storage::F32, Storage::Bf16] {
            let groups = adamw(amsgrad, moments, average);
            for page_bytes in [None, Some(1 << 20)] {
                let settings = Settings::default().guard(true).page_bytes(page_bytes);
                let expected = run(&Engine::twins(), None, settings, &groups);
                for threads in [1, 2, 7] {
                    let got = on_threads(threads, || run(&Engine::cpu(), None, settings, &groups));
                    assert!(got == expected, "{threads} threads, {page_bytes:?}, {:?}", groups[0].row);
                }
            }
        }
    }
}

#[test]
fn sgd_matches_its_twin() {
    let settings = Settings::default().clip(Clip::norm(0.5)).guard(true).page_bytes(1 << 20);
    for (momentum, average) in [(0.0, None), (0.9, None), (0.9, Some(0.9))] {
        agree(None, Settings::default(), &sgd(momentum, average));
        agree(None, settings, &sgd(momentum, average));
        for lies in EVERY_WAY {
            agree(Some(lies), Settings::default(), &sgd(momentum, average));
        }
    }
}

#[test]
fn norm_and_control_match_their_twins() {
    let orders = [0.0, 1.0, 2.0, 0.5, 3.0, f64::INFINITY].map(NormOrder::of);
    for order in orders {
        let clip = Clip::norm(0.5).order(order);
        agree(None, Settings::default().clip(clip).guard(true), &adamw(false, Storage::F32, None));
        agree(Some(Lies::Packed), Settings::default().clip(clip), &adamw(false, Storage::F32, None));
    }
    agree(None, Settings::default().clip(Clip::Value(0.25)).guard(true), &adamw(false, Storage::F32, None));
}

#[test]
fn clip_matches_its_twin() {
    for device in gpus() {
        for lies in EVERY_WAY {
            for clip in [Clip::norm(0.5), Clip::norm(1e9), Clip::Value(0.25)] {
                let [got, expected] = [&device, &Engine::twins()].map(|engine| clipped(engine, lies, clip));
                for (size, (got, expected)) in SIZES.iter().zip(got.iter().zip(&expected)) {
                    assert_close(&format!("{size} gradients, {lies:?}, {clip:?}"), got, expected, 1e-5, 1e-9);
                }
            }
        }
    }
}

/// The whole buffers after clipping: what lies around the gradients must not change either.
fn clipped(engine: &Engine, lies: Lies, clip: Clip) -> Vec<Vec<f32>> {
    let gradients = lies.ranges(engine, &SIZES);
    let named: Vec<_> = gradients.iter().map(|range| ("gradient", range.clone())).collect();
    let mut clipping = GradientClip::new(engine, &named, clip).expect("clipping");
    clipping.run().expect("a run");
    // What lies around them too.
    gradients.iter().map(|range| engine.read(&range.buffer.all()).expect("gradients")).collect()
}

/// 1 − βᵗ to 1e-6 relative for counts from 1 to 1e6: the control stage alone, over tensors with every such count.
#[test]
fn control_forms_bias_corrections_accurately() {
    for engine in sized_engines() {
        for beta in [0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.999_999] {
            let counts: Vec<u32> = (0..3000).chain((3000..1_000_000).step_by(331)).chain([999_999]).collect();
            for (count, record) in counts.iter().zip(records(&engine, beta, &counts)) {
                let t = f64::from(count + 1);
                let exact = -f64::exp_m1(t * beta.ln());
                assert_eq!(f64::from(record.count), t);
                let errors =
                    [f64::from(record.step_size) * exact - 1.0, f64::from(record.root_scale) * exact.sqrt() - 1.0];
                assert!(
                    errors.iter().all(|error| error.abs() <= 1e-6),
                    "beta {beta}, count {t} on {}: {errors:?}",
                    engine.name()
                );
            }
        }
    }
}

/// The records that control writes for tensors of these counts, with lr 1 and both betas the same.
fn records(engine: &Engine, beta: f64, counts: &[u32]) -> Vec<Record> {
    let before: Vec<Record> = counts.iter().map(|&count| Record { count, ..Record::default() }).collect();
    let control = engine.buffer("control", CONTROL_HEADER_BYTES + size_of_val(&before[..]) as u64).expect("a buffer");
    engine.write(&control, CONTROL_HEADER_BYTES, &before).expect("a write");
    let (log, rest) = (beta.ln().max(-200.0) as f32, (1.0 - beta) as f32);
    let row = layout::TableRow {
        lr: 1.0,
        decay: 1.0,
        one_minus_beta1: rest,
        log_beta1: log,
        beta2: beta as f32,
        one_minus_beta2: rest,
        log_beta2: log,
        ..layout::TableRow::default()
    };
    let header = layout::TableHeader::default();
    let table = [bytemuck::bytes_of(&header), bytemuck::bytes_of(&row)].concat();
    let table = engine.buffer_with("table", &table).expect("a buffer");
    let entry = |record| layout::TensorEntry { record, ..Default::default() };
    let list: Vec<_> = (0..counts.len() as u32).map(entry).collect();
    let list = engine.buffer_with("tensors", &list).expect("a buffer");
    let settings = layout::ControlSettings { tensors: counts.len() as u32, ..layout::ControlSettings::default() };
    let settings = engine.buffer_with("settings", &[settings]).expect("a buffer");
    let sets = engine.buffer_with("clip sets", &[layout::ClipSet::default()]).expect("a buffer");
    let mut program = Program::new("control alone");
    program.dispatches.push(
        Dispatch::new(
            CONTROL.plain(),
            vec![
                (&control).into(),
                (&table).into(),
                (&list).into(),
                (&settings).into(),
                Binding::Clock,
                (&sets).into(),
            ],
            [1, 1, 1],
        )
        .constants(vec![("WORKGROUP", f64::from(engine.sizes().chunk))]),
    );
    let prepared = engine.prepare(program).expect("a program");
    engine.submit(&Submission::of(&[&prepared])).expect("a run");
    let written = control.range(CONTROL_HEADER_BYTES, size_of_val(&before[..]) as u64).expect("a range");
    engine.read(&written).expect("records")
}
