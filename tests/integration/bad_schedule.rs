//! Bad schedules of phases: one clear error each, and in no time.

use gradus::params::Param;
use gradus::schedule::{Cursor, Epochs, Phases, Plan, Spec};

const NAMES: [&str; 6] = [
    "embeddings.weight",
    "encoder.layer.0.weight",
    "encoder.layer.0.bias",
    "encoder.layer.1.weight",
    "head.weight",
    "head.bias",
];

const RUN: Epochs = Epochs { epochs: 3, steps_per_epoch: 2 };

fn model() -> Vec<Param> {
    NAMES.map(|name| Param::new(name, [1])).to_vec()
}

fn plan(text: &str) -> Result<Plan, String> {
    let spec = Spec::parse("run.yaml", text).map_err(|error| error.to_string())?;
    Plan::new(&spec, &model()[..], RUN).map_err(|error| error.to_string())
}

fn told(text: &str) -> String {
    match plan(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(told) => told,
    }
}

/// Each text is refused in these words, after the name of the file.
fn check(cases: &[(&str, &str)]) {
    for (text, words) in cases {
        assert_eq!(told(text), format!("run.yaml: {words}"), "{text}");
    }
}

fn accepted(text: &str) -> Plan {
    plan(text).unwrap_or_else(|told| panic!("{text}: {told}"))
}

#[test]
fn equal_keys_are_refused_at_any_depth() {
    for (text, words) in [
        ("0: {params: [head.*]}\n0: {params: [enc.*]}", "duplicate entry with key 0"),
        ("0: {params: [head.*]}\n1: {params: [enc.*], lr: 1, lr: 2}", "duplicate entry with key \"lr\""),
        ("phases:\n  0: {params: [head.*]}\n  0: {params: [enc.*]}", "phases: duplicate entry with key 0"),
        ("finetuning: {}\nfinetuning: {}", "duplicate entry with key \"finetuning\""),
        (
            "0: {params: [head.*]}\n1: {params: [enc.*], new_optimizer: {optimizer_init: {class_path: SGD, class_path: Adam}}}",
            "duplicate entry with key \"class_path\"",
        ),
    ] {
        assert!(told(text).contains(words), "{text}: {}", told(text));
    }
    check(&[
        ("0: {params: [head.*]}\n'0': {params: [enc.*]}", "a key = 0 occurs twice, as text and as a number"),
        (
            "0: {params: [head.bias, head.bias]}",
            "0.params[1] = head.bias names head.bias, which is already in this phase",
        ),
    ]);
}

#[test]
fn names_that_are_not_there_tell_the_nearest() {
    let nothing = "is not the name of a parameter, or a pattern that matches the start of one";
    check(&[
        ("0: {params: [haed.*]}", &format!("0.params[0] = haed.* {nothing} (did you mean \"head\"?)")),
        (
            "0: {params: [head.*]}\n1: {params: [encodr.layer.0.bias]}",
            &format!("1.params[0] = encodr.layer.0.bias {nothing} (did you mean \"encoder.layer.0.bias\"?)"),
        ),
        (
            "finetuning: {}\nphases: {0: {params: [encoder.layers.0]}}",
            &format!("phases.0.params[0] = encoder.layers.0 {nothing} (did you mean \"encoder.layer.0\"?)"),
        ),
        ("0: {params: [bias]}", &format!("0.params[0] = bias {nothing}")),
        (
            "0: {params: ['head.{weight,bias}']}",
            &format!(
                "0.params[0] = head.{{weight,bias}} {nothing}; .{{weight,bias}} is no choice, which is written (a|b)"
            ),
        ),
    ]);
    let plan = accepted("0: {params: ['head.{0,1}weight']}");
    let warning = "run.yaml: 0.params[0] = head.{0,1}weight: .{0,1} is no choice, which is written (a|b)";
    assert_eq!(plan.warnings(), [warning]);
}

