//! The fused step of AdamW and SGD: time and bandwidth of each case by criterion, then a table of ratios against the targets.
//!
//! ```text
//! cargo bench --bench optim_step              # everything, 1.5 to 3 minutes on software Vulkan
//! cargo bench --bench optim_step -- none      # the table alone: no case has this name
//! cargo bench --bench optim_step -- --test    # each case once, no table
//! GRADUS_ADAPTER=name cargo bench …           # another adapter
//! ```
//!
//! All cases work on the same bytes: the 22,565,376 parameters of a MiniLM-shaped encoder, one tensor after the other in
//! one buffer, their gradients in another. "One tensor" names the same bytes as a single parameter, and the 465 tensors
//! are the model's 101 cut by rows. Machines drift, so a ratio is never taken between two criterion figures: it is the
//! median over pairs of steps taken in turn, each waited for.

use criterion::{Criterion, SamplingMode, Throughput};
use gradus::engine::{AdapterChoice, Buffer, Engine, Range, Submission};
use gradus::optim::{Clip, External, Mode, Optimizer, Settings};
use gradus::params::{Group, Param, Row, Rule, Storage};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Pairs behind each ratio.
const PAIRS: usize = 31;
const WARM_UP_PAIRS: usize = 2;

/// The tensor that stands alone in the criterion cases.
const ONE_TENSOR: usize = 16 << 20;

// The model's shape.
const VOCABULARY: usize = 30_522;
const POSITIONS: usize = 512;
const TOKEN_TYPES: usize = 2;
const HIDDEN: usize = 384;
const FEED_FORWARD: usize = 1_536;
const LAYERS: usize = 6;

/// Parameters of the model.
const MODEL: usize = 22_565_376;

fn main() {
    let engine = Engine::new(&AdapterChoice::from_env()).expect("an engine");
    let kind = engine.adapter().map_or("twin", |adapter| adapter.kind);
    let driver = engine.adapter().map_or("", |adapter| adapter.driver.as_str());
    println!("{}, {driver}, {kind}", engine.name());
    let memory = Memory::new(&engine, MODEL);

    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion, &memory);
    criterion.final_summary();
    let once = |argument: String| argument == "--test" || argument == "--list";
    if std::env::args().any(|argument| argument == "--bench") && !std::env::args().any(once) {
        table(&memory);
    }
}

// ---- the model ----

/// The 101 tensors.
fn model() -> Vec<Param> {
    let norm = |name: &str| ["weight", "bias"].map(|part| Param::new(format!("{name}.LayerNorm.{part}"), [HIDDEN]));
    let linear = |name: &str, outputs: usize, inputs: usize| {
        [Param::new(format!("{name}.weight"), [outputs, inputs]), Param::new(format!("{name}.bias"), [outputs])]
    };
    let table = |name: &str, rows: usize| Param::new(format!("embeddings.{name}_embeddings.weight"), [rows, HIDDEN]);

    let mut tensors = vec![table("word", VOCABULARY), table("position", POSITIONS), table("token_type", TOKEN_TYPES)];
    tensors.extend(norm("embeddings"));
    for layer in (0..LAYERS).map(|layer| format!("layer.{layer}")) {
        for part in ["self.query", "self.key", "self.value", "output.dense"] {
            tensors.extend(linear(&format!("{layer}.attention.{part}"), HIDDEN, HIDDEN));
        }
        tensors.extend(norm(&format!("{layer}.attention.output")));
        tensors.extend(linear(&format!("{layer}.intermediate.dense"), FEED_FORWARD, HIDDEN));
        tensors.extend(linear(&format!("{layer}.output.dense"), HIDDEN, FEED_FORWARD));
        tensors.extend(norm(&format!("{layer}.output")));
    }
    assert_eq!((tensors.len(), elements(&tensors)), (101, MODEL), "the model has MiniLM's shape");
    tensors
}

fn elements(tensors: &[Param]) -> usize {
    tensors.iter().map(Param::elements).sum()
}

/// The same bytes in more tensors: the largest is cut in two by rows until there are `wanted`.
fn cut(mut tensors: Vec<Param>, wanted: usize) -> Vec<Param> {
    while tensors.len() < wanted {
        let place = (0..tensors.len()).max_by_key(|place| tensors[*place].elements()).expect("a tensor");
        let Param { name, shape } = tensors[place].clone();
        let (rows, columns) = (shape[0], shape[1]);
        let upper = rows / 2;
        tensors[place] = Param::new(format!("{name}/0"), [upper, columns]);
        tensors.insert(place + 1, Param::new(format!("{name}/1"), [rows - upper, columns]));
    }
    tensors
}

