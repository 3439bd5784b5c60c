//! The store as a whole: what it holds, who may use it, copies and maintenance.

pub mod backfill;
pub mod backup;
pub mod copy;
pub mod maintain;
pub mod restore;

use super::App;
use crate::error::Result;
use crate::model::role::Role;
use crate::store::{CopiedTable, Schema, Space};

/// What a store holds.
pub struct StoreContents {
    /// The versions of its tables.
    pub schema: Schema,
    /// How many domains.
    pub domains: u64,
    /// How many users.
    pub users: u64,
    /// How many events.
    pub events: u64,
    /// How much disk space it takes, where the engine tells.
    pub space: Option<Space>,
}

impl App {
    /// Gives a database role the rights that `role` needs.
    pub fn grant(&mut self, role: Role, to: &str) -> Result<()> {
        let mut tx = self.begin()?;
        tx.grant(role, to)?;
        tx.commit()
    }

    /// Counts what the store holds.
    pub fn contents(&mut self) -> Result<StoreContents> {
        Ok(StoreContents {
            schema: self.store.schema()?,
            domains: self.store.count(&CopiedTable::DOMAINS)?,
            users: self.store.count(&CopiedTable::USERS)?,
            events: self.store.count(&CopiedTable::EVENTS)?,
            space: self.store.space()?,
        })
    }
}
