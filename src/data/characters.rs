//! Characters as tokens of a model.

use super::encoded::longest_first;
use super::{Encoded, TextInput, UnknownCharacters, Vocabulary};
use serde_json::{Map, Value, json};

/// A token for each character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Characters {
    pub(super) vocabulary: Vocabulary,
    /// The token of characters outside the vocabulary; without it they are left out.
    pub(super) unknown: Option<u32>,
}

/// The separator of two texts, if the vocabulary has it.
pub(crate) const BETWEEN: char = '\n';

impl Characters {
    pub(super) fn encode(&self, TextInput { text, pair, line }: TextInput<'_>, context: usize) -> Encoded {
        let mut unknown = UnknownCharacters::default();
        let mut known = |text| self.vocabulary.encode_known((text, line), self.unknown, &mut unknown);
        let mut tokens = known(text);
        let Some(mut second) = pair.map(known) else {
            let cut = tokens.len() > context;
            tokens.truncate(context);
            return Encoded { tokens, types: Vec::new(), cut, unknown };
        };
        let between = self.vocabulary.token(BETWEEN);
        let room = context.saturating_sub(usize::from(between.is_some()));
        let lengths = [tokens.len(), second.len()];
        let [first, rest] = longest_first(lengths, room);
        tokens.truncate(first);
        second.truncate(rest);
        tokens.extend(between);
        let types = [vec![0; tokens.len()], vec![1; second.len()]].concat();
        tokens.extend(second);
        Encoded { tokens, types, cut: [first, rest] != lengths, unknown }
    }

    /// A `tokenizer.json` that does the same, but for characters that are left out here: it has no way to do that.
    pub(super) fn to_json(&self) -> String {
        let characters = self.vocabulary.characters();
        let vocabulary: Map<String, Value> =
            characters.iter().zip(0u32..).map(|(character, token)| (character.to_string(), token.into())).collect();
        let unknown = self.unknown.and_then(|token| characters.get(token as usize)).copied();
        let tokenizer = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": [],
            "normalizer": null,
            "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[\\s\\S]"}, "behavior": "Isolated", "invert": false},
            "post_processor": null,
            "decoder": {"type": "Fuse"},
            "model": {
                "type": "WordLevel",
                "vocab": vocabulary,
                "unk_token": unknown.unwrap_or(Vocabulary::UNKNOWN).to_string(),
            },
        });
        tokenizer.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_texts_share_the_context_and_have_types() {
        let vocabulary = Vocabulary::new(vec!['a', 'b', '\n']).expect("a vocabulary");
        let characters = Characters { vocabulary, unknown: None };
        let encoded = |text: &str, pair: &str, context| {
            let Encoded { tokens, types, cut, .. } = characters.encode(TextInput::new(text).pair(Some(pair)), context);
            (tokens, types, cut)
        };
        assert_eq!(encoded("aa", "b", 4), (vec![0, 0, 2, 1], vec![0, 0, 0, 1], false));
        assert_eq!(encoded("aaaa", "b", 4), (vec![0, 0, 2, 1], vec![0, 0, 0, 1], true));
        assert_eq!(encoded("aaaa", "bbb", 6), (vec![0, 0, 0, 2, 1, 1], vec![0, 0, 0, 0, 1, 1], true));
        assert_eq!(encoded("aaaa", "bbb", 0).0.len(), 1);
    }

    #[test]
    fn what_is_left_of_two_texts_is_as_transformers_has_it() {
        for (lengths, room, left) in [
            ([3, 4], 7, [3, 4]),
            ([3, 9], 7, [3, 4]),
            ([9, 3], 7, [4, 3]),
            ([9, 9], 7, [3, 4]),
            ([10, 9], 7, [4, 3]),
            ([0, 9], 7, [0, 7]),
            ([9, 9], 1, [0, 1]),
        ] {
            assert_eq!(longest_first(lengths, room), left, "{lengths:?} in {room}");
        }
    }
}
