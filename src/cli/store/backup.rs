//! `smtpcred store backup`

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::draft::Draft;
use super::encrypted::{COPY, check_backup, encrypt_backup, size_of};
use crate::app::App;
use crate::cli::args::path;
use crate::cli::context::Context;
use crate::cli::new_file::unwritten;
use crate::cli::terminal::record::Record;
use crate::cli::terminal::stream::write_error;
use crate::error::Error;
use crate::files::{Elsewhere, Folder, PrivateFolder, is_file};
use crate::model::age::Recipient;
use crate::model::store_location::Location;
use crate::model::text::count;
use crate::model::time::Time;
use crate::store::{Access, LastBackup};

const HELP: &str = "\
Examples:
  smtpcred store backup /root/smtpcred.backup
  smtpcred store backup /var/backups/smtpcred --keep 30          from the timer, each night
  smtpcred store backup /mnt/nas/ --keep 30 --encrypt-to age1…   encrypted, for the key of an admin

Contents:
  Everything, including all hashes, as it was at one moment: a store file with the mode 0600, even
  of a PostgreSQL database. It is read again before it gets its name; a killed run leaves at most a
  file that ends with .unfinished, which the next run for the same name or folder removes. Existing
  files are never overwritten. Meanwhile users sign in, and others change the store.

Encryption:
  --encrypt-to takes a public key of age (age1…), which age-keygen prints. Keep the secret key
  elsewhere: store verify and store restore need it. What is not encrypted is never on the disk:
  it is in memory (/dev/shm), or, if there is no room, in the folder of the store.

Folders:
  In a folder the file is named smtpcred-STORE-TIME.backup, with .age if it is encrypted. --keep removes the oldest files of this
  store with such names, after the new one is complete.

JSON:
  {file, at, bytes, removed}; the file is null for stdout. A list of files is in removed.";

/// Copy the whole store into a new file while it is in use
///
/// Check a backup with `smtpcred store verify`.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct BackUpStore {
    /// The new file, an existing folder, or - for stdout
    #[arg(value_name = "FILE|FOLDER|-", value_parser = path::given())]
    to: PathBuf,

    /// Keep this many backups of the folder and remove older ones
    #[arg(long, value_name = "N")]
    keep: Option<NonZeroU16>,

    /// Encrypt it to this public key of age; can be repeated
    #[arg(long, value_name = "RECIPIENT")]
    encrypt_to: Vec<Recipient>,
}

impl BackUpStore {
    pub fn run(self, context: &mut Context) -> Result<()> {
        if self.to == Path::new("-") {
            return self.to_stdout(context);
        }
        let mut app = context.app(Access::Existing)?;
        let folder = self.folder()?;
        if self.keep.is_some() && folder.is_none() {
            return Err(Error::Usage(format!(
                "--keep removes old backups of a folder, and {} is none",
                self.to.display()
            ))
            .into());
        }
        let (draft, series) = if let Some(folder) = folder {
            let series = Series::of(&mut app)?;
            series.clear_left(context, &folder);
            let name = series.name(app.now(), !self.encrypt_to.is_empty());
            (Draft::create(folder, name)?, Some(series))
        } else {
            let (folder, name) = Folder::of(&self.to).map_err(|e| unwritten(&self.to, &e))?;
            (Draft::create(folder, name)?, None)
        };
        let target = draft.target();
        let name = target.display().to_string();
        let made = if self.encrypt_to.is_empty() {
            app.back_up(&draft.path(), &draft.file, &name)?
        } else {
            self.encrypted(context, &mut app, &draft, &name)?
        };
        let bytes = length(&draft)?;
        draft.keep()?;
        record(context, &mut app, &made);
        let mut removed = Vec::new();
        if let (Some(series), Some(keep)) = (series, self.keep) {
            removed = series.remove_old(context, &self.to, &target, keep);
        }
        context
            .out
            .note(&format!("backed up to {}", target.display()));
        if !removed.is_empty() {
            let n = removed.len() as u64;
            context
                .out
                .note(&format!("removed {}", count(n, "old backup")));
        }
        let record = BackupRecord {
            file: made.file,
            at: made.at,
            bytes,
            removed,
        };
        Ok(context.out.result(&record)?)
    }

