//! Links that say whatever they are told to, and the good clients beside them.

use serde_json::{Value as Json, json};

use crate::client::{Client, Script};
use crate::hub::Hub;

/// WebSocket links without an automerge-repo behind them, by name.
pub(crate) struct Strangers {
    script: Script,
    url: String,
}

impl Strangers {
    pub(crate) fn new(hub: &Hub) -> Self {
        Self {
            script: Script::start("stranger.mjs", "strangers", &[]),
            url: hub.url(),
        }
    }

    pub(crate) fn open(&self, name: &str) {
        self.script
            .expect(&json!({"do": "open", "name": name, "url": self.url}));
    }

    /// Opens a link and joins as this peer.
    pub(crate) fn join(&self, name: &str, peer: &str) {
        let joined = self
            .script
            .ask(&json!({"do": "join", "name": name, "url": self.url, "peer": peer}));
        assert_eq!(joined["message"]["type"], "peer", "{joined}");
        assert_eq!(joined["message"]["targetId"], peer, "{joined}");
        assert_eq!(
            joined["message"]["selectedProtocolVersion"], "1",
            "{joined}"
        );
    }

    pub(crate) fn message(&self, name: &str, message: &Json) {
        self.script
            .ask(&json!({"do": "message", "name": name, "message": message}));
    }

    /// A binary frame.
    pub(crate) fn frame(&self, name: &str, bytes: &[u8]) {
        self.script
            .ask(&json!({"do": "frame", "name": name, "hex": hex(bytes)}));
    }

    pub(crate) fn text(&self, name: &str, text: &str) {
        self.script
            .ask(&json!({"do": "text", "name": name, "text": text}));
    }

    /// Bytes below the WebSocket protocol.
    pub(crate) fn raw(&self, name: &str, bytes: &[u8]) {
        self.script
            .ask(&json!({"do": "raw", "name": name, "hex": hex(bytes)}));
    }

    /// The next message that comes.
    pub(crate) fn hears(&self, name: &str) -> Json {
        let heard = self.script.ask(&json!({"do": "hear", "name": name}));
        assert!(heard["message"].is_object(), "{name}: {heard}");
        heard["message"].clone()
    }

    /// Waits until the other side has ended a link.
    pub(crate) fn is_closed(&self, name: &str) {
        self.script.expect(&json!({"do": "closed", "name": name}));
    }

    /// Reads nothing any more.
    pub(crate) fn deafen(&self, name: &str) {
        self.script.ask(&json!({"do": "deafen", "name": name}));
    }

    /// Ends a link without a word.
    pub(crate) fn leave(&self, name: &str) {
        self.script.ask(&json!({"do": "close", "name": name}));
    }

    /// Begins to open so many links at once, as fewer peers.
    pub(crate) fn begin_storm(&self, count: usize, peers: usize) {
        self.script
            .begin(&json!({"do": "storm", "url": self.url, "count": count, "peers": peers}));
    }

    /// How many links of the storm were answered.
    pub(crate) fn end_storm(&self) -> u64 {
        let answered = self.script.answer()["answered"].clone();
        answered.as_u64().expect("a number")
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|it| [it >> 4, it & 15]);
    digits
        .filter_map(|it| char::from_digit(it.into(), 16))
        .collect()
}

/// Two clients that edit a document together.
pub(crate) struct Good {
    pub(crate) clients: [Client; 2],
    pub(crate) id: String,
    edits: usize,
}

impl Good {
    pub(crate) fn new(hub: &Hub) -> Self {
        let clients: [Client; 2] = hub.clients();
        let id = clients[0].create(&json!({"edits": []}));
        clients[1].open(&id);
        Self {
            clients,
            id,
            edits: 0,
        }
    }

    /// Each sees an edit that the other makes now.
    pub(crate) fn still_work(&mut self, after: &str) {
        for editor in [0, 1] {
            self.edits += 1;
            let edit = json!([["push", ["edits"], after]]);
            let heads = self.clients[editor].change(&self.id, &edit);
            self.clients[1 - editor].reaches(&self.id, &heads);
            self.clients[editor].is_confirmed(&self.id);
        }
        for client in &self.clients {
            client.counts(&self.id, &json!(["edits"]), self.edits);
        }
    }
}
