//! Rows of figures: printed as one Markdown table, written as JSON.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::curve::Curve;
use crate::measure;

/// The peers, in the order of their columns.
const PEERS: [&str; 3] = [SUBDUCTION, SUBDUCTION_MEMORY, SAMOD];

/// subduction on its redb storage, which syncs before it answers.
pub(crate) const SUBDUCTION: &str = "subduction";
/// subduction without a disk.
pub(crate) const SUBDUCTION_MEMORY: &str = "subduction in memory";
/// samod on its file storage, which never syncs.
pub(crate) const SAMOD: &str = "samod";

/// One line of the table.
#[derive(Default, Serialize)]
pub(crate) struct Row {
    id: &'static str,
    work: String,
    unit: &'static str,
    ours: Option<f64>,
    peers: BTreeMap<&'static str, Option<f64>>,
    floor: Option<f64>,
    ratio: Option<f64>,
    target: &'static str,
    met: Option<bool>,
    /// What the floor is.
    floor_of: &'static str,
    /// What the ratio is to.
    ratio_to: &'static str,
    /// What a reader has to know: other counts for peers, features that are not there yet.
    notes: Vec<String>,
    /// With how many records a peer was measured, where it is not the number of `work`.
    peers_at: BTreeMap<&'static str, String>,
}

impl Row {
    /// A row without any figure.
    pub(crate) fn new(id: &'static str, work: impl Into<String>, unit: &'static str) -> Self {
        Self {
            id,
            work: work.into(),
            unit,
            peers: PEERS.map(|it| (it, None)).into(),
            ..Self::default()
        }
    }

    /// Our figure.
    pub(crate) fn ours(mut self, value: f64) -> Self {
        self.ours = Some(value);
        self
    }

    /// A peer's figure for the same work.
    pub(crate) fn peer(mut self, name: &'static str, value: Option<f64>) -> Self {
        self.peers.insert(name, value);
        self
    }

    /// With how many records the peer was measured instead.
    pub(crate) fn peer_at(mut self, name: &'static str, at: impl Into<String>) -> Self {
        self.peers_at.insert(name, at.into());
        self
    }

    /// What nothing could be better than.
    pub(crate) fn floor(mut self, name: &'static str, value: f64) -> Self {
        self.floor = Some(value);
        self.floor_of = name;
        self
    }

    /// Ours divided by the floor.
    pub(crate) fn over_floor(self) -> Self {
        let name = self.floor_of;
        match (self.ours, self.floor) {
            (Some(ours), Some(floor)) => self.ratio(name, ours / floor),
            _ => self,
        }
    }

    /// Ours in relation to something.
    pub(crate) fn ratio(mut self, to: &'static str, value: f64) -> Self {
        self.ratio = Some(value).filter(|it| it.is_finite());
        self.ratio_to = to;
        self
    }

    /// What is aimed at, and whether it is reached; `None` where that can't be told from here.
    pub(crate) fn target(mut self, target: &'static str, met: Option<bool>) -> Self {
        self.target = target;
        self.met = met;
        self
    }

    /// Aims at a ratio of at most this.
    pub(crate) fn ratio_at_most(self, target: &'static str, bound: f64) -> Self {
        let met = self.ratio.map(|it| it <= bound);
        self.target(target, met)
    }

    /// Aims at a ratio of at least this.
    pub(crate) fn ratio_at_least(self, target: &'static str, bound: f64) -> Self {
        let met = self.ratio.map(|it| it >= bound);
        self.target(target, met)
    }

    /// Aims at a figure of at most this.
    pub(crate) fn at_most(self, target: &'static str, bound: f64) -> Self {
        let met = self.ours.map(|it| it <= bound);
        self.target(target, met)
    }

    /// Aims at a figure of at least this.
    pub(crate) fn at_least(self, target: &'static str, bound: f64) -> Self {
        let met = self.ours.map(|it| it >= bound);
        self.target(target, met)
    }

    /// Takes the judgement back if the floor came out worse than a whole that contains it: then
    /// the floor was held up, and says nothing.
    pub(crate) fn unless_held_up(mut self, is_impossible: impl Fn(f64) -> bool) -> Self {
        if self.ratio.is_some_and(is_impossible) {
            self.met = None;
            return self.note(
                "Not judged: the floor came out slower than the whole that contains it, so other \
                 work on the machine held it up.",
            );
        }
        self
    }

