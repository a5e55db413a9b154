//! Writing: what became of the elements of a batch, worked into the nodes they stand under.

use std::ops::ControlFlow;

use super::{BUCKET, DIGITS, Node, Prefix, digits, span_of};
use crate::error::Result;
use crate::plant::{self, Plant};
use crate::reconcile::{Element, RangeKey, Total};
use crate::replica::keys::{self, Number};
use crate::replica::read::{Rows, damaged};
use crate::replica::rows::{self, encode_total};
use crate::store::{Batch, Order, Snapshot, Table, Write};

/// What becomes of the elements at one key: to be added, modulo everything.
struct Delta {
    key: [u8; DIGITS],
    total: Total,
}

/// Brings the tree up to what `batch` does to elements.
///
/// # Errors
/// When the store can't be read, or a row is damaged.
pub(in crate::replica) fn update(snapshot: &dyn Snapshot, batch: &mut Batch) -> Result<()> {
    let mut deltas = Vec::new();
    for (key, write) in batch.range(Table::Elements, &[], None) {
        let (number, place) = keys::read_element(key).map_err(|it| unreadable(&it))?;
        let mut total = Total::default();
        if let Some(old) = snapshot.get(Table::Elements, key)?
            && !plant::is_planted(Plant::KeepOldElement)
        {
            total.subtract(&element(&old)?);
        }
        if let Write::Put(new) = write {
            total.add(&element(new)?);
        }
        let key = digits(place);
        deltas.push((number, Delta { key, total }));
    }
    for group in deltas.chunk_by(|(left, _), (right, _)| left == right) {
        let Some((number, _)) = group.first() else {
            continue;
        };
        let deltas = group.iter().map(|(_, it)| it).collect::<Vec<_>>();
        let mut tree = Tree {
            snapshot,
            batch,
            number: *number,
        };
        tree.collection(&deltas)?;
    }
    Ok(())
}

/// Makes a collection's tree again from its elements.
///
/// # Errors
/// When the store can't be read, or a row is damaged.
pub(in crate::replica) fn build(
    snapshot: &dyn Snapshot,
    batch: &mut Batch,
    number: Number,
) -> Result<()> {
    let mut tree = Tree {
        snapshot,
        batch,
        number,
    };
    tree.clear(&[])?;
    let elements = tree.elements(&[])?;
    let total = Total::of(elements.iter().map(|(_, it)| it));
    tree.put_total(&total);
    if total.count > BUCKET {
        tree.plant(&[], &elements)?;
    }
    Ok(())
}

/// The tree of one collection while it is written.
struct Tree<'a> {
    snapshot: &'a dyn Snapshot,
    batch: &'a mut Batch,
    number: Number,
}

