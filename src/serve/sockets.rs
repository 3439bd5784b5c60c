//! Listening: on sockets of our own, on those a service manager passed on, and
//! on those we passed on to ourselves (see `restart`).

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use listenfd::ListenFd;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{Backlog, listen};
use nix::unistd::{Group, User};

use crate::error::{Error, Result};
use crate::model::text::invalid;

/// What is spoken on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Auth,
    Policy,
}

/// A socket, and who may use it: `PATH[,mode=0660][,owner=NAME][,group=NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketSpec {
    pub path: PathBuf,
    mode: u32,
    owner: Option<String>,
    group: Option<String>,
}

pub struct Listener {
    pub protocol: Protocol,
    pub socket: Socket,
    /// Ours to remove.
    pub path: Option<PathBuf>,
}

pub enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// Postfix connects without waiting, and a full backlog is fatal to it.
const BACKLOG: i32 = 4096;
const MODE: u32 = 0o660;

impl FromStr for SocketSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const RULE: &str = "a path, and if need be ,mode=0660 ,owner=NAME ,group=NAME after it";
        let wrong = || invalid("socket", text, RULE);
        let mut parts = text.split(',');
        let path = parts
            .next()
            .filter(|path| !path.is_empty())
            .ok_or_else(wrong)?;
        let mut spec = Self {
            path: path.into(),
            mode: MODE,
            owner: None,
            group: None,
        };
        for part in parts {
            match part.split_once('=') {
                Some(("mode", mode)) => {
                    spec.mode = u32::from_str_radix(mode, 8)
                        .ok()
                        .filter(|mode| *mode <= 0o777)
                        .ok_or_else(wrong)?;
                }
                Some(("owner", name)) => spec.owner = Some(name.to_owned()),
                Some(("group", name)) => spec.group = Some(name.to_owned()),
                _ => return Err(wrong()),
            }
        }
        Ok(spec)
    }
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
    /// Beside its path and then renamed over it, so that nobody finds it
    /// missing, or with other rights than it is to have.
    pub fn bind(protocol: Protocol, spec: &SocketSpec) -> Result<Self> {
        let path = std::path::absolute(&spec.path).map_err(|e| cannot(&spec.path, &e))?;
        let failed = |e: io::Error| cannot(&path, &e);
        match fs::symlink_metadata(&path) {
            Ok(found) if !is_socket(&found) => {
                return Err(Error::Socket(format!(
                    "{} exists and is no socket",
                    path.display()
                )));
            }
            Ok(_) if UnixStream::connect(&path).is_ok() => {
                return Err(Error::Socket(format!(
                    "somebody answers on {} already",
                    path.display()
                )));
            }
            _ => {}
        }
        let mut beside = path.clone().into_os_string();
        beside.push(bound_suffix());
        let beside = PathBuf::from(beside);
        let socket = UnixListener::bind(&beside).map_err(failed)?;
        let ready = spec
            .set_rights(&beside)
            .and_then(|()| fs::rename(&beside, &path).map_err(failed));
        if let Err(error) = ready {
            let _ = fs::remove_file(&beside);
            return Err(error);
        }
        Self::new(protocol, Socket::Unix(socket), Some(path))
    }

    /// Only for this machine: what is spoken there is not encrypted.
    pub fn bind_tcp(protocol: Protocol, address: SocketAddr) -> Result<Self> {
        if !address.ip().is_loopback() {
            return Err(Error::Usage(format!(
                "{address} is not on the loopback interface; the protocol has neither passwords nor encryption"
            )));
        }
        let socket = TcpListener::bind(address)
            .map_err(|e| Error::Socket(format!("cannot listen on {address}: {e}")))?;
        Self::new(protocol, Socket::Tcp(socket), None)
    }

    /// What was passed on to this process, by its names.
    /// <https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html>
    pub fn inherited() -> Result<Vec<Self>> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<_> = names.split(':').collect();
        let mut passed = ListenFd::from_env();
        let mut listeners = Vec::new();
        for i in 0..passed.len() {
            let name = names.get(i).copied().unwrap_or_default();
            let protocol = match name {
                "auth" => Protocol::Auth,
                "policy" => Protocol::Policy,
                _ => {
                    return Err(Error::Socket(format!(
                        "a socket was passed on as '{name}'; FileDescriptorName= has to be auth or policy"
                    )));
                }
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
            listeners.push(Self::new(protocol, socket, path)?);
        }
        Ok(listeners)
    }

    fn new(protocol: Protocol, socket: Socket, path: Option<PathBuf>) -> Result<Self> {
        let failed = |e: io::Error| Error::Socket(format!("cannot listen: {e}"));
        let backlog = Backlog::new(BACKLOG).map_err(|e| failed(e.into()))?;
        listen(&socket, backlog).map_err(|e| failed(e.into()))?;
        match &socket {
            Socket::Unix(socket) => socket.set_nonblocking(true),
            Socket::Tcp(socket) => socket.set_nonblocking(true),
        }
        .map_err(failed)?;
        Ok(Self {
            protocol,
            socket,
            path,
        })
    }

    pub fn is_at(&self, path: &Path) -> bool {
        let path = std::path::absolute(path).ok();
        let bound = match &self.socket {
            Socket::Unix(socket) => bound_to(socket),
            Socket::Tcp(_) => None,
        };
        path.is_some() && (path == self.path || path == bound)
    }

    pub fn is_on(&self, address: SocketAddr) -> bool {
        match &self.socket {
            Socket::Unix(_) => false,
            Socket::Tcp(socket) => socket.local_addr().is_ok_and(|bound| bound == address),
        }
    }

    /// Where it listens.
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

