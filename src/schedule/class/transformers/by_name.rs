//! The functions by their short names.

use super::super::reader::Reader;
use super::super::{Value, build};
use super::{Arguments, Built};

/// Short names and their functions.
const NAMES: &[(&str, &str)] = &[
    ("linear", "get_linear_schedule_with_warmup"),
    ("cosine", "get_cosine_schedule_with_warmup"),
    ("cosine_with_restarts", "get_cosine_with_hard_restarts_schedule_with_warmup"),
    ("polynomial", "get_polynomial_decay_schedule_with_warmup"),
    ("constant", "get_constant_schedule"),
    ("constant_with_warmup", "get_constant_schedule_with_warmup"),
    ("inverse_sqrt", "get_inverse_sqrt_schedule"),
    ("reduce_lr_on_plateau", "get_reduce_on_plateau_schedule"),
    ("cosine_with_min_lr", "get_cosine_with_min_lr_schedule_with_warmup"),
    ("cosine_warmup_with_min_lr", "get_cosine_with_min_lr_schedule_with_warmup_lr_rate"),
    ("warmup_stable_decay", "get_wsd_schedule"),
    ("greedy", "get_greedy_schedule"),
];

/// The function of a short name.
pub(in super::super) fn function(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(short, _)| *short == name).map(|(_, function)| *function)
}

/// `transformers.get_scheduler`: a name, the steps if the function takes them, and the rest in
/// scheduler_specific_kwargs.
pub(super) fn make(arguments: &Arguments) -> Built {
    let known = ["name", "num_warmup_steps", "num_training_steps", "scheduler_specific_kwargs"];
    let reader = Reader::new("get_scheduler", arguments, &known)?;
    let name = if let Some(Value::Text(name)) = reader.given("name") { name.as_str() } else { "" };
    let Some(function) = function(name) else {
        let short: Vec<&str> = NAMES.iter().map(|(short, _)| *short).collect();
        return Err(reader.bad("name", &format!("one of {}", short.join(", "))));
    };
    let mut passed = match reader.given("scheduler_specific_kwargs") {
        // The constant takes none of them.
        Some(Value::Map(specific)) if name != "constant" => specific.clone(),
        None | Some(Value::Map(_)) => Arguments::new(),
        Some(_) => return Err(reader.bad("scheduler_specific_kwargs", "a mapping of arguments")),
    };
    let steps: &[&str] = match name {
        "constant" | "reduce_lr_on_plateau" | "greedy" => &[],
        "constant_with_warmup" | "inverse_sqrt" => &["num_warmup_steps"],
        _ => &["num_warmup_steps", "num_training_steps"],
    };
    for step in steps {
        if let Some(value) = reader.given(step) {
            passed.set(*step, value.clone());
        }
    }
    build(function, &passed)
}
