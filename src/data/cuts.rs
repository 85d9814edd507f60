//! Tokenizes a long text in windows, to the tokens of the whole text.
//!
//! A window reads some of the text before and after its own part, so both windows at a cut tokenize the text around it.
//! If their tokens agree there, the cut changes nothing; otherwise the two windows become one.

use super::all_cores::{self, Told};
use std::ops::Range;

/// Bytes of a window's own part, about.
const PART: usize = 1 << 16;

/// Bytes that a window reads beyond its part on each side.
const BEYOND: usize = 2048;

/// Bytes on each side of a cut in which two windows must have the same tokens.
const COMPARED: usize = 512;

/// A token and its start in the text.
pub(super) type Placed = (usize, u32);

/// The tokens of a text, tokenized on all cores by a function that returns each token with its place in its input.
pub(super) fn tokens<E: Send>(
    text: &str,
    tokenize: impl Fn(&str) -> Result<Vec<Placed>, E> + Sync,
    told: Told<'_>,
) -> Result<Vec<u32>, E> {
    let mut cuts = cuts(text);
    loop {
        let own: Vec<Range<usize>> = cuts.windows(2).map(|pair| pair[0]..pair[1]).collect();
        let windows = all_cores::map(&own, 1, |own| window(text, own, &tokenize), told);
        let windows = windows.into_iter().collect::<Result<Vec<Window>, E>>()?;
        let agree = |at: usize| windows[at - 1].edges[1] == windows[at].edges[0];
        let kept: Vec<usize> =
            (0..cuts.len()).filter(|at| [0, cuts.len() - 1].contains(at) || agree(*at)).map(|at| cuts[at]).collect();
        if kept.len() == cuts.len() {
            return Ok(windows.into_iter().flat_map(|window| window.tokens).collect());
        }
        cuts = kept;
    }
}

/// What was made of a window.
struct Window {
    /// The tokens of the window's part.
    tokens: Vec<u32>,
    /// Tokens around its beginning and around its end.
    edges: [Vec<Placed>; 2],
}

fn window<E>(text: &str, own: &Range<usize>, tokenize: &impl Fn(&str) -> Result<Vec<Placed>, E>) -> Result<Window, E> {
    let read = boundary(text, own.start.saturating_sub(BEYOND))..boundary(text, own.end + BEYOND);
    let around = |cut: usize| cut.saturating_sub(COMPARED)..cut + COMPARED;
    let mut window = Window { tokens: Vec::new(), edges: [Vec::new(), Vec::new()] };
    for (place, token) in tokenize(&text[read.clone()])? {
        let place = read.start + place;
        if own.contains(&place) {
            window.tokens.push(token);
        }
        for (edge, cut) in window.edges.iter_mut().zip([own.start, own.end]) {
            if around(cut).contains(&place) {
                edge.push((place, token));
            }
        }
    }
    Ok(window)
}

/// The cuts of a text: its beginning, places before the first letter of a line or word, and its end.
fn cuts(text: &str) -> Vec<usize> {
    let mut cuts = vec![0];
    while let Some(cut) = next_cut(text, cuts[cuts.len() - 1]) {
        cuts.push(cut);
    }
    // A blank at the end may count as beginning after it.
    cuts.push(text.len() + 1);
    cuts
}

/// The next cut, a part after the last: at a line, or else at a word. `None` if there is none before the end.
fn next_cut(text: &str, last: usize) -> Option<usize> {
    let from = boundary(text, last + PART);
    let rest = &text[from..];
    let begins = |blank: fn(char) -> bool| {
        let mut pairs = rest.char_indices().zip(rest.chars().skip(1));
        let found = pairs.find(|((_, one), next)| blank(*one) && !next.is_whitespace());
        found.map(|((at, one), _)| at + one.len_utf8())
    };
    let line = begins(|one| one == '\n').filter(|at| *at < PART);
    line.or_else(|| begins(char::is_whitespace)).map(|at| from + at)
}

/// The first start of a character from `at` on, or the end.
fn boundary(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn text(words: usize) -> String {
        (0..words)
            .map(|word| format!("w{}{}", word * word % 977, if word % 11 == 0 { ".\n" } else { " \u{e4}" }))
            .collect()
    }

    fn held(text: &str, tokenize: impl Fn(&str) -> Vec<Placed> + Sync) {
        let whole: Vec<u32> = tokenize(text).into_iter().map(|(_, token)| token).collect();
        let found = tokens(text, |part| Ok::<_, Infallible>(tokenize(part)), &|_, _| {}).expect("tokens");
        assert!(found == whole, "{} tokens, not {}", found.len(), whole.len());
    }

    #[test]
    fn tokens_are_those_of_the_whole() {
        // A word and the blank after it.
        let words = |text: &str| -> Vec<Placed> {
            let pieces = text.split_inclusive(char::is_whitespace);
            pieces.map(|piece| (piece.as_ptr() as usize - text.as_ptr() as usize, piece.len() as u32)).collect()
        };
        for text in [text(60_000), text(3), String::new(), "\u{e4}".repeat(200_000), " ".repeat(200_000)] {
            held(&text, words);
        }
        assert!(cuts(&text(60_000)).len() > 5);
    }

    #[test]
    fn a_tokenizer_that_looks_far_gets_the_whole() {
        // The token at a place is the amount of text before it.
        held(&text(60_000), |text| text.char_indices().map(|(place, _)| (place, place as u32)).collect());
        // Its tokens depend on whether the text is long.
        held(&text(60_000), |text| {
            (0..text.len()).step_by(7).map(|place| (place, u32::from(text.len() > 1 << 20))).collect()
        });
    }
}
