//! A client process: one stock Repo, driven by lines of JSON.

use std::io::BufRead as _;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::command::Running;
use crate::install::node;

/// Longest that a script takes for an answer; it gives up sooner itself where it waits for something.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);

/// Answers that nobody has asked for yet.
const ANSWERS: usize = 1_024;

/// A process that prints lines of JSON; the scripts do as answers to such lines.
pub(crate) struct Script {
    process: Running,
    answers: Receiver<Json>,
    name: String,
}

impl Script {
    pub(crate) fn start(script: &str, name: &str, arguments: &[&Path]) -> Self {
        Self::spawn(node(script).arg(name).args(arguments), name)
    }

    pub(crate) fn spawn(command: &mut Command, name: &str) -> Self {
        let mut process = Running::spawn(command);
        let stdout = process.stdout.take().expect("not taken yet");
        let (sender, answers) = sync_channel(ANSWERS);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let answer = serde_json::from_str(&line).expect("scripts print JSON");
                if sender.send(answer).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            answers,
            name: name.to_owned(),
        }
    }

    /// Asks for something, whose answer is read later.
    pub(crate) fn begin(&self, asked: &Json) {
        self.process.write_line(asked);
    }

    /// The next answer.
    pub(crate) fn answer(&self) -> Json {
        let answer = self.answers.recv_timeout(ANSWER_WITHIN);
        let answer = answer.unwrap_or_else(|_| panic!("{} says nothing", self.name));
        assert!(answer["error"].is_null(), "{}: {answer:#}", self.name);
        answer
    }

    pub(crate) fn ask(&self, asked: &Json) -> Json {
        self.begin(asked);
        self.answer()
    }

    /// Asks for something to hold, and waits until it does.
    pub(crate) fn expect(&self, asked: &Json) -> Json {
        let answer = self.ask(asked);
        assert_eq!(answer["ok"], true, "{}: {asked} {answer:#}", self.name);
        answer
    }

    /// What it had said before it was killed.
    pub(crate) fn kill(mut self) -> Vec<Json> {
        self.process.kill();
        self.answers.iter().collect()
    }
}

/// A stock client.
pub(crate) struct Client(pub(crate) Script);

impl Client {
    /// A client that keeps its documents in memory.
    pub(crate) fn start(name: &str) -> Self {
        Self(Script::start("client.mjs", name, &[]))
    }

    /// A client that keeps its documents in a folder.
    pub(crate) fn over(folder: &Path, name: &str) -> Self {
        Self(Script::start("client.mjs", name, &[folder]))
    }

    pub(crate) fn connect(&self, url: &str) {
        self.0.expect(&json!({"do": "connect", "url": url}));
    }

    pub(crate) fn disconnect(&self) {
        self.0.ask(&json!({"do": "disconnect"}));
    }

    /// Waits until it is linked, or is not.
    pub(crate) fn is_linked(&self, is: bool) {
        self.0.expect(&json!({"do": "linked", "is": is}));
    }

    /// Makes a document; its id.
    pub(crate) fn create(&self, value: &Json) -> String {
        let created = self.0.ask(&json!({"do": "create", "value": value}));
        created["id"].as_str().expect("an id").to_owned()
    }

    /// Looks for a document: `ready` or `unavailable`.
    pub(crate) fn find(&self, id: &str) -> String {
        let found = self.0.ask(&json!({"do": "find", "id": id}));
        found["state"].as_str().expect("a state").to_owned()
    }

    /// Finds a document that is there.
    pub(crate) fn open(&self, id: &str) {
        assert_eq!(self.find(id), "ready", "{id}");
    }

    /// Makes edits in one change; the heads after it.
    pub(crate) fn change(&self, id: &str, edits: &Json) -> Json {
        let edit = json!({"do": "change", "id": id, "edits": edits});
        self.0.ask(&edit)["heads"].clone()
    }

    pub(crate) fn value(&self, id: &str) -> Json {
        self.0.ask(&json!({"do": "value", "id": id}))["value"].clone()
    }

    pub(crate) fn heads(&self, id: &str) -> Json {
        self.0.ask(&json!({"do": "heads", "id": id}))["heads"].clone()
    }

    /// Waits until it shows this.
    pub(crate) fn shows(&self, id: &str, value: &Json) {
        self.0
            .expect(&json!({"do": "awaitValue", "id": id, "value": value}));
    }

    /// Waits until a document is at these heads.
    pub(crate) fn reaches(&self, id: &str, heads: &Json) {
        self.0
            .expect(&json!({"do": "awaitHeads", "id": id, "heads": heads}));
    }

    /// Waits until a list or map in a document has so many entries.
    pub(crate) fn counts(&self, id: &str, path: &Json, count: usize) {
        self.0
            .expect(&json!({"do": "awaitCount", "id": id, "path": path, "count": count}));
    }

    /// Waits until the hub has confirmed all it has of a document.
    pub(crate) fn is_confirmed(&self, id: &str) {
        self.are_confirmed(&json!([id]));
    }

    pub(crate) fn are_confirmed(&self, ids: &Json) {
        self.0.expect(&json!({"do": "awaitConfirmed", "ids": ids}));
    }

    /// The libraries had nothing to complain about.
    pub(crate) fn is_content(&self) {
        let complaints = self.0.ask(&json!({"do": "complaints"}));
        assert_eq!(complaints, json!({"complaints": []}), "{}", self.0.name);
    }

    /// `kill -9`.
    pub(crate) fn kill(self) {
        self.0.kill();
    }
}
