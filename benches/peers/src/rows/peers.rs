//! What the peers take for the same collections, measured before ours.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::{Plan, keeping};
use crate::peers::{Figures, Kept, samod, subduction};
use crate::report::{Row, SAMOD, SUBDUCTION, SUBDUCTION_MEMORY, say};

/// Figures of each peer, by the number of records.
pub(super) struct Peers<T = Figures>(BTreeMap<&'static str, Vec<(usize, T)>>);

impl Peers {
    /// Measures all of them, or none if no row wants them. A peer that fails is said to be not
    /// measured.
    pub(super) async fn measure(plan: &Plan<'_>) -> Self {
        let mut peers = Self(BTreeMap::new());
        if !plan.wants_any(&["P1", "P2", "P3", "P4"]) {
            return peers;
        }
        for records in [1_000, 10_000, 100_000] {
            let a = subduction::Replica::in_memory(1);
            let b = subduction::Replica::in_memory(2);
            let figures = subduction::collection(&a, &b, records).await;
            peers.add(SUBDUCTION_MEMORY, records, figures);
        }
        for records in plan.peer_sizes(&[1_000, 10_000], 100_000) {
            let figures = durable(plan, records).await;
            peers.add(SUBDUCTION, records, figures);
        }
        for records in plan.peer_sizes(&[300, 1_000], 3_000) {
            let figures = match plan.folder(&format!("samod-{records}")) {
                Ok(folder) => samod::collection(&folder, records).await,
                Err(error) => Err(error),
            };
            peers.add(SAMOD, records, figures);
        }
        peers
    }
}

impl Peers<Kept> {
    /// As [`Peers::measure`], what it takes each peer with a disk to keep records.
    pub(super) async fn keeping(plan: &Plan<'_>) -> Self {
        let mut peers = Self(BTreeMap::new());
        if !plan.wants_any(&["P8", "P9", "P11", "P12"]) {
            return peers;
        }
        for records in plan.peer_sizes(&[1_000, 10_000], 100_000) {
            peers.add(
                SUBDUCTION,
                records,
                keeping::subduction(plan, records).await,
            );
        }
        for records in plan.peer_sizes(&[1_000], 3_000) {
            peers.add(SAMOD, records, keeping::samod(plan, records).await);
        }
        peers
    }
}

impl<T: Debug> Peers<T> {
    fn add(&mut self, name: &'static str, records: usize, figures: anyhow::Result<T>) {
        match figures {
            Ok(figures) => {
                say(&format!("{name}, {records} records: {figures:?}"));
                self.0.entry(name).or_default().push((records, figures));
            }
            Err(error) => say(&format!("{name}, {records} records: failed: {error:#}")),
        }
    }

    /// Puts each peer's figure into the row: for as many records, or else for the most below.
    pub(super) fn fill(
        &self,
        mut row: Row,
        records: usize,
        pick: impl Fn(&T) -> Option<f64>,
    ) -> Row {
        for (name, figures) in &self.0 {
            let fitting = figures.iter().filter(|(count, _)| *count <= records);
            let picked = fitting.filter_map(|(count, it)| Some((*count, pick(it)?)));
            let Some((count, value)) = picked.max_by_key(|it| it.0) else {
                continue;
            };
            row = row.peer(name, Some(value));
            if count != records {
                row = row.peer_at(name, count.to_string());
            }
        }
        row
    }

    /// A peer's figures for exactly so many records.
    pub(super) fn of(&self, name: &str, records: usize) -> Option<&T> {
        let figures = self.0.get(name)?.iter();
        let mut exact = figures.filter(|it| it.0 == records);
        exact.next().map(|it| &it.1)
    }

    /// A peer's curve of one figure.
    pub(super) fn curve(&self, name: &str, pick: impl Fn(&T) -> Option<f64>) -> Vec<(f64, f64)> {
        let figures = self.0.get(name).into_iter().flatten();
        let point =
            |(records, it): &(usize, T)| Some((crate::measure::figure(*records), pick(it)?));
        figures.filter_map(point).collect()
    }
}

async fn durable(plan: &Plan<'_>, records: usize) -> anyhow::Result<Figures> {
    let folder = plan.folder(&format!("subduction-{records}"))?;
    let a = subduction::Replica::durable(&folder.join("a"), 1)?;
    let b = subduction::Replica::durable(&folder.join("b"), 2)?;
    subduction::collection(&a, &b, records).await
}
