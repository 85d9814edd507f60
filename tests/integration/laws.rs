//! Laws by short name: properties of all of them, what files may say, and users' own laws.

use gradus::params::{Field, Row};
use gradus::schedule::law::*;
use gradus::schedule::{Error, FieldLaw, Law, Phases, Run, Spec, Stepper, StepperState, checked_rows, rows};
use proptest::prelude::*;

/// Every short name with arguments, for a run of hundreds of steps; and the share of the base below which it never
/// goes, and the value, as a share of the base, that holds beyond the end (`None`: it continues for ever).
const LAWS: [(&str, f64, Option<f64>); 26] = [
    ("type: constant", 1.0, Some(1.0)),
    ("type: linear", 0.0, Some(0.0)),
    ("type: linear, start_ratio: 0.25, end_ratio: 1", 0.25, Some(1.0)),
    ("type: polynomial, power: 2, min_ratio: 0.1", 0.1, Some(0.1)),
    ("type: exponential, gamma: 0.99", 0.0, None),
    ("type: step, gamma: 0.5, every_steps: 30, min_ratio: 0.01", 0.01, None),
    ("type: multi_step, milestones_fraction: [0.5, 0.75]", 0.01, Some(0.01)),
    ("type: multiplicative, factors: [0.5, 0.5, 1.0]", 0.25, Some(0.25)),
    ("type: cosine", 0.0, Some(0.0)),
    ("type: cosine, min_ratio: 0.1, k_decay: 2", 0.1, Some(0.1)),
    ("type: cosine_restarts, cycle_fraction: 0.25, cycle_decay: 0.5, cycle_limit: 4, min_ratio: 0.05", 0.05, None),
    ("type: cosine_restarts, cycle_steps: 7, cycle_mult: 1.7", 0.0, None),
    ("type: cyclic, up_steps: 20, down_steps: 9, min_ratio: 0.1", 0.1, None),
    ("type: cyclic, up_steps: 20, mode: triangular2", 0.0, None),
    ("type: cyclic, up_steps: 20, mode: exp_range, gamma: 0.99", 0.0, None),
    ("type: one_cycle", 4e-6, Some(4e-6)),
    ("type: one_cycle, three_phase: true, anneal: linear, div: 4, final_div: 10", 0.025, Some(0.025)),
    ("type: inverse_sqrt, timescale_steps: 50", 0.0, None),
    ("type: tanh, min_ratio: 0.1", 0.1, Some(0.1)),
    ("type: slanted_triangular", 1.0 / 32.0, Some(1.0 / 32.0)),
    ("type: slanted_triangular, form: paper", 1.0 / 32.0, None),
    ("type: wsd, checkpoints: 3, min_ratio: 0.1", 0.1, Some(0.1)),
    ("type: wsd, decay: inverse, decay_fraction: 0.5", 0.1, Some(0.1)),
    ("type: plateau", 1.0, Some(1.0)),
    ("type: sequential, parts: [{type: linear, fraction: 0.5}, {type: cosine, min_ratio: 0.5}]", 0.0, Some(0.5)),
    ("type: chained, parts: [{type: linear}, {type: step, every_steps: 50}]", 0.0, Some(0.0)),
];

fn read(law: &str) -> Result<Spec, Error> {
    Spec::parse("run.yaml", &format!("optimizer: {{type: adamw}}\nlr_scheduler: {{{law}}}"))
}

fn law_of(law: &str, steps: u64) -> Box<dyn Law> {
    let run = Run { steps, steps_per_epoch: Some(10) };
    let laws = read(law).and_then(|spec| spec.laws(&[Row::default()], run));
    laws.unwrap_or_else(|error| panic!("{law}: {error}")).remove(0).law
}

fn told(law: &str, steps: u64) -> String {
    let base = [Row::default()];
    match read(law) {
        Err(error) => error.to_string(),
        Ok(spec) => format!("later: {}", spec.table(&base, steps, None).expect_err(law)),
    }
}

fn warmups() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        ", warmup_steps: 20",
        ", warmup_epochs: 1.5, warmup: cosine, warmup_start_ratio: 0.2",
        ", warmup_fraction: 0.1, warmup_start: 1.0e-4",
        ", warmup_steps: 10, warmup: constant, warmup_start_ratio: 0.5",
    ])
}

/// Laws that move between the base and a level, LOW; those that take none end at it by other keys.
const LEVELLED: [&str; 17] = [
    "linear, end_ratio: EDGE",
    "linear, start_ratio: EDGE, end_ratio: 1",
    "polynomial, power: 0.7, LOW",
    "step, gamma: 0.3, every_steps: 3, LOW",
    "cosine, LOW",
    "cosine, k_decay: 1.7, LOW",
    "cosine_restarts, cycle_steps: 7, cycle_mult: 1.3, cycle_decay: 0.9, LOW",
    "cyclic, up_steps: 7, LOW",
    "cyclic, up_steps: 7, down_steps: 3, mode: triangular2, LOW",
    "cyclic, up_steps: 7, mode: exp_range, gamma: 0.99, LOW",
    "tanh, LOW",
    "tanh, lower: -0.1, upper: 0.1, LOW",
    "wsd, decay: sqrt, decay_fraction: 1, LOW",
    "wsd, decay: linear, decay_fraction: 0.7, LOW",
    "wsd, decay: cosine, decay_fraction: 0.7, LOW",
    "plateau, LOW",
    "chained, parts: [{type: cosine, LOW}, {type: constant}]",
];

