//! Parameters that grow and shrink: their rows, moments, averages and counts go by a list, without the host.

use crate::support::{engines, fresh_gpu, noise};
use gradus::engine::{Engine, Range};
use gradus::optim::{Best, Clip, Error, External, Optimizer, Parameters, Precision, RowList, Settings};
use gradus::params::{Group, Param, Row, Storage};
use half::bf16;
use safetensors::SafeTensors;
use std::collections::BTreeMap;

const WIDTHS: [usize; 4] = [1, 3, 45, 4];
const ROWS: usize = 131;

fn params(rows: usize) -> Vec<Param> {
    WIDTHS.iter().map(|width| Param::new(format!("p{width}"), [rows, *width])).collect()
}

/// Values in a buffer each, or all in one; gradients in another.
fn externals(engine: &Engine, rows: usize, offset: u64, is_one: bool) -> Vec<External> {
    let bytes = |param: &Param| param.elements() as u64 * 4;
    let total: u64 = params(rows).iter().map(bytes).sum();
    let [together, gradients] =
        ["values", "gradients"].map(|label| engine.buffer(label, total + 16).expect("a buffer"));
    let mut at = offset;
    let external = |param: Param| {
        let bytes = bytes(&param);
        let values = match is_one {
            true => together.range(at, bytes),
            false => engine.buffer("values", bytes + offset).expect("a buffer").range(offset, bytes),
        };
        let gradient = gradients.range(at, bytes).expect("a range");
        at += bytes;
        External::new(param, values.expect("a range")).gradient(gradient)
    };
    params(rows).into_iter().map(external).collect()
}

fn groups(row: Row) -> Vec<Group> {
    // One stays as it is.
    vec![Group::new("splats", row, ["p1", "p3", "p45"]), Group::new("rest", row.lr(row.lr / 2.0), ["p4"])]
}

fn train(optimizer: &mut Optimizer, params: &[Param], steps: std::ops::Range<u32>) {
    for step in steps {
        for (place, param) in (0..).zip(params) {
            let gradient = noise(100 * step + place, param.elements());
            optimizer.upload_gradient(&param.name, &gradient).expect("a gradient");
        }
        optimizer.step().expect("a step");
    }
}

/// A file's tensors, widened.
fn floats(file: &[u8]) -> BTreeMap<String, Vec<f32>> {
    let file = SafeTensors::deserialize(file).expect("a file");
    let widened = |view: &safetensors::tensor::TensorView<'_>| match view.dtype() {
        safetensors::Dtype::BF16 => {
            view.data().as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect()
        }
        _ => bytemuck::pod_collect_to_vec(view.data()),
    };
    file.tensors().into_iter().map(|(name, view)| (name, widened(&view))).collect()
}

/// What a list makes of rows.
fn gathered(old: &[f32], width: usize, rows: &[u32], is_state: bool) -> Vec<f32> {
    let row = |index: &u32| match *index {
        RowList::ZERO => vec![0.0; width],
        index if is_state && index & RowList::FRESH != 0 => vec![0.0; width],
        index => old[(index & !RowList::FRESH) as usize * width..][..width].to_vec(),
    };
    rows.iter().flat_map(row).collect()
}

/// Kept, dropped, twice, with a fresh state, and zeros.
fn list(rows: u32) -> Vec<u32> {
    let kept = (0..rows).filter(|row| row % 3 != 1);
    let split = (0..rows).filter(|row| row % 5 == 0).map(|row| row | RowList::FRESH);
    let again = (0..rows).filter(|row| row % 7 == 0).rev();
    kept.chain(split).chain(again).chain([RowList::ZERO; 3]).collect()
}

fn kinds() -> Vec<(Row, Settings)> {
    let plain = Row::adamw(1e-2).weight_decay(0.1);
    let settings = Settings::default();
    let clipped = settings.clip(Clip::norm(0.5)).guard(true);
    vec![
        (plain, settings),
        (plain.amsgrad(true), clipped),
        (plain.moments(Storage::Bf16), clipped),
        (plain.ema_decay(0.9), settings),
        (Row::sgd(1e-2).momentum(0.9), settings),
    ]
}

fn values(engine: &Engine, externals: &[External]) -> Vec<Vec<f32>> {
    externals.iter().map(|external| engine.read(&external.values).expect("values")).collect()
}

