//! The fused step of AdamW and SGD: time and bandwidth of each case by criterion, then what `gradus bench` prints: copies,
//! sizes, and ratios against the targets.
//!
//! ```text
//! cargo bench --bench optim_step              # everything, 2 to 4 minutes on software Vulkan
//! cargo bench --bench optim_step -- none      # the tables alone: no case has this name
//! cargo bench --bench optim_step -- --test    # each case once, no tables
//! cargo bench --bench optim_step -- serve     # steps of any rule on the CPU engine, for benches/peers/pytorch_rules.py
//! cargo bench --bench optim_step -- rules     # each rule's time a byte beside AdamW's, on the adapter and on the CPU engine; or of rules
//!                                             # that are named behind it
//! GRADUS_ADAPTER=name cargo bench …           # another adapter
//! ```
//!
//! All cases work on the same bytes: the 22,565,376 parameters of a MiniLM-shaped encoder, one tensor after the other in
//! one buffer, their gradients in another. "One tensor" names the same bytes as a single parameter, and the 465 tensors
//! are the model's 101 cut by rows. Machines drift, so a ratio is never taken between two criterion figures: it is the
//! median over pairs of steps taken in turn, each waited for (`gradus::measure`).

use criterion::{Criterion, SamplingMode, Throughput};
use gradus::engine::{AdapterChoice, Engine, Range};
use gradus::measure::workload::{cut, elements, encoder, group_each, layer_groups, one_group, thawed};
use gradus::measure::{self, Extent, Memory, Step};
use gradus::optim::{Clip, External, Optimizer, Settings};
use gradus::params::{Group, Param, Row, Rule, Storage};
use std::error::Error;
use std::time::Duration;

/// The tensor that stands alone.
const ONE_TENSOR: usize = 16 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|argument| argument == "serve") {
        return serve();
    }
    if std::env::args().any(|argument| argument == "rules") {
        rules(&Engine::new(&AdapterChoice::from_env())?)?;
        return rules(&Engine::cpu());
    }
    let engine = Engine::new(&AdapterChoice::from_env())?;
    println!("{}", engine.name());
    let memory = Memory::new(&engine, elements(&encoder()))?;
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion, &engine, &memory)?;
    rebind(&mut criterion, &engine, &memory)?;
    criterion.final_summary();
    drop(memory);
    let once = |argument: String| argument == "--test" || argument == "--list";
    if std::env::args().any(|argument| argument == "--bench") && !std::env::args().any(once) {
        print!("\n{}", measure::adapter(&engine, &Extent::of(&engine), |_| ())?);
    }
    Ok(())
}

/// A line `rule steps` in, the seconds of so many steps of it out. What a rule is not for has AdamW.
fn serve() -> Result<(), Box<dyn Error>> {
    let (engine, tensors) = (Engine::cpu(), encoder());
    let memory = Memory::new(&engine, elements(&tensors))?;
    let mut made: Option<(Rule, Step)> = None;
    for line in std::io::stdin().lines() {
        let line = line?;
        let (name, steps) = line.split_once(' ').ok_or("a rule and a number of steps")?;
        let (rule, steps) = (Rule::named(name).ok_or("a rule")?, steps.trim().parse::<u64>()?);
        if made.as_ref().is_none_or(|(other, _)| *other != rule) {
            made = Some((rule, memory.fused(&tensors, &groups_of(rule, &tensors), Settings::default())?));
        }
        if let Some((_, step)) = &mut made {
            println!("{}", step.run(steps)?.as_secs_f64());
        }
    }
    Ok(())
}

/// Pairs of a rule's steps and AdamW's.
const PAIRS: usize = 11;
/// Seconds that the steps of a pair take at least.
const LEAST: f64 = 0.1;

/// A table of each rule's time a byte over AdamW's: medians and quartiles of pairs in turn.
fn rules(engine: &Engine) -> Result<(), Box<dyn Error>> {
    let tensors = encoder();
    let memory = Memory::new(engine, elements(&tensors))?;
    println!(
        "{}\n\n| rule | bytes a parameter | ms | AdamW's ms | time a byte over AdamW's [quartiles] |",
        engine.name()
    );
    println!("|---|---|---|---|---|");
    let mut adamw = memory.fused(&tensors, &groups_of(Rule::AdamW, &tensors), Settings::default())?;
    let asked: Vec<Rule> = std::env::args().filter_map(|argument| Rule::named(&argument)).collect();
    for rule in if asked.is_empty() { Rule::ALL.to_vec() } else { asked } {
        let mut own = memory.fused(&tensors, &groups_of(rule, &tensors), Settings::default())?;
        let [own_bytes, adamw_bytes] = [own.bytes()?, adamw.bytes()?].map(|bytes| bytes as f64);
        let mut timed = |steps: [u64; 2]| -> Result<[f64; 2], Box<dyn Error>> {
            let [own, adamw] = [own.run(steps[0])?, adamw.run(steps[1])?].map(|time| time.as_secs_f64());
            Ok([own / steps[0] as f64, adamw / steps[1] as f64])
        };
        timed([1, 1])?;
        let steps = timed([1, 1])?.map(|seconds| (LEAST / seconds).ceil() as u64);
        let mut pairs: Vec<[f64; 2]> = (0..PAIRS).map(|_| timed(steps)).collect::<Result<_, _>>()?;
        let ratio = |[own, adamw]: [f64; 2]| own / own_bytes / (adamw / adamw_bytes);
        pairs.sort_by(|a, b| ratio(*a).total_cmp(&ratio(*b)));
        let [low, middle, high] = [PAIRS / 4, PAIRS / 2, PAIRS - 1 - PAIRS / 4].map(|place| ratio(pairs[place]));
        let a_parameter = own_bytes / elements(&tensors) as f64;
        let [own, adamw] = pairs[PAIRS / 2].map(|seconds| 1e3 * seconds);
        println!("| {rule} | {a_parameter:.1} | {own:.1} | {adamw:.1} | {middle:.2} [{low:.2}, {high:.2}] |");
    }
    Ok(())
}

