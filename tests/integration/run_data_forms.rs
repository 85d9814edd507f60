//! The forms that tables and texts come in, and what a run file may say of them.

use crate::run_data::{Bed, table};
use crate::run_file::resolved;

/// A table of texts with these labels in turn.
fn labelled(labels: &[&str]) -> String {
    let rows = (0..40).map(|n| format!("film number {n},{}\n", labels[n % labels.len()]));
    ["text,label\n".to_owned()].into_iter().chain(rows).collect()
}

fn encoder(train: &str, more: &str) -> String {
    format!("model: {{type: encoder, context: 8}}\ndata: {{train: {train}, text: text, label: label{more}}}\n")
}

fn mlp(train: &str, more: &str) -> String {
    format!("model: {{type: mlp, hidden: [4]}}\ndata: {{train: {train}, label: label{more}}}\n")
}

fn decoder(train: &str, more: &str) -> String {
    format!("model: {{type: decoder, context: 8}}\ndata: {{train: {train}{more}}}\n")
}

const SKIP: &str = "(data.skip_bad_rows: true leaves such rows out)";

#[test]
fn classes_are_what_their_user_wrote() {
    for labels in [
        ["True", "False"],
        ["yes", "no"],
        ["NA", "null"],
        ["01234", "02345"],
        ["1.0", "2.50"],
        ["0x10", "1e3"],
        ["~", "1_000"],
        ["2024-01-01", "007"],
    ] {
        let bed = Bed::new("classes", &[("a.csv", &labelled(&labels))]);
        let listed = format!(", classes: [{}, {}]", labels[1], labels[0]);
        let material = bed.material(&encoder("a.csv", &listed)).expect("a material");
        assert_eq!(material.inputs.classes, [labels[1], labels[0]]);
        // What is written down says the same again.
        let run = bed.run(&encoder("a.csv", &listed)).expect("a run");
        assert_eq!(bed.run(&resolved(&run)).expect("a run").data, run.data, "{}", resolved(&run));
        let mut settings = vec![("data.classes".to_owned(), format!("[{}, {}]", labels[0], labels[1]))];
        let set = bed.run_with(&encoder("a.csv", ""), &settings).expect("a run");
        assert!(format!("{:?}", set.data.source).contains(&format!("classes: [{:?}, {:?}]", labels[0], labels[1])));
        settings[0].1 = format!("[{}, {}, other]", labels[0], labels[1]);
        let run = bed.run_with(&encoder("a.csv", ""), &settings).expect("a run");
        let told = gradus::run::Material::read(&run).err().expect("refused").to_string();
        assert!(told.ends_with("a.csv: the class \"other\" has no example to train on"), "{told}");
    }
    // A file has the classes that it has: words that are numbers in another spelling are others.
    let bed = Bed::new("classes-not", &[("a.csv", &labelled(&["1.0", "2.50"]))]);
    assert!(bed.told(&encoder("a.csv", ", classes: [1, 2.5]")).starts_with("a.csv: 40 of 40 rows cannot be used:"));
}

#[test]
fn names_columns_and_files_may_look_like_numbers() {
    let rows: String = (0..40).map(|n| format!("{n},{},{}\n", n % 3, n % 2)).collect();
    let bed = Bed::new("number-names", &[("7.csv", &format!("0,1,002\n{rows}"))]);
    let text = "name: 007\nmodel: {type: mlp}\ndata: {train: 7.csv, label: 002, features: [1, 0]}\n";
    let material = bed.material(text).expect("a material");
    let columns: Vec<&str> = material.inputs.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!((columns, bed.run(text).expect("a run").name.as_str()), (vec!["1", "0"], "007"));
    for (written, name) in
        [("1e-3", "1e-3"), ("true", "true"), ("no", "no"), ("\"3\"", "3"), ("null", "run"), ("~", "run")]
    {
        let run = bed.run_with(text, &[("name".to_owned(), written.to_owned())]).expect("a run");
        assert_eq!(run.name, name);
    }
    assert!(bed.told("name: [1]\nmodel: {type: mlp}\ndata: {embedded: digits}\n").contains("name = [1] is not a text"));
}

