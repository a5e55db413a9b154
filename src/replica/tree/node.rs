//! Nodes, as rows of table `tree`.

use std::collections::BTreeMap;

use super::{DIGITS, Prefix};
use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::reconcile::Total;

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::replica) struct Node {
    /// Half bytes that all keys share beyond those that the node stands under.
    pub(super) shared: Prefix,
    /// The totals of its parts, by the half byte after those.
    pub(super) parts: BTreeMap<u8, Total>,
}

impl Node {
    /// What all its parts come to.
    pub(super) fn total(&self) -> Total {
        Total::sum(self.parts.values())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(2 + self.shared.len() + 40 * self.parts.len());
        writer.bytes(&self.shared).count(self.parts.len());
        for (digit, total) in &self.parts {
            writer.u8(*digit).varint(total.count).raw(&total.sum);
        }
        writer.finish()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(row);
        let shared = reader.bytes(DIGITS, "shared digits")?.to_vec();
        let mut parts = BTreeMap::new();
        for _ in 0..reader.count(16, "parts of a node")? {
            let digit = reader.u8("digit")?;
            let count = reader.varint("count")?;
            let sum = reader.array("sum")?;
            parts.insert(digit, Total { count, sum });
        }
        reader.finish("node")?;
        let mut digits = shared.iter().chain(parts.keys());
        if let Some(wrong) = digits.find(|it| **it > 15) {
            return Err(reader.error("digit", Problem::Unexpected(u64::from(*wrong))));
        }
        Ok(Self { shared, parts })
    }
}
