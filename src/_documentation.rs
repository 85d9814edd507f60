//! The pages of the documentation, as modules. They hold no code.
//!
//! Links between pages lead to the files of the repository.

/// From the first run to your own model and schedule.
#[doc = ""]
#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

/// Which learning rate, which schedule, when to thaw.
#[doc = ""]
#[doc = include_str!("../docs/recipes.md")]
pub mod recipes {}

/// Every update rule.
#[doc = ""]
#[doc = include_str!("../docs/optimizers.md")]
pub mod optimizers {}

/// Every law of a schedule.
#[doc = ""]
#[doc = include_str!("../docs/laws.md")]
pub mod laws {}

/// Schedules of phases.
#[doc = ""]
#[doc = include_str!("../docs/phases.md")]
pub mod phases {}

/// Every key of a run file.
#[doc = ""]
#[doc = include_str!("../docs/run_file.md")]
pub mod run_file {}

/// Using a trained model.
#[doc = ""]
#[doc = include_str!("../docs/predict.md")]
pub mod predict {}

/// The range test.
#[doc = ""]
#[doc = include_str!("../docs/lr_find.md")]
pub mod lr_find {}

/// Several adapters, several machines.
#[doc = ""]
#[doc = include_str!("../docs/ranks.md")]
pub mod ranks {}

/// Hugging Face folders in and out.
#[doc = ""]
#[doc = include_str!("../docs/text_models.md")]
pub mod text_models {}

/// gradus in your own program.
#[doc = ""]
#[doc = include_str!("../docs/library.md")]
pub mod library {}

/// Coming from finetuning-scheduler.
#[doc = ""]
#[doc = include_str!("../docs/from/finetuning-scheduler.md")]
pub mod from_finetuning_scheduler {}

/// Coming from timm or pytorch-accelerated.
#[doc = ""]
#[doc = include_str!("../docs/from/timm.md")]
pub mod from_timm {}

/// Coming from Hugging Face's Trainer.
#[doc = ""]
#[doc = include_str!("../docs/from/transformers.md")]
pub mod from_transformers {}

/// Coming from Ludwig.
#[doc = ""]
#[doc = include_str!("../docs/from/ludwig.md")]
pub mod from_ludwig {}
