//! Attachments on simulated hosts, as on a node: put, fetched, read, removed.

mod end;
mod steps;
mod watch;

use bytes::Bytes;

use super::fact::{BlobWord, Heard};
use super::world::World;
use crate::blob::{Attachment, Chunk, Manifest, Stock};
use crate::engine::{BlobRequest, Event, Ticket};
use crate::error::{Error, ErrorKind, Result};
use crate::id::BlobId;
use crate::limits;
use crate::replica::{KnownBlob, Rows};

pub(super) use steps::{GRACE, mix, rule};
pub(super) use watch::Watched;

impl World {
    /// Puts an attachment on a host, to be named in a record by what is returned.
    ///
    /// # Errors
    /// As [`Blobs::put`](crate::node::Blobs::put); while the host is down.
    pub fn put_blob(&mut self, host: usize, bytes: &[u8]) -> Result<Attachment> {
        let (manifest, chunks) = parts(bytes)?;
        let attachment = Attachment::new(manifest.id(), manifest.size());
        let number = self.begin_blob(host, chunks)?;
        let finish = BlobRequest::Finish {
            space: Self::space(),
            number,
            manifest,
        };
        self.blob(host, finish)?;
        Ok(attachment)
    }

    /// Begins to put an attachment, and hands in chunks of it; gives the number to go on with.
    fn begin_blob(&mut self, host: usize, chunks: Vec<Chunk>) -> Result<u64> {
        let number = self.blob(host, BlobRequest::Begin)?;
        let first = 0;
        let chunks = BlobRequest::Chunks {
            number,
            first,
            chunks,
        };
        self.blob(host, chunks).map(|_| number)
    }

    /// Has a host fetch an attachment from whichever peer has it. How that ends is told by
    /// [`What::Blob`](super::What::Blob) under the ticket; none if it could not be begun.
    ///
    /// # Errors
    /// As [`Blobs::fetch`](crate::node::Blobs::fetch); while the host is down.
    pub fn fetch_blob(&mut self, host: usize, blob: BlobId) -> Result<Ticket> {
        let name = (Self::space(), blob);
        self.blob(host, BlobRequest::Want(name))?;
        self.ask_of_blobs(host, BlobRequest::Wait(name))
    }

    /// The bytes of an attachment that is on a host as a whole; `None` if it is not.
    ///
    /// # Errors
    /// As [`BlobReader::next`](crate::node::BlobReader::next); while the host is down.
    pub fn read_blob(&self, host: usize, blob: BlobId) -> Result<Option<Vec<u8>>> {
        let snapshot = self.store(host)?.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let stock = rows.blob(Self::space(), blob)?;
        let Some(stock) = stock.filter(Stock::is_complete) else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        for index in 0..stock.chunks {
            let missing = || Error::new(ErrorKind::NotHere, format!("chunk {index} is missing"));
            let chunk = rows.blob_chunk(Self::space(), blob, index)?;
            bytes.extend_from_slice(&chunk.ok_or_else(missing)?);
        }
        Ok(Some(bytes))
    }

    /// A chunk of an attachment as a host would give it out; `None` if it is not there.
    pub(super) fn blob_chunk(
        &self,
        host: usize,
        blob: BlobId,
        index: u32,
    ) -> Result<Option<Bytes>> {
        let snapshot = self.store(host)?.snapshot()?;
        Rows::new(snapshot.as_ref()).blob_chunk(Self::space(), blob, index)
    }

    /// The manifests of all that a host has as a whole.
    pub(super) fn manifests(&self, host: usize) -> Vec<Manifest> {
        let Ok(Ok(snapshot)) = self.store(host).map(|it| it.snapshot()) else {
            return Vec::new();
        };
        let rows = Rows::new(snapshot.as_ref());
        let known = rows.blobs(Self::space(), None, usize::MAX);
        let read = |it: KnownBlob| rows.blob_manifest(Self::space(), it.id).ok().flatten();
        known.into_iter().flatten().filter_map(read).collect()
    }

    /// What a host hears, with whether it has had that before.
    pub(super) fn in_stock(&self, host: usize, heard: Heard) -> Heard {
        let Heard::Blob(blob, BlobWord::Chunk { index, .. }) = heard else {
            return heard;
        };
        let known = matches!(self.blob_chunk(host, blob, index), Ok(Some(_)));
        Heard::Blob(blob, BlobWord::Chunk { index, known })
    }

    /// Has a host do something with attachments, and waits until that is durable.
    pub(super) fn blob(&mut self, host: usize, request: BlobRequest) -> Result<u64> {
        let ticket = self.ask_of_blobs(host, request)?;
        let lost = || Err(Error::new(ErrorKind::Closed, "the host went down"));
        self.outcomes.remove(&(host, ticket)).unwrap_or_else(lost)
    }

    fn ask_of_blobs(&mut self, host: usize, request: BlobRequest) -> Result<Ticket> {
        let now = self.now_of(host);
        let it = self.host_mut(host)?;
        if !it.is_up() {
            return Err(Error::new(ErrorKind::Closed, "the host is down"));
        }
        let ticket = it.next_ticket();
        it.handle(now, Event::Blob(ticket, request));
        self.pump(host);
        Ok(ticket)
    }
}

/// A blob as it is put.
fn parts(bytes: &[u8]) -> Result<(Manifest, Vec<Chunk>)> {
    let too_large = || Error::new(ErrorKind::TooLarge, "the attachment is too large");
    let manifest = Manifest::of(bytes).ok_or_else(too_large)?;
    let chunks = bytes.chunks(limits::BLOB_CHUNK_BYTES);
    let chunks = chunks.map(|it| Chunk::new(Bytes::copy_from_slice(it)));
    Ok((manifest, chunks.collect()))
}
