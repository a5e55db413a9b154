//! Gates: for which replicas something new counts, while it is rolled out.

use std::collections::BTreeSet;

use super::place;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ReplicaId;
use crate::limits;

/// Everybody, in thousandths.
const ALL: u16 = 1_000;

/// A name that is open for some replicas: a share of them, and some by name. It is kept in the space, so
/// that everybody knows of it.
///
/// Who is in a share follows from the gate's name and the replica's id: a larger share has everybody of a
/// smaller one.
///
/// ```
/// use syncline::contract::Gate;
/// use syncline::id::ReplicaId;
/// let replica = ReplicaId::from_bytes([7; 32]);
/// let gate = Gate::new("new-names")?;
/// assert!(!gate.is_open_for(replica));
/// assert!(gate.clone().share(1_000)?.is_open_for(replica));
/// assert!(gate.name_replica(replica)?.is_open_for(replica));
/// # Ok::<_, syncline::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    name: String,
    per_mille: u16,
    replicas: BTreeSet<ReplicaId>,
}

impl Gate {
    /// A gate that is shut.
    ///
    /// # Errors
    /// `InvalidInput` if it is no name: lower-case letters, digits, `-` and `_`.
    pub fn new(name: &str) -> Result<Self> {
        place::check_name(name, 1).map_err(|it| Error::new(ErrorKind::InvalidInput, it))?;
        Ok(Self {
            name: name.to_owned(),
            per_mille: 0,
            replicas: BTreeSet::new(),
        })
    }

    /// The same gate, open for this share of all replicas, in thousandths.
    ///
    /// # Errors
    /// `InvalidInput` over 1,000.
    pub fn share(mut self, per_mille: u16) -> Result<Self> {
        if per_mille > ALL {
            let message = format!("a share is 0 to {ALL} thousandths, not {per_mille}");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        self.per_mille = per_mille;
        Ok(self)
    }

    /// The same gate, open for this replica whatever its share.
    ///
    /// # Errors
    /// `TooLarge` over [`limits::GATE_REPLICAS_MAX`].
    pub fn name_replica(mut self, replica: ReplicaId) -> Result<Self> {
        self.replicas.insert(replica);
        let max = limits::GATE_REPLICAS_MAX;
        if self.replicas.len() > max {
            let message = format!("a gate names at most {max} replicas; open it for a share");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(self)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For which share of all replicas it is open, in thousandths.
    pub const fn per_mille(&self) -> u16 {
        self.per_mille
    }

    /// For whom it is open by name.
    pub const fn replicas(&self) -> &BTreeSet<ReplicaId> {
        &self.replicas
    }

    /// Whether it is open for a replica.
    pub fn is_open_for(&self, replica: ReplicaId) -> bool {
        let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 gate");
        hasher
            .update(replica.as_bytes())
            .update(self.name.as_bytes());
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        let place = u64::from_be_bytes(bytes) % u64::from(ALL);
        place < u64::from(self.per_mille) || self.replicas.contains(&replica)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_share_has_all_of_a_smaller_one() {
        let gate = |share| Gate::new("new").unwrap().share(share).unwrap();
        let replicas = (0..2_000_u16).map(|it| {
            let mut bytes = [0; 32];
            bytes[..2].copy_from_slice(&it.to_be_bytes());
            ReplicaId::from_bytes(bytes)
        });
        let mut open = [0; 4];
        for replica in replicas {
            let all = [0, 100, 500, 1_000].map(|it| gate(it).is_open_for(replica));
            assert!(all.is_sorted(), "{all:?}");
            for (count, is_open) in open.iter_mut().zip(all) {
                *count += u32::from(is_open);
            }
        }
        assert_eq!((open[0], open[3]), (0, 2_000));
        assert!(
            (120..280).contains(&open[1]) && (850..1_150).contains(&open[2]),
            "{open:?}"
        );
        assert!(Gate::new("new").unwrap().share(1_001).is_err());
        assert!(Gate::new("No").is_err());
    }
}
