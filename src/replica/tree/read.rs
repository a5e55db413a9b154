//! Reading: what any span of keys comes to, and where to part it.

use std::ops::ControlFlow;

use super::{BUCKET, DIGITS, Node, Prefix, digits, first_key, span_of};
use crate::error::Result;
use crate::reconcile::{RangeKey, Span, Total, Upper};
use crate::replica::keys::{self, Number};
use crate::replica::read::{Rows, damaged};
use crate::replica::rows;
use crate::store::{Order, Table};

/// A range while a span is parted.
#[derive(Debug)]
struct Part {
    prefix: Prefix,
    total: Total,
}

impl Rows<'_> {
    pub(super) fn node(&self, number: Number, prefix: &[u8]) -> Result<Node> {
        let row = self.row(Table::Tree, &keys::node(number, prefix), Node::decode)?;
        row.ok_or_else(|| damaged(Table::Tree, &"a node is missing"))
    }

    /// What the elements before `end` come to.
    pub(in crate::replica) fn before(&self, number: Number, end: Upper) -> Result<Total> {
        let all = self.total(number)?;
        let Upper::Key(end) = end else {
            return Ok(all);
        };
        let (mut sum, mut prefix, mut count) = (Total::default(), Vec::new(), all.count);
        let end_digits = digits(end);
        while count > BUCKET {
            let node = self.node(number, &prefix)?;
            let rest = end_digits.get(prefix.len()..).unwrap_or_default();
            let (head, tail) = rest.split_at(node.shared.len().min(rest.len()));
            match head.cmp(node.shared.as_slice()) {
                std::cmp::Ordering::Less => return Ok(sum),
                std::cmp::Ordering::Greater => {
                    sum.merge(&node.total());
                    return Ok(sum);
                }
                std::cmp::Ordering::Equal => {}
            }
            let digit = tail.first().copied().unwrap_or(0);
            sum.merge(&Total::sum(node.parts.range(..digit).map(|(_, it)| it)));
            prefix.extend(&node.shared);
            prefix.push(digit);
            count = node.parts.get(&digit).map_or(0, |it| it.count);
        }
        if count > 0 {
            let Span { lower, .. } = span_of(&prefix);
            let upper = Upper::Key(end);
            sum.merge(&self.counted(number, Span { lower, upper })?);
        }
        Ok(sum)
    }

    /// What the elements of a span come to, one by one.
    fn counted(&self, number: Number, span: Span) -> Result<Total> {
        let mut total = Total::default();
        let visit = &mut |_, row: &[u8]| {
            total.add(&rows::decode_element(row)?);
            Ok(ControlFlow::Continue(()))
        };
        self.elements(number, span, Order::Ascending, visit)?;
        Ok(total)
    }

    /// What the elements of a span come to.
    pub(in crate::replica) fn within(&self, number: Number, span: Span) -> Result<Total> {
        let mut total = self.before(number, span.upper)?;
        if span.lower > RangeKey::START {
            total.take(&self.before(number, Upper::Key(span.lower))?);
        }
        Ok(total)
    }

    /// Parts a span into at most `limit` of similar size, in order. They lie along the nodes, so that
    /// both sides of a walk part alike where their elements are alike.
    pub(in crate::replica) fn parts(
        &self,
        number: Number,
        span: Span,
        limit: usize,
    ) -> Result<Vec<(Upper, Total)>> {
        let ranges = self.ranges(number, span, limit)?;
        if ranges.len() < 2 {
            return self.halves(number, span, limit);
        }
        let mut parts = Vec::new();
        let mut lower = span.lower;
        let mut ranges = ranges.iter().peekable();
        while let Some(range) = ranges.next() {
            // What lies between two ranges is empty; each part ends where the next range begins.
            let next = ranges.peek();
            let upper = next.map_or(span.upper, |it| Upper::Key(first_key(&it.prefix)));
            let total = if is_inside(span_of(&range.prefix), span) {
                range.total
            } else {
                self.within(number, Span { lower, upper })?
            };
            parts.push((upper, total));
            if let Upper::Key(key) = upper {
                lower = key;
            }
        }
        Ok(at_most(limit, &parts))
    }

    /// Parts a span so that the parts get smaller towards its end, down to about `leaf` elements.
    pub(in crate::replica) fn newest(
        &self,
        number: Number,
        span: Span,
        leaf: usize,
    ) -> Result<Vec<(Upper, Total)>> {
        let mut cuts = Vec::new();
        let mut last = Part {
            prefix: Vec::new(),
            total: self.total(number)?,
        };
        while last.total.count > BUCKET {
            let node = self.node(number, &last.prefix)?;
            let parts = Self::parts_of(&last.prefix, &node);
            let Some(part) = parts
                .filter(|it| overlaps(span_of(&it.prefix), span))
                .last()
            else {
                break;
            };
            cuts.push(first_key(&part.prefix));
            last = part;
        }
        let from = first_key(&last.prefix).max(span.lower);
        let rest = Span {
            lower: from,
            ..span
        };
        let mut keys = Vec::new();
        let visit = &mut |key: RangeKey, _: &[u8]| {
            keys.push(key);
            let full = keys.len() > leaf;
            Ok(if full {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        };
        self.elements(number, rest, Order::Descending, visit)?;
        if let [.., low, high] = keys.as_slice()
            && keys.len() > leaf
        {
            // The last one read is that before the leaf.
            cuts.push(shortest_between(*high, *low));
        }
        self.between(number, span, cuts)
    }

    /// What lies between the cuts of a span, which may repeat or lie outside.
    fn between(
        &self,
        number: Number,
        span: Span,
        cuts: Vec<RangeKey>,
    ) -> Result<Vec<(Upper, Total)>> {
        let mut lower = span.lower;
        let mut below = match lower {
            RangeKey::START => Total::default(),
            lower => self.before(number, Upper::Key(lower))?,
        };
        let mut parts = Vec::new();
        for upper in cuts.into_iter().map(Upper::Key).chain([span.upper]) {
            if upper <= Upper::Key(lower) || upper > span.upper {
                continue;
            }
            let up_to = self.before(number, upper)?;
            let mut total = up_to;
            total.take(&below);
            parts.push((upper, total));
            below = up_to;
            if let Upper::Key(key) = upper {
                lower = key;
            }
        }
        Ok(parts)
    }

    /// Ranges that cover the elements of a span, the largest ones taken apart first.
    fn ranges(&self, number: Number, span: Span, limit: usize) -> Result<Vec<Part>> {
        let total = self.total(number)?;
        let prefix = Vec::new();
        let mut ranges = vec![Part { prefix, total }];
        loop {
            // One that reaches beyond the span says nothing of how much of it lies inside.
            let weight = |it: &Part| (!is_inside(span_of(&it.prefix), span), it.total.count);
            let large = ranges.iter().enumerate();
            let large = large.filter(|(_, it)| it.total.count > BUCKET);
            let Some((at, part)) = large.max_by_key(|(_, it)| weight(it)) else {
                return Ok(ranges);
            };
            let node = self.node(number, &part.prefix)?;
            let parts: Vec<_> = Self::parts_of(&part.prefix, &node)
                .filter(|it| overlaps(span_of(&it.prefix), span))
                .collect();
            if ranges.len() > 1 && ranges.len() + parts.len() > limit + 1 {
                return Ok(ranges);
            }
            ranges.splice(at..=at, parts);
        }
    }

    fn parts_of<'n>(prefix: &[u8], node: &'n Node) -> impl Iterator<Item = Part> + use<'n> {
        let start = [prefix, &node.shared].concat();
        node.parts.iter().map(move |(digit, total)| Part {
            prefix: [start.as_slice(), &[*digit]].concat(),
            total: *total,
        })
    }

    /// Parts a span of few elements evenly.
    fn halves(&self, number: Number, span: Span, limit: usize) -> Result<Vec<(Upper, Total)>> {
        let mut elements = Vec::new();
        let visit = &mut |key: RangeKey, row: &[u8]| {
            elements.push((key, rows::decode_element(row)?));
            Ok(ControlFlow::Continue(()))
        };
        self.elements(number, span, Order::Ascending, visit)?;
        let size = elements.len().div_ceil(limit.max(1)).max(1);
        let mut parts: Vec<(Upper, Total)> = Vec::new();
        let mut chunks = elements.chunks(size).peekable();
        while let Some(chunk) = chunks.next() {
            let total = Total::of(chunk.iter().map(|(_, it)| it));
            let next = chunks.peek().and_then(|it| it.first());
            let last = chunk.last();
            let upper = match (last, next) {
                (Some((low, _)), Some((high, _))) => Upper::Key(shortest_between(*low, *high)),
                _ => span.upper,
            };
            parts.push((upper, total));
        }
        if parts.is_empty() {
            parts.push((span.upper, Total::default()));
        }
        Ok(parts)
    }
}

/// Joins neighbours until there are no more than `limit`.
fn at_most(limit: usize, parts: &[(Upper, Total)]) -> Vec<(Upper, Total)> {
    let size = parts.len().div_ceil(limit.max(1)).max(1);
    let joined = parts.chunks(size).filter_map(|chunk| {
        let sum = Total::sum(chunk.iter().map(|(_, it)| it));
        chunk.last().map(|(upper, _)| (*upper, sum))
    });
    joined.collect()
}

fn is_inside(inner: Span, outer: Span) -> bool {
    inner.lower >= outer.lower && inner.upper <= outer.upper
}

fn overlaps(one: Span, other: Span) -> bool {
    Upper::Key(one.lower) < other.upper && Upper::Key(other.lower) < one.upper
}

/// A key above `low` and not above `high` that ends in as many zeros as possible, which makes it
/// short on the wire.
fn shortest_between(low: RangeKey, high: RangeKey) -> RangeKey {
    let (low, high) = (digits(low), digits(high));
    let alike = low.iter().zip(&high).take_while(|(a, b)| a == b).count();
    first_key(high.get(..(alike + 1).min(DIGITS)).unwrap_or(&high))
}
