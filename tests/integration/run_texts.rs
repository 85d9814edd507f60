//! Texts of a run: pairs, columns beside them, several labels and numbers, and tokenizers.

use crate::golden::own_folder;
use crate::run_data::Bed;
use gradus::run::Material;

fn encoder(task: &str, data: &str) -> String {
    format!("model: {{type: encoder, context: 12}}\ntask: {task}\ndata: {{train: a.csv, text: text, {data}}}\n")
}

/// 40 rows: a text and a second one, an age and a country, several labels in one column and in two, and a price.
fn table() -> String {
    let countries = ["nl", "de", "fr"];
    let tags = ["fun|long", "long", "", "fun", "dull | long"];
    let row = |n: usize| {
        let (age, country, tags) = (20 + n, countries[n % 3], tags[n % 5]);
        let (fun, long) = (u8::from(tags.contains("fun")), u8::from(tags.contains("long")));
        let class = ["good", "bad"][n % 2];
        format!("film {n},was {class},{age},{country},{tags},{fun},{long},{}.5,{class}\n", 3 * n)
    };
    let head = "text,answer,age,country,tags,fun,long,price,label\n".to_owned();
    [head].into_iter().chain((0..40).map(row)).collect()
}

fn head(material: &Material) -> Vec<usize> {
    let params = material.task.params();
    params.iter().find(|param| param.name == "classifier.weight").expect("a head").shape.to_vec()
}

#[test]
fn several_labels_stand_in_one_column_or_in_one_each() {
    let bed = Bed::new("labels", &[("a.csv", &table())]);
    let names = bed.material(&encoder("multi_label", "label: tags")).expect("a material");
    assert_eq!(names.inputs.classes, ["dull", "fun", "long"]);
    assert_eq!(head(&names)[0], 3);
    assert!(names.summary.ends_with("36 texts to train on, 4 to test, 3 labels"), "{}", names.summary);
    let marks = bed.material(&encoder("multi_label", "labels: [long, fun]")).expect("a material");
    assert_eq!(marks.inputs.classes, ["long", "fun"]);
    let same = bed.material(&encoder("multi_label", "labels: [long, fun], split: random")).expect("a material");
    assert_eq!(marks.inputs, same.inputs);
    let json: String = (0..20)
        .map(|n| format!("{{\"text\": \"film {n}\", \"tags\": [{}]}}\n", ["", "1, 2.0", "\"x\""][n % 3]))
        .collect();
    bed.write("a.jsonl", json.as_bytes());
    let text = encoder("multi_label", "label: tags").replace("a.csv", "a.jsonl");
    assert_eq!(bed.material(&text).expect("a material").inputs.classes, ["1", "2", "x"]);
    for (data, words) in [
        ("label: tags, labels: [fun]", "run.yaml: data.label = tags conflicts with labels; keep one of them"),
        (
            "labels: [fun], label_separator: ';'",
            "run.yaml: data.label_separator = ; conflicts with labels; keep one of them",
        ),
        (
            "label: tags, label_separator: ' '",
            "run.yaml: data.label_separator =   is not a separator that is not blank",
        ),
        ("labels: [price]", "a.csv: 40 of 40 rows cannot be used:\n  line 2: \"price\" = \"0.5\" is neither 1 nor 0"),
        ("labels: [fun, text]", "run.yaml: data.text = text is not another column than the label's"),
        ("label: tags, split: stratified", "run.yaml: data.split = stratified is not one of random"),
        ("label: tags, classes: [fun, long, dull, none]", "a.csv: the class \"none\" has no example to train on"),
    ] {
        let told = bed.told(&encoder("multi_label", data));
        assert!(told.starts_with(words), "{told}");
    }
    let told = bed.told(&encoder("multi_label", "label: tags, classes: [fun, long]"));
    let words = "the label \"dull\" is not in data.classes, which are fun, long";
    assert!(told.contains(words), "{told}");
    bed.write("b.csv", b"text,tags\nfilm,fun|odd\n");
    let told = bed.told(&encoder("multi_label", "label: tags, test: b.csv"));
    assert!(told.starts_with("b.csv, line 2: the label \"odd\" is not in the train set"), "{told}");
}

