//! Credit: how many bytes of changes each side may send before the other has applied them.
//!
//! Counted are the bytes of changes and a fixed sum per record group, which both sides work out
//! from the message itself. A sender may overdraw by one frame, so that credit never stops a large
//! change for good.

use crate::limits;
use crate::plant::{self, Plant};
use crate::wire::{Changes, Class};

/// What a record group costs beside its changes, in bytes.
const GROUP_COST: u64 = 64;

/// The credit of one session, both ways.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credit {
    ours: Pair,
    theirs: Pair,
    owed: Pair,
}

/// One number per flow. Sending can take it below zero.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    live: i64,
    bulk: i64,
}

impl Pair {
    fn of(&mut self, class: Class) -> &mut i64 {
        match class {
            Class::Live => &mut self.live,
            Class::Bulk => &mut self.bulk,
        }
    }
}

impl Credit {
    /// At the start of a session the peer has granted `live` and `bulk`, and we have granted our
    /// own window.
    pub(super) fn start(live: u64, bulk: u64) -> Self {
        let mut credit = Self::default();
        credit.granted(live, bulk);
        credit.theirs.live = signed(limits::CREDIT_LIVE_BYTES);
        credit.theirs.bulk = signed(limits::CREDIT_BULK_BYTES);
        credit
    }

    /// What a frame of changes costs.
    pub(super) fn cost(changes: &Changes) -> u64 {
        let groups = u64::try_from(changes.groups.len()).unwrap_or(u64::MAX);
        let bytes = u64::try_from(changes.change_bytes()).unwrap_or(u64::MAX);
        bytes.saturating_add(groups.saturating_mul(GROUP_COST))
    }

    /// What a frame of so many bytes with a part of an attachment costs.
    pub(super) fn blob_cost(frame_bytes: usize) -> u64 {
        u64::try_from(frame_bytes).unwrap_or(u64::MAX)
    }

    /// Whether a frame of this flow may be sent.
    pub(super) fn allows(&mut self, class: Class) -> bool {
        *self.ours.of(class) > 0
    }

    /// A frame was sent.
    pub(super) fn sent(&mut self, class: Class, cost: u64) {
        let left = self.ours.of(class);
        *left = left.saturating_sub(signed(cost));
    }

    /// The peer grants more. What goes beyond the most that we keep is forgotten.
    pub(super) fn granted(&mut self, live: u64, bulk: u64) {
        let max = signed(limits::CREDIT_BYTES_MAX);
        self.ours.live = self.ours.live.saturating_add(signed(live)).min(max);
        self.ours.bulk = self.ours.bulk.saturating_add(signed(bulk)).min(max);
    }

    /// A frame came; says whether the peer had credit for it.
    pub(super) fn received(&mut self, class: Class, cost: u64) -> bool {
        let left = self.theirs.of(class);
        let allowed = *left > 0 || cost == 0;
        *left = left.saturating_sub(signed(cost));
        let owed = self.owed.of(class);
        *owed = owed.saturating_add(signed(cost));
        allowed
    }

    /// What to grant now that all that came is applied; nothing while it is not worth a frame.
    pub(super) fn grant(&mut self) -> Option<(u64, u64)> {
        let worth = |owed: i64, window: u64| owed >= signed(window / 4);
        let due = worth(self.owed.live, limits::CREDIT_LIVE_BYTES)
            || worth(self.owed.bulk, limits::CREDIT_BULK_BYTES);
        if !due || plant::is_planted(Plant::GrantNoCredit) {
            return None;
        }
        let Pair { live, bulk } = std::mem::take(&mut self.owed);
        self.theirs.live = self.theirs.live.saturating_add(live);
        self.theirs.bulk = self.theirs.bulk.saturating_add(bulk);
        Some((
            u64::try_from(live).unwrap_or(0),
            u64::try_from(bulk).unwrap_or(0),
        ))
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
