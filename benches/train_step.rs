//! A whole training step, forward to update, of three models on both engines: its time by criterion, then a table of its
//! parts, of what it moves, and of how long the first step takes from an engine that is not there yet.
//!
//! ```text
//! cargo bench --bench train_step                 # everything, 3 minutes on software Vulkan
//! cargo bench --bench train_step -- w2           # this workload alone, on both engines
//! cargo bench --bench train_step -- --test       # each step once, no table
//! GRADUS_ADAPTER=name cargo bench …              # another adapter
//! ```
//!
//! f32, AdamW over one group; and, in turn with it, a step whose matrices and moments are in bf16. Every step is waited for. The parts are programs of their own, timed by the device's
//! timestamps if it has them, else by the host's clock; medians of rounds that go through all parts in turn. The
//! driver may have kernels in a cache from an earlier run: `MESA_SHADER_CACHE_DISABLE=true` shows a first step without.
//! Figures of torch and burn stand beside ours as a scale: they come from another machine, a quiet one, and so do the
//! targets. With two more busy processes on two cores a step takes three times as long.

use criterion::{Criterion, SamplingMode};
use gradus::engine::layout::pcg;
use gradus::engine::{AdapterChoice, Dispatch, Engine, Prepared, Program, Range, Report, Ring, Submission};
use gradus::nn::models::{Bert, Gpt2, Mlp, TransformerSizes};
use gradus::nn::{Activation, Batch, LossOptions, Model, Network};
use gradus::optim::{self, Optimizer, Parameters, Settings};
use gradus::params::{Group, Param, Row, Storage};
use gradus::train;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A case whose step takes longer is in the table alone: criterion takes 10 samples at least.
const LONGEST_SAMPLE: Duration = Duration::from_secs(3);

/// Time for the rounds of a workload on an engine, and for those of two in turn.
const ROUNDS_TIME: Duration = Duration::from_secs(12);
const TURNS_TIME: Duration = Duration::from_secs(8);

/// Kernels that are named in the table: those that take most.
const NAMED_KERNELS: usize = 6;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let tells = has("--bench") && !has("--test") && !has("--list");
    for work in works().iter().filter(|work| filter.is_none_or(|filter| filter.contains(work.name))) {
        for choice in [AdapterChoice::from_env(), AdapterChoice::Cpu] {
            let open =
                |storage, kept: Option<&[u8]>| Bench::open(work, &choice, storage, kept).expect("a model on an engine");
            let mut bench = open(Storage::F32, None);
            let kept = bench.engine.pipelines();
            bench.sample(&mut criterion);
            if tells {
                let again = kept.map(|kept| (kept.len(), open(Storage::F32, Some(&kept)).first_step));
                bench.tell(&mut open(Storage::Bf16, None), again).expect("a table");
            }
        }
    }
    criterion.final_summary();
}

// ---- workloads ----

struct Work {
    name: &'static str,
    model: Model,
    /// Rows of a batch, or its sequences.
    batch: usize,
    context: usize,
    /// Milliseconds of a step elsewhere: burn 0.22.1 on software Vulkan, torch 2.15 on the CPU with its fused AdamW.
    elsewhere: [f64; 2],
    /// Milliseconds wanted of software Vulkan and of the CPU engine, on the machine of those figures.
    wanted: [f64; 2],
}

fn works() -> [Work; 3] {
    let sizes = |layers, heads, hidden, vocab, context| TransformerSizes::new([layers, heads, hidden], vocab, context);
    let encoder = Bert::new(sizes(6, 12, 384, 30_522, 512), 8);
    [
        Work {
            name: "w1",
            model: Mlp::new(&[784, 256, 128, 10], Activation::Relu).expect("a model").into(),
            batch: 128,
            context: 1,
            elsewhere: [22.0, 1.6],
            wanted: [22.0, 16.0],
        },
        Work {
            name: "w2",
            model: Gpt2::new(sizes(4, 4, 128, 96, 64)).tied(false).into(),
            batch: 16,
            context: 64,
            elsewhere: [1503.0, 42.0],
            wanted: [835.0, 420.0],
        },
        Work {
            name: "w3",
            model: encoder.into(),
            batch: 4,
            context: 64,
            elsewhere: [4438.0, 118.0],
            wanted: [2600.0, 1180.0],
        },
    ]
}

