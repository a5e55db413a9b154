//! The JavaScript packages, installed once for all tests.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const FILES: &[&str] = &[
    "package.json",
    "package-lock.json",
    "lines.mjs",
    "client.mjs",
    "stranger.mjs",
    "stranger.mjs",
];

/// What the installed packages were installed from; a copy of the lock file.
const STAMP: &str = "installed";

/// A Node process that runs one of the scripts.
pub(crate) fn node(script: &str) -> Command {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(install).as_ref();
    let folder = folder.unwrap_or_else(|why| panic!("{why}"));
    let mut command = Command::new("node");
    command.arg(folder.join(script));
    command
}

/// Copies the scripts to where they find the packages, and has these installed.
fn install() -> Result<PathBuf, String> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/javascript");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("javascript");
    fs::create_dir_all(&folder).expect("a folder");
    // Others may be running the same tests.
    let lock = File::create(folder.join("lock")).expect("writable");
    lock.lock().expect("it can be locked");
    for name in FILES {
        let text = fs::read(from.join(name)).expect("it is in the repository");
        fs::write(folder.join(name), text).expect("writable");
    }
    let wanted = fs::read(from.join("package-lock.json")).expect("it is in the repository");
    is_available("node")?;
    if fs::read(folder.join(STAMP)).is_ok_and(|it| it == wanted) {
        return Ok(folder);
    }
    is_available("npm")?;
    // An installation that is cut off must not count.
    drop(fs::remove_file(folder.join(STAMP)));
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    let output = npm.current_dir(&folder).output().expect("npm runs");
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        let what = "`npm ci` of tests/foreign/javascript failed; it needs the npm registry once";
        return Err(format!("{what}:\n{why}"));
    }
    fs::write(folder.join(STAMP), wanted).expect("writable");
    Ok(folder)
}

fn is_available(program: &str) -> Result<(), String> {
    match Command::new(program).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("`{program} --version` fails: {output:?}")),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(format!(
            "the tests with JavaScript clients need `{program}`: install Node.js 20 or later with npm \
             (on Debian and Ubuntu: apt-get install nodejs npm)"
        )),
        Err(error) => Err(format!("`{program}` can't be run: {error}")),
    }
}