#[test]
fn rows_go_by_the_list_and_steps_go_on() {
    for engine in engines() {
        for ((row, settings), place) in
            kinds().into_iter().zip([(0, false), (4, true), (12, true), (8, false), (0, true)])
        {
            let what = format!("{row:?} on {}", engine.name());
            let old = externals(&engine, ROWS, place.0, place.1);
            for (seed, external) in (7..).zip(&old) {
                let values = noise(seed, external.param.elements());
                engine.write(&external.values.buffer, external.values.offset, &values).expect("a write");
            }
            let mut optimizer = Optimizer::over(&engine, &old, &groups(row), settings).expect("an optimizer");
            train(&mut optimizer, &params(ROWS), 1..4);
            let (before, state) = (values(&engine, &old), floats(&optimizer.read_state().expect("state")));

            let rows = list(ROWS as u32);
            let on_device = engine.buffer_with("rows", &rows).expect("a list").all();
            let list = if place.1 { RowList::Device(&on_device) } else { RowList::Host(&rows) };
            let mut new = externals(&engine, rows.len(), 16 - place.0, place.1);
            new[3] = old[3].clone();
            optimizer.resize(&new[..3], list).expect("other rows");

            let after = values(&engine, &new);
            for ((width, before), after) in WIDTHS.iter().zip(&before).zip(&after).take(3) {
                assert!(*after == gathered(before, *width, &rows, false), "p{width}, {what}");
            }
            assert!(after[3] == before[3], "{what}");
            let mut moved = floats(&optimizer.read_state().expect("state"));
            for (name, before) in state {
                let width = name.split('.').next().and_then(|name| name[1..].parse().ok()).expect("a width");
                let is_moved = !name.ends_with(".step") && width != 4;
                let expected = if is_moved { gathered(&before, width, &rows, true) } else { before };
                assert!(moved.remove(&name) == Some(expected), "{name}, {what}");
            }
            assert!(moved.is_empty(), "{what}");

            // As if it had been so from the start.
            let anew = externals(&engine, rows.len(), 0, false);
            let anew: Vec<External> = new
                .iter()
                .zip(anew)
                .map(|(new, anew)| {
                    let buffer = engine.buffer("values", new.values.bytes).expect("a buffer");
                    let external = External::new(new.param.clone(), buffer.all());
                    external.gradient(
                        if new.param.name == "p4" { old[3].gradient.clone() } else { anew.gradient }
                            .expect("a gradient"),
                    )
                })
                .collect();
            for (values, external) in after.iter().zip(&anew) {
                engine.write(&external.values.buffer, 0, values).expect("a write");
            }
            let mut other = Optimizer::over(&engine, &anew, &groups(row), settings).expect("an optimizer");
            other.load_state(&optimizer.read_state().expect("state")).expect("it is taken");
            other.go_to_step(3).expect("a step");
            let params: Vec<Param> = new.iter().map(|external| external.param.clone()).collect();
            train(&mut optimizer, &params, 4..7);
            train(&mut other, &params, 4..7);
            assert!(values(&engine, &new) == values(&engine, &anew), "{what}");
            assert!(optimizer.read_state().expect("state") == other.read_state().expect("state"), "{what}");
            assert_eq!(optimizer.read_applied_counts().expect("counts")["p45"], 6);
            assert!(optimizer.stats().expect("no row was lost").is_some());
        }
    }
}

