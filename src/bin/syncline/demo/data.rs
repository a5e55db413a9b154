//! The demo's data: the time zones of the world and a text about them, and how they merge.

use serde::{Deserialize, Serialize};
use syncline::RecordId;
use syncline::autosurgeon::Reconcile;
use syncline::record::{Counter, Set, Text};

use crate::failure::Failure;

const ZONES: &str = include_str!("../../../../examples/data/zones.jsonl");
const THEORY: &str = include_str!("../../../../examples/data/theory.txt");

/// The name of the one long text.
pub(super) const PAGE: &str = "theory";

/// A time zone, with what a traveller adds to it.
#[derive(Clone, Debug, Serialize, Deserialize, Reconcile)]
pub(super) struct Zone {
    pub(super) id: String,
    pub(super) countries: Vec<String>,
    pub(super) country_names: Vec<String>,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    /// Replaced as a whole: of two comments one stays.
    pub(super) comment: String,
    #[serde(default)]
    pub(super) favourite: bool,
    /// Adds up.
    #[serde(default)]
    pub(super) visits: Counter,
    /// Merges element by element.
    #[serde(default)]
    pub(super) tags: Set<String>,
}

/// A long text that merges character by character.
#[derive(Clone, Debug, Serialize, Deserialize, Reconcile)]
pub(super) struct Page {
    pub(super) title: String,
    pub(super) body: Text,
}

/// All zones with the ids that every device gives them.
pub(super) fn zones() -> Result<Vec<(RecordId, Zone)>, Failure> {
    let read = |line: &str| {
        let zone = serde_json::from_str::<Zone>(line);
        let zone = zone.map_err(|error| Failure::input(format!("zones.jsonl: {error}")))?;
        Ok((RecordId::named(&zone.id), zone))
    };
    ZONES.lines().map(read).collect()
}

pub(super) fn page() -> Page {
    Page {
        title: "Theory and pragmatics of the tz code and data".to_owned(),
        body: Text::from(THEORY),
    }
}

/// Characters of the text.
pub(super) fn text_length() -> usize {
    THEORY.chars().count()
}

/// Bytes of the data as it lies in the files.
pub(super) const fn size() -> usize {
    ZONES.len() + THEORY.len()
}

/// Puts `to` in the place of the first `from`, as a person would: by one splice.
pub(super) fn replace(text: &mut Text, from: &str, to: &str) {
    let position = text
        .as_str()
        .split_once(from)
        .map(|(before, _)| before.chars().count());
    if let Some(position) = position {
        text.splice(position, from.chars().count(), to);
    }
}