#[test]
fn numbers_are_told_by_one_output_each() {
    let bed = Bed::new("numbers", &[("a.csv", &table())]);
    let one = bed.material(&encoder("regress", "label: price")).expect("a material");
    assert_eq!((one.inputs.classes.clone(), head(&one)[0]), (vec!["price".to_owned()], 1));
    assert!(one.summary.ends_with("36 texts to train on, 4 to test, to tell price"), "{}", one.summary);
    let two = bed.material(&encoder("regress", "labels: [price, age]")).expect("a material");
    assert_eq!((two.inputs.classes.len(), head(&two)[0]), (2, 2));
    assert_ne!(one.inputs.train_crc32, two.inputs.train_crc32);
    for (task, data, words) in [
        (
            "regress",
            "label: country",
            "a.csv: 40 of 40 rows cannot be used:\n  line 2: country = \"nl\" is not a finite number",
        ),
        (
            "regress",
            "label: price, classes: [1]",
            "run.yaml: data.classes has no place here: task: regress predicts numbers and has no classes",
        ),
        (
            "classify",
            "labels: [price]",
            "run.yaml: data.labels has no place here: several labels go with task: multi_label or task: regress",
        ),
        (
            "classify",
            "label: label, label_separator: ','",
            "run.yaml: data.label_separator has no place here: it goes with task: multi_label",
        ),
        (
            "regres",
            "label: price",
            "run.yaml: task = regres is not one of classify, multi_label, regress (did you mean \"regress\"?)",
        ),
    ] {
        let told = bed.told(&encoder(task, data));
        assert!(told.starts_with(words), "{told}");
    }
    let told = bed.told("model: {type: mlp}\ntask: regress\ndata: {train: a.csv, label: price}\n");
    assert!(told.starts_with("run.yaml: task = regress does not go with model.type: mlp"), "{told}");
    bed.write("c.csv", table().replace("0.5,", "1e39,").as_bytes());
    let told = bed.told(&encoder("regress", "label: price").replace("a.csv", "c.csv"));
    assert!(
        told.contains("\"price\" is more than 32 bits hold") || told.contains("price is more than 32 bits hold"),
        "{told}"
    );
}

#[test]
fn columns_beside_a_text_are_standardized_or_one_input_a_category() {
    let bed = Bed::new("beside", &[("a.csv", &table())]);
    let plain = bed.material(&encoder("classify", "label: label")).expect("a material");
    let beside = bed.material(&encoder("classify", "label: label, features: [age, country]")).expect("a material");
    let hidden = head(&plain)[1];
    assert_eq!(head(&beside), [2, hidden + 4]);
    assert!(beside.summary.ends_with("2 classes, 4 numbers beside each"), "{}", beside.summary);
    let [age, country] = &beside.inputs.columns[..] else { panic!("{:?}", beside.inputs.columns) };
    assert!((age.mean - 39.5).abs() < 2.0 && age.deviation > 10.0 && age.categories.is_empty());
    assert_eq!(country.categories, ["de", "fr", "nl"]);
    let json = beside.inputs.to_json();
    bed.write("inputs.json", json.as_bytes());
    assert_eq!(gradus::run::Inputs::of_run(&bed.folder).expect("inputs"), beside.inputs);
    assert!(!plain.inputs.to_json().contains("categories") && !plain.inputs.to_json().contains("tokenizer"));
    let row = |more: &str| format!("text,answer,age,country,label\nfilm,was,{more},good\n");
    bed.write("b.csv", row("30,uk").as_bytes());
    let tested = encoder("classify", "label: label, features: [age, country], test: b.csv");
    let unseen = "b.csv: 1 of its categories are not in the train set, so all their inputs are 0; the first is \"uk\" of \"country\" on line 2";
    let material = bed.material(&tested).expect("a material");
    assert_eq!(material.warnings.iter().map(|warning| bed.tame(warning)).collect::<Vec<_>>(), [unseen]);
    bed.write("b.csv", row("old,nl").as_bytes());
    let material = bed.material(&tested).expect("a material");
    assert_eq!(material.inputs.columns[0].categories.len(), 36 + 4, "not all are numbers");
    bed.write("b.csv", row(",nl").as_bytes());
    assert!(bed.told(&tested).starts_with("b.csv, line 2: \"age\" is empty"), "{}", bed.told(&tested));
    for (data, words) in [
        ("features: [age, label]", "run.yaml: data.features = label is not an input column"),
        ("features: [age, text]", "run.yaml: data.features = text is already the text"),
        ("features: [age, agge]", "a.csv: there is no column \"agge\" (did you mean \"age\"?)"),
        ("text_pair: label", "run.yaml: data.text_pair = label is not another column than the label's or text's"),
        ("text_pair: anser", "a.csv: there is no column \"anser\" (did you mean \"answer\"?)"),
    ] {
        let told = bed.told(&encoder("classify", &format!("label: label, {data}")));
        assert!(told.starts_with(words), "{told}");
    }
}