#[test]
fn bad_rows_are_counted_and_shown_and_may_be_skipped() {
    let mut lines: Vec<String> = labelled(&["good", "bad"]).lines().map(str::to_owned).collect();
    for (line, bad) in
        [(3, ",bad"), (5, "\"  \",bad"), (7, "\u{200b},bad"), (9, "a film,"), (11, "a"), (13, "a,b,c"), (15, "\"a")]
    {
        lines[line - 1] = bad.to_owned();
    }
    let bed = Bed::new("bad-rows", &[("a.csv", &lines.join("\n")), ("all.csv", "text,label\n,x\n,y\n")]);
    let told = bed.told(&encoder("a.csv", ""));
    let shown = "a.csv: 7 of 40 rows cannot be used (data.skip_bad_rows: true leaves them out):\n  line 3: the text is \
                 empty\n  line 5: the text is empty\n  line 7: the text is empty\n  line 9: the label is empty\n  line 11: 1 \
                 columns, but 2 in the first line\n  and 2 more";
    assert_eq!(told, shown);
    let material = bed.material(&encoder("a.csv", ", skip_bad_rows: true")).expect("a material");
    let warned = bed.tame(&material.warnings[0]);
    assert!(warned.starts_with("a.csv: 7 of 40 rows were left out: line 3: the text is empty; "), "{warned}");
    assert!(material.summary.contains("30 texts to train on, 3 to test"), "{}", material.summary);
    assert!(bed.told(&encoder("all.csv", ", skip_bad_rows: true")).starts_with("all.csv: 2 of 2 rows cannot be used"));
    // The test set's rows are held against the classes of the train set.
    bed.write("b.csv", b"text,label\na,good\nb,odd\nc,gold\n");
    bed.write("a.csv", labelled(&["good", "bad"]).as_bytes());
    let told = bed.told(&encoder("a.csv", ", test: b.csv"));
    assert!(
        told.contains("b.csv: 2 of 3 rows")
            && told.contains("\"gold\" is not in the train set (did you mean \"good\"?)")
    );
    assert!(bed.material(&encoder("a.csv", ", test: b.csv, skip_bad_rows: true")).is_ok());
}

#[test]
fn numbers_are_plain_and_finite() {
    let bed = Bed::new("plain-numbers", &[]);
    for (cell, words) in [
        ("", "line 4: b is empty"),
        ("\"1,000\"", "line 4: b = \"1,000\" is not a finite number"),
        ("nan", "line 4: b = \"nan\" is not a finite number"),
        ("inf", "line 4: b = \"inf\" is not a finite number"),
        ("1e400", "line 4: b = \"1e400\" is not a finite number"),
        ("\u{661}", "line 4: b = \"\u{661}\" is not a finite number"),
        ("0x10", "line 4: b = \"0x10\" is not a finite number"),
        ("12a", "line 4: b = \"12a\" is not a finite number"),
    ] {
        let row = |n: usize| if n == 2 { format!("1,{cell},x\n") } else { format!("1,{n},{}\n", ["x", "y"][n % 2]) };
        bed.write(
            "a.csv",
            ["a,b,label\n".to_owned()].into_iter().chain((0..20).map(row)).collect::<String>().as_bytes(),
        );
        assert_eq!(bed.told(&mlp("a.csv", "")), format!("a.csv, {words} {SKIP}"));
    }
    for cell in [" 12 ", "+1", "1e3", "-0", "9007199254740993", "4e-320"] {
        let row = |n: usize| if n == 2 { format!("1,{cell},x\n") } else { format!("1,{n},{}\n", ["x", "y"][n % 2]) };
        bed.write(
            "a.csv",
            ["a,b,label\n".to_owned()].into_iter().chain((0..20).map(row)).collect::<String>().as_bytes(),
        );
        assert!(bed.material(&mlp("a.csv", "")).is_ok(), "{cell}");
    }
}

