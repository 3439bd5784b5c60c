//! One connection: bytes to lines, and answers to bytes.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Instant;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use zeroize::Zeroize as _;

use super::sockets::Protocol;
use crate::protocol::{auth, policy};

/// An accepted socket.
pub enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A connection of a mail server: its socket, and bytes that are not handled yet.
pub struct Connection {
    pub stream: Stream,
    /// Distinguishes it from all earlier connections.
    pub serial: u64,
    pub protocol: Protocol,
    /// When anything was last received.
    pub used: Instant,
    /// The other side has closed it for writing.
    pub ended: bool,
    /// We have closed it for writing.
    pub finished: bool,
    /// We have closed it for reading: the other side cannot send more.
    pub let_go: bool,
    /// The beginning of a line.
    input: Vec<u8>,
    /// What the other side has not read yet.
    output: Vec<u8>,
}

/// The result of reading from a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// There may be more: others come first.
    More,
    All,
    /// A line exceeds the limit of the protocol.
    TooLong,
    /// The connection is broken.
    Broken,
}

/// Bytes to read at once, and how often before others come first.
pub const READ: usize = 16 * 1024;
const READS: usize = 4;
/// Bytes of answers that the other side does not read.
const MAX_OUTPUT: usize = 64 * 1024;

impl Connection {
    /// Begins a connection that has received nothing.
    pub const fn new(stream: Stream, serial: u64, protocol: Protocol, now: Instant) -> Self {
        Self {
            stream,
            serial,
            protocol,
            used: now,
            ended: false,
            finished: false,
            let_go: false,
            input: Vec::new(),
            output: Vec::new(),
        }
    }

    /// Reads lines, and gives each without its line feed to `each`, which returns whether to
    /// go on. If `buffer` is not filled there is no more to read, unless the other side has
    /// `closed` the connection: then its end is next.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        closed: bool,
        now: Instant,
        mut each: impl FnMut(&[u8]) -> bool,
    ) -> Received {
        self.used = now;
        for _ in 0..READS {
            let read = match self.stream.read(buffer) {
                Ok(0) => {
                    self.ended = true;
                    return Received::All;
                }
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Received::All,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Received::Broken,
            };
            let stopped = self.lines(&buffer[..read], &mut each);
            // There may have been a password in it.
            buffer[..read].zeroize();
            if let Some(received) = stopped {
                return received;
            }
            if read < buffer.len() && !closed {
                return Received::All;
            }
        }
        Received::More
    }

    /// Returns why to read no more, if that is so.
    fn lines(
        &mut self,
        mut bytes: &[u8],
        each: &mut impl FnMut(&[u8]) -> bool,
    ) -> Option<Received> {
        let longest = match self.protocol {
            Protocol::Auth => auth::MAX_LINE,
            Protocol::Policy => policy::MAX_LINE,
        };
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            if self.input.len() + line.len() > longest {
                return Some(Received::TooLong);
            }
            let go_on = if self.input.is_empty() {
                each(line)
            } else {
                let mut whole = Vec::with_capacity(self.input.len() + line.len());
                whole.extend_from_slice(&self.input);
                whole.extend_from_slice(line);
                self.input.zeroize();
                self.input = Vec::new();
                let go_on = each(&whole);
                whole.zeroize();
                go_on
            };
            if !go_on {
                return Some(Received::All);
            }
        }
        if self.input.len() + bytes.len() > longest {
            return Some(Received::TooLong);
        }
        if self.input.capacity() - self.input.len() < bytes.len() {
            // By hand: a vector that grows by itself leaves a copy of a password behind.
            let mut longer = Vec::with_capacity(2 * (self.input.len() + bytes.len()));
            longer.extend_from_slice(&self.input);
            self.input.zeroize();
            self.input = longer;
        }
        self.input.extend_from_slice(bytes);
        None
    }

    /// Sends an answer in one write, unless the other side is slow. An error means that
    /// nothing more can be sent.
    pub fn send(&mut self, answer: &str, registry: &Registry, token: Token) -> io::Result<()> {
        let mut bytes = answer.as_bytes();
        if self.output.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(e) if would_wait(&e) => {}
                Err(e) => return Err(e),
            }
            if bytes.is_empty() {
                return Ok(());
            }
            self.watch(registry, token, Interest::READABLE | Interest::WRITABLE)?;
        }
        if self.output.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.output.extend_from_slice(bytes);
        Ok(())
    }

    /// Sends what could not be sent before.
    pub fn send_rest(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(written) => drop(self.output.drain(..written)),
                Err(e) if would_wait(&e) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        self.output = Vec::new();
        self.watch(registry, token, Interest::READABLE)
    }

    /// Sends no more. If a count depends on the last answer, only the reaction of the peer
    /// shows over TCP whether it has arrived: returns whether to wait for it. An error means
    /// that it has not.
    pub fn finish(&mut self, has_counted: bool) -> io::Result<bool> {
        if let Stream::Tcp(stream) = &self.stream
            && has_counted
        {
            stream.shutdown(Shutdown::Write)?;
            self.finished = true;
        }
        Ok(self.finished)
    }

    /// Makes everything that the other side sends from now on fail at once; what it has sent
    /// before can still be read. Returns false over TCP, which does not tell the other side.
    pub fn let_go(&mut self) -> io::Result<bool> {
        if let Stream::Unix(stream) = &self.stream {
            stream.shutdown(Shutdown::Read)?;
            self.let_go = true;
        }
        Ok(self.let_go)
    }

    /// Returns whether all answers have left this process.
    pub fn is_sent(&self) -> bool {
        self.output.is_empty()
    }

    fn watch(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        registry.reregister(&mut self.stream, token, interest)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.input.zeroize();
    }
}

fn would_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    /// Returns the process at the other end according to the kernel, if it is known.
    pub fn peer(&self) -> Option<u32> {
        let Self::Unix(stream) = self else {
            return None;
        };
        let peer = getsockopt(stream, PeerCredentials).ok()?;
        // It is 0 for another container.
        u32::try_from(peer.pid()).ok()
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Unix(stream) => stream,
            Self::Tcp(stream) => stream,
        }
    }
}

impl Source for Stream {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.source().register(registry, token, interest)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.source().reregister(registry, token, interest)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }
}
