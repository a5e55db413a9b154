//! A run as a picture: a lane for each replica, time from left to right, frames as lines.

use std::fmt::Write as _;

use super::fact::{Heard, What};
use super::run::Report;
use super::trace::Line;

/// Between two lanes, in pixels.
const LANE: usize = 70;
/// Left and upper margin.
const MARGIN: usize = 90;
/// Between two moments at which something happens.
const STEP: usize = 9;
/// Moments side by side; the run goes on in the row below.
const ROW_MOMENTS: usize = 160;
/// Moments that are drawn; what comes after is left out, and the picture says so.
const MOMENTS_MAX: usize = 6_400;

const STYLE: &str = "text{font:11px sans-serif;fill:#222}.t{fill:#888;font-size:9px}\
.s{stroke:#bbb;stroke-dasharray:2 3}.lane{stroke:#ddd;stroke-width:2}\
.c{stroke:#2a78d6;stroke-width:1.2}.o{stroke:#c9ccd3}.d{stroke:#c33;stroke-width:6}\
.e{fill:#2b8a3e}.x{fill:#c33}.u{fill:#e8890c}.v{fill:#7b52ab}";

/// Where things stand in a picture.
#[derive(Clone, Copy)]
struct Sheet {
    hosts: usize,
}

impl Sheet {
    const fn row_height(self) -> usize {
        self.hosts * LANE + 50
    }

    /// The height of a host's lane in the row of a moment; of the row's foot for one host more.
    const fn lane(self, moment: usize, host: usize) -> usize {
        MARGIN + moment / ROW_MOMENTS * self.row_height() + host * LANE
    }

    const fn column(moment: usize) -> usize {
        MARGIN + (moment % ROW_MOMENTS + 1) * STEP
    }
}

/// Draws a run whose lines were kept as SVG 1.1.
pub fn draw(report: &Report) -> String {
    let sheet = Sheet {
        hosts: report.scenario.hosts,
    };
    let lines = report.trace.lines();
    let shown = lines
        .get(..lines.len().min(MOMENTS_MAX))
        .unwrap_or_default();
    let rows = shown.len().div_ceil(ROW_MOMENTS).max(1);
    let width = MARGIN + (ROW_MOMENTS + 2) * STEP + 20;
    let height = MARGIN + rows * sheet.row_height() + 30;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\">\
         <style>{STYLE}</style><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let title = title(report, shown.len() < lines.len());
    text(&mut svg, "", (10, 20), &title);
    text(
        &mut svg,
        "t",
        (10, 36),
        "from left to right, each moment one step, whatever time passed between. \
         green: local edit; purple: view shown; blue line: changes; grey line: other frames; \
         red: crash, failure, lost link; orange: start, link; dashed: a numbered step",
    );
    for row in 0..rows {
        lanes(&mut svg, sheet, row * ROW_MOMENTS, width - 20);
    }
    for (moment, line) in shown.iter().enumerate() {
        draw_line(&mut svg, sheet, moment, line);
    }
    if let Some(failure) = &report.failure {
        let note = format!("{}: {}", failure.check, failure.detail);
        text(&mut svg, "x", (10, height - 12), &note);
    }
    svg.push_str("</svg>\n");
    svg
}

fn lanes(svg: &mut String, sheet: Sheet, moment: usize, end: usize) {
    for host in 0..sheet.hosts {
        let y = sheet.lane(moment, host);
        text(svg, "", (10, y + 4), &format!("host {host}"));
        // Writing into a string does not fail.
        let _infallible = writeln!(
            svg,
            "<line class=\"lane\" x1=\"{MARGIN}\" y1=\"{y}\" x2=\"{end}\" y2=\"{y}\"/>"
        );
    }
}

fn title(report: &Report, cut: bool) -> String {
    let scenario = &report.scenario;
    let end = if cut { ", the beginning" } else { "" };
    format!(
        "seed {}: {:?}, {:?}, {} steps, {:.1} s of virtual time{end}",
        scenario.seed,
        scenario.profile,
        scenario.topology,
        scenario.steps.len(),
        report.lasted.as_secs_f64()
    )
}

fn draw_line(svg: &mut String, sheet: Sheet, moment: usize, line: &Line) {
    let x = Sheet::column(moment);
    let Some(host) = line.host else {
        step(svg, sheet, moment, line);
        return;
    };
    let y = sheet.lane(moment, host);
    let title = escape(&format!(
        "{:.3} s, host {host} {}",
        seconds(line),
        line.text
    ));
    let mark = match &line.what {
        Some(What::Heard { from, heard }) if *from < sheet.hosts => {
            let class = if matches!(heard, Heard::Changes { .. }) {
                "c"
            } else {
                "o"
            };
            let from = sheet.lane(moment, *from);
            format!(
                "<line class=\"{class}\" x1=\"{}\" y1=\"{from}\" x2=\"{x}\" y2=\"{y}\"><title>{title}</title></line>",
                x - STEP
            )
        }
        Some(What::Captured(_, Ok(()))) => dot("e", (x, y), 5, &title),
        Some(What::Captured(_, Err(_)) | What::StoreFailed | What::NotStarted(_)) => {
            dot("x", (x, y), 5, &title)
        }
        Some(What::Crashed { .. }) => format!(
            "<line class=\"d\" x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{}\"><title>{title}</title></line>",
            y - 14,
            y + 14
        ),
        // What strangers say comes from no lane.
        Some(What::Heard { .. } | What::Lost { .. } | What::Closed) => dot("x", (x, y), 3, &title),
        Some(What::Started | What::Linked) => dot("u", (x, y), 3, &title),
        Some(
            What::Shown { .. }
            | What::Delivered(..)
            | What::Imported(..)
            | What::Blob(..)
            | What::Present(_)
            | What::Folded(_)
            | What::Compacted(_)
            | What::HeldBack
            | What::Unfolded(_),
        ) => dot("v", (x, y), 3, &title),
        Some(What::Sent { .. } | What::Dialled { .. }) | None => return,
    };
    svg.push_str(&mark);
    svg.push('\n');
}

/// A step of the scenario: a dashed line through all lanes, with its number; where time passes, also
/// with the time at which it began.
fn step(svg: &mut String, sheet: Sheet, moment: usize, line: &Line) {
    let x = Sheet::column(moment);
    let (top, bottom) = (
        sheet.lane(moment, 0) - 20,
        sheet.lane(moment, sheet.hosts) - LANE + 20,
    );
    let title = escape(&line.text);
    // Writing into a string does not fail.
    let _infallible = writeln!(
        svg,
        "<line class=\"s\" x1=\"{x}\" y1=\"{top}\" x2=\"{x}\" y2=\"{bottom}\"><title>{title}</title></line>"
    );
    let name = line.text.split([' ', ':']).nth(1).unwrap_or_default();
    text(svg, "t", (x, top - 4 - moment % 2 * 8), name);
    if line.text.contains(": Run") {
        let at = format!("{:.1} s", seconds(line));
        text(svg, "t", (x, bottom + 10), &at);
    }
}

fn seconds(line: &Line) -> f64 {
    std::time::Duration::from_micros(line.at.as_micros()).as_secs_f64()
}

fn dot(class: &str, (x, y): (usize, usize), radius: usize, title: &str) -> String {
    format!(
        "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"><title>{title}</title></circle>"
    )
}

fn text(svg: &mut String, class: &str, (x, y): (usize, usize), words: &str) {
    let words = escape(words);
    // Writing into a string does not fail.
    let _infallible = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{words}</text>"
    );
}

fn escape(words: &str) -> String {
    words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
