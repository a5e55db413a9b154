//! Documents that clients ask for and the hub does not have: who asks, and who may still have them.

use std::collections::{BTreeMap, BTreeSet};

use super::client::ClientId;
use crate::id::RecordId;
use crate::limits;
use crate::time::Instant;

/// Which documents are being asked for.
#[derive(Debug, Default)]
pub(super) struct Wanted(BTreeMap<RecordId, Question>);

#[derive(Debug)]
struct Question {
    asking: BTreeSet<ClientId>,
    /// Who was asked and has not said no.
    asked: BTreeSet<ClientId>,
    answer_by: Instant,
}

/// A document, and who is to hear that nobody has it.
type Denied = (RecordId, Vec<ClientId>);

impl Wanted {
    /// Notes that a client asks, too, for what is being asked for; says whether it is.
    pub(super) fn joins(&mut self, id: ClientId, document: RecordId) -> bool {
        let question = self.0.get_mut(&document);
        question.map(|it| it.asking.insert(id)).is_some()
    }

    /// Notes that others were asked.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        document: RecordId,
        asking: ClientId,
        asked: Vec<ClientId>,
    ) {
        if self.0.len() >= limits::REPO_WANTED_MAX {
            self.0.pop_first();
        }
        let question = Question {
            asking: BTreeSet::from([asking]),
            asked: asked.into_iter().collect(),
            answer_by: now + limits::REPO_ASK_WITHIN,
        };
        self.0.insert(document, question);
    }

    /// The document is here: who asks is told of it as of any change.
    pub(super) fn found(&mut self, document: RecordId) {
        self.0.remove(&document);
    }

    /// A client that was asked has it: it gets time to send it.
    pub(super) fn supplied(&mut self, now: Instant, id: ClientId, document: RecordId) {
        if let Some(question) = self.0.get_mut(&document)
            && question.asked.contains(&id)
        {
            question.answer_by = now + limits::REPO_ASK_WITHIN * 10;
        }
    }

    /// A client that was asked does not have it; gives who asked, if all have said so.
    pub(super) fn denied(&mut self, id: ClientId, document: RecordId) -> Option<Vec<ClientId>> {
        let question = self.0.get_mut(&document)?;
        question.asked.remove(&id);
        if !question.asked.is_empty() {
            return None;
        }
        self.0
            .remove(&document)
            .map(|it| it.asking.into_iter().collect())
    }

    /// A client has left: it neither asks nor answers.
    pub(super) fn left(&mut self, id: ClientId) -> Vec<Denied> {
        for question in self.0.values_mut() {
            question.asking.remove(&id);
        }
        let was_asked = self.0.iter().filter(|(_, it)| it.asked.contains(&id));
        let documents: Vec<RecordId> = was_asked.map(|(document, _)| *document).collect();
        let denied = |document| Some((document, self.denied(id, document)?));
        documents.into_iter().filter_map(denied).collect()
    }

    /// Questions that were not answered in time.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<Denied> {
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
