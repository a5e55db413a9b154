//! The steps of a scenario: what people, clocks, networks, disks and strangers do.

use std::fmt;

use crate::entropy::Entropy;

/// One edit of one field. Every type of field is among them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldEdit {
    /// Replaces a scalar; which kind and value follow from the number.
    Scalar(u64),
    /// Types into a text, or deletes from it.
    Type {
        /// Where, modulo the text's length.
        at: u64,
        /// How many characters to delete first.
        delete: u64,
        /// What to type.
        text: String,
    },
    /// Adds to a counter.
    Increment(i64),
    /// Inserts into a list.
    Insert {
        /// Where, modulo the list's length.
        at: u64,
        /// What.
        value: i64,
    },
    /// Removes an element of a list.
    Remove(u64),
    /// Writes an entry of a nested map, or a map in it.
    Nest {
        /// Which entry.
        key: u64,
        /// What.
        value: i64,
    },
    /// Removes an entry of a nested map.
    Unnest(u64),
}

/// One step of a scenario. Hosts and records are numbers modulo how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Someone edits a field of a record.
    Edit {
        /// Where.
        host: usize,
        /// Which record.
        record: usize,
        /// What.
        edit: FieldEdit,
    },
    /// Someone changes several records in one transaction.
    Transaction {
        /// Where.
        host: usize,
        /// The first record.
        first: usize,
        /// How many.
        count: usize,
        /// Whether its last change conflicts, so that nothing of it may stay.
        conflicts: bool,
    },
    /// Several edits are handed in before the host gets to work.
    Burst {
        /// Where.
        host: usize,
        /// How many records.
        count: usize,
    },
    /// Someone writes a large value.
    Large {
        /// Where.
        host: usize,
        /// Which record.
        record: usize,
        /// Bytes.
        bytes: usize,
    },
    /// Someone deletes a record.
    Delete {
        /// Where.
        host: usize,
        /// Which.
        record: usize,
    },
    /// Someone takes a deletion back.
    Restore {
        /// Where.
        host: usize,
        /// Which.
        record: usize,
    },
    /// Someone waits until others hold a record.
    Wait {
        /// Where.
        host: usize,
        /// Which.
        record: usize,
        /// How many others.
        stores: usize,
    },
    /// Someone carries saved documents from one host to another, by hand.
    Import {
        /// To where.
        host: usize,
        /// From where; the host's own change nothing.
        from: usize,
        /// The first record.
        first: usize,
        /// How many.
        count: usize,
    },
    /// Someone has a store compacted.
    Compact {
        /// Where.
        host: usize,
        /// Whether its process is killed when that is done.
        killed: bool,
    },
    /// Someone puts an attachment.
    Attach {
        /// Where.
        host: usize,
        /// Which of the run's.
        blob: u64,
        /// The record that names it then; none if nothing does.
        record: Option<usize>,
    },
    /// Someone names an attachment in a record that may be nowhere.
    Refer {
        /// Where.
        host: usize,
        /// Which record.
        record: usize,
        /// Which of the run's.
        blob: u64,
    },
    /// Someone begins to put an attachment and does not go on.
    LeavePut {
        /// Where.
        host: usize,
        /// Which of the run's.
        blob: u64,
        /// Whether the host is told.
        told: bool,
    },
    /// Someone wants an attachment, and waits for it.
    Fetch {
        /// Where.
        host: usize,
        /// Which of the run's.
        blob: u64,
    },
    /// Someone wants an attachment no more.
    Unfetch {
        /// Where.
        host: usize,
        /// Which of the run's.
        blob: u64,
        /// Whether what is there of it is removed, too.
        remove: bool,
    },
    /// Attachments are removed to which nothing refers.
    Collect {
        /// Where.
        host: usize,
    },
    /// Someone shows something to whoever is there.
    Show {
        /// Where.
        host: usize,
        /// In the space, or at which record.
        slot: u64,
        /// For how many milliseconds unless it is repeated.
        millis: u64,
    },
    /// Someone shows something no more.
    TakeBack {
        /// Where.
        host: usize,
        /// In the space, or at which record.
        slot: u64,
    },
    /// Time passes.
    Run {
        /// Milliseconds.
        millis: u64,
    },
    /// A host's links break at some byte.
    Sever {
        /// Whose.
        host: usize,
        /// Only those to this one.
        other: Option<usize>,
    },
    /// A host's links end for it, and the others don't hear of it.
    HalfOpen {
        /// Whose.
        host: usize,
    },
    /// Nothing gets through from one host to another.
    Block {
        /// From.
        from: usize,
        /// To.
        to: usize,
    },
    /// The way is free again.
    Unblock {
        /// From.
        from: usize,
        /// To.
        to: usize,
    },
    /// A host is offline.
    Isolate {
        /// Which.
        host: usize,
    },
    /// It is online again.
    Join {
        /// Which.
        host: usize,
    },
    /// The way between two hosts gets slow.
    Slow {
        /// One.
        one: usize,
        /// The other.
        other: usize,
        /// Bytes per second.
        rate: u64,
    },
    /// A host's process is killed and started again.
    Kill {
        /// Which.
        host: usize,
    },
    /// A host's power is cut.
    CutPower {
        /// Whose.
        host: usize,
        /// After so many operations of its disk.
        after: u64,
        /// And again in recovery after so many more.
        again: Option<u64>,
    },
    /// A host's disk can grow by so little.
    FillDisk {
        /// Whose.
        host: usize,
        /// Bytes.
        spare: u64,
    },
    /// There is space again; the host is started anew if it had failed.
    FreeDisk {
        /// Whose.
        host: usize,
    },
    /// A read of a host's disk fails.
    FailRead {
        /// Whose.
        host: usize,
        /// After so many.
        after: u64,
    },
    /// A host's clock is set.
    SetClock {
        /// Whose.
        host: usize,
        /// How far it is off now, in milliseconds.
        skew_millis: i64,
    },
    /// Someone copies a host's disk.
    Backup {
        /// Whose.
        host: usize,
    },
    /// Someone puts the copy in its place.
    RestoreBackup {
        /// Whose.
        host: usize,
    },
    /// A host loses all that it had.
    Wipe {
        /// Which.
        host: usize,
    },
    /// A host is gone for ever.
    Bury {
        /// Which.
        host: usize,
    },
    /// A host wants another part of the collections.
    Subscribe {
        /// Which.
        host: usize,
        /// All, or only one.
        all: bool,
    },
    /// A stranger attacks a host.
    Attack {
        /// Whom.
        host: usize,
        /// A second one, where it takes two.
        other: usize,
        /// How.
        attack: u64,
        /// What is left to chance in it.
        seed: u64,
    },
}

