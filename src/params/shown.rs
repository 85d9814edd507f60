//! How text that comes from outside is shown: a name, a label or a path may hold anything, a terminal obeys some of it.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

/// Characters of a value that fit a line of a message; what is longer is cut in its middle.
const MOST: usize = 160;

/// A name or a value in a message: one line, without what a terminal would obey, and cut if it is longer than a line.
#[derive(Clone, Copy)]
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&tame_line(&self.cut()))
    }
}

/// The same in quotation marks.
impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.cut(), f)
    }
}

impl Shown<'_> {
    fn cut(&self) -> Cow<'_, str> {
        // Most are short, and bytes are counted at once.
        let length = if self.0.len() <= MOST { 0 } else { self.0.chars().count() };
        if length <= MOST {
            return Cow::Borrowed(self.0);
        }
        let (before, after) = (MOST * 2 / 3, MOST / 4);
        let first: String = self.0.chars().take(before).collect();
        let last: String = self.0.chars().skip(length - after).collect();
        Cow::Owned(format!("{first}… {} characters …{last}", length - before - after))
    }
}

/// A path in a message: whole, on one line, without what a terminal would obey.
#[must_use]
pub fn shown_path(path: &Path) -> String {
    escaped(&path.to_string_lossy(), |_| false).into_owned()
}

/// Several names in a message, with commas between; of very many the first.
#[must_use]
pub fn shown_list<T: AsRef<str>>(names: &[T]) -> String {
    const MOST_NAMES: usize = 20;
    let first: Vec<String> = names.iter().take(MOST_NAMES).map(|name| Shown(name.as_ref()).to_string()).collect();
    let more = names.len().saturating_sub(MOST_NAMES);
    if more == 0 { first.join(", ") } else { format!("{} and {more} more", first.join(", ")) }
}

/// A line without what a terminal would obey, whole.
#[must_use]
pub fn tame_line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// A text of several lines without what a terminal would obey. Its lines stay lines.
#[must_use]
pub fn tame(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\n')
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_wild = |c: char| obeyed(c) && !stays(c);
    if !text.contains(is_wild) {
        return Cow::Borrowed(text);
    }
    text.chars().map(|c| if is_wild(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Whether this character controls a terminal or reverses its neighbours.
fn obeyed(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_all_else_stays() {
        let wild = "a\u{1b}[31mb\r\n\tc\u{9b}d\u{202e}e\u{7f}ä ö 日本";
        assert_eq!(Shown(wild).to_string(), r"a\u{1b}[31mb\r\n\tc\u{9b}d\u{202e}e\u{7f}ä ö 日本");
        assert_eq!(tame("one\ntwo\r\x07"), "one\ntwo\\r\\u{7}");
        assert_eq!(shown_path(Path::new("a\nb/c\\d")), r"a\nb/c\d");
        assert_eq!(format!("{:>5}|", Shown("ab")), "   ab|");
    }

    #[test]
    fn what_is_longer_than_a_line_is_cut_in_its_middle() {
        let long = "x".repeat(1_000_000) + "y";
        let shown = Shown(&long).to_string();
        assert!(shown.chars().count() < 200 && shown.starts_with("xxx") && shown.ends_with("xy"), "{shown}");
        assert!(shown.contains("999855 characters"), "{shown}");
        let names: Vec<String> = (0..50).map(|place| place.to_string()).collect();
        assert!(shown_list(&names).ends_with(", 18, 19 and 30 more"), "{}", shown_list(&names));
    }
}
