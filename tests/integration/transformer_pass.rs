//! The pass as data and on both engines: what a set of trainable parameters costs, that runs repeat, that micro-batches
//! add up, padding, memory that is used again, and odd sizes.

use crate::support::{engines, gpu};
use crate::transformer_bed::{
    Bed, Data, LOSS, assert_near, bits, decoder, encoder, kinds, sizes, sizes_of, touched, with,
};
use gradus::engine::layout::{IGNORED, Position};
use gradus::engine::{Dispatch, Engine, Program, Submission};
use gradus::nn::models::{Bert, Gpt2, Pooling};
use gradus::nn::{Batch, Error, Model, Network};
use gradus::optim::{Optimizer, Parameters, Settings};
use gradus::params::{Group, Row, Storage};

/// What trains in a phase: names that start with one of these.
type Phase = &'static [&'static str];

const DECODER: [(Phase, usize); 4] = [
    (&["transformer.ln_f"], 21),
    (&["transformer.ln_f", "transformer.h.1."], 33),
    (&["transformer.ln_f", "transformer.h."], 45),
    (&[""], 48),
];

const ENCODER: [(Phase, usize); 5] = [
    (&["classifier"], 26),
    (&["classifier", "pooler"], 28),
    (&["classifier", "pooler", "encoder.layer.1."], 43),
    (&["classifier", "pooler", "encoder.layer."], 59),
    (&[""], 66),
];

fn trains(phase: Phase) -> impl Fn(&str) -> bool {
    move |name| phase.iter().any(|start| name.starts_with(start))
}

/// What comes after the loss.
fn backward(dispatches: &[Dispatch]) -> &[Dispatch] {
    let tally = dispatches.iter().position(|dispatch| dispatch.kernel.name == "tally").expect("a loss");
    &dispatches[tally + 1..]
}

/// Dispatches of a phase, with its bytes of memory and of traffic. Checks that only what trains is asked for and written.
fn cost(bed: &Bed, data: &Data, phase: Phase) -> (usize, u64, u64) {
    let pass = bed.pass(data, trains(phase));
    let trained: Vec<String> = bed.names().into_iter().filter(|name| trains(phase)(name)).collect();
    assert_eq!(pass.trained(), trained);
    let bytes = pass.bytes();
    let space = pass.allocate(&bed.engine).expect("memory");
    let mut program = Program::new("phase");
    program.dispatches = bed.dispatches(&space, &data.on(&bed.engine), LOSS, false);
    let mut asked = bed.asked.borrow().clone();
    asked.sort();
    // A tied table gets two parts.
    asked.dedup();
    let mut expected = trained;
    expected.sort();
    assert_eq!(asked, expected, "{phase:?}");
    (program.dispatches.len(), bytes, program.bytes())
}

#[test]
fn transformer_costs_fall_with_what_trains() {
    let check = |config: Model, phases: &[(Phase, usize)]| {
        let bed = Bed::new(&Engine::cpu(), &config);
        let data = Data::new(&config, 4, 5);
        let costs: Vec<_> = phases.iter().map(|(phase, _)| cost(&bed, &data, phase)).collect();
        println!("dispatches, bytes of memory, bytes moved: {costs:?}");
        let dispatches: Vec<usize> = costs.iter().map(|(dispatches, ..)| *dispatches).collect();
        assert_eq!(dispatches, phases.iter().map(|(_, dispatches)| *dispatches).collect::<Vec<_>>());
        for pair in costs.windows(2) {
            assert!(pair[0].1 <= pair[1].1 && pair[0].2 < pair[1].2, "{pair:?}");
        }
        assert!(3 * costs[0].1 < 2 * costs[costs.len() - 1].1, "{costs:?}");
    };
    check(decoder(true), &DECODER);
    check(encoder(2, Pooling::Pooler), &ENCODER);
}

