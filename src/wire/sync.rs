//! The messages that carry records: opening a space, asking for changes, sending them.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;

use super::pack;
use super::part::{self, Names, ReadNames, unexpected};
use crate::codec::{Malformed, Reader, Writer};
use crate::id::{ChangeHash, CollectionId, CorrelationId, Lsn, RecordId, SpaceId};
use crate::limits;
use crate::reconcile::Summary;

/// Which collections of a space a side wants to receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All, those created later included.
    All,
    /// Only these.
    Only(BTreeSet<CollectionId>),
}

impl Wanted {
    /// Whether `collection` is among them.
    pub fn includes(&self, collection: &CollectionId) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(collection),
        }
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::All => {
                writer.u8(0);
            }
            Self::Only(names) => {
                writer.u8(1).count(names.len());
                for name in names {
                    writer.text(name.as_str());
                }
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        if !part::flag(reader, "wanted")? {
            return Ok(Self::All);
        }
        let count = reader.count(limits::COLLECTIONS_PER_OPEN_MAX, "wanted count")?;
        let mut names = BTreeSet::new();
        for _ in 0..count {
            let name = part::collection(reader)?;
            if names.last().is_some_and(|last| *last >= name) {
                return Err(unexpected(reader, "order of wanted names", names.len()));
            }
            names.insert(name);
        }
        Ok(Self::Only(names))
    }
}

/// Opens a space on a link. It is active once both sides have sent one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The space.
    pub space: SpaceId,
    /// What the sender wants to receive.
    pub want: Wanted,
    /// Summary of all that the sender holds of the wanted collections.
    pub root: Summary,
    /// End of the sender's own log of the space.
    pub lsn: Lsn,
    /// End of the receiver's log that the sender has durably applied; 0 when it knows of none.
    pub acked: Lsn,
    /// Whether the sender knows from where on its own log has to be sent to this receiver.
    pub resume: bool,
}

impl Open {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.raw(self.space.as_bytes());
        self.want.write(writer);
        part::write_summary(writer, &self.root);
        writer
            .varint(self.lsn.0)
            .varint(self.acked.0)
            .u8(u8::from(self.resume));
        part::write_extensions(writer);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let open = Self {
            space: part::space(reader)?,
            want: Wanted::read(reader)?,
            root: part::summary(reader)?,
            lsn: part::lsn(reader, "lsn")?,
            acked: part::lsn(reader, "acked lsn")?,
            resume: part::flag(reader, "resume")?,
        };
        part::skip_extensions(reader)?;
        Ok(open)
    }
}

/// What the sender knows and lacks of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantRecord {
    /// The record's collection.
    pub collection: CollectionId,
    /// The record.
    pub record: RecordId,
    /// Changes that the sender has: its heads. Of what the receiver lacks it asks for in return.
    pub have: Vec<ChangeHash>,
    /// Ancestors of those at growing distances, so that the receiver finds one that it knows. The
    /// answer is what does not precede any of all these.
    pub older: Vec<ChangeHash>,
}

/// Asks for changes of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The space.
    pub space: SpaceId,
    /// The records.
    pub records: Vec<WantRecord>,
}

impl Want {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.raw(self.space.as_bytes());
        let names = Names::write(writer, self.records.iter().map(|it| &it.collection));
        writer.count(self.records.len());
        for want in &self.records {
            names.write_use(writer, &want.collection);
            writer.raw(want.record.as_bytes());
            part::write_hashes(writer, &want.have);
            part::write_hashes(writer, &want.older);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let space = part::space(reader)?;
        let mut names = ReadNames::read(reader, limits::WANT_RECORDS_MAX)?;
        let count = reader.count(limits::WANT_RECORDS_MAX, "record count")?;
        let mut records = Vec::new();
        for _ in 0..count {
            let collection = names.read_use(reader)?;
            let record = part::record(reader)?;
            let have = part::hashes(reader, limits::WANT_HASHES_MAX, "known hashes")?;
            let older = part::hashes(reader, limits::WANT_HASHES_MAX, "older hashes")?;
            records.push(WantRecord {
                collection,
                record,
                have,
                older,
            });
        }
        names.finish(reader)?;
        Ok(Self { space, records })
    }
}

