//! A plan written as a file and read back is the same plan: for every `fts_*` case that has one.

use crate::golden::is_own_folder;
use crate::golden_phases::{BATCHES, Device, all_cases, plan_by, plan_of, run_epoch};
use gradus::params::Param;
use gradus::schedule::{Epochs, Phase, Plan, Spec};

#[test]
fn golden_phases_written_and_read_back() {
    let (mut checked, mut refused) = (0, 0);
    for case in all_cases("fts") {
        let Ok(plan) = plan_of(&case, &case.json["args"]) else {
            refused += 1;
            continue;
        };
        let text = plan.to_yaml();
        let spec = Spec::parse("again.yaml", &text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", case.name));
        let again =
            plan_by(&case, &case.json["args"], &spec).unwrap_or_else(|error| panic!("{}: {error}\n{text}", case.name));
        assert_eq!(again.to_yaml(), text, "{}", case.name);
        check_equal(&plan, &again, &case.name);
        let (mut cursor, mut device) = (plan.start().expect("a start"), Device::default());
        let (mut same, mut same_device) = (again.start().expect("a start"), Device::default());
        while cursor.stop().is_none() && cursor.step() / BATCHES < plan.epochs() {
            run_epoch(&case, &plan, &mut cursor, &mut device, None, false);
            run_epoch(&case, &again, &mut same, &mut same_device, None, false);
            assert_eq!((&cursor, &device), (&same, &same_device), "{}: step {}", case.name, cursor.step());
        }
        checked += 1;
    }
    println!("golden_phases_written: {checked} plans written and read back; no plan: {refused}");
    assert!(checked > 0 || !is_own_folder());
}

fn check_equal(plan: &Plan, again: &Plan, name: &str) {
    let said = |phase: &Phase| (phase.params.clone(), phase.lr.to_bits(), phase.max_transition_epoch);
    let phases = |plan: &Plan| plan.phases().iter().map(said).collect::<Vec<_>>();
    assert_eq!(phases(plan), phases(again), "{name}");
    assert_eq!(plan.epochs(), again.epochs(), "{name}");
    assert_eq!((plan.monitors(), plan.restores_best()), (again.monitors(), again.restores_best()), "{name}");
}

#[test]
fn a_plan_says_everything_in_words_of_a_file() {
    let params = ["encoder.weight", "encoder.bias", "head: a", "no"].map(|name| Param::new(name, [1]));
    let text = "optimizer: {type: sgd, lr: 0.1, momentum: 0.9, no_decay: [bias]}\n\
                lr_scheduler: {type: cosine, warmup_fraction: 0.1}\n\
                finetuning: {base_max_lr: 1.0e-5, reinit_optim_cfg: {optimizer_init: {class_path: torch.optim.AdamW}}}\n\
                early_stopping: {patience: 2}\n";
    let run = Epochs { epochs: 4, steps_per_epoch: 3 };
    let plan =
        |text: &str| Plan::new(&Spec::parse("run.yaml", text).expect("a schedule"), &params[..], run).expect("a plan");
    let written = plan(text).to_yaml();
    let expected = "\
optimizer:
  type: sgd
  lr: 0.1
  weight_decay: 0.0
  momentum: 0.9
  dampening: 0.0
  nesterov: false
  no_decay:
  - bias
lr_scheduler:
  type: cosine
  warmup: linear
  warmup_fraction: 0.1
  warmup_start_ratio: 0.0
  min_ratio: 0.0
  k_decay: 1.0
early_stopping:
  monitor: val_loss
  mode: min
  patience: 2
  min_delta: 0.0
  stopping_threshold: null
  divergence_threshold: null
  check_finite: true
checkpoint:
  monitor: val_loss
  mode: min
  keep_last: 2
evaluate_every_epochs: 1
finetuning:
  base_max_lr: 0.00001
  max_depth: -1
  restore_best: true
  epoch_transitions_only: false
  apply_lambdas_new_pgs: false
  enforce_phase0_params: true
  allow_untested: false
phases:
  0:
    params:
    - no
    - 'head: a'
    max_transition_epoch: -1
  1:
    params:
    - encoder.bias
    - encoder.weight
    max_transition_epoch: -1
    new_optimizer:
      optimizer_init:
        class_path: torch.optim.AdamW
    lr: 0.00001
";
    assert_eq!(written, expected);
    assert_eq!(plan(&written).to_yaml(), written);

    let everything = plan("optimizer: {type: adamw}\nlr_scheduler: {type: linear}\n").to_yaml();
    assert!(!everything.contains("phases"), "{everything}");
    assert_eq!(plan(&everything).to_yaml(), everything);
    let by_program = Plan::new(&Spec::new(gradus::params::Row::default()), &params[..], run).expect("a plan").to_yaml();
    assert_eq!(plan(&by_program).to_yaml(), by_program);
    let bare = plan("0: {params: [head.*]}\n1: {params: [enc.*], lr: 1, max_transition_epoch: 2.5}");
    assert_eq!(plan(&bare.to_yaml()).to_yaml(), bare.to_yaml());
    let laws = "optimizer: {type: adamw}\nlr_scheduler: {class_path: StepLR, init_args: {step_size: 2}, interval: epoch}\n\
                laws: [{field: weight_decay, type: plateau}]\nevaluate_every_steps: 2\nearly_stopping: null\nfinetuning: {}\n";
    let laws = plan(laws).to_yaml();
    for words in
        ["step_size: 2", "interval: epoch", "field: weight_decay", "evaluate_every_steps: 2", "early_stopping: null"]
    {
        assert!(laws.contains(words), "{words}: {laws}");
    }
    assert_eq!(plan(&laws).to_yaml(), laws);
}
