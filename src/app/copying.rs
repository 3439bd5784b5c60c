//! A store as a whole: copied to another engine, looked at, given rights to.

use blake3::Hasher;

use super::App;
use crate::error::{Error, Result};
use crate::model::location::Location;
use crate::model::role::Role;
use crate::store::{Copied, Schema, Space, Store, Table};

/// A table that is the same in both stores.
pub struct TableCopied {
    pub table: &'static str,
    pub rows: u64,
    /// Of all its rows, in order.
    pub digest: String,
}

/// What there is of a store.
pub struct Contents {
    pub schema: Schema,
    pub domains: u64,
    pub users: u64,
    pub events: u64,
    pub space: Option<Space>,
}

impl App {
    /// Everything of another store into this one, which has to be empty. Nobody can
    /// change the other one meanwhile; all of it is compared before it is committed.
    pub fn copy_from(
        &mut self,
        source: &mut Store,
        location: &Location,
        each: &mut dyn FnMut(TableCopied) -> Result<()>,
    ) -> Result<()> {
        source.see_hashes()?;
        for table in &Table::ALL {
            if self.store.count(table)? > 0 {
                return Err(Error::StoreNotEmpty(table.name));
            }
        }
        let stamp = self.stamp()?;
        let mut source = source.begin(stamp)?;
        let mut target = self.begin()?;
        let mut all = 0;
        for table in &Table::ALL {
            let mut read = Sum::default();
            source.store().rows(table, &mut |row| {
                read.add(&row);
                target.add_row(table, &row)
            })?;
            let mut written = Sum::default();
            target.store().rows(table, &mut |row| {
                written.add(&row);
                Ok(())
            })?;
            let digest = read.digest();
            if read.rows != written.rows || digest != written.digest() {
                return Err(Error::Inconsistent(format!(
                    "{} came out otherwise than it went in; nothing was copied",
                    table.name
                )));
            }
            all += read.rows;
            each(TableCopied {
                table: table.name,
                rows: read.rows,
                digest,
            })?;
        }
        target.end_copy(location, all)?;
        target.commit()
    }

    pub fn grant(&mut self, role: Role, to: &str) -> Result<()> {
        let mut tx = self.begin()?;
        tx.grant(role, to)?;
        tx.commit()
    }

    pub fn contents(&mut self) -> Result<Contents> {
        Ok(Contents {
            schema: self.store.schema()?,
            domains: self.store.count(&Table::DOMAINS)?,
            users: self.store.count(&Table::USERS)?,
            events: self.store.count(&Table::EVENTS)?,
            space: self.store.space()?,
        })
    }
}

#[derive(Default)]
struct Sum {
    rows: u64,
    hasher: Hasher,
}

impl Sum {
    fn add(&mut self, row: &[Copied]) {
        self.rows += 1;
        for value in row {
            match value {
                Copied::Null => _ = self.hasher.update(b"n"),
                Copied::Int(number) => {
                    self.hasher.update(b"i");
                    self.hasher.update(&number.to_le_bytes());
                }
                Copied::Text(text) => {
                    self.hasher.update(b"t");
                    self.hasher.update(&(text.len() as u64).to_le_bytes());
                    self.hasher.update(text.as_bytes());
                }
            }
        }
    }

    fn digest(&self) -> String {
        self.hasher.finalize().to_hex()[..32].to_owned()
    }
}
