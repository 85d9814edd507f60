//! Which engine a command runs on.

use super::kernels;
use super::pipelines::Pipelines;
use super::say::tell;
use super::says::Says;
use gradus::engine::{AdapterChoice, Choices, Engine, list_adapters};
use gradus::train::MadeOn;
use std::cell::RefCell;
use std::env;

/// What was asked for, on the command line or in the environment.
pub(super) struct Asks {
    /// The adapter, if given.
    pub(super) adapter: Option<AdapterChoice>,
    /// `--kernels`.
    pub(super) kernels: Option<String>,
    /// Whether the device's timestamps are wanted.
    pub(super) timestamps: bool,
    /// What another rank has chosen for kernels: nothing is measured then.
    choices: Option<Choices>,
    /// Of the engines that were opened.
    pipelines: RefCell<Vec<Pipelines>>,
}

impl Asks {
    /// The value of the command line, else of the environment.
    pub(super) fn of(adapter: Option<&str>, kernels: Option<&str>, timestamps: bool) -> Asks {
        let of_env = || env::var("GRADUS_ADAPTER").ok();
        let adapter = adapter.map(str::to_owned).or_else(of_env).filter(|text| !text.trim().is_empty());
        let adapter = adapter.map(|text| AdapterChoice::parse(&text));
        Asks { adapter, kernels: kernels.map(str::to_owned), timestamps, choices: None, pipelines: RefCell::default() }
    }

    /// The same on another adapter, if one is given.
    pub(super) fn on(&self, adapter: Option<&AdapterChoice>) -> Asks {
        Asks {
            adapter: adapter.or(self.adapter.as_ref()).cloned(),
            kernels: self.kernels.clone(),
            timestamps: self.timestamps,
            choices: self.choices.clone(),
            pipelines: RefCell::default(),
        }
    }

    /// The same with the kernels of another rank.
    pub(super) fn choosing(&self, choices: Choices) -> Asks {
        Asks { choices: Some(choices), ..self.on(None) }
    }

    /// An engine with the kernels that it is to take.
    fn chosen(&self, engine: &Engine) -> anyhow::Result<Engine> {
        match &self.choices {
            Some(choices) => Ok(engine.choosing(choices.clone())),
            None => kernels::chosen(engine, self.kernels.as_deref()),
        }
    }

    /// An adapter's engine, with timestamps as they are wanted.
    pub(super) fn open(&self, choice: &AdapterChoice) -> anyhow::Result<Engine> {
        let engine = Engine::new(choice)?;
        self.pipelines.borrow_mut().extend(Pipelines::of(&engine));
        Ok(if self.timestamps { engine } else { engine.untimed() })
    }

    /// The adapter that was asked for, else the best.
    pub(super) fn choice(&self) -> AdapterChoice {
        self.adapter.clone().unwrap_or_default()
    }

    /// Keeps what drivers have compiled for the next call.
    pub(super) fn keep_pipelines(&self) {
        self.pipelines.borrow().iter().for_each(Pipelines::keep);
    }

    /// The engine for training. By default, without a GPU, it is the CPU engine, which is faster than shaders on the
    /// same cores.
    pub(super) fn engine(&self, says: Says) -> anyhow::Result<Engine> {
        let choice = match &self.adapter {
            None if list_adapters().first().is_none_or(|best| best.kind == "software") => {
                if says >= Says::Usual {
                    tell!(
                        "no GPU found: training on the CPU engine (--adapter software runs the shaders on the processor)"
                    );
                }
                AdapterChoice::Cpu
            }
            asked => asked.clone().unwrap_or_default(),
        };
        self.chosen(&self.open(&choice)?)
    }

    /// The engine of a resumed run: the one that it ran on, if it exists and no other is asked for.
    pub(super) fn engine_of(&self, made_on: Option<&MadeOn>, says: Says) -> anyhow::Result<Engine> {
        let Some(made_on) = made_on else { return self.engine(says) };
        let engine = match (&self.adapter, &made_on.adapter) {
            (Some(asked), _) => self.open(asked)?,
            (None, None) => Engine::cpu(),
            (None, Some([name, ..])) => match self.open(&AdapterChoice::Named(name.clone())) {
                Ok(engine) => engine,
                Err(_) => return self.engine(says),
            },
        };
        let is_the_same = MadeOn::of(&engine).adapter == made_on.adapter;
        if is_the_same && self.kernels.is_none() && env::var_os("GRADUS_KERNELS").is_none_or(|text| text.is_empty()) {
            return Ok(engine.choosing(made_on.kernels.clone()));
        }
        self.chosen(&engine)
    }
}
