//! Properties that hold for any input, by proptest.

use gradus::engine::layout::shuffled;
use gradus::engine::place;
use gradus::params::{Field, Row, nearest};
use gradus::schedule::law::{Cosine, Level};
use gradus::schedule::{FieldLaw, Spec, rows};
use proptest::prelude::*;

const CHUNK: u64 = 64;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Runs lie whole, apart, aligned and inside pages of the size asked for; only a run over a page is cut, at chunks.
    #[test]
    fn placement_is_sound(lengths in prop::collection::vec(1u64..2000, 1..20), page_chunks in 1u64..20) {
        let page = page_chunks * CHUNK;
        let placement = place(&lengths, page * 4, CHUNK);
        let mut taken: Vec<(usize, u64, u64)> = Vec::new();
        for (length, pieces) in lengths.iter().zip(&placement.pieces) {
            prop_assert_eq!(pieces.iter().map(|piece| piece.elements).sum::<u64>(), *length);
            prop_assert!(pieces.len() == 1 || *length > page);
            for (place, piece) in pieces.iter().enumerate() {
                prop_assert_eq!(piece.offset % 64, 0);
                prop_assert!(piece.offset + piece.elements <= placement.pages[piece.page]);
                prop_assert!(place + 1 == pieces.len() || piece.elements % CHUNK == 0);
                let (start, end) = (piece.offset, piece.offset + piece.elements);
                prop_assert!(taken.iter().all(|(w, s, e)| *w != piece.page || end <= *s || *e <= start));
                taken.push((piece.page, start, end));
            }
        }
        prop_assert!(placement.pages.iter().all(|elements| *elements <= page && *elements > 0));
    }

    /// An order visits every place once.
    #[test]
    fn orders_are_bijections(count in 1u32..3000, key: u32) {
        let mut seen: Vec<u32> = (0..count).map(|place| shuffled(place, count, key)).collect();
        seen.sort_unstable();
        prop_assert!(seen.iter().copied().eq(0..count));
    }

    /// Rows asked for in parts are the rows asked for at once.
    #[test]
    fn rows_do_not_depend_on_where_a_horizon_ends(steps in 1u64..60, cut in 0u64..60, lr in 0.0f64..1.0) {
        let base = [Row::adamw(lr), Row::adamw(lr / 3.0)];
        let law = [FieldLaw::new(Field::Lr, Cosine::new(steps, Level::Ratio(0.1)).expect("a law"))];
        let cut = cut.min(steps);
        let parts = [rows(&base, &law, 0, cut), rows(&base, &law, cut, steps - cut)].concat();
        prop_assert_eq!(parts, rows(&base, &law, 0, steps));
    }

    /// A schedule of any text is read or refused, never a panic.
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z:{}\\[\\], .0-9\\n&*!|>-]{0,200}") {
        let _ = Spec::parse("any.yaml", &text);
    }

    /// The name itself is always the nearest.
    #[test]
    fn a_name_is_nearest_to_itself(names in prop::collection::vec("[a-z_.]{1,12}", 1..8), pick: prop::sample::Index) {
        let name = pick.get(&names);
        prop_assert_eq!(nearest(name, names.iter().map(String::as_str)), Some(name.as_str()));
    }
}
