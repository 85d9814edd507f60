//! `gradus plan`, as its user runs it.

use gradus::params::{Field, Row};
use gradus::schedule::Spec;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of this test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("gradus-plan-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        Folder(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a path").to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.join(name), text).expect("a file");
        self.path(name)
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn plan(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gradus")).arg("plan").args(arguments).output().expect("the binary runs")
}

pub(crate) fn shown(arguments: &[&str]) -> String {
    let output = plan(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

pub(crate) fn refused(arguments: &[&str]) -> String {
    let output = plan(arguments);
    let code = output.status.code();
    assert_eq!(code, Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.stdout, b"", "{arguments:?}");
    let told = String::from_utf8(output.stderr).expect("text");
    assert_eq!(told.lines().count(), 1, "{told}");
    told.trim_end().to_owned()
}

/// The texts of an SVG; panics where its elements do not close in order.
fn texts(svg: &str) -> Vec<String> {
    let (mut open, mut texts) = (Vec::new(), Vec::new());
    for part in svg.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag that ends");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{name}> closes");
        } else if !tag.ends_with('/') {
            assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
            open.push(name);
        }
        if !text.trim().is_empty() {
            texts.push(text.trim().to_owned());
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
    texts
}

/// The rows that a CSV holds, with the group's name of each.
fn read_csv(path: &str, fields: &[Field]) -> Vec<(u64, String, Vec<f64>)> {
    let text = std::fs::read_to_string(path).expect("a table");
    let mut lines = text.lines();
    let names: Vec<&str> = ["step", "group"].into_iter().chain(fields.iter().map(|field| field.name())).collect();
    assert_eq!(lines.next(), Some(names.join(",").as_str()));
    let parse = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let [step, group, numbers @ ..] = &cells[..] else { panic!("{line}") };
        let numbers: Vec<f64> = numbers.iter().map(|number| number.parse().expect("a number")).collect();
        (step.parse().expect("a step"), (*group).to_owned(), numbers)
    };
    lines.map(parse).collect()
}

/// Runs the binary on a schedule and holds the table against the library's, bit by bit.
fn check(folder: &Folder, file: &str, steps: u64, steps_per_epoch: Option<u64>) -> String {
    let (csv, svg) = (folder.path("plan.csv"), folder.path("plan.svg"));
    let (steps_text, epoch_text) = (steps.to_string(), steps_per_epoch.unwrap_or(1).to_string());
    let mut arguments = vec![file, "--steps", &steps_text, "--csv", &csv, "--svg", &svg];
    if steps_per_epoch.is_some() {
        arguments.extend(["--steps-per-epoch", &epoch_text]);
    }
    let told = shown(&arguments);
    assert!(told.lines().all(|line| line.is_ascii() && line.len() <= 80 || line.starts_with("written")), "{told}");

    let spec = Spec::parse(file, &std::fs::read_to_string(file).expect("a schedule")).expect("a schedule");
    let mut groups = vec![("decay", spec.row)];
    if !spec.no_decay.is_empty() {
        groups.push(("no_decay", spec.row.weight_decay(0.0)));
    }
    let base: Vec<Row> = groups.iter().map(|(_, row)| *row).collect();
    let rows = spec.table(&base, steps, steps_per_epoch).expect("rows");
    let fields: Vec<Field> = spec.row.fields().collect();
    let table = read_csv(&csv, &fields);
    assert_eq!((table.len(), rows.len()), (steps as usize * groups.len(), table.len()), "{file}");
    for (place, ((step, group, numbers), row)) in table.iter().zip(&rows).enumerate() {
        assert_eq!((*step, group.as_str()), ((place / groups.len()) as u64, groups[place % groups.len()].0), "{file}");
        let expected: Vec<u64> = fields.iter().map(|field| row.get(*field).to_bits()).collect();
        assert_eq!(numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>(), expected, "{file}: {place}");
    }
    let names = texts(&std::fs::read_to_string(&svg).expect("a picture"));
    for name in ["step", "lr", "decay"] {
        assert!(names.iter().any(|text| text.starts_with(name)), "{file}: {name:?} is not among {names:?}");
    }
    assert!(folder.files().iter().all(|name| !name.ends_with(".new")), "{:?}", folder.files());
    told
}

