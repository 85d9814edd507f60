//! Which file of a room needs which: never two each other, and a law nobody but the list of laws.

use crate::tidy::files;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Rooms that are not held: in nn a graph is a list of operations, and each operation appends itself to a graph.
const MUTUAL: [&str; 1] = ["nn"];

/// What one file may need of another although that needs it too, and why.
const ALLOWED: [(&str, &str, &str); 1] =
    [("schedule/law/words", "schedule/law/plateau", "what is read of a law says which metrics move it")];

/// Names of modules, from the room's on.
type Module = Vec<String>;

/// The files of a room, and what their lists of modules give on from the files below them.
struct Room {
    modules: BTreeMap<Module, String>,
    given_on: BTreeMap<(Module, String), Module>,
}

impl Room {
    fn read(source: &Path, room: &str) -> Room {
        let module = |path: &Path| -> Module {
            let below = path.strip_prefix(source).expect("a file below src").with_extension("");
            let names = below.components().map(|name| name.as_os_str().to_string_lossy().into_owned());
            names.filter(|name| name != "mod").collect()
        };
        let text = |path: &Path| code(&std::fs::read_to_string(path).expect("a source file"));
        let modules = files(&source.join(room)).iter().map(|path| (module(path), text(path))).collect();
        let mut room = Room { modules, given_on: BTreeMap::new() };
        // The deepest first: what a list gives on may be given on there.
        for (module, text) in room.modules.iter().rev() {
            for path in imports(text) {
                let below: Module = [module.clone(), path.clone()].concat();
                if let (Some(file), Some(name)) = (room.file_of(&below), path.last())
                    && file.len() > module.len()
                {
                    room.given_on.insert((module.clone(), name.clone()), file);
                }
            }
        }
        room
    }

    /// The file that a path from the room on leads into.
    fn file_of(&self, path: &[String]) -> Option<Module> {
        let mut length = (1..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length]))?;
        let mut file = path[..length].to_vec();
        while let Some(next) = path.get(length).and_then(|name| self.given_on.get(&(file.clone(), name.clone()))) {
            (file, length) = (next.clone(), length + 1);
        }
        Some(file)
    }

    /// The files that a file needs, without those that it lies in and those that lie in it.
    fn needs(&self, module: &Module) -> BTreeSet<Module> {
        let text = &self.modules[module];
        let paths = imports(text).into_iter().chain(named_in_place(text));
        let whole = paths.filter_map(|path| from_the_room(module, &path));
        let needed = whole.filter_map(|path| self.file_of(&path));
        needed.filter(|needed| !needed.starts_with(module) && !module.starts_with(needed)).collect()
    }
}

