//! The tasks of one node: started here only, so that a shutdown can wait for them.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::error::{Error, ErrorKind, Result};

/// Time that a shutdown waits for tasks and reads. Tasks end by themselves, links last.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Starts tasks and counts those that run.
#[derive(Debug)]
pub(super) struct Tasks {
    runtime: Handle,
    running: watch::Sender<usize>,
}

/// One task or read that is under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Running(watch::Sender<usize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|it| *it -= 1);
    }
}

impl Tasks {
    pub(super) fn new(runtime: Handle) -> Self {
        let running = watch::Sender::new(0);
        Self { runtime, running }
    }

    /// Counts something that a shutdown waits for.
    pub(super) fn running(&self) -> Running {
        self.running.send_modify(|it| *it += 1);
        Running(self.running.clone())
    }

    /// Starts a task.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let running = self.running();
        let counted = async move {
            task.await;
            drop(running);
        };
        self.runtime.spawn(counted).abort_handle()
    }

    /// Waits for the end of all tasks and reads, for a bounded time.
    pub(super) async fn ended(&self) {
        let mut running = self.running.subscribe();
        let ended = running.wait_for(|it| *it == 0);
        if timeout(END_WITHIN, ended).await.is_err() {
            tracing::warn!(
                "some links or reads have not ended in time; they are left to themselves"
            );
        }
    }
}

/// Runs what takes long away from the tasks that must not wait. The caller waits for it.
#[expect(clippy::disallowed_methods, reason = "the one place that does")]
pub(super) async fn run_apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            let message = "the work was given up, or panicked, which is a mistake of this library";
            Err(Error::new(ErrorKind::Closed, message).with_source(error))
        }
    }
}
