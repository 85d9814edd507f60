//! The run's length in the arguments of a class: named by a word, or filled in as by the class's own trainer.

use super::length::Run;
use super::place::Place;
use crate::params::nearest;
use crate::schedule::Error;
use crate::schedule::class::{Arguments, Value};

const EPOCHS: &str = "run.epochs";
const STEPS: &str = "run.steps";
const STEPS_PER_EPOCH: &str = "run.steps_per_epoch";
const WORDS: [&str; 3] = [EPOCHS, STEPS, STEPS_PER_EPOCH];

/// A run to try arguments before the real one is known.
pub(in crate::schedule) const SOME_RUN: Run = Run { steps: 1 << 20, steps_per_epoch: Some(1 << 10) };

/// The arguments with the run's numbers instead of words. `calls` is how often the class is stepped in it.
pub(in crate::schedule) fn resolved(
    place: &Place,
    path: &str,
    arguments: &Arguments,
    run: Run,
    calls: u64,
) -> Result<Arguments, Error> {
    let mut given = Arguments::new();
    for (key, value) in arguments.iter() {
        given.set(key, number(place, key, value, run)?);
    }
    for (key, word) in missing(path, &given) {
        let value = match word {
            Filled::Calls => whole(calls),
            Filled::Nothing => Value::Integer(0),
            Filled::Word(word) => number(place, key, &Value::Text(word.to_owned()), run)?,
        };
        given.set(key, value);
    }
    Ok(given)
}

/// What a trainer puts in.
enum Filled {
    /// The steps of the class.
    Calls,
    Nothing,
    Word(&'static str),
}

/// The arguments that transformers' and pytorch-accelerated's own trainers fill in, if they are missing.
fn missing(path: &str, given: &Arguments) -> Vec<(&'static str, Filled)> {
    let name = path.rsplit('.').next().unwrap_or(path);
    let has = |key| given.get(key).is_some();
    let filled = match name {
        "CosineLrScheduler" => {
            vec![
                ("total_num_epochs", Filled::Word(EPOCHS)),
                ("num_update_steps_per_epoch", Filled::Word(STEPS_PER_EPOCH)),
            ]
        }
        "WSDLrScheduler" if !has("total_steps") => {
            vec![("num_epochs", Filled::Word(EPOCHS)), ("num_update_steps_per_epoch", Filled::Word(STEPS_PER_EPOCH))]
        }
        "get_constant_schedule_with_warmup" | "get_inverse_sqrt_schedule" => {
            vec![("num_warmup_steps", Filled::Nothing)]
        }
        "get_wsd_schedule" if has("num_stable_steps") => vec![("num_warmup_steps", Filled::Nothing)],
        "get_linear_schedule_with_warmup"
        | "get_cosine_schedule_with_warmup"
        | "get_cosine_with_hard_restarts_schedule_with_warmup"
        | "get_polynomial_decay_schedule_with_warmup"
        | "get_cosine_with_min_lr_schedule_with_warmup"
        | "get_cosine_with_min_lr_schedule_with_warmup_lr_rate"
        | "get_wsd_schedule"
        | "get_scheduler" => vec![("num_warmup_steps", Filled::Nothing), ("num_training_steps", Filled::Calls)],
        _ => Vec::new(),
    };
    filled.into_iter().filter(|(key, _)| !has(*key)).collect()
}

/// A value with numbers for the words in it.
fn number(place: &Place, key: &str, value: &Value, run: Run) -> Result<Value, Error> {
    Ok(match value {
        Value::Text(text) if text.starts_with("run.") => length(place, key, text, run)?,
        Value::List(list) => {
            Value::List(list.iter().map(|value| number(place, key, value, run)).collect::<Result<_, Error>>()?)
        }
        Value::Map(map) => {
            let mut numbers = Arguments::new();
            for (inner, value) in map.iter() {
                numbers.set(inner, number(place, &format!("{key}.{inner}"), value, run)?);
            }
            Value::Map(numbers)
        }
        other => other.clone(),
    })
}

fn length(place: &Place, key: &str, word: &str, run: Run) -> Result<Value, Error> {
    let key = format!("init_args.{key}");
    if !WORDS.contains(&word) {
        let allowed = format!("one of {}", WORDS.join(", "));
        return Err(place.bad_near(&key, word, allowed, nearest(word, WORDS)));
    }
    if word == STEPS {
        return Ok(whole(run.steps));
    }
    let Some(of_epoch) = run.steps_per_epoch.filter(|steps| *steps > 0) else {
        let allowed = "a length that is known here: give the steps of an epoch (--steps-per-epoch)";
        return Err(place.bad(&key, word, allowed));
    };
    Ok(whole(if word == STEPS_PER_EPOCH { of_epoch } else { run.steps.div_ceil(of_epoch) }))
}

fn whole(count: u64) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use crate::params::Row;
    use crate::schedule::{Run, Spec};

