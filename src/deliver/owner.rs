//! Deliveries into a folder of another user run as that user.
//!
//! Root could be tricked into reading, writing or giving away one of its own files there:
//! the owner of a folder decides what its names mean. So if any folder in the path does not
//! belong to root, root runs this program again. Before it touches anything, that process
//! takes the identity of the owner of the first such folder. It keeps one privilege of
//! root: to give a file that it replaces its previous owner and group. Everything goes
//! through one socket; nothing is in arguments or the environment.

use std::ffi::CString;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Group, Uid, User, geteuid, getgrouplist, setgid, setgroups, setuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::content::{MAX_SIZE, Part};
use super::file::{self, FileObstacle, WriteError};
use super::leftover::OrphanNote;
use crate::error::{Error, Result};
use crate::files::{self, Folder};
use crate::model::password::PasswordId;

/// The hidden subcommand that runs [`answer`].
pub const COMMAND: &str = "write-as-owner";
/// After this time a hanging file system, such as one that a user mounted, no longer
/// blocks the run.
const PATIENCE: Duration = Duration::from_secs(60);
/// The largest message without its secret, in bytes.
const MAX_MESSAGE: u64 = 64 * 1024;

/// Users may share a file of variables, and their deliveries may run at the same time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// An operation on one file.
#[derive(Debug, Serialize, Deserialize)]
pub struct FileTask {
    /// The file.
    pub path: PathBuf,
    /// The variable whose value is the password; if missing, the whole file is.
    pub variable: Option<String>,
    /// What to do with it.
    pub action: FileAction,
}

/// What to do with a file.
#[derive(Debug, Serialize, Deserialize)]
pub enum FileAction {
    /// Writes the password.
    Write(Option<NewUserRef>),
    /// Checks that the password of a new user could be written.
    Check(Option<NewUserRef>),
    /// Removes the note about a user that exists by now.
    Confirm(NewUserRef),
    /// Removes the password of a user that was not created.
    Withdraw(NewUserRef),
    /// Returns the path without links.
    Resolve,
    /// Returns the password in the file.
    Read,
}

/// A user that is about to be created, as its notes name it.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewUserRef {
    /// Identifies the store; without it there are no notes.
    pub store_id: Option<String>,
    /// The username.
    pub username: String,
    /// The ID of the password to write.
    pub password_id: Option<String>,
}

/// What came of a task.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct FileTaskResult {
    /// What went wrong, if anything.
    pub error: Option<String>,
    /// The task failed, but the password may be in the file.
    pub may_be_written: bool,
    /// What went wrong may be right at the next attempt, such as a missing folder.
    pub may_pass: bool,
    /// The mode of the file that was written.
    pub mode: Option<u32>,
    /// The path without links.
    pub path: Option<PathBuf>,
    /// Whether `password` is what the file holds.
    known: bool,
    #[serde(skip)]
    password: Zeroizing<Vec<u8>>,
}

/// The identity to run as.
#[derive(Debug, Serialize, Deserialize)]
struct Account {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl FileTask {
    /// Carries the task out as the current user; root, in a folder of another user, has it
    /// carried out as that user.
    pub fn run(mut self, password: &str) -> FileTaskResult {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        if !geteuid().is_root() {
            return self.carry_out(password);
        }
        match Folder::first_foreign(&self.path) {
            Ok(Some((folder, rest))) => {
                self.path = rest;
                self.as_owner_of(&folder, password)
            }
            Ok(None) => self.carry_out(password),
            // The file may appear later; it belongs to no other user yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.carry_out(password),
            Err(error) => FileTaskResult::failed(&error, false),
        }
    }