    /// Returns the folder if an existing one was named.
    fn folder(&self) -> Result<Option<Folder>, Error> {
        match Folder::open(&self.to) {
            Ok(folder) => Ok(Some(folder)),
            Err(e) if self.to.as_os_str().as_encoded_bytes().ends_with(b"/") => {
                Err(unwritten(&self.to, &e))
            }
            Err(_) => Ok(None),
        }
    }

    /// Makes the backup where no other user sees it, and writes it encrypted.
    fn encrypted(
        &self,
        context: &Context,
        app: &mut App,
        draft: &Draft,
        name: &str,
    ) -> Result<LastBackup, Error> {
        let private = private(app, &context.location()?, false)?;
        let (mut plain, made) = to_private_file(app, &private, name)?;
        let mut written = || -> io::Result<()> {
            let mut file = io::BufWriter::new(&draft.file);
            let key = encrypt_backup(&mut plain, &mut file, &self.encrypt_to)?;
            file.flush()?;
            draft.file.sync_all()?;
            check_backup(
                draft
                    .reader()
                    .map_err(|e| io::Error::other(e.to_string()))?,
                &key,
            )
        };
        written().map_err(|e| unwritten(&draft.target(), &e))?;
        Ok(made)
    }

    fn to_stdout(&self, context: &mut Context) -> Result<()> {
        if self.keep.is_some() {
            return Err(Error::Usage("--keep needs a folder, and not stdout".into()).into());
        }
        if io::stdout().is_terminal() {
            return Err(Error::Usage(
                "a backup is not for a terminal: send stdout to a file or a program".into(),
            )
            .into());
        }
        let mut app = context.app(Access::Existing)?;
        let location = context.location()?;
        let private = private(&mut app, &location, self.encrypt_to.is_empty())?;
        let (mut file, made) = to_private_file(&mut app, &private, "stdout")?;
        // Before the slow part: nothing is left of it if this process is killed there.
        drop(private);
        let stdout = &mut context.out.stdout;
        let written = if self.encrypt_to.is_empty() {
            io::copy(&mut file, stdout).map(|_| ())
        } else {
            encrypt_backup(&mut file, stdout, &self.encrypt_to).map(|_| ())
        };
        written.map_err(|e| write_error(&e))?;
        context.out.finish()?;
        record(context, &mut app, &made);
        context.out.note("backed up to stdout");
        Ok(())
    }
}

fn private(app: &mut App, store: &Location, temporary: bool) -> Result<PrivateFolder, Error> {
    let elsewhere = Elsewhere {
        beside: store.file(),
        temporary,
    };
    let size = size_of(app)?;
    PrivateFolder::with_room(size, elsewhere).map_err(|e| Error::FileUnwritten {
        path: "/dev/shm".into(),
        reason: e.to_string(),
    })
}

/// Returns a backup in a private folder.
fn to_private_file(
    app: &mut App,
    private: &PrivateFolder,
    name: &str,
) -> Result<(File, LastBackup), Error> {
    let folder = Folder::open(private.path()).map_err(|e| unwritten(private.path(), &e))?;
    let draft = Draft::create(folder, OsString::from(COPY))?;
    let made = app.back_up(&draft.path(), &draft.file, name)?;
    Ok((draft.reader()?, made))
}

/// The backup is good, whether or not the store can say so.
fn record(context: &Context, app: &mut App, made: &LastBackup) {
    if let Err(error) = app.record_backup(made) {
        context.out.warn(&format!(
            "the backup is complete, but the store could not record it: {error}"
        ));
    }
}

fn length(draft: &Draft) -> Result<u64, Error> {
    let found = draft.file.metadata();
    let found = found.map_err(|e| unwritten(&draft.target(), &e))?;
    Ok(found.len())
}

/// The backups of one store in a folder.
struct Series {
    start: String,
}

const END: &str = ".backup";
const ENCRYPTED: &str = ".age";