/// Frozen and bf16 parameters too, which have no state, or values of half a word.
#[test]
fn values_of_every_kind_move() {
    for engine in engines() {
        let rows = list(9);
        let halves = |elements: usize| {
            let bytes = (elements * 2).next_multiple_of(16) as u64;
            engine.buffer("halves", bytes).expect("a buffer").range(0, (elements as u64 * 2).next_multiple_of(4))
        };
        let external = |rows: usize| {
            let param = Param::new("p", [rows, 3]);
            let gradient = engine.buffer("gradient", param.elements() as u64 * 4 + 16).expect("a buffer");
            let gradient = gradient.range(0, param.elements() as u64 * 4).expect("a range");
            let values = halves(param.elements()).expect("a range");
            External::new(param, values).gradient(gradient).precision(Precision::Mixed)
        };
        let read = |external: &External| -> Vec<f32> {
            let halves: Vec<u16> = engine.read(&external.values).expect("values");
            halves[..external.param.elements()].iter().map(|bits| bf16::from_bits(*bits).to_f32()).collect()
        };
        for is_frozen in [false, true] {
            let (old, new) = (external(9), external(rows.len()));
            let mut numbers: Vec<u16> = (1..28).map(|it| bf16::from_f32(it as f32).to_bits()).collect();
            numbers.push(0);
            engine.write(&old.values.buffer, 0, &numbers).expect("a write");
            let row = Row::default().moments(Storage::Bf16);
            let group = Group::new("all", row, ["p"]);
            let group = if is_frozen { group.frozen() } else { group };
            let mut optimizer = Optimizer::over(&engine, std::slice::from_ref(&old), &[group], Settings::default())
                .expect("an optimizer");
            if !is_frozen {
                train(&mut optimizer, std::slice::from_ref(&old.param), 1..2);
            }
            let before = read(&old);
            optimizer.resize(std::slice::from_ref(&new), RowList::Host(&rows)).expect("other rows");
            assert!(read(&new) == gathered(&before, 3, &rows, false), "on {}", engine.name());
            optimizer.thaw("all").expect("a group");
            train(&mut optimizer, std::slice::from_ref(&new.param), 2..3);
        }
    }
}

#[test]
fn it_waits_for_nothing() {
    let Some(engine) = fresh_gpu() else { return };
    let old = externals(&engine, ROWS, 0, false);
    let mut optimizer = Optimizer::over(&engine, &old, &groups(Row::default()), Settings::default()).expect("one");
    train(&mut optimizer, &params(ROWS), 1..2);
    let rows = list(ROWS as u32);
    let list = engine.buffer_with("rows", &rows).expect("a list").all();
    let new = externals(&engine, rows.len(), 0, false);
    let before = engine.counters();
    optimizer.resize(&new[..3], RowList::Device(&list)).expect("other rows");
    let cost = engine.counters() - before;
    assert_eq!((cost.blocking_waits, cost.downloaded_bytes), (0, 0), "{cost:?}");
    assert!(cost.submissions <= 3, "{cost:?}");
}

#[test]
fn a_row_that_there_is_not_is_told() {
    for engine in engines() {
        let old = externals(&engine, ROWS, 0, false);
        let mut optimizer =
            Optimizer::over(&engine, &old, &groups(Row::default()), Settings::default()).expect("an optimizer");
        train(&mut optimizer, &params(ROWS), 1..2);
        let rows = [3, 131, 5 | RowList::FRESH, 4000];
        let new = externals(&engine, rows.len(), 0, false);
        let told = optimizer.resize(&new[..3], RowList::Host(&rows)).expect_err("an error").to_string();
        assert_eq!(told, "parameter \"p1\": row 131, which the list names at place 1, is past its 131 rows");
        train(&mut optimizer, &params(ROWS), 2..3);

        let list = engine.buffer_with("rows", &rows).expect("a list").all();
        let before = values(&engine, &old);
        optimizer.resize(&new[..3], RowList::Device(&list)).expect("the host does not see it");
        let rows = [3, RowList::ZERO, 5 | RowList::FRESH, RowList::ZERO];
        assert!(values(&engine, &new)[2] == gathered(&before[2], 45, &rows, false));
        let params: Vec<Param> = new[..3].iter().chain(&old[3..]).map(|external| external.param.clone()).collect();
        train(&mut optimizer, &params, 3..4);
        engine.wait().expect("a wait");
        let told = optimizer.stats().expect_err("an error");
        assert!(matches!(told, Error::LostRows { rows: 6 }), "{told}");
        train(&mut optimizer, &params, 4..5);
        engine.wait().expect("a wait");
        optimizer.stats().expect("told once");
    }
}

