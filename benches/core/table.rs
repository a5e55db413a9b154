//! Rows of measurements, ours beside a floor, printed as Markdown.

use std::time::{Duration, Instant};

/// What was measured.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 5]>,
}

impl Table {
    /// Adds a row: the work, its unit, ours, what it is compared with and that one's figure.
    pub(crate) fn row(&mut self, work: &str, unit: &str, ours: f64, floor: Option<(&str, f64)>) {
        let (name, value, ratio) = match floor {
            Some((name, value)) => (name, show(value), show(ours / value)),
            None => ("", String::new(), String::new()),
        };
        let floor = if name.is_empty() {
            value
        } else {
            format!("{value} ({name})")
        };
        self.rows
            .push([work.to_owned(), unit.to_owned(), show(ours), floor, ratio]);
    }

    /// Prints all rows.
    pub(crate) fn print(&self) {
        println!("| work | unit | syncline | floor | ratio |");
        println!("| --- | --- | --- | --- | --- |");
        for [work, unit, ours, floor, ratio] in &self.rows {
            println!("| {work} | {unit} | {ours} | {floor} | {ratio} |");
        }
    }
}

fn show(value: f64) -> String {
    match value {
        it if it >= 100.0 => format!("{it:.0}"),
        it if it >= 1.0 => format!("{it:.1}"),
        it => format!("{it:.3}"),
    }
}

/// How long `work` takes.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// Microseconds per piece.
pub(crate) fn micros_each(span: Duration, pieces: usize) -> f64 {
    span.as_secs_f64() * 1e6 / f64::from(u32::try_from(pieces).unwrap())
}
