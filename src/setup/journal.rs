//! What setup has changed, kept so that it can be undone: after an interrupted run, after
//! a failure, and by `--undo`.
//!
//! Everything is in a folder of root's, beside the store's and not in it: the store's folder
//! belongs to another user, who could exchange what root later copies to `/etc` (promise 14).
//! Contents are files named by their hash and the file; `manifest.json` says which belongs where. It is
//! replaced in one piece and synced before each change, so whenever setup is killed, the next
//! run knows what to undo.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use super::content::{FileChange, content, failed, put, read, sweep};
use super::diff;
use super::kept::{Effects, HostChange, KeptFile, Manifest, Underway, Undo, is_unit};
use crate::error::{Error, Result};
use crate::files::{self, Folder};

/// Where everything is kept.
pub const FOLDER: &str = "/var/lib/smtpcred-setup";
const MANIFEST: &str = "manifest.json";

/// The record of one mail server's setup.
pub struct Journal {
    folder: Folder,
    manifest: Manifest,
    _lock: std::fs::File,
}

impl Journal {
    /// Returns whether there is one, without creating it.
    pub fn exists(server: &str) -> bool {
        files::is_there(&Path::new(FOLDER).join(server).join(MANIFEST))
    }

    /// Opens and locks it, and creates it if necessary. Fails if another setup runs.
    pub fn open(server: &str) -> Result<Self> {
        let path = Path::new(FOLDER).join(server);
        let folder = Folder::create(&path, 0o700).map_err(|error| failed(&path, &error))?;
        if let Some(at) = folder.exchangeable_at() {
            return Err(Error::System(format!(
                "{} is not safe: other users can write {}",
                path.display(),
                at.display()
            )));
        }
        let lock = folder.lock().map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => Error::SetupRunning,
            _ => failed(&path, &error),
        })?;
        let manifest = match read(&folder, OsStr::new(MANIFEST)) {
            Ok(Some(bytes)) => serde_json::from_slice(&bytes).map_err(|error| {
                Error::System(format!("{}: {error}", path.join(MANIFEST).display()))
            })?,
            Ok(None) => Manifest::default(),
            Err(error) => return Err(failed(&path.join(MANIFEST), &error)),
        };
        Ok(Self {
            folder,
            manifest,
            _lock: lock,
        })
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns whether a change was interrupted.
    pub const fn is_underway(&self) -> bool {
        self.manifest.underway.is_some()
    }

    /// Returns whether an undo was interrupted, which is to be finished.
    pub fn is_undo_underway(&self) -> bool {
        let underway = self.manifest.underway.as_ref();
        underway.is_some_and(|underway| underway.is_undo)
    }

    /// Returns whether the server ran before the change that is underway.
    pub fn ran(&self) -> bool {
        let underway = self.manifest.underway.as_ref();
        underway.is_none_or(|underway| underway.ran)
    }

    /// Returns whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.manifest.files.is_empty() && self.manifest.effects == Effects::default()
    }

    /// Records a change before it is made.
    pub fn begin(&mut self, files: &[FileChange], effects: &Effects) -> Result<()> {
        let mut next = self.manifest.files.clone();
        let mut underway = Vec::new();
        for file in files {
            let now = KeptFile {
                path: file.path.clone(),
                before: self.keep(&file.path, file.before.as_deref())?,
                left: self.keep(&file.path, file.after.as_deref())?,
            };
            underway.push(now.clone());
            match next.iter_mut().find(|kept| kept.path == file.path) {
                // What was edited since the last setup stays when this one is undone.
                Some(kept) => {
                    let (undone, _) = self.undone(kept, file.before.as_deref())?;
                    kept.before = self.keep(&file.path, undone.as_deref())?;
                    kept.left = now.left;
                }
                None => next.push(now),
            }
        }
        next.retain(|kept| kept.before != kept.left);
        let mut next_effects = self.manifest.effects.clone();
        for unit in &effects.units {
            // The first setup saw how it was before.
            if !next_effects.units.iter().any(|one| one.name == unit.name) {
                next_effects.units.push(unit.clone());
            }
        }
        if let Some(host) = &effects.host {
            let first = next_effects.host.take();
            next_effects.host = Some(HostChange {
                before: first.map_or_else(|| host.before.clone(), |first| first.before),
                after: host.after.clone(),
            });
        }
        self.manifest.underway = Some(Underway {
            files: underway,
            effects: effects.clone(),
            next,
            next_effects,
            is_undo: false,
            // Setup refuses a server that does not run.
            ran: true,
        });
        self.save()
    }

    /// Records the start of an undo, which leaves out the units if they stay.
    pub fn begin_undo(&mut self, undo: &Undo, ran: bool) -> Result<()> {
        let mut files = Vec::new();
        for file in &undo.files {
            files.push(KeptFile {
                path: file.path.clone(),
                before: self.keep(&file.path, file.before.as_deref())?,
                left: self.keep(&file.path, file.after.as_deref())?,
            });
        }
        let mut next = Vec::new();
        let mut next_effects = Effects::default();
        if undo.units_stay {
            next_effects.units.clone_from(&self.manifest.effects.units);
            let units = self.manifest.files.iter();
            next.extend(units.filter(|kept| kept.is_unit()).cloned());
            // What was edited: a later undo looks whether it still uses the sockets.
            let edited = files.iter().filter(|kept| !kept.is_unit());
            next.extend(edited.map(|kept| KeptFile {
                before: kept.left.clone(),
                ..kept.clone()
            }));
        }
        self.manifest.underway = Some(Underway {
            files,
            effects: undo.effects.clone(),
            next,
            next_effects,
            is_undo: true,
            ran,
        });
        self.save()
    }

    /// Records that the change is made.
    pub fn commit(&mut self) -> Result<()> {
        if let Some(done) = self.manifest.underway.take() {
            self.manifest.files = done.next;
            self.manifest.effects = done.next_effects;
        }
        self.save()?;
        self.sweep();
        Ok(())
    }

    /// Restores the files of an unfinished change and returns its other effects, which the
    /// caller undoes before [`Journal::forget`]. What was edited meanwhile stays. Restores the
    /// others even if one fails, and returns the first failure.
    pub fn roll_back(&self) -> (Result<()>, Effects) {
        let Some(underway) = &self.manifest.underway else {
            return (Ok(()), Effects::default());
        };
        let back = |kept: &KeptFile| {
            sweep(&kept.path)?;
            let current = content(&kept.path)?;
            let (wanted, _) = self.undone(kept, current.as_deref())?;
            put(&FileChange {
                path: kept.path.clone(),
                before: current,
                after: wanted,
            })
        };
        let all: Vec<_> = underway.files.iter().rev().map(back).collect();
        (all.into_iter().collect(), underway.effects.clone())
    }

    /// Returns what is left to do of an undo that was interrupted.
    pub fn rest_of_undo(&self) -> Result<Undo> {
        let mut rest = Undo::default();
        let Some(underway) = &self.manifest.underway else {
            return Ok(rest);
        };
        rest.effects = underway.effects.clone();
        for kept in &underway.files {
            sweep(&kept.path)?;
            let current = content(&kept.path)?;
            let forward = KeptFile {
                path: kept.path.clone(),
                before: kept.left.clone(),
                left: kept.before.clone(),
            };
            let (wanted, _) = self.undone(&forward, current.as_deref())?;
            rest.files.push(FileChange {
                path: kept.path.clone(),
                before: current,
                after: wanted,
            });
        }
        Ok(rest)
    }

    /// Forgets an unfinished change that was undone.
    pub fn forget(&mut self) -> Result<()> {
        self.manifest.underway = None;
        self.save()?;
        self.sweep();
        Ok(())
    }

    /// Returns what undoes everything. `uses_sockets` tells of a content whether it needs the
    /// sockets: they stay if an edited file still does, or another server.
    pub fn undo(&self, uses_sockets: impl Fn(&[u8]) -> bool) -> Result<Undo> {
        let mut undo = Undo {
            effects: self.manifest.effects.clone(),
            ..Undo::default()
        };
        for kept in &self.manifest.files {
            let current = content(&kept.path)?;
            let (wanted, edited) = self.undone(kept, current.as_deref())?;
            let path = kept.path.display();
            let edited = edited.iter();
            undo.stay.extend(
                edited.map(|line| format!("stays, because it was edited since: {path}: {line}")),
            );
            undo.units_stay |= !kept.is_unit() && wanted.as_deref().is_some_and(&uses_sockets);
            undo.files.push(FileChange {
                path: kept.path.clone(),
                before: current,
                after: wanted,
            });
        }
        if let Some(other) = self.other_user().filter(|_| !undo.effects.units.is_empty()) {
            undo.units_stay = true;
            undo.stay.push(format!(
                "the sockets stay, because the setup of {other} uses them"
            ));
        }
        let is_unit = |file: &FileChange| is_unit(&file.path);
        undo.units_stay &= !undo.effects.units.is_empty() || undo.files.iter().any(is_unit);
        if undo.units_stay {
            undo.effects.units.clear();
            undo.files.retain(|file| !is_unit(file));
        }
        Ok(undo)
    }

    /// Returns the name of another setup that uses the sockets.
    fn other_user(&self) -> Option<String> {
        let all = Folder::open(Path::new(FOLDER)).ok()?;
        let mut names = all.names().ok()?.into_iter();
        let own = self.path().file_name();
        let uses = |name: &OsStr| {
            // Dovecot reads the store itself.
            if Some(name) == own || name.as_encoded_bytes().starts_with(b"dovecot") {
                return false;
            }
            let folder = Folder::open(&all.join(name)).ok();
            let bytes =
                folder.and_then(|folder| read(&folder, OsStr::new(MANIFEST)).ok().flatten());
            let manifest = bytes.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
            manifest.is_some_and(|manifest| manifest.uses_sockets())
        };
        let found = names.find(|name| uses(name))?;
        Some(found.to_string_lossy().into_owned())
    }

    /// Returns the content that a file has without our change, and the edited lines that stay.
    fn undone(
        &self,
        kept: &KeptFile,
        current: Option<&[u8]>,
    ) -> Result<(Option<Vec<u8>>, Vec<String>)> {
        let before = self.object(kept.before.as_deref())?;
        let left = self.object(kept.left.as_deref())?;
        if current == before.as_deref() || current == left.as_deref() {
            return Ok((before, Vec::new()));
        }
        let Some(current) = current else {
            return Ok((None, vec!["the file was removed".to_owned()]));
        };
        let whole = || {
            (
                Some(current.to_vec()),
                vec!["the file was replaced".to_owned()],
            )
        };
        let (Some(left), Ok(now)) = (left, std::str::from_utf8(current)) else {
            return Ok(whole());
        };
        let before = before.unwrap_or_default();
        let (Ok(left), Ok(before)) = (std::str::from_utf8(&left), std::str::from_utf8(&before))
        else {
            return Ok(whole());
        };
        let merged = diff::merge(left, now, before);
        Ok((Some(merged.text.into_bytes()), merged.kept))
    }

    /// Keeps a content of a file and returns its name.
    fn keep(&self, path: &Path, bytes: Option<&[u8]>) -> Result<Option<String>> {
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{}-{file}", &blake3::hash(bytes).to_hex()[..32]);
        let file = OsStr::new(&name);
        // One that was cut by a full disk is removed by `write_new`, by a kill it is not.
        let whole = read(&self.folder, file).is_ok_and(|found| found.as_deref() == Some(bytes));
        if !whole {
            let written = self
                .folder
                .remove(file)
                .and_then(|()| self.folder.write_new(file, bytes));
            written.map_err(|error| failed(self.path(), &error))?;
        }
        Ok(Some(name))
    }

    fn object(&self, name: Option<&str>) -> Result<Option<Vec<u8>>> {
        let Some(name) = name else {
            return Ok(None);
        };
        let found = read(&self.folder, OsStr::new(name));
        let found = found.map_err(|error| failed(&self.path().join(name), &error))?;
        let missing = || Error::System(format!("{} is missing", self.path().join(name).display()));
        found.map(Some).ok_or_else(missing)
    }

    fn save(&self) -> Result<()> {
        let name = OsStr::new(MANIFEST);
        let is_nothing = self.is_empty() && !self.is_underway();
        let saved = if is_nothing {
            self.folder.remove(name).and_then(|()| self.folder.sync())
        } else {
            let mut bytes = serde_json::to_vec_pretty(&self.manifest)
                .map_err(|error| Error::System(error.to_string()))?;
            bytes.push(b'\n');
            let new = OsStr::new("manifest.new");
            self.folder
                .remove(new)
                .and_then(|()| self.folder.write_new(new, &bytes))
                .and_then(|()| self.folder.rename(new, name))
                .and_then(|()| self.folder.sync())
        };
        saved.map_err(|error| failed(&self.path().join(MANIFEST), &error))
    }

    /// Removes contents that nothing names any more. What is left over does no harm.
    fn sweep(&self) {
        let files = &self.manifest.files;
        let named: Vec<&String> = files
            .iter()
            .flat_map(|kept| kept.before.iter().chain(&kept.left))
            .collect();
        for name in self.folder.names().unwrap_or_default() {
            let is_content = name.as_encoded_bytes().get(32) == Some(&b'-');
            if is_content && !named.iter().any(|one| name == one.as_str()) {
                let _ = self.folder.remove(&name);
            }
        }
    }
}
