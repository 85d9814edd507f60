//! The row: one group's hyper-parameters at one step.

use super::{Field, Rule, Storage};
use crate::setters::setters;

/// Hyper-parameters of a group, with the names of `torch.optim`. A field that the group's rule does not have is not
/// looked at.
///
/// ```
/// use gradus::params::{Row, Storage};
/// let row = Row::adamw(1e-4).weight_decay(0.05).beta2(0.99).moments(Storage::Bf16).clip_norm(1.0);
/// assert_eq!((row.lr, row.beta1, row.clip_norm), (1e-4, 0.9, Some(1.0)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// The update rule. A group keeps its rule.
    pub rule: Rule,
    /// Learning rate, ≥ 0.
    pub lr: f64,
    /// Weight decay, ≥ 0.
    pub weight_decay: f64,
    /// Adam and AdamW: decay rate of the first moment, in [0, 1).
    pub beta1: f64,
    /// Adam and AdamW: decay rate of the second moment, in [0, 1).
    pub beta2: f64,
    /// Adam and AdamW: added to the root of the second moment after bias correction, ≥ 0.
    pub eps: f64,
    /// Adam and AdamW: divide by the largest second moment so far (Reddi et al. 2018).
    pub amsgrad: bool,
    /// How moments are stored; a group keeps its storage. SGD's buffer is f32.
    pub moments: Storage,
    /// Adan: decay rate of the second moment, in [0, 1); its beta2 is that of the gradient's differences.
    pub beta3: f64,
    /// RMSprop: decay rate of the second moment, in [0, 1].
    pub alpha: f64,
    /// Adadelta: decay rate of both moments, in [0, 1].
    pub rho: f64,
    /// Adagrad: the rate is divided by 1 + (count − 1) lr_decay, ≥ 0.
    pub lr_decay: f64,
    /// Adagrad: what the sum of squares begins with, ≥ 0.
    pub initial_accumulator_value: f64,
    /// NAdam: how fast the momentum rises, ≥ 0.
    pub momentum_decay: f64,
    /// RMSprop: the variance of the gradient replaces its square.
    pub centered: bool,
    /// NAdam and RAdam: decay acts on the parameter instead of joining the gradient.
    pub decoupled_weight_decay: bool,
    /// Adan: decay acts before the step instead of after it.
    pub no_prox: bool,
    /// LARS: what the trust ratio is multiplied by, ≥ 0.
    pub trust_coeff: f64,
    /// AdamP: how near to a right angle gradient and parameters are at one, ≥ 0.
    pub delta: f64,
    /// AdamP: what the decay is multiplied by where the step has no part along the parameters, ≥ 0.
    pub wd_ratio: f64,
    /// Schedule-Free: the power of the count in a step's weight, ≥ 0.
    pub r: f64,
    /// Schedule-Free: the power of the largest lr so far in a step's weight, ≥ 0.
    pub weight_lr_power: f64,
    /// Adafactor: the second moment takes count^beta2_decay of a gradient's square, ≤ 0.
    pub beta2_decay: f64,
    /// Adafactor: the least that counts as the root mean square of a tensor's parameters, ≥ 0.
    pub eps2: f64,
    /// Adafactor: the largest root mean square of an update before its rate, > 0.
    pub d: f64,
    /// LAMB and LARS: the trust ratio is 1 at most.
    pub trust_clip: bool,
    /// LAMB and LARS: the trust ratio counts without any decay too.
    pub always_adapt: bool,
    /// Muon: lr is multiplied by 0.2 sqrt(max(rows, columns)) instead of sqrt(max(1, rows / columns)), so that a step is about
    /// as long as one of AdamW's.
    pub match_rms_adamw: bool,
    /// SGD and RMSprop: how much of the momentum buffer is kept, ≥ 0; 0 does not use the buffer and steps along the
    /// gradient.
    pub momentum: f64,
    /// SGD: the buffer takes 1 − dampening of a gradient, but all of the first one.
    pub dampening: f64,
    /// SGD: step along the gradient plus momentum times the buffer. Needs a momentum and no dampening.
    pub nesterov: bool,
    /// Climb instead of descend.
    pub maximize: bool,
    /// Gradients of all groups together are clipped to this norm, > 0; `None`: as the optimizer's settings say. It is one
    /// number for a whole step, so every group's row has the same; but see
    /// [`Group::clipped_with`](crate::params::Group::clipped_with).
    pub clip_norm: Option<f64>,
    /// Keep a moving average of the parameters too: after each step ema ← decay · ema + (1 − decay) · p, in [0, 1], from
    /// the parameters after the first step on (torch's `swa_utils.AveragedModel` with `get_ema_multi_avg_fn`). `None`:
    /// there is none. A group keeps one from its start or never.
    pub ema_decay: Option<f64>,
}

impl Default for Row {
    /// `torch.optim.AdamW`'s.
    fn default() -> Row {
        Row {
            rule: Rule::AdamW,
            lr: 1e-3,
            weight_decay: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            amsgrad: false,
            moments: Storage::F32,
            beta3: 0.99,
            alpha: 0.99,
            rho: 0.9,
            lr_decay: 0.0,
            initial_accumulator_value: 0.0,
            momentum_decay: 4e-3,
            centered: false,
            decoupled_weight_decay: false,
            no_prox: false,
            trust_coeff: 1e-3,
            delta: 0.1,
            wd_ratio: 0.1,
            r: 0.0,
            weight_lr_power: 2.0,
            beta2_decay: -0.8,
            eps2: 1e-3,
            d: 1.0,
            trust_clip: false,
            always_adapt: false,
            match_rms_adamw: false,
            momentum: 0.0,
            dampening: 0.0,
            nesterov: false,
            maximize: false,
            clip_norm: None,
            ema_decay: None,
        }
    }
}

