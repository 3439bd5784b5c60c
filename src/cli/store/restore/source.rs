//! The backup that is restored: verified, and of this program's version.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::Uid;

use crate::app::store_admin::backup::{Contents, verify_store};
use crate::app::store_admin::restore::RestoredFrom;
use crate::cli::store::encrypted::{COPY, decrypted, is_encrypted};
use crate::cli::world::WORLD;
use crate::error::{Error, Place, Result};
use crate::files::{Elsewhere, Folder, PrivateFolder, copy_new};
use crate::model::age::Identity;
use crate::model::store_location::Location;
use crate::store::{Access, Store};

const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// A backup that was verified.
pub struct Source {
    /// The backup itself, or a migrated copy.
    pub store: Store,
    /// What it holds.
    pub contents: Contents,
    /// The backup as a file: another user cannot change it any more.
    pub file: File,
    /// For messages.
    pub name: String,
    elsewhere_temporary: bool,
    _copy: Option<PrivateFolder>,
}

impl Source {
    /// Opens and verifies a backup, for this store. An encrypted one needs an identity.
    pub fn open(path: &Path, store: &Location, identities: &[Identity]) -> Result<Self> {
        let unread = |e: &io::Error| unread(path, e);
        let (folder, name) = Folder::of_target(path).map_err(|e| unread(&e))?;
        let mut file = folder.read(&name).map_err(|e| unread(&e))?;
        refuse_others(path, &folder, &file, store.file().and_then(owner))?;
        let encrypted = is_encrypted(&mut file).map_err(|e| unread(&e))?;
        let elsewhere = Elsewhere {
            beside: store.file(),
            temporary: !encrypted,
        };
        // No other user may exchange it after it was verified.
        let exchangeable = Uid::effective().is_root() && folder.exchangeable_at().is_some();
        let mut copy = None;
        if encrypted {
            let (private, plain) = decrypted(path, &mut file, identities, elsewhere)?;
            (copy, file) = (Some(private), plain);
        } else if exchangeable {
            refuse_in_use(path, &folder, &name)?;
            let (private, copied) = copied(&mut file, elsewhere).map_err(|e| unread(&e))?;
            (copy, file) = (Some(private), copied);
        }
        let place = copy
            .as_ref()
            .map_or_else(|| path.to_owned(), |copy| copy.path().join(COPY));
        let opened = Store::open_backup(&place).and_then(|mut store| {
            let contents = verify_store(&mut store, &Location::File(place.clone()), (WORLD.now)())?;
            Ok((store, contents))
        });
        let (mut opened, mut contents) = opened.map_err(|error| unfit(path, error))?;
        let schema = opened.schema()?;
        if schema.found < schema.known {
            drop(opened);
            let (private, migrated) = match copy {
                Some(private) => (private, file),
                None => copied(&mut file, elsewhere).map_err(|e| unread(&e))?,
            };
            file = migrated;
            let migrated = Location::File(private.path().join(COPY));
            opened =
                Store::open(&migrated, Access::Existing).map_err(|error| unfit(path, error))?;
            contents = verify_store(&mut opened, &migrated, (WORLD.now)())
                .map_err(|error| unfit(path, error))?;
            copy = Some(private);
        }
        Ok(Self {
            store: opened,
            contents,
            file,
            name: path.display().to_string(),
            elsewhere_temporary: !encrypted,
            _copy: copy,
        })
    }

    /// Returns where a copy of it may be.
    pub const fn elsewhere<'a>(&self, beside: Option<&'a Path>) -> Elsewhere<'a> {
        Elsewhere {
            beside,
            temporary: self.elsewhere_temporary,
        }
    }

    /// Returns what the event of the restore says about it.
    pub fn origin(&self) -> RestoredFrom {
        RestoredFrom {
            file: self.name.clone(),
            made_at: self.contents.made_at,
        }
    }
}

/// Copies an open file into a private folder.
pub fn copied(file: &mut File, elsewhere: Elsewhere) -> io::Result<(PrivateFolder, File)> {
    let length = file.metadata()?.len();
    // A migration writes beside it.
    let private = PrivateFolder::with_room(length.saturating_mul(3), elsewhere)?;
    copy_new(file, private.folder(), COPY.as_ref(), None)?;
    let copy = private.folder().read(COPY.as_ref())?;
    Ok((private, copy))
}

/// Returns the owner of the store, who can write whatever a backup has.
fn owner(store: &Path) -> Option<u32> {
    let (folder, name) = Folder::of_target(store).ok()?;
    Some(folder.find(&name).ok()??.st_uid)
}

/// A user who can write a backup that root restores could sign in as anyone.
fn refuse_others(path: &Path, above: &Folder, file: &File, owner: Option<u32>) -> Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let unread = |e: &io::Error| unread(path, e);
    let found = file.metadata().map_err(|e| unread(&e))?;
    let above = above.metadata().map_err(|e| unread(&e))?;
    let trusted = |uid: u32| uid == 0 || Some(uid) == owner;
    let open_folder = above.st_mode & OTHERS_WRITE != 0 && above.st_mode & STICKY == 0;
    if trusted(found.uid())
        && found.mode() & OTHERS_WRITE == 0
        && trusted(above.st_uid)
        && !open_folder
    {
        return Ok(());
    }
    Err(Error::BackupUnfit {
        backup: Place::from(path),
        reason: "another user can write it, and so could add passwords to it".into(),
        cure: "if you trust it, copy it to a folder of root's, with: install -m 600".into(),
    })
}

/// A store that is in use is no backup: a part of it is in its log.
fn refuse_in_use(path: &Path, folder: &Folder, name: &OsStr) -> Result<()> {
    for suffix in ["-wal", "-journal"] {
        let mut log = name.to_owned();
        log.push(suffix);
        let log = folder.find(&log).map_err(|e| unread(path, &e))?;
        if log.is_some_and(|log| log.st_size > 0) {
            return Err(Error::BackupUnfit {
                backup: Place::from(path),
                reason: "its log is beside it: it is a store in use, not a backup".into(),
                cure: "make a backup of it with: smtpcred store backup FILE".into(),
            });
        }
    }
    Ok(())
}

fn unread(path: &Path, error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        return Error::BackupMissing(Place::from(path));
    }
    Error::BackupUnfit {
        backup: Place::from(path),
        reason: error.to_string(),
        cure: "run the command as a user who may read it".into(),
    }
}

/// Says of a backup what the error says of a store.
fn unfit(path: &Path, error: Error) -> Error {
    let another =
        "take another one; this checks all of a folder: smtpcred store verify --all FOLDER";
    let (reason, cure) = match error {
        Error::StoreDamaged { reason, .. } | Error::Inconsistent(reason) => {
            (format!("it is damaged: {reason}"), another)
        }
        Error::StoreForeign { reason, .. } => (reason, another),
        Error::StoreTooNew { found, known, .. } => (
            format!("a newer smtpcred made it (schema {found}; this program knows {known})"),
            "upgrade this program first; nothing was changed",
        ),
        other => return other,
    };
    Error::BackupUnfit {
        backup: Place::from(path),
        reason,
        cure: cure.to_owned(),
    }
}
