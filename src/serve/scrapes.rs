//! The connections of those who scrape metrics: one request each, then an answer, then the end.
//! They are few and bounded in every way, so that none of them delays a sign-in.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::connection::Stream;
use crate::protocol::http::{HttpRequest, HttpStatus, HttpStep, MAX_REQUEST, read};

/// The connections, by their number.
#[derive(Default)]
pub struct Scrapes {
    clients: [Option<Client>; MOST],
    /// How many there were.
    serial: u64,
}

struct Client {
    stream: Stream,
    serial: u64,
    state: State,
    /// It is closed then.
    until: Instant,
}

enum State {
    /// What it has sent so far.
    Asking(Vec<u8>),
    /// It gets metrics, in this form; they are waited for until then.
    Waiting { open: bool, until: Instant },
    /// It gets this, of which so much is sent.
    Answering(Rc<str>, usize),
    /// It has got its answer. What it still sends is thrown away, so that the answer arrives.
    Ending,
}

/// The most connections. The oldest one makes room for the next.
pub const MOST: usize = 16;
/// How long a client has for its request, for reading the answer, and to hang up.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client waits for the store.
const STORE: Duration = Duration::from_secs(2);
/// How many reads and writes before others come first.
const STEPS: usize = 64;

impl Scrapes {
    /// Returns the number that the next connection gets, after the oldest one made room.
    pub fn make_room(&mut self) -> usize {
        let free = self.clients.iter().position(Option::is_none);
        free.unwrap_or_else(|| {
            let serial = |client: &Option<Client>| client.as_ref().map(|client| client.serial);
            let all = (0..MOST).min_by_key(|number| serial(&self.clients[*number]));
            let oldest = all.unwrap_or_default();
            self.clients[oldest] = None;
            oldest
        })
    }

    /// Adds a connection under a number that has room.
    pub fn connected(&mut self, number: usize, stream: Stream, now: Instant) {
        self.serial += 1;
        if let Some(client) = self.clients.get_mut(number) {
            *client = Some(Client {
                stream,
                serial: self.serial,
                state: State::Asking(Vec::new()),
                until: now + PATIENCE,
            });
        }
    }

    /// Reads and sends as much as there is and fits. `is_well` is whether the store can be read.
    pub fn ready(&mut self, number: usize, is_well: bool, now: Instant) {
        let Some(client) = self.clients.get_mut(number) else {
            return;
        };
        let is_open = client.as_mut().is_some_and(|one| one.go_on(is_well, now));
        if !is_open {
            *client = None;
        }
    }

    /// Closes those whose time is over. Returns whether there are any left.
    pub fn expire(&mut self, now: Instant) -> bool {
        for client in &mut self.clients {
            client.take_if(|client| client.until <= now);
        }
        self.clients.iter().any(Option::is_some)
    }

    /// Returns whether anyone waits for metrics, and whether someone cannot wait any longer.
    pub fn waiting(&self, now: Instant) -> Option<bool> {
        let waiting = self.clients.iter().flatten();
        let ends = waiting.filter_map(|client| match client.state {
            State::Waiting { until, .. } => Some(until),
            _ => None,
        });
        ends.min().map(|until| until <= now)
    }

    /// Answers all who wait, with the metrics in the newer and in the older format.
    pub fn answer(&mut self, now: Instant, mut metrics: impl FnMut(bool) -> Rc<str>) {
        for number in 0..MOST {
            let client = self.clients[number].as_mut();
            let Some(client) = client else { continue };
            if let State::Waiting { open, .. } = client.state {
                client.answer(metrics(open), now);
                self.ready(number, true, now);
            }
        }
    }
}

impl Client {
    fn answer(&mut self, text: Rc<str>, now: Instant) {
        self.state = State::Answering(text, 0);
        self.until = now + PATIENCE;
    }

    /// Returns whether the connection stays open.
    fn go_on(&mut self, is_well: bool, now: Instant) -> bool {
        let mut buffer = [0; MAX_REQUEST];
        for _ in 0..STEPS {
            let done = match &mut self.state {
                State::Answering(text, sent) => {
                    let rest = text.as_bytes().get(*sent..).unwrap_or_default();
                    if rest.is_empty() {
                        self.end(now);
                        continue;
                    }
                    self.stream.write(rest).inspect(|written| *sent += written)
                }
                State::Asking(_) | State::Waiting { .. } | State::Ending => {
                    self.stream.read(&mut buffer)
                }
            };
            match done {
                // Its end. One that waits has only closed its own side.
                Ok(0) => return matches!(self.state, State::Waiting { .. }),
                Ok(length) => self.received(&buffer[..length], is_well, now),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        // A client that sends so much after its request is not waited for.
        !matches!(self.state, State::Ending)
    }

    fn received(&mut self, bytes: &[u8], is_well: bool, now: Instant) {
        let State::Asking(so_far) = &mut self.state else {
            return;
        };
        let room = MAX_REQUEST.saturating_sub(so_far.len());
        so_far.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let status = match read(so_far) {
            HttpStep::More => return,
            HttpStep::Request(HttpRequest::Metrics { open }) => {
                let until = now + STORE;
                self.state = State::Waiting { open, until };
                self.until = now + PATIENCE;
                return;
            }
            HttpStep::Request(HttpRequest::Health) if is_well => HttpStatus::Ok,
            HttpStep::Request(HttpRequest::Health) => HttpStatus::Unavailable,
            HttpStep::Refuse(status) => status,
        };
        self.answer(status.answer().into(), now);
    }

    /// Says that there is no more to come.
    fn end(&mut self, now: Instant) {
        let ended = match &self.stream {
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
        };
        self.state = State::Ending;
        self.until = if ended.is_ok() { now + PATIENCE } else { now };
    }
}
