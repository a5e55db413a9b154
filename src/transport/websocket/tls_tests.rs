//! TLS on loopback, with certificates made for each test.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::*;
use crate::transport::{Connector, Listener};

fn certificate(name: &str) -> CertifiedKey<KeyPair> {
    generate_simple_self_signed([name.to_owned()]).unwrap()
}

/// A listener that shows a certificate for `name`, and one that trusts it.
async fn listen(name: &str) -> (WebSocketListener, WebSocketConnector) {
    let made = certificate(name);
    let chain = made.cert.pem();
    let key = made.signing_key.serialize_pem();
    let server = ServerTls::new(chain.as_bytes(), key.as_bytes()).unwrap();
    let client = ClientTls::with_roots(chain.as_bytes()).unwrap();
    let limits = WebSocketLimits::default();
    let listener = WebSocketListener::bind_tls("127.0.0.1:0", limits, server).await;
    let connector = WebSocketConnector::new(limits).with_tls(client);
    (listener.unwrap(), connector)
}

crate::transport_conformance!(tls_keeps_the_promises, || async {
    let (listener, connector) = listen("127.0.0.1").await;
    let address = listener.local_address();
    (listener, connector, address)
});

async fn dial(
    listener: &mut WebSocketListener,
    connector: &WebSocketConnector,
    address: &str,
) -> Result<Connection, TransportError> {
    tokio::select! {
        dialled = connector.connect(address) => dialled,
        accepted = listener.accept() => panic!("{accepted:?} became a link"),
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (mut listener, _) = listen("127.0.0.1").await;
    let stranger = certificate("127.0.0.1");
    let trusts_another = ClientTls::with_roots(stranger.cert.pem().as_bytes()).unwrap();
    let connector = WebSocketConnector::default().with_tls(trusts_another);
    let address = listener.local_address();
    let error = dial(&mut listener, &connector, &address).await.unwrap_err();
    assert!(matches!(error, TransportError::Tls { .. }), "{error:?}");
    assert!(!error.is_permanent(), "a certificate can be renewed");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (mut listener, connector) = listen("hub.example").await;
    let address = listener.local_address();
    let error = dial(&mut listener, &connector, &address).await.unwrap_err();
    assert!(matches!(error, TransportError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_plain_client_at_a_secure_port_does_not_disturb_the_listener() {
    let (mut listener, connector) = listen("127.0.0.1").await;
    let address = listener.local_address();
    let plain = address.replace("wss://", "ws://");
    let error = dial(&mut listener, &connector, &plain).await.unwrap_err();
    assert!(!error.is_permanent(), "{error:?}");

    let mut silent = TcpStream::connect(address.strip_prefix("wss://").unwrap())
        .await
        .unwrap();
    silent.write_all(&[0x16, 0x03]).await.unwrap();
    let (dialled, accepted) = tokio::join!(connector.connect(&address), listener.accept());
    assert!(dialled.is_ok() && accepted.is_ok());
}

#[test]
fn certificates_and_keys_are_read_from_pem_and_der() {
    let made = certificate("hub.example");
    let other = certificate("hub.example");
    let pem = made.cert.pem();
    let key = made.signing_key.serialize_pem();
    ServerTls::new(pem.as_bytes(), key.as_bytes()).unwrap();
    ServerTls::new(made.cert.der(), &made.signing_key.serialize_der()).unwrap();
    ClientTls::with_roots(made.cert.der()).unwrap();
    let two = format!("{pem}{}", other.cert.pem());
    ClientTls::with_roots(two.as_bytes()).unwrap();

    for (chain, key) in [
        (&b""[..], key.as_bytes()),
        (key.as_bytes(), key.as_bytes()),
        (pem.as_bytes(), b"nonsense"),
        (pem.as_bytes(), pem.as_bytes()),
        (other.cert.der(), key.as_bytes()),
    ] {
        let error = ServerTls::new(chain, key).unwrap_err();
        assert!(matches!(error, TransportError::Tls { .. }), "{error:?}");
    }
    for roots in [&b""[..], b"nonsense", key.as_bytes()] {
        let error = ClientTls::with_roots(roots).unwrap_err();
        assert!(matches!(error, TransportError::Tls { .. }), "{error:?}");
    }
}
