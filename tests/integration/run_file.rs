//! Run files: what they say, what is wrong with them, and the data that they name.

use crate::support::folder;
use gradus::nn::Network;
use gradus::params::Field;
use gradus::run::{BatchRows, Material, ModelKind, RunFile, Source, TestSet};
use gradus::schedule::{Epochs, ModelParams, Phases, Plan};
use std::path::{Path, PathBuf};

const DIGITS: &str = "model: {type: mlp}\ndata: {embedded: digits}\n";

fn parse(text: &str) -> Result<RunFile, gradus::run::Error> {
    RunFile::parse("run.yaml", text, (Path::new("here"), "run"), &[])
}

fn read(text: &str) -> RunFile {
    parse(text).expect("a run file")
}

fn told(text: &str) -> String {
    parse(text).expect_err("it is refused").to_string()
}

fn set(settings: &[(&str, &str)]) -> Result<RunFile, gradus::run::Error> {
    let settings: Vec<(String, String)> =
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    RunFile::parse("run.yaml", DIGITS, (Path::new("here"), "run"), &settings)
}

#[test]
fn a_short_file_means_what_its_reader_expects() {
    let run = read(DIGITS);
    assert_eq!((run.name.as_str(), run.folder()), ("run", PathBuf::from("here/runs/run")));
    assert_eq!((run.epochs, run.seed, run.batch_rows), (3, 1, BatchRows::Rows(32)));
    assert_eq!((run.model.kind, &run.data.test), (ModelKind::Mlp, &TestSet::Percent(10)));
    assert_eq!((run.schedule.row.lr, &run.schedule.phases), (1e-3, &Phases::Everything));
    assert!(run.keeps_trunk && run.warnings.is_empty());
}

#[test]
fn ludwigs_words_become_the_schedule() {
    let rates = "learning_rate_scheduler: {warmup_fraction: 0.2, decay: linear}\n";
    let encoder = "model: {type: encoder}\ndata: {train: a.csv, text: review, label: stars}\n";
    let pretrained = encoder.replace("encoder", "encoder, from: x");
    let run = read(&format!("{pretrained}{rates}learning_rate: auto\ntrainable: false\n"));
    assert_eq!(run.schedule.row.lr, 2e-5, "a new head alone");
    let model = gradus::nn::models::Bert::preset("tiny", 50, 16, 3).expect("an encoder");
    let epochs = Epochs { epochs: 3, steps_per_epoch: 10 };
    let plan = Plan::new(&run.schedule, model.params().as_slice(), epochs).expect("a plan");
    let names: Vec<String> = model.params().iter().map(|param| param.name.clone()).collect();
    let thawed: Vec<&str> = plan.phases()[0].params.iter().map(|place| names[*place].as_str()).collect();
    assert_eq!(thawed, ["classifier.weight", "classifier.bias"]);
    assert_eq!((plan.phases().len(), plan.patience()), (1, None));
    let rows = plan.rows(&plan.start().expect("a cursor"), 30).expect("rows");
    let peak = rows.iter().map(|row| row.lr).fold(0.0, f64::max);
    assert!(rows[0].lr < peak && (peak - 2e-5).abs() < 1e-12 && rows[29].lr < peak / 10.0, "{peak}");

    for (file, rate, words) in [
        (pretrained.as_str(), 1e-5, "1e-5, the rate for a pretrained transformer"),
        (encoder, 1e-4, "1e-4, the rate for a transformer from scratch"),
        (DIGITS, 1e-3, "1e-3, the rate for an MLP"),
    ] {
        let run = read(&format!("{file}learning_rate: auto\n"));
        assert_eq!(run.schedule.row.lr, rate);
        assert_eq!(run.auto_rate, Some(format!("learning_rate: auto is {words}")));
    }
    let told = read(&pretrained).warnings.concat();
    assert!(told.contains("no rate is given, so it is 1e-3: a pretrained model is usually fine-tuned with"), "{told}");
    assert_eq!(read(&format!("{pretrained}learning_rate: 1e-3\n")).warnings, [""; 0]);
    assert!(read(encoder).keeps_trunk && !read("model: {type: decoder}\ndata: {embedded: kjv}\n").keeps_trunk);
    assert_eq!(read(&format!("{encoder}batch_size: auto\n")).batch_rows, BatchRows::Auto);
}

