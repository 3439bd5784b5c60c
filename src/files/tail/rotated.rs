//! The rotated logs beside a log.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use super::head::LogHead;
use super::open_log::{FilePosition, OpenLog};
use crate::files::{Folder, is_file};

const PACKED: &[u8] = b".gz";

/// The rotated logs of one log.
pub struct RotatedLogs {
    folder: Folder,
    /// Those changed first are first.
    logs: Vec<RotatedLog>,
}

struct RotatedLog {
    name: OsString,
    id: (u64, u64),
    changed: (i64, i64),
    is_packed: bool,
}

impl RotatedLogs {
    /// Lists those beside this log. One that is being compressed is there twice, and only its
    /// plain file is whole.
    pub fn beside(folder: Folder, log: &OsStr) -> io::Result<Self> {
        let mut names = folder.names()?;
        names.retain(|name| is_rotated(log.as_bytes(), name.as_bytes()));
        let is_whole = |name: &OsString| {
            let plain = name.as_bytes().strip_suffix(PACKED);
            plain.is_none_or(|plain| names.iter().all(|other| other.as_bytes() != plain))
        };
        let mut logs = Vec::new();
        for name in names.iter().filter(|name| is_whole(name)) {
            if let Some(stat) = folder.find(name)?.filter(is_file) {
                logs.push(RotatedLog {
                    id: (stat.st_dev, stat.st_ino),
                    changed: (
                        stat.st_mtime,
                        i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
                    ),
                    is_packed: name.as_bytes().ends_with(PACKED),
                    name: name.clone(),
                });
            }
        }
        logs.sort_by_key(|log| log.changed);
        Ok(Self { folder, logs })
    }

    /// Opens the one that was read up to this position.
    pub fn read_up_to(&self, position: &FilePosition) -> Option<OpenLog> {
        let mut logs: Vec<&RotatedLog> = self.logs.iter().collect();
        // Most often its number is still the same, and compressed ones take longer.
        let is_same = |log: &RotatedLog| log.id == (position.device, position.inode);
        logs.sort_by_key(|log| (!is_same(log), log.is_packed));
        logs.into_iter().find_map(|log| {
            // One that cannot be read is another one.
            let file = self.open(log).ok()?;
            OpenLog::resumed(file, log.is_packed, position).ok()?
        })
    }

    /// Opens those that were changed at this time, in seconds and nanoseconds, or later, in that
    /// order; without those that begin like one of these. Clocks of file systems are slow, so that
    /// logs which were changed one after the other may have the same time.
    pub fn since(&self, time: (i64, i64), known: &[LogHead]) -> io::Result<Vec<OpenLog>> {
        let wanted = self.logs.iter().filter(|log| log.changed >= time);
        let wanted = wanted.filter(|log| !self.is_known(log, known));
        let opened = wanted.map(|log| OpenLog::new(self.open(log)?, log.is_packed));
        opened.collect()
    }

    /// Whether this one is one of these, perhaps copied or compressed. An unreadable or empty one
    /// counts as known: it is not read.
    fn is_known(&self, log: &RotatedLog, known: &[LogHead]) -> bool {
        let file = self.open(log);
        let opened = file.and_then(|file| OpenLog::new(file, log.is_packed));
        let beginning = opened.and_then(OpenLog::beginning);
        beginning.map_or(true, |beginning| {
            beginning.is_empty() || known.iter().any(|known| known.is_like(&beginning))
        })
    }

    fn open(&self, log: &RotatedLog) -> io::Result<File> {
        self.folder.read(&log.name)
    }
}

/// `mail.log.1`, `mail.log-20261130.gz`, `mail-20261130.log`
fn is_rotated(log: &[u8], name: &[u8]) -> bool {
    let name = name.strip_suffix(PACKED).unwrap_or(name);
    let is_number = |text: &[u8]| {
        text.iter().any(u8::is_ascii_digit)
            && text
                .iter()
                .all(|byte| byte.is_ascii_digit() || b"-_.".contains(byte))
    };
    let after = |stem: &[u8]| {
        let rest = name.strip_prefix(stem)?;
        rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b"-"))
    };
    if let Some(rest) = after(log) {
        return is_number(rest) || rest == b"old";
    }
    let Some(dot) = memchr::memrchr(b'.', log) else {
        return false;
    };
    let number = after(&log[..dot]).and_then(|rest| rest.strip_suffix(&log[dot..]));
    number.is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rotated_logs() {
        for name in [
            "mail.log.1",
            "mail.log.12.gz",
            "mail.log-20261130",
            "mail.log.20261130-045734.gz",
            "mail.log.old",
            "mail-20261130.log",
            "mail-2026-11-30.log.gz",
        ] {
            assert!(is_rotated(b"mail.log", name.as_bytes()), "{name}");
        }
        for name in [
            "mail.log",
            "mail.err",
            "mail.err.log",
            "mail.log.swp",
            "mail.log.1.xz",
            "mail.logs.1",
            "mail-out.log",
            "mail.log.gz",
            "a.mail.log.1",
        ] {
            assert!(!is_rotated(b"mail.log", name.as_bytes()), "{name}");
        }
        assert!(is_rotated(b"mainlog", b"mainlog.01"));
    }
}
