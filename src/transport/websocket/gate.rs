//! The gate before a stranger's bytes: so many are read, the rest waits until the peer is known.
//!
//! Without it, anyone who can open a socket could make a listener hold one frame of the largest
//! size per link. The rest waiting in the sockets also means that nothing is lost of what an honest
//! peer sends ahead of its proof being checked.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::BoxStream;

/// Opens the gate of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct GateKey(Arc<AtomicBool>);

impl GateKey {
    /// Lets everything through from the next read on. It wakes nobody: who holds the key is who
    /// reads, and so not waiting.
    pub(super) fn open(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A stream of which only so many bytes are read before its gate is opened.
pub(super) struct Gate {
    stream: BoxStream,
    key: GateKey,
    /// Bytes that may still be read while the gate is shut.
    allowance: usize,
}

impl Gate {
    pub(super) fn new(stream: BoxStream, allowance: u64) -> Self {
        Self {
            stream,
            key: GateKey::default(),
            allowance: usize::try_from(allowance).unwrap_or(usize::MAX),
        }
    }

    pub(super) fn key(&self) -> GateKey {
        self.key.clone()
    }

    fn poll_read_some(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes_max = buf.remaining().min(self.allowance);
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(bytes_max));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        let bytes = part.filled().len();
        buf.advance(bytes);
        self.allowance = self.allowance.saturating_sub(bytes);
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("open", &self.key.is_open())
            .field("allowance", &self.allowance)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Gate {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.key.is_open() {
            Pin::new(&mut self.stream).poll_read(context, buf)
        } else if self.allowance == 0 {
            Poll::Pending
        } else {
            self.poll_read_some(context, buf)
        }
    }
}

impl AsyncWrite for Gate {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
