//! Texts: two that are part of the program, and any other.

use super::Error;
use super::encoding::{NotText, decoded};
use std::borrow::Cow;

/// A text to learn a language from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    name: String,
    text: Cow<'static, str>,
    licence: &'static str,
}

/// Psalms, Proverbs and the four Gospels in the King James translation of 1611: 7,155 verses, one a line, 739,950 bytes
/// of ASCII (Debian's package bible-kjv-text 4.38; see `data/kjv/README.md`).
pub fn kjv() -> Text {
    Text {
        name: "kjv".to_owned(),
        text: Cow::Borrowed(include_str!("../../data/kjv/kjv.txt")),
        licence: include_str!("../../data/kjv/LICENSE"),
    }
}

/// Definitions of 6,298 nouns and verbs by WordNet 3.0, one a line, 399,960 bytes of ASCII (Debian's package wordnet-base
/// 1:3.0-37; see `data/glosses/README.md`). A program that holds them must hold their [licence](Text::licence) too.
pub fn glosses() -> Text {
    Text {
        name: "glosses".to_owned(),
        text: Cow::Borrowed(include_str!("../../data/glosses/glosses.txt")),
        licence: include_str!("../../data/glosses/LICENSE"),
    }
}

impl Text {
    /// A text from the bytes of a file; `name` is what errors call it.
    ///
    /// # Errors
    /// [`Error::NotUtf8`], [`Error::EmptyText`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Text, Error> {
        let name = name.to_owned();
        match decoded(bytes) {
            Ok(text) if text.is_empty() => Err(Error::EmptyText { name }),
            Ok(text) => Ok(Text { name, text: Cow::Owned(text), licence: "" }),
            Err(NotText { line, reason }) => Err(Error::NotUtf8 { name, line, reason }),
        }
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The licence that goes with an embedded text, whole; empty for a text of the caller's.
    pub fn licence(&self) -> &'static str {
        self.licence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_texts_are_whole_and_carry_their_licences() {
        let (kjv, glosses) = (kjv(), glosses());
        assert_eq!((kjv.as_str().len(), kjv.as_str().lines().count()), (739_950, 7_155));
        assert_eq!((glosses.as_str().len(), glosses.as_str().lines().count()), (399_960, 6_298));
        assert_eq!(crc32fast::hash(kjv.as_str().as_bytes()), KJV);
        assert_eq!(crc32fast::hash(glosses.as_str().as_bytes()), GLOSSES);
        assert!(kjv.licence().contains("1611"));
        assert!(glosses.licence().contains("WordNet 3.0 Copyright 2006 by Princeton University"));
    }

    const KJV: u32 = 0xcfa8_61c1;
    const GLOSSES: u32 = 0x959d_828f;

    #[test]
    fn a_file_that_is_no_text_is_refused_with_its_line() {
        let told = |bytes: &[u8]| Text::from_bytes("notes.txt", bytes.to_vec()).expect_err("refused").to_string();
        assert!(told(b"one\ngr\xe4dus").starts_with("notes.txt, line 2: not UTF-8; it looks like Latin-1"));
        assert_eq!(told(b""), "notes.txt: the text is empty");
        let text = Text::from_bytes("notes.txt", "gr\u{e4}dus\n".into()).expect("a text");
        assert_eq!((text.name(), text.as_str(), text.licence()), ("notes.txt", "gr\u{e4}dus\n", ""));
    }
}
