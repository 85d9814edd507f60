//! Moments in bf16 or int8 beside parameters and gradients in f32: how bf16 is rounded, what they cost, groups that store
//! them differently, files, and that a run with them learns as well. (`int8` tells how bytes are rounded.)

use crate::support::{engines, noise};
use gradus::data::digits;
use gradus::engine::Engine;
use gradus::nn::Activation;
use gradus::nn::models::Mlp;
use gradus::optim::{Best, Clip, Forecast, Optimizer, Parameters, Refreeze, Settings};
use gradus::params::{Group, Param, Row, Rule, Storage};
use gradus::schedule::{Plan, Spec};
use gradus::train::{Classify, Config, Event, Trainer};
use half::bf16;
use safetensors::tensor::{Dtype, SafeTensors};
use std::collections::BTreeMap;

fn bf16_row() -> Row {
    Row::adamw(1e-2).weight_decay(0.1).moments(Storage::Bf16)
}

fn f32_row() -> Row {
    bf16_row().moments(Storage::F32)
}

fn filled(engine: &Engine, params: &[Param]) -> Parameters {
    let parameters = Parameters::new(engine, params, None).expect("parameters");
    for (seed, param) in params.iter().enumerate() {
        parameters.upload(&param.name, &noise(seed as u32, param.elements())).expect("an upload");
    }
    parameters
}

fn train(optimizer: &mut Optimizer, params: &[Param], seeds: std::ops::Range<u32>) {
    for seed in seeds {
        for (place, param) in params.iter().enumerate() {
            if optimizer.is_trainable(&param.name).expect("a parameter") {
                let gradient = noise(1000 + seed * 10 + place as u32, param.elements());
                optimizer.upload_gradient(&param.name, &gradient).expect("a gradient");
            }
        }
        optimizer.step().expect("a step");
    }
}

/// What a file of state or of parameters holds, by name.
fn tensors(file: &[u8]) -> BTreeMap<String, (Dtype, Vec<u8>)> {
    let file = SafeTensors::deserialize(file).expect("a file");
    file.tensors().into_iter().map(|(name, view)| (name, (view.dtype(), view.data().to_vec()))).collect()
}

fn bf16s(file: &[u8], name: &str) -> Vec<bf16> {
    let (dtype, bytes) = tensors(file).remove(name).unwrap_or_else(|| panic!("{name} is missing"));
    assert_eq!(dtype, Dtype::BF16, "{name}");
    bytes.as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes)).collect()
}

/// With betas of 0 the moments are the gradient and its square, so that the rounding is all there is to see.
#[test]
fn moments_are_rounded_to_the_nearest_even() {
    // Ties both ways, just beside them, over the end of a binade, the largest, what rounds up to infinity, what is not
    // finite, zeros.
    let hard: Vec<f32> = [
        0x3f80_8000,
        0x3f81_8000,
        0x3f80_8001,
        0x3f80_7fff,
        0x3fff_8000,
        0xbf80_8000,
        0xbf81_8000,
        0x7f7f_7fff,
        0x7f7f_ffff,
        0xff7f_ffff,
        0x7f80_0000,
        0xff80_0000,
        0x7fc0_0000,
        0x7fa0_0001,
        0,
        0x8000_0000,
    ]
    .map(f32::from_bits)
    .to_vec();
    for engine in engines() {
        for size in [1, 2, 7, 8, 9, 15, 63, 65, 4095, 4097] {
            let params = [Param::new("before", [3]), Param::new("p", [size]), Param::new("after", [5])];
            let parameters = filled(&engine, &params);
            let row = bf16_row().beta1(0.0).beta2(0.0);
            let groups = [Group::new("all", row, ["before", "p", "after"])];
            let settings = Settings::default();
            let mut optimizer = Optimizer::new(&engine, &parameters, &groups, settings).expect("an optimizer");
            let gradient: Vec<f32> = hard.iter().copied().chain(noise(7, 5000)).take(size).collect();
            optimizer.upload_gradient("p", &gradient).expect("a gradient");
            optimizer.step().expect("a step");
            let state = optimizer.read_state().expect("state");
            let (m, v) = (bf16s(&state, "p.exp_avg"), bf16s(&state, "p.exp_avg_sq"));
            let same = |got: bf16, expected: f32| {
                let expected = bf16::from_f32(expected);
                got.to_bits() == expected.to_bits() || got.is_nan() && expected.is_nan()
            };
            for (place, g) in gradient.iter().enumerate() {
                let at = format!("{place} of {size} on {}: {g:e}", engine.name());
                assert!(same(m[place], 0.0 + *g), "m at {at}: {}", m[place]);
                assert!(same(v[place], g * g), "v at {at}: {}", v[place]);
            }
            for name in ["before.exp_avg", "after.exp_avg"] {
                assert!(bf16s(&state, name).iter().all(|value| value.to_bits() == 0), "{name} beside {size}");
            }
        }
    }
}

