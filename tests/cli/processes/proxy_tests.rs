//! The bad network does to bytes what its plan says, and nothing else.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use super::parties::SILENCE;
use super::proxy::{Fault, Plan, Proxy, Way};

/// Sends back what it reads until its one client is done, or its link cut; what that was.
fn echo() -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let thread = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let mut buffer = [0; 512];
        let mut heard = Vec::new();
        while let Ok(read @ 1..) = client.read(&mut buffer) {
            heard.extend_from_slice(&buffer[..read]);
            if client.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        heard
    });
    (address, thread)
}

/// What a client hears back that sends these bytes through this fault, and what the server heard.
fn through(fault: Fault, sent: &[u8]) -> (Vec<u8>, Vec<u8>, Proxy) {
    let (address, server) = echo();
    let proxy = Proxy::new(address, Plan::First(fault));
    let place = proxy.url().trim_start_matches("ws://");
    let mut client = TcpStream::connect(place).expect("the proxy listens");
    client.set_read_timeout(Some(SILENCE)).expect("an option");
    client.write_all(sent).expect("a few bytes fit the socket");
    client.shutdown(Shutdown::Write).unwrap_or_default();
    let mut heard = Vec::new();
    // A reset is an end too.
    drop(client.read_to_end(&mut heard));
    (heard, server.join().expect("it echoes"), proxy)
}

fn bytes() -> Vec<u8> {
    (0..=255).cycle().take(3_000).collect()
}

#[test]
fn without_a_fault_or_with_a_slow_one_all_bytes_pass() {
    let each = Duration::from_millis(1);
    for fault in [
        Fault::None,
        Fault::Delay { each },
        Fault::Throttle { piece: 100 },
    ] {
        let (heard, at_server, _) = through(fault, &bytes());
        assert_eq!((heard, at_server), (bytes(), bytes()), "{fault:?}");
    }
}

#[test]
fn one_byte_is_corrupted_and_no_other() {
    let (way, at, mask) = (Way::Up, 700, 4);
    let (heard, at_server, proxy) = through(Fault::Corrupt { way, at, mask }, &bytes());
    let mut expected = bytes();
    expected[700] ^= 4;
    assert_eq!((heard, at_server), (expected.clone(), expected));
    assert_eq!(proxy.counts()["corrupt"], 1);
}

#[test]
fn a_cut_lets_so_many_bytes_through_and_ends_both_ways() {
    let (way, after) = (Way::Up, 700);
    let (_, at_server, proxy) = through(Fault::Cut { way, after }, &bytes());
    assert!(bytes()[..700].starts_with(&at_server), "nothing beyond");
    assert_eq!(proxy.counts()["cut"], 1);
}

#[test]
fn what_is_swallowed_one_way_does_not_end_the_other() {
    let (address, server) = echo();
    let (way, after) = (Way::Down, 700);
    let proxy = Proxy::new(address, Plan::First(Fault::Swallow { way, after }));
    let place = proxy.url().trim_start_matches("ws://");
    let mut client = TcpStream::connect(place).expect("the proxy listens");
    client.write_all(&bytes()).expect("they fit");
    client.shutdown(Shutdown::Write).expect("open");
    assert_eq!(server.join().expect("it echoes"), bytes(), "all came up");
    let mut heard = vec![0; 700];
    client.read_exact(&mut heard).expect("what came before");
    assert_eq!(heard, bytes()[..700]);
    proxy.cut();
    assert!(!matches!(client.read(&mut heard), Ok(1..)), "and no more");
}

#[test]
fn a_refused_connection_is_over_at_once() {
    let (address, _server) = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        (listener.local_addr().expect("an address"), listener)
    };
    let proxy = Proxy::new(address, Plan::First(Fault::Refuse));
    let place = proxy.url().trim_start_matches("ws://");
    let mut client = TcpStream::connect(place).expect("the proxy listens");
    client.set_read_timeout(Some(SILENCE)).expect("an option");
    assert!(!matches!(client.read(&mut [0; 8]), Ok(1..)));
    assert_eq!(proxy.counts()["refuse"], 1);
}

#[test]
fn a_seed_has_the_same_in_store_each_time_and_something_of_everything() {
    let plan = |seed| (0..100).map(move |number| Fault::of(seed, number));
    assert!(plan(1).eq(plan(1)));
    assert!(plan(1).ne(plan(2)));
    for wanted in [
        "Refuse", "Cut", "Delay", "Throttle", "Corrupt", "Swallow", "None",
    ] {
        let shown = plan(1).map(|it| format!("{it:?}"));
        assert!(
            shown.into_iter().any(|it| it.starts_with(wanted)),
            "{wanted}"
        );
    }
}
