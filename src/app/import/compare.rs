//! Compares a row with the store and decides what to do with it.

use super::request::ImportOptions;
use crate::app::capacity::DomainCapacity;
use crate::error::{Error, Result};
use crate::model::name::Username;
use crate::model::old_name::OldName;
use crate::model::text::count;
use crate::model::transfer::{StoredUser, TransferRecord};

pub enum RowVerdict {
    Unchanged,
    /// Creates the user, and possibly its domain.
    Create {
        new_domain: bool,
    },
    /// Updates these columns.
    Update(Vec<&'static str>),
    /// The bad columns, and why.
    Bad(Vec<(&'static str, String)>),
}

impl RowVerdict {
    pub fn bad(column: &'static str, reason: impl Into<String>) -> Self {
        Self::Bad(vec![(column, reason.into())])
    }
}

/// `capacity` has the domain of a new user.
pub fn compare(
    username: &Username,
    record: &TransferRecord,
    (stored, old_name): (Option<&StoredUser>, Option<&OldName>),
    capacity: &mut DomainCapacity,
    options: &ImportOptions,
) -> Result<RowVerdict> {
    match (stored, old_name) {
        (Some(stored), _) => Ok(compare_existing(record, stored, options)),
        (None, Some(old)) => Ok(RowVerdict::bad(
            "username",
            format!(
                "is an old name of {}: the file is older than the rename",
                old.username
            ),
        )),
        (None, None) => compare_new(username, record, capacity, options),
    }
}

fn compare_existing(
    record: &TransferRecord,
    stored: &StoredUser,
    options: &ImportOptions,
) -> RowVerdict {
    if record.password.as_ref().is_some_and(|secret| secret.new) {
        return RowVerdict::bad("username", "was created meanwhile and has a password");
    }
    let columns = record.differences(stored);
    if columns.is_empty() {
        return RowVerdict::Unchanged;
    }
    if options.update {
        return RowVerdict::Update(columns);
    }
    let reason = "differs from the store: --update changes it";
    RowVerdict::Bad(columns.iter().map(|c| (*c, reason.to_owned())).collect())
}

fn compare_new(
    username: &Username,
    record: &TransferRecord,
    capacity: &mut DomainCapacity,
    options: &ImportOptions,
) -> Result<RowVerdict> {
    // A dry run generates no passwords, but the import would.
    let will_have = record.password.is_some() || options.generate && options.dry_run;
    if !will_have {
        let reason = "is missing, and the user is new: --output-dir generates one";
        return Ok(RowVerdict::bad("hash", reason));
    }
    let domain = username.domain();
    let new_domain = options.add_domain && !capacity.has(&domain);
    if new_domain {
        capacity.add(&domain);
    }
    match capacity.take(&domain) {
        Ok(()) => Ok(RowVerdict::Create { new_domain }),
        Err(Error::DomainNotFound(_)) => Ok(RowVerdict::bad(
            "username",
            "has a domain that does not exist: --add-domain adds it",
        )),
        Err(Error::UserLimit { limit, .. }) => Ok(RowVerdict::bad(
            "username",
            format!(
                "has a domain with its limit of {}",
                count(limit.into(), "user")
            ),
        )),
        Err(error) => Err(error),
    }
}
