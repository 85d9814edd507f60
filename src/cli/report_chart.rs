//! Charts of a report, as SVG inside a page.

use super::picture::{COLORS, FINE, INK, font, in_pixels};
use super::rates::short;
use super::report_text::escaped;
use super::thinned::Thinned;
use anyhow::anyhow;
use plotters::prelude::*;

const WIDTH: u32 = 860;
const HEIGHT: u32 = 260;

/// The frame of the curves.
const LEFT: u32 = 68;
const RIGHT: u32 = 16;
const TOP: u32 = 20;
const BOTTOM: u32 = 40;

/// What a log does not say.
pub(super) const HOLE: RGBColor = RGBColor(210, 40, 60);

/// A curve.
pub(super) struct Curve {
    pub(super) name: String,
    /// Step and value.
    pub(super) points: Vec<(f64, f64)>,
    /// Drawn thin, below the others.
    pub(super) faint: bool,
}

/// What a chart shows.
pub(super) struct Chart<'a> {
    pub(super) what: &'a str,
    pub(super) curves: &'a [Curve],
    /// Steps at which phases begin.
    pub(super) phases: &'a [f64],
    /// Gaps of the log, from step to step.
    pub(super) holes: &'a [(f64, f64)],
    pub(super) across: Across,
}

/// What a chart goes along.
#[derive(Clone, Copy)]
pub(super) enum Across {
    /// Steps, from 0 to this one.
    Steps(f64),
    /// The logarithm of a rate to the base of 10, from here to there.
    LogRate(f64, f64),
}

/// The chart; nothing if no curve has a point.
pub(super) fn draw(chart: &Chart<'_>) -> anyhow::Result<String> {
    let Some((bottom, top)) = range(chart.curves) else { return Ok(String::new()) };
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, (WIDTH * FINE, HEIGHT * FINE)).into_drawing_area();
        panel(&area, chart, bottom, top).map_err(|error| anyhow!("drawing {}: {error}", chart.what))?;
        area.present()?;
    }
    let marks = phase_names(chart) + &values(chart, (bottom, top));
    Ok(in_pixels(&picture, WIDTH, HEIGHT).replacen("</svg>", &(marks + "</svg>"), 1))
}

/// The horizontal range of a chart.
fn ends(across: Across) -> (f64, f64) {
    match across {
        Across::Steps(steps) => (0.0, steps.max(1.0)),
        Across::LogRate(from, to) => (from, to.max(from + 1e-3)),
    }
}

/// The horizontal place of a value, in fine units.
fn along(chart: &Chart<'_>, x: f64) -> f64 {
    let (from, to) = ends(chart.across);
    f64::from(FINE) * (f64::from(LEFT) + (x - from) / (to - from) * f64::from(WIDTH - LEFT - RIGHT))
}

/// The numbers of phases, at the top of each that is wide enough.
fn phase_names(chart: &Chart<'_>) -> String {
    let (_, to) = ends(chart.across);
    let stops = chart.phases.iter().skip(1).copied().chain([to]);
    let wide = |(_, (from, to)): &(usize, (f64, f64))| along(chart, *to) - along(chart, *from) > f64::from(56 * FINE);
    let named = chart.phases.iter().copied().zip(stops).enumerate().filter(wide);
    named
        .filter(|_| chart.phases.len() > 1)
        .map(|(phase, (from, _))| {
            let (x, y, size) = (along(chart, from) + f64::from(4 * FINE), (TOP - 6) * FINE, 11 * FINE);
            let ink = in_css(INK);
            format!("<text x=\"{x:.0}\" y=\"{y}\" font-size=\"{size}\" font-family=\"sans-serif\" fill=\"{ink}\">phase {phase}</text>")
        })
        .collect()
}

