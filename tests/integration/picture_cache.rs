//! Unpacked pictures that are kept for runs to come.

use crate::picture_runs::{folders, gradus, idx, of_class};
use crate::run_data::Bed;
use crate::train_command::Desk;
use gradus::run::{Material, ReadOptions};
use gradus::train::{Cache, CacheNote};
use std::cell::RefCell;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the run file makes of its pictures with a folder that keeps them: how many files were unpacked, and what was noted.
fn read(bed: &Bed, cache: &Cache, size: &str, data: &str) -> (Result<Material, String>, usize, Vec<CacheNote>) {
    let text = format!("model: {{type: resnet, width: 4, size: {size}}}\ndata: {data}\n");
    let run = bed.run(&text).expect("a run file");
    let (unpacked, notes) = (AtomicUsize::new(0), RefCell::new(Vec::new()));
    let told = |done, _| {
        unpacked.fetch_max(done, Ordering::Relaxed);
    };
    let noted = |note| notes.borrow_mut().push(note);
    let options = ReadOptions::telling(&told).keeping(cache, &noted);
    let material = Material::read_as(&run, None, options).map_err(|error| bed.tame(&error.to_string()));
    (material, unpacked.load(Ordering::Relaxed), notes.take())
}

#[test]
fn pictures_come_back_as_they_were_unpacked() {
    let bed = Bed::new("picture-cache", &[]);
    folders(&bed.folder.join("all"), 6);
    let cache = Cache::new(bed.folder.join("kept"), 1 << 20);
    let data = "{train: all, test_percent: 20}";
    let sums = |material: Result<Material, String>| {
        let inputs = material.expect("a material").inputs;
        (inputs.train_crc32, inputs.test_crc32)
    };
    let (made, unpacked, notes) = read(&bed, &cache, "[16, 20]", data);
    assert_eq!(unpacked, 18);
    let [CacheNote::Kept(file)] = &notes[..] else { panic!("{notes:?}") };
    let made = sums(made);
    assert_eq!(made, sums(bed.material(&format!("model: {{type: resnet, width: 4, size: [16, 20]}}\ndata: {data}\n"))));
    let (again, unpacked, notes) = read(&bed, &cache, "[16, 20]", data);
    assert_eq!((sums(again), unpacked, notes), (made, 0, vec![CacheNote::Read(file.clone())]));
    assert_eq!(cache.files().expect("files")[0].of, "18 pictures, 0.0 MB");
    // Under another name they are the same, in another size they are not.
    fs::rename(bed.folder.join("all"), bed.folder.join("moved")).expect("moved");
    let (moved, unpacked, _) = read(&bed, &cache, "[16, 20]", "{train: moved, test_percent: 20}");
    assert_eq!((sums(moved), unpacked), (made, 0));
    let (_, unpacked, notes) = read(&bed, &cache, "[16, 16]", "{train: moved, test_percent: 20}");
    assert!(unpacked == 18 && matches!(notes[..], [CacheNote::Kept(_)]), "{notes:?}");
    // A damaged file is made anew, once.
    let mut bytes = fs::read(file).expect("a file");
    *bytes.last_mut().expect("a byte") ^= 1;
    fs::write(file, bytes).expect("a file");
    for (damaged, files) in [(true, 18), (false, 0)] {
        let (material, unpacked, notes) = read(&bed, &cache, "[16, 20]", "{train: moved, test_percent: 20}");
        assert_eq!((sums(material), unpacked), (made, files));
        assert_eq!(matches!(notes[..], [CacheNote::Damaged(_)]), damaged, "{notes:?}");
    }
    // A picture that has changed changes the set, with the same name, size and time.
    let picture = bed.folder.join("moved/red/1.png");
    let time = fs::metadata(&picture).and_then(|found| found.modified()).expect("a time");
    fs::write(&picture, of_class(0, 77)).expect("a file");
    fs::File::options().append(true).open(&picture).and_then(|file| file.set_modified(time)).expect("a time");
    let (changed, unpacked, _) = read(&bed, &cache, "[16, 20]", "{train: moved, test_percent: 20}");
    assert!(unpacked == 18 && sums(changed) != made);
}

