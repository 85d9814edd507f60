//! Random sequences of all that may be done to an optimizer over a caller's buffers, beside a plain model of it in f64.
//!
//! A failure tells its seed. `GRADUS_SEQUENCES=N` runs so many on the twins (`scripts/sequences.sh`).

use crate::support::fresh_gpu;
use gradus::engine::{Counters, Engine, Range};
use gradus::optim::{Best, Clip, External, Optimizer, Refreeze, RowList, Settings};
use gradus::params::{Field, Group, Param, Row};
use gradus::wgpu;
use safetensors::SafeTensors;
use std::collections::BTreeMap;

const MOST_ACTS: usize = 24;
const LRS: [f64; 4] = [1e-2, 3e-3, 1e-3, 0.0];

/// Numbers by a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.roll() % n as u64) as usize
    }

    fn holds(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Numbers that are not small, so that no quotient of two small ones tells the model from the device.
    fn floats(&mut self, n: usize) -> Vec<f32> {
        let float = |roll: u64| {
            let size = 0.25 + (roll >> 40) as f32 / (1 << 24) as f32;
            if roll & 1 == 0 { size } else { -size }
        };
        (0..n).map(|_| float(self.roll())).collect()
    }
}

/// Two moments, and the steps that they have taken.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    m: Vec<f64>,
    v: Vec<f64>,
}

#[derive(Clone, Debug)]
struct Tensor {
    name: String,
    rows: usize,
    width: usize,
    values: Vec<f64>,
    state: Option<State>,
    count: u32,
    group: Option<usize>,
    gradient: Option<Vec<f32>>,
    external: External,
}

#[derive(Clone, Debug)]
struct ModelGroup {
    name: String,
    row: Row,
    is_frozen: bool,
}

/// A file of the optimizer's state, and what it holds of each tensor: shape, state and count.
type Saved = (Vec<u8>, BTreeMap<String, (Vec<usize>, State, u32)>);

/// What a best copy holds of a tensor.
type Held = (Vec<f64>, Option<(State, u32)>);

/// A best copy: every tensor's shape, and what it holds of those that trained.
type Copied = (Vec<Vec<usize>>, BTreeMap<usize, Held>);

/// What an optimizer should be.
struct Model {
    dice: Dice,
    engine: Engine,
    tensors: Vec<Tensor>,
    groups: Vec<ModelGroup>,
    settings: Settings,
    skipped: u64,
    steps: u64,
    saved: Option<Saved>,
    held: Option<Copied>,
    /// Rows of the coming steps, by group; none where each group's own holds.
    table: Vec<Vec<Row>>,
    acts: Vec<String>,
}

impl Tensor {
    fn shape(&self) -> Vec<usize> {
        vec![self.rows, self.width]
    }

    fn elements(&self) -> usize {
        self.rows * self.width
    }

    fn param(&self) -> Param {
        Param::new(self.name.clone(), self.shape())
    }

    fn make_state(&mut self) {
        let zeros = || vec![0.0; self.elements()];
        let state = State { m: zeros(), v: zeros() };
        self.state.get_or_insert(state);
    }
}

impl Model {
    fn new(seed: u64, engine: &Engine) -> (Model, Optimizer) {
        let mut dice = Dice(seed);
        let clip = if dice.holds(2) { Clip::norm(1.5) } else { Clip::None };
        let settings = Settings::default().clip(clip).guard(dice.holds(2)).horizon_steps(8);
        let mut model = Model {
            dice,
            engine: engine.clone(),
            tensors: Vec::new(),
            groups: Vec::new(),
            settings,
            skipped: 0,
            steps: 0,
            saved: None,
            held: None,
            table: Vec::new(),
            acts: vec![format!("seed {seed}, {settings:?}")],
        };
        for place in 0..2 + model.dice.below(4) {
            let (rows, width) = (1 + model.dice.below(20), model.dice.of(&[1, 2, 3, 4, 8, 45]));
            let name = format!("p{place}");
            let elements = rows * width;
            let values = model.dice.floats(elements);
            let range = model.range(elements);
            engine.write(&range.buffer, range.offset, &values).expect("a write");
            let external = External::new(Param::new(name.clone(), [rows, width]), range);
            let values = values.into_iter().map(f64::from).collect();
            let tensor =
                Tensor { name, rows, width, values, state: None, count: 0, group: None, gradient: None, external };
            model.tensors.push(tensor);
        }
        let externals: Vec<External> = model.tensors.iter().map(|tensor| tensor.external.clone()).collect();
        let optimizer = Optimizer::over(engine, &externals, &[], settings).expect("an optimizer");
        (model, optimizer)
    }

