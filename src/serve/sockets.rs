//! The sockets that serve listens on: its own, those that a service manager passed on, and
//! those inherited over a restart (see `restart`).

use std::ffi::OsStr;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{Backlog, listen};
use nix::sys::stat::{Mode, umask};
use nix::unistd::geteuid;

use super::socket_files::{file_id, is_free};
use super::socket_spec::SocketSpec;
use crate::error::{Error, Result};
use crate::files::{self, Folder};

/// What is spoken on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Auth,
    Policy,
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Mail servers.
    Mail(Protocol),
    /// Those who scrape metrics.
    Metrics,
}

impl Purpose {
    const ALL: [Self; 3] = [
        Self::Mail(Protocol::Auth),
        Self::Mail(Protocol::Policy),
        Self::Metrics,
    ];

    /// Returns the name under which a socket is passed on.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mail(Protocol::Auth) => "auth",
            Self::Mail(Protocol::Policy) => "policy",
            Self::Metrics => "metrics",
        }
    }
}

/// A socket that accepts connections.
pub struct Listener {
    pub purpose: Purpose,
    pub socket: Socket,
    /// Ours to remove.
    pub path: Option<PathBuf>,
    /// Device and inode of the socket's file.
    pub(super) file: Option<(u64, u64)>,
    /// How to bind it again.
    pub(super) spec: Option<SocketSpec>,
}

/// The kinds of sockets.
pub enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(socket) => socket.as_fd(),
            Self::Tcp(socket) => socket.as_fd(),
        }
    }
}

impl Listener {
    /// Binds a socket beside its path and renames it over the path, so that it is
    /// never missing and never has the wrong permissions.
    pub fn bind(purpose: Purpose, spec: &SocketSpec) -> Result<Self> {
        let failed = |e: io::Error| cannot(&spec.path, &e);
        let path = std::path::absolute(&spec.path).map_err(failed)?;
        let (folder, name) = Folder::of(&path).map_err(failed)?;
        folder.refuse_exchanged().map_err(failed)?;
        // A socket is bound to a path, not to a descriptor.
        if let Some(at) = folder.exchangeable_at().filter(|at| *at != folder.path())
            && geteuid().is_root()
        {
            return Err(Error::Socket(format!(
                "cannot listen on {} as root: other users can write {}; run serve as its owner",
                path.display(),
                at.display()
            )));
        }
        match folder.find(&name).map_err(failed)? {
            Some(found) if !files::is_socket(&found) => {
                return Err(Error::Socket(format!(
                    "{} exists and is not a socket",
                    path.display()
                )));
            }
            Some(_) if answers(&folder, &name) => {
                return Err(Error::Socket(format!(
                    "another process already answers on {}",
                    path.display()
                )));
            }
            _ => is_free(&path)?,
        }
        let suffixed = |path: &OsStr| {
            let mut path = path.to_owned();
            path.push(bound_suffix());
            path
        };
        let beside = suffixed(&name);
        let rights = spec.rights()?;
        let socket = {
            let _mask = UmaskHeld::set(!spec.mode);
            UnixListener::bind(suffixed(path.as_os_str())).map_err(failed)?
        };
        let ready = rights
            .give(&folder, &beside)
            .and_then(|()| folder.rename(&beside, &name));
        if let Err(error) = ready {
            let _ = folder.remove(&beside);
            return Err(failed(error));
        }
        let listener = Self::new(purpose, Socket::Unix(socket), Some(path))?;
        Ok(listener.by(spec))
    }

    /// Sets how to bind it again, if it is our own.
    pub fn by(mut self, spec: &SocketSpec) -> Self {
        self.spec = self.path.is_some().then(|| spec.clone());
        self
    }

    /// Binds a port. What is spoken there is not encrypted: see [`Self::check_is_local`].
    pub fn bind_tcp(purpose: Purpose, address: SocketAddr) -> Result<Self> {
        let socket = TcpListener::bind(address)
            .map_err(|e| Error::Socket(format!("cannot listen on {address}: {e}")))?;
        Self::new(purpose, Socket::Tcp(socket), None)
    }