#[test]
fn a_picture_that_cannot_be_used_is_named_each_time() {
    let bed = Bed::new("picture-cache-bad", &[]);
    folders(&bed.folder.join("all"), 6);
    fs::write(bed.folder.join("all/red/words.png"), b"no picture").expect("a file");
    let cache = Cache::new(bed.folder.join("kept"), 1 << 20);
    for unpacked in [19, 0] {
        let (material, files, _) = read(&bed, &cache, "16", "{train: all, test_percent: 20}");
        let told = material.err().expect("refused");
        assert!(told.starts_with("all: red/words.png: it is neither PNG nor JPEG"), "{told}");
        assert_eq!(files, unpacked);
    }
    let (material, files, _) = read(&bed, &cache, "16", "{train: all, test_percent: 20, skip_bad_rows: true}");
    let warnings = material.expect("a material").warnings;
    assert!(warnings[0].contains("1 of 19 files were left out: red/words.png"), "{warnings:?}");
    assert_eq!(files, 0);
    // A folder that holds less keeps nothing, and says why.
    let (_, _, notes) =
        read(&bed, &Cache::new(bed.folder.join("small"), 100), "16", "{train: all, skip_bad_rows: true}");
    assert!(
        matches!(&notes[..], [CacheNote::NotKept(reason)] if reason.contains("more than the limit of 100")),
        "{notes:?}"
    );
}

/// A run that names a folder keeps its pictures there, and the next one reads them; IDX files are evaluated with their labels.
#[test]
fn the_next_run_reads_what_one_has_kept() {
    let desk = Desk::new("picture-cache-run", &[]);
    folders(&desk.folder.join("all"), 6);
    let text = "model: {type: resnet, width: 4, size: 16}\ndata: {train: all, cache: kept, test_percent: 34}\nbatch_size: 4\nepochs: 1\nlearning_rate: 0.001\n";
    fs::write(desk.folder.join("run.yaml"), text).expect("a file");
    let lines = |told: &str| told.lines().filter(|line| line.starts_with("pictures: read from kept")).count();
    assert_eq!(lines(&desk.done(&["run.yaml"])), 0);
    assert_eq!(lines(&desk.done(&["run.yaml", "--overwrite"])), 1);
    let (is_good, told) = gradus(&desk, &["cache", "--folder", "kept"]);
    assert!(is_good && told.contains("18 pictures"), "{told}");

    let pixels: Vec<u8> = (0..6 * 64).map(|byte| (byte * 37 % 251) as u8).collect();
    fs::write(desk.folder.join("x"), idx(&[6, 8, 8], &pixels)).expect("a file");
    fs::write(desk.folder.join("y"), idx(&[6], &[0, 1, 0, 1, 0, 1])).expect("a file");
    let text = "model: {type: resnet, width: 4, size: 16}\ndata: {train: x, train_labels: y, test: x, test_labels: y}\nbatch_size: 3\nepochs: 1\nlearning_rate: 0.001\n";
    fs::write(desk.folder.join("idx.yaml"), text).expect("a file");
    desk.done(&["idx.yaml", "--quiet"]);
    let (is_good, told) = gradus(&desk, &["evaluate", "runs/idx", "x", "--labels", "y"]);
    assert!(is_good && told.starts_with("6 rows of x\n"), "{told}");
    for (arguments, wanted) in [
        (&["runs/idx", "x"][..], "x: pictures in an IDX file have a file of labels, which is missing"),
        (&["runs/idx", "all", "--labels", "y"], "y: a file of labels belongs to pictures in an IDX file"),
        (&["runs/idx", "all"], "all: 18 of 18 files cannot be used:\n  the label \"blue car\" is not in the train set"),
    ] {
        let (is_good, told) = gradus(&desk, &[&["evaluate"], arguments].concat());
        assert!(!is_good && told.contains(wanted), "{wanted}: {told}");
    }
}
