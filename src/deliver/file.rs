//! Files with a password in them: replaced in one piece, or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::unistd::geteuid;
use zeroize::Zeroizing;

use super::left::Left;
use crate::model::password::KeyId;

/// In bytes. What is larger is no file of variables.
const MOST: u64 = 1024 * 1024;

const NO_FILE: &str = "it is there and no file";

/// Users may share a file of variables, and be delivered at the same time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Why a file was not written.
#[derive(Debug)]
pub struct Failed {
    pub error: io::Error,
    /// The password is in it, and may be gone after a power cut.
    pub replaced: bool,
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self {
            error,
            replaced: false,
        }
    }
}

/// What of a file the password is.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// All of it, but for a newline.
    Whole,
    /// One line; the others stay as they are.
    Variable(&'a str),
}

/// A new user's password is written where nothing is, but for what an earlier run
/// left.
pub fn write(
    path: &Path,
    part: Part,
    password: &str,
    new: Option<(&Left, &KeyId)>,
) -> Result<(), Failed> {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (path, old) = existing(path)?;
    let before = match (&old, new) {
        (Some(_), Some((left, _))) => left.free(&path, part)?,
        _ => None,
    };
    if let Some((left, key)) = new {
        left.note(&path, before.as_ref(), key)?;
    }
    let text = match (part, &old) {
        (Part::Whole, _) => {
            let mut text = Zeroizing::new(Vec::with_capacity(password.len() + 1));
            text.extend_from_slice(password.as_bytes());
            text.push(b'\n');
            text
        }
        (Part::Variable(name), Some(_)) => with_variable(&read(&path)?, name, password),
        (Part::Variable(name), None) => with_variable(b"", name, password),
    };
    let put = match (new, &old) {
        (Some(_), None) => put_new,
        _ => put_over,
    };
    let written = replace(&path, old.as_ref(), &text, put);
    if let (
        Err(Failed {
            replaced: false, ..
        }),
        Some((left, _)),
        None,
    ) = (&written, new, before)
    {
        left.forget(&path);
    }
    written
}

/// Why a new user's password would not be written there.
pub fn refuses(path: &Path, part: Part, left: &Left) -> Option<String> {
    let free = existing(path).and_then(|(path, old)| match old {
        Some(_) => left.free(&path, part),
        None => Ok(None),
    });
    let error = free.err()?;
    Some(format!("{}: {error}", path.display()))
}

/// The user is there: what is in its file is no leftover.
pub fn settled(path: &Path, left: &Left) {
    if let Ok((path, _)) = existing(path) {
        left.forget(&path);
    }
}

/// However it is called: where nobody else's may be.
pub fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let folder = folder_of(path).canonicalize();
    match (folder, path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// Empty where there is none; nothing where that cannot be told.
pub fn password_in(path: &Path, part: Part) -> Option<Zeroizing<Vec<u8>>> {
    let text = match read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Some(Zeroizing::default()),
        Err(_) => return None,
    };
    let password = match part {
        Part::Whole => text.strip_suffix(b"\n").unwrap_or(&text),
        Part::Variable(name) => values(&text, name).last().map_or(&[][..], unquoted),
    };
    Some(Zeroizing::new(password.to_vec()))
}

pub(super) fn values<'a>(text: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter_map(move |line| Some(&line[assignment(line, name)?..]))
}

/// As whoever reads the file takes it.
pub(super) fn unquoted(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    match value {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner,
        _ => value,
    }
}

/// Where links lead to, and what is there. What is no file is refused: a name that
/// replaces a device or a pipe would help nobody.
fn existing(path: &Path) -> io::Result<(PathBuf, Option<fs::Metadata>)> {
    for part in path.ancestors().filter(|part| *part != Path::new("")) {
        no_foreign_link(part)?;
    }
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok((path.canonicalize()?, Some(found))),
        Ok(_) => Err(io::Error::other(NO_FILE)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if fs::symlink_metadata(path).is_ok() {
                return Err(io::Error::other("it is a link to nothing"));
            }
            Ok((path.to_owned(), None))
        }
        Err(error) => Err(error),
    }
}

/// A link of another user leads to what is its own, or nowhere: it must not make
/// root replace a file of root.
fn no_foreign_link(path: &Path) -> io::Result<()> {
    // What is not there is no link.
    let Ok(link) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    let owner = link.uid();
    if !link.is_symlink() || owner == 0 || owner == geteuid().as_raw() {
        return Ok(());
    }
    match fs::metadata(path) {
        Ok(target) if target.uid() != owner => Err(io::Error::other(format!(
            "{} is a link of another user to what is not that user's",
            path.display()
        ))),
        _ => Ok(()),
    }
}