#[test]
fn plan_shows_every_schedule_of_ours() {
    let folder = Folder::new("ours");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules");
    let mut checked = 0;
    for entry in std::fs::read_dir(ours).expect("schedules") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a schedule");
        if path.extension().is_some_and(|extension| extension == "yaml") && !text.contains("\nphases:") {
            let told = check(&folder, path.to_str().expect("a path"), 500, Some(50));
            assert!(told.contains("epoch  0"), "{told}");
            checked += 1;
        }
    }
    assert!(checked > 0);
    println!("{checked} schedules");
}

#[test]
fn plan_tells_what_each_phase_thaws_moves_and_holds() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/schedules/mlp_gradual.yaml");
    let told = shown(&[file, "--model", "mlp"]);
    let expected = [
        "phase  ends                    thaws      trainable        moved a step  moments   best copy",
        "0      patience 2 or epoch 8   2 tensors  650 (3.8 %)      18.2 kB       5.6 kB    8.6 kB on the device",
        "1      patience 2 or epoch 16  2 tensors  8906 (51.7 %)    249.4 kB      71.7 kB   107.9 kB on the device",
        "2      patience 2 or epoch 30  2 tensors  17226 (100.0 %)  482.3 kB      138.2 kB  207.9 kB on the device",
        "all                            6 tensors  17226 (100.0 %)  482.3 kB      138.2 kB",
        "",
        "phase 0  lr 3e-3  layers.2.weight, layers.2.bias",
    ];
    assert_eq!(told.lines().take(expected.len()).collect::<Vec<_>>(), expected);
    assert!(refused(&[file]).ends_with("has phases: --model or --shapes must name the parameters that they thaw"));
    let folder = Folder::new("phases-csv");
    let told = shown(&[file, "--model", "mlp", "--csv", &folder.path("rates.csv")]);
    assert!(told.contains("phase 1 begins at step 352\n") && told.contains("phase 2 begins at step 704\n"), "{told}");
    let plain = concat!(env!("CARGO_MANIFEST_DIR"), "/schedules/digits_mlp.yaml");
    assert!(refused(&[plain]).ends_with("has no phases: --steps must give the length of the run"));
}

#[test]
fn plan_draws_the_pictures_of_the_page() {
    let folder = Folder::new("page");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = std::fs::read_to_string(docs.join("laws.md")).expect("the page");
    let mut shown = 0;
    for entry in std::fs::read_dir(docs.join("pictures")).expect("pictures") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a schedule");
        let arguments: Vec<&str> = text.lines().next().expect("a line").split(' ').collect();
        let number = |name: &str| {
            let place = arguments.iter().position(|argument| *argument == name)?;
            Some(arguments[place + 1].parse().expect("a number"))
        };
        check(&folder, path.to_str().expect("a path"), number("--steps").expect("steps"), number("--steps-per-epoch"));
        let svg = path.with_extension("svg");
        assert!(svg.exists(), "{}: run docs/pictures/make.sh", svg.display());
        let name = svg.file_name().expect("a name").to_str().expect("text");
        assert!(page.contains(&format!("(pictures/{name})")), "{name} is not on the page");
        shown += 1;
    }
    assert!(shown >= 18, "{shown} pictures");
}

#[test]
fn plan_draws_a_panel_for_each_field_that_moves() {
    let folder = Folder::new("fields");
    let text = "optimizer: {type: adamw, weight_decay: 0.01, no_decay: [bias]}\n\
                lr_scheduler: {type: one_cycle, beta1_min: 0.85}\n\
                laws: [{field: weight_decay, type: step, gamma: 2, every_steps: 40}]\n";
    let file = folder.write("run.yaml", text);
    let told = check(&folder, &file, 100, None);
    let beta1 = "\n          beta1: first 0.9, lowest 0.85 at step 29, last 0.9\n";
    assert!(told.contains(&format!("\n          weight_decay: first 0.01, last 0.04{beta1}")), "{told}");
    assert!(told.contains(&format!("\n          weight_decay: 0{beta1}")), "{told}");
    let names = texts(&std::fs::read_to_string(folder.path("plan.svg")).expect("a picture"));
    for name in ["lr", "weight_decay", "beta1", "decay, no_decay", "no_decay"] {
        assert!(names.iter().any(|text| text == name), "{name:?} is not among {names:?}");
    }
    assert_eq!(names.iter().filter(|text| *text == "step").count(), 3);
}

