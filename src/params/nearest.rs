//! The nearest valid name, for error messages.

use super::Shown;

/// The fewest letters of a beginning that suggests a longer name.
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

/// What a message adds for a nearest name.
pub(crate) fn did_you_mean(nearest: &Option<impl AsRef<str>>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!(" (did you mean {:?}?)", Shown(name.as_ref())))
}

/// The three candidates closest to `name`: first [`nearest`], if any, then by edits and by shared pairs of letters,
/// which finds a word among others.
pub fn nearest_three<'a>(name: &str, candidates: &[&'a str]) -> Vec<&'a str> {
    let first = nearest(name, candidates.iter().copied());
    let likeness = |candidate: &str| if first == Some(candidate) { f64::INFINITY } else { likeness(name, candidate) };
    let mut sorted = candidates.to_vec();
    // Of two that are equally like it the one that is listed first.
    sorted.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
    sorted.truncate(3);
    sorted
}

/// From 0 to 1.
fn likeness(a: &str, b: &str) -> f64 {
    let letters = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    let (left, right) = (letters(a), letters(b));
    let longest = left.len().max(right.len()).max(1) as f64;
    let kept = 1.0 - edits(&a.to_lowercase(), &b.to_lowercase()) as f64 / longest;
    let pairs = (left.len() + right.len()).saturating_sub(2).max(1) as f64;
    let mut others: Vec<&[char]> = right.windows(2).collect();
    let shared = left.windows(2).filter(|pair| {
        let found = others.iter().position(|other| other == pair);
        found.map(|place| others.swap_remove(place)).is_some()
    });
    kept.max(2.0 * shared.count() as f64 / pairs)
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
    use super::{nearest, nearest_three};

    #[test]
    fn finds_a_slip_of_the_pen_and_no_more() {
        assert_eq!(nearest("weigth_decay", ["lr", "weight_decay"]), Some("weight_decay"));
        assert_eq!(nearest("head", ["heads", "trunk"]), Some("heads"));
        assert_eq!(nearest("encoder", ["lr", "eps"]), None);
    }

    #[test]
    fn the_nearest_three_begin_with_the_nearest() {
        let keys = ["name", "output", "model", "epochs", "batch_size", "base_batch_size", "checkpoint_every_steps"];
        assert_eq!(nearest_three("modle", &keys)[0], "model");
        assert_eq!(nearest_three("Max_Epochs", &keys)[0], "epochs", "a word among others, in any case");
        assert_eq!(nearest_three("per_device_batch_size", &keys)[..2], ["base_batch_size", "batch_size"]);
        assert_eq!(nearest_three("save_every", &keys)[0], "checkpoint_every_steps");
        assert_eq!(nearest_three("", &keys), ["name", "output", "model"]);
        assert_eq!(nearest_three("é", &["a"]), ["a"]);
    }

    #[test]
    fn finds_what_a_name_is_the_beginning_of() {
        assert_eq!(nearest("val_acc", ["train_loss", "val_loss", "val_accuracy"]), Some("val_accuracy"));
        assert_eq!(nearest("val", ["val_loss_of_all", "val_accuracy"]), None, "it may be either");
        assert_eq!(nearest("ep", ["epochs_in_all"]), None);
    }
}
