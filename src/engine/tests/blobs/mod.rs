//! Attachments between engines: over one link, through a hub, with cuts, kills and lies.

mod lies;
mod transfer;

use bytes::Bytes;

use super::*;
use crate::blob::{Attachment, Chunk, Manifest};
use crate::engine::BlobRequest;
use crate::id::BlobId;
use crate::replica::{FetchRule, Rows};
use crate::session::BlobName;
use crate::store::CommitFault;
use crate::wire::{BlobChunk, BlobManifest, BlobState, BlobWant, Standing, encode};

/// A hub in the middle: it fetches what records name, or what it is asked for.
const HUB: u64 = 1;

fn host(number: u64, rule: FetchRule) -> Host {
    Host::with_blobs(
        number,
        BlobSettings {
            rule,
            ..BlobSettings::default()
        },
    )
}

fn devices(count: u64) -> Net {
    Net::with((0..count).map(|it| host(it, FetchRule::none())))
}

/// A device, a hub with this rule, and another device.
fn chain(rule: FetchRule) -> Net {
    let hosts = [(0, FetchRule::none()), (HUB, rule), (2, FetchRule::none())];
    Net::with(hosts.into_iter().map(|(number, rule)| host(number, rule)))
}

fn content(chunks: usize) -> Vec<u8> {
    let bytes =
        (0..chunks).flat_map(|it| vec![u8::try_from(it).unwrap(); limits::BLOB_CHUNK_BYTES]);
    bytes.collect()
}

fn parts(bytes: &[u8]) -> (Manifest, Vec<Chunk>) {
    let chunks = bytes.chunks(limits::BLOB_CHUNK_BYTES);
    let chunks = chunks.map(|it| Chunk::new(Bytes::copy_from_slice(it)));
    (Manifest::of(bytes).unwrap(), chunks.collect())
}

fn named(id: BlobId) -> BlobName {
    (key().space, id)
}

impl Net {
    fn blob(&mut self, host: usize, request: BlobRequest) -> Ticket {
        self.ask(host, |ticket| Event::Blob(ticket, request))
    }

    /// Puts a blob and lets that be committed, with all that follows.
    fn put(&mut self, host: usize, bytes: &[u8]) -> BlobId {
        let (manifest, chunks) = parts(bytes);
        let id = manifest.id();
        let begun = self.blob(host, BlobRequest::Begin);
        self.run();
        let Some(Reply::Blob(Ok(number))) = self.reply(host, begun) else {
            panic!("not begun");
        };
        let number = *number;
        let first = 0;
        self.blob(
            host,
            BlobRequest::Chunks {
                number,
                first,
                chunks,
            },
        );
        let space = key().space;
        let finished = self.blob(
            host,
            BlobRequest::Finish {
                space,
                number,
                manifest,
            },
        );
        self.run();
        assert!(matches!(
            self.reply(host, finished),
            Some(Reply::Blob(Ok(_)))
        ));
        id
    }

    fn name(&mut self, host: usize, id: BlobId) {
        self.write(host, &Value::Str(Attachment::new(id, 5).to_string()));
        self.run();
    }

    fn fetch(&mut self, host: usize, id: BlobId) -> Ticket {
        self.blob(host, BlobRequest::Want(named(id)));
        let wait = self.blob(host, BlobRequest::Wait(named(id)));
        self.run();
        wait
    }

    fn has(&self, host: usize, id: BlobId) -> bool {
        let replica = self.hosts[host].engine.replica();
        replica.has_blob(key().space, id).unwrap()
    }

    fn read(&self, host: usize, id: BlobId) -> Vec<u8> {
        let snapshot = self.hosts[host].store.snapshot().unwrap();
        let rows = Rows::new(snapshot.as_ref());
        let count = rows.blob(key().space, id).unwrap().unwrap().chunks;
        let chunks = (0..count).map(|it| rows.blob_chunk(key().space, id, it).unwrap().unwrap());
        chunks.collect::<Vec<_>>().concat()
    }

    fn chunks_here(&self, host: usize, id: BlobId) -> u32 {
        let snapshot = self.hosts[host].store.snapshot().unwrap();
        let stock = Rows::new(snapshot.as_ref()).blob(key().space, id).unwrap();
        stock.map_or(0, |it| it.here)
    }

    /// Which chunks have travelled this way so far.
    fn chunks(&self, from: usize, to: usize) -> Vec<u32> {
        let ways = self.seen.iter().filter(|it| (it.0, it.1) == (from, to));
        ways.filter_map(|it| match it.2 {
            Seen::Chunk(index) => Some(index),
            Seen::Changes(_) | Seen::Ack | Seen::Presence | Seen::Other => None,
        })
        .collect()
    }

    /// Lets frames arrive until so many chunks have; the rest is lost with the link.
    fn run_until_chunks(&mut self, from: usize, to: usize, count: usize) {
        while self.chunks(from, to).len() < count {
            for host in 0..self.hosts.len() {
                while let Some(effect) = self.hosts[host].engine.poll(self.now) {
                    self.act(host, effect);
                }
            }
            let (end, frame) = self.frames.pop_front().expect("more frames");
            self.arrive(end, frame);
        }
    }

    fn cut_both(&mut self, [dialled, accepted]: [LinkId; 2], (from, to): (usize, usize)) {
        self.frames.clear();
        self.ends.remove(&(from, dialled));
        self.ends.remove(&(to, accepted));
        let reason = "cut".to_owned();
        self.tell(
            from,
            Event::LinkLost {
                link: dialled,
                reason: reason.clone(),
            },
        );
        self.tell(
            to,
            Event::LinkLost {
                link: accepted,
                reason,
            },
        );
        self.run();
    }

    /// Has a peer that is made up say something.
    fn says(&mut self, host: usize, link: LinkId, message: &Message) {
        let frame = encode(CorrelationId(1), message);
        let frame = Ok(inspect(&Bytes::from(frame), limits::FRAME_BYTES_MAX).unwrap());
        self.tell(host, Event::Frame { link, frame });
    }

    fn is_synced(&self, host: usize) -> bool {
        self.hosts[host].engine.status(self.now).is_synced()
    }
}

fn is_done(reply: Option<&Reply>) -> bool {
    matches!(reply, Some(Reply::Blob(Ok(_))))
}
