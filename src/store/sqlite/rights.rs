//! Finds the users that can change a store: through its files, through their folder, and
//! through every folder in the path, each of which can be replaced by another. OpenSSH checks the files of a user
//! the same way (`safe_path`), with one difference: in a sticky folder of root's, such as
//! `/tmp`, users cannot replace files of others. They can still put a write-ahead log beside
//! a store there.

use std::collections::VecDeque;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User, geteuid};

use super::companions::{COMPANIONS, beside};
use super::errors::io_error;
use crate::error::{Error, Result};
use crate::model::text::in_shell;

/// The kind of user that can write a file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterKind {
    /// The owner, by user ID.
    Owner(u32),
    /// A group, by group ID.
    Group(u32),
    /// All users.
    Everybody,
}

/// A way to change the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The user, or kind of user, that can change it.
    pub writer: WriterKind,
    /// The file or folder.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Files can be put beside the store, but none can be replaced.
    pub only_beside: bool,
}

/// Returns what users other than these can change, files first.
pub fn holes(store: &Path, trusted: &[u32]) -> io::Result<Vec<Hole>> {
    const GROUP_WRITES: u32 = 0o020;
    const OTHERS_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;

    let Lookup {
        real,
        folders,
        links,
    } = walk(store)?;
    let mut holes = Vec::new();
    let mut judge = |path: &Path, found: &Metadata, sticky: bool| {
        let mode = found.mode();
        let owner = (!trusted.contains(&found.uid())).then_some(WriterKind::Owner(found.uid()));
        let others = if found.is_symlink() {
            None
        } else if mode & OTHERS_WRITE != 0 {
            Some(WriterKind::Everybody)
        } else {
            (mode & GROUP_WRITES != 0).then_some(WriterKind::Group(found.gid()))
        };
        let found = [(owner, false), (others, sticky)].map(|(writer, only_beside)| {
            writer.map(|writer| Hole {
                writer,
                path: path.to_owned(),
                mode: mode & 0o7777,
                is_folder: found.is_dir(),
                only_beside,
            })
        });
        holes.extend(found.into_iter().flatten());
    };
    judge(&real, &fs::symlink_metadata(&real)?, false);
    for suffix in COMPANIONS {
        let path = beside(&real, suffix);
        if let Ok(found) = fs::symlink_metadata(&path) {
            judge(&path, &found, false);
        }
    }
    // In a sticky folder, the owner of a link can replace it.
    for link in links {
        judge(&link, &fs::symlink_metadata(&link)?, false);
    }
    let own = real.parent();
    for folder in folders.iter().rev() {
        let found = fs::symlink_metadata(folder)?;
        let sticky = found.mode() & STICKY != 0 && found.uid() == 0;
        if !sticky || own == Some(folder) {
            judge(folder, &found, sticky);
        }
    }
    Ok(holes)
}

/// The lookup of a path.
struct Lookup {
    /// Its end, without links.
    real: PathBuf,
    /// Every folder in which a name was looked up.
    folders: Vec<PathBuf>,
    links: Vec<PathBuf>,
}

fn walk(path: &Path) -> io::Result<Lookup> {
    /// As many as the kernel follows.
    const MOST: usize = 40;
    let path = std::path::absolute(path)?;
    let mut left: VecDeque<PathBuf> = names(&path);
    let mut at = PathBuf::from("/");
    let mut folders = Vec::new();
    let mut links = Vec::new();
    while let Some(name) = left.pop_front() {
        if name.as_os_str() == ".." {
            at.pop();
            continue;
        }
        if !folders.contains(&at) {
            folders.push(at.clone());
        }
        let next = at.join(name);
        if !fs::symlink_metadata(&next)?.is_symlink() {
            at = next;
            continue;
        }
        if links.len() == MOST {
            return Err(nix::errno::Errno::ELOOP.into());
        }
        let to = fs::read_link(&next)?;
        links.push(next);
        if to.is_absolute() {
            at = PathBuf::from("/");
        }
        for name in names(&to).into_iter().rev() {
            left.push_front(name);
        }
    }
    Ok(Lookup {
        real: at,
        folders,
        links,
    })
}

fn names(path: &Path) -> VecDeque<PathBuf> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().into())
        .collect()
}

/// Refuses a store that everybody can change, except to report the problem; warns
/// about one that everybody can read. Even a look would read a log that was put
/// beside it.
pub fn check(path: &Path, looks: bool) -> Result<Vec<String>> {
    const OTHERS_READ: u32 = 0o004;
    let file = fs::metadata(path).map_err(|error| io_error(path, &error))?;
    let trusted = [0, file.uid(), geteuid().as_raw()];
    let holes = holes(path, &trusted).map_err(|error| io_error(path, &error))?;
    let planted = holes.iter().any(|hole| hole.only_beside);
    let wrong = holes.iter().find(|hole| match hole.writer {
        WriterKind::Everybody => !looks && !hole.only_beside,
        // Where everybody can create files, this one may be planted.
        WriterKind::Owner(_) => planted && !hole.is_folder,
        WriterKind::Group(_) => false,
    });
    if let Some(hole) = wrong {
        return Err(Error::StoreUnsafe {
            store: path.into(),
            reason: format!("{}; {}", hole.said(), hole.cure()),
        });
    }
    if file.mode() & OTHERS_READ != 0 {
        return Ok(vec![format!(
            "everybody on this machine can read the hashes in {}; chmod o-rwx {}",
            path.display(),
            in_shell(&path.display().to_string())
        )]);
    }
    Ok(Vec::new())
}

/// Root runs the commands in the store, so no other user may be able to write it.
pub fn check_deliveries(path: &Path) -> Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let holes = holes(path, &[0]).map_err(|error| io_error(path, &error))?;
    holes.first().map_or(Ok(()), |hole| {
        Err(Error::UntrustedDelivery {
            reason: hole.said(),
            cure: match hole.writer {
                WriterKind::Owner(_) if !hole.is_folder => format!("run it as {}", hole.writer),
                _ => hole.cure(),
            },
        })
    })
}

impl Hole {
    /// `the group mail can write /srv/mail.db (0660)`
    pub fn said(&self) -> String {
        let does = match (self.is_folder, self.only_beside) {
            (false, _) => "can write",
            (true, false) => "can replace files in",
            (true, true) => "can put files beside the store in",
        };
        format!(
            "{} {does} {} ({:04o})",
            self.writer,
            self.path.display(),
            self.mode
        )
    }

    /// The command to type.
    pub fn cure(&self) -> String {
        let path = self.path.display().to_string();
        let path = in_shell(&path);
        match self.writer {
            WriterKind::Owner(_) => format!("chown root {path}"),
            _ if self.only_beside => format!("move the store out of {path}"),
            WriterKind::Group(_) => format!("chmod g-w {path}"),
            WriterKind::Everybody if self.is_folder => format!("chmod o-w {path}"),
            WriterKind::Everybody => format!("chmod o-rwx {path}"),
        }
    }
}

impl std::fmt::Display for WriterKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Owner(uid) => match User::from_uid(Uid::from_raw(*uid)) {
                Ok(Some(user)) => f.write_str(&user.name),
                _ => write!(f, "uid {uid}"),
            },
            Self::Group(gid) => match Group::from_gid(Gid::from_raw(*gid)) {
                Ok(Some(group)) => write!(f, "the group {}", group.name),
                _ => write!(f, "the group {gid}"),
            },
            Self::Everybody => f.write_str("everybody"),
        }
    }
}
