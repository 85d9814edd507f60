//! The update rules.

use std::fmt;

/// How a group's parameters are updated, with the names and numbers of `torch.optim`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// `torch.optim.AdamW`: decay acts on the parameter (Loshchilov & Hutter 2019, arXiv 1711.05101).
    #[default]
    AdamW,
    /// `torch.optim.Adam`: decay joins the gradient (Kingma & Ba 2015, arXiv 1412.6980).
    Adam,
    /// `torch.optim.SGD`: momentum, dampening, Nesterov's momentum; decay joins the gradient.
    Sgd,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Rule; 3] = [Rule::AdamW, Rule::Adam, Rule::Sgd];

    /// Its name in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Rule::AdamW => "adamw",
            Rule::Adam => "adam",
            Rule::Sgd => "sgd",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
