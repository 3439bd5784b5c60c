//! What a store knows about backups: whose it is, and when the last one was made.

use std::fs::File;
use std::path::Path;

use blake3::Hasher;

use super::setting_names::{BACKUP_AT, INSTALLATION, LAST_BACKUP};
use super::{Store, Tx, sqlite};
use crate::error::Result;
use crate::model::event::{Action, Fields};
use crate::model::time::Time;

/// The last good backup of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastBackup {
    /// When it was made.
    pub at: Time,
    /// The file, as it may be printed.
    pub file: String,
}

impl LastBackup {
    fn value(&self) -> String {
        format!("{} {}", self.at.epoch(), self.file)
    }

    fn parse(value: &str) -> Option<Self> {
        let (at, file) = value.split_once(' ')?;
        Some(Self {
            at: Time::from_epoch(at.parse().ok()?).plausible().ok()?,
            file: file.to_owned(),
        })
    }
}

/// Ends a copy of pages or rows in this file: it needs no other file from now on, and tells
/// when it was made. It is on the disk afterwards.
pub fn finish_backup(path: &Path, file: &File, made: &LastBackup) -> Result<()> {
    let (value, at) = (made.value(), made.at.epoch().to_string());
    let settings = [(LAST_BACKUP, value.as_str()), (BACKUP_AT, at.as_str())];
    sqlite::finish_backup(path, file, &settings)
}

impl Store {
    /// Opens a backup, which is only read.
    pub fn open_backup(path: &Path) -> Result<Self> {
        Ok(Self {
            restriction: None,
            engine: Box::new(sqlite::open_backup(path)?),
            warnings: Vec::new(),
        })
    }

    /// Copies the whole store into an empty file while others use it. Returns false if only
    /// its rows can be copied.
    pub fn copy_pages(&mut self, to: &Path) -> Result<bool> {
        self.engine.copy_pages(to)
    }

    /// Runs queries that all see the store as of one moment. It blocks no one.
    pub fn at_one_moment<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.engine.begin_reading()?;
        let found = read(self);
        self.engine.rollback();
        found
    }

    /// Returns what identifies the installation: a digest of its first event, which all
    /// copies and backups of the store have. `None` as long as nothing was ever changed.
    pub fn installation(&mut self) -> Result<Option<String>> {
        const SQL: &str = "SELECT id, at, actor, host, action, fields, domain, username FROM events
            ORDER BY id LIMIT 1";
        let mut digest = self.setting(INSTALLATION)?;
        if digest.is_some() {
            return Ok(digest);
        }
        self.engine.query(SQL, &[], &mut |row| {
            let mut hasher = Hasher::new();
            hasher.update(&row.int(0)?.to_le_bytes());
            hasher.update(&row.int(1)?.to_le_bytes());
            for column in 2..8 {
                hasher.update(row.opt_text(column)?.unwrap_or_default().as_bytes());
                hasher.update(&[0]);
            }
            digest = Some(hasher.finalize().to_hex()[..16].to_owned());
            Ok(())
        })?;
        Ok(digest)
    }

    /// Returns the last good backup.
    pub fn last_backup(&mut self) -> Result<Option<LastBackup>> {
        let value = self.setting(LAST_BACKUP)?;
        Ok(value.and_then(|value| LastBackup::parse(&value)))
    }

    /// Returns when this backup was made; `None` if it is none, or of another program.
    pub fn backup_made_at(&mut self) -> Result<Option<Time>> {
        let value = self.setting(BACKUP_AT)?;
        let at = value.and_then(|value| value.parse().ok());
        Ok(at.and_then(|at| Time::from_epoch(at).plausible().ok()))
    }

    fn setting(&mut self, name: &str) -> Result<Option<String>> {
        const SQL: &str = "SELECT value FROM settings WHERE name = $1";
        let mut found = None;
        self.engine.query(SQL, &[name.into()], &mut |row| {
            found = Some(row.text(0)?.to_owned());
            Ok(())
        })?;
        Ok(found)
    }
}

impl Tx<'_> {
    /// Keeps what identifies the installation, before its first event is removed.
    pub(super) fn keep_installation(&mut self) -> Result<()> {
        let installation = self.store.installation()?;
        self.put(INSTALLATION, installation.as_deref())
    }

    /// Records a good backup.
    pub fn record_backup(&mut self, made: &LastBackup) -> Result<()> {
        self.put(LAST_BACKUP, Some(&made.value()))?;
        // A backup that became the store again is no backup any longer.
        self.put(BACKUP_AT, None)?;
        let fields = Fields::default().with("file", made.file.as_str());
        self.event(Action::StoreBackup, None, None, &fields)
    }
}
