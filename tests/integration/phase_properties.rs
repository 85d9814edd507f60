//! What holds for every plan and every sequence of metrics, by proptest.

use gradus::params::{Param, Row};
use gradus::schedule::{Cursor, Epochs, Plan, Spec, Transition, Verdict};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const STEPS_PER_EPOCH: u64 = 3;

#[derive(Clone, Debug)]
struct Input {
    text: String,
    params: usize,
    epochs: u64,
    metrics: Vec<f64>,
}

impl Input {
    fn plan(&self) -> Plan {
        let name = |place: usize| format!("layer.{}.{}", place / 2, ["weight", "bias"][place % 2]);
        let params: Vec<Param> = (0..self.params).map(|place| Param::new(name(place), [1])).collect();
        let spec = Spec::parse("any.yaml", &self.text).unwrap_or_else(|error| panic!("{error}\n{}", self.text));
        let run = Epochs { epochs: self.epochs, steps_per_epoch: STEPS_PER_EPOCH };
        Plan::new(&spec, &params[..], run).unwrap_or_else(|error| panic!("{error}\n{}", self.text))
    }

    fn metric(&self, step: u64) -> f64 {
        self.metrics[step as usize % self.metrics.len()]
    }
}

// ---- any schedule ----

fn class(path: &str, arguments: &Json) -> Json {
    json!({"class_path": format!("torch.optim.lr_scheduler.{path}"), "init_args": arguments})
}

fn classes() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(class("StepLR", &json!({"step_size": 2, "gamma": 0.5}))),
        Just(class("ExponentialLR", &json!({"gamma": 0.9}))),
        Just(class("LinearLR", &json!({"start_factor": 0.5, "total_iters": 4}))),
        Just(class("CosineAnnealingLR", &json!({"T_max": 5}))),
        Just(class("CosineAnnealingWarmRestarts", &json!({"T_0": 2}))),
        Just(class("ReduceLROnPlateau", &json!({"patience": 0, "factor": 0.5}))),
    ]
}

fn interval() -> impl Strategy<Value = Json> {
    (prop_oneof![Just("step"), Just("epoch")], 1u64..3)
        .prop_map(|(interval, frequency)| json!({"interval": interval, "frequency": frequency, "monitor": "val_loss"}))
}

fn scheduler() -> impl Strategy<Value = Option<Json>> {
    let by_class = (classes(), interval()).prop_map(|(mut class, calls)| {
        for (key, value) in calls.as_object().expect("a mapping") {
            class[key] = value.clone();
        }
        class
    });
    let short = prop_oneof![
        Just(json!({"type": "cosine", "warmup_steps": 2})),
        Just(json!({"type": "step", "every_epochs": 1, "gamma": 0.5})),
        Just(json!({"type": "plateau", "patience": 0, "factor": 0.5, "warmup_steps": 3})),
    ];
    prop_oneof![Just(None), by_class.prop_map(Some), short.prop_map(Some)]
}

fn new_scheduler() -> impl Strategy<Value = Json> {
    (classes(), interval(), any::<bool>()).prop_map(|(class, calls, current)| {
        json!({"lr_scheduler_init": class, "pl_lrs_cfg": calls, "use_current_optimizer_pg_lrs": current})
    })
}

fn new_optimizer() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(json!({"optimizer_init": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.05, "momentum": 0.9}}})),
        Just(json!({"optimizer_init": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.002}}})),
    ]
}

fn maybe<T: std::fmt::Debug + Clone>(one: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.3, one)
}

prop_compose! {
    fn phase()(
        lr in maybe(1e-5f64..1e-2),
        limit in maybe(0u64..8),
        scheduler in maybe(new_scheduler()),
        optimizer in maybe(new_optimizer()),
    ) -> Json {
        let mut phase = json!({});
        let given = [
            ("lr", lr.map(Json::from)),
            ("max_transition_epoch", limit.map(Json::from)),
            ("new_lr_scheduler", scheduler),
            ("new_optimizer", optimizer),
        ];
        for (key, value) in given {
            if let Some(value) = value {
                phase[key] = value;
            }
        }
        phase
    }
}

prop_compose! {
    fn finetuning(is_implicit: bool)(
        restore_best: bool,
        max_depth in -1i64..4,
        base_max_lr in maybe(1e-6f64..1e-3),
        reinit_lr in maybe(new_scheduler()),
        reinit_optim in maybe(new_optimizer()),
    ) -> Json {
        let mut section = json!({"restore_best": restore_best, "max_depth": max_depth, "base_max_lr": base_max_lr});
        if is_implicit {
            section["reinit_lr_cfg"] = json!(reinit_lr);
            section["reinit_optim_cfg"] = json!(reinit_optim);
        }
        section
    }
}

