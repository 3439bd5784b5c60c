//! One connection: bytes to lines, and answers to bytes.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::Instant;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use zeroize::Zeroize as _;

use crate::protocol::auth::{self, Conversation, Step};
use crate::protocol::policy::{self, Reader, Request};

pub enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

pub struct Connection {
    pub stream: Stream,
    /// Connections come and go; this one is never another.
    pub serial: u64,
    pub side: Side,
    /// When anything was last said.
    pub used: Instant,
    /// Nothing more will come.
    pub ended: bool,
    /// Requests that are being looked at.
    pub busy: u32,
    /// A line that is not whole yet.
    input: Vec<u8>,
    /// What the other side did not take yet.
    output: Vec<u8>,
}

pub enum Side {
    Auth(Conversation),
    Policy(Policy),
}

#[derive(Default)]
pub struct Policy {
    reader: Reader,
    /// To be answered in the order they came.
    pub queue: VecDeque<Box<Request>>,
}

/// What a line asks for.
pub enum Asked {
    Auth(Step),
    /// The connection's queue has grown.
    Policy,
    HangUp(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// There may be more: others come first.
    More,
    All,
    Gone,
}

/// In bytes: what is read at once, and how often before others come first.
pub const READ: usize = 16 * 1024;
const READS: usize = 4;
/// In bytes: answers that nobody takes.
const MAX_OUTPUT: usize = 64 * 1024;
/// Policy requests that wait on one connection. Postfix sends one at a time.
const MAX_QUEUE: usize = 64;

impl Connection {
    pub fn new(stream: Stream, serial: u64, side: Side, now: Instant) -> Self {
        Self {
            stream,
            serial,
            side,
            used: now,
            ended: false,
            busy: 0,
            input: Vec::new(),
            output: Vec::new(),
        }
    }

    /// Reads what there is, and adds what it asks for. Less than was asked for is
    /// all there is, unless the other side has `closed`: then the end is next.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        closed: bool,
        now: Instant,
        asked: &mut Vec<Asked>,
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
                Err(_) => return Received::Gone,
            };
            let go_on = self.lines(&buffer[..read], now, asked);
            // There may have been a password in it.
            buffer[..read].zeroize();
            if !go_on {
                return Received::All;
            }
            if read < buffer.len() && !closed {
                return Received::All;
            }
        }
        Received::More
    }

    fn lines(&mut self, mut bytes: &[u8], now: Instant, asked: &mut Vec<Asked>) -> bool {
        let longest = match self.side {
            Side::Auth(_) => auth::MAX_LINE,
            Side::Policy(_) => policy::MAX_LINE,
        };
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            if self.input.len() + line.len() > longest {
                asked.push(Asked::HangUp("a line is too long"));
                return false;
            }
            let go_on = if self.input.is_empty() {
                self.line(line, now, asked)
            } else {
                let mut whole = Vec::with_capacity(self.input.len() + line.len());
                whole.extend_from_slice(&self.input);
                whole.extend_from_slice(line);
                self.input.zeroize();
                self.input = Vec::new();
                let go_on = self.line(&whole, now, asked);
                whole.zeroize();
                go_on
            };
            if !go_on {
                return false;
            }
        }
        if self.input.len() + bytes.len() > longest {
            asked.push(Asked::HangUp("a line is too long"));
            return false;
        }
        if self.input.capacity() - self.input.len() < bytes.len() {
            // By hand: growing by itself it would leave a copy behind.
            let mut longer = Vec::with_capacity(2 * (self.input.len() + bytes.len()));
            longer.extend_from_slice(&self.input);
            self.input.zeroize();
            self.input = longer;
        }
        self.input.extend_from_slice(bytes);
        true
    }

    fn line(&mut self, line: &[u8], now: Instant, asked: &mut Vec<Asked>) -> bool {
        let next = match &mut self.side {
            Side::Auth(conversation) => match conversation.line(line, now) {
                Step::Nothing => return true,
                Step::HangUp(why) => Asked::HangUp(why),
                step => Asked::Auth(step),
            },
            Side::Policy(policy) => match policy.reader.line(line) {
                Ok(None) => return true,
                Ok(Some(_)) if policy.queue.len() >= MAX_QUEUE => {
                    Asked::HangUp("too many requests at the same time")
                }
                Ok(Some(request)) => {
                    policy.queue.push_back(request);
                    Asked::Policy
                }
                Err(why) => Asked::HangUp(why),
            },
        };
        let go_on = !matches!(next, Asked::HangUp(_));
        asked.push(next);
        go_on
    }

    /// In one write, unless the other side is slow. An error means that nothing
    /// more can be said.
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

    /// What could not be sent before.
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

    /// Whether it can be closed without harm. Postfix takes one that ends before
    /// its handshake does for a server that is not there, and gives up.
    pub const fn is_idle(&self) -> bool {
        let greeted = match &self.side {
            Side::Auth(conversation) => conversation.is_ready(),
            Side::Policy(_) => true,
        };
        self.busy == 0 && greeted
    }

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
