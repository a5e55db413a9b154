//! A causal checker: goes over what processes have said and finds the first promise broken.
//!
//! Each field has one writer, who numbers its versions upwards. So for every store and field there
//! is a *floor*: the oldest version that the store may still show. It rises by what the store has
//! acknowledged, by what it has shown, and by what it took over when it was in step with the hub.
//! A read below its floor is a violation, and what raised the floor last says which.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A store, by name.
pub(crate) type Who = &'static str;

/// The hub: all others are in step through it.
pub(crate) const HUB: Who = "hub";

/// The field that stands for the deletion of a record that many write to. Its deleter is its one
/// writer; from then on the record shows none of its fields.
pub(crate) const GONE: &str = "gone";

/// A field with one writer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) record: String,
    pub(crate) field: String,
}

/// Something that a process said, or that was asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A write was asked for. A version that deletes is shown as nothing.
    Tried {
        key: Key,
        version: u64,
        deletes: bool,
    },
    /// The write was acknowledged as durable.
    Acknowledged { key: Key, version: u64 },
    /// The store showed this version of the field, or that there is nothing.
    Read { key: Key, shown: Option<u64> },
    /// The store and the hub said that they hold the same.
    InStep,
    /// The faults are over and this has to happen, within a deadline.
    Awaited { what: String },
    /// It has happened.
    Happened { what: String },
    /// What the store holds at the end, by its digest.
    Holds { digest: String },
}

/// An event and whose it is. Events of one store are in the order in which they happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) who: Who,
    pub(crate) event: Event,
}

/// The promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A store shows what it has acknowledged.
    ReadYourWrites,
    /// A store never goes back behind what it has shown.
    MonotonicReads,
    /// Who was in step with the hub shows what the hub held by then.
    Causality,
    /// Nothing is shown that nobody wrote.
    NothingInvented,
    /// At the end all hold the same, and every acknowledged write or a later one.
    Convergence,
    /// What was awaited after the faults has happened.
    Liveness,
}

/// The first promise that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    /// The record, if it is about one.
    pub(crate) record: Option<String>,
    /// How many entries of the log show it.
    pub(crate) entries: usize,
    pub(crate) text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is broken: {}", self.rule, self.text)
    }
}

/// The oldest version that may be shown, and what made it so.
#[derive(Clone, Copy, Debug)]
struct Floor {
    version: u64,
    by: Rule,
}

/// All versions of one field that were tried.
#[derive(Debug, Default)]
struct History {
    live: BTreeSet<u64>,
    deletions: BTreeSet<u64>,
    acknowledged: u64,
}

#[derive(Debug, Default)]
struct Checker {
    histories: BTreeMap<Key, History>,
    floors: BTreeMap<Who, BTreeMap<Key, Floor>>,
    /// What each store showed last.
    shown: BTreeMap<Who, BTreeMap<Key, Option<u64>>>,
    awaited: BTreeSet<(Who, String)>,
    digests: BTreeMap<Who, String>,
}

/// Finds the first violation in a log.
pub(crate) fn check(log: &[Entry]) -> Result<(), Violation> {
    let mut checker = Checker::default();
    for (number, entry) in log.iter().enumerate() {
        checker.take(entry).map_err(|it| Violation {
            entries: number + 1,
            text: format!("entry {number}, {}: {}", entry.who, it.text),
            ..it
        })?;
    }
    checker.end().map_err(|it| Violation {
        entries: log.len(),
        ..it
    })
}

impl Event {
    /// The record that it is about.
    pub(crate) fn record(&self) -> Option<&str> {
        match self {
            Self::Tried { key, .. } | Self::Acknowledged { key, .. } | Self::Read { key, .. } => {
                Some(&key.record)
            }
            Self::InStep | Self::Awaited { .. } | Self::Happened { .. } | Self::Holds { .. } => {
                None
            }
        }
    }
}

impl Checker {
    fn take(&mut self, entry: &Entry) -> Result<(), Violation> {
        let who = entry.who;
        match &entry.event {
            Event::Tried {
                key,
                version,
                deletes,
            } => {
                let history = self.histories.entry(key.clone()).or_default();
                if *deletes {
                    history.deletions.insert(*version);
                } else {
                    history.live.insert(*version);
                }
            }
            Event::Acknowledged { key, version } => {
                let history = self.histories.entry(key.clone()).or_default();
                history.acknowledged = history.acknowledged.max(*version);
                self.raise(who, key, *version, Rule::ReadYourWrites);
            }
            Event::Read { key, shown } => self.read(who, key, *shown)?,
            Event::InStep => self.in_step(who),
            Event::Awaited { what } => {
                self.awaited.insert((who, what.clone()));
            }
            Event::Happened { what } => {
                self.awaited.remove(&(who, what.clone()));
            }
            Event::Holds { digest } => {
                self.digests.insert(who, digest.clone());
            }
        }
        Ok(())
    }

