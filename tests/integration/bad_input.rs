//! Bad input: one clear error each, and nothing changed.

use crate::support::{gpu, noise};
use gradus::engine::{Buffer, Engine};
use gradus::optim::{Clip, External, GradientClip, Optimizer, Parameters, Precision, Settings};
use gradus::params::{Field, Group, Param, Row};

fn model() -> Vec<Param> {
    vec![Param::new("trunk.weight", [8, 4]), Param::new("head.weight", [2, 8]), Param::new("head.bias", [2])]
}

fn groups() -> Vec<Group> {
    vec![
        Group::new("trunk", Row::default(), ["trunk.weight"]),
        Group::new("head", Row::default(), ["head.weight", "head.bias"]),
    ]
}

fn refused(groups: &[Group], settings: Settings) -> String {
    let engine = Engine::cpu();
    let parameters = Parameters::new(&engine, &model(), None).expect("parameters");
    Optimizer::new(&engine, &parameters, groups, settings).expect_err("an error").to_string()
}

#[test]
fn groups_and_values_are_refused_by_name() {
    let plain = Settings::default();
    let with = |row: Row| vec![Group::new("head", row, ["head.weight"])];
    let row = Row::default();
    let non_negative = "is not a finite number that is 0 or more";
    for (row, told) in [
        (row.lr(-1.0), format!("group \"head\": lr = -1 {non_negative}")),
        (row.lr(f64::NAN), format!("group \"head\": lr = NaN {non_negative}")),
        (row.lr(f64::INFINITY), format!("group \"head\": lr = inf {non_negative}")),
        (row.lr(1e39), format!("group \"head\": lr = {} {non_negative}", 1e39)),
        (row.weight_decay(-0.1), format!("group \"head\": weight_decay = -0.1 {non_negative}")),
        (row.eps(-1e-8), format!("group \"head\": eps = -0.00000001 {non_negative}")),
        (row.beta1(1.0), "group \"head\": beta1 = 1 is not in [0, 1)".to_owned()),
        (row.beta2(-0.1), "group \"head\": beta2 = -0.1 is not in [0, 1)".to_owned()),
        (row.beta2(f64::NAN), "group \"head\": beta2 = NaN is not in [0, 1)".to_owned()),
    ] {
        assert_eq!(refused(&with(row), plain), told);
    }
    assert_eq!(
        refused(&[Group::new("head", row, ["head.wieght"])], plain),
        "no parameter is named \"head.wieght\"; did you mean \"head.weight\"?"
    );
    assert_eq!(
        refused(&[Group::new("a", row, ["head.bias"]), Group::new("b", row, ["head.weight", "head.bias"])], plain),
        "parameter \"head.bias\" is in group \"a\" and again in group \"b\""
    );
    assert_eq!(
        refused(&[Group::new("a", row, ["head.bias", "head.bias"])], plain),
        "parameter \"head.bias\" is in group \"a\" and again in group \"a\""
    );
    assert_eq!(
        refused(&[Group::new("a", row, ["head.bias"]), Group::new("a", row, ["head.weight"])], plain),
        "the group name \"a\" is used twice"
    );
    assert_eq!(refused(&groups(), plain.clip(Clip::norm(-1.0))), "max_norm = -1 is not a finite number above 0");
    assert_eq!(
        refused(&groups(), plain.clip(Clip::Value(f64::NAN))),
        "clip value = NaN is not a finite number above 0"
    );
    for bound in [1e-46, 1e39] {
        assert!(refused(&groups(), plain.clip(Clip::Value(bound))).starts_with("clip value = "));
    }
    assert_eq!(refused(&groups(), plain.horizon_steps(1025)), "horizon_steps = 1025 is not from 1 to 1024");
}

#[test]
fn models_are_refused_by_name() {
    let told = |params: &[Param]| Parameters::new(&Engine::cpu(), params, None).expect_err("an error").to_string();
    assert_eq!(told(&[]), "the model is empty: no parameter was given");
    assert_eq!(told(&[Param::new("w", [3, 0])]), "parameter \"w\" of shape [3, 0] has no elements");
    assert_eq!(told(&[Param::new("w", [3]), Param::new("w", [3])]), "the parameter name \"w\" is used twice");
    for huge in [[(1 << 62) + 1, 4], [1 << 31, 1 << 31], [usize::MAX, usize::MAX]] {
        assert!(told(&[Param::new("w", huge)]).ends_with("has more than 2^40 elements"), "{huge:?}");
    }
}