#[test]
fn seconds_since_1970_are_told_apart() {
    let seconds = |from: u64| -> String {
        let rows = (0..40u64).map(|n| format!("{},{}\n", from + n, if n < 20 { "early" } else { "late" }));
        ["when,label\n".to_owned()].into_iter().chain(rows).collect()
    };
    let bed = Bed::new("seconds", &[("a.csv", &seconds(1_700_000_000)), ("b.csv", &seconds(0))]);
    let [large, small] = ["a.csv", "b.csv"].map(|file| bed.material(&mlp(file, "")).expect("a material").inputs);
    assert_eq!(large.columns[0].deviation, small.columns[0].deviation);
    assert!((large.columns[0].mean - 1.7e9 - small.columns[0].mean).abs() < 1e-6, "{:?}", large.columns);
    let plain = bed.material(&mlp("a.csv", ", standardize: false")).expect("a material");
    assert!(plain.warnings[0].contains("when: many of its numbers are one in 32 bits"), "{:?}", plain.warnings);
    assert!(bed.material(&mlp("b.csv", ", standardize: false")).expect("a material").warnings.is_empty());
    // What overflows when it is scaled is refused by its line.
    bed.write("t.csv", b"when,label\n1,early\n1e300,late\n");
    let told = bed.told(&mlp("b.csv", ", test: t.csv"));
    assert!(
        told.starts_with("t.csv, line 3: when = 1") && told.ends_with("is too far from the others for 32 bits"),
        "{told}"
    );
}

