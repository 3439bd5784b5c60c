//! Makes backups and verifies them.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::copy::copy_tables;
use crate::app::App;
use crate::app::chain::verify_chain;
use crate::app::verify::check_readable;
use crate::error::{Error, Result};
use crate::model::store_location::Location;
use crate::model::text::count;
use crate::model::time::Time;
use crate::store::{Access, CopiedTable, Integrity, LastBackup, Store, UserScan, finish_backup};

/// Long enough for any store.
const ALL_OF_IT: Duration = Duration::from_secs(3600);

/// What a store or a backup holds.
#[derive(Debug)]
pub struct Contents {
    /// How many users; `None` in the tables of an older version.
    pub users: Option<u64>,
    /// How many domains; `None` in the tables of an older version.
    pub domains: Option<u64>,
    /// When the backup was made; `None` for a copy that another program made.
    pub made_at: Option<Time>,
    /// Which installation it is of; `None` if nothing was ever changed in it.
    pub installation: Option<String>,
    /// The version of its tables.
    pub schema: i64,
}

impl App {
    /// Copies the store, as it is at one moment, into this empty file while others use the
    /// store, and reads the copy again. `file` is the same file, and `name` the one it will have.
    pub fn back_up(&mut self, path: &Path, file: &File, name: &str) -> Result<LastBackup> {
        self.store.require_hash_access()?;
        let made = LastBackup {
            at: self.now().plausible()?,
            file: name.to_owned(),
        };
        if !self.store.copy_pages(path)? {
            self.copy_rows_to(path)?;
        }
        finish_backup(path, file, &made)?;
        let mut copy = Store::open_backup(path)?;
        match copy.check(ALL_OF_IT)? {
            Integrity::Whole => Ok(made),
            Integrity::Damaged(reason) => Err(Error::FileUnwritten {
                path: path.to_owned(),
                reason: format!("the copy is damaged: {reason}"),
            }),
            Integrity::Unfinished => Err(Error::FileUnwritten {
                path: path.to_owned(),
                reason: "the copy could not be read within an hour".into(),
            }),
        }
    }

    fn copy_rows_to(&mut self, path: &Path) -> Result<()> {
        let stamp = self.stamp()?;
        let mut copy = Store::open(&Location::from(path), Access::Create)?;
        let mut target = copy.begin(stamp)?;
        self.store.at_one_moment(|source| {
            copy_tables(source, &mut target, &CopiedTable::ALL, &mut |_| Ok(()))
        })?;
        target.derive()?;
        target.commit()
    }

    /// Records that a backup was made.
    pub fn record_backup(&mut self, made: &LastBackup) -> Result<()> {
        let mut tx = self.begin()?;
        tx.record_backup(made)?;
        tx.commit()
    }
}

/// Reads all of a store or a backup, as sign-in does. Returns an error for the first damage.
pub fn verify_store(store: &mut Store, place: &Location, now: Time) -> Result<Contents> {
    let damaged = |reason: String| Error::StoreDamaged {
        store: place.into(),
        reason,
    };
    match store.check(ALL_OF_IT)? {
        Integrity::Whole => {}
        Integrity::Damaged(reason) => return Err(damaged(reason)),
        Integrity::Unfinished => {
            return Err(Error::StoreUnreachable {
                store: place.into(),
                reason: "it could not be read within an hour".into(),
            });
        }
    }
    let schema = store.schema()?;
    let (mut users, mut domains) = (None, None);
    // The tables of an older version are read once they are migrated.
    if schema.found == schema.known {
        let missing = store.missing()?;
        if !missing.is_empty() {
            return Err(damaged(format!("it lacks {}", missing.join(", "))));
        }
        let readable = check_readable(store, UserScan::all(), now, ALL_OF_IT)?;
        if let Some(first) = readable.first {
            let others = match readable.others {
                0 => String::new(),
                others => format!("; also affected: {}", count(others, "user")),
            };
            return Err(damaged(format!("{first}{others}")));
        }
        if let Some(fault) = verify_chain(store, None)?.fault {
            return Err(damaged(format!("its history is broken: {fault}")));
        }
        users = Some(store.count(&CopiedTable::USERS)?);
        domains = Some(store.count(&CopiedTable::DOMAINS)?);
    }
    Ok(Contents {
        users,
        domains,
        made_at: store.backup_made_at()?,
        installation: store.installation()?,
        schema: schema.found,
    })
}