    fn as_owner_of(&self, folder: &Folder, password: &str) -> FileTaskResult {
        let owner = folder.owner_on_the_way().unwrap_or_default();
        let started = Account::of(owner).and_then(|account| account.start(folder));
        let sent = started.and_then(|mut socket| {
            send(&mut socket, self, password.as_bytes())?;
            socket.shutdown(Shutdown::Write)?;
            Ok(socket)
        });
        let mut socket = match sent {
            Ok(socket) => socket,
            Err(error) => return FileTaskResult::failed(&error, false),
        };
        match receive::<FileTaskResult>(&mut socket) {
            Ok((done, password)) => FileTaskResult {
                error: done.error.map(|error| {
                    format!(
                        "{error} (as {}, the owner of its folder)",
                        files::user(owner)
                    )
                }),
                password,
                ..done
            },
            Err(error) => {
                FileTaskResult::failed(&error, matches!(self.action, FileAction::Write(_)))
            }
        }
    }

    fn part(&self) -> Part<'_> {
        self.variable.as_deref().map_or(Part::Whole, Part::Variable)
    }

    fn carry_out(&self, password: &str) -> FileTaskResult {
        let (path, part) = (&self.path, self.part());
        match &self.action {
            FileAction::Write(None) => {
                FileTaskResult::written(file::write(path, part, password, None))
            }
            FileAction::Write(Some(new)) => new.with(|note| match &new.password_id {
                Some(password_id) => {
                    let password_id = PasswordId::stored(password_id.clone());
                    FileTaskResult::written(file::write(
                        path,
                        part,
                        password,
                        Some((note, &password_id)),
                    ))
                }
                None => FileTaskResult::default(),
            }),
            FileAction::Check(None) => FileTaskResult::checked(file::check(path, part, None)),
            FileAction::Check(Some(new)) => {
                new.with(|note| FileTaskResult::checked(file::check(path, part, Some(note))))
            }
            FileAction::Confirm(new) => new.with(|note| {
                file::confirm(path, note);
                FileTaskResult::default()
            }),
            FileAction::Withdraw(new) => new.with(|note| {
                let password_id = new.password_id.clone().map(PasswordId::stored);
                let withdrawn =
                    password_id.map(|password_id| file::withdraw(path, part, note, &password_id));
                match withdrawn {
                    Some(Err(error)) => FileTaskResult::failed(&error, true),
                    _ => FileTaskResult::default(),
                }
            }),
            FileAction::Resolve => FileTaskResult {
                path: Some(file::resolve(path)),
                ..FileTaskResult::default()
            },
            FileAction::Read => {
                let found = file::password_in(path, part);
                FileTaskResult {
                    known: found.is_some(),
                    password: found.unwrap_or_default(),
                    ..FileTaskResult::default()
                }
            }
        }
    }
}

impl NewUserRef {
    fn with(&self, act: impl FnOnce(&OrphanNote) -> FileTaskResult) -> FileTaskResult {
        match self.username.parse() {
            Ok(username) => act(&OrphanNote {
                store_id: self.store_id.as_deref(),
                username: &username,
            }),
            Err(error) => FileTaskResult {
                error: Some(error.to_string()),
                ..FileTaskResult::default()
            },
        }
    }
}

impl FileTaskResult {
    fn failed(error: &io::Error, may_be_written: bool) -> Self {
        Self {
            error: Some(error.to_string()),
            may_be_written,
            ..Self::default()
        }
    }

    fn checked(checked: std::result::Result<(), FileObstacle>) -> Self {
        match checked {
            Ok(()) => Self::default(),
            Err(obstacle) => Self {
                error: Some(obstacle.error.to_string()),
                may_pass: obstacle.may_pass,
                ..Self::default()
            },
        }
    }

    fn written(written: std::result::Result<u32, WriteError>) -> Self {
        match written {
            Ok(mode) => Self {
                mode: Some(mode),
                ..Self::default()
            },
            Err(failed) => Self::failed(&failed.error, failed.replaced),
        }
    }

    /// Returns the password in the file, empty if there is none, or `None` if unknown.
    pub fn password(self) -> Option<Zeroizing<Vec<u8>>> {
        self.known.then_some(self.password)
    }
}

