//! The kernels of the update, one family a rule: a text of arithmetic, and its twin.
//!
//! Bindings are the work list, control, the first two slots of state, parameters, gradients, the segment; then the other
//! slots and the average, where they are there.

use super::call::{Call, Slot};
use super::family::Access::{Read, ReadWrite, Uniform};
use super::family::{Access, Family, Word};
use super::flags::Flag::{Amsgrad, Average, Bf16, Centered, Grads16, Params16, SingleGrads, SingleParams};
use super::rule_text::{
    DIRECT, FACTOR_COLUMNS, FACTOR_FOLD, FACTOR_ROWS, FACTOR_SUMS, FACTOR_UPDATE, ROW_SUMS, ROW_SUMS_FOLD, RuleText,
    SUMS, UPDATE,
};
use crate::engine::forms::fast;
use crate::twin;
use crate::twin::optim::rule::{self, Arithmetic, ByRows, Directed, Factored, Summed};
use crate::twin::shared::{Stored, spread_shares};
use bytemuck::{AnyBitPattern, NoUninit};

/// The bindings of a rule with one slot, two, three and four.
const ONE: [Access; 6] = [Read, Read, ReadWrite, ReadWrite, Read, Uniform];
const TWO: [Access; 7] = [Read, Read, ReadWrite, ReadWrite, ReadWrite, Read, Uniform];
/// The bindings of the sums of a rule with one slot and two.
const SUMS_OF_ONE: [Access; 7] = [Read, Read, ReadWrite, ReadWrite, Read, Uniform, ReadWrite];
const SUMS_OF_TWO: [Access; 8] = [Read, Read, ReadWrite, ReadWrite, ReadWrite, Read, Uniform, ReadWrite];
/// The bindings of a rule with two slots that looks at rows, of the sums over them, and of their fold.
const ROWS_OF_TWO: [Access; 9] = [Read, Read, ReadWrite, ReadWrite, ReadWrite, Read, Uniform, Read, Read];
const ROW_SUMS_OF_TWO: [Access; 9] = [Read, Read, ReadWrite, ReadWrite, ReadWrite, Read, Uniform, Read, ReadWrite];
const FOLD_OF_ROWS: [Access; 5] = [Read, Read, ReadWrite, ReadWrite, Uniform];
/// The bindings of a rule that keeps rows and columns, of the sums of these, and of what comes between.
const FACTORED: [Access; 8] = [Read, Read, ReadWrite, ReadWrite, Read, Uniform, Read, Read];
const SUMS_OF_ROWS: [Access; 8] = [Read, Read, ReadWrite, ReadWrite, Read, Uniform, Read, ReadWrite];
const SUMS_OF_COLUMNS: [Access; 9] = [Read, Read, ReadWrite, ReadWrite, Read, Uniform, Read, Read, ReadWrite];
const FOLD_OF_FACTORS: [Access; 8] = [Read, Read, Read, Read, ReadWrite, ReadWrite, Read, Uniform];
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
            has_rows: false,
            is_factored: false,
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

static ADAMP_TEXT: &RuleText = &RuleText { has_rows: true, ..*text!("adamp", 2) };

/// AdamP.
pub static ADAMP: Family = Family::new("adamp", UPDATE, &ROWS_OF_TWO, by_rows::<rule::AdamP>)
    .by(ADAMP_TEXT)
    .with(&[Word::of(SingleGrads).shares(5), Word::of(SingleParams).only_with(SingleGrads)]);

/// The sums over rows that AdamP needs.
pub static ADAMP_ROWS: Family = Family::new("adamp_rows", ROW_SUMS, &ROW_SUMS_OF_TWO, row_sums::<rule::AdamP>)
    .by(ADAMP_TEXT)
    .with(&[Word::of(SingleGrads).shares(5), Word::of(SingleParams).only_with(SingleGrads)]);

/// What AdamP makes of them.
pub static ADAMP_ROWS_FOLD: Family =
    Family::new("adamp_rows_fold", ROW_SUMS_FOLD, &FOLD_OF_ROWS, row_sums_fold::<rule::AdamP>).by(ADAMP_TEXT);

