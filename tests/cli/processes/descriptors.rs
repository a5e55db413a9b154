//! Too few file descriptors: a hub rests and goes on, a command says what to do.

use std::io::Read as _;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::parties::{SILENCE, path};
use crate::command::{Folder, Running, command, over};

/// File descriptors of the hub. It starts with about a dozen.
const DESCRIPTORS: usize = 40;

/// The command with these arguments, and so many file descriptors.
fn limited(descriptors: usize, arguments: &[&str]) -> Command {
    let plain = command(arguments);
    let mut limited = Command::new("sh");
    let script = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
    limited
        .arg("-c")
        .arg(script)
        .arg(plain.get_program())
        .args(plain.get_args());
    limited.env_remove("SYNCLINE_STORE");
    limited
}

#[test]
fn a_hub_out_of_descriptors_serves_its_links_says_so_once_and_takes_new_ones_later() {
    let folder = Folder::new();
    let store = folder.file("hub.redb");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--store", path(&store)];
    let mut command = limited(DESCRIPTORS, &serve);
    let log = folder.file("log.txt");
    let log_file = std::fs::File::create(&log).expect("writable");
    command.env("RUST_LOG", "syncline=warn");
    let mut hub = Running::spawn_logging(&mut command, log_file.into());
    let line = hub.line();
    let url = line.strip_prefix("listening on ").expect("an address");

    // A link from before, to one that watches, and one that writes.
    let (watching, writing) = (folder.file("watching.redb"), folder.file("writing.redb"));
    let watch = [
        "watch",
        "--limit",
        "2",
        "--connect",
        url,
        "--store",
        path(&watching),
    ];
    let mut watch = Running::start(&watch);
    let import = [
        "import",
        "notes",
        "-",
        "--acks",
        "--connect",
        url,
        "--store",
        path(&writing),
    ];
    let import = Running::start(&import);
    import.write_line(&json!({"$id": "before", "n": 1}));
    assert!(watch.line().starts_with("created"), "both are linked");

    // Strangers take all descriptors that are left. The kernel keeps some of them waiting.
    let place = url.trim_start_matches("ws://");
    let dial = |_| TcpStream::connect(place).expect("the kernel takes them for the hub");
    let strangers: Vec<_> = (0..DESCRIPTORS * 2).map(dial).collect();
    until(|| refusals(&log) > 0);

    import.write_line(&json!({"$id": "meanwhile", "n": 2}));
    assert!(watch.line().starts_with("created"), "existing links go on");
    assert_eq!(watch.end(), 0);
    // The hub tries again ten times a second. On a slow machine handshakes of strangers time out
    // meanwhile, each of which lets one in and is a new time to say so.
    let said = refusals(&log);
    assert!((1..=DESCRIPTORS).contains(&said), "said {said} times");

    drop(strangers);
    let late = folder.file("late.redb");
    let arrived = over(&late, &["sync", url, "--timeout", "60"]).json();
    assert_eq!(arrived["records"], 2);
    hub.signal("TERM");
    assert_eq!(hub.end(), 0);
}

/// How often the hub has said that it gets no more sockets.
fn refusals(log: &std::path::Path) -> usize {
    let text = std::fs::read_to_string(log).expect("readable");
    text.matches("refuses new links").count()
}

/// Waits for what another process does to a file, which nobody tells us of.
fn until(holds: impl Fn() -> bool) {
    let (_never, pause) = std::sync::mpsc::sync_channel::<()>(1);
    let pauses = SILENCE.as_millis() / 10;
    for _ in 0..pauses {
        if holds() {
            return;
        }
        let waited = pause.recv_timeout(Duration::from_millis(10));
        assert!(waited.is_err(), "nobody sends");
    }
    panic!("it has not come true");
}

#[test]
fn a_command_with_too_few_descriptors_says_what_to_do_or_does_its_work() {
    let folder = Folder::new();
    let mut failed = 0;
    // With fewer than five not even its libraries can be loaded.
    for descriptors in 5..16 {
        let store = folder.file(&format!("{descriptors}.redb"));
        let put = [
            "put",
            "notes",
            "a",
            r#"{"n": 1}"#,
            "--json",
            "--store",
            path(&store),
        ];
        let mut command = limited(descriptors, &put);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let mut stderr = String::new();
        let mut pipe = child.stderr.take().expect("piped");
        pipe.read_to_string(&mut stderr).expect("UTF-8");
        let code = child.wait().expect("it ends").code();
        if code == Some(0) {
            over(&store, &["get", "notes", "a"]).json();
            continue;
        }
        failed += 1;
        assert!([Some(1), Some(4)].contains(&code), "{code:?}: {stderr}");
        assert!(stderr.contains("ulimit -n"), "with {descriptors}: {stderr}");
        assert!(!stderr.contains("panicked"), "with {descriptors}: {stderr}");
        // Nothing is spoilt: with enough of them it works.
        over(&store, &["put", "notes", "a", r#"{"n": 1}"#]).json();
    }
    assert!((1..11).contains(&failed), "{failed} failed");
}
