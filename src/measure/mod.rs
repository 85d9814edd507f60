//! Measures an adapter: the speed of copies and of the fused step, the cost of groups, tensors and frozen parameters,
//! and the speed and best tiling of linear layers.
//!
//! Machines drift: a ratio is the median over pairs of steps taken in turn, with a wait after each; a step's share of a
//! copy's bandwidth compares it with a copy of as many bytes. Times are those of the device's timestamps if it has
//! them. Bytes are the programs' own count.
//!
//! Needs the feature `nn`.
//!
//! Invariant: this room prints nothing; only it, the command line and the search for a batch size use a clock.

mod choices;
mod comparisons;
mod copies;
mod host;
mod products;
mod report;
mod sizes;
mod step;
mod stopwatch;
mod subject;
pub mod workload;

pub use choices::choices;
pub use comparisons::{Comparison, Target};
pub use copies::Copy;
pub use host::Host;
pub use products::Product;
pub use report::{Figures, Report};
pub use sizes::Size;
pub use step::{Memory, Quartiles, Step};
pub use stopwatch::Seconds;

use crate::Error;
use crate::engine::{self, Engine};
use crate::optim;
use crate::params::Param;
use crate::setters::setters;

/// How much is measured.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Extent {
    /// Parameters of the largest step; a step over n of them holds 16 n bytes.
    pub most_parameters: usize,
    /// Pairs of steps for each ratio.
    pub pairs: usize,
    /// The parameters that ratios are measured on.
    pub tensors: Vec<Param>,
    /// Multiplications of the largest product of matrices: on software 4096 by 4096 by 4096 takes a minute.
    pub most_multiplications: usize,
    /// How often a small product is repeated in one submission, at most.
    pub most_repeats: usize,
    /// Parameters of the step that copies are compared with; `None`: those of `tensors`.
    pub copied_parameters: Option<usize>,
}

impl Extent {
    setters! {
        most_parameters: usize,
        pairs: usize,
        tensors: Vec<Param>,
        most_multiplications: usize,
        most_repeats: usize,
        copied_parameters: impl Into<Option<usize>>,
    }

    /// What a few minutes allow, on the encoder of [`workload`]: up to 512 Mi parameters on a GPU, if they fit, and 64
    /// Mi in software.
    pub fn of(engine: &Engine) -> Extent {
        let (most_parameters, most_multiplications, most_repeats, copied_parameters) = match engine.is_software() {
            true => (64 << 20, 1 << 30, 1, None),
            false => (512 << 20, usize::MAX, 64, Some(64 << 20)),
        };
        let tensors = workload::encoder();
        Extent { most_parameters, pairs: 31, tensors, most_multiplications, most_repeats, copied_parameters }
    }
}

/// Bytes that AdamW's fused step over 4 Mi parameters moves in a second.
///
/// # Errors
/// From the device.
pub fn optimizer_bytes_per_second(engine: &Engine) -> Result<f64, Error> {
    Ok(sizes::measure(engine, 4 << 20)?.map_or(f64::NAN, |size| size.bytes_per_second()))
}

/// Measures everything; `tell` hears what comes next.
///
/// # Errors
/// From the device. A step that it has no room for is left out.
pub fn adapter(engine: &Engine, extent: &Extent, mut tell: impl FnMut(&str)) -> Result<Report, Error> {
    tell("copies");
    let copies = copies::measure(engine)?;
    let mut sizes = Vec::new();
    for parameters in sizes::PARAMETERS.into_iter().filter(|parameters| *parameters <= extent.most_parameters) {
        tell(&format!("a step over {parameters} parameters"));
        sizes.extend(sizes::measure(engine, parameters)?);
    }
    let comparisons = comparisons::measure(engine, extent, &mut tell)?;
    tell("products of matrices");
    let products = products::measure(engine, extent)?;
    tell("the host's part of a step");
    let host = host::measure(engine)?;
    Ok(Report::new(engine, extent, Figures { copies, sizes, comparisons, products, host }))
}

/// Whether an error says that the device has no room.
fn is_about_room(error: &Error) -> bool {
    let is_room =
        |error: &engine::Error| matches!(error, engine::Error::OutOfMemory { .. } | engine::Error::TooLarge { .. });
    match error {
        Error::Engine(error) | Error::Optim(optim::Error::Engine(error)) => is_room(error),
        _ => false,
    }
}
