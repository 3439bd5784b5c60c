//! The files of a restore: the present store is kept beside, and a missing or damaged one is
//! replaced in one step.

use std::ffi::{OsStr, OsString};
use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::source::{Source, copied};
use crate::app::App;
use crate::cli::new_file::unwritten;
use crate::cli::store::draft::Draft;
use crate::cli::store::encrypted::{COPY, size_of};
use crate::cli::world::WORLD;
use crate::error::{Error, Result};
use crate::files::{Elsewhere, Folder, PrivateFolder, copy_new, give};
use crate::model::store_location::Location;
use crate::model::time::Time;
use crate::store::{Access, Store};

/// What SQLite keeps beside a store.
const LOG: &str = "-wal";
const BESIDE: [&str; 3] = [LOG, "-shm", "-journal"];

/// Where the present store is kept.
pub struct KeptStore {
    folder: Folder,
    name: OsString,
    owner: Option<(u32, u32)>,
}

impl KeptStore {
    /// Returns the place beside the store, or beside the backup if the store is a database.
    pub fn beside(location: &Location, backup: &Path, at: Time) -> Result<Self> {
        let path = location.file().unwrap_or(backup);
        let (folder, name) = Folder::of_target(path).map_err(|e| unwritten(path, &e))?;
        let time: String = at.to_string().chars().filter(|c| *c != ':').collect();
        let owner = match location {
            Location::File(_) => owner_of(&folder, &name).map_err(|e| unwritten(path, &e))?,
            Location::Postgres(_) => None,
        };
        Ok(Self {
            folder,
            name: with(&name, &format!(".before-restore-{time}")),
            owner,
        })
    }

    /// Returns its path.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Copies a store that can be read, through a connection of its own.
    pub fn keep(&self, location: &Location) -> Result<()> {
        let path = self.path();
        let failed = |e: &io::Error| unwritten(&path, e);
        if self
            .folder
            .find(&self.name)
            .map_err(|e| failed(&e))?
            .is_some()
        {
            return Err(Error::OutputExists(path));
        }
        let mut app = App::new(Store::open(location, Access::Look)?, WORLD);
        let size = size_of(&mut app)?;
        let elsewhere = Elsewhere {
            beside: location.file(),
            temporary: true,
        };
        let private = PrivateFolder::with_room(size, elsewhere).map_err(|e| failed(&e))?;
        let folder = Folder::open(private.path()).map_err(|e| failed(&e))?;
        let draft = Draft::create(folder, COPY.into())?;
        let made = app.back_up(&draft.path(), &draft.file, &path.display().to_string());
        made.map_err(|error| match error {
            Error::FileUnwritten { reason, .. } => Error::FileUnwritten {
                path: path.clone(),
                reason,
            },
            other => other,
        })?;
        let mut copy = draft.reader()?;
        copy_new(&mut copy, &self.folder, &self.name, self.owner).map_err(|e| failed(&e))
    }

    /// Copies the files of a store that cannot be read.
    fn keep_files(&self, store: &Path) -> Result<()> {
        let (folder, name) = Folder::of_target(store).map_err(|e| unwritten(store, &e))?;
        for suffix in ["", LOG] {
            let name = with(&name, suffix);
            if folder
                .find(&name)
                .map_err(|e| unwritten(store, &e))?
                .is_none()
            {
                continue;
            }
            let kept = with(&self.name, suffix);
            let copied = folder
                .read(&name)
                .and_then(|mut file| copy_new(&mut file, &self.folder, &kept, self.owner));
            copied.map_err(|e| unwritten(&self.path(), &e))?;
        }
        Ok(())
    }

    /// Removes it, because nothing was restored.
    pub fn forget(&self) {
        for suffix in ["", LOG] {
            let _ = self.folder.remove(&with(&self.name, suffix));
        }
    }
}

/// Makes the backup the store where there is none, or in place of a damaged one, which `kept`
/// keeps.
pub fn become_store(source: &mut Source, store: &Path, kept: Option<&KeptStore>) -> Result<()> {
    let failed = |e: &io::Error| unwritten(store, e);
    // Made whole where no other user sees it.
    let elsewhere = source.elsewhere(Some(store));
    let (private, _) = copied(&mut source.file, elsewhere).map_err(|e| failed(&e))?;
    let made = private.path().join(COPY);
    {
        let opened = Store::open(&Location::File(made), Access::Existing)?;
        let name = kept.map(|kept| kept.path().display().to_string());
        App::new(opened, WORLD).become_store(&source.origin(), name.as_deref())?;
    }
    let folder = match Folder::of_target(store) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => store
            .parent()
            .map_or(Err(e), |parent| Folder::create(parent, 0o700)),
        found => found.map(|(folder, _)| folder),
    };
    let folder = folder.map_err(|e| failed(&e))?;
    let name = store.file_name().unwrap_or_default().to_owned();
    let owner = owner_of(&folder, &name).map_err(|e| failed(&e))?;
    let beside = Folder::open(folder.path()).map_err(|e| failed(&e))?;
    let draft = Draft::create_in_place_of(folder, name.clone())?;
    fill(&draft, &private, owner).map_err(|e| failed(&e))?;
    let Some(kept) = kept else {
        // A log without its store would be taken for that of the new one.
        clear_beside(&beside, &name);
        return draft.keep();
    };
    kept.keep_files(store)?;
    if let Err(error) = draft.replace() {
        kept.forget();
        return Err(error);
    }
    // Until here, the new store is refused because of the old log.
    clear_beside(&beside, &name);
    beside.sync().map_err(|e| failed(&e))
}

fn fill(draft: &Draft, private: &PrivateFolder, owner: Option<(u32, u32)>) -> io::Result<()> {
    let mut made = private.folder().read(COPY.as_ref())?;
    let mut file = &draft.file;
    file.seek(SeekFrom::Start(0))?;
    io::copy(&mut made, &mut file)?;
    if let Some((user, group)) = owner {
        give(&draft.file, Some(user), Some(group))?;
    }
    draft.file.sync_all()
}

fn clear_beside(folder: &Folder, name: &OsStr) {
    for suffix in BESIDE {
        let _ = folder.remove(&with(name, suffix));
    }
}

/// Returns whose a file beside the store has to be, if root makes it.
fn owner_of(above: &Folder, name: &OsStr) -> io::Result<Option<(u32, u32)>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let found = match above.find(name)? {
        Some(file) => file,
        None => above.metadata()?,
    };
    Ok(Some((found.st_uid, found.st_gid)))
}

fn with(name: &OsStr, suffix: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(suffix);
    name
}
