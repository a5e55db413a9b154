//! The one public error: opaque, with a kind, a sentence that says what to do, and its cause.

use std::error::Error as StdError;
use std::fmt;

/// What went wrong, for code that must decide. The text of the [`Error`] is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is wrong: a name, an id, a value, JSON that does not fit. Correct it.
    InvalidInput,
    /// A value, record or request is over its limit. The message names the limit.
    TooLarge,
    /// There is no record, collection, space or peer of that name.
    NotFound,
    /// The attachment is not here, or not as a whole. Fetch it.
    NotHere,
    /// A record with this id exists already.
    AlreadyExists,
    /// The record does not have the shape of the struct it is read as.
    WrongType,
    /// The record breaks its contract, or would. The message names field and rule.
    Breach,
    /// The space has a newer contract, and does not let programs of this version do that. Upgrade this
    /// program.
    ContractTooNew,
    /// The record can't be brought into the form of the contract's version. It is as it was, and the message
    /// names the step and why. Correct the record, or the migration.
    Migration,
    /// Another edit of the same record came first. Run the edit again.
    Conflict,
    /// The record's document cannot be loaded; it is in quarantine, its changes are kept.
    Poisoned,
    /// The store's file is open in another process, or twice in this one.
    StoreLocked,
    /// The file is not a syncline store.
    StoreForeign,
    /// The store was written by a newer version of syncline. Upgrade this program.
    StoreTooNew,
    /// The store's bytes are damaged. Restore a backup, or sync into a new store.
    StoreCorrupt,
    /// The store's file may not be written.
    StoreReadOnly,
    /// The disk is full. Free space, then open the store again.
    DiskFull,
    /// An earlier write failed. Reads go on; open the store again to write.
    StoreFailed,
    /// Another input or output error.
    Io,
    /// A link or listener failed. Links to peers are redialled by themselves.
    Transport,
    /// The other side, or our own rules, refused.
    Refused,
    /// The other side does not speak the protocol.
    Protocol,
    /// It took longer than it may.
    Timeout,
    /// The node is shutting down.
    Closed,
}

impl ErrorKind {
    /// A short name, stable across versions, for logs and `--json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::TooLarge => "too_large",
            Self::NotFound => "not_found",
            Self::NotHere => "not_here",
            Self::AlreadyExists => "already_exists",
            Self::WrongType => "wrong_type",
            Self::Breach => "breach",
            Self::ContractTooNew => "contract_too_new",
            Self::Migration => "migration",
            Self::Conflict => "conflict",
            Self::Poisoned => "poisoned",
            Self::StoreLocked => "store_locked",
            Self::StoreForeign => "store_foreign",
            Self::StoreTooNew => "store_too_new",
            Self::StoreCorrupt => "store_corrupt",
            Self::StoreReadOnly => "store_read_only",
            Self::DiskFull => "disk_full",
            Self::StoreFailed => "store_failed",
            Self::Io => "io",
            Self::Transport => "transport",
            Self::Refused => "refused",
            Self::Protocol => "protocol",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
        }
    }
}

/// An error of any operation of this library.
///
/// [`Error::kind`] tells what to do; the text says it to a person, and names the thing concerned.
///
/// ```
/// use syncline::{CollectionId, Error, ErrorKind};
/// let error = "No Such Name".parse::<CollectionId>().map_err(Error::from).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidInput);
/// assert!(!error.is_retryable());
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of an operation of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` that tells people `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            source: None,
        }))
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error, its text led by what was being done.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.0.message = format!("{doing}: {}", self.0.message);
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed if it is made again as it is.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::Conflict | ErrorKind::Transport | ErrorKind::Timeout
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if !f.alternate() {
            return Ok(());
        }
        // The alternate form goes on with the causes, without those that repeat what is said.
        let mut said = self.0.message.clone();
        let mut next = self.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said.push_str(&text);
            }
            next = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|it| -> &(dyn StdError + 'static) { it })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alternate_form_tells_all_causes_and_none_twice() {
        let system = std::io::Error::other("no such luck");
        let inner = Error::new(ErrorKind::Io, "a.redb: writing failed").with_source(system);
        let outer = Error::new(ErrorKind::Io, inner.to_string()).with_source(inner);
        let error = outer.context("could not commit");
        assert_eq!(
            error.to_string(),
            "could not commit: a.redb: writing failed"
        );
        assert_eq!(
            format!("{error:#}"),
            "could not commit: a.redb: writing failed: no such luck"
        );
    }
}
