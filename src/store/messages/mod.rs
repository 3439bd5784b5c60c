//! What users sent, and its end for each recipient.
//!
//! The reader of the log must not be able to read or change a password. In PostgreSQL it
//! has a role of its own. Beside a store file, messages are in a file of their own, in a
//! folder of their own: a program that writes an SQLite file creates files in its folder, too.

mod by_user;
mod file;
mod page;
mod prune;
mod read;
mod row;
mod write;

use std::path::PathBuf;
use std::time::Duration;

use super::engine::Engine;
use super::setting_names::{KEEP_MESSAGES, KEEP_RECIPIENTS};
use super::{Access, Location, PATIENCE, sqlite};
use crate::error::{Error, Result};
use crate::model::message_rules::{KeepMessages, MessageRules};

pub use by_user::StateCount;
pub use page::{MessageFilter, MessagePlace};
pub use write::{MessageBatch, WrittenMessages};

/// The open store of messages.
pub struct MessageStore {
    engine: Box<dyn Engine>,
    /// It is a file: see the module.
    is_file: bool,
    /// Messages about it for the admin.
    pub warnings: Vec<String>,
}

impl MessageStore {
    /// Opens what is beside this store. Waits up to 30 seconds for others that have it
    /// locked. Fails with [`Error::MessagesNotKept`] if there is nothing.
    pub fn open(store: &Location, access: Access) -> Result<Self> {
        Self::open_within(store, access, PATIENCE)
    }

    /// Opens it. `patience` is how long to wait for others that have it locked, now and later.
    pub fn open_within(store: &Location, access: Access, patience: Duration) -> Result<Self> {
        let (engine, warnings): (Box<dyn Engine>, _) = match store {
            Location::File(path) => {
                let path = file::path(path);
                if access == Access::Create {
                    file::create(&path)?;
                }
                match sqlite::open(&path, &sqlite::MESSAGES, access, patience) {
                    Err(Error::StoreMissing(_)) => return Err(Error::MessagesNotKept),
                    Err(
                        Error::StoreDamaged { reason, .. }
                        | Error::StoreForeign { reason, .. }
                        | Error::StoreUnreachable { reason, .. },
                    ) => return Err(Error::MessagesUnreadable { file: path, reason }),
                    opened => {
                        let (engine, warnings) = opened?;
                        (Box::new(engine), warnings)
                    }
                }
            }
            #[cfg(feature = "postgres")]
            Location::Postgres(_) => {
                let engine = super::postgres::open_messages(store, access, patience)?;
                (Box::new(engine), Vec::new())
            }
            #[cfg(not(feature = "postgres"))]
            Location::Postgres(_) => return Err(super::without_postgres()),
        };
        Ok(Self {
            engine,
            is_file: store.file().is_some(),
            warnings,
        })
    }

    /// Returns the file of the messages; `None` if they are in the database.
    pub fn file_of(store: &Location) -> Option<PathBuf> {
        store.file().map(file::path)
    }

    /// Uses less memory, for a long-running process.
    pub fn keep_little(&mut self) -> Result<()> {
        self.engine.keep_little()
    }

    /// Returns what to keep, as the admin's command wrote it here.
    pub fn rules(&mut self) -> Result<MessageRules> {
        const SQL: &str = "SELECT name, value FROM message_settings";
        let mut rules = MessageRules::default();
        self.engine.query(SQL, &[], &mut |row| {
            match row.text(0)? {
                KEEP_MESSAGES => rules.keep = row.parsed::<KeepMessages>(1)?.0,
                KEEP_RECIPIENTS => rules.recipients = row.parsed(1)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(rules)
    }

    /// Tells the reader of the log what the store says. A database has it in one place.
    pub fn set_rules(&mut self, rules: &MessageRules) -> Result<()> {
        const SET: &str = "INSERT INTO message_settings (name, value) VALUES ($1, $2)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        if !self.is_file || self.rules()? == *rules {
            return Ok(());
        }
        let keep = KeepMessages(rules.keep).to_string();
        self.change(|this| {
            for (name, value) in [
                (KEEP_MESSAGES, keep.as_str()),
                (KEEP_RECIPIENTS, rules.recipients.name()),
            ] {
                this.engine.execute(SET, &[name.into(), value.into()])?;
            }
            Ok(())
        })
    }

    /// Makes a change, or none.
    fn change<T>(&mut self, write: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.engine.begin()?;
        let made = write(self).and_then(|made| {
            self.engine.commit()?;
            Ok(made)
        });
        if made.is_err() {
            self.engine.rollback();
        }
        made
    }
}
