//! What a test tells beside its loss: counted on the device, and the same as counted from the logits on the host.

use crate::support::{engines, fresh_engines, noise};
use crate::trial::{Trial, padded};
use gradus::data::{DataSet, Sequence, SequenceSizes, Sequences, digits};
use gradus::engine::layout::{IGNORED, Loss, Metrics, Position, pcg};
use gradus::engine::{Engine, Range};
use gradus::nn::models::{Bert, Head, Mlp, TransformerSizes};
use gradus::nn::{Activation, Objective, ops};
use gradus::schedule::{Epochs, ModelParams, Plan, Spec};
use gradus::train::{Classify, ClassifySequences, Config, Evaluation, Event, Scoring, Task, Trainer};

const SCHEDULE: &str = "optimizer: {type: adamw, lr: 1.0e-2}\nlr_scheduler: {type: constant}";

fn started(engine: &Engine, task: &dyn Task, schedule: &str, config: Config) -> Result<Trainer, gradus::train::Error> {
    let spec = Spec::parse("run.yaml", schedule).expect("a spec");
    let plan = |model: ModelParams<'_>, epochs: Epochs| Plan::new(&spec, model, epochs);
    Trainer::new(engine, task, config, plan)
}

fn trainer(engine: &Engine, task: &dyn Task, schedule: &str, config: Config) -> Trainer {
    started(engine, task, schedule, config).expect("a trainer")
}

/// Sequences of a few tokens; the targets and the features of each follow from its first tokens.
fn set(samples: u32, objective: Objective, features: bool) -> Sequences {
    let tokens = |sample: u32| (0..2 + sample % 5).map(|place| pcg(sample ^ pcg(place)) % 11).collect::<Vec<u32>>();
    let sequences: Vec<Sequence> = (0..samples).map(|sample| Sequence::new(tokens(sample), 0)).collect();
    let set = Sequences::new(SequenceSizes::new(7, 11, 3), &sequences).expect("a set");
    let target = |sample: u32, output: u32| match objective {
        Objective::Labels => f32::from(u8::from(tokens(sample)[0] % (output + 2) == 0)),
        // Far from 0, as prices and years are.
        _ => 10_000.0 + (tokens(sample)[0] + 3 * output) as f32 * 0.25,
    };
    let targets = (0..samples).flat_map(|sample| (0..3).map(move |output| (sample, output)));
    let targets = targets.map(|(sample, output)| target(sample, output)).collect();
    let set = set.with_columns("targets", 3, targets).expect("targets");
    if !features {
        return set;
    }
    let features = (0..samples).flat_map(|sample| [tokens(sample)[0] as f32 / 11.0, tokens(sample)[1] as f32 / 11.0]);
    set.with_columns("features", 2, features.collect()).expect("features")
}

fn encoder(objective: Objective, features: bool) -> Bert {
    let sizes = TransformerSizes::new([2, 2, 16], 11, 7).intermediate(24).activation(Activation::Gelu);
    let head = Head::new(3).objective(objective).features(if features { 2 } else { 0 });
    let model = Bert::new(sizes, 3).types(0);
    model.head(head)
}

fn labelled(objective: Objective, features: bool) -> ClassifySequences {
    let (train, test) = (set(64, objective, features), set(29, objective, features));
    ClassifySequences::new(&encoder(objective, features), (&train, &test)).expect("a task")
}

fn config() -> Config {
    Config::default().batch_size(8).epochs(3).seed(4)
}

/// The scores of a test, from the logits of its rows on the host.
fn score(evaluation: &Evaluation, name: &str) -> f64 {
    evaluation.scores.get(name).unwrap_or_else(|| panic!("no {name} in {evaluation:?}"))
}

