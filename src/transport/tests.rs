//! The transports of this crate keep the promises of a transport; the memory one can be cut.

use std::time::Duration;

use tokio::time::timeout;

use super::memory::MemoryNetwork;
use super::{Connection, Connector, FrameSink, FrameSource, Listener, TransportError};
use crate::error::{Error, ErrorKind};
use crate::limits::{LINK_QUEUE_FRAMES, TRANSPORT_FRAME_BYTES_MAX};

crate::transport_conformance!(memory_keeps_the_promises, || async {
    let network = MemoryNetwork::new();
    let listener = network.listen("hub").unwrap();
    let address = listener.local_address();
    (listener, network, address)
});

#[cfg(feature = "websocket")]
crate::transport_conformance!(websocket_keeps_the_promises, || async {
    use crate::transport::websocket::{WebSocketConnector, WebSocketLimits, WebSocketListener};
    let limits = WebSocketLimits::default();
    let listener = WebSocketListener::bind("127.0.0.1:0", limits)
        .await
        .unwrap();
    let address = listener.local_address();
    (listener, WebSocketConnector::new(limits), address)
});

/// Frames of a test that counts.
const COUNT: u64 = 5_000;

async fn count_aloud(sink: &mut dyn FrameSink) {
    for number in 0..COUNT {
        let frame = number.to_be_bytes().to_vec();
        sink.send(frame.into()).await.unwrap();
        sink.flush().await.unwrap();
    }
}

async fn hear_counting(source: &mut dyn FrameSource) {
    for number in 0..COUNT {
        let frame = source.recv().await.unwrap().unwrap();
        assert_eq!(frame, number.to_be_bytes()[..]);
    }
}

async fn count_on_threads(mut listener: impl Listener, connector: impl Connector) {
    let address = listener.local_address();
    let (near, far) = tokio::join!(connector.connect(&address), listener.accept());
    let mut tasks = tokio::task::JoinSet::new();
    for end in [near, far] {
        let (mut source, mut sink) = end.unwrap().split();
        source.trust();
        tasks.spawn(async move { count_aloud(&mut *sink).await });
        tasks.spawn(async move { hear_counting(&mut *source).await });
    }
    timeout(Duration::from_secs(30), tasks.join_all())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_halves_of_a_memory_link_work_on_threads_of_their_own() {
    let network = MemoryNetwork::new();
    count_on_threads(network.listen("hub").unwrap(), network).await;
}

#[cfg(feature = "websocket")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_halves_of_a_websocket_link_work_on_threads_of_their_own() {
    use crate::transport::websocket::{WebSocketConnector, WebSocketLimits, WebSocketListener};
    let limits = WebSocketLimits::default();
    let listener = WebSocketListener::bind("127.0.0.1:0", limits).await;
    count_on_threads(listener.unwrap(), WebSocketConnector::new(limits)).await;
}

async fn link(network: &MemoryNetwork) -> (Connection, Connection) {
    let mut listener = network.listen("hub").unwrap();
    let near = network.connect("memory:hub").await.unwrap();
    (near, listener.accept().await.unwrap())
}

