//! Run files of pictures: folders, tables and IDX files, what is refused, and the way from training to a prediction.

use crate::run_data::Bed;
use crate::train_command::Desk;
use gradus::data::{Augmentation, Fit, Interpolation, Preparation};
use gradus::nn::{Model, Network};
use gradus::run::Material;
use safetensors::tensor::{Dtype, TensorView};
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

/// A picture as PNG; `pixel` gives red, green and blue at a row and a column.
fn png([height, width]: [u32; 2], pixel: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let pixels = (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
    written(
        [height, width],
        png::ColorType::Rgb,
        png::BitDepth::Eight,
        &pixels.flat_map(|(r, c)| pixel(r, c)).collect::<Vec<_>>(),
    )
}

fn written([height, width]: [u32; 2], color: png::ColorType, depth: png::BitDepth, bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(Cursor::new(&mut file), width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.write_header().expect("a header").write_image_data(bytes).expect("pixels");
    file
}

/// A picture of a class: its bright channel, with a pattern that is its own.
pub(crate) fn of_class(class: usize, picture: u32) -> Vec<u8> {
    png([20, 24], |row, column| {
        [0, 1, 2].map(|channel| {
            let noise = (row * 7 + column * 3 + picture * 13 + channel as u32 * 5) % 60;
            (noise + if channel == class { 150 } else { 20 }) as u8
        })
    })
}

const CLASSES: [&str; 3] = ["blue car", "green", "red"];

/// A folder with so many pictures of each class; class 0 is in nested folders.
pub(crate) fn folders(at: &Path, each: u32) {
    for (class, name) in CLASSES.iter().enumerate() {
        for picture in 0..each {
            let folder = if class == 0 { at.join(name).join(format!("{}", picture % 2)) } else { at.join(name) };
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join(format!("{picture}.png")), of_class(2 - class, picture)).expect("a file");
        }
    }
}

const MODEL: &str = "model: {type: resnet, width: 4, size: [16, 20]}\n";

fn material(bed: &Bed, data: &str) -> Result<Material, String> {
    bed.material(&format!("{MODEL}data: {data}\n"))
}

#[test]
fn a_folder_with_a_folder_for_each_class_is_a_set() {
    let bed = Bed::new("picture-folders", &[]);
    folders(&bed.folder.join("all"), 10);
    fs::write(bed.folder.join("all/green/notes.txt"), "none").expect("a file");
    fs::write(bed.folder.join("all/green/.hidden.png"), "none").expect("a file");
    let read = material(&bed, "{train: all, test_percent: 20}").expect("a material");
    assert_eq!(read.inputs.classes, CLASSES);
    assert!(read.summary.contains("24 pictures of 16 x 20 to train on, 6 to test, 3 classes"), "{}", read.summary);
    assert!(read.summary.starts_with("a ResNet-18 of "), "{}", read.summary);
    folders(&bed.folder.join("held"), 2);
    let read = material(&bed, "{train: all, test: held, classes: [red, green, blue car]}").expect("a material");
    assert_eq!(read.inputs.classes, ["red", "green", "blue car"]);
    assert!(read.summary.contains("30 pictures of 16 x 20 to train on, 6 to test"), "{}", read.summary);
}

#[test]
fn a_table_names_pictures_beside_it() {
    let bed = Bed::new("picture-table", &[]);
    folders(&bed.folder.join("all"), 4);
    fs::create_dir_all(bed.folder.join("lists")).expect("a folder");
    let rows: String =
        (0..4).flat_map(|n| ["red", "green"].map(|class| format!("../all/{class}/{n}.png,{class}\n"))).collect();
    bed.write("lists/a.csv", format!("file,kind\n{rows}").as_bytes());
    let read = material(&bed, "{train: lists/a.csv, image: file, label: kind, test_percent: 25}").expect("a material");
    assert_eq!(read.inputs.classes, ["green", "red"]);
    assert!(read.summary.contains("6 pictures of 16 x 20 to train on, 2 to test"), "{}", read.summary);
    bed.write("lists/b.csv", format!("file,kind\n{rows}../all/red/9.png,red\n,red\n").as_bytes());
    let told = material(&bed, "{train: lists/b.csv, image: file, label: kind}").err().expect("refused");
    assert!(
        told.starts_with(
            "lists/b.csv: 2 of 10 rows cannot be used (data.skip_bad_rows: true leaves them out):\n  line 10: "
        ),
        "{told}"
    );
    assert!(told.contains("9.png: No such file") && told.contains("line 11: file is empty"), "{told}");
    let skips = "{train: lists/b.csv, image: file, label: kind, skip_bad_rows: true}";
    let read = material(&bed, skips).expect("a material");
    assert!(
        read.warnings[0].starts_with("lists/b.csv: 2 of 10 rows were left out")
            || read.warnings[0].contains("were left out"),
        "{:?}",
        read.warnings
    );
}

/// An IDX file of bytes.
pub(crate) fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let head = [0, 0, 8, sizes.len() as u8].into_iter().chain(sizes.iter().flat_map(|size| size.to_be_bytes()));
    head.chain(bytes.iter().copied()).collect()
}