#[test]
fn calls_on_a_running_optimizer_change_nothing_when_refused() {
    let engine = Engine::cpu();
    let parameters = Parameters::new(&engine, &model(), None).expect("parameters");
    let mut optimizer =
        Optimizer::new(&engine, &parameters, &groups()[..1], Settings::default()).expect("an optimizer");
    let layout = optimizer.layout();
    let told = |result: Result<(), gradus::optim::Error>| result.expect_err("an error").to_string();
    assert_eq!(told(optimizer.set("trnk", Field::Lr, 0.1)), "no group is named \"trnk\"; did you mean \"trunk\"?");
    assert_eq!(told(optimizer.set("trunk", Field::Beta1, 1.0)), "group \"trunk\": beta1 = 1 is not in [0, 1)");
    assert_eq!(optimizer.row("trunk").expect("a row"), Row::default(), "a refused value is not kept");
    assert_eq!(told(optimizer.thaw("nothing")), "no group is named \"nothing\"");
    assert_eq!(
        told(optimizer.add_group(&Group::new("both", Row::default(), ["head.bias", "trunk.weight"]))),
        "parameter \"trunk.weight\" is in group \"trunk\" and again in group \"both\""
    );
    assert_eq!(optimizer.groups().collect::<Vec<_>>(), ["trunk"]);
    assert_eq!(optimizer.layout(), layout);
    optimizer.add_group(&Group::new("head", Row::default(), ["head.bias"])).expect("the bias is still free");
    let rows = |count| vec![Row::default(); count];
    assert_eq!(told(optimizer.load_rows(0, &rows(3))), "3 rows for 2 groups: not a whole number of steps");
    assert_eq!(told(optimizer.load_rows(0, &rows(0))), "0 rows for 2 groups: not a whole number of steps");
    assert_eq!(told(optimizer.load_rows(0, &rows(2 * 257))), "514 rows for 2 groups: more steps than horizon_steps");
    let amsgrad = Row::default().amsgrad(true);
    assert_eq!(
        told(optimizer.load_rows(0, &[Row::default(), amsgrad])),
        "2 rows for 2 groups: rule and amsgrad cannot change from step to step"
    );
    assert_eq!(
        told(optimizer.upload_gradient("head.bias", &[0.0; 3])),
        "parameter \"head.bias\": its gradient has 12 bytes, its shape [2] needs 8"
    );
    assert_eq!(
        optimizer.select(&["head.biass"]).expect_err("an error").to_string(),
        "no parameter is named \"head.biass\"; did you mean \"head.bias\"?"
    );
}

fn external(buffer: &Buffer, name: &str, shape: [usize; 1], values: u64, gradient: (&Buffer, u64)) -> External {
    let bytes = shape[0] as u64 * 4;
    let range = |buffer: &Buffer, at| buffer.range(at, bytes).expect("a range");
    External::new(Param::new(name, shape), range(buffer, values)).with_gradient(range(gradient.0, gradient.1))
}

