//! Characters as tokens.

use super::{Error, Text, UnknownCharacters};
use std::collections::BTreeSet;

/// The characters that a model of text knows; a character's token is its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    characters: Vec<char>,
    /// Each with its token, by code point.
    tokens: Vec<(char, u32)>,
}

impl Vocabulary {
    /// The character that replaces those outside a vocabulary that contains it: U+FFFD.
    pub const UNKNOWN: char = char::REPLACEMENT_CHARACTER;

    /// The 128 characters of ASCII, tabs and carriage returns among them: a character's token is its code.
    pub fn ascii() -> Vocabulary {
        Vocabulary::of_sorted('\0'..='\x7f')
    }

    /// The end of a line and the 95 printable characters of ASCII, in ASCII's order: 96 entries, and one vocabulary for
    /// both embedded texts.
    pub fn printable_ascii() -> Vocabulary {
        Vocabulary::of_sorted(std::iter::once('\n').chain(' '..='~'))
    }

    fn of_sorted(characters: impl Iterator<Item = char>) -> Vocabulary {
        let characters: Vec<char> = characters.collect();
        let tokens = characters.iter().copied().zip(0..).collect();
        Vocabulary { characters, tokens }
    }

    /// Every character of the texts, by code point: the order depends neither on the texts' order nor on how often a
    /// character comes.
    ///
    /// # Errors
    /// [`Error::BadVocabulary`] without any text.
    pub fn of(texts: &[&Text]) -> Result<Vocabulary, Error> {
        let found: BTreeSet<char> = texts.iter().flat_map(|text| text.as_str().chars()).collect();
        Vocabulary::new(found.into_iter().collect())
    }

    /// These characters in this order, as [`Vocabulary::characters`] gave them.
    ///
    /// # Errors
    /// [`Error::BadVocabulary`].
    pub fn new(characters: Vec<char>) -> Result<Vocabulary, Error> {
        let bad = |reason: String| Err(Error::BadVocabulary { reason });
        let mut tokens: Vec<(char, u32)> = characters.iter().copied().zip(0..).collect();
        tokens.sort_unstable();
        match tokens.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => bad(format!("{:?} occurs twice", pair[0].0)),
            None if characters.is_empty() => bad("there is none".to_owned()),
            None => Ok(Vocabulary { characters, tokens }),
        }
    }

    /// With [`UNKNOWN`](Vocabulary::UNKNOWN), at the end if it is new.
    #[must_use]
    pub fn with_unknown(self) -> Vocabulary {
        if self.token(Vocabulary::UNKNOWN).is_some() {
            return self;
        }
        let characters: Vec<char> = self.characters.into_iter().chain([Vocabulary::UNKNOWN]).collect();
        let mut tokens: Vec<(char, u32)> = characters.iter().copied().zip(0..).collect();
        tokens.sort_unstable();
        Vocabulary { characters, tokens }
    }

    /// The characters; a character's token is its place.
    pub fn characters(&self) -> &[char] {
        &self.characters
    }

    /// How many tokens there are.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.characters.len()
    }

    /// A character's token.
    pub fn token(&self, character: char) -> Option<u32> {
        let place = self.tokens.binary_search_by_key(&character, |known| known.0).ok()?;
        Some(self.tokens[place].1)
    }

    /// The text as tokens, one a character.
    ///
    /// # Errors
    /// [`Error::UnknownCharacters`], with all of them.
    pub fn encode(&self, text: &Text) -> Result<Vec<u32>, Error> {
        let mut unknown = UnknownCharacters::default();
        let tokens = self.encode_known((text.as_str(), 1), None, &mut unknown);
        match unknown.is_empty() {
            true => Ok(tokens),
            false => Err(Error::UnknownCharacters { name: text.name().to_owned(), characters: unknown }),
        }
    }

    /// The text as tokens. A character outside the vocabulary is added to `unknown`, with its line, and becomes
    /// `instead`; with `None` it is left out.
    pub fn encode_known(
        &self,
        (text, first_line): (&str, u64),
        instead: Option<u32>,
        unknown: &mut UnknownCharacters,
    ) -> Vec<u32> {
        let mut line = first_line;
        let mut tokens = Vec::with_capacity(text.len());
        for character in text.chars() {
            let token = self.token(character);
            if token.is_none() {
                unknown.add(character, line);
            }
            tokens.extend(token.or(instead));
            line += u64::from(character == '\n');
        }
        tokens
    }

    /// The text of these tokens.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`].
    pub fn decode(&self, tokens: &[u32]) -> Result<String, Error> {
        let vocabulary = self.len();
        let one = |(place, token): (usize, &u32)| {
            let character = self.characters.get(*token as usize).copied();
            character.ok_or(Error::TokenOutOfRange { place, token: *token, vocabulary })
        };
        tokens.iter().enumerate().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_of_more_bytes_is_one_token() {
        let text = Text::from_bytes("umlauts", "\u{e4}\u{f6}\u{e4}".into()).expect("a text");
        let vocabulary = Vocabulary::new(vec!['\u{f6}', '\u{e4}']).expect("a vocabulary");
        assert_eq!(vocabulary.encode(&text).expect("tokens"), [1, 0, 1]);
    }

    #[test]
    fn what_is_not_in_it_is_told() {
        let text =
            Text::from_bytes("notes", "plain\nand gr\u{e4}dus\n\u{201c}gr\u{e4}dus\u{201d}".into()).expect("a text");
        let told = Vocabulary::ascii().encode(&text).expect_err("refused").to_string();
        let words = "notes: '\u{e4}' (2 times, first on line 2), '\u{201c}' (once, on line 3), '\u{201d}' (once, on line 3), \
                     not in the vocabulary";
        assert_eq!(told, words);
        let told = Vocabulary::printable_ascii().decode(&[5, 96]).expect_err("refused").to_string();
        assert_eq!(told, "token 1 is 96, but the vocabulary has 96 entries (0 to 95)");
        let told = |characters: &str| Vocabulary::new(characters.chars().collect()).expect_err("refused").to_string();
        assert_eq!(told("abca"), "a vocabulary needs characters, each once: 'a' occurs twice");
        assert_eq!(told(""), "a vocabulary needs characters, each once: there is none");
    }

    #[test]
    fn ascii_is_all_of_ascii_and_a_code_is_a_token() {
        let text = Text::from_bytes("tabs", "a\tb\r\n\x0c".into()).expect("a text");
        assert_eq!(Vocabulary::ascii().encode(&text).expect("tokens"), [97, 9, 98, 13, 10, 12]);
    }

    #[test]
    fn what_is_unknown_is_left_out_or_has_a_place() {
        let ascii = Vocabulary::ascii();
        let with = ascii.clone().with_unknown();
        assert_eq!((with.len(), with.token(Vocabulary::UNKNOWN)), (129, Some(128)));
        assert_eq!(with.clone().with_unknown(), with);
        let mut unknown = UnknownCharacters::default();
        assert_eq!(ascii.encode_known(("a\u{e4}b", 1), None, &mut unknown), [97, 98]);
        assert_eq!(with.encode_known(("a\u{e4}b", 7), Some(128), &mut unknown), [97, 128, 98]);
        assert_eq!(unknown.to_string(), "'\u{e4}' (2 times, first on line 1)");
        assert_eq!(with.decode(&[97, 128]).expect("a text"), "a\u{fffd}");
    }
}
