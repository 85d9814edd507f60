//! Classes of other programs that are not built, by name.

use super::Rule;

/// A class that is not built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Its path.
    pub class: &'static str,
    /// Why there is none.
    pub why: &'static str,
    /// The rule that comes nearest, and what it takes.
    pub instead: (Rule, &'static str),
}

const fn refused(class: &'static str, why: &'static str, rule: Rule, with: &'static str) -> Refused {
    Refused { class, why, instead: (rule, with) }
}

/// Every class that is refused by its name.
static REFUSED: [Refused; 22] = [
    refused("torch.optim.LBFGS", "it asks for the loss several times a step", Rule::AdamW, ""),
    refused("torch.optim.SparseAdam", "gradients are dense here", Rule::Adam, ""),
    refused("torch.optim.ASGD", "its average starts by a rule of its own", Rule::Sgd, "with ema_decay"),
    refused("torch.optim.Rprop", "it is for gradients of all examples at once", Rule::RmsProp, ""),
    refused("timm.optim.AdaBelief", "its second moment is the variance of the gradient", Rule::AdamW, ""),
    refused("timm.optim.Adahessian", "it needs second derivatives", Rule::AdamW, ""),
    refused(
        "timm.optim.Adafactor",
        "it adds eps to each square, and its rate does not end with 1 / sqrt(t)",
        Rule::Adafactor,
        "",
    ),
    refused(
        "timm.optim.AdafactorBigVision",
        "its second moment is another one, and it may keep a momentum",
        Rule::Adafactor,
        "",
    ),
    refused("timm.optim.Adopt", "it divides by the second moment of the step before", Rule::NAdamW, ""),
    refused("timm.optim.Kron", "it keeps matrices for each dimension of a tensor", Rule::AdamW, ""),
    refused("timm.optim.LaProp", "it divides before it averages", Rule::RmsProp, "with momentum"),
    refused("timm.optim.Lookahead", "it wraps another optimizer", Rule::AdamW, "with ema_decay"),
    refused("timm.optim.MADGRAD", "it averages all gradients since the start", Rule::Adagrad, ""),
    refused("timm.optim.Mars", "it corrects a gradient by the one before", Rule::Adan, ""),
    refused("timm.optim.NvNovoGrad", "it keeps one second moment for a layer", Rule::AdamW, ""),
    refused("timm.optim.RMSpropTF", "its eps stands inside the root", Rule::RmsProp, ""),
    refused("timm.optim.SGDP", "it projects the step", Rule::AdamP, ""),
    refused("timm.optim.SGDW", "its decay acts on the parameter", Rule::Sgd, ""),
    refused(
        "transformers.optimization.Adafactor",
        "it adds eps to each square, and its rate and decay are other ones",
        Rule::Adafactor,
        "",
    ),
    refused("bitsandbytes.optim.AdamW8bit", "its blocks are stored in another way", Rule::AdamW, "with moments: int8"),
    refused("bitsandbytes.optim.Adam8bit", "its blocks are stored in another way", Rule::Adam, "with moments: int8"),
    refused("bitsandbytes.optim.Lion8bit", "its blocks are stored in another way", Rule::Lion, "with moments: bf16"),
];

impl Refused {
    /// Every class that is refused by its name.
    pub fn all() -> &'static [Refused] {
        &REFUSED
    }

    /// The class of this path, or with this as the last part of its path, in any case of its letters. Where a class that is
    /// built ends so too, the path has to begin as the refused one does.
    pub fn named(name: &str) -> Option<&'static Refused> {
        let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_lowercase();
        let first = |path: &str| path.split('.').next().unwrap_or_default().to_lowercase();
        let is_built = Rule::ALL.into_iter().flat_map(Rule::classes).any(|class| last(class) == last(name));
        let is_named = |refused: &&Refused| {
            last(refused.class) == last(name) && (!is_built || first(refused.class) == first(name))
        };
        REFUSED.iter().find(is_named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_not_built() {
        for refused in Refused::all() {
            assert_eq!(Refused::named(refused.class), Some(refused));
            let mut built = Rule::ALL.into_iter().flat_map(Rule::classes);
            assert!(built.all(|path| *path != refused.class), "{}", refused.class);
        }
        assert_eq!(Refused::named("lbfgs").map(|refused| refused.class), Some("torch.optim.LBFGS"));
        for built in ["adamw", "adafactor", "torch.optim.Adafactor", "torch.optim.adafactor.Adafactor"] {
            assert_eq!(Refused::named(built), None);
        }
        let class = Refused::named("transformers.Adafactor").map(|refused| refused.class);
        assert_eq!(class, Some("transformers.optimization.Adafactor"));
    }
}
