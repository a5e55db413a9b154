//! Documents as the hub reads them from a store: heads from a row, changes from the graph, nothing loaded.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use super::hub::Documents;
use super::sync::{Lineage, Link};
use crate::error::Result;
use crate::id::{ChangeHash, CollectionId, RecordId, RecordKey, SpaceId};
use crate::limits;
use crate::replica::{Header, Rows, Slot, WholeGraph};
use crate::store::Snapshot;

/// Reads the documents of one collection, each as it is committed when it is asked for. It keeps the graphs
/// used last at hand, up to [`limits::REPO_GRAPH_CHANGES`].
pub struct Library<S, F> {
    space: SpaceId,
    collection: CollectionId,
    snapshot: F,
    graphs: Graphs,
    current: Option<Document<S>>,
}

impl<S, F> fmt::Debug for Library<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library")
            .field("collection", &self.collection)
            .field("graphs", &self.graphs.kept.len())
            .finish_non_exhaustive()
    }
}

impl<S, F> Library<S, F>
where
    S: AsRef<dyn Snapshot>,
    F: FnMut() -> Result<S>,
{
    /// The records of a collection; `snapshot` gives what is committed.
    pub fn new(space: SpaceId, collection: CollectionId, snapshot: F) -> Self {
        Self {
            space,
            collection,
            snapshot,
            graphs: Graphs::default(),
            current: None,
        }
    }
}

impl<S, F> Documents for Library<S, F>
where
    S: AsRef<dyn Snapshot>,
    F: FnMut() -> Result<S>,
{
    fn lineage(&mut self, document: RecordId) -> Result<&mut dyn Lineage> {
        self.rest();
        let key = RecordKey {
            space: self.space,
            collection: self.collection.clone(),
            record: document,
        };
        let reading = (self.snapshot)()?;
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

    fn rest(&mut self) {
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

/// One document in a snapshot.
struct Document<S> {
    key: RecordKey,
    slot: Option<Slot>,
    header: Header,
    heads: Vec<ChangeHash>,
    reading: S,
    /// The graph as it was read last, which may be behind until `is_read`.
    graph: Option<WholeGraph>,
    is_read: bool,
}

impl<S: AsRef<dyn Snapshot>> Document<S> {
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

impl<S: AsRef<dyn Snapshot>> Lineage for Document<S> {
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
    usize::try_from(graph.len())
        .unwrap_or(usize::MAX)
        .saturating_add(4)
}
