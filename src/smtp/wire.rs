//! The stream below a conversation: what carries it becomes encrypted half-way.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Held by two: the conversation speaks on it, and whoever had it begun encrypts it.
#[derive(Clone, Debug)]
pub struct Wire(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    stream: Stream,
    heard: Heard,
    ended: bool,
}

/// What came since somebody asked.
#[derive(Debug, Default)]
pub struct Heard {
    pub text: String,
    /// How many replies it has, of one line or many: RFC 5321 §4.2.1.
    pub replies: usize,
    /// Of the line that is not whole yet.
    line: Vec<u8>,
    length: usize,
}

#[derive(Debug)]
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// While it becomes another.
    Gone,
}

/// What is kept of what was heard, in bytes: a greeting, and what a server offers.
const KEPT: usize = 16 * 1024;
/// Of a line, in bytes; RFC 5321 §4.5.3.1.5 has 512. Whoever reads lines keeps all
/// of one until it ends.
const LONGEST: usize = 4096;

impl Heard {
    /// Makes the bytes printable ASCII, or else whoever reads them would give up on
    /// a server that speaks Latin-1.
    fn hear(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        for byte in bytes {
            if !(byte.is_ascii_graphic() || b" \t\r\n".contains(byte)) {
                *byte = b'?';
            }
            if self.text.len() < KEPT {
                self.text.push(char::from(*byte));
            }
            if *byte == b'\n' {
                let whole = std::mem::take(&mut self.line);
                // "250-first", "250 last", and "250" alone.
                self.replies += usize::from(whole.get(3) != Some(&b'-'));
                self.length = 0;
                continue;
            }
            self.length += 1;
            if self.line.len() < 4 {
                self.line.push(*byte);
            }
            if self.length > LONGEST {
                return Err(io::Error::other("a line without end"));
            }
        }
        Ok(())
    }
}

impl Wire {
    pub fn new(stream: Stream) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            stream,
            heard: Heard::default(),
            ended: false,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be put back by [`Self::put`].
    pub fn take(&self) -> Stream {
        std::mem::replace(&mut self.inner().stream, Stream::Gone)
    }

    pub fn put(&self, stream: Stream) {
        self.inner().stream = stream;
    }

    /// What came since the last time this was asked.
    pub fn heard(&self) -> Heard {
        std::mem::take(&mut self.inner().heard)
    }

    /// The other side has hung up.
    pub fn has_ended(&self) -> bool {
        self.inner().ended
    }
}

fn gone() -> io::Error {
    io::Error::from(io::ErrorKind::NotConnected)
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        let before = buffer.filled().len();
        let polled = match &mut inner.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
            Stream::Gone => Poll::Ready(Err(gone())),
        };
        let read = &mut buffer.filled_mut()[before..];
        match polled {
            Poll::Ready(Ok(())) if read.is_empty() => {
                inner.ended = true;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) => Poll::Ready(inner.heard.hear(read)),
            Poll::Ready(Err(error)) => {
                inner.ended = true;
                Poll::Ready(Err(error))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.inner().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
            Stream::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
            Stream::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
            Stream::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.inner().stream {
            Stream::Plain(stream) => stream.peer_addr(),
            Stream::Tls(stream) => stream.get_ref().0.peer_addr(),
            Stream::Gone => Err(gone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_heard_is_counted_and_made_printable() {
        let mut heard = Heard::default();
        let mut bytes = b"220-a\r\n220 b\xe9\x1b[0m\r\n250".to_vec();
        heard.hear(&mut bytes).unwrap();
        assert_eq!(heard.replies, 1);
        assert_eq!(heard.text, "220-a\r\n220 b??[0m\r\n250");
        heard.hear(&mut b"-c\r\n250\r\n".to_vec()).unwrap();
        assert_eq!(heard.replies, 2);
        assert!(heard.hear(&mut vec![b'x'; LONGEST]).is_ok());
        assert!(heard.hear(&mut [b'x']).is_err());
    }
}