/// The tensors to be trained where `frozen` percent of the parameters are not: the largest that still fit the rest.
fn thawed(tensors: &[Param], frozen: usize) -> Vec<Param> {
    let mut by_size: Vec<&Param> = tensors.iter().collect();
    by_size.sort_by_key(|tensor| std::cmp::Reverse(tensor.elements()));
    let mut room = elements(tensors) * (100 - frozen) / 100;
    let mut kept: Vec<&str> = Vec::new();
    for tensor in by_size {
        if tensor.elements() <= room {
            room -= tensor.elements();
            kept.push(&tensor.name);
        }
    }
    tensors.iter().filter(|tensor| kept.contains(&tensor.name.as_str())).cloned().collect()
}

fn row(place: usize) -> Row {
    Row {
        lr: 1e-5 * 0.99f64.powi(place as i32),
        weight_decay: if place.is_multiple_of(2) { 0.01 } else { 0.0 },
        ..Row::default()
    }
}

fn one_group(tensors: &[Param]) -> Vec<Group> {
    vec![Group::new("all", row(0), tensors.iter().map(|tensor| tensor.name.clone()))]
}

/// 26 groups, each with a rate of its own: embeddings, and attention and feed-forward of each layer, each with and
/// without decay.
fn layer_groups(tensors: &[Param]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for tensor in tensors {
        let block: Vec<&str> = tensor.name.splitn(4, '.').collect();
        let block = match block[..] {
            ["layer", layer, part, _] => format!("{layer}.{}", if part == "attention" { "attention" } else { "ffn" }),
            _ => "embeddings".to_owned(),
        };
        let decays = tensor.shape.len() > 1;
        let name = format!("{block} {}", if decays { "decay" } else { "no decay" });
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.params.push(tensor.name.clone()),
            None => groups.push(Group::new(name, row(groups.len()), [tensor.name.clone()])),
        }
    }
    assert_eq!(groups.len(), 26, "groups of the model");
    groups
}

fn group_each(tensors: &[Param]) -> Vec<Group> {
    let group = |(place, tensor): (usize, &Param)| Group::new(tensor.name.clone(), row(place), [tensor.name.clone()]);
    tensors.iter().enumerate().map(group).collect()
}

// ---- memory and steps ----

/// Parameters and gradients that every case shares; moments are each optimizer's own.
struct Memory {
    engine: Engine,
    values: Buffer,
    gradients: Buffer,
}

impl Memory {
    fn new(engine: &Engine, elements: usize) -> Memory {
        let filled = |label, scale, seed| engine.buffer_with(label, &noise(elements, scale, seed)).expect("memory");
        Memory {
            engine: engine.clone(),
            values: filled("parameters", 0.02, 1),
            gradients: filled("gradients", 1e-3, 2),
        }
    }

    /// The tensors, one after the other.
    fn together(&self, tensors: &[Param]) -> Vec<External> {
        let mut at = 0;
        let place = |param: &Param| {
            let bytes = param.elements() as u64 * 4;
            let range = |buffer: &Buffer| buffer.range(at, bytes).expect("a range");
            let external =
                External { param: param.clone(), values: range(&self.values), gradient: range(&self.gradients) };
            at += bytes;
            external
        };
        tensors.iter().map(place).collect()
    }

    /// The tensors in a buffer each, as most programs keep them.
    fn apart(&self, tensors: &[Param]) -> Vec<External> {
        let copy = |range: Range| {
            let buffer = self.engine.buffer("tensor", range.bytes).expect("memory");
            let copies = vec![(range, buffer.all())];
            self.engine.submit(&Submission { copies, ..Submission::default() }).expect("a copy");
            buffer.all()
        };
        let apart = |external: External| External {
            param: external.param,
            values: copy(external.values),
            gradient: copy(external.gradient),
        };
        self.together(tensors).into_iter().map(apart).collect()
    }

    fn step(&self, externals: &[External], mode: Mode, groups: &[Group], settings: Settings) -> Step {
        let optimizer = Optimizer::over(&self.engine, externals, mode, groups, settings).expect("an optimizer");
        Step { engine: self.engine.clone(), work: Work::Optimizer(Box::new(optimizer)) }
    }

    /// All tensors in their arena, with these groups. Parameters in no group are frozen.
    fn fused(&self, tensors: &[Param], groups: &[Group], settings: Settings) -> Step {
        self.step(&self.together(tensors), Mode::Arena, groups, settings)
    }

