//! The sockets of `smtpcred serve`, queried as a mail server does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fmt, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use zeroize::Zeroizing;

use super::access::Identity;
use super::findings::{Area, CheckState, Finding};
use crate::files::listeners;
use crate::model::cache_status::CacheStatus;
use crate::protocol::auth::Greeting;
use crate::protocol::{cache_status, policy};

/// The sockets as a mail server names them.
#[derive(Clone, Debug)]
pub struct Sockets {
    /// The auth socket.
    pub auth: String,
    /// The policy socket.
    pub policy: String,
}

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket file.
    Unix(PathBuf),
    /// `127.0.0.1:10040`
    Inet(String),
}

/// The sockets where serve should listen.
#[derive(Debug, Default)]
pub struct KnownSockets {
    /// For sign-ins.
    pub auth: Vec<Endpoint>,
    /// For the policy service.
    pub policy: Vec<Endpoint>,
}

/// For an answer that needs no hash. Mail servers give up after 10 s.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Where serve listens by default: Postfix's folder is its root.
pub const FOLDERS: [&str; 2] = ["/var/spool/postfix/smtpcred", "/run/smtpcred"];
/// The maximum length of an answer, in bytes.
const MOST: usize = 16 * 1024;

impl Endpoint {
    /// Returns the endpoint of a Unix socket.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::Unix(path.into())
    }

    /// Returns whether both are the same socket, perhaps by two names.
    pub fn is(&self, other: &Self) -> bool {
        let id = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
        match (self, other) {
            (Self::Unix(one), Self::Unix(two)) => {
                one == two || id(one).is_some_and(|one| Some(one) == id(two))
            }
            _ => self == other,
        }
    }

    /// Returns whether the file of a Unix socket exists.
    pub fn is_there(&self) -> bool {
        match self {
            Self::Unix(path) => fs::metadata(path).is_ok_and(|file| file.file_type().is_socket()),
            Self::Inet(_) => true,
        }
    }
}