/// The rule for what it is for, AdamW for the others.
fn groups_of(rule: Rule, tensors: &[Param]) -> Vec<Group> {
    let row = Row::of(rule).momentum(0.9).weight_decay(0.01);
    let (own, others): (Vec<&Param>, Vec<&Param>) = tensors.iter().partition(|param| rule.check_param(param).is_ok());
    let groups = [("own", row, own), ("others", Row::default(), others)].into_iter();
    let groups = groups.filter(|(.., params)| !params.is_empty());
    groups.map(|(name, row, params)| Group::new(name, row, params.iter().map(|param| param.name.as_str()))).collect()
}

fn bench(criterion: &mut Criterion, engine: &Engine, memory: &Memory) -> Result<(), Box<dyn Error>> {
    let mut group = criterion.benchmark_group(format!("step/{}", engine.name()));
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let mut case = |name: &str, mut step: Step| -> Result<(), Box<dyn Error>> {
        group.throughput(Throughput::Bytes(step.bytes()?));
        group.bench_function(name, |bencher| bencher.iter_custom(|steps| step.run(steps).expect("steps")));
        Ok(())
    };

    let none = Settings::default();
    let clipped = none.clip(Clip::norm(2.0));
    let (tensors, more) = (encoder(), cut(encoder(), 465));
    let one = [Param::new("tensor", [ONE_TENSOR])];
    let all = one_group(&tensors);
    case("adamw/1_tensor_16Mi", memory.fused(&one, &one_group(&one), none)?)?;
    case("adamw/101_tensors/1_group", memory.fused(&tensors, &all, none)?)?;
    case("adamw/101_tensors/26_groups", memory.fused(&tensors, &layer_groups(&tensors), none)?)?;
    case("adamw/465_tensors/1_group", memory.fused(&more, &one_group(&more), none)?)?;
    case("adamw/465_tensors/465_groups", memory.fused(&more, &group_each(&more), none)?)?;
    for frozen in [50, 90, 99] {
        let some = one_group(&thawed(&tensors, frozen));
        case(&format!("adamw/101_tensors/frozen_{frozen}"), memory.fused(&tensors, &some, none)?)?;
    }
    case("adamw/101_tensors/clip", memory.fused(&tensors, &all, clipped)?)?;
    case("adamw/101_tensors/guard", memory.fused(&tensors, &all, none.guard(true))?)?;
    for (name, row) in [
        ("bf16", Row::default().moments(Storage::Bf16)),
        ("int8", Row::default().moments(Storage::Int8)),
        ("average", Row::default().ema_decay(0.999)),
    ] {
        let groups: Vec<Group> = all.iter().map(|group| group.clone().row(row)).collect();
        case(&format!("adamw/101_tensors/{name}"), memory.fused(&tensors, &groups, none)?)?;
    }
    case("adamw/101_tensors/packed", memory.step(&memory.packed(&tensors)?, &all, none)?)?;
    case("adamw/101_tensors/buffer_each", memory.step(&memory.apart(&tensors)?, &all, none)?)?;
    let momentum = Row::of(Rule::Sgd).momentum(0.9);
    let sgd: Vec<Group> = all.iter().map(|group| group.clone().row(momentum)).collect();
    case("sgd/101_tensors/1_group", memory.fused(&tensors, &sgd, none)?)?;
    case("copy", memory.copy()?)?;
    let host = Memory::new(&Engine::cpu(), elements(&tensors))?;
    case("adamw/101_tensors/cpu", host.fused(&tensors, &all, none)?)?;
    group.finish();
    Ok(())
}

/// What the host spends on gradients that go back and forth between two sets of buffers, with the step's list of tensors left
/// to go up: a call for all of them. The sets are known, or new, with a program to be made.
fn rebind(criterion: &mut Criterion, engine: &Engine, memory: &Memory) -> Result<(), Box<dyn Error>> {
    let mut group = criterion.benchmark_group(format!("rebind/{}", engine.name()));
    let tensors = encoder();
    group.throughput(Throughput::Elements(tensors.len() as u64));
    for (name, sets) in [
        ("101_tensors/one_buffer", [memory.together(&tensors)?, memory.packed(&tensors)?]),
        ("101_tensors/buffer_each", [memory.apart(&tensors)?, memory.apart(&tensors)?]),
    ] {
        let settings = Settings::default().clip(Clip::norm(1.0));
        let mut optimizer = Optimizer::over(engine, &sets[0], &one_group(&tensors), settings)?;
        let places = sets.each_ref().map(|set| {
            let place = |external: &External| Some((external.param.name.clone(), external.gradient.clone()?));
            set.iter().filter_map(place).collect::<Vec<_>>()
        });
        let named = places
            .each_ref()
            .map(|set| set.iter().map(|(name, range)| (name.as_str(), range.clone())).collect::<Vec<(&str, Range)>>());
        for (kind, is_new) in [("known", false), ("new", true)] {
            let mut turn = 0;
            group.bench_function(format!("{name}/{kind}"), |bencher| {
                bencher.iter(|| {
                    turn = 1 - turn;
                    if is_new {
                        optimizer.take_squares(&[]).expect("programs are let go");
                    }
                    optimizer.rebind(&named[turn]).expect("places")
                });
            });
        }
    }
    group.finish();
    Ok(())
}
