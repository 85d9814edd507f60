//! The confusion matrix of a run's last evaluation: its file, and its part of the report.

use super::picture::{COLORS, FINE, INK, font, in_pixels};
use super::report_text::{escaped, number};
use anyhow::{Context, anyhow};
use gradus::params::{Shown, shown_path};
use gradus::train::{Confusion, files};
use plotters::coord::ranged1d::SegmentValue;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// `[[…], …]`: a row for each class, and in it how often its rows were answered with each.
pub(super) const FILE: &str = "confusion.json";

/// Most bytes of it that are read.
const MOST_BYTES: u64 = 64 << 20;

/// More classes have no picture.
const MOST_DRAWN: usize = 64;

/// More classes have no numbers in the picture, and no columns in the table.
const MOST_NUMBERED: usize = 16;

/// More classes are not in the table.
const MOST_ROWS: usize = 1000;

/// Pixels of the picture without its names, and those of names.
const SIDE: u32 = 560;
const NAMES: u32 = 130;

/// Writes the matrix instead of the one before.
pub(super) fn write(folder: &Path, confusion: &Confusion) -> anyhow::Result<()> {
    let rows: Vec<Vec<u32>> = confusion.into();
    Ok(files::replace(&folder.join(FILE), serde_json::to_string(&rows)?.as_bytes())?)
}

/// Its section in the report; `inputs` is the file that names the classes. Empty without a matrix.
pub(super) fn section(folder: &Path, inputs: &str) -> anyhow::Result<String> {
    let Some(confusion) = read(&folder.join(FILE))?
        .and_then(|text| Confusion::of_rows(&serde_json::from_str::<Vec<Vec<u32>>>(&text).ok()?))
    else {
        return Ok(String::new());
    };
    if confusion.classes() == 0 {
        return Ok(String::new());
    }
    let names = names(folder, inputs, confusion.classes());
    let mut section = "<h2>Classes in the last evaluation</h2>\n".to_owned();
    if confusion.classes() <= MOST_DRAWN {
        section.push_str("<p class=\"soft\">A row is a class, a column a prediction.</p>\n");
        section.push_str(&draw(&confusion, &names)?);
    }
    section.push_str(&table(&confusion, &names)?);
    Ok(section)
}

/// The text of a file; `None` if it is missing or not ours.
fn read(path: &Path) -> anyhow::Result<Option<String>> {
    let mut text = String::new();
    match files::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        opened => {
            let file = opened.with_context(|| format!("reading {}", shown_path(path)))?;
            Ok(file.take(MOST_BYTES).read_to_string(&mut text).ok().map(|_| text))
        }
    }
}

/// The names of the classes, or their numbers.
fn names(folder: &Path, inputs: &str, classes: usize) -> Vec<String> {
    let text = read(&folder.join(inputs)).ok().flatten().unwrap_or_default();
    let inputs: Value = serde_json::from_str(&text).unwrap_or_default();
    let named = inputs["classes"].as_array().filter(|names| names.len() == classes);
    let name = |class: usize| named.and_then(|names| names[class].as_str()).map(|name| Shown(name).to_string());
    (0..classes).map(|class| name(class).unwrap_or_else(|| class.to_string())).collect()
}

/// The matrix; the more of a class's rows are in a cell, the fuller its colour.
fn draw(confusion: &Confusion, names: &[String]) -> anyhow::Result<String> {
    let (width, height) = (SIDE + NAMES, SIDE + 60);
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, (width * FINE, height * FINE)).into_drawing_area();
        cells(&area, confusion, names).map_err(|error| anyhow!("drawing the confusion matrix: {error}"))?;
        area.present()?;
    }
    Ok(in_pixels(&picture, width, height))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn cells(area: &Area, confusion: &Confusion, names: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let classes = confusion.classes();
    let name = |place: &SegmentValue<usize>, reversed: bool| match place {
        SegmentValue::CenterOf(place) if *place < classes => {
            let name = &names[if reversed { classes - 1 - place } else { *place }];
            // Names across the page have the room of a column.
            let most = if reversed { 18 } else { (SIDE as usize / classes / 7).max(2) };
            if name.chars().count() <= most {
                name.clone()
            } else {
                name.chars().take(most - 1).chain(['…']).collect()
            }
        }
        _ => String::new(),
    };
    let mut axes = ChartBuilder::on(area)
        .margin_right(8 * FINE)
        .margin_top(8 * FINE)
        .x_label_area_size(44 * FINE)
        .y_label_area_size(NAMES * FINE)
        .build_cartesian_2d((0..classes - 1).into_segmented(), (0..classes - 1).into_segmented())?;
    axes.configure_mesh()
        .disable_mesh()
        .x_labels(classes)
        .y_labels(classes)
        .x_label_formatter(&|place| name(place, false))
        .y_label_formatter(&|place| name(place, true))
        .axis_style(INK.stroke_width(FINE))
        .label_style(font(11))
        .set_all_tick_mark_size(0)
        .draw()?;
    let edge = |place: usize| if place == classes { SegmentValue::Last } else { SegmentValue::Exact(place) };
    let middle = Pos::new(HPos::Center, VPos::Center);
    for class in 0..classes {
        let (row, up) = (confusion.row(class), classes - 1 - class);
        let rows: u64 = row.iter().map(|cell| u64::from(*cell)).sum();
        for (answer, cell) in row.iter().enumerate() {
            let share = f64::from(*cell) / rows.max(1) as f64;
            let corners = [(edge(answer), edge(up)), (edge(answer + 1), edge(up + 1))];
            let fill = COLORS[usize::from(answer != class)].mix(share.max(0.03));
            axes.draw_series([Rectangle::new(corners, fill.filled())])?;
            if classes <= MOST_NUMBERED {
                let center = (SegmentValue::CenterOf(answer), SegmentValue::CenterOf(up));
                let style = font(11).color(if share > 0.5 { &WHITE } else { &INK }).pos(middle);
                axes.draw_series([Text::new(cell.to_string(), center, style)])?;
            }
        }
    }
    Ok(())
}

/// Precision, recall and F1 of each class; its row of the matrix if there are few classes.
fn table(confusion: &Confusion, names: &[String]) -> anyhow::Result<String> {
    let classes = confusion.classes();
    let answers = if classes <= MOST_NUMBERED { classes } else { 0 };
    let mut table =
        "<details><summary>precision, recall and F1 of each class</summary><table>\n<tr><th class=\"text\">class</th>\
                     <th>rows</th><th>precision</th><th>recall</th><th>F1</th>"
            .to_owned();
    for name in &names[..answers] {
        write!(table, "<th>{}</th>", escaped(name))?;
    }
    table.push_str("</tr>\n");
    for (class, score) in confusion.scores().iter().enumerate().take(MOST_ROWS) {
        let numbers = [score.precision, score.recall, score.f1].map(|share| number(Some(share), 4)).join("</td><td>");
        write!(
            table,
            "<tr><td class=\"text\">{}</td><td>{}</td><td>{numbers}</td>",
            escaped(&names[class]),
            score.rows
        )?;
        for cell in &confusion.row(class)[..answers] {
            write!(table, "<td>{cell}</td>")?;
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</table></details>\n");
    Ok(table)
}
