//! Alerts: what the admin is told.

use std::str::FromStr;

use serde::Serialize;

use super::name::{DomainName, Username};
use super::password::PasswordId;
use super::text::{count, invalid, times};
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
    /// A limit suspended or deleted a user.
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
    /// Many recipients of a user bounced within an hour.
    Bounces,
    /// Many recipients of a user were deferred within an hour.
    Deferred,
    /// Messages of a user have been in the queue for long.
    QueueOld,
}

impl AlertKind {
    /// All kinds.
    pub const ALL: [Self; 16] = [
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
        Self::Bounces,
        Self::Deferred,
        Self::QueueOld,
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
            Self::Bounces => "bounces",
            Self::Deferred => "deferred",
            Self::QueueOld => "queue-old",
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

    /// Returns the alert about a user that went over a limit of this owner, and was suspended.
    pub fn suspended(username: &Username, owner: &str, limit: &str) -> Self {
        let text = format!(
            "{username} was suspended because it went over the limit of {owner}, {limit}: it can \
            no longer sign in or send."
        );
        Self {
            next: Some(format!("smtpcred user resume {}", username.in_shell())),
            ..Self::of_user(AlertKind::Suspended, username, text)
        }
    }

    /// Returns the alert about a user that went over a limit of this owner, and was deleted.
    pub fn deleted(username: &Username, owner: &str, limit: &str) -> Self {
        let text =
            format!("{username} was deleted because it went over the limit of {owner}, {limit}.");
        let next = format!("smtpcred audit list --user {}", username.in_shell());
        Self {
            next: Some(next),
            ..Self::of_user(AlertKind::Suspended, username, text)
        }
    }

    /// Returns the alert about a stopped password that was tried.
    pub fn old_password(username: &Username, address: &str) -> Self {
        let text = format!(
            "A password of {username} that has stopped was tried from {address}: by an application \
            that no one updated, or by a thief."
        );
        Self {
            address: Some(address.to_owned()),
            next: Some(format!(
                "smtpcred audit failures --user {}",
                username.in_shell()
            )),
            ..Self::of_user(AlertKind::OldPassword, username, text)
        }
    }

    /// Returns the alert about wrong passwords for a user within an hour.
    pub fn guesses(username: &Username, number: u64, address: &str) -> Self {
        let text = format!(
            "{username} got {} within an hour, the latest from {address}.",
            count(number, "wrong password")
        );
        Self {
            address: Some(address.to_owned()),
            next: Some(format!(
                "smtpcred audit failures --user {}",
                username.in_shell()
            )),
            ..Self::of_user(AlertKind::Guesses, username, text)
        }
    }

    /// Returns the alert about a user with so many new recipients within an hour.
    pub fn new_recipients(username: &Username, number: u64) -> Self {
        let text = format!(
            "{username} sent to {} within an hour to whom it never sent before.",
            count(number, "recipient")
        );
        let next = format!("smtpcred user close {} --dry-run", username.in_shell());
        Self {
            next: Some(next),
            ..Self::of_user(AlertKind::NewRecipients, username, text)
        }
    }

    /// Returns the alert about a rotation whose new password did not arrive, and was stopped.
    pub fn rotation_failed(username: &Username, reason: &str) -> Self {
        let text = format!(
            "The new password of {username} was not delivered: {reason}. The old one still works."
        );
        Self {
            next: Some(format!("smtpcred user rotate {}", username.in_shell())),
            ..Self::of_user(AlertKind::RotationFailed, username, text)
        }
    }

    /// Returns the alert about a rotation whose outcome is unknown.
    pub fn rotation_unfinished(username: &Username, reason: &str) -> Self {
        let text = format!(
            "It is not known whether the new password of {username} has arrived: {reason}. Both \
            passwords work."
        );
        Self {
            next: Some(format!("smtpcred user show {}", username.in_shell())),
            ..Self::of_user(AlertKind::RotationUnfinished, username, text)
        }
    }

    /// Returns the alert about a user that expires, or has expired.
    pub fn expiring(username: &Username, at: Time, now: Time) -> Self {
        let text = if at <= now {
            format!("{username} has expired on {at}: it can no longer sign in or send.")
        } else {
            format!("{username} expires on {at}.")
        };
        let next = format!(
            "smtpcred user set {} --expires-in 180d",
            username.in_shell()
        );
        Self {
            matter: at.epoch().to_string(),
            next: Some(next),
            ..Self::of_user(AlertKind::Expiring, username, text)
        }
    }

    /// Returns the alert about a password that was found in this place, given whether it works.
    pub fn leak(username: &Username, password_id: &PasswordId, place: &str, works: &str) -> Self {
        let text = format!("Password {password_id} of {username} was found in {place}: {works}.");
        Self {
            matter: password_id.to_string(),
            next: Some(format!("smtpcred user close {}", username.in_shell())),
            ..Self::of_user(AlertKind::Leak, username, text)
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

/// An alert as commands read it. The names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertDocument {
    /// The kind, or [`Self::SUMMARY`], or [`Self::TEST`].
    pub kind: &'static str,
    /// When it was raised.
    pub at: Time,
    /// The user it is about.
    pub username: Option<String>,
    /// The domain it is about.
    pub domain: Option<String>,
    /// The address or network it came from.
    pub address: Option<String>,
    /// What happened.
    pub text: String,
    /// The command to type now.
    pub next: Option<String>,
    /// Its number; `None` for what is not in the store.
    pub id: Option<i64>,
}

impl AlertDocument {
    /// The kind of what stands for many alerts.
    pub const SUMMARY: &str = "summary";
    /// The kind of a test.
    pub const TEST: &str = "test";

    /// Returns the document of an alert.
    pub fn of(alert: &Alert) -> Self {
        let text = match alert.more.unsigned_abs() {
            0 => alert.text.clone(),
            more => format!("{} It came up again {}.", alert.text, times(more)),
        };
        Self {
            kind: alert.kind.name(),
            at: alert.at,
            username: alert.username.as_ref().map(ToString::to_string),
            domain: alert.domain.as_ref().map(ToString::to_string),
            address: alert.address.clone(),
            text,
            next: alert.next.clone(),
            id: Some(alert.id),
        }
    }

    /// Returns one that is about no user, and in no store.
    pub fn general(kind: &'static str, at: Time, text: String, next: Option<String>) -> Self {
        Self {
            kind,
            at,
            username: None,
            domain: None,
            address: None,
            text,
            next,
            id: None,
        }
    }

    /// Returns the summary of alerts, given how many there are of each kind.
    pub fn summary(at: Time, kinds: &[(AlertKind, u64)]) -> Self {
        let all: u64 = kinds.iter().map(|(_, number)| number).sum();
        let each = kinds
            .iter()
            .map(|(kind, number)| format!("{number} {}", kind.name()));
        let text = format!(
            "And {all} more alert{}: {}.",
            if all == 1 { "" } else { "s" },
            each.collect::<Vec<_>>().join(", ")
        );
        let next = Some("smtpcred alert list".to_owned());
        Self::general(Self::SUMMARY, at, text, next)
    }
}