/// Phases by which each parameter thaws; the text of the section, where the schedule is explicit.
fn phases(params: usize) -> impl Strategy<Value = Option<String>> {
    let explicit = (prop::collection::vec(0usize..4, params), prop::collection::vec(phase(), 4));
    prop::option::of(explicit.prop_map(|(of, phases)| {
        let mut text = String::new();
        for (number, mut phase) in phases.into_iter().enumerate() {
            if number == 0 {
                let limit = phase["max_transition_epoch"].clone();
                phase = if limit.is_null() { json!({}) } else { json!({"max_transition_epoch": limit}) };
            }
            let members = of.iter().enumerate().filter(|(_, phase)| **phase == number);
            let names = members.map(|(place, _)| format!("layer.{}.{}", place / 2, ["weight", "bias"][place % 2]));
            phase["params"] = names.collect::<Vec<_>>().into();
            text.push_str(&format!("{number}: {phase}, "));
        }
        text
    }))
}

fn metric() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => 0.0f64..1.0,
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
        1 => Just(0.5),
    ]
}

prop_compose! {
    fn input()(params in 1usize..9)(
        params in Just(params),
        phases in phases(params),
        implicit in finetuning(true),
        explicit in finetuning(false),
        scheduler in scheduler(),
        optimizer in prop_oneof![
            Just(json!({"type": "adamw", "lr": 0.01})),
            Just(json!({"type": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.1})),
        ],
        (no_decay, decay_stalls) in any::<(bool, bool)>(),
        stopping in (1u64..3, 0.0f64..0.1, any::<bool>()),
        (every, in_steps) in (1u64..3, any::<bool>()),
        epochs in 1u64..10,
        metrics in prop::collection::vec(metric(), 1..40)
    ) -> Input {
        let (patience, min_delta, check_finite) = stopping;
        let mut top = json!({
            "optimizer": optimizer,
            "finetuning": if phases.is_some() { explicit } else { implicit },
            "early_stopping": {"patience": patience, "min_delta": min_delta, "check_finite": check_finite},
        });
        top[if in_steps { "evaluate_every_steps" } else { "evaluate_every_epochs" }] = every.into();
        if no_decay {
            top["optimizer"]["no_decay"] = json!(["bias"]);
        }
        if let Some(scheduler) = scheduler {
            top["lr_scheduler"] = scheduler;
        }
        if decay_stalls {
            top["laws"] = json!([{"field": "weight_decay", "type": "plateau", "patience": 1, "factor": 0.5}]);
        }
        let mut text = top.to_string();
        if let Some(phases) = phases {
            text.truncate(text.len() - 1);
            text.push_str(&format!(", \"phases\": {{{phases}}}}}"));
        }
        Input { text, params, epochs, metrics }
    }
}

// ---- following it ----

/// What one step showed.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    transition: Option<Transition>,
    rows: Vec<Row>,
    verdict: Option<Verdict>,
    cursor: String,
}

fn saved(cursor: &Cursor) -> String {
    serde_json::to_string(cursor).expect("a cursor saves")
}

/// One step as a trainer makes it, with the evaluation after it if one is due.
fn step(input: &Input, plan: &Plan, cursor: &mut Cursor, others: &[(&str, f64)]) -> Shown {
    let transition = plan.epoch_start(cursor).expect("a start");
    let rows = plan.rows(cursor, 1).expect("rows");
    plan.step(cursor).expect("a step");
    let verdict = plan.is_evaluated(cursor).then(|| {
        let metric = ("val_loss", input.metric(cursor.step()));
        let metrics: Vec<(&str, f64)> = others.iter().copied().chain([metric]).collect();
        plan.validation(cursor, &metrics).expect("a verdict")
    });
    Shown { transition, rows, verdict, cursor: saved(cursor) }
}

fn goes_on(plan: &Plan, cursor: &Cursor) -> bool {
    cursor.stop().is_none() && cursor.step() < plan.steps()
}

