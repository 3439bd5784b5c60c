//! The file of the messages beside a store file.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::unistd::{Group, Uid};

use crate::error::{Error, Result};
use crate::files::{Folder, give, set_mode};

/// The group of the user that reads the logs.
const GROUP: &str = "smtpcred-messages";
const NAME: &str = "messages.db";

/// Returns the path: `/srv/mail.db` has `/srv/mail-messages/messages.db`.
pub fn path(store: &Path) -> PathBuf {
    let mut folder = OsString::from(store.file_stem().unwrap_or_else(|| OsStr::new("store")));
    folder.push("-messages");
    store.with_file_name(folder).join(NAME)
}

/// Creates the file and its folder, unless they exist. Root gives both to the owner of the
/// store's folder, and to the group of the reader if there is one: it may write here, and
/// nowhere near the store.
pub fn create(path: &Path) -> Result<()> {
    let failed = |error: io::Error| Error::StoreUnreachable {
        store: path.into(),
        reason: error.to_string(),
    };
    match create_in(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(()),
    }
}

fn create_in(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(ErrorKind::IsADirectory.into());
    };
    let Some(beside) = parent.parent() else {
        return Err(ErrorKind::IsADirectory.into());
    };
    let stores = Folder::create(beside, 0o700)?;
    let owner = stores.metadata()?;
    let is_new = stores
        .find(parent.file_name().unwrap_or_default())?
        .is_none();
    let folder = Folder::create(parent, 0o700)?;
    let group = reader_group(owner.st_uid);
    if is_new {
        if Uid::effective().is_root() {
            give(
                &folder.opened()?,
                Some(owner.st_uid),
                Some(group.unwrap_or(owner.st_gid)),
            )?;
        }
        // What is created here belongs to the group.
        folder.set_mode(if group.is_some() { 0o2770 } else { 0o700 })?;
    }
    let file = folder.create_file(name, 0o600)?;
    if Uid::effective().is_root() {
        give(
            &file,
            Some(owner.st_uid),
            Some(group.unwrap_or(owner.st_gid)),
        )?;
    }
    if group.is_some() {
        set_mode(&file, 0o660)?;
    }
    Ok(())
}

/// Returns the group of the reader, where the store is that of the machine: root can give
/// files to it.
fn reader_group(owner: u32) -> Option<u32> {
    if !Uid::effective().is_root() || owner == 0 {
        return None;
    }
    let group = Group::from_name(GROUP).ok().flatten();
    group.map(|group| group.gid.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_store_has_a_folder_of_its_own() {
        for (store, file) in [
            ("/srv/mail.db", "/srv/mail-messages/messages.db"),
            ("/srv/mail", "/srv/mail-messages/messages.db"),
            ("x.db", "x-messages/messages.db"),
        ] {
            assert_eq!(path(Path::new(store)), Path::new(file));
        }
    }
}
