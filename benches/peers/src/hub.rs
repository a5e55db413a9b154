//! A hub in a process of its own, so that its memory and CPU can be told from those of its clients.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use syncline::Node;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::measure;

/// The other process: a hub on this store, until its input ends.
#[expect(clippy::print_stdout, reason = "whoever started it reads the address")]
pub(crate) async fn serve(store: &Path) -> anyhow::Result<()> {
    let node = Node::builder().store(store).relay().open().await?;
    let address = node.listen("127.0.0.1:0").await?;
    println!("{address}");
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    node.shutdown().await?;
    Ok(())
}

/// A hub that runs beside this process.
pub(crate) struct Hub {
    child: Child,
    /// Where it is dialled.
    pub address: String,
    process: u32,
}

impl Hub {
    /// Starts a hub on this store.
    pub(crate) async fn start(store: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--hub")
            .arg(store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a hub")?;
        let output = child.stdout.take().context("a hub without output")?;
        let address = BufReader::new(output).lines().next_line().await?;
        Ok(Self {
            address: address.context("the hub did not start")?,
            process: child.id().context("the hub has ended")?,
            child,
        })
    }

    /// Bytes of memory it has resident.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<f64> {
        measure::resident_bytes(self.process)
    }

    /// CPU seconds of its threads so far.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        measure::cpu_seconds(self.process)
    }

    /// Ends it as an operator would, and waits for its end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().await.context("the hub did not end")?;
        Ok(())
    }
}
