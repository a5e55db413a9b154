//! Attachments: bytes that records refer to, put and read in pieces, fetched from peers.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

use super::Handle;
use super::delivery::Asked;
use super::driver::Message;
use super::shared::mismatched;
use super::tasks::run_apart;
use crate::blob::{Attachment, Chunk, ChunkHash, Manifest, Stock};
use crate::engine::{BlobRequest, Event, Reply};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{BlobId, SpaceId};
use crate::limits;
use crate::replica::{KnownBlob, Rows};

/// How often it is looked how much of an attachment has come.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The attachments of one space. See [`Node::blobs`](super::Node::blobs).
///
/// The bytes of an attachment are named by what is in them. They are put once, referred to by an
/// [`Attachment`] in a field of any number of records, and fetched by who wants them.
///
/// ```
/// use syncline::Node;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), syncline::Error> {
/// let node = Node::builder().open().await?;
/// let photo = node.blobs().put(b"not really a photo").await?.with_type("image/png")?;
/// assert_eq!(photo.size(), 18);
/// assert_eq!(node.blobs().read(photo.id()).await?, b"not really a photo");
/// let unknown = "ab".repeat(32).parse()?;
/// assert!(node.blobs().get(unknown).await.is_err_and(|it| it.kind() == syncline::ErrorKind::NotHere));
/// # node.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Blobs {
    handle: Arc<Handle>,
    space: SpaceId,
}

impl Blobs {
    pub(super) const fn new(handle: Arc<Handle>, space: SpaceId) -> Self {
        Self { handle, space }
    }

    async fn ask(&self, request: BlobRequest) -> Result<u64> {
        answer(
            self.handle
                .shared
                .ask(|ticket| Event::Blob(ticket, request))
                .await?,
        )
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Rows<'_>, SpaceId) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (shared, space) = (Arc::clone(&self.handle.shared), self.space);
        run_apart(move || look(&Rows::new(shared.snapshot()?.as_ref()), space)).await
    }

    /// Begins to put an attachment whose bytes come in pieces. A megabyte of it is in memory at the
    /// most.
    ///
    /// # Errors
    /// `TooLarge` when [`limits::BLOB_PUTS_MAX`] are being put, `Closed` if the node is shut down, and
    /// those of the store.
    pub async fn writer(&self) -> Result<BlobWriter> {
        let number = self.ask(BlobRequest::Begin).await?;
        Ok(BlobWriter {
            blobs: self.clone(),
            number: Some(number),
            buffer: BytesMut::new(),
            chunks: Vec::new(),
            hashes: Vec::new(),
            size: 0,
        })
    }

    /// Puts an attachment. When it returns, the bytes are as durable as a write of a record is; the
    /// same bytes are stored once in a space. It is removed after a while if no record refers to it.
    ///
    /// # Errors
    /// `TooLarge` over the size that the node allows, and as [`Blobs::writer`].
    pub async fn put(&self, bytes: impl AsRef<[u8]>) -> Result<Attachment> {
        let mut writer = self.writer().await?;
        writer.write(bytes.as_ref()).await?;
        writer.finish().await
    }

    /// Puts an attachment as it is read.
    ///
    /// # Errors
    /// `Io` if it can't be read, and as [`Blobs::put`].
    pub async fn put_from(&self, mut reader: impl AsyncRead + Unpin + Send) -> Result<Attachment> {
        let mut writer = self.writer().await?;
        let mut piece = BytesMut::with_capacity(limits::BLOB_CHUNK_BYTES);
        loop {
            piece.clear();
            let read = reader.read_buf(&mut piece).await.map_err(|error| {
                Error::new(ErrorKind::Io, "the attachment can't be read").with_source(error)
            })?;
            if read == 0 {
                return writer.finish().await;
            }
            writer.write(&piece).await?;
        }
    }

    /// The bytes of an attachment, chunk by chunk.
    ///
    /// # Errors
    /// `NotHere` if it is not here as a whole, and those of the store.
    pub async fn get(&self, blob: BlobId) -> Result<BlobReader> {
        let stock = self.status(blob).await?;
        match stock {
            Some(stock) if stock.is_complete() => Ok(BlobReader {
                blobs: self.clone(),
                blob,
                stock,
                next: 0,
            }),
            stock => Err(not_here(blob, stock)),
        }
    }

