//! Rotation: how often a password is replaced, how far that came, and what becomes
//! of the old one.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::delivery::{CommandLine, Destination, PathTemplate, VariableName};
use super::duration::Duration;
use super::password::PasswordId;
use super::setting::Setting;
use super::text::invalid;
use super::time::Time;
use super::user::User;
use crate::error::{Error, Result};

/// How often passwords are rotated, and where new ones go: of a user, a domain or the
/// installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RotationRules {
    /// The age at which a password is replaced; `None` is never.
    pub every: Option<Duration>,
    /// Where the new password goes.
    pub delivery: Destination,
}

/// What to set; absent values stay as they are.
#[derive(Clone, Debug, Default)]
pub struct RulesChange {
    /// The age at which a password is replaced.
    pub every: Option<Setting<Duration>>,
    /// The command to deliver with.
    pub command: Option<Setting<CommandLine>>,
    /// The file to write.
    pub write_file: Option<Setting<PathTemplate>>,
    /// The file of variables to write.
    pub write_env: Option<Setting<PathTemplate>>,
    /// The variable's name in that file.
    pub env_name: Option<Setting<VariableName>>,
    /// How long the command may take.
    pub timeout: Option<Setting<Duration>>,
}

/// When the old password stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retire {
    /// As soon as the new password is delivered.
    AtOnce,
    /// After this time.
    After(Duration),
    /// When it has not been used for this long; after `most` in any case.
    WhenUnused {
        /// How long it must be unused.
        unused: Duration,
        /// When it stops in any case.
        most: Duration,
    },
}

impl fmt::Display for Retire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce => f.write_str("the old password no longer works"),
            Self::After(time) => write!(f, "the old password works for {time} more"),
            Self::WhenUnused { unused, most } => write!(
                f,
                "the old password works until it is unused for {unused}, {most} at most"
            ),
        }
    }
}

/// How far a rotation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationStage {
    /// The new password works, and no command has been given it.
    Live,
    /// It may have arrived.
    Handing,
    /// The new password did not arrive, and was stopped.
    Withdrawn,
}

/// A rotation that is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The new password; `None` once it was withdrawn.
    pub password_id: Option<PasswordId>,
    /// How far it came.
    pub stage: RotationStage,
    /// When it began.
    pub began_at: Time,
    /// From then on no process delivers it any more.
    pub settles_at: Option<Time>,
    /// Why it is unfinished; `None` if it was interrupted.
    pub reason: Option<String>,
    /// Whether a command was to receive it.
    pub with_command: bool,
    /// The files to write it to.
    pub files: Destination,
}

/// The ways out of an unfinished rotation, each as a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaysOut {
    /// Keeps the new password, because it arrived; `None` once it was withdrawn.
    pub arrived: Option<String>,
    /// Keeps the old password, or tries again once the new one was withdrawn.
    pub not_arrived: String,
    /// Replaces both with another password.
    pub reset: String,
}

impl RotationRules {
    /// Returns whether nothing is set.
    pub const fn is_empty(&self) -> bool {
        self.every.is_none()
            && self.delivery.is_empty()
            && self.delivery.env_name.is_none()
            && self.delivery.timeout.is_none()
    }

    /// Applies a change.
    pub fn change(&mut self, change: &RulesChange) {
        fn set<T: Clone>(old: &mut Option<T>, new: Option<&Setting<T>>) {
            if let Some(new) = new {
                *old = new.clone().value();
            }
        }
        set(&mut self.every, change.every.as_ref());
        set(&mut self.delivery.command, change.command.as_ref());
        set(&mut self.delivery.write_file, change.write_file.as_ref());
        set(&mut self.delivery.write_env, change.write_env.as_ref());
        set(&mut self.delivery.env_name, change.env_name.as_ref());
        set(&mut self.delivery.timeout, change.timeout.as_ref());
    }

    /// Returns the rules that apply, given those of a user, its domain and the
    /// installation: the first of them that sets an age, and the first that sets a
    /// destination, as a whole.
    pub fn nearest(rules: [Self; 3]) -> Self {
        let every = rules.iter().find_map(|rules| rules.every);
        let mut deliveries = rules.into_iter().map(|rules| rules.delivery);
        let delivery = deliveries.find(|delivery| !delivery.is_empty());
        Self {
            every,
            delivery: delivery.unwrap_or_default(),
        }
    }
}

impl RulesChange {
    /// Returns whether nothing changes.
    pub const fn is_empty(&self) -> bool {
        self.every.is_none() && self.keeps_delivery()
    }

