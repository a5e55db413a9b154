//! Links between replicas of one process, for tests, demos and applications with several stores.
//!
//! A [`MemoryNetwork`] is a registry of listeners by name. Its links are bounded like a socket, by
//! frames and by bytes, and can be cut like a cable.

use std::collections::BTreeMap;
use std::future::ready;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{BoxFuture, Connection, Connector, FrameSink, FrameSource, Listener, TransportError};
use crate::limits::{LINK_OUTBOX_BYTES_MAX, LINK_QUEUE_FRAMES, TRANSPORT_FRAME_BYTES_MAX};

/// How the addresses of this transport begin.
pub const MEMORY_SCHEME: &str = "memory:";

/// Links that wait at a listener to be accepted.
const ACCEPT_QUEUE: usize = 16;

/// Listeners of one process, reached by name. Clones share them.
///
/// ```
/// use syncline::transport::memory::MemoryNetwork;
/// use syncline::transport::{Connector, Listener};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let network = MemoryNetwork::new();
/// let mut hub = network.listen("hub")?;
/// let (_, mut sink) = network.connect("memory:hub").await?.split();
/// sink.send("hello".into()).await?;
/// sink.close().await?;
///
/// let (mut source, _) = hub.accept().await?.split();
/// assert_eq!(source.recv().await?.as_deref(), Some(&b"hello"[..]));
/// assert_eq!(source.recv().await?, None);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryNetwork {
    places: Arc<Mutex<BTreeMap<String, Place>>>,
}

#[derive(Debug)]
struct Place {
    waiting: Sender<Connection>,
    down: bool,
    /// The cables of the links to this place; a dead one is a link that has ended.
    cables: Vec<Weak<Cable>>,
}

/// What both ends of a link share: `true` once it is cut.
#[derive(Debug)]
struct Cable(watch::Sender<bool>);

impl Cable {
    async fn is_cut(&self) {
        let mut cut = self.0.subscribe();
        let seen = cut.wait_for(|cut| *cut).await.is_ok();
        debug_assert!(seen, "the sender lives as long as the cable");
    }
}

impl MemoryNetwork {
    /// A network without listeners.
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens as `memory:name` until the listener is dropped.
    ///
    /// # Errors
    /// [`TransportError::Listen`] when there is a listener of that name.
    pub fn listen(&self, name: &str) -> Result<MemoryListener, TransportError> {
        let mut places = self.places();
        if places.get(name).is_some_and(|it| !it.waiting.is_closed()) {
            return Err(TransportError::Listen {
                address: format!("{MEMORY_SCHEME}{name}"),
                source: io::ErrorKind::AddrInUse.into(),
            });
        }
        let (waiting, incoming) = channel(ACCEPT_QUEUE);
        let place = Place {
            waiting,
            down: false,
            cables: Vec::new(),
        };
        places.insert(name.to_owned(), place);
        Ok(MemoryListener {
            name: name.to_owned(),
            incoming,
        })
    }

    /// Cuts every link to the listener `name`: both sides see [`TransportError::Closed`], frames
    /// under way are lost. Dialling again works.
    pub fn cut(&self, name: &str) {
        if let Some(place) = self.places().get_mut(name) {
            for cable in place.cables.drain(..).filter_map(|it| it.upgrade()) {
                cable.0.send_replace(true);
            }
        }
    }

    /// Cuts every link to the listener `name` and refuses new ones until [`MemoryNetwork::bring_up`].
    pub fn take_down(&self, name: &str) {
        self.set_down(name, true);
        self.cut(name);
    }

    /// Lets the listener `name` be dialled again.
    pub fn bring_up(&self, name: &str) {
        self.set_down(name, false);
    }

    fn set_down(&self, name: &str, down: bool) {
        if let Some(place) = self.places().get_mut(name) {
            place.down = down;
        }
    }