    /// All bytes of an attachment at once.
    ///
    /// # Errors
    /// As [`Blobs::get`] and [`BlobReader::next`].
    pub async fn read(&self, blob: BlobId) -> Result<Vec<u8>> {
        let mut reader = self.get(blob).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// How much of an attachment is here; `None` if nothing is.
    ///
    /// # Errors
    /// `Closed` if the node is shut down, and those of the store.
    pub async fn status(&self, blob: BlobId) -> Result<Option<Stock>> {
        self.look(move |rows, space| rows.blob(space, blob)).await
    }

    /// The attachments of which anything is here, in the order of their ids: `limit` at most of those
    /// after one.
    ///
    /// # Errors
    /// As [`Blobs::status`].
    pub async fn list(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<KnownBlob>> {
        self.look(move |rows, space| rows.blobs(space, after, limit))
            .await
    }

    /// Fetches an attachment from whichever peer has it, now and after every restart until it is here.
    /// Chunks that are here and damaged are fetched again. The want is durable when it returns.
    ///
    /// # Errors
    /// `TooLarge` when [`limits::BLOB_FETCHES_MAX`] are wanted, and as [`Blobs::status`].
    pub async fn fetch(&self, blob: BlobId) -> Result<Fetch> {
        let damaged = move |rows: &Rows<'_>, space| rows.damaged_chunks(space, blob);
        let damaged = self.look(damaged).await?;
        let name = (self.space, blob);
        if damaged.as_ref().is_none_or(|it| !it.is_empty()) {
            self.ask(BlobRequest::Mend(name, damaged)).await?;
        }
        self.ask(BlobRequest::Want(name)).await?;
        Ok(Fetch {
            blobs: self.clone(),
            blob,
            last: None,
        })
    }

    /// Fetches an attachment no more. What has come of it stays, and need not come again.
    ///
    /// # Errors
    /// As [`Blobs::status`].
    pub async fn cancel(&self, blob: BlobId) -> Result<()> {
        let name = (self.space, blob);
        self.ask(BlobRequest::Cancel(name)).await.map(drop)
    }

    /// Removes what is here of an attachment, whether records refer to it or not; says whether there
    /// was anything. It can be fetched again from who has it.
    ///
    /// # Errors
    /// As [`Blobs::status`].
    pub async fn remove(&self, blob: BlobId) -> Result<bool> {
        let name = (self.space, blob);
        Ok(self.ask(BlobRequest::Remove(name)).await? > 0)
    }

    /// Removes the attachments, of all spaces, that no change of a record here has ever referred to and
    /// that are older than the grace ([`Builder::attachment_grace`](super::Builder::attachment_grace));
    /// gives how many. It happens by itself every hour.
    ///
    /// # Errors
    /// As [`Blobs::status`].
    pub async fn collect(&self) -> Result<u64> {
        self.ask(BlobRequest::Collect).await
    }
}

/// An attachment that is being put. Dropped without [`BlobWriter::finish`], nothing is left of it.
#[derive(Debug)]
pub struct BlobWriter {
    blobs: Blobs,
    /// None once it is finished.
    number: Option<u64>,
    buffer: BytesMut,
    /// Those that were not handed in yet.
    chunks: Vec<Chunk>,
    hashes: Vec<ChunkHash>,
    size: u64,
}

impl BlobWriter {
    /// Appends some bytes.
    ///
    /// # Errors
    /// `TooLarge` over the size that the node allows, and those of the store.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.size = self
            .size
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let max = self
            .blobs
            .handle
            .shared
            .blob_bytes_max
            .min(limits::BLOB_BYTES_MAX);
        if self.size > max {
            let message = format!("an attachment may have {max} bytes here");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        while !bytes.is_empty() {
            let room = limits::BLOB_CHUNK_BYTES - self.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == limits::BLOB_CHUNK_BYTES {
                self.cut();
            }
            if self.chunks.len() >= limits::BLOB_PUT_CHUNKS {
                self.hand_in().await?;
            }
        }
        Ok(())
    }

    /// Ends it: all bytes are there.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn finish(mut self) -> Result<Attachment> {
        if !self.buffer.is_empty() {
            self.cut();
        }
        self.hand_in().await?;
        let hashes = std::mem::take(&mut self.hashes);
        let too_large = || Error::new(ErrorKind::TooLarge, "the attachment is too large");
        let manifest = Manifest::new(self.size, hashes).ok_or_else(too_large)?;
        let attachment = Attachment::new(manifest.id(), self.size);
        let number = self.number.take().ok_or_else(mismatched)?;
        let space = self.blobs.space;
        let finish = BlobRequest::Finish {
            space,
            number,
            manifest,
        };
        self.blobs.ask(finish).await?;
        Ok(attachment)
    }

    fn cut(&mut self) {
        let chunk = Chunk::new(self.buffer.split().freeze());
        self.hashes.push(*chunk.hash());
        self.chunks.push(chunk);
    }

    async fn hand_in(&mut self) -> Result<()> {
        let chunks = std::mem::take(&mut self.chunks);
        let Some(number) = self.number.filter(|_| !chunks.is_empty()) else {
            return Ok(());
        };
        let first = self.hashes.len() - chunks.len();
        let first = u32::try_from(first).unwrap_or(u32::MAX);
        let request = BlobRequest::Chunks {
            number,
            first,
            chunks,
        };
        self.blobs.ask(request).await.map(drop)
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let shared = &self.blobs.handle.shared;
            let request = Event::Blob(shared.ticket(), BlobRequest::Abandon(number));
            // If there is no room, it is swept away when the store is opened again.
            drop(shared.inbox.try_send(Message::Event(request)));
        }
    }
}

