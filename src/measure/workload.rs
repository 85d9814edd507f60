//! The parameters that steps are measured on: those of an encoder in MiniLM's shape, 22,565,376 in 101 tensors.

use crate::params::{Group, Param, Row};

const VOCABULARY: usize = 30_522;
const POSITIONS: usize = 512;
const TOKEN_TYPES: usize = 2;
const HIDDEN: usize = 384;
const FEED_FORWARD: usize = 1_536;
const LAYERS: usize = 6;

/// The 101 tensors.
pub fn encoder() -> Vec<Param> {
    let norm = |name: &str| ["weight", "bias"].map(|part| Param::new(format!("{name}.LayerNorm.{part}"), [HIDDEN]));
    let linear = |name: &str, outputs: usize, inputs: usize| {
        [Param::new(format!("{name}.weight"), [outputs, inputs]), Param::new(format!("{name}.bias"), [outputs])]
    };
    let table = |name: &str, rows: usize| Param::new(format!("embeddings.{name}_embeddings.weight"), [rows, HIDDEN]);

    let mut tensors = vec![table("word", VOCABULARY), table("position", POSITIONS), table("token_type", TOKEN_TYPES)];
    tensors.extend(norm("embeddings"));
    for layer in (0..LAYERS).map(|layer| format!("layer.{layer}")) {
        for part in ["self.query", "self.key", "self.value", "output.dense"] {
            tensors.extend(linear(&format!("{layer}.attention.{part}"), HIDDEN, HIDDEN));
        }
        tensors.extend(norm(&format!("{layer}.attention.output")));
        tensors.extend(linear(&format!("{layer}.intermediate.dense"), FEED_FORWARD, HIDDEN));
        tensors.extend(linear(&format!("{layer}.output.dense"), HIDDEN, FEED_FORWARD));
        tensors.extend(norm(&format!("{layer}.output")));
    }
    tensors
}

/// Elements of all of them.
pub fn elements(tensors: &[Param]) -> usize {
    tensors.iter().map(Param::elements).sum()
}

/// The same number of tensors, each with at most so many rows of 16 elements.
pub fn shrunk(tensors: &[Param], rows: usize) -> Vec<Param> {
    let shrunk = |tensor: &Param| Param::new(tensor.name.clone(), [tensor.elements().div_ceil(16).min(rows), 16]);
    tensors.iter().map(shrunk).collect()
}

/// The same bytes in more tensors: the largest is cut in two by rows until there are `wanted`.
pub fn cut(mut tensors: Vec<Param>, wanted: usize) -> Vec<Param> {
    while tensors.len() < wanted {
        let Some(place) = (0..tensors.len()).max_by_key(|place| tensors[*place].elements()) else { break };
        let Param { name, shape } = tensors[place].clone();
        let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
        let upper = rows / 2;
        tensors[place] = Param::new(format!("{name}/0"), [upper, columns]);
        tensors.insert(place + 1, Param::new(format!("{name}/1"), [rows - upper, columns]));
    }
    tensors
}

/// The tensors to be trained where `frozen` percent of the parameters are not: the largest that still fit the rest.
pub fn thawed(tensors: &[Param], frozen: usize) -> Vec<Param> {
    let mut by_size: Vec<&Param> = tensors.iter().collect();
    by_size.sort_by_key(|tensor| std::cmp::Reverse(tensor.elements()));
    let mut room = elements(tensors) * (100 - frozen) / 100;
    let mut kept: Vec<&str> = Vec::new();
    for tensor in by_size {
        if tensor.elements() <= room {
            room -= tensor.elements();
            kept.push(&tensor.name);
        }
    }
    tensors.iter().filter(|tensor| kept.contains(&tensor.name.as_str())).cloned().collect()
}

fn row(place: usize) -> Row {
    Row {
        lr: 1e-5 * 0.99f64.powi(place as i32),
        weight_decay: if place.is_multiple_of(2) { 0.01 } else { 0.0 },
        ..Row::default()
    }
}

/// All in one group.
pub fn one_group(tensors: &[Param]) -> Vec<Group> {
    vec![Group::new("all", row(0), tensors.iter().map(|tensor| tensor.name.clone()))]
}

/// 26 groups of the encoder, each with a rate of its own: embeddings, and attention and feed-forward of each layer, each
/// with and without decay.
pub fn layer_groups(tensors: &[Param]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for tensor in tensors {
        let block: Vec<&str> = tensor.name.splitn(4, '.').collect();
        let block = match block[..] {
            ["layer", layer, part, _] => format!("{layer}.{}", if part == "attention" { "attention" } else { "ffn" }),
            _ => "embeddings".to_owned(),
        };
        let decays = tensor.name.ends_with("weight") && !tensor.name.contains("LayerNorm");
        let name = format!("{block} {}", if decays { "decay" } else { "no decay" });
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.params.push(tensor.name.clone()),
            None => groups.push(Group::new(name, row(groups.len()), [tensor.name.clone()])),
        }
    }
    groups
}

/// A group for each tensor.
pub fn group_each(tensors: &[Param]) -> Vec<Group> {
    let group = |(place, tensor): (usize, &Param)| Group::new(tensor.name.clone(), row(place), [tensor.name.clone()]);
    tensors.iter().enumerate().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoder_has_minilms_shape() {
        let tensors = encoder();
        assert_eq!((tensors.len(), elements(&tensors)), (101, 22_565_376));
        assert_eq!(layer_groups(&tensors).len(), 26);
        assert_eq!(layer_groups(&shrunk(&tensors, 4)).len(), 26);
        let more = cut(tensors.clone(), 465);
        assert_eq!((more.len(), elements(&more)), (465, 22_565_376));
        for (frozen, share) in [(50, 0.48), (90, 0.10), (99, 0.01)] {
            let some = elements(&thawed(&tensors, frozen)) as f64 / 22_565_376.0;
            assert!(some <= share + 0.005 && some > share - 0.01, "{frozen} %: {some}");
        }
    }
}
