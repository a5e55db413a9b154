//! Documents as the hub of automerge-repo reads them: heads from a row, changes from the graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::RepoShared;
use crate::error::Result;
use crate::id::{ChangeHash, RecordId, RecordKey};
use crate::limits;
use crate::node::shared::Shared;
use crate::node::snapshots::Reading;
use crate::replica::{Header, Rows, Slot, WholeGraph};
use crate::repo::Documents;
use crate::repo::sync::{Lineage, Link};

/// Reads documents, each as it is committed when it is asked for.
#[derive(Debug)]
pub(super) struct Library {
    shared: Arc<Shared>,
    repo: Arc<RepoShared>,
    graphs: Graphs,
    current: Option<Document>,
}

impl Library {
    pub(super) fn new(shared: Arc<Shared>, repo: Arc<RepoShared>) -> Self {
        Self {
            shared,
            repo,
            graphs: Graphs::default(),
            current: None,
        }
    }

    /// Lets go of the snapshot that was read last.
    pub(super) fn rest(&mut self) {
        if let Some(Document {
            key,
            graph: Some(graph),
            ..
        }) = self.current.take()
        {
            self.graphs.put(key.record, graph);
        }
    }
}

impl Documents for Library {
    fn lineage(&mut self, document: RecordId) -> Result<&mut dyn Lineage> {
        self.rest();
        let key = self.repo.key(document);
        let reading = self.shared.snapshot()?;
        let rows = Rows::new(reading.as_ref());
        let slot = rows.slot(&key)?;
        let header = match slot {
            Some(slot) => rows.header(slot)?,
            None => None,
        };
        let header = header.unwrap_or_default();
        let heads = header.shown().as_slice().to_vec();
        let current = Document {
            key,
            slot,
            header,
            heads,
            reading,
            graph: self.graphs.take(document),
            is_read: false,
        };
        Ok(self.current.insert(current))
    }
}

/// One document in a snapshot.
#[derive(Debug)]
struct Document {
    key: RecordKey,
    slot: Option<Slot>,
    header: Header,
    heads: Vec<ChangeHash>,
    reading: Reading,
    /// The graph as it was read last, which may be behind until `is_read`.
    graph: Option<WholeGraph>,
    is_read: bool,
}

impl Document {
    /// The whole graph; none if nothing of the document is here.
    fn graph(&mut self) -> Result<Option<&WholeGraph>> {
        let Some(slot) = self.slot.filter(|_| self.header.changes > 0) else {
            return Ok(None);
        };
        if !self.is_read {
            let rows = Rows::new(self.reading.as_ref());
            self.graph = Some(rows.whole(slot, &self.header, self.graph.take())?);
            self.is_read = true;
        }
        Ok(self.graph.as_ref())
    }

    /// The bytes of a change, or the document that holds it.
    fn piece(&mut self, link: Link, folded: &mut Folded) -> Result<Option<Bytes>> {
        self.graph()?;
        let (Some(slot), Some(graph)) = (self.slot, &self.graph) else {
            return Ok(None);
        };
        let rows = Rows::new(self.reading.as_ref());
        if let Some(bytes) = rows.unfolded_change(self.key.space, graph, link.position)? {
            return Ok(Some(bytes));
        }
        match folded {
            Folded::AsOne { is_given: true } => Ok(Some(Bytes::new())),
            Folded::AsOne { is_given } => {
                *is_given = true;
                rows.folded(slot)
            }
            Folded::OneByOne(changes) => {
                if changes.is_none() {
                    *changes = Some(rows.folded_one_by_one(slot)?);
                }
                Ok(changes.as_ref().and_then(|it| it.get(&link.hash)).cloned())
            }
        }
    }
}

/// How folded changes are given.
enum Folded {
    /// By the document that holds all of them, once.
    AsOne {
        is_given: bool,
    },
    OneByOne(Option<BTreeMap<ChangeHash, Bytes>>),
}

impl Lineage for Document {
    fn heads(&self) -> &[ChangeHash] {
        &self.heads
    }

    fn holds(&mut self, hash: &ChangeHash) -> Result<bool> {
        if self.heads.binary_search(hash).is_ok() {
            return Ok(true);
        }
        Ok(self.graph()?.is_some_and(|it| it.holds(hash)))
    }

    fn since(&mut self, known: &[ChangeHash]) -> Result<Vec<Link>> {
        if known == self.heads {
            return Ok(Vec::new());
        }
        let heads = self.heads.clone();
        let since = self.graph()?.map(|it| it.since(&heads, known));
        let since = since.unwrap_or_default().into_iter();
        Ok(since
            .map(|(position, hash)| Link { position, hash })
            .collect())
    }

    fn chunks(
        &mut self,
        wanted: &[Link],
        bytes_max: usize,
        documents: bool,
    ) -> Result<(Vec<Bytes>, usize)> {
        let mut folded = if documents {
            Folded::AsOne { is_given: false }
        } else {
            Folded::OneByOne(None)
        };
        let (mut chunks, mut bytes, mut count) = (Vec::new(), 0_usize, 0);
        for link in wanted {
            let Some(piece) = self.piece(*link, &mut folded)? else {
                break;
            };
            let is_full = bytes > 0 && bytes.saturating_add(piece.len()) > bytes_max;
            if is_full {
                break;
            }
            count += 1;
            bytes += piece.len();
            chunks.extend(Some(piece).filter(|it| !it.is_empty()));
        }
        Ok((chunks, count))
    }
}

/// The graphs read last, up to [`limits::REPO_GRAPH_CHANGES`] in all.
#[derive(Debug, Default)]
struct Graphs {
    kept: BTreeMap<RecordId, (u64, WholeGraph)>,
    by_use: BTreeMap<u64, RecordId>,
    uses: u64,
    changes: usize,
}

impl Graphs {
    fn take(&mut self, document: RecordId) -> Option<WholeGraph> {
        let (used, graph) = self.kept.remove(&document)?;
        self.by_use.remove(&used);
        self.changes -= weight(&graph);
        Some(graph)
    }

    fn put(&mut self, document: RecordId, graph: WholeGraph) {
        self.uses += 1;
        self.changes += weight(&graph);
        self.by_use.insert(self.uses, document);
        self.kept.insert(document, (self.uses, graph));
        while self.changes > limits::REPO_GRAPH_CHANGES
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.take(oldest);
        }
    }
}

/// Small records cost their map entries, too.
fn weight(graph: &WholeGraph) -> usize {
    usize::try_from(graph.len()).unwrap_or(usize::MAX).saturating_add(4)
}
