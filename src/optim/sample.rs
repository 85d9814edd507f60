//! What the stages of a step are tried with: tensors that fill no chunk, in every way in which they may be stored.

use super::arena::Arena;
use super::row_list::{Holds, Resized};
use super::stages::control_block;
use super::work::{CHUNK_ELEMENTS, Part};
use super::{Clip, Error, External, GradientClip, NormOrder, Optimizer, Parameters, Precision, RowList, Settings};
use crate::engine::layout::{Squares, noise};
use crate::engine::{Engine, Program, Range};
use crate::params::{Group, Param, Row, Rule, Storage, Sums, Switch};

/// Elements of the tensors: below and past a vec4, a workgroup and a chunk.
const SIZES: [usize; 7] = [1, 63, 65, 257, 4095, 4097, 9001];

/// An optimizer to be tried.
#[derive(Clone, Debug)]
pub struct Sample {
    row: Row,
    precision: Precision,
    place: Place,
    settings: Settings,
    /// Whether the norm goes by squares that kernels have written.
    has_squares: bool,
    /// A number among the gradients that is not finite.
    bad: Option<f32>,
}

/// Where its tensors lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In arenas of our own.
    Ours,
    /// In a caller's buffers, one for each tensor and each gradient, as vec4s.
    Apart,
    /// The same, gradients at odd places.
    Loose,
    /// All in one of a caller's buffers, with no space between, at odd places.
    Packed,
}

/// A sample on an engine.
#[derive(Debug)]
pub struct Placed {
    /// The optimizer.
    pub optimizer: Optimizer,
    params: Vec<Param>,
    has_squares: bool,
    bad: Option<f32>,
}

/// Every rule and storage, in arenas of our own and in a caller's; every norm.
pub fn samples() -> Vec<Sample> {
    let plain = Row { lr: 1e-2, weight_decay: 0.1, ..Row::default() };
    let mut rows = Vec::new();
    for amsgrad in [false, true] {
        for ema_decay in [None, Some(0.9)] {
            rows.extend(Storage::ALL.map(|moments| Row { amsgrad, ema_decay, moments, ..plain }));
        }
    }
    for ema_decay in [None, Some(0.9)] {
        rows.push(Row { lr: 1e-2, momentum: 0.9, nesterov: true, ema_decay, ..Row::of(Rule::Sgd) });
    }
    for rule in Rule::ALL.into_iter().filter(|rule| ![Rule::AdamW, Rule::Adam, Rule::Sgd].contains(rule)) {
        rows.extend(of_rule(rule));
    }
    let sample = |row: Row, precision: Precision, place: Place| Sample {
        row,
        precision,
        place,
        settings: Settings { seed: 7, ..Settings::default() },
        has_squares: false,
        bad: None,
    };
    let mut all: Vec<Sample> = Vec::new();
    for row in &rows {
        all.extend([Place::Ours, Place::Loose, Place::Packed].map(|place| sample(*row, Precision::F32, place)));
        if row.ema_decay.is_none() && row.rule.stores_bf16() {
            all.extend([Precision::Mixed, Precision::Bf16].map(|precision| sample(*row, precision, Place::Apart)));
        }
    }
    for order in [NormOrder::Zero, NormOrder::One, NormOrder::Two, NormOrder::Infinity, NormOrder::P(3.0)] {
        let clip = Clip::Norm { max_norm: 0.5, order, error_if_nonfinite: false };
        let settings = Settings { clip, guard: true, ..Settings::default() };
        for (precision, place) in
            [(Precision::F32, Place::Ours), (Precision::F32, Place::Packed), (Precision::Bf16, Place::Apart)]
        {
            all.push(Sample { settings, ..sample(plain, precision, place) });
        }
    }
    let clip = Clip::norm(0.5);
    let squares = Sample {
        has_squares: true,
        settings: Settings { clip, ..Settings::default() },
        ..sample(plain, Precision::F32, Place::Ours)
    };
    let clip = Clip::Value(0.25);
    let by_value = Sample {
        settings: Settings { clip, guard: true, ..Settings::default() },
        ..sample(plain, Precision::F32, Place::Ours)
    };
    all.extend([squares, by_value]);
    for bad in [f32::NAN, f32::NEG_INFINITY] {
        let settings = Settings { clip: Clip::norm(0.5), guard: true, ..Settings::default() };
        all.push(Sample { bad: Some(bad), settings, ..sample(plain, Precision::F32, Place::Ours) });
    }
    all
}

