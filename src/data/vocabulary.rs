//! Characters as tokens.

use super::{Error, Text};
use std::collections::BTreeSet;

/// The characters that a model of text knows; a character's token is its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    characters: Vec<char>,
}

impl Vocabulary {
    /// The end of a line and the 95 printable characters of ASCII, in ASCII's order: 96 entries, and one vocabulary for
    /// both embedded texts and every other plain one.
    pub fn ascii() -> Vocabulary {
        Vocabulary { characters: std::iter::once('\n').chain(' '..='~').collect() }
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
        let mut seen = BTreeSet::new();
        match characters.iter().find(|character| !seen.insert(**character)) {
            Some(twice) => bad(format!("{twice:?} is there twice")),
            None if characters.is_empty() => bad("there is none".to_owned()),
            None => Ok(Vocabulary { characters }),
        }
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

    /// The text as tokens, one a character.
    ///
    /// # Errors
    /// [`Error::UnknownCharacter`].
    pub fn encode(&self, text: &Text) -> Result<Vec<u32>, Error> {
        let mut sorted: Vec<(char, u32)> = self.characters.iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        let token = |character: char| {
            let place = sorted.binary_search_by_key(&character, |known| known.0).ok()?;
            Some(sorted[place].1)
        };
        let mut tokens = Vec::with_capacity(text.as_str().len());
        for (place, character) in text.as_str().char_indices() {
            match token(character) {
                Some(token) => tokens.push(token),
                None => {
                    let line = text.as_str()[..place].matches('\n').count() + 1;
                    return Err(Error::UnknownCharacter { name: text.name().to_owned(), line, character });
                }
            }
        }
        Ok(tokens)
    }

    /// The text that the tokens stand for.
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
    use crate::data::{glosses, kjv};

    #[test]
    fn both_texts_come_back_as_they_were() {
        let texts = [kjv(), glosses()];
        let both = Vocabulary::of(&[&texts[0], &texts[1]]).expect("a vocabulary");
        assert_eq!(both, Vocabulary::of(&[&texts[1], &texts[0]]).expect("a vocabulary"));
        let order: String = both.characters().iter().collect();
        assert_eq!(order, "\n !\"$%'()+,-./0123456789:;=?ABCDEFGHIJKLMNOPQRSTUVWXYZ^`abcdefghijklmnopqrstuvwxyz");
        let ascii = Vocabulary::ascii();
        assert_eq!((both.len(), ascii.len()), (82, 96));
        for vocabulary in [both, ascii] {
            for text in &texts {
                let tokens = vocabulary.encode(text).expect("tokens");
                assert_eq!(tokens.len(), text.as_str().len());
                assert_eq!(vocabulary.decode(&tokens).expect("a text"), text.as_str());
            }
        }
    }

    #[test]
    fn a_character_of_more_bytes_is_one_token() {
        let text = Text::from_bytes("umlauts", "\u{e4}\u{f6}\u{e4}".into()).expect("a text");
        let vocabulary = Vocabulary::new(vec!['\u{f6}', '\u{e4}']).expect("a vocabulary");
        assert_eq!(vocabulary.encode(&text).expect("tokens"), [1, 0, 1]);
    }

    #[test]
    fn what_is_not_in_it_is_told() {
        let text = Text::from_bytes("notes", "plain\nand gr\u{e4}dus".into()).expect("a text");
        let told = Vocabulary::ascii().encode(&text).expect_err("refused").to_string();
        assert_eq!(told, "notes, line 2: the character '\u{e4}' is not in the vocabulary");
        let told = Vocabulary::ascii().decode(&[5, 96]).expect_err("refused").to_string();
        assert_eq!(told, "token 1 is 96, but the vocabulary has 96 entries (0 to 95)");
        let told = |characters: &str| Vocabulary::new(characters.chars().collect()).expect_err("refused").to_string();
        assert_eq!(told("abca"), "a vocabulary needs characters, each once: 'a' is there twice");
        assert_eq!(told(""), "a vocabulary needs characters, each once: there is none");
    }
}