impl Endpoint {
    /// Adds a finding on whether a mail server can connect to the socket of this check of serve.
    pub fn judge_access(&self, area: &mut Area, name: &str, who: &Identity, advice: &str) {
        let Self::Unix(path) = self else {
            return;
        };
        let check = format!("access to {name}");
        match who.kept_from_writing(path) {
            Ok(None) => area.ok(&check, &format!("{} can connect to {self}", who.name)),
            Ok(Some(closed)) => {
                let found = format!("{} cannot connect: {closed}", who.name);
                area.add_once(&found, CheckState::Fail, [&check, &found, advice]);
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                area.cannot_tell(&check, &format!("{self}: {error}"));
            }
            Err(_) => {
                let of_serve = |one: &Finding| one.area == "serve" && one.check == name;
                if let Some(cause) = area.trouble(of_serve) {
                    area.follows(&check, &format!("{self} does not exist"), &cause);
                }
            }
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

/// Why a socket does not answer as serve does.
pub enum SocketError {
    /// This user may not connect.
    Forbidden,
    /// The file was removed, but a process still listens: this one, if serve bound it.
    Removed(Option<u32>),
    /// Any other reason, as this says.
    Other(String),
}

impl From<String> for SocketError {
    fn from(what: String) -> Self {
        Self::Other(what)
    }
}

/// Returns the default sockets of serve with this name, `auth` or `policy`: for a chrooted
/// Postfix first.
pub fn defaults(name: &str) -> [Endpoint; 2] {
    FOLDERS.map(|folder| Endpoint::unix(Path::new(folder).join(name)))
}

/// Returns the greeting of the auth socket.
pub fn greeting(endpoint: &Endpoint) -> Result<Greeting, SocketError> {
    greeting_within(endpoint, PATIENCE)
}

/// Does the same with another deadline.
pub fn greeting_within(endpoint: &Endpoint, patience: Duration) -> Result<Greeting, SocketError> {
    let said = asked(endpoint, patience, "VERSION\t1\t0\nCPID\t1\n", |said| {
        said.ends_with("DONE\n")
    })?;
    let greeting = Greeting::read(&said);
    let greeting = greeting.map_err(|what| format!("this is not smtpcred: {what}"))?;
    for name in ["PLAIN", "LOGIN"] {
        if !greeting
            .mechanisms
            .iter()
            .any(|mechanism| mechanism == name)
        {
            return Err(format!("it does not offer {name}").into());
        }
    }
    Ok(greeting)
}

/// Returns how full the cache of passwords is.
pub fn remembering(endpoint: &Endpoint) -> Result<CacheStatus, SocketError> {
    let question = format!("VERSION\t1\t0\nCPID\t1\n{}\n", cache_status::REMEMBERING);
    let said = asked(endpoint, PATIENCE, &question, |said| {
        said.ends_with('\n') && cache_status::read(said).is_some()
    })?;
    cache_status::read(&said).ok_or_else(|| "it does not answer".to_owned().into())
}

/// Signs a user in at the auth socket of a Dovecot, as a mail server does, and returns whether
/// the password is right.
pub fn accepts(endpoint: &Endpoint, username: &str, password: &str) -> Result<bool, SocketError> {
    // Dovecot keeps a refusal for two seconds.
    const PATIENCE: Duration = Duration::from_secs(15);
    let response = Zeroizing::new(format!("\0{username}\0{password}"));
    let response = Zeroizing::new(STANDARD.encode(&*response));
    let question = Zeroizing::new(format!(
        "VERSION\t1\t0\nCPID\t{}\nAUTH\t1\tPLAIN\tservice=smtp\tnologin\tsecured\tresp={}\n",
        std::process::id(),
        *response
    ));
    let verdict = |said: &str| {
        said.lines().find_map(|line| {
            let mut words = line.split('\t');
            match (words.next(), words.next()) {
                (Some("OK"), Some("1")) => Some(true),
                (Some("FAIL"), Some("1")) => Some(false),
                _ => None,
            }
        })
    };
    let said = asked(endpoint, PATIENCE, &question, |said| {
        said.ends_with('\n') && verdict(said).is_some()
    })?;
    verdict(&said).ok_or_else(|| "it does not answer".to_owned().into())
}

/// Asks for a decision without a user.
pub fn ruling(endpoint: &Endpoint) -> Result<(), SocketError> {
    ruling_within(endpoint, PATIENCE)
}

/// Does the same with another deadline.
pub fn ruling_within(endpoint: &Endpoint, patience: Duration) -> Result<(), SocketError> {
    let said = asked(endpoint, patience, policy::PROBE, |said| {
        said.ends_with("\n\n")
    })?;
    match policy::action(&said) {
        Some("DUNNO") => Ok(()),
        Some(other) => Err(format!("this is not smtpcred: it answers {other}").into()),
        None => Err("this is not smtpcred".to_owned().into()),
    }
}

trait SocketStream: Read + Write {
    fn patience(&self, left: Duration) -> io::Result<()>;
}

impl SocketStream for UnixStream {
    fn patience(&self, left: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(left))?;
        self.set_read_timeout(Some(left))
    }
}

impl SocketStream for TcpStream {
    fn patience(&self, left: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(left))?;
        self.set_read_timeout(Some(left))
    }
}

fn asked(
    endpoint: &Endpoint,
    patience: Duration,
    question: &str,
    is_whole: impl Fn(&str) -> bool,
) -> Result<String, SocketError> {
    let mut stream: Box<dyn SocketStream> = match endpoint {
        Endpoint::Unix(path) => Box::new(reach(path)?),
        Endpoint::Inet(address) => {
            // Tries one address after the other, as a mail server does.
            let connected = address.to_socket_addrs().and_then(|found| {
                let mut connected = Err(ErrorKind::NotFound.into());
                for address in found {
                    connected = TcpStream::connect_timeout(&address, patience);
                    if connected.is_ok() {
                        break;
                    }
                }
                connected
            });
            Box::new(connected.map_err(|error| format!("nothing answers: {error}"))?)
        }
    };
    let deadline = Instant::now() + patience;
    let mut said = Vec::new();
    let mut exchange = || -> io::Result<()> {
        stream.patience(patience)?;
        stream.write_all(question.as_bytes())?;
        let mut buffer = [0; 1024];
        while !is_whole(&String::from_utf8_lossy(&said)) && said.len() < MOST {
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
        Err(error) => Err(SocketError::Other(match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                format!("it does not answer within {} s", patience.as_secs())
            }
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                "it closes the connection: see its log (journalctl -u smtpcred)".to_owned()
            }
            _ => error.to_string(),
        })),
    }
}

/// Connects without waiting: the queue of a server that hangs may be full.
fn reach(path: &Path) -> Result<UnixStream, SocketError> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let connected = UnixAddr::new(path).and_then(|address| {
        use std::os::fd::AsRawFd as _;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        connect(socket.as_raw_fd(), &address)?;
        Ok(UnixStream::from(socket))
    });
    let stream = connected.map_err(|error| match error {
        Errno::EACCES | Errno::EPERM => SocketError::Forbidden,
        Errno::ENOENT => match listeners::bound_to(path).first() {
            Some(bound) => SocketError::Removed(bound.process),
            None => SocketError::Other("the socket does not exist".into()),
        },
        Errno::ECONNREFUSED => SocketError::Other("nothing listens".into()),
        Errno::EAGAIN => SocketError::Other("its queue is full: it does not answer".into()),
        other => SocketError::Other(other.desc().to_owned()),
    })?;
    stream
        .set_nonblocking(false)
        .map_err(|error| error.to_string())?;
    Ok(stream)
}
