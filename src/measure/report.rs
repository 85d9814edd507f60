//! What was measured, for eyes and for programs.

use super::workload::elements;
use super::{Comparison, Copy, Extent, Host, Product, Quartiles, Size, Target};
use crate::engine::{Choices, Engine};
use std::fmt;

/// All that was measured on one adapter in one run. Its `Display` is a table; it goes to JSON by serde.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The adapter, or the CPU engine.
    pub adapter: String,
    /// Driver and version; empty for the CPU engine.
    pub driver: String,
    /// `discrete`, `integrated`, `virtual`, `software`, `other`, or `cpu`.
    pub kind: &'static str,
    /// The version of this crate.
    pub version: &'static str,
    /// Pairs of steps for each ratio, and the tensors and parameters measured.
    pub pairs: usize,
    /// Tensors of the ratios.
    pub tensors: usize,
    /// Parameters of the ratios.
    pub parameters: usize,
    /// Whether times and ratios are those of the device's timestamps, not of the wall.
    pub timestamps: bool,
    /// How kernels shared out their work.
    pub choices: Choices,
    /// What was measured.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The figures of a report.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Figures {
    /// Copies by the device's command and by a kernel.
    pub copies: Vec<Copy>,
    /// The fused step of AdamW over more and more parameters.
    pub sizes: Vec<Size>,
    /// Ratios, with the project's targets.
    pub comparisons: Vec<Comparison>,
    /// Linear layers.
    pub products: Vec<Product>,
    /// The host's part.
    pub host: Host,
}

impl Report {
    pub(super) fn new(engine: &Engine, extent: &Extent, figures: Figures) -> Report {
        let (driver, kind) =
            engine.adapter().map_or((String::new(), "cpu"), |adapter| (adapter.driver.clone(), adapter.kind));
        let (tensors, parameters) = (extent.tensors.len(), elements(&extent.tensors));
        let (adapter, version) = (engine.name().to_owned(), env!("CARGO_PKG_VERSION"));
        let (pairs, choices, timestamps) = (extent.pairs, engine.choices().clone(), engine.has_timestamps());
        Report { adapter, driver, kind, version, pairs, tensors, parameters, timestamps, choices, figures }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}; {}), gradus {}", self.adapter, self.kind, self.driver, self.version)?;
        let clock = if self.timestamps { "the device's timestamps" } else { "the host's clock" };
        writeln!(f, "times and ratios by {clock}")?;
        writeln!(f, "\n{:48} {:>9} {:>9}", "copies", "ms", "GB/s")?;
        for copy in &self.figures.copies {
            let (milliseconds, rate) = (copy.seconds * 1e3, copy.bytes_per_second() / 1e9);
            writeln!(f, "{:48} {milliseconds:>9.2} {rate:>9.1}", copy.way)?;
        }
        writeln!(
            f,
            "\n{:24} {:>11} {:>11} {:>9} {:>13} {:>9}",
            "adamw, f32, cold", "device ms", "wall ms", "GB/s", "M params/s", "of copy"
        )?;
        for size in &self.figures.sizes {
            line_of_size(f, size)?;
        }
        writeln!(
            f,
            "\nratios of steps in turn, medians of {} pairs [quartiles]; {} parameters in {} tensors",
            self.pairs, self.parameters, self.tensors
        )?;
        writeln!(f, "{:52} {:>8} {:>8}  {:>6}  {:16} target", "", "ms", "against", "ratio", "")?;
        for comparison in &self.figures.comparisons {
            line(f, comparison)?;
        }
        writeln!(f, "\n{:32} {:>9} {:>9} {:>9}", "linear layers, GFLOP/s", "forward", "to input", "to weight")?;
        for product in &self.figures.products {
            let [forward, input, weight] = product.operations_per_second().map(|rate| rate / 1e9);
            let tilings = product.tilings.join(", ");
            writeln!(f, "{:32} {forward:>9.1} {input:>9.1} {weight:>9.1}  {tilings}", product.name)?;
        }
        let host = &self.figures.host;
        writeln!(f, "\n{:52} {:>8} {:>8}  {:>6}  {:16} target", "", "µs", "against", "ratio", "")?;
        let times = [host.step_microseconds.median(), host.empty_microseconds.median()];
        let what = "the host's part of a step / an empty submission";
        ratio(f, what, times, host.ratio, mark(Some(host.target), Some(host.met)))?;
        let what = "a step's share of a submission of 8 / an empty one";
        let times = [host.shared_microseconds.median(), host.empty_microseconds.median()];
        ratio(f, what, times, host.shared_ratio, String::new())
    }
}

fn line_of_size(f: &mut fmt::Formatter<'_>, size: &Size) -> fmt::Result {
    let Size { parameters, device_seconds, wall_seconds, share_of_copy, .. } = size;
    let told = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
    let device = told(device_seconds.map(|seconds| format!("{:.3}", seconds * 1e3)));
    let share = told(share_of_copy.map(|share| format!("{:.1} %", 100.0 * share.median())));
    let (rate, wall) = (size.bytes_per_second() / 1e9, wall_seconds * 1e3);
    let millions = *parameters as f64 / device_seconds.unwrap_or(*wall_seconds) / 1e6;
    let name = format!("{} Mi parameters", parameters >> 20);
    writeln!(f, "{name:24} {device:>11} {wall:>11.3} {rate:>9.1} {millions:>13.0} {share:>9}")
}

fn line(f: &mut fmt::Formatter<'_>, comparison: &Comparison) -> fmt::Result {
    let mark = mark(comparison.target, comparison.met);
    ratio(f, &comparison.what, comparison.milliseconds, comparison.ratio, mark)
}

fn ratio(f: &mut fmt::Formatter<'_>, what: &str, times: [f64; 2], ratio: Quartiles, mark: String) -> fmt::Result {
    let ([first, second], [lower, median, upper]) = (times, ratio.0);
    let quartiles = format!("[{lower:.3}, {upper:.3}]");
    writeln!(f, "{what:52} {first:>8.2} {second:>8.2}  {median:>6.3}  {quartiles:16} {mark}")
}

fn mark(target: Option<Target>, met: Option<bool>) -> String {
    let text = match target {
        None => return String::new(),
        Some(Target::AtMost(most)) => format!("<= {most}"),
        Some(Target::AtLeast(least)) => format!(">= {least}"),
    };
    format!("{text} {}", if met == Some(true) { "pass" } else { "SHORT" })
}