    /// Room for so many floats, anywhere in a buffer.
    fn range(&mut self, elements: usize) -> Range {
        let (offset, behind) = (4 * self.dice.below(9) as u64, 4 * self.dice.below(5) as u64);
        let bytes = elements as u64 * 4;
        let buffer = self.engine.buffer("mine", offset + bytes + behind).expect("a buffer");
        buffer.range(offset, bytes).expect("a range")
    }

    fn told(&mut self, act: String) {
        self.acts.push(act);
    }

    fn some_tensors(&mut self) -> Vec<usize> {
        let n = self.tensors.len();
        (0..n).filter(|_| self.dice.holds(2)).collect()
    }

    // ---- acts ----

    fn act(&mut self, optimizer: &mut Optimizer) {
        match self.dice.below(16) {
            0 | 1 => self.add(optimizer),
            2 => self.freeze(optimizer),
            3 => self.thaw(optimizer),
            4 | 5 => self.resize(optimizer),
            6 | 7 => self.rebind(optimizer),
            8 => self.set(optimizer),
            9 => self.load_rows(optimizer),
            10 => self.save(optimizer),
            11 => self.load(optimizer),
            12 => self.keep(optimizer),
            13 => self.restore(optimizer),
            _ => self.refuse(optimizer),
        }
        self.step(optimizer);
    }

    fn add(&mut self, optimizer: &mut Optimizer) {
        let free: Vec<usize> = (0..self.tensors.len()).filter(|at| self.tensors[*at].group.is_none()).collect();
        let mine: Vec<usize> = free.into_iter().filter(|_| !self.dice.holds(3)).collect();
        if mine.is_empty() {
            return;
        }
        let row = Row::adamw(self.dice.of(&LRS)).weight_decay(self.dice.of(&[0.0, 0.1]));
        let is_frozen = self.dice.holds(4);
        let name = format!("g{}", self.groups.len());
        let names: Vec<String> = mine.iter().map(|at| self.tensors[*at].name.clone()).collect();
        self.told(format!("add {name} {names:?}, frozen: {is_frozen}, lr {}", row.lr));
        let group = Group::new(name.clone(), row, names);
        let group = if is_frozen { group.frozen() } else { group };
        self.make_current(optimizer);
        optimizer.add_group(&group).expect("a group");
        for at in mine {
            self.tensors[at].group = Some(self.groups.len());
            if !is_frozen {
                self.tensors[at].make_state();
            }
        }
        self.groups.push(ModelGroup { name, row, is_frozen });
    }

    /// What adding a group does to loaded rows: the current ones hold from then on.
    fn make_current(&mut self, optimizer: &Optimizer) {
        for group in &mut self.groups {
            if let Ok(row) = optimizer.row(&group.name) {
                group.row = row;
            }
        }
        self.table.clear();
    }

    fn some_group(&mut self) -> Option<usize> {
        (!self.groups.is_empty()).then(|| self.dice.below(self.groups.len()))
    }

    fn freeze(&mut self, optimizer: &mut Optimizer) {
        let Some(at) = self.some_group() else { return };
        let refreeze = self.dice.of(&[Refreeze::KeepState, Refreeze::DropState]);
        self.told(format!("freeze g{at}, {refreeze:?}"));
        optimizer.freeze(&format!("g{at}"), refreeze).expect("a group");
        self.groups[at].is_frozen = true;
        if refreeze == Refreeze::DropState {
            for tensor in self.tensors.iter_mut().filter(|tensor| tensor.group == Some(at)) {
                (tensor.state, tensor.count) = (None, 0);
            }
        }
    }

