//! A progress bar for work that takes over a second.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use syncline::time::{Clock as _, Instant, SystemClock};

use crate::output::Output;

/// Work shorter than this shows no bar.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// Progress through a number of bytes, on stderr; silent where nobody looks.
pub(crate) struct Progress {
    bar: ProgressBar,
    clock: SystemClock,
    start: Instant,
    wanted: bool,
}

impl Progress {
    /// Progress towards `bytes`, or without an end if that is unknown.
    pub(crate) fn new(bytes: Option<u64>, out: Output) -> Self {
        let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::hidden());
        let template = if bytes.is_some() {
            "{wide_bar} {bytes}/{total_bytes}, {msg}, {eta} left"
        } else {
            "{spinner} {bytes}, {msg}"
        };
        Self::styled(bar, template, out)
    }

    /// Progress through `count` things.
    #[cfg(feature = "sim")]
    pub(crate) fn counting(count: u64, out: Output) -> Self {
        let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::hidden());
        Self::styled(bar, "{wide_bar} {pos}/{len}, {msg}, {eta} left", out)
    }

    /// Progress through things that are counted while they are done.
    pub(crate) fn things(out: Output) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self::styled(bar, "{wide_bar} {pos}/{len}, {msg}, {eta} left", out)
    }

    fn styled(bar: ProgressBar, template: &str, out: Output) -> Self {
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let clock = SystemClock::new();
        Self {
            bar,
            clock,
            start: clock.now(),
            wanted: !out.is_json(),
        }
    }

    /// Progress of an exchange, whose length is known once the other side was reached.
    pub(crate) fn exchange(out: Output) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self::styled(bar, "{wide_bar} {msg}", out)
    }

    /// So many of so many things are done, if that can be told.
    pub(crate) fn at(&mut self, done: u64, of: Option<u64>, message: String) {
        match of {
            Some(of) => self.bar.set_length(of.max(done)),
            None => self.bar.unset_length(),
        }
        self.bar.set_position(done);
        self.bar.set_message(message);
        self.show();
    }

    /// `bytes`, or things, more are done, `message` says what that makes.
    pub(crate) fn advance(&mut self, bytes: u64, message: String) {
        self.bar.inc(bytes);
        self.bar.set_message(message);
        self.show();
    }

    fn show(&mut self) {
        if self.wanted && self.clock.now().since(self.start) >= SHOWN_AFTER {
            // Draws nothing unless stderr is a terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.wanted = false;
        }
    }

    /// Prints something while the bar stands.
    pub(crate) fn beside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        drop(self);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
