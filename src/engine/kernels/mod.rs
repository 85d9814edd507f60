//! Every kernel, in families.
//!
//! A [`Family`] is a shader with its bindings, its flags and its twin, written once. The name is the same everywhere:
//! `shaders/nn/linear.wgsl` is `twin::nn::linear`, the family [`LINEAR`], its label in a trace and its tests. A
//! [`Kernel`] is a family with some of its flags: `adamw.amsgrad_bf16`.

mod attention;
mod batch_norm;
mod call;
mod conv;
mod family;
mod flags;
mod gather;
mod linear;
mod measure;
mod nn;
mod optim;
mod rule_text;
mod rules;
mod source;
mod values;
mod vision;

pub use attention::{ATTENTION, ATTENTION_BACKWARD_KEY_VALUE, ATTENTION_BACKWARD_QUERY};
pub use batch_norm::{BATCH_MOMENTS, BATCH_NORM, BATCH_NORM_BACKWARD_INPUT, BATCH_NORM_BACKWARD_WEIGHT};
pub(super) use call::{Call, Slot};
pub use conv::{
    CONV, CONV_BACKWARD_INPUT, CONV_BACKWARD_WEIGHT, DEPTHWISE, DEPTHWISE_BACKWARD_INPUT, DEPTHWISE_BACKWARD_WEIGHT,
    WINDOW_POOL, WINDOW_POOL_BACKWARD,
};
pub use family::{Access, Family, Kernel};
pub use flags::{Flag, Flags};
pub use gather::{GATHER, GATHER_CACHED, GATHER_PICTURES, GATHER_SEQUENCES, GATHER_TOKENS};
pub use linear::{LINEAR, LINEAR_BACKWARD_INPUT, LINEAR_BACKWARD_WEIGHT};
pub use measure::COPY;
pub use nn::{
    ACTIVATE, ACTIVATE_BACKWARD, ADD, BINARY_CROSS_ENTROPY, CAST, CONFUSION, DROPOUT, EMBEDDING, EMBEDDING_BACKWARD,
    EMBEDDING_INDEX, JOIN, JOIN_BACKWARD, JUDGE, LABEL_CONFUSION, LAYER_NORM, LAYER_NORM_BACKWARD, MEAN_POOL,
    MEAN_POOL_BACKWARD, SOFTMAX_CROSS_ENTROPY, SQUARED_ERROR, SQUARED_ERROR_SUMS, TALLY,
};
pub use optim::{ADAMW_INT8, CLIP, CONTROL, KEEP, NORM, NORM_FOLD, PRODUCT, RESIZE, SUMS_FOLD, SWAP};
pub use rules::{
    ADADELTA, ADAFACTOR, ADAFACTOR_COLUMNS, ADAFACTOR_FOLD, ADAFACTOR_ROWS, ADAFACTOR_SUMS, ADAGRAD, ADAMAX, ADAMP,
    ADAMP_ROWS, ADAMP_ROWS_FOLD, ADAMW, ADAMW_SCHEDULEFREE, ADAN, LAMB, LAMB_SUMS, LARS, LARS_SUMS, LION, MUON,
    MUON_DIRECT, MUON_SUMS, NADAM, NADAMW, RADAM, RMSPROP, RULE_DIRECTIONS, RULE_FACTORS, RULE_ROWS, RULE_SUMS, RULES,
    SGD, SGD_SCHEDULEFREE,
};
pub use source::Shaders;
pub use values::ValueStorage;
pub use vision::{
    LAYER_SCALE, LAYER_SCALE_BACKWARD, PREFIX_TOKENS, PREFIX_TOKENS_BACKWARD_INPUT, PREFIX_TOKENS_BACKWARD_TABLES,
};