    fn thaw(&mut self, optimizer: &mut Optimizer) {
        let Some(at) = self.some_group() else { return };
        self.told(format!("thaw g{at}"));
        optimizer.thaw(&format!("g{at}")).expect("a group");
        self.groups[at].is_frozen = false;
        self.tensors.iter_mut().filter(|tensor| tensor.group == Some(at)).for_each(Tensor::make_state);
    }

    fn resize(&mut self, optimizer: &mut Optimizer) {
        let mut mine = self.some_tensors();
        // One list for tensors of one length.
        let Some(first) = mine.first().copied() else { return };
        let rows = self.tensors[first].rows;
        mine.retain(|at| self.tensors[*at].rows == rows);
        let list: Vec<u32> = (0..1 + self.dice.below(2 * rows + 2))
            .map(|_| match self.dice.below(8) {
                0 => RowList::ZERO,
                1 => self.dice.below(rows) as u32 | RowList::FRESH,
                _ => self.dice.below(rows) as u32,
            })
            .collect();
        let mut resized = Vec::new();
        for at in &mine {
            let param = Param::new(self.tensors[*at].name.clone(), [list.len(), self.tensors[*at].width]);
            let external = External::new(param, self.range(list.len() * self.tensors[*at].width));
            let has_gradient = self.dice.holds(2);
            let gradient = has_gradient.then(|| self.range(list.len() * self.tensors[*at].width));
            resized.push(gradient.into_iter().fold(external, External::gradient));
        }
        self.told(format!("resize {mine:?} from {rows} rows by {list:?}"));
        let on_device = self.engine.buffer_with("rows", &list).expect("a list").all();
        let by = if self.dice.holds(2) { RowList::Host(&list) } else { RowList::Device(&on_device) };
        optimizer.resize(&resized, by).expect("other rows");
        for (at, external) in mine.into_iter().zip(resized) {
            let gradient = external.gradient.is_some().then(|| self.dice.floats(external.param.elements()));
            if let Some(gradient) = &gradient {
                optimizer.upload_gradient(&external.param.name, gradient).expect("a gradient");
            }
            let tensor = &mut self.tensors[at];
            let width = tensor.width;
            let moved = |old: &[f64], is_state: bool| -> Vec<f64> {
                let row = |index: &u32| match *index {
                    RowList::ZERO => vec![0.0; width],
                    index if is_state && index & RowList::FRESH != 0 => vec![0.0; width],
                    index => old[(index & !RowList::FRESH) as usize * width..][..width].to_vec(),
                };
                list.iter().flat_map(row).collect()
            };
            tensor.values = moved(&tensor.values, false);
            tensor.state =
                tensor.state.take().map(|state| State { m: moved(&state.m, true), v: moved(&state.v, true) });
            (tensor.rows, tensor.gradient, tensor.external) = (list.len(), gradient, external);
        }
    }

    fn rebind(&mut self, optimizer: &mut Optimizer) {
        let mine = self.some_tensors();
        self.told(format!("rebind {mine:?}"));
        let is_one = self.dice.holds(3);
        let total: usize = mine.iter().map(|at| self.tensors[*at].elements()).sum();
        let together = self.range(total.max(1));
        let mut at_byte = together.offset;
        let mut places = Vec::new();
        for at in &mine {
            let bytes = self.tensors[*at].elements() as u64 * 4;
            let range = match is_one {
                true => together.buffer.range(at_byte, bytes).expect("a range"),
                false => self.range(self.tensors[*at].elements()),
            };
            at_byte += bytes;
            places.push((self.tensors[*at].name.clone(), range));
        }
        let named: Vec<(&str, Range)> = places.iter().map(|(name, range)| (name.as_str(), range.clone())).collect();
        optimizer.rebind(&named).expect("places");
        for tensor in &mut self.tensors {
            tensor.gradient = None;
        }
        for at in mine {
            let gradient = self.dice.floats(self.tensors[at].elements());
            optimizer.upload_gradient(&self.tensors[at].name, &gradient).expect("a gradient");
            self.tensors[at].gradient = Some(gradient);
        }
    }

