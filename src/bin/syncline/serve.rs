//! `serve`: a hub in the foreground.

use serde_json::json;
use syncline::{Node, SpaceId};

use crate::args::ServeArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::text::number;
use crate::{signals, store};

pub(crate) async fn run(args: ServeArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let mut builder = store::builder(&args.store.store, space);
    if !args.full {
        builder = builder.relay();
    }
    if !args.admit.is_empty() {
        builder = builder.admit(args.admit.iter().copied());
    }
    #[cfg(feature = "automerge-repo")]
    if let Some(collection) = &args.automerge_repo {
        let policy = std::sync::Arc::new(syncline::repo::OpenToAll);
        builder = builder.automerge_repo(collection, policy)?;
    }
    let node = store::open(builder).await?;
    let outcome = until_stopped(&node, &args, out).await;
    let traffic = node.traffic();
    let signal = store::close(&node, outcome).await?;
    let (sent, received) = (traffic.sent_bytes, traffic.received_bytes);
    out.say(format!(
        "stopped by {signal}; sent {} bytes, received {}",
        number(sent),
        number(received)
    ))?;
    out.object(&json!({"stopped": signal, "sent_bytes": sent, "received_bytes": received}))
}

async fn until_stopped(
    node: &Node,
    args: &ServeArgs,
    out: Output,
) -> Result<&'static str, Failure> {
    // Signals are caught before the address is known, so that who reads it may send one.
    let stop = signals::stop();
    tokio::pin!(stop);
    let ready = async {
        let address = node.listen(&args.listen).await?;
        for url in &args.connect {
            node.connect(url).await?;
        }
        out.say(format!("listening on {address}"))?;
        let (replica, id) = (node.replica_id().to_string(), node.store_id().to_string());
        out.object(&json!({"listening": address, "replica": replica, "store": id}))?;
        std::future::pending::<Result<(), Failure>>().await
    };
    tokio::select! {
        biased;
        stopped = &mut stop => {
            stopped.map_err(|error| Failure::io("cannot wait for signals", &error))
        }
        failed = ready => failed.map(|()| ""),
    }
}
