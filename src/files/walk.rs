//! Resolves the path of a file, one component at a time.
//!
//! Only links that no user but root and the caller could have placed or could replace are
//! followed. A folder is in other hands if another user owns it, or if its group or
//! everyone can write it (in a sticky folder, such as `/tmp`, files of root and of the
//! caller are safe). From the first such folder on, no link is followed: neither there nor
//! below. So `/var/run` leads to `/run`, a link in the caller's own home works, and a link
//! that another user placed is refused.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use nix::unistd::{Group, Uid, User};
use rustix::fs::{FileType, Mode, OFlags, Stat};

use super::descriptor::{descriptor_path, is_descriptor};

/// As many as Linux follows: `path_resolution(7)`.
const MOST_LINKS: u32 = 40;

/// The kind of the last component.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LastComponent {
    Folder,
    /// A name, whatever it is.
    Name,
    /// A name, or the target of a link of that name.
    Target,
}

/// The folder that a walk led to.
pub struct Walked {
    /// Its open descriptor.
    pub at: OwnedFd,
    /// The path of `at`, without links and without `..`.
    pub path: PathBuf,
    /// The first folder that is in other hands.
    pub exchangeable: Option<PathBuf>,
    /// The owner of the first folder that does not belong to root.
    pub owner: Option<u32>,
}

enum PathStep {
    Root,
    Up,
    Into(OsString),
}

impl AsRef<Path> for PathStep {
    fn as_ref(&self) -> &Path {
        match self {
            Self::Root => Path::new("/"),
            Self::Up => Path::new(".."),
            Self::Into(name) => Path::new(name),
        }
    }
}

/// Returns the folder, and the name if the path ends with one.
pub fn walk(path: &Path, end: LastComponent) -> io::Result<(Walked, Option<OsString>)> {
    let (walked, name, _) = walk_while(path, end, |_| true)?;
    Ok((walked, name))
}

/// Returns the name if the path ends with one, and the rest of the path if `go_on`
/// ends the walk.
fn walk_while(
    path: &Path,
    end: LastComponent,
    go_on: fn(&Walked) -> bool,
) -> io::Result<(Walked, Option<OsString>, PathBuf)> {
    let whole = |walked, name| Ok((walked, name, PathBuf::new()));
    let mut walked = Walked::start(path)?;
    let mut steps = steps(path);
    let mut links = 0;
    while go_on(&walked)
        && let Some(step) = steps.pop_front()
    {
        let name = match step {
            PathStep::Root => {
                walked.restart()?;
                continue;
            }
            PathStep::Up => {
                walked.up()?;
                continue;
            }
            PathStep::Into(name) => name,
        };
        let last = steps.is_empty() && end != LastComponent::Folder;
        if last && end == LastComponent::Name {
            return whole(walked, Some(name));
        }
        let found = match open(&walked.at, &name) {
            Err(error) if last && error.kind() == ErrorKind::NotFound => {
                return whole(walked, Some(name));
            }
            found => found?,
        };
        let stat = rustix::fs::fstat(&found)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                walked.refuse_foreign(&name, &stat)?;
                if is_descriptor(&walked.at, &name) {
                    if last {
                        return whole(walked, Some(name));
                    }
                    walked.follow_descriptor(&name)?;
                    continue;
                }
                links += 1;
                if links > MOST_LINKS {
                    return Err(rustix::io::Errno::LOOP.into());
                }
                let target = rustix::fs::readlinkat(&found, "", Vec::new())?;
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                let mut onwards = self::steps(&target);
                onwards.append(&mut steps);
                steps = onwards;
            }
            _ if last => return whole(walked, Some(name)),
            FileType::Directory => walked.enter(found, &stat, &name),
            _ => return Err(ErrorKind::NotADirectory.into()),
        }
    }
    Ok((walked, None, steps.iter().collect()))
}

/// Returns the first folder in the path of this file that does not belong to root,
/// and the rest of the path from there. Does not look further.
pub fn first_foreign(path: &Path) -> io::Result<Option<(Walked, PathBuf)>> {
    let (walked, name, mut rest) =
        walk_while(path, LastComponent::Target, |walked| walked.owner.is_none())?;
    rest.extend(name);
    Ok(walked.owner.is_some().then_some((walked, rest)))
}

