//! What an import is asked to do, and what it reports.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::formats::format::ImportFormat;
use crate::formats::row::RowProblem;
use crate::model::name::{DomainName, Username};
use crate::model::password::{Password, PasswordId};
use crate::store::Store;

/// How a file is imported.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
pub struct ImportOptions {
    /// What kind of file it is.
    pub format: ImportFormat,
    /// The domain of names without one.
    pub domain: Option<DomainName>,
    /// Add domains that do not exist.
    pub add_domain: bool,
    /// Update existing users that differ from the file.
    pub update: bool,
    /// Delete users that are not in the file.
    pub prune: bool,
    /// Report what would change, and change nothing.
    pub dry_run: bool,
    /// Report bad rows, and import the others.
    pub skip_bad: bool,
    /// Generate passwords for new users that have none.
    pub generate: bool,
}

/// A change that a dry run reports.
#[derive(Debug)]
pub struct ImportChange<'a> {
    /// The user.
    pub username: &'a Username,
    /// What would happen to it.
    pub kind: ImportChangeKind,
    /// The columns that differ; empty unless it is updated.
    pub columns: &'a [&'static str],
}

/// What an import does to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportChangeKind {
    /// It is added.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
}

/// The side that talks to the admin: it reports, asks, and delivers passwords.
pub trait ImportFrontend {
    /// Reports a problem of a row, with the text of the row as far as it is known.
    fn problem(&mut self, problem: &RowProblem, text: &str) -> Result<()>;
    /// Reports a change in a dry run.
    fn change(&mut self, change: &ImportChange) -> Result<()>;
    /// Returns why the generated password of this new user could not be delivered, if so.
    fn refuses(&self, username: &Username) -> Option<String>;
    /// Creates the store if there was none, before the first change.
    fn create_store(&mut self) -> Result<Option<Store>>;
    /// Asks before this many users are deleted. Returns whether a person was asked or
    /// confirmed all of it in advance.
    fn confirm(&mut self, deleted: u64) -> Result<bool>;
    /// Delivers a generated password.
    fn deliver(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        password: &Password,
    ) -> Result<()>;
    /// Syncs the generated passwords to disk before their users exist. The store is
    /// changed after this.
    fn delivered(&mut self) -> Result<()>;
    /// Returns whether the run is to stop before the next batch.
    fn is_stopped(&self) -> bool;
}

/// How many users an import changed, or would change.
#[derive(Debug, Default)]
pub struct ImportCounts {
    /// Users that did not exist.
    pub created: u64,
    /// Users that differed from the file.
    pub updated: u64,
    /// Users that were as the file says.
    pub unchanged: u64,
    /// Users that were not in the file.
    pub deleted: u64,
    /// Bad rows. A row may have several problems.
    pub bad: u64,
    /// Passwords that were not hashed in the file.
    pub plain: u64,
    /// Passwords generated for new users.
    pub generated: u64,
    /// Created or updated users that have already expired and cannot sign in.
    pub expired: u64,
    /// Good rows by the scheme of their hash.
    pub schemes: BTreeMap<&'static str, u64>,
}

impl ImportChangeKind {
    /// Returns the name that output has for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}
