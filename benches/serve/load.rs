//! Asks over many connections from one thread. Each connection has so many
//! requests outstanding: the next goes out when an answer is there.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream as Blocking;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Token};

/// Connections that ask alike.
pub struct Set<'a> {
    pub socket: &'a Path,
    pub protocol: Protocol,
    pub connections: usize,
    /// Requests on each connection that wait for their answer.
    pub outstanding: usize,
    /// How every answer has to begin.
    pub good: &'static str,
    /// Writes the next request, or says that there is none.
    pub source: &'a mut dyn FnMut(Turn, &mut Vec<u8>) -> bool,
}

/// Which request of which connection of its set; the first is 1.
#[derive(Clone, Copy)]
pub struct Turn {
    pub connection: usize,
    pub number: u32,
}

#[derive(Clone, Copy)]
pub enum Protocol {
    /// <https://doc.dovecot.org/2.3/developer_manual/design/auth_protocol/>
    Auth,
    /// <https://www.postfix.org/SMTPD_POLICY_README.html>
    Policy,
}

impl Protocol {
    const fn end(self) -> &'static [u8] {
        match self {
            Self::Auth => b"\n",
            Self::Policy => b"\n\n",
        }
    }

    /// A connection whose handshake, if it has one, is done.
    pub fn connect(self, socket: &Path) -> Blocking {
        /// Dovecot wants each client to have a process of its own.
        static CLIENT: AtomicU32 = AtomicU32::new(1);
        let mut stream = Blocking::connect(socket).expect("somebody listens");
        if let Self::Auth = self {
            let client = CLIENT.fetch_add(1, Ordering::Relaxed);
            let hello = format!("VERSION\t1\t2\nCPID\t{client}\n");
            stream.write_all(hello.as_bytes()).expect("it reads");
            let (mut greeting, mut part) = (Vec::new(), [0; 1024]);
            while !greeting.ends_with(b"\nDONE\n") {
                let read = stream.read(&mut part).expect("a greeting");
                assert!(read > 0, "closed instead of a greeting");
                greeting.extend_from_slice(&part[..read]);
            }
        }
        stream
    }
}

/// How many answers a second each set got, once it was under way.
pub fn rates(sets: &mut [Set], warm_up: Duration, window: Duration) -> Vec<f64> {
    let mut load = Load::begun(sets);
    load.go_on_for(warm_up);
    let before = load.answers.clone();
    let start = Instant::now();
    load.go_on_for(window);
    let seconds = start.elapsed().as_secs_f64();
    let counts = load
        .answers
        .iter()
        .zip(before)
        .map(|(now, then)| now - then);
    let rates = counts.map(|count| f64::from(count) / seconds).collect();
    load.finish();
    rates
}

/// Asks until the source has no more; every answer has to be good. How many
/// there were.
pub fn all(set: Set) -> u32 {
    let mut sets = [set];
    let mut load = Load::begun(&mut sets);
    load.finish_when_dry();
    load.answers[0]
}

struct Load<'s, 'a> {
    sets: &'s mut [Set<'a>],
    talks: Vec<Talk>,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    request: Vec<u8>,
    /// Of each set.
    answers: Vec<u32>,
    /// Of all sets.
    outstanding: usize,
    asking: bool,
}

struct Talk {
    set: usize,
    connection: usize,
    /// Of its last request.
    number: u32,
    stream: UnixStream,
    /// The begin of an answer.
    part: Vec<u8>,
}

impl<'s, 'a> Load<'s, 'a> {
    fn begun(sets: &'s mut [Set<'a>]) -> Self {
        let poll = Poll::new().expect("epoll");
        let mut talks = Vec::new();
        for (at, set) in sets.iter().enumerate() {
            for connection in 0..set.connections {
                let stream = set.protocol.connect(set.socket);
                stream.set_nonblocking(true).expect("a socket");
                let mut stream = UnixStream::from_std(stream);
                poll.registry()
                    .register(&mut stream, Token(talks.len()), Interest::READABLE)
                    .expect("epoll");
                talks.push(Talk {
                    set: at,
                    connection,
                    number: 0,
                    stream,
                    part: Vec::new(),
                });
            }
        }
        let mut load = Self {
            answers: vec![0; sets.len()],
            sets,
            talks,
            poll,
            events: Events::with_capacity(1024),
            buffer: vec![0; 16 * 1024],
            request: Vec::new(),
            outstanding: 0,
            asking: true,
        };
        for talk in 0..load.talks.len() {
            load.ask(talk, load.sets[load.talks[talk].set].outstanding);
        }
        load
    }

    fn go_on_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.turn(left);
        }
    }

    /// No more requests; waits for the answers that are due. A server that is
    /// left in the middle may be slow in the next round.
    fn finish(mut self) {
        self.asking = false;
        self.finish_when_dry();
    }

    fn finish_when_dry(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(30);
        let mut last = Instant::now();
        while self.outstanding > 0 {
            let before = self.outstanding;
            self.turn(PATIENCE);
            if self.outstanding < before || self.asking {
                last = Instant::now();
            }
            assert!(last.elapsed() < PATIENCE, "an answer never came");
        }
    }

    /// Waits for answers, once, and asks anew for each.
    fn turn(&mut self, patience: Duration) {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        match self.poll.poll(&mut events, Some(patience)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => panic!("epoll: {error}"),
            _ => {}
        }
        for event in &events {
            self.read(event.token().0);
        }
        self.events = events;
    }

    fn read(&mut self, at: usize) {
        loop {
            let read = match self.talks[at].stream.read(&mut self.buffer) {
                Ok(0) => {
                    let socket = self.sets[self.talks[at].set].socket.display();
                    panic!("the server of {socket} closed a connection")
                }
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("a connection broke: {error}"),
            };
            let talk = &mut self.talks[at];
            talk.part.extend_from_slice(&self.buffer[..read]);
            let set = &self.sets[talk.set];
            let (mut answers, mut done) = (0, 0);
            let end = set.protocol.end();
            let next = |rest: &[u8]| rest.windows(end.len()).position(|part| part == end);
            while let Some(length) = next(&talk.part[done..]) {
                let answer = &talk.part[done..done + length];
                let head = answer.get(..set.good.len()).unwrap_or_default();
                assert!(
                    head.eq_ignore_ascii_case(set.good.as_bytes()),
                    "not {:?}: {}",
                    set.good,
                    String::from_utf8_lossy(answer)
                );
                done += length + end.len();
                answers += 1;
            }
            talk.part.drain(..done);
            self.answers[talk.set] += u32::try_from(answers).expect("few");
            self.outstanding -= answers;
            self.ask(at, answers);
            // It had no more; what comes now is announced.
            if read < self.buffer.len() {
                return;
            }
        }
    }

    fn ask(&mut self, at: usize, requests: usize) {
        let talk = &mut self.talks[at];
        self.request.clear();
        for _ in 0..requests {
            let turn = Turn {
                connection: talk.connection,
                number: talk.number + 1,
            };
            let more = self.asking && (self.sets[talk.set].source)(turn, &mut self.request);
            if !more {
                break;
            }
            talk.number += 1;
            self.outstanding += 1;
        }
        if !self.request.is_empty() {
            // Far below what a socket takes: nobody has to wait.
            talk.stream.write_all(&self.request).expect("it reads");
        }
    }
}
