//! Steps of two programs in turn, and what their times say.

use crate::Failure;
use crate::partner::Partner;
use gradus::measure::Quartiles;
use serde::Serialize;
use std::time::Instant;

/// How much is measured of a pairing.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Pairs of turns, at most.
    pub most_pairs: usize,
    /// Seconds after which no more pairs are begun.
    pub seconds: f64,
    /// Pairs even if they take longer.
    pub least_pairs: usize,
}

impl Extent {
    /// What quartiles need.
    pub const FULL: Extent = Extent { most_pairs: 31, seconds: 60.0, least_pairs: 3 };
    /// Enough for a look.
    pub const QUICK: Extent = Extent { most_pairs: 15, seconds: 10.0, least_pairs: 1 };
}

/// What two programs took for the same steps.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Their time by ours, of each pair: lower quartile, median, upper quartile. Above 1: ours is faster.
    pub ratio: Quartiles,
    /// Pairs after it.
    pub pairs: usize,
    /// Steps of a turn; its time is their median.
    pub steps: usize,
    /// Elements of the parameters.
    pub parameters: usize,
    /// The other program.
    pub theirs: Side,
    /// gradus.
    pub ours: Side,
}

/// One program's part.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// What it ran on.
    pub device: String,
    /// Of a step, the median over the pairs.
    pub milliseconds: f64,
    /// From the program's start to the end of its first step.
    pub first_step_seconds: f64,
    /// After the first step and after the last.
    pub losses: [f64; 2],
}

/// Takes steps of ours and theirs in turn.
///
/// # Errors
/// From either program; if their models differ in size.
pub fn measure(ours: &mut Partner, theirs: &mut Partner, extent: Extent) -> Result<Measured, Failure> {
    let parameters = [&ours, &theirs].map(|partner| partner.ready.parameters);
    if parameters[0] != parameters[1] {
        return Err(format!("not the same model: {} parameters against our {}", parameters[1], parameters[0]).into());
    }
    let slower = ours.step()?.max(theirs.step()?);
    let steps = steps_of_a_turn(slower);
    let mut times = [Vec::new(), Vec::new()];
    let started = Instant::now();
    while times[0].len() < extent.most_pairs
        && (times[0].len() < extent.least_pairs || started.elapsed().as_secs_f64() < extent.seconds)
    {
        times[0].push(turn(ours, steps)?);
        times[1].push(turn(theirs, steps)?);
    }
    let ratios = times[0].iter().zip(&times[1]).map(|(ours, theirs)| theirs / ours).collect();
    let pairs = times[0].len();
    let [our_times, their_times] = times;
    Ok(Measured {
        ratio: Quartiles::of(ratios),
        pairs,
        steps,
        parameters: parameters[0],
        theirs: side(theirs, their_times)?,
        ours: side(ours, our_times)?,
    })
}

/// Odd, so that one of them is the middle one; more for short steps, of which the first finds the caches full of the other
/// program's data.
fn steps_of_a_turn(slower_seconds: f64) -> usize {
    match slower_seconds {
        seconds if seconds < 0.015 => 9,
        seconds if seconds < 0.05 => 3,
        _ => 1,
    }
}

/// Seconds of a step: the median of so many.
fn turn(partner: &mut Partner, steps: usize) -> Result<f64, Failure> {
    let seconds = (0..steps).map(|_| partner.step()).collect::<Result<Vec<f64>, Failure>>()?;
    Ok(Quartiles::of(seconds).median())
}

fn side(partner: &mut Partner, seconds: Vec<f64>) -> Result<Side, Failure> {
    Ok(Side {
        device: partner.ready.device.clone(),
        milliseconds: Quartiles::of(seconds).median() * 1e3,
        first_step_seconds: partner.ready.first_step_seconds,
        losses: [partner.ready.loss, partner.loss()?],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// A program whose steps take these seconds one after the other, the last one from then on.
    fn program(parameters: usize, seconds: &str) -> Partner {
        let script = format!(
            "echo ready cpu {parameters} 0.5 2.0 a device; set -- {seconds}
             while read question; do
                 if [ $question = loss ]; then echo loss 1.5; continue; fi
                 echo seconds $1; [ $# -gt 1 ] && shift
             done"
        );
        Partner::start(Command::new("sh").args(["-c", &script])).expect("a shell")
    }

    #[test]
    fn the_ratio_is_of_neighbours() {
        let extent = Extent { most_pairs: 3, ..Extent::FULL };
        // The first step of each only tells how long they take. The machine slows: ratios stay, 2, 4 and 2.
        let (mut ours, mut theirs) = (program(5, "9 1 2 4"), program(5, "9 2 8 8"));
        let measured = measure(&mut ours, &mut theirs, extent).expect("times");
        assert_eq!((measured.ratio.0, measured.pairs, measured.steps), ([2.0, 2.0, 2.0], 3, 1));
        assert_eq!((measured.ours.milliseconds, measured.theirs.milliseconds), (2e3, 8e3));
        assert_eq!((measured.ours.losses, measured.parameters), ([2.0, 1.5], 5));
    }

    #[test]
    fn short_steps_have_turns_of_several() {
        assert_eq!([0.001, 0.02, 0.1, 20.0].map(steps_of_a_turn), [9, 3, 1, 1]);
        let extent = Extent { most_pairs: 1, ..Extent::FULL };
        let (mut ours, mut theirs) = (program(5, "0.02 0.07 0.02 0.01"), program(5, "0.02 0.02 0.08 0.04"));
        let measured = measure(&mut ours, &mut theirs, extent).expect("times");
        assert_eq!((measured.ratio.median(), measured.steps), (2.0, 3));
    }

    #[test]
    fn models_of_different_sizes_are_not_compared() {
        let failed = measure(&mut program(5, "1"), &mut program(6, "1"), Extent::QUICK).expect_err("they differ");
        assert_eq!(failed.to_string(), "not the same model: 6 parameters against our 5");
    }
}