#[test]
fn the_command_line_takes_the_place_of_what_the_file_says() {
    let run = set(&[("optimizer.type", "sgd"), ("optimizer.lr", "3e-4"), ("epochs", "7")]).expect("a run");
    assert_eq!((run.schedule.row.rule.name(), run.schedule.row.get(Field::Lr), run.epochs), ("sgd", 3e-4, 7));
    let run = set(&[("phases.0.params", "[layers.2.*]"), ("phases.1.params", "[layers.1.*]")]).expect("a run");
    assert!(matches!(&run.schedule.phases, Phases::Explicit(phases) if phases.len() == 2), "{:?}", run.schedule.phases);
    let told = set(&[("model.type.kind", "mlp")]).expect_err("refused").to_string();
    assert_eq!(told, "--set model.type.kind=mlp: type = mlp is not a mapping of keys to values");
    let told = set(&[("optimizer.lr", "[1")]).expect_err("refused").to_string();
    assert!(told.starts_with("--set optimizer.lr=[1: "), "{told}");
    for (settings, expected) in [
        (&[("optimizer.lr", "fast")][..], "--set optimizer.lr=fast: optimizer.lr = fast is not a number"),
        (&[("epochs", "5"), ("trainer.epochs", "3")], "--set trainer.epochs=3: run.yaml: trainer has no place here"),
        (&[("model.typ", "mlp")], "--set model.typ=mlp: model.typ is not a known key"),
        (&[("optimizer", "{type: sgd, lr: -1}")], "--set optimizer={type: sgd, lr: -1}: optimizer.lr = -1 is not"),
        (
            &[("epochs", "5"), ("learning_rate", "0.1"), ("optimizer.lr", "0.2")],
            "--set optimizer.lr=0.2: optimizer.lr = 0.2 conflicts with learning_rate; keep one of them",
        ),
        (
            &[("optimizer.lr", "0.2"), ("learning_rate", "0.1")],
            "--set optimizer.lr=0.2: optimizer.lr = 0.2 conflicts with learning_rate; keep one of them",
        ),
        (
            &[("lr_scheduler", "{type: cosine, cooldown_fraction: 0.7}"), ("lr_scheduler.warmup_fraction", "0.7")],
            "--set lr_scheduler.warmup_fraction=0.7: lr_scheduler",
        ),
        (&[("lr_scheduler.class_path", "torch.optim.lr_scheduler.StepLR")], "--set lr_scheduler.class_path="),
    ] {
        let told = set(settings).expect_err("refused").to_string();
        assert!(told.starts_with(expected), "{told}");
    }
    // What a setting does not cause is the file's.
    let settings = [("epochs".to_owned(), "5".to_owned())];
    let told = RunFile::parse("run.yaml", "modle: {}\n", (Path::new("here"), "run"), &settings).expect_err("refused");
    assert!(told.to_string().starts_with("run.yaml: modle is not a known key"), "{told}");
}

