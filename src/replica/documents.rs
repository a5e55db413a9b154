//! Documents out of a store: for editing, projecting and exporting, never for replicating.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::capture::{Projection, View};
use super::graph::{Graph, Node};
use super::keys::Slot;
use super::read::{Rows, damaged};
use super::rows::{Header, SnapshotRow};
use crate::doc::{self, Change, Document, Shown, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ActorId, ChangeHash, Heads, Lsn, RecordKey};
use crate::store::Table;

/// A document, and how much of what the store has of its record is in it.
#[derive(Debug)]
pub struct Loaded {
    /// The document. It may have local changes that are not stored yet.
    pub document: Document,
    /// The stored heads that are in it.
    pub heads: Heads,
    /// Number of stored changes that are in it: all up to there, in the order of the store, but for
    /// those refused.
    changes: u32,
    /// How many were refused when it was made. They never get fewer, so another number means that
    /// something in it may be refused now.
    refused: u32,
    /// Who writes to it, unless somebody forges that writer's changes.
    actor: ActorId,
}

impl Loaded {
    /// An empty document that `actor` will write to, nothing of the store in it yet.
    pub fn new(actor: &ActorId) -> Self {
        Self {
            document: Document::new(actor),
            heads: Heads::default(),
            changes: 0,
            refused: 0,
            actor: actor.clone(),
        }
    }

    /// The document of a record as it stands, empty if nothing of it is here.
    ///
    /// Costs in proportion to the record's history.
    ///
    /// # Errors
    /// [`ErrorKind::Poisoned`] when Automerge refuses the changes; when the store can't be read.
    pub fn open(rows: &Rows<'_>, key: &RecordKey, actor: &ActorId) -> Result<Self> {
        let mut loaded = Self::new(actor);
        loaded.refresh(rows, key)?;
        Ok(loaded)
    }

    /// Number of stored changes that are in it.
    pub const fn changes(&self) -> u32 {
        self.changes
    }

    /// Whether there are local changes in it that it has not met in the store yet.
    pub fn is_ahead(&self) -> bool {
        self.document.heads() != self.heads
    }

    /// The value of what is stored of it, without local changes that may yet fail.
    ///
    /// # Errors
    /// [`ErrorKind::Poisoned`] when Automerge fails.
    pub fn stored_value(&self) -> Result<Shown> {
        let past = self.is_ahead().then_some(&self.heads);
        self.document.shown(past).map_err(Error::from)
    }

    /// Brings the document up to what the store has of the record. Costs in proportion to what is
    /// new.
    ///
    /// # Errors
    /// As [`Loaded::open`]. With [`ErrorKind::Poisoned`] the document may be spoiled
    /// ([`Document::is_spoiled`]): the caller drops it and opens it again. Else it stays as it was.
    pub fn refresh(&mut self, rows: &Rows<'_>, key: &RecordKey) -> Result<()> {
        let Some((slot, header)) = find(rows, key)? else {
            return Ok(());
        };
        if header.refused != self.refused {
            // Something that is in it may be refused now.
            let graph = rows.graph(slot, &header)?;
            *self = Self::new(&unforged(&self.actor, &header, &graph));
            self.refused = header.refused;
        }
        if header.changes <= self.changes {
            return Ok(());
        }
        let (from, folded) = self.unfold(rows, (key, slot), &header)?;
        let nodes = admitted(rows, slot, from, &header)?;
        // Own edits came into the document before they were stored.
        let new = nodes.iter().filter(|it| !self.document.has(&it.hash));
        let (hashes, lsns): (Vec<_>, Vec<_>) = new.map(|it| (it.hash, it.lsn)).unzip();
        let loose: Vec<_> = hashes.into_iter().zip(read(rows, key, &lsns)?).collect();
        for (hash, bytes) in &loose {
            let found = Change::hash_of(bytes).map_err(|it| damaged(Table::Log, &it))?;
            if found != *hash {
                return Err(damaged(
                    Table::Log,
                    &format!("{found} in the place of {hash}"),
                ));
            }
        }
        if !folded.is_empty() {
            let applied = self.document.apply(&folded);
            applied.map_err(|fault| poisoned(key, &fault))?;
        }
        if !loose.is_empty() {
            let applied = self.document.apply_stored(&loose);
            applied.map_err(|fault| poisoned(key, &fault))?;
        }
        self.heads = header.shown();
        self.changes = header.changes;
        Ok(())
    }

    /// Takes in what was folded since this was made: gives the position from which on changes are
    /// loose, and those before it that are still to be applied.
    fn unfold(
        &mut self,
        rows: &Rows<'_>,
        (key, slot): (&RecordKey, Slot),
        header: &Header,
    ) -> Result<(u32, Vec<Change>)> {
        if self.changes >= header.folded {
            return Ok((self.changes, Vec::new()));
        }
        let is_new = self.changes == 0 && !self.is_ahead();
        if is_new && header.refused == 0 {
            let row = snapshot(rows, slot)?;
            let loaded = Document::load(&self.actor, [row.document.as_ref()]);
            self.document = loaded.map_err(|fault| poisoned(key, &fault))?;
            return Ok((row.changes, Vec::new()));
        }
        let (changes, folded) = folded(rows, slot, header)?;
        let new = folded.into_iter();
        let new = new.filter(|it| !self.document.has(&it.hash()));
        Ok((changes, new.collect()))
    }
}

