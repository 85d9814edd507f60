//! What a folder of checkpoints holds when something goes wrong with it, and what a run makes of that.

use crate::support::{engines, folder};
use gradus::data::digits;
use gradus::engine::Engine;
use gradus::nn::Activation;
use gradus::nn::models::Mlp;
use gradus::schedule::{Plan, Spec};
use gradus::train::{Checkpoints, Classify, Config, Error, Event, LostBest, OtherEpochs, Resumed, Trainer};
use std::fs;
use std::path::{Path, PathBuf};

/// Phases that go back to the best, at known epochs. An epoch has 44 steps.
const GRADUAL: &str = "
optimizer: {type: adamw, lr: 2.0e-3}
early_stopping: {monitor: val_loss, patience: 9}
phases:
  0: {params: ['layers.1.*'], max_transition_epoch: 3}
  1: {params: ['layers.0.*'], lr: 1.0e-3}
";
const COSINE: &str = "optimizer: {type: adamw, lr: 1.0e-2}\nlr_scheduler: {type: cosine}";
const EPOCH: u64 = 44;

fn trainer(engine: &Engine, schedule: &str, activation: Activation, epochs: usize) -> Trainer {
    let (train, test) = digits().expect("digits").split(20, 3).expect("a split");
    let model = Mlp::new(&[64, 12, 10], activation).expect("a model");
    let spec = Spec::parse("run.yaml", schedule).expect("a spec");
    let task = Classify::new(&model, (&train, &test)).expect("a task");
    let config = Config::default().epochs(epochs);
    Trainer::new(engine, &task, config, |params, epochs| Plan::new(&spec, params, epochs)).expect("a trainer")
}

