//! Labels that a model knows.

use super::error::near;
use crate::params::{Shown, shown_list};
use std::collections::HashMap;

/// Labels in the order of the outputs.
pub(super) struct Known {
    pub(super) labels: Vec<String>,
    places: HashMap<String, u32>,
}

impl Known {
    pub(super) fn new(labels: Vec<String>) -> Known {
        let places = labels.iter().cloned().zip(0..).collect();
        Known { labels, places }
    }

    /// The place of a label among the outputs.
    pub(super) fn place(&self, label: &str) -> Option<u32> {
        self.places.get(label).copied()
    }

    /// What is wrong with a label of the train set.
    pub(super) fn not_named(&self, label: &str) -> Option<String> {
        let words = || {
            let (shown, near, known) = (Shown(label), near(label, &self.labels), shown_list(&self.labels));
            format!("the label {shown:?} is not in data.classes{near}, which are {known}")
        };
        self.place(label).is_none().then(words)
    }

    /// What is wrong with a label of the test set.
    pub(super) fn not_trained(&self, label: &str) -> Option<String> {
        let words = || {
            let (shown, near, known) = (Shown(label), near(label, &self.labels), shown_list(&self.labels));
            format!("the label {shown:?} is not in the train set{near}; its labels are {known}")
        };
        self.place(label).is_none().then(words)
    }

    /// 1 for each of these labels, 0 for the others.
    pub(super) fn marks(&self, said: &[String]) -> Vec<f32> {
        let mut marks = vec![0.0; self.labels.len()];
        said.iter().filter_map(|label| self.place(label)).for_each(|place| marks[place as usize] = 1.0);
        marks
    }
}
