//! A folder of checkpoints in which one file is not what was written, although its checksum says so.
#![no_main]

use gradus::data::DataSet;
use gradus::engine::Engine;
use gradus::nn::Activation;
use gradus::nn::models::Mlp;
use gradus::schedule::{Plan, Spec};
use gradus::train::{Checkpoints, Classify, Config, Trainer};
use gradus_fuzz::{edited, folder};
use libfuzzer_sys::fuzz_target;
use std::cell::LazyCell;
use std::path::PathBuf;

const SCHEDULE: &str = "
optimizer: {type: adamw, lr: 2.0e-3}
early_stopping: {monitor: val_loss, patience: 9}
phases:
  0: {params: ['layers.1.*'], max_transition_epoch: 1}
  1: {params: ['layers.0.*'], lr: 1.0e-3}
";
const NAMES: [&str; 3] = ["run.json", "model.safetensors", "optimizer.safetensors"];

struct Bed {
    folder: PathBuf,
    checkpoint: PathBuf,
    files: [Vec<u8>; 3],
}

fn trainer() -> Trainer {
    let values = (0..16).map(|value| value as f32 / 16.0).collect();
    let set = DataSet::new(2, 2, values, vec![0, 1, 0, 1, 0, 1, 0, 1]).expect("a set");
    let model = Mlp::new(&[2, 2, 2], Activation::Relu).expect("a model");
    let task = Classify::new(&model, (&set, &set)).expect("a task");
    let spec = Spec::parse("run.yaml", SCHEDULE).expect("a spec");
    let mut config = Config::default();
    (config.batch_size, config.epochs) = (4, 3);
    Trainer::new(&Engine::cpu(), &task, config, |params, epochs| Plan::new(&spec, params, epochs)).expect("a trainer")
}

impl Bed {
    fn new() -> Bed {
        let folder = folder("checkpoint");
        let mut first = trainer();
        first.checkpoint_to(Checkpoints::new(&folder, 1, None).expect("a folder"));
        for _ in 0..4 {
            first.advance(|_| {}).expect("a step");
        }
        let checkpoint = first.checkpoint_now(|_| {}).expect("a checkpoint").expect("a folder");
        let files = NAMES.map(|name| std::fs::read(checkpoint.join(name)).expect("a file"));
        Bed { folder, checkpoint, files }
    }

    /// The JSON of `run.json`, without its checksum.
    fn json(&self) -> &[u8] {
        let start = self.files[0].iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        &self.files[0][start..self.files[0].len() - 1]
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::create_dir_all(&self.checkpoint).expect("a folder");
        std::fs::write(self.checkpoint.join(name), bytes).expect("a file");
    }

    fn write_run(&self, json: &[u8]) {
        let mut run = format!("gradus checkpoint, crc32 {:08x}\n", crc32fast::hash(json)).into_bytes();
        run.extend(json);
        run.push(b'\n');
        self.write(NAMES[0], &run);
    }
}

thread_local!(static BED: LazyCell<Bed> = LazyCell::new(Bed::new));

fuzz_target!(|input: &[u8]| {
    let Some((kind, edits)) = input.split_first() else { return };
    BED.with(|bed| {
        NAMES.iter().zip(&bed.files).for_each(|(name, file)| bed.write(name, file));
        match usize::from(kind % 3) {
            0 => bed.write_run(&edited(bed.json(), edits)),
            file => {
                let bytes = edited(&bed.files[file], edits);
                let mut json: serde_json::Value = serde_json::from_slice(bed.json()).expect("JSON");
                let seal = &mut json["files"][NAMES[file]];
                seal["bytes"] = bytes.len().into();
                seal["crc32"] = crc32fast::hash(&bytes).into();
                bed.write(NAMES[file], &bytes);
                bed.write_run(json.to_string().as_bytes());
            }
        }
        let mut trainer = trainer();
        let resumed = trainer.resume(Checkpoints::new(&bed.folder, 1, None).expect("a folder"));
        if let Ok(Some(_)) = resumed {
            let _ = trainer.advance(|_| {});
        }
        // What the step wrote is not what the next input finds.
        let _ = std::fs::remove_dir_all(&bed.folder);
    });
});
