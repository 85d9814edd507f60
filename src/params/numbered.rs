//! Modules that have a number in their name: the layers of a model.

/// A name up to its first number: `encoder.layer.3` of `encoder.layer.3.output.dense.bias`; `None` without one.
pub(crate) fn numbered_module(name: &str) -> Option<&str> {
    let mut end = 0;
    for part in name.split('.') {
        end += part.len();
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(&name[..end]);
        }
        end += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_named_up_to_its_first_number() {
        for (name, module) in [
            ("encoder.layer.3.output.dense.z", Some("encoder.layer.3")),
            ("layer2.0.conv1.weight", Some("layer2.0")),
            ("dropout.7", Some("dropout.7")),
            ("0.weight", Some("0")),
            ("a..b", None),
            ("embedded", None),
        ] {
            assert_eq!(numbered_module(name), module, "{name}");
        }
    }
}
