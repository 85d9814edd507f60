//! The worst mistakes of a model of pictures: those of the test set that it takes for another class with the most certainty.

use super::answers::softmax;
use super::ready::Ready;
use super::report_text::escaped;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gradus::data::{Pictures, to_png};
use gradus::engine::Engine;
use gradus::run::Trained;
use gradus::train::{Predictor, Questions, Wanted, files};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::Path;

/// A line for each mistake, the worst first.
pub(super) const FILE: &str = "mistakes.json";

/// So many are shown.
const MOST: usize = 24;

/// Pictures of a pass.
const BATCH: usize = 64;

/// A picture that was taken for another class.
#[derive(Serialize, Deserialize)]
struct Mistake {
    label: String,
    predicted: String,
    probability: f32,
    /// The picture as PNG, in base 64.
    png: String,
}

/// Writes those of a run that has ended; nothing if its model reads no pictures.
pub(super) fn write(folder: &Path, engine: &Engine, ready: &Ready) -> anyhow::Result<()> {
    let Some(tested) = &ready.material.pictures else { return Ok(()) };
    let values = Trained::of_run(folder, false)?.values()?;
    let predictor = Predictor::new(engine, &ready.material.model, &values)?;
    let classes = &ready.material.inputs.classes;
    let mut wrong: Vec<(f32, usize, usize)> = Vec::new();
    let mut labels = tested.labels().iter().enumerate();
    predictor.each(&Questions::Pictures(tested.clone()), (Wanted::Outputs, classes.len()), BATCH, |logits| {
        let Some((place, label)) = labels.next() else { return };
        let (predicted, probability) = likeliest(logits);
        if predicted != *label as usize && probability.is_finite() {
            wrong.push((probability, place, predicted));
        }
    })?;
    wrong.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    wrong.truncate(MOST);
    let mistake = |(probability, place, predicted): (f32, usize, usize)| {
        let png = to_png(tested.size(), &bytes_of(tested, place)).map_err(anyhow::Error::msg)?;
        let name = |class: usize| classes.get(class).cloned().unwrap_or_default();
        let (label, predicted) = (name(tested.labels()[place] as usize), name(predicted));
        Ok(Mistake { label, predicted, probability, png: STANDARD.encode(png) })
    };
    let mistakes = wrong.into_iter().map(mistake).collect::<anyhow::Result<Vec<Mistake>>>()?;
    Ok(files::replace(&folder.join(FILE), serde_json::to_string(&mistakes)?.as_bytes())?)
}

/// Their section in the report; empty without any. A damaged file has none.
pub(super) fn section(folder: &Path) -> anyhow::Result<String> {
    let text = files::read_text(&folder.join(FILE)).unwrap_or_default();
    let mistakes: Vec<Mistake> = serde_json::from_str(&text).unwrap_or_default();
    let is_picture = |mistake: &&Mistake| STANDARD.decode(&mistake.png).is_ok();
    let mistakes: Vec<&Mistake> = mistakes.iter().filter(is_picture).take(MOST).collect();
    if mistakes.is_empty() {
        return Ok(String::new());
    }
    let mut section = "<h2>Worst mistakes</h2>\n<p class=\"soft\">Pictures of the test set that the last parameters take for another \
                       class, the most certain first.</p>\n<div class=\"grid\">\n"
        .to_owned();
    for Mistake { label, predicted, probability, png } in mistakes {
        let (label, predicted) = (escaped(label), escaped(predicted));
        writeln!(
            section,
            "<figure><img alt=\"{label}\" src=\"data:image/png;base64,{png}\"><figcaption>{predicted}, {:.0} %<br><span \
             class=\"soft\">is {label}</span></figcaption></figure>",
            100.0 * probability
        )?;
    }
    section.push_str("</div>\n");
    Ok(section)
}

/// The class with the highest logit, and its share.
fn likeliest(logits: &[f32]) -> (usize, f32) {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let place = logits.iter().position(|logit| *logit == highest).unwrap_or_default();
    (place, softmax(logits)[place])
}

/// `[height, width, 3]` bytes of a picture.
fn bytes_of(set: &Pictures, place: usize) -> Vec<u8> {
    let pixels = set.size()[0] * set.size()[1];
    let words = &set.pixels()[place * pixels..][..pixels];
    words.iter().flat_map(|word| word.to_le_bytes()[..3].to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_class_comes_with_its_share() {
        let (place, share) = likeliest(&[1.0, 3.0, 2.0]);
        assert_eq!(place, 1);
        assert!((share - 0.665_241).abs() < 1e-5, "{share}");
        assert!(!likeliest(&[f32::NAN, f32::NAN]).1.is_finite());
    }

    #[test]
    fn what_a_folder_holds_is_escaped_or_left_out() {
        let folder = std::env::temp_dir().join(format!("gradus-mistakes-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let write = |text: &str| std::fs::write(folder.join(FILE), text).expect("a file");
        write(
            "[{\"label\": \"<b>\", \"predicted\": \"x&y\", \"probability\": 0.5, \"png\": \"AAAA\"}, \
               {\"label\": \"l\", \"predicted\": \"p\", \"probability\": 0.5, \"png\": \"\\\"><script>\"}]",
        );
        let shown = section(&folder).expect("a section");
        assert!(shown.contains("&lt;b&gt;") && shown.contains("x&amp;y, 50 %"), "{shown}");
        assert!(!shown.contains("<script>") && !shown.contains("<b>"), "{shown}");
        write("no json");
        assert_eq!(section(&folder).expect("a section"), "");
        let _ = std::fs::remove_dir_all(&folder);
    }
}
