//! Steps against steps: what groups, tensors, frozen parameters, clipping and other rules cost.

use super::Extent;
use super::step::{Memory, Quartiles, Step, pairs};
use super::workload::{cut, elements, group_each, layer_groups, one_group, thawed};
use crate::Error;
use crate::engine::Engine;
use crate::optim::{Clip, Settings};
use crate::params::{Group, Param, Row, Rule, Storage};

/// What a figure is held against.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

impl Target {
    /// Whether a figure is within it.
    pub fn is_met(&self, figure: f64) -> bool {
        match self {
            Target::AtMost(most) => figure <= *most,
            Target::AtLeast(least) => figure >= *least,
        }
    }
}

/// One against another.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// What is compared.
    pub what: String,
    /// The first one's time by the second one's: lower quartile, median, upper quartile.
    pub ratio: Quartiles,
    /// Milliseconds of each, medians: the device's if it has timestamps, else the wall's.
    pub milliseconds: [f64; 2],
    /// If the project has one.
    pub target: Option<Target>,
    /// Whether the median meets it.
    pub met: Option<bool>,
}

/// The tensors and settings that comparisons are made of.
struct Bench<'a> {
    memory: Memory,
    tensors: Vec<Param>,
    all: Vec<Group>,
    pairs: usize,
    tell: &'a mut dyn FnMut(&str),
    done: Vec<Comparison>,
}

const PLAIN: Settings = Settings {
    clip: Clip::None,
    guard: false,
    loss_scale: None,
    horizon_steps: 256,
    page_bytes: None,
    throttle: true,
    shard: None,
    seed: 0,
};

pub(super) fn measure(engine: &Engine, extent: &Extent, tell: &mut dyn FnMut(&str)) -> Result<Vec<Comparison>, Error> {
    let (tensors, pairs) = (extent.tensors.clone(), extent.pairs);
    let all = one_group(&tensors);
    let memory = Memory::new(engine, elements(&tensors))?;
    let mut bench = Bench { memory, tensors, all, pairs, tell, done: Vec::new() };
    bench.groups()?;
    bench.frozen()?;
    bench.rules()?;
    bench.settings()?;
    bench.places()?;
    match bench.bandwidth(engine, extent) {
        Err(error) if super::is_about_room(&error) => {}
        done => done?,
    }
    Ok(bench.done)
}

