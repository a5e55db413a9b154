//! A full disk, of a device and of a hub: it is told what to do, what was acknowledged is kept, reads
//! go on, and with room again all come into step.
//!
//! The disk is a small file system in memory, which root may mount. Where that is refused, the
//! limit of a process on the size of files stands in for it; the output says which it was.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use syncline::RecordId;

use super::parties::path;
use crate::command::{Folder, Ran, Running, command, end_of, over, run_with};

/// Room on the small disk, in KiB, and what fills most of it until it is deleted.
const DISK_KIB: u64 = 4 * 1024;
const BALLAST_KIB: usize = 3 * 512;

/// Lines of about a kilobyte, far more than fit.
const LINES: usize = 3_000;

/// A file system of its own, unmounted when it is dropped.
struct Disk {
    folder: PathBuf,
    /// Without a mount: the most that a file may grow to, in blocks of 512 bytes, for the shell.
    blocks: Option<u64>,
    is_mounted: bool,
}

impl Disk {
    fn new(folder: PathBuf) -> Self {
        std::fs::create_dir(&folder).expect("writable");
        let size = format!("size={DISK_KIB}k");
        let arguments = ["-t", "tmpfs", "-o", &size, "syncline-test", path(&folder)];
        let mount = Command::new("mount")
            .args(arguments)
            .stderr(Stdio::null())
            .status();
        let is_mounted = mount.is_ok_and(|it| it.success());
        if is_mounted {
            println!("the disk is a tmpfs of {DISK_KIB} KiB");
            std::fs::write(folder.join("ballast"), vec![1; BALLAST_KIB * 1024]).expect("room");
        } else {
            println!("no mount here: files may grow to {DISK_KIB} KiB by the limit of a process");
        }
        Self {
            folder,
            blocks: (!is_mounted).then_some((DISK_KIB - 3 * 512) * 2),
            is_mounted,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The command with these arguments, on this disk.
    fn command(&self, arguments: &[&str]) -> Command {
        let plain = command(arguments);
        let Some(blocks) = self.blocks else {
            return plain;
        };
        let mut limited = Command::new("sh");
        // Without the trap the signal of a file too large would end it.
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        limited
            .arg("-c")
            .arg(script)
            .arg(plain.get_program())
            .args(plain.get_args());
        limited.env_remove("SYNCLINE_STORE").env_remove("RUST_LOG");
        limited
    }

    fn run(&self, arguments: &[&str], input: &str) -> Ran {
        end_of(&mut self.command(arguments), input)
    }

    /// Makes room.
    fn free(&mut self) {
        self.blocks = None;
        if !self.is_mounted {
            return;
        }
        std::fs::remove_file(self.file("ballast")).expect("it is there");
        let options = format!("remount,size={}k", DISK_KIB * 10);
        let remount = Command::new("mount")
            .args(["-o", &options, path(&self.folder)])
            .status();
        assert!(
            remount.is_ok_and(|it| it.success()),
            "it was mounted before"
        );
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            // Lazily, for a test that fails may leave a process that has a file there.
            let mut unmount = Command::new("umount");
            drop(unmount.args(["-l", path(&self.folder)]).status());
        }
    }
}

fn name(number: usize) -> String {
    format!("r{number}")
}

fn lines() -> String {
    let line = |number| {
        let line = json!({"$id": name(number), "n": number, "text": pad(number)});
        format!("{line}\n")
    };
    (0..LINES).map(line).collect()
}

/// Text that does not compress to nothing.
fn pad(number: usize) -> String {
    let word = |it: usize| {
        format!(
            "{:016x}",
            (number * 97 + it).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        )
    };
    (0..60).map(word).collect()
}

fn assert_told(ran: &Ran, store: &Path) {
    assert_eq!(ran.code, 4, "a full disk ends with 4: {ran:?}");
    let told = ran.stderr.lines().any(|it| {
        it.starts_with("syncline: disk_full: ")
            && it.contains(&format!("no space left for {}", store.display()))
            && it.contains("free some, then open it again")
    });
    assert!(told, "{ran:?}");
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
}

#[test]
fn a_device_that_runs_out_of_disk_keeps_what_it_acknowledged_and_goes_on_with_room() {
    let folder = Folder::new();
    let mut disk = Disk::new(folder.file("small"));
    let store = disk.file("device.redb");
    let import = ["import", "notes", "-", "--acks", "--store", path(&store)];
    let ran = disk.run(&import, &lines());
    assert_told(&ran, &store);
    let acknowledged: Vec<_> = ran.stdout.lines().collect();
    assert!(
        (1..LINES).contains(&acknowledged.len()),
        "{}",
        acknowledged.len()
    );
    for (number, id) in acknowledged.iter().enumerate() {
        assert_eq!(*id, RecordId::named(&name(number)).to_string());
    }

    // While it is full, all that was acknowledged can be read.
    let listed = disk.run(&["ls", "notes", "--json", "--store", path(&store)], "");
    let count = listed.json()["count"]
        .as_u64()
        .and_then(|it| usize::try_from(it).ok());
    assert!(count >= Some(acknowledged.len()), "{count:?}");
    let last = name(acknowledged.len() - 1);
    disk.run(&["get", "notes", &last, "--store", path(&store)], "")
        .ok();

    disk.free();
    disk.run(&import, &lines()).ok();
    let (_hub, url) = Running::hub(&folder.file("hub.redb"));
    over(&store, &["sync", &url, "--timeout", "120"]).json();
    let other = folder.file("other.redb");
    let arrived = over(&other, &["sync", &url, "--timeout", "120"]).json();
    assert_eq!(arrived["records"], LINES);
}

#[test]
fn a_device_that_runs_out_of_disk_while_it_syncs_says_so_and_finishes_with_room() {
    let folder = Folder::new();
    let source = folder.file("source.redb");
    run_with(
        &["import", "notes", "-", "--store", path(&source)],
        &lines(),
    )
    .ok();
    let (_hub, url) = Running::hub(&folder.file("hub.redb"));
    let sent = over(&source, &["sync", &url, "--timeout", "120"]).json();

    let mut disk = Disk::new(folder.file("small"));
    let store = disk.file("device.redb");
    let sync = ["sync", &url, "--timeout", "120", "--store", path(&store)];
    assert_told(&disk.run(&sync, ""), &store);
    disk.run(&["status", "--store", path(&store)], "").ok();

    disk.free();
    let arrived = over(&store, &["sync", &url, "--timeout", "120"]).json();
    assert_eq!(
        (&arrived["digest"], &arrived["records"]),
        (&sent["digest"], &json!(LINES))
    );
}

#[test]
fn a_hub_that_runs_out_of_disk_says_why_to_its_devices_and_recovers_with_room() {
    let folder = Folder::new();
    let mut disk = Disk::new(folder.file("small"));
    let store = disk.file("hub.redb");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--store", path(&store)];
    let mut hub = Running::spawn(&mut disk.command(&serve));
    let line = hub.line();
    let url = line.strip_prefix("listening on ").expect("an address");
    let early = folder.file("early.redb");
    over(&early, &["put", "notes", "first", r#"{"n": 1}"#]).json();
    over(&early, &["sync", url]).json();

    let device = folder.file("device.redb");
    run_with(
        &["import", "notes", "-", "--store", path(&device)],
        &lines(),
    )
    .ok();
    let failed = over(&device, &["sync", url, "--timeout", "5"]);
    assert_eq!(failed.code, 5, "it is worth another try later: {failed:?}");
    assert!(
        failed.stderr.contains("store_failed"),
        "it is told why: {failed:?}"
    );
    assert!(
        hub.child.try_wait().expect("a child").is_none(),
        "the hub lives"
    );

    // Asked to stop it stops, and what it had confirmed is there when there is room again.
    hub.signal("TERM");
    hub.end();
    disk.free();
    let mut hub = Running::spawn(&mut disk.command(&serve));
    let line = hub.line();
    let url = line.strip_prefix("listening on ").expect("an address");
    let other = folder.file("other.redb");
    over(&other, &["sync", url, "--timeout", "120"]).json();
    over(&other, &["get", "notes", "first"]).json();
    let sent = over(&device, &["sync", url, "--timeout", "120"]).json();
    let arrived = over(&other, &["sync", url, "--timeout", "120"]).json();
    assert_eq!(
        (&arrived["digest"], &arrived["records"]),
        (&sent["digest"], &json!(LINES + 1))
    );
}
