//! Rows of a horizon: time of each case by criterion, then a table against the target of 50 ms on one core.
//!
//! ```text
//! cargo bench --bench schedule              # everything, half a minute
//! cargo bench --bench schedule -- none      # the table alone: no case has this name
//! cargo bench --bench schedule -- --test    # each case once, no table
//! ```

use criterion::{Criterion, SamplingMode, Throughput};
use gradus::params::{Field, Row};
use gradus::schedule::law::{CoolDown, Cosine, Law, Level, Ramp, Rise, WarmUp};
use gradus::schedule::{FieldLaw, Spec, checked_rows, rows};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Runs behind each line of the table.
const RUNS: usize = 21;
const TARGET: f64 = 50.0;

const LONG: u64 = 1_000_000;
const SHORT: u64 = 1_000;
const GROUPS: usize = 465;

/// The three parts from a file.
const FILE: &str = "
optimizer: {type: adamw, lr: 1.0e-3}
lr_scheduler: {type: cosine, min_ratio: 0.1, warmup_fraction: 0.05, cooldown: linear, cooldown_fraction: 0.1}
";

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion);
    criterion.final_summary();
    let once = |argument: String| argument == "--test" || argument == "--list";
    if std::env::args().any(|argument| argument == "--bench") && !std::env::args().any(once) {
        table();
    }
}

/// Warm-up, cosine, cool-down.
fn three_parts(steps: u64, min_ratio: f64) -> impl Law + 'static {
    let (warm_up, cool_down) = (steps / 20, steps / 10);
    let main = steps - warm_up - cool_down;
    let ramp = Ramp::new(Rise::Linear, warm_up, Level::ZERO).expect("a ramp");
    let cosine = Cosine::new(main, Level::Ratio(min_ratio)).expect("a cosine");
    CoolDown::new(WarmUp::new(ramp, cosine), steps - cool_down, Rise::Linear, cool_down, Level::ZERO).expect("an end")
}

/// What is timed.
struct Case {
    name: &'static str,
    rows: u64,
    run: Box<dyn Fn() -> Vec<Row>>,
}

fn cases() -> Vec<Case> {
    let base = [Row::default()];
    let long = || [FieldLaw::new(Field::Lr, three_parts(LONG, 0.1))];
    let (unchecked, checked) = (long(), long());
    let spec = Spec::parse("the bench's file", FILE).expect("a schedule");

    let groups: Vec<Row> = (0..GROUPS).map(|group| Row::adamw(1e-3 * 0.99f64.powf(group as f64))).collect();
    let each: Vec<FieldLaw> = (0..GROUPS)
        .map(|group| FieldLaw::of_group(group, Field::Lr, three_parts(SHORT, group as f64 / GROUPS as f64)))
        .collect();
    vec![
        Case { name: "1000000_steps", rows: LONG, run: Box::new(move || rows(&base, &unchecked, 0, LONG)) },
        Case {
            name: "1000000_steps/checked",
            rows: LONG,
            run: Box::new(move || checked_rows(&base, &checked, 0, LONG).expect("rows")),
        },
        Case {
            name: "1000000_steps/from_a_file",
            rows: LONG,
            run: Box::new(move || spec.table(&base, LONG, None).expect("rows")),
        },
        Case {
            name: "1000_steps/465_groups",
            rows: SHORT * GROUPS as u64,
            run: Box::new(move || rows(&groups, &each, 0, SHORT)),
        },
    ]
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schedule");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    for case in cases() {
        group.throughput(Throughput::Elements(case.rows));
        group.bench_function(case.name, |bencher| bencher.iter(&case.run));
    }
    group.finish();
}

/// Medians, with what it takes to give back the memory of the rows.
fn table() {
    println!("\nrows of a three-part law (warm-up, cosine, cool-down), one core, median of {RUNS} runs");
    println!("{:28} {:>9} {:>9} {:>9}  target", "", "rows", "ms", "ns/row");
    for case in cases() {
        let mut times: Vec<f64> = (0..RUNS)
            .map(|_| {
                let start = Instant::now();
                black_box((case.run)());
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let time = times[RUNS / 2];
        let mark = if time <= TARGET { "pass" } else { "SHORT" };
        println!(
            "{:28} {:9} {time:9.2} {:9.1}  <= {TARGET} ms  {mark}",
            case.name,
            case.rows,
            1e6 * time / case.rows as f64
        );
    }
}