impl Account {
    fn of(uid: u32) -> io::Result<Self> {
        const NO_GROUP: u32 = 65534;
        if let Some(user) = User::from_uid(uid.into())? {
            let name = CString::new(user.name)?;
            let groups = getgrouplist(&name, user.gid)?;
            return Ok(Self {
                uid,
                gid: user.gid.as_raw(),
                groups: groups.into_iter().map(Gid::as_raw).collect(),
            });
        }
        // A user of a container, say: a group of the same number is another one here.
        let gid = match Group::from_gid(uid.into())? {
            Some(_) => NO_GROUP,
            None => uid,
        };
        Ok(Self {
            uid,
            gid,
            groups: vec![gid],
        })
    }

    /// Runs this program again and tells it which identity to take.
    fn start(&self, folder: &Folder) -> io::Result<UnixStream> {
        let (mut socket, theirs) = UnixStream::pair()?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut child = Command::new("/proc/self/exe")
            .arg(COMMAND)
            .env_clear()
            // The owner may not be able to enter the folders above it.
            .current_dir(files::descriptor_path(folder))
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C lets running deliveries finish.
            .process_group(0)
            .spawn()?;
        // The process ends when it has answered or its socket is closed.
        std::thread::Builder::new().spawn(move || child.wait())?;
        send(&mut socket, self, b"")?;
        Ok(socket)
    }

    /// Drops root's privileges for good.
    fn assume(&self) -> io::Result<()> {
        set_keep_capabilities(true)?;
        let groups: Vec<_> = self.groups.iter().copied().map(Gid::from_raw).collect();
        setgroups(&groups)?;
        setgid(Gid::from_raw(self.gid))?;
        setuid(Uid::from_raw(self.uid))?;
        let kept = capabilities(None)?.permitted & CapabilitySet::CHOWN;
        set_capabilities(
            None,
            CapabilitySets {
                effective: kept,
                permitted: kept,
                inheritable: CapabilitySet::empty(),
            },
        )?;
        // Another process of this user must not read this one's memory.
        prctl::set_dumpable(false)?;
        // It must not outlive the run that waits for it.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if self.uid == 0 || setuid(Uid::from_raw(0)).is_ok() {
            return Err(io::Error::other("root's privileges could not be dropped"));
        }
        Ok(())
    }
}

/// Carries out one task: what [`COMMAND`] does with the socket on its standard input.
pub fn answer(socket: &impl AsFd) -> Result<()> {
    let failed = |error: io::Error| Error::System(format!("{COMMAND}: {error}"));
    let run = || -> io::Result<()> {
        let mut socket = UnixStream::from(socket.as_fd().try_clone_to_owned()?);
        let (account, _) = receive::<Account>(&mut socket)?;
        account.assume()?;
        let (task, password) = receive::<FileTask>(&mut socket)?;
        let password = std::str::from_utf8(&password).map_err(io::Error::other)?;
        let done = task.carry_out(password);
        send(&mut socket, &done, &done.password)
    };
    run().map_err(failed)
}

/// Sends a message and then a secret, which is not copied into the message.
fn send(socket: &mut UnixStream, message: &impl Serialize, secret: &[u8]) -> io::Result<()> {
    let message = serde_json::to_vec(message)?;
    for part in [&message, secret] {
        let length = u64::try_from(part.len()).map_err(io::Error::other)?;
        socket.write_all(&length.to_be_bytes())?;
    }
    socket.write_all(&message)?;
    socket.write_all(secret)
}

fn receive<T: for<'a> Deserialize<'a>>(
    socket: &mut UnixStream,
) -> io::Result<(T, Zeroizing<Vec<u8>>)> {
    let mut length = |max: u64| -> io::Result<usize> {
        let mut length = [0; 8];
        socket.read_exact(&mut length)?;
        match u64::from_be_bytes(length) {
            length if length <= max => usize::try_from(length).map_err(io::Error::other),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    };
    let lengths = (length(MAX_MESSAGE)?, length(MAX_SIZE)?);
    let mut message = vec![0; lengths.0];
    socket.read_exact(&mut message)?;
    let mut secret = Zeroizing::new(vec![0; lengths.1]);
    socket.read_exact(&mut secret)?;
    Ok((serde_json::from_slice(&message)?, secret))
}
