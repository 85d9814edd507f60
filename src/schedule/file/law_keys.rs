//! The keys that a law's section has.

use super::edge::Edge;
use super::length::OWN;
use crate::params::Field;
use crate::schedule::law::LAWS;
use crate::schedule::law::words::{BETA1, Words};

/// The list of keys before a law is named: they are too many.
pub(super) const WITHOUT_TYPE: &str = "type and the keys of the law that it names";

/// Whether the law may move beta1 the opposite way. `top`: it is not part of another law.
pub(super) fn has_beta1(law: &Words, field: Field, top: bool) -> bool {
    top && field != Field::Beta1 && law.moves_beta1
}

/// The keys of one law, or of all laws.
pub(super) fn of(law: Option<&Words>, field: Field, top: bool) -> Vec<&'static str> {
    let mut keys = vec!["type"];
    if top && field != Field::Lr {
        keys.push("field");
    }
    for known in LAWS.iter().filter(|known| law.is_none_or(|law| law.name == known.name)) {
        keys.extend(known.keys.iter().copied().flatten());
        if has_beta1(known, field, top) {
            keys.extend(BETA1);
        }
    }
    keys.extend(OWN);
    keys.extend(Edge::warm_up_keys());
    if law.is_none_or(|law| law.no_cooldown.is_none()) {
        keys.extend(Edge::cool_down_keys());
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
        for law in LAWS {
            let name = law.name;
            for key in of(Some(law), Field::Lr, true).into_iter().filter(|key| *key != "type") {
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
