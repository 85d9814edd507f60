//! The moments, the averages, and our own gradients: arenas in thaw order, so that they exist only for what has thawed.

use super::Error;
use super::arena::{Arena, Stream};
use super::parameters::download_all;
use super::tensors::Tensors;
use super::update::{AVERAGE, Update};
use super::work::Part;
use crate::engine::{self, Buffer, Engine, Piece, Range, Submission};
use crate::params::{Param, Storage};

/// State of the tensors that have thawed at least once, in thaw order.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Tensors, in thaw order.
    pub(crate) order: Vec<usize>,
    /// One for each update that a tensor has, and each home.
    kept: Vec<Kept>,
    /// The gradients, where they are ours: those in f32, and those in bf16.
    grads: Vec<Arena>,
}

/// What gradients may be stored as.
const GRADIENTS: [Storage; 2] = [Storage::F32, Storage::Bf16];

/// What is kept from step to step for tensors that are updated alike and have one home.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) update: Update,
    home: Home,
    moments: Arena,
    /// The moving average of the parameters, laid out as the moments are; no stream where there is none.
    average: Arena,
    /// Two arrays of directions, laid out as the moments are, that a step makes and uses; none where its rule has none.
    directions: Arena,
}

/// Which of a caller's buffers has a parameter; none where it lies in arenas of ours. Dispatches of different buffers then
/// share no memory that they write, and none waits for another.
pub(crate) type Home = Option<Buffer>;

/// What a state must hold.
pub(crate) struct Wanted<'a> {
    pub(crate) params: &'a [Param],
    pub(crate) order: Vec<usize>,
    /// The parts of every tensor of the model.
    pub(crate) parts: Vec<Vec<Part>>,
    /// The home of every tensor of the model.
    pub(crate) homes: Vec<Home>,
    /// What each tensor of the model is updated by.
    pub(crate) updates: Vec<Update>,
    pub(crate) own_gradients: bool,
    pub(crate) page_bytes: u64,
}

impl Kept {
    /// Room for no tensor yet.
    pub(crate) fn empty(update: Update, home: Home) -> Kept {
        Kept {
            update,
            home,
            moments: Arena::empty(update.storage),
            average: Arena::beside(Storage::F32, update.storage),
            directions: Arena::beside(Storage::F32, update.storage),
        }
    }

    /// Laid out anew for these tensors of a model; see [`Arena::relaid`]. Labels begin with `prefix`. Rows and columns lie in
    /// one page, which kernels bind whole.
    pub(crate) fn relaid(
        &self,
        engine: &Engine,
        prefix: &str,
        update: Update,
        (params, tensors): (&[Param], &[(usize, Vec<Part>)]),
        page_bytes: u64,
    ) -> Result<Kept, Error> {
        let label = |name: &&str| format!("{prefix}{name}");
        let names: Vec<String> = update.arena_names().iter().map(label).collect();
        let sized = |(tensor, parts): &(usize, Vec<Part>)| (*tensor, update.moment_parts(&params[*tensor], parts));
        let of_moments: Vec<(usize, Vec<Part>)> = tensors.iter().map(sized).collect();
        let is_whole = update.factors.is_some();
        let moment_page = if is_whole { engine.page_bytes() } else { page_bytes };
        let moments = self.moments.relaid(engine, &of_moments, &names, moment_page)?;
        if is_whole && moments.pages(0).len() > 1 {
            let limit = engine.page_bytes();
            return Err(engine::Error::TooLarge { label: names.concat(), bytes: moments.bytes(), limit }.into());
        }
        let names: Vec<String> = update.has_average.then_some(&AVERAGE).map(label).into_iter().collect();
        let average = self.average.relaid(engine, tensors, &names, page_bytes)?;
        Ok(Kept { update, home: self.home.clone(), moments, average, directions: self.directions.clone() })
    }

    /// The same with room for the directions of these tensors, if its rule makes any.
    fn with_directions(self, engine: &Engine, tensors: &[(usize, Vec<Part>)], page_bytes: u64) -> Result<Kept, Error> {
        let names: &[&str] = if self.update.direct.is_some() { &["directions", "other directions"] } else { &[] };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Ok(Kept { directions: self.directions.relaid(engine, tensors, &names, page_bytes)?, ..self })
    }

