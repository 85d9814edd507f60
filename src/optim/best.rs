//! The best copy: parameters, moments and applied counts of everything that has thawed, to be put back later.

use super::parameters::{buffers, index_of};
use super::state::copies;
use super::update::Update;
use super::{Error, Forecast, Optimizer, work};
use crate::engine::layout::Record;
use crate::engine::{self, Buffer, Engine, Piece, Placement, Range, Submission, Upload};
use crate::params::Param;

const RECORD_BYTES: u64 = size_of::<Record>() as u64;

/// A copy of the best parameters so far, with moments and applied counts, on the device while it is small enough.
///
/// What thaws after the copy was kept is put back to the value that it had before it trained, with zero moments and a
/// count of 0: [`extend`](Best::extend) the copy before the thaw. The schedule's step and the rows are no part of it: rates
/// go on from where they are. If the rule has changed since (another optimizer over the same parameters), the parameters
/// are put back, and moments and counts are 0.
///
/// What lies on the device is copied there: one submission, no wait and no upload. What lies in host memory is downloaded
/// to be kept (one wait), and goes up inside the one submission that restores. A caller's buffers need the usages
/// `COPY_SRC` and `COPY_DST`.
#[derive(Debug)]
pub struct Best {
    device_limit_bytes: u64,
    host: Engine,
    /// What it is a copy of; `None`: nothing has been kept.
    of: Option<Model>,
    blocks: Vec<Block>,
}

#[derive(Clone, Debug, PartialEq)]
struct Model {
    params: Vec<Param>,
    update: Update,
}

/// The tensors of one thaw. A copy grows by blocks, and nothing moves when it does.
#[derive(Clone, Debug)]
struct Block {
    home: Engine,
    on_device: bool,
    tensors: Vec<usize>,
    placement: Placement,
    values: Vec<Buffer>,
    /// `None` until the tensors are kept as thawed ones: an extension has values alone.
    state: Option<BlockState>,
}

#[derive(Clone, Debug)]
struct BlockState {
    moments: Vec<Vec<Buffer>>,
    records: Buffer,
    /// Whether each tensor had moments when it was kept; they may have been dropped.
    full: Vec<bool>,
}

/// What goes between an optimizer and the blocks.
#[derive(Default)]
struct Moves {
    /// On the optimizer's engine.
    here: Vec<(Range, Range)>,
    clears: Vec<Range>,
    /// Between it and another engine, which is host memory.
    away: Vec<(Engine, Range, Range)>,
}

impl Best {
    /// A copy that holds nothing yet, of which at most `device_limit_bytes` may lie on the device.
    pub fn new(device_limit_bytes: u64) -> Best {
        Best { device_limit_bytes, host: Engine::cpu(), of: None, blocks: Vec::new() }
    }

    /// Whether nothing has been kept yet.
    pub fn is_empty(&self) -> bool {
        self.of.is_none()
    }

