//! A step inside a compute pass of the caller's, and fields that are set many at once, on loaded rows too.

use crate::support::{engines, fresh_engines, fresh_gpu, noise};
use gradus::engine::layout::TableRow;
use gradus::engine::{AdapterChoice, Engine, request_adapters};
use gradus::optim::{Error, Optimizer, Parameters, Settings};
use gradus::params::{Field, Group, Param, Row};
use gradus::wgpu::{CommandEncoder, CommandEncoderDescriptor, ComputePassDescriptor};

const GROUPS: usize = 12;
const STEPS: usize = 32;

fn params() -> Vec<Param> {
    (0..GROUPS).map(|place| Param::new(format!("p{place}"), [100 + place])).collect()
}

fn made(engine: &Engine) -> (Parameters, Optimizer) {
    let parameters = Parameters::new(engine, &params(), None).expect("parameters");
    let group = |param: &Param| Group::new(param.name.clone(), Row::default(), [param.name.clone()]);
    let groups: Vec<Group> = params().iter().map(group).collect();
    let settings = Settings::default().horizon_steps(STEPS as u32);
    let optimizer = Optimizer::new(engine, &parameters, &groups, settings).expect("an optimizer");
    for (seed, param) in (0..).zip(params()) {
        parameters.upload(&param.name, &noise(seed, param.elements())).expect("an upload");
        optimizer.upload_gradient(&param.name, &noise(50 + seed, param.elements())).expect("a gradient");
    }
    (parameters, optimizer)
}

fn values(parameters: &Parameters) -> Vec<Vec<f32>> {
    params().iter().map(|param| parameters.read(&param.name).expect("values")).collect()
}

fn rows() -> Vec<Row> {
    (0..STEPS * GROUPS).map(|place| Row::adamw(1e-3 + 1e-5 * place as f64)).collect()
}

#[test]
fn a_step_in_the_callers_pass_is_a_step() {
    let Some(engine) = fresh_gpu() else { return };
    let (device, queue) = (engine.device().expect("a device"), engine.queue().expect("a queue"));
    let (ours, mut alone) = made(&engine);
    let (theirs, mut optimizer) = made(&engine);
    let encoder = || device.create_command_encoder(&CommandEncoderDescriptor::default());
    let in_pass = |encoder: &mut CommandEncoder, optimizer: &mut Optimizer| {
        optimizer.encode_in(&mut encoder.begin_compute_pass(&ComputePassDescriptor::default()))
    };

    // The table is new, and no pass can bring it up.
    let mut without = encoder();
    let told = in_pass(&mut without, &mut optimizer).expect_err("an error");
    assert!(matches!(told, Error::NotAhead), "{told}");
    assert_eq!(optimizer.next_step(), 0);

    for step in 0..4 {
        if step == 2 {
            for one in [&mut alone, &mut optimizer] {
                one.load_rows(2, &rows()).expect("rows");
            }
        }
        alone.step().expect("a step");
        let before = engine.counters();
        let mut encoder = encoder();
        optimizer.encode_ahead(&mut encoder).expect("what comes before");
        in_pass(&mut encoder, &mut optimizer).expect("a step");
        optimizer.encode_report(&mut encoder).expect("a report");
        let cost = engine.counters() - before;
        // What was refused sends its lists again; then new rows alone go up.
        assert_eq!((cost.uploads, cost.blocking_waits), ([2, 0, 1, 0][step], 0), "step {step}");
        queue.submit([encoder.finish()]);
    }
    assert!(values(&ours) == values(&theirs));
    engine.wait().expect("a wait");
    let stats = optimizer.stats().expect("stats").expect("a report");
    assert_eq!((stats.step, stats.applied_steps), (3, 4));

    // An upload in an encoder that is dropped is sent again.
    optimizer.set("p3", Field::Lr, 1e-4).expect("a field");
    let mut dropped = encoder();
    optimizer.encode_ahead(&mut dropped).expect("what comes before");
    drop(dropped);
    let mut again = encoder();
    assert!(matches!(in_pass(&mut again, &mut optimizer), Err(Error::NotAhead)));
}

