//! Twin of `shaders/optim/keep.wgsl`.

use crate::twin::shared::{Span, Standing};

/// Copies spans of a page where the latest evaluation was the best, or where any was.
pub fn keep(standing: &Standing, spans: &[Span], source: &[[u32; 4]], copies: &mut [[u32; 4]], where_known: bool) {
    let is_wanted = if where_known { standing.known } else { standing.best };
    for span in spans.iter().filter(|_| is_wanted != 0) {
        let [from, to, quads] = [span.source, span.copy, span.quads].map(|count| count as usize);
        copies[to..to + quads].copy_from_slice(&source[from..from + quads]);
    }
}
