//! A picture of a plan, as SVG.
//!
//! No background and colours of middle lightness: it reads on a white page and on a dark one.

use super::plan::{Curve, Rows, short, spans};
use anyhow::anyhow;
use gradus::params::Field;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Units of the picture a pixel: plotters draws at whole units only.
const FINE: u32 = 8;
const WIDTH: u32 = 720;
const PANEL: u32 = 270;
/// Left of the plot: the margin, then the labels.
const MARGIN: u32 = 8;
const LABELS: u32 = 68;

const INK: RGBColor = RGBColor(118, 124, 132);
const COLORS: [RGBColor; 4] =
    [RGBColor(38, 128, 224), RGBColor(226, 106, 30), RGBColor(24, 152, 96), RGBColor(168, 88, 208)];

type Panel<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One panel for the lr, one more for each other field that moves.
pub(super) fn draw(rows: &Rows) -> anyhow::Result<String> {
    let others = rows.fields().filter(|field| *field != Field::Lr && rows.moves(*field));
    let fields: Vec<Field> = [Field::Lr].into_iter().chain(others).collect();
    let (width, height) = (WIDTH, PANEL * fields.len() as u32);
    let mut picture = String::new();
    {
        let whole = SVGBackend::with_string(&mut picture, (width * FINE, height * FINE)).into_drawing_area();
        for (panel_area, field) in whole.split_evenly((fields.len(), 1)).iter().zip(&fields) {
            panel(panel_area, rows, *field).map_err(|error| anyhow!("drawing {field}: {error}"))?;
        }
        whole.present()?;
    }
    // Fine units stay in the view box; the size on the page is in pixels.
    let fine = format!("width=\"{}\" height=\"{}\"", width * FINE, height * FINE);
    Ok(picture.replacen(&fine, &format!("width=\"{width}\" height=\"{height}\""), 1))
}

fn panel(area: &Panel, rows: &Rows, field: Field) -> Result<(), Box<dyn std::error::Error>> {
    let curves = rows.curves(field);
    let (head, body) = area.split_vertically(30 * FINE);
    legend(&head, &curves)?;

    let steps = rows.steps() as f64;
    let (bottom, top) = range(&curves, field);
    let mut chart = ChartBuilder::on(&body)
        .margin_left(MARGIN * FINE)
        .margin_right(28 * FINE)
        .margin_bottom(4 * FINE)
        .margin_top(4 * FINE)
        .x_label_area_size(44 * FINE)
        .y_label_area_size(LABELS * FINE)
        .build_cartesian_2d(0.0..steps, bottom..top)?;
    let unit = rows.steps_per_epoch.map_or("step".to_owned(), |epoch| format!("step ({epoch} steps an epoch)"));
    chart
        .configure_mesh()
        .x_desc(unit)
        .y_desc(field.name())
        .x_labels(8)
        .y_labels(6)
        .x_label_formatter(&|step| format!("{step}"))
        .y_label_formatter(&|value| short(if value.abs() < 1e-9 * top { 0.0 } else { *value }))
        .x_max_light_lines(1)
        .y_max_light_lines(1)
        .axis_style(INK.stroke_width(FINE))
        .bold_line_style(INK.mix(0.25).stroke_width(FINE))
        .light_line_style(TRANSPARENT)
        .label_style(font(12))
        .axis_desc_style(font(13))
        .set_all_tick_mark_size(5 * FINE)
        .draw()?;
    let (across, up) = chart.plotting_area().dim_in_pixel();
    let scale = (f64::from(across) / steps, f64::from(up) / (top - bottom));
    for (curve, color) in curves.iter().zip(COLORS.iter().cycle()) {
        let line = simplified(&points(&curve.values, across as usize / 4), scale);
        chart.draw_series(LineSeries::new(line, color.stroke_width(2 * FINE)))?;
    }
    Ok(())
}

fn font(size: u32) -> TextStyle<'static> {
    // plotters divides by this where it writes a size.
    ("sans-serif", f64::from(size * FINE) * 1.24).into_font().color(&INK)
}

/// Above the curves, so that it never hides one.
fn legend(area: &Panel, curves: &[Curve]) -> Result<(), Box<dyn std::error::Error>> {
    let fine = FINE as i32;
    let (mut x, y) = ((MARGIN + LABELS) as i32 * fine, 17 * fine);
    for (curve, color) in curves.iter().zip(COLORS.iter().cycle()) {
        area.draw(&PathElement::new([(x, y), (x + 22 * fine, y)], color.stroke_width(3 * FINE)))?;
        let text = font(13).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(curve.names.clone(), (x + 28 * fine, y), text))?;
        x += (28 + 8 * curve.names.len() as i32 + 24) * fine;
    }
    Ok(())
}

/// From 0, but for a field that keeps far from it.
fn range(curves: &[Curve], field: Field) -> (f64, f64) {
    let values = || curves.iter().flat_map(|curve| curve.values.iter().copied());
    let lowest = values().fold(f64::INFINITY, f64::min);
    let highest = values().fold(0.0, f64::max);
    if highest == 0.0 {
        (0.0, 1.0)
    } else if field == Field::Lr || lowest < 0.5 * highest {
        (0.0, 1.05 * highest)
    } else {
        let room = 0.1 * (highest - lowest);
        (lowest - room, highest + room)
    }
}

/// A curve as (step, value), with no more than about four points a column.
fn points(values: &[f64], columns: usize) -> Vec<(f64, f64)> {
    if let [only] = values {
        return vec![(0.0, *only), (1.0, *only)];
    }
    if values.len() <= 4 * columns {
        return values.iter().enumerate().map(|(step, value)| (step as f64, *value)).collect();
    }
    let width = values.len() as f64 / columns as f64;
    let place = |(column, value): (usize, f64)| ((column as f64 * width / 4.0), value);
    let four = spans(values, columns).flat_map(|span| {
        let falls = span.first > span.last;
        let (second, third) = if falls { (span.highest, span.lowest) } else { (span.lowest, span.highest) };
        [span.first, second, third, span.last]
    });
    four.enumerate().map(place).collect()
}

/// The curve without the points that lie on the line between their neighbours, to a unit of the picture.
///
/// A swinging door: from the last point kept, the slopes that pass every point since; when none is left, the point
/// before is kept.
fn simplified(points: &[(f64, f64)], (across, up): (f64, f64)) -> Vec<(f64, f64)> {
    let [first, rest @ ..] = points else { return Vec::new() };
    let mut kept = vec![*first];
    let (mut from, mut before) = (*first, *first);
    let (mut lowest, mut highest) = (f64::NEG_INFINITY, f64::INFINITY);
    let slopes = |from: (f64, f64), to: (f64, f64)| {
        let (x, y) = ((to.0 - from.0) * across, (to.1 - from.1) * up);
        ((y - 1.0) / x, (y + 1.0) / x)
    };
    for point in rest {
        let (low, high) = slopes(from, *point);
        lowest = lowest.max(low);
        highest = highest.min(high);
        if lowest > highest {
            kept.push(before);
            from = before;
            (lowest, highest) = slopes(from, *point);
        }
        before = *point;
    }
    kept.push(before);
    kept
}
