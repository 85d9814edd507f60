//! Where arrays lie in an arena.
//!
//! An arena is a list of pages, each at most as large as the device can bind. An array starts at a 256-byte boundary. One
//! that fits a page lies in one page; a larger one is cut at multiples of a chunk, so that no chunk crosses a page and
//! results do not depend on the page size.

/// Most bytes of a page and of a binding on any device. Some report tens of GiB, but an index in a shader reaches 4 GiB
/// at most, and accesses beyond are clamped to one element. Half of that is safe everywhere.
pub(crate) const MOST_PAGE_BYTES: u64 = 2 << 30;

/// Elements (of 4 bytes) between boundaries where an array of f32 may start: 256 bytes, the strictest binding alignment.
pub(crate) const ALIGNMENT_ELEMENTS: u64 = 64;

/// Elements of an array inside one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which page.
    pub page: usize,
    /// First element inside the page.
    pub offset: u64,
    /// How many elements.
    pub elements: u64,
}

/// Where several arrays lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// For each array its pieces, in order.
    pub pieces: Vec<Vec<Piece>>,
    /// Elements of each page, whole alignment steps.
    pub pages: Vec<u64>,
}

/// Places arrays of these lengths (in elements of 4 bytes) one after the other into pages of at most `page_bytes`.
/// An array longer than a page is cut at multiples of `chunk_elements`, itself a multiple of 64; a page is never made
/// smaller than one chunk.
pub fn place(lengths: &[u64], page_bytes: u64, chunk_elements: u64) -> Placement {
    place_at(ALIGNMENT_ELEMENTS, lengths, page_bytes, chunk_elements)
}

/// The same with boundaries so many elements apart, a multiple of 64 that divides `chunk_elements`.
pub(crate) fn place_at(alignment: u64, lengths: &[u64], page_bytes: u64, chunk_elements: u64) -> Placement {
    let page_elements = (page_bytes / 4 / alignment * alignment).max(chunk_elements);
    let mut placement = Placement::default();
    for &length in lengths {
        let mut pieces = Vec::new();
        let mut left = length;
        while left > 0 || pieces.is_empty() {
            let used = placement.pages.last().copied().unwrap_or(page_elements);
            let room = page_elements - used;
            let elements = if left <= room {
                left
            } else if length <= page_elements {
                0
            } else {
                room / chunk_elements * chunk_elements
            };
            if elements == 0 && (left > 0 || placement.pages.is_empty()) {
                placement.pages.push(0);
                continue;
            }
            let page = placement.pages.len() - 1;
            pieces.push(Piece { page, offset: used, elements });
            placement.pages[page] = (used + elements).next_multiple_of(alignment);
            left -= elements;
        }
        placement.pieces.push(pieces);
    }
    placement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_page_holds_what_fits() {
        let placement = place(&[1, 64, 65, 0], 4096, 64);
        let offsets: Vec<u64> = placement.pieces.iter().map(|pieces| pieces[0].offset).collect();
        assert_eq!(offsets, [0, 64, 128, 256]);
        assert_eq!(placement.pages, [256]);
    }

    #[test]
    fn an_array_that_fits_a_page_is_not_cut() {
        let placement = place(&[100, 60], 512, 64);
        assert_eq!(placement.pieces[1], [Piece { page: 1, offset: 0, elements: 60 }]);
        assert_eq!(placement.pages, [128, 64]);
    }

    #[test]
    fn pages_of_the_largest_size_are_filled_to_their_edge() {
        const PAGE: u64 = MOST_PAGE_BYTES / 4;
        // What a device binds may be 256 bytes less.
        for page in [PAGE, PAGE - 64] {
            let placement = place(&[page, 1, page - 64, 3 * page + 5], 4 * page, 4096);
            assert_eq!(placement.pieces[0], [Piece { page: 0, offset: 0, elements: page }]);
            assert_eq!(placement.pieces[1], [Piece { page: 1, offset: 0, elements: 1 }]);
            assert_eq!(placement.pieces[2], [Piece { page: 1, offset: 64, elements: page - 64 }]);
            let long = &placement.pieces[3];
            assert_eq!(long.iter().map(|piece| piece.elements).sum::<u64>(), 3 * page + 5);
            let (last, cut) = long.split_last().expect("pieces");
            assert!(cut.iter().all(|piece| piece.elements % 4096 == 0), "{long:?}");
            assert!(long.iter().all(|piece| piece.offset + piece.elements <= page), "{long:?}");
            assert!(placement.pages.iter().all(|elements| *elements <= page) && last.page == placement.pages.len() - 1);
        }
    }

    #[test]
    fn a_long_array_is_cut_at_chunks() {
        let placement = place(&[10, 300], 512, 64);
        let pieces = [(0, 64, 64), (1, 0, 128), (2, 0, 108)];
        let expected: Vec<Piece> =
            pieces.iter().map(|&(page, offset, elements)| Piece { page, offset, elements }).collect();
        assert_eq!(placement.pieces[1], expected);
    }
}
