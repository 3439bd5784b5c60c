//! The audit trail: one line for each change. Nothing secret.

use serde::Serialize;
use serde_json::{Map, Value};

use super::actor::Actor;
use super::time::Time;

/// Everything that changes a store. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    DomainAdd,
    DomainSet,
    DomainRemove,
    DomainVerify,
    UserCreate,
    UserImport,
    UserSet,
    UserReset,
    UserSuspend,
    UserResume,
    UserDelete,
    UserExpired,
    UserRotate,
    UserRetire,
    /// The new password works beside the old one.
    RotationBegin,
    /// It did not arrive, and was stopped.
    RotationWithdraw,
    /// Nobody knows whether it arrived.
    RotationUnfinished,
    PasswordRehash,
    SettingsSet,
    /// All of it came from another store.
    StoreCopy,
    StoreGrant,
    /// Of four fifths of a limit, and of all of it.
    LimitNear,
    LimitReached,
}

impl Action {
    pub const ALL: [Self; 23] = [
        Self::DomainAdd,
        Self::DomainSet,
        Self::DomainRemove,
        Self::DomainVerify,
        Self::UserCreate,
        Self::UserImport,
        Self::UserSet,
        Self::UserReset,
        Self::UserSuspend,
        Self::UserResume,
        Self::UserDelete,
        Self::UserExpired,
        Self::UserRotate,
        Self::UserRetire,
        Self::RotationBegin,
        Self::RotationWithdraw,
        Self::RotationUnfinished,
        Self::PasswordRehash,
        Self::SettingsSet,
        Self::StoreCopy,
        Self::StoreGrant,
        Self::LimitNear,
        Self::LimitReached,
    ];

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
            Self::UserSuspend => "user.suspend",
            Self::UserResume => "user.resume",
            Self::UserDelete => "user.delete",
            Self::UserExpired => "user.expired",
            Self::UserRotate => "user.rotate",
            Self::UserRetire => "user.retire",
            Self::RotationBegin => "rotation.begin",
            Self::RotationWithdraw => "rotation.withdraw",
            Self::RotationUnfinished => "rotation.unfinished",
            Self::PasswordRehash => "password.rehash",
            Self::SettingsSet => "settings.set",
            Self::StoreCopy => "store.copy",
            Self::StoreGrant => "store.grant",
            Self::LimitNear => "limit.near",
            Self::LimitReached => "limit.reached",
        }
    }
}

/// What was set to what. Built by the store, which knows what it wrote.
#[derive(Clone, Debug, Default)]
pub struct Fields(Map<String, Value>);

impl Fields {
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Only where there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn to_json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }
}

/// Who changes the store, and when: what every event begins with.
#[derive(Clone, Debug)]
pub struct Stamp {
    pub at: Time,
    pub actor: Actor,
}

/// An event as it is read back.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    pub id: i64,
    pub at: Time,
    pub actor: String,
    pub run_as: Option<String>,
    pub host: String,
    pub action: String,
    pub domain: Option<String>,
    pub username: Option<String>,
    pub fields: Value,
}
