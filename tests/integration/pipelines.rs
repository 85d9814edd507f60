//! Compiled pipelines that are kept: the same results with them, and nothing but what was kept reaches a driver.

use crate::support::{folder, fresh_gpu, gpu};
use gradus::engine::kernels::COPY;
use gradus::engine::{Dispatch, Engine, Error, Program, Submission};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Copies numbers by a kernel and gives what arrived.
fn copied(engine: &Engine) -> Vec<f32> {
    let numbers: Vec<f32> = (0..4096).map(|place| place as f32).collect();
    let source = engine.buffer_with("source", &numbers).expect("memory");
    let to = engine.buffer("to", 4 * 4096).expect("memory");
    let dispatch = Dispatch::new(COPY.plain(), vec![(&source).into(), (&to).into()], [4, 1, 1])
        .constants(vec![("WORKGROUP", 64.0), ("QUADS", 4.0)]);
    let program = engine.prepare(Program::of("copy", vec![dispatch])).expect("a program");
    engine.submit(&Submission::of(&[&program])).expect("a run");
    engine.read(&to.all()).expect("numbers")
}

#[test]
fn kept_pipelines_give_the_same_and_broken_ones_are_left_aside() {
    let Some(first) = fresh_gpu() else { return };
    let has = |feature: &(&str, bool)| *feature == ("pipeline cache", true);
    if !first.adapter().is_some_and(|adapter| adapter.features.iter().any(has)) {
        first.keep_pipelines(None).expect("it goes on without");
        assert_eq!(first.pipelines(), None);
        return;
    }
    assert_eq!(first.pipelines(), None, "nobody has asked for it");
    first.keep_pipelines(None).expect("an empty cache");
    let numbers = copied(&first);
    let kept = first.pipelines().expect("bytes");
    let again = fresh_gpu().expect("an engine");
    again.keep_pipelines(Some(&kept)).expect("the same adapter's");
    assert_eq!(copied(&again), numbers);

    let mut altered = kept.clone();
    *altered.last_mut().expect("a byte") ^= 1;
    for (bytes, reason) in [
        (&altered[..], "are not the ones that were written"),
        (&kept[..kept.len() - 1], "are not the ones that were written"),
        (&kept[..10], "end too soon"),
        (b"", "are not pipelines of gradus"),
        (b"something else", "are not pipelines of gradus"),
    ] {
        let engine = fresh_gpu().expect("an engine");
        let error = engine.keep_pipelines(Some(bytes)).expect_err(reason);
        assert!(matches!(error, Error::BadPipelines { .. }) && error.to_string().contains(reason), "{error}");
        assert_eq!(copied(&engine), numbers);
        assert!(engine.pipelines().is_some(), "it begins anew");
    }
}

#[test]
fn the_cpu_engine_keeps_none() {
    let engine = Engine::cpu();
    engine.keep_pipelines(Some(b"anything")).expect("nothing to refuse");
    assert_eq!(engine.pipelines(), None);
}

#[test]
fn the_command_line_keeps_pipelines_and_says_what_it_leaves_aside() {
    if gpu().is_none() {
        return;
    }
    let caches = folder("pipelines");
    let first = train(&caches);
    assert!(first.status.success() && !said(&first).contains("compiled again"), "{}", said(&first));
    let below = if cfg!(target_os = "macos") { "Library/Caches/gradus" } else { "gradus" };
    let kept = fs::read_dir(caches.join(below)).expect("a folder").map(|file| file.expect("a file").path());
    let mut kept = kept.filter(|file| file.extension().is_some_and(|ending| ending == "pipelines"));
    // Not every device has a cache.
    let Some(file) = kept.next() else { return };
    let whole = fs::read(&file).expect("bytes");
    let second = train(&caches);
    assert!(second.status.success() && !said(&second).contains("compiled again"), "{}", said(&second));
    fs::write(&file, &whole[..whole.len() / 2]).expect("a broken file");
    let third = train(&caches);
    assert!(third.status.success() && said(&third).contains("compiled again"), "{}", said(&third));
    assert!(fs::read(&file).expect("bytes").len() >= whole.len(), "it is whole again");
    fs::remove_dir_all(caches).expect("the folder was ours");
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Trains a little on the shaders, with the caches in a folder.
fn train(caches: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    let caching = ["HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"].map(|name| (name, caches));
    let adapter = gpu().map_or("cpu".to_owned(), |engine| engine.name().to_owned());
    command.args(["demo", "mlp", "--epochs", "1"]).env("GRADUS_KERNELS", "registers").env("GRADUS_ADAPTER", adapter);
    command.envs(caching).output().expect("the binary runs")
}
