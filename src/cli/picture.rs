//! A picture of a plan, as SVG.
//!
//! No background and colours of middle lightness: it reads on a white page and on a dark one.

use super::rates::{Curve, Rows, short, spans};
use anyhow::anyhow;
use gradus::params::Field;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Units of the picture a pixel: plotters draws at whole units only.
pub(super) const FINE: u32 = 8;
const WIDTH: u32 = 720;
const PANEL: u32 = 270;
/// Above the plot, where epochs are known: their ticks and numbers.
const EPOCHS: u32 = 36;
/// Left of the plot: the margin, then the labels.
const MARGIN: u32 = 8;
const LABELS: u32 = 68;

pub(super) const INK: RGBColor = RGBColor(118, 124, 132);
pub(super) const COLORS: [RGBColor; 4] =
    [RGBColor(38, 128, 224), RGBColor(226, 106, 30), RGBColor(24, 152, 96), RGBColor(168, 88, 208)];

type Panel<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One panel for the lr, one more for each other field that moves.
pub(super) fn draw(rows: &Rows) -> anyhow::Result<String> {
    let others = rows.fields().filter(|field| *field != Field::Lr && rows.moves(*field));
    let fields: Vec<Field> = [Field::Lr].into_iter().chain(others).collect();
    let panel_height = PANEL + if rows.steps_per_epoch.is_some() { EPOCHS } else { 0 };
    let (width, height) = (WIDTH, panel_height * fields.len() as u32);
    let mut picture = String::new();
    {
        let whole = SVGBackend::with_string(&mut picture, (width * FINE, height * FINE)).into_drawing_area();
        for (panel_area, field) in whole.split_evenly((fields.len(), 1)).iter().zip(&fields) {
            panel(panel_area, rows, *field).map_err(|error| anyhow!("drawing {field}: {error}"))?;
        }
        whole.present()?;
    }
    Ok(in_pixels(&picture, width, height))
}

/// Fine units stay in the view box; the size on the page is in pixels.
pub(super) fn in_pixels(picture: &str, width: u32, height: u32) -> String {
    let fine = format!("width=\"{}\" height=\"{}\"", width * FINE, height * FINE);
    picture.replacen(&fine, &format!("width=\"{width}\" height=\"{height}\""), 1)
}

fn panel(area: &Panel, rows: &Rows, field: Field) -> Result<(), Box<dyn std::error::Error>> {
    let curves = rows.curves(field);
    let (head, body) = area.split_vertically(30 * FINE);
    legend(&head, &curves)?;

    let steps = rows.steps() as f64;
    let (bottom, top) = range(&curves, field);
    let epochs = rows.steps_per_epoch.map(|epoch| steps / epoch as f64);
    let mut chart = ChartBuilder::on(&body)
        .margin_left(MARGIN * FINE)
        .margin_right(28 * FINE)
        .margin_bottom(4 * FINE)
        .margin_top(4 * FINE)
        .x_label_area_size(44 * FINE)
        .top_x_label_area_size(if epochs.is_some() { EPOCHS * FINE } else { 0 })
        .y_label_area_size(LABELS * FINE)
        .build_cartesian_2d(0.0..steps, bottom..top)?
        .set_secondary_coord(0.0..epochs.unwrap_or(1.0), bottom..top);
    chart
        .configure_mesh()
        .x_desc("step")
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
    if epochs.is_some() {
        chart
            .configure_secondary_axes()
            .x_desc("epoch")
            .x_labels(8)
            .x_label_formatter(&|epoch| short(*epoch))
            .axis_style(INK.stroke_width(FINE))
            .label_style(font(12))
            .axis_desc_style(font(13))
            .set_all_tick_mark_size(5 * FINE)
            .draw()?;
    }
    let (across, up) = chart.plotting_area().dim_in_pixel();
    let scale = (f64::from(across) / steps, f64::from(up) / (top - bottom));
    for (curve, color) in curves.iter().zip(COLORS.iter().cycle()) {
        let line = simplified(&upright(&points(&curve.values, across / FINE), scale.1), scale);
        chart.draw_series(LineSeries::new(line, color.stroke_width(2 * FINE)))?;
    }
    Ok(())
}