    /// Bytes that it takes, wherever they lie; [`Forecast::best_bytes`] and [`Forecast::extension_bytes`] predict them.
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().map(Block::bytes).sum()
    }

    /// Those of them that lie on the device.
    pub fn device_bytes(&self) -> u64 {
        self.blocks.iter().filter(|block| block.on_device).map(Block::bytes).sum()
    }

    /// Takes the place of what was kept: values, moments and counts of everything that has thawed.
    ///
    /// # Errors
    /// Out of device memory, and others from the device. What was kept stays then.
    pub fn keep(&mut self, optimizer: &Optimizer) -> Result<(), Error> {
        let of = Model { params: optimizer.params.clone(), update: optimizer.update() };
        let mut blocks = if self.of.as_ref() == Some(&of) { self.blocks.clone() } else { Vec::new() };
        // What is held already stays so under another rule: it may be an extension that is still to thaw.
        let held = self.blocks.iter().filter(|_| self.of(optimizer).is_ok()).flat_map(|block| &block.tensors);
        let mut new: Vec<usize> = Vec::new();
        for tensor in optimizer.state.order.iter().chain(held) {
            if !holds(&blocks, *tensor) && !new.contains(tensor) {
                new.push(*tensor);
            }
        }
        blocks.extend(self.block(optimizer, &blocks, new)?);
        let mut moves = Moves::default();
        for block in &mut blocks {
            block.make_state(&of.update)?;
            block.keep_values(optimizer, &mut moves);
            block.keep_state(optimizer, &mut moves);
        }
        moves.download(optimizer.engine())?;
        (self.of, self.blocks) = (Some(of), blocks);
        Ok(())
    }

    /// Adds the values of parameters that are about to thaw, so that a later restore can undo their training. Those that
    /// it holds already, and all where nothing has been kept yet, cost nothing.
    ///
    /// # Errors
    /// An unknown parameter, [`Error::NotKept`] for one that has thawed already; [`Error::OtherModel`]; from the device.
    pub fn extend(&mut self, optimizer: &Optimizer, about_to_thaw: &[&str]) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        let mut moves = Moves::default();
        let block = self.extension(optimizer, about_to_thaw, &mut moves)?;
        moves.download(optimizer.engine())?;
        self.blocks.extend(block);
        Ok(())
    }

    /// Puts everything back.
    ///
    /// # Errors
    /// [`Error::NothingKept`], [`Error::OtherModel`]; [`Error::NotKept`] for a parameter that thawed without
    /// [`extend`](Best::extend). Nothing changes then. From the device.
    pub fn restore(&self, optimizer: &mut Optimizer) -> Result<(), Error> {
        let mut moves = Moves::default();
        self.put_back(optimizer, &mut moves)?;
        moves.upload(optimizer.engine())
    }

    /// [`restore`](Best::restore) and [`extend`](Best::extend) together, in one submission where all of it lies on the
    /// device: what a transition to the next phase does before the thaw.
    ///
    /// # Errors
    /// As both.
    pub fn restore_and_extend(&mut self, optimizer: &mut Optimizer, about_to_thaw: &[&str]) -> Result<(), Error> {
        let mut moves = Moves::default();
        self.put_back(optimizer, &mut moves)?;
        let mut extended = Moves::default();
        let block = self.extension(optimizer, about_to_thaw, &mut extended)?;
        // What thaws next is frozen, and no part of what is put back.
        moves.here.append(&mut extended.here);
        moves.upload(optimizer.engine())?;
        extended.download(optimizer.engine())?;
        self.blocks.extend(block);
        Ok(())
    }

    fn put_back(&self, optimizer: &Optimizer, moves: &mut Moves) -> Result<(), Error> {
        let of = self.of(optimizer)?;
        let mut thawed = optimizer.state.order.iter();
        if let Some(missing) = thawed.find(|tensor| !holds(&self.blocks, **tensor)) {
            return Err(Error::NotKept { param: optimizer.params[*missing].name.clone() });
        }
        let same_rule = of.update.goes_with(&optimizer.update());
        for block in &self.blocks {
            block.restore_values(optimizer, moves);
            block.restore_state(optimizer, same_rule, moves);
        }
        Ok(())
    }

    /// What it is a copy of, where that is this optimizer's model.
    fn of(&self, optimizer: &Optimizer) -> Result<&Model, Error> {
        let of = self.of.as_ref().ok_or(Error::NothingKept)?;
        if of.params == optimizer.params { Ok(of) } else { Err(Error::OtherModel) }
    }

    fn extension(&self, optimizer: &Optimizer, names: &[&str], moves: &mut Moves) -> Result<Option<Block>, Error> {
        self.of(optimizer)?;
        let mut new: Vec<usize> = Vec::new();
        for name in names {
            let tensor = index_of(&optimizer.params, name)?;
            if holds(&self.blocks, tensor) || new.contains(&tensor) {
                continue;
            }
            if optimizer.state.pieces(tensor).is_some() {
                return Err(Error::NotKept { param: (*name).to_owned() });
            }
            new.push(tensor);
        }
        let block = self.block(optimizer, &self.blocks, new)?;
        if let Some(block) = &block {
            block.keep_values(optimizer, moves);
        }
        Ok(block)
    }

    /// Room for the values of these tensors, beside these blocks; on the device if there is room for their state too.
    fn block(&self, optimizer: &Optimizer, beside: &[Block], tensors: Vec<usize>) -> Result<Option<Block>, Error> {
        if tensors.is_empty() {
            return Ok(None);
        }
        let forecast = Forecast::of_update(optimizer.update());
        let whole = |tensors: &[usize]| forecast.best_bytes(tensors.iter().map(|tensor| &optimizer.params[*tensor]));
        let taken: u64 = beside.iter().filter(|block| block.on_device).map(|block| whole(&block.tensors)).sum();
        let on_device = taken.saturating_add(whole(&tensors)) <= self.device_limit_bytes;
        let home = if on_device { optimizer.engine() } else { &self.host }.clone();
        let lengths: Vec<u64> = tensors.iter().map(|tensor| optimizer.params[*tensor].elements() as u64).collect();
        let page_bytes = optimizer.page_bytes().min(home.page_bytes());
        let placement = engine::place(&lengths, page_bytes, work::CHUNK_ELEMENTS);
        let values = buffers(&home, "best values", &placement.pages)?;
        Ok(Some(Block { home, on_device, tensors, placement, values, state: None }))
    }
}

fn holds(blocks: &[Block], tensor: usize) -> bool {
    blocks.iter().any(|block| block.tensors.contains(&tensor))
}

impl Block {
    fn bytes(&self) -> u64 {
        let state = self.state.iter().flat_map(|state| state.moments.iter().flatten().chain([&state.records]));
        self.values.iter().chain(state).map(Buffer::bytes).sum()
    }

