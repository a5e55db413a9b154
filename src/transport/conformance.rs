//! What every transport promises, as tests that any implementation can run.
//!
//! ```no_run
//! use syncline::transport::memory::MemoryNetwork;
//! use syncline::transport::{Connector, Listener};
//!
//! syncline::transport_conformance!(memory_keeps_the_promises, || async {
//!     let network = MemoryNetwork::new();
//!     let listener = network.listen("hub").expect("the name is free");
//!     let address = listener.local_address();
//!     (listener, network, address)
//! });
//! # fn main() {}
//! ```

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::{Connection, Connector, FrameSink, FrameSource, Listener, TransportError};
use crate::limits::{FRAME_BYTES_MAX, TRANSPORT_FRAME_BYTES_MAX};

/// Expands to a module of tests, one for each promise of a transport.
///
/// Takes the module's name and a closure, which sees what is imported beside the macro, that returns a future of a fresh listener, a connector,
/// and the address at which the one reaches the other. See [`conformance`](mod@crate::transport::conformance).
#[macro_export]
macro_rules! transport_conformance {
    ($name:ident, $setup:expr) => {
        $crate::transport_conformance!($name, $setup,
            frames_arrive_whole_and_in_order_both_ways
            the_largest_frame_fits
            an_empty_frame_is_a_frame
            a_frame_over_the_limit_is_refused_and_the_link_goes_on
            many_small_frames_arrive_without_a_flush_each
            a_goodbye_is_read_after_all_frames
            a_goodbye_ends_both_directions
            dropping_one_side_ends_the_other
            a_receiver_that_does_not_read_stops_the_sender
            a_dropped_receive_loses_nothing
            one_listener_serves_many_links
            an_address_where_nobody_listens_is_an_error
        );
    };
    ($name:ident, $setup:expr, $($check:ident)*) => {
        mod $name {
            use super::*;

            $(
                #[::core::prelude::v1::test]
                fn $check() {
                    $crate::transport::conformance::run(async {
                        let (listener, connector, address) = ($setup)().await;
                        let rig = $crate::transport::conformance::Rig::new(
                            listener, connector, address,
                        );
                        $crate::transport::conformance::$check(rig).await
                    });
                }
            )*
        }
    };
}

/// A fresh listener and how to reach it.
#[derive(Debug)]
pub struct Rig {
    listener: Box<dyn Listener>,
    connector: Box<dyn Connector>,
    address: String,
}

/// How a check ends: `Err` tells what was promised and not kept.
pub type Outcome = Result<(), Broken>;

/// A promise that the transport did not keep.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// Something failed that should not.
    #[error("{0}")]
    Failed(#[from] TransportError),
    /// Something happened that should not.
    #[error("{0}")]
    Unexpected(String),
}

/// Time for one check on a slow machine.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// Time without progress after which a sender counts as stopped.
const STALL: Duration = Duration::from_millis(300);

/// Runs one check to its end on a runtime of its own.
///
/// # Panics
/// When the promise is not kept, or not within a minute.
pub fn run(check: impl Future<Output = Outcome>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(async {
            let outcome = timeout(CHECK_TIMEOUT, check).await;
            outcome.unwrap_or_else(|_late| unexpected("the check hangs"))
        }),
        Err(error) => unexpected(format!("no runtime: {error}")),
    };
    let text = outcome.map_or_else(|broken| broken.to_string(), |()| String::new());
    assert!(text.is_empty(), "{text}");
}

impl Rig {
    /// A rig of what a setup returns.
    pub fn new(
        listener: impl Listener + 'static,
        connector: impl Connector + 'static,
        address: impl Into<String>,
    ) -> Self {
        Self {
            listener: Box::new(listener),
            connector: Box::new(connector),
            address: address.into(),
        }
    }

    /// Both ends of a new link, trusting each other.
    async fn link(&mut self) -> Result<(End, End), TransportError> {
        let (dialled, accepted) = tokio::join!(
            self.connector.connect(&self.address),
            self.listener.accept()
        );
        Ok((End::new(dialled?), End::new(accepted?)))
    }
}

struct End {
    source: Box<dyn FrameSource>,
    sink: Box<dyn FrameSink>,
}

impl End {
    fn new(connection: Connection) -> Self {
        let (mut source, sink) = connection.split();
        source.trust();
        Self { source, sink }
    }

    async fn send(&mut self, frame: Bytes) -> Result<(), TransportError> {
        self.sink.send(frame).await?;
        self.sink.flush().await
    }

    async fn expect(&mut self, expected: &[u8]) -> Outcome {
        match self.source.recv().await? {
            Some(frame) if frame == expected => Ok(()),
            Some(frame) => unexpected(format!(
                "a frame of {} bytes came that differs from the {} expected",
                frame.len(),
                expected.len()
            )),
            None => unexpected("the link was closed before the frame came"),
        }
    }

    async fn expect_end(&mut self) -> Outcome {
        match self.source.recv().await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => unexpected("a frame came after the goodbye"),
            Err(error) => Err(error.into()),
        }
    }
}

