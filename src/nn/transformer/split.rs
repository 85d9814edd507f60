//! A pass in two, where all below is frozen: the **trunk**, whose values are the same for an example as long as nothing
//! thaws below the cut, and the **top**, which starts from them.

use super::backward::needed;
use super::memory::Memory;
use super::pass::Pass;
use super::step::{Id, Step};

impl Pass {
    /// The part in which no trainable parameter has a hand; what the [`top`](Pass::top) reads of it stays in memory
    /// behind it, see [`Workspace::kept`](super::Workspace::kept). `None` where there is no linear layer in it, so that
    /// nothing would be saved, and where dropout gives it other values at every step.
    #[must_use]
    pub fn trunk(&self, trainable: impl Fn(&str) -> bool) -> Option<Pass> {
        let Cut { below, inputs, .. } = self.cut(&trainable)?;
        let memory = Memory::of(&self.values, &below, &inputs, &[]);
        Some(Pass { steps: below, memory, kept: inputs, trained: Vec::new(), trains: false, ..self.clone() })
    }

    /// The rest: it starts from values that somebody else puts into [`Workspace::inputs`](super::Workspace::inputs).
    /// `None` where there is no trunk.
    #[must_use]
    pub fn top(&self, trainable: impl Fn(&str) -> bool) -> Option<Pass> {
        let Cut { above, inputs, .. } = self.cut(&trainable)?;
        let memory = Memory::of(&self.values, &above, &self.kept, &inputs);
        Some(Pass { steps: above, memory, inputs, ..self.clone() })
    }

    fn cut(&self, trainable: &dyn Fn(&str) -> bool) -> Option<Cut> {
        let forward = self.steps.iter().position(|step| matches!(step, Step::Loss { .. }))?;
        let needed = needed(&self.steps[..forward], self.values.len(), trainable);
        let is_below = |step: &Step| step.values().1.iter().all(|write| !needed[*write]);
        let (below, mut above): (Vec<Step>, Vec<Step>) = self.steps[..forward].iter().cloned().partition(is_below);
        above.extend_from_slice(&self.steps[forward..]);
        let drops = |step: &Step| match step {
            Step::Dropout { .. } => true,
            Step::Attention { .. } => self.drops_weights(),
            _ => false,
        };
        if !below.iter().any(|step| matches!(step, Step::Linear { .. })) || below.iter().any(drops) {
            return None;
        }
        let mut inputs: Vec<Id> = above.iter().flat_map(|step| step.values().0).collect();
        inputs.sort_unstable();
        inputs.dedup();
        inputs.retain(|value| below.iter().any(|step| step.values().1.contains(value)));
        Some(Cut { below, above, inputs })
    }
}

/// The steps on both sides, and what goes across.
struct Cut {
    below: Vec<Step>,
    above: Vec<Step>,
    inputs: Vec<Id>,
}
