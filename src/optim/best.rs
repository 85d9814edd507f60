//! The best copy: parameters, moments and applied counts of everything that has thawed, and the model's buffers.

use super::arena::Arena;
use super::moves::{Moves, Where};
use super::state::Kept;
use super::update::Update;
use super::work::Part;
use super::{Error, Forecast, Optimizer};
use crate::engine::layout::Record;
use crate::engine::{Buffer, Engine, Prepared, Range, Submission};
use crate::params::Param;

const RECORD_BYTES: u64 = size_of::<Record>() as u64;

/// A copy of the best parameters so far, with moments, averages and applied counts, on the device while it is small enough. The
/// model's buffers, which are small, always are.
///
/// A parameter that thaws after the copy was kept is restored to its value before training, with zero moments and a
/// count of 0: [`extend`](Best::extend) the copy before the thaw. The schedule's step and the rows are not part of the
/// copy: rates continue. If the rule has changed since (another optimizer over the same parameters), or the storage of
/// moments, the parameters are restored, and moments and counts are 0.
///
/// The part on the device is copied there: one submission, no wait and no upload. The part in host memory is downloaded
/// when it is kept (one wait), and uploaded in the submission that restores. A caller's buffers need the usages
/// `COPY_SRC` and `COPY_DST`.
#[derive(Debug)]
pub struct Best {
    device_limit_bytes: u64,
    host: Engine,
    /// The model that it is a copy of; `None`: nothing has been kept.
    of: Option<Vec<Param>>,
    blocks: Vec<Block>,
    /// Of what holds the model's buffers.
    buffers: Vec<Buffer>,
    /// The program of [`keep_where`](Best::keep_where), and the optimizer's layout that it is for.
    keeping: Option<(u64, Prepared)>,
}

/// The tensors of one thaw that are updated alike. A copy grows by blocks, and nothing moves when it does.
#[derive(Clone, Debug)]
struct Block {
    home: Engine,
    on_device: bool,
    update: Update,
    tensors: Vec<usize>,
    values: Arena,
    /// `None` until the tensors are kept as thawed ones: an extension has values alone.
    state: Option<BlockState>,
}

#[derive(Clone, Debug)]
struct BlockState {
    kept: Kept,
    records: Buffer,
    /// Whether each tensor had moments when it was kept; they may have been dropped.
    full: Vec<bool>,
}

impl Best {
    /// An empty copy, which may take at most `device_limit_bytes` on the device.
    pub fn new(device_limit_bytes: u64) -> Best {
        let (blocks, buffers) = (Vec::new(), Vec::new());
        Best { device_limit_bytes, host: Engine::cpu(), of: None, blocks, buffers, keeping: None }
    }

    /// Whether nothing has been kept yet.
    pub fn is_empty(&self) -> bool {
        self.of.is_none()
    }