fn unexpected(what: impl Into<String>) -> Outcome {
    Err(Broken::Unexpected(what.into()))
}

fn check(kept: bool, promise: &str) -> Outcome {
    if kept { Ok(()) } else { unexpected(promise) }
}

/// A frame that differs from others of its size: its number, repeated.
fn frame(number: u32, bytes: usize) -> Bytes {
    let mut frame = number.to_be_bytes().repeat(bytes.div_ceil(4));
    frame.truncate(bytes);
    frame.into()
}

/// Frames of all sizes come as they were sent, in both directions at once.
///
/// # Errors
/// When the promise is not kept.
pub async fn frames_arrive_whole_and_in_order_both_ways(mut rig: Rig) -> Outcome {
    let (mut near, mut far) = rig.link().await?;
    let sizes = [1, 125, 126, 127, 65_535, 65_536, 200_000, 3];
    let frames = |seed: u32| {
        let numbered = (seed..).zip(sizes);
        numbered.map(|(number, bytes)| frame(number, bytes))
    };
    let send = async |end: &mut Box<dyn FrameSink>, seed| {
        for frame in frames(seed) {
            end.send(frame).await?;
            end.flush().await?;
        }
        Ok::<_, Broken>(())
    };
    let receive = async |end: &mut Box<dyn FrameSource>, seed| {
        for frame in frames(seed) {
            let came = end.recv().await?;
            check(came == Some(frame), "every frame comes whole and in order")?;
        }
        Ok::<_, Broken>(())
    };
    tokio::try_join!(
        send(&mut near.sink, 1_000),
        send(&mut far.sink, 2_000),
        receive(&mut near.source, 2_000),
        receive(&mut far.source, 1_000),
    )?;
    Ok(())
}

/// The largest frame of the protocol passes, with room for its header.
///
/// # Errors
/// When the promise is not kept.
pub async fn the_largest_frame_fits(mut rig: Rig) -> Outcome {
    let (mut near, mut far) = rig.link().await?;
    let largest = frame(7, TRANSPORT_FRAME_BYTES_MAX);
    let (sent, came) = tokio::join!(near.send(largest.clone()), far.expect(&largest));
    sent?;
    came?;
    let (sent, came) = tokio::join!(far.send(largest.clone()), near.expect(&largest));
    sent?;
    came
}

/// A frame without bytes is delivered, and is not the end.
///
/// # Errors
/// When the promise is not kept.
pub async fn an_empty_frame_is_a_frame(mut rig: Rig) -> Outcome {
    let (mut near, mut far) = rig.link().await?;
    near.send(Bytes::new()).await?;
    near.send(frame(1, 10)).await?;
    far.expect(&[]).await?;
    far.expect(&frame(1, 10)).await
}

/// A frame over the limit is a typed error for its sender, who may go on with others.
///
/// # Errors
/// When the promise is not kept.
pub async fn a_frame_over_the_limit_is_refused_and_the_link_goes_on(mut rig: Rig) -> Outcome {
    let (mut near, mut far) = rig.link().await?;
    let over = frame(1, FRAME_BYTES_MAX + 1_000_000);
    let refused = near.sink.send(over).await;
    check(
        matches!(refused, Err(TransportError::FrameTooLarge { .. })),
        "a frame over the limit is FrameTooLarge",
    )?;
    near.send(frame(2, 10)).await?;
    far.expect(&frame(2, 10)).await
}

/// Small frames need one flush together, and keep their borders.
///
/// # Errors
/// When the promise is not kept.
pub async fn many_small_frames_arrive_without_a_flush_each(mut rig: Rig) -> Outcome {
    const FRAMES: u32 = 20_000;
    let (mut near, mut far) = rig.link().await?;
    let send = async {
        for number in 0..FRAMES {
            near.sink.send(frame(number, 20)).await?;
        }
        Ok::<_, Broken>(near.sink.flush().await?)
    };
    let receive = async {
        for number in 0..FRAMES {
            far.expect(&frame(number, 20)).await?;
        }
        Ok(())
    };
    tokio::try_join!(send, receive)?;
    Ok(())
}

/// What was sent before a goodbye is read before it; the goodbye itself is `None`, and stays.
///
/// # Errors
/// When the promise is not kept.
pub async fn a_goodbye_is_read_after_all_frames(mut rig: Rig) -> Outcome {
    let (mut near, mut far) = rig.link().await?;
    near.sink.send(frame(1, 1_000)).await?;
    near.sink.close().await?;
    far.expect(&frame(1, 1_000)).await?;
    far.expect_end().await?;
    far.expect_end().await?;
    far.sink.close().await?;
    near.expect_end().await?;
    near.sink.close().await?;

    // The accepting side may be the first to go as well.
    let (mut near, mut far) = rig.link().await?;
    far.sink.close().await?;
    near.expect_end().await?;
    near.sink.close().await?;
    far.expect_end().await
}