/// Which of the two flows a frame with changes belongs to. Each has its own credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Edits as they happen. They go first.
    Live,
    /// Catching up.
    Bulk,
}

impl Class {
    /// A stable name, for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Bulk => "bulk",
        }
    }
}

/// Changes of one record. Parents come before their children.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangeGroup {
    /// The record's collection.
    pub collection: CollectionId,
    /// The record.
    pub record: RecordId,
    /// What caused these changes; none means the same as the frame.
    pub correlation: CorrelationId,
    /// Whether this completes what the receiver asked for, or was found to lack, of the record.
    pub done: bool,
    /// The changes as Automerge wrote them, none empty. There may be none at all where `done`.
    pub changes: Vec<Bytes>,
}

impl fmt::Debug for ChangeGroup {
    /// Shows sizes in place of contents: changes hold what people wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<_> = self.changes.iter().map(Bytes::len).collect();
        f.debug_struct("ChangeGroup")
            .field("collection", &self.collection)
            .field("record", &self.record)
            .field("correlation", &self.correlation)
            .field("done", &self.done)
            .field("change_bytes", &sizes)
            .finish()
    }
}

/// Carries changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The space.
    pub space: SpaceId,
    /// The flow.
    pub class: Class,
    /// With this frame the receiver has been sent all of the sender's log of the space, up to
    /// here, that concerns it. 0 says nothing.
    pub upto: Lsn,
    /// Changes by record. None when there is only `upto` to tell.
    pub groups: Vec<ChangeGroup>,
}

impl Changes {
    /// Bytes of all changes together.
    pub fn change_bytes(&self) -> usize {
        let changes = self.groups.iter().flat_map(|group| &group.changes);
        changes.map(Bytes::len).sum()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        let class = match self.class {
            Class::Live => 0,
            Class::Bulk => 1,
        };
        writer
            .raw(self.space.as_bytes())
            .u8(class)
            .varint(self.upto.0);
        let names = Names::write(writer, self.groups.iter().map(|it| &it.collection));
        writer.count(self.groups.len());
        for group in &self.groups {
            names.write_use(writer, &group.collection);
            writer
                .raw(group.record.as_bytes())
                .u64(group.correlation.0)
                .u8(u8::from(group.done))
                .count(group.changes.len());
            let mut before = None;
            for change in &group.changes {
                before = pack::write(writer, change, before.as_ref());
            }
        }
    }

    /// Reads from `reader`, which must read `body`: the changes will share its memory.
    pub(super) fn read(reader: &mut Reader<'_>, body: &Bytes) -> Result<Self, Malformed> {
        let space = part::space(reader)?;
        let class = if part::flag(reader, "class")? {
            Class::Bulk
        } else {
            Class::Live
        };
        let upto = part::lsn(reader, "upto lsn")?;
        let mut names = ReadNames::read(reader, limits::GROUPS_PER_FRAME_MAX)?;
        let count = reader.count(limits::GROUPS_PER_FRAME_MAX, "group count")?;
        let mut groups = Vec::new();
        let mut changes_left = limits::CHANGES_PER_FRAME_MAX;
        for _ in 0..count {
            let collection = names.read_use(reader)?;
            let record = part::record(reader)?;
            let correlation = CorrelationId(reader.u64("correlation")?);
            let done = part::flag(reader, "done")?;
            let max = changes_left.min(limits::CHANGES_PER_GROUP_MAX);
            let changes = read_changes(reader, body, max, done)?;
            changes_left -= changes.len();
            groups.push(ChangeGroup {
                collection,
                record,
                correlation,
                done,
                changes,
            });
        }
        names.finish(reader)?;
        Ok(Self {
            space,
            class,
            upto,
            groups,
        })
    }
}

fn read_changes(
    reader: &mut Reader<'_>,
    body: &Bytes,
    max: usize,
    may_be_none: bool,
) -> Result<Vec<Bytes>, Malformed> {
    let count = reader.count(max, "change count")?;
    if count == 0 && !may_be_none {
        return Err(unexpected(reader, "change count", count));
    }
    let mut changes = Vec::new();
    let mut before = None;
    for _ in 0..count {
        let (change, next) = pack::read(reader, body, before.as_ref())?;
        changes.push(change);
        before = next;
    }
    Ok(changes)
}