/// A rule in every storage, with every slot and without, with an average and without.
fn of_rule(rule: Rule) -> Vec<Row> {
    let mut rows = Vec::new();
    for is_whole in [false, true] {
        for ema_decay in [None, Some(0.9)].into_iter().filter(|decay| decay.is_none() || rule.keeps_average()) {
            for moments in rule.storages() {
                let row = Row { weight_decay: 0.1, momentum: 0.9, ema_decay, moments: *moments, ..Row::of(rule) };
                let row = Row {
                    nesterov: is_whole,
                    match_rms_adamw: is_whole,
                    delta: if is_whole { 0.1 } else { 4.0 },
                    ..row
                };
                let row = Row { centered: is_whole, decoupled_weight_decay: is_whole, no_prox: is_whole, ..row };
                rows.push(Row { trust_clip: is_whole, always_adapt: is_whole, ..row });
            }
        }
        if rule.switches() == [Switch::Maximize] {
            break;
        }
    }
    rows
}

/// AdamW over one tensor of so many elements, clipped by norm, to be timed.
///
/// # Errors
/// Out of device memory.
pub fn of_size(engine: &Engine, elements: usize) -> Result<Placed, Error> {
    let params = [Param::new("tensor", [elements])];
    let parameters = Parameters::new(engine, &params, None)?;
    parameters.upload("tensor", &noise(1, elements))?;
    let groups = [Group::new("all", Row::default(), ["tensor"])];
    let settings = Settings { clip: Clip::norm(1.0), ..Settings::default() };
    let optimizer = Optimizer::new(engine, &parameters, &groups, settings)?;
    optimizer.upload_gradient("tensor", &noise(2, elements))?;
    Ok(Placed::of(optimizer, params.into()))
}

/// Gradients to be clipped for themselves.
///
/// # Errors
/// From the device.
pub fn clips(engine: &Engine) -> Result<Vec<GradientClip>, Error> {
    let mut all = Vec::new();
    for place in [Place::Apart, Place::Packed] {
        for clip in [Clip::norm(0.5), Clip::Value(0.25)] {
            let gradients = place.ranges(engine, "gradient", &SIZES.map(|size| size as u64 * 4))?;
            for ((seed, size), range) in (1..).zip(SIZES).zip(&gradients) {
                engine.write(&range.buffer, range.offset, &noise(seed, size))?;
            }
            let named: Vec<(&str, Range)> = gradients.into_iter().map(|range| ("gradient", range)).collect();
            all.push(GradientClip::new(engine, &named, clip)?);
        }
    }
    Ok(all)
}

/// Parameters that are resized: what moves their values and their state, in f32 and in bf16.
///
/// # Errors
/// From the device.
pub fn resizes(engine: &Engine) -> Result<Vec<Program>, Error> {
    // Kept, dropped, twice, fresh, of zeros, and past the rows.
    let rows = [4, 0, 4, 2 | RowList::FRESH, RowList::ZERO, 70, 6, 1];
    let (old, new) = (Param::new("p", [7, 1201]), Param::new("p", [rows.len(), 1201]));
    let list = RowList::Host(&rows).place(engine)?;
    let control = control_block(engine, 1, None)?;
    let mut programs = Vec::new();
    for storage in [Storage::F32, Storage::Bf16] {
        let arena = |param: &Param| {
            let parts = Part::whole(param.elements() as u64).to_vec();
            // Pages that hold no more than a chunk, so that there are several pieces.
            Arena::empty(storage).relaid(engine, &[(0, parts)], &["rows".to_owned()], 4 * CHUNK_ELEMENTS)
        };
        let (from, to) = (arena(&old)?, arena(&new)?);
        let resized = Resized { engine, control: &control, list: &list, param: &old };
        for holds in [Holds::Values, Holds::State] {
            let mut program = Program::new("resize");
            for (from, to) in from.streams(0).zip(to.streams(0)) {
                from.upload(engine, &noise(1, old.elements()))?;
                program.dispatches.extend(resized.dispatches(&from, &to, holds)?);
            }
            programs.push(program);
        }
    }
    Ok(programs)
}