#[test]
fn there_is_no_pass_on_the_host() {
    let (_, mut optimizer) = made(&Engine::cpu());
    let Some(engine) = fresh_gpu() else { return };
    let device = engine.device().expect("a device");
    let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor::default());
    assert!(optimizer.encode_ahead(&mut encoder).is_err());
    assert_eq!(optimizer.next_step(), 0);
    optimizer.step().expect("a step of its own");
}

#[test]
fn a_field_of_loaded_rows_sends_its_groups_rows_alone() {
    for engine in fresh_engines() {
        let (parameters, mut optimizer) = made(&engine);
        let (whole, mut anew) = made(&engine);
        optimizer.load_rows(0, &rows()).expect("rows");
        anew.load_rows(0, &rows()).expect("rows");
        let step = |optimizer: &mut Optimizer| {
            let before = engine.counters();
            optimizer.step().expect("a step");
            engine.counters() - before
        };
        optimizer.program().expect("its lists go up before");
        let table = 16 + (STEPS * GROUPS * size_of::<TableRow>()) as u64;
        assert_eq!(step(&mut optimizer).uploaded_bytes, table);
        for _ in 0..4 {
            assert_eq!(step(&mut optimizer).uploads, 0);
        }
        let ids = ["p3", "p7"].map(|name| optimizer.group_id(name).expect("a group"));
        let fields = [(ids[0], Field::Lr, 0.25), (ids[1], Field::Lr, 0.5), (ids[0], Field::WeightDecay, 0.1)];
        optimizer.set_many(&fields).expect("fields");
        let cost = step(&mut optimizer);
        let rest = (STEPS - 5) * size_of::<TableRow>();
        assert_eq!((cost.uploads, cost.uploaded_bytes), (2, 2 * rest as u64), "on {}", engine.name());

        // As if the whole table had been loaded with them.
        for _ in 0..5 {
            step(&mut anew);
        }
        let mut changed = rows();
        for rows in changed.chunks_mut(GROUPS).skip(5) {
            (rows[3].lr, rows[3].weight_decay, rows[7].lr) = (0.25, 0.1, 0.5);
        }
        anew.load_rows(0, &changed).expect("rows");
        step(&mut anew);
        for _ in 6..STEPS {
            step(&mut optimizer);
            step(&mut anew);
        }
        assert!(values(&parameters) == values(&whole), "on {}", engine.name());
    }
}

#[test]
fn many_fields_are_set_or_none() {
    for engine in engines() {
        let (_, mut optimizer) = made(&engine);
        let id = optimizer.group_id("p1").expect("a group");
        let before = optimizer.row("p1").expect("a row");
        for (field, value) in [(Field::Lr, -1.0), (Field::Momentum, 0.9), (Field::Beta1, 1.5)] {
            optimizer.set_many(&[(id, Field::Lr, 0.5), (id, field, value)]).expect_err("one cannot be");
            assert_eq!(optimizer.row("p1").expect("a row"), before);
        }
        assert!(optimizer.group_id("p99").expect_err("no such group").to_string().contains("\"p9\""));
    }
}

#[test]
fn an_engine_is_opened_without_blocking() {
    fn assert_send<T: Send>(it: T) -> T {
        it
    }
    fn assert_shared<T: Send + Sync>() {}
    assert_shared::<Engine>();
    assert_shared::<Optimizer>();
    let choice = AdapterChoice::from_env();
    let engine = pollster::block_on(assert_send(Engine::request(&choice))).expect("an engine");
    assert_eq!(engine.name(), Engine::new(&choice).expect("an engine").name());
    let found = pollster::block_on(assert_send(request_adapters()));
    assert_eq!(
        found.first().map(|it| it.name.clone()),
        gradus::engine::list_adapters().first().map(|it| it.name.clone())
    );
}