/// Warm-ups and cool-downs between equal ends.
fn edges() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        ", warmup: linear, warmup_fraction: 0.3, warmup_start_ratio: 1",
        ", warmup: cosine, warmup_fraction: 0.3, warmup_start_ratio: 1",
        ", warmup: constant, warmup_fraction: 0.3, warmup_start_ratio: 1",
        ", cooldown: linear, cooldown_fraction: 0.3, cooldown_end_ratio: 1",
        ", cooldown: cosine, cooldown_fraction: 0.3, cooldown_end_ratio: 1",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Every law stays between its lowest value and the base, is a number, and holds its documented value at the end.
    #[test]
    fn laws_stay_between_their_bounds_and_hold_at_the_end(
        place in 0..LAWS.len(), steps in 200u64..600, base in 1e-3f64..10.0, warmup in warmups(), beyond in 0u64..1_000_000,
    ) {
        let (text, lowest, last) = LAWS[place];
        let law = law_of(&format!("{text}{warmup}"), steps);
        for step in (0..steps).chain([steps + beyond]) {
            let value = law.value(base, step);
            // A warm-up may start below the main law.
            let lowest = if warmup.is_empty() || step > steps { lowest } else { 0.0 };
            let low = lowest * base * (1.0 - 1e-12);
            prop_assert!(value >= low && value <= base, "{text}: {value} at {step}");
        }
        if let Some(last) = last {
            let value = law.value(base, steps + beyond);
            prop_assert!((value - last * base).abs() <= 1e-12 * base, "{text}: {value} beyond the end");
        }
    }

    /// Not by a rounding either: never above the base, never below the lowest level, be it the base itself or a
    /// neighbour of it.
    #[test]
    fn laws_keep_their_bounds_exactly(
        text in prop::sample::select(LEVELLED.to_vec()), steps in 2u64..200, base in 1e-6f64..10.0,
        ratio in prop_oneof![Just(1.0), 0.0f64..1.0, Just(1.0 - f64::EPSILON)], absolute: bool, edges in edges(),
    ) {
        let lowest = ratio * base;
        let level = if absolute { format!("min: {lowest:?}") } else { format!("min_ratio: {ratio:?}") };
        // A decay over the whole run leaves no room for a warm-up, and a plateau has no cool-down.
        let edges = if text.contains("wsd") || text.contains("plateau") { "" } else { edges };
        let text = format!("type: {text}{edges}").replace("LOW", &level).replace("EDGE", &format!("{ratio:?}"));
        let spec = read(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let row = Row::adamw(base);
        let law = spec.laws(&[row], Run { steps, steps_per_epoch: None }).expect("laws").remove(0).law;
        for step in 0..steps + 10 {
            let value = law.value(base, step);
            prop_assert!(value >= lowest && value <= base, "{text}: {value:?} of {base:?} at {step}");
        }
    }

    /// Whatever the warm-up, it rises, and what follows is the main law from its start, none of it cut off.
    #[test]
    fn warm_ups_rise_and_cut_nothing_off(
        place in 0..LAWS.len(), steps in 60u64..400, warm in 1u64..50, start in 0.0f64..1.0,
        shape in prop::sample::select(vec!["linear", "cosine", "constant"]),
    ) {
        let (text, ..) = LAWS[place];
        prop_assume!(!text.contains("wsd") && !text.contains("timescale") && !text.contains("fraction: 0.25"));
        prop_assume!(!text.contains("milestones_fraction"));
        let both = law_of(&format!("{text}, warmup: {shape}, warmup_steps: {warm}, warmup_start_ratio: {start}"), steps);
        let main = law_of(text, steps - warm);
        for step in 0..warm {
            prop_assert!(both.value(1.0, step) <= both.value(1.0, step + 1) + 1e-15 || step + 1 == warm);
            prop_assert!(both.value(1.0, step) <= main.value(1.0, 0) + 1e-15);
        }
        for step in warm..steps + 50 {
            prop_assert_eq!(both.value(1.0, step), main.value(1.0, step - warm), "{} at {}", text, step);
        }
    }

    /// A value needs no history: asked for in any order it is the same, and so it is after saving and restoring.
    #[test]
    fn restored_is_uninterrupted(place in 0..LAWS.len(), steps in 200u64..400, cut in 0u64..400, base in 0.0f64..1.0) {
        let (text, ..) = LAWS[place];
        let mut whole = Stepper::new(law_of(text, steps));
        let expected: Vec<f64> = (0..500).map(|_| { let value = whole.value(base); whole.step(); value }).collect();

        let mut first = Stepper::new(law_of(text, steps));
        for _ in 0..cut { first.step(); }
        let saved = serde_json::to_string(&first.state()).expect("JSON");
        let mut second = Stepper::new(law_of(text, steps));
        second.restore(serde_json::from_str::<StepperState>(&saved).expect("a state"));
        let law = law_of(text, steps);
        for step in cut..500 {
            prop_assert_eq!(second.value(base).to_bits(), expected[step as usize].to_bits());
            second.step();
        }
        for step in (0..500).rev() {
            prop_assert_eq!(law.value(base, step).to_bits(), expected[step as usize].to_bits());
        }
    }

    /// A plateau law saved between any two metrics continues as if never stopped, and is what all metrics at once give.
    #[test]
    fn a_plateau_restored_is_uninterrupted(
        metrics in prop::collection::vec(prop_oneof![8 => -2.0f64..2.0, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)], 1..60),
        cut: prop::sample::Index, patience in 0u64..4, cooldown in 0u64..3,
    ) {
        let law = Plateau::new(Better::Lower, 0.5, patience, Level::Ratio(1e-3)).expect("a law").cooldown(cooldown);
        let cut = cut.index(metrics.len());
        let after = |state, metrics: &[f64]| metrics.iter().fold(state, |state, metric| law.observe(state, *metric));
        let saved = serde_json::to_string(&after(PlateauState::default(), &metrics[..cut])).expect("JSON");
        let restored: PlateauState = serde_json::from_str(&saved).expect("a state");
        let whole = after(PlateauState::default(), &metrics);
        prop_assert_eq!(after(restored, &metrics[cut..]), whole);
        let all: Vec<(u64, f64)> = metrics.iter().enumerate().map(|(at, metric)| (at as u64, *metric)).collect();
        let values: Vec<f64> = (0..all.len()).map(|step| law.value(2.0, step as u64, &all)).collect();
        prop_assert!(values.windows(2).all(|pair| pair[1] <= pair[0]), "it never rises");
        prop_assert_eq!(values[all.len() - 1], law.law(whole).value(2.0, 0));
    }

    /// A run that continues before or after a decay agrees with the one before it.
    #[test]
    fn wsd_goes_on(steps in 20u64..500, more in 1u64..500, share in 0.05f64..1.0, count in 1u64..4) {
        let law = Wsd::new(steps, share).and_then(|law| law.checkpoints(count)).expect("a law");
        prop_assert_eq!(law.checkpoint_steps().last(), Some(&steps));
        let (start, _) = *law.decay_info().last().expect("a decay");
        let before = law.continue_before(steps + more).expect("a law");
        let after = law.continue_after(steps + more).expect("a law");
        prop_assert!((0..=start).all(|step| before.value(1.0, step) == law.value(1.0, step)));
        prop_assert!((0..steps).all(|step| after.value(1.0, step) == law.value(1.0, step)));
        prop_assert_eq!(law.phase_info(start).phase, Phase::Decay);
    }

    /// Any numbers in any law: refused, or a table without a value that its field does not allow.
    #[test]
    fn any_numbers_make_rows_or_an_error(
        place in 0..LAWS.len(), steps in 0u64..40, a in prop_oneof![-1.0f64..3.0, Just(f64::NAN), Just(1e300)],
        warm in 0u64..50, key in prop::sample::select(vec!["min_ratio", "min", "gamma", "k_decay", "div", "fraction", "up_fraction"]),
    ) {
        let (text, ..) = LAWS[place];
        let a = if a.is_nan() { ".nan".to_owned() } else { a.to_string() };
        for law in [format!("{text}, {key}: {a}"), format!("{text}, warmup_steps: {warm}, cooldown_steps: {warm}")] {
            if let Ok(rows) = read(&law).and_then(|spec| spec.table(&[Row::default()], steps, None)) {
                prop_assert!(rows.iter().all(|row| row.check("").is_ok()));
            }
        }
    }
}