    /// Bytes of the copy, on the device and in host memory; [`Forecast::best_bytes`] and [`Forecast::extension_bytes`]
    /// predict them.
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().map(Block::bytes).sum::<u64>() + self.buffer_bytes()
    }

    /// Its bytes on the device.
    pub fn device_bytes(&self) -> u64 {
        self.blocks.iter().filter(|block| block.on_device).map(Block::bytes).sum::<u64>() + self.buffer_bytes()
    }

    fn buffer_bytes(&self) -> u64 {
        self.buffers.iter().map(Buffer::bytes).sum()
    }

    /// Takes the place of what was kept: values, moments and counts of everything that has thawed.
    ///
    /// # Errors
    /// Out of device memory, and others from the device. What was kept stays then.
    pub fn keep(&mut self, optimizer: &Optimizer) -> Result<(), Error> {
        optimizer.refuse_swapped()?;
        let (blocks, buffers) = (self.with_room(optimizer)?, self.room_for_buffers(optimizer)?);
        kept(&blocks, &buffers, optimizer).download(optimizer.engine())?;
        (self.of, self.blocks, self.keeping) = (Some(optimizer.params.clone()), blocks, None);
        self.buffers = buffers;
        Ok(())
    }

    /// A program that keeps the current state if the device finds an evaluation to be the best, for the evaluation's
    /// submission. The whole copy is on the device.
    ///
    /// # Errors
    /// [`Error::NotOnDevice`]; as [`keep`](Best::keep).
    pub(crate) fn keep_where(&mut self, optimizer: &Optimizer, standing: &Buffer) -> Result<&Prepared, Error> {
        optimizer.refuse_swapped()?;
        if self.keeping.as_ref().is_none_or(|(layout, _)| *layout != optimizer.layout()) {
            let (blocks, buffers) = (self.with_room(optimizer)?, self.room_for_buffers(optimizer)?);
            let program = kept(&blocks, &buffers, optimizer).by_standing(optimizer.engine(), standing, Where::Best)?;
            (self.of, self.blocks, self.buffers) = (Some(optimizer.params.clone()), blocks, buffers);
            self.keeping = Some((optimizer.layout(), program));
        }
        self.keeping.as_ref().map(|(_, program)| program).ok_or(Error::NothingKept)
    }

    /// [`restore_and_extend`](Best::restore_and_extend), if the device knows a best evaluation; else nothing is
    /// restored.
    ///
    /// # Errors
    /// As there; [`Error::NotOnDevice`].
    pub(crate) fn restore_where_known(
        &mut self,
        optimizer: &mut Optimizer,
        standing: &Buffer,
        about_to_thaw: &[&str],
    ) -> Result<(), Error> {
        (self.blocks, self.buffers) = (self.with_room(optimizer)?, self.room_for_buffers(optimizer)?);
        let mut moves = Moves::default();
        self.put_back(optimizer, &mut moves)?;
        let program = moves.by_standing(optimizer.engine(), standing, Where::Known)?;
        optimizer.engine().submit(&Submission { programs: &[&program], ..Submission::default() })?;
        self.extend(optimizer, about_to_thaw)
    }

    /// The blocks with room for all that has thawed, moments among it: zeros where nothing has been kept yet.
    fn with_room(&self, optimizer: &Optimizer) -> Result<Vec<Block>, Error> {
        let known: &[Block] = if self.of(optimizer).is_ok() { &self.blocks } else { &[] };
        let updates = optimizer.updates();
        let mut blocks: Vec<Block> = known.iter().filter_map(|block| block.suited(&updates)).collect();
        // What is held already stays so under another rule: it may be an extension that is still to thaw.
        let held = known.iter().flat_map(|block| &block.tensors);
        let mut new: Vec<usize> = Vec::new();
        for tensor in optimizer.state.order.iter().chain(held) {
            if !holds(&blocks, *tensor) && !new.contains(tensor) {
                new.push(*tensor);
            }
        }
        blocks.extend(self.blocks_of(optimizer, &blocks, &new)?);
        for block in &mut blocks {
            block.make_state(optimizer)?;
        }
        Ok(blocks)
    }

    /// Room for a copy of each range that holds buffers.
    fn room_for_buffers(&self, optimizer: &Optimizer) -> Result<Vec<Buffer>, Error> {
        if self.of(optimizer).is_ok() && self.buffers.len() == optimizer.buffers.len() {
            return Ok(self.buffers.clone());
        }
        let room = |range: &Range| Ok(optimizer.engine().buffer("best buffers", range.bytes)?);
        optimizer.buffers.iter().map(room).collect()
    }

    /// Adds the values of parameters that are about to thaw, so that a later restore can undo their training. This
    /// costs nothing for those that it already holds, or if nothing has been kept yet.
    ///
    /// # Errors
    /// An unknown parameter, [`Error::NotKept`] for one that has thawed already; [`Error::OtherModel`]; from the device.
    pub fn extend(&mut self, optimizer: &Optimizer, about_to_thaw: &[&str]) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        let mut moves = Moves::default();
        let blocks = self.extension(optimizer, about_to_thaw, &mut moves)?;
        moves.download(optimizer.engine())?;
        self.blocks.extend(blocks);
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

    /// [`restore`](Best::restore) and [`extend`](Best::extend) together, in one submission if all of it is on the
    /// device: a transition to the next phase does this before the thaw.
    ///
    /// # Errors
    /// As both.
    pub fn restore_and_extend(&mut self, optimizer: &mut Optimizer, about_to_thaw: &[&str]) -> Result<(), Error> {
        let mut moves = Moves::default();
        self.put_back(optimizer, &mut moves)?;
        let mut extended = Moves::default();
        let blocks = self.extension(optimizer, about_to_thaw, &mut extended)?;
        // What thaws next is frozen, and no part of what is put back.
        moves.here.append(&mut extended.here);
        moves.upload(optimizer.engine())?;
        extended.download(optimizer.engine())?;
        self.blocks.extend(blocks);
        Ok(())
    }

    fn put_back(&self, optimizer: &Optimizer, moves: &mut Moves) -> Result<(), Error> {
        optimizer.refuse_swapped()?;
        self.of(optimizer)?;
        let mut thawed = optimizer.state.order.iter();
        if let Some(missing) = thawed.find(|tensor| !holds(&self.blocks, **tensor)) {
            return Err(Error::NotKept { param: optimizer.params[*missing].name.clone() });
        }
        let updates = optimizer.updates();
        for block in &self.blocks {
            block.restore_values(optimizer, moves);
            block.restore_state(optimizer, &updates, moves);
        }
        moves.here.extend(self.buffers.iter().map(Buffer::all).zip(optimizer.buffers.iter().cloned()));
        Ok(())
    }

    /// Whether it is a copy of this optimizer's model.
    fn of(&self, optimizer: &Optimizer) -> Result<(), Error> {
        let of = self.of.as_ref().ok_or(Error::NothingKept)?;
        if *of == optimizer.params { Ok(()) } else { Err(Error::OtherModel) }
    }

    fn extension(&self, optimizer: &Optimizer, names: &[&str], moves: &mut Moves) -> Result<Vec<Block>, Error> {
        optimizer.refuse_swapped()?;
        self.of(optimizer)?;
        let mut new: Vec<usize> = Vec::new();
        for name in names {
            let tensor = optimizer.place_of(name)?;
            if holds(&self.blocks, tensor) || new.contains(&tensor) {
                continue;
            }
            if optimizer.state.holds(tensor) {
                return Err(Error::NotKept { param: (*name).to_owned() });
            }
            new.push(tensor);
        }
        let blocks = self.blocks_of(optimizer, &self.blocks, &new)?;
        for block in &blocks {
            block.keep_values(optimizer, moves);
        }
        Ok(blocks)
    }

    /// Room for the values of these tensors, beside these blocks; on the device if there is room for their state too.
    fn blocks_of(&self, optimizer: &Optimizer, beside: &[Block], tensors: &[usize]) -> Result<Vec<Block>, Error> {
        let whole = |update: Update, tensors: &[usize]| {
            Forecast::of_update(update).best_bytes(tensors.iter().map(|tensor| &optimizer.params[*tensor]))
        };
        let on_device = beside.iter().filter(|block| block.on_device);
        let mut taken: u64 = on_device.map(|block| whole(block.update, &block.tensors)).sum();
        let mut blocks = Vec::new();
        for (update, tensors) in by_update(&optimizer.updates(), tensors) {
            let with_it = taken.saturating_add(whole(update, &tensors));
            let on_device = with_it <= self.device_limit_bytes;
            if on_device {
                taken = with_it;
            }
            let home = if on_device { optimizer.engine() } else { &self.host }.clone();
            let (sized, page_bytes) = room(optimizer, &home, &tensors);
            let values = Arena::empty(update.precision.values()).relaid(
                &home,
                &sized,
                &["best values".to_owned()],
                page_bytes,
            )?;
            blocks.push(Block { home, on_device, update, tensors, values, state: None });
        }
        Ok(blocks)
    }
}

