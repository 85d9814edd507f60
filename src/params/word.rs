//! Parameters chosen by a word in their name, as lists of what does not decay do.

/// Whether a parameter's name contains a word of such a list. A word with a capital letter matches exactly, any other
/// in any case. `norm` matches the names of norms: `LayerNorm`, `layer_norm` and GPT-2's `ln_`.
pub fn has_word(name: &str, word: &str) -> bool {
    if word.contains(char::is_uppercase) {
        return name.contains(word);
    }
    let name = name.to_lowercase();
    name.contains(word) || (word == "norm" && name.contains("ln_"))
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
        assert_eq!(found("layernorm"), [true, false, false, false, false]);
        assert_eq!(found("LayerNorm"), [true, false, false, false, false]);
        assert_eq!(found("Norm"), [true, false, false, false, false]);
        assert_eq!(found("bias"), [false, false, true, true, false]);
        assert_eq!(found("Bias"), [false; 5]);
    }
}
