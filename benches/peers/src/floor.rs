//! What nothing built on the same parts could be better than: each part alone, doing the same.

use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::measure::{Watch, figure};
use crate::workload;

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const VIEWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("views");
const HEADERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("headers");

/// Bytes of a header row: heads, counts and author of a record with one head.
const HEADER_BYTES: usize = 90;
/// Bytes of a view row: the small record as it is kept for readers.
const VIEW_BYTES: usize = 330;
/// What a log row holds beside the change.
const LOG_FRAME_BYTES: usize = 60;

/// redb with three tables, rows of the sizes that ours have and nothing else: no graph, no summary.
pub(crate) struct RedbAlone(Database);

impl RedbAlone {
    /// A new file.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        Ok(Self(Database::create(path)?))
    }

    /// Commits durably the rows of one change of `change_bytes` to each of these records; gives
    /// microseconds.
    pub(crate) fn commit(
        &self,
        records: impl Iterator<Item = usize>,
        first: u64,
        change_bytes: usize,
    ) -> anyhow::Result<f64> {
        let watch = Watch::start();
        let tx = self.0.begin_write()?;
        {
            let mut log = tx.open_table(LOG)?;
            let mut views = tx.open_table(VIEWS)?;
            let mut headers = tx.open_table(HEADERS)?;
            let change = vec![7; change_bytes + LOG_FRAME_BYTES];
            for (number, record) in (first..).zip(records) {
                let id = workload::id(record);
                log.insert(number, change.as_slice())?;
                views.insert(id.as_bytes().as_slice(), [7; VIEW_BYTES].as_slice())?;
                headers.insert(id.as_bytes().as_slice(), [7; HEADER_BYTES].as_slice())?;
            }
        }
        tx.commit()?;
        Ok(watch.micros())
    }

    /// Microseconds of so many commits of so many new records.
    pub(crate) fn commits(
        &self,
        commits: usize,
        group: usize,
        change_bytes: usize,
    ) -> anyhow::Result<Vec<f64>> {
        let commit = |it: usize| {
            let records = it * group..(it + 1) * group;
            let first = u64::try_from(it * group)?;
            self.commit(records, first, change_bytes)
        };
        apart(|| (0..commits).map(commit).collect())
    }

    /// Microseconds of one read of a view.
    pub(crate) fn read(&self, number: usize) -> anyhow::Result<f64> {
        let watch = Watch::start();
        let views = self.0.begin_read()?.open_table(VIEWS)?;
        let row = views.get(workload::id(number).as_bytes().as_slice())?;
        row.context("no such row")?;
        Ok(watch.micros())
    }

    /// Rows per second of reading all views.
    pub(crate) fn scan(&self) -> anyhow::Result<f64> {
        let watch = Watch::start();
        let views = self.0.begin_read()?.open_table(VIEWS)?;
        let (mut rows, mut bytes) = (0_u64, 0);
        for row in views.iter()? {
            let (_, value) = row?;
            rows += 1;
            bytes += value.value().len();
        }
        anyhow::ensure!(bytes > 0, "nothing to scan");
        Ok(figure(rows) / watch.seconds())
    }
}

/// Runs on a thread of its own that mostly waits for the disk, as an engine does.
pub(crate) fn apart<T: Send>(work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    let ended = std::thread::scope(|scope| scope.spawn(work).join());
    ended.map_err(|_panic| anyhow::anyhow!("a floor panicked"))?
}

/// Microseconds per record of Automerge alone: new document, all fields, bytes of the change.
pub(crate) fn automerge_encoding(records: usize) -> anyhow::Result<f64> {
    let watch = Watch::start();
    for number in 0..records {
        let document = workload::document(number)?;
        let change = document.get_last_local_change();
        drop(change.context("no change")?.bytes().into_owned());
    }
    Ok(watch.micros() / figure(records))
}

/// Bytes of all of this compressed as one.
pub(crate) fn zstd_bytes(all: &[u8]) -> anyhow::Result<f64> {
    Ok(figure(zstd::bulk::compress(all, 1)?.len()))
}

/// Microseconds of round trips of frames of `bytes` over a WebSocket on this machine.
pub(crate) async fn echo(bytes: usize, rounds: usize) -> anyhow::Result<Vec<f64>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut socket = tokio_tungstenite::accept_async(stream).await?;
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close() {
                break;
            }
            socket.send(message).await?;
        }
        anyhow::Ok(Vec::new())
    });
    // Each end in a task of its own, as links are.
    tasks.spawn(async move {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let url = format!("ws://{address}");
        let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await?;
        let frame = Bytes::from(vec![7; bytes]);
        let mut micros = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let watch = Watch::start();
            socket.send(Message::Binary(frame.clone())).await?;
            socket.next().await.context("the echo ended")??;
            micros.push(watch.micros());
        }
        socket.close(None).await?;
        Ok(micros)
    });
    let mut all = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        all.extend(ended??);
    }
    Ok(all)
}