impl FieldEdit {
    pub(super) fn random(entropy: &mut Entropy) -> Self {
        match entropy.below(10) {
            0..=2 => Self::Scalar(entropy.number()),
            3..=5 => Self::Type {
                at: entropy.below(1 << 20),
                delete: entropy.below(4),
                text: word(entropy),
            },
            6 => Self::Increment(i64::try_from(entropy.below(2_000)).unwrap_or(0) - 1_000),
            7 => Self::Insert {
                at: entropy.below(1 << 20),
                value: i64::try_from(entropy.below(1_000)).unwrap_or(0),
            },
            8 if entropy.below(2) == 0 => Self::Remove(entropy.below(1 << 20)),
            8 => Self::Unnest(entropy.below(4)),
            _ => Self::Nest {
                key: entropy.below(4),
                value: i64::try_from(entropy.below(1_000)).unwrap_or(0),
            },
        }
    }
}

/// Up to twelve characters of one to four bytes each.
fn word(entropy: &mut Entropy) -> String {
    const LETTERS: [char; 12] = ['a', 'e', 'i', 'n', 'r', 's', ' ', 'ä', 'ß', '…', '字', '😀'];
    let length = entropy.below(12);
    let letters = (0..length).filter_map(|_| {
        let at = usize::try_from(entropy.below(12)).ok()?;
        LETTERS.get(at)
    });
    letters.collect()
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