/// Numbers below `end`, the same everywhere.
fn names(count: usize, end: usize) -> Vec<u32> {
    (0..count as u32).map(|at| pcg(at) % end as u32).collect()
}

impl Work {
    /// Forward and loss, and backward, over a batch that lies on the device.
    fn pass(
        &self,
        engine: &Engine,
        parameters: &Parameters,
        optimizer: &Optimizer,
    ) -> Result<[Vec<Dispatch>; 2], Failure> {
        let parameter = |name: &str| parameters.place(name).map_err(Failure::from);
        let gradient = |name: &str| Ok(Some(optimizer.gradient(name)?));
        let space = self.model.training(self.batch, self.context, |_| true)?.allocate(engine)?;
        let loss = LossOptions::new(1);
        let mut forward = space.dispatches(&self.batch(engine)?, loss, parameter, gradient, false)?;
        let tally = forward.iter().position(|dispatch| dispatch.kernel.name == "tally").expect("a loss");
        let backward = forward.split_off(tally + 1);
        Ok([forward, backward])
    }

    /// A batch that the model reads.
    fn batch(&self, engine: &Engine) -> Result<Batch, Failure> {
        let rows = self.batch * self.context;
        let batch = Batch::new(engine, self.batch, self.context)?;
        let words = |label: &str, count: usize, end: usize| -> Result<Range, Failure> {
            Ok(engine.buffer_with(label, &names(count, end))?.all())
        };
        Ok(match &self.model {
            Model::Mlp(model) => {
                let values = names(self.batch * model.inputs(), 256);
                let values: Vec<f32> = values.into_iter().map(|value| value as f32 / 255.0).collect();
                let labels = words("labels", rows, model.classes())?;
                batch.with("rows", engine.buffer_with("rows", &values)?.all()).with("labels", labels)
            }
            model => {
                let (vocab, labels) = match model {
                    Model::Bert(model) => (model.sizes.vocab, words("labels", self.batch, model.head.outputs)?),
                    Model::Gpt2(model) => (model.sizes.vocab, words("labels", rows, model.sizes.vocab)?),
                    other => panic!("{other:?}"),
                };
                batch
                    .with("tokens", words("tokens", rows, vocab)?)
                    .with("mask", engine.buffer_with("mask", &vec![1u32; rows])?.all())
                    .with("types", words("types", rows, 1)?)
                    .with("labels", labels)
            }
        })
    }
}

/// An error of any room that a step goes through.
type Failure = Box<dyn std::error::Error>;

// ---- a workload on an engine ----

struct Bench<'a> {
    work: &'a Work,
    engine: Engine,
    optimizer: Optimizer,
    /// Forward with the loss, and backward.
    parts: [Prepared; 2],
    ring: Ring,
    first_step: Duration,
}

