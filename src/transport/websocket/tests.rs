//! What clients, servers and strangers may send that is not our protocol, and what becomes of it.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::{accept_async, client_async};

use super::checksum::seal;
use super::*;
use crate::transport::{Connector, Listener};

/// Long on a loaded machine, never waited for when all is well.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a client of ours sends, up to the subprotocol.
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

async fn listen(limits: WebSocketLimits) -> WebSocketListener {
    let listener = WebSocketListener::bind("127.0.0.1:0", limits).await;
    listener.unwrap()
}

async fn tcp(listener: &WebSocketListener) -> TcpStream {
    let address = listener.local_address();
    let stream = TcpStream::connect(address.strip_prefix("ws://").unwrap());
    stream.await.unwrap()
}

/// A client that speaks WebSocket and our subprotocol but nothing above, and the link to it.
async fn raw_client(listener: &mut WebSocketListener) -> (WebSocketStream<TcpStream>, Connection) {
    let stream = tcp(listener).await;
    let mut request = listener.local_address().into_client_request().unwrap();
    let subprotocol = SUBPROTOCOL.parse().unwrap();
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", subprotocol);
    let (client, accepted) = tokio::join!(client_async(request, stream), listener.accept());
    (client.unwrap().0, accepted.unwrap())
}

/// The listener still turns an honest client into a link.
async fn expect_service(listener: &mut WebSocketListener) {
    let address = listener.local_address();
    let connector = WebSocketConnector::default();
    let both = async { tokio::join!(connector.connect(&address), listener.accept()) };
    let (dialled, accepted) = timeout(PATIENCE, both).await.unwrap();
    assert!(dialled.is_ok() && accepted.is_ok());
}

/// All that comes until the other side ends the stream, while the listener does its work.
async fn read_to_end(listener: &mut WebSocketListener, mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut bytes));
    tokio::select! {
        read = read => { read.unwrap().ok(); }
        accepted = listener.accept() => panic!("{accepted:?} became a link"),
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_client_without_our_subprotocol_is_told_so_in_plain_text() {
    let mut listener = listen(WebSocketLimits::default()).await;
    for offer in ["", "Sec-WebSocket-Protocol: graphql-ws, syncline.v9\r\n"] {
        let mut stream = tcp(&listener).await;
        let request = format!("{REQUEST}{offer}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut listener, stream).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{answer}"
        );
        assert!(answer.contains("subprotocol syncline.v1.\n"), "{answer}");
    }
    expect_service(&mut listener).await;
}

#[tokio::test]
async fn garbage_half_requests_and_hang_ups_do_not_disturb_the_listener() {
    let mut listener = listen(WebSocketLimits::default()).await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\x00\xff\xfe\xfd garbage \r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &vec![b'a'; 100_000],
        &REQUEST.as_bytes()[..60],
        b"",
    ] {
        let mut stream = tcp(&listener).await;
        // The listener may hang up before it has read all.
        stream.write_all(bytes).await.ok();
        stream.shutdown().await.ok();
        let answer = read_to_end(&mut listener, stream).await;
        assert!(!answer.contains(" 101 "), "{answer}");
    }
    expect_service(&mut listener).await;
}

#[tokio::test]
async fn a_client_that_says_nothing_or_half_is_given_up_after_the_timeout() {
    let limits = WebSocketLimits {
        timeout: Duration::from_millis(50),
        ..WebSocketLimits::default()
    };
    let mut listener = listen(limits).await;
    let silent = tcp(&listener).await;
    assert_eq!(read_to_end(&mut listener, silent).await, "");
    let mut half = tcp(&listener).await;
    half.write_all(REQUEST.as_bytes()).await.unwrap();
    assert_eq!(read_to_end(&mut listener, half).await, "");
}