#[test]
fn a_group_follows_from_its_own_base() {
    let spec = read("type: cosine, warmup_fraction: 0.1, cooldown_fraction: 0.2").expect("a spec");
    let groups = [Row::adamw(1.0), Row::adamw(0.0), Row::adamw(0.5)];
    let table = spec.table(&groups, 100, None).expect("rows");
    let lrs = |step: usize| [0, 1, 2].map(|group| table[3 * step + group].lr);
    assert_eq!((table.len(), lrs(0), lrs(5), lrs(10)), (300, [0.0; 3], [0.5, 0.0, 0.25], [1.0, 0.0, 0.5]));
    let late = read("type: multi_step, gamma: 0.5, milestones_fraction: [0.5], warmup_fraction: 0.5").expect("a spec");
    let late = late.table(&groups, 100, None).expect("rows");
    assert_eq!([49, 50, 74, 75].map(|step: usize| late[3 * step].lr), [0.98, 1.0, 1.0, 0.5], "the law's own half");
    assert_eq!((lrs(80), lrs(99)), ([0.0; 3], [0.0; 3]), "the cool-down holds what the cosine ended with");
}

#[test]
fn laws_move_any_field() {
    let text = "optimizer: {type: adamw, lr: 1.0, weight_decay: 0.1, betas: [0.95, 0.999]}\n\
                lr_scheduler: {type: one_cycle, beta1_min: 0.85}\n\
                laws: [{field: weight_decay, type: linear}, {field: eps, type: step, every_steps: 50}]";
    let spec = Spec::parse("run.yaml", text).expect("a spec");
    let table = spec.table(&[spec.row], 100, None).expect("rows");
    let row = table[29];
    assert_eq!((row.lr, row.beta1), (1.0, 0.85));
    assert!((table[50].weight_decay - 0.05).abs() < 1e-15 && (table[50].eps - 1e-9).abs() < 1e-24);
    let twice = text.replace("field: eps", "field: beta1");
    let error = Spec::parse("run.yaml", &twice).expect_err("an error").to_string();
    assert_eq!(error, "run.yaml: laws[1]: beta1 is already moved by lr_scheduler");
}