#[test]
fn callers_ranges_are_checked() {
    let engine = Engine::cpu();
    let params = engine.buffer("my params", 256).expect("a buffer");
    let grads = engine.buffer("my grads", 256).expect("a buffer");
    let told = |externals: &[External]| {
        let groups = [Group::new("all", Row::default(), externals.iter().map(|one| one.param.name.clone()))];
        Optimizer::over(&engine, externals, &groups, Settings::default()).expect_err("an error").to_string()
    };
    let a = external(&params, "a", [8], 0, (&grads, 0));
    let wrong = a.clone().with_gradient(grads.range(0, 28).expect("a range"));
    assert_eq!(told(&[wrong]), "parameter \"a\": its gradient has 28 bytes, its shape [8] needs 32");
    let b = external(&params, "b", [8], 16, (&grads, 64));
    assert_eq!(told(&[a.clone(), b]), "the values of \"a\" and the values of \"b\" overlap in buffer \"my params\"");
    let shared = external(&params, "b", [4], 64, (&grads, 16));
    assert_eq!(
        told(&[a.clone(), shared]),
        "the gradient of \"a\" and the gradient of \"b\" overlap in buffer \"my grads\""
    );
    let in_itself = external(&params, "d", [4], 0, (&params, 8));
    assert_eq!(told(&[in_itself]), "the values of \"d\" and the gradient of \"d\" overlap in buffer \"my params\"");
    assert_eq!(told(&[]), "the model is empty: no parameter was given");
    assert_eq!(
        params.range(2, 4).expect_err("an error").to_string(),
        "range 2..6 of buffer \"my params\" (256 bytes): offset and length must be multiples of 4 bytes"
    );
    assert_eq!(
        params.range(252, 8).expect_err("an error").to_string(),
        "range 252..260 of buffer \"my params\" (256 bytes): reaches past the end"
    );
    assert_eq!(
        GradientClip::new(&engine, &[], Clip::norm(1.0)).expect_err("an error").to_string(),
        "the model is empty: no parameter was given"
    );
}

#[test]
fn gradients_to_be_clipped_are_checked_like_the_rest() {
    let engine = Engine::cpu();
    let wide = engine.buffer("wide", 64).expect("a buffer");
    let told = |gradients: &[(&str, gradus::engine::Range)]| {
        GradientClip::new(&engine, gradients, Clip::norm(1.0)).expect_err("an error").to_string()
    };
    let range = |offset, bytes| wide.range(offset, bytes).expect("a range");
    let outside = gradus::engine::Range { buffer: wide.clone(), offset: 60, bytes: 8 };
    assert!(told(&[("a", outside)]).contains("reaches past the end"));
    let twice = told(&[("a", range(0, 16)), ("b", range(8, 16))]);
    assert_eq!(twice, "the gradient of \"a\" and the gradient of \"b\" overlap in buffer \"wide\"");
}

#[test]
fn a_buffer_over_the_binding_limit_is_bound_in_parts() {
    let Some(engine) = gpu() else { return };
    let device = engine.device().expect("a device");
    let limit = engine.page_bytes();
    if limit >= engine.adapter().expect("an adapter").buffer_bytes {
        return;
    }
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let make = |label, size| {
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        engine.import(label, &device.create_buffer(&descriptor)).expect("an import")
    };
    let (params, grads) = (make("my params", limit + 256), make("my grads", 256));
    let one = external(&params, "a", [8], 0, (&grads, 0));
    let groups = [Group::new("all", Row::default(), ["a"])];
    Optimizer::over(&engine, &[one], &groups, Settings::default()).expect("the tensor fits");
    let halves = External::new(Param::new("a", [8]), params.range(0, 16).expect("a range"));
    let halves = halves.with_precision(Precision::Mixed);
    let told = Optimizer::over(&engine, &[halves], &groups, Settings::default()).expect_err("an error").to_string();
    assert!(told.contains("holds bf16 and is over the device's binding limit"), "{told}");
}

#[test]
fn a_buffer_without_storage_is_refused() {
    let Some(engine) = gpu() else { return };
    let usage = wgpu::BufferUsages::VERTEX | wgpu::BufferUsages::COPY_DST;
    let descriptor = wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false };
    let buffer = engine.device().expect("a device").create_buffer(&descriptor);
    assert_eq!(
        engine.import("vertices", &buffer).expect_err("an error").to_string(),
        "buffer \"vertices\" of 64 bytes was made without the usage STORAGE"
    );
}

#[test]
fn a_parameter_over_a_page_cannot_be_bound_whole() {
    let engine = Engine::cpu();
    let parameters = Parameters::new(&engine, &[Param::new("big", [10_000])], Some(4096 * 4)).expect("parameters");
    assert_eq!(
        parameters.place("big").expect_err("an error").to_string(),
        "buffer \"big\" of 40000 bytes is over the device's limit of 16384 bytes"
    );
    parameters.upload("big", &noise(1, 10_000)).expect("it is there all the same");
    assert_eq!(parameters.download("big").expect("values"), noise(1, 10_000));
}
