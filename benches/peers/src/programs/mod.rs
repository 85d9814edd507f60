//! The programs that take steps: ours on two engines, and those of other libraries.

#[cfg(feature = "burn")]
mod burn;
#[cfg(feature = "meganeura")]
mod meganeura;
mod ours;

use crate::Failure;
use crate::workload::Workload;

/// One workload on one library.
pub trait Steps {
    /// Name of the adapter, and behind a semicolon whatever else is to be known of it.
    fn device(&self) -> String;

    /// `software` for an adapter that is one, `cpu` for none at all, else `gpu`.
    fn kind(&self) -> &'static str;

    /// Elements of all parameters.
    fn parameters(&self) -> usize;

    /// Makes what a step needs and is not part of it.
    ///
    /// # Errors
    /// From the device.
    fn prepare(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Takes one whole step and waits for the device.
    ///
    /// # Errors
    /// From the device.
    fn step(&mut self) -> Result<(), Failure>;

    /// The loss, a step old at most.
    ///
    /// # Errors
    /// From the device.
    fn loss(&mut self) -> Result<f64, Failure>;
}

/// A program of this project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Program {
    /// gradus on the best adapter, or the one that `GRADUS_ADAPTER` names.
    Gradus,
    /// gradus on its CPU engine.
    GradusCpu,
    /// burn on wgpu, with fusion and tuning.
    Burn,
    /// meganeura on blade-graphics.
    Meganeura,
}

impl Program {
    /// Whether it was built.
    pub fn is_built(self) -> bool {
        match self {
            Program::Gradus | Program::GradusCpu => true,
            Program::Burn => cfg!(feature = "burn"),
            Program::Meganeura => cfg!(feature = "meganeura"),
        }
    }

    /// Builds the workload's model.
    ///
    /// # Errors
    /// Without an adapter; from the device; if the program was not built.
    pub fn open(self, workload: Workload) -> Result<Box<dyn Steps>, Failure> {
        let work = workload.work();
        match self {
            Program::Gradus => ours::open(&gradus::engine::AdapterChoice::from_env(), &work),
            Program::GradusCpu => ours::open(&gradus::engine::AdapterChoice::Cpu, &work),
            #[cfg(feature = "burn")]
            Program::Burn => burn::open(&work),
            #[cfg(feature = "meganeura")]
            Program::Meganeura => meganeura::open(&work),
            #[cfg(not(all(feature = "burn", feature = "meganeura")))]
            _ => Err("it was not built".into()),
        }
    }
}
