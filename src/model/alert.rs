//! Alerts: what the admin is told.

use std::str::FromStr;

use super::name::{DomainName, Username};
use super::text::invalid;
use super::time::Time;
use crate::error::{Error, Result};

/// What an alert is about. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AlertKind {
    /// A user signed in from a network that it never used before.
    NewAddress,
    /// A user signed in from many networks within an hour.
    ManyAddresses,
    /// The right password came from an address that is not allowed.
    RefusedAddress,
    /// A limit is near or reached.
    Limit,
    /// A user was suspended.
    Suspended,
    /// Many wrong passwords for a user, or from an address.
    Guesses,
    /// A password that has stopped was tried.
    OldPassword,
    /// A user sent to many new recipients.
    NewRecipients,
    /// A rotation failed.
    RotationFailed,
    /// The outcome of a rotation is unknown.
    RotationUnfinished,
    /// A user expires soon, or has expired.
    Expiring,
    /// The store cannot be read or written.
    StoreTrouble,
    /// A password was found where it does not belong.
    Leak,
}

impl AlertKind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::NewAddress,
        Self::ManyAddresses,
        Self::RefusedAddress,
        Self::Limit,
        Self::Suspended,
        Self::Guesses,
        Self::OldPassword,
        Self::NewRecipients,
        Self::RotationFailed,
        Self::RotationUnfinished,
        Self::Expiring,
        Self::StoreTrouble,
        Self::Leak,
    ];

    /// Returns the name on command lines, in output and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewAddress => "new-address",
            Self::ManyAddresses => "many-addresses",
            Self::RefusedAddress => "refused-address",
            Self::Limit => "limit",
            Self::Suspended => "suspended",
            Self::Guesses => "guesses",
            Self::OldPassword => "old-password",
            Self::NewRecipients => "new-recipients",
            Self::RotationFailed => "rotation-failed",
            Self::RotationUnfinished => "rotation-unfinished",
            Self::Expiring => "expiring",
            Self::StoreTrouble => "store-trouble",
            Self::Leak => "leak",
        }
    }
}

impl FromStr for AlertKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            invalid("kind of alert", text, format!("one of {names}"))
        })
    }
}

/// An alert as it is raised, in the change that causes it. It contains no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAlert {
    /// Its kind.
    pub kind: AlertKind,
    /// The domain it is about; `None` for the whole installation.
    pub domain: Option<DomainName>,
    /// The user it is about; `None` for a whole domain.
    pub username: Option<Username>,
    /// The address or network it came from.
    pub address: Option<String>,
    /// What distinguishes it from others of its kind and user: the same matter is told once
    /// an hour. Empty if nothing does.
    pub matter: String,
    /// What happened, whose, from where, since when: one or two sentences.
    pub text: String,
    /// The command to type now.
    pub next: Option<String>,
}

impl NewAlert {
    /// Returns an alert about a user.
    pub fn of_user(kind: AlertKind, username: &Username, text: String) -> Self {
        Self {
            kind,
            domain: Some(username.domain()),
            username: Some(username.clone()),
            address: None,
            matter: String::new(),
            text,
            next: None,
        }
    }

    /// Returns the key of what is told once an hour.
    pub fn key(&self) -> String {
        let domain = self.domain.as_ref().map(DomainName::as_str);
        let owner = self.username.as_ref().map(Username::as_str).or(domain);
        format!(
            "{} {} {}",
            self.kind.name(),
            owner.unwrap_or_default(),
            self.matter
        )
    }
}

/// An alert as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its number; later alerts have higher ones.
    pub id: i64,
    /// When it was raised.
    pub at: Time,
    /// When the same matter came up last.
    pub last_at: Time,
    /// Its kind.
    pub kind: AlertKind,
    /// The domain it is about.
    pub domain: Option<DomainName>,
    /// The user it is about.
    pub username: Option<Username>,
    /// The address or network it came from.
    pub address: Option<String>,
    /// What happened.
    pub text: String,
    /// The command to type now.
    pub next: Option<String>,
    /// How often the same matter came up again within the hour.
    pub more: i64,
    /// When an admin acknowledged it.
    pub acked_at: Option<Time>,
}