#[tokio::test]
async fn silent_clients_do_not_keep_honest_ones_out() {
    let limits = WebSocketLimits {
        upgrades_max: 4,
        timeout: 2 * PATIENCE,
        ..WebSocketLimits::default()
    };
    let mut listener = listen(limits).await;
    let mut silent = Vec::new();
    for _ in 0..12 {
        silent.push(tcp(&listener).await);
        expect_service(&mut listener).await;
    }
    // The oldest made room for the newer ones.
    let oldest = silent.swap_remove(0);
    assert_eq!(read_to_end(&mut listener, oldest).await, "");
}

#[tokio::test]
async fn a_dropped_listener_gives_up_the_clients_that_are_not_links_yet() {
    let mut listener = listen(WebSocketLimits::default()).await;
    let mut silent = tcp(&listener).await;
    let accepted = timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(accepted.is_err(), "it says nothing");
    drop(listener);
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, silent.read_to_end(&mut bytes)).await;
    read.unwrap().ok();
    assert_eq!(bytes, b"");
}

#[tokio::test]
async fn a_text_message_is_a_typed_error() {
    let mut listener = listen(WebSocketLimits::default()).await;
    for message in [
        Message::text("hello"),
        Message::Frame(Frame::message(
            vec![0xff, 0xfe],
            OpCode::Data(Data::Text),
            true,
        )),
    ] {
        let (mut client, link) = raw_client(&mut listener).await;
        client.send(message).await.unwrap();
        let (mut source, _sink) = link.split();
        let error = source.recv().await.unwrap_err();
        assert!(matches!(error, TransportError::NotBinary), "{error:?}");
        assert_eq!(source.recv().await.unwrap(), None, "it gives no more");
    }
}

#[tokio::test]
async fn a_frame_that_was_harmed_on_its_way_ends_the_link() {
    let mut listener = listen(WebSocketLimits::default()).await;
    let (mut client, link) = raw_client(&mut listener).await;
    let (mut source, _sink) = link.split();
    let mut harmed = seal(b"a frame").to_vec();
    harmed[3] ^= 16;
    client.send(harmed.into()).await.unwrap();
    let error = source.recv().await.unwrap_err();
    assert!(
        matches!(&error, TransportError::Malformed { problem } if problem.contains("checksum")),
        "{error:?}"
    );
    assert_eq!(source.recv().await.unwrap(), None, "it gives no more");
}