#[test]
fn transformer_backward_does_not_touch_what_lies_below() {
    let check = |config: Model, phase: Phase, count: usize, allowed: Phase| {
        let bed = Bed::new(&Engine::cpu(), &config);
        let data = Data::new(&config, 2, 5);
        let space = bed.pass(&data, trains(phase)).allocate(&bed.engine).expect("memory");
        let dispatches = bed.dispatches(&space, &data.on(&bed.engine), LOSS, false);
        let backward = backward(&dispatches);
        assert_eq!(backward.len(), count, "{phase:?}");
        for label in backward.iter().flat_map(touched) {
            let name = label.strip_prefix("d.").unwrap_or(&label);
            assert!(!bed.values.contains_key(name) || trains(allowed)(name), "{phase:?} touches {label}");
        }
    };
    check(encoder(2, Pooling::Pooler), &["classifier"], 1, &["classifier"]);
    check(encoder(0, Pooling::Mean), &["classifier"], 1, &["classifier"]);
    // The tied table stands above the norm.
    check(decoder(true), &["transformer.ln_f"], 2, &["transformer.ln_f", "transformer.wte"]);
    check(decoder(false), &["lm_head"], 1, &["lm_head"]);
    let above = &["transformer.h.1.", "transformer.ln_f", "lm_head"];
    check(decoder(false), &["transformer.h.1."], 14, above);
    check(decoder(false), &["transformer.h.1.mlp"], 5, above);
    for config in kinds() {
        check(config, &["nothing"], 0, &["nothing"]);
    }
}

/// One parameter each, and a layer, alone: the same bits as among all.
#[test]
fn transformer_gradients_do_not_depend_on_what_else_trains() {
    for engine in engines() {
        for base in kinds() {
            let config = with(&base, |sizes| sizes.dropout = 0.1);
            let bed = Bed::new(&engine, &config);
            let data = Data::new(&config, 2, 5);
            bed.run(&data, LOSS);
            let full: Vec<Vec<u32>> = bed.names().iter().map(|name| bits(&bed.gradient(name))).collect();
            let last = sizes_of(&config).layers - 1;
            let starts =
                bed.names().into_iter().chain([format!("transformer.h.{last}."), "encoder.layer.0".to_owned()]);
            // On the slower engine every third.
            let every = if engine.adapter().is_some() { 3 } else { 1 };
            for start in starts.step_by(every) {
                let trains = |name: &str| name.starts_with(&start);
                bed.ready(bed.pass(&data, trains), &data, LOSS, false).run();
                for (name, full) in bed.names().iter().zip(&full).filter(|(name, _)| trains(name)) {
                    assert_eq!(bits(&bed.gradient(name)), *full, "{name} with {start} on {}", engine.name());
                }
            }
        }
    }
}

/// Losses and parameters of 20 steps.
fn train(engine: &Engine, config: &Model, seed: u32) -> (Vec<f64>, Vec<u32>) {
    let model = config.clone();
    let parameters = Parameters::new(engine, &model.params(), None).expect("parameters");
    for (name, values) in config.initial(seed) {
        parameters.upload(&name, &values).expect("values");
    }
    let row = Row::adamw(1e-3);
    let all = Group::new("all", row, model.params().into_iter().map(|param| param.name));
    let mut optimizer = Optimizer::new(engine, &parameters, &[all], Settings::default()).expect("an optimizer");
    let batch = Data::new(config, 4, 5).on(engine);
    let space = model.training(4, 5, |_| true).expect("a pass").allocate(engine).expect("memory");
    let mut program = Program::new("pass");
    let parameter = |name: &str| Ok(parameters.place(name)?);
    let gradient = |name: &str| Ok(Some(optimizer.gradient(name)?));
    let loss = LOSS.seed(seed);
    program.dispatches =
        space.dispatches::<Box<dyn std::error::Error>>(&batch, loss, parameter, gradient, false).expect("them");
    let pass = engine.prepare(program).expect("a program");
    let mut losses = Vec::new();
    for step in 0..20 {
        let position = Position { step, ..Position::default() };
        engine.write(&batch.get("position").expect("a position").buffer, 0, &[position]).expect("a position");
        engine.submit(&Submission::of(&[&pass])).expect("a pass");
        optimizer.step().expect("a step");
        let metrics: Vec<gradus::engine::layout::Metrics> = engine.read(&space.metrics[0].all()).expect("metrics");
        losses.push(metrics[0].mean_loss());
    }
    let values = model.params().into_iter().flat_map(|param| parameters.read(&param.name).expect("values"));
    (losses, bits(&values.collect::<Vec<f32>>()))
}

