//! Permissions and attributes of a file that is replaced.

use std::fs::File;
use std::io;

use rustix::fs::{Gid, Mode, Uid, XattrFlags, fstat};
use rustix::io::Errno;

use super::walk::user;

const ACL: &str = "system.posix_acl_access";
/// Derived from the content; the kernel computes them.
const COMPUTED: [&str; 2] = ["security.ima", "security.evm"];

/// Gives a new file the owner, group, mode, ACL, label and other extended attributes
/// of an old one, or fails. The new file must still be empty.
pub fn copy(old: &File, new: &File) -> io::Result<()> {
    let wanted = fstat(old)?;
    let had = names(new)?;
    let names = names(old)?;
    for name in &names {
        let value = value(old, name)?;
        if self::value(new, name).is_ok_and(|same| same == value) {
            continue;
        }
        rustix::fs::fsetxattr(new, name.as_str(), &value, XattrFlags::empty())
            .map_err(|error| lost(&format!("the attribute {name}"), error))?;
    }
    // A default ACL of the folder would grant rights that the old file did not.
    if had.iter().any(|name| name == ACL) && !names.iter().any(|name| name == ACL) {
        rustix::fs::fremovexattr(new, ACL)?;
    }
    let mode = Mode::from_raw_mode(wanted.st_mode & 0o7777);
    rustix::fs::fchmod(new, mode).map_err(|error| lost("the mode", error))?;
    let found = fstat(new)?;
    if (found.st_uid, found.st_gid) != (wanted.st_uid, wanted.st_gid) {
        let owner = Some(Uid::from_raw(wanted.st_uid));
        let group = Some(Gid::from_raw(wanted.st_gid));
        let whose = format!("the owner {}:{}", user(wanted.st_uid), wanted.st_gid);
        rustix::fs::fchown(new, owner, group).map_err(|error| lost(&whose, error))?;
    }
    let found = fstat(new)?;
    let rights = |stat: &rustix::fs::Stat| (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777);
    if rights(&found) == rights(&wanted) {
        Ok(())
    } else {
        Err(io::Error::other("its rights cannot be kept"))
    }
}

fn lost(what: &str, error: Errno) -> io::Error {
    let error = io::Error::from(error);
    io::Error::other(format!("it cannot keep {what}: {error}"))
}

fn names(file: &File) -> io::Result<Vec<String>> {
    let mut list = vec![0; 64 * 1024];
    let length = match rustix::fs::flistxattr(file, &mut list) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    let names = list[..length].split(|byte| *byte == 0);
    let names = names.map(|name| String::from_utf8_lossy(name).into_owned());
    Ok(names
        .filter(|name| !name.is_empty() && !COMPUTED.contains(&name.as_str()))
        .collect())
}

fn value(file: &File, name: &str) -> io::Result<Vec<u8>> {
    let mut value = vec![0; 64 * 1024];
    let length = rustix::fs::fgetxattr(file, name, &mut value)?;
    value.truncate(length);
    Ok(value)
}
