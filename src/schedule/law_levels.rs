//! Levels that no group's base reaches.
//!
//! A law moves below the base. A group that starts below an absolute level stays where it is, which is meant where
//! groups start at different rates; where *every* group starts below it, the level is a slip, and refused.

use super::Error;
use super::law::Level;
use super::law_keys::{BETA1, COOLDOWN_END, END, LevelKeys, MIN, START, WARMUP_START};
use super::law_spec::{Kind, LawSpec};
use crate::params::{Field, Row};

impl LawSpec {
    /// Refuses a level above the highest base of these groups.
    pub(super) fn check_levels(&self, groups: &[Row]) -> Result<(), Error> {
        self.check_below(&self.levels(), self.field, groups)?;
        self.check_below(
            &self.beta1.map(|level| (BETA1, level)).into_iter().collect::<Vec<_>>(),
            Field::Beta1,
            groups,
        )?;
        match &self.kind {
            Kind::Sequential(parts) | Kind::Chained(parts) => {
                parts.iter().try_for_each(|part| part.check_levels(groups))
            }
            _ => Ok(()),
        }
    }

    fn check_below(&self, levels: &[(LevelKeys, Level)], field: Field, groups: &[Row]) -> Result<(), Error> {
        let Some(highest) = groups.iter().map(|row| row.get(field)).reduce(f64::max) else { return Ok(()) };
        for (keys, level) in levels {
            if let Level::Absolute(value) = level
                && *value > highest
            {
                let allowed = format!("at most {highest:?}, the highest {field} that a group starts with");
                return Err(self.place.bad(keys[0], value, allowed));
            }
        }
        Ok(())
    }

    fn levels(&self) -> Vec<(LevelKeys, Level)> {
        let edges = [(WARMUP_START, self.warmup), (COOLDOWN_END, self.cooldown)];
        let edges = edges.into_iter().filter_map(|(keys, edge)| Some((keys, edge?.level)));
        let own = match &self.kind {
            Kind::Linear { start, end } => vec![(START, *start), (END, *end)],
            Kind::Polynomial { min, .. }
            | Kind::Step { min, .. }
            | Kind::Cosine { min, .. }
            | Kind::CosineRestarts { min, .. }
            | Kind::Cyclic { min, .. }
            | Kind::Tanh { min, .. }
            | Kind::Wsd { min, .. } => vec![(MIN, *min)],
            Kind::Plateau(plateau, _) => vec![(MIN, plateau.min())],
            _ => Vec::new(),
        };
        edges.chain(own).collect()
    }
}