fn steps(path: &Path) -> VecDeque<PathStep> {
    path.components()
        .filter_map(|component| match component {
            Component::RootDir => Some(PathStep::Root),
            Component::ParentDir => Some(PathStep::Up),
            Component::Normal(name) => Some(PathStep::Into(name.to_owned())),
            Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// Neither follows a link nor reads: the permissions of the file do not matter yet.
fn open(at: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, name, flags, Mode::empty())?)
}

impl Walked {
    fn start(path: &Path) -> io::Result<Self> {
        let (from, path) = if path.is_absolute() {
            ("/", PathBuf::from("/"))
        } else {
            (".", std::env::current_dir().unwrap_or_else(|_| ".".into()))
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let at = rustix::fs::open(from, flags, Mode::empty())?;
        let mut walked = Self {
            at,
            path,
            exchangeable: None,
            owner: None,
        };
        walked.judge(&rustix::fs::fstat(&walked.at)?);
        Ok(walked)
    }

    /// Goes to `/`, as an absolute link does.
    fn restart(&mut self) -> io::Result<()> {
        let root = Self::start(Path::new("/"))?;
        self.at = root.at;
        self.path = root.path;
        self.exchangeable = self.exchangeable.take().or(root.exchangeable);
        self.owner = self.owner.or(root.owner);
        Ok(())
    }

    fn up(&mut self) -> io::Result<()> {
        let above = open(&self.at, OsStr::new(".."))?;
        let stat = rustix::fs::fstat(&above)?;
        self.at = above;
        self.path.pop();
        self.judge(&stat);
        Ok(())
    }

    fn enter(&mut self, folder: OwnedFd, stat: &Stat, name: &OsStr) {
        self.at = folder;
        self.path.push(name);
        self.judge(stat);
    }

    fn follow_descriptor(&mut self, name: &OsStr) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&self.at, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&folder)?;
        self.enter(folder, &stat, name);
        Ok(())
    }

    fn judge(&mut self, stat: &Stat) {
        if self.owner.is_none() && stat.st_uid != 0 {
            self.owner = Some(stat.st_uid);
        }
        if self.exchangeable.is_none() && in_other_hands(stat, &self.at) {
            self.exchangeable = Some(self.path.clone());
        }
    }

    fn refuse_foreign(&self, name: &OsStr, link: &Stat) -> io::Result<()> {
        let path = self.path.join(name);
        let reason = if let Some(folder) = &self.exchangeable {
            format!(
                "{} is a link that other users can replace because they can write {}; \
                 use the path that it points to",
                path.display(),
                folder.display()
            )
        } else if !is_trusted(link.st_uid) {
            let folder = rustix::fs::fstat(&self.at)?;
            if folder.st_mode & OTHERS_WRITE == 0 {
                return Ok(());
            }
            format!(
                "{} is a link that belongs to {}; use the path that it points to",
                path.display(),
                user(link.st_uid)
            )
        } else {
            return Ok(());
        };
        Err(io::Error::new(ErrorKind::PermissionDenied, reason))
    }
}

const OTHERS_WRITE: u32 = 0o022;
pub(super) const EVERYONE_WRITES: u32 = 0o002;
const STICKY: u32 = 0o1000;

pub(super) fn is_trusted(owner: u32) -> bool {
    owner == 0 || owner == Uid::effective().as_raw()
}

fn in_other_hands(stat: &Stat, at: &OwnedFd) -> bool {
    if !is_trusted(stat.st_uid) {
        return true;
    }
    if stat.st_mode & OTHERS_WRITE == 0 || stat.st_mode & STICKY != 0 {
        return false;
    }
    stat.st_mode & EVERYONE_WRITES != 0 || !is_own_group(stat.st_gid) || has_acl(at)
}

/// On systems where each user has a group of their own, folders are often 0775 and no
/// other user is in the group.
fn is_own_group(gid: u32) -> bool {
    let (Ok(Some(user)), Ok(Some(group))) = (
        User::from_uid(Uid::effective()),
        Group::from_gid(gid.into()),
    ) else {
        return false;
    };
    user.gid == group.gid
        && user.name == group.name
        && group.mem.iter().all(|member| *member == user.name)
}

