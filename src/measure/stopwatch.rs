//! How long work takes: by the device's timestamps around it if there are any, else by the host's clock.

use crate::Error;
use crate::engine::{self, Engine, Report, Ring, Submission};
use std::time::Instant;

/// Seconds of work that was waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Seconds {
    /// Between the device's timestamps, if it has them.
    pub device: Option<f64>,
    /// From the call to the end of the wait.
    pub wall: f64,
}

impl Seconds {
    /// A timestamp that has not moved is invalid.
    pub(super) fn new(device: Option<f64>, wall: f64) -> Seconds {
        Seconds { device: device.filter(|seconds| *seconds > 0.0), wall }
    }

    /// The device's, else the wall's.
    pub fn best(&self) -> f64 {
        self.device.unwrap_or(self.wall)
    }

    /// This time by another one, both by one clock.
    pub fn by(&self, other: &Seconds) -> f64 {
        match (self.device, other.device) {
            (Some(one), Some(other)) => one / other,
            _ => self.wall / other.wall,
        }
    }
}

/// Times submissions, one at a time.
#[derive(Debug)]
pub(super) struct Stopwatch {
    engine: Engine,
    /// Carries timestamps and nothing else.
    ring: Ring,
}

impl Stopwatch {
    pub(super) fn new(engine: &Engine) -> Result<Stopwatch, Error> {
        Ok(Stopwatch { engine: engine.clone(), ring: engine.ring(Vec::new())? })
    }

    /// Runs a submission and waits for it.
    pub(super) fn time(&self, submission: Submission<'_>) -> Result<Seconds, Error> {
        let report = Some(Report::new(&self.ring, 0));
        let started = Instant::now();
        self.engine.submit(&Submission { report, ..submission })?;
        self.engine.wait()?;
        let (mut device, wall) = (None, started.elapsed().as_secs_f64());
        self.engine.collect(&self.ring, |delivery| {
            device = delivery.device_seconds;
            Ok::<(), engine::Error>(())
        })?;
        Ok(Seconds::new(device, wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_by_one_clock() {
        let both = |device: f64, wall: f64| Seconds::new(Some(device), wall);
        let wall = |wall: f64| Seconds::new(None, wall);
        assert_eq!(both(1.0, 5.0).by(&both(2.0, 6.0)), 0.5);
        assert_eq!(both(1.0, 5.0).by(&wall(10.0)), 0.5, "one has no timestamps");
        assert_eq!(both(1.0, 5.0).by(&both(0.0, 10.0)), 0.5, "timestamps that have not moved");
        assert_eq!((both(1.0, 5.0).best(), wall(5.0).best()), (1.0, 5.0));
    }
}
