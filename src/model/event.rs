//! The audit trail: one line for each change. Nothing secret.

use std::str::FromStr;

use serde::Serialize;
use serde_json::{Map, Value};

use super::actor::Actor;
use super::event_chain::EventHash;
use super::text::quoted;
use super::time::Time;
use crate::error::{Error, Result};

/// Everything that changes a store. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A domain was added.
    DomainAdd,
    /// Settings of a domain were changed.
    DomainSet,
    /// A domain was removed.
    DomainRemove,
    /// A domain's token was found in the DNS.
    DomainVerify,
    /// A user was created.
    UserCreate,
    /// A user was imported.
    UserImport,
    /// Settings of a user were changed.
    UserSet,
    /// A user got a new password.
    UserReset,
    /// A user got a temporary password.
    UserIssue,
    /// A user was suspended.
    UserSuspend,
    /// A suspended user was resumed.
    UserResume,
    /// A user got another name.
    UserRename,
    /// A user was deleted.
    UserDelete,
    /// A user expired.
    UserExpired,
    /// A rotation ended: the new password was delivered.
    UserRotate,
    /// An overlap or a temporary password was ended by hand: one password stopped.
    UserRetire,
    /// Open sessions were ended by hand.
    SessionEnd,
    /// A stolen password was dealt with.
    UserClose,
    /// The new password works beside the old one.
    RotationBegin,
    /// The new password did not arrive, and was stopped.
    RotationWithdraw,
    /// It is not known whether the new password arrived.
    RotationUnfinished,
    /// A hash was replaced by one of today's cost.
    PasswordRehash,
    /// Settings of the installation were changed.
    SettingsSet,
    /// The whole store was copied from another one.
    StoreCopy,
    /// A backup of the store was made.
    StoreBackup,
    /// A backup was brought back.
    StoreRestore,
    /// A database user was granted a role.
    StoreGrant,
    /// Four fifths of a limit were reached.
    LimitNear,
    /// A limit was reached.
    LimitReached,
    /// Alerts were acknowledged.
    AlertAck,
    /// Old events were written to an archive and removed.
    AuditArchive,
    /// A role was granted.
    RoleGrant,
    /// A role was revoked.
    RoleRevoke,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 33] = [
        Self::DomainAdd,
        Self::DomainSet,
        Self::DomainRemove,
        Self::DomainVerify,
        Self::UserCreate,
        Self::UserImport,
        Self::UserSet,
        Self::UserReset,
        Self::UserIssue,
        Self::UserSuspend,
        Self::UserResume,
        Self::UserRename,
        Self::UserDelete,
        Self::UserExpired,
        Self::UserRotate,
        Self::UserRetire,
        Self::SessionEnd,
        Self::UserClose,
        Self::RotationBegin,
        Self::RotationWithdraw,
        Self::RotationUnfinished,
        Self::PasswordRehash,
        Self::SettingsSet,
        Self::StoreCopy,
        Self::StoreBackup,
        Self::StoreRestore,
        Self::StoreGrant,
        Self::LimitNear,
        Self::LimitReached,
        Self::AlertAck,
        Self::AuditArchive,
        Self::RoleGrant,
        Self::RoleRevoke,
    ];

    /// Returns the name in the store and in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DomainAdd => "domain.add",
            Self::DomainSet => "domain.set",
            Self::DomainRemove => "domain.remove",
            Self::DomainVerify => "domain.verify",
            Self::UserCreate => "user.create",
            Self::UserImport => "user.import",
            Self::UserSet => "user.set",
            Self::UserReset => "user.reset",
            Self::UserIssue => "user.issue",
            Self::UserSuspend => "user.suspend",
            Self::UserResume => "user.resume",
            Self::UserRename => "user.rename",
            Self::UserDelete => "user.delete",
            Self::UserExpired => "user.expired",
            Self::UserRotate => "user.rotate",
            Self::UserRetire => "user.retire",
            Self::SessionEnd => "session.end",
            Self::UserClose => "user.close",
            Self::RotationBegin => "rotation.begin",
            Self::RotationWithdraw => "rotation.withdraw",
            Self::RotationUnfinished => "rotation.unfinished",
            Self::PasswordRehash => "password.rehash",
            Self::SettingsSet => "settings.set",
            Self::StoreCopy => "store.copy",
            Self::StoreBackup => "store.backup",
            Self::StoreRestore => "store.restore",
            Self::StoreGrant => "store.grant",
            Self::LimitNear => "limit.near",
            Self::LimitReached => "limit.reached",
            Self::AlertAck => "alert.ack",
            Self::AuditArchive => "audit.archive",
            Self::RoleGrant => "role.grant",
            Self::RoleRevoke => "role.revoke",
        }
    }
}

impl FromStr for Action {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|action| action.name() == name);
        found.ok_or_else(|| Error::Usage(format!("there is no action {}", quoted(name))))
    }
}

/// The fields of an event: what was set to what. The store builds them, because it
/// knows what it wrote.
#[derive(Clone, Debug, Default)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a field, if there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Returns whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the fields as a JSON object.
    pub fn to_json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }
}

impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Self::Object(fields.0)
    }
}

/// The actor and time that every event begins with.
#[derive(Clone, Debug)]
pub struct EventStamp {
    /// The time of the change.
    pub at: Time,
    /// The person or job that makes it.
    pub actor: Actor,
}

/// An event as it is read back.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Its number; later events have higher ones.
    pub id: i64,
    /// The time of the change.
    pub at: Time,
    /// The person or job that made it.
    pub actor: String,
    /// The user that the program ran as, if another.
    pub run_as: Option<String>,
    /// The machine's name.
    pub host: String,
    /// The name of the [`Action`].
    pub action: String,
    /// The domain it is about; `None` for the whole installation.
    pub domain: Option<String>,
    /// The user it is about; `None` for a whole domain.
    pub username: Option<String>,
    /// What was set to what, as a JSON object.
    pub fields: Value,
    /// The hash of the event and of the one before it. Not in lists.
    #[serde(skip)]
    pub hash: Option<EventHash>,
}