    /// Copies that move as many bytes as the step over all parameters, 14 read and 14 written a parameter.
    fn copy(&self) -> Step {
        let half = self.gradients.range(0, self.gradients.bytes() / 8 * 4).expect("a range");
        let sources = [self.values.all(), self.gradients.all(), self.values.all(), half];
        let copies = sources.map(|from| {
            let to = self.engine.buffer("copy", from.bytes).expect("memory").all();
            (from, to)
        });
        Step { engine: self.engine.clone(), work: Work::Copy(copies.into()) }
    }
}

/// Numbers spread like real ones: many small, few large, none zero throughout.
fn noise(elements: usize, scale: f32, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // The sum of four uniform numbers is close to a normal one.
        (0..4).map(|part| (state >> (16 * part)) as u16 as f32 / 65_536.0 - 0.5).sum::<f32>()
    };
    (0..elements).map(|_| next() * scale * 1.73).collect()
}

/// Something that can be done again and again on one engine.
struct Step {
    engine: Engine,
    work: Work,
}

enum Work {
    Optimizer(Box<Optimizer>),
    Copy(Vec<(Range, Range)>),
}

impl Step {
    fn submit(&mut self) {
        match &mut self.work {
            Work::Optimizer(optimizer) => {
                optimizer.step().expect("a step");
                black_box(optimizer.stats().expect("stats"));
            }
            Work::Copy(copies) => {
                let submission = Submission { copies: copies.clone(), ..Submission::default() };
                self.engine.submit(&submission).expect("a copy");
            }
        }
    }

    /// Bytes read and written by one step, by the program's own count.
    fn bytes(&mut self) -> u64 {
        match &mut self.work {
            Work::Optimizer(optimizer) => optimizer.program().expect("a program").bytes(),
            Work::Copy(copies) => copies.iter().map(|(from, _)| 2 * from.bytes).sum(),
        }
    }

    /// `steps` steps, one wait at the end.
    fn run(&mut self, steps: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..steps {
            self.submit();
        }
        self.engine.wait().expect("a wait");
        start.elapsed()
    }
}

/// These groups, updated by SGD with momentum.
fn sgd(groups: Vec<Group>) -> Vec<Group> {
    let row = Row { momentum: 0.9, ..Row::of(Rule::Sgd) };
    groups.into_iter().map(|group| Group { row, ..group }).collect()
}

/// These groups, with moments in bf16.
fn bf16(groups: Vec<Group>) -> Vec<Group> {
    let stored = |row: Row| Row { moments: Storage::Bf16, ..row };
    groups.into_iter().map(|group| Group { row: stored(group.row), ..group }).collect()
}

/// These groups, with a moving average of the parameters.
fn averaged(groups: Vec<Group>) -> Vec<Group> {
    let averaged = |row: Row| Row { ema_decay: Some(0.999), ..row };
    groups.into_iter().map(|group| Group { row: averaged(group.row), ..group }).collect()
}

fn clipped() -> Settings {
    Settings { clip: Clip::norm(2.0), ..Settings::default() }
}

fn guarded() -> Settings {
    Settings { guard: true, ..Settings::default() }
}

// ---- criterion ----

fn bench(criterion: &mut Criterion, memory: &Memory) {
    bench_adamw(criterion, memory);
    let tensors = model();
    let mut group = criterion.benchmark_group(format!("sgd/{}", memory.engine.name()));
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let mut step = memory.fused(&tensors, &sgd(one_group(&tensors)), Settings::default());
    group.throughput(Throughput::Bytes(step.bytes()));
    group.bench_function("101_tensors/1_group", |bencher| bencher.iter_custom(|steps| step.run(steps)));
    group.finish();
}