pub(super) fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // A pipe would keep us waiting for somebody who writes.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other(NO_FILE));
    }
    let size = found.len();
    if size > MOST {
        return Err(io::Error::other("it is larger than a mebibyte"));
    }
    // With room for all of it: a buffer that grows leaves copies.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1));
    file.take(MOST).read_to_end(&mut text)?;
    Ok(text)
}

/// Written beside it and renamed. It stays its owner's, with the rights it had,
/// but for everybody's.
fn replace(
    path: &Path,
    old: Option<&fs::Metadata>,
    bytes: &[u8],
    put: fn(&Path, &Path) -> io::Result<()>,
) -> Result<(), Failed> {
    let folder = folder_of(path);
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
    // First: a folder that cannot be read must not be found out about too late.
    let opened = File::open(folder)?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(".smtpcred-new");
    let beside = folder.join(beside);
    // One that a killed run left: only one runs at a time.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let written = write_beside(&beside, old, bytes).and_then(|()| put(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written?;
    // The name has to outlast a power cut as well.
    opened.sync_all().map_err(|error| Failed {
        error,
        replaced: true,
    })
}

fn put_over(beside: &Path, path: &Path) -> io::Result<()> {
    fs::rename(beside, path)
}

/// Whoever made a file of this name meanwhile keeps it.
fn put_new(beside: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(beside, path) {
        // A second name that stays is removed when this file is written next.
        Ok(()) => fs::remove_file(beside).or(Ok(())),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Part::Whole.taken()),
        // A file system without links.
        Err(_) if fs::symlink_metadata(path).is_err() => fs::rename(beside, path),
        Err(error) => Err(error),
    }
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn write_beside(path: &Path, old: Option<&fs::Metadata>, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    if let Some(old) = old {
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(rights(old.mode())))?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

/// Rights that somebody gave to a group stay: an application may need them. A file
/// for everybody is one that nobody thought about.
const fn rights(mode: u32) -> u32 {
    match mode & 0o777 {
        mode if mode.trailing_zeros() >= 3 => mode,
        _ => 0o600,
    }
}

fn with_variable(before: &[u8], name: &str, password: &str) -> Zeroizing<Vec<u8>> {
    let lines: Vec<&[u8]> = before.split_inclusive(|byte| *byte == b'\n').collect();
    // Whatever line grows, the buffer does not.
    let room = before.len() + (lines.len() + 1) * (name.len() + password.len() + 3);
    let mut after = Zeroizing::new(Vec::with_capacity(room));
    let mut found = false;
    for line in lines {
        match assignment(line, name) {
            Some(end) => {
                found = true;
                after.extend_from_slice(&line[..end]);
                after.extend_from_slice(password.as_bytes());
                after.push(b'\n');
            }
            None => after.extend_from_slice(line),
        }
    }
    if !found {
        if after.last().is_some_and(|byte| *byte != b'\n') {
            after.push(b'\n');
        }
        after.extend_from_slice(name.as_bytes());
        after.push(b'=');
        after.extend_from_slice(password.as_bytes());
        after.push(b'\n');
    }
    after
}

/// Where the value begins, if this line gives this variable one.
fn assignment(line: &[u8], name: &str) -> Option<usize> {
    let rest = line.trim_ascii_start();
    let rest = match rest.strip_prefix(b"export") {
        Some(after) if after.first().is_some_and(u8::is_ascii_whitespace) => {
            after.trim_ascii_start()
        }
        _ => rest,
    };
    let value = rest.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
    Some(line.len() - value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let [path, beside] = ["x", "beside"].map(|name| folder.path().join(name));
        fs::write(&beside, "ours").unwrap();
        fs::write(&path, "theirs").unwrap();
        assert!(put_new(&beside, &path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        fs::remove_file(&path).unwrap();
        put_new(&beside, &path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "ours");
        assert!(!beside.exists());
    }

    fn after(before: &str, name: &str) -> String {
        let text = with_variable(before.as_bytes(), name, "new");
        String::from_utf8(text.to_vec()).unwrap()
    }

    #[test]
    fn one_line_changes_and_the_others_stay() {
        assert_eq!(after("", "P"), "P=new\n");
        assert_eq!(after("A=1", "P"), "A=1\nP=new\n");
        assert_eq!(
            after("# P=x\nA=1\nP='old one'\n\nPQ=2\n", "P"),
            "# P=x\nA=1\nP=new\n\nPQ=2\n"
        );
        assert_eq!(
            after("  export P=old\nP=again", "P"),
            "  export P=new\nP=new\n"
        );
        assert_eq!(after("exportP=1\n", "P"), "exportP=1\nP=new\n");
    }

    #[test]
    fn rights_of_a_group_stay_and_those_of_everybody_go() {
        assert_eq!(rights(0o100_640), 0o640);
        assert_eq!(rights(0o100_400), 0o400);
        assert_eq!(rights(0o100_644), 0o600);
    }
}