    fn set(&mut self, optimizer: &mut Optimizer) {
        let Some(at) = self.some_group() else { return };
        let (field, value) = self.dice.of(&[
            (Field::Lr, 2e-3),
            (Field::Lr, 0.0),
            (Field::WeightDecay, 0.2),
            (Field::Beta1, 0.8),
            (Field::Beta2, 0.99),
        ]);
        self.told(format!("set {field:?} of g{at} to {value}"));
        let id = optimizer.group_id(&format!("g{at}")).expect("a group");
        optimizer.set_many(&[(id, field, value)]).expect("a field");
        self.groups[at].row = self.groups[at].row.with(field, value);
        for rows in &mut self.table {
            rows[at] = rows[at].with(field, value);
        }
    }

    fn load_rows(&mut self, optimizer: &mut Optimizer) {
        if self.groups.is_empty() {
            return;
        }
        let steps = 4 + self.dice.below(5);
        self.told(format!("load rows of {steps} steps"));
        self.table =
            (0..steps).map(|_| self.groups.iter().map(|group| group.row.lr(self.dice.of(&LRS))).collect()).collect();
        let rows: Vec<Row> = self.table.iter().flatten().copied().collect();
        optimizer.load_rows(optimizer.next_step(), &rows).expect("rows");
    }

    fn save(&mut self, optimizer: &mut Optimizer) {
        self.told("save".to_owned());
        let file = optimizer.read_state().expect("state");
        let state = |tensor: &Tensor| {
            let state = tensor.state.clone()?;
            Some((tensor.name.clone(), (tensor.shape(), state, tensor.count)))
        };
        self.saved = Some((file, self.tensors.iter().filter_map(state).collect()));
    }

    fn load(&mut self, optimizer: &mut Optimizer) {
        let Some((file, saved)) = &self.saved else { return };
        let fits = self
            .tensors
            .iter()
            .all(|tensor| saved.get(&tensor.name).is_none_or(|(shape, ..)| *shape == tensor.shape()));
        let loaded = optimizer.load_state(file);
        assert_eq!(loaded.is_ok(), fits, "{loaded:?}");
        for tensor in self.tensors.iter_mut().filter(|_| fits) {
            if let Some((_, state, count)) = saved.get(&tensor.name) {
                (tensor.state, tensor.count) = (Some(state.clone()), *count);
            }
        }
        self.told(format!("load, fits: {fits}"));
    }

    fn shapes(&self) -> Vec<Vec<usize>> {
        self.tensors.iter().map(Tensor::shape).collect()
    }

    fn keep(&mut self, optimizer: &mut Optimizer) {
        self.told("keep".to_owned());
        BEST.with_borrow_mut(|best| best.keep(optimizer)).expect("a copy");
        let before = self.held.take().filter(|(shapes, _)| *shapes == self.shapes());
        let before = before.map(|(_, held)| held).unwrap_or_default();
        let held = self.tensors.iter().enumerate().filter(|(at, it)| it.state.is_some() || before.contains_key(at));
        let held = held.map(|(at, it)| (at, (it.values.clone(), it.state.clone().map(|state| (state, it.count)))));
        self.held = Some((self.shapes(), held.collect()));
    }

    fn restore(&mut self, optimizer: &mut Optimizer) {
        let Some((shapes, held)) = &self.held else { return };
        let is_whole = self.tensors.iter().enumerate().all(|(at, it)| it.state.is_none() || held.contains_key(&at));
        let fits = *shapes == self.shapes() && is_whole;
        let restored = BEST.with_borrow(|best| best.restore(optimizer));
        assert_eq!(restored.is_ok(), fits, "{restored:?}");
        for (at, (values, state)) in held.iter().filter(|_| fits) {
            let tensor = &mut self.tensors[*at];
            tensor.values.clone_from(values);
            tensor.count = 0;
            if tensor.state.take().is_some() {
                tensor.make_state();
                if let Some((state, count)) = state {
                    (tensor.state, tensor.count) = (Some(state.clone()), *count);
                }
            }
        }
        self.told(format!("restore, fits: {fits}"));
    }

