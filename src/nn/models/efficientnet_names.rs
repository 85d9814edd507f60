//! What the package efficientnet-lite-pytorch calls the parts of an EfficientNet-Lite, in timm's words.

use super::efficientnet_lite::LiteStage;

/// Convolutions and norms of a block that does not expand its channels, and of one that does: their words and timm's.
const PLAIN: [(&str, &str); 4] =
    [("_depthwise_conv", "conv_dw"), ("_bn1", "bn1"), ("_project_conv", "conv_pw"), ("_bn2", "bn2")];
const EXPANDING: [(&str, &str); 6] = [
    ("_expand_conv", "conv_pw"),
    ("_bn0", "bn1"),
    ("_depthwise_conv", "conv_dw"),
    ("_bn1", "bn2"),
    ("_project_conv", "conv_pwl"),
    ("_bn2", "bn3"),
];

/// The same outside of blocks.
const OUTSIDE: [(&str, &str); 5] =
    [("_conv_stem", "conv_stem"), ("_bn0", "bn1"), ("_conv_head", "conv_head"), ("_bn1", "bn2"), ("_fc", "classifier")];

/// A name of that package as timm has it, of a network of these stages; `None` for another name.
pub(super) fn in_timm(name: &str, stages: &[LiteStage]) -> Option<String> {
    let Some(rest) = name.strip_prefix("_blocks.") else {
        return renamed(name, &OUTSIDE);
    };
    let (block, rest) = rest.split_once('.')?;
    let mut block: usize = block.parse().ok()?;
    for (place, stage) in stages.iter().enumerate() {
        if block < stage.blocks {
            let words: &[_] = if place == 0 { &PLAIN } else { &EXPANDING };
            return Some(format!("blocks.{place}.{block}.{}", renamed(rest, words)?));
        }
        block -= stage.blocks;
    }
    None
}

fn renamed(name: &str, words: &[(&str, &str)]) -> Option<String> {
    let (module, part) = name.split_once('.')?;
    let (_, word) = words.iter().find(|(theirs, _)| *theirs == module)?;
    Some(format!("{word}.{part}"))
}

#[cfg(test)]
mod tests {
    use super::in_timm;
    use crate::nn::models::LiteStage;

    #[test]
    fn each_part_has_its_name() {
        let stages =
            [LiteStage::new(1, [3, 1, 1], 16), LiteStage::new(2, [3, 2, 6], 24), LiteStage::new(2, [5, 2, 6], 40)];
        for (theirs, ours) in [
            ("_conv_stem.weight", "conv_stem.weight"),
            ("_bn0.running_mean", "bn1.running_mean"),
            ("_blocks.0._depthwise_conv.weight", "blocks.0.0.conv_dw.weight"),
            ("_blocks.0._bn1.bias", "blocks.0.0.bn1.bias"),
            ("_blocks.0._project_conv.weight", "blocks.0.0.conv_pw.weight"),
            ("_blocks.2._expand_conv.weight", "blocks.1.1.conv_pw.weight"),
            ("_blocks.3._bn1.weight", "blocks.2.0.bn2.weight"),
            ("_blocks.4._project_conv.weight", "blocks.2.1.conv_pwl.weight"),
            ("_conv_head.weight", "conv_head.weight"),
            ("_fc.bias", "classifier.bias"),
        ] {
            assert_eq!(in_timm(theirs, &stages).as_deref(), Some(ours), "{theirs}");
        }
        for other in
            ["conv_stem.weight", "_blocks.5._bn1.weight", "_blocks.x._bn1.weight", "_blocks.0._expand_conv.weight"]
        {
            assert_eq!(in_timm(other, &stages), None, "{other}");
        }
    }
}
