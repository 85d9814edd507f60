//! The update rules, a file each that declares what there is to know of one but its arithmetic.
//!
//! The arithmetic of rule `x` is `shaders/optim/rule/<kernel of x>.wgsl`, and its twin has the same name. A rule that is
//! added is these files and a line in [`RULES`].

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod adamw;
mod adan;
mod kinds;
mod lion;
mod nadam;
mod nadamw;
mod numbers;
mod radam;
mod rmsprop;
mod sgd;
mod switch;

pub use kinds::Rule;
pub(crate) use numbers::{Numbers, log};
pub use switch::Switch;

use super::{Field, Row, Storage};
use std::fmt;

/// What there is to know of a rule.
pub(crate) struct Declaration {
    /// Its name in files and messages.
    pub(crate) name: &'static str,
    /// Its name in prose.
    pub(crate) title: &'static str,
    /// The paths of the classes that do the same.
    pub(crate) classes: &'static [&'static str],
    /// The family of kernels that updates by it, which rules may share.
    pub(crate) kernel: &'static str,
    /// Its fields beside the decay of an average and the clip norm, in the order in which they are told, each with the
    /// value that its class begins with.
    pub(crate) fields: &'static [(Field, f64)],
    /// What is on or off.
    pub(crate) switches: &'static [Switch],
    /// What its class calls the slots of state.
    pub(crate) slots: &'static [&'static str],
    /// A last slot that is there where a switch is on.
    pub(crate) optional_slot: Option<(Switch, &'static str)>,
    /// Whether the product of its momenta is part of its state.
    pub(crate) has_product: bool,
    /// How its state may be stored.
    pub(crate) storages: &'static [Storage],
    /// Whether parameters and gradients may be bf16.
    pub(crate) stores_bf16: bool,
    /// Whether an average of the parameters can be kept beside it.
    pub(crate) keeps_average: bool,
    /// What the device is told of a row.
    pub(crate) numbers: fn(&Row) -> Numbers,
}

/// A rule of moments in f32; each declaration says where it differs.
const PLAIN: Declaration = Declaration {
    name: "",
    title: "",
    classes: &[],
    kernel: "",
    fields: &[],
    switches: &[Switch::Maximize],
    slots: &[],
    optional_slot: None,
    has_product: false,
    storages: &[Storage::F32],
    stores_bf16: false,
    keeps_average: true,
    numbers: Numbers::coupled,
};

/// The fields of a rule after Adam, with its betas and eps, and these of its own.
const fn with_betas(lr: f64, weight_decay: f64) -> [(Field, f64); 5] {
    [
        (Field::Lr, lr),
        (Field::WeightDecay, weight_decay),
        (Field::Beta1, 0.9),
        (Field::Beta2, 0.999),
        (Field::Eps, 1e-8),
    ]
}

/// Every rule with its declaration.
static RULES: [(Rule, &Declaration); 12] = [
    (Rule::AdamW, &adamw::ADAMW),
    (Rule::Adam, &adam::ADAM),
    (Rule::Sgd, &sgd::SGD),
    (Rule::Adadelta, &adadelta::ADADELTA),
    (Rule::Adagrad, &adagrad::ADAGRAD),
    (Rule::Adamax, &adamax::ADAMAX),
    (Rule::NAdam, &nadam::NADAM),
    (Rule::RAdam, &radam::RADAM),
    (Rule::RmsProp, &rmsprop::RMSPROP),
    (Rule::Lion, &lion::LION),
    (Rule::NAdamW, &nadamw::NADAMW),
    (Rule::Adan, &adan::ADAN),
];

impl Rule {
    /// Every rule.
    pub const ALL: [Rule; 12] = [
        Rule::AdamW,
        Rule::Adam,
        Rule::Sgd,
        Rule::Adadelta,
        Rule::Adagrad,
        Rule::Adamax,
        Rule::NAdam,
        Rule::RAdam,
        Rule::RmsProp,
        Rule::Lion,
        Rule::NAdamW,
        Rule::Adan,
    ];

    /// Its name in files and messages.
    pub fn name(self) -> &'static str {
        self.declaration().name
    }

    /// Its name in prose.
    pub fn title(self) -> &'static str {
        self.declaration().title
    }

    /// The rule of this name.
    pub fn named(name: &str) -> Option<Rule> {
        Rule::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// The paths of the classes of other programs that do the same.
    pub fn classes(self) -> &'static [&'static str] {
        self.declaration().classes
    }

    /// What its class calls the slots of state, with those of all its switches.
    pub fn slots(self) -> impl Iterator<Item = &'static str> {
        let declaration = self.declaration();
        declaration.slots.iter().copied().chain(declaration.optional_slot.map(|(_, slot)| slot))
    }

    /// Its switches.
    pub fn switches(self) -> &'static [Switch] {
        self.declaration().switches
    }

    /// How its state may be stored.
    pub fn storages(self) -> &'static [Storage] {
        self.declaration().storages
    }

    /// Whether parameters and gradients may be bf16.
    pub fn stores_bf16(self) -> bool {
        self.declaration().stores_bf16
    }

    /// Whether an average of the parameters can be kept beside it.
    pub fn keeps_average(self) -> bool {
        self.declaration().keeps_average
    }

    pub(crate) fn declaration(self) -> &'static Declaration {
        RULES[self as usize].1
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_own_declaration() {
        for (place, (rule, declaration)) in RULES.iter().enumerate() {
            assert_eq!((Rule::ALL[place], *rule as usize), (*rule, place));
            assert_eq!(Rule::named(declaration.name), Some(*rule));
            assert!(declaration.fields[0].0 == Field::Lr && declaration.storages[0] == Storage::F32);
        }
    }
}
