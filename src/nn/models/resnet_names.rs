//! What transformers calls the parts of a ResNet, in torchvision's words.

/// A name of transformers' as torchvision has it; `None` for another name.
pub(super) fn in_torchvision(name: &str) -> Option<String> {
    if let Some(part) = name.strip_prefix("classifier.1.") {
        return Some(format!("fc.{part}"));
    }
    let name = name.strip_prefix("resnet.").unwrap_or(name);
    if let Some(rest) = name.strip_prefix("embedder.embedder.") {
        let (kind, part) = rest.split_once('.')?;
        return Some(format!("{}.{part}", ["conv1", "bn1"][kind_of(kind)?]));
    }
    let (stage, rest) = name.strip_prefix("encoder.stages.")?.split_once('.')?;
    let (block, rest) = rest.strip_prefix("layers.")?.split_once('.')?;
    let block = format!("layer{}.{block}", stage.parse::<usize>().ok()? + 1);
    if let Some(rest) = rest.strip_prefix("shortcut.") {
        let (kind, part) = rest.split_once('.')?;
        return Some(format!("{block}.downsample.{}.{part}", kind_of(kind)?));
    }
    let (place, rest) = rest.strip_prefix("layer.")?.split_once('.')?;
    let (kind, part) = rest.split_once('.')?;
    Some(format!("{block}.{}{}.{part}", ["conv", "bn"][kind_of(kind)?], place.parse::<usize>().ok()? + 1))
}

/// 0 for a convolution, 1 for a batch norm.
fn kind_of(kind: &str) -> Option<usize> {
    ["convolution", "normalization"].iter().position(|known| *known == kind)
}

#[cfg(test)]
mod tests {
    use super::in_torchvision;

    #[test]
    fn each_part_has_its_name() {
        for (theirs, ours) in [
            ("resnet.embedder.embedder.convolution.weight", "conv1.weight"),
            ("resnet.embedder.embedder.normalization.running_mean", "bn1.running_mean"),
            ("resnet.encoder.stages.0.layers.1.layer.0.convolution.weight", "layer1.1.conv1.weight"),
            ("encoder.stages.3.layers.0.layer.2.normalization.bias", "layer4.0.bn3.bias"),
            ("resnet.encoder.stages.1.layers.0.shortcut.convolution.weight", "layer2.0.downsample.0.weight"),
            (
                "resnet.encoder.stages.1.layers.0.shortcut.normalization.running_var",
                "layer2.0.downsample.1.running_var",
            ),
            ("classifier.1.weight", "fc.weight"),
        ] {
            assert_eq!(in_torchvision(theirs).as_deref(), Some(ours), "{theirs}");
        }
        for other in ["fc.weight", "layer1.0.conv1.weight", "encoder.stages.x.layers.0.layer.0.convolution.weight"] {
            assert_eq!(in_torchvision(other), None, "{other}");
        }
    }
}
