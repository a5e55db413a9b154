//! The hub of the demo: `syncline serve` as a process of its own, so that it can really be killed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::failure::Failure;

/// A running hub. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Hub {
    process: Child,
    address: String,
}

impl Hub {
    /// Starts this program as a hub over `store`, and waits until it listens.
    pub(super) fn start(store: &Path) -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::io("cannot find this program's own file", &error))?;
        let mut process = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--store"])
            .arg(store)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::io("cannot start the hub", &error))?;
        let stdout = process.stdout.take();
        let mut hub = Self {
            process,
            address: String::new(),
        };
        let mut line = String::new();
        if let Some(stdout) = stdout {
            // The hub says one line when it is ready, or ends with its reason on stderr.
            let read = BufReader::new(stdout).read_line(&mut line);
            read.map_err(|error| Failure::io("cannot hear the hub", &error))?;
        }
        let address = line.trim_end().strip_prefix("listening on ");
        let Some(address) = address else {
            let message = "the hub did not start; its own words are above";
            return Err(Failure::io("no hub", &std::io::Error::other(message)));
        };
        address.clone_into(&mut hub.address);
        Ok(hub)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Kills it without a warning: SIGKILL on Unix, which a process can't notice.
    pub(super) fn kill(mut self) -> Result<(), Failure> {
        let killed = self.process.kill().and_then(|()| self.process.wait());
        killed
            .map(drop)
            .map_err(|error| Failure::io("cannot kill the hub", &error))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It has ended already if these fail.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
