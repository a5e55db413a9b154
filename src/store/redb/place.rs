//! Names a store in its errors, translates redb's errors, and catches its panics.

use std::fmt;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::StoreError;

/// The file or name of a store.
#[derive(Debug)]
pub(super) struct Place(String);

impl Place {
    pub(super) const fn new(name: String) -> Self {
        Self(name)
    }

    /// Runs `work`, which may fail or panic inside redb.
    ///
    /// State that a panic leaves half-changed is redb's own: it rolls such transactions back and
    /// refuses further writes where it can't.
    pub(super) fn guard<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce() -> Result<T, ::redb::Error>,
    ) -> Result<T, StoreError> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(done) => done.map_err(|error| self.error(doing, error)),
            Err(panic) => Err(self.corrupt(panic_message(&*panic))),
        }
    }

    pub(super) fn error(&self, doing: &'static str, error: ::redb::Error) -> StoreError {
        use ::redb::Error;
        let place = self.to_string();
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "redb's enum is open, and most of it is about features not used here"
        )]
        match error {
            Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => {
                StoreError::Locked { place }
            }
            Error::UpgradeRequired(version) => {
                self.foreign(format!("a redb file of the old format {version}"))
            }
            Error::Io(source) => self.io(doing, source),
            Error::PreviousIo => StoreError::Failed { place },
            Error::DatabaseClosed => StoreError::Closed { place },
            Error::ValueTooLarge(bytes) => {
                let detail = format!("a value of {bytes} bytes is larger than redb can hold");
                self.io(doing, io::Error::new(ErrorKind::InvalidInput, detail))
            }
            other => self.corrupt(other.to_string()),
        }
    }

    pub(super) fn io(&self, doing: &'static str, source: io::Error) -> StoreError {
        let place = self.to_string();
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the standard library's enum is open; all other kinds are plain io errors"
        )]
        match source.kind() {
            // A limit on the size of one file, of the file system or the process, is no other.
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                StoreError::DiskFull { place }
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly {
                place,
                detail: source.to_string(),
            },
            // redb reads only what its own pages point to.
            ErrorKind::UnexpectedEof => self.corrupt("the file ends too early"),
            ErrorKind::InvalidData => self.corrupt(source.to_string()),
            _ => StoreError::Io {
                place,
                doing,
                source,
            },
        }
    }

    pub(super) fn corrupt(&self, detail: impl Into<String>) -> StoreError {
        StoreError::Corrupt {
            place: self.to_string(),
            detail: detail.into(),
        }
    }

    pub(super) fn foreign(&self, found: impl Into<String>) -> StoreError {
        StoreError::Foreign {
            place: self.to_string(),
            found: found.into(),
        }
    }

    pub(super) fn failed(&self) -> StoreError {
        StoreError::Failed {
            place: self.to_string(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&'static str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("redb panicked").to_owned()
}