/// After a goodbye neither side sends; what was sent before it was read still arrives, and the side
/// that said it sees a clean end however the other goes.
///
/// # Errors
/// When the promise is not kept.
pub async fn a_goodbye_ends_both_directions(mut rig: Rig) -> Outcome {
    let (mut near, mut far) = rig.link().await?;
    near.sink.close().await?;
    far.send(frame(1, 1_000)).await?;
    near.expect(&frame(1, 1_000)).await?;
    far.expect_end().await?;
    for end in [&mut near, &mut far] {
        let sent = end.send(frame(2, 10)).await;
        check(
            matches!(sent, Err(TransportError::Closed)),
            "nobody sends after a goodbye",
        )?;
    }
    drop(far);
    near.expect_end().await
}

/// When one side is gone without a goodbye, the other learns it from both of its halves.
///
/// # Errors
/// When the promise is not kept.
pub async fn dropping_one_side_ends_the_other(mut rig: Rig) -> Outcome {
    let (near, mut far) = rig.link().await?;
    drop(near);
    let end = far.source.recv().await;
    check(
        matches!(end, Err(TransportError::Closed)),
        "a link that breaks off is Closed, not a goodbye",
    )?;

    let (mut near, far) = rig.link().await?;
    drop(far);
    // A socket may take a few frames before the news arrives.
    for number in 0..10_000 {
        if near.send(frame(number, 10_000)).await.is_err() {
            return Ok(());
        }
    }
    unexpected("sending goes on though nobody is there")
}

/// A sender waits for a receiver that does not read, holding a bounded number of bytes, and goes
/// on when it reads again.
///
/// # Errors
/// When the promise is not kept.
pub async fn a_receiver_that_does_not_read_stops_the_sender(mut rig: Rig) -> Outcome {
    const FRAMES: u32 = 1_024;
    const BYTES: usize = 64 * 1024;
    let (mut near, mut far) = rig.link().await?;
    let (count, sent) = tokio::sync::watch::channel(0);
    let send = async {
        for number in 0..FRAMES {
            near.sink.send(frame(number, BYTES)).await?;
            count.send_replace(number + 1);
        }
        Ok::<_, Broken>(near.sink.flush().await?)
    };
    let receive = async {
        let mut progress = sent.clone();
        while timeout(STALL, progress.changed()).await.is_ok() {
            check(
                *progress.borrow_and_update() < FRAMES,
                "a sender stops when nobody reads",
            )?;
        }
        for number in 0..FRAMES {
            far.expect(&frame(number, BYTES)).await?;
        }
        Ok(())
    };
    tokio::try_join!(send, receive)?;
    Ok(())
}

/// A receive that is given up while a frame is under way does not lose it.
///
/// # Errors
/// When the promise is not kept.
pub async fn a_dropped_receive_loses_nothing(mut rig: Rig) -> Outcome {
    const FRAMES: u32 = 200;
    let (mut near, mut far) = rig.link().await?;
    let send = async {
        for number in 0..FRAMES {
            near.send(frame(number, 20_000)).await?;
        }
        Ok::<_, Broken>(())
    };
    let receive = async {
        for number in 0..FRAMES {
            let came = loop {
                tokio::select! {
                    biased;
                    came = far.source.recv() => break came?,
                    () = tokio::task::yield_now() => {}
                }
            };
            let expected = frame(number, 20_000);
            check(came == Some(expected), "a dropped receive loses nothing")?;
        }
        Ok(())
    };
    tokio::try_join!(send, receive)?;
    Ok(())
}

/// Links of one listener do not mix, and each side can name the other.
///
/// # Errors
/// When the promise is not kept.
pub async fn one_listener_serves_many_links(mut rig: Rig) -> Outcome {
    check(
        rig.connector.supports(&rig.listener.local_address()),
        "a listener's address is one that the connector dials",
    )?;
    let dialled = rig.connector.connect(&rig.address);
    let (dialled, accepted) = tokio::join!(dialled, rig.listener.accept());
    let (dialled, accepted) = (dialled?, accepted?);
    check(
        dialled.peer_address() == rig.address && !accepted.peer_address().is_empty(),
        "both sides can name the other",
    )?;

    let mut links = Vec::new();
    for number in 0..20 {
        links.push((number, rig.link().await?));
    }
    for (number, (near, _)) in &mut links {
        near.send(frame(*number, 100)).await?;
    }
    for (number, (_, far)) in &mut links {
        far.expect(&frame(*number, 100)).await?;
    }
    Ok(())
}

/// Dialling an address whose listener is gone is a typed error that may pass.
///
/// # Errors
/// When the promise is not kept.
pub async fn an_address_where_nobody_listens_is_an_error(rig: Rig) -> Outcome {
    drop(rig.listener);
    match rig.connector.connect(&rig.address).await {
        Ok(_) => unexpected("there is a link to nobody"),
        Err(error) => check(
            !error.is_permanent(),
            "a listener that is away may come back",
        ),
    }
}