    fn make_state(&mut self, update: &Update) -> Result<(), Error> {
        if self.state.is_none() {
            let moment = |name: &&str| buffers(&self.home, &format!("best {name}"), &self.placement.pages);
            let moments = update.moments.iter().map(moment).collect::<Result<_, _>>()?;
            let records = self.home.buffer("best records", self.tensors.len() as u64 * RECORD_BYTES)?;
            self.state = Some(BlockState { moments, records, full: vec![false; self.tensors.len()] });
        }
        Ok(())
    }

    /// Tensors with their pieces, by place.
    fn tensors(&self) -> impl Iterator<Item = (usize, usize, &[Piece])> {
        let pieces = self.placement.pieces.iter().map(Vec::as_slice);
        self.tensors.iter().zip(pieces).enumerate().map(|(place, (tensor, pieces))| (place, *tensor, pieces))
    }

    fn keep_values(&self, optimizer: &Optimizer, moves: &mut Moves) {
        let windows = all(&self.values);
        for (_, tensor, pieces) in self.tensors() {
            moves.between(optimizer, &self.home, copies(optimizer.values_of(tensor), (pieces, &windows)));
        }
    }

    fn restore_values(&self, optimizer: &Optimizer, moves: &mut Moves) {
        let windows = all(&self.values);
        for (_, tensor, pieces) in self.tensors() {
            moves.between(optimizer, &self.home, copies((pieces, &windows), optimizer.values_of(tensor)));
        }
    }

    /// Moments and record of each tensor that has them.
    fn keep_state(&mut self, optimizer: &Optimizer, moves: &mut Moves) {
        let Some(mut state) = self.state.take() else { return };
        for (place, tensor, pieces) in self.tensors() {
            let found = optimizer.state.pieces(tensor);
            state.full[place] = found.is_some();
            let Some(from) = found else { continue };
            moves.between(optimizer, &self.home, vec![(optimizer.record_of(tensor), state.record(place))]);
            for (pages, held) in optimizer.state.moments.iter().zip(&state.moments) {
                moves.between(optimizer, &self.home, copies((from, &all(pages)), (pieces, &all(held))));
            }
        }
        self.state = Some(state);
    }

    /// Moments and record of each tensor, or zeros where none are held that would fit.
    fn restore_state(&self, optimizer: &Optimizer, same_rule: bool, moves: &mut Moves) {
        for (place, tensor, pieces) in self.tensors() {
            let held = self.state.as_ref().filter(|state| same_rule && state.full[place]);
            let record = optimizer.record_of(tensor);
            let Some(to) = optimizer.state.pieces(tensor) else {
                moves.clears.push(record);
                continue;
            };
            match held {
                Some(state) => moves.between(optimizer, &self.home, vec![(state.record(place), record)]),
                None => moves.clears.push(record),
            }
            for (slot, pages) in optimizer.state.moments.iter().enumerate() {
                let windows = all(pages);
                match held.and_then(|state| state.moments.get(slot)) {
                    Some(from) => {
                        moves.between(optimizer, &self.home, copies((pieces, &all(from)), (to, &windows)));
                    }
                    None => moves.clears.extend(copies((to, &windows), (to, &windows)).into_iter().map(|(_, to)| to)),
                }
            }
        }
    }
}

impl BlockState {
    fn record(&self, place: usize) -> Range {
        Range { buffer: self.records.clone(), offset: place as u64 * RECORD_BYTES, bytes: RECORD_BYTES }
    }
}

fn all(pages: &[Buffer]) -> Vec<Range> {
    pages.iter().map(Buffer::all).collect()
}

impl Moves {
    /// Adds copies between an optimizer and a block at `home`.
    fn between(&mut self, optimizer: &Optimizer, home: &Engine, copies: Vec<(Range, Range)>) {
        if home.same(optimizer.engine()) {
            self.here.extend(copies);
        } else {
            self.away.extend(copies.into_iter().map(|(from, to)| (home.clone(), from, to)));
        }
    }

    /// Runs them towards the blocks.
    fn download(self, engine: &Engine) -> Result<(), Error> {
        if !self.here.is_empty() {
            engine.submit(&Submission { copies: self.here, ..Submission::default() })?;
        }
        if self.away.is_empty() {
            return Ok(());
        }
        let ranges: Vec<Range> = self.away.iter().map(|(_, from, _)| from.clone()).collect();
        for (data, (home, _, to)) in engine.read_all(&ranges)?.into_iter().zip(self.away) {
            let uploads = vec![Upload { buffer: to.buffer, offset: to.offset, data }];
            home.submit(&Submission { uploads, ..Submission::default() })?;
        }
        Ok(())
    }

    /// Runs them towards the optimizer, in one submission.
    fn upload(self, engine: &Engine) -> Result<(), Error> {
        let mut uploads = Vec::with_capacity(self.away.len());
        for (home, from, to) in self.away {
            for data in home.read_all(std::slice::from_ref(&from))? {
                uploads.push(Upload { buffer: to.buffer.clone(), offset: to.offset, data });
            }
        }
        let submission = Submission { uploads, clears: self.clears, copies: self.here, ..Submission::default() };
        Ok(engine.submit(&submission)?)
    }
}