impl Tree<'_> {
    fn rows(&self) -> Rows<'_> {
        Rows::with(self.snapshot, self.batch)
    }

    fn collection(&mut self, deltas: &[&Delta]) -> Result<()> {
        let before = self.rows().total(self.number)?;
        let mut total = before;
        total.merge(&Total::sum(deltas.iter().map(|it| &it.total)));
        if total == before {
            return Ok(());
        }
        self.put_total(&total);
        if plant::is_planted(Plant::KeepOldNode) {
            return Ok(());
        }
        self.range(&mut Vec::new(), (before.count, total.count), deltas)
    }

    /// Works `deltas` into the range of `prefix`, whose count goes from the first number to the
    /// second.
    fn range(
        &mut self,
        prefix: &mut Prefix,
        (before, after): (u64, u64),
        deltas: &[&Delta],
    ) -> Result<()> {
        match (before > BUCKET, after > BUCKET) {
            (false, false) => Ok(()),
            (true, false) => self.clear(prefix),
            (false, true) => {
                let elements = self.elements(prefix)?;
                self.plant(prefix, &elements)
            }
            (true, true) => {
                let node = self.node(prefix)?;
                let node = self.divide(prefix, node, deltas);
                let node = self.descend(prefix, node, deltas)?;
                let node = self.join(prefix, node)?;
                self.put(prefix, &node);
                Ok(())
            }
        }
    }

    /// Where new keys don't begin as all others did, what was one node becomes a part of one.
    fn divide(&mut self, prefix: &[u8], mut node: Node, deltas: &[&Delta]) -> Node {
        let common = |delta: &&Delta| {
            let key = delta.key.iter().skip(prefix.len());
            key.zip(&node.shared).take_while(|(a, b)| a == b).count()
        };
        let common = deltas.iter().map(common).min().unwrap_or(0);
        if common >= node.shared.len() {
            return node;
        }
        let mut rest = node.shared.split_off(common).into_iter();
        let digit = rest.next().unwrap_or(0);
        let part = Node {
            shared: rest.collect(),
            parts: std::mem::take(&mut node.parts),
        };
        node.parts.insert(digit, part.total());
        let at = joined(prefix, &node.shared, digit);
        self.put(&at, &part);
        node
    }

    /// Works deltas into the parts of a node that they belong to.
    fn descend(&mut self, prefix: &mut Prefix, mut node: Node, deltas: &[&Delta]) -> Result<Node> {
        let depth = prefix.len();
        prefix.extend(&node.shared);
        let at = prefix.len();
        let digit = |delta: &Delta| delta.key.get(at).copied().unwrap_or(0);
        for group in deltas.chunk_by(|left, right| digit(left) == digit(right)) {
            let Some(digit) = group.first().map(|it| digit(it)) else {
                continue;
            };
            let part = node.parts.entry(digit).or_default();
            let before = part.count;
            part.merge(&Total::sum(group.iter().map(|it| &it.total)));
            let counts = (before, part.count);
            if part.count == 0 {
                node.parts.remove(&digit);
            }
            prefix.push(digit);
            self.range(prefix, counts, group)?;
            prefix.pop();
        }
        prefix.truncate(depth);
        Ok(node)
    }

    /// A node with one part left is that part.
    fn join(&mut self, prefix: &[u8], mut node: Node) -> Result<Node> {
        if node.parts.len() != 1 {
            return Ok(node);
        }
        let Some(digit) = node.parts.keys().next().copied() else {
            return Ok(node);
        };
        let at = joined(prefix, &node.shared, digit);
        let part = self.node(&at)?;
        self.batch.remove(Table::Tree, keys::node(self.number, &at));
        node.shared.push(digit);
        node.shared.extend(part.shared);
        node.parts = part.parts;
        Ok(node)
    }

    /// Makes the nodes of a range that has none, from more than [`BUCKET`] elements.
    fn plant(&mut self, prefix: &[u8], elements: &[([u8; DIGITS], Element)]) -> Result<()> {
        let (Some((first, _)), Some((last, _))) = (elements.first(), elements.last()) else {
            return Ok(());
        };
        let alike = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        let shared = first.get(prefix.len()..alike).unwrap_or_default().to_vec();
        let digit = |key: &[u8; DIGITS]| key.get(alike).copied().unwrap_or(0);
        let mut node = Node {
            shared,
            ..Node::default()
        };
        for group in elements.chunk_by(|(left, _), (right, _)| digit(left) == digit(right)) {
            let Some(digit) = group.first().map(|(it, _)| digit(it)) else {
                continue;
            };
            let total = Total::of(group.iter().map(|(_, it)| it));
            node.parts.insert(digit, total);
            if total.count > BUCKET && group.len() < elements.len() {
                self.plant(&joined(prefix, &node.shared, digit), group)?;
            }
        }
        self.put(prefix, &node);
        Ok(())
    }

    /// Removes the nodes of a range.
    fn clear(&mut self, prefix: &[u8]) -> Result<()> {
        let mut found = Vec::new();
        let start = keys::node(self.number, prefix);
        self.rows().prefix(Table::Tree, &start, &mut |key, _| {
            found.push(key.to_vec());
            ControlFlow::Continue(())
        })?;
        for key in found {
            self.batch.remove(Table::Tree, key);
        }
        Ok(())
    }

    fn node(&self, prefix: &[u8]) -> Result<Node> {
        self.rows().node(self.number, prefix)
    }

    fn put_total(&mut self, total: &Total) {
        let key = keys::total(self.number);
        if total.count == 0 {
            self.batch.remove(Table::Tree, key);
        } else {
            self.batch.put(Table::Tree, key, encode_total(total));
        }
    }

    fn put(&mut self, prefix: &[u8], node: &Node) {
        self.batch
            .put(Table::Tree, keys::node(self.number, prefix), node.encode());
    }

    /// The elements of a range as they will be.
    fn elements(&self, prefix: &[u8]) -> Result<Vec<([u8; DIGITS], Element)>> {
        let mut elements = Vec::new();
        let visit = &mut |key: RangeKey, row: &[u8]| {
            elements.push((digits(key), rows::decode_element(row)?));
            Ok(ControlFlow::Continue(()))
        };
        self.rows()
            .elements(self.number, span_of(prefix), Order::Ascending, visit)?;
        Ok(elements)
    }
}

fn joined(prefix: &[u8], shared: &[u8], digit: u8) -> Prefix {
    [prefix, shared, &[digit]].concat()
}

fn element(row: &[u8]) -> Result<Element> {
    rows::decode_element(row).map_err(|it| unreadable(&it))
}

fn unreadable(fault: &crate::codec::Malformed) -> crate::error::Error {
    damaged(Table::Elements, fault)
}