#[test]
fn users_write_laws_of_their_own() {
    struct Milestones {
        gamma: f64,
        epochs: Vec<u64>,
        steps_per_epoch: u64,
    }
    impl Law for Milestones {
        fn value(&self, base: f64, step: u64) -> f64 {
            let epoch = step / self.steps_per_epoch;
            base * self.gamma.powi(self.epochs.iter().filter(|milestone| epoch >= **milestone).count() as i32)
        }
    }
    struct Grow {
        gamma: f64,
        every: u64,
    }
    impl Law for Grow {
        fn value(&self, base: f64, step: u64) -> f64 {
            base * self.gamma.powf((step / self.every) as f64)
        }
    }
    let groups = [Row::adamw(1.0).weight_decay(0.01), Row::adamw(0.5)];
    let laws = [
        FieldLaw::new(Field::Lr, Milestones { gamma: 0.5, epochs: vec![2, 4], steps_per_epoch: 10 }),
        FieldLaw::new(Field::WeightDecay, Grow { gamma: 2.0, every: 20 }),
        FieldLaw::of_group(1, Field::Eps, Lambda::new(|step| 1.0 + step as f64)),
    ];
    let table = checked_rows(&groups, &laws, 0, 50).expect("rows");
    assert_eq!([19, 20, 39, 40].map(|step: usize| table[2 * step].lr), [1.0, 0.5, 0.5, 0.25]);
    assert_eq!([19, 40].map(|step: usize| table[2 * step + 1].lr), [0.5, 0.125]);
    assert_eq!([0, 20, 40].map(|step: usize| table[2 * step].weight_decay), [0.01, 0.02, 0.04]);
    assert_eq!((table[20].eps, table[21].eps), (1e-8, 11.0 * 1e-8));

    let never = [FieldLaw::new(Field::Lr, Lambda::new(|step| if step == 3 { f64::NAN } else { 1.0 }))];
    let error = checked_rows(&groups, &never, 0, 50).expect_err("an error").to_string();
    assert_eq!(error, "step 3, group 0: lr = NaN is not a finite number that is 0 or more");
    assert_eq!(rows(&groups, &never, 0, 3).len(), 6);
}