#[test]
fn what_is_wrong_is_told_with_file_key_value_and_the_nearest() {
    for (text, expected) in [
        ("modle: {type: mlp}", "modle is not a known key (did you mean \"model\"?); known are model, "),
        (
            "data: {embedded: digits}",
            "the section model is missing: it names the model, as in model: {type: encoder, preset: tiny}",
        ),
        (
            "model: {type: mpl}\ndata: {embedded: digits}",
            "model.type = mpl is not one of mlp, decoder, encoder, resnet, efficientnet_lite, vit (did you mean \"mlp\"?)",
        ),
        (
            "model: {typ: mlp}\ndata: {embedded: digits}",
            "model.typ is not a known key (did you mean \"type\"?); known are type, from and the keys of that model",
        ),
        (
            "model: {type: mlp, preset: tiny}\ndata: {embedded: digits}",
            "model.preset is not a known key; known are type, hidden, activation, parameters, from",
        ),
        (
            "model: {type: decoder, preset: tiny, dropout: 1}\ndata: {embedded: kjv}",
            "model.dropout = 1 is not a share: from 0 to less than 1",
        ),
        (
            "model: {type: decoder, context: 100000000}\ndata: {embedded: kjv}",
            "model.context = 100000000 is not from 1 to 2^24",
        ),
        ("\u{feff}model: {type: mlp}\ndata: {train: a, train_labels: b, test_labels: c}", "data.test is missing"),
        (
            "model: {type: mlp}\ndata: {embedded: digit}",
            "data.embedded = digit is not one of digits (did you mean \"digits\"?)",
        ),
        ("model: {type: mlp}\ndata: {train: a.csv}", "data.label is missing"),
        (
            "model: {type: encoder}\ndata: {embedded: kjv}",
            "data.embedded has no place here: no embedded set has labelled texts: give train, text and \
             label",
        ),
    ] {
        let got = told(text);
        assert!(got.starts_with(&format!("run.yaml: {expected}")), "{text}\n  {got}\n  {expected}");
    }
    for (keys, expected) in [
        ("epochs: 0", "epochs = 0 is not 1 or more"),
        ("epochs: 1.5", "epochs = 1.5 is not a whole number that is 0 or more"),
        ("seed: 99999999999", "seed = 99999999999 is not below 2^32"),
        ("batch_size: big", "batch_size = big is not a whole number that is 0 or more"),
        ("steps_per_submission: 0", "steps_per_submission = 0 is not auto, or from 1 to 1024"),
        ("steps_per_submission: 1025", "steps_per_submission = 1025 is not auto, or from 1 to 1024"),
        ("gradient_accumulation_steps: 0", "gradient_accumulation_steps = 0 is not 1 or more"),
        ("gradient_accumulation_steps: -2", "gradient_accumulation_steps = -2 is not a whole number that is 0 or more"),
        (
            "gradient_accumulation_steps: auto",
            "gradient_accumulation_steps = auto is not a whole number that is 0 or more",
        ),
        (
            "gradient_acumulation_steps: 2",
            "gradient_acumulation_steps is not a known key (did you mean \"gradient_accumulation_steps\"?); known are \
             gradient_accumulation_steps, steps_per_submission, evaluate_every_steps and others",
        ),
        ("name: a/b", "name = a/b is not the name of a folder"),
        ("learning_rate: -1", "learning_rate = -1 is not a finite number that is 0 or more"),
        (
            "learning_rate: 0.1\noptimizer: {type: sgd, lr: 0.2}",
            "optimizer.lr = 0.2 conflicts with learning_rate; keep one of them",
        ),
        (
            "learning_rate_scheduler: {decay: cosin}",
            "learning_rate_scheduler.decay = cosin is not one of none, linear, cosine (did you mean \"cosine\"?)",
        ),
        (
            "learning_rate_scheduler: {decay: cosine}\nlr_scheduler: {type: cosine}",
            "lr_scheduler = {type: cosine} conflicts with learning_rate_scheduler; keep one of them",
        ),
        (
            "trainable: false\nphases: {0: {params: [layers.2.*]}}",
            "trainable = false conflicts with phases; keep one of them",
        ),
        (
            "use_mixed_precision: fp16",
            "use_mixed_precision = fp16 is not true, false, bf16, f16 or auto (did you mean \"f16\"?)",
        ),
        ("label_smoothing: 1.5", "label_smoothing = 1.5 is not from 0 to 1"),
        (
            "use_mixed_precision: {values: f32, f32: [layers.0]}",
            "use_mixed_precision.values = f32 is not one of bf16, f16 (did you mean \"f16\"?)",
        ),
        (
            "learning_rate_scaling: sqr",
            "learning_rate_scaling = sqr is not one of none, linear, sqrt (did you mean \"sqrt\"?)",
        ),
        ("optimizer: {type: adamw, lr: fast}", "optimizer.lr = fast is not a number"),
    ] {
        assert_eq!(told(&format!("{DIGITS}{keys}\n")), format!("run.yaml: {expected}"), "{keys}");
    }
    assert_eq!(
        told("model: {type: mlp, parameters: bf8}\ndata: {embedded: digits}\n"),
        "run.yaml: model.parameters = bf8 is not one of f32, bf16 (did you mean \"bf16\"?)"
    );
    for (optimizer, other) in [("{type: sgd}", "type: sgd"), ("{ema_decay: 0.9}", "ema_decay")] {
        let text =
            format!("model: {{type: mlp, parameters: bf16}}\ndata: {{embedded: digits}}\noptimizer: {optimizer}\n");
        let words = format!("run.yaml: model.parameters = bf16 does not go with optimizer.{other}: ");
        assert!(told(&text).starts_with(&words), "{}", told(&text));
    }
    let missing = parse(&format!("{DIGITS}schedule: no.yaml\n")).expect_err("refused").to_string();
    assert!(missing.starts_with("here/no.yaml: "), "{missing}");
}

#[test]
fn words_of_other_programs_are_told_in_a_sentence() {
    for (keys, key, hint) in [
        ("trainer: {epochs: 3, compile: true}", "trainer", "top level, as in epochs: 3"),
        ("input_features: [{name: review, type: text}]", "input_features", "data: {train: reviews.csv, text: review"),
        ("output_features: [{name: stars, type: category}]", "output_features", "label: stars}"),
        ("gradient_clipping: {clipglobalnorm: 1.0}", "gradient_clipping", "optimizer: {clip_norm: 1.0}"),
        ("max_grad_norm: 1.0", "max_grad_norm", "optimizer: {clip_norm: 1.0}"),
        ("use_pretrained: true", "use_pretrained", "model: {from: runs/earlier}"),
        ("norm: ghost", "norm", "there is no batch or ghost norm"),
        ("combiner: {type: concat, norm: ghost}", "combiner.norm", "there is no batch or ghost norm"),
        ("backend: {type: ray}", "backend", "one process trains on one device"),
        ("backend: ray", "backend", "one process trains on one device"),
        ("strategy: ddp", "strategy", "one process trains on one device"),
        ("trainer: {strategy: deepspeed}", "trainer.strategy", "one process trains on one device"),
        ("num_train_epochs: 3", "num_train_epochs", "it is epochs here"),
        ("fp16: true", "fp16", "it is use_mixed_precision here"),
        ("gradient_checkpointing: true", "gradient_checkpointing", "memory_limit_megabytes"),
        ("label_smoothing_factor: 0.1", "label_smoothing_factor", "it is label_smoothing here"),
        ("layer_decay: 0.75", "layer_decay", "optimizer: {type: adamw, layer_decay: 0.75}"),
    ] {
        let got = told(&format!("{DIGITS}{keys}\n"));
        assert!(got.starts_with(&format!("run.yaml: {key} has no place here: ")) && got.contains(hint), "{got}");
        assert!(got.len() < 160 && !got.contains('\n'), "one line: {got}");
    }
    let in_model = "model: {type: mlp, norm: ghost}\ndata: {embedded: digits}\n";
    assert!(told(in_model).starts_with("run.yaml: model.norm has no place here: there is no batch"), "{in_model}");
    assert_eq!(read(&format!("{DIGITS}compile: true\n")).warnings, [""; 0]);
    let warnings = read(&format!("{DIGITS}compile: false\n")).warnings;
    assert_eq!(warnings, ["run.yaml: compile: false changes nothing: every step is compiled"]);
    let got = told(&format!("{DIGITS}save_every_steps: 3\n"));
    assert_eq!(
        got,
        "run.yaml: save_every_steps is not a known key; known are evaluate_every_steps, checkpoint_every_steps, evaluate_every_epochs and others"
    );
}