/// The changes in a record's snapshot that are part of its document, and how many are in it.
fn folded(rows: &Rows<'_>, slot: Slot, header: &Header) -> Result<(u32, Vec<Change>)> {
    let mut changes = rows.folded_changes(slot)?;
    if header.refused > 0 {
        let graph = rows.graph(slot, header)?;
        let refused = graph.refused().iter().filter_map(|it| graph.node(*it));
        let refused: BTreeSet<_> = refused.map(|it| it.hash).collect();
        changes.retain(|it| !refused.contains(&it.hash()));
    }
    Ok((header.folded, changes))
}

fn snapshot(rows: &Rows<'_>, slot: Slot) -> Result<SnapshotRow> {
    let missing = || damaged(Table::Snapshots, &"a snapshot is missing");
    rows.snapshot_of(slot)?.ok_or_else(missing)
}

/// The record's changes from position `from` on that are part of its document.
fn admitted(rows: &Rows<'_>, slot: Slot, from: u32, header: &Header) -> Result<Vec<Node>> {
    if header.refused == 0 {
        return rows.nodes(slot, from, header);
    }
    let graph = rows.graph(slot, header)?;
    let positions = (from..graph.len()).filter(|it| !graph.refused().contains(it));
    Ok(positions.filter_map(|it| graph.node(it)).cloned().collect())
}

/// The name under which this store goes on writing. Where its own changes were forged and lost
/// against the forgery, numbers of that writer are taken, and the next name is used.
fn unforged(actor: &ActorId, header: &Header, graph: &Graph) -> ActorId {
    let refused = graph.refused().iter().filter_map(|it| graph.node(*it));
    let writers: BTreeSet<_> = refused
        .filter_map(|it| header.actors.get(usize::try_from(it.actor).ok()?))
        .map(|(actor, _)| actor)
        .collect();
    let mut name = actor.clone();
    while writers.contains(&name) {
        name = name.next();
    }
    name
}

/// All changes of a record that are part of its document, parents first.
///
/// # Errors
/// When the store can't be read.
pub fn changes(rows: &Rows<'_>, key: &RecordKey) -> Result<Vec<Bytes>> {
    let Some((slot, header)) = find(rows, key)? else {
        return Ok(Vec::new());
    };
    let (from, folded) = if header.folded > 0 {
        folded(rows, slot, &header)?
    } else {
        (0, Vec::new())
    };
    let mut changes: Vec<_> = folded.iter().map(|it| it.bytes().clone()).collect();
    changes.extend(read_nodes(
        rows,
        key,
        &admitted(rows, slot, from, &header)?,
    )?);
    Ok(changes)
}

/// The view of a record that has one change only, where that tells it without a document.
///
/// # Errors
/// When the store can't be read.
pub fn first_view(rows: &Rows<'_>, key: &RecordKey) -> Result<Option<FirstView>> {
    let is_first = |it: &Header| it.changes == 1 && it.refused == 0 && it.folded == 0;
    let found = find(rows, key)?.filter(|(_, header)| is_first(header));
    let Some((_, header)) = found else {
        return Ok(None);
    };
    let bytes = read(rows, key, &[header.lsn])?;
    // Where something else is in its place the document says so.
    let is_head = |it: &ChangeHash| header.heads.iter().any(|head| head.hash == *it);
    let own = |it: &&Bytes| Change::hash_of(it).is_ok_and(|hash| is_head(&hash));
    let value = bytes
        .first()
        .filter(own)
        .and_then(|it| doc::first_value(it));
    Ok(value.map(|value| FirstView {
        key: key.clone(),
        heads: header.shown(),
        changes: header.changes,
        value,
    }))
}

/// The value of a record that has one change only.
#[derive(Clone, Debug)]
pub struct FirstView {
    key: RecordKey,
    heads: Heads,
    changes: u32,
    value: Value,
}

impl FirstView {
    /// The value.
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// The same as the engine takes it, with what `breach` says of the value,
    /// by the ruling `ruled_by`.
    pub fn into_projection(
        self,
        ruled_by: u64,
        breach: impl FnOnce(&Value) -> Option<String>,
    ) -> Projection {
        let breach = breach(&self.value);
        let shown = Shown {
            value: self.value,
            by: 0,
        };
        Projection {
            key: self.key,
            heads: self.heads,
            changes: self.changes,
            view: Ok(View {
                breach,
                ruled_by,
                ..View::from(shown)
            }),
        }
    }
}

/// The bytes of changes that are loose in the log.
pub(super) fn read_nodes(rows: &Rows<'_>, key: &RecordKey, nodes: &[Node]) -> Result<Vec<Bytes>> {
    let lsns: Vec<_> = nodes.iter().map(|it| it.lsn).collect();
    read(rows, key, &lsns)
}

fn find(rows: &Rows<'_>, key: &RecordKey) -> Result<Option<(Slot, Header)>> {
    let Some(slot) = rows.slot(key)? else {
        return Ok(None);
    };
    Ok(rows.header(slot)?.map(|header| (slot, header)))
}

/// The bytes of changes at these numbers of the record's space.
fn read(rows: &Rows<'_>, key: &RecordKey, lsns: &[Lsn]) -> Result<Vec<Bytes>> {
    let missing = |lsn: &Lsn| damaged(Table::Log, &format!("change {lsn} of {key} is missing"));
    let Some(space) = rows.number(key.space, None)? else {
        return lsns.first().map_or(Ok(Vec::new()), |it| Err(missing(it)));
    };
    let bytes = |lsn: &Lsn| -> Result<Bytes> {
        let row = rows.log_row(space, *lsn)?;
        row.map(|it| it.bytes).ok_or_else(|| missing(lsn))
    };
    lsns.iter().map(bytes).collect()
}

fn poisoned(key: &RecordKey, fault: &dyn std::fmt::Display) -> Error {
    let message = format!("the document of record {key} can't be loaded: {fault}");
    Error::new(ErrorKind::Poisoned, message)
}