/// Returns how a user other than root and the caller can write this open file; `None` if
/// no other user can.
pub fn writable(file: &File) -> io::Result<Option<String>> {
    let stat = rustix::fs::fstat(file)?;
    if !is_trusted(stat.st_uid) {
        return Ok(Some(format!("it belongs to {}", user(stat.st_uid))));
    }
    let others = stat.st_mode & OTHERS_WRITE != 0
        && (stat.st_mode & EVERYONE_WRITES != 0 || !is_own_group(stat.st_gid) || has_acl(file));
    Ok(others.then(|| "other users can write it".to_owned()))
}

/// With an ACL, the bits of the group also cover every user that it names.
fn has_acl(at: &impl AsFd) -> bool {
    let path = descriptor_path(at);
    let acl = rustix::fs::getxattr(&path, "system.posix_acl_access", &mut [0_u8; 0][..]);
    !matches!(
        acl,
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP)
    )
}

/// Returns the name of a user, for messages.
pub fn user(uid: u32) -> String {
    match User::from_uid(uid.into()) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    const NOBODY: u32 = 65534;

    fn leads_to(path: &Path) -> Result<PathBuf, String> {
        let walked = walk(path, LastComponent::Target);
        let (walked, name) = walked.map_err(|error| error.to_string())?;
        Ok(name.map_or(walked.path.clone(), |name| walked.path.join(name)))
    }

    #[test]
    fn links_that_no_other_user_can_replace_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().canonicalize().unwrap();
        fs::create_dir(at.join("real")).unwrap();
        fs::write(at.join("real/file"), "x").unwrap();
        symlink("real", at.join("relative")).unwrap();
        symlink(at.join("real"), at.join("absolute")).unwrap();
        symlink("../relative/file", at.join("real/link")).unwrap();
        symlink("nothing", at.join("dangling")).unwrap();
        symlink("around", at.join("around")).unwrap();
        let file = Ok(at.join("real/file"));
        for path in [
            "relative/file",
            "absolute/./file",
            "real/link",
            "absolute/../real/file",
        ] {
            assert_eq!(leads_to(&at.join(path)), file, "{path}");
        }
        assert_eq!(leads_to(&at.join("dangling")), Ok(at.join("nothing")));
        assert!(leads_to(&at.join("around")).is_err());
        assert!(leads_to(&at.join("real/file/x")).is_err());
        assert_eq!(leads_to(Path::new("/var/run")).unwrap(), Path::new("/run"));
    }

    #[test]
    fn links_in_other_hands_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().canonicalize().unwrap();
        fs::create_dir_all(at.join("open/below")).unwrap();
        symlink("/etc/passwd", at.join("open/link")).unwrap();
        symlink("/etc", at.join("open/below/link")).unwrap();
        let link = at.join("open/link");
        let below = at.join("open/below/link/passwd");
        for (mode, good) in [(0o755, true), (0o777, false), (0o1777, true)] {
            fs::set_permissions(at.join("open"), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(leads_to(&link).is_ok(), good, "{mode:o}");
            assert_eq!(leads_to(&below).is_ok(), good, "{mode:o}");
        }
        if !Uid::effective().is_root() {
            return;
        }
        // A link of another user in a sticky folder, and any in a folder of another.
        std::os::unix::fs::lchown(&link, Some(NOBODY), None).unwrap();
        assert!(leads_to(&link).unwrap_err().contains(&user(NOBODY)));
        assert!(leads_to(&below).is_ok());
        assert!(first_foreign(&below).unwrap().is_none());
        chown(at.join("open"), Some(NOBODY), None).unwrap();
        assert!(
            leads_to(&below)
                .unwrap_err()
                .contains("can replace because")
        );
        let (walked, rest) = first_foreign(&below).unwrap().unwrap();
        assert_eq!(walked.path, at.join("open"));
        assert_eq!(
            (walked.owner, rest.to_str()),
            (Some(NOBODY), Some("below/link/passwd"))
        );
        // A group of only the caller is safe; one with other members is not.
        chown(at.join("open"), Some(0), Some(0)).unwrap();
        fs::set_permissions(at.join("open"), fs::Permissions::from_mode(0o775)).unwrap();
        assert!(leads_to(&below).is_ok());
        chown(at.join("open"), Some(0), Some(NOBODY)).unwrap();
        assert!(leads_to(&below).is_err());
    }
}
