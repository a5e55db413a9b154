//! Lines of a file or of stdin, read on a thread of their own and handed over with a bound.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use tokio::sync::mpsc;

use crate::failure::Failure;

/// Lines that are read ahead.
const QUEUE_LINES: usize = 1_024;

/// Longest line, in bytes: a record can't be larger than the largest change.
const LINE_BYTES_MAX: usize = 2 * syncline::limits::CHANGE_BYTES_MAX;

/// A line with its number, from 1.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) text: String,
}

/// Lines as they come in, and the bytes of all of them if that is known.
pub(crate) struct Lines {
    pub(crate) receiver: mpsc::Receiver<Result<Line, Failure>>,
    pub(crate) total_bytes: Option<u64>,
}

impl Lines {
    /// Starts to read `path`, or stdin for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let (reader, total_bytes): (Box<dyn BufRead + Send>, _) = if path == Path::new("-") {
            (Box::new(BufReader::new(io::stdin())), None)
        } else {
            let unreadable =
                |error: io::Error| Failure::io(&format!("cannot read {}", path.display()), &error);
            let file = File::open(path).map_err(unreadable)?;
            let found = file.metadata().map_err(unreadable)?;
            if found.is_dir() {
                return Err(unreadable(io::ErrorKind::IsADirectory.into()));
            }
            let bytes = found.is_file().then_some(found.len());
            (Box::new(BufReader::new(file)), bytes)
        };
        let (sender, receiver) = mpsc::channel(QUEUE_LINES);
        // A thread and not a task: a read of stdin cannot be interrupted, and must not keep the
        // process from ending.
        let started = std::thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || read(reader, &sender));
        started.map_err(|error| Failure::io("cannot start a thread", &error))?;
        Ok(Self {
            receiver,
            total_bytes,
        })
    }
}

fn read(mut reader: Box<dyn BufRead + Send>, sender: &mpsc::Sender<Result<Line, Failure>>) {
    for number in 1.. {
        let line = read_line(&mut reader, number);
        let Some(line) = line.transpose() else { return };
        let failed = line.is_err();
        if sender.blocking_send(line).is_err() || failed {
            return;
        }
    }
}

fn read_line(reader: &mut dyn BufRead, number: u64) -> Result<Option<Line>, Failure> {
    let bound = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut text = String::new();
    let read = reader.take(bound + 1).read_line(&mut text);
    let bytes = read.map_err(|error| {
        if error.kind() == io::ErrorKind::InvalidData {
            return Failure::input(format!("line {number} is not UTF-8"));
        }
        Failure::io(&format!("cannot read line {number}"), &error)
    })?;
    if bytes > LINE_BYTES_MAX {
        return Err(Failure::input(format!(
            "line {number} is over {LINE_BYTES_MAX} bytes"
        )));
    }
    Ok((bytes > 0).then_some(Line { number, text }))
}