    const RUN: Run = Run { steps: 20, steps_per_epoch: Some(5) };

    fn lrs(law: &str, run: Run) -> Result<Vec<f64>, String> {
        let spec = Spec::parse("run.yaml", &format!("optimizer: {{type: adamw}}\nlr_scheduler: {law}"));
        let spec = spec.map_err(|error| error.to_string())?;
        let rows = spec.table(&[Row::default()], run.steps, run.steps_per_epoch).map_err(|error| error.to_string())?;
        Ok(rows.iter().map(|row| row.lr).collect())
    }

    #[test]
    fn words_stand_for_the_runs_length() {
        for (words, numbers) in [
            (
                "OneCycleLR, init_args: {max_lr: 0.1, total_steps: run.steps}",
                "OneCycleLR, init_args: {max_lr: 0.1, total_steps: 20}",
            ),
            (
                "OneCycleLR, init_args: {max_lr: 0.1, epochs: run.epochs, steps_per_epoch: run.steps_per_epoch}",
                "OneCycleLR, init_args: {max_lr: 0.1, epochs: 4, steps_per_epoch: 5}",
            ),
            (
                "transformers.get_linear_schedule_with_warmup",
                "transformers.get_linear_schedule_with_warmup, init_args: {num_warmup_steps: 0, num_training_steps: 20}",
            ),
            (
                "transformers.get_scheduler, init_args: {name: cosine, num_warmup_steps: 2}",
                "transformers.get_scheduler, init_args: {name: cosine, num_warmup_steps: 2, num_training_steps: 20}",
            ),
            (
                "transformers.get_cosine_schedule_with_warmup, interval: epoch",
                "transformers.get_cosine_schedule_with_warmup, init_args: {num_warmup_steps: 0, num_training_steps: 4}, interval: epoch",
            ),
            (
                "pytorch_accelerated.schedulers.CosineLrScheduler",
                "pytorch_accelerated.schedulers.CosineLrScheduler, init_args: {total_num_epochs: 4, num_update_steps_per_epoch: 5}",
            ),
            (
                "pytorch_accelerated.schedulers.WSDLrScheduler",
                "pytorch_accelerated.schedulers.WSDLrScheduler, init_args: {total_steps: 20}",
            ),
        ] {
            let (by_words, by_numbers) =
                (lrs(&format!("{{class_path: {words}}}"), RUN), lrs(&format!("{{class_path: {numbers}}}"), RUN));
            assert_eq!(by_words, by_numbers, "{words}");
            assert!(by_words.is_ok(), "{words}: {by_words:?}");
        }
    }

    #[test]
    fn words_that_mean_nothing_are_refused() {
        let law = |total: &str| format!("{{class_path: OneCycleLR, init_args: {{max_lr: 0.1, {total}}}}}");
        let told = lrs(&law("total_steps: run.step"), RUN).unwrap_err();
        let all = "run.epochs, run.steps, run.steps_per_epoch";
        let hint = "(did you mean \"run.steps\"?)";
        assert_eq!(told, format!("run.yaml: lr_scheduler.init_args.total_steps = run.step is not one of {all} {hint}"));
        let unknown = Run { steps_per_epoch: None, ..RUN };
        assert!(lrs(&law("total_steps: run.steps"), unknown).is_ok());
        assert!(
            lrs(&law("epochs: run.epochs, steps_per_epoch: 5"), unknown).unwrap_err().contains("--steps-per-epoch")
        );
    }
}