#[test]
fn nonsense_is_refused_when_it_is_read() {
    let cases = [
        (
            "type: cosin",
            "type = cosin is not one of constant, linear, polynomial, exponential, step, multi_step, \
          multiplicative, cosine, cosine_restarts, cyclic, one_cycle, inverse_sqrt, tanh, slanted_triangular, wsd, \
          plateau, sequential, chained (did you mean \"cosine\"?)",
        ),
        (
            "type: lambda",
            "type = lambda cannot stand in a file: it is a closure in Rust (schedule::law::Lambda); name another law",
        ),
        (
            "type: torch.optim.lr_scheduler.StepLR",
            "type = torch.optim.lr_scheduler.StepLR is not the short name of a law; a Python class is named by \
             class_path, not by type",
        ),
        ("type: CosineAnealingLR", "type = CosineAnealingLR is not the short name of a law; a Python class is"),
        ("type: StepLR", "type = StepLR is not the short name of a law; a Python class is named by class_path"),
        ("type: step", "every_steps is missing (every_epochs or every_fraction would do instead)"),
        ("type: exponential", "gamma is missing"),
        ("type: exponential, gama: 0.9", "gama is not a known key (did you mean \"gamma\"?); known are type, gamma,"),
        ("type: multi_step", "milestones is missing (milestones_epochs or milestones_fraction would do instead)"),
        ("type: multi_step, milestones: [1.5]", "milestones = 1.5 is not a whole number that is 0 or more"),
        ("type: sequential", "parts is missing"),
        ("type: sequential, parts: []", "parts = [] is not a list of one law or more: it is empty"),
        ("type: sequential, parts: {type: linear}", "parts = {type: linear} is not a list of mappings"),
        (
            "type: chained, parts: [{class_path: StepLR}]",
            "parts[0].class_path has no place here: a Python class is for lr_scheduler only; here type: names a law",
        ),
        ("type: cosine, warmup: linear", "warmup_steps is missing (warmup_epochs or warmup_fraction would do instead)"),
        (
            "type: cosine, warmup: constant, warmup_steps: 3",
            "warmup_start_ratio is missing (warmup_start would do instead)",
        ),
        ("type: cosine, steps: 0", "steps = 0 is not a length of 1 step or more"),
        ("type: cosine, steps: -5", "steps = -5 is not a whole number that is 0 or more"),
        ("type: cosine, min: -1", "min = -1 is not a finite number that is 0 or more"),
        ("type: cosine, min: .inf", "min = inf is not a finite number that is 0 or more"),
        ("type: cosine, min_ratio: 1.5", "min_ratio = 1.5 is not a number from 0 to 1"),
        ("type: cosine, min: 0.1, min_ratio: 0.1", "min_ratio = 0.1 conflicts with min; keep one of them"),
        ("type: cosine, k_decay: 0", "k_decay = 0 is not a finite number above 0"),
        (
            "type: cosine, warmup_steps: 5, warmup_fraction: 0.1",
            "warmup_fraction = 0.1 conflicts with warmup_steps; keep one of them",
        ),
        (
            "type: cosine, warmup_steps: 5, warmup_start: 0, warmup_start_ratio: 0",
            "warmup_start_ratio = 0 conflicts with warmup_start; keep one of them",
        ),
        ("type: cosine, warmup_fraction: 1.5", "warmup_fraction = 1.5 is not a number from 0 to 1"),
        (
            "type: cosine, warmup_fraction: 0.6, cooldown_fraction: 0.6",
            "warmup_fraction = 0.6 is too long: warm-up and cool-down are 0.6 + 0.6 of the whole law",
        ),
        (
            "type: cosine, epochs: 4, warmup_epochs: 3, cooldown_fraction: 0.5",
            "warmup_epochs = 3 is too long: warm-up and cool-down are 3 epochs + 0.5 of 4 epochs",
        ),
        (
            "type: cosine, epochs: 1.5, cooldown_epochs: 2",
            "cooldown_epochs = 2 is too long: warm-up and cool-down are 0 + 2 epochs of 1.5 epochs",
        ),
        (
            "type: cosine, steps: 10, warmup_fraction: 0.6, cooldown_fraction: 0.6",
            "warmup_fraction = 0.6 is too long: warm-up and cool-down are 6 + 6 of 10 steps",
        ),
        (
            "type: cosine, steps: 10, warmup_steps: 11",
            "warmup_steps = 11 is too long: warm-up and cool-down are 11 + 0 of 10 steps",
        ),
        ("type: cosine, warmup_steps: 3, warmup_start_ratio: 2", "warmup_start_ratio = 2 is not a number from 0 to 1"),
        ("type: linear, end_ratio: .nan", "end_ratio = NaN is not a number from 0 to 1"),
        ("type: polynomial, power: -1", "power = -1 is not a finite number above 0"),
        ("type: exponential, gamma: -0.5", "gamma = -0.5 is not a finite number that is 0 or more"),
        ("type: step, every_steps: 0", "every_steps = 0 is not a number of steps that is 1 or more"),
        ("type: multiplicative, factors: [1, .inf]", "factors = inf is not a finite number that is 0 or more"),
        ("type: cosine_restarts, cycle_steps: 0", "cycle_steps = 0 is not a number of steps that is 1 or more"),
        (
            "type: cosine_restarts, cycle_steps: 5, cycle_mult: 0.5",
            "cycle_mult = 0.5 is not a finite number that is 1 or more",
        ),
        ("type: cosine_restarts, cycle_steps: 5, cycle_decay: 2", "cycle_decay = 2 is not a number from 0 to 1"),
        ("type: cosine_restarts, cycle_steps: 5, cycle_limit: 0", "cycle_limit = 0 is not 1 or more"),
        ("type: cyclic, up_steps: 0", "up_steps = 0 is not a number of steps that is 1 or more"),
        ("type: cyclic, up_steps: 3, mode: exp_range, gamma: 2", "gamma = 2 is not a number from 0 to 1"),
        ("type: cyclic, up_steps: 3, gamma: 0.9", "gamma = 0.9 needs mode: exp_range, not triangular"),
        ("type: cyclic, up_steps: 3, mode: exp_range", "gamma is missing"),
        ("type: one_cycle, div: 0", "div = 0 is not a finite number above 0"),
        ("type: one_cycle, steps: 1", "steps = 1 is not a number of steps that is 2 or more"),
        (
            "type: one_cycle, up_fraction: 0.7, three_phase: true",
            "up_fraction = 0.7 is not a number from 0 to 0.5, which three_phase needs",
        ),
        ("type: one_cycle, three_phase: 3", "three_phase = 3 is not true or false"),
        ("type: inverse_sqrt, timescale_steps: 0", "timescale_steps = 0 is not a number of steps that is 1 or more"),
        ("type: tanh, lower: 4", "lower = 4 is not below upper = 3"),
        ("type: slanted_triangular, cut_fraction: 1", "cut_fraction = 1 is not in [0, 1)"),
        ("type: slanted_triangular, ratio: 0.5", "ratio = 0.5 is not a finite number that is 1 or more"),
        ("type: wsd, decay_fraction: 1.1", "decay_fraction = 1.1 is not a number above 0 and at most 1"),
        ("type: wsd, checkpoints: 0", "checkpoints = 0 is not 1 or more that the run has room for"),
        ("type: wsd, checkpoints: 99", "checkpoints = 99 is not 1 or more that the run has room for"),
        ("type: wsd, decay: inverse, min_ratio: 0", "min_ratio = 0 is not above 0, which decay: inverse needs"),
        (
            "type: wsd, warmup_fraction: 0.95",
            "warmup_fraction = 0.95 is too long: the first decay starts before it ends",
        ),
        (
            "type: wsd, steps: 100, warmup_fraction: 0.95",
            "warmup_fraction = 0.95 is not at most 90, the step at which the first decay starts: it comes to 95",
        ),
        (
            "type: step, every_fraction: 0",
            "every_fraction = 0 is not a number of steps that is 1 or more: it comes to 0",
        ),
        (
            "type: slanted_triangular, form: paper, cut_fraction: 0",
            "cut_fraction = 0 is not large enough: form: paper needs a rise of a whole step or more",
        ),
        (
            "type: plateau, cooldown: 3",
            "cooldown has no place here: plateau has no cool-down; metrics that do not count after a reduction are cooldown_metrics",
        ),
        ("type: plateau, cooldown_steps: 3", "cooldown_steps is not a known key"),
        ("type: plateau, factor: 1", "factor = 1 is not in [0, 1)"),
        ("type: plateau, threshold: -1", "threshold = -1 is not a number from 0 to 1"),
        (
            "type: sequential, parts: [{type: linear}, {type: cosine}]",
            "parts[0].steps is missing (epochs or fraction would do instead)",
        ),
        ("type: chained, parts: [{type: step}]", "parts[0].every_steps is missing"),
    ];
    for (law, expected) in cases {
        let told = told(law, 100);
        assert!(told.starts_with(&format!("run.yaml: lr_scheduler.{expected}")), "{law}: {told}");
        let digits = told.split(|letter: char| !letter.is_ascii_digit()).map(str::len).max();
        assert!(digits < Some(5), "{law}: a number of steps that nobody asked for: {told}");
    }
    let unknown = told("type: cosine, min_ration: 0.1", 100);
    let expected =
        "run.yaml: lr_scheduler.min_ration is not a known key (did you mean \"min_ratio\"?); known are type, min,";
    assert!(unknown.starts_with(expected), "{unknown}");
}

