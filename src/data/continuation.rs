//! The text of tokens that come one by one.

use super::{Error, Tokenizer};

/// What follows a prompt, up to the first of the texts that end it.
#[derive(Debug)]
pub struct Continuation<'a> {
    tokenizer: &'a Tokenizer,
    /// The prompt's last tokens, and those that came.
    tokens: Vec<u32>,
    /// The text of the prompt's last tokens.
    before: String,
    stops: Vec<String>,
    text: String,
    /// Bytes of the text that were given out.
    given: usize,
    is_stopped: bool,
}

/// A token's text may depend on the tokens right before it: on whether a word begins, or a character of several bytes ends.
const BEFORE: usize = 16;

impl<'a> Continuation<'a> {
    /// After the tokens of a prompt. It ends before the first of `stops`, none of which is empty.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn new(tokenizer: &'a Tokenizer, prompt: &[u32], stops: &[String]) -> Result<Continuation<'a>, Error> {
        let tokens = prompt[prompt.len().saturating_sub(BEFORE)..].to_vec();
        let (before, text) = (tokenizer.decode(&tokens)?, String::new());
        Ok(Continuation { tokenizer, tokens, before, stops: stops.to_vec(), text, given: 0, is_stopped: false })
    }

    /// Adds a token. Returns what is certain of the text and was not returned before: neither a part of a character, nor
    /// what a stop may begin with.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn add(&mut self, token: u32) -> Result<&str, Error> {
        self.tokens.push(token);
        let whole = self.tokenizer.decode(&self.tokens)?;
        self.text = whole.strip_prefix(&self.before).unwrap_or(&whole).to_owned();
        if let Some(end) = self.stops.iter().filter_map(|stop| self.text.find(stop.as_str())).min() {
            self.text.truncate(end);
            self.is_stopped = true;
            return Ok(self.rest());
        }
        // A character of which bytes are missing is shown as this one.
        let certain = self.text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        let held = self.stops.iter().map(|stop| begun(certain, stop)).max().unwrap_or(0);
        let end = certain.len() - held;
        Ok(self.up_to(end))
    }

    /// The rest of the text, when no token comes any more.
    pub fn rest(&mut self) -> &str {
        self.up_to(self.text.len())
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether one of the stops has come.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    fn up_to(&mut self, end: usize) -> &str {
        let begin = self.given;
        self.given = end.max(begin);
        self.text.get(begin..end).unwrap_or_default()
    }
}

/// How many bytes at a text's end are the beginning of a stop.
fn begun(text: &str, stop: &str) -> usize {
    let mut beginnings = stop.char_indices().map(|(place, _)| place).rev();
    beginnings.find(|length| text.ends_with(&stop[..*length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Vocabulary;

    fn characters() -> Tokenizer {
        Tokenizer::characters(Vocabulary::ascii().with_unknown(), None)
    }

    fn pieces(text: &str, stops: &[&str]) -> (Vec<String>, String, bool) {
        let tokenizer = characters();
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut continuation = Continuation::new(&tokenizer, &[97, 98], &stops).expect("one");
        let mut pieces = Vec::new();
        for letter in text.bytes() {
            pieces.push(continuation.add(letter.into()).expect("a piece").to_owned());
            if continuation.is_stopped() {
                break;
            }
        }
        pieces.push(continuation.rest().to_owned());
        (pieces, continuation.text().to_owned(), continuation.is_stopped())
    }

    #[test]
    fn what_may_begin_a_stop_is_held_back() {
        let (given, text, is_stopped) = pieces("one, two", &[", x", "wo."]);
        assert_eq!(given, ["o", "n", "e", "", "", ", t", "", "", "wo"]);
        assert_eq!((text.as_str(), is_stopped), ("one, two", false));
    }

    #[test]
    fn a_text_ends_before_the_first_stop() {
        let (given, text, is_stopped) = pieces("one, two", &["two", ", t", "zzz"]);
        assert_eq!((given.concat().as_str(), text.as_str(), is_stopped), ("one", "one", true));
        let (given, text, _) = pieces("aabaac", &["aac"]);
        assert_eq!((given.concat().as_str(), text.as_str()), ("aab", "aab"));
        assert_eq!(pieces("x", &["x"]).1, "");
    }

    #[test]
    fn half_a_character_is_held_back_until_it_is_whole_or_nothing_comes() {
        let tokenizer = characters();
        let mut continuation = Continuation::new(&tokenizer, &[], &[]).expect("one");
        assert_eq!(continuation.add(97).expect("a piece"), "a");
        assert_eq!(continuation.add(128).expect("a piece"), "");
        assert_eq!(continuation.add(98).expect("a piece"), "\u{fffd}b");
        assert_eq!(continuation.add(128).expect("a piece"), "");
        assert_eq!(continuation.rest(), "\u{fffd}");
        assert_eq!(continuation.rest(), "");
        assert!(continuation.add(999).is_err());
    }
}
