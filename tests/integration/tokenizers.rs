//! Tokenizers against the Python package `tokenizers`: 200 hard sentences, by a WordPiece and by a byte-level BPE.

use crate::golden::own_folder;
use gradus::data::{Encoded, TextInput, Tokenizer, UnknownCharacters, Vocabulary};
use serde_json::Value;

fn file(name: &str) -> Vec<u8> {
    let path = own_folder("tokenizers").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn tokenizer(name: &str) -> Tokenizer {
    Tokenizer::of_json(name, file(&format!("{name}.json"))).expect("a tokenizer")
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().map_or_else(Vec::new, |list| list.iter().map(|id| id.as_u64().expect("an id") as u32).collect())
}

#[test]
fn golden_tokenizers_give_the_tokens_of_the_python_package() {
    let golden: Value = serde_json::from_slice(&file("sentences.json")).expect("JSON");
    let cases = golden["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 200);
    for name in ["wordpiece", "bytes"] {
        let tokenizer = tokenizer(name);
        let mut cuts = 0;
        for context in [512, 12] {
            let input = |case: &Value| {
                let text = |key: &str| case[key].as_str().map(|text| text.to_owned().leak() as &'static str);
                TextInput::new(text("text").expect("a text")).pair(text("pair"))
            };
            let inputs: Vec<TextInput<'_>> = cases.iter().map(input).collect();
            let encoded = tokenizer.encode_all(&inputs, context, &|_, _| {}).expect("tokens");
            for (case, encoded) in cases.iter().zip(encoded) {
                let key = [format!("{name}_{context}"), format!("{name}_512")]
                    .into_iter()
                    .find(|key| case.get(key).is_some())
                    .expect("tokens");
                let text = &case["text"];
                assert_eq!(encoded.tokens, numbers(&case[&key]), "{name} in {context}: {text}");
                assert_eq!(encoded.types, numbers(&case[format!("{key}_types")]), "{name} in {context}: {text}");
                let longer = numbers(&case[format!("{name}_512")]).len() > context
                    || text.as_str().is_some_and(|text| text.len() > 512);
                assert!(!encoded.cut || longer, "{name} in {context}: {text}");
                cuts += usize::from(encoded.cut);
            }
        }
        assert!(cuts > 70, "{cuts}");
    }
}

#[test]
fn a_long_text_has_the_tokens_of_the_whole() {
    let sentences: Value = serde_json::from_slice(&file("sentences.json")).expect("JSON");
    let hard: Vec<&str> =
        sentences["cases"].as_array().expect("cases").iter().filter_map(|case| case["text"].as_str()).collect();
    let text = [gradus::data::glosses().as_str(), &hard.join("\n"), &hard.concat()].concat().repeat(2);
    let text = gradus::data::Text::from_bytes("long", text.into_bytes()).expect("a text");
    for name in ["wordpiece", "bytes"] {
        let tokenizer = tokenizer(name);
        let whole = tokenizer.encode(TextInput::new(text.as_str()), usize::MAX).expect("tokens").tokens;
        let stream = tokenizer.stream(&text, &mut UnknownCharacters::default(), &|_, _| {}).expect("tokens");
        assert!(stream == whole[1..whole.len() - 1], "{name}: {} tokens, {}", stream.len(), whole.len());
    }
}

#[test]
fn sizes_and_padding_are_those_of_the_file() {
    let (wordpiece, bytes) = (tokenizer("wordpiece"), tokenizer("bytes"));
    assert_eq!((wordpiece.vocabulary_size(), wordpiece.pad_token()), (1341, Some(0)));
    assert_eq!((bytes.vocabulary_size(), bytes.pad_token()), (900, Some(1)));
    assert_eq!(wordpiece.to_json().into_bytes(), file("wordpiece.json"));
    assert!(wordpiece.vocabulary().is_none());
}

#[test]
fn what_is_no_tokenizer_is_told() {
    let told = |json: &[u8]| Tokenizer::of_json("dir/tokenizer.json", json.to_vec()).expect_err("refused").to_string();
    for json in
        [&b"{}"[..], b"", b"[1]", b"\xff\xfe", &file("wordpiece.json")[..9000], b"{\"model\": {\"type\": \"Other\"}}"]
    {
        let told = told(json);
        assert!(told.starts_with("dir/tokenizer.json: ") && !told.contains('\n'), "{told}");
    }
    let text = TextInput::new("a person");
    let told = tokenizer("wordpiece").encode(text, 2).expect_err("refused").to_string();
    assert_eq!(told, "wordpiece: it adds 2 special tokens, which leave no room in a context of 2");
    assert_eq!(tokenizer("wordpiece").encode(text, 3).expect("tokens").tokens.len(), 3);
}

#[test]
fn characters_are_one_more_tokenizer_and_as_a_file_give_the_same() {
    let vocabulary = Vocabulary::printable_ascii().with_unknown();
    let unknown = vocabulary.token(Vocabulary::UNKNOWN);
    let characters = Tokenizer::characters(vocabulary, unknown);
    let of_file = Tokenizer::of_json("own", characters.to_json().into_bytes()).expect("a tokenizer");
    assert_eq!(of_file.vocabulary_size(), 97);
    for text in ["", "a person", "two\nlines", "gr\u{e4}dus \u{1f600}\u{301}", " blank  \"quoted\" \\ "] {
        let Encoded { tokens, .. } = characters.encode(TextInput::new(text), 64).expect("tokens");
        assert_eq!(tokens, of_file.encode(TextInput::new(text), 64).expect("tokens").tokens, "{text:?}");
    }
    let encoded = characters.encode(TextInput::new("a\u{e4}b").line(7), 2).expect("tokens");
    assert_eq!((encoded.tokens.len(), encoded.cut), (2, true));
    assert_eq!(encoded.unknown.to_string(), "'\u{e4}' (once, on line 7)");
}
