//! Whether what a store holds agrees with itself: every table against the log it follows from.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::graph::{Graph, Node};
use super::keys::{self, Number, Slot};
use super::read::{Rows, damaged};
use super::rows::{Header, decode_element, is_tombstone};
use super::stem::Stem;
use super::tree;
use crate::codec::Reader;
use crate::doc::{Change, inspect_snapshot};
use crate::error::{ErrorKind, Result};
use crate::id::{ChangeHash, CollectionId, Lsn, RecordId, SpaceId};
use crate::reconcile::{Element, Total};
use crate::store::{Batch, Table, Write};

/// Elements with their keys, as table `elements` holds them.
type Elements = BTreeSet<(Vec<u8>, [u8; 32])>;

impl Rows<'_> {
    /// What is known of each record of a collection, in order of record ids.
    ///
    /// # Errors
    /// When the store can't be read, or a row is damaged.
    pub fn headers(&self, collection: Number) -> Result<Vec<(RecordId, Header)>> {
        let mut headers = Vec::new();
        let mut fault = None;
        let prefix = collection.0.to_be_bytes();
        self.prefix(Table::Records, &prefix, &mut |key, row| {
            let slot = Slot::read(&mut Reader::new(key));
            match slot.and_then(|slot| Ok((slot.record, Header::decode(row)?))) {
                Ok(found) => headers.push(found),
                Err(error) => {
                    fault = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        fault.map_or(Ok(headers), |it| Err(damaged(Table::Records, &it)))
    }

    /// Reads all of a space and says what does not agree: changes that are not what their hash
    /// says, parents that are missing or come later, heads, numbers and sums that don't follow from
    /// the changes. Nothing, if all is well. Costs in proportion to the history.
    ///
    /// # Errors
    /// When the store can't be read, or a row is damaged.
    pub fn verify(&self, space: SpaceId) -> Result<Vec<String>> {
        let mut complaints = Vec::new();
        let mut lsns = BTreeSet::new();
        for collection in self.collections(space)? {
            let Some(number) = self.number(space, Some(&collection))? else {
                continue;
            };
            let mut total = Total::default();
            let mut elements = BTreeSet::new();
            for (record, header) in self.headers(number)? {
                let slot = Slot {
                    collection: number,
                    record,
                };
                let found = self.verify_record(space, slot, &header, &mut lsns)?;
                complaints.extend(
                    found
                        .into_iter()
                        .map(|it| format!("{collection}/{record}: {it}")),
                );
                let element = Element::of(&collection, record, &header.hashes());
                total.add(&element);
                let place = keys::element(number, header.element_key(record));
                elements.insert((place, *element.as_bytes()));
            }
            self.verify_sums(number, &collection, (&total, &elements), &mut complaints)?;
            let wrong = self.wrong_entries(space, &collection, number)?.len();
            if wrong > 0 {
                let text =
                    format!("{wrong} index entries of {collection} do not follow from its views");
                complaints.push(text);
            }
            if self.shown_records(number)? != self.count_shown(number)? {
                let text = format!("the count of {collection} is not that of its views");
                complaints.push(text);
            }
        }
        self.verify_log(space, &lsns, &mut complaints)?;
        self.verify_blobs(space, &mut complaints)?;
        Ok(complaints)
    }

    fn verify_record(
        &self,
        space: SpaceId,
        slot: Slot,
        header: &Header,
        lsns: &mut BTreeSet<Lsn>,
    ) -> Result<Vec<String>> {
        let mut complaints = Vec::new();
        let graph = match self.checked_graph(slot, header, &mut complaints) {
            Err(error) if error.kind() == ErrorKind::StoreCorrupt => {
                return Ok(vec![format!("{error:#}")]);
            }
            graph => graph?,
        };
        let log = self.number(space, None)?.unwrap_or(Number(u32::MAX));
        let (loose, folded) = (lsns, self.snapshot_changes(slot, header, &mut complaints)?);
        let mut known = BTreeMap::new();
        let mut heads = BTreeSet::new();
        for (position, node) in (0..).zip(&graph.nodes) {
            let change = if position < header.folded {
                folded.get(&node.hash).cloned()
            } else {
                loose.insert(node.lsn);
                self.loose_change(log, slot, node, &mut complaints)?
            };
            let Some(change) = change else {
                complaints.push(format!("change {} is missing", node.hash.short()));
                continue;
            };
            let parents = change.deps().iter().map(|it| known.get(it).copied());
            let mut parents: Vec<Option<u32>> = parents.collect();
            if parents.contains(&None) {
                complaints.push(format!("{} stands before a parent", node.hash.short()));
            }
            parents.sort_unstable();
            if !parents
                .into_iter()
                .flatten()
                .eq(node.parents.iter().copied())
            {
                complaints.push(format!("{} has other parents", node.hash.short()));
            }
            if known.insert(node.hash, position).is_some() {
                complaints.push(format!("{} stands twice", node.hash.short()));
            }
            heads.retain(|it| !change.deps().contains(it));
            heads.insert(node.hash);
        }
        if heads.into_iter().collect::<crate::id::Heads>() != header.hashes() {
            complaints.push("its heads are not those of its changes".to_owned());
        }
        Ok(complaints)
    }

    /// The whole graph of a record, its stem being what follows from it.
    fn checked_graph(
        &self,
        slot: Slot,
        header: &Header,
        complaints: &mut Vec<String>,
    ) -> Result<Graph> {
        let graph = self.whole_graph(slot, header)?;
        let folded = usize::try_from(header.stem()).unwrap_or(usize::MAX);
        let stem = Stem::of(graph.nodes.get(..folded).unwrap_or_default());
        if self.stem(slot, header)? != stem {
            complaints.push("what its graph keeps of folded changes is not theirs".to_owned());
        }
        Ok(graph)
    }

    /// The changes in a record's snapshot.
    fn snapshot_changes(
        &self,
        slot: Slot,
        header: &Header,
        complaints: &mut Vec<String>,
    ) -> Result<BTreeMap<ChangeHash, Change>> {
        if self.get(Table::Due, &slot.key())?.is_none() && header.is_due() {
            complaints.push("it is due to be folded and not listed so".to_owned());
        }
        let row = self.snapshot_of(slot)?;
        let covered = row.as_ref().map_or(0, |it| it.changes);
        let size = row.as_ref().map_or(0, |it| it.document.len());
        if covered != header.folded || u64::try_from(size) != Ok(header.snapshot_bytes) {
            complaints.push("its snapshot is not the one it is said to have".to_owned());
        }
        let taken = row.map(|it| inspect_snapshot(it.document)).transpose();
        let changes = taken.unwrap_or_else(|refused| {
            complaints.push(format!("its snapshot: {}", refused.detail));
            None
        });
        let changes = changes.unwrap_or_default().into_iter();
        let changes: BTreeMap<_, _> = changes.map(|it| (it.hash(), it)).collect();
        if u32::try_from(changes.len()) != Ok(header.folded) {
            complaints.push("its snapshot has other changes than it is said to".to_owned());
        }
        Ok(changes)
    }

    /// A change that is loose in the log.
    fn loose_change(
        &self,
        log: Number,
        slot: Slot,
        node: &Node,
        complaints: &mut Vec<String>,
    ) -> Result<Option<Change>> {
        let Some(row) = self.log_row(log, node.lsn)? else {
            return Ok(None);
        };
        match Change::verify(row.bytes) {
            Ok(change) if change.hash() == node.hash && row.slot == slot => {
                return Ok(Some(change));
            }
            Ok(_) => complaints.push(format!("the log has another change at {}", node.lsn)),
            Err(fault) => complaints.push(format!("change {}: {fault}", node.hash.short())),
        }
        Ok(None)
    }

    fn verify_sums(
        &self,
        number: Number,
        collection: &CollectionId,
        (total, elements): (&Total, &Elements),
        complaints: &mut Vec<String>,
    ) -> Result<()> {
        if self.total(number)? != *total {
            complaints.push(format!(
                "the sum of {collection} is not that of its records"
            ));
        }
        if !self.is_tree_sound(number)? {
            complaints.push(format!(
                "the sums over ranges of {collection} are not those of its elements"
            ));
        }
        let mut found = BTreeSet::new();
        self.prefix(Table::Elements, &number.0.to_be_bytes(), &mut |key, row| {
            if let Ok(element) = decode_element(row) {
                found.insert((key.to_vec(), *element.as_bytes()));
            }
            ControlFlow::Continue(())
        })?;
        if found != *elements {
            complaints.push(format!("the elements of {collection} are not its records"));
        }
        Ok(())
    }

    /// Whether the nodes over a collection are those that its elements make.
    fn is_tree_sound(&self, number: Number) -> Result<bool> {
        let mut made = Batch::default();
        tree::build(self.snapshot(), &mut made, number)?;
        for (key, write) in made.range(Table::Tree, &[], None) {
            let expected = match write {
                Write::Put(row) => Some(row),
                Write::Remove => None,
            };
            if self.get(Table::Tree, key)?.as_deref() != expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn count_shown(&self, number: Number) -> Result<u64> {
        let mut shown = 0;
        self.views(number, &mut |_, view| {
            shown += u64::from(!is_tombstone(&view.value));
            ControlFlow::Continue(())
        })?;
        Ok(shown)
    }

    /// Every row of the log is a change of some record, and none is missing in between.
    fn verify_log(
        &self,
        space: SpaceId,
        expected: &BTreeSet<Lsn>,
        complaints: &mut Vec<String>,
    ) -> Result<()> {
        let Some(number) = self.number(space, None)? else {
            return Ok(());
        };
        let mut found = BTreeSet::new();
        self.prefix(Table::Log, &number.0.to_be_bytes(), &mut |key, _| {
            let mut reader = Reader::new(key);
            let lsn = reader.u32("space").and_then(|_| reader.u64("lsn"));
            found.extend(lsn.ok().map(Lsn));
            ControlFlow::Continue(())
        })?;
        let horizon = self.horizon(number)?;
        let last = self.last_lsn(number)?;
        let after = (horizon.0..last.0).map(|it| Lsn(it + 1));
        if !after.clone().all(|it| expected.contains(&it)) {
            complaints.push("a change after the horizon of the log is not in it".to_owned());
        }
        if found != *expected {
            complaints.push("the log holds other changes than the records".to_owned());
        }
        Ok(())
    }
}