#[test]
fn counts_of_an_evaluation_equal_those_of_the_host() {
    for engine in engines() {
        let (rows, outputs, batches) = (37, 7, 3);
        let shape = Loss::new(rows, outputs);
        let buffer = |words: &[u32]| engine.buffer_with("memory", words).expect("a buffer").all();
        let numbers = |seed: u32| noise(seed, rows * outputs);
        let [cells, label_cells] = [outputs * outputs, 4 * outputs].map(|count| buffer(&vec![77; count]));
        let sums = buffer(&vec![77; batches * outputs]);
        let (mut expected, mut of_labels) = (vec![0u32; outputs * outputs], vec![0u32; 4 * outputs]);
        for batch in 0..batches as u32 {
            let (z, targets) = (numbers(batch), numbers(batch + 9));
            // What is after the last row.
            let labels: Vec<u32> =
                (0..rows as u32).map(|r| if batch == 2 && r > 30 { IGNORED } else { pcg(r) % 7 }).collect();
            let counting = |r: &usize| labels[*r] != IGNORED;
            for r in (0..rows).filter(counting) {
                let row = &z[r * outputs..][..outputs];
                let answer = (1..outputs).fold(0, |best, c| if row[c] > row[best] { c } else { best });
                expected[labels[r] as usize * outputs + answer] += 1;
                for k in 0..outputs {
                    let [z, t] = [&z, &targets].map(|values| values[r * outputs + k]);
                    of_labels[4 * k + 2 * usize::from(t > 0.5) + usize::from(z > 0.0)] += 1;
                }
            }
            let memory = |values: &[f32]| buffer(&padded(values, outputs, 1e9));
            let position = Position { batch, ..Position::default() };
            let (position, labels) = (buffer(bytemuck::cast_slice(&[position])), buffer(&labels));
            let [z, t] = [&z, &targets].map(|values| memory(values));
            let beside = |counts: &Range| [z.clone(), t.clone(), labels.clone(), counts.clone(), position.clone()];
            let dispatches = [
                ops::confusion(&engine, &shape, [z.clone(), labels.clone(), cells.clone(), position.clone()]),
                ops::label_confusion(&engine, &shape, beside(&label_cells)),
                ops::squared_error_sums(&engine, &shape, beside(&sums)),
            ];
            crate::trial::run(&engine, dispatches.map(|dispatch| dispatch.expect("a dispatch")).to_vec(), 0);
        }
        let read = |range: &Range| engine.read::<u32>(range).expect("counts");
        assert_eq!(read(&cells)[..expected.len()], expected, "on {}", engine.name());
        assert_eq!(read(&label_cells)[..of_labels.len()], of_labels, "on {}", engine.name());
        let got: Vec<f32> = engine.read(&sums).expect("sums");
        for batch in 0..batches {
            let (z, targets) = (numbers(batch as u32), numbers(batch as u32 + 9));
            for k in 0..outputs {
                let last = if batch == 2 { 31 } else { rows };
                let apart = |r: usize| f64::from(z[r * outputs + k]) - f64::from(targets[r * outputs + k]);
                let expected: f64 = (0..last).map(|r| apart(r).powi(2)).sum();
                let got = f64::from(got[batch * outputs + k]);
                assert!((got - expected).abs() <= 1e-6 * expected, "{got} for {expected} on {}", engine.name());
            }
        }
    }
}

