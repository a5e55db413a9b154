//! Links between two replicas: its own WebSocket, with frames and bytes counted.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::anyhow;
use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::{TokioAdapter, accept_async, client_async};
use future_form::Sendable;
use futures::future::BoxFuture;
use subduction_core::handshake::{self, audience::Audience};
use subduction_core::peer::id::PeerId;
use subduction_core::timestamp::TimestampSeconds;
use subduction_core::transport::Transport;
use subduction_core::transport::message::MessageTransport;
use subduction_crypto::nonce::Nonce;
use subduction_websocket::handshake::WebSocketHandshake;
use subduction_websocket::websocket::WebSocket;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Disk, Replica};
use crate::peers::Counter;

type Socket = WebSocket<TokioAdapter<TcpStream>, Sendable>;

/// Its own socket, counting what goes out.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    socket: Socket,
    sent: Counter,
}

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.socket == other.socket
    }
}

impl Transport<Sendable> for Counted {
    type SendError = <Socket as Transport<Sendable>>::SendError;
    type RecvError = <Socket as Transport<Sendable>>::RecvError;
    type DisconnectionError = <Socket as Transport<Sendable>>::DisconnectionError;

    fn send_bytes(&self, bytes: &[u8]) -> BoxFuture<'_, Result<(), Self::SendError>> {
        self.sent.count(bytes.len());
        Transport::<Sendable>::send_bytes(&self.socket, bytes)
    }

    fn recv_bytes(&self) -> BoxFuture<'_, Result<Vec<u8>, Self::RecvError>> {
        Transport::<Sendable>::recv_bytes(&self.socket)
    }

    fn disconnect(&self) -> BoxFuture<'_, Result<(), Self::DisconnectionError>> {
        Transport::<Sendable>::disconnect(&self.socket)
    }
}

/// One end of a link, which closes when it is dropped.
pub(crate) struct End {
    socket: Socket,
    _tasks: JoinSet<()>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.socket.close_channels();
    }
}

/// Dials `to` from `from`, as its own client and server do.
pub(super) async fn link<S: Disk>(from: &Replica<S>, to: &Replica<S>) -> anyhow::Result<[End; 2]> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let dialling = dial(from, address, to.core.peer_id());
    let (near, far) = tokio::try_join!(dialling, answer(to, &listener))?;
    Ok([near, far])
}

/// Dials the replica that listens at this address.
pub(super) async fn dial<S: Disk>(
    from: &Replica<S>,
    address: SocketAddr,
    target: PeerId,
) -> anyhow::Result<End> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (socket, _) = client_async(format!("ws://{address}"), stream).await?;
    let mut tasks = JoinSet::new();
    let dialled = handshake::initiate::<Sendable, _, _, _, _>(
        WebSocketHandshake::new(socket),
        |socket, peer| open(socket.into_inner(), peer, &from.sent, &mut tasks),
        &from.signer,
        Audience::known(target),
        TimestampSeconds::now(),
        Nonce::random(),
    );
    let (dialled, socket) = dialled.await.map_err(|error| anyhow!("{error}"))?;
    let link = dialled.map(MessageTransport::new);
    let adding = from.core.add_connection(link).await;
    adding.map_err(|error| anyhow!("{error}"))?;
    Ok(End {
        socket,
        _tasks: tasks,
    })
}

/// Takes the next link.
pub(super) async fn answer<S: Disk>(
    to: &Replica<S>,
    listener: &TcpListener,
) -> anyhow::Result<End> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let socket = accept_async(stream).await?;
    let mut tasks = JoinSet::new();
    let accepted = handshake::respond::<Sendable, _, _, _, _>(
        WebSocketHandshake::new(socket),
        |socket, peer| open(socket.into_inner(), peer, &to.sent, &mut tasks),
        &to.signer,
        to.core.nonce_cache(),
        to.core.peer_id(),
        None,
        TimestampSeconds::now(),
        Duration::from_mins(1),
    );
    let (accepted, socket) = accepted.await.map_err(|error| anyhow!("{error}"))?;
    let link = accepted.map(MessageTransport::new);
    let adding = to.core.add_connection(link).await;
    adding.map_err(|error| anyhow!("{error}"))?;
    Ok(End {
        socket,
        _tasks: tasks,
    })
}

fn open(
    stream: WebSocketStream<TokioAdapter<TcpStream>>,
    peer: PeerId,
    sent: &Counter,
    tasks: &mut JoinSet<()>,
) -> (Counted, Socket) {
    let (socket, sender) = WebSocket::new(stream, peer);
    let listening = socket.clone();
    // Both end with the link.
    tasks.spawn(async move { drop(listening.listen().await) });
    tasks.spawn(async move { drop(sender.await) });
    let counted = Counted {
        socket: socket.clone(),
        sent: sent.clone(),
    };
    (counted, socket)
}
