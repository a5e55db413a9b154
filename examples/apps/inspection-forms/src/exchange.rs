//! Work that other devices have a part in, and that ends when they do not.

use std::time::Duration;

use syncline::peer::PeerState;
use syncline::{Error, ErrorKind, Node, Result};

/// How often it is looked whether a device has refused us.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Waits for work that needs another device.
///
/// # Errors
/// Those of the work; `Refused` if a device does not let this one in, which no waiting helps against;
/// `Timeout` after so much time, saying what became of the last attempt to reach the other device.
pub async fn within<T>(
    node: &Node,
    patience: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        done = work => done,
        refusal = refusal(node) => Err(refusal?),
        () = tokio::time::sleep(patience) => Err(late(node, patience).await?),
    }
}

async fn refusal(node: &Node) -> Result<Error> {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let peers = node.status().await?.peers;
        if let Some(peer) = peers.iter().find(|it| it.state == PeerState::Refused) {
            let why = peer.last_error.as_deref().unwrap_or("it gives no reason");
            let message = format!("{} lets this device not in: {why}", peer.address);
            return Ok(Error::new(ErrorKind::Refused, message));
        }
    }
}

async fn late(node: &Node, patience: Duration) -> Result<Error> {
    let status = node.status().await?;
    let seconds = patience.as_secs();
    let message = if status.links.is_empty() {
        let failed = status.peers.iter().map(|it| {
            let why = it.last_error.as_deref().unwrap_or("it does not answer");
            format!("{} was not reached in {seconds} s: {why}", it.address)
        });
        failed.collect::<Vec<_>>().join("; ")
    } else {
        format!(
            "no linked device had all of it within {seconds} s; what has come is kept, so try again"
        )
    };
    Ok(Error::new(ErrorKind::Timeout, message))
}