/// What keeps all that the blocks have room for, and the model's buffers.
fn kept(blocks: &[Block], buffers: &[Buffer], optimizer: &Optimizer) -> Moves {
    let mut moves = Moves::default();
    for block in blocks {
        block.keep_values(optimizer, &mut moves);
        block.keep_state(optimizer, &mut moves);
    }
    moves.here.extend(optimizer.buffers.iter().cloned().zip(buffers.iter().map(Buffer::all)));
    moves
}

/// Tensors by what they are updated by.
fn by_update(updates: &[Update], tensors: &[usize]) -> Vec<(Update, Vec<usize>)> {
    let mut parts: Vec<(Update, Vec<usize>)> = Vec::new();
    for tensor in tensors {
        match parts.iter_mut().find(|(update, _)| *update == updates[*tensor]) {
            Some((_, part)) => part.push(*tensor),
            None => parts.push((updates[*tensor], vec![*tensor])),
        }
    }
    parts
}

/// These tensors with their sizes, and the bytes of a page on an engine.
fn room(optimizer: &Optimizer, home: &Engine, tensors: &[usize]) -> (Vec<(usize, Vec<Part>)>, u64) {
    let sized = |tensor: &usize| (*tensor, Part::whole(optimizer.params[*tensor].elements() as u64).to_vec());
    (tensors.iter().map(sized).collect(), optimizer.page_bytes().min(home.page_bytes()))
}