#[tokio::test]
async fn a_cut_link_ends_both_ways_and_loses_what_was_under_way() {
    let network = MemoryNetwork::new();
    let (near, far) = link(&network).await;
    let (mut near_source, mut near_sink) = near.split();
    let (mut far_source, mut far_sink) = far.split();
    near_sink.send("lost".into()).await.unwrap();
    network.cut("hub");
    for source in [&mut near_source, &mut far_source] {
        assert!(matches!(source.recv().await, Err(TransportError::Closed)));
        assert_eq!(source.recv().await.unwrap(), None);
    }
    for sink in [&mut near_sink, &mut far_sink] {
        let sent = sink.send("x".into()).await;
        assert!(matches!(sent, Err(TransportError::Closed)));
        assert!(matches!(sink.flush().await, Err(TransportError::Closed)));
        sink.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_cut_wakes_a_receiver_and_a_sender_that_wait() {
    let network = MemoryNetwork::new();
    let (near, far) = link(&network).await;
    let (mut near_source, mut near_sink) = near.split();
    let fill = async {
        for _ in 0..=LINK_QUEUE_FRAMES {
            near_sink.send("x".into()).await?;
        }
        Ok(())
    };
    let cut = async {
        tokio::task::yield_now().await;
        network.cut("hub");
    };
    let (received, sent, ()) = tokio::join!(near_source.recv(), fill, cut);
    assert!(matches!(received, Err(TransportError::Closed)));
    assert!(matches!(sent, Err(TransportError::Closed)));
    drop(far);
}

#[tokio::test]
async fn a_place_that_is_down_refuses_until_it_is_up() {
    let network = MemoryNetwork::new();
    let mut listener = network.listen("hub").unwrap();
    network.take_down("hub");
    let refused = network.connect("memory:hub").await.unwrap_err();
    assert!(matches!(refused, TransportError::Unreachable { .. }));
    network.bring_up("hub");
    let (dialled, accepted) = tokio::join!(network.connect("memory:hub"), listener.accept());
    assert!(dialled.is_ok() && accepted.is_ok());
}

#[tokio::test]
async fn a_name_is_taken_while_its_listener_lives() {
    let network = MemoryNetwork::new();
    let listener = network.listen("hub").unwrap();
    let taken = network.listen("hub").unwrap_err();
    assert!(matches!(taken, TransportError::Listen { .. }));
    drop(listener);
    network.listen("hub").unwrap();
}

#[tokio::test]
async fn a_link_holds_a_bounded_number_of_bytes_however_few_the_frames() {
    let network = MemoryNetwork::new();
    let (near, far) = link(&network).await;
    let (_source, mut sink) = near.split();
    sink.send(vec![0; 600_000].into()).await.unwrap();
    let second = timeout(
        Duration::from_millis(50),
        sink.send(vec![0; 600_000].into()),
    )
    .await;
    assert!(second.is_err(), "there is no room for it");
    let (mut source, _sink) = far.split();
    source.recv().await.unwrap();
    sink.send(vec![0; 600_000].into()).await.unwrap();
}

#[tokio::test]
async fn a_receiver_that_leaves_wakes_a_waiting_sender() {
    let network = MemoryNetwork::new();
    let (near, far) = link(&network).await;
    let (_source, mut sink) = near.split();
    let fill = async {
        while sink.send(vec![0; 1_000_000].into()).await.is_ok() {}
        sink.flush().await
    };
    let leave = async {
        tokio::task::yield_now().await;
        drop(far);
    };
    let (ended, ()) = timeout(Duration::from_secs(5), async { tokio::join!(fill, leave) })
        .await
        .unwrap();
    assert!(matches!(ended, Err(TransportError::Closed)));
}

#[test]
fn errors_become_the_public_error_with_a_kind_that_tells_what_to_do() {
    let rejected = |status| TransportError::HandshakeRejected { status };
    for (error, kind, permanent) in [
        (rejected(400), ErrorKind::Refused, true),
        (rejected(403), ErrorKind::Refused, true),
        (rejected(404), ErrorKind::Transport, false),
        (rejected(503), ErrorKind::Transport, false),
        (TransportError::NotBinary, ErrorKind::Protocol, false),
        (TransportError::Closed, ErrorKind::Transport, false),
        (
            TransportError::WrongSubprotocol { expected: "x" },
            ErrorKind::Protocol,
            true,
        ),
        (
            TransportError::FrameTooLarge {
                bytes: TRANSPORT_FRAME_BYTES_MAX + 1,
                max: TRANSPORT_FRAME_BYTES_MAX,
            },
            ErrorKind::Protocol,
            false,
        ),
        (
            TransportError::InvalidAddress {
                address: "x".to_owned(),
                problem: "y",
            },
            ErrorKind::InvalidInput,
            true,
        ),
        (
            TransportError::Timeout {
                after: Duration::from_secs(1),
            },
            ErrorKind::Timeout,
            false,
        ),
    ] {
        assert_eq!(error.is_permanent(), permanent, "{error}");
        let text = error.to_string();
        let public = Error::from(error);
        assert_eq!(public.kind(), kind, "{text}");
        assert_eq!(public.to_string(), text);
    }
}