/// Reads an attachment from the first chunk to the last.
#[derive(Debug)]
pub struct BlobReader {
    blobs: Blobs,
    blob: BlobId,
    stock: Stock,
    next: u32,
}

impl BlobReader {
    /// Bytes of the whole attachment.
    pub const fn size(&self) -> u64 {
        self.stock.size
    }

    /// The next bytes; `None` at the end. Each chunk is checked against its hash.
    ///
    /// # Errors
    /// `StoreCorrupt` if it is damaged: [`Blobs::fetch`] gets it from a peer. `NotHere` if it was
    /// removed meanwhile, and as [`Blobs::status`].
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.next >= self.stock.chunks {
            return Ok(None);
        }
        let (blob, index) = (self.blob, self.next);
        let read = move |rows: &Rows<'_>, space| rows.blob_chunk(space, blob, index);
        let chunk = self.blobs.look(read).await?;
        let chunk = chunk.ok_or_else(|| not_here(blob, None))?;
        self.next += 1;
        Ok(Some(chunk))
    }
}

/// An attachment that is being fetched. It goes on being fetched when this is dropped.
#[derive(Debug)]
pub struct Fetch {
    blobs: Blobs,
    blob: BlobId,
    last: Option<Stock>,
}

impl Fetch {
    /// Until all of it is here. It has no end of its own while no peer has it.
    ///
    /// # Errors
    /// `TooLarge` if it is larger than the node allows, `NotHere` if it was given up or removed
    /// meanwhile, `Closed` if the node is shut down, and those of the store.
    pub async fn done(&self) -> Result<()> {
        let shared = &self.blobs.handle.shared;
        let name = (self.blobs.space, self.blob);
        let mut asked = Asked(shared, None);
        let ticket = &mut asked.1;
        let question = |given| {
            *ticket = Some(given);
            Event::Blob(given, BlobRequest::Wait(name))
        };
        let reply = shared.ask(question).await?;
        asked.1 = None;
        answer(reply).map(drop)
    }

    /// How much of it is here, once that has changed; `None` after all of it was.
    ///
    /// # Errors
    /// As [`Fetch::done`].
    pub async fn next(&mut self) -> Result<Option<Stock>> {
        loop {
            if self.last.is_some_and(|it| it.is_complete()) {
                return Ok(None);
            }
            if let Ok(ended) = timeout(LOOK_EVERY, self.done()).await {
                ended?;
            }
            let stock = self.blobs.status(self.blob).await?;
            if stock.is_some() && stock != self.last {
                self.last = stock;
                return Ok(stock);
            }
        }
    }
}

fn answer(reply: Reply) -> Result<u64> {
    match reply {
        Reply::Blob(done) => done,
        Reply::Indexed(_)
        | Reply::Captured(_)
        | Reply::Imported(_)
        | Reply::Delivered(_)
        | Reply::Status(_)
        | Reply::Compacted(_)
        | Reply::Quarantined(_) => Err(mismatched()),
    }
}

fn not_here(blob: BlobId, stock: Option<Stock>) -> Error {
    let message = match stock {
        Some(Stock { chunks, here, .. }) => {
            format!("of attachment {blob} {here} of {chunks} chunks are here; fetch it")
        }
        None => format!("attachment {blob} is not here; fetch it"),
    };
    Error::new(ErrorKind::NotHere, message)
}

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/attachments.md")]
mod guide {}
