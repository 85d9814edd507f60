//! The same training by two optimizers: gradus' over Burn's buffers, and Burn's own.

use crate::share::{Failure, Lender, Lent};
use burn::lr_scheduler::constant::ConstantLr;
use burn::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamGroup};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use gradus::engine::Range;
use gradus::optim::{External, Optimizer, Settings};
use gradus::params::{self, Group, Row};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A model and its optimizer. At first everything is frozen.
pub trait Side<M> {
    fn model(&self) -> &M;
    /// These groups train from now on.
    fn thaw(&mut self, groups: &[Group]) -> Result<(), Failure>;
    /// The rows of the steps from this one on, `[steps, groups]`.
    fn load(&mut self, step: u64, rows: &[Row]) -> Result<(), Failure>;
    /// Takes a step.
    fn update(&mut self, gradients: GradientsParams) -> Result<(), Failure>;
}

pub struct Ours<'a, M> {
    pub lender: &'a mut Lender,
    pub model: M,
    pub optimizer: Optimizer,
    /// Parameters with their shapes and places, held for as long as they are trained.
    pub lent: Vec<Lent>,
    /// What it took to find the latest step's gradients, to bind them, and how many they were.
    pub finding: Duration,
    pub binding: Duration,
    pub found: usize,
}

impl<'a, M: Module> Ours<'a, M> {
    pub fn new(lender: &'a mut Lender, model: M) -> Result<Ours<'a, M>, Failure> {
        let lent = lender.lend(&model, None)?;
        let external = |lent: &Lent| External::new(params::Param::new(&lent.name, &lent.shape[..]), lent.range.clone());
        let externals: Vec<External> = lent.iter().map(external).collect();
        let optimizer = Optimizer::over(&lender.engine, &externals, &[], Settings::default())?;
        let (finding, binding) = Default::default();
        Ok(Ours { lender, model, optimizer, lent, finding, binding, found: 0 })
    }
}

impl<M: Module> Side<M> for Ours<'_, M> {
    fn model(&self) -> &M {
        &self.model
    }

    fn thaw(&mut self, groups: &[Group]) -> Result<(), Failure> {
        for group in groups {
            self.model = self.model.clone().unfreeze_group(ParamGroup::from_paths(group.params.clone()));
        }
        Ok(self.optimizer.add_groups(groups)?)
    }

    fn load(&mut self, step: u64, rows: &[Row]) -> Result<(), Failure> {
        Ok(self.optimizer.load_rows(step, rows)?)
    }

    fn update(&mut self, gradients: GradientsParams) -> Result<(), Failure> {
        let begin = Instant::now();
        let lent = self.lender.lend(&self.model, Some(gradients))?;
        let found = Instant::now();
        let places: Vec<(&str, Range)> = lent.iter().map(|lent| (lent.name.as_str(), lent.range.clone())).collect();
        self.optimizer.rebind(&places)?;
        (self.finding, self.binding, self.found) = (found - begin, found.elapsed(), lent.len());
        Ok(self.optimizer.step()?)
    }
}

pub struct Theirs<M> {
    /// Gone while it is updated.
    model: Option<M>,
    optimizer: ModuleOptimizer,
    groups: Vec<ParamGroup>,
    rates: VecDeque<ModuleLearningRate>,
    /// Burn clips each tensor by its own norm. This one is of all gradients together, on Burn's tensors.
    pub clip_norm: Option<f64>,
}

impl<M: Module> Theirs<M> {
    pub fn new(model: M) -> Theirs<M> {
        let (optimizer, groups, rates) = (AdamWConfig::new().init(), Vec::new(), VecDeque::new());
        Theirs { model: Some(model.map(&mut OwnMemory)), optimizer, groups, rates, clip_norm: None }
    }
}

impl<M: Module> Side<M> for Theirs<M> {
    fn model(&self) -> &M {
        self.model.as_ref().expect("a model")
    }

    fn thaw(&mut self, groups: &[Group]) -> Result<(), Failure> {
        for Group { params, row, .. } in groups {
            let group = ParamGroup::from_paths(params.clone());
            let config = AdamWConfig::new().with_beta_1(row.beta1 as f32).with_beta_2(row.beta2 as f32);
            let config = config.with_epsilon(row.eps as f32).with_weight_decay(row.weight_decay as f32);
            self.optimizer = self.optimizer.clone().with_group(group.clone(), config.build(), None);
            self.model = self.model.take().map(|model| model.unfreeze_group(group.clone()));
            self.groups.push(group);
        }
        Ok(())
    }

    fn load(&mut self, _: u64, rows: &[Row]) -> Result<(), Failure> {
        let rates = |rows: &[Row]| {
            let none = ModuleLrScheduler::new(ConstantLr::from(0.0));
            let groups = self.groups.iter().cloned().zip(rows);
            groups.fold(none, |all, (group, row)| all.with_group(group, ConstantLr::from(row.lr))).step()
        };
        self.rates = rows.chunks(self.groups.len()).map(rates).collect();
        self.clip_norm = rows[0].clip_norm;
        Ok(())
    }

    fn update(&mut self, mut gradients: GradientsParams) -> Result<(), Failure> {
        let model = self.model.take().ok_or("a step failed")?;
        if let Some(clip_norm) = self.clip_norm {
            let mut clip = Clip { gradients, squares: Tensor::zeros([1], &model.devices()[0]).inner(), factor: None };
            model.visit(&mut clip);
            clip.factor = Some(((clip.squares.clone().sqrt() + 1e-6).recip() * clip_norm).clamp_max(1.0));
            model.visit(&mut clip);
            gradients = clip.gradients;
        }
        let rates = self.rates.pop_front().ok_or("no rates for this step")?;
        self.model = Some(self.optimizer.step(rates, model, gradients));
        Ok(())
    }
}

/// Adds up squares; once there is a factor, multiplies.
struct Clip {
    gradients: GradientsParams,
    squares: Tensor<1>,
    factor: Option<Tensor<1>>,
}

impl ModuleVisitor for Clip {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
        match &self.factor {
            None => self.squares = self.squares.clone() + gradient.square().sum(),
            Some(factor) => self.gradients.register(param.id, gradient * factor.clone().reshape([1; D])),
        }
    }
}

/// Gives every parameter memory of its own: a clone of a module shares its tensors, and gradus writes into them.
struct OwnMemory;

impl ModuleMapper for OwnMemory {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| Tensor::from_data(tensor.to_data(), &tensor.device()))
    }
}