#[test]
fn phases_with_a_gap_are_shown_without() {
    let anew = "Renumbered they are:\n0:\n  params:\n  - head.*\n1:\n  params:\n  - encoder.*\n  lr: 0.001";
    check(&[
        (
            "0: {params: [head.*]}\n3: {params: [encoder.*], lr: 1e-3}",
            &format!("the phases = 0, 3 is not 0 to 1 without a gap. {anew}"),
        ),
        (
            "1: {params: [head.*]}\n2: {params: [encoder.*], lr: 1e-3}",
            &format!("the phases = 1, 2 is not 0 to 1 without a gap. {anew}"),
        ),
        (
            "0: {params: [head.*]}\n-1: {params: [encoder.*]}",
            "a key = -1 is not a phase: phases are whole numbers from 0 on",
        ),
        ("0.0: {params: [head.*]}", "a key = 0.0 is not a phase: phases are whole numbers from 0 on"),
        (
            "phases: {first: {params: [head.*]}}",
            "a key of phases = first is not a phase: phases are whole numbers from 0 on",
        ),
    ]);
    let mut text = String::new();
    (0..5_000).for_each(|phase| text.push_str(&format!("{}: {{params: [head.*]}}\n", 2 * phase)));
    assert!(told(&text).len() < 50_000, "{} letters", told(&text).len());
}

#[test]
fn transitions_by_epochs_alone_need_them_all() {
    let only = "finetuning: {epoch_transitions_only: on}\n";
    check(&[
        (only, "finetuning.epoch_transitions_only = true cannot be: phases 0, 1, 2 have no max_transition_epoch"),
        (
            &format!("{only}phases: {{0: {{params: [head.*], max_transition_epoch: 1}}, 1: {{params: [enc.*]}}}}"),
            "finetuning.epoch_transitions_only = true cannot be: phase 1 has no max_transition_epoch",
        ),
    ]);
    let mut text = format!("{only}phases:\n");
    (0..1_000).for_each(|phase| text.push_str(&format!("  {phase}: {{}}\n")));
    assert!(told(&text).contains("phases 0, 1, 2,") && told(&text).contains("29, ... have no"), "{}", told(&text));
}

