//! The documents that are being worked on, and those that were lately.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::rulings::Rulings;
use super::shared::lock;
use crate::doc::{Change, Document, Shown, Value};
use crate::error::Result;
use crate::id::{ActorId, RecordKey, StoreId};
use crate::limits;
use crate::replica::Rows;
use crate::replica::documents::Loaded;

/// Loaded documents, each used by one at a time; the least recently used go first.
#[derive(Debug)]
pub(super) struct Documents {
    store: StoreId,
    /// How conflicts in documents are seen.
    rulings: Arc<Rulings>,
    cache: Mutex<Cache>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct Cache {
    entries: BTreeMap<RecordKey, Entry>,
    by_use: BTreeMap<u64, RecordKey>,
    uses: u64,
    bytes: u64,
}

#[derive(Debug)]
enum Entry {
    /// Someone works on it. What is `spent` is not kept when it comes back.
    Out { spent: bool },
    /// It waits for the next one.
    In {
        loaded: Box<Loaded>,
        used: u64,
        bytes: u64,
    },
}

/// A document that is ours alone until it is dropped, which puts it back.
#[derive(Debug)]
pub(super) struct CheckedOut<'a> {
    documents: &'a Documents,
    key: RecordKey,
    /// None stands for an empty document.
    loaded: Option<Box<Loaded>>,
    /// There is a change in it that the engine has not been given.
    is_draft: bool,
}

/// A document as it was before it was migrated, and the changes of that.
#[derive(Debug)]
pub(super) struct Unmigrated {
    document: Document,
    was_draft: bool,
    pub(super) changes: Vec<Change>,
}

impl Documents {
    pub(super) fn new(store: StoreId, rulings: Arc<Rulings>) -> Self {
        Self {
            store,
            rulings,
            cache: Mutex::default(),
            returned: Condvar::new(),
        }
    }

    /// Takes out the document of a record, as it was left or empty. Waits while somebody else has
    /// it; whoever holds several must be the only one who does.
    pub(super) fn check_out(&self, key: &RecordKey) -> CheckedOut<'_> {
        let mut cache = lock(&self.cache);
        while matches!(cache.entries.get(key), Some(Entry::Out { .. })) {
            let waited = self.returned.wait(cache);
            cache = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let loaded = match cache
            .entries
            .insert(key.clone(), Entry::Out { spent: false })
        {
            Some(Entry::In {
                loaded,
                used,
                bytes,
            }) => {
                cache.by_use.remove(&used);
                cache.bytes -= bytes;
                Some(loaded)
            }
            Some(Entry::Out { .. }) | None => None,
        };
        CheckedOut {
            documents: self,
            key: key.clone(),
            loaded,
            is_draft: false,
        }
    }

    /// How many stored changes of a record are in its document; none while somebody has it.
    pub(super) fn changes(&self, key: &RecordKey) -> u32 {
        match lock(&self.cache).entries.get(key) {
            Some(Entry::In { loaded, .. }) => loaded.changes(),
            Some(Entry::Out { .. }) | None => 0,
        }
    }

    /// Forgets a record's document, because what is in it may not have come to be. Waits for
    /// nobody: a document that somebody has is forgotten when it comes back.
    pub(super) fn forget(&self, key: &RecordKey) {
        let mut cache = lock(&self.cache);
        match cache.entries.get_mut(key) {
            Some(Entry::Out { spent }) => *spent = true,
            Some(Entry::In { .. }) => cache.take(key),
            None => {}
        }
    }

    pub(super) fn clear(&self) {
        let mut cache = lock(&self.cache);
        cache
            .entries
            .retain(|_, it| matches!(it, Entry::Out { .. }));
        cache.by_use.clear();
        cache.bytes = 0;
    }
}

impl Cache {
    fn take(&mut self, key: &RecordKey) {
        if let Some(Entry::In { used, bytes, .. }) = self.entries.remove(key) {
            self.by_use.remove(&used);
            self.bytes -= bytes;
        }
    }

