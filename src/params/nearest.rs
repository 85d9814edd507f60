//! The nearest valid name, for error messages.

/// Letters that a beginning has at least, to stand for a longer name.
const BEGINNING: usize = 3;

/// The candidate with the fewest edits from `name`, if that is at most a third of its letters (and at least two); else the
/// only one that begins with it.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let letters = name.chars().count();
    let within = (letters / 3).max(2);
    candidates
        .iter()
        // As many edits are needed as one is longer than the other.
        .filter(|candidate| candidate.chars().count().abs_diff(letters) <= within)
        .map(|candidate| (edits(name, candidate), *candidate))
        .filter(|(edits, _)| *edits <= within)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
        .or_else(|| {
            let mut longer = candidates.iter().filter(|candidate| letters >= BEGINNING && candidate.starts_with(name));
            longer.next().filter(|_| longer.next().is_none()).copied()
        })
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = above[j] + usize::from(x != *y);
            row.push(replaced.min(above[j + 1] + 1).min(row[j] + 1));
        }
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_a_slip_of_the_pen_and_no_more() {
        assert_eq!(nearest("weigth_decay", ["lr", "weight_decay"]), Some("weight_decay"));
        assert_eq!(nearest("head", ["heads", "trunk"]), Some("heads"));
        assert_eq!(nearest("encoder", ["lr", "eps"]), None);
    }

    #[test]
    fn finds_what_a_name_is_the_beginning_of() {
        assert_eq!(nearest("val_acc", ["train_loss", "val_loss", "val_accuracy"]), Some("val_accuracy"));
        assert_eq!(nearest("val", ["val_loss_of_all", "val_accuracy"]), None, "it may be either");
        assert_eq!(nearest("ep", ["epochs_in_all"]), None);
    }
}