#[test]
fn rates_follow_the_rows_of_a_step_be_they_of_one_pass_or_of_several() {
    assert_eq!(read(DIGITS).config(32).micro_batches, 1);
    for (steps, rows, scaling, factor) in [
        ("1", 32, "linear", 1.0),
        ("4", 8, "linear", 1.0),
        ("4", 32, "linear", 4.0),
        ("4", 32, "sqrt", 2.0),
        ("4", 32, "none", 1.0),
    ] {
        let run = set(&[("gradient_accumulation_steps", steps), ("learning_rate_scaling", scaling)]).expect("a run");
        let (config, spec) = (run.config(rows), run.scaled(rows).expect("rates"));
        assert_eq!((config.batch_size, config.micro_batches.to_string().as_str()), (rows, steps));
        assert_eq!(spec.row.lr, 1e-3 * factor, "{steps} passes of {rows} rows, {scaling}");
    }
}

/// The run's file with everything said.
pub fn resolved(run: &RunFile) -> String {
    let task = Material::read(run).expect("a material").task;
    let (params, tied) = (task.params(), task.tied());
    let steps_per_epoch = task.steps_per_epoch(&run.config(8)).expect("steps");
    let epochs = Epochs { epochs: run.epochs as u64, steps_per_epoch };
    let plan =
        Plan::new(&run.schedule, ModelParams { params: &params, tied: &tied, in_class: &[] }, epochs).expect("a plan");
    run.resolved(8, &plan)
}