    /// What is refused changes nothing.
    fn refuse(&mut self, optimizer: &mut Optimizer) {
        self.told("refuse".to_owned());
        let (name, elements, rows) = (self.tensors[0].name.clone(), self.tensors[0].elements(), self.tensors[0].rows);
        let place = self.tensors[0].external.values.clone();
        let (long, width) = (self.range(elements + 1), self.tensors[0].width);
        optimizer.rebind(&[(&name, long)]).expect_err("another length");
        optimizer.rebind(&[(&name, place.clone())]).expect_err("on its values");
        let same = External::new(self.tensors[0].param(), place);
        let list: Vec<u32> = (0..rows as u32).collect();
        optimizer.resize(&[same], RowList::Host(&list)).expect_err("onto itself");
        let other = External::new(Param::new(name.clone(), [1, width]), self.range(width));
        optimizer.resize(&[other], RowList::Host(&[rows as u32])).expect_err("past the rows");
        if let Some(at) = self.some_group() {
            optimizer.set(&format!("g{at}"), Field::Lr, -1.0).expect_err("a negative rate");
            optimizer.add_group(&Group::new("another", Row::default(), ["p99"])).expect_err("no such parameter");
        }
    }

    // ---- steps ----

    fn row(&self, group: usize) -> Row {
        self.table.first().map_or(self.groups[group].row, |rows| rows[group])
    }

    fn taking_part(&self) -> Vec<usize> {
        let takes = |at: &usize| {
            let tensor = &self.tensors[*at];
            tensor.gradient.is_some() && tensor.group.is_some_and(|group| !self.groups[group].is_frozen)
        };
        (0..self.tensors.len()).filter(takes).collect()
    }

    fn step(&mut self, optimizer: &mut Optimizer) {
        let parts = self.taking_part();
        let broken = self.dice.holds(8).then(|| parts.first().copied()).flatten().filter(|_| self.settings.guard);
        if let Some(at) = broken {
            let mut gradient = self.tensors[at].gradient.clone().expect("a gradient");
            gradient[0] = f32::NAN;
            optimizer.upload_gradient(&self.tensors[at].name, &gradient).expect("a gradient");
        }
        let before = self.engine.counters();
        let way = if self.engine.adapter().is_some() { self.dice.below(3) } else { 0 };
        self.told(format!("step over {parts:?}, broken: {broken:?}, way {way}"));
        match way {
            0 => optimizer.step().expect("a step"),
            way => self.step_in_encoder(optimizer, way == 2),
        }
        let cost: Counters = self.engine.counters() - before;
        assert_eq!((cost.blocking_waits, cost.downloaded_bytes > 1000), (0, false), "{cost:?}");
        assert_eq!(cost.submissions, u64::from(way == 0), "{cost:?}");
        match broken {
            Some(at) => {
                self.skipped += 1;
                let gradient = self.tensors[at].gradient.clone().expect("a gradient");
                optimizer.upload_gradient(&self.tensors[at].name, &gradient).expect("a gradient");
            }
            None => self.apply(&parts),
        }
        self.steps += 1;
        if !self.table.is_empty() {
            self.table.remove(0);
            if self.table.is_empty() {
                // The loaded rows are at their end: others come before the next step.
                self.load_rows(optimizer);
            }
        }
    }

    fn step_in_encoder(&self, optimizer: &mut Optimizer, is_in_pass: bool) {
        let (Some(device), Some(queue)) = (self.engine.device(), self.engine.queue()) else { return };
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        if is_in_pass {
            optimizer.encode_ahead(&mut encoder).expect("what comes before");
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            optimizer.encode_in(&mut pass).expect("a step");
            drop(pass);
            optimizer.encode_report(&mut encoder).expect("a report");
        } else {
            optimizer.encode(&mut encoder).expect("a step");
        }
        queue.submit([encoder.finish()]);
    }