    /// Returns whether the destination stays as it is.
    pub const fn keeps_delivery(&self) -> bool {
        self.command.is_none()
            && self.write_file.is_none()
            && self.write_env.is_none()
            && self.env_name.is_none()
            && self.timeout.is_none()
    }
}

impl RotationStage {
    const ALL: [Self; 3] = [Self::Live, Self::Handing, Self::Withdrawn];

    /// Returns the name in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Handing => "handing",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl FromStr for RotationStage {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.name() == text)
            .ok_or_else(|| invalid("stage", text, "live, handing or withdrawn"))
    }
}

impl Unfinished {
    /// Returns the reason, for people.
    pub fn reason(&self) -> &str {
        self.reason
            .as_deref()
            .unwrap_or("it was interrupted before its end")
    }

    /// Returns the ways out for its user.
    pub fn ways_out(&self, user: &User, now: Time) -> WaysOut {
        let name = user.username.in_shell();
        let retire = |id: &PasswordId| format!("smtpcred user retire {name} --password-id {id}");
        let new = self.password_id.as_ref();
        let mut live = user.live_passwords(now);
        let old = live.rfind(|password| Some(&password.id) != new);
        let old = old.map(|password| &password.id);
        WaysOut {
            arrived: new.and(old).map(retire),
            not_arrived: match new {
                Some(new) => retire(new),
                None => format!("smtpcred user rotate {name}"),
            },
            reset: format!("smtpcred user reset {name}"),
        }
    }
}

impl WaysOut {
    /// Returns each way: when to take it, and its command.
    fn all(&self) -> Vec<(&'static str, &str)> {
        match &self.arrived {
            Some(arrived) => vec![
                ("if the new password arrived", arrived),
                ("if it did not", &self.not_arrived),
                ("to replace both passwords", &self.reset),
            ],
            None => vec![
                ("to try again", &self.not_arrived),
                ("to set a new password instead", &self.reset),
            ],
        }
    }

    /// Returns them with each command on a line of its own, from which it is copied.
    pub fn lines(&self) -> String {
        let all = self.all().into_iter();
        let all = all.map(|(when, command)| format!("{when}:\n  {command}"));
        all.collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for WaysOut {
    /// On one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.all().into_iter();
        let all = all.map(|(when, command)| format!("{when}: {command}"));
        f.write_str(&all.collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(passwords: &[&str]) -> User {
        let password = |id: &&str| crate::model::user::PasswordInfo {
            id: PasswordId::stored((*id).to_owned()),
            created_at: Time::from_epoch(0),
            retires_at: None,
            erased: false,
            last_connection: None,
            sent: crate::model::user::SentMail::default(),
        };
        User {
            username: "o'hara@example.com".parse().unwrap(),
            label: None,
            note: None,
            tags: crate::model::tag::Tags::new(),
            daily_limit: None,
            expires_at: None,
            suspended_at: None,
            created_at: Time::from_epoch(0),
            passwords: passwords.iter().map(password).collect(),
            temporary: Vec::new(),
        }
    }

    #[test]
    fn each_way_out_is_a_command() {
        let mut unfinished = Unfinished {
            password_id: Some(PasswordId::stored("new45678".into())),
            stage: RotationStage::Handing,
            began_at: Time::from_epoch(0),
            settles_at: None,
            reason: None,
            with_command: true,
            files: Destination::default(),
        };
        let both = user(&["old45678", "new45678"]);
        let now = Time::from_epoch(9);
        assert_eq!(
            unfinished.ways_out(&both, now).lines(),
            "if the new password arrived:\n  \
             smtpcred user retire \"o'hara@example.com\" --password-id old45678\n\
             if it did not:\n  \
             smtpcred user retire \"o'hara@example.com\" --password-id new45678\n\
             to replace both passwords:\n  \
             smtpcred user reset \"o'hara@example.com\""
        );
        unfinished.password_id = None;
        assert_eq!(
            unfinished.ways_out(&user(&["old45678"]), now).to_string(),
            "to try again: smtpcred user rotate \"o'hara@example.com\"; to set a new password instead: smtpcred user reset \"o'hara@example.com\""
        );
    }

    #[test]
    fn the_nearest_rule_counts() {
        let every = |days: i64| RotationRules {
            every: format!("{days}d").parse().ok(),
            ..RotationRules::default()
        };
        let mut inherited = every(90);
        inherited.delivery.command = "deliver".parse().ok();
        let found = RotationRules::nearest([every(30), inherited.clone(), every(10)]);
        assert_eq!(found.every, every(30).every);
        assert_eq!(found.delivery, inherited.delivery);
    }
}