/// Rows and columns of so many elements: as few columns as there may be, but more than one.
fn shape(size: usize) -> [usize; 2] {
    let columns = (2..=size).find(|columns| size.is_multiple_of(*columns)).unwrap_or(1);
    [size / columns, columns]
}

/// What a rule that keeps rows and columns is tried with too: columns that come in fours, in several bands and tiles, matrices
/// one behind the other, and a vector.
fn further(rule: Rule) -> Vec<Param> {
    if rule.declaration().sums != Some(Sums::Factored) {
        return Vec::new();
    }
    let param = |name: &str, shape: &[usize]| Param::new(name, shape.to_vec());
    vec![param("tall", &[300, 40]), param("wide", &[40, 300]), param("stack", &[7, 3, 3]), param("vector", &[4100])]
}

impl Place {
    /// Ranges of so many bytes.
    fn ranges(self, engine: &Engine, label: &str, bytes: &[u64]) -> Result<Vec<Range>, Error> {
        let first = if matches!(self, Place::Loose | Place::Packed) { 12 } else { 16 };
        if self == Place::Packed {
            let buffer = engine.buffer(label, first + bytes.iter().sum::<u64>())?;
            let mut at = first;
            let next = |bytes: &u64| {
                at += bytes;
                buffer.range(at - bytes, *bytes)
            };
            return Ok(bytes.iter().map(next).collect::<Result<_, _>>()?);
        }
        let range = |bytes: &u64| engine.buffer(label, bytes.next_multiple_of(16) + 32)?.range(first, *bytes);
        Ok(bytes.iter().map(range).collect::<Result<_, _>>()?)
    }
}

impl Sample {
    /// What is special about it.
    pub fn name(&self) -> String {
        let Sample { row, precision, place, settings, has_squares, bad } = self;
        let mut name = format!("{:?}, moments in {}, {precision:?}", row.rule, row.moments);
        let mut add = |is_so: bool, word: String| {
            if is_so {
                name.push_str(", ");
                name.push_str(&word);
            }
        };
        add(row.amsgrad, "amsgrad".to_owned());
        let others =
            row.rule.switches().iter().filter(|it| ![Switch::Amsgrad, Switch::Nesterov, Switch::Maximize].contains(it));
        for switch in others {
            add(switch.is_on(row), switch.name().to_owned());
        }
        add(row.ema_decay.is_some(), "an average".to_owned());
        add(*place != Place::Ours, format!("in a caller's buffers ({place:?})"));
        add(settings.clip != Clip::None, format!("{:?}", settings.clip));
        add(settings.guard, "guarded".to_owned());
        add(*has_squares, "from squares".to_owned());
        add(bad.is_some(), format!("a gradient of {}", bad.unwrap_or_default()));
        name
    }

