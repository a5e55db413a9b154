//! What a node lets other replicas do: a pure function of who asks for what.

use std::collections::BTreeSet;
use std::fmt;

use crate::id::{ReplicaId, SpaceId};

/// Which replicas may link to this node once they have proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Anyone; the spaces are the secret.
    Anyone,
    /// Only these.
    Only(BTreeSet<ReplicaId>),
}

/// Which spaces this node replicates with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spaces {
    /// Any that a peer names; for hubs that relay what they don't know.
    Any,
    /// Only these.
    Listed(BTreeSet<SpaceId>),
}

/// What a replica asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To be linked at all.
    Link,
    /// To read and write a space.
    Open(SpaceId),
}

/// The answer to a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It may.
    Allowed,
    /// It may not.
    Refused(Refusal),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The replica is not among those admitted.
    ReplicaNotAdmitted,
    /// The space is not among those listed.
    SpaceNotListed,
}

impl Refusal {
    /// A stable name, for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReplicaNotAdmitted => "replica_not_admitted",
            Self::SpaceNotListed => "space_not_listed",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReplicaNotAdmitted => "the replica is not admitted here",
            Self::SpaceNotListed => "the space is not shared here",
        })
    }
}

/// The rules of one node. The default lets nobody do anything.
///
/// Each side of a link asks its own policy about the other, when the other opens something and
/// again before it sends or stores anything.
///
/// ```
/// use syncline::SpaceId;
/// use syncline::access::{Admission, Policy, Request, Spaces, Verdict};
/// use syncline::id::ReplicaId;
///
/// let team = SpaceId::named("team");
/// let policy = Policy {
///     replicas: Admission::Anyone,
///     spaces: Spaces::Listed([team].into()),
/// };
/// let guest = ReplicaId::from_bytes([7; 32]);
/// assert_eq!(policy.decide(guest, Request::Open(team)), Verdict::Allowed);
/// let other = policy.decide(guest, Request::Open(SpaceId::named("other")));
/// assert_ne!(other, Verdict::Allowed);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Who may link.
    pub replicas: Admission,
    /// What those who may link can open.
    pub spaces: Spaces,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            replicas: Admission::Only(BTreeSet::new()),
            spaces: Spaces::Listed(BTreeSet::new()),
        }
    }
}

impl Policy {
    /// Whether `replica`, which has proved that it is that, may have what it asks for.
    pub fn decide(&self, replica: ReplicaId, request: Request) -> Verdict {
        let admitted = match &self.replicas {
            Admission::Anyone => true,
            Admission::Only(replicas) => replicas.contains(&replica),
        };
        if !admitted {
            return Verdict::Refused(Refusal::ReplicaNotAdmitted);
        }
        let listed = match (request, &self.spaces) {
            (Request::Link, _) | (Request::Open(_), Spaces::Any) => true,
            (Request::Open(space), Spaces::Listed(spaces)) => spaces.contains(&space),
        };
        if listed {
            Verdict::Allowed
        } else {
            Verdict::Refused(Refusal::SpaceNotListed)
        }
    }
}
