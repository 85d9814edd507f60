//! The data that a run file names: how it is read, what is refused and what is reported.

use crate::support::folder;
use gradus::run::{Material, RunFile};
use std::path::PathBuf;

/// A folder with a run file's data in it.
pub struct Bed {
    pub folder: PathBuf,
}

impl Bed {
    pub fn new(name: &str, files: &[(&str, &str)]) -> Bed {
        let folder = folder(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let bed = Bed { folder };
        files.iter().for_each(|(name, text)| bed.write(name, text.as_bytes()));
        bed
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.join(name), bytes).expect("a file");
    }

    pub fn run(&self, text: &str) -> Result<RunFile, String> {
        self.run_with(text, &[])
    }

    pub fn run_with(&self, text: &str, settings: &[(String, String)]) -> Result<RunFile, String> {
        RunFile::parse("run.yaml", text, (&self.folder, "run"), settings).map_err(|error| self.words(&error))
    }

    /// Words with files by their names alone.
    pub fn tame(&self, words: &str) -> String {
        words.replace(&format!("{}/", self.folder.display()), "")
    }

    fn words(&self, error: &gradus::run::Error) -> String {
        self.tame(&error.to_string())
    }

    /// What is said if it is refused.
    pub fn told(&self, text: &str) -> String {
        self.material(text).err().expect("it is refused")
    }

    pub fn material(&self, text: &str) -> Result<Material, String> {
        Material::read(&self.run(text)?).map_err(|error| self.words(&error))
    }

    pub fn gone_on(&self, text: &str) -> Result<Material, String> {
        Material::of_run(&self.run(text)?, &self.folder).map_err(|error| self.words(&error))
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A table of 40 rows: every second label is `good`, and the numbers and texts follow from the place.
pub fn table(rows: usize) -> String {
    let row = |n: usize| format!("{n},{},film {n},{}\n", n * n % 7, if n.is_multiple_of(2) { "good" } else { "bad" });
    ["id,square,text,label\n".to_owned()].into_iter().chain((0..rows).map(row)).collect()
}

#[test]
fn a_run_goes_on_with_the_train_and_the_test_set_that_it_began_with_or_not_at_all() {
    let (train, test) = (table(40), table(10));
    let texts = "text: text, label: label";
    let numbers = "label: label, features: [id, square]";
    for (model, columns) in [("encoder", texts), ("mlp", numbers)] {
        let bed = Bed::new(&format!("changed-{model}"), &[("a.csv", &train), ("b.csv", &test)]);
        let file = |more: &str| format!("model: {{type: {model}}}\ndata: {{train: a.csv, {columns}{more}}}\n");
        let told = |more: &str| bed.gone_on(&file(more)).err().unwrap_or_default();
        let begin = |more: &str| {
            let began = bed.material(&file(more)).expect("a material");
            bed.write("inputs.json", began.inputs.to_json().as_bytes());
            assert_eq!(told(more), "", "{model}: the same data");
        };
        let shown = bed.folder.display();
        let changed = |what: &str| format!("{shown}: the data is not what the run began with: {what}");

        begin(", test: b.csv");
        let flipped = |text: &str| text.replace("good", "?").replace("bad", "good").replace('?', "bad");
        bed.write("a.csv", flipped(&train).as_bytes());
        assert_eq!(told(", test: b.csv"), changed("the train set of a.csv holds other examples"), "{model}");
        bed.write("a.csv", train.replacen("7,0,film 7,", "8,0,film 8,", 1).as_bytes());
        assert_eq!(told(", test: b.csv"), changed("the train set of a.csv holds other examples"), "{model}");
        bed.write("a.csv", train.as_bytes());
        bed.write("b.csv", flipped(&test).as_bytes());
        assert_eq!(told(", test: b.csv"), changed("the test set of b.csv holds other examples"), "{model}");
        bed.write("b.csv", test.replacen("3,2,film 3,", "4,2,film 4,", 1).as_bytes());
        assert_eq!(told(", test: b.csv"), changed("the test set of b.csv holds other examples"), "{model}");
        bed.write("a.csv", train.replace("bad", "poor").as_bytes());
        bed.write("b.csv", test.replace("bad", "poor").as_bytes());
        let classes = "the classes were bad, good, and are good, poor now";
        assert_eq!(told(", test: b.csv"), changed(classes), "{model}");
        bed.write("a.csv", train.as_bytes());
        bed.write("b.csv", b"id,square,text,label\n1,1,film,odd\n");
        assert!(
            told(", test: b.csv").starts_with(&changed("b.csv, line 2: the label \"odd\" is not in the train set")),
            "{model}"
        );

        begin(", test_percent: 20");
        let other_split = told(", test_percent: 10");
        assert_eq!(other_split, changed("the train set of a.csv holds other examples"), "{model}");
    }
}

#[test]
fn a_text_a_later_part_of_which_has_changed_is_not_gone_on_with() {
    let text: String = (0..300).map(|n| format!("line {n}\n")).collect();
    let bed = Bed::new("changed-text", &[("a.txt", &text)]);
    let file = "model: {type: decoder, context: 16}\ndata: {train: a.txt}\n";
    let began = bed.material(file).expect("a material");
    bed.write("inputs.json", began.inputs.to_json().as_bytes());
    let told = || bed.gone_on(file).err().unwrap_or_default();
    let shown = bed.folder.display();
    let changed = |what: &str| format!("{shown}: the data is not what the run began with: {what}");
    assert_eq!(told(), "");
    bed.write("a.txt", text.replace("line 299", "line 298").as_bytes());
    assert_eq!(told(), changed("the test set of a.txt holds other examples"));
    bed.write("a.txt", text.replace("line 3\n", "line 4\n").as_bytes());
    assert_eq!(told(), changed("the train set of a.txt holds other examples"));
    bed.write("a.txt", text.replace("line 3\n", "line \u{e9}\n").as_bytes());
    assert!(told().starts_with(&changed("a.txt: not in the vocabulary: '\u{e9}' (once, on line 4)")), "{}", told());
}