    /// A footnote.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    fn cells(&self, notes: &mut Vec<String>) -> Vec<String> {
        let mut work = self.work.clone();
        for note in &self.notes {
            let known = notes.iter().position(|it| it == note);
            let number = known.unwrap_or_else(|| {
                notes.push(note.clone());
                notes.len() - 1
            });
            work = format!("{work} [{}]", number + 1);
        }
        let mut cells = vec![
            self.id.to_owned(),
            work,
            self.unit.to_owned(),
            self.ours.map_or_else(|| "–".to_owned(), show),
        ];
        cells.extend(PEERS.map(|it| self.peer_cell(it)));
        let named = |value: Option<f64>, name: &str| match value {
            Some(value) => format!("{} ({name})", show(value)),
            None => String::new(),
        };
        cells.push(named(self.floor, self.floor_of));
        cells.push(named(self.ratio, self.ratio_to));
        cells.push(self.target.to_owned());
        let met = match self.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "–",
        };
        cells.push(met.to_owned());
        cells
    }

    fn peer_cell(&self, name: &'static str) -> String {
        let Some(value) = self.peers.get(name).copied().flatten() else {
            return "not measured".to_owned();
        };
        match self.peers_at.get(name) {
            Some(at) => format!("{} (at {at})", show(value)),
            None => show(value),
        }
    }
}

/// All rows of a run.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    rows: Vec<Row>,
    /// What ran beside it, if anything did.
    machine: String,
    /// Figures over the number of records.
    pub curves: Vec<Curve>,
}

impl Report {
    /// A report that says how busy the machine is before anything is measured.
    pub(crate) fn begin() -> Self {
        let machine = match measure::load() {
            Some((load, processors)) if load > 1.0 => format!(
                "{processors} processors, load average {load:.1} before the run: others worked \
                 too. Who waits for the disk then also waits some milliseconds for a processor, \
                 redb alone as well: P5 and P6 with one writer say little. Bytes and messages are \
                 exact."
            ),
            Some((load, processors)) => {
                format!("{processors} processors, load average {load:.1} before the run.")
            }
            None => String::new(),
        };
        Self {
            machine,
            ..Self::default()
        }
    }

    /// Adds a row, and says that it is done.
    pub(crate) fn row(&mut self, row: Row) {
        let ours = row.ours.map_or_else(|| "–".to_owned(), show);
        let ratio = row.ratio.map(|it| format!(", ratio {}", show(it)));
        let ratio = ratio.unwrap_or_default();
        say(&format!(
            "{}: {}: {ours} {}{ratio}",
            row.id, row.work, row.unit
        ));
        self.rows.push(row);
    }

    /// Puts the rows into the order of their numbers; those of one stay as they came.
    pub(crate) fn sort(&mut self) {
        let number = |it: &Row| it.id.trim_start_matches('P').parse().unwrap_or(u8::MAX);
        self.rows.sort_by_key(number);
    }

    /// Prints the table.
    #[expect(clippy::print_stdout, reason = "it is what the program is for")]
    pub(crate) fn print(&self) {
        let mut notes = Vec::new();
        let head = ["id", "work", "unit", "ours"].into_iter().chain(PEERS);
        let head: Vec<_> = head.chain(["floor", "ratio", "target", "met"]).collect();
        println!("| {} |", head.join(" | "));
        println!("|{}", " --- |".repeat(head.len()));
        for row in &self.rows {
            println!("| {} |", row.cells(&mut notes).join(" | "));
        }
        println!();
        println!("{}\n", self.machine);
        for (number, note) in notes.iter().enumerate() {
            println!("[{}] {note}", number + 1);
        }
        for curve in &self.curves {
            println!("- {}", curve.summary());
        }
    }

    /// Writes everything as one JSON object.
    pub(crate) fn write_json(&self, mut file: File) -> anyhow::Result<()> {
        serde_json::to_writer_pretty(&mut file, self).context("cannot write the JSON")?;
        file.write_all(b"\n").context("cannot write the JSON")
    }
}

/// A new file at this place.
pub(crate) fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

/// Progress, beside the table that goes to stdout.
#[expect(clippy::print_stderr, reason = "whoever waits wants to know for what")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// Three digits, or all before the point.
pub(crate) fn show(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        it if it >= 1e5 => thousands(it),
        it if it >= 100.0 => format!("{it:.0}"),
        it if it >= 10.0 => format!("{it:.1}"),
        it if it >= 1.0 => format!("{it:.2}"),
        it => format!("{it:.3}"),
    }
}

/// A whole number with its thousands apart.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}