#[test]
fn wrong_types_are_told_key_by_key() {
    let phase = |keys: &str| told(&format!("0: {{params: [head.*]}}\n1: {{params: [enc.*], {keys}}}"));
    for (keys, words) in [
        ("lr: [1]", "lr = [1] is not a number"),
        ("lr: true", "lr = true is not a number"),
        ("lr: -1", "lr = -1 is not a finite number that is 0 or more"),
        ("lr: .nan", "lr = NaN is not a finite number that is 0 or more"),
        ("max_transition_epoch: soon", "max_transition_epoch = soon is not a number (without quotes)"),
        ("max_transition_epoch: '3'", "max_transition_epoch = 3 is not a number (without quotes)"),
        ("max_transition_epoch: ", "max_transition_epoch = nothing is not a number (without quotes)"),
        ("max_transition_epoch: .inf", "max_transition_epoch = inf is not an epoch up to 1e9"),
        ("new_lr_scheduler: 3", "new_lr_scheduler = 3 is not a mapping of keys to values"),
        (
            "new_lr_scheduler: {lr_scheduler_init: []}",
            "new_lr_scheduler.lr_scheduler_init = [] is not a mapping of keys to values",
        ),
        ("new_optimizer: [3]", "new_optimizer = [3] is not a mapping of keys to values"),
        (
            "new_optimizer: {optimizer_init: {class_path: 3}}",
            "new_optimizer.optimizer_init.class_path = 3 is not a text",
        ),
        (
            "new_optimizer: {optimizer_init: {class_path: torch.optim.SGD, init_args: {nesterov: 3}}}",
            "new_optimizer.optimizer_init.init_args.nesterov = 3 is not true or false",
        ),
        (
            "epoch: 3",
            "epoch is not a known key; known are params, max_transition_epoch, lr, new_lr_scheduler, new_optimizer",
        ),
    ] {
        assert_eq!(phase(keys), format!("run.yaml: 1.{words}"), "{keys}");
    }
    let texts = "is not a list of texts";
    let sections = |text: &str| told(&format!("finetuning: {{}}\n{text}"));
    check(&[
        ("0: [head.*]", "0 = [head.*] is not a mapping of keys to values"),
        ("0:", "0 = nothing is not a mapping of keys to values"),
        ("0: {params: head}", &format!("0.params = head {texts}")),
        ("0: {params: [1, 2]}", &format!("0.params = [1, 2] {texts}")),
        ("0: {params: [[head]]}", &format!("0.params = [[head]] {texts}")),
        (
            "0: {param: [head.*]}",
            "0.param is not a known key (did you mean \"params\"?); known are params, max_transition_epoch, lr, \
             new_lr_scheduler, new_optimizer",
        ),
        (
            "phases: {}",
            "the section phases is empty: it lists what thaws, as in phases: {0: {params: [head.*]}, 1: {params: \
             [encoder.*]}}",
        ),
        ("phases: [1]", "phases = [1] is not a mapping of keys to values"),
        ("finetuning: {max_depth: 1.5}", "finetuning.max_depth = 1.5 is not a whole number"),
        ("finetuning: {max_depth: -2}", "finetuning.max_depth = -2 is not -1 (the whole schedule) or a phase"),
        ("finetuning: {restore_best: 1}", "finetuning.restore_best = 1 is not true or false"),
        ("finetuning: {base_max_lr: fast}", "finetuning.base_max_lr = fast is not a number"),
        (
            "finetuning: {base_max_lr: 1e39}",
            &format!("finetuning.base_max_lr = {} is not a finite number that is 0 or more", 1e39),
        ),
        ("finetuning: {reinit_lr_cfg: 1}", "finetuning.reinit_lr_cfg = 1 is not a mapping of keys to values"),
        ("finetuning: []", "finetuning = [] is not a mapping of keys to values"),
    ]);
    for (text, words) in [
        ("early_stopping: {monitor: 3}", "early_stopping.monitor = 3 is not a text"),
        ("early_stopping: {mode: best}", "early_stopping.mode = best is not one of min, max"),
        ("early_stopping: {patience: 1.5}", "early_stopping.patience = 1.5 is not a whole number that is 0 or more"),
        ("early_stopping: {min_delta: big}", "early_stopping.min_delta = big is not a number"),
        (
            "early_stopping: {stopping_threshold: .inf}",
            "early_stopping.stopping_threshold = inf is not a finite number",
        ),
        ("early_stopping: {check_finite: 2}", "early_stopping.check_finite = 2 is not true or false"),
        ("early_stopping: true", "early_stopping = true is not a mapping of keys to values"),
        ("checkpoint: {monitor: }", "checkpoint.monitor = nothing is not a text"),
        ("checkpoint: {keep_last: 0}", "checkpoint.keep_last = 0 is not 1 or more"),
        ("evaluate_every_epochs: 0", "evaluate_every_epochs = 0 is not 1 or more"),
        ("evaluate_every_steps: often", "evaluate_every_steps = often is not a whole number that is 0 or more"),
        (
            "evaluate_every_steps: 1\nevaluate_every_epochs: 1",
            "evaluate_every_steps = 1 conflicts with evaluate_every_epochs; keep one of them",
        ),
    ] {
        assert_eq!(sections(text), format!("run.yaml: {words}"), "{text}");
    }
    for (text, nearest) in [
        ("finetunning: {}", "finetuning"),
        ("finetuning: {max_dept: 1}", "max_depth"),
        ("finetuning: {}\nearly_stopping: {patince: 2}", "patience"),
        ("finetuning: {}\ncheckpoint: {keeplast: 1}", "keep_last"),
        ("finetuning: {}\nevaluate_every_epoch: 1", "evaluate_every_epochs"),
    ] {
        assert!(told(text).contains(&format!("(did you mean \"{nearest}\"?)")), "{text}: {}", told(text));
    }
}