/// A file's code, up to its tests.
pub(crate) fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    lines.filter(|line| !line.trim().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// Every path that a `use` brings in.
pub(crate) fn imports(text: &str) -> Vec<Module> {
    let mut paths = Vec::new();
    let mut rest = text;
    while let Some(place) = rest.find("use ") {
        let head = rest[..place].lines().last().filter(|_| !rest[..place].ends_with('\n')).unwrap_or("").trim();
        rest = &rest[place + 4..];
        let Some((list, after)) = rest.split_once(';') else { break };
        if head.is_empty() || head.starts_with("pub") {
            spread("", list, &mut paths);
            rest = after;
        }
    }
    paths
}

/// The paths of `a::{b, c::{d, e}}`.
fn spread(before: &str, list: &str, paths: &mut Vec<Module>) {
    let Some((head, inner)) = list.split_once('{') else {
        let path = format!("{before}{}", list.split(" as ").next().unwrap_or(list).trim());
        paths.push(path.split("::").map(str::to_owned).collect());
        return;
    };
    let inner = inner.trim_end().strip_suffix('}').expect("a list ends");
    let (mut depth, mut start) = (0, 0);
    let before = format!("{before}{}", head.trim());
    for (place, letter) in inner.char_indices().chain([(inner.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !inner[start..place].trim().is_empty() {
                    spread(&before, &inner[start..place], paths);
                }
                start = place + 1;
            }
            _ => {}
        }
    }
}

/// Paths that stand in the midst of code.
fn named_in_place(text: &str) -> Vec<Module> {
    let words = text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'));
    let paths = words.filter(|word| word.starts_with("super::") || word.starts_with("crate::"));
    paths.map(|path| path.trim_end_matches(':').split("::").map(str::to_owned).collect()).collect()
}

/// A path of a file as one from its room on; nothing where it leads elsewhere.
fn from_the_room(module: &[String], path: &[String]) -> Option<Module> {
    match path.first()?.as_str() {
        "crate" | "gradus" => Some(path[1..].to_vec()),
        "super" | "self" => {
            let up = path.iter().take_while(|name| *name == "super").count();
            let names = path[up..].iter().filter(|name| *name != "self");
            Some(module[..module.len().checked_sub(up)?].iter().chain(names).cloned().collect())
        }
        _ => None,
    }
}

/// All that is reached from a file.
fn reached(needs: &BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from.clone()];
    while let Some(file) = open.pop() {
        for next in &needs[&file] {
            if reached.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    reached
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    let text = "pub(crate) use super::{a, b::{C, self},\n d as e};\nlet x = super::f::G; // use of\n";
    let shown = |paths: Vec<Module>| paths.iter().map(|path| path.join("::")).collect::<Vec<_>>();
    assert_eq!(shown(imports(text)), ["super::a", "super::b::C", "super::b::self", "super::d"]);
    assert!(shown(named_in_place(text)).contains(&"super::f::G".to_owned()));
    let module = ["train".to_owned(), "saved".to_owned()];
    let path = ["super".to_owned(), "checkpoint".to_owned()];
    assert_eq!(from_the_room(&module, &path).expect("a path").join("/"), "train/checkpoint");
}

#[test]
fn files_of_a_room_go_in_no_circles() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut circles = Vec::new();
    let mut used = BTreeSet::new();
    for (name, _) in crate::tidy::ROOMS.iter().filter(|(name, _)| !MUTUAL.contains(name)) {
        let room = Room::read(&source, name);
        let mut needs: BTreeMap<Module, BTreeSet<Module>> =
            room.modules.keys().map(|module| (module.clone(), room.needs(module))).collect();
        for (from, to, _) in ALLOWED {
            let path = |shown: &str| shown.split('/').map(str::to_owned).collect::<Module>();
            if needs.get_mut(&path(from)).is_some_and(|needs| needs.remove(&path(to))) {
                used.insert(from);
            }
        }
        for (module, needed) in &needs {
            let back = needed.iter().filter(|needed| reached(&needs, needed).contains(module));
            circles
                .extend(back.map(|back| format!("{} needs {}, and is needed there", module.join("/"), back.join("/"))));
        }
    }
    assert!(circles.is_empty(), "{}", circles.join("\n"));
    assert_eq!(used.len(), ALLOWED.len(), "what is allowed is there: {used:?}");
}

/// Files beside the list that may need a law's file, and why.
const NEED_A_LAW: [(&str, &[&str], &str); 1] = [(
    "plateau",
    &["file/law_spec", "law/words", "plan", "plan/cursor", "plan/start", "plan/validation"],
    "metrics move it: its state is the cursor's",
)];

/// Words that are a law's short name and stand for something else, or for the law in a file that is written.
const OTHER_WORDS: [(&str, &[&str]); 9] = [
    ("schedule/file/edge", &["constant", "cosine", "linear"]),
    ("schedule/file/class_spec", &["step"]),
    ("schedule/law/one_cycle", &["linear"]),
    ("schedule/law/wsd", &["cosine", "linear"]),
    ("schedule/plan/written", &["constant"]),
    ("run/file", &["linear"]),
    ("run/keys", &["constant", "cosine", "linear"]),
    ("run/model", &["tanh"]),
    ("run/written", &["linear"]),
];

#[test]
fn a_law_is_its_own_file_and_a_line_of_the_list() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (schedule, run) = (Room::read(&source, "schedule"), Room::read(&source, "run"));
    let module = |shown: &str| shown.split('/').map(str::to_owned).collect::<Module>();
    let list = &schedule.modules[&module("schedule/law")];
    let laws: Vec<&str> =
        list.lines().filter_map(|line| line.trim().strip_prefix('&')?.strip_suffix("::WORDS,")).collect();
    assert!(laws.len() >= 18, "{laws:?}");
    let mut breaches = Vec::new();
    for law in laws {
        let own = module(&format!("schedule/law/{law}"));
        let may = NEED_A_LAW.iter().find(|(known, ..)| *known == law).map_or(&[][..], |(_, files, _)| files);
        assert!(schedule.modules[&own].contains(&format!("\"{law}\"")), "{law}: its file has its name");
        for (file, text) in schedule.modules.iter().chain(&run.modules).filter(|(file, _)| **file != own) {
            let shown = file.join("/");
            let needs = schedule.modules.contains_key(file) && schedule.needs(file).contains(&own);
            if needs && !may.iter().any(|may| shown == format!("schedule/{may}")) {
                breaches.push(format!("{shown} needs the file of {law}"));
            }
            let other = OTHER_WORDS.iter().any(|(known, words)| *known == shown && words.contains(&law));
            // Classes are other programs', with names of their own.
            if text.contains(&format!("\"{law}\"")) && !other && !shown.starts_with("schedule/class/") {
                breaches.push(format!("{shown} says {law:?}"));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}
