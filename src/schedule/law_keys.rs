//! The keys that each law's section has, by the law's short name.
//!
//! They are known before anything is read, so that a slip in a key is told as one, and not as a missing key or value.

use crate::params::Field;

/// Names of a length's three keys.
pub(super) type Keys = [&'static str; 3];

pub(super) const OWN: Keys = ["steps", "epochs", "fraction"];
pub(super) const EVERY: Keys = ["every_steps", "every_epochs", "every_fraction"];
pub(super) const CYCLE: Keys = ["cycle_steps", "cycle_epochs", "cycle_fraction"];
pub(super) const UP: Keys = ["up_steps", "up_epochs", "up_fraction"];
pub(super) const DOWN: Keys = ["down_steps", "down_epochs", "down_fraction"];
pub(super) const TIMESCALE: Keys = ["timescale_steps", "timescale_epochs", "timescale_fraction"];
pub(super) const WARMUP: Keys = ["warmup_steps", "warmup_epochs", "warmup_fraction"];
pub(super) const COOLDOWN: Keys = ["cooldown_steps", "cooldown_epochs", "cooldown_fraction"];
pub(super) const MILESTONES: Keys = ["milestones", "milestones_epochs", "milestones_fraction"];

/// All lengths; a law calls each by its first key.
pub(super) const LENGTHS: [Keys; 8] = [OWN, EVERY, CYCLE, UP, DOWN, TIMESCALE, WARMUP, COOLDOWN];

/// Names of a level's two keys, the absolute one first.
pub(super) type LevelKeys = [&'static str; 2];

pub(super) const MIN: LevelKeys = ["min", "min_ratio"];
pub(super) const START: LevelKeys = ["start", "start_ratio"];
pub(super) const END: LevelKeys = ["end", "end_ratio"];
pub(super) const WARMUP_START: LevelKeys = ["warmup_start", "warmup_start_ratio"];
pub(super) const COOLDOWN_END: LevelKeys = ["cooldown_end", "cooldown_end_ratio"];
pub(super) const BETA1: LevelKeys = ["beta1_min", "beta1_min_ratio"];

/// The short names, each with the keys of its own.
const LAWS: [(&str, &[&[&str]]); 18] = [
    ("constant", &[]),
    ("linear", &[&START, &END]),
    ("polynomial", &[&["power"], &MIN]),
    ("exponential", &[&["gamma"], &EVERY]),
    ("step", &[&["gamma"], &EVERY, &MIN]),
    ("multi_step", &[&["gamma"], &MILESTONES]),
    ("multiplicative", &[&["factors"]]),
    ("cosine", &[&MIN, &["k_decay"]]),
    ("cosine_restarts", &[&CYCLE, &["cycle_mult", "cycle_decay", "cycle_limit"], &MIN, &["k_decay"]]),
    ("cyclic", &[&["mode", "gamma"], &UP, &DOWN, &MIN]),
    ("one_cycle", &[&["up_fraction", "div", "final_div", "anneal", "three_phase"]]),
    ("inverse_sqrt", &[&TIMESCALE]),
    ("tanh", &[&["lower", "upper"], &MIN]),
    ("slanted_triangular", &[&["cut_fraction", "ratio", "form"]]),
    ("wsd", &[&["decay_fraction", "checkpoints", "decay"], &MIN]),
    ("plateau", &[&["factor", "patience", "mode", "threshold", "threshold_mode", "cooldown_metrics"], &MIN]),
    ("sequential", &[&["parts"]]),
    ("chained", &[&["parts"]]),
];

/// The short names.
pub(super) const NAMES: [&str; LAWS.len()] = {
    let mut names = [""; LAWS.len()];
    let mut place = 0;
    while place < LAWS.len() {
        names[place] = LAWS[place].0;
        place += 1;
    }
    names
};

/// What keys there are, where no law is named yet: too many to list.
pub(super) const WITHOUT_TYPE: &str = "type and the keys of the law that it names";

/// Whether the law may move beta1 the opposite way.
pub(super) fn has_momentum(name: &str, field: Field, top: bool) -> bool {
    top && field != Field::Beta1 && matches!(name, "one_cycle" | "cyclic")
}

/// The keys of one law, or of all where `name` is none of theirs. `top`: it is no part of another.
pub(super) fn of(name: Option<&str>, field: Field, top: bool) -> Vec<&'static str> {
    let mut keys = vec!["type"];
    if top && field != Field::Lr {
        keys.push("field");
    }
    for (law, own) in LAWS.iter().filter(|(law, _)| name.is_none_or(|name| name == *law)) {
        keys.extend(own.iter().copied().flatten());
        if has_momentum(law, field, top) {
            keys.extend(BETA1);
        }
    }
    keys.extend(OWN);
    keys.push("warmup");
    keys.extend(WARMUP.iter().chain(&WARMUP_START));
    if name != Some("plateau") {
        keys.push("cooldown");
        keys.extend(COOLDOWN.iter().chain(&COOLDOWN_END));
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Error, Spec};

    #[test]
    fn every_key_of_every_law_is_read() {
        let required = [
            ("exponential", "gamma", "1"),
            ("step", "every_steps", "1"),
            ("multi_step", "milestones", "[1]"),
            ("multiplicative", "factors", "[1]"),
            ("cosine_restarts", "cycle_steps", "1"),
            ("cyclic", "up_steps", "1"),
        ];
        for name in NAMES {
            for key in of(Some(name), Field::Lr, true).into_iter().filter(|key| *key != "type") {
                let other = required.iter().find(|(law, needs, _)| *law == name && *needs != key);
                let other = other.map_or(String::new(), |(_, needs, value)| format!("{needs}: {value}, "));
                let text = format!("optimizer: {{type: adamw}}\nlr_scheduler: {{type: {name}, {other}{key}: {{}}}}");
                match Spec::parse("", &text) {
                    Err(Error::BadValue { key: told, .. }) => assert_eq!(told, format!("lr_scheduler.{key}"), "{text}"),
                    other => panic!("{text}: {other:?}"),
                }
            }
        }
    }
}