#[test]
fn a_scheduler_that_does_not_fit_a_later_phase_is_refused_at_the_start() {
    let new = |lists: &str| {
        let class =
            format!("{{class_path: torch.optim.lr_scheduler.ReduceLROnPlateau, init_args: {{min_lr: {lists}}}}}");
        format!(
            "0: {{params: [head.*]}}\n1: {{params: [enc.*], new_lr_scheduler: {{lr_scheduler_init: {class}, \
             pl_lrs_cfg: {{monitor: val_loss}}}}}}"
        )
    };
    accepted(&new("[1e-6, 1e-7]"));
    assert!(told(&new("[1e-6, 1e-7, 1e-8]")).starts_with("run.yaml: 1.new_lr_scheduler.lr_scheduler_init: "));
}

#[test]
fn patterns_are_checked_and_cannot_take_for_ever() {
    for text in ["[head", "head)|(enc", "(", "*", "a{2"] {
        let told = told(&format!("0: {{params: ['{text}']}}"));
        let refused =
            [format!("0.params[0] = {text} is not a valid pattern: "), format!("0.params[0] = {text} is not the name")];
        assert!(refused.iter().any(|words| told.contains(words)), "{told}");
    }
    let long = [Param::new("a".repeat(60), [1])];
    let spec = Spec::parse("run.yaml", "0: {params: ['(a*)*\\1b']}").expect("a schedule");
    let told = Plan::new(&spec, &long[..], RUN).unwrap_err().to_string();
    assert!(told.contains("(a*)*\\1b is not a valid pattern: on \"aaa") && told.contains("limit"), "{told}");
    for text in ["(".repeat(100_000) + &")".repeat(100_000), "head".repeat(100_000), "(head|a){1000}{1000}".to_owned()]
    {
        let told = self::told(&format!("0: {{params: ['{text}']}}"));
        assert!(told.len() < 1_000, "{} letters", told.len());
    }
}

