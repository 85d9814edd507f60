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
    let numbered: Vec<String> =
        names.iter().filter_map(|name| numbered(name.as_ref())).map(|(module, _)| module).collect();
    for name in names {
        let (module, layer) = module(name.as_ref(), &numbered);
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

/// The name before the number of a layer, and that number.
fn numbered(name: &str) -> Option<(String, u64)> {
    let words: Vec<&str> = name.split('.').collect();
    let layer = |(place, word): (usize, &&str)| Some((words[..place].join("."), word.parse().ok()?));
    words.iter().enumerate().skip(1).find_map(layer)
}

/// The module of a name, and its layer if it has a number. Without a number the module is the first word, and the
/// second too if the first has modules whose layers are `numbered`.
fn module(name: &str, numbered_modules: &[String]) -> (String, Option<u64>) {
    if let Some((module, layer)) = numbered(name) {
        return (module, Some(layer));
    }
    let is_wider = |first: &str| numbered_modules.iter().any(|module| module.split('.').next() == Some(first));
    let words: Vec<&str> = name.split('.').collect();
    let depth = if is_wider(words[0]) { 2.min(words.len()) } else { 1 };
    (words[..depth].join("."), None)
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
        let inside = ["lm_head.weight", "body.norm.weight", "body.norm.bias", "body.h.2.w", "body.h.2.b"];
        assert_eq!(in_short(&inside), "5 tensors: body.h.2.*, body.norm.*, lm_head.*");
    }
}