/// One element's steps as torch's fused kernel takes them: moments are widened, computed with, used, and then rounded.
/// (It has this mix on CUDA alone, so that there is no trace of it.)
fn reference(start: f32, gradients: &[f32], row: &Row) -> (f64, f64, f64) {
    let stored = |x: f64| f64::from(bf16::from_f32(x as f32).to_f32());
    let (mut p, mut m, mut v, mut v_max) = (f64::from(start), 0.0, 0.0, 0.0);
    for (step, g) in gradients.iter().enumerate() {
        let (mut g, t) = (f64::from(*g), step as i32 + 1);
        match row.rule {
            Rule::AdamW => p -= row.lr * row.weight_decay * p,
            _ => g += row.weight_decay * p,
        }
        let m_new = row.beta1 * m + (1.0 - row.beta1) * g;
        let v_new: f64 = row.beta2 * v + (1.0 - row.beta2) * g * g;
        let root: f64 = if row.amsgrad { v_new.max(v_max) } else { v_new };
        let denominator = root.sqrt() / (1.0 - row.beta2.powi(t)).sqrt() + row.eps;
        p -= row.lr / (1.0 - row.beta1.powi(t)) * m_new / denominator;
        (m, v, v_max) = (stored(m_new), stored(v_new), stored(root));
    }
    (p, m, v)
}

#[test]
fn steps_are_those_of_torchs_fused_kernel() {
    const SIZE: usize = 4099;
    for engine in engines() {
        for row in [bf16_row(), bf16_row().rule(Rule::Adam), bf16_row().amsgrad(true)] {
            let params = [Param::new("p", [SIZE])];
            let parameters = filled(&engine, &params);
            let groups = [Group::new("all", row, ["p"])];
            let mut optimizer =
                Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
            train(&mut optimizer, &params, 0..6);
            let gradients: Vec<Vec<f32>> = (0..6).map(|seed| noise(1000 + seed * 10, SIZE)).collect();
            let got = parameters.read("p").expect("values");
            let state = optimizer.read_state().expect("state");
            let (m, v) = (bf16s(&state, "p.exp_avg"), bf16s(&state, "p.exp_avg_sq"));
            let start = noise(0, SIZE);
            let mut other = 0;
            for place in 0..SIZE {
                let own: Vec<f32> = gradients.iter().map(|gradient| gradient[place]).collect();
                let (p, m_exact, v_exact) = reference(start[place], &own, &row);
                let at = format!("{place} on {} with {row:?}", engine.name());
                let near = |got: bf16, exact: f64| (got.to_f64() - exact).abs() <= exact.abs() / 64.0 + 1e-3;
                assert!(near(m[place], m_exact) && near(v[place], v_exact), "moments at {at}");
                // Where f32 and f64 fall on two sides of a tie, a moment is another for good: its last bit is 1 part in
                // 128, and the step at most that much of lr longer.
                let error = (f64::from(got[place]) - p).abs();
                assert!(error <= 6.0 * row.lr / 128.0, "{at}: {} is not {p}", got[place]);
                other += usize::from(error > 1e-6);
            }
            assert!(other <= SIZE / 100, "{other} of {SIZE} parameters are off on {}", engine.name());
        }
    }
}

