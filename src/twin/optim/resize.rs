//! Twin of `shaders/optim/resize.wgsl`.

use crate::twin::shared::{FRESH, Resize, StatsBlock, ZERO, split_control_mut};

/// Rows of a tensor that grows or shrinks, from one piece of the old one to one piece of the new one. Elements are words, or
/// halves of them.
pub fn resize<T: Copy + Default>(rows: &[u32], control: &mut [u32], old: &[T], new: &mut [T], resize: &Resize) {
    let (stats, ..) = split_control_mut(control);
    for place in 0..resize.new_elements {
        let source = source_of(rows, resize.new_first + place, resize, stats);
        let at = (resize.new_at + place) as usize;
        match source {
            None if resize.is_first != 0 => new[at] = T::default(),
            None => {}
            Some(source) => {
                let behind = source.wrapping_sub(resize.old_first);
                if behind < resize.old_elements {
                    new[at] = old[(resize.old_at + behind) as usize];
                }
            }
        }
    }
}

/// The old element that a new one is, if it does not begin anew.
fn source_of(rows: &[u32], element: u32, resize: &Resize, stats: &mut StatsBlock) -> Option<u32> {
    let (index, column) = (rows[(element / resize.width) as usize], element % resize.width);
    if index == ZERO || resize.is_state != 0 && index & FRESH != 0 {
        return None;
    }
    let row = index & !FRESH;
    if row >= resize.rows {
        stats.lost_rows += u32::from(resize.is_counting != 0 && column == 0);
        return None;
    }
    Some(row * resize.width + column)
}
