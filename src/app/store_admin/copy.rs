//! Copies a store to another engine.

use blake3::Hasher;

use crate::app::App;
use crate::error::{Error, Result};
use crate::model::store_location::Location;
use crate::store::{CopiedTable, OwnedArg, Store, Tx};

/// A table that is the same in both stores.
pub struct TableCopied {
    /// The table's name.
    pub table: &'static str,
    /// How many rows were copied.
    pub rows: u64,
    /// A digest of all its rows, in order.
    pub digest: String,
}

impl App {
    /// Copies another store into this one, which has to be empty. The other store is locked
    /// meanwhile; the copy is compared with it before it is committed.
    pub fn copy_from(
        &mut self,
        source: &mut Store,
        location: &Location,
        each: &mut dyn FnMut(TableCopied) -> Result<()>,
    ) -> Result<()> {
        source.require_hash_access()?;
        for table in &CopiedTable::ALL {
            if self.store.count(table)? > 0 {
                return Err(Error::StoreNotEmpty(table.name));
            }
        }
        let stamp = self.stamp()?;
        let mut source = source.begin(stamp)?;
        let mut target = self.begin()?;
        let all = copy_tables(source.store(), &mut target, &CopiedTable::ALL, each)?;
        target.end_copy(location, all)?;
        target.commit()
    }
}

/// Copies tables into empty ones, and compares them. Returns how many rows there are.
pub(super) fn copy_tables(
    source: &mut Store,
    target: &mut Tx,
    tables: &[CopiedTable],
    each: &mut dyn FnMut(TableCopied) -> Result<()>,
) -> Result<u64> {
    let mut all = 0;
    for table in tables {
        let mut read = TableDigest::default();
        source.rows(table, &mut |row| {
            read.add(&row);
            target.add_row(table, &row)
        })?;
        let mut written = TableDigest::default();
        target.store().rows(table, &mut |row| {
            written.add(&row);
            Ok(())
        })?;
        let digest = read.digest();
        if read.rows != written.rows || digest != written.digest() {
            return Err(Error::Inconsistent(format!(
                "the copy of {} differs from the original; nothing was copied",
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
    Ok(all)
}

#[derive(Default)]
struct TableDigest {
    rows: u64,
    hasher: Hasher,
}

impl TableDigest {
    fn add(&mut self, row: &[OwnedArg]) {
        self.rows += 1;
        for value in row {
            match value {
                OwnedArg::Null => _ = self.hasher.update(b"n"),
                OwnedArg::Int(number) => {
                    self.hasher.update(b"i");
                    self.hasher.update(&number.to_le_bytes());
                }
                OwnedArg::Text(text) => {
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