    fn floor(&self, who: Who, key: &Key) -> Floor {
        let floor = self.floors.get(who).and_then(|it| it.get(key)).copied();
        floor.unwrap_or(Floor {
            version: 0,
            by: Rule::MonotonicReads,
        })
    }

    fn raise(&mut self, who: Who, key: &Key, version: u64, by: Rule) {
        if version > self.floor(who, key).version {
            let floors = self.floors.entry(who).or_default();
            floors.insert(key.clone(), Floor { version, by });
        }
    }

    fn read(&mut self, who: Who, key: &Key, shown: Option<u64>) -> Result<(), Violation> {
        let floor = self.floor(who, key);
        let history = self.histories.entry(key.clone()).or_default();
        let name = format!("{}.{}", key.record, key.field);
        let version = match shown {
            Some(version) if !history.live.contains(&version) => {
                let text = format!("{name} shows version {version}, which nobody wrote");
                return Err(broken(Rule::NothingInvented, Some(key), text));
            }
            Some(version) => version,
            // Nothing is what the first deletion from the floor on looks like, or no write at all.
            None if floor.version == 0 => 0,
            None => {
                let deletion = history.deletions.range(floor.version..).next().copied();
                deletion.unwrap_or_default()
            }
        };
        if version < floor.version {
            let shown = shown.map_or("nothing".to_owned(), |it| format!("version {it}"));
            let text = format!("{name} shows {shown} after version {}", floor.version);
            return Err(broken(floor.by, Some(key), text));
        }
        self.raise(who, key, version, Rule::MonotonicReads);
        let shown_here = self.shown.entry(who).or_default();
        shown_here.insert(key.clone(), shown);
        Ok(())
    }

    /// Both hold what either held.
    fn in_step(&mut self, who: Who) {
        for (from, to) in [(who, HUB), (HUB, who)] {
            let floors = self.floors.get(from).cloned().unwrap_or_default();
            for (key, floor) in floors {
                self.raise(to, &key, floor.version, Rule::Causality);
            }
        }
    }

    fn end(&self) -> Result<(), Violation> {
        if let Some((who, what)) = self.awaited.first() {
            let text = format!("{who} has yet to {what}");
            return Err(broken(Rule::Liveness, None, text));
        }
        let different: BTreeSet<_> = self.digests.values().collect();
        if different.len() > 1 {
            let text = format!("the stores differ: {:?}", self.digests);
            return Err(broken(Rule::Convergence, None, text));
        }
        // A log that ends without digests is of processes that never came to rest.
        for who in self.digests.keys().filter(|it| **it != HUB) {
            self.end_of(who)?;
        }
        Ok(())
    }

    /// The last state of a store has every acknowledged write, and is the same as elsewhere.
    fn end_of(&self, who: Who) -> Result<(), Violation> {
        let shown = self.shown.get(who);
        for (key, history) in &self.histories {
            let gone = Key {
                field: GONE.to_owned(),
                ..key.clone()
            };
            let is_gone = shown.and_then(|it| it.get(&gone).copied()).flatten();
            if key != &gone && is_gone.is_some() {
                continue;
            }
            let name = format!("{}.{}", key.record, key.field);
            let here = shown.and_then(|it| it.get(key).copied()).flatten();
            let is_later = |version: u64| version >= history.acknowledged;
            let holds = match here {
                Some(version) => is_later(version),
                None => {
                    history.acknowledged == 0
                        || history.deletions.last().is_some_and(|it| is_later(*it))
                }
            };
            if !holds {
                let last = history.acknowledged;
                let text = format!("at the end {who} shows {here:?} of {name}, not {last}");
                return Err(broken(Rule::Convergence, Some(key), text));
            }
            for (other, theirs) in &self.shown {
                let there = theirs.get(key).copied().flatten();
                if there != here {
                    let text = format!("of {name} {who} shows {here:?} and {other} {there:?}");
                    return Err(broken(Rule::Convergence, Some(key), text));
                }
            }
        }
        Ok(())
    }
}

fn broken(rule: Rule, key: Option<&Key>, text: String) -> Violation {
    Violation {
        rule,
        record: key.map(|it| it.record.clone()),
        entries: 0,
        text,
    }
}
