//! Words of other programs' files that are none here, and what to write in their place: a sentence each, not a list.

use crate::schedule::Error;
use crate::schedule::file::section::Section;

const ONE_DEVICE: &str = "one process trains on one device, and with mpirun or --adapters on several; leave it out";
const NO_NORM: &str = "there is no batch or ghost norm: an MLP has no norm, a transformer has LayerNorm; leave it out";
const BEGUN_FROM: &str = "what a model is begun with is named, as in model: {from: runs/earlier}; without it values are \
                          initial ones";
const COMPILED: &str = "every step is compiled in any case; leave it out";
const PRECISION: &str = "it is use_mixed_precision here: f16, bf16 or auto; sums are f32 in any case";
const RECOMPUTED: &str =
    "memory_limit_megabytes says what a step may take; layers make their activations again where it is more";
const COLUMNS: &str = "data names the columns, as in data: {train: reviews.csv, text: review, label: stars}";
const CLIPPED: &str = "the norm that gradients are clipped to is optimizer: {clip_norm: 1.0}";
const BY_LAW: &str = "a law is a section, as in lr_scheduler: {type: linear, warmup_fraction: 0.1}";
const IN_OPTIMIZER: &str = "it is a key of the optimizer, as in optimizer: {type: adamw, lr: 1e-3, weight_decay: 0.01}";
const BATCH: &str = "it is batch_size here, the rows of one pass";
const PASSES: &str = "it is gradient_accumulation_steps here";
const EVALUATED: &str = "it is evaluate_every_epochs or evaluate_every_steps here";
const KEPT: &str = "checkpoint: {keep_last: 2} says how many stay; the best one always does";
const PATIENCE: &str = "it is a section, as in early_stopping: {monitor: val_loss, patience: 3}";
const BEST: &str = "the best by checkpoint: {monitor: val_loss} is always kept, in best.safetensors; leave it out";
const FOLDER: &str = "output and name say where the run's folder is";
const ALWAYS_LOGGED: &str = "TensorBoard's files are always written, in the run's folder; leave it out";

/// By the key's path. What gradus lacks comes before the section that contains it.
const WORDS: [(&[&str], &str); 24] = [
    (
        &[
            "trainer.strategy",
            "trainer.devices",
            "trainer.num_nodes",
            "trainer.accelerator",
            "backend",
            "strategy",
            "devices",
            "num_nodes",
            "accelerator",
            "deepspeed",
            "fsdp",
            "model.strategy",
        ],
        ONE_DEVICE,
    ),
    (&["norm", "model.norm", "combiner.norm"], NO_NORM),
    (&["use_pretrained", "model.use_pretrained", "model.pretrained", "pretrained", "model.trainable"], BEGUN_FROM),
    (&["model.compile", "torch_compile", "torchcompile"], COMPILED),
    (&["precision", "trainer.precision", "fp16", "bf16", "amp", "mixed_precision"], PRECISION),
    (&["gradient_checkpointing", "model.gradient_checkpointing", "activation_checkpointing"], RECOMPUTED),
    (&["label_smoothing_factor", "smoothing"], "it is label_smoothing here"),
    (&["layer_decay", "llrd"], "it is a key of the optimizer, as in optimizer: {type: adamw, layer_decay: 0.75}"),
    (&["gradient_clipping", "optimizer.gradient_clipping", "gradient_clip_val", "max_grad_norm", "clip_grad"], CLIPPED),
    (&["optimizer.gradient_clip_val", "optimizer.max_grad_norm", "optimizer.clip_grad"], CLIPPED),
    (&["input_features", "output_features"], COLUMNS),
    (&["max_epochs", "num_train_epochs", "num_epochs"], "it is epochs here"),
    (&["max_steps", "train_steps"], "epochs say how long a run is"),
    (&["per_device_train_batch_size", "train_batch_size", "effective_batch_size", "eval_batch_size"], BATCH),
    (&["accumulate_grad_batches", "grad_accum_steps"], PASSES),
    (&["lr", "weight_decay", "momentum", "betas", "opt", "optim"], IN_OPTIMIZER),
    (&["lr_scheduler_type", "warmup_ratio", "warmup_steps", "warmup_epochs", "sched", "scheduler"], BY_LAW),
    (&["eval_strategy", "evaluation_strategy", "eval_steps", "check_val_every_n_epoch"], EVALUATED),
    (&["save_total_limit", "save_top_k", "checkpoint.save_top_k", "save_strategy"], KEPT),
    (&["early_stop", "patience"], PATIENCE),
    (&["load_best_model_at_end", "metric_for_best_model"], BEST),
    (&["output_dir", "output_directory", "model_name", "experiment_name"], FOLDER),
    (&["report_to", "logger"], ALWAYS_LOGGED),
    (&["trainer", "training"], "its keys are at the top level, as in epochs: 3 and batch_size: 32"),
];

/// Complains about the first of these words in a run file.
pub(super) fn refuse(top: &Section) -> Result<(), Error> {
    let found = WORDS.iter().find_map(|(keys, instead)| Some((keys.iter().find(|key| top.has_at(key))?, *instead)));
    found.map_or(Ok(()), |(key, instead)| Err(top.misplaced(key, instead)))
}
