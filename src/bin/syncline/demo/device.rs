//! A device of the demo: a node over its own file, sometimes linked to the hub.

use std::path::Path;
use std::time::Duration;

use syncline::node::Traffic;
use syncline::{Collection, Node, SpaceId};

use super::data::{Page, Zone};
use crate::failure::Failure;
use crate::{reach, store};

/// Time that one step may take on the slowest machine.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a device looks whether its link is gone.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(super) struct Device {
    node: Node,
    pub(super) zones: Collection<Zone>,
    pub(super) pages: Collection<Page>,
}

impl Device {
    pub(super) async fn open(path: &Path, space: SpaceId) -> Result<Self, Failure> {
        let node = store::open(store::builder(path, space)).await?;
        let zones = node.collection("zones")?;
        let pages = node.collection("pages")?;
        Ok(Self { node, zones, pages })
    }

    pub(super) const fn node(&self) -> &Node {
        &self.node
    }

    /// Links to the hub and waits until both hold the same. Returns the bytes that took.
    pub(super) async fn meet(&self, hub: &str) -> Result<u64, Failure> {
        let before = bytes(self.node.traffic());
        self.node.connect(hub).await?;
        reach::in_step(&self.node, hub, STEP_TIMEOUT).await?;
        Ok(bytes(self.node.traffic()).saturating_sub(before))
    }

    /// Ends the link to the hub, and waits until it is gone.
    pub(super) async fn part(&self, hub: &str) -> Result<(), Failure> {
        self.node.disconnect(hub).await?;
        let gone = async {
            while !self.node.status().await?.links.is_empty() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(())
        };
        tokio::time::timeout(STEP_TIMEOUT, gone)
            .await
            .unwrap_or_else(|_| Err(Failure::timeout("the link did not close")))
    }

    /// Bytes sent and received since the device was opened.
    pub(super) fn traffic(&self) -> u64 {
        bytes(self.node.traffic())
    }

    pub(super) async fn close(&self) -> Result<(), Failure> {
        Ok(self.node.shutdown().await?)
    }
}

const fn bytes(traffic: Traffic) -> u64 {
    traffic.sent_bytes.saturating_add(traffic.received_bytes)
}