/// A row whose logits hold a NaN answers with no class.
#[test]
fn a_spoiled_row_is_in_no_cell() {
    for engine in engines() {
        let (rows, classes) = (6, 5);
        let shape = Loss::new(rows, classes);
        let mut z = noise(1, rows * classes);
        (z[2], z[classes + 4], z[3 * classes]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
        let range = || engine.buffer("any", 16).expect("a buffer").all();
        let dispatch = ops::confusion(&engine, &shape, [range(), range(), range(), range()]).expect("a dispatch");
        let position = bytemuck::cast_slice(&[Position::default()]).to_vec();
        let memory = vec![
            padded(&z, classes, 1e9),
            vec![1; rows],
            vec![9; 25],
            position,
            bytemuck::cast_slice(&[shape]).to_vec(),
        ];
        let got = Trial::of(&dispatch, memory).run(&engine, 0);
        assert_eq!(got[2][..25].iter().sum::<u32>(), 4, "on {}", engine.name());
    }
}

/// The matrix of a test follows from its rows alone, whatever the batch; accuracy and F1 follow from it.
#[test]
fn classes_are_scored_alike_whatever_the_batch() {
    for engine in fresh_engines() {
        let set = digits().expect("digits");
        let part = |first: usize, rows: usize| {
            let values = set.values()[first * 64..(first + rows) * 64].to_vec();
            DataSet::new(64, 10, values, set.labels()[first..first + rows].to_vec()).expect("a set")
        };
        let model = Mlp::new(&[64, 16, 10], Activation::Relu).expect("a model");
        let task = Classify::new(&model, (&part(1000, 500), &part(0, 333))).expect("a task");
        let results = [1, 7, 64, 333].map(|batch_size| {
            let mut trainer = trainer(&engine, &task, SCHEDULE, Config::default().batch_size(batch_size).seed(5));
            let evaluation = trainer.evaluate_now().expect("an evaluation");
            let again = trainer.evaluate_now().expect("an evaluation");
            assert_eq!(evaluation.scores, again.scores);
            (evaluation, trainer.confusion().expect("a matrix").clone())
        });
        for (evaluation, confusion) in &results {
            assert_eq!((confusion, confusion.rows()), (&results[0].1, 333), "on {}", engine.name());
            let right: u32 = (0..10).map(|class| confusion.row(class)[class]).sum();
            assert_eq!(score(evaluation, "val_accuracy"), f64::from(right) / 333.0);
            let scores = confusion.scores();
            let f1 = scores.iter().map(|score| score.f1).sum::<f64>() / 10.0;
            assert!((score(evaluation, "val_f1") - f1).abs() < 1e-12);
            let of_rows: Vec<u64> =
                (0..10).map(|c| part(0, 333).labels().iter().filter(|l| **l == c).count() as u64).collect();
            assert_eq!(scores.iter().map(|score| score.rows).collect::<Vec<_>>(), of_rows);
        }
    }
}

/// What a run learns, and what it tells, is the same with micro-batches as without, and behind a trunk that is kept.
#[test]
fn labels_and_numbers_are_learned_and_scored() {
    const HEAD: &str = "
optimizer: {type: adamw, lr: 3.0e-2}
early_stopping: {monitor: val_loss, patience: 9}
phases:
  0: {params: [classifier], max_transition_epoch: 2}
  1: {params: ['encoder.layer.1.output']}
";
    for engine in engines() {
        for (objective, features) in [(Objective::Labels, false), (Objective::Labels, true), (Objective::Numbers, true)]
        {
            let task = labelled(objective, features);
            let run = |config: Config| {
                let mut trainer = trainer(&engine, &task, HEAD, config);
                let mut evaluations = Vec::new();
                let tell = |event: &Event| {
                    if let Event::Evaluation(done) = event {
                        evaluations.push(*done);
                    }
                };
                trainer.run(tell).expect("a run");
                let parameters = trainer.parameters();
                let bits: Vec<u32> =
                    parameters.read("classifier.weight").expect("values").into_iter().map(f32::to_bits).collect();
                (evaluations, bits)
            };
            let kept = config().epochs(5).micro_batches(2).trunk_device_limit_bytes(1 << 24);
            let whole = run(kept.clone().trunk_device_limit_bytes(0).trunk_host_limit_bytes(0));
            let what = format!("{objective:?}, features: {features}, on {}", engine.name());
            assert_eq!(whole, run(kept.clone()), "{what}");
            assert_eq!(whole, run(kept.trunk_device_limit_bytes(0).trunk_host_limit_bytes(1 << 24)), "{what}");
            let [first, last] = [whole.0.first(), whole.0.last()].map(|done| done.expect("an evaluation"));
            assert!(last.train_loss < first.train_loss, "{what}: {first:?} {last:?}");
            if objective == Objective::Numbers {
                let (error, loss) = (score(last, "val_mse"), last.val_loss);
                assert!((error - loss).abs() <= 1e-5 * loss, "{what}: {error} {loss}");
            } else {
                let (accuracy, f1) = (score(last, "val_accuracy"), score(last, "val_f1"));
                assert!((0.5..=1.0).contains(&accuracy) && (0.0..=1.0).contains(&f1), "{what}: {last:?}");
            }
        }
    }
}

/// Numbers that a model knows exactly, and numbers of which it knows nothing but their mean.
#[test]
fn r2_of_targets_far_from_zero_is_right() {
    let (rows, test) = (29, set(29, Objective::Numbers, false));
    let task = labelled(Objective::Numbers, false);
    let (_, width, targets) = &test.columns()[0];
    let mean =
        |output: usize| targets.iter().skip(output).step_by(*width).map(|t| f64::from(*t)).sum::<f64>() / rows as f64;
    for engine in engines() {
        let mut trainer = trainer(&engine, &task, SCHEDULE, config());
        let zeros = vec![0.0; 3 * 16];
        trainer.parameters().upload("classifier.weight", &zeros).expect("an upload");
        let bias: Vec<f32> = (0..3).map(|output| mean(output) as f32).collect();
        trainer.parameters().upload("classifier.bias", &bias).expect("an upload");
        let told = trainer.evaluate_now().expect("an evaluation");
        // Every answer is the same, so R² follows from how far it is from the mean.
        let squares = |output: usize| {
            let of = |from: f64| {
                let targets = targets.iter().skip(output).step_by(*width);
                targets.map(|t| (f64::from(*t) - from).powi(2)).sum::<f64>()
            };
            [of(f64::from(bias[output])), of(mean(output))]
        };
        let r2 = (0..3).map(|output| 1.0 - squares(output)[0] / squares(output)[1]).sum::<f64>() / 3.0;
        let error = (0..3).map(|output| squares(output)[0]).sum::<f64>() / (3.0 * f64::from(rows));
        assert!((score(&told, "val_r2") - r2).abs() < 1e-6, "{told:?}, not {r2}, on {}", engine.name());
        assert!((score(&told, "val_mse") - error).abs() < 1e-6 * error, "{told:?}, not {error}, on {}", engine.name());
    }
}

/// A sum of losses that 32 bits do not count is told in floats, and a loss of 0 rows is none.
#[test]
fn losses_past_the_exact_sum_keep_their_mean() {
    let whole = |loss_sum: f32| Metrics { loss_sum, rows: 10, loss_whole: 5, ..Metrics::default() };
    assert_eq!(whole(5.0).mean_loss(), 0.5);
    assert_eq!(whole(5.0e12).mean_loss(), f64::from(5.0e12f32) / 10.0);
}

#[test]
fn a_schedule_may_go_by_any_metric_of_its_task_and_by_no_other() {
    let engine = Engine::cpu();
    let by = |monitor: &str| format!("{SCHEDULE}\nearly_stopping: {{monitor: {monitor}, patience: 2}}");
    let (classes, labels) = (labelled_classes(), labelled(Objective::Labels, false));
    let numbers = labelled(Objective::Numbers, false);
    let tasks: [(&dyn Task, &str); 3] = [
        (&classes, "train_loss, val_loss, val_accuracy, val_f1, val_f1_weighted"),
        (&labels, "train_loss, val_loss, val_accuracy, val_f1"),
        (&numbers, "train_loss, val_loss, val_mse, val_r2"),
    ];
    for (task, known) in tasks {
        for monitor in known.split(", ") {
            let mut trainer = trainer(&engine, task, &by(monitor), config());
            trainer.run(|_| ()).unwrap_or_else(|error| panic!("{monitor}: {error}"));
            let best = trainer.cursor().best().map(|best| best.score);
            assert!(best.is_none_or(f64::is_finite), "{monitor}: {best:?}");
        }
        let told = started(&engine, task, &by("val_perplexity"), config()).err().expect("an error").to_string();
        assert!(told.ends_with(&format!("measured are {known}")), "{told}");
    }
}

fn labelled_classes() -> ClassifySequences {
    let set = |samples: u32| {
        let sequence = |sample: u32| Sequence::new(vec![sample % 11, pcg(sample) % 11], sample % 11 % 3);
        let sequences: Vec<Sequence> = (0..samples).map(sequence).collect();
        Sequences::new(SequenceSizes::new(7, 11, 3), &sequences).expect("a set")
    };
    ClassifySequences::new(&encoder(Objective::Classes, false), (&set(64), &set(29))).expect("a task")
}

#[test]
fn what_the_device_cannot_compare_decides_at_no_lag() {
    let engine = Engine::cpu();
    let schedule = |monitor: &str| {
        format!(
            "optimizer: {{type: adamw, lr: 1.0e-2}}\ndecide: lag\nearly_stopping: {{monitor: {monitor}, patience: 2}}\n\
             phases: {{0: {{params: [classifier], max_transition_epoch: 1}}, 1: {{params: ['encoder.layer.1.output']}}}}"
        )
    };
    let (classes, labels) = (labelled_classes(), labelled(Objective::Labels, false));
    for (task, monitor, comparable) in
        [(&classes, "val_f1", "train_loss, val_loss, val_accuracy"), (&labels, "val_accuracy", "train_loss, val_loss")]
    {
        let told = started(&engine, task, &schedule(monitor), config()).err().expect("an error").to_string();
        assert!(told.contains(monitor) && told.ends_with(&format!("it compares {comparable}")), "{told}");
        started(&engine, task, &schedule("val_loss"), config()).expect("a trainer");
    }
    assert_eq!(classes.scoring(), Scoring::Classes(3));
}

#[test]
fn numbers_beside_sequences_are_the_models() {
    let told =
        |model: &Bert, set: &Sequences| ClassifySequences::new(model, (set, set)).expect_err("an error").to_string();
    let (labels, beside) = (set(9, Objective::Labels, false), set(9, Objective::Labels, true));
    let classes = encoder(Objective::Classes, false);
    assert_eq!(told(&classes, &labels), "the train set has targets: 3, the model 0");
    let model = encoder(Objective::Labels, false);
    assert_eq!(told(&model, &beside), "the train set has numbers beside each: 2, the model 0");
    let model = encoder(Objective::Labels, true);
    assert_eq!(told(&model, &labels), "the train set has numbers beside each: 0, the model 2");
}