#[test]
fn transformer_runs_repeat_bit_by_bit_with_dropout() {
    for base in [decoder(true), encoder(2, Pooling::Pooler)] {
        let config = with(&base, |sizes| sizes.dropout = 0.1);
        let mut losses = Vec::new();
        for engine in engines() {
            let run = train(&engine, &config, 7);
            assert!(train(&engine, &config, 7) == run, "{:?} on {}", config, engine.name());
            assert!(train(&engine, &config, 8).1 != run.1, "{:?} on {}", config, engine.name());
            losses.push(run.0);
        }
        for (cpu, gpu) in losses[0].iter().zip(losses.last().expect("one")) {
            assert!((cpu - gpu).abs() <= 1e-4 * cpu, "{losses:?}");
        }
    }
}

/// Logits, loss and gradients of both engines.
fn compare(config: &Model, data: &Data) {
    let Some(gpu) = gpu() else { return };
    let [gpu, cpu] = [gpu, Engine::twins()].map(|engine| Bed::new(&engine, config));
    let [got, expected] = [&gpu, &cpu].map(|bed| {
        let ready = bed.run(data, LOSS);
        (ready.run(), ready.read(&ready.space.logits()))
    });
    let what = format!("{:?}, {} of {}", config, data.batch, data.context);
    assert!((got.0 - expected.0).abs() <= 1e-5 * expected.0, "{what}: {} and {}", got.0, expected.0);
    assert_near(&format!("{what}: logits"), &got.1, &expected.1, 1e-5);
    for name in gpu.names() {
        assert_near(&format!("{what}: {name}"), &gpu.gradient(&name), &cpu.gradient(&name), 1e-4);
    }
}

#[test]
fn transformer_engines_agree_at_odd_sizes_and_with_dropout() {
    for base in kinds() {
        for (batch, context) in [(1, 5), (1, 1), (3, 4)] {
            compare(&base, &Data::new(&base, batch, context));
        }
        let config = with(&base, |sizes| sizes.dropout = 0.1);
        compare(&config, &Data::new(&config, 3, 5));
    }
}

#[test]
fn transformer_micro_batches_add_up_to_the_whole() {
    for engine in engines() {
        for config in kinds() {
            let bed = Bed::new(&engine, &config);
            let mut data = Data::new(&config, 4, 5);
            // One half has fewer rows that count than the other.
            let some = data.labels.len().div_ceil(3);
            data.labels[..some].iter_mut().step_by(2).for_each(|label| *label = IGNORED);
            bed.run(&data, LOSS);
            let whole: Vec<Vec<f32>> = bed.names().iter().map(|name| bed.gradient(name)).collect();
            for number in 0..2 {
                let part = data.half(number);
                bed.ready(bed.pass(&part, |_| true), &part, LOSS, number > 0).run();
            }
            for (name, whole) in bed.names().iter().zip(&whole) {
                let what = format!("{:?}: {name} on {}", config, engine.name());
                assert_near(&what, &bed.gradient(name), whole, 1e-5);
            }
        }
    }
}