#[test]
fn a_second_text_is_read_behind_the_first() {
    let bed = Bed::new("pairs", &[("a.csv", &table())]);
    let plain = bed.material(&encoder("classify", "label: label")).expect("a material");
    let pairs = bed.material(&encoder("classify", "label: label, text_pair: answer")).expect("a material");
    assert!(pairs.inputs.characters.as_ref().is_some_and(|characters| characters.contains('\n')));
    assert_ne!(plain.inputs.train_crc32, pairs.inputs.train_crc32);
    let told = "40 of 40 texts are longer than 12 characters and were cut (model.context)";
    assert!(pairs.warnings.iter().any(|warning| warning == told), "{:?}", pairs.warnings);
    bed.write("b.csv", b"text,answer,label\nfilm,,good\n");
    let told = bed.told(&encoder("classify", "label: label, text_pair: answer, test: b.csv"));
    assert!(told.starts_with("b.csv, line 2: \"answer\" is empty"), "{told}");
}

#[test]
fn a_run_goes_on_with_the_tokenizer_beside_its_inputs_or_not_at_all() {
    let bed = Bed::new("tokenizer-kept", &[("a.csv", &table())]);
    let text = encoder("classify", "label: label");
    let json = std::fs::read(own_folder("tokenizers").join("wordpiece.json")).expect("a tokenizer");
    let mut inputs = bed.material(&text).expect("a material").inputs;
    inputs.characters = None;
    inputs.tokenizer_crc32 = Some(crc32(&json));
    bed.write("inputs.json", inputs.to_json().as_bytes());
    let told = |bed: &Bed| bed.gone_on(&text).err().unwrap_or_default();
    let shown = bed.folder.display().to_string();
    assert!(told(&bed).starts_with("tokenizer.json: No such file"), "{}", told(&bed));
    bed.write("tokenizer.json", &json[..json.len() / 2]);
    assert!(told(&bed).contains("tokenizer.json: the crate tokenizers 0.23 cannot read it: EOF"), "{}", told(&bed));
    bed.write("tokenizer.json", &std::fs::read(own_folder("tokenizers").join("bytes.json")).expect("a tokenizer"));
    assert!(
        told(&bed).contains("tokenizer.json: it is not the tokenizer that the run began with: its checksum differs"),
        "{}",
        told(&bed)
    );
    bed.write("tokenizer.json", &json);
    // The checksums of the sets are those of characters.
    assert_eq!(
        told(&bed),
        format!("{shown}: the data is not what the run began with: the train set of a.csv holds other examples")
    );
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