impl Row {
    setters! {
        rule: Rule,
        lr: f64,
        weight_decay: f64,
        beta1: f64,
        beta2: f64,
        eps: f64,
        amsgrad: bool,
        moments: Storage,
        beta3: f64,
        alpha: f64,
        rho: f64,
        lr_decay: f64,
        initial_accumulator_value: f64,
        momentum_decay: f64,
        centered: bool,
        decoupled_weight_decay: bool,
        no_prox: bool,
        trust_coeff: f64,
        delta: f64,
        wd_ratio: f64,
        r: f64,
        weight_lr_power: f64,
        beta2_decay: f64,
        eps2: f64,
        d: f64,
        trust_clip: bool,
        always_adapt: bool,
        match_rms_adamw: bool,
        momentum: f64,
        dampening: f64,
        nesterov: bool,
        maximize: bool,
        clip_norm: impl Into<Option<f64>>,
        ema_decay: impl Into<Option<f64>>,
    }

    /// AdamW with this rate, else with `torch.optim`'s defaults.
    pub fn adamw(lr: f64) -> Row {
        Row::of(Rule::AdamW).lr(lr)
    }

    /// Adam with this rate, else with `torch.optim`'s defaults.
    pub fn adam(lr: f64) -> Row {
        Row::of(Rule::Adam).lr(lr)
    }

    /// SGD with this rate, else with `torch.optim`'s defaults.
    pub fn sgd(lr: f64) -> Row {
        Row::of(Rule::Sgd).lr(lr)
    }

    /// The row of a rule with the defaults of its class.
    pub fn of(rule: Rule) -> Row {
        let (declaration, row) = (rule.declaration(), Row { rule, ..Row::default() });
        let mut row = declaration.fields.iter().fold(row, |row, (field, value)| row.with(*field, *value));
        declaration.begins_with.iter().for_each(|switch| *switch.of(&mut row) = true);
        row
    }

    /// Whether a field means anything to this row: its rule has it, or it is a clip norm or the decay of an average and there
    /// is one.
    pub fn has(&self, field: Field) -> bool {
        match field {
            Field::ClipNorm => self.clip_norm.is_some(),
            Field::EmaDecay => self.ema_decay.is_some(),
            _ => self.rule.declaration().fields.iter().any(|(known, _)| *known == field),
        }
    }

    /// Whether an average is evaluated in the parameters' place: one of `ema_decay`, or the rule's own.
    pub fn evaluates_an_average(&self) -> bool {
        self.ema_decay.is_some() || self.rule.declaration().evaluated.is_some()
    }

    /// The fields that this row [has](Row::has), in the order of [`Field::ALL`].
    pub fn fields(&self) -> impl Iterator<Item = Field> + use<> {
        let row = *self;
        Field::ALL.into_iter().filter(move |field| row.has(*field))
    }

    /// The value of a field; infinity is a clip norm, or the decay of an average, that is not there.
    pub fn get(&self, field: Field) -> f64 {
        match field {
            Field::Lr => self.lr,
            Field::WeightDecay => self.weight_decay,
            Field::Beta1 => self.beta1,
            Field::Beta2 => self.beta2,
            Field::Eps => self.eps,
            Field::Momentum => self.momentum,
            Field::Beta3 => self.beta3,
            Field::Alpha => self.alpha,
            Field::Rho => self.rho,
            Field::LrDecay => self.lr_decay,
            Field::InitialAccumulatorValue => self.initial_accumulator_value,
            Field::MomentumDecay => self.momentum_decay,
            Field::TrustCoeff => self.trust_coeff,
            Field::Delta => self.delta,
            Field::WdRatio => self.wd_ratio,
            Field::R => self.r,
            Field::WeightLrPower => self.weight_lr_power,
            Field::Beta2Decay => self.beta2_decay,
            Field::Eps2 => self.eps2,
            Field::D => self.d,
            Field::ClipNorm => self.clip_norm.unwrap_or(f64::INFINITY),
            Field::EmaDecay => self.ema_decay.unwrap_or(f64::INFINITY),
        }
    }

    /// The row with one field changed; a clip norm of infinity is none, and an average with a decay of infinity neither.
    #[must_use]
    pub fn with(mut self, field: Field, value: f64) -> Row {
        match field {
            Field::Lr => self.lr = value,
            Field::WeightDecay => self.weight_decay = value,
            Field::Beta1 => self.beta1 = value,
            Field::Beta2 => self.beta2 = value,
            Field::Eps => self.eps = value,
            Field::Momentum => self.momentum = value,
            Field::Beta3 => self.beta3 = value,
            Field::Alpha => self.alpha = value,
            Field::Rho => self.rho = value,
            Field::LrDecay => self.lr_decay = value,
            Field::InitialAccumulatorValue => self.initial_accumulator_value = value,
            Field::MomentumDecay => self.momentum_decay = value,
            Field::TrustCoeff => self.trust_coeff = value,
            Field::Delta => self.delta = value,
            Field::WdRatio => self.wd_ratio = value,
            Field::R => self.r = value,
            Field::WeightLrPower => self.weight_lr_power = value,
            Field::Beta2Decay => self.beta2_decay = value,
            Field::Eps2 => self.eps2 = value,
            Field::D => self.d = value,
            Field::ClipNorm => self.clip_norm = (value != f64::INFINITY).then_some(value),
            Field::EmaDecay => self.ema_decay = (value != f64::INFINITY).then_some(value),
        }
        self
    }
}