#[test]
fn deep_huge_and_multiplying_files_are_refused_or_read_in_no_time() {
    let deep = format!("0: {{params: {}head{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(told(&deep), "run.yaml: brackets are nested more than 10000 deep");
    for open in ["[", "- ", "? ", "{a: "] {
        assert!(told(&open.repeat(9_000)).contains("recursion limit"), "{open}");
    }
    let mut bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    assert!(told(&bomb).contains("limit"), "{}", told(&bomb));

    let count = 4_000;
    let name = |place: usize| format!("model.encoder.layer.{place}.attention.output.dense.weight");
    let params: Vec<Param> = (0..count).map(|place| Param::new(name(place), [1])).collect();
    let mut text = String::new();
    for phase in 0..count {
        text.push_str(&format!("{phase}: # {}\n  params:\n  - {}\n  lr: 1.0e-5\n", "-".repeat(600), name(phase)));
    }
    assert!(text.len() > 2_500_000, "{} bytes", text.len());
    let spec = Spec::parse("run.yaml", &text).expect("a schedule");
    assert!(matches!(&spec.phases, Phases::Explicit(phases) if phases.len() == count));
    let plan = Plan::new(&spec, &params[..], RUN).expect("a plan");
    assert_eq!(plan.phases().len(), count);
    let slip = text.replace(&name(count - 1), "model.encoder.layer.3999.attention.output.dense.wight");
    let spec = Spec::parse("run.yaml", &slip).expect("a schedule");
    let told = Plan::new(&spec, &params[..], RUN).unwrap_err().to_string();
    assert!(told.contains("layer.3999") && told.ends_with("dense.weight\"?)"), "{told}");
}

#[test]
fn words_of_yaml_1_1_are_read_as_pyyaml_reads_them() {
    for (word, expected) in
        [("yes", true), ("Off", false), ("ON", true), ("no", false), ("true", true), ("False", false)]
    {
        let spec = Spec::parse("run.yaml", &format!("finetuning: {{restore_best: {word}}}")).expect("a schedule");
        assert_eq!(spec.finetuning.restore_best, expected, "{word}");
        let optimizer = format!("{{type: sgd, momentum: 0.9, nesterov: {word}}}");
        let text = format!("optimizer: {optimizer}\nlr_scheduler: {{type: constant}}");
        assert_eq!(Spec::parse("run.yaml", &text).expect("a schedule").row.nesterov, expected, "{word}");
        let init = format!("{{class_path: torch.optim.SGD, init_args: {{lr: 1, momentum: 0.9, nesterov: {word}}}}}");
        let text =
            format!("0: {{params: [head.*]}}\n1: {{params: [enc.*], new_optimizer: {{optimizer_init: {init}}}}}");
        let Phases::Explicit(phases) = Spec::parse("run.yaml", &text).expect("a schedule").phases else { panic!() };
        assert_eq!(phases[1].new_optimizer.as_ref().expect("an optimizer").row.nesterov, expected, "{word}");
    }
    let merged = "finetuning: {}\nphases:\n  0: &first {params: [head.*], max_transition_epoch: 2}\n  \
                  1: {<<: *first, params: [encoder.*]}\n  2: {<<: [{lr: 1.0e-4}, {lr: 1, max_transition_epoch: 9}], params: [emb.*]}";
    let plan = accepted(merged);
    let limits: Vec<_> = plan.phases().iter().map(|phase| phase.max_transition_epoch).collect();
    assert_eq!((limits, plan.phases()[2].lr), (vec![Some(2.0), Some(2.0), Some(9.0)], 1e-4));
}

#[test]
fn a_model_without_parameters_or_with_a_name_twice_is_refused() {
    let spec = Spec::implicit();
    let told = |params: &[Param]| Plan::new(&spec, params, RUN).unwrap_err().to_string();
    let of = "the implicit schedule: the model's parameters";
    assert_eq!(told(&[]), format!("{of} = none is not a list with at least one"));
    let twice = [Param::new("w", [1]), Param::new("w", [1])];
    assert_eq!(told(&twice), format!("{of} = w occurs twice"));
    let endless = Epochs { epochs: u64::MAX, steps_per_epoch: u64::MAX };
    assert_eq!(Plan::new(&spec, &model()[..], endless).expect("a plan").steps(), u64::MAX);
}

#[test]
fn a_cursor_of_another_schedule_is_refused() {
    let three = "0: {params: [head.*]}\n1: {params: [encoder.*], max_transition_epoch: 2}\n2: {params: [emb.*]}";
    let early = three.replace("[head.*]", "[head.*], max_transition_epoch: 1");
    let plan = accepted(&early);
    let mut cursor = plan.start().expect("a start");
    for _ in 0..6 {
        plan.epoch_start(&mut cursor).expect("a start");
        plan.step(&mut cursor).expect("a step");
    }
    assert_eq!(cursor.depth(), 2);
    plan.check(&cursor).expect("its own");
    let told = |plan: &Plan, cursor: &Cursor| plan.check(cursor).unwrap_err().to_string();
    let of = "run.yaml: the saved cursor";
    let two = accepted("0: {params: [head.*]}\n1: {params: [encoder.*]}");
    assert_eq!(told(&two, &cursor), format!("{of} = phase 2 is not in this schedule, whose phases are 0 to 1"));
    let other = accepted("0: {params: [head.weight]}\n1: {params: [head.bias, encoder.*]}\n2: {params: [emb.*]}");
    assert_eq!(told(&other, &cursor), format!("{of} = head.bias in phase 0 is not where this schedule has it"));
    let class = "lr_scheduler: {class_path: StepLR, init_args: {step_size: 1}}\nphases:\n  ";
    let stepping = accepted(&format!("{class}{}", three.replace('\n', "\n  ")));
    assert_eq!(told(&stepping, &cursor), format!("{of} = no scheduler is not as this schedule begins"));
    let moved = stepping.start().expect("a start");
    assert_eq!(told(&plan, &moved), format!("{of} = the scheduler of the start is not in this schedule"));
    for (from, to) in [("\"Start\"", "{\"Phase\":7}"), ("\"depth\":2", "\"depth\":9")] {
        let text = serde_json::to_string(&cursor).expect("a cursor saves").replace(from, to);
        let torn: Cursor = serde_json::from_str(&text).expect("a cursor");
        assert!(told(&plan, &torn).starts_with(of), "{to}");
    }
}
