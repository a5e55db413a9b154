//! What the peers take for the same collections, measured before ours.

use std::collections::BTreeMap;

use super::Plan;
use crate::peers::{Figures, samod, subduction};
use crate::report::{Row, SAMOD, SUBDUCTION, SUBDUCTION_MEMORY, say};

/// Figures of each peer, by the number of records.
#[derive(Default)]
pub(super) struct Peers(BTreeMap<&'static str, Vec<Figures>>);

impl Peers {
    /// Measures all of them, or none if no row wants them. A peer that fails is said to be not
    /// measured.
    pub(super) async fn measure(plan: &Plan<'_>) -> Self {
        let mut peers = Self::default();
        if !plan.wants_any(&["P1", "P2", "P3"]) {
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

    fn add(&mut self, name: &'static str, records: usize, figures: anyhow::Result<Figures>) {
        match figures {
            Ok(figures) => {
                say(&format!("{name}, {records} records: {figures:?}"));
                self.0.entry(name).or_default().push(figures);
            }
            Err(error) => say(&format!("{name}, {records} records: failed: {error:#}")),
        }
    }

    /// Puts each peer's figure into the row: for as many records, or else for the most below.
    pub(super) fn fill(
        &self,
        mut row: Row,
        records: usize,
        pick: impl Fn(&Figures) -> Option<f64>,
    ) -> Row {
        for (name, figures) in &self.0 {
            let fitting = figures.iter().filter(|it| it.records <= records);
            let Some(best) = fitting.max_by_key(|it| it.records) else {
                continue;
            };
            row = row.peer(name, pick(best));
            if best.records != records {
                row = row.peer_at(name, best.records.to_string());
            }
        }
        row
    }

    /// A peer's figures for exactly so many records.
    pub(super) fn of(&self, name: &str, records: usize) -> Option<&Figures> {
        let figures = self.0.get(name)?;
        figures.iter().find(|it| it.records == records)
    }

    /// A peer's curve of one figure.
    pub(super) fn curve(
        &self,
        name: &str,
        pick: impl Fn(&Figures) -> Option<f64>,
    ) -> Vec<(f64, f64)> {
        let figures = self.0.get(name).into_iter().flatten();
        let point = |it: &Figures| Some((crate::measure::figure(it.records), pick(it)?));
        figures.filter_map(point).collect()
    }
}

async fn durable(plan: &Plan<'_>, records: usize) -> anyhow::Result<Figures> {
    let folder = plan.folder(&format!("subduction-{records}"))?;
    let a = subduction::Replica::durable(&folder.join("a"), 1)?;
    let b = subduction::Replica::durable(&folder.join("b"), 2)?;
    subduction::collection(&a, &b, records).await
}
