//! Who may come in: accepting connections, within bounds.

use std::io;
use std::time::Instant;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener as MioUnixListener};
use mio::{Interest, Registry, Token};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::connection::{Connection, Stream};
use super::server::HANDSHAKE;
use super::sockets::{Listener, Protocol, Socket, remove};
use crate::error::{Error, Result};

/// A socket that is listened on, beside the one it was made from: that one is
/// kept for a restart.
pub struct Open {
    listener: Listener,
    source: Source_,
    pub protocol: Protocol,
}

enum Source_ {
    Unix(MioUnixListener),
    Tcp(TcpListener),
}

/// Connections at most, where the system allows as many open files.
const CONNECTIONS: u64 = 16_384;
/// Files for other things: the store, pipes, the listeners.
const OTHER_FILES: u64 = 64;

impl Open {
    pub fn new(listener: Listener) -> Result<Self> {
        let failed = |e: io::Error| Error::Socket(format!("cannot listen: {e}"));
        let source = match &listener.socket {
            Socket::Unix(socket) => Source_::Unix(MioUnixListener::from_std(
                socket.try_clone().map_err(failed)?,
            )),
            Socket::Tcp(socket) => {
                Source_::Tcp(TcpListener::from_std(socket.try_clone().map_err(failed)?))
            }
        };
        Ok(Self {
            protocol: listener.protocol,
            listener,
            source,
        })
    }

    pub fn register(&mut self, registry: &Registry, token: Token) -> Result<()> {
        self.source()
            .register(registry, token, Interest::READABLE)
            .map_err(|e| Error::Socket(format!("cannot wait for connections: {e}")))
    }

    pub fn deregister(&mut self, registry: &Registry) {
        // It is not used any more, whatever comes of this.
        let _ = self.source().deregister(registry);
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.source {
            Source_::Unix(source) => source,
            Source_::Tcp(source) => source,
        }
    }

    pub fn accept(&self) -> io::Result<Stream> {
        match &self.source {
            Source_::Unix(source) => source.accept().map(|(stream, _)| Stream::Unix(stream)),
            Source_::Tcp(source) => source.accept().map(|(stream, _)| Stream::Tcp(stream)),
        }
    }

    pub fn name(&self) -> String {
        self.listener.name()
    }

    /// The socket itself, still listening.
    pub fn into_listener(self) -> Listener {
        self.listener
    }

    /// Closes it, and removes it if it is ours.
    pub fn close(self) {
        let Listener { socket, path, .. } = self.listener;
        drop(self.source);
        drop(socket);
        if let Some(path) = path {
            remove(&path);
        }
    }
}

/// How many connections there may be: as many as there may be open files.
pub fn most_connections() -> usize {
    let wanted = CONNECTIONS + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX).min(wanted);
    if limit.current.is_some_and(|current| current < most) {
        // Refused, it stays as it is.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(most),
                maximum: limit.maximum,
            },
        );
    }
    let now = getrlimit(Resource::Nofile).current.unwrap_or(wanted);
    usize::try_from(now.min(wanted).saturating_sub(OTHER_FILES))
        .unwrap_or(1)
        .max(1)
}

/// The one that was silent for longest, of those that wait for nothing: closing
/// it harms nobody, mail servers connect again. One that has just come in and
/// has not said who it is goes last.
pub fn idlest<'a>(
    connections: impl Iterator<Item = (usize, &'a Connection)>,
    now: Instant,
) -> Option<usize> {
    let waiting = |connection: &Connection| {
        !connection.is_idle() && now.duration_since(connection.used) < HANDSHAKE
    };
    connections
        .filter(|(_, connection)| connection.busy == 0)
        .min_by_key(|(_, connection)| (waiting(connection), connection.used))
        .map(|(number, _)| number)
}
