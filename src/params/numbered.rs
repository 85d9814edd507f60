//! Modules that have a number in their name: the layers of a model.

/// A name up to its first number, and what numbers follow that one: `encoder.layer.3` of `encoder.layer.3.output.dense.bias`, and
/// `blocks.1.0` of `blocks.1.0.conv_dw.weight`; `None` without one.
pub(crate) fn numbered_module(name: &str) -> Option<&str> {
    let (mut end, mut module) = (0, None);
    for part in name.split('.') {
        end += part.len();
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            module = Some(&name[..end]);
        } else if module.is_some() {
            break;
        }
        end += 1;
    }
    module
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_named_up_to_its_first_numbers() {
        for (name, module) in [
            ("encoder.layer.3.output.dense.z", Some("encoder.layer.3")),
            ("layer2.0.conv1.weight", Some("layer2.0")),
            ("blocks.1.0.conv_dw.weight", Some("blocks.1.0")),
            ("layers.0.blocks.1.weight", Some("layers.0")),
            ("dropout.7", Some("dropout.7")),
            ("0.weight", Some("0")),
            ("a..b", None),
            ("embedded", None),
        ] {
            assert_eq!(numbered_module(name), module, "{name}");
        }
    }
}