impl SocketSpec {
    fn set_rights(&self, path: &Path) -> Result<()> {
        let no_such =
            |kind: &str, name: &str| Error::Socket(format!("there is no {kind} '{name}'"));
        let owner = self.owner.as_ref().map(|name| match User::from_name(name) {
            Ok(Some(user)) => Ok(user.uid.as_raw()),
            _ => Err(no_such("user", name)),
        });
        let group = self
            .group
            .as_ref()
            .map(|name| match Group::from_name(name) {
                Ok(Some(group)) => Ok(group.gid.as_raw()),
                _ => Err(no_such("group", name)),
            });
        let (owner, group) = (owner.transpose()?, group.transpose()?);
        if owner.is_some() || group.is_some() {
            chown(path, owner, group).map_err(|e| cannot(&self.path, &e))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(self.mode))
            .map_err(|e| cannot(&self.path, &e))
    }
}

/// What a socket of this process is bound to ends with this; then it is renamed.
fn bound_suffix() -> String {
    format!(".{}", std::process::id())
}

fn bound_to(socket: &UnixListener) -> Option<PathBuf> {
    Some(socket.local_addr().ok()?.as_pathname()?.to_owned())
}

/// The path of a socket that this process made before it was run anew.
fn own_path(socket: &Socket) -> Option<PathBuf> {
    let Socket::Unix(socket) = socket else {
        return None;
    };
    let bound = bound_to(socket)?;
    Some(bound.to_str()?.strip_suffix(&bound_suffix())?.into())
}

/// Removes a socket that is closed, unless another process has put its own
/// there.
pub fn remove(path: &Path) {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| is_socket(&found));
    if is_socket && UnixStream::connect(path).is_err() {
        let _ = fs::remove_file(path);
    }
}

fn is_socket(found: &fs::Metadata) -> bool {
    const TYPE: u32 = 0o170_000;
    const SOCKET: u32 = 0o140_000;
    found.mode() & TYPE == SOCKET
}

fn cannot(path: &Path, error: &io::Error) -> Error {
    Error::Socket(format!("cannot listen on {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_paths_with_rights() {
        let spec: SocketSpec = "/run/x,mode=0666,group=postfix".parse().unwrap();
        assert_eq!((spec.mode, spec.group.as_deref()), (0o666, Some("postfix")));
        for bad in [
            "",
            ",mode=0660",
            "/x,mode=999",
            "/x,mode=7777",
            "/x,user=a",
            "/x,",
        ] {
            assert!(bad.parse::<SocketSpec>().is_err(), "{bad:?}");
        }
    }
}
