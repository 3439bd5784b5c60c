//! What `--auth` and `--policy` take: the path of a socket, and who may use it.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use nix::unistd::{Group, User, geteuid};

use crate::error::{Error, Result};
use crate::files::{self, Folder};
use crate::model::path;
use crate::model::text::invalid;

/// A socket, and who may use it: `PATH[,mode=0660][,owner=NAME][,group=NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketSpec {
    /// Its file.
    pub path: PathBuf,
    pub(super) mode: u32,
    owner: Option<String>,
    group: Option<String>,
}

const MODE: u32 = 0o660;

impl FromStr for SocketSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const RULE: &str = "PATH, optionally followed by ,mode=0660 ,owner=NAME ,group=NAME";
        let wrong = || invalid("socket", text, RULE);
        let mut parts = text.split(',');
        let said = parts
            .next()
            .filter(|said| !said.is_empty())
            .ok_or_else(wrong)?;
        let mut spec = Self {
            path: path::given(said)?,
            mode: MODE,
            owner: None,
            group: None,
        };
        for part in parts {
            match part.split_once('=') {
                Some(("mode", mode)) => {
                    // A sign would be accepted, too.
                    let octal = mode.bytes().all(|b| b.is_ascii_digit());
                    spec.mode = u32::from_str_radix(mode, 8)
                        .ok()
                        .filter(|mode| octal && *mode <= 0o777)
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

/// Returns the owner that a socket gets; `None` if it stays ours.
#[derive(Default)]
pub(super) struct SocketOwner {
    user: Option<u32>,
    group: Option<u32>,
}

impl SocketSpec {
    /// Returns the IDs of the owner and group; fails if there are none of these names.
    pub(super) fn rights(&self) -> Result<SocketOwner> {
        let no_such =
            |kind: &str, name: &str| Error::Socket(format!("there is no {kind} '{name}'"));
        let user = self.owner.as_ref().map(|name| match User::from_name(name) {
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
        Ok(SocketOwner {
            user: user.transpose()?,
            group: group.transpose()?,
        })
    }
}

impl SocketOwner {
    /// Changes the socket that was just bound there, and nothing that another user
    /// put in its place.
    pub(super) fn give(&self, folder: &Folder, name: &OsStr) -> io::Result<()> {
        let bound = folder.handle(name)?;
        let found = rustix::fs::fstat(&bound)?;
        let ours = found.st_uid == geteuid().as_raw() && found.st_nlink == 1;
        if !ours || !files::is_socket(&found) {
            return Err(io::Error::other("another user replaced it"));
        }
        if self.user.is_some() || self.group.is_some() {
            files::give(&bound, self.user, self.group)?;
        }
        Ok(())
    }
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
