//! A hub in a process of its own, so that its memory and CPU can be told from those of its clients.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use clap::ValueEnum;
use syncline::Node;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::measure;
use crate::peers::{samod, subduction};

/// Whose hub it is.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Kind {
    /// Ours.
    #[default]
    Syncline,
    /// subduction on its redb storage.
    Subduction,
    /// subduction without a disk.
    SubductionMemory,
    /// samod on its file storage.
    Samod,
    /// The same, giving documents to those alone who ask for them.
    SamodToAskers,
}

/// The number of a subduction replica that is a hub.
pub(crate) const SUBDUCTION_HUB: usize = 9;

/// The other process: a hub on this store, until its input ends.
pub(crate) async fn serve(kind: Kind, store: &Path) -> anyhow::Result<()> {
    match kind {
        Kind::Syncline => {
            let node = Node::builder().store(store).relay().open().await?;
            let address = node.listen("127.0.0.1:0").await?;
            until_ended(&address).await?;
            node.shutdown().await?;
        }
        Kind::Subduction => {
            serve_subduction(&subduction::Replica::durable(store, SUBDUCTION_HUB)?).await?;
        }
        Kind::SubductionMemory => {
            serve_subduction(&subduction::Replica::in_memory(SUBDUCTION_HUB)).await?;
        }
        Kind::Samod => {
            serve_samod(samod::Replica::open(store).await?).await?;
        }
        Kind::SamodToAskers => {
            serve_samod(samod::Replica::open_to_askers(store).await?).await?;
        }
    }
    Ok(())
}

async fn serve_subduction<S: subduction::Disk>(
    replica: &subduction::Replica<S>,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::select! {
        served = replica.serve(&listener) => served,
        ended = until_ended(&address) => ended,
    }
}

async fn serve_samod(replica: samod::Replica) -> anyhow::Result<()> {
    until_ended(&replica.address.to_string()).await?;
    replica.stop().await;
    Ok(())
}

/// Tells the address, and waits for the end of the input.
#[expect(clippy::print_stdout, reason = "whoever started it reads the address")]
async fn until_ended(address: &str) -> anyhow::Result<()> {
    println!("{address}");
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
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
    /// Starts a hub of ours on this store.
    pub(crate) async fn start(store: &Path) -> anyhow::Result<Self> {
        Self::start_as(Kind::Syncline, store).await
    }

    /// Starts a hub of this kind on this store.
    pub(crate) async fn start_as(kind: Kind, store: &Path) -> anyhow::Result<Self> {
        let kind = kind.to_possible_value().context("a kind without a name")?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--hub-kind", kind.get_name(), "--hub"])
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