static MUON_TEXT: &RuleText = text!("muon", 1);

/// Muon. Its directions are bound in the place of its momenta.
pub static MUON: Family = Family::new("muon", UPDATE, &ONE, in_f32::<rule::Muon, 1>).by(MUON_TEXT).with(words!(4; f32));

/// The sums that Muon needs.
pub static MUON_SUMS: Family = Family::new("muon_sums", SUMS, &SUMS_OF_ONE, sums::<rule::Muon, 1>)
    .by(MUON_TEXT)
    .with(&[Word::of(SingleGrads).shares(4), Word::of(SingleParams).only_with(SingleGrads)]);

/// Muon's directions before they are made orthogonal.
pub static MUON_DIRECT: Family = Family::new("muon_direct", DIRECT, &SUMS_OF_ONE, direct::<rule::Muon>)
    .by(MUON_TEXT)
    .with(&[Word::of(SingleGrads).shares(4), Word::of(SingleParams).only_with(SingleGrads)]);

static ADAFACTOR_TEXT: &RuleText = &RuleText { is_factored: true, ..*text!("adafactor", 1) };

/// Adafactor.
pub static ADAFACTOR: Family = Family::new("adafactor", FACTOR_UPDATE, &FACTORED, factor_update::<rule::Adafactor>)
    .by(ADAFACTOR_TEXT)
    .with(words!(4; f32));

/// The sums of rows that Adafactor needs.
pub static ADAFACTOR_ROWS: Family = Family::new("adafactor_rows", FACTOR_ROWS, &SUMS_OF_ROWS, factor_rows)
    .by(ADAFACTOR_TEXT)
    .with(&[Word::of(SingleGrads).shares(4), Word::of(SingleParams).only_with(SingleGrads)]);

/// The sums of columns.
pub static ADAFACTOR_COLUMNS: Family =
    Family::new("adafactor_columns", FACTOR_COLUMNS, &SUMS_OF_COLUMNS, factor_columns)
        .by(ADAFACTOR_TEXT)
        .with(&[Word::of(SingleGrads).shares(4), Word::of(SingleParams).only_with(SingleGrads)]);

/// What Adafactor's rows and columns make of them.
pub static ADAFACTOR_FOLD: Family =
    Family::new("adafactor_fold", FACTOR_FOLD, &FOLD_OF_FACTORS, factor_fold::<rule::Adafactor>).by(ADAFACTOR_TEXT);

/// The sums over tensors that Adafactor needs then.
pub static ADAFACTOR_SUMS: Family =
    Family::new("adafactor_sums", FACTOR_SUMS, &SUMS_OF_COLUMNS, factor_sums::<rule::Adafactor>)
        .by(ADAFACTOR_TEXT)
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
pub static RULES: [&Family; 18] = [
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
    &ADAMP,
    &MUON,
    &ADAFACTOR,
    &ADAMW_SCHEDULEFREE,
    &SGD_SCHEDULEFREE,
];

/// The sums of each rule that needs some, by the rule's family.
pub static RULE_SUMS: [(&Family, &Family); 4] =
    [(&LAMB, &LAMB_SUMS), (&LARS, &LARS_SUMS), (&MUON, &MUON_SUMS), (&ADAFACTOR, &ADAFACTOR_SUMS)];

/// The sums over rows, and their fold, of each rule that looks at rows, by the rule's family.
pub static RULE_ROWS: [(&Family, [&Family; 2]); 1] = [(&ADAMP, [&ADAMP_ROWS, &ADAMP_ROWS_FOLD])];

/// The sums of rows and of columns, and their fold, of each rule that keeps both, by the rule's family.
pub static RULE_FACTORS: [(&Family, [&Family; 3]); 1] =
    [(&ADAFACTOR, [&ADAFACTOR_ROWS, &ADAFACTOR_COLUMNS, &ADAFACTOR_FOLD])];

/// What makes the directions of each rule that has some, by the rule's family.
pub static RULE_DIRECTIONS: [(&Family, &Family); 1] = [(&MUON, &MUON_DIRECT)];

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

