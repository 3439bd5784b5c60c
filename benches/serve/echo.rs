//! A server on the same kind of loop as `serve` that answers every sign-in with a yes and
//! decides nothing: the limit of what `serve` can reach.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use mio::net::{UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Token};

use crate::peers::Running;

/// This program again, as that server: the socket follows.
pub const SERVER: &str = "echo-server";

const LISTENER: Token = Token(usize::MAX);
const GREETING: &[u8] =
    b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t0\nDONE\n";

pub struct Echo {
    /// Ends the server when dropped.
    _running: Running,
    pub socket: PathBuf,
}

impl Echo {
    pub fn start(folder: &Path) -> Self {
        let socket = folder.join("echo");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(SERVER).arg(&socket);
        let ready = || socket.exists();
        let running = Running::start(&mut command, folder.join("echo.log"), ready);
        Self {
            _running: running,
            socket,
        }
    }
}

struct Client {
    stream: UnixStream,
    /// The begin of a line.
    part: Vec<u8>,
}

/// That server; it runs until it is ended.
pub fn serve() {
    let mut args = std::env::args().skip_while(|arg| arg != SERVER).skip(1);
    let socket = args.next().expect("a socket");
    let mut listener = UnixListener::bind(socket).expect("a socket");
    let mut poll = Poll::new().expect("epoll");
    let registry = poll.registry().try_clone().expect("epoll");
    registry
        .register(&mut listener, LISTENER, Interest::READABLE)
        .expect("epoll");
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut events = Events::with_capacity(1024);
    let (mut buffer, mut answers) = (vec![0; 16 * 1024], Vec::new());
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => panic!("epoll: {error}"),
            _ => {}
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.write_all(GREETING).expect("it reads");
                    registry
                        .register(&mut stream, Token(clients.len()), Interest::READABLE)
                        .expect("epoll");
                    let part = Vec::new();
                    clients.push(Some(Client { stream, part }));
                }
                continue;
            }
            let slot = &mut clients[event.token().0];
            let Some(client) = slot else { continue };
            match client.stream.read(&mut buffer) {
                Ok(0) => *slot = None,
                Ok(read) => {
                    client.part.extend_from_slice(&buffer[..read]);
                    answers.clear();
                    client.answer(&mut answers);
                    // The load generator may have left.
                    let _ = client.stream.write_all(&answers);
                }
                Err(_) => {}
            }
        }
    }
}

impl Client {
    /// Answers each `AUTH\tID\t…` of what was received.
    fn answer(&mut self, answers: &mut Vec<u8>) {
        let mut done = 0;
        while let Some(length) = self.part[done..].iter().position(|byte| *byte == b'\n') {
            let line = &self.part[done..done + length];
            let mut words = line.split(|byte| *byte == b'\t');
            if words.next() == Some(b"AUTH") {
                answers.extend_from_slice(b"OK\t");
                answers.extend_from_slice(words.next().unwrap_or_default());
                answers.extend_from_slice(b"\tuser=app@example.com\n");
            }
            done += length + 1;
        }
        self.part.drain(..done);
    }
}