/// A folder of checkpoints, after each evaluation, of which the last stays.
struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    fn new(name: &str) -> Shelf {
        Shelf { folder: folder(name) }
    }

    fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(&self.folder, 1, None).expect("a folder")
    }

    fn step(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:09}"))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).expect("the folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// A trainer of `epochs` that writes here.
    fn trainer(&self, epochs: usize) -> Trainer {
        let mut trainer = trainer(&Engine::cpu(), GRADUAL, Activation::Relu, epochs);
        trainer.checkpoint_to(self.checkpoints());
        trainer
    }

    fn resumed(&self, schedule: &str, epochs: usize) -> Result<(Trainer, Resumed), Error> {
        let mut trainer = trainer(&Engine::cpu(), schedule, Activation::Relu, epochs);
        let resumed = trainer.resume(self.checkpoints())?.expect("a checkpoint");
        Ok((trainer, resumed))
    }

    /// No checkpoint of this step can be written: as on a full disk.
    fn blocked(&self, step: u64) -> PathBuf {
        let blocked = self.folder.join(format!(".step-{step:09}.new"));
        fs::write(&blocked, "in the way").expect("a file");
        blocked
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Trains to this step; the checkpoints that could not be written.
fn run_until(trainer: &mut Trainer, stop: u64) -> Vec<String> {
    let mut failed = Vec::new();
    while trainer.cursor().step() < stop && !trainer.is_over() {
        let note = |event: &Event| {
            if let Event::NoCheckpoint(error) = event {
                failed.push(error.to_string());
            }
        };
        trainer.advance(note).expect("the run goes on");
    }
    failed
}

#[test]
fn a_best_checkpoint_that_fails_once_is_written_with_the_next() {
    let (failing, sound) = (Shelf::new("best-fails-once"), Shelf::new("best-never-fails"));
    let mut trainer = failing.trainer(5);
    let blocked = failing.blocked(2 * EPOCH);
    let failed = run_until(&mut trainer, 2 * EPOCH + 10);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(trainer.cursor().best().expect("a best").step, 2 * EPOCH);
    assert!(failing.step(EPOCH).is_dir(), "the best before stays until its successor is on disk");
    fs::remove_file(blocked).expect("it was there");
    trainer.checkpoint_now(|_| ()).expect("a checkpoint");
    let names = failing.names();
    assert_eq!(names, ["step-000000088", "step-000000098"], "the best and the last");

    let mut whole = sound.trainer(5);
    run_until(&mut whole, 2 * EPOCH + 10);
    for file in ["model.safetensors", "optimizer.safetensors", "run.json"] {
        let read = |shelf: &Shelf| fs::read(shelf.step(2 * EPOCH).join(file)).expect("a file");
        assert!(read(&failing) == read(&sound), "{file} is what it would have been");
    }
}

#[test]
fn a_run_whose_best_checkpoint_is_lost_goes_on_from_the_best_that_is_there() {
    let shelf = Shelf::new("best-is-lost");
    let mut first = shelf.trainer(5);
    shelf.blocked(2 * EPOCH);
    run_until(&mut first, 2 * EPOCH + 10);
    first.checkpoint_now(|_| ()).expect("a checkpoint");
    let lost = Some(LostBest { step: 2 * EPOCH, instead: Some(EPOCH) });
    let text = fs::read_to_string(shelf.step(2 * EPOCH + 10).join("run.json")).expect("text");
    assert!(text.contains("\"lost_best\": 88"), "{text}");
    assert_eq!(shelf.names(), [".step-000000088.new", "step-000000044", "step-000000098"]);

    let (mut again, resumed) = shelf.resumed(GRADUAL, 5).expect("it goes on");
    assert_eq!((resumed.steps, resumed.lost_best), (98, lost));
    assert_eq!(again.cursor().best().expect("a best").step, EPOCH);
    assert_eq!(run_until(&mut again, 6 * EPOCH), [""; 0], "to its end, through the transition");
    assert_eq!(again.cursor().depth(), 1);

    // Nothing at all to go back to: the same, without.
    fs::remove_dir_all(&shelf.folder).expect("it was there");
    let mut first = shelf.trainer(5);
    run_until(&mut first, EPOCH + 10);
    first.checkpoint_now(|_| ()).expect("a checkpoint");
    fs::remove_dir_all(shelf.step(EPOCH)).expect("it was there");
    let (mut again, resumed) = shelf.resumed(GRADUAL, 5).expect("it goes on");
    assert_eq!(resumed.lost_best, Some(LostBest { step: EPOCH, instead: None }));
    assert_eq!(again.cursor().best(), None);
    run_until(&mut again, 6 * EPOCH);
    assert_eq!(again.cursor().depth(), 1);
}

#[test]
fn a_folder_is_what_its_name_says() {
    let shelf = Shelf::new("names");
    let mut first = shelf.trainer(5);
    run_until(&mut first, EPOCH + 10);
    first.checkpoint_now(|_| ()).expect("a checkpoint");
    let (one, other, beside) = (shelf.step(EPOCH), shelf.step(EPOCH + 10), shelf.folder.join("beside"));
    for (from, to) in [(&one, &beside), (&other, &one), (&beside, &other)] {
        fs::rename(from, to).expect("a rename");
    }
    let told = shelf.resumed(GRADUAL, 5).err().expect("no good one").to_string();
    let words = "step-000000054/run.json: it is the checkpoint of step 44, but its folder is named for another step";
    assert!(told.ends_with(words), "{told}");
}

#[test]
fn formats_and_models_that_are_not_the_same_are_refused_in_a_sentence() {
    let shelf = Shelf::new("formats");
    let mut first = shelf.trainer(5);
    run_until(&mut first, EPOCH);
    let mut gelu = trainer(&Engine::cpu(), GRADUAL, Activation::Gelu, 5);
    let told = gelu.resume(shelf.checkpoints()).expect_err("another model").to_string();
    assert!(told.ends_with("this is another run: activation is Relu there and Gelu here"), "{told}");

    let run = shelf.step(EPOCH).join("run.json");
    let text = fs::read_to_string(&run).expect("text");
    let body = text.split_once('\n').expect("lines").1.trim_end();
    for format in ["1", "0", "4294967295"] {
        let body = body.replacen("\"format\": 2", &format!("\"format\": {format}"), 1);
        let sum = crc32fast::hash(body.as_bytes());
        fs::write(&run, format!("gradus checkpoint, crc32 {sum:08x}\n{body}\n")).expect("a file");
        let told = shelf.resumed(GRADUAL, 5).err().expect("another format").to_string();
        let words = format!("run.json: it has format {format}, and this version of gradus resumes from format 2 only");
        assert!(told.ends_with(&words), "{told}");
    }
}

#[test]
fn what_is_not_ours_stays_and_stops_nothing() {
    let shelf = Shelf::new("strays");
    fs::create_dir_all(&shelf.folder).expect("a folder");
    let strays = [".step-000000007.new", ".step-1.new", "notes.txt", "step-000000009", "step-7"];
    for name in strays {
        fs::write(shelf.folder.join(name), name).expect("a file");
    }
    fs::create_dir(shelf.folder.join("step-8")).expect("a folder");
    // Ours, of a process that was killed while it wrote.
    fs::create_dir(shelf.folder.join(".step-000000003.new")).expect("a folder");
    let mut told: Vec<String> =
        shelf.checkpoints().strays().expect("the folder").iter().map(|path| name_of(path)).collect();
    told.sort();
    assert_eq!(told, [&strays[..], &["step-8"]].concat());
    let mut first = shelf.trainer(5);
    assert_eq!(run_until(&mut first, EPOCH + 10), [""; 0]);
    assert_eq!(
        shelf.names(),
        [&strays[..2], &["notes.txt", "step-000000009", "step-000000044"], &["step-7", "step-8"]].concat()
    );
    assert_eq!(shelf.resumed(GRADUAL, 5).expect("it goes on").1.steps, EPOCH);

    // Somebody takes the folder away while the run continues.
    fs::remove_dir_all(&shelf.folder).expect("it was there");
    assert_eq!(run_until(&mut first, 2 * EPOCH), [""; 0]);
    assert_eq!(shelf.names(), ["step-000000088"]);
    Checkpoints::remove_all(&shelf.folder).expect("removed");
    assert!(!shelf.folder.exists());
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn more_epochs_are_told_with_the_rates_before_and_after() {
    let shelf = Shelf::new("more-epochs");
    let mut first = trainer(&Engine::cpu(), COSINE, Activation::Relu, 2);
    first.checkpoint_to(shelf.checkpoints());
    run_until(&mut first, 2 * EPOCH);
    let (_, resumed) = shelf.resumed(COSINE, 2).expect("it goes on");
    assert_eq!(resumed.other_epochs, None);
    let (mut longer, resumed) = shelf.resumed(COSINE, 4).expect("it goes on");
    let OtherEpochs { there, last_lrs: last, next_lrs: next } = resumed.other_epochs.expect("it is longer");
    assert_eq!((there, last.len(), next.len()), (2, 1, 1));
    assert!(last[0] < 1e-5 && (next[0] - 5e-3).abs() < 1e-9, "{last:?} {next:?}");
    run_until(&mut longer, 4 * EPOCH);
    assert_eq!(longer.cursor().step(), 4 * EPOCH);
}

#[test]
fn nothing_that_is_not_finite_is_written_and_the_run_says_where_it_broke() {
    for engine in engines() {
        let shelf = Shelf::new("broken");
        let mut broken = trainer(&engine, GRADUAL, Activation::Relu, 5);
        broken.checkpoint_to(shelf.checkpoints());
        let best = shelf.folder.join("best.safetensors");
        broken.save_best_to(&best);
        run_until(&mut broken, EPOCH);
        let (kept, names) = (fs::read(&best).expect("the best"), shelf.names());
        let mut bias = broken.parameters().read("layers.1.bias").expect("values");
        bias[3] = f32::NAN;
        broken.parameters().upload("layers.1.bias", &bias).expect("an upload");
        let mut steps = 0;
        let error = loop {
            steps += 1;
            match broken.advance(|_| ()) {
                Ok(()) if steps < 2 * EPOCH => {}
                Ok(()) => panic!("the run goes on"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(
            error.starts_with("the run cannot continue: after step ") && error.ends_with("layers.1.bias is not finite"),
            "{error}"
        );
        let refused = broken.checkpoint_now(|_| ()).expect_err("it is not finite");
        assert!(matches!(refused, Error::Broken { .. } | Error::NotFinite { .. }), "{refused}");
        assert_eq!((fs::read(&best).expect("the best"), shelf.names()), (kept, names), "all is as it was");
    }
}

#[test]
fn all_that_happened_is_told_before_a_checkpoint_is_written() {
    for engine in engines() {
        let shelf = Shelf::new("order");
        let mut first = trainer(&engine, COSINE, Activation::Relu, 2);
        first.checkpoint_to(Checkpoints::new(&shelf.folder, 2, Some(7)).expect("a folder"));
        let (mut told, mut ahead) = (Vec::new(), false);
        let mut note = |event: &Event| match event {
            Event::Step(progress) => told.push(progress.step),
            Event::CheckpointAhead => ahead = true,
            Event::Checkpoint(path) => {
                assert!(std::mem::take(&mut ahead) && is_of(path, told.len()), "{path:?} after {told:?}");
            }
            _ => {}
        };
        for _ in 0..10 {
            first.advance(&mut note).expect("a step");
        }
        first.checkpoint_now(&mut note).expect("a checkpoint");
        assert!(told.iter().copied().eq(0..10), "every step once, in order: {told:?}");
    }
}

fn is_of(path: &Path, steps: usize) -> bool {
    path.ends_with(format!("step-{steps:09}"))
}
