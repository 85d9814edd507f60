//! Whether ranks are about to train the same run.

use super::saved::{MadeOn, RunOf};
use super::trainer::Among;
use super::{Error, Trainer};
use crate::dist::Collective;
use serde::{Deserialize, Serialize};

/// What a rank says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Standing {
    made_on: MadeOn,
    run: RunOf,
    steps: u64,
    /// By what they are: checksums of what is too long to be sent.
    sums: Vec<(String, String)>,
}

impl Standing {
    /// The first thing in which another rank differs: what, there, and here.
    fn differs(&self, there: &Standing) -> Option<[String; 3]> {
        let made_on = self.made_on.differs(&there.made_on);
        let run = made_on.or_else(|| self.run.differs(&there.run));
        run.or_else(|| {
            let pairs = there.sums.iter().zip(&self.sums).find(|(there, here)| there != here);
            pairs.map(|((what, there), (_, here))| [what.clone(), there.clone(), here.clone()])
        })
        .or_else(|| {
            let steps = (there.steps, self.steps);
            (steps.0 != steps.1).then(|| ["the length of the run".to_owned(), steps.0.to_string(), steps.1.to_string()])
        })
    }
}

impl Trainer {
    /// Trains among ranks from now on: call it on every rank before the first step, after [`resume`](Trainer::resume). Every rank has
    /// made its trainer with its [`Config::rank`](super::Config::rank), and takes the same steps from then on; each returns once the
    /// others have done their part. The first rank alone writes checkpoints and files.
    ///
    /// # Errors
    /// [`Error::OtherRanks`] for a collective of other ranks than the trainer's. [`Error::RanksDiffer`] if ranks are not of one version,
    /// on the same kind of adapter with the same kernels, with the same settings, data, parameters and state.
    pub fn join(&mut self, mut collective: Box<dyn Collective>) -> Result<(), Error> {
        let (here, there) = (self.config.rank, collective.rank());
        if here != there {
            return Err(Error::OtherRanks { here, there });
        }
        if here.is_alone() {
            return Ok(());
        }
        let own = self.standing()?;
        let text = serde_json::to_vec(&own).unwrap_or_default();
        let others = collective.each_at_length(&text)?;
        let read = |bytes: &Vec<u8>| serde_json::from_slice::<Standing>(bytes).ok();
        let first = others.first().and_then(read);
        for (rank, other) in others.iter().enumerate().skip(1) {
            // What cannot be read is another version's.
            let differs = match (&first, read(other)) {
                (Some(first), Some(other)) => other.differs(first),
                _ => Some(["gradus", "of another version", "of another version"].map(str::to_owned)),
            };
            if let Some([what, there, here]) = differs {
                return Err(Error::RanksDiffer { rank, what, there, here });
            }
        }
        self.among = Some(Among::new(collective));
        self.forget_programs();
        Ok(())
    }

    fn standing(&mut self) -> Result<Standing, Error> {
        let sum = |bytes: &[u8]| format!("{:08x}", crc32fast::hash(bytes));
        let cursor = serde_json::to_vec(&self.cursor).unwrap_or_default();
        // Of moments that are shared out each rank has others.
        let state = if self.config.settings.shard.is_some() { Vec::new() } else { self.optimizer.read_state()? };
        let sums = [
            ("the data", self.task.sum()?),
            ("the position of the run", sum(&cursor)),
            ("the parameters", sum(&self.parameters.read_file()?)),
            ("the state of the optimizer", sum(&state)),
            ("shard_optimizer", self.config.shard_optimizer.to_string()),
        ];
        Ok(Standing {
            made_on: MadeOn::of(&self.engine),
            run: self.run_of(),
            steps: self.plan.steps(),
            sums: sums.map(|(what, sum)| (what.to_owned(), sum)).to_vec(),
        })
    }
}
