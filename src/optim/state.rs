//! The moments, and our own gradients: arenas in thaw order, so that they exist only for what has thawed.

use super::Error;
use super::arena::{Arena, Stream};
use super::parameters::download_all;
use super::update::Update;
use crate::engine::{Engine, Piece, Range, Submission};

/// State of the tensors that have thawed at least once, in thaw order.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Tensors, in thaw order.
    pub(crate) order: Vec<usize>,
    /// The moments, an arena for each update that a tensor has.
    moments: Vec<(Update, Arena)>,
    /// The gradients, where they are ours.
    grads: Arena,
}

/// What a state must hold.
pub(crate) struct Wanted<'a> {
    pub(crate) order: Vec<usize>,
    /// Elements of every tensor of the model.
    pub(crate) elements: &'a [u64],
    /// What each tensor of the model is updated by.
    pub(crate) updates: Vec<Update>,
    pub(crate) own_gradients: bool,
    pub(crate) page_bytes: u64,
}

impl State {
    /// Whether a tensor has any.
    pub(crate) fn holds(&self, tensor: usize) -> bool {
        self.order.contains(&tensor)
    }

    /// The arena that holds a tensor's moments, and where in it they lie.
    pub(crate) fn place(&self, tensor: usize) -> Option<(usize, &[Piece])> {
        let mut arenas = self.moments.iter().enumerate();
        arenas.find_map(|(number, (_, arena))| Some((number, arena.pieces(tensor)?)))
    }

    /// What the tensors of an arena are updated by, and page `page` of each of its moments.
    pub(crate) fn arena(&self, number: usize, page: usize) -> (Update, Vec<Range>) {
        let (update, arena) = &self.moments[number];
        (*update, arena.page(page))
    }

    /// A tensor's moments, in the order of [`Update::moments`]; none where it has none.
    pub(crate) fn moments(&self, tensor: usize) -> Vec<Stream<'_>> {
        self.moments.iter().flat_map(|(_, arena)| arena.streams(tensor)).collect()
    }

    /// Where a tensor's gradient lies, if it is ours.
    pub(crate) fn gradient(&self, tensor: usize) -> Option<Stream<'_>> {
        self.grads.streams(tensor).next()
    }

    /// The pages of our gradients.
    pub(crate) fn gradient_windows(&self) -> Vec<Range> {
        self.grads.windows(0).to_vec()
    }

    /// Bytes of the moments.
    pub(crate) fn moment_bytes(&self) -> u64 {
        self.moments.iter().map(|(_, arena)| arena.bytes()).sum()
    }

    /// Bytes of our gradients.
    pub(crate) fn gradient_bytes(&self) -> u64 {
        self.grads.bytes()
    }

    /// The state laid out anew for `wanted`: pages that stay as they are are kept, what moves is copied on the device,
    /// in one submission, and what is new is zero.
    pub(crate) fn relaid(&self, engine: &Engine, wanted: &Wanted<'_>) -> Result<State, Error> {
        let Wanted { order, elements, updates, own_gradients, page_bytes } = wanted;
        let lengths = |of: &dyn Fn(usize) -> bool| -> Vec<(usize, u64)> {
            order.iter().filter(|tensor| of(**tensor)).map(|tensor| (*tensor, elements[*tensor])).collect()
        };
        let mut kinds: Vec<Update> = Vec::new();
        for tensor in order {
            if !kinds.contains(&updates[*tensor]) {
                kinds.push(updates[*tensor]);
            }
        }
        let mut copies = Vec::new();
        let mut moments = Vec::with_capacity(kinds.len());
        for update in kinds {
            // Another moment may have joined since, but how those there were are stored is the group's for good.
            let known = self.moments.iter().find(|(known, _)| known.storage == update.storage);
            let old = known.map_or_else(|| Arena::empty(update.storage), |(_, arena)| arena.clone());
            let tensors = lengths(&|tensor| updates[tensor] == update);
            let new = old.relaid(engine, &tensors, update.moments, *page_bytes)?;
            copies.extend(old.copies_to(&new));
            moments.push((update, new));
        }
        let names: &[&str] = if *own_gradients { &["grads"] } else { &[] };
        let grads = self.grads.relaid(engine, &lengths(&|_| true), names, *page_bytes)?;
        copies.extend(self.grads.copies_to(&grads));
        if !copies.is_empty() {
            engine.submit(&Submission { copies, ..Submission::default() })?;
        }
        let relaid = State { order: order.clone(), moments, grads };
        order.iter().try_for_each(|tensor| self.store_anew(engine, *tensor, &relaid))?;
        Ok(relaid)
    }

    /// Moments that were loaded before their tensor was in a group, and are now stored as the group says: by way of the
    /// host.
    fn store_anew(&self, engine: &Engine, tensor: usize, to: &State) -> Result<(), Error> {
        let both = self.moments(tensor).into_iter().zip(to.moments(tensor));
        let (from, to): (Vec<Stream<'_>>, Vec<Stream<'_>>) =
            both.filter(|(from, to)| from.storage != to.storage).unzip();
        let values = from.iter().zip(download_all(engine, &from)?).map(|(stream, bytes)| stream.widened(&bytes));
        values.zip(to).try_for_each(|(values, to)| to.upload(engine, &values))
    }
}
