//! Running the command and reading what it says.

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value as Json;
use tempfile::TempDir;

/// A folder for one test, with names for files in it.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file with this content.
    pub(crate) fn with(&self, name: &str, content: &str) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, content).expect("writable");
        path
    }
}

/// How a command ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "ended with {code}\n-- stdout\n{stdout}\n-- stderr\n{stderr}"
        )
    }
}

impl Ran {
    /// The command succeeded; what it printed.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }

    /// The one object on stdout, whatever the outcome.
    pub(crate) fn object(&self) -> Json {
        let mut lines = self.stdout.lines();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            panic!("not one line: {self:?}");
        };
        let object: Json = serde_json::from_str(line).expect("JSON");
        assert!(object.is_object(), "{self:?}");
        object
    }

    /// The command succeeded; the one object it printed.
    pub(crate) fn json(&self) -> Json {
        assert_eq!(self.code, 0, "{self:?}");
        self.object()
    }

    /// The command failed with this code and kind, said so on stderr, and printed the same kind.
    pub(crate) fn failed(&self, code: i32, kind: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(
            self.stderr.starts_with(&format!("syncline: {kind}: ")),
            "{self:?}"
        );
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        if !self.stdout.is_empty() {
            assert_eq!(self.object()["error"]["kind"], kind, "{self:?}");
        }
    }
}

/// The command with these arguments, yet to be started.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command
        .args(arguments)
        .env_remove("SYNCLINE_STORE")
        .env_remove("RUST_LOG");
    command
}

/// Runs the command to its end.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    run_with(arguments, "")
}

/// Runs the command to its end, with this text on its stdin.
pub(crate) fn run_with(arguments: &[&str], input: &str) -> Ran {
    end_of(&mut command(arguments), input)
}

/// Runs any command to its end, with this text on its stdin.
pub(crate) fn end_of(command: &mut Command, input: &str) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("piped");
    // Beside reading, for it may print while it reads.
    let output = std::thread::scope(|scope| {
        // A command that reads no stdin may have ended already.
        scope.spawn(move || drop(stdin.write_all(input.as_bytes())));
        child.wait_with_output().expect("the command ends")
    });
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Runs the command over a store, with `--json`.
pub(crate) fn over(store: &Path, arguments: &[&str]) -> Ran {
    let store = store.to_str().expect("UTF-8");
    run(&[arguments, &["--json", "--store", store]].concat())
}

/// A command that runs until it is stopped. It is killed when this is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    /// What it prints; a test may take it to read on a thread of its own.
    pub(crate) stdout: Option<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut command(arguments))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::spawn_logging(command, Stdio::inherit())
    }

    /// The same, with its stderr going elsewhere.
    pub(crate) fn spawn_logging(command: &mut Command, stderr: Stdio) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the command starts");
        let stdout = child.stdout.take().map(BufReader::new);
        Self { child, stdout }
    }

    /// A hub over this store; its address.
    pub(crate) fn hub(store: &Path) -> (Self, String) {
        let store = store.to_str().expect("UTF-8");
        let mut hub = Self::start(&["serve", "--listen", "127.0.0.1:0", "--store", store]);
        let line = hub.line();
        let address = line.strip_prefix("listening on ").expect("an address");
        (hub, address.to_owned())
    }

    /// The next line it prints; empty at the end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().expect("not taken");
        stdout.read_line(&mut line).expect("readable");
        line.trim_end().to_owned()
    }

    /// Writes a line to its stdin.
    pub(crate) fn write_line(&self, line: &Json) {
        let mut stdin = self.child.stdin.as_ref().expect("piped");
        writeln!(stdin, "{line}").expect("a living process reads");
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(
            sent.expect("there is a kill command").success(),
            "{name} to {id}"
        );
    }

    /// Sends it a signal until it ends, for a minute; the exit code. Where tests run in the background
    /// an interrupt is ignored as long as nobody waits for it.
    pub(crate) fn stop(&mut self, name: &str) -> i32 {
        for _ in 0..60 {
            self.signal(name);
            for _ in 0..50 {
                if let Some(status) = self.child.try_wait().expect("its own child") {
                    return status.code().unwrap_or(-1);
                }
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
        panic!("{name} does not stop it");
    }

    /// Ends it as `kill -9` does: without a chance to do anything.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it has ended");
    }

    /// Waits for its end; the exit code.
    pub(crate) fn end(&mut self) -> i32 {
        let status = self.child.wait().expect("it ends");
        status.code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already if these fail.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
