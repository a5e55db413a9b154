//! Documents that clients ask for and that are not here (yet): who asks, and until when they wait to hear it.
//!
//! Other clients are not asked. Stock clients announce what they have by themselves; who is asked opens the
//! document, and keeps it as unavailable from then on. But what one client has just made and another asks for at once is
//! on its way, and an application that hears "unavailable" gives up: so the answer takes a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::client::ClientId;
use crate::id::RecordId;
use crate::limits;
use crate::time::Instant;

/// Which documents are waited for.
#[derive(Debug, Default)]
pub(super) struct Wanted(BTreeMap<RecordId, Question>);

#[derive(Debug)]
struct Question {
    asking: BTreeSet<ClientId>,
    answer_by: Instant,
}

const fn wait(is_coming: bool) -> Duration {
    if is_coming {
        limits::REPO_ARRIVES_WITHIN
    } else {
        limits::REPO_APPEARS_WITHIN
    }
}

impl Wanted {
    /// A client asks for a document, of which somebody may have said that it is coming.
    pub(super) fn ask(&mut self, now: Instant, id: ClientId, document: RecordId, is_coming: bool) {
        if self.0.len() >= limits::REPO_WANTED_MAX && !self.0.contains_key(&document) {
            self.0.pop_first();
        }
        let question = self.0.entry(document).or_insert_with(|| Question {
            asking: BTreeSet::new(),
            answer_by: now + wait(is_coming),
        });
        question.asking.insert(id);
    }

    /// The document is here: who asks is told of it as of any change.
    pub(super) fn found(&mut self, document: RecordId) {
        self.0.remove(&document);
    }

    /// A client says that it has it: it gets time to send it, unless what it has can't be taken in.
    pub(super) fn expect(&mut self, now: Instant, document: RecordId, is_coming: bool) {
        if let Some(question) = self.0.get_mut(&document) {
            question.answer_by = now + wait(is_coming);
        }
    }

    /// A client has left.
    pub(super) fn left(&mut self, id: ClientId) {
        self.0.retain(|_, it| {
            it.asking.remove(&id);
            !it.asking.is_empty()
        });
    }

    /// Documents that did not appear in time, and who is to hear that.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<(RecordId, Vec<ClientId>)> {
        let late = self.0.iter().filter(|(_, it)| now >= it.answer_by);
        let late: Vec<RecordId> = late.map(|(document, _)| *document).collect();
        let end = |document| Some((document, self.0.remove(&document)?));
        let ended = late.into_iter().filter_map(end);
        ended
            .map(|(document, it)| (document, it.asking.into_iter().collect()))
            .collect()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.0.values().map(|it| it.answer_by).min()
    }
}
