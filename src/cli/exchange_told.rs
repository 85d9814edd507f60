//! What ranks will exchange in each phase of a run: bytes, and seconds by the links that are given.

use super::plan_options::Links;
use gradus::params::Param;
use gradus::schedule::Plan;

/// Bytes that a host adds up in a second on the cores that a rank has, at the least: what two cores of a virtual machine did here.
const SUM_BYTES_PER_SECOND: f64 = 4e9;

/// Bytes of a gradient's element.
const ELEMENT_BYTES: f64 = 4.0;

/// Seconds of the stages of a step's exchange.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stages {
    bytes: f64,
    down: f64,
    link: f64,
    sum: f64,
    up: f64,
}

impl Stages {
    /// Of so many elements.
    fn of(elements: usize, links: &Links) -> Stages {
        let (bytes, ranks) = (elements as f64 * ELEMENT_BYTES, links.ranks as f64);
        let bus = bytes / (links.bus * 1e9);
        // Each rank sends and gets its part of every other's gradients, and then the sums.
        let link = 2.0 * bytes * (ranks - 1.0) / ranks / (links.link * 1e9);
        // It reads its part of all gradients.
        let sum = if links.ranks > 1 { bytes / SUM_BYTES_PER_SECOND } else { 0.0 };
        Stages { bytes, down: bus, link, sum, up: bus }
    }

    fn whole(&self) -> f64 {
        self.down + self.link + self.sum + self.up
    }
}

/// A table of the phases; without phases, one line.
pub(super) fn told(plan: &Plan, params: &[Param], links: &Links) -> String {
    let mut text = format!(
        "{} ranks, {} GB/s between them, {} GB/s between host and device: what a step adds to that of one rank, one stage after the \
         other\n\n{:>6}  {:>12}  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}\n",
        links.ranks, links.link, links.bus, "phase", "gradients", "down", "link", "sums", "up", "in all"
    );
    let mut elements = 0;
    for (number, phase) in plan.phases().iter().enumerate() {
        elements += phase.params.iter().map(|place| params[*place].elements()).sum::<usize>();
        let stages = Stages::of(elements, links);
        let columns = [stages.down, stages.link, stages.sum, stages.up, stages.whole()].map(seconds);
        text.push_str(&format!("{number:>6}  {:>9.2} MB", stages.bytes / 1e6));
        columns.iter().for_each(|column| text.push_str(&format!("  {column:>10}")));
        text.push('\n');
    }
    text
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.2} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_follow_from_bytes_and_links() {
        let links = Links { ranks: 4, link: 12.5, bus: 25.0 };
        let stages = Stages::of(1_000_000_000, &links);
        assert_eq!(stages, Stages { bytes: 4e9, down: 0.16, link: 0.48, sum: 1.0, up: 0.16 });
        assert!((stages.whole() - 1.8).abs() < 1e-12);
        let alone = Stages::of(1_000_000_000, &Links { ranks: 1, ..links });
        assert_eq!((alone.link, alone.sum), (0.0, 0.0));
        assert_eq!([seconds(0.0123), seconds(2.5)], ["12.30 ms", "2.50 s"]);
    }
}
