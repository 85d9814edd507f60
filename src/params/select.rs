//! Parameters chosen by name or by pattern, as schedules do.

use fancy_regex::{Expr, Regex, RegexBuilder};

/// Steps of back-tracking that one name may take; an honest pattern takes a few dozen.
const MOST_STEPS: usize = 100_000;

/// Letters of a complaint; a complaint repeats the pattern.
const MOST_TOLD: usize = 200;

/// A name, or a pattern of Python's `re` that is matched at the start of a name and need not reach its end.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
}

impl Pattern {
    /// A pattern from its text. One that is not valid can still be a parameter's exact name.
    pub fn new(text: &str) -> Pattern {
        Pattern { text: text.to_owned() }
    }

    /// The pattern, to be matched at the start.
    fn regex(&self) -> Result<Regex, String> {
        // Python's name for the very end.
        let translated = self.text.replace("\\Z", "\\z");
        // The pattern alone first, so that errors are about the pattern as written, and a bracket cannot close ours.
        let told = |error: fancy_regex::Error| error.to_string().chars().take(MOST_TOLD).collect::<String>();
        Expr::parse_tree(&translated).map_err(told)?;
        RegexBuilder::new(&format!("^(?:{translated})")).backtrack_limit(MOST_STEPS).build().map_err(told)
    }

    /// The places of the chosen names, in order: the name that equals the pattern, if any, else the names that match.
    ///
    /// # Errors
    /// A bad pattern, or one that takes too long.
    pub fn select(&self, names: &[&str]) -> Result<Vec<usize>, String> {
        if let Some(exact) = names.iter().position(|name| *name == self.text) {
            return Ok(vec![exact]);
        }
        let regex = self.regex()?;
        let mut chosen = Vec::new();
        for (place, name) in names.iter().enumerate() {
            if regex.is_match(name).map_err(|error| format!("on {name:?}: {error}"))? {
                chosen.push(place);
            }
        }
        Ok(chosen)
    }

    /// The part that is probably a mistake, if any: `{1,2}` after a bare dot repeats the dot, and `{a,b}` is those five
    /// letters; neither is a choice.
    pub fn doubtful(&self) -> Option<&str> {
        let bytes = self.text.as_bytes();
        for (at, _) in self.text.match_indices(".{") {
            let escapes = bytes[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
            let end = self.text[at..].find('}').map(|length| at + length + 1);
            if let (true, Some(end)) = (escapes.is_multiple_of(2), end) {
                return Some(&self.text[at..end]);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    const NAMES: [&str; 5] = ["head.weight", "head.bias", "encoder.layer.1.weight", "encoder.layer.10.weight", "a(b"];

    fn chosen(text: &str) -> Vec<usize> {
        Pattern::new(text).select(&NAMES).unwrap()
    }

    #[test]
    fn an_exact_name_wins_and_a_match_starts_at_the_start() {
        assert_eq!(chosen("head.bias"), [1]);
        assert_eq!(chosen("head"), [0, 1]);
        assert_eq!(chosen("encoder.layer.1"), [2, 3]);
        assert_eq!(chosen(r"encoder\.layer\.1\."), [2]);
        assert!(chosen("weight").is_empty());
        assert_eq!(chosen("nothing|head.w"), [0]);
        assert_eq!(chosen(r"(?!encoder).*weight\Z"), [0]);
        assert_eq!(chosen("a(b"), [4]);
    }

    #[test]
    fn a_bad_or_endless_pattern_is_an_error() {
        assert!(Pattern::new("enc[oder").select(&NAMES).unwrap_err().contains("position"));
        assert!(Pattern::new("head)|(enc").select(&NAMES).is_err());
        let long = "a".repeat(60);
        assert!(Pattern::new(r"(a*)*\1b").select(&[&long]).unwrap_err().contains("a"));
    }

    #[test]
    fn a_repetition_that_looks_like_a_choice_is_doubtful() {
        assert_eq!(Pattern::new("encoder.{1,2}.weight").doubtful(), Some(".{1,2}"));
        assert_eq!(Pattern::new(r"encoder\.{1,2}").doubtful(), None);
        assert_eq!(Pattern::new(r"encoder\\.{1,2}").doubtful(), Some(".{1,2}"));
        assert_eq!(Pattern::new("a{2}.b").doubtful(), None);
    }
}