    fn copies_to(&self, to: &Kept) -> Vec<(Range, Range)> {
        [self.moments.copies_to(&to.moments), self.average.copies_to(&to.average)].concat()
    }

    /// A tensor's streams by name, in the order of [`Update::streams`]; none where it has none.
    pub(crate) fn streams(&self, tensor: usize) -> impl Iterator<Item = (&'static str, Stream<'_>)> {
        let average = self.average.streams(tensor).map(|stream| (AVERAGE, stream));
        let moments: Vec<(&'static str, Stream<'_>)> = match self.update.factors {
            None => self.update.slots().zip(self.moments.streams(tensor)).collect(),
            Some(_) => self.moments.streams(tensor).flat_map(|stream| self.parts_of(stream)).collect(),
        };
        moments.into_iter().chain(average)
    }

    /// The rows and the columns of a matrix, or what a vector has. Each lies in one piece.
    fn parts_of<'a>(&self, whole: Stream<'a>) -> Vec<(&'static str, Stream<'a>)> {
        let slots: Vec<&str> = self.update.slots().collect();
        let slots = if whole.pieces.len() > 1 { slots } else { slots.into_iter().skip(2).collect() };
        let part = |(name, piece): (&'static str, &'a [Piece])| (name, Stream { pieces: piece, ..whole });
        slots.into_iter().zip(whole.pieces.chunks(1)).map(part).collect()
    }

    /// Where a tensor's rows and columns begin, or what a vector has, if it has such.
    pub(crate) fn factors_at(&self, tensor: usize) -> Option<Vec<u64>> {
        self.update.factors?;
        Some(self.moments.pieces(tensor)?.iter().map(|piece| piece.offset).collect())
    }

    /// Page `page` of each moment. Rows and columns lie in one.
    pub(crate) fn moment_pages(&self, page: usize) -> Vec<Range> {
        self.moments.page(if self.update.factors.is_some() { 0 } else { page })
    }

    /// Page `page` of the directions: that in which they begin and that in which they end, if there are any.
    pub(crate) fn direction_pages(&self, page: usize) -> Vec<Range> {
        self.directions.page(page)
    }

    /// Page `page` of what is evaluated in the parameters' place, if anything is.
    pub(crate) fn evaluated_page(&self, page: usize) -> Option<Range> {
        match self.update.evaluated {
            Some(slot) => self.moment_pages(page).into_iter().nth(slot),
            None => self.average_page(page),
        }
    }

    /// Page `page` of the average, if there is one.
    pub(crate) fn average_page(&self, page: usize) -> Option<Range> {
        self.average.page(page).pop()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.moments.bytes() + self.average.bytes() + self.directions.bytes()
    }
}

impl State {
    /// Whether a tensor has any.
    pub(crate) fn holds(&self, tensor: usize) -> bool {
        self.order.contains(&tensor)
    }

    /// Which of the kept has a tensor, and where in its arenas it lies.
    pub(crate) fn place(&self, tensor: usize) -> Option<(usize, &[Piece])> {
        let mut kept = self.kept.iter().enumerate();
        // An average lies, or would lie, where each element has moments of its own.
        kept.find_map(|(number, kept)| Some((number, kept.average.pieces(tensor)?)))
    }

    /// What is kept at a [`place`](State::place).
    pub(crate) fn kept(&self, number: usize) -> &Kept {
        &self.kept[number]
    }

    /// A tensor's moments and average by name; none where it has none.
    pub(crate) fn streams(&self, tensor: usize) -> Vec<(&'static str, Stream<'_>)> {
        self.kept.iter().flat_map(|kept| kept.streams(tensor)).collect()
    }

