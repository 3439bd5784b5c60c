//! The sockets on which `serve` listens.

use std::io;
use std::path::PathBuf;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener as MioUnixListener};
use mio::{Interest, Registry, Token};

use super::connection::Stream;
use super::log::{Level, Log};
use super::socket_spec::SocketSpec;
use super::sockets::{Listener, Purpose, Socket, remove};
use crate::error::{Error, Result};

/// All sockets on which we listen.
pub struct Listeners {
    open: Vec<OpenListener>,
    /// The token of the first one.
    first: usize,
}

/// A socket on which we listen, beside the one it was made from: that one is kept for a
/// restart.
struct OpenListener {
    listener: Listener,
    source: ListenerSource,
    purpose: Purpose,
    /// Its file is missing, and that was logged.
    is_missed: bool,
}

enum ListenerSource {
    Unix(MioUnixListener),
    Tcp(TcpListener),
}

impl OpenListener {
    fn new(listener: Listener) -> Result<Self> {
        let failed = |e: io::Error| Error::Socket(format!("cannot listen: {e}"));
        let source = match &listener.socket {
            Socket::Unix(socket) => ListenerSource::Unix(MioUnixListener::from_std(
                socket.try_clone().map_err(failed)?,
            )),
            Socket::Tcp(socket) => {
                ListenerSource::Tcp(TcpListener::from_std(socket.try_clone().map_err(failed)?))
            }
        };
        Ok(Self {
            purpose: listener.purpose,
            listener,
            source,
            is_missed: false,
        })
    }

    fn register(&mut self, registry: &Registry, token: Token) -> Result<()> {
        self.source()
            .register(registry, token, Interest::READABLE)
            .map_err(|e| Error::Socket(format!("cannot wait for connections: {e}")))
    }

    fn deregister(&mut self, registry: &Registry) {
        // It is not used again if this fails.
        let _ = self.source().deregister(registry);
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.source {
            ListenerSource::Unix(source) => source,
            ListenerSource::Tcp(source) => source,
        }
    }

    fn accept(&self) -> io::Result<Stream> {
        match &self.source {
            ListenerSource::Unix(source) => source.accept().map(|(stream, _)| Stream::Unix(stream)),
            ListenerSource::Tcp(source) => source.accept().map(|(stream, _)| Stream::Tcp(stream)),
        }
    }

    fn name(&self) -> String {
        self.listener.name()
    }

    /// See [`Listener::removed`].
    fn removed(&self) -> Option<(PathBuf, Option<SocketSpec>)> {
        self.listener.removed()
    }

    /// The socket itself, still listening.
    fn into_listener(self) -> Listener {
        self.listener
    }

    /// The unit of its socket, as `dist/systemd` names it.
    fn unit(&self) -> String {
        format!("smtpcred-{}.socket", self.purpose.name())
    }

    /// Closes it, and removes it if it is ours.
    fn close(self) {
        let Listener { socket, path, .. } = self.listener;
        drop(self.source);
        drop(socket);
        if let Some(path) = path {
            remove(&path);
        }
    }
}

impl Listeners {
    /// Listens on these, with the tokens from `first` on.
    pub fn open(listeners: Vec<Listener>, registry: &Registry, first: usize) -> Result<Self> {
        let mut open = Vec::new();
        for (i, listener) in listeners.into_iter().enumerate() {
            let mut one = OpenListener::new(listener)?;
            one.register(registry, Token(first + i))?;
            open.push(one);
        }
        Ok(Self { open, first })
    }

    /// Returns the number of sockets.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Returns where we listen, for the log.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.open.iter().map(OpenListener::name).collect();
        names.join(" ")
    }

    /// Accepts a connection of the listener with this number.
    pub fn accept(&self, i: usize) -> io::Result<(Stream, Purpose)> {
        let listener = &self.open[i];
        Ok((listener.accept()?, listener.purpose))
    }

    /// Accepts no more; the sockets stay open, and clients wait in their queues.
    pub fn deregister(&mut self, registry: &Registry) {
        for listener in &mut self.open {
            listener.deregister(registry);
        }
    }

    /// Returns the sockets, still listening, for the program that replaces this one.
    pub fn into_listeners(self) -> Vec<Listener> {
        let open = self.open.into_iter();
        open.map(OpenListener::into_listener).collect()
    }

    /// Closes the sockets and removes the files of our own ones.
    pub fn close(self) {
        for listener in self.open {
            listener.close();
        }
    }

    /// Binds our own sockets again if their files were removed. Returns the connections
    /// that the old sockets had not accepted yet.
    pub fn rebind_removed(&mut self, registry: &Registry, log: &Log) -> Vec<(Stream, Purpose)> {
        let mut waiting = Vec::new();
        for i in 0..self.open.len() {
            let Some((path, spec)) = self.open[i].removed() else {
                self.open[i].is_missed = false;
                continue;
            };
            let missed = self.open[i].is_missed;
            let bound = match spec {
                Some(spec) => self
                    .bind_again(i, &spec, registry, &mut waiting)
                    .map_err(|error| error.to_string()),
                None => Err(format!("run systemctl restart {}", self.open[i].unit())),
            };
            self.open[i].is_missed = bound.is_err();
            let path = path.display();
            match bound {
                Ok(()) => log.say(
                    Level::Warning,
                    format!("the socket {path} was removed, and is bound again"),
                ),
                Err(why) if !missed => log.say(
                    Level::Error,
                    format!(
                        "the socket {path} was removed, and this program cannot bind it again: {why}"
                    ),
                ),
                Err(_) => {}
            }
        }
        waiting
    }

    fn bind_again(
        &mut self,
        i: usize,
        spec: &SocketSpec,
        registry: &Registry,
        waiting: &mut Vec<(Stream, Purpose)>,
    ) -> Result<()> {
        let mut open = OpenListener::new(Listener::bind(self.open[i].purpose, spec)?)?;
        while let Ok(accepted) = self.accept(i) {
            waiting.push(accepted);
        }
        self.open[i].deregister(registry);
        open.register(registry, Token(self.first + i))?;
        self.open[i] = open;
        Ok(())
    }
}