    fn apply(&mut self, parts: &[usize]) {
        let squares = |at: &usize| -> f64 {
            self.tensors[*at].gradient.iter().flatten().map(|g| f64::from(*g) * f64::from(*g)).sum()
        };
        let norm = parts.iter().map(squares).sum::<f64>().sqrt();
        let scale = if self.settings.clip == Clip::None { 1.0 } else { (1.5 / (norm + 1e-6)).min(1.0) };
        for at in parts {
            let row = self.row(self.tensors[*at].group.expect("a group"));
            let tensor = &mut self.tensors[*at];
            tensor.count += 1;
            let t = f64::from(tensor.count);
            let (one, two) = (1.0 - row.beta1.powf(t), 1.0 - row.beta2.powf(t));
            let (gradient, state) = (tensor.gradient.as_ref(), tensor.state.as_mut());
            let (gradient, state) = (gradient.expect("a gradient"), state.expect("state"));
            for (k, p) in tensor.values.iter_mut().enumerate() {
                let g = scale * f64::from(gradient[k]);
                *p *= 1.0 - row.lr * row.weight_decay;
                state.m[k] += (1.0 - row.beta1) * (g - state.m[k]);
                state.v[k] = row.beta2 * state.v[k] + (1.0 - row.beta2) * g * g;
                *p -= row.lr / one * state.m[k] / ((state.v[k] / two).sqrt() + row.eps);
            }
        }
    }

    // ---- what should be ----

    fn compare(&self, optimizer: &mut Optimizer) {
        let counts = optimizer.read_applied_counts().expect("counts");
        for tensor in &self.tensors {
            assert_eq!(counts[&tensor.name], u64::from(tensor.count), "count of {}", tensor.name);
            let values: Vec<f32> = self.engine.read(&tensor.external.values).expect("values");
            close(&tensor.name, &values, &tensor.values);
        }
        let file = optimizer.read_state().expect("state");
        let file = SafeTensors::deserialize(&file).expect("a file");
        let wanted = self.tensors.iter().filter(|tensor| tensor.state.is_some()).count();
        assert_eq!(file.names().len(), 3 * wanted, "{:?}", file.names());
        for tensor in &self.tensors {
            let Some(state) = &tensor.state else { continue };
            for (part, expected) in [("exp_avg", &state.m), ("exp_avg_sq", &state.v)] {
                let name = format!("{}.{part}", tensor.name);
                let found: Vec<f32> = bytemuck::pod_collect_to_vec(file.tensor(&name).expect("a moment").data());
                close(&name, &found, expected);
            }
        }
        self.engine.wait().expect("a wait");
        if let Some(stats) = optimizer.stats().expect("no complaint").filter(|stats| stats.step + 1 == self.steps) {
            assert_eq!((stats.applied_steps, stats.skipped_steps), (self.steps - self.skipped, self.skipped));
        }
        assert_eq!(optimizer.next_step(), self.steps);
    }
}

thread_local! {
    static BEST: std::cell::RefCell<Best> = std::cell::RefCell::new(Best::new(u64::MAX));
}

fn close(what: &str, got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (place, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(*got) - expected).abs();
        assert!(error <= 1e-5 * expected.abs().max(0.1), "{what}[{place}]: {got}, not {expected}");
    }
}

fn run(seed: u64, engine: &Engine) {
    BEST.set(Best::new(u64::MAX));
    let (mut model, mut optimizer) = Model::new(seed, engine);
    let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for act in 0..MOST_ACTS {
            model.act(&mut optimizer);
            if act % 8 == 7 {
                model.compare(&mut optimizer);
            }
        }
    }));
    if tried.is_err() {
        panic!("on {}:\n{}", engine.name(), model.acts.join("\n"));
    }
}

#[test]
fn sequences_on_the_twins() {
    let many = std::env::var("GRADUS_SEQUENCES").ok().and_then(|many| many.parse().ok());
    let engine = Engine::twins();
    for seed in 0..many.unwrap_or(2000) {
        run(seed, &engine);
    }
}

#[test]
fn sequences_on_the_device() {
    let Some(engine) = fresh_gpu() else { return };
    for seed in 10_000..10_200 {
        run(seed, &engine);
    }
}