/// Every family.
pub static FAMILIES: [&Family; 89] = [
    &NORM,
    &NORM_FOLD,
    &CONTROL,
    &ADAMW,
    &ADAMW_INT8,
    &SGD,
    &LION,
    &NADAMW,
    &NADAM,
    &RADAM,
    &ADAMAX,
    &ADAGRAD,
    &ADADELTA,
    &RMSPROP,
    &ADAN,
    &LAMB,
    &LAMB_SUMS,
    &LARS,
    &LARS_SUMS,
    &SUMS_FOLD,
    &ADAMP,
    &ADAMP_ROWS,
    &ADAMP_ROWS_FOLD,
    &MUON,
    &MUON_SUMS,
    &MUON_DIRECT,
    &PRODUCT,
    &ADAFACTOR,
    &ADAFACTOR_ROWS,
    &ADAFACTOR_COLUMNS,
    &ADAFACTOR_FOLD,
    &ADAFACTOR_SUMS,
    &ADAMW_SCHEDULEFREE,
    &SGD_SCHEDULEFREE,
    &SWAP,
    &CLIP,
    &KEEP,
    &RESIZE,
    &ACTIVATE,
    &ACTIVATE_BACKWARD,
    &ADD,
    &CAST,
    &BATCH_MOMENTS,
    &BATCH_NORM,
    &BATCH_NORM_BACKWARD_INPUT,
    &BATCH_NORM_BACKWARD_WEIGHT,
    &CONV,
    &CONV_BACKWARD_INPUT,
    &CONV_BACKWARD_WEIGHT,
    &DEPTHWISE,
    &DEPTHWISE_BACKWARD_INPUT,
    &DEPTHWISE_BACKWARD_WEIGHT,
    &WINDOW_POOL,
    &WINDOW_POOL_BACKWARD,
    &DROPOUT,
    &EMBEDDING,
    &EMBEDDING_INDEX,
    &EMBEDDING_BACKWARD,
    &PREFIX_TOKENS,
    &PREFIX_TOKENS_BACKWARD_INPUT,
    &PREFIX_TOKENS_BACKWARD_TABLES,
    &MEAN_POOL,
    &MEAN_POOL_BACKWARD,
    &JOIN,
    &JOIN_BACKWARD,
    &LAYER_NORM,
    &LAYER_NORM_BACKWARD,
    &LAYER_SCALE,
    &LAYER_SCALE_BACKWARD,
    &LINEAR,
    &LINEAR_BACKWARD_INPUT,
    &LINEAR_BACKWARD_WEIGHT,
    &SOFTMAX_CROSS_ENTROPY,
    &BINARY_CROSS_ENTROPY,
    &SQUARED_ERROR,
    &TALLY,
    &CONFUSION,
    &LABEL_CONFUSION,
    &SQUARED_ERROR_SUMS,
    &JUDGE,
    &ATTENTION,
    &ATTENTION_BACKWARD_QUERY,
    &ATTENTION_BACKWARD_KEY_VALUE,
    &GATHER,
    &GATHER_CACHED,
    &GATHER_PICTURES,
    &GATHER_SEQUENCES,
    &GATHER_TOKENS,
    &COPY,
];

/// Every kernel: each family with each set of its flags that go together.
pub fn all() -> impl Iterator<Item = &'static Kernel> {
    FAMILIES.into_iter().flat_map(Family::kernels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_kernel_is_its_familys_name_and_the_words_of_its_flags() {
        let kernel = ADAMW.variant(Flags::NONE | Flag::Average | Flag::Amsgrad | Flag::Bf16).expect("a kernel");
        assert_eq!((kernel.name, kernel.bindings.len()), ("adamw.amsgrad_bf16_average", 9));
        assert_eq!(ADAMW.plain().name, "adamw");
        assert_eq!(
            LINEAR_BACKWARD_WEIGHT.plain().with(Flag::Squares).expect("a kernel").bindings[5],
            Access::ReadWrite
        );
        let told = ADAMW.variant(Flag::SingleGrads.when(true) | Flag::Params16).expect_err("an error").to_string();
        assert_eq!(told, "there is no kernel \"adamw\" with flags params16, single_grads");
        let names: BTreeSet<&str> = all().map(|kernel| kernel.name).collect();
        assert_eq!((names.len(), all().count()), (555, 555));
    }

    /// What is misspelt in a shader would never hold.
    #[test]
    fn every_condition_of_a_shader_is_a_flag() {
        let flags: BTreeSet<String> = all().flat_map(|kernel| kernel.flags.words()).map(str::to_uppercase).collect();
        let rules = FAMILIES.iter().filter_map(|family| family.rule).map(|rule| rule.text);
        let shared = source::SHARED.iter().map(|(_, text)| *text);
        let flags: BTreeSet<String> = flags
            .into_iter()
            .chain(family::SLOT_WORDS.map(str::to_owned))
            .chain([family::IDLE, family::ROWS, family::FACTORED].map(str::to_owned))
            .collect();
        for text in FAMILIES.iter().map(|family| family.source).chain(shared).chain(rules) {
            for name in text.lines().filter_map(|line| line.trim().strip_prefix("#ifdef ")) {
                assert!(flags.contains(name), "#ifdef {name}");
            }
        }
    }
}
