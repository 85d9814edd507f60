//! Parameters chosen by a word in their name, as lists of what does not decay do.

/// Whether a parameter's name contains a word of such a list. A word with a capital letter matches exactly, any other in any case.
/// `bn` matches the batch norms that torchvision calls `downsample.1` too, and `norm` every norm: `LayerNorm`, `layer_norm`, GPT-2's
/// `ln_`, and batch norms.
pub fn has_word(name: &str, word: &str) -> bool {
    if word.contains(char::is_uppercase) {
        return name.contains(word);
    }
    let name = name.to_lowercase();
    name.contains(word)
        || match word {
            "bn" => name.contains("downsample.1."),
            "norm" => name.contains("ln_") || is_of_batch_norm(&name),
            _ => false,
        }
}

/// Whether a module of the name is called `bn`, `bn1` and so on, or is torchvision's `downsample.1`.
fn is_of_batch_norm(name: &str) -> bool {
    let is_number = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit());
    name.contains("downsample.1.") || name.split('.').any(|part| part.strip_prefix("bn").is_some_and(is_number))
}

#[cfg(test)]
mod tests {
    use super::has_word;

    #[test]
    fn words_without_capitals_match_in_any_case_and_norm_is_what_norms_are_called() {
        let names =
            ["encoder.LayerNorm.weight", "h.0.ln_1.weight", "blocks.0.norm1.bias", "layer_norm.bias", "head.weight"];
        let found = |word| names.map(|name| has_word(name, word));
        assert_eq!(found("norm"), [true, true, true, true, false]);
        let names_of_batch_norms = ["layer1.0.bn2.weight", "layer2.0.downsample.1.bias", "head.0.bn.weight"];
        for name in names_of_batch_norms {
            assert!(has_word(name, "bn") && has_word(name, "norm"), "{name}");
        }
        for name in ["layer2.0.downsample.0.weight", "layer1.0.conv1.weight", "subnet.weight"] {
            assert!(!has_word(name, "norm"), "{name}");
        }
        assert_eq!(found("layernorm"), [true, false, false, false, false]);
        assert_eq!(found("LayerNorm"), [true, false, false, false, false]);
        assert_eq!(found("Norm"), [true, false, false, false, false]);
        assert_eq!(found("bias"), [false, false, true, true, false]);
        assert_eq!(found("Bias"), [false; 5]);
    }
}