/// What `Storage` says of a large beta2: a decay of 1 part in 1000 is less than half a bit, one of 1 in 100 is more.
#[test]
fn a_second_moment_falls_only_by_whole_bits() {
    for engine in engines() {
        for (beta2, falls) in [(0.999, false), (0.99, true)] {
            let params = [Param::new("p", [500])];
            let parameters = filled(&engine, &params);
            let groups = [Group::new("all", bf16_row().beta2(beta2), ["p"])];
            let mut optimizer =
                Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
            train(&mut optimizer, &params, 0..1);
            let v = |optimizer: &Optimizer| bf16s(&optimizer.read_state().expect("state"), "p.exp_avg_sq");
            let before = v(&optimizer);
            optimizer.upload_gradient("p", &[0.0; 500]).expect("a gradient");
            for _ in 0..10 {
                optimizer.step().expect("a step");
            }
            let fell = v(&optimizer).iter().zip(&before).all(|(now, before)| now < before);
            assert!(fell == falls && (fell || v(&optimizer) == before), "beta2 {beta2} on {}", engine.name());
        }
    }
}

fn model() -> Vec<Param> {
    vec![
        Param::new("wide", [3 * 4096 + 77]),
        Param::new("head", [33]),
        Param::new("late", [9000]),
        Param::new("odd", [7]),
    ]
}

/// What moments may be stored as, besides f32.
const SMALL: [Storage; 2] = [Storage::Bf16, Storage::Int8];

fn stored(moments: Storage) -> Row {
    bf16_row().moments(moments)
}

/// `wide` and `odd` in f32, `head` in another storage; `late` is in that too, and frozen.
fn mixed(small: Storage) -> Vec<Group> {
    vec![
        Group::new("f32", f32_row(), ["wide", "odd"]),
        Group::new("small", stored(small), ["head"]),
        Group::new("late", stored(small).lr(3e-3), ["late"]).frozen(),
    ]
}