    fn put_back(&mut self, key: RecordKey, loaded: Box<Loaded>) {
        let bytes = loaded.document.size_hint();
        self.uses += 1;
        let used = self.uses;
        self.bytes += bytes;
        self.by_use.insert(used, key.clone());
        let entry = Entry::In {
            loaded,
            used,
            bytes,
        };
        self.entries.insert(key, entry);
        // The one just used stays, however large it is: it is likely to be used again.
        while self.bytes > limits::DOCUMENT_CACHE_BYTES
            && self.by_use.len() > 1
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            if let Some(Entry::In { bytes, .. }) = self.entries.remove(&oldest) {
                self.bytes -= bytes;
            }
        }
    }
}

impl CheckedOut<'_> {
    pub(super) fn loaded(&mut self) -> &mut Loaded {
        let (store, key) = (self.documents.store, &self.key);
        let empty = || Box::new(Loaded::new(&ActorId::of(store, key)));
        self.loaded.get_or_insert_with(empty)
    }

    /// Brings the document up to what the store has.
    pub(super) fn refresh(&mut self, rows: &Rows<'_>) -> Result<()> {
        if self.loaded().document.is_spoiled() {
            self.discard();
        }
        let key = self.key.clone();
        self.loaded().refresh(rows, &key)?;
        // It may be another document now.
        let lens = self.documents.rulings.lens(&self.key);
        self.loaded().document.look_through(lens);
        Ok(())
    }

    /// The record's value as the store has it, without local changes that may yet fail.
    pub(super) fn stored_value(&mut self, rows: &Rows<'_>) -> Result<Value> {
        self.stored_view(rows).map(|it| it.value)
    }

    /// The same, and by what it is shown so; in the form of the contract's version.
    ///
    /// # Errors
    /// `Migration` if it can't be brought into that.
    pub(super) fn stored_view(&mut self, rows: &Rows<'_>) -> Result<Shown> {
        let shown = self.unmigrated_view(rows)?;
        let rulings = Arc::clone(&self.documents.rulings);
        let key = self.key.clone();
        rulings.in_form(&key, self.loaded(), shown)
    }

    /// The same of the record as it is, in whichever form.
    pub(super) fn unmigrated_view(&mut self, rows: &Rows<'_>) -> Result<Shown> {
        self.refresh(rows)?;
        self.loaded().stored_value()
    }

    /// Migrates what is to be edited, if it needs that. A record that can't be migrated stays as it is: an
    /// edit may mend it.
    pub(super) fn migrate(&mut self) -> Result<Option<Unmigrated>> {
        let rulings = Arc::clone(&self.documents.rulings);
        let (key, was_draft) = (self.key.clone(), self.is_draft);
        let document = &mut self.loaded().document;
        let Some((draft, changes)) = rulings.migrate_for_edit(&key, document)? else {
            return Ok(None);
        };
        let document = std::mem::replace(document, draft);
        self.is_draft = true;
        Ok(Some(Unmigrated {
            document,
            was_draft,
            changes,
        }))
    }

    /// Takes a migration back that is not to be written.
    pub(super) fn take_back(&mut self, before: Unmigrated) {
        self.loaded().document = before.document;
        self.is_draft = before.was_draft;
    }

    /// Notes that a change was made: without [`CheckedOut::submitted`] the document is not kept,
    /// also when the caller panics.
    pub(super) const fn changed(&mut self) {
        self.is_draft = true;
    }

    /// The engine has what was changed.
    pub(super) const fn submitted(&mut self) {
        self.is_draft = false;
    }

    /// Starts over with an empty document.
    pub(super) fn discard(&mut self) {
        self.loaded = None;
    }
}

impl Drop for CheckedOut<'_> {
    fn drop(&mut self) {
        let loaded = self.loaded.take();
        let usable = loaded.filter(|it| !self.is_draft && !it.document.is_spoiled());
        let mut cache = lock(&self.documents.cache);
        let is_spent = matches!(
            cache.entries.get(&self.key),
            Some(Entry::Out { spent: true })
        );
        let usable = usable.filter(|_| !is_spent);
        match usable {
            Some(loaded) => cache.put_back(self.key.clone(), loaded),
            None => drop(cache.entries.remove(&self.key)),
        }
        drop(cache);
        self.documents.returned.notify_all();
    }
}
