//! The kernels of the update, one family a rule: a text of arithmetic, and its twin.
//!
//! Bindings are the work list, control, the first two slots of state, parameters, gradients, the segment; then the other
//! slots and the average, where they are there.

use super::call::{Call, Slot};
use super::family::Access::{Read, ReadWrite, Uniform};
use super::family::{Access, Family, Word};
use super::flags::Flag::{Amsgrad, Average, Bf16, Centered, Grads16, Params16, SingleGrads, SingleParams};
use super::rule_text::{RuleText, SUMS, UPDATE};
use crate::engine::forms::fast;
use crate::twin;
use crate::twin::optim::rule::{self, Arithmetic, Summed};
use crate::twin::shared::Stored;
use bytemuck::{AnyBitPattern, NoUninit};

/// The bindings of a rule with one slot, two, three and four.
const ONE: [Access; 6] = [Read, Read, ReadWrite, ReadWrite, Read, Uniform];
const TWO: [Access; 7] = [Read, Read, ReadWrite, ReadWrite, ReadWrite, Read, Uniform];
/// The bindings of the sums of a rule with one slot and two.
const SUMS_OF_ONE: [Access; 7] = [Read, Read, ReadWrite, ReadWrite, Read, Uniform, ReadWrite];
const SUMS_OF_TWO: [Access; 8] = [Read, Read, ReadWrite, ReadWrite, ReadWrite, Read, Uniform, ReadWrite];
const THREE: [Access; 8] = [Read, Read, ReadWrite, ReadWrite, ReadWrite, Read, Uniform, ReadWrite];
const FOUR: [Access; 9] = [Read, Read, ReadWrite, ReadWrite, ReadWrite, Read, Uniform, ReadWrite, ReadWrite];

/// The flags of a rule: those of what lies at any place, of its own slot, of what is stored in bf16, and of the average.
macro_rules! words {
    ($grads:literal $(, $own:ident)*; f32) => {
        &[
            Word::of(SingleGrads).shares($grads),
            Word::of(SingleParams).only_with(SingleGrads),
            $(Word::of($own).adds(&[ReadWrite]),)*
            Word::of(Average).adds(&[ReadWrite]),
        ]
    };
    ($grads:literal $(, $own:ident)*; bf16) => {
        &[
            Word::of(SingleGrads).shares($grads),
            Word::of(SingleParams).only_with(SingleGrads),
            $(Word::of($own).adds(&[ReadWrite]),)*
            Word::of(Bf16),
            Word::of(Average).adds(&[ReadWrite]),
            Word::of(Params16).never_with(&[SingleGrads, Average]),
            Word::of(Grads16).only_with(Params16),
        ]
    };
}

/// The text of a rule.
macro_rules! text {
    ($name:literal, $slots:literal) => {
        text!($name, $slots, false)
    };
    ($name:literal, $slots:literal, $can_idle:literal) => {
        &RuleText {
            name: $name,
            text: include_str!(concat!("../../../shaders/optim/rule/", $name, ".wgsl")),
            slots: $slots,
            can_idle: $can_idle,
        }
    };
}

pub(super) static ADAMW_TEXT: &RuleText = text!("adamw", 2);

/// AdamW and Adam.
pub static ADAMW: Family = Family::new("adamw", UPDATE, &TWO, adamw).by(ADAMW_TEXT).with(words!(5, Amsgrad; bf16));

/// SGD.
pub static SGD: Family =
    Family::new("sgd", UPDATE, &ONE, in_f32::<rule::Sgd, 1>).by(text!("sgd", 1, true)).with(words!(4; f32));

/// Lion.
pub static LION: Family =
    Family::new("lion", UPDATE, &ONE, in_any::<rule::Lion, 1>).by(text!("lion", 1)).with(words!(4; bf16));

/// timm's NAdamW.
pub static NADAMW: Family =
    Family::new("nadamw", UPDATE, &TWO, in_any::<rule::NAdamW, 2>).by(text!("nadamw", 2)).with(words!(5; bf16));

/// NAdam.
pub static NADAM: Family =
    Family::new("nadam", UPDATE, &TWO, in_f32::<rule::NAdam, 2>).by(text!("nadam", 2)).with(words!(5; f32));

/// RAdam.
pub static RADAM: Family =
    Family::new("radam", UPDATE, &TWO, in_f32::<rule::RAdam, 2>).by(text!("radam", 2)).with(words!(5; f32));

/// Adamax.
pub static ADAMAX: Family =
    Family::new("adamax", UPDATE, &TWO, in_f32::<rule::Adamax, 2>).by(text!("adamax", 2)).with(words!(5; f32));

/// Adagrad.
pub static ADAGRAD: Family =
    Family::new("adagrad", UPDATE, &ONE, in_f32::<rule::Adagrad, 1>).by(text!("adagrad", 1)).with(words!(4; f32));

/// Adadelta.
pub static ADADELTA: Family =
    Family::new("adadelta", UPDATE, &TWO, in_f32::<rule::Adadelta, 2>).by(text!("adadelta", 2)).with(words!(5; f32));

/// RMSprop.
pub static RMSPROP: Family =
    Family::new("rmsprop", UPDATE, &TWO, rmsprop).by(text!("rmsprop", 2)).with(words!(5, Centered; f32));

/// Adan. With an average it would have more bindings than WebGPU promises.
pub static ADAN: Family = Family::new("adan", UPDATE, &FOUR, in_f32::<rule::Adan, 4>)
    .by(text!("adan", 4))
    .with(&[Word::of(SingleGrads).shares(5), Word::of(SingleParams).only_with(SingleGrads)]);

