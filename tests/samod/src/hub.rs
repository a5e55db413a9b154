//! The hub: a process that can be killed and started again, and its store.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context as _, ensure};
use automerge::{Automerge, ChangeHash};
use samod::DocumentId;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::{COLLECTION, PATIENCE, sorted};

/// The command under test.
fn command() -> anyhow::Result<Command> {
    let binary = std::env::var_os("SYNCLINE_BIN");
    let binary =
        binary.context("SYNCLINE_BIN names no syncline, built with cli and automerge-repo")?;
    Ok(Command::new(binary))
}

/// Runs the command to its end over a store.
///
/// # Errors
/// When it fails.
pub async fn syncline(store: &Path, arguments: &[&OsStr]) -> anyhow::Result<String> {
    let mut command = command()?;
    command.args(arguments).arg("--store").arg(store);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().await?;
    let stderr = String::from_utf8_lossy(&stderr);
    ensure!(status.success(), "{arguments:?}: {status}: {stderr}");
    Ok(String::from_utf8(stdout)?)
}

/// A hub that serves documents to clients of automerge-repo.
#[derive(Debug)]
pub struct Hub {
    store: PathBuf,
    address: SocketAddr,
    running: Option<(Child, BufReader<ChildStdout>)>,
}

impl Hub {
    /// Starts one over this store.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(store: &Path) -> anyhow::Result<Self> {
        let mut hub = Self {
            store: store.to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            running: None,
        };
        hub.restart().await?;
        Ok(hub)
    }

    /// Where it listens, also after a restart.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it again at the same address.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let mut child = command()?
            .args([
                "serve",
                "--full",
                "--automerge-repo",
                COLLECTION,
                "--listen",
            ])
            .arg(self.address.to_string())
            .arg("--store")
            .arg(&self.store)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().context("stdout is piped")?);
        let mut line = String::new();
        timeout(PATIENCE, stdout.read_line(&mut line)).await??;
        let address = line.trim_end().strip_prefix("listening on ws://");
        self.address = address
            .with_context(|| format!("it says '{line}'"))?
            .parse()?;
        self.running = Some((child, stdout));
        Ok(())
    }

    /// Ends it as `kill -9` does: without a chance to do anything.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let (mut child, _) = self.running.take().context("it does not run")?;
        Ok(child.kill().await?)
    }

    /// Ends it cleanly.
    ///
    /// # Errors
    /// When it does not run, or ends with a failure.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let (mut child, _) = self.running.take().context("it does not run")?;
        let id = child.id().context("it has ended")?.to_string();
        let sent = Command::new("kill")
            .args(["-s", "TERM", &id])
            .status()
            .await?;
        ensure!(sent.success(), "no signal to {id}");
        let status = timeout(PATIENCE, child.wait()).await??;
        ensure!(status.success(), "{status}");
        Ok(())
    }

    /// The heads of a document in the store of a hub that does not run.
    ///
    /// # Errors
    /// When it has no such document.
    pub async fn stored(&self, document: &DocumentId) -> anyhow::Result<Vec<ChangeHash>> {
        stored(&self.store, document).await
    }
}

/// The heads of a document in a store that nobody has open.
async fn stored(store: &Path, document: &DocumentId) -> anyhow::Result<Vec<ChangeHash>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("exported.automerge");
    let id = document.to_string();
    let words = ["export", COLLECTION, "--automerge", &id].map(OsStr::new);
    syncline(store, &[&words[..], &[file.as_os_str()]].concat()).await?;
    let document = Automerge::load(&std::fs::read(file)?)?;
    Ok(sorted(document.get_heads()))
}
