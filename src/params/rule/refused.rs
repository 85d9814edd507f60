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
static REFUSED: [Refused; 21] = [
    refused("torch.optim.LBFGS", "it asks for the loss several times a step", Rule::AdamW, ""),
    refused("torch.optim.SparseAdam", "gradients are dense here", Rule::Adam, ""),
    refused("torch.optim.ASGD", "its average starts by a rule of its own", Rule::Sgd, "with ema_decay"),
    refused("torch.optim.Rprop", "it is for gradients of all examples at once", Rule::RmsProp, ""),
    refused("torch.optim.Adafactor", "it keeps sums of rows and columns", Rule::AdamW, "with moments: int8"),
    refused("timm.optim.AdaBelief", "its second moment is the variance of the gradient", Rule::AdamW, ""),
    refused("timm.optim.Adahessian", "it needs second derivatives", Rule::AdamW, ""),
    refused("timm.optim.AdafactorBigVision", "it keeps sums of rows and columns", Rule::AdamW, "with moments: int8"),
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
    refused("bitsandbytes.optim.AdamW8bit", "its blocks are stored in another way", Rule::AdamW, "with moments: int8"),
    refused("bitsandbytes.optim.Adam8bit", "its blocks are stored in another way", Rule::Adam, "with moments: int8"),
    refused("bitsandbytes.optim.Lion8bit", "its blocks are stored in another way", Rule::Lion, "with moments: bf16"),
];

impl Refused {
    /// Every class that is refused by its name.
    pub fn all() -> &'static [Refused] {
        &REFUSED
    }

    /// The class of this path, or with this as the last part of its path, in any case of its letters.
    pub fn named(name: &str) -> Option<&'static Refused> {
        let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_lowercase();
        REFUSED.iter().find(|refused| last(refused.class) == last(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_not_built() {
        for refused in Refused::all() {
            assert_eq!(Refused::named(refused.class), Some(refused));
            let last = refused.class.rsplit('.').next();
            let mut built = Rule::ALL.into_iter().flat_map(Rule::classes);
            assert!(built.all(|path| path.rsplit('.').next() != last), "{}", refused.class);
        }
        assert_eq!(Refused::named("lbfgs").map(|refused| refused.class), Some("torch.optim.LBFGS"));
        assert_eq!(Refused::named("adamw"), None);
    }
}