#[test]
fn groups_store_their_moments_as_each_says() {
    for (engine, small) in engines().into_iter().flat_map(|engine| SMALL.map(|small| (engine.clone(), small))) {
        let [wide, head, late, odd] = &model()[..] else { panic!("four parameters") };
        let elements = |param: &Param| param.elements() as u64;
        let settings = Settings::default().clip(Clip::norm(0.5)).guard(true);
        let parameters = filled(&engine, &model());
        let mut optimizer = Optimizer::new(&engine, &parameters, &mixed(small), settings).expect("an optimizer");

        // Kernel, and bytes of both moments of so many elements.
        let (own, moments): (_, fn(u64) -> u64) = match small {
            Storage::Bf16 => ("adamw.bf16", |elements| 4 * elements),
            _ => ("adamw_int8", |elements| 2 * (elements + elements.div_ceil(16))),
        };
        let kernels = |optimizer: &mut Optimizer| -> Vec<&str> {
            let program = optimizer.program().expect("a program");
            program.dispatches.iter().map(|dispatch| dispatch.kernel.name).collect()
        };
        assert_eq!(kernels(&mut optimizer), ["norm", "control", "adamw", own], "a dispatch for each storage");
        let of = |row: Row| Forecast::of(&[row], &settings);
        let check = |optimizer: &mut Optimizer, small_ones: &[&Param]| {
            let in_f32 = elements(wide) + elements(odd);
            let in_small: u64 =
                small_ones.iter().map(|param| 16 * elements(param) + 2 * moments(elements(param))).sum();
            let moved = optimizer.program().expect("a program").bytes();
            assert_eq!(moved, (28 + 4) * in_f32 + in_small, "bytes of a step");
            let small_ones = || small_ones.iter().copied();
            let state = of(f32_row()).state_bytes([wide, odd]) + of(stored(small)).state_bytes(small_ones());
            assert_eq!(optimizer.state_bytes(), state);
            assert_eq!(moved, of(f32_row()).step_bytes([wide, odd]) + of(stored(small)).step_bytes(small_ones()));
        };
        check(&mut optimizer, &[head]);
        train(&mut optimizer, &model(), 0..2);
        optimizer.thaw("late").expect("a group");
        check(&mut optimizer, &[head, late]);
        train(&mut optimizer, &model(), 2..4);
        optimizer.freeze("f32", Refreeze::KeepState).expect("a group");
        assert_eq!(kernels(&mut optimizer), ["norm", "control", own]);
        let only = optimizer.select(&["head"]).expect("a selection");
        optimizer.step_over(&only).expect("a step");
        optimizer.freeze("small", Refreeze::DropState).expect("a group");
        train(&mut optimizer, &model(), 4..5);
        assert_eq!(
            optimizer.state_bytes(),
            of(f32_row()).state_bytes([wide, odd]) + of(stored(small)).state_bytes([late])
        );
        for (group, thaw) in [("f32", true), ("small", true), ("late", false)] {
            if thaw {
                optimizer.thaw(group).expect("a group");
            }
        }
        train(&mut optimizer, &model(), 5..6);
        let counts = optimizer.read_applied_counts().expect("counts");
        assert_eq!(["wide", "head", "late", "odd"].map(|name| counts[name]), [5, 1, 4, 5]);

        // A group's own numbers are those that it has alone. Clipping would tie it to the others.
        let alone = |names: &[&str], row: Row| {
            let parameters = filled(&engine, &model());
            let groups = [Group::new("all", row, names.iter().copied())];
            let mut optimizer =
                Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
            train(&mut optimizer, &model(), 0..3);
            names.iter().map(|name| parameters.read(name).expect("values")).collect::<Vec<_>>()
        };
        let parameters = filled(&engine, &model());
        let mut both = Optimizer::new(&engine, &parameters, &mixed(small), Settings::default()).expect("an optimizer");
        train(&mut both, &model(), 0..3);
        let read = |names: &[&str]| names.iter().map(|name| parameters.read(name).expect("v")).collect::<Vec<_>>();
        assert!(read(&["wide", "odd"]) == alone(&["wide", "odd"], f32_row()), "f32 on {}", engine.name());
        assert!(read(&["head"]) == alone(&["head"], stored(small)), "{small} on {}", engine.name());
    }
}

#[test]
fn pages_change_no_bit() {
    for (engine, small) in engines().into_iter().flat_map(|engine| SMALL.map(|small| (engine.clone(), small))) {
        let run = |page_bytes: Option<u64>| {
            let settings = Settings::default().page_bytes(page_bytes).clip(Clip::norm(0.3));
            let parameters = filled(&engine, &model());
            let mut optimizer = Optimizer::new(&engine, &parameters, &mixed(small), settings).expect("an optimizer");
            train(&mut optimizer, &model(), 0..2);
            optimizer.thaw("late").expect("a group");
            train(&mut optimizer, &model(), 2..4);
            (parameters.read_file().expect("a file"), optimizer.read_state().expect("state"))
        };
        let whole = run(None);
        for chunks in [1, 3] {
            assert!(run(Some(chunks * 4096 * 4)) == whole, "pages of {chunks} chunks on {}", engine.name());
        }
    }
}

