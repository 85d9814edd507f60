//! `gradus predict` and `gradus evaluate`: a trained model is asked about rows.

use crate::train_command::Desk;
use std::io::Write;
use std::process::{Command, Output, Stdio};

const TASKS: [(&str, &str, &str); 3] = [
    ("classify", "label: label, features: [age, country]", "classify"),
    ("multi_label", "label: tags", "multi"),
    ("regress", "labels: [score, age]", "numbers"),
];

/// Texts whose labels follow from their words.
fn table(rows: usize) -> String {
    let row = |n: usize| {
        let (good, long) = (n.is_multiple_of(2), n.is_multiple_of(3));
        let words = [if good { "fine" } else { "poor" }, if long { "epic" } else { "short" }];
        let tags: Vec<&str> = [(good, "good"), (long, "long")].into_iter().filter(|it| it.0).map(|it| it.1).collect();
        let (label, score) = (["bad", "good"][usize::from(good)], f64::from(u8::from(good)) - 0.5);
        format!("{} {} {n},{},{},{},{score},{label}\n", words[0], words[1], n % 40, ["nl", "de"][n % 2], tags.join("|"))
    };
    ["text,age,country,tags,score,label\n".to_owned()].into_iter().chain((0..rows).map(row)).collect()
}

fn gradus(desk: &Desk, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.current_dir(&desk.folder).args(["--adapter", "cpu"]).args(arguments);
    command
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn answers(desk: &Desk, arguments: &[&str]) -> String {
    told(&gradus(desk, arguments).output().expect("the binary runs"))
}

fn refused(desk: &Desk, arguments: &[&str]) -> String {
    let output = gradus(desk, arguments).output().expect("the binary runs");
    let words = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {words}");
    words
}

fn piped(desk: &Desk, arguments: &[&str], text: &str) -> String {
    let mut command = gradus(desk, arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
    told(&child.wait_with_output().expect("an end"))
}

fn trained(name: &str) -> Desk {
    let desk = Desk::new(name, &[("a.csv", &table(120)), ("new.csv", &table(7)), ("test.csv", &table(24))]);
    for (task, data, name) in TASKS {
        let run = format!(
            "model: {{type: encoder, context: 24}}\ntask: {task}\ndata: {{train: a.csv, text: text, {data}}}\nepochs: 3\nbatch_size: 12\nlearning_rate: 0.001\n"
        );
        std::fs::write(desk.folder.join(format!("{name}.yaml")), run).expect("a file");
        desk.done(&[&format!("{name}.yaml"), "--quiet"]);
    }
    desk
}

#[test]
fn a_model_answers_each_row_whatever_the_task() {
    let desk = trained("answers");
    let classes = answers(&desk, &["predict", "runs/classify", "new.csv"]);
    let lines: Vec<&str> = classes.lines().collect();
    assert_eq!((lines.len(), lines[0]), (8, "label,probability"));
    let parts = |line: &str| -> Vec<String> { line.split(',').map(str::to_owned).collect() };
    assert!(lines[1..].iter().all(|line| ["good", "bad"].contains(&parts(line)[0].as_str())), "{classes}");
    for size in ["1", "3", "500"] {
        let other = answers(&desk, &["predict", "runs/classify", "new.csv", "--batch-size", size]);
        assert_eq!(classes, other, "in batches of {size}");
    }
    let top = answers(&desk, &["predict", "runs/classify", "new.csv", "--top", "5"]);
    let row = parts(top.lines().nth(1).expect("a row"));
    let sum: f64 = [&row[1], &row[3]].iter().map(|share| share.parse::<f64>().expect("a share")).sum();
    assert!(row.len() == 4 && (sum - 1.0).abs() < 1e-6, "{top}");
    desk.lines("runs/classify/metrics.jsonl", "val_loss").first().expect("an evaluation");

    let labels = answers(&desk, &["predict", "runs/multi", "new.csv"]);
    assert!(labels.starts_with("labels,good,long\n"), "{labels}");
    for line in labels.lines().skip(1) {
        let row = parts(line);
        let there: Vec<&str> = ["good", "long"]
            .into_iter()
            .zip(&row[1..])
            .filter(|(_, p)| p.parse::<f64>().expect("a share") > 0.5)
            .map(|it| it.0)
            .collect();
        assert_eq!(row[0], there.join("|"), "{line}");
    }
    let numbers = answers(&desk, &["predict", "runs/numbers", "new.csv"]);
    assert!(numbers.starts_with("score,age\n") && numbers.lines().count() == 8, "{numbers}");

    answers(&desk, &["predict", "runs/multi", "new.csv", "--out", "answers.jsonl", "--best"]);
    let lines = desk.lines("answers.jsonl", "labels");
    assert!(lines.len() == 7 && lines[0]["probabilities"]["good"].is_f64(), "{lines:?}");
    let vectors = answers(&desk, &["predict", "runs/multi", "new.csv", "--vectors", "--json"]);
    let vector: serde_json::Value = serde_json::from_str(vectors.lines().next().expect("a row")).expect("JSON");
    assert_eq!(vector["vector"].as_array().map(Vec::len), Some(96));
}

#[test]
fn rows_come_from_pipes_and_without_labels() {
    let desk = trained("pipes");
    let file = answers(&desk, &["predict", "runs/multi", "new.csv"]);
    let texts: String =
        table(7).lines().skip(1).map(|line| format!("{}\n", line.split(',').next().expect("a text"))).collect();
    assert_eq!(piped(&desk, &["predict", "runs/multi", "-"], &texts), file);
    let json: String = texts.lines().map(|text| format!("{{\"text\": \"{text}\"}}\n")).collect();
    assert_eq!(piped(&desk, &["predict", "runs/multi", "-", "--format", "jsonl"], &json), file);
    for (arguments, words) in [
        (vec!["predict", "runs/none", "new.csv"], "gradus: runs/none/config.json: No such file"),
        (vec!["predict", "runs/multi", "none.csv"], "gradus: none.csv: No such file"),
        (
            vec!["predict", "runs/multi", "new.csv", "--out", "answers.txt"],
            "gradus: answers.txt: the extension \"txt\" is not that of a table",
        ),
        (
            vec!["predict", "runs/multi", "new.csv", "--text", "review"],
            "gradus: --text: the run in runs/multi names its columns",
        ),
        (vec!["evaluate", "runs/multi", "none.csv"], "gradus: none.csv: No such file"),
    ] {
        let told = refused(&desk, &arguments);
        assert!(told.starts_with(words), "{arguments:?}: {told}");
    }
    let write = |text: &str| std::fs::write(desk.folder.join("bad.csv"), text).expect("a file");
    write("txt\nfine\n");
    let told = refused(&desk, &["predict", "runs/multi", "bad.csv"]);
    assert!(told.starts_with("gradus: bad.csv: there is no column \"text\" (did you mean \"txt\"?)"), "{told}");
    write("text\nfine\n\" \"\n");
    assert_eq!(refused(&desk, &["predict", "runs/multi", "bad.csv"]), "gradus: bad.csv, line 3: the text is empty");
    write("text,age,country\nfine,3,nl\nfine,x,nl\n");
    let told = refused(&desk, &["predict", "runs/classify", "bad.csv"]);
    assert_eq!(told, "gradus: bad.csv, line 3: age = \"x\" is not a finite number");
    write("text,label,age,country\nfine,great,3,nl\n");
    let told = refused(&desk, &["evaluate", "runs/classify", "bad.csv"]);
    assert_eq!(told, "gradus: bad.csv, line 2: the label \"great\" is not in the train set; its labels are bad, good");
    write("text,age,country\nfine \u{e4} epic short fine epic short,3,uk\n");
    let output = gradus(&desk, &["predict", "runs/classify", "bad.csv"]).output().expect("it runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    for warning in [
        "characters that the model does not know: ",
        "1 of 1 texts are longer than 24 characters and were cut (model.context)",
        "bad.csv: 1 of its categories are not in the train set, so all their inputs are 0; the first is \"uk\" of \"country\" on line 2",
    ] {
        assert!(words.contains(warning), "{words}");
    }
    assert_eq!(told_lines(&output), 2);
}

fn told_lines(output: &Output) -> usize {
    told(output).lines().count()
}

#[test]
fn an_evaluation_is_that_of_the_run() {
    let desk = Desk::new("evaluated", &[("a.csv", &table(60)), ("test.csv", &table(24))]);
    let run = "model: {type: encoder, context: 24}\ndata: {train: a.csv, test: test.csv, text: text, label: label}\nepochs: 1\nbatch_size: 12\n";
    std::fs::write(desk.folder.join("run.yaml"), run).expect("a file");
    desk.done(&["run.yaml", "--quiet"]);
    let last = desk.lines("runs/run/metrics.jsonl", "val_loss").pop().expect("an evaluation");
    let found: serde_json::Value =
        serde_json::from_str(&answers(&desk, &["evaluate", "runs/run", "test.csv", "--json", "--batch-size", "12"]))
            .expect("JSON");
    assert_eq!(
        (&found["loss"], &found["accuracy"], found["rows"].as_u64()),
        (&last["val_loss"], &last["val_accuracy"], Some(24))
    );
    let said = answers(&desk, &["evaluate", "runs/run", "test.csv"]);
    assert!(said.starts_with("24 rows of test.csv\nloss           "), "{said}");
}

#[test]
fn an_mlp_answers_rows_of_numbers_and_others_say_why_they_do_not() {
    let desk = Desk::new("mlp-answers", &[("a.csv", &table(60)), ("a.txt", &"fine words\n".repeat(60))]);
    let write = |name: &str, text: &str| std::fs::write(desk.folder.join(name), text).expect("a file");
    write(
        "mlp.yaml",
        "model: {type: mlp, hidden: [8]}\ndata: {train: a.csv, label: label, features: [score, age]}\nepochs: 20\nbatch_size: 6\nlearning_rate: 0.01\n",
    );
    desk.done(&["mlp.yaml", "--quiet"]);
    let found = answers(&desk, &["predict", "runs/mlp", "a.csv"]);
    let labels: Vec<&str> = found.lines().skip(1).map(|line| line.split(',').next().expect("a label")).collect();
    assert!(labels.iter().enumerate().all(|(n, label)| *label == ["good", "bad"][n % 2]), "{found}");
    let said = answers(&desk, &["evaluate", "runs/mlp", "a.csv"]);
    assert!(said.contains("accuracy       100.00 %"), "{said}");
    let told = refused(&desk, &["predict", "runs/mlp", "a.csv", "--top", "0"]);
    assert_eq!(told, "gradus: --top = 0 is not 1 or more");
    let told = refused(&desk, &["predict", "runs/mlp", "a.csv", "--skip-bad-rows"]);
    assert!(told.starts_with("gradus: --skip-bad-rows is for pictures"), "{told}");
    let told = refused(&desk, &["predict", "runs/mlp", "a.csv", "--vectors"]);
    assert!(told.starts_with("gradus: --vectors: the model reads rows of numbers"), "{told}");
    write("text.yaml", "model: {type: decoder, context: 8}\ndata: {train: a.txt}\nepochs: 1\n");
    desk.done(&["text.yaml", "--quiet"]);
    let told = refused(&desk, &["predict", "runs/text", "a.csv"]);
    assert!(told.starts_with("gradus: runs/text/run.yaml: its model is a decoder"), "{told}");
}

#[test]
fn what_was_learnt_before_is_tested_at_every_evaluation() {
    let old = table(30).replace("fine", "poor");
    let desk = Desk::new("also", &[("a.csv", &table(60)), ("test.csv", &table(24)), ("old.csv", &old)]);
    let run = |data: &str| {
        format!(
            "model: {{type: encoder, context: 24}}\ndata: {{train: a.csv, test: test.csv, text: text, label: label{data}}}\nepochs: 2\nbatch_size: 12\n"
        )
    };
    let write = |name: &str, text: &str| std::fs::write(desk.folder.join(name), text).expect("a file");
    write("plain.yaml", &run(""));
    write("run.yaml", &run(", also: {old: old.csv, again: test.csv}"));
    desk.done(&["plain.yaml", "--quiet"]);
    let told = desk.done(&["run.yaml"]);
    let (plain, lines) =
        (desk.lines("runs/plain/metrics.jsonl", "val_loss"), desk.lines("runs/run/metrics.jsonl", "val_loss"));
    assert_eq!((plain.len(), lines.len()), (2, 2));
    for (plain, line) in plain.iter().zip(&lines) {
        for key in ["train_loss", "val_loss", "val_accuracy", "val_f1"] {
            assert_eq!(plain[key], line[key], "{key}: a further set changes nothing");
        }
        for (of, key) in
            [("val_loss", "again_loss"), ("val_accuracy", "again_accuracy"), ("val_f1_weighted", "again_f1_weighted")]
        {
            assert_eq!(line[of], line[key], "{key}");
        }
        assert!(line["old_loss"].is_f64() && line["old_loss"] != line["val_loss"], "{line}");
    }
    assert!(told.contains("\n       old: loss ") && told.contains("\n       again: loss "), "{told}");
    let page = String::from_utf8(desk.read("runs/run/report.html")).expect("text");
    assert!(page.contains("<h2>Further sets: loss</h2>") && page.contains("<h2>Further sets: F1</h2>"), "no charts");
    let found = answers(&desk, &["evaluate", "runs/run", "old.csv", "--json", "--batch-size", "12"]);
    let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!((&found["loss"], &found["f1"]), (&lines[1]["old_loss"], &lines[1]["old_f1"]));
    desk.done(&["--resume", "runs/run", "--set", "epochs=3", "--quiet"]);
    assert_eq!(desk.lines("runs/run/metrics.jsonl", "old_loss").len(), 3);
    for (also, words) in [
        (
            "{val: old.csv}",
            "gradus: bad.yaml: data.also = val is not a name of letters, digits and _, and none of train, val, test",
        ),
        ("{a-b: old.csv}", "gradus: bad.yaml: data.also = a-b is not a name"),
        ("{old: none.csv}", "gradus: none.csv: No such file"),
        ("old.csv", "gradus: bad.yaml: data.also = old.csv is not a mapping"),
    ] {
        write("bad.yaml", &run(&format!(", also: {also}")));
        let (code, told) = desk.refused(&["bad.yaml"]);
        assert!(code == Some(2) && told.starts_with(words), "{told}");
    }
}