#[test]
fn the_resolved_file_says_everything_and_reads_back_the_same() {
    let digits = "model: {type: mlp}\ndata: {embedded: digits}\n";
    let all_of_it = [
        "name: run\n",
        "hidden:\n  - 128\n  - 64\n",
        "activation: gelu\n",
        "parameters: f32\n",
        "test_percent: 10\n",
        "seed: 1\n",
        "epochs: 3\n",
        "batch_size: 8\n",
        "gradient_accumulation_steps: 1\n",
        "base_batch_size: 32\n",
        "learning_rate_scaling: none\n",
        "memory_limit_megabytes: null\n",
        "check: auto\n",
        "cache_encoder_embeddings: true\n",
        "label_smoothing: 0.0\n",
        "use_mixed_precision: false\n",
        "moments: f32\n",
        "eps: 1e-8\n",
        "weight_decay: 0.01\n",
        "min_ratio: 0.0\n",
        "k_decay: 1.0\n",
        "warmup: linear\n",
        "warmup_start_ratio: 0.0\n",
        "early_stopping: null\n",
        "steps_per_submission: auto\n",
        "keep_last: 2\n",
        "evaluate_every_epochs: 1\n",
    ];
    let cosine = "learning_rate: 1e-3\nlearning_rate_scheduler: {decay: cosine, warmup_fraction: 0.1}\n";
    let text = resolved(&read(&format!("{digits}{cosine}")));
    for line in all_of_it {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
    let decoder = "model: {type: decoder, tied: false, parameters: bf16, dropout: 0.1}\ndata: {embedded: kjv}\n\
                   learning_rate: 1e-4\ntrainable: false\nbatch_size: auto\ngradient_accumulation_steps: 4\n\
                   learning_rate_scaling: sqrt\ncheckpoint_every_steps: 5\nsteps_per_submission: 8\n";
    for more in [
        decoder.to_owned(),
        format!("{digits}{cosine}use_mixed_precision: auto\nlabel_smoothing: 0.1\n"),
        format!("{digits}{cosine}use_mixed_precision: f16\n"),
        format!("{digits}{cosine}use_mixed_precision: {{values: bf16, f32: [layers.0]}}\n"),
        format!("{digits}{cosine}"),
        format!("{digits}learning_rate: 1e-3\noptimizer: {{type: sgd, momentum: 0.9}}\n"),
        format!("{digits}optimizer: {{type: adamw, lr: 1, clip_norm: 1, ema_decay: 0.9, no_decay: [bias]}}\n"),
        format!(
            "{digits}optimizer: {{type: adam}}\nlr_scheduler: {{type: plateau}}\nearly_stopping: {{patience: 2}}\n"
        ),
        format!(
            "{digits}lr_scheduler: {{type: one_cycle, beta1_min: 0.85}}\nlaws: [{{field: eps, type: step, every_steps: 9}}]\n"
        ),
        format!(
            "{digits}lr_scheduler: {{type: sequential, parts: [{{type: linear, steps: 9}}, {{type: wsd, warmup_steps: 3}}]}}\n"
        ),
        format!("{digits}lr_scheduler: {{class_path: torch.optim.lr_scheduler.StepLR, init_args: {{step_size: 3}}}}\n"),
        format!("{digits}finetuning: {{base_max_lr: 1.0e-4}}\n"),
        format!(
            "{digits}phases: {{0: {{params: [layers.2.*], max_transition_epoch: 1}}, 1: {{params: [layers.1.*], lr: 2}}}}\n"
        ),
    ] {
        let run = read(&more);
        let text = resolved(&run);
        let again = RunFile::parse("run.yaml", &text, (Path::new("elsewhere"), "other"), &[])
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!((again.name.as_str(), again.batch_rows), ("run", BatchRows::Rows(8)));
        assert_eq!(again.folder(), std::path::absolute("here/runs/run").expect("a path"));
        assert_eq!(resolved(&again), text, "it says the same again");
        assert_eq!(again.warnings, [""; 0], "{text}");
        let same = |run: &RunFile| {
            let spec = run.scaled(8).expect("rates");
            let steps = run.config(8).steps_per_submission;
            let settings = (run.micro_batches, run.lr_scaling, run.keeps_trunk, run.checkpoint_every_steps, steps);
            (spec.row, spec.laws.len(), settings, run.config(8).parameters, run.config(8).epochs)
        };
        assert_eq!(same(&again), same(&run), "{text}");
    }
}

#[test]
fn rows_that_f32_cannot_step_with_are_refused_by_key() {
    for (more, words) in [
        ("optimizer: {type: adamw, eps: 0}", "optimizer.eps = 0e0 is not 1.2e-38 or more, without which"),
        ("optimizer: {type: adamw, eps: 1.0e-40}", "optimizer.eps = 1e-40 is not 1.2e-38 or more"),
        ("optimizer: {type: adamw, lr: 3.0e+38}", "optimizer.lr = 3e38 is not a rate whose first step f32 can hold"),
        ("optimizer: {type: adamw, lr: 1.0e+30, weight_decay: 1.0e+9}", "optimizer.lr = 1e30 is not a rate"),
        (
            "phases: {0: {params: [layers.2.*], max_transition_epoch: 1}, 1: {params: [layers.1.*], lr: 3.0e+38}}",
            "phases.1.lr = 3e38 is not a rate",
        ),
    ] {
        let told = told(&format!("{DIGITS}{more}\n"));
        assert!(told.contains(words), "{told}");
    }
    read(&format!("{DIGITS}optimizer: {{type: sgd, lr: 3.0e+38, weight_decay: 0}}\n"));
}

#[test]
fn a_run_that_goes_on_is_refused_what_would_make_it_another() {
    let here = folder("another-run");
    std::fs::create_dir_all(&here).expect("a folder");
    let file = here.join("run.yaml");
    std::fs::write(&file, resolved(&read(&format!("{DIGITS}batch_size: 8\n")))).expect("a file");
    let of_run = |key: &str, value: &str| RunFile::of_run(&file, &here, &[(key.to_owned(), value.to_owned())]);
    for (key, value, was) in [
        ("batch_size", "4", " (batch_size: 8)"),
        ("learning_rate", "1e-4", ""),
        ("model.activation", "relu", " (model.activation: gelu)"),
        ("data.test_percent", "20", " (data.test_percent: 10)"),
        ("seed", "9", " (seed: 1)"),
        ("name", "other", " (name: run)"),
        ("optimizer.eps", "1", " (optimizer.eps: 1e-8)"),
        ("nonsense", "1", ""),
    ] {
        let told = of_run(key, value).expect_err("another run").to_string();
        let words =
            format!("--set {key}={value}: {} resumes as it began{was}; --set may change epochs, ", file.display());
        assert!(told.starts_with(&words), "{told}");
    }
    assert_eq!(of_run("epochs", "9").expect("longer").epochs, 9);
    of_run("batch_size", "8").expect("what it is");
    let run = RunFile::of_run(&file, &here, &[]).expect("a run");
    assert_eq!(run.folder(), std::path::absolute(&here).expect("a path"), "wherever it has been moved to");
    std::fs::remove_dir_all(here).expect("the folder was ours");
}

#[test]
fn files_that_are_named_on_the_command_line_stand_where_the_user_stands() {
    let csv = "model: {type: mlp}\ndata: {train: a.csv, label: b}\n";
    let parse = |key: &str, value: &str| {
        let settings = [(key.to_owned(), value.to_owned())];
        RunFile::parse("here/run.yaml", csv, (Path::new("here"), "run"), &settings).expect("a run")
    };
    let train = |run: &RunFile| match &run.data.source {
        Source::Numbers { train, .. } => train.clone(),
        other => panic!("{other:?}"),
    };
    let there = std::path::absolute("c.csv").expect("a path");
    assert_eq!(train(&parse("seed", "2")), Path::new("here/a.csv"));
    assert_eq!(train(&parse("data.train", "c.csv")), there);
    assert_eq!(train(&parse("data", "{train: c.csv, label: b}")), there);
    assert_eq!(parse("output", "out").output, std::path::absolute("out").expect("a path"));
}

#[test]
fn a_schedule_file_is_brought_in_and_may_be_an_fts_one() {
    let here = folder("schedule-file");
    std::fs::create_dir_all(&here).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(here.join(name), text).expect("a file");
    write("fts.yaml", "0:\n  params: [layers.2.*]\n1:\n  params: [layers.1.*]\n");
    write("bad.yaml", "optimizer: {type: adamv}\nlr_scheduler: {type: cosine}\n");
    write("run.yaml", &format!("{DIGITS}schedule: fts.yaml\nlearning_rate: 0.5\n"));
    let setting = |value: &str| [("schedule".to_owned(), value.to_owned())];
    let run = RunFile::read(&here.join("run.yaml"), &[]).expect("a run");
    assert!(matches!(&run.schedule.phases, Phases::Explicit(phases) if phases.len() == 2));
    assert_eq!((run.schedule.row.lr, run.schedule.early_stopping.is_some()), (0.5, true));
    let told = RunFile::read(&here.join("run.yaml"), &setting(&here.join("bad.yaml").to_string_lossy()))
        .expect_err("refused")
        .to_string();
    assert!(told.ends_with(
        "bad.yaml: optimizer.type = adamv is not one of adamw, adam, sgd, adadelta, adagrad, adamax, nadam, radam, \
             rmsprop, lion, nadamw, adan, lamb, lars, adamp, muon, adafactor, adamw_schedulefree, sgd_schedulefree (did you mean \"adamw\"?)"
    ));
    write("run.yaml", &format!("{DIGITS}schedule: fts.yaml\nphases: {{0: {{params: [layers.0.*]}}}}\n"));
    let told = RunFile::read(&here.join("run.yaml"), &[]).expect_err("refused").to_string();
    assert!(told.contains("phases has no place here: ") && told.contains("fts.yaml has it too"), "{told}");
    assert!(told.ends_with("or give --set phases=null to keep the schedule's"), "{told}");
    for null in ["null", "~"] {
        let setting = [("phases".to_owned(), null.to_owned())];
        let run = RunFile::read(&here.join("run.yaml"), &setting).expect("a run");
        assert!(matches!(&run.schedule.phases, Phases::Explicit(phases) if phases.len() == 2));
    }
    // Null is no early stopping, and so it is neither's.
    write(
        "stops.yaml",
        "optimizer: {type: adamw, lr: 1.0e-3}\nearly_stopping: {monitor: val_loss, mode: min, patience: 7}\nlr_scheduler: {type: constant}\n",
    );
    write(
        "run.yaml",
        &format!("{DIGITS}schedule: stops.yaml\nearly_stopping: {{monitor: val_loss, mode: min, patience: 3}}\n"),
    );
    let told = RunFile::read(&here.join("run.yaml"), &[]).expect_err("refused").to_string();
    assert!(told.ends_with("or give --set early_stopping=null to have neither"), "{told}");
    let setting = [("early_stopping".to_owned(), "null".to_owned())];
    let run = RunFile::read(&here.join("run.yaml"), &setting).expect("a run");
    assert!(run.schedule.early_stopping.is_none());
    std::fs::remove_dir_all(here).expect("the folder was ours");
}

/// A folder with a run file's data in it.
struct Bed {
    folder: PathBuf,
}

impl Bed {
    fn new(name: &str, files: &[(&str, &[u8])]) -> Bed {
        let folder = folder(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        for (name, bytes) in files {
            std::fs::write(folder.join(name), bytes).expect("a file");
        }
        Bed { folder }
    }

    fn material(&self, text: &str) -> Result<Material, String> {
        let run = RunFile::parse("run.yaml", text, (&self.folder, "run"), &[]).map_err(|error| error.to_string())?;
        let shown = self.folder.display().to_string();
        Material::read(&run).map_err(|error| error.to_string().replace(&format!("{shown}/"), ""))
    }

    fn told(&self, text: &str) -> String {
        self.material(text).err().expect("it is refused")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn labelled_texts_come_from_csv_tsv_and_json_lines() {
    let rows: Vec<(String, &str)> =
        (0..20).map(|n| (format!("text {n}"), if n % 2 == 0 { "good" } else { "bad" })).collect();
    // TSV knows no quotes.
    let table = |separator: &str, quote: &str| -> String {
        let rows = rows
            .iter()
            .enumerate()
            .map(|(n, (text, label))| format!("{n}{separator}{quote}{text}{quote}{separator}{label}\n"));
        [format!("id{separator}words{separator}label\n")].into_iter().chain(rows).collect()
    };
    let json: String =
        rows.iter().map(|(text, label)| format!("{{\"words\": \"{text}\", \"label\": \"{label}\"}}\n")).collect();
    let (csv, tsv) = (table(",", "\""), table("\t", ""));
    // A byte order mark, blanks around labels, and a column that a line leaves out and nobody asks for.
    let marked = format!("\u{feff}{}", json.replace("\"good\"}", "\" good \", \"note\": null}"));
    let bed = Bed::new(
        "labelled-texts",
        &[
            ("a.csv", csv.as_bytes()),
            ("a.tsv", tsv.as_bytes()),
            ("a.jsonl", json.as_bytes()),
            ("other.csv", b"words,label\nhello,bad\nso so,ok\n"),
            ("short.csv", b"words,label\nhello\n"),
            ("blank.csv", b"words,label\nhello,good\n\"\",bad\n"),
            ("a.txt", b"hello"),
            ("twice.csv", b"words,label,words\nhello,good,x\n"),
            ("unlabelled.csv", b"words,label\nhello,good\nbye, \n"),
            ("marked.jsonl", marked.as_bytes()),
            ("nothing.jsonl", b"{\"words\": \"a\", \"label\": \"x\"}\n{\"words\": null, \"label\": \"y\"}\n"),
        ],
    );
    let file = |train: &str, more: &str| {
        format!("model: {{type: encoder, context: 6}}\ndata: {{train: {train}, text: words, label: label{more}}}\n")
    };
    let materials: Vec<Material> = ["a.csv", "a.tsv", "a.jsonl", "marked.jsonl"]
        .map(|name| bed.material(&file(name, "")).expect("a material"))
        .into();
    for material in &materials {
        assert!(material.summary.ends_with("18 texts to train on, 2 to test, 2 classes"), "{}", material.summary);
        assert_eq!(material.inputs, materials[0].inputs, "the same numbers from each");
        assert_eq!(material.inputs.classes, ["bad", "good"]);
        assert_eq!(material.warnings.len(), 1, "{:?}", material.warnings);
        assert!(material.warnings[0].contains("of 20 texts are longer than 6 characters and were cut"));
    }
    let swapped = bed.material(&file("a.csv", ", classes: [good, bad]")).expect("a material");
    assert_eq!(swapped.inputs.classes, ["good", "bad"]);

    for (text, expected) in [
        (file("no.csv", ""), "no.csv: No such file or directory (os error 2)"),
        (
            file("a.txt", ""),
            "a.txt: the extension \"txt\" is not that of a table: csv (commas), tsv (tabs) or jsonl (a JSON object a line)",
        ),
        (
            file("a.csv", "").replace("label: label", "label: lable"),
            "a.csv: there is no column \"lable\" (did you mean \"label\"?); its columns are id, words, label",
        ),
        (
            file("short.csv", ""),
            "short.csv, line 2: 1 columns, but 2 in the first line (data.skip_bad_rows: true leaves such rows out)",
        ),
        (file("blank.csv", ""), "blank.csv, line 3: the text is empty (data.skip_bad_rows: true leaves such rows out)"),
        (
            file("a.csv", ", test: other.csv"),
            "other.csv, line 3: the label \"ok\" is not in the train set; its labels are bad, good (data.skip_bad_rows: true leaves such rows out)",
        ),
        (file("twice.csv", ""), "twice.csv: the column \"words\" occurs twice"),
        (
            file("unlabelled.csv", ""),
            "unlabelled.csv, line 3: the label is empty (data.skip_bad_rows: true leaves such rows out)",
        ),
        (
            file("nothing.jsonl", ""),
            "nothing.jsonl, line 2: \"words\" is missing (data.skip_bad_rows: true leaves such rows out)",
        ),
        (file("a.csv", ", classes: [good, good]"), "run.yaml: data.classes = good occurs twice"),
        (file("a.csv", ", test_percent: 1"), "a.csv: 20 rows cannot be split with 1 % held out (data.test_percent)"),
        (file("a.csv", ", classes: [good, bad, ok]"), "a.csv: the class \"ok\" has no example to train on"),
        (
            file("a.csv", ", classes: [good]"),
            "a.csv: 10 of 20 rows cannot be used (data.skip_bad_rows: true leaves them out):\n  line 3: the label \
             \"bad\" is not in data.classes, which are good\n  line 5: the label \"bad\" is not in data.classes, which \
             are good\n  line 7: the label \"bad\" is not in data.classes, which are good\n  line 9: the label \"bad\" is \
             not in data.classes, which are good\n  line 11: the label \"bad\" is not in data.classes, which are \
             good\n  and 5 more",
        ),
    ] {
        assert_eq!(bed.told(&text), expected, "{text}");
    }
}

#[test]
fn rows_of_numbers_are_standardized_over_the_train_set() {
    let rows: String =
        (0..20).map(|n| format!("{},{},{},7\n", 10 + n, if n % 2 == 0 { 1 } else { 3 }, n % 3)).collect();
    let csv = format!("a,b,class,same\n{rows}");
    let bad = csv.replace("12,1,2,7", "12,one,2,7");
    let bed = Bed::new("numbers", &[("a.csv", csv.as_bytes()), ("bad.csv", bad.as_bytes())]);
    let file =
        |train: &str, more: &str| format!("model: {{type: mlp}}\ndata: {{train: {train}, label: class{more}}}\n");
    let material = bed.material(&file("a.csv", ", test: a.csv")).expect("a material");
    assert_eq!(material.inputs.classes, ["0", "1", "2"]);
    let columns: Vec<(&str, f64, f64)> =
        material.inputs.columns.iter().map(|column| (column.name.as_str(), column.mean, column.deviation)).collect();
    let deviation = (399.0f64 / 12.0).sqrt();
    assert_eq!(columns, [("a", 19.5, deviation), ("b", 2.0, 1.0), ("same", 7.0, 1.0)]);
    assert_eq!(material.task.params()[0].shape, [128, 3]);
    let plain = bed.material(&file("a.csv", ", features: [b], standardize: false")).expect("a material");
    assert_eq!((plain.inputs.columns[0].mean, plain.task.params()[0].shape.clone()), (0.0, vec![128, 1]));
    let bad = "bad.csv, line 4: b = \"one\" is not a finite number (data.skip_bad_rows: true leaves such rows out)";
    assert_eq!(bed.told(&file("bad.csv", "")), bad);
    assert_eq!(
        bed.told(&file("a.csv", ", features: [a, c]")),
        "a.csv: there is no column \"c\" (did you mean \"a\"?); its columns are a, b, class, same"
    );
}

#[test]
fn images_come_from_idx_files() {
    let images = |rows: u8| -> Vec<u8> {
        let head = [0, 0, 8, 3, 0, 0, 0, rows, 0, 0, 0, 2, 0, 0, 0, 2];
        head.into_iter().chain((0..rows * 4).map(|byte| byte * 3)).collect()
    };
    let labels = |labels: &[u8]| -> Vec<u8> {
        [0, 0, 8, 1, 0, 0, 0, labels.len() as u8].into_iter().chain(labels.iter().copied()).collect()
    };
    let twenty: Vec<u8> = (0..20).map(|n| n % 3).collect();
    let gap: Vec<u8> = twenty.iter().map(|label| label * 2).collect();
    let (train, train_labels, gap) = (images(20), labels(&twenty), labels(&gap));
    let bed = Bed::new(
        "images",
        &[
            ("train", &train),
            ("labels", &train_labels),
            ("gap", &gap),
            ("few", &labels(&[0, 1])),
            ("cut", &train[..50]),
            ("packed", &[0x1f, 0x8b, 8]),
            ("empty", &[0, 0, 8, 4, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]),
        ],
    );
    let file =
        |train: &str, labels: &str| format!("model: {{type: mlp}}\ndata: {{train: {train}, train_labels: {labels}}}\n");
    let material = bed.material(&file("train", "labels")).expect("a material");
    assert!(material.summary.ends_with("18 rows to train on, 2 to test, 3 classes"), "{}", material.summary);
    assert_eq!((material.inputs.scale, material.task.params()[0].shape.clone()), (Some(255.0), vec![128, 4]));
    for (text, expected) in [
        (file("train", "few"), "few: its sizes are [2]: one label for each of 20 rows is needed"),
        (file("cut", "labels"), "cut: its sizes are [20, 2, 2], and 34 bytes follow"),
        (file("empty", "labels"), "empty: its sizes are [0, 4294967295, 4294967295, 4294967295], and 0 bytes follow"),
        (file("packed", "labels"), "packed: it is packed: unpack it with gunzip first"),
        (file("train", "gap"), "gap: the class \"1\" has no example to train on"),
    ] {
        assert_eq!(bed.told(&text), expected);
    }
    let run = RunFile::parse("run.yaml", &file("train", "labels"), (&bed.folder, "run"), &[]).expect("a run");
    assert!(matches!(run.data.source, Source::Images { scale: 255.0, .. }));
}
