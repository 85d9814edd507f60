//! The moments, and our own gradients: arenas in thaw order, so that they exist only for what has thawed.

use super::parameters::{buffers, piece_range, window_range};
use super::update::Update;
use super::{Error, work};
use crate::engine::{self, Buffer, Engine, Piece, Placement, Range, Submission};

/// State of the tensors that have thawed at least once, in thaw order.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Tensors, in thaw order.
    pub(crate) order: Vec<usize>,
    placement: Placement,
    /// The pages of each moment, in the order of [`Update::moments`].
    pub(crate) moments: Vec<Vec<Buffer>>,
    /// Only where gradients are ours.
    pub(crate) grads: Vec<Buffer>,
}

/// What a state must hold.
pub(crate) struct Wanted<'a> {
    pub(crate) order: Vec<usize>,
    /// Elements of every tensor of the model.
    pub(crate) elements: &'a [u64],
    pub(crate) update: Update,
    pub(crate) own_gradients: bool,
    pub(crate) page_bytes: u64,
}

impl State {
    /// Where a tensor's state lies, if it has any.
    pub(crate) fn pieces(&self, tensor: usize) -> Option<&[Piece]> {
        let place = self.order.iter().position(|other| *other == tensor)?;
        Some(&self.placement.pieces[place])
    }

    /// Bytes of the moments.
    pub(crate) fn moment_bytes(&self) -> u64 {
        self.moments.iter().flatten().map(Buffer::bytes).sum()
    }

    /// The state laid out anew for `wanted`: pages that stay as they are are kept, what moves is copied on the device,
    /// in one submission, and what is new is zero.
    pub(crate) fn relaid(&self, engine: &Engine, wanted: &Wanted<'_>) -> Result<State, Error> {
        let lengths: Vec<u64> = wanted.order.iter().map(|tensor| wanted.elements[*tensor]).collect();
        let placement = engine::place(&lengths, wanted.page_bytes, work::CHUNK_ELEMENTS);
        // Placing is the same for the same beginning: leading pages of the same size hold the same pieces.
        let same = |(old, new): &(&u64, &u64)| old == new;
        let kept = match wanted.order.starts_with(&self.order) {
            true => self.placement.pages.iter().zip(&placement.pages).take_while(same).count(),
            false => 0,
        };
        let make = |label: &str, wanted: bool, old: &[Buffer]| {
            if !wanted {
                return Ok(Vec::new());
            }
            let kept = kept.min(old.len());
            let new = buffers(engine, label, &placement.pages[kept..])?;
            Ok::<_, Error>(old[..kept].iter().cloned().chain(new).collect())
        };
        let moment = |(place, name): (usize, &&str)| make(name, true, self.moments.get(place).map_or(&[], |old| old));
        let moments = wanted.update.moments.iter().enumerate().map(moment).collect::<Result<_, _>>()?;
        let grads = make("grads", wanted.own_gradients, &self.grads)?;
        let relaid = State { order: wanted.order.clone(), moments, grads, placement };
        let copies = self.copies_to(&relaid);
        if !copies.is_empty() {
            engine.submit(&Submission { copies, ..Submission::default() })?;
        }
        Ok(relaid)
    }

    fn copies_to(&self, to: &State) -> Vec<(Range, Range)> {
        let moments = self.moments.iter().zip(&to.moments);
        let arenas: Vec<(&Vec<Buffer>, &Vec<Buffer>)> = moments.chain([(&self.grads, &to.grads)]).collect();
        let mut copies = Vec::new();
        for tensor in &to.order {
            let (Some(old), Some(new)) = (self.pieces(*tensor), to.pieces(*tensor)) else { continue };
            for (old, new) in common_cuts(old, new) {
                for (from, to) in &arenas {
                    let (Some(_), Some(_)) = (from.get(old.window), to.get(new.window)) else { continue };
                    let (from, to) = (piece_range(&old, from), piece_range(&new, to));
                    if !from.buffer.same(&to.buffer) {
                        copies.push((from, to));
                    }
                }
            }
        }
        copies
    }
}

/// Copies of the same elements from where they lie to where they are to lie.
pub(super) fn copies(from: (&[Piece], &[Range]), to: (&[Piece], &[Range])) -> Vec<(Range, Range)> {
    let cuts = common_cuts(from.0, to.0).into_iter();
    cuts.map(|(old, new)| (window_range(&old, from.1), window_range(&new, to.1))).collect()
}

/// Two ways of cutting the same elements, cut where either is cut.
fn common_cuts(a: &[Piece], b: &[Piece]) -> Vec<(Piece, Piece)> {
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    let mut cuts = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        let elements = a[i].elements.min(b[j].elements);
        cuts.push((Piece { elements, ..a[i] }, Piece { elements, ..b[j] }));
        for (pieces, at) in [(&mut a, &mut i), (&mut b, &mut j)] {
            pieces[*at].offset += elements;
            pieces[*at].elements -= elements;
            if pieces[*at].elements == 0 {
                *at += 1;
            }
        }
    }
    cuts.retain(|(piece, _)| piece.elements > 0);
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_of_both_sides_meet() {
        let piece = |window, offset, elements| Piece { window, offset, elements };
        let cuts = common_cuts(&[piece(0, 64, 100), piece(1, 0, 28)], &[piece(0, 0, 128)]);
        let expected = [(piece(0, 64, 100), piece(0, 0, 100)), (piece(1, 0, 28), piece(0, 100, 28))];
        assert_eq!(cuts, expected);
    }
}