    /// Puts it on an engine.
    ///
    /// # Errors
    /// From the device.
    pub fn place(&self, engine: &Engine) -> Result<Placed, Error> {
        let mut params: Vec<Param> = SIZES.iter().map(|size| Param::new(format!("p{size}"), shape(*size))).collect();
        params.extend(further(self.row.rule));
        let names =
            |first: usize| params.iter().skip(first).step_by(2).map(|param| param.name.clone()).collect::<Vec<_>>();
        // The second group differs in what a row may differ in.
        let other = match self.row.rule {
            Rule::Sgd => {
                Row { lr: 3e-3, dampening: 0.25, nesterov: false, maximize: true, weight_decay: 0.1, ..self.row }
            }
            Rule::AdamW | Rule::Adam => {
                Row { lr: 3e-3, beta1: 0.8, beta2: 0.95, eps: 1e-6, maximize: true, rule: Rule::Adam, ..self.row }
            }
            _ => Row { lr: 3e-3, beta1: 0.8, beta2: 0.95, eps: 1e-6, maximize: true, ..self.row },
        };
        let groups = [Group::new("plain", self.row, names(0)), Group::new("other", other, names(1))];
        let mut placed = match self.place {
            Place::Ours => {
                let parameters = Parameters::stored(engine, &params, |_| self.precision, self.settings.page_bytes)?;
                for (seed, param) in (1..).zip(&params) {
                    parameters.upload(&param.name, &noise(seed, param.elements()))?;
                }
                let optimizer = Optimizer::new(engine, &parameters, &groups, self.settings)?;
                Placed::of(optimizer, params)
            }
            _ => {
                let externals = self.externals(engine, &params)?;
                Placed::of(Optimizer::over(engine, &externals, &groups, self.settings)?, params)
            }
        };
        placed.has_squares = self.has_squares;
        placed.bad = self.bad;
        Ok(placed)
    }

    fn externals(&self, engine: &Engine, params: &[Param]) -> Result<Vec<External>, Error> {
        let bytes = |storage: Storage| {
            params
                .iter()
                .map(move |param| storage.bytes(param.elements() as u64).next_multiple_of(4))
                .collect::<Vec<_>>()
        };
        let [values, gradients] = [self.precision.values(), self.precision.gradients()].map(bytes);
        let (values, gradients) = match self.place {
            Place::Packed => {
                // The last value shares its vec4 with nothing.
                let mut values = self.place.ranges(engine, "packed", &[&values[..], &[16], &gradients].concat())?;
                let gradients = values.split_off(params.len() + 1);
                (values, gradients)
            }
            Place::Loose => {
                (Place::Apart.ranges(engine, "values", &values)?, Place::Loose.ranges(engine, "gradient", &gradients)?)
            }
            place => (place.ranges(engine, "values", &values)?, place.ranges(engine, "gradient", &gradients)?),
        };
        let external = |(((seed, param), values), gradient): (((u32, &Param), Range), Range)| {
            let elements = param.elements();
            if self.precision.values() == Storage::F32 {
                engine.write(&values.buffer, values.offset, &noise(seed, elements))?;
            } else {
                let mut halves: Vec<u16> =
                    noise(seed, elements).into_iter().map(|x| half::bf16::from_f32(x).to_bits()).collect();
                halves.resize(elements.next_multiple_of(2), 0);
                engine.write(&values.buffer, values.offset, &halves)?;
            }
            let external = External::new(param.clone(), values).gradient(gradient);
            Ok(external.precision(self.precision))
        };
        (1..).zip(params).zip(values).zip(gradients).map(external).collect()
    }
}

impl Placed {
    fn of(optimizer: Optimizer, params: Vec<Param>) -> Placed {
        Placed { optimizer, params, has_squares: false, bad: None }
    }

    /// Gives it the gradients of a step, from 1 on. The second has what is special about them, so that moments and counts are
    /// not 0 then.
    ///
    /// # Errors
    /// From the device.
    pub fn upload_gradients(&mut self, engine: &Engine, step: u32) -> Result<(), Error> {
        if step == 2 && self.has_squares {
            let squares = |(seed, param): (u32, &Param)| {
                let parts = noise(seed, param.elements()).chunks(100).map(Squares::of).collect::<Vec<_>>();
                Ok((param.name.clone(), engine.buffer_with("squares", &parts)?.all()))
            };
            let squares: Vec<(String, Range)> = (1..).zip(&self.params).map(squares).collect::<Result<_, Error>>()?;
            self.optimizer.take_squares(&squares)?;
        }
        for (seed, param) in (1..).zip(&self.params) {
            let mut gradient = noise(1000 * step + seed, param.elements());
            if let (Some(bad), 2, Some(place)) = (self.bad, step, gradient.get_mut(5)) {
                *place = bad;
            }
            self.optimizer.upload_gradient(&param.name, &gradient)?;
        }
        Ok(())
    }
}