    /// Fails for an address that other machines can connect to.
    pub fn check_is_local(address: SocketAddr, unless: &str) -> Result<()> {
        if address.ip().is_loopback() {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "{address} is not on the loopback interface; {unless}"
        )))
    }

    /// Returns the sockets that were passed on to this process, by their names.
    /// <https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html>
    pub fn inherited() -> Result<Vec<Self>> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<_> = names.split(':').collect();
        let mut passed = ListenFd::from_env();
        let mut listeners = Vec::new();
        for i in 0..passed.len() {
            let name = names.get(i).copied().unwrap_or_default();
            let Some(purpose) = Purpose::ALL.into_iter().find(|one| one.name() == name) else {
                return Err(Error::Socket(format!(
                    "a socket was passed on as '{name}'; FileDescriptorName= has to be auth, policy \
                     or metrics"
                )));
            };
            let failed =
                |e: io::Error| Error::Socket(format!("a socket passed on is of no use: {e}"));
            // Asked for the wrong kind, it is left where it is.
            let unix = passed
                .take_unix_listener(i)
                .ok()
                .flatten()
                .map(Socket::Unix);
            let socket = match unix {
                Some(socket) => Some(socket),
                None => passed
                    .take_tcp_listener(i)
                    .map_err(failed)?
                    .map(Socket::Tcp),
            };
            let Some(socket) = socket else {
                continue;
            };
            fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|e| failed(e.into()))?;
            let path = own_path(&socket);
            listeners.push(Self::new(purpose, socket, path)?);
        }
        Ok(listeners)
    }

    fn new(purpose: Purpose, socket: Socket, path: Option<PathBuf>) -> Result<Self> {
        let failed = |e: io::Error| Error::Socket(format!("cannot listen: {e}"));
        // Postfix connects without waiting, and a full backlog is fatal to it.
        listen(&socket, Backlog::MAXALLOWABLE).map_err(|e| failed(e.into()))?;
        match &socket {
            Socket::Unix(socket) => socket.set_nonblocking(true),
            Socket::Tcp(socket) => socket.set_nonblocking(true),
        }
        .map_err(failed)?;
        let mut listener = Self {
            purpose,
            socket,
            path,
            file: None,
            spec: None,
        };
        listener.file = listener.named_path().as_deref().and_then(file_id);
        Ok(listener)
    }

    /// Returns whether it is the socket of this path.
    pub fn is_at(&self, path: &Path) -> bool {
        let path = std::path::absolute(path).ok();
        let bound = match &self.socket {
            Socket::Unix(socket) => bound_to(socket),
            Socket::Tcp(_) => None,
        };
        path.is_some() && (path == self.path || path == bound)
    }

    /// Returns whether it is the socket of this address.
    pub fn is_on(&self, address: SocketAddr) -> bool {
        match &self.socket {
            Socket::Unix(_) => false,
            Socket::Tcp(socket) => socket.local_addr().is_ok_and(|bound| bound == address),
        }
    }

    /// Returns where it listens, for messages.
    pub fn name(&self) -> String {
        match &self.socket {
            Socket::Unix(socket) => self
                .path
                .clone()
                .or_else(|| bound_to(socket))
                .map_or_else(|| "a socket".into(), |path| path.display().to_string()),
            Socket::Tcp(socket) => socket
                .local_addr()
                .map_or_else(|_| "a port".into(), |address| address.to_string()),
        }
    }
}

/// A new socket gets all permissions that the umask leaves.
struct UmaskHeld(Mode);

impl UmaskHeld {
    fn set(mask: u32) -> Self {
        Self(umask(Mode::from_bits_truncate(mask & 0o777)))
    }
}

impl Drop for UmaskHeld {
    fn drop(&mut self) {
        umask(self.0);
    }
}

/// Returns whether a process listens on the socket of this name.
fn answers(folder: &Folder, name: &OsStr) -> bool {
    let socket = folder.handle(name);
    socket.is_ok_and(|socket| UnixStream::connect(files::descriptor_path(&socket)).is_ok())
}

/// What a socket of this process is bound to ends with this; then it is renamed.
fn bound_suffix() -> String {
    format!(".{}", std::process::id())
}

/// Returns the path that a socket was bound to; `None` if it has none.
pub fn bound_to(socket: &UnixListener) -> Option<PathBuf> {
    Some(socket.local_addr().ok()?.as_pathname()?.to_owned())
}

/// Returns the path of a socket that this process made before a restart.
fn own_path(socket: &Socket) -> Option<PathBuf> {
    let Socket::Unix(socket) = socket else {
        return None;
    };
    let bound = bound_to(socket)?;
    Some(bound.to_str()?.strip_suffix(&bound_suffix())?.into())
}

/// Removes a closed socket, unless another process has put its own there.
pub fn remove(path: &Path) {
    let Ok((folder, name)) = Folder::of(path) else {
        return;
    };
    let is_socket = || {
        folder
            .find(&name)
            .ok()
            .flatten()
            .is_some_and(|found| files::is_socket(&found))
    };
    if is_socket() && !answers(&folder, &name) {
        let _ = folder.remove(&name);
    }
}

fn cannot(path: &Path, error: &io::Error) -> Error {
    Error::Socket(format!("cannot listen on {}: {error}", path.display()))
}