#[test]
fn transformer_padding_alone_makes_no_nan() {
    for engine in engines() {
        for config in kinds() {
            let bed = Bed::new(&engine, &config);
            let mut data = Data::new(&config, 2, 5);
            data.mask[..5].fill(0);
            let loss = bed.run(&data, LOSS).run();
            assert!(loss.is_finite(), "{:?} on {}: {loss}", config, engine.name());
            for name in bed.names() {
                assert!(bed.gradient(&name).iter().all(|value| value.is_finite()), "{name} on {}", engine.name());
            }
            // Nothing counts.
            data.mask.fill(0);
            data.labels.fill(IGNORED);
            bed.run(&data, LOSS);
            for name in bed.names() {
                let gradient = bed.gradient(&name);
                assert!(gradient.iter().all(|value| *value == 0.0), "{name} on {}: {gradient:?}", engine.name());
            }
        }
    }
}

#[test]
fn transformer_evaluation_drops_nothing() {
    for engine in engines() {
        for config in kinds() {
            let logits = |dropout: f32, trains: bool| {
                let bed = Bed::new(&engine, &with(&config, |sizes| sizes.dropout = dropout));
                let data = Data::new(&config, 2, 5);
                let model = bed.model.clone();
                let pass = if trains { model.training(2, 5, |_| true) } else { model.evaluation(2, 5) };
                let ready = bed.ready(pass.expect("a pass"), &data, LOSS, false);
                let loss = ready.run();
                (loss.to_bits(), bits(&ready.read(&ready.space.logits())))
            };
            let expected = logits(0.0, true);
            assert!(logits(0.0, false) == expected, "{:?} on {}", config, engine.name());
            assert!(logits(0.5, false) == expected, "{:?} on {}", config, engine.name());
            assert!(logits(0.5, true) != expected, "{:?} on {}", config, engine.name());
        }
    }
}

#[test]
fn transformer_memory_is_used_again() {
    for kind in kinds() {
        let model = with(&kind, |sizes| (sizes.layers, sizes.dropout) = (6, 0.1));
        let bytes = |pass: gradus::nn::Pass| (pass.bytes(), pass.keeping(|_| true).bytes());
        let (training, all) = bytes(model.training(4, 5, |_| true).expect("a pass"));
        let (evaluation, all_of_it) = bytes(model.evaluation(4, 5).expect("a pass"));
        println!("{kind:?}: training {training} of {all}, evaluation {evaluation} of {all_of_it}");
        // What is forward stays for backward, what is backward does not.
        assert!(10 * training < 7 * all, "{kind:?}: {training} of {all}");
        assert!(5 * evaluation < all_of_it, "{kind:?}: {evaluation} of {all_of_it}");
        assert!(3 * evaluation < training, "{kind:?}: {evaluation} and {training}");
    }
}

#[test]
fn transformer_values_that_are_kept_stay_and_change_nothing() {
    for engine in engines() {
        for (config, label) in [
            (decoder(true), "transformer.h.0.mlp.c_fc.h"),
            (encoder(2, Pooling::Pooler), "encoder.layer.0.attention.self.qkv"),
        ] {
            let bed = Bed::new(&engine, &config);
            let data = Data::new(&config, 2, 5);
            let run = |kept: &dyn Fn(&str) -> bool| {
                let ready = bed.ready(bed.pass(&data, |_| true).keeping(kept), &data, LOSS, false);
                ready.run();
                let gradients: Vec<Vec<u32>> = bed.names().iter().map(|name| bits(&bed.gradient(name))).collect();
                let value = ready.space.value(label).map(|range| bits(&ready.read(&range)));
                (value, bits(&ready.read(&ready.space.logits())), gradients)
            };
            let (none, all, one) = (run(&|_| false), run(&|_| true), run(&|name| name == label));
            assert!(none.0.is_none(), "{label} is not kept");
            assert!(all.0.is_some() && all == one, "{label} on {}", engine.name());
            assert!((&none.1, &none.2) == (&all.1, &all.2), "{label} on {}", engine.name());
        }
    }
}

