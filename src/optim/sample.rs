//! What the stages of a step are tried with: tensors that fill no chunk, in every way in which they may be stored.

use super::{Clip, Error, External, GradientClip, Mode, NormOrder, Optimizer, Parameters, Precision, Settings};
use crate::engine::layout::{Squares, noise};
use crate::engine::{Engine, Range};
use crate::params::{Group, Param, Row, Rule, Storage};

/// Elements of the tensors: below and past a vec4, a workgroup and a chunk.
const SIZES: [usize; 7] = [1, 63, 65, 257, 4095, 4097, 9001];

/// An optimizer to be tried.
#[derive(Clone, Debug)]
pub struct Sample {
    row: Row,
    precision: Precision,
    /// Where a caller's buffers are used.
    mode: Option<Mode>,
    settings: Settings,
    /// Whether the norm goes by squares that kernels have written.
    has_squares: bool,
    /// A number among the gradients that is not finite.
    bad: Option<f32>,
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
    let sample = |row: Row, precision: Precision, mode: Option<Mode>| Sample {
        row,
        precision,
        mode,
        settings: Settings { seed: 7, ..Settings::default() },
        has_squares: false,
        bad: None,
    };
    let mut all: Vec<Sample> = Vec::new();
    for row in &rows {
        all.extend([None, Some(Mode::InPlace)].map(|mode| sample(*row, Precision::F32, mode)));
        if row.ema_decay.is_none() && row.rule != Rule::Sgd {
            all.extend([Precision::Mixed, Precision::Bf16].map(|precision| sample(*row, precision, Some(Mode::Arena))));
        }
    }
    for order in [NormOrder::One, NormOrder::Two, NormOrder::Infinity] {
        let clip = Clip::Norm { max_norm: 0.5, order, error_if_nonfinite: false };
        let settings = Settings { clip, guard: true, ..Settings::default() };
        for (precision, mode) in
            [(Precision::F32, None), (Precision::F32, Some(Mode::InPlace)), (Precision::Bf16, Some(Mode::Arena))]
        {
            all.push(Sample { settings, ..sample(plain, precision, mode) });
        }
    }
    let clip = Clip::norm(0.5);
    let squares = Sample {
        has_squares: true,
        settings: Settings { clip, ..Settings::default() },
        ..sample(plain, Precision::F32, None)
    };
    let clip = Clip::Value(0.25);
    let by_value = Sample {
        settings: Settings { clip, guard: true, ..Settings::default() },
        ..sample(plain, Precision::F32, None)
    };
    all.extend([squares, by_value]);
    for bad in [f32::NAN, f32::NEG_INFINITY] {
        let settings = Settings { clip: Clip::norm(0.5), guard: true, ..Settings::default() };
        all.push(Sample { bad: Some(bad), settings, ..sample(plain, Precision::F32, None) });
    }
    all
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
    for mode in [Mode::Arena, Mode::InPlace] {
        for clip in [Clip::norm(0.5), Clip::Value(0.25)] {
            let gradient = |(seed, size): (u32, usize)| {
                let buffer = engine.buffer_with("gradient", &noise(seed, size.next_multiple_of(4) + 8))?;
                buffer.range(offset(mode), size as u64 * 4)
            };
            let gradients: Vec<Range> = (1..).zip(SIZES).map(gradient).collect::<Result<_, _>>()?;
            let named: Vec<(&str, Range)> = gradients.into_iter().map(|range| ("gradient", range)).collect();
            all.push(GradientClip::new(engine, &named, mode, clip)?);
        }
    }
    Ok(all)
}

/// In place: any offset; arena: whole vec4s.
fn offset(mode: Mode) -> u64 {
    if mode == Mode::InPlace { 12 } else { 16 }
}

impl Sample {
    /// What is special about it.
    pub fn name(&self) -> String {
        let Sample { row, precision, mode, settings, has_squares, bad } = self;
        let mut name = format!("{:?}, moments in {}, {precision:?}", row.rule, row.moments);
        let mut add = |is_so: bool, word: String| {
            if is_so {
                name.push_str(", ");
                name.push_str(&word);
            }
        };
        add(row.amsgrad, "amsgrad".to_owned());
        add(row.ema_decay.is_some(), "an average".to_owned());
        add(mode.is_some(), format!("in a caller's buffers ({:?})", mode.unwrap_or(Mode::Arena)));
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
        let params: Vec<Param> = SIZES.iter().map(|size| Param::new(format!("p{size}"), [*size])).collect();
        let names =
            |first: usize| params.iter().skip(first).step_by(2).map(|param| param.name.clone()).collect::<Vec<_>>();
        // The second group differs in what a row may differ in.
        let other = match self.row.rule {
            Rule::Sgd => {
                Row { lr: 3e-3, dampening: 0.25, nesterov: false, maximize: true, weight_decay: 0.1, ..self.row }
            }
            _ => Row { lr: 3e-3, beta1: 0.8, beta2: 0.95, eps: 1e-6, maximize: true, rule: Rule::Adam, ..self.row },
        };
        let groups = [Group::new("plain", self.row, names(0)), Group::new("other", other, names(1))];
        let mut placed = match self.mode {
            None => {
                let parameters = Parameters::stored(engine, &params, |_| self.precision, self.settings.page_bytes)?;
                for (seed, param) in (1..).zip(&params) {
                    parameters.upload(&param.name, &noise(seed, param.elements()))?;
                }
                let optimizer = Optimizer::new(engine, &parameters, &groups, self.settings)?;
                Placed::of(optimizer, params)
            }
            Some(mode) => {
                let external: Vec<External> = (1..)
                    .zip(&params)
                    .map(|(seed, param)| self.external(engine, mode, seed, param))
                    .collect::<Result<_, _>>()?;
                let optimizer = Optimizer::over(engine, &external, mode, &groups, self.settings)?;
                Placed::of(optimizer, params)
            }
        };
        placed.has_squares = self.has_squares;
        placed.bad = self.bad;
        Ok(placed)
    }

    fn external(&self, engine: &Engine, mode: Mode, seed: u32, param: &Param) -> Result<External, Error> {
        let elements = param.elements();
        let place = |storage: Storage, label: &str| {
            let bytes = storage.bytes(elements as u64).next_multiple_of(4);
            engine.buffer(label, bytes.next_multiple_of(16) + 32)?.range(offset(mode), bytes)
        };
        let (values, gradient) =
            (place(self.precision.values(), "values")?, place(self.precision.gradients(), "gradient")?);
        if self.precision.values() == Storage::F32 {
            engine.write(&values.buffer, values.offset, &noise(seed, elements))?;
        } else {
            let mut halves: Vec<u16> =
                noise(seed, elements).into_iter().map(|x| half::bf16::from_f32(x).to_bits()).collect();
            halves.resize(elements.next_multiple_of(2), 0);
            engine.write(&values.buffer, values.offset, &halves)?;
        }
        Ok(External { param: param.clone(), values, gradient, precision: self.precision })
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