fn run(input: &Input, plan: &Plan, cursor: &mut Cursor) -> Vec<Shown> {
    let mut shown = Vec::new();
    while goes_on(plan, cursor) {
        shown.push(step(input, plan, cursor, &[]));
    }
    shown
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Saved after any step, read back and followed by a plan made again, it is the same run to the last bit.
    #[test]
    fn a_saved_cursor_goes_on_bit_for_bit(input in input(), pick: prop::sample::Index) {
        let plan = input.plan();
        let whole = run(&input, &plan, &mut plan.start().expect("a start"));
        let at = pick.index(whole.len());
        let mut cursor: Cursor = serde_json::from_str(&whole[at].cursor).expect("a cursor reads back");
        prop_assert_eq!(saved(&cursor), whole[at].cursor.clone());
        let again = input.plan();
        prop_assert!(again.check(&cursor).is_ok());
        prop_assert_eq!(&run(&input, &again, &mut cursor)[..], &whole[at + 1..]);
    }

    /// Rows of the steps ahead are those that the steps find, until a transition or a verdict says otherwise; asking
    /// changes nothing.
    #[test]
    fn rows_ahead_are_what_stepping_gives(input in input(), ahead in 1u64..12) {
        let plan = input.plan();
        let mut cursor = plan.start().expect("a start");
        let mut known: Vec<Row> = Vec::new();
        while goes_on(&plan, &cursor) {
            let mut next = cursor.clone();
            let shown = step(&input, &plan, &mut next, &[]);
            if known.is_empty() || shown.transition.is_some() {
                // The cursor as it is when the step begins.
                if shown.transition.is_some() {
                    plan.epoch_start(&mut cursor).expect("a start");
                }
                let before = saved(&cursor);
                known = plan.rows(&cursor, ahead).expect("rows");
                prop_assert_eq!(saved(&cursor), before);
                prop_assert_eq!(&plan.rows(&cursor, ahead).expect("rows"), &known);
            }
            let groups = shown.rows.len();
            prop_assert_eq!(&known[..groups], &shown.rows[..]);
            known.drain(..groups);
            if shown.verdict.is_some_and(|verdict| verdict.moves_rates) {
                known.clear();
            }
            cursor = next;
        }
    }

    /// Depth grows by one at a time up to the last phase; what has thawed stays so; groups hold what has thawed, each
    /// parameter once; a restored copy is one that was called the best.
    #[test]
    fn phases_follow_each_other(input in input()) {
        let plan = input.plan();
        let mut cursor = plan.start().expect("a start");
        let mut thawed = plan.thawed(&cursor);
        let (mut depth, mut kept) = (0, Vec::new());
        while goes_on(&plan, &cursor) {
            let shown = step(&input, &plan, &mut cursor, &[]);
            let now = plan.thawed(&cursor);
            if let Some(transition) = &shown.transition {
                prop_assert_eq!((transition.from, transition.to), (depth, depth + 1));
                prop_assert!(transition.restore.is_none_or(|step| kept.contains(&step)));
                prop_assert!(transition.thaws.iter().all(|param| now.contains(param) && !thawed.contains(param)));
                depth += 1;
            }
            prop_assert_eq!(cursor.depth(), depth);
            prop_assert!(depth < plan.phases().len());
            prop_assert!(thawed.iter().all(|param| now.contains(param)));
            thawed = now;
            let mut members: Vec<usize> = cursor.groups().flat_map(|(params, _)| params.to_vec()).collect();
            members.sort_unstable();
            prop_assert_eq!(&members, &thawed);
            if shown.verdict.is_some_and(|verdict| verdict.is_best) {
                kept.push(cursor.step());
            }
        }
    }

    /// Without phases a plan has the rows of its file's table.
    #[test]
    fn a_plan_without_phases_is_the_table(scheduler in scheduler(), steps_per_epoch in 1u64..6, epochs in 3u64..6) {
        let Some(scheduler) = scheduler else { return Ok(()) };
        let text = json!({"optimizer": {"type": "adamw", "lr": 0.01, "no_decay": ["bias"]}, "lr_scheduler": scheduler});
        let spec = Spec::parse("any.yaml", &text.to_string()).expect("a schedule");
        let params = [Param::new("head.weight", [1]), Param::new("head.bias", [1])];
        let plan = Plan::new(&spec, &params[..], Epochs { epochs, steps_per_epoch }).expect("a plan");
        let groups = [spec.row, spec.row.weight_decay(0.0)];
        let table = spec.table(&groups, plan.steps(), Some(steps_per_epoch)).expect("a table");
        prop_assert_eq!(plan.rows(&plan.start().expect("a start"), plan.steps()).expect("rows"), table);
    }

    /// Decisions depend on the metrics' values alone: not on others beside them, nor on when rows are asked for.
    #[test]
    fn decisions_depend_on_the_metrics_alone(input in input(), other in metric()) {
        let plan = input.plan();
        let whole = run(&input, &plan, &mut plan.start().expect("a start"));
        let mut cursor = plan.start().expect("a start");
        for shown in &whole {
            plan.rows(&cursor, 7).expect("rows");
            prop_assert_eq!(&step(&input, &plan, &mut cursor, &[("train_loss", other), ("accuracy", 1.0)]), shown);
        }
    }
}