#[test]
fn transformer_refuses_sizes_that_do_not_fit() {
    let config = encoder(2, Pooling::Mean);
    let model = config.clone();
    for (batch, context, expected) in [
        (1, 6, "context = 6 is not from 1 to the model's context"),
        (1, 0, "context = 0 is not from 1 to the model's context"),
        (0, 5, "batch = 0 is not 1 or more"),
    ] {
        for refused in [model.training(batch, context, |_| true), model.evaluation(batch, context)] {
            assert_eq!(refused.expect_err("a bad size").to_string(), expected);
        }
    }
    for batch in [usize::MAX, usize::MAX / 5, 1 << 32] {
        let refused = model.training(batch, 5, |_| true).expect_err("no memory is so large").to_string();
        assert!(refused.starts_with("batch = ") && refused.contains("2^32"), "{refused}");
    }
    let bed = Bed::new(&Engine::cpu(), &config);
    let data = Data::new(&config, 2, 5);
    let space = bed.pass(&data, |_| true).allocate(&bed.engine).expect("memory");
    let refused = |batch: &Batch| {
        let all = |name: &str| Ok((bed.values[name].all(), Storage::F32));
        let made = space.dispatches::<Error>(batch, LOSS, all, |_| Ok(None), false);
        made.expect_err("another batch").to_string()
    };
    let other = Data::new(&config, 3, 5).on(&bed.engine);
    assert_eq!(refused(&other), "batch = 3 is not what the workspace was made for");
    let empty = Batch::new(&bed.engine, 2, 5).expect("a batch");
    assert_eq!(refused(&empty), "the batch holds no \"tokens\", which the model reads");
    let short = bed.engine.buffer("mask", 36).expect("a buffer").all();
    let short = data.on(&bed.engine).with("mask", short);
    assert_eq!(refused(&short), "the batch holds 36 bytes of \"mask\"; the model reads 40");
}

#[test]
fn transformer_configs_without_sense_are_refused() {
    let refused = |model: Model| model.check().expect_err("nonsense").to_string();
    let base = decoder(true);
    let all: [(&str, Model); 6] = [
        ("layers", with(&base, |sizes| sizes.layers = 0)),
        ("heads", with(&base, |sizes| sizes.heads = 0)),
        ("hidden", with(&base, |sizes| sizes.hidden = 0)),
        ("intermediate", with(&base, |sizes| sizes.intermediate = 0)),
        ("vocab", with(&base, |sizes| sizes.vocab = usize::MAX)),
        ("context", with(&base, |sizes| sizes.context = 0)),
    ];
    for (setting, config) in all {
        let reason = refused(config);
        assert!(reason.starts_with(setting) && reason.ends_with("is not from 1 to 2^24"), "{reason}");
    }
    for (heads, hidden) in [(5, 12), (2, 12), (12, 12)] {
        let reason = refused(with(&base, |sizes| (sizes.heads, sizes.hidden) = (heads, hidden)));
        assert_eq!(reason, format!("heads = {heads} is not a number that divides hidden into multiples of 4"));
    }
    let reason = refused(with(&base, |sizes| (sizes.heads, sizes.hidden) = (1, 132)));
    assert_eq!(reason, "heads = 1 is not so many that a head has at most 128 numbers");
    for dropout in [-0.1, 1.0, f32::NAN] {
        let reason = refused(with(&base, |sizes| sizes.dropout = dropout));
        assert!(reason.starts_with("dropout = ") && reason.ends_with("is not in [0, 1)"), "{reason}");
    }
    for norm_eps in [-1e-5, f32::NAN, f32::INFINITY] {
        let reason = refused(with(&base, |sizes| sizes.norm_eps = norm_eps));
        assert!(reason.starts_with("norm_eps = ") && reason.ends_with("is not finite and at least 0"), "{reason}");
    }
    for (types, classes) in [(0, 0), (0, usize::MAX), (usize::MAX, 2)] {
        let reason = refused(Bert::new(sizes(), classes).types(types).into());
        assert!(reason.starts_with("classes = ") || reason.starts_with("types = "), "{reason}");
    }
    let reason = Gpt2::preset("huge", 7, 5).expect_err("no preset").to_string();
    assert_eq!(reason, "preset \"huge\" is not known; there are tiny, small and base");
}
