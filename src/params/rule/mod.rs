//! The update rules, a file each that declares what there is to know of one but its arithmetic.
//!
//! The arithmetic of rule `x` is `shaders/optim/rule/<kernel of x>.wgsl`, and its twin has the same name. A rule that is
//! added is these files and a line in [`RULES`].

mod adadelta;
mod adafactor;
mod adagrad;
mod adam;
mod adamax;
mod adamp;
mod adamw;
mod adamw_schedulefree;
mod adan;
mod kinds;
mod lamb;
mod lars;
mod lion;
mod muon;
mod nadam;
mod nadamw;
mod numbers;
mod radam;
mod refused;
mod rmsprop;
mod sgd;
mod sgd_schedulefree;
mod switch;

pub use kinds::Rule;
pub(crate) use numbers::{Numbers, log};
pub use refused::Refused;
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
    /// The text of its arithmetic, at whose head the formula stands.
    pub(crate) text: &'static str,
    /// Where it differs from its class on purpose.
    pub(crate) differences: &'static [&'static str],
    /// Its fields beside the decay of an average and the clip norm, in the order in which they are told, each with the
    /// value that its class begins with.
    pub(crate) fields: &'static [(Field, f64)],
    /// What is on or off.
    pub(crate) switches: &'static [Switch],
    /// Those of them that its class begins with on.
    pub(crate) begins_with: &'static [Switch],
    /// What its class calls the slots of state.
    pub(crate) slots: &'static [&'static str],
    /// A last slot that is there where a switch is on.
    pub(crate) optional_slot: Option<(Switch, &'static str)>,
    /// The slot that is evaluated in the parameters' place.
    pub(crate) evaluated: Option<usize>,
    /// What its class calls the numbers that it carries from step to step, two at most.
    pub(crate) carried: &'static [&'static str],
    /// The sums over each tensor, or over its rows, that it needs before its step.
    pub(crate) sums: Option<Sums>,
    /// How its state may be stored.
    pub(crate) storages: &'static [Storage],
    /// Whether it is for matrices alone.
    pub(crate) needs_matrices: bool,
    /// Whether there is a dampening of its momentum.
    pub(crate) has_dampening: bool,
    /// Whether parameters and gradients may be bf16.
    pub(crate) stores_bf16: bool,
    /// Whether an average of the parameters can be kept beside it.
    pub(crate) keeps_average: bool,
    /// What the device is told of a row.
    pub(crate) numbers: fn(&Row) -> Numbers,
}

/// What sums over a tensor are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sums {
    /// Parameters and gradients.
    OfValues,
    /// Those and the state.
    WithState,
    /// Those and the state, over each row of a matrix; none of a vector.
    OverRows,
    /// Those and the state, which is the rows and the columns of each matrix; of a vector each element's own.
    Factored,
}

/// A rule of moments in f32; each declaration says where it differs.
const PLAIN: Declaration = Declaration {
    name: "",
    title: "",
    classes: &[],
    kernel: "",
    text: "",
    differences: &[],
    fields: &[],
    switches: &[Switch::Maximize],
    begins_with: &[],
    slots: &[],
    optional_slot: None,
    evaluated: None,
    carried: &[],
    sums: None,
    storages: &[Storage::F32],
    needs_matrices: false,
    has_dampening: false,
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
static RULES: [(Rule, &Declaration); 19] = [
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
    (Rule::Lamb, &lamb::LAMB),
    (Rule::Lars, &lars::LARS),
    (Rule::AdamP, &adamp::ADAMP),
    (Rule::Muon, &muon::MUON),
    (Rule::Adafactor, &adafactor::ADAFACTOR),
    (Rule::AdamWScheduleFree, &adamw_schedulefree::ADAMW_SCHEDULEFREE),
    (Rule::SgdScheduleFree, &sgd_schedulefree::SGD_SCHEDULEFREE),
];

impl Rule {
    /// Every rule.
    pub const ALL: [Rule; 19] = [
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
        Rule::Lamb,
        Rule::Lars,
        Rule::AdamP,
        Rule::Muon,
        Rule::Adafactor,
        Rule::AdamWScheduleFree,
        Rule::SgdScheduleFree,
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

    /// Its formula, a line each: `g` is the gradient as it is clipped, `p` a parameter, `t` the steps applied to its tensor.
    /// Decay comes before: where it acts on the parameter, `p` is `p (1 - lr weight_decay)`, else `g` is
    /// `g + weight_decay p`.
    pub fn formula(self) -> impl Iterator<Item = &'static str> {
        let head = self.declaration().text.lines().take_while(|line| line.starts_with("//"));
        head.filter_map(|line| line.strip_prefix("//   "))
    }

    /// What decay does where no switch says otherwise: `joins the gradient`, `acts on the parameter`, or `stands in the formula`.
    pub fn decay(self) -> &'static str {
        let row = Row::of(self).lr(0.5).weight_decay(1.0);
        let Numbers { is_coupled, decay, .. } = (self.declaration().numbers)(&row);
        match (is_coupled, decay == 1.0) {
            (true, _) => "joins the gradient",
            (false, false) => "acts on the parameter",
            (false, true) => "stands in the formula",
        }
    }

    /// Where it differs from its class on purpose.
    pub fn differences(self) -> &'static [&'static str] {
        self.declaration().differences
    }

    /// Whether its step needs sums over each tensor, so that it is longer than that of a rule that looks at each element alone.
    pub fn needs_sums(self) -> bool {
        self.declaration().sums.is_some()
    }

    /// What its class calls the numbers that it carries from step to step.
    pub fn carried(self) -> impl Iterator<Item = &'static str> {
        self.declaration().carried.iter().copied()
    }

    /// The slot among these that is there by a switch alone.
    pub fn optional_slot(self) -> Option<(Switch, &'static str)> {
        self.declaration().optional_slot
    }

    /// Its switches.
    pub fn switches(self) -> &'static [Switch] {
        self.declaration().switches
    }

    /// How its state may be stored.
    pub fn storages(self) -> &'static [Storage] {
        self.declaration().storages
    }

    /// Whether it is for parameters of two dimensions alone.
    pub fn needs_matrices(self) -> bool {
        self.declaration().needs_matrices
    }

    /// Whether there is a dampening of its momentum, with which Nesterov's cannot be.
    pub fn has_dampening(self) -> bool {
        self.declaration().has_dampening
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
            assert!(rule.formula().any(|line| line.trim_start().starts_with("p <-")), "{rule}");
        }
    }
}
