//! What commands print: text for people, or with `--json` objects for programs.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use crate::failure::Failure;

/// Where and how results are printed. Every method flushes: a reader behind a pipe sees a line when
/// it is printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a program reads along.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// A line for people; nothing with `--json`.
    pub(crate) fn say(self, line: impl AsRef<str>) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        print(line.as_ref())
    }

    /// An object on one line; nothing without `--json`.
    pub(crate) fn object(self, object: &Json) -> Result<(), Failure> {
        if !self.json {
            return Ok(());
        }
        print(&object.to_string())
    }

    /// Reports a failure and says how the process ends.
    pub(crate) fn failure(self, failure: &Failure) -> ExitCode {
        if failure.code == 0 {
            return ExitCode::SUCCESS;
        }
        let Failure {
            kind,
            message,
            is_told,
            ..
        } = failure;
        let object = json!({"error": {"kind": kind, "message": message}});
        // Nobody is left to tell if these cannot be written either.
        let told = writeln!(io::stderr().lock(), "syncline: {kind}: {message}").is_ok();
        let printed = *is_told || self.object(&object).is_ok();
        ExitCode::from(if told || printed { failure.code } else { 1 })
    }
}

fn print(line: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    written.map_err(|error| Failure::stdout(&error))
}