impl Bench<'_> {
    /// A step over everything, in one group. Made again for each line: only two steps' moments are there at a time.
    fn plain(&self) -> Result<Step, Error> {
        self.with(&self.all, PLAIN)
    }

    fn with(&self, groups: &[Group], settings: Settings) -> Result<Step, Error> {
        self.memory.fused(&self.tensors, groups, settings)
    }

    fn compare(
        &mut self,
        what: impl Into<String>,
        mut first: Step,
        mut second: Step,
        target: Option<Target>,
    ) -> Result<(), Error> {
        let what = what.into();
        (self.tell)(&what);
        let (ratio, milliseconds) = pairs(&mut first, &mut second, self.pairs)?;
        let met = target.map(|target| target.is_met(ratio.median()));
        self.done.push(Comparison { what, ratio, milliseconds, target, met });
        Ok(())
    }

    fn groups(&mut self) -> Result<(), Error> {
        self.compare("the same step twice (noise)", self.plain()?, self.plain()?, None)?;
        let groups = layer_groups(&self.tensors);
        let grouped = self.with(&groups, PLAIN)?;
        self.compare(format!("{} groups / 1 group", groups.len()), grouped, self.plain()?, Some(Target::AtMost(1.05)))?;
        let more = cut(self.tensors.clone(), 465);
        let (each, one) = (group_each(&more), one_group(&more));
        let (each, one) = (self.memory.fused(&more, &each, PLAIN)?, self.memory.fused(&more, &one, PLAIN)?);
        self.compare("465 groups / 1 group, 465 tensors", each, one, Some(Target::AtMost(1.10)))?;
        let whole = [Param::new("tensor", [elements(&self.tensors)])];
        let whole = self.memory.fused(&whole, &one_group(&whole), PLAIN)?;
        let what = format!("{} tensors / 1 tensor", self.tensors.len());
        self.compare(what, self.plain()?, whole, Some(Target::AtMost(1.10)))
    }

    fn frozen(&mut self) -> Result<(), Error> {
        for (frozen, target) in [(50, None), (90, Some(Target::AtMost(0.15))), (99, None)] {
            let some = thawed(&self.tensors, frozen);
            let share = 100.0 * (1.0 - elements(&some) as f64 / elements(&self.tensors) as f64);
            let step = self.with(&one_group(&some), PLAIN)?;
            self.compare(format!("{frozen} % frozen (truly {share:.1} %) / none"), step, self.plain()?, target)?;
        }
        Ok(())
    }

    /// Every other rule beside AdamW, with the bytes of both programs. One that looks at each element alone is to take no
    /// more time a byte than AdamW does, or little more.
    fn rules(&mut self) -> Result<(), Error> {
        let (usual, elements) = (Rule::default().declaration().kernel, elements(&self.tensors) as f64);
        let each = |bytes: u64| (100.0 * bytes as f64 / elements).round() / 100.0;
        let of_usual = each(self.plain()?.bytes()?);
        for rule in Rule::ALL.into_iter().filter(|rule| rule.declaration().kernel != usual) {
            let row = Row { momentum: 0.9, weight_decay: 0.01, ..Row::of(rule) };
            // What the rule is not for has AdamW.
            let fits = |param: &&Param| rule.check_param(param).is_ok();
            let (fit, others): (Vec<&Param>, Vec<&Param>) = self.tensors.iter().partition(fits);
            let groups = [("fit", row, fit), ("others", Row::default(), others)].into_iter();
            let groups = groups.filter(|(.., params)| !params.is_empty());
            let group = |(name, row, params): (&str, Row, Vec<&Param>)| {
                Group::new(name, row, params.iter().map(|param| param.name.as_str()))
            };
            let groups: Vec<Group> = groups.map(group).collect();
            let mut step = self.with(&groups, PLAIN)?;
            let own = each(step.bytes()?);
            let target = (!rule.needs_sums()).then_some(Target::AtMost(1.15 * own / of_usual));
            self.compare(format!("{rule} / {usual} ({own} / {of_usual} bytes)"), step, self.plain()?, target)?;
        }
        Ok(())
    }

    fn settings(&mut self) -> Result<(), Error> {
        let row = self.all.first().map_or_else(Row::default, |group| group.row);
        let stored = |moments| Row { moments, ..row };
        let averaged = Row { ema_decay: Some(0.999), ..row };
        for (what, row) in [
            ("moments in bf16 / f32 (20 / 28 bytes)", stored(Storage::Bf16)),
            ("moments in int8 / f32 (16.25 / 28 bytes)", stored(Storage::Int8)),
            ("with an average / without (36 / 28 bytes)", averaged),
            ("with an average, moments in bf16 / neither", Row { moments: Storage::Bf16, ..averaged }),
        ] {
            let groups: Vec<Group> = self.all.iter().map(|group| Group { row, ..group.clone() }).collect();
            self.compare(what, self.with(&groups, PLAIN)?, self.plain()?, None)?;
        }
        let halved = self.memory.halved(&self.tensors)?;
        for (what, moments) in [
            ("all in bf16 / f32 (14 / 28 bytes)", Storage::Bf16),
            ("parameters in bf16, moments in int8 / f32 (10.25 / 28 bytes)", Storage::Int8),
        ] {
            let row = stored(moments);
            let groups: Vec<Group> = self.all.iter().map(|group| Group { row, ..group.clone() }).collect();
            let step = self.memory.step(&halved, &groups, PLAIN)?;
            self.compare(what, step, self.plain()?, None)?;
        }
        drop(halved);
        let clipped = Settings { clip: Clip::norm(2.0), ..PLAIN };
        for (what, settings) in [
            ("clipped by norm, from gradients / not", clipped),
            ("guarded, from gradients / not", Settings { guard: true, ..PLAIN }),
            ("clipped and guarded, from gradients / not", Settings { guard: true, ..clipped }),
        ] {
            let all = self.all.clone();
            self.compare(what, self.with(&all, settings)?, self.plain()?, None)?;
        }
        Ok(())
    }

    fn places(&mut self) -> Result<(), Error> {
        let packed = self.memory.packed(&self.tensors)?;
        let packed = self.memory.step(&packed, &self.all, PLAIN)?;
        self.compare("at odd places, all in one buffer / fused", packed, self.plain()?, Some(Target::AtMost(1.3)))?;
        let apart = self.memory.apart(&self.tensors)?;
        let apart = self.memory.step(&apart, &self.all, PLAIN)?;
        self.compare("a buffer and dispatch a tensor / fused", apart, self.plain()?, Some(Target::AtMost(1.05)))
    }

    /// Copies of as many bytes against the step: the share of their bandwidth that the step reaches. On a GPU at 64 Mi
    /// parameters, which is the size that the target speaks of. A software adapter has no target: whether arithmetic or
    /// memory binds it is the processor's affair.
    fn bandwidth(&mut self, engine: &Engine, extent: &Extent) -> Result<(), Error> {
        let most = extent.most_parameters.max(1 << 20);
        let count = extent.copied_parameters.map_or(elements(&self.tensors), |count| count.min(most));
        if extent.copied_parameters.is_some() {
            self.memory = Memory::new(engine, count)?;
        }
        let tensor = [Param::new("tensor", [count])];
        let step = self.memory.fused(&tensor, &one_group(&tensor), PLAIN)?;
        let target = (count == 64 << 20).then_some(Target::AtLeast(0.90));
        let what = format!("copies of the same bytes / the step, {count} parameters");
        self.compare(what, self.memory.copy()?, step, target)
    }
}
