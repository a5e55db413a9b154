//! Clocks, CPU time and memory, as the system counts them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::time::sleep;

/// Bytes of a block, as the system counts them.
const BLOCK_BYTES: u64 = 512;

/// Ticks of the system's clock, as Linux has them on all that this is run on.
const TICKS_A_SECOND: f64 = 100.0;

/// How long files must stay as they are to have settled.
const STILL: Duration = Duration::from_millis(500);

/// Work that is being timed.
#[derive(Clone, Copy)]
pub(crate) struct Watch(Instant);

impl Watch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Microseconds since the start.
    pub(crate) fn micros(self) -> f64 {
        self.elapsed().as_secs_f64() * 1e6
    }

    /// Milliseconds since the start.
    pub(crate) fn millis(self) -> f64 {
        self.elapsed().as_secs_f64() * 1e3
    }

    /// Seconds since the start.
    pub(crate) fn seconds(self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
pub(crate) fn figure(count: impl TryInto<u64>) -> f64 {
    count.try_into().map_or(f64::NAN, |it| it as f64)
}

/// What lies at this percentile of the samples.
pub(crate) fn percentile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let at = (last * percent).div_ceil(100);
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// The middle of the samples.
pub(crate) fn median(samples: &[f64]) -> f64 {
    percentile(samples, 50)
}

/// CPU seconds of a process: to the nanosecond as long as none of its threads ended, and to two
/// ticks of the system's clock afterwards.
pub(crate) fn cpu_seconds(process: u32) -> anyhow::Result<f64> {
    let mut nanos = 0_u64;
    let folder = format!("/proc/{process}/task");
    for thread in fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))? {
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        let spent = text.split_whitespace().next().unwrap_or("0");
        nanos += spent.parse::<u64>().context("schedstat holds no number")?;
    }
    Ok((figure(nanos) / 1e9).max(cpu_ticks(process)? / TICKS_A_SECOND))
}

/// Ticks of all threads of a process, of those that ended too.
fn cpu_ticks(process: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name, in brackets, may hold anything; user and system time are the 12th and 13th after it.
    let (_, fields) = text.rsplit_once(')').context("stat holds no name")?;
    let times = fields.split_whitespace().skip(11).take(2);
    let times = times.map(|it| it.parse::<u64>().context("stat holds no number"));
    Ok(figure(times.sum::<anyhow::Result<u64>>()?))
}

/// Bytes of memory that a process has resident.
pub(crate) fn resident_bytes(process: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|it| it.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    Ok(figure(kilobytes.context("no resident size")?) * 1024.0)
}

/// What files take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Files {
    /// How many there are.
    pub count: usize,
    /// Their lengths, summed.
    pub bytes: u64,
    /// What the file system gave them, in whole blocks.
    pub disk_bytes: u64,
}

/// The files in a folder and below it.
pub(crate) fn files(folder: &Path) -> anyhow::Result<Files> {
    let mut all = Files::default();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder);
        for entry in entries.with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            // A file may be deleted between the listing and the looking.
            let Ok(about) = fs::symlink_metadata(&path) else {
                continue;
            };
            if about.is_dir() {
                folders.push(path);
            } else {
                all.count += 1;
                all.bytes += about.len();
                all.disk_bytes += about.blocks() * BLOCK_BYTES;
            }
        }
    }
    Ok(all)
}

/// The same once nothing is written any more.
pub(crate) async fn settled_files(folder: &Path) -> anyhow::Result<Files> {
    let mut before = files(folder)?;
    loop {
        sleep(STILL).await;
        let now = files(folder)?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
}

/// Processes that wait for a processor, on average of the last minute, and the processors there
/// are.
pub(crate) fn load() -> Option<(f64, usize)> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    let load = text.split_whitespace().next()?.parse().ok()?;
    Some((load, std::thread::available_parallelism().ok()?.get()))
}
