//! Waiting for the signals that ask a command to stop.

use std::io;

/// Returns when the process is asked to stop, with the name of the signal.
#[cfg(unix)]
pub(crate) async fn stop() -> io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// Returns when the process is asked to stop, with the name of the signal.
#[cfg(not(unix))]
pub(crate) async fn stop() -> io::Result<&'static str> {
    tokio::signal::ctrl_c().await.map(|()| "Ctrl-C")
}