/// Places that tell their values under a pointer; of a long curve some.
fn values(chart: &Chart<'_>, (bottom, top): (f64, f64)) -> String {
    const MOST: usize = 80;
    let high = f64::from(HEIGHT - TOP - BOTTOM);
    let mut marks = String::new();
    for curve in chart.curves {
        let every = curve.points.len().div_ceil(MOST).max(1);
        for (x, y) in curve.points.iter().step_by(every).filter(|(_, y)| y.is_finite()) {
            let down = f64::from(FINE) * (f64::from(TOP) + (top - y) / (top - bottom) * high);
            let at = match chart.across {
                Across::Steps(_) => format!("step {x}"),
                Across::LogRate(..) => format!("learning rate {:.1e}", 10f64.powf(*x)),
            };
            let (name, across, radius) = (escaped(&curve.name), along(chart, *x), 8 * FINE);
            let told = format!("{name}, {at}: {}", short(*y));
            marks.push_str(&format!(
                "<circle class=\"value\" cx=\"{across:.0}\" cy=\"{down:.0}\" r=\"{radius}\" fill-opacity=\"0\"><title>{told}</title></circle>"
            ));
        }
    }
    marks
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn panel(area: &Area, chart: &Chart<'_>, bottom: f64, top: f64) -> Result<(), Box<dyn std::error::Error>> {
    let (from, to) = ends(chart.across);
    let label = |x: &f64| match chart.across {
        Across::Steps(_) => format!("{x}"),
        Across::LogRate(..) => format!("{:.1e}", 10f64.powf(*x)),
    };
    let mut axes = ChartBuilder::on(area)
        .margin_right(RIGHT * FINE)
        .margin_top(TOP * FINE)
        .x_label_area_size(BOTTOM * FINE)
        .y_label_area_size(LEFT * FINE)
        .build_cartesian_2d(from..to, bottom..top)?;
    // Every other phase is a band.
    let ends = chart.phases.iter().skip(1).copied().chain([to]);
    for (from, to) in chart.phases.iter().copied().zip(ends).skip(1).step_by(2) {
        axes.draw_series([Rectangle::new([(from, bottom), (to, top)], INK.mix(0.1).filled())])?;
    }
    let least = (to - from) / f64::from(WIDTH);
    for (hole, end) in chart.holes {
        let ends = [(*hole, bottom), (end.max(hole + least).min(to), top)];
        axes.draw_series([Rectangle::new(ends, HOLE.mix(0.25).filled())])?;
    }
    axes.configure_mesh()
        .x_desc(if matches!(chart.across, Across::Steps(_)) { "step" } else { "learning rate" })
        .y_desc(chart.what)
        .x_labels(8)
        .y_labels(6)
        .x_label_formatter(&label)
        .y_label_formatter(&|value| short(*value))
        .x_max_light_lines(1)
        .y_max_light_lines(1)
        .axis_style(INK.stroke_width(FINE))
        .bold_line_style(INK.mix(0.25).stroke_width(FINE))
        .light_line_style(TRANSPARENT)
        .label_style(font(12))
        .axis_desc_style(font(13))
        .set_all_tick_mark_size(5 * FINE)
        .draw()?;
    for (curve, color) in chart.curves.iter().zip(COLORS.iter().cycle()) {
        let style = if curve.faint { color.mix(0.45).stroke_width(FINE) } else { color.stroke_width(2 * FINE) };
        let points = curve.points.iter().copied().collect::<Thinned>().points();
        axes.draw_series(LineSeries::new(points.iter().copied(), style))?;
        if points.len() <= 60 {
            let dot = |point: &(f64, f64)| Circle::new(*point, 3 * FINE, color.filled());
            axes.draw_series(points.iter().map(dot))?;
        }
    }
    Ok(())
}

/// The colour of a curve by its place.
pub(super) fn color(place: usize) -> RGBColor {
    COLORS[place % COLORS.len()]
}

/// A colour as a page writes it.
pub(super) fn in_css(RGBColor(red, green, blue): RGBColor) -> String {
    format!("rgb({red},{green},{blue})")
}

/// From the least value to the largest, with room on both sides.
fn range(curves: &[Curve]) -> Option<(f64, f64)> {
    let values = || curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1)).filter(|y| y.is_finite());
    let (least, most) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
    let least = if least > 0.0 && least < 0.6 * most { 0.0 } else { least };
    let room = if most > least { 0.05 * (most - least) } else { most.abs().max(1e-12) };
    Some((least - room, most + room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_curve_has_room_and_an_empty_one_no_chart() {
        let curve = |points: Vec<(f64, f64)>| [Curve { name: String::new(), points, faint: false }];
        let (least, most) = range(&curve(vec![(0.0, 0.5), (1.0, 0.5)])).expect("a range");
        assert!(least < 0.5 && most > 0.5);
        assert_eq!(range(&curve(Vec::new())), None);
    }
}