#[test]
fn idx_files_are_pictures_too() {
    let bed = Bed::new("picture-idx", &[]);
    bed.write("x", &idx(&[6, 8, 8], &[9; 6 * 64]));
    bed.write("y", &idx(&[6], &[0, 1, 0, 1, 0, 1]));
    let read = material(&bed, "{train: x, train_labels: y, test: x, test_labels: y}").expect("a material");
    assert_eq!(read.inputs.classes, ["0", "1"]);
    assert!(read.summary.contains("6 pictures of 16 x 20 to train on, 6 to test"), "{}", read.summary);
    bed.write("y", &idx(&[5], &[0, 1, 0, 1, 0]));
    let told = material(&bed, "{train: x, train_labels: y}").err().expect("refused");
    assert_eq!(told, "y: its sizes are [5]: one label for each of 6 pictures is needed");
}

#[test]
fn what_is_no_set_of_pictures_is_refused_in_words() {
    let bed = Bed::new("picture-errors", &[("a.csv", "file,kind\nx.png,red\n")]);
    folders(&bed.folder.join("all"), 3);
    fs::create_dir_all(bed.folder.join("split/train/a")).expect("a folder");
    fs::create_dir_all(bed.folder.join("split/val/a")).expect("a folder");
    fs::create_dir_all(bed.folder.join("flat")).expect("a folder");
    fs::write(bed.folder.join("flat/1.png"), of_class(0, 0)).expect("a file");
    folders(&bed.folder.join("hole"), 2);
    fs::create_dir_all(bed.folder.join("hole/yellow")).expect("a folder");
    folders(&bed.folder.join("test"), 1);
    fs::rename(bed.folder.join("test/red"), bed.folder.join("test/rde")).expect("a name");
    let mut wrong = Vec::new();
    for (data, words) in [
        ("{train: none}", "none: there is no such file or folder"),
        (
            "{train: a.csv}",
            "a.csv: not a folder with a folder of pictures for each class; for a table, name its columns by data.image and data.label",
        ),
        ("{train: flat}", "flat: there is no folder in it: pictures lie in a folder for each class"),
        (
            "{train: split}",
            "split: it holds train, val, which are no classes: name the folder of the train set by data.train",
        ),
        ("{train: hole}", "hole: no picture in the folder of the class yellow"),
        ("{train: all, test: test}", "test: the label \"rde\" is not in the train set (did you mean \"red\"?)"),
        ("{train: a.csv, image: file}", "run.yaml: data.label is missing"),
        ("{train: a.csv, image: fle, label: kind}", "a.csv: there is no column \"fle\" (did you mean \"file\"?)"),
        (
            "{train: all, augmentation: {flip: true, padding: 16}}",
            "run.yaml: data.augmentation = {flip: true, padding: 16} cannot be: pictures would be moved out of sight",
        ),
        (
            "{train: all, augmentation: {padding: 2, least_area: 0.5}}",
            "run.yaml: data.augmentation = {padding: 2, least_area: 0.5} cannot be: pictures are moved or cut, not both",
        ),
        ("{train: all, augmentation: {flop: true}}", "run.yaml: data.augmentation.flop"),
        ("{train: all, std: [1, 0, 1]}", "run.yaml: data.std = 0 is not three numbers from 0.001 on"),
        ("{train: all, mean: [1, 2]}", "run.yaml: data.mean = [1, 2] is not a list of three numbers"),
        ("{train: all, mean: [124, 116, 104]}", "run.yaml: data.mean = 124 is not from 0 to 1, as bytes are"),
        (
            "{train: all, crop_pct: 0.001}",
            "run.yaml: data.crop_pct = 0.001 is not a part of the picture's side: from 0.1 to 1",
        ),
        ("{train: all, fit: squash, crop_pct: 0.8}", "run.yaml: data.crop_pct = 0.8 goes with fit: crop"),
        ("{train: all, crop_pct: 1.5}", "run.yaml: data.crop_pct = 1.5 is not a part of the picture's side"),
        ("{embedded: digits}", "run.yaml: data.embedded"),
        ("{train: all, text: words}", "run.yaml: data.text"),
    ] {
        let told = material(&bed, data).err().unwrap_or_else(|| panic!("{data} is taken"));
        if !told.starts_with(words) {
            wrong.push(format!("{data}: {told}"));
        }
    }
    for (model, words) in [
        ("{type: resnet, depth: 19}", "run.yaml: model.depth = 19 is not one of 18, 34, 50, 101"),
        ("{type: resnet, size: 0}", "run.yaml: model.size = [0, 0] is not pixels, from 1 to 4096"),
        ("{type: resnet, size: [8, 8, 3]}", "run.yaml: model.size = [8, 8, 3] is not a whole number, or two"),
        ("{type: resnet, hidden: [8]}", "run.yaml: model.hidden"),
        (
            "{type: resnt}",
            "run.yaml: model.type = resnt is not one of mlp, decoder, encoder, resnet, efficientnet_lite, vit (did you mean \"resnet\"?)",
        ),
    ] {
        let told = bed.told(&format!("model: {model}\ndata: {{train: all}}\n"));
        if !told.starts_with(words) {
            wrong.push(format!("{model}: {told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_that_are_no_pictures_are_named_and_may_be_left_out() {
    let bed = Bed::new("picture-bad", &[]);
    folders(&bed.folder.join("all"), 6);
    let whole = of_class(1, 1);
    let bad: [(&str, &[u8]); 4] = [
        ("cut.png", &whole[..whole.len() / 2]),
        ("empty.jpg", b""),
        ("words.png", b"no picture"),
        ("a.gif", b"GIF89a\x01\0\x01\0\0\0\0;"),
    ];
    for (name, bytes) in bad {
        fs::write(bed.folder.join("all/red").join(name), bytes).expect("a file");
    }
    let told = material(&bed, "{train: all}").err().expect("refused");
    assert!(
        told.starts_with("all: 4 of 22 files cannot be used (data.skip_bad_rows: true leaves them out):"),
        "{told}"
    );
    for words in [
        "red/cut.png: ",
        "red/empty.jpg: the file is empty",
        "red/words.png: it is neither PNG nor JPEG",
        "red/a.gif: it is a file in Gif; PNG and JPEG are read",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let read = material(&bed, "{train: all, test_percent: 17, skip_bad_rows: true}").expect("a material");
    assert!(read.summary.contains("15 pictures") && read.summary.contains(" 3 to test"), "{}", read.summary);
    assert!(read.warnings.iter().any(|warning| warning.contains("4 of 22 files were left out")), "{:?}", read.warnings);
}

#[test]
fn pictures_of_any_kind_become_colour_of_one_size() {
    let preparation = |size| Preparation::new(size);
    let plain = png([2, 4], |row, column| [row as u8 * 100, column as u8 * 50, 7]);
    let whole = preparation([2, 4]).picture(&plain).expect("a picture");
    assert_eq!(whole[..6], [0, 0, 7, 0, 50, 7]);
    // The middle of a wide picture.
    let middle = preparation([2, 2]).picture(&plain).expect("a picture");
    assert_eq!(middle, [0, 50, 7, 0, 100, 7, 100, 50, 7, 100, 100, 7]);
    let mut squash = preparation([2, 2]);
    squash.fit = Fit::Squash;
    let squashed = squash.picture(&plain).expect("a picture");
    assert!(squashed[1] > 0 && squashed[1] < 50 && squashed[4] > 100, "{squashed:?}");
    let grey = written([1, 2], png::ColorType::Grayscale, png::BitDepth::Eight, &[9, 200]);
    assert_eq!(preparation([1, 2]).picture(&grey).expect("a picture"), [9, 9, 9, 200, 200, 200]);
    let deep = written([1, 1], png::ColorType::Grayscale, png::BitDepth::Sixteen, &[0x80, 0xff]);
    assert_eq!(preparation([1, 1]).picture(&deep).expect("a picture"), [0x80; 3]);
    let clear = written([1, 1], png::ColorType::Rgba, png::BitDepth::Eight, &[1, 2, 3, 0]);
    assert_eq!(preparation([1, 1]).picture(&clear).expect("a picture"), [1, 2, 3]);
    // From 10 x 20 to 5 x 5: the side that decides is halved, and the crop is in the middle.
    let wide = png([10, 20], |_, column| [column as u8 * 10; 3]);
    for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
        let mut small = preparation([5, 5]);
        small.interpolation = interpolation;
        let seen = small.picture(&wide).expect("a picture");
        // Ten columns, of which torchvision takes five from the round half of 2.5 on.
        let first: Vec<u8> = seen[..15].chunks(3).map(|pixel| pixel[0]).collect();
        assert_eq!(first, [45, 65, 85, 105, 125], "{interpolation:?}");
    }
    let mut part = preparation([5, 5]);
    part.crop_pct = 0.5;
    assert_eq!(part.picture(&wide).expect("a picture").len(), 75);
}

pub(crate) fn gradus(desk: &Desk, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    let output =
        command.current_dir(&desk.folder).args(["--adapter", "cpu"]).args(arguments).output().expect("the binary runs");
    let words = if output.status.success() { &output.stdout } else { &output.stderr };
    (output.status.success(), String::from_utf8_lossy(words).into_owned())
}

/// A folder becomes a model, which tells pictures apart, is evaluated, begins another run, and resumes.
#[test]
fn a_folder_of_pictures_becomes_a_model_that_tells_them_apart() {
    let desk = Desk::new("picture-run", &[]);
    folders(&desk.folder.join("all"), 12);
    folders(&desk.folder.join("new"), 4);
    let run = "model: {type: resnet, width: 8, size: 16}\ndata: {train: all, test_percent: 25, augmentation: {flip: true, padding: 1}}\nepochs: 6\nbatch_size: 6\nlearning_rate: 0.003\n";
    fs::write(desk.folder.join("run.yaml"), run).expect("a file");
    desk.done(&["run.yaml", "--quiet"]);
    let (is_good, told) = gradus(&desk, &["evaluate", "runs/run", "new", "--json"]);
    assert!(is_good, "{told}");
    let scores: serde_json::Value = serde_json::from_str(&told).expect("json");
    assert_eq!(scores["rows"], 12);
    assert!(scores["accuracy"].as_f64().expect("an accuracy") > 0.9, "{told}");
    let (is_good, told) = gradus(&desk, &["predict", "runs/run", "new"]);
    assert!(is_good, "{told}");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!((lines.len(), lines[0]), (13, "file,label,probability"));
    let right = lines[1..].iter().filter(|line| {
        line.split(',').next().is_some_and(|file| file.starts_with(line.split(',').nth(1).expect("a label")))
    });
    assert!(right.count() > 10, "{told}");
    let (is_good, told) = gradus(&desk, &["predict", "runs/run", "new/red/1.png", "--json"]);
    assert!(is_good && told.starts_with("{\"file\":\"new/red/1.png\",\"label\":\"red\""), "{told}");
    let (is_good, told) = gradus(&desk, &["predict", "runs/run", "all.txt"]);
    assert!(!is_good && told.contains("all.txt: there is no such file or folder"), "{told}");
    // Another run begins from it: its sizes are known.
    let head = "model: {from: runs/run}\ntrainable: false\ndata: {train: new, test_percent: 25}\nepochs: 3\nlearning_rate: 0.001\nbatch_size: 3\n";
    fs::write(desk.folder.join("head.yaml"), head).expect("a file");
    desk.done(&["head.yaml", "--quiet"]);
    let kept = fs::read_to_string(desk.folder.join("runs/head/run.yaml")).expect("a file");
    for line in ["depth: 18", "width: 8", "type: resnet", "fit: crop"] {
        assert!(kept.contains(line), "{line}: {kept}");
    }
    // What a picture was made of has changed.
    fs::write(desk.folder.join("all/red/1.png"), of_class(0, 99)).expect("a file");
    let (is_good, told) = gradus(&desk, &["train", "--resume", "runs/run", "--set", "epochs=7"]);
    assert!(!is_good && told.contains("the train set of"), "{told}");
}

#[test]
fn an_augmentation_is_checked_by_the_library_too() {
    let pictures = gradus::data::Pictures::new([4, 4], 2, &[0; 96], vec![0, 1]).expect("pictures");
    let error = pictures.clone().augmented(Augmentation::new().padding(4)).expect_err("refused");
    assert_eq!(error.to_string(), "pictures cannot be augmented in this way: pictures would be moved out of sight");
    assert!(pictures.augmented(Augmentation::new().least_area(f32::NAN)).is_err());
}

/// Schedules for models of pictures take each of their parameters once, and what does not decay is what a norm or a bias is.
#[test]
fn schedules_for_pictures_take_each_parameter_once() {
    use gradus::nn::models::{EfficientNetLite, ResNet, Vit};
    let resnets = || ResNet::depths().map(|depth| ResNet::new(depth, [64, 64], 5).expect("a model").into());
    let lites = || [0, 4].map(|variant| EfficientNetLite::new(variant, [64, 64], 5).expect("a model").into());
    let cnns: Vec<Model> = resnets().chain(lites()).collect();
    let vits: Vec<Model> = vec![Vit::new([2, 2, 16], [64, 64], 16, 5).into()];
    for (file, phases, models) in [
        ("resnet_gradual", 4, resnets().collect()),
        ("efficientnet_lite_gradual", 3, lites().to_vec()),
        ("cnn_similar_one_cycle", 1, cnns.clone()),
        ("cnn_different_one_cycle", 1, cnns),
        ("vit_one_cycle", 1, vits),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schedules/{file}.yaml"));
        let text = fs::read_to_string(path).expect("a schedule");
        let spec = gradus::schedule::Spec::parse(file, &text).expect("a schedule");
        assert!(spec.warnings.is_empty(), "{:?}", spec.warnings);
        for model in models {
            let params = model.params();
            let run = gradus::schedule::Epochs { epochs: 5, steps_per_epoch: 10 };
            let plan = gradus::schedule::Plan::new(&spec, &params[..], run).expect("a plan");
            assert!(plan.warnings().is_empty(), "{:?}", plan.warnings());
            let counts: Vec<usize> = plan.phases().iter().map(|phase| phase.params.len()).collect();
            let all = if phases == 1 { params.len() } else { counts.iter().sum() };
            assert_eq!((all, counts.len().max(1)), (params.len(), phases), "{file}: {counts:?}");
            let cursors = plan.latest().expect("cursors");
            let groups = plan.groups(cursors.last().expect("a phase")).expect("groups");
            for group in groups {
                let is_matrix = |name: &String| {
                    params.iter().find(|param| param.name == *name).expect("a parameter").shape.len() > 1
                };
                let decays = group.row.weight_decay > 0.0;
                let strange =
                    group.params.iter().find(|name| decays != is_matrix(name) && !name.contains("embeddings"));
                assert_eq!(strange, None, "{file}: decay {}", group.row.weight_decay);
            }
        }
    }
}

/// The demo trains, writes a report with its mistakes, and is not overwritten in silence.
#[test]
fn the_demo_of_pictures_shows_its_mistakes() {
    let desk = Desk::new("picture-demo", &[]);
    let (is_good, told) = gradus(&desk, &["demo", "pictures", "--epochs", "1"]);
    assert!(is_good && told.contains("384 pictures of 32 x 32 to train on, 96 to test, 6 classes"), "{told}");
    let report = String::from_utf8(desk.read("runs/emoji/report.html")).expect("text");
    assert!(report.contains("Worst mistakes") && report.contains("data:image/png;base64,"));
    let mistakes: serde_json::Value = serde_json::from_slice(&desk.read("runs/emoji/mistakes.json")).expect("json");
    let shares: Vec<f64> =
        mistakes.as_array().expect("a list").iter().map(|one| one["probability"].as_f64().expect("a share")).collect();
    assert!(!shares.is_empty() && shares.len() <= 24 && shares.is_sorted_by(|one, next| one >= next), "{shares:?}");
    let (is_good, told) = gradus(&desk, &["demo", "pictures", "--epochs", "1"]);
    assert!(!is_good && told.contains("holds a run already"), "{told}");
    // Its folder is one of timm's in all but the width.
    let config: serde_json::Value = serde_json::from_slice(&desk.read("runs/emoji/config.json")).expect("json");
    assert_eq!(config["gradus"]["resnet"], serde_json::json!({"depth": 18, "width": 16}));
    assert_eq!(config["label_names"][0], "Animals & Nature");
    assert!(config["architecture"].is_null(), "{config}");
}

#[test]
fn an_embedded_set_of_pictures_has_no_files() {
    let bed = Bed::new("picture-embedded", &[]);
    let read = material(&bed, "{embedded: emoji, test_percent: 25}").expect("a material");
    assert!(read.summary.contains("360 pictures of 16 x 20 to train on, 120 to test, 6 classes"), "{}", read.summary);
    assert_eq!(read.pictures.expect("what is tested").count(), 120);
    let told = material(&bed, "{embedded: emoji, train: all}").err().expect("refused");
    assert!(told.starts_with("run.yaml: data.train = all conflicts with embedded"), "{told}");
    let told = bed.told("model: {type: mlp}\ndata: {embedded: emoji}\n");
    assert!(told.contains("emoji is not one of digits"), "{told}");
}

/// A model's first values as a file with our names and shapes.
fn file_of(model: &Model) -> Vec<u8> {
    let values = model.initial(5);
    let views = values.iter().zip(model.tensors()).map(|((name, values), param)| {
        let view = TensorView::new(Dtype::F32, param.shape, bytemuck::cast_slice(values)).expect("a view");
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).expect("a file")
}

/// The same ResNet by torchvision's names and by transformers': a folder of either answers the same.
#[test]
fn a_folder_of_transformers_or_of_timm_answers_without_a_run() {
    use gradus::nn::models::ResNet;
    let desk = Desk::new("picture-pretrained", &[]);
    let model: Model = ResNet::new(18, [16, 16], 3).expect("a model").into();
    let ours = file_of(&model);
    let theirs = model.to_hugging_face(&ours).expect("torchvision's");
    let read = safetensors::SafeTensors::deserialize(&theirs).expect("a file");
    let renamed = |name: &str| -> String {
        let digit = |text: &str| text.parse::<usize>().expect("a number") - 1;
        let part = name.rsplit('.').next().expect("a part");
        let kind = if name.contains("bn") || name.contains("downsample.1") { "normalization" } else { "convolution" };
        match name.split('.').collect::<Vec<_>>()[..] {
            ["fc", part] => format!("classifier.1.{part}"),
            ["conv1" | "bn1", _] => format!("resnet.embedder.embedder.{kind}.{part}"),
            [layer, block, "downsample", ..] => {
                format!("resnet.encoder.stages.{}.layers.{block}.shortcut.{kind}.{part}", digit(&layer[5..]))
            }
            [layer, block, inner, _] => {
                let place = digit(inner.trim_start_matches(char::is_alphabetic));
                format!("resnet.encoder.stages.{}.layers.{block}.layer.{place}.{kind}.{part}", digit(&layer[5..]))
            }
            _ => panic!("{name}"),
        }
    };
    let renamed = read.tensors().into_iter().map(|(name, view)| (renamed(&name), view));
    let renamed = safetensors::serialize(renamed, None).expect("a file");
    let timm =
        "{\"architecture\": \"resnet18\", \"num_classes\": 3, \"pretrained_cfg\": {\"input_size\": [3, 16, 16]}}";
    let transformers = "{\"model_type\": \"resnet\", \"layer_type\": \"basic\", \"depths\": [2, 2, 2, 2], \"hidden_sizes\": [64, 128, 256, 512], \
                        \"embedding_size\": 64, \"hidden_act\": \"relu\", \"id2label\": {\"0\": \"LABEL_0\", \"1\": \"LABEL_1\", \"2\": \"LABEL_2\"}}";
    for (name, config, file) in [("timm", timm, &theirs), ("transformers", transformers, &renamed)] {
        fs::create_dir_all(desk.folder.join(name)).expect("a folder");
        fs::write(desk.folder.join(name).join("config.json"), config).expect("a file");
        fs::write(desk.folder.join(name).join("model.safetensors"), file).expect("a file");
    }
    let preprocessor = "{\"size\": {\"shortest_edge\": 16}, \"resample\": 2}";
    fs::write(desk.folder.join("transformers/preprocessor_config.json"), preprocessor).expect("a file");
    folders(&desk.folder.join("all"), 2);
    let (is_good, timm) = gradus(&desk, &["predict", "timm", "all", "--top", "3"]);
    assert!(is_good, "{timm}");
    assert!(timm.starts_with("file,label,probability,label_2") && timm.lines().count() == 7, "{timm}");
    let (is_good, transformers) = gradus(&desk, &["predict", "transformers", "all", "--top", "3"]);
    assert!(is_good, "{transformers}");
    assert_eq!(timm, transformers);
    fs::write(desk.folder.join("timm/config.json"), "{\"architecture\": \"resnet19\"}").expect("a file");
    let (is_good, told) = gradus(&desk, &["predict", "timm", "all"]);
    assert!(!is_good && told.contains("architecture") && told.contains("resnet18, resnet34"), "{told}");
}

/// A vision transformer of a folder, on pictures of another size: its positions are interpolated, and the run's folder is one of
/// transformers'.
#[test]
fn a_vision_transformer_is_trained_on_pictures_of_another_size() {
    use gradus::nn::models::{FolderWords, Marks, Vit};
    let desk = Desk::new("picture-vit", &[]);
    let model: Model = Vit::new([2, 2, 16], [16, 16], 8, 3).into();
    let file = file_of(&model);
    fs::create_dir_all(desk.folder.join("vit")).expect("a folder");
    let labels = CLASSES.map(str::to_owned);
    let files = model.folder_files(&FolderWords::new(&labels, Marks::default()));
    for (name, bytes) in files.into_iter().chain(model.folder_tensors(&file).expect("files")) {
        fs::write(desk.folder.join("vit").join(name), bytes).expect("a file");
    }
    folders(&desk.folder.join("all"), 8);
    let (is_good, told) = gradus(&desk, &["predict", "vit", "all/red/1.png", "--top", "3"]);
    assert!(is_good && told.contains("red") && told.contains("blue car"), "{told}");
    let run = "model: {from: vit, size: 24}\ndata: {train: all, test_percent: 25}\nepochs: 3\nbatch_size: 6\nlearning_rate: 1.0e-3\ncheck: off\n";
    fs::write(desk.folder.join("run.yaml"), run).expect("a file");
    let told = desk.done(&["run.yaml"]);
    assert!(told.contains("a ViT of ") && told.contains("pictures of 24 x 24"), "{told}");
    let config: serde_json::Value = serde_json::from_slice(&desk.read("runs/run/config.json")).expect("json");
    assert_eq!((&config["image_size"], &config["model_type"]), (&24.into(), &"vit".into()));
    assert_eq!(config["id2label"]["2"], "red");
    let wants: serde_json::Value =
        serde_json::from_slice(&desk.read("runs/run/preprocessor_config.json")).expect("json");
    assert_eq!((&wants["crop_size"]["height"], &wants["resample"]), (&24.into(), &2.into()));
    let (is_good, of_run) = gradus(&desk, &["predict", "runs/run", "all"]);
    assert!(is_good, "{of_run}");
    // Without the run's own files it is a folder of transformers.
    fs::create_dir_all(desk.folder.join("moved")).expect("a folder");
    for name in ["config.json", "preprocessor_config.json", "model.safetensors"] {
        fs::copy(desk.folder.join("runs/run").join(name), desk.folder.join("moved").join(name)).expect("a copy");
    }
    let (is_good, moved) = gradus(&desk, &["predict", "moved", "all"]);
    assert!(is_good, "{moved}");
    assert_eq!(of_run, moved);
    desk.done(&["--resume", "runs/run", "--set", "epochs=4"]);
    for (model, words) in [
        ("{type: vit}", "model.type = vit needs a folder of transformers in model.from"),
        ("{from: vit, depth: 18}", "model.depth"),
        ("{from: vit, size: 4}", "picture"),
    ] {
        fs::write(desk.folder.join("bad.yaml"), format!("model: {model}\ndata: {{train: all}}\nepochs: 3\n"))
            .expect("a file");
        let (code, told) = desk.refused(&["bad.yaml"]);
        assert!(code == Some(2) && told.contains(words), "{model}: {told}");
    }
}

#[test]
fn pictures_that_cannot_be_read_may_be_left_out_of_a_prediction() {
    let desk = Desk::new("picture-skips", &[("rows.csv", "a,b\n1,2\n")]);
    folders(&desk.folder.join("all"), 8);
    let text = format!("{MODEL}data: {{train: all, test_percent: 25}}\nepochs: 1\nbatch_size: 6\ncheck: off\n");
    fs::write(desk.folder.join("run.yaml"), text).expect("a file");
    desk.done(&["run.yaml", "-q"]);
    let (is_good, whole) = gradus(&desk, &["predict", "runs/run", "all/red"]);
    assert!(is_good, "{whole}");
    fs::write(desk.folder.join("all/red/3a.png"), "no picture").expect("a file");
    let (is_good, told) = gradus(&desk, &["predict", "runs/run", "all/red"]);
    let words = "all/red: 3a.png: it is neither PNG nor JPEG\n--skip-bad-rows leaves such files out";
    assert!(!is_good && told.contains(words), "{told}");
    let (is_good, told) = gradus(&desk, &["predict", "runs/run", "all/red", "--skip-bad-rows"]);
    assert!(is_good, "{told}");
    let arguments = ["--adapter", "cpu", "predict", "runs/run", "all/red", "--skip-bad-rows"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    let output = command.current_dir(&desk.folder).args(arguments).output().expect("the binary runs");
    let warned = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(warned.contains("all/red: 1 of 9 files were left out: 3a.png"), "{warned}");
    let answers =
        |told: &str| -> Vec<String> { told.lines().filter(|line| line.contains(".png,")).map(str::to_owned).collect() };
    assert_eq!(answers(&told), answers(&whole));
    assert_eq!(answers(&told).len(), 8);
}

/// A picture's vector is what the last layer reads: the layer makes the prediction of it.
#[test]
fn vectors_of_pictures_are_the_input_of_the_last_layer() {
    use gradus::nn::models::{EfficientNetLite, FolderWords, Marks, ResNet, Vit};
    let desk = Desk::new("picture-vectors", &[]);
    folders(&desk.folder.join("all"), 2);
    let vit: Model = Vit::new([2, 2, 16], [16, 16], 8, 3).into();
    let lite: Model = EfficientNetLite::new(0, [16, 16], 3).expect("a model").into();
    let resnet: Model = ResNet::new(18, [16, 16], 3).expect("a model").into();
    let lines = |arguments: &[&str]| -> Vec<serde_json::Value> {
        let (is_good, told) = gradus(&desk, arguments);
        assert!(is_good, "{told}");
        told.lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    };
    for (name, model, last, width) in
        [("vit", &vit, "classifier", 16), ("lite", &lite, "classifier", 1280), ("resnet", &resnet, "fc", 512)]
    {
        let folder = desk.folder.join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let words = FolderWords::new(&CLASSES.map(str::to_owned), Marks::default());
        let files = model.folder_files(&words).into_iter().chain(model.folder_tensors(&file_of(model)).expect("files"));
        files.for_each(|(file, bytes)| fs::write(folder.join(file), bytes).expect("a file"));
        let vectors = lines(&["predict", name, "all", "--vectors", "--json"]);
        let told = lines(&["predict", name, "all", "--json", "--top", "3"]);
        let file = fs::read(folder.join("model.safetensors")).expect("a file");
        let file = safetensors::SafeTensors::deserialize(&file).expect("a file");
        let floats = |part: &str| -> Vec<f32> {
            bytemuck::pod_collect_to_vec(file.tensor(&format!("{last}.{part}")).expect("the last layer").data())
        };
        let (weight, bias) = (floats("weight"), floats("bias"));
        assert_eq!((vectors.len(), told.len()), (6, 6), "{name}");
        for (vector, told) in vectors.iter().zip(&told) {
            let vector: Vec<f64> =
                vector["vector"].as_array().expect("a vector").iter().filter_map(serde_json::Value::as_f64).collect();
            assert_eq!(vector.len(), width, "{name}");
            let logit = |class: usize| -> f64 {
                let row = weight[class * width..][..width].iter().zip(&vector);
                row.map(|(weight, number)| f64::from(*weight) * number).sum::<f64>() + f64::from(bias[class])
            };
            let shares: Vec<f64> = (0..3).map(|class| logit(class).exp()).collect();
            for top in told["top"].as_array().expect("a list") {
                let class = CLASSES.iter().position(|class| top["label"] == *class).expect("a class");
                let (got, expected) =
                    (shares[class] / shares.iter().sum::<f64>(), top["probability"].as_f64().expect("a share"));
                assert!((got - expected).abs() < 1e-5, "{name}: {got}, not {expected}");
            }
        }
    }
    // A trunk alone says no classes: it has vectors.
    let mut config: serde_json::Value = serde_json::from_slice(&desk.read("vit/config.json")).expect("JSON");
    let all = lines(&["predict", "vit", "all", "--vectors", "--json"]);
    ["id2label", "label2id"].iter().for_each(|key| drop(config.as_object_mut().expect("an object").remove(*key)));
    fs::write(desk.folder.join("vit/config.json"), config.to_string()).expect("a file");
    let file = fs::read(desk.folder.join("vit/model.safetensors")).expect("a file");
    let tensors = safetensors::SafeTensors::deserialize(&file).expect("a file").tensors();
    let trunk = tensors.into_iter().filter(|(name, _)| !name.starts_with("classifier."));
    let trunk = safetensors::serialize(trunk.collect::<Vec<_>>(), None).expect("a file");
    fs::write(desk.folder.join("vit/model.safetensors"), trunk).expect("a file");
    assert_eq!(lines(&["predict", "vit", "all", "--json"]), all);
}

/// Hidden layers lie beside the trunk, which other programs read; a run begins from both.
#[test]
fn heads_of_pictures_have_hidden_layers_with_norms() {
    let desk = Desk::new("picture-heads", &[]);
    folders(&desk.folder.join("all"), 8);
    let run = |name: &str, model: &str| {
        let more = "epochs: 2\nbatch_size: 6\nlearning_rate: 1.0e-3\ncheck: off\n";
        let text = format!("name: {name}\nmodel: {model}\ndata: {{train: all, test_percent: 25}}\n{more}");
        fs::write(desk.folder.join("run.yaml"), text).expect("a file");
        let told = desk.done(&["run.yaml"]);
        assert!(!told.contains("these start with new values"), "{name}: {told}");
        let config = desk.read(&format!("runs/{name}/config.json"));
        serde_json::from_slice::<serde_json::Value>(&config).expect("JSON")
    };
    let sizes = "size: [16, 20]";
    for (name, model, own) in [
        ("lite", format!("{{type: efficientnet_lite, {sizes}, head: {{hidden: [6, 5], norm: batch}}}}"), "batch"),
        (
            "res",
            format!("{{type: resnet, {sizes}, head: {{hidden: [6], norm: ghost, virtual_batch_size: 4}}}}"),
            "ghost",
        ),
        (
            "small",
            format!("{{type: resnet, {sizes}, width: 4, head: {{hidden: [6], norm: layer, dropout: 0.2}}}}"),
            "layer",
        ),
    ] {
        let config = run(name, &model);
        assert_eq!((&config["num_classes"], &config["gradus"]["classes"]), (&0.into(), &3.into()), "{name}");
        assert_eq!(config["gradus"]["head_norm"], own, "{name}");
        let file = desk.read(&format!("runs/{name}/model.safetensors"));
        let trunk = safetensors::SafeTensors::deserialize(&file).expect("a file");
        let is_on_top = |name: &&str| ["head.", "fc.", "classifier."].iter().any(|start| name.starts_with(start));
        assert_eq!(trunk.names().into_iter().find(is_on_top), None, "{name}");
        // Without the run's own files the folder says the same.
        let moved = desk.folder.join(format!("{name}-moved"));
        fs::create_dir_all(&moved).expect("a folder");
        for file in ["config.json", "model.safetensors", "head.safetensors"] {
            fs::copy(desk.folder.join("runs").join(name).join(file), moved.join(file)).expect("a copy");
        }
        let [of_run, of_folder] = [format!("runs/{name}"), format!("{name}-moved")].map(|from| {
            let (is_good, told) = gradus(&desk, &["predict", &from, "all"]);
            assert!(is_good, "{name}: {told}");
            told
        });
        assert_eq!(of_run, of_folder, "{name}");
        // A run that begins from it has its layers, and begins where it ended.
        let config = run("next", &format!("{{from: runs/{name}}}"));
        assert_eq!(config["gradus"]["head_norm"], own, "{name}");
        desk.done(&["--resume", "runs/next", "-q", "--set", "epochs=3"]);
        fs::remove_dir_all(desk.folder.join("runs/next")).expect("a folder");
    }
    for (model, words) in [
        (
            "{type: resnet, head: {norm: batch}}",
            "model.head.norm = batch needs head.hidden: it normalizes hidden layers",
        ),
        (
            "{type: resnet, head: {hidden: [4], norm: bath}}",
            "model.head.norm = bath is not one of none, batch, ghost, layer (did you mean",
        ),
        (
            "{type: resnet, head: {hidden: [4], virtual_batch_size: 8}}",
            "model.head.virtual_batch_size = 8 is for norm: ghost alone",
        ),
        (
            "{type: resnet, head: {hidden: [4], norm: ghost, virtual_batch_size: 1}}",
            "model.head.virtual_batch_size = 1 is not rows, from 2 on",
        ),
        ("{type: resnet, head: {hidden: [4, 0]}}", "model.head.hidden = [4, 0] is not sizes of layers, from 1 on"),
        ("{type: efficientnet_lite, variant: 5}", "model.variant = 5 is not from 0 to 4"),
        ("{type: efficientnet_lite, depth: 18}", "model.depth"),
        (
            "{from: runs/lite, variant: 1}",
            "model.variant = 1 does not match model.from: its config.json says 0; leave it out",
        ),
        (
            "{from: runs/lite, type: resnet}",
            "model.type = resnet does not match model.from: its config.json says efficientnet_lite; leave it out",
        ),
    ] {
        fs::write(desk.folder.join("bad.yaml"), format!("model: {model}\ndata: {{train: all}}\nepochs: 3\n"))
            .expect("a file");
        let (code, told) = desk.refused(&["bad.yaml"]);
        assert!(code == Some(2) && told.contains(words), "{model}: {told}");
    }
}

#[test]
fn a_set_that_is_too_large_for_the_device_comes_ahead_of_its_steps() {
    let desk = Desk::new("picture-ahead", &[]);
    folders(&desk.folder.join("all"), 12);
    let run = |name: &str, more: &str| {
        let data = format!("{{train: all, test_percent: 25, augmentation: {{flip: true}}{more}}}");
        let text = format!("name: {name}\n{MODEL}data: {data}\nepochs: 2\nbatch_size: 4\ncheck: off\n");
        fs::write(desk.folder.join("run.yaml"), text).expect("a file");
        desk.done(&["run.yaml"])
    };
    let told = run("here", "");
    assert!(!told.contains("host memory"), "{told}");
    let told = run("ahead", ", device_megabytes: 0");
    assert!(told.contains("uploads        0.01 MB a step: its examples stay in host memory"), "{told}");
    let file = |name: &str| desk.read(&format!("runs/{name}/model.safetensors"));
    assert!(file("here") == file("ahead"));
    // It may be another way when the run goes on.
    desk.done(&["--resume", "runs/here", "--set", "epochs=3", "--set", "data.device_megabytes=0"]);
    desk.done(&["--resume", "runs/ahead", "--set", "epochs=3", "--set", "data.device_megabytes=100"]);
    assert!(file("here") == file("ahead"));
}

#[test]
fn what_lies_beside_or_around_the_classes_is_not_passed_over() {
    let bed = Bed::new("picture-beside", &[]);
    folders(&bed.folder.join("all"), 6);
    fs::write(bed.folder.join("all/loose.png"), of_class(0, 0)).expect("a file");
    let told = material(&bed, "{train: all}").err().expect("refused");
    assert!(told.starts_with("all: loose.png: it lies in no folder of a class (data.skip_bad_rows: true"), "{told}");
    let read = material(&bed, "{train: all, test_percent: 17, skip_bad_rows: true}").expect("a material");
    assert!(read.summary.contains("15 pictures"), "{}", read.summary);
    fs::remove_file(bed.folder.join("all/loose.png")).expect("a file");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(".", bed.folder.join("all/self")).expect("a link");
        let told = material(&bed, "{train: all}").err().expect("refused");
        assert_eq!(told, "all: self is a link to a folder that holds it");
    }
    // A test set may be a folder where the train set is a table.
    folders(&bed.folder.join("held"), 2);
    let rows: String =
        (0..4).flat_map(|n| ["red", "green"].map(|class| format!("held/{class}/{}.png,{class}\n", n % 2))).collect();
    bed.write("a.csv", format!("file,kind\n{rows}").as_bytes());
    fs::remove_dir_all(bed.folder.join("held/blue car")).expect("a folder");
    let read = material(&bed, "{train: a.csv, image: file, label: kind, test: held}").expect("a material");
    assert!(read.summary.contains("8 pictures of 16 x 20 to train on, 4 to test"), "{}", read.summary);
}

#[test]
fn a_run_does_not_remove_what_it_begins_from() {
    let desk = Desk::new("picture-own", &[]);
    folders(&desk.folder.join("all"), 4);
    let run = "model: {type: resnet, width: 4, size: 16}\ndata: {train: all, test_percent: 25}\nepochs: 3\nbatch_size: 3\nlearning_rate: 0.001\n";
    fs::write(desk.folder.join("run.yaml"), run).expect("a file");
    desk.done(&["run.yaml", "--quiet"]);
    let (code, told) = desk.refused(&["run.yaml", "--overwrite", "--set", "model={from: runs/run}"]);
    assert!(
        code == Some(2)
            && told.contains("--overwrite would remove ")
            && told.contains("runs/run, which model.from names"),
        "{told}"
    );
    assert!(desk.folder.join("runs/run/model.safetensors").exists());
}
