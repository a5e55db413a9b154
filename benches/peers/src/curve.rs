//! Figures over the number of records, with their exponents, drawn as SVG.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;

use anyhow::Context as _;
use serde::Serialize;

/// How a figure grows with the number of records.
#[derive(Clone, Serialize)]
pub(crate) struct Curve {
    /// The work.
    pub title: String,
    /// The unit of all figures.
    pub unit: &'static str,
    /// Whose figures, each with its points of (records, figure).
    pub lines: Vec<Line>,
}

/// One party's figures.
#[derive(Clone, Serialize)]
pub(crate) struct Line {
    /// Whose.
    pub name: &'static str,
    /// Records and figure, by records.
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// The slope over all points in logarithms: 0 is flat, 1 linear, 2 quadratic.
    pub(crate) fn exponent(&self) -> Option<f64> {
        let logs: Vec<_> = self.points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
        if logs.len() < 2 {
            return None;
        }
        let count = crate::measure::figure(logs.len());
        let mean_x = logs.iter().map(|it| it.0).sum::<f64>() / count;
        let mean_y = logs.iter().map(|it| it.1).sum::<f64>() / count;
        let over = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y));
        let under = logs.iter().map(|(x, _)| (x - mean_x).powi(2));
        Some(over.sum::<f64>() / under.sum::<f64>()).filter(|it| it.is_finite())
    }

    fn label(&self) -> String {
        match self.exponent() {
            Some(exponent) => format!("{}: n^{exponent:.2}", self.name),
            None => self.name.to_owned(),
        }
    }
}

impl Curve {
    /// The exponents in one line.
    pub(crate) fn summary(&self) -> String {
        let labels: Vec<_> = self.lines.iter().map(Line::label).collect();
        format!(
            "{}, {}, over n records: {}",
            self.title,
            self.unit,
            labels.join("; ")
        )
    }
}

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 40.0;
const RIGHT: f64 = 40.0;
const BOTTOM: f64 = 100.0;
const COLOURS: [&str; 4] = ["#1f6fb4", "#d1495b", "#3d9a50", "#8a6bbf"];

/// Where the logarithms of figures lie on the page.
struct Frame {
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn around(curve: &Curve) -> Self {
        let points = || curve.lines.iter().flat_map(|it| it.points.iter());
        let range = |values: &mut dyn Iterator<Item = f64>| {
            let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), it| {
                (low.min(it), high.max(it))
            });
            let (low, high) = (low.floor(), high.ceil());
            (low, if high > low { high } else { low + 1.0 })
        };
        Self {
            x: range(&mut points().map(|it| it.0.log10())),
            y: range(&mut points().map(|it| it.1.log10())),
        }
    }

    fn x(&self, log: f64) -> f64 {
        LEFT + (log - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, log: f64) -> f64 {
        HEIGHT - BOTTOM - (log - self.y.0) / (self.y.1 - self.y.0) * (HEIGHT - TOP - BOTTOM)
    }
}

/// Draws all curves, two beside each other.
pub(crate) fn write(curves: &[Curve], mut file: File) -> anyhow::Result<()> {
    let rows = crate::measure::figure(curves.len().div_ceil(2)).max(1.0);
    let (width, height) = (WIDTH * 2.0, HEIGHT * rows);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (at, curve) in curves.iter().enumerate() {
        let x = if at % 2 == 0 { 0.0 } else { WIDTH };
        let y = crate::measure::figure(at / 2) * HEIGHT;
        writeln!(svg, "<g transform=\"translate({x} {y})\">")?;
        draw(curve, &mut svg)?;
        writeln!(svg, "</g>")?;
    }
    svg.push_str("</svg>\n");
    file.write_all(svg.as_bytes())
        .context("cannot write the curves")
}

fn draw(curve: &Curve, svg: &mut String) -> anyhow::Result<()> {
    let frame = Frame::around(curve);
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"24\" font-size=\"14\">{}, {}</text>",
        curve.title, curve.unit
    )?;
    let mut log = frame.y.0;
    while log <= frame.y.1 {
        let y = frame.y(log);
        writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            y + 4.0,
            power(log)
        )?;
        log += 1.0;
    }
    log = frame.x.0;
    while log <= frame.x.1 {
        let x = frame.x(log);
        writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"#ddd\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 18.0,
            power(log)
        )?;
        log += 1.0;
    }
    for (at, (line, colour)) in curve.lines.iter().zip(COLOURS).enumerate() {
        draw_line(&frame, line, (at, colour), svg)?;
    }
    Ok(())
}

fn draw_line(
    frame: &Frame,
    line: &Line,
    (at, colour): (usize, &str),
    svg: &mut String,
) -> anyhow::Result<()> {
    let place = |(x, y): &(f64, f64)| (frame.x(x.log10()), frame.y(y.log10()));
    let places: Vec<_> = line.points.iter().map(place).collect();
    let path: Vec<_> = places
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        path.join(" ")
    )?;
    for (x, y) in places {
        writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
        )?;
    }
    let y = HEIGHT - BOTTOM + 40.0 + crate::measure::figure(at) * 16.0;
    writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{y}\" fill=\"{colour}\">{}</text>",
        line.label()
    )?;
    Ok(())
}

/// A power of ten as people write it.
fn power(log: f64) -> String {
    let value = 10_f64.powf(log);
    if value >= 1.0 {
        crate::report::thousands(value)
    } else {
        format!("{value}")
    }
}
