//! The learning-rate range test: the rates of a sweep, their smoothed losses, where the sweep stops, and the suggested
//! rates.
//!
//! It trains with rates from very small to very large, one rate a step, and looks for where the loss falls (Smith 2015,
//! arXiv 1506.01186, section 3.3; the exponential sweep, the smoothing and the stop are fastai's). `docs/lr_find.md`
//! has the formulas, and how Lightning's namesake differs. [`Trainer::lr_find`](crate::train::Trainer::lr_find) runs
//! one.
//!
//! ```
//! use gradus::schedule::lr_find::{Curve, Rule, Sweep};
//!
//! let sweep = Sweep::default().start(1e-4).end(1.0).num(40).beta(0.5);
//! let mut curve = Curve::new(&sweep)?;
//! while !curve.is_over() {
//!     let lr = sweep.rate(curve.points().len() as u32);
//!     let loss = 2.0 - (1e3 * lr).min(1.0) + (10.0 * lr).powi(2); // from training, really
//!     curve.push(loss);
//! }
//! assert_eq!(curve.points().len(), 34); // after the next step the smoothed loss was over 4 times the best
//! let found = curve.suggestion(Rule::Valley).map(|suggestion| suggestion.lr);
//! assert!(found.is_some_and(|lr| lr > 1e-4 && lr < 1e-2), "{found:?}");
//! # Ok::<(), gradus::schedule::Error>(())
//! ```

mod curve;
mod suggestion;
mod sweep;

pub use curve::{Curve, End, Point};
pub use suggestion::{Axis, Rule, Suggestion};
pub use sweep::{Form, Scale, Sweep};