impl Series {
    fn of(app: &mut App) -> Result<Self, Error> {
        let installation = app.store.installation()?;
        let installation = installation.unwrap_or_else(|| "0".repeat(16));
        Ok(Self {
            start: format!("smtpcred-{}-", &installation[..8]),
        })
    }

    /// Sorts by time.
    fn name(&self, at: Time, encrypted: bool) -> OsString {
        let time: String = at.to_string().chars().filter(|c| *c != ':').collect();
        let encrypted = if encrypted { ENCRYPTED } else { "" };
        format!("{}{time}{END}{encrypted}", self.start).into()
    }

    /// A file that smtpcred named so.
    fn has(&self, name: &str) -> bool {
        let time = name
            .strip_suffix(ENCRYPTED)
            .unwrap_or(name)
            .strip_prefix(&self.start)
            .and_then(|rest| rest.strip_suffix(END));
        let shape = "0000-00-00T000000Z";
        time.is_some_and(|time| {
            time.len() == shape.len()
                && time
                    .chars()
                    .zip(shape.chars())
                    .all(|(c, shape)| match shape {
                        '0' => c.is_ascii_digit(),
                        other => c == other,
                    })
        })
    }

    fn clear_left(&self, context: &Context, folder: &Folder) {
        match Draft::clear_left(folder, |name| self.has(name)) {
            Ok(0) => {}
            Ok(n) => context.out.note(&format!(
                "removed {} of killed runs",
                count(n, "unfinished backup")
            )),
            Err(error) => context
                .out
                .warn(&format!("unfinished backups could not be removed: {error}")),
        }
    }

    fn remove_old(
        &self,
        context: &Context,
        path: &Path,
        made: &Path,
        keep: NonZeroU16,
    ) -> Vec<String> {
        self.removed(path, made, keep).unwrap_or_else(|error| {
            context.out.warn(&format!(
                "old backups in {} could not be removed: {error}",
                path.display()
            ));
            Vec::new()
        })
    }

    /// Keeps the new one, and the latest of the others: their clock may have been ahead.
    fn removed(&self, path: &Path, made: &Path, keep: NonZeroU16) -> io::Result<Vec<String>> {
        let folder = Folder::open(path)?;
        let names = folder.names()?.into_iter();
        let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
        let is_made = |name: &str| made.file_name().is_some_and(|made| made == name);
        names.retain(|name| self.has(name) && !is_made(name));
        names.sort_unstable();
        let kept = usize::from(keep.get()) - 1;
        let old = names.len().saturating_sub(kept);
        let mut removed = Vec::new();
        for name in names.drain(..old) {
            let name = OsString::from(name);
            if folder.find(&name)?.is_some_and(|found| is_file(&found)) {
                folder.remove(&name)?;
                removed.push(folder.join(&name).display().to_string());
            }
        }
        Ok(removed)
    }
}

#[derive(Serialize)]
struct BackupRecord {
    file: String,
    at: Time,
    bytes: u64,
    removed: Vec<String>,
}

impl Record for BackupRecord {
    const FIELDS: &'static [&'static str] = &["file", "at", "bytes", "removed"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.file.clone(),
            self.at.to_string(),
            self.bytes.to_string(),
            self.removed.join("\n"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_store_are_of_the_series() {
        let series = Series {
            start: "smtpcred-0123abcd-".into(),
        };
        let names = [false, true].map(|e| series.name(Time::from_epoch(1_800_000_000), e));
        let [plain, encrypted] = names.map(|name| name.into_string().unwrap());
        assert_eq!(plain, "smtpcred-0123abcd-2027-01-15T080000Z.backup");
        assert_eq!(encrypted, format!("{plain}.age"));
        assert!(series.has(&plain) && series.has(&encrypted));
        for other in [
            "smtpcred-ffffffff-2027-01-15T080000Z.backup",
            "smtpcred-0123abcd-2027-01-15T080000Z.backup.unfinished",
            "smtpcred-0123abcd-before.backup",
            "smtpcred-0123abcd-2027-01-15T08000_Z.backup",
            "smtpcred.db",
        ] {
            assert!(!series.has(other), "{other}");
        }
    }
}