#[tokio::test]
async fn a_frame_over_the_limit_is_refused_by_its_header() {
    let limits = WebSocketLimits {
        frame_bytes_max: 1_000,
        ..WebSocketLimits::default()
    };
    let mut listener = listen(limits).await;

    let (mut client, link) = raw_client(&mut listener).await;
    let (mut source, _sink) = link.split();
    client.send(seal(&[7; 1_000]).into()).await.unwrap();
    assert_eq!(source.recv().await.unwrap().unwrap().len(), 1_000);
    client.send(seal(&[7; 1_001]).into()).await.unwrap();
    let error = source.recv().await.unwrap_err();
    let expected = (1_001, 1_000);
    assert!(
        matches!(error, TransportError::FrameTooLarge { bytes, max } if (bytes, max) == expected)
    );

    // A header that announces 2^40 bytes, of which none is sent.
    let (client, link) = raw_client(&mut listener).await;
    let (mut source, _sink) = link.split();
    let mut stream = client.into_inner();
    let header = [&[0x82, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat();
    stream.write_all(&header).await.unwrap();
    let error = timeout(PATIENCE, source.recv()).await.unwrap().unwrap_err();
    assert!(matches!(error, TransportError::FrameTooLarge { bytes, .. } if bytes == (1 << 40) - 4));
}

#[tokio::test]
async fn a_message_in_parts_has_the_limit_of_a_whole_one() {
    let limits = WebSocketLimits {
        frame_bytes_max: 1_000,
        ..WebSocketLimits::default()
    };
    let mut listener = listen(limits).await;
    let (mut client, link) = raw_client(&mut listener).await;
    let (mut source, _sink) = link.split();
    let frame = |bytes, kind, last| Message::Frame(Frame::message(bytes, OpCode::Data(kind), last));
    let mut first = seal(&[7; 800]);
    let second = first.split_off(400);
    client
        .send(frame(first, Data::Binary, false))
        .await
        .unwrap();
    client
        .send(frame(second, Data::Continue, true))
        .await
        .unwrap();
    let part = |kind, last| frame(vec![7; 400].into(), kind, last);
    assert_eq!(source.recv().await.unwrap().unwrap().len(), 800);
    client.send(part(Data::Binary, false)).await.unwrap();
    client.send(part(Data::Continue, false)).await.unwrap();
    client.send(part(Data::Continue, false)).await.unwrap();
    let error = timeout(PATIENCE, source.recv()).await.unwrap().unwrap_err();
    assert!(
        matches!(error, TransportError::FrameTooLarge { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_frame_that_breaks_websocket_is_a_typed_error() {
    let mut listener = listen(WebSocketLimits::default()).await;
    for bytes in [
        &[0x82, 0x01, 0x00][..],           // not masked
        &[0xf2, 0x80, 0, 0, 0, 0],         // reserved bits
        &[0x80, 0x80, 0, 0, 0, 0],         // nothing to continue
        &[0x83, 0x80, 0, 0, 0, 0],         // unknown kind
        &[0x89, 0xfe, 0, 126, 0, 0, 0, 0], // a large ping, cut off
        &[0x82, 0x82, 0, 0, 0, 0, 1],      // cut off
    ] {
        let (client, link) = raw_client(&mut listener).await;
        let mut stream = client.into_inner();
        stream.write_all(bytes).await.unwrap();
        drop(stream);
        let (mut source, _sink) = link.split();
        let error = timeout(PATIENCE, source.recv()).await.unwrap().unwrap_err();
        assert!(
            matches!(
                error,
                TransportError::Malformed { .. } | TransportError::Closed
            ),
            "{bytes:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_stranger_is_read_only_so_far_and_nothing_is_lost_when_it_is_known() {
    let limits = WebSocketLimits {
        stranger_bytes_max: 2_000,
        ..WebSocketLimits::default()
    };
    let mut listener = listen(limits).await;
    let (mut client, link) = raw_client(&mut listener).await;
    let (mut source, _sink) = link.split();
    client.send(seal(&[1; 100]).into()).await.unwrap();
    client.send(seal(&[2; 10_000]).into()).await.unwrap();
    client.send(seal(&[3; 1_000]).into()).await.unwrap();
    assert_eq!(source.recv().await.unwrap().unwrap(), vec![1; 100]);

    let waiting = timeout(Duration::from_millis(100), source.recv()).await;
    assert!(waiting.is_err(), "the large frame waits at the gate");
    source.trust();
    assert_eq!(source.recv().await.unwrap().unwrap(), vec![2; 10_000]);
    assert_eq!(source.recv().await.unwrap().unwrap(), vec![3; 1_000]);
}

#[tokio::test]
async fn a_websocket_ping_is_answered_by_itself() {
    let mut listener = listen(WebSocketLimits::default()).await;
    let (mut client, link) = raw_client(&mut listener).await;
    let (mut source, _sink) = link.split();
    client
        .send(Message::Ping("are you there".into()))
        .await
        .unwrap();
    let pong = tokio::select! {
        pong = client.next() => pong.unwrap().unwrap(),
        came = source.recv() => panic!("a ping is no frame: {came:?}"),
    };
    assert_eq!(pong, Message::Pong("are you there".into()));
}

#[tokio::test]
async fn a_goodbye_is_answered_by_itself() {
    let mut listener = listen(WebSocketLimits::default()).await;
    let (mut client, link) = raw_client(&mut listener).await;
    let (mut source, _sink) = link.split();
    client.send(Message::Close(None)).await.unwrap();
    assert_eq!(source.recv().await.unwrap(), None);
    let answer = timeout(PATIENCE, client.next()).await.unwrap();
    assert!(answer.unwrap().unwrap().is_close());
}

#[tokio::test]
async fn after_our_goodbye_a_client_may_hang_up_without_one() {
    let mut listener = listen(WebSocketLimits::default()).await;
    let (client, link) = raw_client(&mut listener).await;
    let (mut source, mut sink) = link.split();
    sink.close().await.unwrap();
    drop(client.into_inner());
    assert_eq!(source.recv().await.unwrap(), None);
}

#[tokio::test]
async fn a_stream_that_somebody_else_upgraded_becomes_a_link() {
    let (near, far) = tokio::io::duplex(1_024);
    let limits = WebSocketLimits::default();
    let link = accept_upgraded(far, "an HTTP server", limits).await;
    assert_eq!(link.peer_address(), "an HTTP server");
    let (mut source, mut sink) = link.split();

    let mut client = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    client.send(seal(&[5; 10]).into()).await.unwrap();
    assert_eq!(source.recv().await.unwrap().unwrap(), vec![5; 10]);
    sink.send(vec![6; 20].into()).await.unwrap();
    sink.close().await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), seal(&[6; 20]).into());
    assert!(client.next().await.unwrap().unwrap().is_close());
}

/// What the connector makes of a server that answers as `serve` does.
async fn dial<F: Future>(
    limits: WebSocketLimits,
    serve: impl FnOnce(TcpStream) -> F,
) -> TransportError {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("ws://{}", server.local_addr().unwrap());
    let connector = WebSocketConnector::new(limits);
    let serve = async { serve(server.accept().await.unwrap().0).await };
    let (dialled, _served) = tokio::join!(connector.connect(&address), serve);
    dialled.unwrap_err()
}

async fn answer(mut stream: TcpStream, text: &str) {
    let mut request = [0; 1_024];
    let _request_bytes = stream.read(&mut request).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_select_our_subprotocol_is_refused() {
    let error = dial(WebSocketLimits::default(), accept_async).await;
    assert!(
        matches!(error, TransportError::WrongSubprotocol { .. }),
        "{error:?}"
    );
    assert!(error.is_permanent());
}

#[tokio::test]
async fn a_server_that_answers_http_is_reported_with_its_status() {
    for (text, expected) in [
        ("HTTP/1.1 503 Busy\r\n\r\n", 503),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
        ("HTTP/1.1 401 No\r\n\r\n", 401),
    ] {
        let error = dial(WebSocketLimits::default(), |it| answer(it, text)).await;
        assert!(
            matches!(error, TransportError::HandshakeRejected { status } if status == expected),
            "{error:?}"
        );
        assert_eq!(error.is_permanent(), expected == 401);
    }
}

#[tokio::test]
async fn a_server_that_talks_nonsense_or_hangs_up_is_a_typed_error() {
    let limits = WebSocketLimits::default();
    let error = dial(limits, |it| answer(it, "220 mail.example ESMTP\r\n\r\n")).await;
    assert!(
        matches!(error, TransportError::Malformed { .. }),
        "{error:?}"
    );
    let error = dial(limits, async |it| drop(it)).await;
    assert!(matches!(error, TransportError::Closed), "{error:?}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_after_the_timeout() {
    let limits = WebSocketLimits {
        timeout: Duration::from_millis(50),
        ..WebSocketLimits::default()
    };
    let error = dial(limits, async |it| {
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(it);
    })
    .await;
    assert!(matches!(error, TransportError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_it() {
    let listener = listen(WebSocketLimits::default()).await;
    let address = listener.local_address();
    let error = WebSocketListener::bind(&address, WebSocketLimits::default()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, TransportError::Listen { .. }), "{error:?}");
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn a_secure_address_needs_to_know_whom_to_trust() {
    let connector = WebSocketConnector::default();
    assert!(connector.supports("wss://hub.example"));
    assert!(connector.check("wss://hub.example").is_err());
    assert!(connector.check("ws://hub.example").is_ok());
    let error = connector.connect("wss://hub.example").await.unwrap_err();
    assert!(
        matches!(error, TransportError::InvalidAddress { .. }),
        "{error:?}"
    );
}