#[test]
fn what_depends_on_the_run_is_refused_when_it_is_known() {
    let cases = [
        ("type: cosine", 0, "steps = 0 is not a length of 1 step or more"),
        (
            "type: cosine, warmup_steps: 11",
            10,
            "warmup_steps = 11 is too long: warm-up and cool-down are 11 + 0 of 10 steps",
        ),
        (
            "type: cosine, warmup_epochs: 1",
            10,
            "warmup_epochs = 1 needs the steps of an epoch: give --steps-per-epoch, or count in steps",
        ),
        ("type: one_cycle", 1, "steps = 1 is not a number of steps that is 2 or more"),
        (
            "type: wsd, checkpoints: 5",
            10,
            "checkpoints = 5 is not 1 or more that the run has room for: its steps are halved",
        ),
        (
            "type: wsd, warmup_steps: 95",
            100,
            "warmup_steps = 95 is not at most 90, the step at which the first decay starts",
        ),
        (
            "type: slanted_triangular, form: paper",
            5,
            "cut_fraction = 0.1 is not large enough: form: paper needs a rise of a whole step or more",
        ),
        (
            "type: step, every_fraction: 1.0e-3",
            100,
            "every_fraction = 0.001 is not a number of steps that is 1 or more: it comes to 0",
        ),
        ("type: sequential, parts: [{type: linear, steps: 10}, {type: cosine}]", 10, "parts = 2 parts leave"),
    ];
    for (law, steps, expected) in cases {
        let told = told(law, steps);
        assert!(told.starts_with(&format!("later: run.yaml: lr_scheduler.{expected}")), "{law}: {told}");
    }
    let grows = told("type: exponential, gamma: 10", 400);
    let expected = "later: run.yaml: lr_scheduler: lr = 1.000e39 at step 42 of group 0 is not a number that f32 holds: it \
                    goes to 3.4e38";
    assert_eq!(grows, expected);
    let text = "optimizer: {type: adamw}\nlr_scheduler: {type: cosine}\n\
                laws: [{field: eps, type: linear}, {field: beta2, type: step, gamma: 1.5, every_steps: 7}]";
    let spec = Spec::parse("run.yaml", text).expect("a spec");
    let error = spec.table(&[spec.row.beta2(0.0), spec.row], 50, None).expect_err("an error");
    let expected = "run.yaml: laws[1]: beta2 = 1.4985 at step 7 of the group trunk is not in [0, 1)";
    assert_eq!(error.naming(&["head", "trunk"]).to_string(), expected);
    let error = spec.table(&[spec.row.lr(f64::NAN)], 50, None).expect_err("an error").to_string();
    assert_eq!(error, "step 0, group 0: lr = NaN is not a finite number that is 0 or more", "no law is to blame");
    let halves = read("type: cosine, warmup_fraction: 0.5, cooldown_fraction: 0.5").expect("a spec");
    assert!(halves.table(&[Row::default()], 5, None).is_ok(), "two halves fit an odd number of steps");
    for law in [
        "type: cosine, steps: 100, warmup_epochs: 2",
        "type: wsd, steps: 100, warmup_epochs: 1",
        "type: wsd, epochs: 1, warmup_steps: 1000000",
    ] {
        assert!(read(law).is_ok(), "units that only the run can compare are not refused before it: {law}");
    }
}

#[test]
fn a_level_above_every_base_is_refused() {
    let part = "type: chained, parts: [{type: linear}, {type: tanh, min: 0.5}]";
    for (law, expected) in [
        ("type: cosine, min: 1", "min = 1 is not at most 0.001, the highest lr that a group starts with"),
        ("type: linear, start: 2.0e-3", "start = 0.002 is not at most 0.001,"),
        ("type: linear, end: 2.0e-3", "end = 0.002 is not at most"),
        ("type: plateau, min: 2.0e-3", "min = 0.002 is not at most"),
        ("type: cosine, warmup_steps: 3, warmup_start: 0.01", "warmup_start = 0.01 is not at most"),
        ("type: wsd, cooldown_steps: 3, cooldown_end: 0.01", "cooldown_end = 0.01 is not at most"),
        (part, "parts[1].min = 0.5 is not at most"),
        ("type: one_cycle, beta1_min: 0.95", "beta1_min = 0.95 is not at most 0.9, the highest beta1"),
    ] {
        let told = told(law, 100);
        assert!(told.starts_with(&format!("later: run.yaml: lr_scheduler.{expected}")), "{law}: {told}");
    }
    let spec = read("type: cosine, min: 1.0e-3").expect("a spec");
    let (low, high) = (Row::adamw(1e-5), Row::default());
    assert!(spec.table(&[low, high], 9, None).is_ok(), "the low group is not lifted, which is meant");
    assert!(spec.table(&[low], 9, None).is_err());
    assert!(spec.table(&[], 9, None).is_ok(), "nothing is known of the groups");
    let class = "class_path: torch.optim.lr_scheduler.CosineAnnealingLR, init_args: {T_max: 9, eta_min: 1}";
    assert!(read(class).expect("a spec").table(&[low], 9, None).is_ok(), "a class may do what it does");
}