fn holds(blocks: &[Block], tensor: usize) -> bool {
    blocks.iter().any(|block| block.tensors.contains(&tensor))
}

impl Block {
    fn bytes(&self) -> u64 {
        let state = self.state.as_ref().map_or(0, |state| state.kept.bytes() + state.records.bytes());
        self.values.bytes() + state
    }

    /// The block, if it has room for what its tensors are now; an extension takes what comes, if it comes alike for all.
    fn suited(&self, updates: &[Update]) -> Option<Block> {
        match &by_update(updates, &self.tensors)[..] {
            [(update, _)] if self.state.is_none() || *update == self.update => {
                Some(Block { update: *update, ..self.clone() })
            }
            _ => None,
        }
    }

    /// Room for moments and records, of those tensors that have them now.
    fn make_state(&mut self, optimizer: &Optimizer) -> Result<(), Error> {
        let full = self.tensors.iter().map(|tensor| optimizer.state.holds(*tensor)).collect();
        if let Some(state) = &mut self.state {
            state.full = full;
            return Ok(());
        }
        let (sized, page_bytes) = room(optimizer, &self.home, &self.tensors);
        let kept = Kept::empty(self.update, None).relaid(
            &self.home,
            "best ",
            self.update,
            (&optimizer.params, &sized),
            page_bytes,
        )?;
        let records = self.home.buffer("best records", self.tensors.len() as u64 * RECORD_BYTES)?;
        self.state = Some(BlockState { kept, records, full });
        Ok(())
    }

    fn keep_values(&self, optimizer: &Optimizer, moves: &mut Moves) {
        for tensor in &self.tensors {
            for held in self.values.streams(*tensor) {
                moves.between(optimizer, &self.home, optimizer.values_of(*tensor).copies_to(&held));
            }
        }
    }

    fn restore_values(&self, optimizer: &Optimizer, moves: &mut Moves) {
        for tensor in &self.tensors {
            for held in self.values.streams(*tensor) {
                moves.between(optimizer, &self.home, held.copies_to(&optimizer.values_of(*tensor)));
            }
        }
    }

    /// Moments and record of each tensor that has them.
    fn keep_state(&self, optimizer: &Optimizer, moves: &mut Moves) {
        let Some(state) = &self.state else { return };
        for (place, tensor) in self.tensors.iter().enumerate().filter(|(place, _)| state.full[*place]) {
            moves.between(optimizer, &self.home, vec![(optimizer.record_of(*tensor), state.record(place))]);
            let streams = optimizer.state.streams(*tensor).into_iter().zip(state.kept.streams(*tensor));
            for ((_, from), (_, held)) in streams {
                moves.between(optimizer, &self.home, from.copies_to(&held));
            }
        }
    }

    /// Moments and record of each tensor, or zeros where none are held that would fit.
    fn restore_state(&self, optimizer: &Optimizer, updates: &[Update], moves: &mut Moves) {
        for (place, tensor) in self.tensors.iter().enumerate() {
            let fits = self.update.is_stored_as(&updates[*tensor]);
            let held = self.state.as_ref().filter(|state| fits && state.full[place]);
            let record = optimizer.record_of(*tensor);
            match held.filter(|_| optimizer.state.holds(*tensor)) {
                Some(state) => moves.between(optimizer, &self.home, vec![(state.record(place), record)]),
                None => moves.clears.push(record),
            }
            let held: Vec<_> = held.iter().flat_map(|state| state.kept.streams(*tensor)).collect();
            for (name, to) in optimizer.state.streams(*tensor) {
                match held.iter().find(|(known, _)| *known == name) {
                    Some((_, from)) => moves.between(optimizer, &self.home, from.copies_to(&to)),
                    None => moves.clears.extend(to.ranges()),
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