fn bench_adamw(criterion: &mut Criterion, memory: &Memory) {
    let mut group = criterion.benchmark_group(format!("adamw/{}", memory.engine.name()));
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let mut case = |name: &str, mut step: Step| {
        group.throughput(Throughput::Bytes(step.bytes()));
        group.bench_function(name, |bencher| bencher.iter_custom(|steps| step.run(steps)));
    };

    let none = Settings::default();
    let (tensors, more) = (model(), cut(model(), 465));
    let one = [Param::new("tensor", [ONE_TENSOR])];
    case("1_tensor_16Mi", memory.fused(&one, &one_group(&one), none));
    case("101_tensors/1_group", memory.fused(&tensors, &one_group(&tensors), none));
    case("101_tensors/26_groups", memory.fused(&tensors, &layer_groups(&tensors), none));
    case("465_tensors/1_group", memory.fused(&more, &one_group(&more), none));
    case("465_tensors/465_groups", memory.fused(&more, &group_each(&more), none));
    for frozen in [50, 90, 99] {
        let some = thawed(&tensors, frozen);
        case(&format!("101_tensors/frozen_{frozen}"), memory.fused(&tensors, &one_group(&some), none));
    }
    case("101_tensors/clip", memory.fused(&tensors, &one_group(&tensors), clipped()));
    case("101_tensors/guard", memory.fused(&tensors, &one_group(&tensors), guarded()));
    case(
        "101_tensors/clip_and_guard",
        memory.fused(&tensors, &one_group(&tensors), Settings { guard: true, ..clipped() }),
    );
    case("101_tensors/bf16", memory.fused(&tensors, &bf16(one_group(&tensors)), none));
    case("101_tensors/average", memory.fused(&tensors, &averaged(one_group(&tensors)), none));
    case("101_tensors/in_place", memory.step(&memory.together(&tensors), Mode::InPlace, &one_group(&tensors), none));
    case("101_tensors/buffer_each", memory.step(&memory.apart(&tensors), Mode::Arena, &one_group(&tensors), none));
    case("copy", memory.copy());
    let host = Memory::new(&Engine::cpu(), MODEL);
    case("101_tensors/twin", host.fused(&tensors, &one_group(&tensors), none));
    group.finish();
}

// ---- ratios ----

/// Lower quartile, median and upper quartile.
struct Quartiles([f64; 3]);

impl Quartiles {
    fn of(mut values: Vec<f64>) -> Quartiles {
        values.sort_by(f64::total_cmp);
        Quartiles([1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4]))
    }

    fn median(&self) -> f64 {
        self.0[1]
    }
}

impl std::fmt::Display for Quartiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [lower, median, upper] = self.0;
        write!(f, "{median:>7.3}  [{lower:.3}, {upper:.3}]")
    }
}

/// What pairs of steps taken in turn say of the first against the second.
struct Pairs {
    ratio: Quartiles,
    /// Milliseconds of one step, medians.
    times: [f64; 2],
}

fn pairs(first: &mut Step, second: &mut Step) -> Pairs {
    let mut times = [Vec::new(), Vec::new()];
    for pair in 0..WARM_UP_PAIRS + PAIRS {
        let taken = [first.run(1), second.run(1)];
        if pair >= WARM_UP_PAIRS {
            times[0].push(taken[0].as_secs_f64() * 1e3);
            times[1].push(taken[1].as_secs_f64() * 1e3);
        }
    }
    let ratio = times[0].iter().zip(&times[1]).map(|(first, second)| first / second).collect();
    Pairs { ratio: Quartiles::of(ratio), times: times.map(|times| Quartiles::of(times).median()) }
}

