//! The replacement of a form that is wrong on an adapter.

use super::adapter::kernels;
use super::forms::{Form, forms};
use crate::Error;
use crate::engine::kernels::{FAMILIES, Family, Flag};
use crate::engine::{Choices, Engine, Sizes, Tiling};
use std::collections::BTreeMap;

/// An engine on which other forms replace the refused ones.
#[derive(Debug)]
#[non_exhaustive]
pub struct Standing {
    /// The engine; `None` if a kernel is right in no form.
    pub engine: Option<Engine>,
    /// The replacement of each family: its form.
    pub instead: BTreeMap<&'static str, String>,
    /// The first kernel's family that is right in no form.
    pub without: Option<&'static str>,
}

/// Tries the other forms of those families, and takes the first that is right: another tiling of what multiplies matrices,
/// other sizes of workgroups for the rest.
///
/// # Errors
/// From the device: out of memory.
pub fn standing(engine: &Engine, refused: &[&'static Family]) -> Result<Standing, Error> {
    let mut all = Standing { engine: None, instead: BTreeMap::new(), without: None };
    let is_product = |family: &&'static Family| family.kernels().iter().any(|kernel| kernel.has(Flag::Tiled));
    let (products, others): (Vec<_>, Vec<_>) = refused.iter().copied().partition(is_product);
    let mut standing = engine.clone();
    if !others.is_empty() {
        let sizes = if *engine.sizes() == Sizes::PROCESSOR { Sizes::GPU } else { Sizes::PROCESSOR };
        standing = engine.sized(sizes).choosing(engine.choices().clone());
        for family in others {
            if !all.is_right(&standing, family)? {
                all.without = Some(family.name);
                return Ok(all);
            }
        }
    }
    for family in products {
        let usual = standing.choices().instead.get(family.name).copied().unwrap_or(standing.choices().otherwise);
        // Later ones first, so that repeated calls try all of them in turn.
        let at = Tiling::ALL.iter().position(|tiling| *tiling == usual).map_or(0, |at| at + 1);
        let (before, behind) = Tiling::ALL.split_at(at);
        let mut right = None;
        for tiling in behind.iter().chain(before).copied().filter(|tiling| *tiling != usual && tiling.fits(engine)) {
            let mut choices: Choices = standing.choices().clone();
            choices.instead.insert(family.name.to_owned(), tiling);
            let other = standing.choosing(choices);
            if all.is_right(&other, family)? {
                right = Some(other);
                break;
            }
        }
        match right {
            Some(other) => standing = other,
            None => {
                all.without = Some(family.name);
                return Ok(all);
            }
        }
    }
    all.engine = Some(standing);
    Ok(all)
}

/// The family of a kernel, by the kernel's name.
pub fn family_of(kernel: &str) -> Option<&'static Family> {
    let name = kernel.split('.').next().unwrap_or(kernel);
    FAMILIES.into_iter().find(|family| family.name == name)
}

/// The families of these kernels, each once.
pub fn families_of<'a>(kernels: impl IntoIterator<Item = &'a str>) -> Vec<&'static Family> {
    let mut families: Vec<&'static Family> = kernels.into_iter().filter_map(family_of).collect();
    families.sort_by_key(|family| family.name);
    families.dedup();
    families
}

impl Standing {
    /// Whether every kernel of a family is right as this engine makes it.
    fn is_right(&mut self, engine: &Engine, family: &'static Family) -> Result<bool, Error> {
        let forms: Vec<Form> = forms(engine, false);
        let found = kernels(&forms, &|kernel| *kernel.family == *family, |_| ())?;
        let is_right = found.refused.is_empty();
        if is_right {
            self.instead.insert(family.name, forms[0].name.clone());
        }
        Ok(is_right)
    }
}
