//! The sockets of `smtpcred serve`, and asking on them as a mail server does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fmt, fs};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use super::access::Who;
use super::findings::Area;
use super::{Options, Servers};
use crate::protocol::auth::Greeting;
use crate::protocol::policy;

/// As a mail server names them.
#[derive(Clone, Debug)]
pub struct Sockets {
    pub auth: String,
    pub policy: String,
}

/// Where somebody listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Unix(PathBuf),
    /// `127.0.0.1:10040`
    Inet(String),
}

/// Those where serve is expected.
#[derive(Debug, Default)]
pub struct Known {
    pub auth: Vec<Endpoint>,
    pub policy: Vec<Endpoint>,
}

/// For an answer that costs nothing. Mail servers give up at 10 s.
const PATIENCE: Duration = Duration::from_secs(5);
/// In bytes; more is no answer.
const MOST: usize = 16 * 1024;

impl Endpoint {
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::Unix(path.into())
    }

    /// The same one, perhaps by another name.
    pub fn is(&self, other: &Self) -> bool {
        let id = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
        match (self, other) {
            (Self::Unix(one), Self::Unix(two)) => {
                one == two || id(one).is_some_and(|one| Some(one) == id(two))
            }
            _ => self == other,
        }
    }

    fn is_there(&self) -> bool {
        match self {
            Self::Unix(path) => fs::metadata(path).is_ok_and(|file| file.file_type().is_socket()),
            Self::Inet(_) => true,
        }
    }
}

impl Endpoint {
    /// May a mail server connect to it?
    pub fn judge_access(&self, area: &mut Area, name: &str, who: &Who, advice: &str) {
        let Self::Unix(path) = self else {
            return;
        };
        let check = format!("access to {name}");
        match who.kept_from_writing(path) {
            Ok(None) => area.ok(&check, &format!("{} may connect to {self}", who.name)),
            Ok(Some(closed)) => {
                let found = format!("{} may not connect: {closed}", who.name);
                area.fail(&check, &found, advice);
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                area.cannot_tell(&check, &format!("{self}: {error}"));
            }
            // It is not there: that was said where serve was examined.
            Err(_) => {}
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Inet(address) => f.write_str(address),
        }
    }
}

impl Known {
    /// As was said; or where they are by default, if they are there; or where the
    /// mail servers look for them.
    pub(super) fn find(options: &Options, servers: &Servers) -> Self {
        let configured = servers.sockets();
        let needed = servers.postfix.is_some() || servers.exim.is_some();
        let known = |given: &Option<PathBuf>, name: &str, configured: Vec<Endpoint>| {
            if let Some(path) = given {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                return vec![Endpoint::Unix(path)];
            }
            let defaults = ["/var/spool/postfix/smtpcred", "/run/smtpcred"]
                .map(|folder| Endpoint::unix(Path::new(folder).join(name)));
            let there = |all: &[Endpoint]| -> Vec<Endpoint> {
                all.iter().filter(|one| one.is_there()).cloned().collect()
            };
            let found = [there(&defaults), there(&configured), configured];
            let found = found.into_iter().find(|all| !all.is_empty());
            let first = usize::from(servers.postfix.is_none());
            let nowhere = || {
                if needed {
                    vec![defaults[first].clone()]
                } else {
                    Vec::new()
                }
            };
            found.unwrap_or_else(nowhere)
        };
        Self {
            auth: known(&options.auth, "auth", configured.auth),
            policy: known(&options.policy, "policy", configured.policy),
        }
    }
}

impl Servers {
    /// Where they look for them.
    fn sockets(&self) -> Known {
        let mut known = Known::default();
        if let Some(postfix) = &self.postfix {
            known = postfix.sockets();
        }
        if let Some(exim) = &self.exim {
            let more = exim.sockets();
            known.auth.extend(more.auth);
            known.policy.extend(more.policy);
        }
        known
    }
}

/// Why nobody answers as serve does.
pub enum Trouble {
    /// We may not connect.
    Forbidden,
    Other(String),
}