#[test]
fn every_schedule_is_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules");
    let mut read = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a file");
        let spec = Spec::parse(&path.display().to_string(), &text).expect("a schedule");
        if spec.phases != Phases::Everything {
            // Followed by the demo's tests.
            assert!(spec.warnings.is_empty(), "{}: {:?}", path.display(), spec.warnings);
            continue;
        }
        let table = spec.table(&[spec.row], 1000, Some(100)).expect("rows");
        let peak = table.iter().map(|row| row.lr).fold(0.0, f64::max);
        assert!((peak - spec.row.lr).abs() <= 1e-12 * peak && peak > 0.0, "{}: {peak}", path.display());
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let top = table.iter().position(|row| row.lr == peak).expect("the peak");
        read.push((name, peak, top, table[0].lr / peak));
    }
    read.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("bert_one_cycle", 2e-5, 99, 0.1),
        ("cnn_different_one_cycle", 5e-4, 399, 0.04),
        ("cnn_similar_one_cycle", 1e-3, 299, 0.04),
        ("cosine_warmup", 1e-4, 100, 0.0),
        ("digits_mlp", 3e-3, 0, 1.0),
        ("encoder_frozen", 2e-5, 200, 0.0),
        ("encoder_full", 1e-5, 200, 0.0),
        ("exponential", 1e-3, 0, 1.0),
        ("pretraining_wsd", 6e-4, 50, 0.0),
        ("restarts", 1e-3, 0, 1.0),
        ("slanted_triangular", 2e-5, 100, 1.0 / 32.0),
        ("step", 1e-3, 0, 1.0),
        ("vit_one_cycle", 1e-4, 299, 0.04),
    ];
    assert_eq!(read.len(), expected.len(), "{read:?}");
    for ((name, peak, top, first), expected) in read.iter().zip(expected) {
        assert_eq!((name.as_str(), *peak, *top), (expected.0, expected.1, expected.2));
        assert!((first - expected.3).abs() < 1e-12, "{name} starts at {first} of its peak");
    }
}

