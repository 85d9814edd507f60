//! A chart in plain characters, at most 80 columns wide.

use super::rates::{Rows, Span, short, spans};
use gradus::params::Field;

const WIDTH: usize = 64;
/// Odd: the middle mark of the middle row is half of the highest value.
const HEIGHT: usize = 11;
/// Marks within a cell, from its lower third to its upper one.
const MARKS: [char; 3] = ['.', '-', '\''];
/// Parts of the axis of steps.
const TICKS: usize = 4;
/// The column where the labels of the vertical axis end.
const MARGIN: usize = 10;

/// The lr of every group over the steps; groups that follow the same curve share one chart.
pub(super) fn draw(rows: &Rows) -> String {
    let mut text = String::new();
    for curve in rows.curves(Field::Lr) {
        text.push_str(&format!("\nlr of {}\n", curve.names));
        text.push_str(&plot(&curve.values));
        text.push_str(&axis(rows));
    }
    text
}

/// Values from left to right, from 0 up to the highest.
pub(super) fn plot(values: &[f64]) -> String {
    let top = values.iter().copied().fold(0.0, f64::max);
    let top = if top > 0.0 { top } else { 1.0 };
    // In thirds of a cell, from the lowest up.
    let level = |value: f64| (value / top * (HEIGHT * MARKS.len() - 1) as f64).round() as usize;

    let mut cells = vec![[' '; WIDTH]; HEIGHT];
    let mut before: Option<Span> = None;
    for (column, span) in spans(values, WIDTH).enumerate() {
        let (mut low, mut high) = (level(span.lowest), level(span.highest));
        if let Some(before) = before {
            // If the curve jumps between two columns, the later one shows it.
            let from = level(before.last);
            if from + MARKS.len() < low {
                low = from + MARKS.len();
            } else if from > high + MARKS.len() {
                high = from - MARKS.len();
            }
        }
        if high - low < 2 * MARKS.len() - 1 {
            let middle = (low + high) / 2;
            cells[middle / MARKS.len()][column] = MARKS[middle % MARKS.len()];
        } else {
            cells[low / MARKS.len()..=high / MARKS.len()].iter_mut().for_each(|row| row[column] = '|');
        }
        before = Some(span);
    }

    let mut text = String::new();
    for (row, cells) in cells.iter().enumerate().rev() {
        let label = match row {
            0 => "0".to_owned(),
            row if row == HEIGHT - 1 => short(top),
            row if row == HEIGHT / 2 => short(top / 2.0),
            _ => String::new(),
        };
        let line: String = cells.iter().collect();
        text.push_str(&format!("{label:>MARGIN$} |{}\n", line.trim_end()));
    }
    text
}

/// The line of steps and, if an epoch's length is known, of epochs.
fn axis(rows: &Rows) -> String {
    let line: String = (0..=WIDTH).map(|column| if column % (WIDTH / TICKS) == 0 { '+' } else { '-' }).collect();
    let steps = rows.steps() as f64;
    let mut text = format!("{:MARGIN$} {line}\n{}", "", ticks("step", steps));
    if let Some(epoch) = rows.steps_per_epoch {
        text.push_str(&ticks("epoch", steps / epoch as f64));
    }
    text
}

/// Labels below the ticks, from 0 to `end`.
fn ticks(unit: &str, end: f64) -> String {
    let mut line = format!("{unit:>width$}", width = MARGIN - 1);
    for tick in 0..=TICKS {
        // In hundredths if it is not whole.
        let label = format!("{}", (100.0 * end * tick as f64 / TICKS as f64).round() / 100.0);
        let middle = MARGIN + 1 + tick * WIDTH / TICKS;
        let start = (middle - label.len() / 2).min(80 - label.len());
        line = format!("{line:start$}{label}");
    }
    line.push('\n');
    line
}