impl<'a> Bench<'a> {
    /// Opens an engine of its own, so that no kernel is compiled yet but those that were kept, and takes the first step.
    fn open(
        work: &'a Work,
        choice: &AdapterChoice,
        storage: Storage,
        kept: Option<&[u8]>,
    ) -> Result<Bench<'a>, Failure> {
        let started = Instant::now();
        let engine = Engine::new(choice)?;
        engine.keep_pipelines(kept)?;
        let params = work.model.params();
        let config = train::Config::default().parameters(storage);
        let parameters = Parameters::stored(&engine, &params, |param| config.precision(param), None)?;
        let row = Row::adamw(1e-4).moments(storage);
        let groups = [Group::new("all", row, params.iter().map(|param| param.name.clone()))];
        let mut optimizer = Optimizer::new(&engine, &parameters, &groups, Settings::default())?;
        let [forward, backward] = work.pass(&engine, &parameters, &optimizer)?;
        let part = |label: &str, dispatches| engine.prepare(Program::of(label, dispatches));
        let parts = [part("forward", forward)?, part("backward", backward)?];
        optimizer.program()?;
        let ring = engine.ring(vec![optimizer.stats_range()])?;
        // Behind the programs: a driver on a processor continues compiling meanwhile.
        for (name, values) in work.model.initial(1) {
            parameters.upload(&name, &values)?;
        }
        let mut bench = Bench { work, engine, optimizer, parts, ring, first_step: Duration::ZERO };
        bench.step()?;
        bench.first_step = started.elapsed();
        Ok(bench)
    }

    /// One step in one submission, waited for.
    fn step(&mut self) -> Result<Duration, Failure> {
        let started = Instant::now();
        let optim::Next { uploads, program, slot, .. } = self.optimizer.next(None)?;
        let programs = &[&self.parts[0], &self.parts[1], program];
        self.engine.submit(&Submission::of(programs).uploads(uploads).slot(slot))?;
        self.engine.wait()?;
        Ok(started.elapsed())
    }

    /// Whole step by criterion.
    fn sample(&mut self, criterion: &mut Criterion) {
        let once = self.step().expect("a step");
        if once > LONGEST_SAMPLE {
            println!("train_step/{}/{}: a step takes {once:.1?}; see the table", self.work.name, self.engine.name());
            return;
        }
        let mut group = criterion.benchmark_group(format!("train_step/{}", self.work.name));
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
        let name = self.engine.name().to_owned();
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|steps| (0..steps).map(|_| self.step().expect("a step")).sum());
        });
        group.finish();
    }

    /// Seconds of forward or backward alone.
    fn part_seconds(&self, part: usize) -> Result<f64, Failure> {
        seconds(&self.engine, &self.ring, Submission::of(&[&self.parts[part]]))
    }

    /// Seconds of the update alone, by the gradients of the last backward pass.
    fn update_seconds(&mut self) -> Result<f64, Failure> {
        let optim::Next { uploads, program, slot, .. } = self.optimizer.next(None)?;
        let programs = [program];
        let submission = Submission::of(&programs).uploads(uploads).slot(slot);
        seconds(&self.engine, &self.ring, submission)
    }

    // ---- the table ----

    /// `again`: bytes of pipelines that were kept, and what the first step takes with them.
    fn tell(&mut self, in_bf16: &mut Bench<'_>, again: Option<(usize, Duration)>) -> Result<(), Failure> {
        let Work { name, elsewhere: [burn, torch], wanted, .. } = self.work;
        let elements: usize = self.work.model.params().iter().map(Param::elements).sum();
        let clock = if self.engine.has_timestamps() { "the device's timestamps" } else { "the host's clock" };
        println!("\n{name} on {}: {elements} parameters; parts by {clock}", self.engine.name());
        let medians = self.rounds()?;
        let step = medians[0] * 1e3;
        println!("  {:<10} {step:>10.2} ms  {}", "step", self.mark(step, *wanted));
        println!("  {:<10} {burn:>10.2} ms  burn 0.22.1 on software Vulkan, and", "elsewhere");
        println!("  {:<10} {torch:>10.2} ms  torch 2.15 on the CPU with its fused AdamW: both", "");
        println!("  {:<10} {:>13}  measured on another quiet 2-core machine, not in this run", "", "");
        let [f32, bf16] = self.in_turn(in_bf16)?.map(|seconds| seconds * 1e3);
        println!("  {:<10} {bf16:>10.2} ms  {:.2} of {f32:.2} ms in f32, in turn", "in bf16", bf16 / f32);
        let update = self.optimizer.program()?.clone();
        let programs = [self.parts[0].program(), self.parts[1].program(), &update];
        for ((part, seconds), program) in ["forward", "backward", "update"].iter().zip(&medians[1..]).zip(programs) {
            println!(
                "  {part:<10} {:>10.2} ms  {:>4} dispatches {:>4} barriers {:>9.2} MB",
                seconds * 1e3,
                program.dispatches.len(),
                program.barriers(),
                program.bytes() as f64 / 1e6
            );
        }
        let first = self.first_step.as_secs_f64();
        let met = if first <= 5.0 { "pass" } else { "SHORT" };
        println!("  {:<10} {first:>10.2} s   from no engine to the first step done; <= 5  {met}", "first step");
        if let Some((bytes, again)) = again {
            let again = again.as_secs_f64();
            println!("  {:<10} {again:>10.2} s   with the {bytes} bytes of pipelines that the one before kept", "");
        }
        self.tell_kernels()
    }

    /// How a step of so many milliseconds stands to what is wanted, of software alone: a GPU has no target here.
    fn mark(&self, step: f64, [vulkan, cpu]: [f64; 2]) -> String {
        let most = if self.engine.adapter().is_some() { vulkan } else { cpu };
        let met = if step <= most { "pass" } else { "SHORT" };
        if self.engine.is_software() { format!("<= {most:.0}  {met}") } else { String::new() }
    }

    /// Median seconds of step, forward, backward and update.
    fn rounds(&mut self) -> Result<[f64; 4], Failure> {
        let started = Instant::now();
        let mut times = [const { Vec::new() }; 4];
        while times[0].len() < 3 || (started.elapsed() < ROUNDS_TIME && times[0].len() < 31) {
            times[0].push(self.step()?.as_secs_f64());
            for part in 0..2 {
                times[1 + part].push(self.part_seconds(part)?);
            }
            times[3].push(self.update_seconds()?);
        }
        Ok(times.map(median))
    }

    /// Median seconds of a step of this one and of another, in turn.
    fn in_turn(&mut self, other: &mut Bench<'_>) -> Result<[f64; 2], Failure> {
        let started = Instant::now();
        let mut times = [const { Vec::new() }; 2];
        while times[0].len() < 3 || (started.elapsed() < TURNS_TIME && times[0].len() < 31) {
            times[0].push(self.step()?.as_secs_f64());
            times[1].push(other.step()?.as_secs_f64());
        }
        Ok(times.map(median))
    }

    /// The kernels that take most, each dispatch run alone.
    fn tell_kernels(&self) -> Result<(), Failure> {
        let mut kernels: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
        for part in &self.parts {
            for dispatch in &part.program().dispatches {
                let name = dispatch.kernel.name;
                let alone = Program::of(name, vec![dispatch.clone()]);
                let prepared = self.engine.prepare(alone)?;
                let programs = [&prepared];
                let submission = Submission::of(&programs);
                let seconds = seconds(&self.engine, &self.ring, submission)?;
                let kernel = kernels.entry(name).or_default();
                *kernel = (kernel.0 + seconds, kernel.1 + 1);
            }
        }
        let mut kernels: Vec<(&str, (f64, usize))> = kernels.into_iter().collect();
        kernels.sort_by(|(_, first), (_, second)| second.0.total_cmp(&first.0));
        for (name, (seconds, dispatches)) in kernels.into_iter().take(NAMED_KERNELS) {
            println!("    {name:<32} {:>10.2} ms in {dispatches} dispatches, each alone", seconds * 1e3);
        }
        Ok(())
    }
}

/// Seconds of a submission that is waited for: those of the device where it tells them.
fn seconds(engine: &Engine, ring: &Ring, submission: Submission<'_>) -> Result<f64, Failure> {
    let started = Instant::now();
    engine.submit(&submission.report(Report::new(ring, 0)))?;
    engine.wait()?;
    let elapsed = started.elapsed().as_secs_f64();
    let mut told = None;
    engine.collect(ring, |delivery| {
        told = delivery.device_seconds;
        Ok::<(), gradus::engine::Error>(())
    })?;
    Ok(told.unwrap_or(elapsed))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
