//! JSON lines: an object a line. Columns are the keys of all of them.

use super::Error;
use super::bad_rows::BadRows;
use super::table::{Cell, Row, Table, column};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// Reads JSON lines.
pub(super) fn read(path: &Path, text: &str, label: Option<&str>) -> Result<Table, Error> {
    if text.trim_start().starts_with('[') {
        let reason = "it is one JSON list; JSON lines have an object a line, as jq -c '.[]' writes them";
        return Err(Error::bad_file(path, reason));
    }
    let mut columns: Vec<String> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let (mut rows, mut bad) = (Vec::new(), BadRows::default());
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let object: Object = match serde_json::from_str(text) {
            Ok(object) => object,
            Err(error) => {
                bad.add(line, in_words(&error));
                continue;
            }
        };
        let mut cells: Vec<Cell> = Vec::new();
        for (key, value) in object.0 {
            let place = places.get(&key).copied().unwrap_or_else(|| {
                columns.push(key.clone());
                places.insert(key, columns.len() - 1);
                columns.len() - 1
            });
            if cells.len() <= place {
                cells.resize_with(place + 1, || Cell::Missing);
            }
            cells[place] = match &cells[place] {
                Cell::Missing => cell(value),
                _ => Cell::Bad("occurs twice".to_owned()),
            };
        }
        rows.push(Row { line, cells });
    }
    if let (Some(label), false) = (label, rows.is_empty()) {
        column(path, &columns, label)?;
    }
    Ok(Table { path: path.to_owned(), columns, rows, bad, form })
}

fn cell(value: Value) -> Cell {
    match value {
        Value::String(text) => Cell::Text(text),
        Value::Null => Cell::Missing,
        Value::Array(list) => match list.into_iter().map(text).collect() {
            Some(list) => Cell::List(list),
            None => Cell::Bad("is a list of more than texts and numbers".to_owned()),
        },
        Value::Object(_) => Cell::Bad("is an object, where a text or a number is read".to_owned()),
        other => Cell::Text(form(&other.to_string())),
    }
}

/// A text, a number or a truth as text.
fn text(value: Value) -> Option<String> {
    match cell(value) {
        Cell::Text(text) => Some(text),
        _ => None,
    }
}

/// One form for each number: `1`, `1.0` and `1e0` are one class. Other text stays as it is.
fn form(text: &str) -> String {
    /// Up to here f64 holds every whole number.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    match text.parse::<serde_json::Number>().ok().filter(serde_json::Number::is_f64).and_then(|number| number.as_f64())
    {
        // 0 is added so that there is no -0.
        Some(number) if number.fract() == 0.0 && number.abs() <= WHOLE => format!("{:.0}", number + 0.0),
        Some(number) => number.to_string(),
        None => text.to_owned(),
    }
}

/// An object's entries in their order, equal keys among them.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Object, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }
        reader.deserialize_map(Entries)
    }
}

/// The crate's message says "line 1", which is not the file's line.
fn in_words(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let reason = words.split(" at line ").next().unwrap_or_default();
    format!("not a JSON object: {reason} (column {})", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form() {
        for (text, expected) in [
            ("1", "1"),
            ("1.0", "1"),
            ("1e0", "1"),
            ("-0.0", "0"),
            ("2.50", "2.5"),
            ("-3.0", "-3"),
            ("-10.0", "-10"),
            ("12345678901234567890", "12345678901234567890"),
            ("1e30", "1000000000000000000000000000000"),
            ("True", "True"),
            ("01", "01"),
            ("", ""),
        ] {
            assert_eq!(form(text), expected, "{text}");
        }
    }

    #[test]
    fn columns_are_those_of_all_lines() {
        let text = "{\"text\": \"a\"}\n\n{\"label\": 1.0, \"text\": \"b\"}\r\n{\"text\": \"c\", \"label\": [1]}\n{\"text\": NaN}\n\
                    {\"text\": \"d\", \"label\": 0, \"text\": \"e\"}\n";
        let table = read(Path::new("t.jsonl"), text, Some("label")).expect("a table");
        assert_eq!(table.columns, ["text", "label"]);
        let cells = |column: usize| -> Vec<Result<&str, String>> {
            table.rows.iter().map(|row| table.cell(row, column)).collect()
        };
        assert_eq!(cells(0)[..3], [Ok("a"), Ok("b"), Ok("c")]);
        assert_eq!(cells(0)[3], Err("\"text\" occurs twice".to_owned()));
        assert_eq!(cells(1)[..2], [Err("\"label\" is missing".to_owned()), Ok("1")]);
        assert_eq!(cells(1)[2], Err("\"label\" is a list, where a text or a number is read".to_owned()));
        let told = table.bad.judged(Path::new("t.jsonl"), 4, false).expect_err("a bad row").to_string();
        assert!(told.starts_with("t.jsonl, line 5: not a JSON object: expected value (column "), "{told}");
        let told = read(Path::new("t.jsonl"), " [{}]", Some("label")).err().expect("refused").to_string();
        assert!(told.contains("it is one JSON list"), "{told}");
    }
}