#[test]
fn state_goes_to_a_file_and_back_in_its_own_type() {
    for (engine, small) in engines().into_iter().flat_map(|engine| SMALL.map(|small| (engine.clone(), small))) {
        let make = |parameters: &Parameters, groups: &[Group]| {
            Optimizer::new(&engine, parameters, groups, Settings::default()).expect("an optimizer")
        };
        let parameters = filled(&engine, &model());
        let mut optimizer = make(&parameters, &mixed(small));
        train(&mut optimizer, &model(), 0..3);
        let (saved, state) = (parameters.read_file().expect("a file"), optimizer.read_state().expect("state"));
        let types = tensors(&state);
        assert_eq!(types["wide.exp_avg"].0, Dtype::F32);
        assert_eq!(
            (types["head.exp_avg"].0, types["head.exp_avg_sq"].0, types["head.step"].0),
            (Dtype::BF16, Dtype::BF16, Dtype::F32)
        );
        train(&mut optimizer, &model(), 3..6);
        let straight = (parameters.read_file().expect("a file"), optimizer.read_state().expect("state"));

        let resumed = filled(&engine, &model());
        resumed.load(&saved).expect("a file");
        let mut optimizer = make(&resumed, &mixed(small));
        optimizer.load_state(&state).expect("state");
        assert!(optimizer.read_state().expect("state") == state, "a state read back is the state");
        train(&mut optimizer, &model(), 3..6);
        assert!(
            (resumed.read_file().expect("a file"), optimizer.read_state().expect("state")) == straight,
            "and goes on"
        );

        // Into the other type: widened to the bit, and back to the nearest.
        let names = ["wide", "head"];
        let (in_f32, in_small) = ([Group::new("all", f32_row(), names)], [Group::new("all", stored(small), names)]);
        let mut from_small = make(&resumed, &in_small);
        train(&mut from_small, &model(), 0..2);
        let state = from_small.read_state().expect("state");
        let mut widened = make(&resumed, &in_f32);
        widened.load_state(&state).expect("state");
        let wide = widened.read_state().expect("state");
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&tensors(&wide)["wide.exp_avg"].1);
        assert!(bf16s(&state, "wide.exp_avg").iter().map(|value| value.to_f32()).eq(values));
        let mut back = make(&resumed, &in_small);
        back.load_state(&wide).expect("state");
        assert!(back.read_state().expect("state") == state, "there and back");

        // State that is loaded before its group is there takes the group's storage when it comes.
        let mut early = make(&resumed, &[Group::new("other", f32_row(), ["odd"])]);
        early.load_state(&state).expect("state");
        early.add_group(&in_small[0]).expect("a group");
        let early = tensors(&early.read_state().expect("state"));
        assert!(tensors(&state).iter().all(|(name, tensor)| early[name] == *tensor));
    }
}

#[test]
fn a_best_copy_holds_them_as_they_are() {
    for (engine, small) in engines().into_iter().flat_map(|engine| SMALL.map(|small| (engine.clone(), small))) {
        for limit in [u64::MAX, 0] {
            let parameters = filled(&engine, &model());
            let mut optimizer =
                Optimizer::new(&engine, &parameters, &mixed(small), Settings::default()).expect("an optimizer");
            let all = |optimizer: &Optimizer| {
                (parameters.read_file().expect("a file"), optimizer.read_state().expect("state"))
            };
            train(&mut optimizer, &model(), 0..3);
            let mut best = Best::new(limit);
            best.keep(&optimizer).expect("a copy");
            let [wide, head, _, odd] = &model()[..] else { panic!("four parameters") };
            let forecast = |row: Row| Forecast::of(&[row], &Settings::default());
            let bytes = forecast(f32_row()).best_bytes([wide, odd]) + forecast(stored(small)).best_bytes([head]);
            assert_eq!(best.bytes(), bytes);
            let kept = all(&optimizer);
            train(&mut optimizer, &model(), 3..5);
            best.restore(&mut optimizer).expect("it goes back");
            assert!(all(&optimizer) == kept, "on {}, limit {limit}", engine.name());

            best.extend(&optimizer, &["late"]).expect("an extension");
            optimizer.thaw("late").expect("a group");
            train(&mut optimizer, &model(), 5..6);
            best.keep(&optimizer).expect("a better copy");
            let better = all(&optimizer);
            train(&mut optimizer, &model(), 6..7);
            best.restore(&mut optimizer).expect("it goes back");
            assert!(all(&optimizer) == better, "with what thawed, on {}, limit {limit}", engine.name());

            // Another optimizer over the same parameters, that stores them otherwise: they start again.
            let groups = [Group::new("all", f32_row(), ["wide", "head", "late", "odd"])];
            let mut other = Optimizer::new(&engine, &parameters, &groups, Settings::default()).expect("an optimizer");
            best.restore(&mut other).expect("it goes back");
            let state = tensors(&other.read_state().expect("state"));
            let zero = |name: &str| state[name].1.iter().all(|byte| *byte == 0);
            assert!(zero("head.exp_avg") && zero("head.step") && !zero("wide.exp_avg") && !zero("wide.step"));
        }
    }
}