    /// The accept queue of `name` and the cable of a new link to it.
    fn plug_in(&self, name: &str) -> Option<(Sender<Connection>, Arc<Cable>)> {
        let mut places = self.places();
        let place = places.get_mut(name).filter(|it| !it.down)?;
        place.cables.retain(|it| it.strong_count() > 0);
        let cable = Arc::new(Cable(watch::Sender::new(false)));
        place.cables.push(Arc::downgrade(&cable));
        Some((place.waiting.clone(), cable))
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<String, Place>> {
        // The map is whole between any two statements, so a panic elsewhere leaves it usable.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connector for MemoryNetwork {
    fn supports(&self, address: &str) -> bool {
        address.starts_with(MEMORY_SCHEME)
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Connection, TransportError>> {
        Box::pin(async move {
            let refused = || TransportError::Unreachable {
                address: address.to_owned(),
                source: io::ErrorKind::ConnectionRefused.into(),
            };
            let Some(name) = address.strip_prefix(MEMORY_SCHEME) else {
                return Err(TransportError::InvalidAddress {
                    address: address.to_owned(),
                    problem: "it must be memory:NAME",
                });
            };
            let (waiting, cable) = self.plug_in(name).ok_or_else(refused)?;
            let (near, far) = pair(address, &cable);
            match waiting.send(far).await {
                Ok(()) => Ok(near),
                Err(_) => Err(refused()),
            }
        })
    }
}

/// A listener of a [`MemoryNetwork`].
#[derive(Debug)]
pub struct MemoryListener {
    name: String,
    incoming: Receiver<Connection>,
}

impl Listener for MemoryListener {
    fn accept(&mut self) -> BoxFuture<'_, Result<Connection, TransportError>> {
        Box::pin(async { self.incoming.recv().await.ok_or(TransportError::Closed) })
    }

    fn local_address(&self) -> String {
        format!("{MEMORY_SCHEME}{}", self.name)
    }
}

/// Both ends of a link: the one that dialled `address`, and the one that accepted.
fn pair(address: &str, cable: &Arc<Cable>) -> (Connection, Connection) {
    let (near_over, far_over) = (Arc::default(), Arc::default());
    let (near_sink, far_source) = lane(cable, &near_over, &far_over);
    let (far_sink, near_source) = lane(cable, &far_over, &near_over);
    let near = Connection::new(Box::new(near_source), Box::new(near_sink), address);
    let far = Connection::new(Box::new(far_source), Box::new(far_sink), "memory:(dialler)");
    (near, far)
}

/// One direction of a link. Each end knows by its flag that a goodbye was said or read there.
fn lane(
    cable: &Arc<Cable>,
    from_over: &Arc<AtomicBool>,
    to_over: &Arc<AtomicBool>,
) -> (MemorySink, MemorySource) {
    let (queue, items) = channel(LINK_QUEUE_FRAMES);
    let sink = MemorySink {
        queue: Some(queue),
        room: Arc::new(Semaphore::new(LINK_OUTBOX_BYTES_MAX)),
        over: Arc::clone(from_over),
        cable: Arc::clone(cable),
    };
    let source = MemorySource {
        items,
        ended: false,
        over: Arc::clone(to_over),
        cable: Arc::clone(cable),
    };
    (sink, source)
}

#[derive(Debug)]
enum Item {
    /// A frame, and the room it takes until it is received.
    Frame(Bytes, OwnedSemaphorePermit),
    Goodbye,
}

#[derive(Debug)]
struct MemorySink {
    /// `None` after closing.
    queue: Option<Sender<Item>>,
    /// Bytes that may still be queued.
    room: Arc<Semaphore>,
    over: Arc<AtomicBool>,
    cable: Arc<Cable>,
}

impl MemorySink {
    /// The way out, unless the link is over.
    fn open_queue(&self) -> Result<&Sender<Item>, TransportError> {
        let over = self.over.load(Ordering::Acquire);
        let queue = self.queue.as_ref().filter(|_| !over);
        queue.ok_or(TransportError::Closed)
    }

    async fn put(&self, frame: Bytes) -> Result<(), TransportError> {
        let queue = self.open_queue()?;
        // A frame larger than all the room takes all of it.
        let bytes = frame.len().min(LINK_OUTBOX_BYTES_MAX);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let put = async {
            let room = Arc::clone(&self.room);
            let permit = room.acquire_many_owned(bytes).await.ok()?;
            queue.send(Item::Frame(frame, permit)).await.ok()
        };
        tokio::select! {
            biased;
            () = self.cable.is_cut() => Err(TransportError::Closed),
            put = put => put.ok_or(TransportError::Closed),
        }
    }
}

impl FrameSink for MemorySink {
    fn send(&mut self, frame: Bytes) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(async move {
            if frame.len() > TRANSPORT_FRAME_BYTES_MAX {
                return Err(TransportError::FrameTooLarge {
                    bytes: frame.len(),
                    max: TRANSPORT_FRAME_BYTES_MAX,
                });
            }
            self.put(frame).await
        })
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        let cut = *self.cable.0.borrow();
        let gone = cut || self.open_queue().is_ok_and(Sender::is_closed);
        let flushed = if gone {
            Err(TransportError::Closed)
        } else {
            // Nothing is held back, and a goodbye needs no flush.
            Ok(())
        };
        Box::pin(ready(flushed))
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(async {
            self.over.store(true, Ordering::Release);
            if let Some(queue) = self.queue.take() {
                tokio::select! {
                    biased;
                    () = self.cable.is_cut() => {}
                    // A receiver that is gone needs no goodbye.
                    _sent = queue.send(Item::Goodbye) => {}
                }
            }
            Ok(())
        })
    }
}

#[derive(Debug)]
struct MemorySource {
    items: Receiver<Item>,
    ended: bool,
    over: Arc<AtomicBool>,
    cable: Arc<Cable>,
}

impl MemorySource {
    async fn next_frame(&mut self) -> Result<Option<Bytes>, TransportError> {
        if self.ended {
            return Ok(None);
        }
        let item = tokio::select! {
            biased;
            () = self.cable.is_cut() => None,
            item = self.items.recv() => item,
        };
        if let Some(Item::Frame(frame, _room)) = item {
            return Ok(Some(frame));
        }
        self.ended = true;
        let was_over = self.over.swap(true, Ordering::AcqRel);
        match item {
            None if !was_over => Err(TransportError::Closed),
            Some(_) | None => Ok(None),
        }
    }
}

impl FrameSource for MemorySource {
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        Box::pin(self.next_frame())
    }
}