    /// Where a tensor's gradient lies, if it is ours.
    pub(crate) fn gradient(&self, tensor: usize) -> Option<Stream<'_>> {
        self.grads.iter().find_map(|grads| grads.streams(tensor).next())
    }

    /// Our gradients, of a model of so many tensors, in the pages of all of them.
    pub(crate) fn gradients(&self, tensors: usize) -> Tensors {
        let mut ours = Tensors { pieces: vec![Vec::new(); tensors], ..Tensors::default() };
        for grads in &self.grads {
            let before = ours.pages.len();
            for (tensor, pieces) in ours.pieces.iter_mut().enumerate() {
                let found = grads.pieces(tensor).unwrap_or_default().iter();
                pieces.extend(found.map(|piece| Piece { page: before + piece.page, ..*piece }));
            }
            for page in grads.pages(0) {
                ours.add(page.clone(), grads.storage);
            }
        }
        ours
    }

    /// Bytes of moments, averages and directions.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.kept.iter().map(Kept::bytes).sum()
    }

    /// Bytes of our gradients.
    pub(crate) fn gradient_bytes(&self) -> u64 {
        self.grads.iter().map(Arena::bytes).sum()
    }

    /// The state laid out anew for `wanted`: pages that stay as they are are kept, what moves is copied on the device,
    /// in one submission, and what is new is zero.
    pub(crate) fn relaid(&self, engine: &Engine, wanted: &Wanted<'_>) -> Result<State, Error> {
        let Wanted { params, order, parts, homes, updates, own_gradients, page_bytes } = wanted;
        let sized = |tensor: &usize| (*tensor, parts[*tensor].clone());
        let mut kinds: Vec<(Update, &Home, Vec<usize>)> = Vec::new();
        for tensor in order {
            let (update, home) = (updates[*tensor], &homes[*tensor]);
            match kinds.iter_mut().find(|kind| kind.0 == update && is_one(kind.1, home)) {
                Some((_, _, tensors)) => tensors.push(*tensor),
                None => kinds.push((update, home, vec![*tensor])),
            }
        }
        let mut copies = Vec::new();
        let mut kept = Vec::with_capacity(kinds.len());
        for (update, home, tensors) in kinds {
            // Another moment may have joined since; how those there were are stored is the group's for good.
            let known = self.kept.iter().find(|known| known.update.is_kept_as(&update) && is_one(&known.home, home));
            let old = known.cloned().unwrap_or_else(|| Kept::empty(update, home.clone()));
            let tensors: Vec<_> = tensors.iter().map(sized).collect();
            let new = old.relaid(engine, "", update, (params, &tensors), *page_bytes)?;
            let new = new.with_directions(engine, &tensors, *page_bytes)?;
            copies.extend(old.copies_to(&new));
            kept.push(new);
        }
        let mut grads = Vec::new();
        for (place, storage) in GRADIENTS.into_iter().enumerate().filter(|_| *own_gradients) {
            let old = self.grads.get(place).cloned().unwrap_or_else(|| Arena::empty(storage));
            let of = order.iter().filter(|tensor| updates[**tensor].precision.gradients() == storage);
            let tensors: Vec<_> = of.map(sized).collect();
            let new = old.relaid(engine, &tensors, &["grads".to_owned()], *page_bytes)?;
            copies.extend(old.copies_to(&new));
            grads.push(new);
        }
        if !copies.is_empty() {
            engine.submit(&Submission { copies, ..Submission::default() })?;
        }
        let relaid = State { order: order.clone(), kept, grads };
        order.iter().try_for_each(|tensor| self.keep_anew(engine, *tensor, &relaid))?;
        Ok(relaid)
    }

    /// State that was loaded before its tensor was in a group, and is now kept as the group says: by way of the host.
    fn keep_anew(&self, engine: &Engine, tensor: usize, to: &State) -> Result<(), Error> {
        let update = |state: &State| state.place(tensor).map(|(number, _)| state.kept[number].update);
        match (update(self), update(to)) {
            (Some(old), Some(new)) if !old.is_kept_as(&new) => {}
            _ => return Ok(()),
        }
        let (old, new) = (self.streams(tensor), to.streams(tensor));
        let new_of = |name: &str| new.iter().find(|(known, _)| *known == name).map(|(_, stream)| stream);
        let both = old.iter().filter_map(|(name, from)| Some((*from, new_of(name)?)));
        let (from, to): (Vec<Stream<'_>>, Vec<&Stream<'_>>) = both.unzip();
        let values = from.iter().zip(download_all(engine, &from)?).map(|(stream, bytes)| stream.widened(&bytes));
        values.zip(to).try_for_each(|(values, to)| to.upload(engine, &values))
    }
}

fn is_one(a: &Home, b: &Home) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.same(b),
        (a, b) => a.is_none() && b.is_none(),
    }
}