fn spec(optimizer: &str) -> Result<Spec, String> {
    Spec::parse("run.yaml", &format!("optimizer: {{{optimizer}}}\nlr_scheduler: {{type: constant}}"))
        .map_err(|error| error.to_string())
}

#[test]
fn a_schedule_asks_for_them() {
    assert_eq!(spec("type: adamw, moments: bf16").expect("a spec").row.moments, Storage::Bf16);
    assert_eq!(spec("type: adam, moments: f32").expect("a spec").row.moments, Storage::F32);
    assert_eq!(spec("type: adam").expect("a spec").row.moments, Storage::F32);
    assert_eq!(
        spec("type: adamw, moments: fb16").expect_err("an error"),
        "run.yaml: optimizer.moments = fb16 is not one of f32, bf16, int8 (did you mean \"bf16\"?)"
    );
    assert_eq!(spec("type: adamw, moments: int8").expect("a spec").row.moments, Storage::Int8);
    assert!(spec("type: adamw, moments: int4").expect_err("an error").contains("(did you mean \"int8\"?)"));
    assert!(spec("type: sgd, moments: bf16").expect_err("an error").contains("optimizer.moments is not a known key"));

    let engine = Engine::cpu();
    let parameters = filled(&engine, &model());
    let of = |row: Row| Optimizer::new(&engine, &parameters, &[Group::new("all", row, ["odd"])], Settings::default());
    for moments in SMALL {
        let told = of(Row::of(Rule::Sgd).moments(moments)).expect_err("an error").to_string();
        assert_eq!(told, format!("group \"all\": moments of sgd are stored as f32, not as {moments}"));
    }
    let told = of(f32_row()).expect("an optimizer").load_rows(0, &[bf16_row()]).expect_err("an error").to_string();
    assert_eq!(told, "1 rows for 1 groups: how moments are stored cannot change from step to step");
}

/// The last test loss of an MLP on the digits.
fn last_loss(moments: &str, seed: u32) -> f64 {
    let (train, test) = digits().expect("digits").split(20, 3).expect("a split");
    let model = Mlp::new(&[64, 32, 10], Activation::Relu).expect("a model");
    let task = Classify::new(&model, (&train, &test)).expect("a task");
    let text = format!(
        "optimizer: {{type: adamw, lr: 3.0e-3, moments: {moments}, no_decay: [bias]}}\nlr_scheduler: {{type: cosine}}"
    );
    let spec = Spec::parse("run.yaml", &text).expect("a spec");
    let config = Config::default().epochs(8).seed(seed);
    let plan = |params: gradus::schedule::ModelParams<'_>, epochs| Plan::new(&spec, params, epochs);
    let mut trainer = Trainer::new(&Engine::cpu(), &task, config, plan).expect("a trainer");
    let mut last = f64::NAN;
    let tell = |event: &Event| {
        if let Event::Evaluation(evaluation) = event {
            last = evaluation.val_loss;
        }
    };
    trainer.run(tell).expect("a run");
    last
}

#[test]
fn a_run_learns_as_well_with_them() {
    for seed in [1, 2, 3] {
        let plain = last_loss("f32", seed);
        for small in SMALL {
            let loss = last_loss(small.name(), seed);
            println!("seed {seed}: test loss {plain:.5} with f32, {loss:.5} with {small}");
            assert!((loss / plain - 1.0).abs() <= 0.02, "seed {seed}: {loss} with {small}, {plain} with f32");
            assert!(loss != plain, "{small} was in use");
        }
    }
}
