//! A hub that JavaScript clients link to.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value as Json, json};
use tokio::net::TcpSocket;

use crate::client::Client;
use crate::command::{Folder, Running, command, over};

/// The collection in which their documents live.
pub(crate) const DOCUMENTS: &str = "documents";

/// A hub process over a store of its own, always at the same address.
pub(crate) struct Hub {
    pub(crate) folder: Folder,
    process: Option<Running>,
    address: SocketAddr,
    /// Keeps the port from everybody else while the hub is dead.
    _port: TcpSocket,
}

impl Hub {
    pub(crate) fn start() -> Self {
        let (port, address) = reserve_port();
        let mut hub = Self {
            folder: Folder::new(),
            process: None,
            address,
            _port: port,
        };
        hub.restart();
        hub
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.file("hub.redb")
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Starts it again after its end.
    pub(crate) fn restart(&mut self) {
        let (store, address) = (self.store(), self.address.to_string());
        let store = store.to_str().expect("UTF-8");
        let mut hub = command(&["serve", "--store", store, "--listen", &address]);
        hub.args(["--full", "--automerge-repo", DOCUMENTS])
            .env("RUST_LOG", "warn");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file());
        let mut hub = Running::spawn_logging(&mut hub, Stdio::from(log.expect("writable")));
        assert_eq!(hub.line(), format!("listening on {}", self.url()));
        self.process = Some(hub);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.running().kill();
        self.process = None;
    }

    /// Asks it to stop, which it must do well.
    pub(crate) fn stop(&mut self) {
        assert_eq!(self.running().stop("TERM"), 0, "it stops cleanly");
        self.process = None;
    }

    /// Deletes the store of a hub that has ended.
    pub(crate) fn wipe(&self) {
        assert!(self.process.is_none(), "nobody has it open");
        fs::remove_file(self.store()).expect("there is one");
    }

    fn running(&mut self) -> &mut Running {
        self.process.as_mut().expect("it runs")
    }

    /// What it has written to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).expect("readable")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.file("hub.log")
    }

    /// A client that is linked to it.
    pub(crate) fn client(&self, name: &str) -> Client {
        let client = Client::start(name);
        client.connect(&self.url());
        client
    }

    /// So many clients that are linked to it. They start beside each other.
    pub(crate) fn clients<const N: usize>(&self) -> [Client; N] {
        let clients = std::array::from_fn(|it| Client::start(&format!("client {it}")));
        for client in &clients {
            client.connect(&self.url());
        }
        clients
    }
}

impl Drop for Hub {
    /// Whatever a test did to it, a hub must not have panicked.
    fn drop(&mut self) {
        self.process = None;
        let log = fs::read_to_string(self.log_file()).unwrap_or_default();
        if !std::thread::panicking() {
            assert!(!log.contains("panicked"), "the hub's log:\n{log}");
        } else if !log.is_empty() {
            std::io::Write::write_all(&mut std::io::stderr(), log.as_bytes()).unwrap_or_default();
        }
    }
}

/// A port that is bound but not listened on: the kernel gives it to nobody who does not name it,
/// and lets a hub listen there.
fn reserve_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket
        .bind(([127, 0, 0, 1], 0).into())
        .expect("a free port");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

/// What a store that nobody has open shows of a document.
pub(crate) fn record(store: &Path, id: &str) -> Json {
    let shown = over(store, &["get", DOCUMENTS, id]).json();
    as_javascript(&shown["record"])
}

/// A record in JavaScript's numbers: it has but one kind, and writes whole ones as floats in places.
pub(crate) fn as_javascript(json: &Json) -> Json {
    match json {
        Json::Array(list) => list.iter().map(as_javascript).collect(),
        Json::Object(map) => {
            let entries = map.iter().map(|(k, it)| (k.clone(), as_javascript(it)));
            Json::Object(entries.collect())
        }
        // The shortest text of a whole float that fits is that of the integer with a fraction of 0.
        Json::Number(number) => {
            let text = number.to_string();
            text.strip_suffix(".0")
                .and_then(|it| it.parse::<i64>().ok())
                .map_or_else(|| json.clone(), Json::from)
        }
        Json::Null | Json::Bool(_) | Json::String(_) => json.clone(),
    }
}

/// The heads of a document of at most 1,000 changes, sorted.
pub(crate) fn heads(store: &Path, id: &str) -> Json {
    let history = over(store, &["history", DOCUMENTS, id, "--limit", "1000"]).json();
    let changes = history["changes"].as_array().expect("a list");
    let is_parent = |hash: &Json| {
        let mut parents = changes.iter().filter_map(|it| it["parents"].as_array());
        parents.any(|it| it.contains(hash))
    };
    let hashes = changes.iter().map(|it| &it["change"]);
    let mut heads: Vec<_> = hashes.filter(|it| !is_parent(it)).collect();
    heads.sort_by_key(ToString::to_string);
    json!(heads)
}