#[test]
fn other_encodings_are_named_with_their_line() {
    let csv = format!("{}costs ?5,good\n", labelled(&["good", "bad"]));
    let latin: Vec<u8> = csv.bytes().map(|byte| if byte == b'?' { 0xa3 } else { byte }).collect();
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(csv.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let bed = Bed::new("encodings", &[]);
    for (name, text) in
        [("a.csv", encoder("a.csv", "")), ("a.jsonl", encoder("a.jsonl", "")), ("a.txt", decoder("a.txt", ""))]
    {
        bed.write(name, &latin);
        let told = bed.told(&text);
        assert!(told.starts_with(&format!("{name}, line 42: not UTF-8; it looks like Latin-1 (ISO 8859-1)")), "{told}");
        bed.write(name, &utf16);
        assert!(bed.told(&text).starts_with(&format!("{name}, line 1: it is UTF-16LE, not UTF-8")));
        bed.write(name, b"");
        assert!(bed.told(&text).contains("empty") || bed.told(&text).contains("no rows"), "{}", bed.told(&text));
    }
    bed.write("b.csv", format!("\u{feff}{}", labelled(&["good", "bad"])).replace('\n', "\r\n").as_bytes());
    assert_eq!(bed.material(&encoder("b.csv", "")).expect("a material").inputs.classes, ["bad", "good"]);
}

#[test]
fn columns_that_are_not_used_may_be_as_they_like() {
    let extra = |header: &str, cells: &str| -> String {
        let rows = (0..40).map(|n| format!("{n},film {n},{}{cells}\n", ["good", "bad"][n % 2]));
        [format!("{header}\n")].into_iter().chain(rows).collect()
    };
    let bed = Bed::new(
        "columns",
        &[("a.csv", &extra("id,text,label,,,", ",,,")), ("b.csv", &extra("id,text,label,x,x", ",1,1"))],
    );
    bed.write("index.csv", extra(",text,label", "").as_bytes());
    for file in ["a.csv", "b.csv", "index.csv"] {
        assert!(bed.material(&encoder(file, "")).is_ok(), "{file}");
    }
    assert!(bed.material(&mlp("b.csv", ", features: [id]")).is_ok());
    assert_eq!(bed.told(&mlp("b.csv", "")), "b.csv: the column \"x\" occurs twice");
    assert_eq!(bed.told(&mlp("b.csv", ", features: [id, x]")), "b.csv: the column \"x\" occurs twice");
    let numbers = |header: &str, cells: &str| extra(header, cells).replace("film ", "");
    bed.write("c.csv", numbers("id,n,label,,", ",,").as_bytes());
    let material = bed.material(&mlp("c.csv", "")).expect("nothing stands in the columns without a name");
    assert_eq!(material.inputs.columns.len(), 2);
    bed.write("d.csv", numbers(",n,label", "").as_bytes());
    let told = bed.told(&mlp("d.csv", ""));
    assert!(told.starts_with("d.csv: column 1 has no name; it may be an index, as pandas writes one"), "{told}");
    assert!(bed.material(&mlp("d.csv", ", features: [n]")).is_ok());
    let told = bed.told(&mlp("d.csv", ", features: [n, label]"));
    assert!(told.starts_with("run.yaml: data.features = label is not an input column: it is the label"), "{told}");
    bed.write("e.csv", labelled(&["good"]).as_bytes());
    assert_eq!(bed.told(&encoder("e.csv", "")), "e.csv: there is only one class, \"good\": nothing to learn");
}

#[test]
fn json_lines_have_the_columns_of_all_and_one_form_of_a_number() {
    let json = |labels: [&str; 4], first: &str| -> String {
        let rows = (0..40).map(|n| format!("{{\"text\": \"film {n}\", \"label\": {}}}\n", labels[n % 4]));
        [first.to_owned()].into_iter().chain(rows).collect()
    };
    let bed = Bed::new("json", &[("a.jsonl", &json(["1", "0", "1.0", "0.0"], ""))]);
    for (more, classes) in [("", ["0", "1"]), (", classes: [1.0, 0.0]", ["1", "0"]), (", classes: [1, 0]", ["1", "0"])]
    {
        assert_eq!(bed.material(&encoder("a.jsonl", more)).expect("a material").inputs.classes, classes);
    }
    bed.write("b.jsonl", json(["true", "false", "true", "false"], "{\"text\": \"a first row\"}\n").as_bytes());
    assert_eq!(bed.told(&encoder("b.jsonl", "")), format!("b.jsonl, line 1: \"label\" is missing {SKIP}"));
    let material = bed.material(&encoder("b.jsonl", ", skip_bad_rows: true")).expect("a material");
    assert_eq!(material.inputs.classes, ["false", "true"]);
    for (row, words) in [
        ("{\"text\": \"x\", \"label\": null}", "\"label\" is missing"),
        ("{\"text\": \"x\", \"label\": [\"good\"]}", "\"label\" is a list, where a text or a number is read"),
        ("{\"text\": {}, \"label\": true}", "\"text\" is an object, where a text or a number is read"),
        ("{\"text\": \"one\", \"text\": \"two\", \"label\": true}", "\"text\" occurs twice"),
        ("{\"text\": NaN, \"label\": true}", "not a JSON object: expected value (column 10)"),
        ("[1]", "not a JSON object"),
    ] {
        let rows = json(["true", "false", "true", "false"], "");
        bed.write("c.jsonl", format!("{rows}{row}\n").as_bytes());
        let told = bed.told(&encoder("c.jsonl", ""));
        assert!(told.starts_with(&format!("c.jsonl, line 41: {words}")), "{told}");
    }
    bed.write("d.json", b"[{\"text\": \"a\", \"label\": 1}]");
    assert!(bed.told(&encoder("d.json", "")).contains("jq -c '.[]'"));
}

#[test]
fn a_split_is_stratified_and_what_is_rare_is_told_as_rare() {
    let rare = format!("{}something else entirely,odd\n", labelled(&["good", "bad"]));
    let bed = Bed::new("rare", &[("a.csv", &rare), ("t.csv", &table(40))]);
    for seed in 1..=10 {
        let text = format!("{}seed: {seed}\n", encoder("a.csv", ", test_percent: 20"));
        let material = bed.material(&text).expect("a material");
        let told = "a.csv: too rare for both sides of the split, so in the train set only: \"odd\" (1 example)";
        assert!(material.warnings.iter().any(|warning| bed.tame(warning) == told), "{:?}", material.warnings);
        assert!(material.summary.contains("33 texts to train on, 8 to test, 3 classes"), "{}", material.summary);
    }
    let random: Vec<Result<(), String>> = (1..=20)
        .map(|seed| {
            bed.material(&format!("{}seed: {seed}\n", encoder("a.csv", ", test_percent: 20, split: random")))
                .map(|_| ())
        })
        .collect();
    let refused: Vec<&String> = random.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!((1..15).contains(&refused.len()), "{refused:?}");
    assert!(
        refused[0].starts_with("a.csv: the class \"odd\" (1 example) is rare, and data.split: random"),
        "{}",
        refused[0]
    );
    bed.write("b.csv", b"text,label\na,x\nb,y\nc,z\n");
    assert!(bed.told(&encoder("b.csv", ", test_percent: 40")).contains("no class has two examples"));
    // Both are written down.
    for (more, word) in [("", "stratified"), (", split: random", "random")] {
        let run = bed.run(&encoder("a.csv", more)).expect("a run");
        assert!(resolved(&run).contains(&format!("split: {word}")), "{}", resolved(&run));
        assert_eq!(bed.run(&resolved(&run)).expect("a run").data, run.data);
    }
    let told = bed.told(&encoder("a.csv", ", test: t.csv, split: random"));
    assert_eq!(told, "run.yaml: data.split has no place here: test names a file; keep one of them");
}

#[test]
fn characters_that_a_vocabulary_does_not_have_are_refused_left_out_or_have_one_place() {
    let plain = "the quick brown fox\tjumps over\r\nthe lazy dog\n".repeat(20);
    let curly = format!("{plain}\u{201c}quoted\u{201d} caf\u{e9}\u{e9}\n");
    let bed = Bed::new("unknown", &[("a.txt", &plain), ("b.txt", &curly)]);
    assert!(bed.material(&decoder("a.txt", ", vocabulary: ascii")).is_ok(), "tabs and carriage returns are ASCII");
    let told = bed.told(&decoder("b.txt", ", vocabulary: ascii"));
    let listed = "'\u{e9}' (2 times, first on line 41), '\u{201c}' (once, on line 41), '\u{201d}' (once, on line 41)";
    let ways = "(data.unknown: skip leaves them out, token makes them one token)";
    assert_eq!(told, format!("b.txt: not in the vocabulary: {listed} {ways}"));
    let material = |unknown: &str| {
        bed.material(&decoder("b.txt", &format!(", vocabulary: ascii, unknown: {unknown}"))).expect("a material")
    };
    let (skipped, tokens) = (material("skip"), material("token"));
    let words = "b.txt: characters that are not in the vocabulary are";
    assert_eq!(bed.tame(&skipped.warnings[0]), format!("{words} left out: {listed}"));
    assert_eq!(bed.tame(&tokens.warnings[0]), format!("{words} read as one unknown character: {listed}"));
    let characters =
        |material: &gradus::run::Material| material.inputs.characters.as_ref().map(|it| it.chars().count());
    assert_eq!((characters(&skipped), characters(&tokens)), (Some(128), Some(129)));
    let csv = format!(
        "text,label\n{}",
        (0..20).map(|n| format!("caf\u{e9} {n},{}\n", ["x", "y"][n % 2])).collect::<String>()
    );
    bed.write("c.csv", csv.as_bytes());
    let known = bed.material(&encoder("c.csv", ", unknown: token")).expect("a material");
    assert!(known.inputs.characters.expect("characters").ends_with('\u{fffd}'));
}
