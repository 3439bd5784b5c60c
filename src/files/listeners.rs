//! Finds the processes that listen on a Unix socket, even if its file is gone.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::geteuid;

/// The flag of a listening socket (`net/unix/af_unix.c`: `__SO_ACCEPTCON`).
const LISTENS: u32 = 1 << 16;

/// Returns the listening sockets that were bound to this path. smtpcred binds to the path
/// with `.PID` at its end. The kernel keeps the name if the file is gone. Finds only
/// sockets of this network namespace.
pub fn bound_to(path: &Path) -> Vec<Bound> {
    let Some(path) = path.to_str() else {
        return Vec::new();
    };
    let sockets = fs::read_to_string("/proc/self/net/unix").unwrap_or_default();
    sockets
        .lines()
        .filter_map(|line| Bound::read(line, path))
        .collect()
}

/// A listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Nothing if the service manager or another program bound it.
    pub process: Option<u32>,
    inode: u64,
}

impl Bound {
    /// `0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/smtpcred/auth.678`
    fn read(line: &str, path: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
        let inode = fields.nth(2)?.parse().ok()?;
        let (_, name) = line.split_once(&format!(" {inode} "))?;
        let rest = name.strip_prefix(path)?;
        let process = match rest.strip_prefix('.') {
            None if rest.is_empty() => None,
            process => Some(process?.parse().ok()?),
        };
        (flags & LISTENS != 0).then_some(Self { process, inode })
    }

    /// Returns whether that process has the socket open. In another mount namespace, anyone
    /// can bind a socket with this name. So if we may not look, the process must be a program
    /// of our name that runs as our user or as root.
    pub fn is_held(&self) -> bool {
        let Some(process) = self.process else {
            return false;
        };
        let file = |name: &str| format!("/proc/{process}/{name}");
        if let Ok(open) = fs::read_dir(file("fd")) {
            let is_this = |found: fs::Metadata| found.ino() == self.inode;
            let mut open = open.flatten();
            return open.any(|entry| fs::metadata(entry.path()).is_ok_and(is_this));
        }
        let own = fs::read_to_string("/proc/self/comm");
        let is_same = own.is_ok_and(|own| fs::read_to_string(file("comm")).ok() == Some(own));
        let status = fs::read_to_string(file("status")).unwrap_or_default();
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let uid = uids.and_then(|uids| uids.split_whitespace().nth(1)?.parse().ok());
        is_same && uid.is_some_and(|uid: u32| uid == 0 || uid == geteuid().as_raw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_found_by_the_name_they_were_bound_to() {
        const HEAD: &str = "0000000000000000: 00000002 00000000";
        let read = |flags: &str, name: &str| {
            let line = format!("{HEAD} {flags} 0001 01 12345 {name}");
            Bound::read(&line, "/run/a b/auth").map(|bound| bound.process)
        };
        assert_eq!(read("00010000", "/run/a b/auth.678"), Some(Some(678)));
        assert_eq!(read("00010000", "/run/a b/auth"), Some(None));
        // Connected sockets, other paths, and abstract names.
        assert_eq!(read("00000000", "/run/a b/auth.678"), None);
        assert_eq!(read("00010000", "/run/a b/auth2"), None);
        assert_eq!(read("00010000", "/run/a b/auth.x"), None);
        assert_eq!(read("00010000", "@/run/a b/auth"), None);
        assert_eq!(Bound::read("Num       RefCount Protocol Flags", "/"), None);
        assert_eq!(Bound::read("", ""), None);
    }
}