static LAMB_TEXT: &RuleText = text!("lamb", 2);

/// LAMB.
pub static LAMB: Family = Family::new("lamb", UPDATE, &TWO, in_f32::<rule::Lamb, 2>).by(LAMB_TEXT).with(words!(5; f32));

/// The sums that LAMB needs.
pub static LAMB_SUMS: Family = Family::new("lamb_sums", SUMS, &SUMS_OF_TWO, sums::<rule::Lamb, 2>)
    .by(LAMB_TEXT)
    .with(&[Word::of(SingleGrads).shares(5), Word::of(SingleParams).only_with(SingleGrads)]);

static LARS_TEXT: &RuleText = text!("lars", 1, true);

/// LARS.
pub static LARS: Family = Family::new("lars", UPDATE, &ONE, in_f32::<rule::Lars, 1>).by(LARS_TEXT).with(words!(4; f32));

/// The sums that LARS needs.
pub static LARS_SUMS: Family = Family::new("lars_sums", SUMS, &SUMS_OF_ONE, sums::<rule::Lars, 1>)
    .by(LARS_TEXT)
    .with(&[Word::of(SingleGrads).shares(4), Word::of(SingleParams).only_with(SingleGrads)]);

/// Schedule-Free AdamW.
pub static ADAMW_SCHEDULEFREE: Family =
    Family::new("adamw_schedulefree", UPDATE, &THREE, in_f32::<rule::AdamWScheduleFree, 3>)
        .by(text!("adamw_schedulefree", 3))
        .with(&[Word::of(SingleGrads).shares(5), Word::of(SingleParams).only_with(SingleGrads)]);

/// Schedule-Free SGD.
pub static SGD_SCHEDULEFREE: Family = Family::new("sgd_schedulefree", UPDATE, &TWO, in_f32::<rule::SgdScheduleFree, 2>)
    .by(text!("sgd_schedulefree", 2))
    .with(&[Word::of(SingleGrads).shares(5), Word::of(SingleParams).only_with(SingleGrads)]);

/// The family of each rule.
pub static RULES: [&Family; 15] = [
    &ADAMW,
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
    &LARS,
    &ADAMW_SCHEDULEFREE,
    &SGD_SCHEDULEFREE,
];

/// The sums of each rule that needs some, by the rule's family.
pub static RULE_SUMS: [(&Family, &Family); 2] = [(&LAMB, &LAMB_SUMS), (&LARS, &LARS_SUMS)];

fn adamw(call: Call<'_>) {
    match call.has(Amsgrad) {
        true => in_any::<rule::AdamW, 3>(call),
        false => in_any::<rule::AdamW, 2>(call),
    }
}

fn rmsprop(call: Call<'_>) {
    match call.has(Centered) {
        true => in_f32::<rule::RmsProp, 3>(call),
        false => in_f32::<rule::RmsProp, 2>(call),
    }
}

/// A rule that stores everything in f32.
fn in_f32<R: Arithmetic<SLOTS>, const SLOTS: usize>(call: Call<'_>) {
    update::<R, SLOTS, f32, f32, f32>(call);
}

/// A rule whose state, parameters and gradients may be bf16.
fn in_any<R: Arithmetic<SLOTS>, const SLOTS: usize>(call: Call<'_>) {
    match [Bf16, Params16, Grads16].map(|flag| call.has(flag)) {
        [false, false, _] => update::<R, SLOTS, f32, f32, f32>(call),
        [true, false, _] => update::<R, SLOTS, u16, f32, f32>(call),
        [false, true, false] => update::<R, SLOTS, f32, u16, f32>(call),
        [true, true, false] => update::<R, SLOTS, u16, u16, f32>(call),
        [false, true, true] => update::<R, SLOTS, f32, u16, u16>(call),
        [true, true, true] => update::<R, SLOTS, u16, u16, u16>(call),
    }
}

/// With state, parameters and gradients of these types.
fn update<R, const SLOTS: usize, S, P, G>(mut call: Call<'_>)
where
    R: Arithmetic<SLOTS>,
    S: Stored + AnyBitPattern + NoUninit,
    P: Stored + AnyBitPattern + NoUninit,
    G: Stored + AnyBitPattern,
{
    let step =
        if call.forms.are_fast { fast::update::<R, SLOTS, S, P, G> } else { twin::optim::update::<R, SLOTS, S, P, G> };
    let average = call.take_array(Average);
    let later = call.slots.split_off(SLOTS.min(2) + 5);
    let first: Vec<Slot<'_>> = call.slots.drain(2..2 + SLOTS.min(2)).collect();
    let state: Vec<&mut [S]> = first.into_iter().chain(later).map(Slot::get_mut).collect();
    let Ok(state) = state.try_into() else { unreachable!("bindings are checked when a program is prepared") };
    let [chunks, control, params, grads, segment] = call.take();
    step(chunks.get(), control.get(), state, params.get_mut(), grads.get(), segment.one(), average);
}

/// The sums of a rule that stores everything in f32.
fn sums<R: Summed<SLOTS>, const SLOTS: usize>(mut call: Call<'_>) {
    let form = if call.forms.are_fast {
        fast::sums::<R, SLOTS, f32, f32, f32>
    } else {
        twin::optim::sums::<R, SLOTS, f32, f32, f32>
    };
    let state: Vec<&[f32]> = call.slots.drain(2..2 + SLOTS).map(Slot::get).collect();
    let Ok(state) = state.try_into() else { unreachable!("bindings are checked when a program is prepared") };
    let [chunks, control, params, grads, segment, sums] = call.take();
    form(chunks.get(), control.get(), state, params.get(), grads.get(), segment.one(), sums.get_mut());
}