pub(super) fn font(size: u32) -> TextStyle<'static> {
    // plotters divides by this when it writes a size.
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

/// From 0, except for a field far from it; with some room on both sides, so that no curve touches the frame.
fn range(curves: &[Curve], field: Field) -> (f64, f64) {
    let values = || curves.iter().flat_map(|curve| curve.values.iter().copied());
    let highest = values().fold(0.0, f64::max);
    let lowest = values().fold(f64::INFINITY, f64::min);
    if highest == 0.0 {
        return (-0.05, 1.0);
    }
    let lowest = if field == Field::Lr || lowest < 0.5 * highest { 0.0 } else { lowest };
    let room = 0.05 * (highest - lowest);
    (lowest - room, highest + room)
}

/// A curve as (step, value), for this many pixels.
///
/// A step holds its value until the next one, so if a step is a pixel or wider the curve is a staircase. If a pixel has
/// many steps, each quarter of it has the first, lowest, highest and last value.
fn points(values: &[f64], pixels: u32) -> Vec<(f64, f64)> {
    let pixels = pixels as usize;
    if values.len() <= pixels {
        let stair = |(step, value): (usize, &f64)| [(step as f64, *value), ((step + 1) as f64, *value)];
        return values.iter().enumerate().flat_map(stair).collect();
    }
    if values.len() <= 16 * pixels {
        return values.iter().enumerate().map(|(step, value)| (step as f64, *value)).collect();
    }
    let width = values.len() as f64 / (16 * pixels) as f64;
    let four = spans(values, 4 * pixels).flat_map(|span| {
        let falls = span.first > span.last;
        let (second, third) = if falls { (span.highest, span.lowest) } else { (span.lowest, span.highest) };
        [span.first, second, third, span.last]
    });
    four.enumerate().map(|(place, value)| (place as f64 * width, value)).collect()
}

/// Neighbours so many units of the picture apart are a jump, and no slope.
const JUMP: f64 = 4.0 * FINE as f64;

/// The curve with its jumps upright.
fn upright(points: &[(f64, f64)], up: f64) -> Vec<(f64, f64)> {
    let jump = |pair: &[(f64, f64)]| (pair[1].1 - pair[0].1).abs() * up > JUMP;
    let corner = |pair: &[(f64, f64)]| jump(pair).then_some((pair[1].0, pair[0].1));
    let rest = points.windows(2).flat_map(|pair| corner(pair).into_iter().chain([pair[1]]));
    points.first().copied().into_iter().chain(rest).collect()
}

/// The curve without points on the line between their neighbours, to a unit of the picture.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_steps_are_a_staircase_and_jumps_are_upright() {
        assert_eq!(points(&[1.0, 0.5], 9), [(0.0, 1.0), (1.0, 1.0), (1.0, 0.5), (2.0, 0.5)]);
        let jump = [(0.0, 1.0), (1.0, 0.9), (2.0, 0.1)];
        assert_eq!(upright(&jump, 100.0), [(0.0, 1.0), (1.0, 0.9), (2.0, 0.9), (2.0, 0.1)]);
        let many: Vec<f64> = (0..100_000).map(|step| f64::from(u8::from(step < 50_000))).collect();
        let line = simplified(&upright(&points(&many, 600), 1000.0), (0.05, 1000.0));
        assert!(line.windows(2).all(|pair| pair[0].1 == pair[1].1 || pair[0].0 == pair[1].0), "{line:?}");
    }

    #[test]
    fn no_curve_lies_on_the_frame() {
        let curve = |values: &[f64]| [Curve { names: String::new(), values: values.to_vec() }];
        for values in [&[0.0, 0.0][..], &[1.0, 0.0], &[0.9, 0.85], &[1e-8, 1e-9]] {
            for field in [Field::Lr, Field::Beta1] {
                let (bottom, top) = range(&curve(values), field);
                assert!(values.iter().all(|value| *value > bottom && *value < top), "{values:?} in {bottom}..{top}");
            }
        }
    }
}