/// How a figure is judged.
enum Target {
    AtMost(f64),
    AtLeast(f64),
    None(&'static str),
}

impl Target {
    fn mark(&self, value: f64) -> String {
        let (text, met) = match self {
            Target::AtMost(most) => (format!("<= {most:.2}"), value <= *most),
            Target::AtLeast(least) => (format!(">= {least:.2}"), value >= *least),
            Target::None(why) => return (*why).to_owned(),
        };
        format!("{text}  {}", if met { "pass" } else { "SHORT" })
    }
}

fn table(memory: &Memory) {
    let none = Settings::default();
    let (tensors, more) = (model(), cut(model(), 465));
    let whole = [Param::new("tensor", [MODEL])];
    let all = one_group(&tensors);
    // Made anew for each line: only two optimizers' moments are there at a time.
    let plain = || memory.fused(&tensors, &all, none);

    println!("\nadamw (but where sgd is named), {MODEL} parameters, {PAIRS} pairs of steps in turn, each waited for");
    println!("{:44} {:>9} {:>9}  {:>7}  {:16} target", "", "ms", "against", "ratio", "[quartiles]");
    let line = |name: &str, pairs: &Pairs, target: Target| {
        let [first, second] = pairs.times;
        println!(
            "{name:44} {first:9.3} {second:9.3}  {:26} {}",
            pairs.ratio.to_string(),
            target.mark(pairs.ratio.median())
        );
    };
    let compare = |name: &str, mut first: Step, mut second: Step, target: Target| {
        line(name, &pairs(&mut first, &mut second), target);
    };

    compare("the same step twice", plain(), plain(), Target::None("noise"));
    compare("26 groups / 1", memory.fused(&tensors, &layer_groups(&tensors), none), plain(), Target::AtMost(1.05));
    let cut_one = memory.fused(&more, &one_group(&more), none);
    compare(
        "465 groups / 1, 465 tensors",
        memory.fused(&more, &group_each(&more), none),
        cut_one,
        Target::AtMost(1.10),
    );
    compare("101 tensors / 1", plain(), memory.fused(&whole, &one_group(&whole), none), Target::AtMost(1.10));
    for (frozen, target) in [(50, Target::None("")), (90, Target::AtMost(0.15)), (99, Target::None(""))] {
        let some = thawed(&tensors, frozen);
        let share = 100.0 * (1.0 - elements(&some) as f64 / MODEL as f64);
        let name = format!("{frozen} % frozen / none (truly {share:.2} %)");
        compare(&name, memory.fused(&tensors, &one_group(&some), none), plain(), target);
    }
    compare(
        "sgd with momentum / adamw",
        memory.fused(&tensors, &sgd(all.clone()), none),
        plain(),
        Target::None("20 / 28 bytes"),
    );
    compare(
        "moments in bf16 / f32",
        memory.fused(&tensors, &bf16(all.clone()), none),
        plain(),
        Target::None("20 / 28 bytes"),
    );
    let with_average = memory.fused(&tensors, &averaged(all.clone()), none);
    compare("with an average / without", with_average, plain(), Target::None("36 / 28 bytes"));
    let both = memory.fused(&tensors, &averaged(bf16(all.clone())), none);
    compare("with an average, moments in bf16 / neither", both, plain(), Target::None("28 / 28 bytes"));
    compare("clip by norm / without", memory.fused(&tensors, &all, clipped()), plain(), Target::None(""));
    compare("guard / without", memory.fused(&tensors, &all, guarded()), plain(), Target::None(""));
    let both = Settings { guard: true, ..clipped() };
    compare("clip and guard / without", memory.fused(&tensors, &all, both), plain(), Target::None(""));
    let in_place = memory.step(&memory.together(&tensors), Mode::InPlace, &all, none);
    compare("in place, a dispatch a tensor / fused", in_place, plain(), Target::None(""));
    let apart = memory.step(&memory.apart(&tensors), Mode::Arena, &all, none);
    compare("a buffer and dispatch a tensor / fused", apart, plain(), Target::None(""));

    bandwidth(memory, &line);
    let host = Memory::new(&Engine::cpu(), MODEL);
    compare("the CPU engine / this one", host.fused(&tensors, &all, none), plain(), Target::None(""));

    let some = thawed(&tensors, 50);
    for (name, groups, settings, most) in [
        ("bytes a trainable parameter", one_group(&some), none, 28.0),
        ("the same, clipped by norm", one_group(&some), clipped(), 32.0),
        ("the same, moments in bf16", bf16(one_group(&some)), none, 20.0),
        ("the same, with an average", averaged(one_group(&some)), none, 36.0),
        ("the same, sgd", sgd(one_group(&some)), none, 20.0),
    ] {
        let bytes = memory.fused(&tensors, &groups, settings).bytes() as f64 / elements(&some) as f64;
        println!("{name:44} {bytes:9.3} {:38} {}", "", Target::AtMost(most).mark(bytes));
    }
}

/// A copy of as many bytes against the step: the share of the copy's bandwidth that the step reaches. On a real GPU at
/// 64 Mi parameters, which is the size that the target speaks of. A software adapter has no target: whether arithmetic
/// or memory binds it is the processor's affair.
fn bandwidth(memory: &Memory, line: &impl Fn(&str, &Pairs, Target)) {
    let software = memory.engine.is_software();
    let elements = if software { MODEL } else { 64 << 20 };
    let larger = (!software).then(|| Memory::new(&memory.engine, elements));
    let memory = larger.as_ref().unwrap_or(memory);
    let tensor = [Param::new("tensor", [elements])];
    let mut step = memory.fused(&tensor, &one_group(&tensor), Settings::default());
    let bytes = step.bytes() as f64;
    let pairs = pairs(&mut memory.copy(), &mut step);
    let target = if software { Target::None("software; 0.90 on a GPU") } else { Target::AtLeast(0.90) };
    line(&format!("share of copy bandwidth, {elements}"), &pairs, target);
    let [copy, step] = pairs.times.map(|milliseconds| bytes / milliseconds * 1e-6);
    println!("{:44} {copy:9.1} {step:9.1}  GB/s read and written", "");
}
