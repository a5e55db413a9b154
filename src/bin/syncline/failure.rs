//! Why a command failed, and the exit code that says so.

use std::io;
use std::path::Path;

use syncline::{Error, ErrorKind};

/// The stable meaning of the exit codes, as `--help` prints it.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed for another reason
  2  wrong usage: a flag, a name, JSON, a file, or a record that breaks its contract
     or can't be migrated
  3  no such record, version or attachment here
  4  the store cannot be used: missing, locked, damaged, foreign, read-only, full
  5  the other side was not reached, or not in step in time
  6  the other side refused, or does not speak the protocol

Errors go to stderr, led by a stable kind. With --json, stdout also gets
{\"error\": {\"kind\", \"message\"}}, so that it always ends with one object.";

/// What to do where the system gives a process no more files and sockets.
pub(crate) const NO_DESCRIPTORS: &str =
    "this process may not open enough files and sockets; raise that limit (`ulimit -n`)";

/// How the system says so, in all languages: of this process, and of all together.
const NO_DESCRIPTORS_SAID: [&str; 2] = ["(os error 24)", "(os error 23)"];

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    /// A stable name, mostly that of an [`ErrorKind`].
    pub(crate) kind: &'static str,
    /// What happened and what to do, for a person.
    pub(crate) message: String,
    /// How the process ends.
    pub(crate) code: u8,
    /// Stdout has been told already, with an object that says more.
    pub(crate) is_told: bool,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            kind: "usage",
            message: message.into(),
            code: 2,
            is_told: false,
        }
    }

    /// Input that does not fit: JSON, a line of a file.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::InvalidInput, message).into()
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::NotFound, message).into()
    }

    pub(crate) fn no_store(path: &Path) -> Self {
        let path = path.display();
        Self {
            kind: "store_missing",
            message: format!("there is no store at {path}; put, import, sync and serve make one"),
            code: 4,
            is_told: false,
        }
    }

    /// A store that does not agree with itself, of which stdout has told the details.
    pub(crate) fn damaged_store(path: &Path, repaired: bool) -> Self {
        let path = path.display();
        let advice = if repaired {
            "restore a backup, or sync into a new file"
        } else {
            "`--repair` makes sums again; for the rest, restore a backup or sync into a new file"
        };
        Self {
            kind: ErrorKind::StoreCorrupt.name(),
            message: format!("{path} does not agree with itself; {advice}"),
            code: 4,
            is_told: true,
        }
    }

    pub(crate) fn timeout(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Timeout, message).into()
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Refused, message).into()
    }

    pub(crate) fn io(doing: &str, error: &io::Error) -> Self {
        Error::new(ErrorKind::Io, format!("{doing}: {error}")).into()
    }

    /// What stdout answered. A reader that has read enough, like `head`, is not a failure: the
    /// command ends quietly, as other tools do.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self {
                kind: "closed_pipe",
                message: String::new(),
                code: 0,
                is_told: false,
            };
        }
        Self::io("cannot write to stdout", error)
    }

    /// Whether there is no such record.
    pub(crate) fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound.name()
    }

    /// The same failure, of opening a store: whatever the reason, the store cannot be used.
    pub(crate) fn of_store(mut self) -> Self {
        if self.code == 1 {
            self.code = 4;
        }
        self
    }

    /// The same failure, its text led by what was being done.
    pub(crate) fn context(mut self, doing: impl std::fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        let mut message = format!("{error:#}");
        if cfg!(unix) && NO_DESCRIPTORS_SAID.iter().any(|it| message.contains(it)) {
            message = format!("{message}; {NO_DESCRIPTORS}");
        }
        Self {
            kind: kind.name(),
            message,
            code: code(kind),
            is_told: false,
        }
    }
}

fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::InvalidInput
        | ErrorKind::TooLarge
        | ErrorKind::Breach
        | ErrorKind::Migration => 2,
        ErrorKind::NotFound | ErrorKind::NotHere => 3,
        ErrorKind::StoreLocked
        | ErrorKind::StoreForeign
        | ErrorKind::StoreTooNew
        | ErrorKind::StoreCorrupt
        | ErrorKind::StoreReadOnly
        | ErrorKind::DiskFull
        | ErrorKind::StoreFailed => 4,
        ErrorKind::Timeout | ErrorKind::Transport => 5,
        ErrorKind::Refused | ErrorKind::Protocol => 6,
        ErrorKind::AlreadyExists
        | ErrorKind::WrongType
        | ErrorKind::Conflict
        | ErrorKind::Poisoned
        | ErrorKind::Io
        | ErrorKind::Closed
        | _ => 1,
    }
}
