//! Many parameters of a model in a few words.

use gradus::params::Shown;
use std::collections::BTreeMap;

/// Names that are listed one by one.
const FEW: usize = 4;

/// A few names as they are. Of more their number and the modules that they belong to: `32 tensors: encoder.layer.[4, 5].*`.
pub(super) fn in_short<T: AsRef<str>>(names: &[T]) -> String {
    if names.len() <= FEW {
        return all(names);
    }
    let mut modules: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for name in names {
        let (module, layer) = module(name.as_ref());
        let layers = modules.entry(module).or_default();
        layers.extend(layer.filter(|layer| !layers.contains(layer)));
    }
    let shown: Vec<String> = modules.iter().map(|(module, layers)| pattern(module, layers)).collect();
    format!("{} tensors: {}", names.len(), shown.join(", "))
}

/// Every name.
pub(super) fn all<T: AsRef<str>>(names: &[T]) -> String {
    names.iter().map(|name| Shown(name.as_ref()).to_string()).collect::<Vec<_>>().join(", ")
}

/// What stands before the number of a layer, and that number; else the first word of the name.
fn module(name: &str) -> (String, Option<u64>) {
    let words: Vec<&str> = name.split('.').collect();
    match words.iter().position(|word| word.parse::<u64>().is_ok()) {
        Some(place) if place > 0 => (words[..place].join("."), words[place].parse().ok()),
        _ => (words[0].to_owned(), None),
    }
}

fn pattern(module: &str, layers: &[u64]) -> String {
    let module = Shown(module);
    match layers {
        [] => format!("{module}.*"),
        [layer] => format!("{module}.{layer}.*"),
        layers => format!("{module}.[{}].*", layers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_counted_and_few_are_listed() {
        assert_eq!(in_short(&["head.weight", "head.bias"]), "head.weight, head.bias");
        let many = ["h.0.w", "h.0.b", "h.11.w", "h.11.b", "embeddings.word.weight"];
        assert_eq!(in_short(&many), "5 tensors: embeddings.*, h.[0, 11].*");
    }
}