#[test]
fn plan_says_what_it_cannot_know() {
    let folder = Folder::new("plateau");
    let file = folder.write("run.yaml", "optimizer: {type: adamw}\nlr_scheduler: {type: plateau}\n");
    let told = check(&folder, &file, 10, None);
    assert!(told.contains("\nnote      a plateau law reduces by metrics"), "{told}");
    let file = folder.write("run.yaml", "optimizer: {type: adamw}\nlr_scheduler: {type: step, every_epochs: 2}\n");
    assert!(refused(&[&file, "--steps", "9"]).contains("lr_scheduler.every_epochs = 2"));
    let text = "optimizer: {type: adamw}\nlr_scheduler: {type: exponential, gamma: 2}\n";
    let file = folder.write("run.yaml", text);
    assert_eq!(
        refused(&[&file, "--steps", "999"]),
        format!(
            "gradus: {file}: lr_scheduler: lr = 3.484e38 at step 138 of the group decay is not a number that \
             f32 holds: it goes to 3.4e38"
        )
    );
}

#[test]
fn plan_says_what_is_seldom_meant() {
    let folder = Folder::new("notes");
    let notes = |law: &str, steps: u64| {
        let file = folder.write("run.yaml", &format!("optimizer: {{type: adamw}}\nlr_scheduler: {{{law}}}\n"));
        let told = check(&folder, &file, steps, Some(10));
        // When a class is stepped is told of every one.
        let notes = told.lines().filter_map(|line| line.strip_prefix("note      "));
        notes.filter(|note| !note.starts_with("lr_scheduler: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let timm = "class_path: timm.scheduler.CosineLRScheduler, init_args: {t_initial: 10";
    let zero = "lr is 0 from step 10 on, for 90 of 100 steps";
    let counts = "timm counts epochs (t_in_epochs), but interval: step counts steps";
    assert_eq!(notes(&format!("{timm}}}"), 100), [zero, counts]);
    assert_eq!(notes(&format!("{timm}}}, interval: epoch"), 100), [""; 0]);
    assert_eq!(notes(&format!("{timm}, lr_min: 1e-5}}"), 100), [counts]);
    assert_eq!(notes(&format!("{timm}0, t_in_epochs: false}}"), 100), [""; 0]);
    assert_eq!(notes("type: cosine, steps: 10", 100), [zero]);
    let linear = "class_path: transformers.get_linear_schedule_with_warmup, init_args: {num_warmup_steps: 0, ";
    let class = "a class that counts epochs needs interval: epoch";
    assert_eq!(notes(&format!("{linear}num_training_steps: 10}}"), 100), [zero, class]);
    assert_eq!(notes("type: cosine", 100), [""; 0]);
    let plateau = "a plateau law reduces by metrics; this plan assumes that none comes";
    assert_eq!(notes("class_path: torch.optim.lr_scheduler.ReduceLROnPlateau", 100), [plateau]);
    assert_eq!(notes("class_path: timm.scheduler.PlateauLRScheduler", 100), [plateau]);
}

#[test]
fn plan_draws_epochs_where_they_are_known() {
    let folder = Folder::new("epochs");
    let file = folder.write("run.yaml", "optimizer: {type: adamw}\nlr_scheduler: {type: cosine}\n");
    let names = |epoch| {
        check(&folder, &file, 100, epoch);
        texts(&std::fs::read_to_string(folder.path("plan.svg")).expect("a picture"))
    };
    let with = names(Some(25));
    for name in ["epoch", "0", "1", "2", "3", "4", "100"] {
        assert!(with.iter().any(|text| text == name), "{name:?} is not among {with:?}");
    }
    assert!(names(None).iter().all(|text| text != "epoch"));
}

#[test]
fn plan_draws_one_chart_for_groups_alike_and_tells_key_numbers() {
    let folder = Folder::new("alike");
    let text =
        "optimizer: {type: adamw, lr: 2e-3, weight_decay: 0.1, no_decay: [bias]}\nlr_scheduler: {type: cosine}\n";
    let file = folder.write("run.yaml", text);
    let told = check(&folder, &file, 100, None);
    assert_eq!(told.matches("lr of ").count(), 1, "{told}");
    for line in [
        "lr of decay, no_decay\n      2e-3 |''",
        "\n      1e-3 |",
        "\n         0 |",
        "\n     step  0              25              50              75              100\n",
        "\ndecay     lr: first 2e-3, peak 2e-3 at step 0, last 4.934e-7\n          weight_decay: 0.1\n",
        "\nno_decay  lr: first 2e-3, peak 2e-3 at step 0, last 4.934e-7\n          weight_decay: 0\n",
    ] {
        assert!(told.contains(line), "{line:?} is missing in\n{told}");
    }
    assert!(!told.contains("epoch"), "{told}");
}

#[test]
fn plan_takes_one_step_and_a_rate_of_zero() {
    let folder = Folder::new("one");
    let file = folder.write("run.yaml", "optimizer: {type: adam, lr: 0}\nlr_scheduler: {type: constant}\n");
    let told = check(&folder, &file, 1, Some(3));
    assert!(told.contains("\ndecay     lr: first 0, peak 0 at step 0, last 0\n          weight_decay: 0\n"), "{told}");
}

#[test]
fn plan_pictures_stay_small() {
    let folder = Folder::new("small");
    let file = folder.write("run.yaml", "optimizer: {type: adamw}\nlr_scheduler: {type: cosine}\n");
    let svg = folder.path("plan.svg");
    shown(&[&file, "--steps", "200000", "--svg", &svg]);
    let bytes = std::fs::metadata(&svg).expect("a picture").len();
    assert!(bytes < 20_000, "{bytes} bytes");
}

#[test]
fn plan_refuses_in_one_line_and_writes_nothing() {
    let folder = Folder::new("refused");
    let file = folder.write("run.yaml", "optimizer: {type: adamw}\nlr_scheduler: {type: cosine}\n");
    let bad = folder.write("bad.yaml", "optimizer: {type: [\n");
    let odd = folder.write("odd.yaml", "optimizer: {type: adamw}\nlr_scheduler: {type: cosinus}\n");
    let (svg, missing, here) = (folder.path("plan.svg"), folder.path("missing.yaml"), folder.path(""));
    let away = folder.path("away/plan.csv");

    let told = |arguments: &[&str]| refused(&[arguments, &["--svg", &svg]].concat());
    assert_eq!(told(&[&file, "--steps", "0"]), "gradus: --steps 0: a plan has from 1 to 10000000 steps");
    assert_eq!(
        told(&[&file, "--steps", "18446744073709551615"]),
        "gradus: --steps 18446744073709551615: a plan has from 1 to 10000000 steps"
    );
    assert_eq!(
        told(&[&file, "--steps", "9", "--steps-per-epoch", "0"]),
        "gradus: --steps-per-epoch 0: an epoch has at least 1 step"
    );
    assert!(told(&[&missing, "--steps", "9"]).starts_with(&format!("gradus: reading {missing}: ")));
    assert!(told(&[&here, "--steps", "9"]).starts_with(&format!("gradus: reading {here}: ")));
    assert!(told(&[&bad, "--steps", "9"]).starts_with(&format!("gradus: {bad}: ")));
    assert!(told(&[&odd, "--steps", "9"]).starts_with(&format!("gradus: {odd}: lr_scheduler.type = cosinus is not ")));
    assert_eq!(
        told(&[&file, "--steps", "9", "--csv", &here]),
        format!("gradus: --csv {here}: this is a folder, a file is needed")
    );
    assert_eq!(
        told(&[&file, "--steps", "9", "--csv", &away]),
        format!("gradus: --csv {away}: there is no folder {}", folder.path("away"))
    );
    assert_eq!(
        told(&[&file, "--steps", "9", "--csv", &file]),
        format!("gradus: --csv {file}: this is the schedule itself")
    );
    assert_eq!(told(&[&file, "--steps", "9", "--csv", &svg]), "gradus: --svg and --csv name the same file");
    assert_eq!(folder.files(), ["bad.yaml", "odd.yaml", "run.yaml"]);
}

#[test]
fn plan_tells_a_refusal_of_a_class_once() {
    let folder = Folder::new("class");
    let class = "lr_scheduler: {class_path: torch.optim.lr_scheduler.OneCycleLr}";
    let file = folder.write("run.yaml", &format!("optimizer: {{type: adamw}}\n{class}\n"));
    let told = refused(&[&file, "--steps", "5"]);
    assert_eq!(told.matches("is not a known scheduler class").count(), 1, "{told}");
    assert!(told.contains("did you mean \"torch.optim.lr_scheduler.OneCycleLR\"?"), "{told}");
}