/// A word of `no_decay` that no parameter has is reported; those that we ship are found in the models that they are for.
#[test]
fn words_of_every_schedule_are_in_a_model_of_its_kind() {
    use gradus::nn::models::{Bert, Gpt2, Mlp};
    use gradus::nn::{Activation, Network};
    let mlp = Mlp::new(&[4, 3, 3, 2], Activation::Gelu).expect("a network").params();
    let decoder = Gpt2::preset("tiny", 9, 8).expect("a preset").params();
    let encoder = Bert::preset("tiny", 9, 8, 2).expect("a preset").params();
    let run = gradus::schedule::Epochs { epochs: 60, steps_per_epoch: 10 };
    for (name, params) in [
        ("bert_one_cycle", &encoder),
        ("cosine_warmup", &encoder),
        ("cosine_warmup", &decoder),
        ("digits_mlp", &mlp),
        ("encoder_frozen", &encoder),
        ("encoder_full", &encoder),
        ("exponential", &decoder),
        ("mlp_gradual", &mlp),
        ("pretraining_wsd", &decoder),
        ("restarts", &encoder),
        ("slanted_triangular", &decoder),
        ("step", &decoder),
    ] {
        let path = format!("{}/schedules/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let spec = Spec::parse(name, &std::fs::read_to_string(path).expect("a file")).expect("a schedule");
        let plan = gradus::schedule::Plan::new(&spec, &params[..], run).expect("a plan");
        assert!(plan.warnings().is_empty(), "{name}: {:?}", plan.warnings());
    }
    let told = |words: &str, params: &[gradus::params::Param]| {
        let text = format!("optimizer: {{type: adamw, no_decay: {words}}}\nlr_scheduler: {{type: cosine}}");
        let spec = Spec::parse("run.yaml", &text).expect("a schedule");
        gradus::schedule::Plan::new(&spec, params, run).expect("a plan").warnings().to_vec()
    };
    let nothing =
        |word: &str, hint: &str| [format!("run.yaml: optimizer.no_decay: no parameter has {word:?} in its name{hint}")];
    assert_eq!(told("[biass]", &encoder), nothing("biass", " (did you mean \"bias\"?)"));
    assert_eq!(told("[bias, LayerNorm]", &decoder), nothing("LayerNorm", " (did you mean \"norm\"?)"));
    assert_eq!(told("[bias, norm]", &mlp), nothing("norm", ""));
    assert!(told("[bias, layernorm]", &encoder).is_empty());
}

#[test]
fn a_class_by_name_is_unrolled() {
    let table = |args: &str, groups: &[Row], steps| {
        let class = format!("class_path: torch.optim.lr_scheduler.{args}");
        read(&class).and_then(|spec| spec.table(groups, steps, Some(3))).map_err(|error| error.to_string())
    };
    let groups = [Row::adamw(1.0), Row::adamw(0.5)];
    let lrs = |args: &str| {
        let rows = table(args, &groups, 6).expect("rows");
        rows.chunks(2).map(|pair| (pair[0].lr, pair[1].lr)).collect::<Vec<_>>()
    };
    let spec_lrs = |class: &str| {
        let spec = read(&format!("class_path: {class}")).expect(class);
        let rows = spec.table(&groups[..1], 6, None).expect(class);
        rows.iter().map(|row| row.lr).collect::<Vec<_>>()
    };
    let halved = [(1.0, 0.5), (1.0, 0.5), (0.5, 0.25), (0.5, 0.25), (0.25, 0.125), (0.25, 0.125)];
    assert_eq!(lrs("StepLR, init_args: {step_size: 2, gamma: 5e-1}"), halved);
    let late = [(1.0, 0.5), (1.0, 0.5), (1.0, 0.5), (0.5, 0.25), (0.5, 0.25), (0.5, 0.25)];
    assert_eq!(lrs("StepLR, init_args: {step_size: 1, gamma: 0.5}, interval: epoch"), late);
    for waiting in ["torch.optim.lr_scheduler.ReduceLROnPlateau", "transformers.GreedyLR"] {
        assert_eq!(spec_lrs(waiting), [1.0; 6], "{waiting}: no metric ever comes");
    }
    assert_eq!(spec_lrs("transformers.get_scheduler, init_args: {name: greedy}"), [1.0; 6]);
    let cycle = table("OneCycleLR, init_args: {max_lr: 2.0, total_steps: 6}", &groups, 6).expect("rows");
    assert!((cycle[0].lr - 0.08).abs() < 1e-12 && cycle[0].beta1 == 0.95 && cycle[1].lr == cycle[0].lr);
    assert!(cycle.iter().any(|row| row.beta1 < 0.9), "it cycles beta1 too");

    let told = |args: &str| table(args, &groups, 9).expect_err("an error");
    assert!(told("StepLR").starts_with("run.yaml: lr_scheduler: "), "{}", told("StepLR"));
    assert!(told("StepLRR, init_args: {}").contains("did you mean \"torch.optim.lr_scheduler.StepLR\"?"));
    assert!(told("StepLR, init_args: 3").contains("lr_scheduler.init_args = 3 is not a mapping"));
    assert!(told("StepLR, init_args: {step_size: 2}, warmup_steps: 3").contains("warmup_steps is not a known key"));
    assert!(told("OneCycleLR, init_args: {max_lr: 2.0, total_steps: 6}").contains("step"), "its class raises there");
}

/// If no difference is listed, a short name gives what its namesake gives.
#[test]
fn short_names_agree_with_their_namesakes() {
    let pairs = [
        (
            "type: cosine, min: 0.01, steps: 50",
            "torch.optim.lr_scheduler.CosineAnnealingLR, init_args: {T_max: 50, eta_min: 0.01}",
            51,
        ),
        (
            "type: linear, start_ratio: 0.25, end_ratio: 1, steps: 20",
            "torch.optim.lr_scheduler.LinearLR, init_args: {start_factor: 0.25, total_iters: 20}",
            90,
        ),
        (
            "type: polynomial, power: 2, steps: 40",
            "torch.optim.lr_scheduler.PolynomialLR, init_args: {total_iters: 40, power: 2.0}",
            90,
        ),
        ("type: exponential, gamma: 0.9", "torch.optim.lr_scheduler.ExponentialLR, init_args: {gamma: 0.9}", 90),
        ("type: step, every_steps: 7", "torch.optim.lr_scheduler.StepLR, init_args: {step_size: 7}", 60),
        (
            "type: multi_step, milestones: [5, 9]",
            "torch.optim.lr_scheduler.MultiStepLR, init_args: {milestones: [5, 9]}",
            60,
        ),
        (
            "type: cosine_restarts, cycle_steps: 4, cycle_mult: 2",
            "torch.optim.lr_scheduler.CosineAnnealingWarmRestarts, init_args: {T_0: 4, T_mult: 2}",
            200,
        ),
        (
            "type: cyclic, up_steps: 8, down_steps: 5, min_ratio: 0.1, mode: triangular2",
            "torch.optim.lr_scheduler.CyclicLR, init_args: {base_lr: 0.1, max_lr: 1.0, step_size_up: 8, step_size_down: 5, mode: triangular2, cycle_momentum: false}",
            100,
        ),
        (
            "type: one_cycle, steps: 80",
            "torch.optim.lr_scheduler.OneCycleLR, init_args: {max_lr: 1.0, total_steps: 80, cycle_momentum: false}",
            80,
        ),
        (
            "type: one_cycle, steps: 80, three_phase: true, anneal: linear",
            "torch.optim.lr_scheduler.OneCycleLR, init_args: {max_lr: 1.0, total_steps: 80, three_phase: true, anneal_strategy: linear, cycle_momentum: false}",
            80,
        ),
        (
            "type: linear, steps: 60, warmup_steps: 12",
            "transformers.get_linear_schedule_with_warmup, init_args: {num_warmup_steps: 12, num_training_steps: 60}",
            90,
        ),
        (
            "type: cosine, steps: 60, warmup_steps: 12",
            "transformers.get_cosine_schedule_with_warmup, init_args: {num_warmup_steps: 12, num_training_steps: 60}",
            61,
        ),
        (
            "type: inverse_sqrt, warmup_steps: 12",
            "transformers.get_inverse_sqrt_schedule, init_args: {num_warmup_steps: 12}",
            90,
        ),
        (
            "type: cosine, steps: 30, min_ratio: 0.1, k_decay: 2",
            "timm.scheduler.CosineLRScheduler, init_args: {t_initial: 30, lr_min: 0.1, k_decay: 2.0}",
            60,
        ),
        (
            "type: tanh, steps: 30, lower: -7",
            "timm.scheduler.TanhLRScheduler, init_args: {t_initial: 30, lb: -7.0, ub: 3.0}",
            60,
        ),
        (
            "type: cosine, warmup_steps: 5, warmup_start: 0.01, steps: 35",
            "timm.scheduler.CosineLRScheduler, init_args: {t_initial: 30, warmup_t: 5, warmup_lr_init: 0.01, warmup_prefix: true}",
            60,
        ),
    ];
    let base = [Row::adamw(1.0)];
    for (short, class, steps) in pairs {
        let table = |law: &str| read(law).and_then(|spec| spec.table(&base, steps, None)).expect(law);
        let (ours, theirs) = (table(short), table(&format!("class_path: {class}")));
        // timm's constructor writes the base itself, which the formula of tanh only comes near.
        let first = usize::from(class.contains("Tanh"));
        for (step, (a, b)) in ours.iter().zip(&theirs).enumerate().skip(first) {
            assert!((a.lr - b.lr).abs() <= 1e-9 * b.lr.abs().max(1e-6), "{short} at {step}: {} and {}", a.lr, b.lr);
        }
    }
}
