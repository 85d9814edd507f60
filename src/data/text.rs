//! A text to learn from.

use super::Error;
use super::encoding::{NotText, decoded};
use std::borrow::Cow;

/// A text to learn a language from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub(super) name: String,
    pub(super) text: Cow<'static, str>,
    pub(super) licence: &'static str,
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
    fn a_file_that_is_no_text_is_refused_with_its_line() {
        let told = |bytes: &[u8]| Text::from_bytes("notes.txt", bytes.to_vec()).expect_err("refused").to_string();
        assert!(told(b"one\ngr\xe4dus").starts_with("notes.txt, line 2: not UTF-8; it looks like Latin-1"));
        assert_eq!(told(b""), "notes.txt: the text is empty");
        let text = Text::from_bytes("notes.txt", "gr\u{e4}dus\n".into()).expect("a text");
        assert_eq!((text.name(), text.as_str(), text.licence()), ("notes.txt", "gr\u{e4}dus\n", ""));
    }
}