/// A rule of two slots that looks at rows: a share stands at the place of each element's state.
fn by_rows<R: Arithmetic<3>>(call: Call<'_>) {
    let step = if call.forms.are_fast {
        fast::update::<R, 3, f32, f32, f32>
    } else {
        twin::optim::update::<R, 3, f32, f32, f32>
    };
    let [chunks, control, m, v, params, grads, segment, matrices, shares] = call.take();
    let (chunks, segment, m) = (chunks.get(), segment.one(), m.get_mut::<f32>());
    let mut spread = vec![0.0; m.len()];
    spread_shares(chunks, segment, matrices.get(), shares.get(), &mut spread);
    let state = [m, v.get_mut(), &mut spread[..]];
    step(chunks, control.get(), state, params.get_mut(), grads.get(), segment, None);
}

fn row_sums<R: ByRows<3>>(call: Call<'_>) {
    let form = if call.forms.are_fast { fast::row_sums::<R, 3> } else { twin::optim::row_sums::<R, 3> };
    let [chunks, control, m, v, params, grads, segment, matrices, sums] = call.take();
    let (state, segment) = ([m.get::<f32>(), v.get()], segment.one());
    form(chunks.get(), control.get(), &state, params.get(), grads.get(), segment, matrices.get(), sums.get_mut());
}

fn row_sums_fold<R: ByRows<3>>(call: Call<'_>) {
    let [matrices, sums, shares, control, segment] = call.take();
    let (sums, shares, control) = (sums.get(), shares.get_mut(), control.get_mut());
    twin::optim::row_sums_fold::<R, 3>(matrices.get(), sums, shares, control, segment.one());
}

fn direct<R: Directed>(call: Call<'_>) {
    let form = if call.forms.are_fast { fast::direct::<R> } else { twin::optim::direct::<R> };
    let [chunks, control, buffer, params, grads, segment, directions] = call.take();
    let (chunks, control, buffer) = (chunks.get(), control.get(), buffer.get_mut());
    form(chunks, control, buffer, params.get(), grads.get(), segment.one(), directions.get_mut());
}

fn factor_rows(call: Call<'_>) {
    let form = if call.forms.are_fast { fast::factor_rows } else { twin::optim::factor_rows };
    let [chunks, control, _, _, grads, segment, factors, sums] = call.take();
    form(chunks.get(), control.get(), grads.get(), segment.one(), factors.get(), sums.get_mut());
}

fn factor_columns(call: Call<'_>) {
    let form = if call.forms.are_fast { fast::factor_columns } else { twin::optim::factor_columns };
    let [chunks, control, _, _, grads, segment, factors, bands, sums] = call.take();
    form(chunks.get(), control.get(), grads.get(), segment.one(), factors.get(), bands.get(), sums.get_mut());
}

fn factor_fold<R: Factored>(call: Call<'_>) {
    let [folded, factors, rows, columns, state, means, control, segment] = call.take();
    let (state, means, control) = (state.get_mut(), means.get_mut(), control.get());
    let (rows, columns) = (rows.get(), columns.get());
    twin::optim::factor_fold::<R>(folded.get(), factors.get(), rows, columns, state, means, control, segment.one());
}

fn factor_sums<R: Factored>(call: Call<'_>) {
    let form = if call.forms.are_fast { fast::factor_sums::<R> } else { twin::optim::factor_sums::<R> };
    let [chunks, control, state, params, grads, segment, factors, means, sums] = call.take();
    let (chunks, control, state, segment) = (chunks.get(), control.get(), state.get(), segment.one());
    form(chunks, control, state, params.get(), grads.get(), segment, factors.get(), means.get(), sums.get_mut());
}

fn factor_update<R: Factored>(mut call: Call<'_>) {
    let form = if call.forms.are_fast { fast::factor_update::<R> } else { twin::optim::factor_update::<R> };
    let average = call.take_array(Average);
    let [chunks, control, state, params, grads, segment, factors, means] = call.take();
    let (chunks, control, state, segment) = (chunks.get(), control.get(), state.get_mut(), segment.one());
    form(chunks, control, state, params.get_mut(), grads.get(), segment, factors.get(), means.get(), average);
}