impl From<String> for Trouble {
    fn from(what: String) -> Self {
        Self::Other(what)
    }
}

/// What it says of itself, once it was asked to sign nobody in.
pub fn greeting(endpoint: &Endpoint) -> Result<Greeting, Trouble> {
    let said = asked(endpoint, "VERSION\t1\t0\nCPID\t1\n", "DONE\n")?;
    let greeting = Greeting::read(&said);
    let greeting = greeting.map_err(|what| format!("what answers is no smtpcred: {what}"))?;
    for name in ["PLAIN", "LOGIN"] {
        if !greeting
            .mechanisms
            .iter()
            .any(|mechanism| mechanism == name)
        {
            return Err(format!("what answers does not offer {name}").into());
        }
    }
    Ok(greeting)
}

/// Asks for nobody.
pub fn ruling(endpoint: &Endpoint) -> Result<(), Trouble> {
    let said = asked(endpoint, policy::PROBE, "\n\n")?;
    match policy::action(&said) {
        Some("DUNNO") => Ok(()),
        Some(other) => Err(format!("what answers is no smtpcred: it says {other}").into()),
        None => Err("what answers is no smtpcred".to_owned().into()),
    }
}

trait Stream: Read + Write {
    fn patience(&self, left: Duration) -> io::Result<()>;
}

impl Stream for UnixStream {
    fn patience(&self, left: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(left))?;
        self.set_read_timeout(Some(left))
    }
}

impl Stream for TcpStream {
    fn patience(&self, left: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(left))?;
        self.set_read_timeout(Some(left))
    }
}

fn asked(endpoint: &Endpoint, question: &str, end: &str) -> Result<String, Trouble> {
    let mut stream: Box<dyn Stream> = match endpoint {
        Endpoint::Unix(path) => Box::new(reach(path)?),
        Endpoint::Inet(address) => {
            // One after the other, as a mail server does.
            let connected = address.to_socket_addrs().and_then(|found| {
                let mut connected = Err(ErrorKind::NotFound.into());
                for address in found {
                    connected = TcpStream::connect_timeout(&address, PATIENCE);
                    if connected.is_ok() {
                        break;
                    }
                }
                connected
            });
            Box::new(connected.map_err(|error| format!("nobody answers there: {error}"))?)
        }
    };
    let deadline = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    let mut exchange = || -> io::Result<()> {
        stream.patience(PATIENCE)?;
        stream.write_all(question.as_bytes())?;
        let mut buffer = [0; 1024];
        while !said.ends_with(end.as_bytes()) && said.len() < MOST {
            let left = deadline.saturating_duration_since(Instant::now());
            stream.patience(left.max(Duration::from_millis(1)))?;
            match stream.read(&mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => said.extend_from_slice(&buffer[..read]),
            }
        }
        Ok(())
    };
    match exchange() {
        Ok(()) => Ok(String::from_utf8_lossy(&said).into_owned()),
        Err(error) => Err(Trouble::Other(match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                format!("it does not answer within {} s", PATIENCE.as_secs())
            }
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                "it hangs up: see its log (journalctl -u smtpcred)".to_owned()
            }
            _ => error.to_string(),
        })),
    }
}

/// Does not wait where the queue of a server that hangs is full.
fn reach(path: &Path) -> Result<UnixStream, Trouble> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let connected = UnixAddr::new(path).and_then(|address| {
        use std::os::fd::AsRawFd as _;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        connect(socket.as_raw_fd(), &address)?;
        Ok(UnixStream::from(socket))
    });
    let stream = connected.map_err(|error| match error {
        Errno::EACCES | Errno::EPERM => Trouble::Forbidden,
        Errno::ENOENT => Trouble::Other("there is no such socket".into()),
        Errno::ECONNREFUSED => Trouble::Other("nobody listens".into()),
        Errno::EAGAIN => Trouble::Other("its queue is full: it does not answer".into()),
        other => Trouble::Other(other.desc().to_owned()),
    })?;
    stream
        .set_nonblocking(false)
        .map_err(|error| error.to_string())?;
    Ok(stream)
}