#[test]
fn what_cannot_be_resized_changes_nothing() {
    for engine in engines() {
        let old = externals(&engine, ROWS, 0, true);
        let int8 = Row::default().moments(Storage::Int8);
        let groups = [Group::new("splats", Row::default(), ["p1", "p3", "p45"]), Group::new("rest", int8, ["p4"])];
        let mut optimizer = Optimizer::over(&engine, &old, &groups, Settings::default()).expect("an optimizer");
        train(&mut optimizer, &params(ROWS), 1..2);
        let mut best = Best::new(u64::MAX);
        best.keep(&optimizer).expect("a copy");
        let (before, state) = (values(&engine, &old), optimizer.read_state().expect("state"));
        let rows: Vec<u32> = (0..20).collect();
        let new = externals(&engine, 20, 0, true);
        let one = |param: Param, values: Range| vec![External::new(param, values)];
        let moved =
            |buffer: &gradus::engine::Buffer| one(Param::new("p3", [20, 3]), buffer.range(0, 240).expect("a range"));
        let free = engine.buffer("free", 4000).expect("a buffer");
        let outside = Range { buffer: free.clone(), offset: 3900, bytes: 240 };
        let refused: Vec<(Vec<External>, &str)> = vec![
            (one(Param::new("p5", [20, 3]), free.range(0, 240).expect("a range")), "no parameter is named \"p5\""),
            ([moved(&free), moved(&free)].concat(), "\"p3\" is used twice"),
            (one(Param::new("p3", [20, 4]), free.range(0, 320).expect("a range")), "differ in more than their rows"),
            (one(Param::new("p3", [60]), free.range(0, 240).expect("a range")), "differ in more than their rows"),
            (
                one(Param::new("p3", [21, 3]), free.range(0, 252).expect("a range")),
                "its new shape has 21 rows, and the list 20",
            ),
            (one(Param::new("p3", [20, 3]), free.range(0, 236).expect("a range")), "needs 240"),
            (one(Param::new("p3", [20, 3]), outside), "reaches past the end"),
            (moved(&old[0].values.buffer), "overlap"),
            (moved(&old[0].gradient.as_ref().expect("a gradient").buffer), "overlap"),
            (vec![new[0].clone().precision(Precision::Mixed)], "cannot become Mixed"),
            (vec![new[3].clone()], "its moments are in int8"),
        ];
        for (externals, reason) in refused {
            let told = optimizer.resize(&externals, RowList::Host(&rows)).expect_err("an error").to_string();
            assert!(told.contains(reason), "{told}, not: {reason}");
        }
        let none = optimizer.resize(&[External::new(Param::new("p3", [0, 3]), free.all())], RowList::Host(&[]));
        assert!(none.expect_err("an error").to_string().contains("has no elements"));
        assert!(values(&engine, &old) == before && optimizer.read_state().expect("state") == state);
        train(&mut optimizer, &params(ROWS), 2..3);

        optimizer.resize(&new[..1], RowList::Host(&rows)).expect("other rows");
        let told = best.restore(&mut optimizer).expect_err("an error").to_string();
        assert!(told.contains("of a model with other parameters"), "{told}");
        best.keep(&optimizer).expect("a copy");
        best.restore(&mut optimizer).expect("it goes back");

        let parameters = Parameters::new(&engine, &params(ROWS), None).expect("parameters");
        let mut ours = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
        let told = ours.resize(&new[..1], RowList::Host(&rows)).expect_err("an error").to_string();
        assert!(told.contains("lie in arenas of the optimizer's own"), "{told}");
    }
}

/// A parameter whose gradient comes later has none until then.
#[test]
fn gradients_may_come_later() {
    for engine in engines() {
        let old = externals(&engine, ROWS, 0, false);
        let mut optimizer =
            Optimizer::over(&engine, &old, &groups(Row::default()), Settings::default()).expect("an optimizer");
        train(&mut optimizer, &params(ROWS), 1..2);
        let rows: Vec<u32> = (0..200).map(|row| row % 131).collect();
        let new = externals(&engine, rows.len(), 0, false);
        let bare: Vec<External> =
            new[..3].iter().map(|new| External::new(new.param.clone(), new.values.clone())).collect();
        optimizer.resize(&bare, RowList::Host(&rows)).expect("other rows");
        optimizer.step().expect("a step over the rest");
        let counts = optimizer.read_applied_counts().expect("counts");
        assert_eq!((counts["p3"], counts["p4"]), (1, 2));
        let all: Vec<(&str, Range)> =
            new[..3].iter().map(|new| (new.param.name.as_str(), new.gradient.clone().expect("a gradient"))).collect();
        optimizer.rebind(&all).expect("gradients");
        let params: Vec<Param> = bare.iter().map(|external| external.param.clone()).collect();
        train(&mut optimizer, &params, 2..3);
        let counts = optimizer.read_applied_counts().expect("counts");
        assert_eq!((counts["p3"], counts["p4"]), (2, 2));
    }
}
