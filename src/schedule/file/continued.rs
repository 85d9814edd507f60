//! The schedule of a run that continues another's stable phase.

use super::edge::Edge;
use super::law_spec::{Kind, LawSpec, Said};
use super::spec::Spec;
use crate::params::Field;
use crate::schedule::class::Value;

impl Spec {
    /// The schedule of a run that continues from before or after a decay: its stable phase begins at once, without a
    /// warm-up. `None` if the lr's law has no decays.
    pub fn continued(mut self) -> Option<Spec> {
        let law = self.laws.iter_mut().find(|law| law.field() == Field::Lr)?;
        law.go_on_stable().then_some(self)
    }
}

impl LawSpec {
    /// Whether it is a law with decays, which then has no warm-up any more.
    fn go_on_stable(&mut self) -> bool {
        match &mut self.kind {
            Kind::Law(Said { decays: true, .. }) => {
                self.warmup = None;
                let keys: Vec<&str> = Edge::warm_up_keys().collect();
                self.raw = std::mem::take(&mut self.raw).without(&keys);
                true
            }
            Kind::Class(class) if class.path.ends_with("WSDLrScheduler") => {
                class.arguments.set("is_continuation_from_checkpoint", Value::Bool(true));
                self.raw = self.raw.with_argument("is_continuation_from_checkpoint", true);
                true
            }
            _ => false,
        }
    }
}
